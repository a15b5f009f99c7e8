/*
 * The meta face: GET verification and POST intake of webhooks (architecture section 4). One per
 * event thread; messages are handed to the thread that owns their contact.
 */
#ifndef SLUIS_WEBHOOK_H
#define SLUIS_WEBHOOK_H

#include "sluis/audit.h"
#include "sluis/config.h"
#include "sluis/contact.h"
#include "sluis/deliver.h"
#include "sluis/keyring.h"
#include "sluis/media.h"
#include "sluis/net/server.h"
#include "sluis/store.h"
#include "sluis/subject.h"

struct webhook;

/* A contact's message was committed, on a channel whose policy has notices. What it points to holds
 * during the call only. */
struct webhook_message {
    const struct config_channel *channel;
    uint64_t subject, serial;
    struct span contact, user_id; /* either may be empty */
    uint64_t found;               /* bit set of types */
    int64_t at_ms;
    int64_t before_ms; /* when the contact wrote before; 0 not known */
    bool greets;       /* says something, as against a reaction or a system message */
    bool stopped;      /* by this one the contact opted out; then nothing else is answered */
    bool english;
};

struct webhook_deps {
    struct contacts *contacts;
    /* On the loop of the subject's owner, after the commit; returns at once. May be NULL. */
    void (*on_message)(void *ctx, const struct webhook_message *message);
    void *on_message_ctx;
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    struct deliver *deliver;
    struct media *media; /* NULL: media are noted and nobody fetches them */
    struct loop **loops;
    struct subject_resolver **subjects; /* one per loop, shared with the tools face */
    unsigned loop_count;
    struct audit_refusals *refusals; /* or NULL */
    struct audit_gate *gate;         /* or NULL: never closed */
    /* A message was taken back and the policy erases it: with the transaction in the job that
     * commits it (writer thread; more than once when the commit is tried again), then with NULL
     * when it stands. False: its rows must stay for now (legal hold). May be NULL. */
    bool (*on_revoked)(void *ctx, struct store_txn *txn, uint64_t serial, uint64_t subject);
    /* The same of a message that was sealed anew elsewhere, masked more: `leaf` is the serial that it
     * stood under until then, `message` its own. False: the old rows stay for now. */
    bool (*on_remasked)(void *ctx, struct store_txn *txn, uint64_t leaf, uint64_t message,
                        uint64_t subject);
    void *on_revoked_ctx;
};
SLUIS_MUST_CHECK int webhook_new(const struct webhook_deps *deps, struct webhook **out);
void webhook_free(struct webhook *webhook); /* loops stopped */
/* Handlers for struct server_config of loop `index`; ctx from webhook_context. */
void *webhook_context(struct webhook *webhook, unsigned index);
int webhook_on_head(struct exchange *ex, uint64_t *body_max, void *ctx);
void webhook_on_request(struct exchange *ex, void *ctx);
void webhook_on_gone(struct exchange *ex, void *ctx);

/* On the thread of loop `index`: the windows forget all that a person said. What is still needed for
 * judging what comes next is read from the store again, if it lives there. */
void webhook_forget(struct webhook *webhook, unsigned index, uint64_t subject);

/* A message that a tool sent to a contact and that was committed: it takes part in the conversation's
 * window ("Wat is uw BSN?"). Any thread; copies. */
struct webhook_sent {
    uint16_t channel;
    struct span contact, user_id; /* either may be empty */
    struct span text;             /* decoded UTF-8 */
    int64_t at_ms;
    uint64_t serial;
};
void webhook_note_sent(struct webhook *webhook, const struct webhook_sent *sent);

/* Puts what messages accepted while the log refused owe into the log, in order. Any thread that may
 * wait for the store. 0, or the error at which it ended: call again. */
SLUIS_MUST_CHECK int webhook_pay_owed(struct webhook *webhook);

#endif
