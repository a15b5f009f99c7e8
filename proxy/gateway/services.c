/* The rooms that serve: what each is given of the others, which do not know each other. */
#include "internal.h"

#include <stdio.h>

/* The faces do not know each other: what the tools face sent goes to the meta face's windows here.
 */
static void on_sent(void *ctx, const struct graph_sent *s)
{
    const struct webhook_sent sent = {s->channel, s->contact, s->user_id,
                                      s->text,    s->at_ms,   s->serial};
    webhook_note_sent(ctx, &sent);
}

/* Nor does the meta face send: what customers are told goes out by the tools face. */
static void on_message(void *ctx, const struct webhook_message *m)
{
    struct gateway *gw = ctx;
    const struct graph_notice notice = {.channel = m->channel->id,
                                        .subject = m->subject,
                                        .serial = m->serial,
                                        .contact = m->contact,
                                        .user_id = m->user_id,
                                        .found = m->found,
                                        .at_ms = m->at_ms,
                                        .before_ms = m->before_ms,
                                        .greets = m->greets,
                                        .stopped = m->stopped,
                                        .english = m->english};
    graph_notice(gw->graph, &notice);
}

/* Nor does the meta face know who destroys keys. */
static bool on_revoked(void *ctx, struct store_txn *txn, uint64_t serial, uint64_t subject)
{
    struct gateway *gw = ctx;
    if (txn)
        purge_revoke_put(txn, serial);
    else
        purge_wake(gw->purge);
    return !purge_held(gw->purge, subject);
}

static bool on_remasked(void *ctx, struct store_txn *txn, uint64_t leaf, uint64_t message,
                        uint64_t subject)
{
    struct gateway *gw = ctx;
    if (txn)
        purge_leaf_put(txn, leaf, message, subject);
    else
        purge_wake(gw->purge);
    return !purge_held(gw->purge, subject);
}

static bool refused(void *ctx, uint64_t subject)
{
    struct gateway *gw = ctx;
    return purge_refused(gw->purge, subject);
}

/* Statistics count by tag, and do not know who keeps them. */
static unsigned tags(void *ctx, uint16_t channel, uint64_t subject,
                     char out[STATS_TAGS_MAX][STATS_TAG_SIZE])
{
    struct gateway *gw = ctx;
    return history_tags(gw->history, channel, subject, STATS_TAGS_MAX, STATS_TAG_SIZE, out[0]);
}

static bool consents(void *ctx, uint16_t channel, uint64_t subject)
{
    struct gateway *gw = ctx;
    return contact_consents(gw->contacts, (struct contact_id){channel, subject});
}

static int open_deliver(struct gateway *gw, const struct config *config)
{
    const struct deliver_deps deliver = {.store = gw->store,
                                         .keyring = gw->keyring,
                                         .config = gw->cell,
                                         .resolver = gw->resolver,
                                         .loops = gw->loops,
                                         .loop_count = gw->loop_count,
                                         .memory_max = config->memory_max / 4,
                                         .media_base = gw->media_base,
                                         .media = gw->media,
                                         .gate = &gw->gate,
                                         .refused = refused,
                                         .consents = consents,
                                         .refused_ctx = gw};
    return deliver_new(&deliver, &gw->deliver);
}

static int open_webhook(struct gateway *gw)
{
    const struct webhook_deps webhook = {.contacts = gw->contacts,
                                         .on_message = on_message,
                                         .on_message_ctx = gw,
                                         .store = gw->store,
                                         .keyring = gw->keyring,
                                         .config = gw->cell,
                                         .deliver = gw->deliver,
                                         .media = gw->media,
                                         .loops = gw->loops,
                                         .subjects = gw->subjects,
                                         .loop_count = gw->loop_count,
                                         .refusals = &gw->refusals,
                                         .gate = &gw->gate,
                                         .on_revoked = on_revoked,
                                         .on_remasked = on_remasked,
                                         .on_revoked_ctx = gw};
    return webhook_new(&webhook, &gw->webhook);
}

static int open_history(struct gateway *gw)
{
    const struct history_deps history = {.store = gw->store,
                                         .keyring = gw->keyring,
                                         .config = gw->cell,
                                         .access = gw->access,
                                         .contacts = gw->contacts,
                                         .refused = refused,
                                         .ctx = gw,
                                         .gate = &gw->gate};
    return history_new(&history, &gw->history);
}

static int open_stats(struct gateway *gw)
{
    const struct stats_deps stats = {
        .store = gw->store, .keyring = gw->keyring, .config = gw->cell, .tags = tags, .ctx = gw};
    return stats_new(&stats, &gw->stats);
}

static int open_graph(struct gateway *gw)
{
    const struct graph_deps graph = {.contacts = gw->contacts,
                                     .store = gw->store,
                                     .keyring = gw->keyring,
                                     .config = gw->cell,
                                     .access = gw->access,
                                     .media = gw->media,
                                     .resolver = gw->resolver,
                                     .loops = gw->loops,
                                     .subjects = gw->subjects,
                                     .loop_count = gw->loop_count,
                                     .refusals = &gw->refusals,
                                     .gate = &gw->gate,
                                     .on_sent = on_sent,
                                     .on_sent_ctx = gw->webhook,
                                     .history = gw->history,
                                     .refused = refused,
                                     .refused_ctx = gw};
    return graph_new(&graph, &gw->graph);
}

static int open_admin(struct gateway *gw)
{
    const struct admin_deps admin = {.contacts = gw->contacts,
                                     .subjects = gw->subjects[0],
                                     .store = gw->store,
                                     .log = gw->log,
                                     .gate = &gw->gate,
                                     .keyring = gw->keyring,
                                     .config = gw->cell,
                                     .access = gw->access,
                                     .media = gw->media,
                                     .deliver = gw->deliver,
                                     .purge = gw->purge,
                                     .history = gw->history,
                                     .stats = gw->stats,
                                     .resolver = gw->resolver,
                                     .refusals = &gw->refusals,
                                     .cut = listen_cut,
                                     .loop = gw->admin_loop,
                                     .reload = reload_ask,
                                     .approve = versions_approve,
                                     .versions = versions_list,
                                     .replace_log_key = log_key_replace,
                                     .check_meta = meta_check_now,
                                     .ctx = gw};
    return admin_new(&admin, &gw->admin);
}

/* Who a person is: one for all threads. */
static int open_subjects(struct gateway *gw)
{
    int r = subject_resolver_new(gw->store, gw->keyring, &gw->subjects[0]);
    for (unsigned i = 1; r == 0 && i < gw->loop_count; i++)
        gw->subjects[i] = subject_resolver_ref(gw->subjects[0]);
    return r;
}

int services_open(struct gateway *gw, const struct config *config)
{
    if (config->public_url && asprintf(&gw->media_base, "%s/sluis/media", config->public_url) < 0)
        return SLUIS_ENOMEM;
    int r = contacts_open(gw->store, gw->keyring, &gw->contacts);
    if (r == 0)
        r = resolver_new(&gw->resolver);
    if (r == 0)
        r = open_subjects(gw);
    if (r == 0)
        r = purge_open(gw);
    if (r == 0)
        r = media_open(gw, config);
    if (r == 0)
        r = open_deliver(gw, config);
    if (r == 0)
        r = open_webhook(gw);
    if (r == 0)
        r = open_history(gw);
    if (r == 0)
        r = open_stats(gw);
    if (r == 0)
        r = open_graph(gw);
    return r ? r : open_admin(gw);
}
