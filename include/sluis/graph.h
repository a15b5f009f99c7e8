/*
 * The tools face: the Graph API as webcare tools know it, with Sluis tokens, an allow-list of
 * endpoints and parameters, inspection of what is sent, set-up calls answered here, and replies
 * rebuilt.
 */
#ifndef SLUIS_GRAPH_H
#define SLUIS_GRAPH_H

#include "sluis/access.h"
#include "sluis/audit.h"
#include "sluis/config.h"
#include "sluis/contact.h"
#include "sluis/keyring.h"
#include "sluis/media.h"
#include "sluis/net/server.h"
#include "sluis/store.h"
#include "sluis/subject.h"
#include "sluis/upstream.h"

struct graph;
struct history;

struct graph_sent {
    uint16_t channel;
    struct span contact, user_id; /* either may be empty */
    struct span text;             /* decoded UTF-8 of body or caption */
    int64_t at_ms;
    uint64_t serial;
};
struct graph_deps {
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    struct access *access;
    struct media *media; /* NULL: nobody gets media, and none are sent */
    struct contacts *contacts;
    struct resolver *resolver;
    struct loop **loops;
    struct subject_resolver **subjects; /* one per loop, shared with the meta face */
    unsigned loop_count;
    struct audit_refusals *refusals; /* or NULL */
    struct audit_gate *gate;         /* or NULL */
    /* A message was committed and handed to Meta: for the conversation's window. Any thread; must
     * copy. May be NULL. */
    void (*on_sent)(void *ctx, const struct graph_sent *sent);
    void *on_sent_ctx;
    struct history *history; /* NULL: no history for tools */
    /* May nothing of this person be shown now (purge_refused)? Asked before media. May be NULL. */
    bool (*refused)(void *ctx, uint64_t subject);
    void *refused_ctx;
};
SLUIS_MUST_CHECK int graph_new(const struct graph_deps *deps, struct graph **out);
void graph_free(struct graph *graph);
void *graph_context(struct graph *graph, unsigned index);
/* Time that the listener must give a call: GRAPH_ANSWER_MS of struct server_limits. */
#define GRAPH_ANSWER_MS 75000
/* Stopping, each on its loop's thread while servers and store still stand: graph_stop ends requests
 * to Meta (their outcome is unknown, and recorded as such) and refuses new calls; graph_busy tells
 * how many calls wait for the store or another loop. At 0 everywhere loops may stop and graph_free
 * follow. */
void graph_stop(struct graph *graph, unsigned index);
unsigned graph_busy(const struct graph *graph, unsigned index);
int graph_on_head(struct exchange *ex, uint64_t *body_max, void *ctx);
void graph_on_request(struct exchange *ex, void *ctx);
void graph_on_gone(struct exchange *ex, void *ctx);

/* A contact's message was committed, or something was seen in a picture of it: notices that policy
 * has for it and that are due are sent (proxy/graph/notice.c). Any thread; copies; may come to
 * nothing. */
struct graph_notice {
    uint16_t channel;
    uint64_t subject, serial; /* of the message */
    struct span contact,
        user_id;       /* both empty: they, `at_ms` and `english` are read from the store */
    uint64_t found;    /* bit set of types found in it */
    uint32_t pictures; /* 1 << enum policy_picture */
    int64_t at_ms;
    int64_t before_ms; /* when the contact wrote before; 0 not known */
    bool greets;       /* says something: first contact and opening hours count */
    bool stopped;      /* the contact opted out by it: the notice `stop`, and no other */
    bool english;
};
void graph_notice(struct graph *graph, const struct graph_notice *what);

/* For struct server_config.refusal: Meta's error shape. */
const char *graph_refusal(unsigned status, const char *reason, struct buffer *out);

/* The own error codes, one row each. */
struct graph_code {
    unsigned code;   /* 900001-900099 */
    unsigned status; /* HTTP */
    const char *word;
    const char *nl, *en;
    bool retry;
};
const struct graph_code *graph_codes(size_t *n);

#endif
