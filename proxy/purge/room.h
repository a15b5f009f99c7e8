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
#define PART_APPLY 'A'       /* "purge.a": a policy is being applied to what is stored */
#define PART_DESTRUCTION 'D' /* "purge.d" + time + number: a signed record */
#define PART_CERTIFICATE 'Y' /* "purge.e" + number: what a certificate of erasure says */

/* In the table of subjects, by message serial, in the clear (serials, classes and buckets are). */
#define ROW_SERIAL_KEY 9
#define ROW_REVOKED 'R' /* the message's leaf is to be destroyed */
#define ROW_LEAF                                                                                   \
    'L'                /* likewise, and that is all: subject (be64), serial of its message (be64;  \
                           rows of before have none: the leaf's own) */
#define ROW_WORD 'S'   /* a message leaf is to be destroyed: words.c */
#define ROW_PERSON 'P' /* struct mark, sealed; by subject serial */
#define ROW_MOVED RETENTION_MOVED_PREFIX /* what stayed of the message: retention.h */

#define ROW_TEXT_MAX 2048
#define NO_BUCKET UINT32_MAX /* none yet: no class gets that far */
#define HOUR_MS ((int64_t)3600 * 1000)
#define DAY_MS (24 * HOUR_MS)

struct purge_keys { /* from key derivation, for signing */
    uint8_t public_key[RETENTION_SIGN_PUBLIC], secret[RETENTION_SIGN_SECRET];
};

enum { MARK_RESTRICTED = 1, MARK_HELD = 2, MARK_ERASING = 4, MARK_ERASED = 8, MARK_RELEASING = 16 };
struct mark { /* of a person */
    uint64_t subject;
    uint8_t bits;  /* 0: nothing, no row */
    uint32_t hold; /* number: its bucket in the hold class */
    int64_t until_ms, since_ms;
    char reason[PURGE_TEXT_MAX + 1], author[PURGE_TEXT_MAX + 1];
};

struct purge {
    struct purge_deps deps;
    char actor[64];       /* of what the asking thread does; "": operator */
    pthread_mutex_t lock; /* keys are destroyed, and persons marked, by one operation at a time */
    /* One erasure, hold or release at a time, from beginning to end; before `lock`, which is let go
     * while rows are removed and routes told: other operations need not wait for those. */
    pthread_mutex_t erase_lock;
    pthread_mutex_t run_lock; /* one purge at a time, likewise */
    struct keyring_cache *cache;
    struct purge_keys *keys; /* in guarded memory */
    _Atomic uint64_t
        destruction_number; /* of the last record: erasures write theirs beside a purge */

    /* clock.c, under `lock` */
    int64_t clock_last_ms;                        /* the last minute written down, 0 none */
    int64_t clock_off_wall_ms, clock_off_mono_ms; /* since when it is off, 0 it is not */
    _Atomic bool clock_trusted;
    _Atomic bool serving;   /* the service thread runs: so do the loops */
    int64_t clock_asked_ms; /* monotonic: when others were asked last, 0 not */
    pthread_mutex_t witness_lock;
    struct witness {                       /* the newest two */
        int64_t said_ms, wall_ms, mono_ms; /* mono 0: none */
    } witnesses[2];

    pthread_rwlock_t mark_lock;
    struct mark *marks; /* by subject */
    size_t mark_count;
    bool applying; /* under `lock`: "purge.a" stands */
    bool resumed;  /* under `lock`: erasures that a stop cut off are finished */

    pthread_mutex_t lookup_lock; /* one replacement of the index key at a time; before `lock` */
    int64_t lookup_tried_ms;     /* service thread only */
    _Atomic int lookup_error;    /* of the last replacement */

    /* service thread only: expiry was told of through these buckets, when anybody wants it */
    uint32_t told[STORE_CLASSES_MAX + 1];
    bool told_through;

    /* the service thread */
    pthread_t thread;
    bool thread_started;
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    /* under wake_lock: a whole round; only messages taken back; a new index key */
    bool stopping, wanted, revoked, lookup_wanted;
    int64_t tidied_ms;         /* thread only */
    uint64_t prune_below;      /* serials before this were given out at `prune_marked_ms`; 0 none */
    int64_t prune_marked_ms;   /* monotonic; both thread only */
    uint64_t media_generation; /* of the keyring, when all media were looked at; likewise */
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
/* keyring_prune of the message tree, likewise. */
int destroy_dead(struct purge *p, const uint8_t *living, size_t bytes, uint32_t below);

/* clock.c */
int clock_load(struct purge *p);
/* Under `lock`: is the time trusted? */
bool clock_check(struct purge *p, int64_t now_ms);
/* Writes the minute down when it is: after keys were destroyed, which must not wait for it. */
void clock_note(struct purge *p, int64_t now_ms);

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
struct subjects { /* a set; a bit for each, since serials are dense */
    uint8_t *bits;
    size_t bytes;
};
/* *count grows when it is new. */
int subjects_add(struct subjects *seen, uint64_t subject, uint64_t *count);
bool subjects_has(const struct subjects *seen, uint64_t subject);
/* Messages and subjects of buckets `first` .. `ended` that are not on record: in slices, without
 * `lock`. SLUIS_ECLOSED: told to stop. */
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

/* marks.c: what is to be minded about a person */
int marks_load(struct purge *p);
/* False: nothing is; *out has the subject all the same. */
bool mark_get(struct purge *p, uint64_t subject, struct mark *out);
int mark_set(struct purge *p, const struct mark *m); /* in memory only */
bool mark_any(struct purge *p, uint8_t bit);
uint64_t mark_next(struct purge *p, uint64_t after, uint8_t bit);
void mark_key(uint64_t subject, uint8_t key[ROW_SERIAL_KEY]);
int mark_seal(struct purge *p, const struct mark *m, struct buffer *out);
/* The row (none when no bit is left) with a leaf of the log in one commit, then memory. */
int mark_write(struct purge *p, const struct mark *m, const struct audit_event *event);

/* revoke.c: one message; what its row says is read by later starts too. */
enum revoke_why {
    REVOKE_TAKEN_BACK = '1', /* part M stays as a stub */
    REVOKE_ERASED = 'E',     /* of a person erased in part: likewise */
    REVOKE_ERASED_M = 'M',   /* the same, and part M must stay as it is */
};
void revoke_put(struct store_txn *txn, uint64_t serial, enum revoke_why why);
int revoke_drain(struct purge *p); /* takes `lock` for a batch at a time */
/* A reference to one of the policies in force; SLUIS_EJUDGE: there is none. */
int any_policy(struct purge *p, struct policy **out);
/* Part M as it would be with nothing left of what it says but `text`. */
int make_stub(struct purge *p, const struct store_item *item, struct span packed, struct span text,
              struct arena *arena, struct buffer *out);

/* words.c: message leaves to be destroyed, by serial */
#define WORD_BYTES 12
#define WORDS_MAX 512 /* leaves of one change; as many rows as one slice of a sweep */
struct word {
    uint64_t serial, subject;
    uint16_t cls_o, cls_m; /* of the parts that went before their term; 0 none */
};
struct words {
    struct word at[WORDS_MAX];
    unsigned n;
};
void word_put(struct store_txn *txn, uint64_t serial, const struct word *word); /* NULL: no class */
void word_delete(struct store_txn *txn, uint64_t serial);
int words_read(struct purge *p, struct words *out);
int words_destroy(struct purge *p, const struct words *words);

/* shorten.c */
int shorten_load(struct purge *p);
/* Words left behind, then a policy that is being applied: to the end, or until the stop. */
int shorten_drain(struct purge *p);

/* person.c: under `lock` */
struct person_items {
    struct store_item *at;
    size_t n, room;
    bool damaged; /* there may be more, in a block of the journal that does not open */
};
int person_find(struct purge *p, struct span identifier, uint64_t *subject);
/* whose.c: everybody the identifier may mean, who has it now first; none is no error. Under `lock`.
 */
int person_owners(struct purge *p, struct span identifier, struct purge_owner out[PURGE_OWNERS_MAX],
                  unsigned *n);
int person_links(struct purge *p, uint64_t subject, uint64_t *out, unsigned *n);
/* SLUIS_ECRYPTO: a block of the journal is damaged, and not all would be found. */
int person_items(struct purge *p, uint64_t subject, struct person_items *out);
/* Instead: those that can be found; `damaged` says whether there may be more. */
int person_items_readable(struct purge *p, uint64_t subject, struct person_items *out);
void person_items_free(struct person_items *items);
int person_open(struct purge *p, const struct store_item *item, uint8_t part, struct arena *arena,
                struct buffer *plain, struct record_id *where);
int person_event(struct purge *p, uint64_t subject, enum audit_action action, const char *outcome,
                 struct audit_event *out);
int person_record(struct purge *p, const struct audit_event *event);

/* hold.c: copies of what came since, before keys are destroyed */
int holds_copy(struct purge *p);
/* Where a hold may have put its copy of a part: under the message's own serial, or under that of
 * what was sealed anew. How many of `out`, 1 at least. */
#define HOLD_COPIES 2
unsigned hold_copies(struct store_read *read, const struct record_id *copy,
                     struct record_id out[HOLD_COPIES]);
int holds_resume(struct purge *p); /* releases that a stop cut off */
/* erase.c: erasures that a stop cut off */
int erase_resume(struct purge *p);

/* lookup.c */
/* Before anything is looked up: an index of another key than the keyring's is made anew. */
int lookup_open(struct purge *p);
/* Former rows (subject.h) of another index key than `newest`, and of nobody. */
int formers_sweep(struct purge *p, uint32_t newest);
/* On the service thread: replaces the index key when it is due or asked for. */
void lookup_round(struct purge *p, int64_t now_ms);

/* told.c: what routes are told (art. 19) */
#define TELL_ROUTES 64 /* of one event */
struct telling {       /* of one route */
    uint16_t route, channel;
    unsigned wants;
    uint64_t messages;
    unsigned n;
    uint32_t serials[RETENTION_TOLD_MAX];
};
struct teller {
    struct purge *p;
    uint64_t event;
    unsigned what; /* PURGE_TELL_* */
    bool dry;      /* counts only */
    int64_t now_ms;
    struct telling at[TELL_ROUTES];
    unsigned n;
};
int tell_add(struct teller *t, const struct store_item *item);
int tell_flush(struct teller *t); /* what is left, after the last */
/* Before the rows of what has expired are swept. */
int tell_expired(struct purge *p, int64_t now_ms);

/* certificate.c */
#define CERTIFICATE_KEY_BYTES 15
struct told_route {
    uint16_t route;
    uint64_t messages;
    const char *state; /* constant word */
    uint16_t status;
    int64_t at_ms;
};
uint64_t certificate_number(const uint8_t key[CERTIFICATE_KEY_BYTES]);
/* The row that keeps what a certificate says. */
int certificate_seal(struct purge *p, uint64_t number, struct span head, struct span tail,
                     uint8_t key[CERTIFICATE_KEY_BYTES], struct buffer *sealed);
/* The whole, signed or not. `told`: of `n` routes. */
int certificate_write(struct purge *p, uint64_t number, struct span head, struct span tail,
                      const struct told_route *told, unsigned n, bool sign, struct buffer *out);

/* sweep.c: on the service thread (or a test's) */
int sweep_classes(struct purge *p);
int sweep_dedupe(struct purge *p, int64_t now_ms);
int sweep_media(struct purge *p);
/* After a slice that began at `began_us` (clock_mono_us): intake has its turn. */
void sweep_pause(int64_t began_us);
/* tidy.c: journal blocks that are past, index rows of persons whose last message is past */
int tidy(struct purge *p, int64_t now_ms);
int sweep_moved(struct purge *p);
/* prune.c: keys under which nothing is left, when there are many */
int prune_keys(struct purge *p);
/* kept.c: certificates, and what routes were told, older than PURGE_CERTIFICATE_DAYS */
int sweep_kept(struct purge *p, int64_t now_ms);
void wake_round(struct purge *p);
bool purge_stopping(struct purge *p);

const char *purge_actor(const struct purge *p); /* person.c: who asked */

#endif
