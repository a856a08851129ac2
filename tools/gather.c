/* Does this machine gather rightly? AVX2's vpgatherdd, of which Mesa's software renderer makes use.
 *
 *     gcc -O1 -mavx2 -o /tmp/gather tools/gather.c && /tmp/gather
 *
 * A processor gets it right with every index register. QEMU 7.2 without KVM does not with ymm4, whose number means
 * "no index" to all other instructions: see docs/panel.md, "On a bare console".
 */
#include <immintrin.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

#define GATHER(index) \
    static __m256i by_##index(const int *from, __m256i at) { \
        __m256i got = _mm256_setzero_si256(), wanted = _mm256_set1_epi32(-1); \
        __asm__ volatile("vmovdqa %2, %%" #index "\n\tvpgatherdd %1, (%3,%%" #index ",4), %0" \
                         : "+&x"(got), "+&x"(wanted) : "x"(at), "r"(from) : #index, "memory"); \
        return got; \
    }
GATHER(ymm3)
GATHER(ymm4)
GATHER(ymm5)
GATHER(ymm12)

static const struct {
    const char *name;
    __m256i (*gather)(const int *, __m256i);
} CASES[] = {{"ymm3", by_ymm3}, {"ymm4", by_ymm4}, {"ymm5", by_ymm5}, {"ymm12", by_ymm12}};

static sigjmp_buf before;

static void hit(int signal) {
    (void)signal;
    siglongjmp(before, 1);
}

int main(void) {
    int memory[64];
    volatile int bad = 0;
    for (int i = 0; i < 64; i++) memory[i] = i;
    signal(SIGSEGV, hit);
    for (volatile unsigned n = 0; n < sizeof CASES / sizeof *CASES; n++) {
        if (sigsetjmp(before, 1)) {
            printf("index in %s: segmentation fault\n", CASES[n].name);
            bad++;
            continue;
        }
        int got[8], wrong = 0;
        _mm256_storeu_si256((__m256i *)got, CASES[n].gather(memory, _mm256_setr_epi32(0, 9, 18, 27, 36, 45, 54, 63)));
        for (int i = 0; i < 8; i++) wrong += got[i] != 9 * i;
        printf("index in %s: %d of 8 wrong\n", CASES[n].name, wrong);
        bad += wrong != 0;
    }
    return bad != 0;
}
