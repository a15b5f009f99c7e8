/* What the purge room needs of the others: the policies in force, and that every thread forgets a
 * person. */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>

struct forget_errand {
    struct mail mail;
    struct gateway *gw;
    unsigned index;
    uint64_t subject;
    pthread_mutex_t *lock;
    pthread_cond_t *ready;
    unsigned *left;
};

static void on_forget(struct mail *mail)
{
    struct forget_errand *e = (struct forget_errand *)mail;
    subject_resolver_forget(e->gw->subjects[e->index], e->subject);
    if (e->gw->webhook)
        webhook_forget(e->gw->webhook, e->index, e->subject);
    pthread_mutex_lock(e->lock);
    if (--*e->left == 0)
        pthread_cond_signal(e->ready);
    pthread_mutex_unlock(e->lock);
}

/* Not on event threads: waits for each of them. */
static void forget(void *ctx, uint64_t subject)
{
    struct gateway *gw = ctx;
    struct forget_errand errands[GATEWAY_THREADS_MAX];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
    unsigned left = gw->loop_count;
    for (unsigned i = 0; i < gw->loop_count; i++) {
        errands[i] = (struct forget_errand){.gw = gw,
                                            .index = i,
                                            .subject = subject,
                                            .lock = &lock,
                                            .ready = &ready,
                                            .left = &left};
        if (gw->loops_started)
            loop_post(gw->loops[i], &errands[i].mail, on_forget);
        else
            on_forget(&errands[i].mail);
    }
    pthread_mutex_lock(&lock);
    while (left)
        pthread_cond_wait(&ready, &lock);
    pthread_mutex_unlock(&lock);
}

static void each_policy(void *ctx, int (*each)(void *each_ctx, const struct policy *policy),
                        void *each_ctx)
{
    struct gateway *gw = ctx;
    struct config *config = config_acquire(gw->cell);
    for (size_t c = 0; c < config->channel_count; c++)
        if (each(each_ctx, config->channels[c].policy) != 0)
            break;
    config_unref(config);
}

static struct policy *channel_policy(void *ctx, const char *channel)
{
    struct gateway *gw = ctx;
    struct config *config = config_acquire(gw->cell);
    struct policy *policy = NULL;
    for (size_t c = 0; c < config->channel_count && !policy; c++)
        if (strcmp(config->channels[c].name, channel) == 0)
            policy = policy_ref(config->channels[c].policy);
    config_unref(config);
    return policy;
}

static void drop(void *ctx, uint64_t serial)
{
    struct gateway *gw = ctx;
    deliver_forget(gw->deliver, serial);
}

/* All threads share one resolver. */
static bool settled(void *ctx, uint32_t key)
{
    struct gateway *gw = ctx;
    return subject_resolver_settled(gw->subjects[0], key);
}

#define MEDIA_AT_A_TIME 128

static int sweep_media(void *ctx, bool *more)
{
    struct gateway *gw = ctx;
    struct media_swept swept;
    int r = media_sweep(gw->media, MEDIA_AT_A_TIME, &swept);
    *more = swept.more;
    return r;
}

static int keep_media(void *ctx, uint64_t subject, uint64_t serial, const struct record_id *to)
{
    struct gateway *gw = ctx;
    return media_keep(gw->media, subject, serial, to);
}

static int keep_notes(void *ctx, uint16_t channel, uint64_t subject, uint64_t serial,
                      const struct record_id *to)
{
    struct gateway *gw = ctx;
    return gw->history ? history_keep(gw->history, channel, subject, serial, to) : 0;
}

static int media_leaves(void *ctx, int (*each)(void *to, uint64_t serial), void *to)
{
    struct gateway *gw = ctx;
    return media_each_leaf(gw->media, each, to);
}

static int notes_leaves(void *ctx, int (*each)(void *to, uint64_t serial), void *to)
{
    struct gateway *gw = ctx;
    return gw->history ? history_each_leaf(gw->history, each, to) : 0;
}

static bool consents(void *ctx, uint16_t channel, uint64_t subject)
{
    struct gateway *gw = ctx;
    return contact_consents(gw->contacts, (struct contact_id){channel, subject});
}

/* What the contact room keeps of persons. */
static bool person_stays(void *ctx, uint64_t subject, int64_t now_ms)
{
    struct gateway *gw = ctx;
    return contact_living(gw->contacts, subject, now_ms);
}

static int person_drop(void *ctx, uint64_t subject)
{
    struct gateway *gw = ctx;
    return contact_forget(gw->contacts, subject);
}

#define NOTES_MAX (1024u * 1024) /* of one person on one channel, in an export */

static int person_export(void *ctx, uint64_t subject, struct buffer *out)
{
    struct gateway *gw = ctx;
    struct contact_state *state = malloc(sizeof(*state));
    struct config *config = config_acquire(gw->cell);
    int r = state ? 0 : SLUIS_ENOMEM;
    unsigned n = 0;
    struct buffer notes;
    buffer_init(&notes, NOTES_MAX);
    for (size_t i = 0; r == 0 && i < config->channel_count; i++) {
        const struct config_channel *channel = &config->channels[i];
        r = contact_read(gw->contacts, (struct contact_id){channel->id, subject}, state);
        if (r == 0 && (state->consent_count || state->stop_ms || state->notice_count ||
                       state->reference[0])) {
            buffer_addf(out, "%s{\"channel\":\"%s\",\"kept\":", n++ ? "," : "", channel->name);
            contact_write(state, out);
            buffer_add_char(out, '}');
        }
        buffer_clear(&notes);
        if (r == 0 && gw->history)
            r = history_person_export(gw->history, channel->id, subject, &notes);
        if (r == 0 && notes.n) {
            buffer_addf(out, "%s{\"channel\":\"%s\",\"notes\":[", n++ ? "," : "", channel->name);
            buffer_add(out, buffer_span(&notes));
            buffer_add(out, SPAN("]}"));
        }
    }
    buffer_free(&notes);
    config_unref(config);
    if (state)
        sodium_memzero(state, sizeof(*state));
    free(state);
    return r ? r : out->error;
}

static int persons(void *ctx, uint64_t from, uint64_t *out, unsigned max)
{
    struct gateway *gw = ctx;
    return contact_subjects(gw->contacts, from, out, max);
}

static int reindex(void *ctx)
{
    struct gateway *gw = ctx;
    uint64_t page[256], from = 1;
    const unsigned size = sizeof(page) / sizeof(page[0]);
    int n = (int)size, r = 0;
    while (r == 0 && n == (int)size) {
        n = contact_subjects(gw->contacts, from, page, size);
        for (int i = 0; r == 0 && i < n; i++) {
            r = contact_reindex(gw->contacts, page[i]);
            from = page[i] + 1;
        }
    }
    return n < 0 ? n : r;
}

/* Route 0: does any? */
static unsigned told(void *ctx, uint16_t route)
{
    struct gateway *gw = ctx;
    struct config *config = config_acquire(gw->cell);
    unsigned wants = 0;
    _Static_assert((int)CONFIG_TOLD_ERASED == (int)PURGE_TELL_ERASED, "the same bits");
    _Static_assert((int)CONFIG_TOLD_EXPIRED == (int)PURGE_TELL_EXPIRED, "the same bits");
    for (size_t c = 0; c < config->channel_count; c++)
        for (size_t r = 0; r < config->channels[c].route_count; r++)
            if (route == 0 || config->channels[c].routes[r].id == route)
                wants |= config->channels[c].routes[r].told;
    config_unref(config);
    return wants;
}

static void offer(void *ctx, const struct store_item *item)
{
    struct gateway *gw = ctx;
    deliver_offer(gw->deliver, item, SPAN_EMPTY, "");
}

int purge_open(struct gateway *gw)
{
    const struct purge_deps deps = {.store = gw->store,
                                    .keyring = gw->keyring,
                                    .each_policy = each_policy,
                                    .channel_policy = channel_policy,
                                    .consents = consents,
                                    .ask_time = time_ask,
                                    .forget = forget,
                                    .settled = settled,
                                    .drop = drop,
                                    .sweep_media = sweep_media,
                                    .keep_media = keep_media,
                                    .keep_notes = keep_notes,
                                    .media_leaves = media_leaves,
                                    .notes_leaves = notes_leaves,
                                    .person_stays = person_stays,
                                    .person_drop = person_drop,
                                    .person_export = person_export,
                                    .persons = persons,
                                    .reindex = reindex,
                                    .told = told,
                                    .offer = offer,
                                    .ctx = gw};
    return purge_new(&deps, &gw->purge);
}
