/*
 * The graph room's own shapes.
 *
 *   request -> token -> endpoint (path, method) -> parameters by name -> handler
 *   send:   JSON -> judge -> policy -> intent committed -> rebuilt request -> Meta -> outcome ->
 * reply
 *
 * A call belongs to the thread that read the request, save between call_to_owner and its way back,
 * when the thread that owns the contact has it.
 */
#ifndef SLUIS_GRAPH_INTERNAL_H
#define SLUIS_GRAPH_INTERNAL_H

#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/base/counters.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"
#include "sluis/contact.h"
#include "sluis/graph.h"
#include "sluis/mask.h"
#include "sluis/retention.h"
#include "sluis/upstream.h"

#include <stddef.h>

#define GRAPH_JSON_MAX (1u * 1024 * 1024)    /* body of a JSON call */
#define CONSENT_BODY_MAX 8192u               /* body of one entry of the registry */
#define GRAPH_REPLY_MAX (4u * 1024 * 1024)   /* Meta's JSON answers */
#define GRAPH_MEDIA_MAX (100u * 1024 * 1024) /* media bytes: Meta's own limit */
/* Body of an upload: a file with the form around it. It goes to the disk as it comes (file.c). */
#define GRAPH_UPLOAD_MAX (GRAPH_MEDIA_MAX + 64u * 1024)
#define GRAPH_BODY_MAX (16u * 1024 * 1024) /* bodies that are kept, rebuilt ones too */
/* Media bytes on their way in the memory of one thread: pieces, pictures, and whole what a tool
 * uploaded and fetches back. What would go above it is told to come back. One of the largest fits.
 */
#define GRAPH_MEDIA_BYTES (128u * 1024 * 1024)
/* The tools listener gives a call GRAPH_ANSWER_MS and then answers 503. What is asked of Meta ends
 * before that, wherever it stands, so that the tool hears of an unknown outcome from us. What would
 * leave without its whole time with Meta does not leave at all. */
#define GRAPH_META_MS (GRAPH_ANSWER_MS - 5000)
_Static_assert(GRAPH_META_MS > UPSTREAM_BUDGET_MS, "a call must find time with Meta");
#define GRAPH_ARENA_MAX (48u * 1024 * 1024)
#define GRAPH_VERSION_DEFAULT "v24.0" /* for calls without a version */
#define GRAPH_ACTOR_MAX 64            /* X-Sluis-Actor */
#define GRAPH_ID_MAX 32               /* digits of an object id */
#define GRAPH_CALLS_MAX 4096          /* calls under way per thread; above it 503 */

enum graph_error { /* rows of the code table, in its order */
                   E_TOKEN,
                   E_OBJECT,
                   E_ENDPOINT,
                   E_PARAMETER,
                   E_BODY,
                   E_CONTENT,
                   E_MEDIA,
                   E_LINK,
                   E_UNKNOWN_OUTCOME,
                   E_UNREACHABLE,
                   E_STORE,
                   E_UNJUDGED,
                   E_TOO_LARGE,
                   E_OAUTH,
                   E_BUSY,
                   E_METHOD,
                   E_RECIPIENT,
                   E_REPLY,
                   E_ACTOR,
                   E_DOMAIN,
                   E_TEMPLATE,
                   E_LOG,
                   E_WINDOW,
                   E_OPTED_OUT,
                   E_BASIS,
                   E_PACE,
                   E_ATTACHMENT,
                   E_ENTRY,
                   E_HTTP,
                   E_OLD_ENTRY,
                   E_ROLE,
                   E_SLOWED,
                   E_MEDIA_UNKNOWN,
                   E_MEDIA_WAITING,
                   E_MEDIA_WITHHELD,
                   E_MEDIA_CONTENT,
                   E_MEDIA_UNCHECKED,
                   E_MEDIA_KIND,
                   E_FETCH_HOST,
                   E_FETCH_FAILED,
                   E_FETCH_LIMIT,
                   E_TOKEN_TEXT,
                   E_COUNT
};

enum graph_counter {
    G_CALLS,
    G_TOKEN_REFUSED,
    G_REFUSED,
    G_SENT,
    G_SEND_FAILED,
    G_SEND_UNKNOWN,
    G_MASKED,
    G_CONTENT_REFUSED,
    G_SETUP_ANSWERED,
    G_FORWARDED,
    G_UNJUDGED,
    G_TOKENS_EXPANDED,
    G_TOKENS_REFUSED,
    G_NOTICES,
    G_NOTICES_FAILED,
    G_COUNT
};

struct graph_thread {
    struct graph *graph;
    unsigned index;
    struct loop *loop;
    struct upstream *upstream;
    struct detect_scratch *scratch;
    struct keyring_cache *keys;
    struct subject_resolver *subjects; /* the gateway's */
    struct fetchers *fetchers;         /* attach.c; NULL: none yet */
    unsigned calls;
    uint64_t media_bytes;   /* reserved: GRAPH_MEDIA_BYTES */
    unsigned relays;        /* relay.c: each has a connection to Meta, at its tool's pace */
    struct notice *notices; /* under way, also counted in `calls` */
    unsigned notice_count;
};

struct graph {
    struct graph_deps deps;
    struct graph_thread *threads;
    struct counter *counters;
};

static inline void graph_count(struct graph *g, enum graph_counter c)
{
    counter_add(&g->counters[c], 1);
}

/* What an object in a path is. */
enum object {
    OBJECT_NONE,
    OBJECT_PHONE,
    OBJECT_WABA,
    OBJECT_MEDIA,
    OBJECT_HISTORY,
    OBJECT_CONTACT
};

struct call;
struct endpoint {
    enum http_method method;
    enum object object;
    const char *edge;              /* "messages", or "" for the object itself */
    const char *const *parameters; /* allowed in the query beside access_token; NULL-terminated */
    uint64_t body_max;
    bool sends_media; /* refused on the head where media is withheld */
    void (*handle)(struct call *call);
    const char *const *fields; /* what `fields` may name; NULL-terminated, or NULL: nothing */
};

struct call {
    struct mail mail; /* first */
    struct graph_thread *thread;
    struct server *server;
    uint64_t exchange;
    struct config *config;
    const struct config_channel *channel;
    const struct config_route *route; /* the tool's own, or NULL */
    struct principal principal;
    const struct endpoint *endpoint;
    char id[GRAPH_ID_MAX + 1];
    char version[16];
    char host[256];
    char actor[GRAPH_ACTOR_MAX + 1];
    char content_type[256];
    bool token_in_query;
    struct buffer token; /* the tool's own, for paging links; wiped */
    struct http_parameter parameters[HTTP_PARAMETERS_MAX];
    unsigned parameter_count;
    char decoded[4096];
    struct arena arena;
    struct buffer body, rebuilt;
    struct json_doc doc;
    struct judged judged;
    struct send *send;           /* send.c */
    struct media_call *media;    /* media.h; NULL: none */
    int64_t started_ms;          /* when the request was whole: the listener counts from there */
    uint64_t media_bytes;        /* of the thread's, given back with the call */
    enum graph_error unreadable; /* told when Meta's answer cannot be read: E_REPLY unless said */
};

/* ---- codes.c ---- */
/* Answers with a refusal in Meta's error shape, counted, and for known principals recorded. */
void refuse(struct graph *graph, struct exchange *ex, enum graph_error error, const char *detail);
void call_refuse(struct call *call, enum graph_error error, const char *detail); /* ends the call */
uint32_t graph_code_of(enum graph_error error);

/* ---- endpoints.c ---- */
/* The endpoint of a method and path, its channel looked up; NULL and *error. */
const struct endpoint *endpoint_find(const struct config *config, const struct principal *principal,
                                     enum http_method method, const struct http_path *path,
                                     struct call *call, enum graph_error *error);
/* The first parameter that is not allowed by name, or given twice; NULL when all are fine. */
const char *endpoint_bad_parameter(const struct endpoint *endpoint,
                                   const struct http_parameter *list, unsigned n);

/* POLICY_MAY_* that the endpoint asks of the tool's role, from the permission table; 0: any tool.
 */
uint32_t endpoint_right(const struct endpoint *endpoint);

/* ---- graph.c ---- */
const char *call_role(const struct call *call); /* for the log: its role, or "tool" */
void call_free(struct call *call);
struct exchange *call_exchange(struct call *call); /* NULL: the tool has gone */
/* True while what a tool asked may still go out: it waits, and would hear what came of it. */
bool call_may_leave(struct call *call);
/* One leaf about this call, not waited for. */
void call_record(struct call *call, enum audit_action action, const char *outcome, uint32_t code,
                 uint64_t object, uint64_t subject, uint64_t masked);
/* Any leaf, likewise. Any thread. */
void graph_record(struct graph *graph, const struct audit_event *event);
/* The parameters of the query, copied: they point into the request's memory. */
void call_take_parameters(struct call *call, const struct http_head *head);
struct span call_parameter(const struct call *call, const char *name);

/* ---- body.c: what a body may hold ---- */
/* Graph takes top-level members of a JSON body for parameters: only known ones, of the right kind.
 * NULL or what is wrong, a constant. */
const char *body_bad_member(const struct json_doc *doc, bool mark);

/* recipient.c: whom a message is for, as Meta takes it: with a number ("to") the user id
 * ("recipient") says nothing, and is empty then. Numbers as Meta's webhooks write them.
 * SLUIS_EINVAL: nobody, or unreadable; SLUIS_EDENIED: the user id is known as another person's. */
SLUIS_MUST_CHECK int recipient_read(struct call *call, struct span *contact, struct span *user_id);
bool recipient_is_number(struct span to);
/* Media objects, wherever they stand. E_COUNT when fine. */
enum graph_error body_check_media(struct call *call);
/* Is this object an attachment, by its name or as one of a list of that name? */
bool body_in_media(struct call *call, uint32_t object);
/* Links and the template against policy; *detail names what is refused (arena). */
enum graph_error body_check_outbound(struct call *call, const char **detail);

/* ---- tokens.c ---- */
/* Tokens of this tool in the call become the values they stand for: call->doc is another one then,
 * and spans into the old one hold no more. E_COUNT when fine; E_TOKEN_TEXT, E_STORE. */
enum graph_error tokens_expand(struct call *call, struct span contact, struct span user_id);

/* ---- outbound.c: may it go out, from this tool, to this contact, now ---- */
struct outbound {
    uint64_t subject;
    const char *role; /* whose rules; NULL: nobody's */
    bool observing;   /* would refuse, and lets go */
    bool is_group, is_template;
    const struct policy_template *listed; /* what policy says of the template, or NULL */
    struct contact_state *state;          /* arena */
    enum contact_window window;
    bool paced; /* a place is taken */
};
SLUIS_MUST_CHECK int outbound_open(struct call *call, uint64_t subject, struct outbound *o);
bool outbound_consents(const struct outbound *o); /* opted in, and not out */
/* After judging. */
enum outbound_action outbound_action(const struct call *call, const struct outbound *o,
                                     unsigned type);
/* Attachments, the window, opting out, the basis. E_COUNT when fine. */
enum graph_error outbound_check(struct call *call, const struct outbound *o, const char **detail);
/* False when the policy only observes: then it is on record. */
bool outbound_stands(struct call *call, const struct outbound *o, enum graph_error error);
/* On the owner's thread: takes a place in the contact's pace. E_PACE, E_BUSY, E_STORE. */
enum graph_error outbound_pace(struct call *call, struct outbound *o);
void outbound_pace_done(struct call *call, struct outbound *o);

/* ---- media.c, media_record.c, attach.c ---- */
/* False: the room has something of it still; call_free is called again when it comes back. */
bool media_call_free(struct call *call);
/* An upload: its body goes to a spool as it comes. False: refused, the call is gone. */
bool upload_begin(struct call *call, struct exchange *ex);
void attach_free(struct call *call);
void fetchers_free(struct fetchers *fetchers);
void media_give_bytes(struct call *call);
/* Metadata of a tool's own upload: then its bytes are fetched. */
void media_on_uploaded_metadata(const struct upstream_answer *answer, void *ctx);
/* Does the body hold attachments by link that may be fetched? Then they are, and replaced by ids;
 * `then` is called with the body as it is now, or the call ends with a refusal. */
bool attach_wanted(struct call *call);
void attach_fetch(struct call *call, void (*then)(struct call *call));
/* True when a webhook or an upload brought this id to the channel. */
bool media_known(struct call *call, const struct config_channel *channel, struct span id);

/* ---- reply.c ---- */
/* Meta's answer, rebuilt: links to the gateway's own, content judged, identifiers per profile. Ends
 * the call. */
void reply_forward(struct call *call, const struct upstream_answer *answer);
/* "https://HOST/sluis/media", as this tool reaches us. */
void reply_media_base(const struct call *call, struct buffer *out);

/* ---- handlers ---- */
void handle_messages(struct call *call);
void handle_forward(struct call *call); /* GET: rebuilt and forwarded */
void handle_media_get(struct call *call);
void handle_media_bytes(struct call *call);
void handle_media_delete(struct call *call);
void handle_media_upload(struct call *call);
void handle_consent(struct call *call);
void handle_consent_list(struct call *call);
void handle_setup(struct call *call);
void handle_subscribed_get(struct call *call);
void handle_phone_post(struct call *call);
void handle_history(struct call *call);
/* Endpoints without a channel: /oauth/..., /debug_token, our own media bytes. True when answered.
 */
bool setup_special(struct call *call, struct exchange *ex, const struct http_path *path);

/* Sends a rebuilt request to Meta; the reply goes through reply_forward. */
void forward(struct call *call, enum http_method method, struct span target, struct span type,
             struct span body, uint64_t answer_max,
             void (*done)(const struct upstream_answer *answer, void *ctx));
/* The same with a body in pieces and the like; what this sets itself need not be in `request`. */
void forward_request(struct call *call, enum http_method method, struct span target,
                     struct upstream_request *request,
                     void (*done)(const struct upstream_answer *answer, void *ctx));
/* "/v24.0/ID[/EDGE]?..." from parsed facts. */
void forward_target(const struct call *call, struct buffer *out);

#endif
