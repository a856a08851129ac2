/* Reads cases from standard input, gives each to limpid.h in memory of exactly its size, and reads every pixel of
 * those that are taken: a byte outside is the sanitiser's to find. Prints a verdict for each.
 *
 * A case: kind u8 (0 frame, 1 shown), parts u8, header size u16, header, then a u32 size for each pixel part. The
 * pixels are (index * 31 + index / 256) mod 256, so that they need not be sent.
 */
#include <stdio.h>
#include <stdlib.h>

#include "limpid.h"

enum { MAX_PARTS = 8 };

static int take(void *into, size_t size) { return fread(into, 1, size, stdin) == size; }

static uint8_t *pixels_of(size_t size) {
    uint8_t *pixels = (uint8_t *)malloc(size);
    size_t i;
    if (pixels == NULL) exit(3);
    for (i = 0; i < size; i++) pixels[i] = (uint8_t)(i * 31 + i / 256);
    return pixels;
}

static unsigned long sum_of(size_t size, uint32_t row_bytes, uint32_t height, uint32_t stride) {
    uint8_t *pixels = pixels_of(size);
    unsigned long sum = 0;
    uint32_t x, y;
    for (y = 0; y < height; y++) {
        const uint8_t *row = limpid_row(pixels, stride, y);
        for (x = 0; x < row_bytes; x++) sum += row[x];
    }
    free(pixels);
    return sum;
}

static void judge_frame(const uint8_t *header, size_t header_size, const size_t *sizes, size_t parts) {
    limpid_frame frame;
    int code = parts == 1 ? limpid_read_frame(&frame, header, header_size, sizes[0]) : LIMPID_MALFORMED;
    unsigned long sum = 0;
    if (code == LIMPID_OK) {
        sum = sum_of(sizes[0], frame.width * limpid_bytes_per_pixel(frame.format), frame.height, frame.stride);
    }
    printf("%s %lu\n", limpid_refusal(code), sum);
}

static void judge_shown(const uint8_t *header, size_t header_size, const size_t *sizes, size_t parts) {
    limpid_shown shown;
    char text[LIMPID_NAME_BYTES + 1];
    int code = limpid_read_shown(&shown, header, header_size, sizes, parts);
    unsigned long sum = 0;
    size_t i;
    for (i = 0; code == LIMPID_OK && i < parts; i++) {
        const int is_change = (shown.flags & LIMPID_HAS_CHANGE) && i + 1 == parts;
        const uint32_t row_bytes = shown.width * (is_change ? 1 : limpid_bytes_per_pixel(shown.format));
        sum += sum_of(sizes[i], row_bytes, shown.height, is_change ? shown.width : shown.stride);
    }
    if (code == LIMPID_OK) {
        sum += strlen(limpid_text(text, shown.engine, sizeof shown.engine)) + strlen(limpid_why(shown.why));
        sum += strlen(limpid_text(text, shown.precision, sizeof shown.precision));
    }
    printf("%s %lu\n", limpid_refusal(code), sum);
}

int main(void) {
    uint8_t kind, parts;
    uint16_t header_size;
    while (take(&kind, 1) && take(&parts, 1) && take(&header_size, 2)) {
        uint8_t *header = (uint8_t *)malloc(header_size);
        size_t sizes[MAX_PARTS] = {0}, i;
        if (header == NULL || parts > MAX_PARTS || !take(header, header_size)) return 3;
        for (i = 0; i < parts; i++) {
            uint32_t size;
            if (!take(&size, sizeof size)) return 3;
            sizes[i] = size;
        }
        (kind == 0 ? judge_frame : judge_shown)(header, header_size, sizes, parts);
        free(header);
    }
    return 0;
}
