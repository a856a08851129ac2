/* Print one line for each picture the daemon shows, and say NOT LIVE when there is none.
 *
 *     watch_pictures [ENDPOINT [TOPIC [COUNT]]]
 *
 * TOPIC "picture/" is every stream, "picture/NAME/" one, "pair/NAME/" with the original beside it.
 * COUNT 0: until stopped. A display draws only the newest picture it has: before it draws, it receives with
 * ZMQ_DONTWAIT until nothing more is there. This one prints all, since a line is quickly printed.
 * LIMPID_KEY names the key file for a daemon that asks for one.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "limpid.h"
#include "limpid_keys.h"

enum { MAX_PICTURES = 3, SILENCE_MS = 750 };

/* One message; parts beyond those the protocol knows are read and thrown away. */
struct message {
    zmq_msg_t part[2 + MAX_PICTURES];
    size_t parts;
    size_t in_all;
};

static void *open_socket(void *context, const char *endpoint, const char *topic) {
    const int hwm = 16, buffer = 4 << 20, silence_ms = SILENCE_MS; /* two a stream, for eight */
    void *socket = zmq_socket(context, ZMQ_SUB);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm); /* never ZMQ_CONFLATE: it keeps one part, not one message */
    zmq_setsockopt(socket, ZMQ_RCVBUF, &buffer, sizeof buffer);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &silence_ms, sizeof silence_ms);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topic, strlen(topic));
    if (limpid_connect(socket, endpoint, getenv("LIMPID_KEY")) != 0) {
        fprintf(stderr, "watch_pictures: cannot connect to %s: %s\n", endpoint, limpid_key_refusal(zmq_errno()));
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

static void forget(struct message *message) {
    while (message->parts > 0) zmq_msg_close(&message->part[--message->parts]);
    message->in_all = 0;
}

/* 1: a whole message; 0: silence; -1: the socket is of no use any more. */
static int receive(void *socket, struct message *message) {
    int more = 1;
    message->parts = message->in_all = 0;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0) {
            const int error = zmq_errno();
            zmq_msg_close(&part);
            forget(message);
            return error == EAGAIN || error == EINTR ? 0 : -1;
        }
        more = zmq_msg_more(&part);
        message->in_all++;
        if (message->parts < 2 + MAX_PICTURES) {
            zmq_msg_init(&message->part[message->parts]);
            zmq_msg_move(&message->part[message->parts++], &part);
        }
        zmq_msg_close(&part);
    }
    return 1;
}

static int read_message(struct message *message, limpid_shown *shown) {
    size_t sizes[MAX_PICTURES] = {0}, i;
    if (message->in_all < 2 || message->in_all > 2 + MAX_PICTURES) return LIMPID_MALFORMED;
    for (i = 2; i < message->parts; i++) sizes[i - 2] = zmq_msg_size(&message->part[i]);
    return limpid_read_shown(shown, zmq_msg_data(&message->part[1]), zmq_msg_size(&message->part[1]), sizes,
                             message->parts - 2);
}

static void print_line(const limpid_shown *shown) {
    static const char *const treatments[] = {"notice", "enhanced", "original"};
    char stream[LIMPID_NAME_BYTES + 1], engine[LIMPID_NAME_BYTES + 1], backend[17], precision[9];
    limpid_text(stream, shown->stream, sizeof shown->stream);
    limpid_text(engine, shown->engine, sizeof shown->engine);
    limpid_text(backend, shown->backend, sizeof shown->backend);
    limpid_text(precision, shown->precision, sizeof shown->precision);
    printf("stream=%s seq=%llu treatment=%s reason=\"%s\" engine=%s/%s/%s age_ms=%.3f%s%s%s%s\n", stream,
           (unsigned long long)shown->seq, treatments[shown->treatment], limpid_why(shown->why),
           engine[0] != '\0' ? engine : "-", backend, precision, shown->age_us / 1000.0,
           shown->flags & LIMPID_STAND_IN ? " stand-in" : "", shown->flags & LIMPID_FROZEN ? " FROZEN" : "",
           shown->flags & LIMPID_OUTSIDE ? " outside" : "", shown->flags & LIMPID_LIVE ? "" : " NOT LIVE");
    fflush(stdout);
}

static int watch(void *socket, unsigned long count) {
    unsigned long seen = 0;
    while (count == 0 || seen < count) {
        struct message message;
        limpid_shown shown;
        const int state = receive(socket, &message);
        int code;
        if (state < 0) return 1;
        if (state == 0) { /* notices come 4 times a second: silence means that the daemon or the network is gone */
            printf("NOT LIVE: nothing heard for %d ms\n", SILENCE_MS);
            fflush(stdout);
            continue;
        }
        code = read_message(&message, &shown);
        forget(&message);
        seen++;
        if (code != LIMPID_OK) {
            fprintf(stderr, "watch_pictures: a message was refused: %s\n", limpid_refusal(code));
            continue;
        }
        print_line(&shown);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *endpoint = argc > 1 ? argv[1] : LIMPID_PICTURES_ENDPOINT;
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, endpoint, argc > 2 ? argv[2] : "picture/");
    int failed = 1;
    if (socket != NULL) {
        failed = watch(socket, argc > 3 ? strtoul(argv[3], NULL, 10) : 0);
        zmq_close(socket);
    }
    zmq_ctx_term(context);
    return failed;
}
