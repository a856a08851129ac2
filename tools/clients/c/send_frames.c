/* Stream pictures to a daemon the way a scanner should: a stalled daemon costs a frame, never the scanner.
 *
 *     send_frames [ENDPOINT [WIDTH HEIGHT [FPS [FRAMES [STREAM [-]]]]]]
 *
 * Sends a moving 8-bit grey picture, or with a last argument "-" raw 8-bit grey frames of WIDTH x HEIGHT bytes
 * from standard input. LIMPID_KEY names the key file for a daemon that asks for one. FRAMES 0: until the input ends, or for ever. Prints what was offered, handed over, dropped.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "limpid.h"
#include "limpid_keys.h"

struct job {
    const char *endpoint, *stream;
    uint32_t width, height;
    double fps;
    uint64_t frames;
    int from_stdin;
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Sleep until a moment, not for a while: the frame rate does not drift with the time that sending takes. */
static void sleep_until(uint64_t at_ns) {
    struct timespec t;
    t.tv_sec = (time_t)(at_ns / 1000000000u);
    t.tv_nsec = (long)(at_ns % 1000000000u);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0) {
    }
}

/* Chosen anew at each start: the daemon tells a restarted scanner from a second one by it. */
static uint64_t new_session(void) {
    uint64_t session = 0;
    FILE *random = fopen("/dev/urandom", "rb");
    if (random != NULL) {
        if (fread(&session, sizeof session, 1, random) != 1) session = 0;
        fclose(random);
    }
    return session != 0 ? session : now_ns() | 1u;
}

static void *open_socket(void *context, const char *endpoint) {
    const int hwm = 2, buffer = 4 << 20, linger_ms = 1000, only_connected = 1;
    void *socket = zmq_socket(context, ZMQ_PUSH);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm); /* before connect, as all of these */
    zmq_setsockopt(socket, ZMQ_SNDBUF, &buffer, sizeof buffer);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    /* With no daemon there, frames are dropped here and now; they do not wait to arrive stale. */
    zmq_setsockopt(socket, ZMQ_IMMEDIATE, &only_connected, sizeof only_connected);
    if (limpid_connect(socket, endpoint, getenv("LIMPID_KEY")) != 0) {
        fprintf(stderr, "send_frames: cannot connect to %s: %s\n", endpoint, limpid_key_refusal(zmq_errno()));
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

/* Give a daemon that is there a second to answer, so that the first frame is not lost. Only ever at the start. */
static void await_daemon(void *socket) {
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLOUT, 0};
    (void)zmq_poll(&item, 1, 1000);
}

/* A gradient that drifts, with a bright square crossing it. */
static void draw(uint8_t *pixels, const limpid_frame *h) {
    const uint32_t left = (uint32_t)(h->seq * 4 % (h->width - 32)), top = h->height / 2 - 16;
    uint32_t x, y;
    for (y = 0; y < h->height; y++) {
        for (x = 0; x < h->width; x++) pixels[(size_t)y * h->stride + x] = (uint8_t)((x + y + h->seq * 2) / 4);
    }
    for (y = top; y < top + 32; y++) memset(pixels + (size_t)y * h->stride + left, 255, 32);
}

/* 1: handed over; 0: nobody could take it now; -1: the socket is of no use any more. */
static int hand_over(void *socket, const limpid_frame *header, zmq_msg_t *pixels) {
    if (zmq_send(socket, header, sizeof *header, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0) {
        /* Where the daemon goes away between the parts, ZeroMQ takes the first one back. */
        if (zmq_msg_send(pixels, socket, ZMQ_DONTWAIT) >= 0) return 1;
    }
    {
        const int error = zmq_errno();
        zmq_msg_close(pixels);
        return error == EAGAIN || error == EINTR ? 0 : -1;
    }
}

/* Frames are drawn straight into the message's memory: nothing is copied. 0: the input has ended. */
static int fill(zmq_msg_t *pixels, const limpid_frame *h, int from_stdin) {
    const size_t size = (size_t)h->stride * h->height;
    if (zmq_msg_init_size(pixels, size) != 0) return 0;
    if (!from_stdin) {
        draw((uint8_t *)zmq_msg_data(pixels), h);
    } else if (fread(zmq_msg_data(pixels), 1, size, stdin) != size) {
        zmq_msg_close(pixels);
        return 0;
    }
    return 1;
}

static int stream_frames(void *socket, limpid_frame *header, const struct job *job) {
    const uint64_t start = now_ns();
    uint64_t offered = 0, handed = 0;
    int state = 0;
    while (state >= 0 && (job->frames == 0 || offered < job->frames)) {
        zmq_msg_t pixels;
        header->seq = offered + 1; /* a dropped frame uses its number up: the daemon sees the gap and counts it */
        if (!fill(&pixels, header, job->from_stdin)) break;
        sleep_until(start + (uint64_t)((double)offered * 1e9 / job->fps));
        header->stamped_ns = now_ns(); /* a scanner puts here when it took the picture */
        state = hand_over(socket, header, &pixels);
        offered++;
        handed += state == 1;
    }
    if (state < 0) fprintf(stderr, "send_frames: %s\n", zmq_strerror(zmq_errno()));
    printf("offered=%llu handed_over=%llu dropped=%llu\n", (unsigned long long)offered, (unsigned long long)handed,
           (unsigned long long)(offered - handed));
    return state < 0 ? 1 : 0;
}

static struct job read_arguments(int argc, char **argv) {
    struct job job = {LIMPID_FRAMES_ENDPOINT, "scanner", 640, 480, 30.0, 0, 0};
    if (argc > 1) job.endpoint = argv[1];
    if (argc > 3) job.width = (uint32_t)strtoul(argv[2], NULL, 10), job.height = (uint32_t)strtoul(argv[3], NULL, 10);
    if (argc > 4) job.fps = strtod(argv[4], NULL);
    if (argc > 5) job.frames = strtoull(argv[5], NULL, 10);
    if (argc > 6) job.stream = argv[6];
    job.from_stdin = argc > 7 && strcmp(argv[7], "-") == 0;
    return job;
}

int main(int argc, char **argv) {
    const struct job job = read_arguments(argc, argv);
    void *context, *socket;
    limpid_frame header;
    int failed = 1;
    const int refused = limpid_frame_init(&header, job.stream, LIMPID_GREY8, 8, job.width, job.height);
    if (refused != LIMPID_OK || !(job.fps > 0.0 && job.fps <= 10000.0)) {
        fprintf(stderr, "send_frames: %s: a daemon takes 64x64 to 4096x4096 and a stream name of A-Z a-z 0-9 . _ -\n",
                refused != LIMPID_OK ? limpid_refusal(refused) : "frame rate");
        return 2;
    }
    header.modality = LIMPID_ULTRASOUND;
    header.clock = LIMPID_CLOCK_MONOTONIC; /* true on the daemon's own host alone; elsewhere LIMPID_CLOCK_OWN */
    header.session = new_session();
    context = zmq_ctx_new();
    socket = open_socket(context, job.endpoint);
    if (socket != NULL) {
        await_daemon(socket);
        failed = stream_frames(socket, &header, &job);
        zmq_close(socket);
    }
    zmq_ctx_term(context);
    return failed;
}
