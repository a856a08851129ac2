/* Limpid's wire protocol, version 1, in one header for C99 and C++17. Nothing to link, nothing allocated.
 *
 * docs/wire-protocol.md describes every byte. The structures below lie in memory exactly as on the wire: every
 * field is naturally aligned, so no packing is needed, and the checks after them stop the compiler where that
 * should ever not hold.
 *
 *     limpid_frame header;
 *     limpid_frame_init(&header, "probe-1", LIMPID_GREY8, 8, 640, 480);   // once a stream
 *     header.session = any_random_non_zero_number;                        // once a start of the sender
 *     header.seq += 1;  header.stamped_ns = now;                          // every frame
 *     // send two parts over a ZMQ_PUSH socket: sizeof header bytes, then the pixels
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LIMPID_H
#define LIMPID_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The wire is little-endian and these structures are copied as they lie. */
#if defined(__BYTE_ORDER__)
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "limpid.h is for little-endian machines"
#endif
#elif !defined(_WIN32)
#error "limpid.h cannot tell this compiler's byte order: define __BYTE_ORDER__ and __ORDER_LITTLE_ENDIAN__"
#endif

#define LIMPID_VERSION 1
#define LIMPID_MIN_SIDE 64u
#define LIMPID_MAX_SIDE 4096u
#define LIMPID_MAX_STRIDE 49152u
#define LIMPID_NAME_BYTES 48
#define LIMPID_FRAME_MAGIC "LMPF"
#define LIMPID_SHOWN_MAGIC "LMPS"
#define LIMPID_FRAMES_ENDPOINT "tcp://127.0.0.1:5570"
#define LIMPID_PICTURES_ENDPOINT "tcp://127.0.0.1:5571"
#define LIMPID_CONTROL_ENDPOINT "tcp://127.0.0.1:5572"
#define LIMPID_EVENTS_ENDPOINT "tcp://127.0.0.1:5573"

enum { LIMPID_GREY8 = 1, LIMPID_GREY16 = 2, LIMPID_RGB8 = 3, LIMPID_BGR8 = 4 };            /* format */
enum { LIMPID_UNKNOWN = 0, LIMPID_ULTRASOUND = 1, LIMPID_FLUOROSCOPY = 2 };                /* modality */
enum { LIMPID_CLOCK_OWN = 0, LIMPID_CLOCK_MONOTONIC = 1, LIMPID_CLOCK_UNIX = 2 };          /* clock */
enum { LIMPID_FRAME_CUT = 1 };                                                             /* frame flags */
enum { LIMPID_NOTICE = 0, LIMPID_ENHANCED = 1, LIMPID_ORIGINAL = 2 };                      /* treatment */
enum {                                                                                     /* shown flags */
    LIMPID_LIVE = 1, LIMPID_FROZEN = 2, LIMPID_STAND_IN = 4,
    LIMPID_HAS_ORIGINAL = 8, LIMPID_HAS_CHANGE = 16, LIMPID_ORIGINAL_VIEW = 32, LIMPID_WARM = 64,
    LIMPID_OUTSIDE = 128
};

/* Why a message was refused: the names the daemon counts it under. */
enum {
    LIMPID_OK = 0, LIMPID_MALFORMED = 1, LIMPID_WRONG_VERSION = 2, LIMPID_BAD_SIZE = 3,
    LIMPID_TRUNCATED = 4, LIMPID_OVERSIZED = 5
};

/* Scanner -> daemon: before the pixels of a frame. */
typedef struct limpid_frame {
    char magic[4];
    uint8_t version, format, bits, modality;
    uint64_t session, seq, stamped_ns;
    uint32_t width, height, stride;
    uint8_t clock, flags;
    uint16_t reserved_46;
    float spacing_x_mm, spacing_y_mm;
    uint32_t region_x, region_y, region_width, region_height;
    uint8_t reserved_72[8];
    char stream[LIMPID_NAME_BYTES];
} limpid_frame;

/* Daemon -> displays: before the pixels of a picture, or alone in a notice. */
typedef struct limpid_shown {
    char magic[4];
    uint8_t version, format, bits, modality;
    uint64_t session, seq, stamped_ns;
    uint32_t width, height, stride;
    uint8_t treatment, why, strength_percent, flags;
    uint32_t age_us, queued_us, prepared_us, engine_us, composed_us;
    uint8_t reserved_68[4];
    uint64_t received_ns, published_ns;
    uint32_t region_x, region_y, region_width, region_height;
    uint32_t missing_before, mean_change_ppm;
    float spacing_x_mm, spacing_y_mm;
    uint8_t engine_sha256[32];
    char engine[LIMPID_NAME_BYTES];
    char stream[LIMPID_NAME_BYTES];
    char backend[16];
    char precision[8];
    uint8_t reserved_272[48];
} limpid_shown;

#if defined(__cplusplus)
#define LIMPID_ASSERT(name, truth) static_assert(truth, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define LIMPID_ASSERT(name, truth) _Static_assert(truth, #name)
#else /* C99 has no _Static_assert: an array of negative size stops the compiler as well */
#define LIMPID_ASSERT(name, truth) typedef char limpid_assert_##name[(truth) ? 1 : -1]
#endif
#define LIMPID_AT(type, field, offset) LIMPID_ASSERT(type##_##field, offsetof(limpid_##type, field) == (offset))

LIMPID_ASSERT(float_is_32_bits, sizeof(float) == 4);
LIMPID_ASSERT(frame_size, sizeof(limpid_frame) == 128);
LIMPID_AT(frame, session, 8);
LIMPID_AT(frame, seq, 16);
LIMPID_AT(frame, stamped_ns, 24);
LIMPID_AT(frame, width, 32);
LIMPID_AT(frame, stride, 40);
LIMPID_AT(frame, clock, 44);
LIMPID_AT(frame, spacing_x_mm, 48);
LIMPID_AT(frame, region_x, 56);
LIMPID_AT(frame, reserved_72, 72);
LIMPID_AT(frame, stream, 80);
LIMPID_ASSERT(shown_size, sizeof(limpid_shown) == 320);
LIMPID_AT(shown, session, 8);
LIMPID_AT(shown, stamped_ns, 24);
LIMPID_AT(shown, width, 32);
LIMPID_AT(shown, treatment, 44);
LIMPID_AT(shown, age_us, 48);
LIMPID_AT(shown, composed_us, 64);
LIMPID_AT(shown, received_ns, 72);
LIMPID_AT(shown, published_ns, 80);
LIMPID_AT(shown, region_x, 88);
LIMPID_AT(shown, missing_before, 104);
LIMPID_AT(shown, spacing_x_mm, 112);
LIMPID_AT(shown, engine_sha256, 120);
LIMPID_AT(shown, engine, 152);
LIMPID_AT(shown, stream, 200);
LIMPID_AT(shown, backend, 248);
LIMPID_AT(shown, precision, 264);
LIMPID_AT(shown, reserved_272, 272);

/* Bytes a pixel takes, 0 for a format this version does not know. */
static inline uint32_t limpid_bytes_per_pixel(unsigned format) {
    switch (format) {
        case LIMPID_GREY8: return 1;
        case LIMPID_GREY16: return 2;
        case LIMPID_RGB8: case LIMPID_BGR8: return 3;
        default: return 0;
    }
}

static inline const char *limpid_refusal(int code) {
    static const char *const words[] = {"ok", "malformed", "version", "size", "truncated", "oversized"};
    return code >= 0 && code < (int)(sizeof words / sizeof *words) ? words[code] : "unknown";
}

/* The reason for showing the original. A daemon newer than this header may have one more: it is still shown. */
static inline const char *limpid_why(unsigned why) {
    static const char *const words[] = {
        "enhanced", "operator", "strength zero", "opening", "no engine", "no region", "late",
        "busy", "fault", "not finite", "fidelity", "overload", "hot"};
    return why < sizeof words / sizeof *words ? words[why] : "unknown";
}

/* A name field as text for people: always ended, and without what could steer a terminal.
 * `out` must hold `size` + 1 bytes; gives `out`. */
static inline const char *limpid_text(char *out, const char *field, size_t size) {
    size_t i;
    for (i = 0; i < size && field[i] != '\0'; i++) {
        out[i] = field[i] >= 0x20 && field[i] < 0x7f ? field[i] : '?';
    }
    out[i] = '\0';
    return out;
}

/* 1 to 48 of A-Z a-z 0-9 . _ -, then nothing but zeros. */
static inline int limpid_check_stream(const char *name) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = 0;
    size_t i;
    while (length < LIMPID_NAME_BYTES && name[length] != '\0') {
        if (strchr(allowed, name[length]) == NULL) return LIMPID_MALFORMED;
        length++;
    }
    for (i = length; i < LIMPID_NAME_BYTES; i++) {
        if (name[i] != '\0') return LIMPID_MALFORMED;
    }
    return length > 0 ? LIMPID_OK : LIMPID_MALFORMED;
}

static inline int limpid_check_shape(unsigned format, unsigned bits, uint32_t width, uint32_t height, uint32_t stride) {
    if (width < LIMPID_MIN_SIDE || width > LIMPID_MAX_SIDE) return LIMPID_BAD_SIZE;
    if (height < LIMPID_MIN_SIDE || height > LIMPID_MAX_SIDE) return LIMPID_BAD_SIZE;
    if (format == LIMPID_GREY16) {
        if (bits < 10 || bits > 16 || stride % 2 != 0) return LIMPID_MALFORMED;
    } else if (bits != 8) {
        return LIMPID_MALFORMED;
    }
    if (stride < width * limpid_bytes_per_pixel(format) || stride > LIMPID_MAX_STRIDE) return LIMPID_BAD_SIZE;
    return LIMPID_OK;
}

/* Both zero: unknown. What is no number fails these comparisons too. */
static inline int limpid_check_spacing(float x, float y) {
    if (x == 0.0f && y == 0.0f) return LIMPID_OK;
    return x > 0.0f && x < 100.0f && y > 0.0f && y < 100.0f ? LIMPID_OK : LIMPID_MALFORMED;
}

/* All zero: unknown. `box` is x, y, width, height. */
static inline int limpid_check_region(const uint32_t box[4], uint32_t width, uint32_t height) {
    if (box[0] == 0 && box[1] == 0 && box[2] == 0 && box[3] == 0) return LIMPID_OK;
    if (box[2] == 0 || box[3] == 0) return LIMPID_MALFORMED;
    if ((uint64_t)box[0] + box[2] > width || (uint64_t)box[1] + box[3] > height) return LIMPID_MALFORMED;
    return LIMPID_OK;
}

/* The last row may be sent without its padding. */
static inline int limpid_check_payload(size_t size, uint32_t row_bytes, uint32_t height, uint32_t stride) {
    const uint64_t most = (uint64_t)stride * height;
    if (size < most - stride + row_bytes) return LIMPID_TRUNCATED;
    return size > most ? LIMPID_OVERSIZED : LIMPID_OK;
}

/* What is the same in both headers, in the order in which the daemon checks it. */
static inline int limpid_check_place(const float spacing[2], const uint32_t box[4], const uint32_t side[2],
                                     const char *stream) {
    int code = limpid_check_spacing(spacing[0], spacing[1]);
    if (code == LIMPID_OK) code = limpid_check_region(box, side[0], side[1]);
    return code == LIMPID_OK ? limpid_check_stream(stream) : code;
}

/* Whether a daemon would take this header. */
static inline int limpid_check_frame(const limpid_frame *h) {
    int code;
    const float spacing[2] = {h->spacing_x_mm, h->spacing_y_mm};
    const uint32_t box[4] = {h->region_x, h->region_y, h->region_width, h->region_height};
    const uint32_t side[2] = {h->width, h->height};
    if (memcmp(h->magic, LIMPID_FRAME_MAGIC, 4) != 0) return LIMPID_MALFORMED;
    if (h->version != LIMPID_VERSION) return LIMPID_WRONG_VERSION;
    if (limpid_bytes_per_pixel(h->format) == 0) return LIMPID_MALFORMED;
    code = limpid_check_shape(h->format, h->bits, h->width, h->height, h->stride);
    if (code != LIMPID_OK) return code;
    if (h->modality > LIMPID_FLUOROSCOPY || h->clock > LIMPID_CLOCK_UNIX) return LIMPID_MALFORMED;
    return limpid_check_place(spacing, box, side, h->stream);
}

/* A header ready to send: no padding, modality and place unknown, a clock of the sender's own.
 * Gives LIMPID_OK, or what is wrong with the arguments. */
static inline int limpid_frame_init(limpid_frame *h, const char *stream, unsigned format, unsigned bits,
                                    uint32_t width, uint32_t height) {
    size_t length = strlen(stream);
    memset(h, 0, sizeof *h);
    if (length > sizeof h->stream) return LIMPID_MALFORMED;
    memcpy(h->magic, LIMPID_FRAME_MAGIC, sizeof h->magic);
    memcpy(h->stream, stream, length);
    h->version = LIMPID_VERSION;
    h->format = (uint8_t)format;
    h->bits = (uint8_t)bits;
    h->width = width;
    h->height = height;
    h->stride = width * limpid_bytes_per_pixel(format);
    return limpid_check_frame(h);
}

/* Read a frame message. `out` is valid after LIMPID_OK, and then `stride` * row is inside the payload for each row. */
static inline int limpid_read_frame(limpid_frame *out, const void *header, size_t header_size, size_t payload_size) {
    int code;
    if (header_size != sizeof *out) return LIMPID_MALFORMED;
    memcpy(out, header, sizeof *out); /* a message's memory need not be aligned for us */
    code = limpid_check_frame(out);
    if (code != LIMPID_OK) return code;
    return limpid_check_payload(payload_size, out->width * limpid_bytes_per_pixel(out->format), out->height,
                                out->stride);
}

/* The sizes of the picture parts against the flags: picture[, original][, change map]. */
static inline int limpid_check_pictures(const limpid_shown *h, const size_t *sizes, size_t pictures) {
    const uint32_t row_bytes = h->width * limpid_bytes_per_pixel(h->format);
    const size_t colour = (size_t)(pictures > 0) + ((h->flags & LIMPID_HAS_ORIGINAL) != 0);
    size_t i;
    if (pictures != colour + ((h->flags & LIMPID_HAS_CHANGE) != 0)) return LIMPID_MALFORMED;
    for (i = 0; i < pictures; i++) {
        const int code = i < colour ? limpid_check_payload(sizes[i], row_bytes, h->height, h->stride)
                                    : limpid_check_payload(sizes[i], h->width, h->height, h->width);
        if (code != LIMPID_OK) return code;
    }
    return LIMPID_OK;
}

/* Read a shown message. `sizes` are those of the `pictures` parts that follow the header.
 * A reason (`why`) unknown to this header is no error: show it as limpid_why() does. */
static inline int limpid_read_shown(limpid_shown *out, const void *header, size_t header_size, const size_t *sizes,
                                    size_t pictures) {
    int code;
    float spacing[2];
    uint32_t box[4], side[2];
    if (header_size != sizeof *out) return LIMPID_MALFORMED;
    memcpy(out, header, sizeof *out);
    if (memcmp(out->magic, LIMPID_SHOWN_MAGIC, 4) != 0) return LIMPID_MALFORMED;
    if (out->version != LIMPID_VERSION) return LIMPID_WRONG_VERSION;
    if (limpid_bytes_per_pixel(out->format) == 0 || out->treatment > LIMPID_ORIGINAL) return LIMPID_MALFORMED;
    if ((out->treatment == LIMPID_NOTICE) != (pictures == 0)) return LIMPID_MALFORMED;
    if (out->strength_percent > 100) return LIMPID_MALFORMED;
    code = limpid_check_shape(out->format, out->bits, out->width, out->height, out->stride);
    if (code != LIMPID_OK) return code;
    if (out->modality > LIMPID_FLUOROSCOPY) return LIMPID_MALFORMED;
    spacing[0] = out->spacing_x_mm, spacing[1] = out->spacing_y_mm;
    box[0] = out->region_x, box[1] = out->region_y, box[2] = out->region_width, box[3] = out->region_height;
    side[0] = out->width, side[1] = out->height;
    code = limpid_check_place(spacing, box, side, out->stream);
    return code == LIMPID_OK ? limpid_check_pictures(out, sizes, pictures) : code;
}

/* The first byte of row `y` of a picture whose message was read with LIMPID_OK. */
static inline const uint8_t *limpid_row(const void *pixels, uint32_t stride, uint32_t y) {
    return (const uint8_t *)pixels + (size_t)stride * y;
}

#endif /* LIMPID_H */
