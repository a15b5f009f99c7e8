/* Failures per key and the wait they cost: 1 s after the free tries, doubling, at most 15 minutes.
 */
#ifndef SLUIS_ACCESS_THROTTLE_H
#define SLUIS_ACCESS_THROTTLE_H

#include "room.h"

#include <pthread.h>

#define THROTTLE_ROWS 8192 /* 24 bytes each */

struct throttle_row {
    uint64_t hash;
    int64_t last_ms;
    uint32_t failures;
};
struct throttle {
    uint8_t key[16];
    pthread_mutex_t lock;
    struct throttle_row rows[THROTTLE_ROWS];
};

void throttle_init(struct throttle *t);
void throttle_free(struct throttle *t);
/* Milliseconds still to wait; 0: go on. A key is a kind and two texts. */
int64_t throttle_wait(struct throttle *t, char kind, const char *a, const char *b,
                      unsigned free_tries, int64_t now_ms);
void throttle_failed(struct throttle *t, char kind, const char *a, const char *b, int64_t now_ms);
/* Whether the key has a row, however old: a kind that is only ever marked, by throttle_failed. A
 * row stays until its place is needed. */
bool throttle_has(struct throttle *t, char kind, const char *a, const char *b);
void throttle_passed(struct throttle *t, char kind, const char *a, const char *b, int64_t now_ms);

#endif
