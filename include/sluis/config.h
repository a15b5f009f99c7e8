/*
 * Configuration: the operator's sluis.yaml (manual: proxy/man/sluis.yaml.5.md), read and checked
 * into an immutable, reference-counted snapshot that holds the policies it names. All or nothing:
 * an error anywhere gives no snapshot. Secrets are read from files or systemd credentials
 * ($CREDENTIALS_DIRECTORY) into guarded, locked memory that is read-only once loaded and wiped with
 * the snapshot; a file of a secret that others than its owner can reach is refused.
 *
 * Checked here, so that others need not: names; digits of Meta's ids; a number is unique within its
 * app; every route of a channel is a route of its policy; certificates can be opened; URLs have a
 * host, no user name and no fragment, and are https, or http to localhost or an address (written in
 * digits) that is loopback, private or link-local. Names are not looked up: `private_allowed` is
 * for whoever connects to judge by.
 *
 * Threads: a snapshot may be read by any; config_ref and config_unref are atomic.
 */
#ifndef SLUIS_CONFIG_H
#define SLUIS_CONFIG_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/log.h"
#include "sluis/base/span.h"
#include "sluis/policy.h"

#define CONFIG_NAME_MAX 63
#define CONFIG_SECRET_MAX 512
#define CONFIG_APPS_MAX 64
#define CONFIG_CHANNELS_MAX 1024
#define CONFIG_CHANNEL_ROUTES_MAX 16

struct config_listener {
    bool present;
    const char *address;      /* "host:port" */
    const char *certificate;  /* PEM path */
    const char *key_file;     /* PEM path (a credential resolved to its path) */
    const char *client_ca;    /* or NULL */
    const char *client_cn;    /* or NULL */
    const char *url;          /* base of this listener as Meta knows it, or NULL; meta only */
    const char *const *names; /* host names answered for; NULL-terminated; tools, admin */
    unsigned connections;     /* cap */
};
enum config_listener_kind { CONFIG_META, CONFIG_TOOLS, CONFIG_ADMIN, CONFIG_LISTENERS };

struct config_app {
    const char *name;
    struct span verify_token;
    struct span secrets[2]; /* secrets[1].n is 0 when there is one */
};

enum upstream_kind { UPSTREAM_META };
struct config_upstream {
    enum upstream_kind kind;
    const char *base_url; /* "https://graph.facebook.com" unless said */
    const char *ca_file;  /* or NULL: system */
    struct span access_token;
    int64_t retry_s; /* Meta's retry window: 7 d, 1 h with No Storage */
    bool private_allowed;
};

/* A host that attachments by link may be fetched from, over https. */
#define CONFIG_FETCH_MAX 64 /* of a channel, and of a route */
struct config_fetch {
    const char *host;
    uint16_t port;
    bool private_allowed;
    const char *ca_file; /* or NULL: system */
};

enum { CONFIG_TOLD_ERASED = 1, CONFIG_TOLD_EXPIRED = 2 };
struct config_route {
    const char *name;
    uint16_t id; /* store_name_id of "channel/route", set by the gateway, 0 before */
    const char *url;
    struct span secret;
    bool one_per_post;     /* default true */
    bool private_allowed;  /* addresses of tools are private as a rule: default true */
    const char *ca_file;   /* or NULL */
    int64_t keep_trying_s; /* up to 7 d */
    bool needs_original;   /* demands part O: expires instead of sending M */
    unsigned told;         /* of what it received: CONFIG_TOLD_* */
    const struct policy_route *policy;
    struct config_fetch *fetch; /* beside the channel's */
    size_t fetch_count;
};

struct config_channel {
    const char *name;
    uint16_t id; /* store_name_id, set by the gateway */
    const struct config_app *app;
    const char *phone_number_id;
    const char *waba_id;
    struct config_upstream upstream;
    struct policy
        *policy;         /* in force; of an observing policy whose last day has ended: its `then` */
    struct policy *then; /* while `policy` observes: what follows it; else NULL */
    bool media_pass;     /* channel says `media: pass` */
    struct config_fetch *fetch;
    size_t fetch_count;
    int64_t answer_within_s; /* target for answers, 0 none: alarms and statistics */
    struct config_route *routes;
    size_t route_count;
};

/* Where checkpoints of the access log leave the machine, beside log_checkpoints_file. */
struct config_log_push {
    const char *https_url;   /* POSTed to, or NULL */
    const char *https_ca;    /* or NULL: system */
    struct span https_token; /* Authorization: Bearer; may be empty */
    bool https_private;
    const char *mail_folder, *mail_from, *mail_to; /* a folder mail is dropped in, or NULL */
    int64_t hold_s; /* nothing is shown without a checkpoint that left for so long; 0: never */
};

struct config {
    const char *file;
    char hash[POLICY_HASH_HEX]; /* SHA-256 over the file and the policies' hashes */
    struct config_listener listeners[CONFIG_LISTENERS];
    struct config_app *apps;
    size_t app_count;
    struct config_channel *channels;
    size_t channel_count;
    const char *store_path;
    uint64_t store_size;
    bool store_preallocate;
    const char *keys_path;
    const char *keys_root_file;       /* NULL: a passphrase, given after the start (keys unseal) */
    const char *log_checkpoints_file; /* of the access log, or NULL */
    struct config_log_push log_push;  /* where else they go */
    const char *control_path;         /* Unix socket */
    unsigned threads;                 /* event threads; 0: one per core */
    const char *policies;             /* their folder */
    bool approval_officers; /* what loosens a policy always waits, also before there are officers */
    uint64_t memory_max;    /* for bodies, deliveries and windows */
    const char *public_url; /* base for Graph and media URLs given to tools, or NULL: from Host */
    int64_t stop_s;         /* graceful stop within */
    enum log_level log_level;
    enum log_form log_form;
};

/* Reads `file` and everything it names. Relative paths are relative to the file's folder; policies
 * are found in `policies:` of the file or in the folder `policies` beside it, each as NAME.yaml. 0,
 * or with a diagnosis SLUIS_EINVAL, SLUIS_ENOENT (no such file as `file`), SLUIS_ELIMIT,
 * SLUIS_ESYS, SLUIS_ENOMEM, SLUIS_ECRYPTO. */
SLUIS_MUST_CHECK int config_load(const char *file, struct config **out, struct diag *diag);
/* Only where the control socket is: nothing else of the file is looked at and no secret is read, so
 * that a person at the machine can ask a gateway whose credentials only systemd gives out. */
SLUIS_MUST_CHECK int config_control_path(const char *file, char *out, size_t size,
                                         struct diag *diag);
struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* wipes secrets */

/* Another policy for a channel of a snapshot that is not shared yet (one that stays in force though
 * its file changed); takes a reference of its own. SLUIS_EINVAL with a diagnosis: a route of the
 * channel is none of this policy's. */
SLUIS_MUST_CHECK int config_use_policy(struct config *config, size_t channel, struct policy *policy,
                                       struct diag *diag);

/* The snapshot in force: a cell that reload swaps. Threads: any. */
struct config_cell;
/* Takes the reference to `first`; config_cell_free drops the one in force. */
SLUIS_MUST_CHECK int config_cell_new(struct config *first, struct config_cell **out);
void config_cell_free(struct config_cell *cell);
struct config *config_acquire(struct config_cell *cell);         /* the caller unrefs */
void config_swap(struct config_cell *cell, struct config *next); /* takes the reference */

/* The key of the first setting that differs between two snapshots and that only a restart can
 * change
 * ("store.path"), NULL when there is none: addresses of listeners, store, keys, control, threads
 * and memory. For whoever reloads, to refuse `next` with it. */
const char *config_needs_restart(const struct config *running, const struct config *next);

/* NULL when there is none. By WABA: the first channel of the app with it. */
const struct config_app *config_app(const struct config *config, struct span name);
const struct config_channel *config_channel(const struct config *config, const char *name);
const struct config_channel *config_channel_by_number(const struct config *config,
                                                      const struct config_app *app,
                                                      struct span phone_number_id);
const struct config_channel *config_channel_by_waba(const struct config *config,
                                                    const struct config_app *app,
                                                    struct span waba_id);
/* By the numbers that the gateway has set; 0 finds nothing. `channel` may be NULL. */
const struct config_channel *config_channel_by_id(const struct config *config, uint16_t id);
const struct config_route *config_route_by_id(const struct config *config, uint16_t id,
                                              const struct config_channel **channel);

#endif
