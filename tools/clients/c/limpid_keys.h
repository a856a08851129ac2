/* Connect to a daemon that asks for a key, for C99 and C++17. Needs libzmq with CURVE (zmq_has("curve")).
 *
 *     if (limpid_connect(socket, endpoint, getenv("LIMPID_KEY")) != 0) ... errno or zmq_errno() says why
 *
 * The key file is the one `limpid keys make FILE` writes: lines of  name = "value" . It is refused (EACCES) where
 * others can read it: chmod 600. While the appliance changes its key, the file names both, and both are tried side
 * by side: one of the two gets through. Call it after the other socket options, in place of zmq_connect.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LIMPID_KEYS_H
#define LIMPID_KEYS_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#define LIMPID_KEY_CHARS 40

typedef struct limpid_keys {
    char own[LIMPID_KEY_CHARS + 1], secret[LIMPID_KEY_CHARS + 1]; /* this client's pair */
    char server[LIMPID_KEY_CHARS + 1], next[LIMPID_KEY_CHARS + 1]; /* the appliance's, and the one to come or "" */
} limpid_keys;

/* 0, or -1 with errno: EACCES others can read the file, EINVAL it is no key file, or what fopen said. */
static inline int limpid_read_keys(const char *path, limpid_keys *keys) {
    char line[160], name[16], value[LIMPID_KEY_CHARS + 2];
    struct stat facts;
    FILE *file = fopen(path, "r");
    memset(keys, 0, sizeof *keys);
    if (file == NULL) return -1;
    if (fstat(fileno(file), &facts) != 0 || (facts.st_mode & 077) != 0) {
        fclose(file);
        errno = EACCES;
        return -1;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        char *to = NULL;
        if (sscanf(line, "%15[a-z] = \"%41[^\"]\"", name, value) != 2) continue;
        if (strcmp(name, "public") == 0) to = keys->own;
        if (strcmp(name, "secret") == 0) to = keys->secret;
        if (strcmp(name, "server") == 0) to = keys->server;
        if (strcmp(name, "next") == 0) to = keys->next;
        if (to != NULL && strlen(value) == LIMPID_KEY_CHARS) memcpy(to, value, LIMPID_KEY_CHARS + 1);
    }
    fclose(file);
    if (keys->own[0] != '\0' && keys->secret[0] != '\0' && keys->server[0] != '\0') return 0;
    errno = EINVAL;
    return -1;
}

/* The same address spelled otherwise, "tcp://host:05570": ZeroMQ takes each spelling but once. */
static inline int limpid_connect_under(void *socket, const char *endpoint, const char *server, int again) {
    char spelled[256];
    const char *colon = strrchr(endpoint, ':');
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, LIMPID_KEY_CHARS) != 0) return -1;
    if (!again || colon == NULL) return zmq_connect(socket, endpoint);
    snprintf(spelled, sizeof spelled, "%.*s:0%s", (int)(colon - endpoint), endpoint, colon + 1);
    return zmq_connect(socket, spelled);
}

/* zmq_connect, with the keys in a file. Without one (NULL or ""): as it is, for ipc:// and loopback. */
static inline int limpid_connect(void *socket, const char *endpoint, const char *key_file) {
    const int only_connected = 1, longest_retry_ms = 2000;
    limpid_keys keys;
    int failed = 0;
    if (key_file == NULL || key_file[0] == '\0' || strncmp(endpoint, "tcp://", 6) != 0)
        return zmq_connect(socket, endpoint);
    if (limpid_read_keys(key_file, &keys) != 0) return -1;
    failed |= zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys.own, LIMPID_KEY_CHARS);
    failed |= zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secret, LIMPID_KEY_CHARS);
    failed |= zmq_setsockopt(socket, ZMQ_IMMEDIATE, &only_connected, sizeof only_connected);
    if (keys.next[0] != '\0')
        failed |= zmq_setsockopt(socket, ZMQ_RECONNECT_IVL_MAX, &longest_retry_ms, sizeof longest_retry_ms);
    failed |= limpid_connect_under(socket, endpoint, keys.server, 0);
    if (keys.next[0] != '\0') failed |= limpid_connect_under(socket, endpoint, keys.next, 1);
    memset(&keys, 0, sizeof keys);
    return failed;
}

/* Why limpid_connect failed, in words. */
static inline const char *limpid_key_refusal(int error) {
    if (error == EACCES) return "the key file can be read by others (chmod 600), or not by us";
    if (error == EINVAL) return "that is no key file with public, secret and server, or libzmq was built without CURVE";
    return zmq_strerror(error);
}

#endif
