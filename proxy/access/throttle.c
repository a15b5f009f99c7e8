/*
 * Slowing down: failures per key (a name, an address, both), in a table of fixed size. Keys are
 * hashed with a key of this process, so that nobody can aim; a full neighbourhood drops its oldest.
 */
#include "throttle.h"

#include <sodium.h>

#define FORGET_MS (60 * 60 * INT64_C(1000)) /* without a failure */
#define LONGEST_MS (15 * 60 * INT64_C(1000))
#define NEAR 8 /* places looked at */

void throttle_init(struct throttle *t)
{
    memset(t, 0, sizeof(*t));
    randombytes_buf(t->key, sizeof(t->key));
    pthread_mutex_init(&t->lock, NULL);
}

void throttle_free(struct throttle *t)
{
    pthread_mutex_destroy(&t->lock);
}

static uint64_t hash_of(const struct throttle *t, char kind, const char *a, const char *b)
{
    uint8_t text[2 * ACCESS_NAME_SIZE + 2] = {(uint8_t)kind}, out[crypto_shorthash_BYTES];
    size_t n = 1, an = strnlen(a, ACCESS_NAME_SIZE), bn = strnlen(b, ACCESS_NAME_SIZE);
    memcpy(text + n, a, an);
    n += an + 1; /* a NUL between */
    memcpy(text + n, b, bn);
    crypto_shorthash(out, text, n + bn, t->key);
    uint64_t hash;
    memcpy(&hash, out, sizeof(hash));
    return hash ? hash : 1;
}

/* The place of a key, or the one it may take (a free one, else the oldest near). */
static struct throttle_row *place(struct throttle *t, uint64_t hash, int64_t now_ms)
{
    struct throttle_row *best = NULL;
    for (unsigned i = 0; i < NEAR; i++) {
        struct throttle_row *row = &t->rows[(hash + i) % THROTTLE_ROWS];
        if (row->hash == hash) {
            if (now_ms - row->last_ms > FORGET_MS)
                row->failures = 0;
            return row;
        }
        if (!best || row->last_ms < best->last_ms)
            best = row;
    }
    return best;
}

static int64_t wait_of(const struct throttle_row *row, unsigned free_tries)
{
    if (row->failures < free_tries)
        return 0;
    unsigned over = row->failures - free_tries;
    int64_t wait = over >= 20 ? LONGEST_MS : INT64_C(1000) << over;
    return wait < LONGEST_MS ? wait : LONGEST_MS;
}

int64_t throttle_wait(struct throttle *t, char kind, const char *a, const char *b,
                      unsigned free_tries, int64_t now_ms)
{
    uint64_t hash = hash_of(t, kind, a, b);
    int64_t left = 0;
    pthread_mutex_lock(&t->lock);
    const struct throttle_row *row = place(t, hash, now_ms);
    if (row->hash == hash) {
        int64_t wait = wait_of(row, free_tries);
        left = row->last_ms + wait - now_ms;
        left = left < wait ? left : wait; /* the clock went back */
    }
    pthread_mutex_unlock(&t->lock);
    return left > 0 ? left : 0;
}

void throttle_failed(struct throttle *t, char kind, const char *a, const char *b, int64_t now_ms)
{
    uint64_t hash = hash_of(t, kind, a, b);
    pthread_mutex_lock(&t->lock);
    struct throttle_row *row = place(t, hash, now_ms);
    if (row->hash != hash)
        *row = (struct throttle_row){.hash = hash};
    row->last_ms = now_ms;
    if (row->failures < UINT32_MAX)
        row->failures++;
    pthread_mutex_unlock(&t->lock);
}

bool throttle_has(struct throttle *t, char kind, const char *a, const char *b)
{
    uint64_t hash = hash_of(t, kind, a, b);
    bool has = false;
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < NEAR; i++)
        has |= t->rows[(hash + i) % THROTTLE_ROWS].hash == hash;
    pthread_mutex_unlock(&t->lock);
    return has;
}

void throttle_passed(struct throttle *t, char kind, const char *a, const char *b, int64_t now_ms)
{
    uint64_t hash = hash_of(t, kind, a, b);
    pthread_mutex_lock(&t->lock);
    struct throttle_row *row = place(t, hash, now_ms);
    if (row->hash == hash)
        *row = (struct throttle_row){0};
    pthread_mutex_unlock(&t->lock);
}
