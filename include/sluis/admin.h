/*
 * The admin face: health, metrics and what `sluis` commands ask of the running gateway. Two doors
 * with one table of endpoints: the admin listener (TLS; health and metrics only, until persons can
 * log in) and the control socket (Unix, mode 0600: who may open it is the operator).
 *
 * Runs on a loop of its own, because its handlers may wait for the store.
 */
#ifndef SLUIS_ADMIN_H
#define SLUIS_ADMIN_H

#include "sluis/access.h"
#include "sluis/audit.h"
#include "sluis/config.h"
#include "sluis/contact.h"
#include "sluis/deliver.h"
#include "sluis/history.h"
#include "sluis/keyring.h"
#include "sluis/net/server.h"
#include "sluis/purge.h"
#include "sluis/stats.h"
#include "sluis/media.h"
#include "sluis/store.h"
#include "sluis/subject.h"

struct admin;

/* A second officer's word on a policy that is looser than the one in force. */
struct policy_approval {
    const char *name;  /* of the policy */
    const char *actor; /* who approves */
    struct span hash;  /* the beginning of the hash that was looked at, or empty */
    bool dry_run;      /* only what would become looser */
    bool alone;        /* an operator, as there never were two officers, or by breaking the glass */
    bool put_forward;  /* out: nobody had, by name; the actor has (would have) now, and has not
                          approved */
    bool (*may)(void *ctx, uint16_t channel); /* the actor, on each channel that has the policy */
    void *may_ctx;
    struct buffer *out; /* "looser":[...],"hash":"..." is appended */
};

/* What came of a reload that was asked for. */
struct reload_outcome {
    int error;                         /* 0: in force */
    bool ran;                          /* false: it never began (error: SLUIS_ECLOSED) */
    char config_hash[POLICY_HASH_HEX]; /* of what it brought into force */
    struct diag diag;                  /* of one that ran: why not */
};

struct admin_deps {
    struct store *store;
    struct audit_log *log;
    struct audit_gate *gate; /* closed: no content, no reading of the log; or NULL */
    struct keyring *keyring;
    struct config_cell *config;
    struct access *access;
    struct contacts *contacts;
    struct subject_resolver *subjects;
    struct deliver *deliver;
    struct media *media; /* NULL: none */
    struct purge *purge;
    struct history *history; /* NULL: none */
    struct stats *stats;     /* NULL: none */
    struct resolver *resolver;
    struct audit_refusals *refusals;
    /* Ends the open connections of a token, on every thread; waits for them. */
    void (*cut)(void *ctx, uint64_t token);
    struct loop *loop;
    /* A new key for the access log. May block. */
    int (*replace_log_key)(void *ctx, const char *actor);
    /* New configuration in force, or a diagnosis. `author`: who asks, or NULL: nobody by name.
     * 0: a reload will begin, and `done` follows on `loop` with what came of it; else it does not:
     * SLUIS_EAGAIN too many wait, SLUIS_ECLOSED the gateway stops, SLUIS_ENOMEM. */
    int (*reload)(void *ctx, const char *author,
                  void (*done)(void *done_ctx, const struct reload_outcome *outcome),
                  void *done_ctx);
    /* On record; a reload (in nobody's name) is to bring it into force. May block. */
    int (*approve)(void *ctx, struct policy_approval *approval, struct diag *diag);
    int (*versions)(void *ctx, struct buffer *out); /* a JSON object */
    /* Asks Meta where each channel's callback points. 0: `done` follows on `loop` with a JSON array
     * of findings, or an error; else it does not. */
    int (*check_meta)(void *ctx, void (*done)(void *done_ctx, int error, struct span json),
                      void *done_ctx);
    void *ctx;
};
SLUIS_MUST_CHECK int admin_new(const struct admin_deps *deps, struct admin **out);
/* Ends a backup that is being made, and waits for it: before the store is closed. */
void admin_stop(struct admin *admin);
void admin_free(struct admin *admin);

/* Handlers; ctx from admin_context. `control`: the Unix socket, where every endpoint is open. */
void *admin_context(struct admin *admin, bool control);
void admin_on_request(struct exchange *ex, void *ctx);

/* Writes one leaf of the access log and waits until it is durable. Not on event threads. */
SLUIS_MUST_CHECK int admin_record(struct store *store, const struct audit_event *event);

#endif
