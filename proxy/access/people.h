/* Persons, grants, sessions in memory, shared by the files that change them. */
#ifndef SLUIS_ACCESS_PEOPLE_H
#define SLUIS_ACCESS_PEOPLE_H

#include "room.h"
#include "throttle.h"

#include <sodium.h>

#define PERSON_SECRET 20 /* bytes of a TOTP secret: RFC 4226 asks for the hash's length */
#define PERSON_OPS 3     /* argon2id: 64 MiB, three passes: 0.1 s, and RFC 9106's second choice */
#define PERSON_MEM (64u << 20)
#define SESSIONS_MAX 1024
#define SESSIONS_EACH 8 /* of one person; the oldest ends */
#define CODE_STEP_MS 30000

struct person_row {
    struct person person;
    char hash[crypto_pwhash_STRBYTES];
    uint8_t secret[PERSON_SECRET];
    uint64_t last_step; /* of the newest code that was used */
    int64_t used_ms;    /* newest, not yet written down */
    bool due;           /* removed, and the store does not know it yet */
};

struct session {
    uint8_t hash[32]; /* BLAKE2b of the text; all zero: free */
    uint64_t person;
    enum access_session_kind kind;
    bool one_time;
    int64_t created_ms, seen_ms;
    char peer[64];
};

struct people {
    struct access *access;
    pthread_mutex_t change;     /* one change of rows at a time; before `lock` */
    pthread_mutex_t lock;       /* everything below */
    struct person_row *persons; /* ACCESS_PERSONS_MAX, by rising id */
    unsigned person_count;
    struct access_grant *grants; /* ACCESS_GRANTS_MAX, by rising id */
    unsigned grant_count;
    uint64_t next_person, next_grant;
    uint32_t governed; /* rights of which there were two officers; they are never taken out */
    bool governed_due; /* that is not written down yet */
    struct session *sessions; /* SESSIONS_MAX */
    _Atomic uint64_t refused[ACCESS_REFUSALS];
    struct throttle throttle;
    unsigned long long ops; /* of argon2id: PERSON_OPS and PERSON_MEM; less in tests */
    size_t mem;
    /* sign-in's thread */
    pthread_t thread;
    bool started, stop; /* stop: under lock */
    pthread_cond_t work;
    struct access_sign_in *queue[ACCESS_SIGN_INS_MAX];
    unsigned queued;
    char no_hash[crypto_pwhash_STRBYTES]; /* for names that do not exist; made by the thread */
};

/* access.c: what rows share */
/* Seals and commits one row of STORE_TABLE_PRINCIPAL; `plain` empty: the row goes. */
SLUIS_MUST_CHECK int principal_row_put(struct access *access, char kind, uint64_t id,
                                       struct span plain);
/* Several rows, in one commit. */
SLUIS_MUST_CHECK int principal_rows_put(struct access *access, const struct principal_row *rows,
                                        unsigned n);
struct people *people_of(struct access *access);

/* people.c */
SLUIS_MUST_CHECK int people_open(struct access *access, struct people **out);
void people_close(struct people *people);
/* One row at opening; SLUIS_EINVAL or SLUIS_ECRYPTO: it counts as not there. */
int people_load(struct people *people, char kind, uint64_t id, struct span plain);
/* Under `lock`. */
struct person_row *person_by_id(struct people *people, uint64_t id);
struct person_row *person_by_name(struct people *people, const char *name);
/* These four under `change`, not under `lock`. */
/* `gone`: another whose row goes in the same commit, 0 nobody. */
SLUIS_MUST_CHECK int person_commit(struct people *people, const struct person_row *row,
                                   uint64_t gone);
/* The removed person's row, and its grants go. */
SLUIS_MUST_CHECK int person_gone(struct people *people, const struct person_row *row);
SLUIS_MUST_CHECK int governed_commit(struct people *people);
/* Takes `change`. Last uses newer by `than_ms` than what is written, and what could not be. */
SLUIS_MUST_CHECK int people_flush(struct people *people, int64_t than_ms);
void principal_of(const struct person *person, struct principal *out);

/* enrol.c */
void officers_look(struct access *access); /* under no lock */

/* session.c; under `lock` */
void sessions_end(struct people *people, uint64_t person, const struct session *but);
/* One more session; `text` gets it. SLUIS_ELIMIT when the table is full. */
SLUIS_MUST_CHECK int session_add(struct people *people, const struct person_row *row,
                                 enum access_session_kind kind, const char *peer, int64_t now_ms,
                                 char text[ACCESS_SECRET_TEXT]);

/* sign_in.c */
SLUIS_MUST_CHECK int sign_in_start(struct people *people);
void sign_in_stop(struct people *people); /* what waits is done with SLUIS_ECLOSED */

/* decide.c */
enum access_why decide_person(struct people *people, const struct principal *who, uint16_t channel,
                              uint32_t rights, int64_t at_ms, struct access_decision *out);
/* All rights that these grants give somewhere, whatever the hour. */
uint32_t rights_of(struct access *access, const struct access_grant *grants, unsigned count,
                   int64_t at_ms);

#endif
