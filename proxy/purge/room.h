/* The purge room's own shapes. */
#ifndef SLUIS_PURGE_ROOM_H
#define SLUIS_PURGE_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "sluis/audit.h"
#include "sluis/purge.h"

/* Rows of ours in the store's settings and subjects tables, sealed as (class 0, subject 0, serial,
 * part): the first byte of the key tells them apart, `part` likewise. */
#define PART_CLOCK 'C'       /* "purge.clock" */
#define PART_CLASS 'Z'       /* "purge.c" + class: how far it was destroyed and recorded */
#define PART_DESTRUCTION 'D' /* "purge.d" + time + number: a signed record */

/* In the table of subjects, by message serial, in the clear (serials, classes and buckets are). */
#define ROW_SERIAL_KEY 9
#define ROW_REVOKED 'R' /* the message's leaf is to be destroyed */
#define ROW_MOVED 'm'   /* what stayed of the message: new serial, class, bucket */
#define MOVED_VALUE_BYTES 14

#define ROW_TEXT_MAX 2048
#define NO_BUCKET UINT32_MAX /* none yet: no class gets that far */
#define DAY_MS ((int64_t)24 * 3600 * 1000)

struct purge_keys { /* from key derivation, for signing */
    uint8_t public_key[RETENTION_SIGN_PUBLIC], secret[RETENTION_SIGN_SECRET];
};

struct purge {
    struct purge_deps deps;
    pthread_mutex_t lock; /* one operation at a time: run, erase, revoke, hold */
    struct keyring_cache *cache;
    struct purge_keys *keys; /* in guarded memory */
    uint64_t destruction_number;

    /* clock.c, under `lock` */
    int64_t clock_last_ms;                        /* the last minute written down, 0 none */
    int64_t clock_off_wall_ms, clock_off_mono_ms; /* since when it is off, 0 it is not */
    _Atomic bool clock_trusted;

    /* the service thread */
    pthread_t thread;
    bool thread_started;
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool stopping, wanted, revoked; /* under wake_lock: a whole round; only messages taken back */
    int64_t tidied_ms;              /* thread only */
    _Atomic int64_t last_ms;
    _Atomic int last_error;
    _Atomic uint64_t swept_rows;
};

/* rows.c: small sealed rows. */
struct row_write {
    enum store_table table;
    struct span key;
    struct buffer *sealed; /* NULL: the row goes */
};
int row_seal(struct purge *p, enum store_table table, uint8_t part, uint64_t serial,
             struct span plain, struct buffer *out);
/* The opened row appended to `out`. SLUIS_ENOENT. */
int row_read(struct purge *p, enum store_table table, struct span key, uint8_t part,
             uint64_t serial, struct buffer *out);
int row_open(struct purge *p, enum store_table table, uint8_t part, uint64_t serial,
             struct span sealed, struct buffer *out);

/* destroy.c: every destruction of this room: keyring_puncture, then keyring_bind. */
int destroy_leaves(struct purge *p, const struct keyring_leaf *leaves, size_t n);

/* clock.c */
int clock_load(struct purge *p);
/* Under `lock`: is the time trusted? Writes the minute down when it is. */
bool clock_check(struct purge *p, int64_t now_ms);

/* classes.c: what of each class has ended, and how far we got */
struct class_state {
    uint32_t punctured; /* through this bucket, NO_BUCKET none */
    uint32_t recorded;  /* rows through this bucket stand in destruction records */
};
struct class_plan {
    uint16_t cls;
    char name[256];
    struct class_state state;
    uint32_t ended; /* last bucket that has ended */
    uint32_t first; /* bucket of the first row that is not on record, NO_BUCKET none ended */
    bool due;       /* keys to be destroyed */
    uint64_t messages, subjects;
};
struct purge_plan {
    struct class_plan at[STORE_CLASSES_MAX];
    unsigned count;
};
int class_state_read(struct purge *p, uint16_t cls, struct class_state *out);
int class_state_seal(struct purge *p, uint16_t cls, const struct class_state *state,
                     struct buffer *out);
#define CLASS_KEY_BYTES 9
void class_state_key(uint16_t cls, uint8_t out[CLASS_KEY_BYTES]);
int plan_make(struct purge *p, int64_t now_ms, struct purge_plan *plan);
/* Messages and subjects of buckets `first` .. `ended` that are not on record. */
int plan_count(struct purge *p, struct class_plan *c);

/* record.c: the signed records */
struct rule_facts { /* of the rule behind a class */
    char ground[RETENTION_TEXT_MAX + 1], category[RETENTION_TEXT_MAX + 1];
    char policy_hash[POLICY_HASH_HEX];
};
int keys_open(struct purge *p);
void keys_close(struct purge *p);
void rule_find(struct purge *p, const char *class_name, struct rule_facts *out);
#define DESTRUCTION_KEY_BYTES 23
/* A sealed record, and the key of its row. */
int destruction_seal(struct purge *p, const struct retention_destruction *d,
                     uint8_t key[DESTRUCTION_KEY_BYTES], struct buffer *sealed);

/* sweep.c: on the service thread (or a test's) */
int sweep_classes(struct purge *p);
int sweep_dedupe(struct purge *p, int64_t now_ms);
/* tidy.c: journal blocks that are past, index rows of persons whose last message is past */
int tidy(struct purge *p, int64_t now_ms);
int sweep_moved(struct purge *p);
void wake_round(struct purge *p);
bool purge_stopping(struct purge *p);

#endif
