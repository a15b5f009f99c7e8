/* Inside the contact room. */
#ifndef SLUIS_CONTACT_ROOM_H
#define SLUIS_CONTACT_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include "sluis/contact.h"
#include "sluis/subject.h"

#define ROW_KEY 17        /* 'K', subject, channel, kind, hash */
#define ROW_SUBJECT_KEY 9 /* 'K', subject */
#define ROW_CONTACT_KEY 11
#define ROW_HASH_AT 12
#define ROW_HASH 5
#define REF_KEY 27 /* 'X', hash, channel, subject */
#define REF_HASH_KEY 17
#define ROW_VERSION 1
#define ROW_TEXT_MAX 512 /* plain text of a row */
#define ROW_VALUE_MAX (STORE_HASH_BYTES + ROW_TEXT_MAX + KEYRING_RECORD_OVERHEAD)
#define REF_LABEL "reference"
#define CHANGE_ROWS (2 + KEYRING_LOOKUP_KEYS)
#define LISTEN_WALK 20000       /* items looked at to find one of a channel */
#define LISTEN_CHANNELS 2048    /* store ids for which the answer is remembered */
#define SKEW_MS (5 * 60 * 1000) /* a time further ahead than this is not believed */

enum row_kind { ROW_CONSENT = 'c', ROW_NOTICE = 'n', ROW_STOP = 's', ROW_REFERENCE = 'r' };

struct memory;

struct contacts {
    struct store *store;
    struct keyring *keyring;
    struct keyring_cache *cache; /* shared: of `lock` for sealing */
    pthread_mutex_t lock;
    uint8_t hash_key[KEYRING_KEY_BYTES];
    struct memory *memory;
    _Atomic uint64_t changes; /* so far: what was read before one is not remembered after it */
    _Atomic bool listens[LISTEN_CHANNELS]; /* for a day or longer */
};

struct change_row {
    uint8_t key[REF_KEY];
    size_t key_n;
    struct buffer value; /* empty: the row goes */
};
struct contact_change {
    struct contacts *contacts;
    struct contact_id id;
    uint64_t linked[SUBJECT_LINKS_MAX]; /* for whom it holds as well */
    unsigned linked_count;
    struct change_row rows[CHANGE_ROWS];
    unsigned row_count;
    struct buffer leaf; /* empty: none */
    uint8_t leaf_hash[32];
};

/* ---- rows.c ---- */
/* A row's key; `what` (hashed with the kind) tells rows of one kind apart. */
void contact_row_key(const struct contacts *c, struct contact_id id, enum row_kind kind,
                     struct span what, uint8_t key[ROW_KEY]);
struct record_id contact_row_id(const uint8_t key[ROW_KEY]);
/* Appends the sealed text. */
SLUIS_MUST_CHECK int contact_row_seal(struct contacts *c, const uint8_t key[ROW_KEY],
                                      struct span plain, struct buffer *out);
/* Opens a row's value into `state`. */
SLUIS_MUST_CHECK int contact_row_open(struct contacts *c, const uint8_t key[ROW_KEY],
                                      struct span value, struct contact_state *state);
/* contact_read, and the subjects linked to the contact's. */
SLUIS_MUST_CHECK int contact_read_linked(struct contacts *c, struct contact_id id,
                                         struct contact_state *out,
                                         uint64_t linked[SUBJECT_LINKS_MAX], unsigned *n);
void contact_consent_plain(const struct contact_consent *consent, struct buffer *out);
/* "basis|purpose": what tells consents apart. */
void contact_consent_what(const struct contact_consent *consent, struct buffer *out);
void contact_ref_hash(const struct contacts *c, struct span reference,
                      uint8_t out[STORE_HASH_BYTES]);
void contact_ref_key(const uint8_t hash[STORE_HASH_BYTES], struct contact_id id,
                     uint8_t out[REF_KEY]);

/* ---- memory.c ---- */
SLUIS_MUST_CHECK int contact_memory_new(struct memory **out);
void contact_memory_free(struct memory *memory);
void contact_memory_forget(struct memory *memory, uint64_t subject);
/* 0: not remembered. */
int64_t contact_memory_last_in(struct memory *memory, struct contact_id id);
void contact_memory_note_in(struct memory *memory, struct contact_id id, int64_t at_ms);
/* How many are under way; one more when fewer than `most`. SLUIS_ELIMIT: everybody is under way. */
SLUIS_MUST_CHECK int contact_memory_take(struct memory *memory, struct contact_id id, unsigned most,
                                         bool *taken);
void contact_memory_done(struct memory *memory, struct contact_id id);

/* 0 not remembered, 1 no, 2 yes. */
enum { CONSENTS_NOT_KNOWN, CONSENTS_NO, CONSENTS_YES };
void contact_memory_forget_consents(struct memory *memory, uint64_t subject);
int contact_memory_consents(struct memory *memory, struct contact_id id);
void contact_memory_note_consents(struct memory *memory, struct contact_id id, int consents);

#endif
