/* The media room and the worker that looks at pictures for it. The bytes of a picture go to the
 * worker in a sealed descriptor and come back in another; they are never decoded here. */
#include "internal.h"

#include "sluis/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MEDIA_PATH_MAX 4096

_Static_assert((int)PICTURE_CLASSES == (int)POLICY_PICTURES, "the same classes, in the same order");
_Static_assert((int)PICTURE_CLASS_OTHER == (int)POLICY_PICTURE_OTHER, "in the same order");
_Static_assert((int)PICTURE_WITHHOLD == (int)MEDIA_WITHHOLD &&
                   (int)PICTURE_PASS == (int)MEDIA_PASS && (int)PICTURE_REDACT == (int)MEDIA_REDACT,
               "the same actions");

struct look {
    struct picture_job job;
    struct mail mail;
    struct gateway *gw;
    void (*done)(void *ctx, const struct media_inspected *inspected);
    void *ctx;
};

static enum media_reason reason_of(enum picture_reason reason)
{
    switch (reason) {
    case PICTURE_BY_POLICY:
        return MEDIA_BY_POLICY;
    case PICTURE_NO_WORKER:
    case PICTURE_NO_ENGINE:
        return MEDIA_NO_INSPECTOR;
    case PICTURE_NOT_PICTURE:
        return MEDIA_WRONG_KIND;
    case PICTURE_TOO_LARGE:
        return MEDIA_TOO_LARGE;
    default:
        return MEDIA_NOT_READABLE;
    }
}

static uint64_t types_in(const struct picture_verdict *v)
{
    uint64_t found = 0;
    for (size_t i = 0; i < v->finding_count; i++)
        if (v->findings[i].type < DETECT_TYPES_MAX && v->findings[i].type < 64)
            found |= UINT64_C(1) << v->findings[i].type;
    return found;
}

static uint16_t hidden_in(const struct picture_verdict *v)
{
    unsigned hidden = 0;
    for (size_t i = 0; i < v->finding_count; i++)
        if (v->findings[i].covered)
            hidden |= 1u << v->findings[i].class;
    return (uint16_t)hidden;
}

/* The media room's loop. */
static void on_looked(struct mail *mail)
{
    struct look *look = (struct look *)((char *)mail - offsetof(struct look, mail));
    struct picture_verdict *v = &look->job.verdict;
    struct media_inspected seen = {.verdict = MEDIA_UNDECIDED,
                                   .reason = reason_of(v->reason),
                                   .again =
                                       v->reason == PICTURE_DIED || v->reason == PICTURE_BUSY ||
                                       v->reason == PICTURE_LATE || v->reason == PICTURE_NO_POLICY,
                                   .classes = v->classes,
                                   .hidden = hidden_in(v),
                                   .found = types_in(v)};
    void *bytes = MAP_FAILED;
    if (v->outcome != PICTURE_WITHHELD && v->fd >= 0 && v->n)
        bytes = mmap(NULL, v->n, PROT_READ, MAP_PRIVATE, v->fd, 0);
    if (bytes != MAP_FAILED) {
        seen.verdict = v->outcome == PICTURE_REDACTED ? MEDIA_COVERED : MEDIA_CLEAN;
        seen.bytes = span_of(bytes, v->n);
        seen.mime_type = picture_kind_mime(v->kind);
    }
    look->done(look->ctx, &seen);
    if (bytes != MAP_FAILED)
        munmap(bytes, v->n);
    picture_verdict_free(v);
    free(look);
}

/* The pool's thread. */
static void looked(struct picture_job *job)
{
    struct look *look = job->context;
    loop_post(look->gw->media_loop, &look->mail, on_looked);
}

static int inspect(void *ctx, const struct media_look *wanted,
                   void (*done)(void *done_ctx, const struct media_inspected *inspected),
                   void *done_ctx)
{
    struct gateway *gw = ctx;
    struct look *look = calloc(1, sizeof(*look));
    if (!look)
        return SLUIS_EAGAIN;
    look->gw = gw;
    look->done = done;
    look->ctx = done_ctx;
    look->job.done = looked;
    look->job.context = look;
    picture_policy_default(&look->job.policy);
    look->job.policy.detect = wanted->policy;
    look->job.policy.types = ~UINT64_C(0); /* the policy's thresholds say what is looked for */
    for (unsigned c = 0; c < PICTURE_CLASSES; c++)
        if (c > PICTURE_CLASS_CLEAN) /* those two are never covered */
            look->job.policy.action[c] = wanted->actions[c];
    int r = picture_memfd(wanted->bytes, &look->job.in);
    if (r == 0 && (r = picture_submit(gw->pictures, &look->job)) != 0)
        close(look->job.in);
    if (r != 0)
        free(look);
    return r ? SLUIS_EAGAIN : 0; /* the queue is full, or no memory */
}

/* Until it has been tried nobody knows better. */
static bool present(void *ctx)
{
    struct gateway *gw = ctx;
    struct picture_pool_status s;
    picture_pool_status(gw->pictures, &s);
    return s.running || !s.problem[0];
}

static void words(void *ctx, char *out, size_t size)
{
    struct gateway *gw = ctx;
    struct picture_pool_status s;
    picture_pool_status(gw->pictures, &s);
    if (s.running)
        snprintf(out, size, "inspected by %s (%s)%s, %s%s%s", picture_engine_word(s.engine),
                 s.versions, picture_engine_cost(s.engine),
                 s.landlock ? "seccomp and landlock" : "seccomp, no landlock in this kernel",
                 s.problem[0] ? "; " : "", s.problem);
    else
        snprintf(out, size, "withheld: %s",
                 s.problem[0] ? s.problem : "the worker has not started");
}

/* The rooms do not know each other: what was seen in a contact's picture may lead to a notice. */
static void on_found(void *ctx, const struct media_found *found)
{
    struct gateway *gw = ctx;
    const struct graph_notice notice = {.channel = found->channel,
                                        .subject = found->subject,
                                        .serial = found->serial,
                                        .pictures = found->classes};
    if (gw->graph)
        graph_notice(gw->graph, &notice);
}

/* A channel's pictures are judged by the recognisers and thresholds of its policy. */
int pictures_judge_by(struct gateway *gw, const struct config *config, struct diag *diag)
{
    struct picture_detect *list = calloc(config->channel_count + 1, sizeof(*list));
    if (!list)
        return SLUIS_ENOMEM;
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct policy *policy = config->channels[i].policy;
        list[i] = (struct picture_detect){policy_key(policy), policy_detect(policy)};
    }
    int r = picture_pool_detect(gw->pictures, list, config->channel_count);
    free(list);
    if (r != 0)
        diag_set(diag, NULL, 0, 0, "the policies' recognisers do not fit the picture worker: %s",
                 error_word(r));
    return r;
}

int media_open(struct gateway *gw, const struct config *config)
{
    char path[MEDIA_PATH_MAX];
    const struct picture_pool_options options = {.workers = 0};
    int r = media_path(config->store_path, path, sizeof(path));
    if (r == 0)
        r = picture_pool_new(&options, &gw->pictures);
    if (r == 0)
        r = pictures_judge_by(gw, config, NULL);
    const struct media_deps deps = {
        .store = gw->store,
        .keyring = gw->keyring,
        .config = gw->cell,
        .resolver = gw->resolver,
        .loop = gw->media_loop,
        .path = path,
        .memory_max = config->memory_max / 2,
        .on_found = on_found,
        .on_found_ctx = gw,
        .inspector = {.inspect = inspect, .present = present, .words = words, .ctx = gw}};
    if (r == 0)
        r = media_new(&deps, &gw->media);
    bool wanted = false;
    for (size_t i = 0; i < config->channel_count; i++)
        wanted |= config->channels[i].media_pass;
    if (r == 0 && wanted)
        picture_pool_warm(gw->pictures);
    return r;
}

/* Its loop has stopped: what the worker still says falls into its mailbox, which is drained next.
 */
void media_close(struct gateway *gw)
{
    if (gw->media)
        media_stop(gw->media);
    picture_pool_free(gw->pictures);
    gw->pictures = NULL;
}
