/*
 * Persons: who they are, how they sign in, what they were granted.
 *
 * Glossary
 *   enrolment   a secret for one-time codes (TOTP, RFC 6238: HMAC-SHA-1, 6 digits, 30 s) as an
 * otpauth:// address, and a one-time password; shown once, good for ACCESS_ENROL_MS. With it a
 *               person may only choose a password of his own. Lost both: `reset`, by who may give
 *               roles; there are no recovery codes.
 *   confirmed   who enrols sees the secret. So once there were two officers, who is enrolled has no
 *               rights until an officer (`approve`), not the one who enrolled, vouches for it.
 *   session     what a sign-in gives: a cookie (pages) or a bearer text (API, CLI), never the one
 * for the other. It belongs to the address it was made at: seen from another it ends.
 *
 * A sign-in is password (argon2id) and code in one; whatever is wrong, the answer is the same,
 * takes as long and is as slow for a name that does not exist. A code is good once, and 30 s early
 * or late. Failures slow down per name and address together, per address, and per name.
 *
 * Another way to know a person (OpenID Connect) is a struct access_identity: it turns what the
 * other side said into a name, and access_session_open does the rest. Persons, grants, sessions and
 * decisions know nothing of passwords.
 *
 * Threads: any, save sign-in: its thread is this room's own.
 */
#ifndef SLUIS_ACCESS_PERSON_H
#define SLUIS_ACCESS_PERSON_H

#include "sluis/access.h"
#include "sluis/base/mailbox.h"

#define ACCESS_PERSONS_MAX 512
#define ACCESS_GRANTS_MAX 2048
#define ACCESS_PASSWORD_MIN 12
#define ACCESS_PASSWORD_MAX 256
#define ACCESS_SECRET_TEXT 64 /* bytes of a session as text, NUL included */
#define ACCESS_ENROL_MS (72 * 3600 * INT64_C(1000))
#define ACCESS_IDLE_MS (15 * 60 * INT64_C(1000))      /* a session without a request */
#define ACCESS_ABSOLUTE_MS (8 * 3600 * INT64_C(1000)) /* a session from its sign-in */
#define ACCESS_SIGN_INS_MAX 32 /* waiting for argon2 (64 MiB and 0.1 s each, one at a time) */
/* Of these: from one address (IPv6: a /64), from addresses where that name never signed in since
 * the start, and of one name from where it did: a flood leaves places to the others. */
#define ACCESS_SIGN_INS_ADDRESS 8
#define ACCESS_SIGN_INS_STRANGERS 24
#define ACCESS_SIGN_INS_KNOWN 2

/* ---- persons ---- */
struct person {
    uint64_t id; /* never reused */
    char name[ACCESS_NAME_SIZE];
    char added_by[ACCESS_NAME_SIZE];
    int64_t created_ms, last_use_ms;
    int64_t one_time_until_ms; /* has a one-time password until then; 0: a password of his own */
    bool removed;
    char enrolled_by[ACCESS_NAME_SIZE];  /* who saw the secret last; "" before this was kept */
    char confirmed_by[ACCESS_NAME_SIZE]; /* who vouched for it since; "": nobody had to, or waits */
    int64_t confirmed_ms;
    bool waits; /* no rights until somebody does */
};
struct access_enrolment { /* wipe it */
    uint64_t id;
    char password[32]; /* "" when it was given */
    char uri[256];     /* otpauth://totp/... */
};
/* May a person have this name? Not the words that stand for others in lists ("operator", ...). */
bool access_name_free(const char *name);
/* `password`: his own (checked for length), or empty: a one-time one is made. Durable when they
 * return; they take 0.1 s: not on event threads. SLUIS_EINVAL (name, password), SLUIS_EEXIST,
 * SLUIS_ELIMIT, or the store's error. */
SLUIS_MUST_CHECK int access_person_add(struct access *access, const char *name,
                                       const char *added_by, struct span password,
                                       struct access_enrolment *out);
/* A new secret and a new one-time password; sessions end. `by` sees them. SLUIS_ENOENT. */
SLUIS_MUST_CHECK int access_person_reset(struct access *access, uint64_t id, const char *by,
                                         struct access_enrolment *out);
/* `by` vouches that it was this person who enrolled: from now on the roles count. SLUIS_EEXIST:
 * nobody has to; SLUIS_EAGAIN: has not chosen a password yet; SLUIS_EDENIED: `by` did the
 * enrolment, or is that person. `alone`: an operator where there is nobody else (or who breaks the
 * glass) may have done the enrolment too. */
SLUIS_MUST_CHECK int access_person_confirm(struct access *access, uint64_t id, const char *by,
                                           bool alone);
/* The person's own new password; its other sessions end. SLUIS_EINVAL (length, or the old one). */
SLUIS_MUST_CHECK int access_person_password(struct access *access, uint64_t id,
                                            struct span password);
/* At once: sessions end, grants count no more. SLUIS_ENOENT, or the store's error: it has ended all
 * the same, is tried again at each flush, and access_person_find finds it for who tries now. */
SLUIS_MUST_CHECK int access_person_remove(struct access *access, uint64_t id);
/* By name, not removed; SLUIS_ENOENT. */
int access_person_find(struct access *access, const char *name, struct person *out);
int access_each_person(struct access *access, int (*each)(void *ctx, const struct person *p),
                       void *ctx);

/* ---- grants ---- */
struct access_grant {
    uint64_t id, person;
    char role[ACCESS_NAME_SIZE];
    bool all; /* every channel, later ones too */
    uint16_t channels[ACCESS_CHANNELS_MAX];
    unsigned channel_count;
    char granted_by[ACCESS_NAME_SIZE];
    int64_t granted_ms;
};
/* SLUIS_EDENIED: the role is not known there (ACCESS_NO_GRANT), breaks the separation of duties
 * alone or with what the person has (ACCESS_CONFLICT), or the person would grant it to himself
 * (ACCESS_NO_RIGHT); *why tells. SLUIS_ENOENT (person), SLUIS_EINVAL, SLUIS_ELIMIT. */
SLUIS_MUST_CHECK int access_grant_add(struct access *access, const struct access_grant *wanted,
                                      int64_t now_ms, uint64_t *id, enum access_why *why);
SLUIS_MUST_CHECK int access_grant_revoke(struct access *access, uint64_t id);
int access_each_grant(struct access *access, int (*each)(void *ctx, const struct access_grant *g),
                      void *ctx);
/* Persons who have a password of their own and these rights on the installation as a whole, and do
 * not wait to be confirmed. */
unsigned access_officers(struct access *access, uint32_t rights, int64_t at_ms);
/* Were there ever two with this right? Kept in the store: from then on an operator does what is
 * theirs (OPERATOR_FIRST) only by breaking the glass, and who is enrolled waits for a second. */
bool access_governed(struct access *access, uint32_t right, int64_t at_ms);

/* ---- signing in ---- */
enum access_session_kind { ACCESS_COOKIE, ACCESS_BEARER };

struct access_sign_in {
    struct mail mail; /* the caller's from `done` on */
    char name[ACCESS_NAME_SIZE];
    char password[ACCESS_PASSWORD_MAX + 1];
    char code[16];
    char peer[64]; /* address as text; "control" on the socket */
    enum access_session_kind kind;
    int64_t at_ms;
    void (*done)(struct access_sign_in *sign_in); /* on the room's thread; hands over and returns */
    void *ctx;
    /* the room's: the address that counts (IPv6: its /64), and did the name sign in there before */
    char from[ACCESS_NAME_SIZE];
    bool known;
    /* the outcome */
    int result; /* 0; SLUIS_EDENIED; SLUIS_EAGAIN: too many failures, wait_s */
    unsigned wait_s;
    struct principal who;
    bool one_time; /* may only choose a password */
    char session[ACCESS_SECRET_TEXT];
};
/* SLUIS_EAGAIN: as many wait already as may (see there), `done` is not called. Else it is, once. The
 * password is wiped before that. */
SLUIS_MUST_CHECK int access_sign_in(struct access *access, struct access_sign_in *sign_in);

/* No sign-in is begun any more; those that wait are done with SLUIS_ECLOSED. Waits for the one at
 * hand: before the loops that `done` posts to are gone. */
void access_stop(struct access *access);

struct access_identity {
    const char *word; /* "password", "oidc" */
    /* What the other side said, checked: the name of a person, or SLUIS_EDENIED. May wait. */
    int (*name)(void *ctx, struct span said, int64_t at_ms, char out[ACCESS_NAME_SIZE]);
    void *ctx;
};
/* A session for a person who proved who he is. SLUIS_ENOENT, SLUIS_ELIMIT. */
SLUIS_MUST_CHECK int access_session_open(struct access *access, const char *name,
                                         enum access_session_kind kind, const char *peer,
                                         int64_t now_ms, char text[ACCESS_SECRET_TEXT]);
struct access_session {
    struct principal who;
    bool one_time;                       /* may only choose a password */
    char form_token[ACCESS_SECRET_TEXT]; /* for the forms of this session */
};
/* 0 and the person; SLUIS_EDENIED (unknown, idle, too old, removed); SLUIS_EEXPIRED: it was used
 * from another address and has ended: to be recorded. */
SLUIS_MUST_CHECK int access_session(struct access *access, struct span text,
                                    enum access_session_kind kind, const char *peer, int64_t now_ms,
                                    struct access_session *out);
void access_session_close(struct access *access, struct span text);

/* ---- housekeeping ---- */
/* Writes down last uses that are an hour newer than what is written, or all (at the end), and what
 * could not be written before. Commits: not on event threads. */
void access_flush(struct access *access, bool all);
/* What was refused to unknown callers since the last call, by reason; for one counted leaf each. */
enum access_refusal {
    ACCESS_REFUSED_TOKEN,
    ACCESS_REFUSED_SIGN_IN,
    ACCESS_REFUSED_SLOWED,
    ACCESS_REFUSED_SESSION,
    ACCESS_REFUSALS
};
const char *access_refusal_word(enum access_refusal refusal);
void access_refusals(struct access *access, uint64_t out[ACCESS_REFUSALS]);

/* ---- one-time codes, for tests and tools ---- */
enum totp_hash { TOTP_SHA1, TOTP_SHA256, TOTP_SHA512 };
/* RFC 6238: the code of `digits` digits (6 to 8) for a step of 30 s since 1970. */
SLUIS_MUST_CHECK int totp_code(enum totp_hash hash, struct span secret, uint64_t step,
                               unsigned digits, char out[9]);
/* RFC 4648 base32 without padding, as in otpauth:// addresses. */
void base32_encode(struct span bytes, struct buffer *out);
SLUIS_MUST_CHECK int base32_decode(struct span text, struct buffer *out);

#endif
