/* The wired gateway. Made and ended by gateway.c on the main thread. */
#ifndef SLUIS_GATEWAY_INTERNAL_H
#define SLUIS_GATEWAY_INTERNAL_H

#include "reloads.h"

#include "sluis/access/person.h"
#include "sluis/admin.h"
#include "sluis/base/log.h"
#include "sluis/config.h"
#include "sluis/contact.h"
#include "sluis/deliver.h"
#include "sluis/gateway.h"
#include "sluis/graph.h"
#include "sluis/history.h"
#include "sluis/keyring.h"
#include "sluis/media.h"
#include "sluis/net/resolver.h"
#include "sluis/net/server.h"
#include "sluis/purge.h"
#include "sluis/retention.h"
#include "sluis/stats.h"
#include "sluis/store.h"
#include "sluis/subject.h"
#include "sluis/upstream.h"
#include "sluis/webhook.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#define GATEWAY_THREADS_MAX 64

/* Blocks of the journal and the log are sealed on the writer thread and opened on any. */
struct block_seal {
    struct keyring_cache *writer, *readers;
    pthread_mutex_t lock;       /* readers */
    _Atomic uint64_t log_place; /* class and bucket of leaves written now; 0: kept for ever */
};

struct gateway {
    struct config_cell *cell;
    struct keyring *keyring;
    struct block_seal seal;
    struct store *store;
    struct audit_log *log;
    struct log_push *log_push;
    struct audit_refusals refusals;
    struct audit_gate gate;
    struct access *access;
    struct contacts *contacts;
    struct resolver *resolver;
    struct loop *loops[GATEWAY_THREADS_MAX];
    unsigned loop_count;
    struct subject_resolver *subjects[GATEWAY_THREADS_MAX];
    struct loop *admin_loop;
    struct loop *media_loop; /* a thread of its own: it waits for disks */
    struct media *media;
    struct picture_pool *pictures;
    struct deliver *deliver;
    struct webhook *webhook;
    struct graph *graph;
    struct admin *admin;
    struct purge *purge;
    struct history *history;
    struct stats *stats;
    struct upstream *checker; /* on admin's loop: asks Meta where callbacks point */
    struct loop_timer *check_timer;
    struct loop_timer *observe_timer; /* on admin's loop */
    int64_t observe_say_ms;
    struct tls_context *tls[CONFIG_LISTENERS];
    struct server *servers[CONFIG_LISTENERS][GATEWAY_THREADS_MAX];
    struct server *control;
    struct reloads *reloads;
    char *media_base; /* of the URLs of media in webhooks, or NULL */
    const char *config_file;
    const struct gateway_options *options;
    const sigset_t *signals; /* blocked; the main thread takes them */
    bool unsealed;           /* a passphrase was given */
    bool loops_started;
    struct keyring_cache *version_keys; /* versions.c, under version_lock */
    pthread_mutex_t version_lock;
};

/* seal.c */
int block_seal_open(struct block_seal *seal, struct keyring *keyring);
void block_seal_close(struct block_seal *seal);
int block_seal_put(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out);
int block_seal_get(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out);

/* sealed.c */
/* Listens and refuses until the passphrase has opened the keyring. SLUIS_ECLOSED: told to stop. */
int sealed_wait(struct gateway *gw, const struct config *config, struct diag *diag);

/* services.c */
/* There is the store, the configuration and the loops, which do not run yet. */
int services_open(struct gateway *gw, const struct config *config);

/* in_force.c */
/* One leaf for program and configuration, of who asked for it, one for the policy of each channel.
 * Waits for the store. */
SLUIS_MUST_CHECK int record_in_force(struct gateway *gw, const struct config *config,
                                     enum audit_action action, const char *actor,
                                     const char *outcome);
/* Hex of the program's build id; empty when it was linked without. */
void build_id(char out[41]);

/* log_keep.c */
/* The class that the policies in force give the access log, and its bucket of now. At start, at a
 * reload (before it is in force), and each hour. */
SLUIS_MUST_CHECK int log_keep_set(struct gateway *gw, const struct config *config);
/* On the log's thread: the bucket of now, and blocks that nobody can open any more are removed. */
void log_keep_turn(void *ctx);

/* log_push.c */
struct log_push;
SLUIS_MUST_CHECK int log_push_open(const struct config_log_push *config, struct log_push **out,
                                   struct diag *diag); /* *out NULL: there is nothing to do */
/* From now on no more than some seconds in all: the gateway stops. Any thread. */
void log_push_hurry(struct log_push *push);
void log_push_close(struct log_push *push);
int log_push_https(void *ctx, struct span note); /* struct audit_target */
int log_push_mail(void *ctx, struct span note);

/* log_key.c */
struct log_keys {
    uint8_t seed[KEYRING_KEY_BYTES]; /* of the key in use */
    uint32_t count;                  /* changes */
    struct buffer notes;
    size_t at[KEY_CHAIN_MAX + 1];
    struct span changes[KEY_CHAIN_MAX];
};
SLUIS_MUST_CHECK int log_keys_load(struct gateway *gw, struct log_keys *out);
void log_keys_free(struct log_keys *keys);
int log_key_replace(void *ctx, const char *actor); /* for struct admin_deps */

/* audit_log.c */
int ledger_log_open(struct gateway *gw, const struct config *config, struct diag *diag);

/* announce.c */
void announce_start(const struct gateway *gw, const struct config *config);
/* One datagram as sd_notify(3) has it, when systemd wants to know. Any thread. */
void notify_systemd(const char *state);
void announce_config(const struct config *config); /* after a reload */

/* listen.c */
const char *listen_name(unsigned kind); /* "meta" of CONFIG_META */
int listen_contexts(const struct config *config, struct tls_context *out[CONFIG_LISTENERS],
                    struct diag *diag);
int listen_open(struct gateway *gw, const struct config *config, struct diag *diag);
void listen_drain(struct gateway *gw);
/* Exchanges without an answer on this loop (loop_count: admin's), on its thread. */
unsigned listen_busy(const struct gateway *gw, unsigned index);
/* Runs `act` on every loop that has servers, waits, and gives the sum of what they returned. From
 * the main thread, or from admin's loop. */
unsigned listen_on_loops(struct gateway *gw,
                         unsigned (*act)(struct gateway *gw, unsigned index, void *ctx), void *ctx);
/* For struct admin_deps: ends a token's open connections on the tools listener. */
void listen_cut(void *ctx, uint64_t token);
void listen_close(struct gateway *gw);
/* New connections get these; takes the references. */
void listen_set_contexts(struct gateway *gw, struct tls_context *contexts[CONFIG_LISTENERS]);

/* pictures.c */
/* The media room, with whatever inspects pictures for it. */
int media_open(struct gateway *gw, const struct config *config);
/* After a reload: pictures are judged by these policies from now on. As picture_pool_detect. */
int pictures_judge_by(struct gateway *gw, const struct config *config, struct diag *diag);
void media_close(struct gateway *gw); /* its loop has stopped */

/* reload.c */
/* Numbers for channels, routes and classes; the snapshot is not yet shared. */
int reload_prepare(struct gateway *gw, struct config *config, struct diag *diag);
int reload_open(struct gateway *gw); /* there is admin's loop; gw->reloads begin when started */
/* For struct admin_deps. `author`: who asked for it: a person, or "operator:UID"; NULL: nobody
 * said, the owner of the file. */
int reload_ask(void *ctx, const char *author,
               void (*done)(void *done_ctx, const struct reload_outcome *outcome), void *done_ctx);
void reload_on_signal(struct gateway *gw, unsigned uid);

/* versions.c, version_store.c, version_approve.c: see versions.h */
/* The store bound, persons known, the loops not yet running: policies that are looser than what was
 * in force and not approved are replaced by that. */
int versions_start(struct gateway *gw, struct config *config, struct diag *diag);
/* Before `next` is in force: SLUIS_EDENIED when a policy in it has to be approved. */
int versions_judge(struct gateway *gw, const struct config *now, const struct config *next,
                   const char *author, struct diag *diag);
int versions_in_force(struct gateway *gw, const struct config *config); /* after it */
/* For struct admin_deps. */
int versions_list(void *ctx, struct buffer *out);
int versions_approve(void *ctx, struct policy_approval *approval, struct diag *diag);

/* forget.c: what the purge room asks of the others */
int purge_open(struct gateway *gw);

/* roles.c */
int roles_open(struct gateway *gw); /* the access room, with the roles of the policies in force */
/* observe.c */
/* Before admin's loop runs. */
int observe_start(struct gateway *gw);

/* time.c: for struct purge_deps */
void time_ask(void *ctx);

/* meta_check.c */
int meta_check_start(struct gateway *gw);
/* On loop 0's thread: ends what is under way. */
void meta_check_stop(struct gateway *gw);
/* For struct admin_deps. */
int meta_check_now(void *ctx, void (*done)(void *done_ctx, int error, struct span json),
                   void *done_ctx);

#endif
