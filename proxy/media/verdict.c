/* What becomes of bytes that are there: kind, policy, inspection; sealed; the row. Loop's thread.
 */
#include "internal.h"

#include <strings.h>

#define LOOKS_MAX 3u       /* of one picture, when the inspector falls over it */
#define LOOK_AGAIN_MS 1000 /* the inspector's queue is full */

bool inspector_present(struct media *m)
{
    const struct media_inspector *i = &m->deps.inspector;
    return i->inspect && (!i->present || i->present(i->ctx));
}

bool any_route_passes(const struct config_channel *channel, enum media_kind kind)
{
    const struct media_item item = {.state = MEDIA_READY, .kind = kind};
    for (size_t i = 0; i < channel->route_count; i++)
        if (media_state_for(&item, channel->policy, channel->routes[i].policy) !=
            MASK_MEDIA_WITHHELD)
            return true;
    return false;
}

/* One version is kept for all routes: covered when any of them wants it covered, else as it is when
 * any may have it so (the others get nothing: media_state_for), else not kept. */
void look_actions(const struct config_channel *channel, uint8_t actions[MEDIA_CLASSES])
{
    memset(actions, MEDIA_WITHHOLD, MEDIA_CLASSES);
    if (policy_observe(channel->policy, clock_wall_ms())) {
        memset(actions, MEDIA_PASS, MEDIA_CLASSES); /* seen, told, and changed in nothing */
        return;
    }
    for (size_t i = 0; i < channel->route_count; i++) {
        for (unsigned c = 0; c < POLICY_PICTURES; c++) {
            enum media_action a =
                policy_picture(channel->policy, channel->routes[i].policy, (enum policy_picture)c);
            if (a == MEDIA_REDACT || (a == MEDIA_PASS && actions[c] == MEDIA_WITHHOLD))
                actions[c] = (uint8_t)a;
        }
    }
}

/* ---- the row ---- */

static const char *verdict_word(const struct media_item *item)
{
    if (item->state == MEDIA_HELD)
        return "withheld";
    return item->kind != MEDIA_PICTURE ? "passed" : item->covered ? "covered" : "clean";
}

static void count_verdict(struct media *m, const struct media_item *item)
{
    static const enum media_counter held[MEDIA_REASONS] = {
        [MEDIA_NO_REASON] = M_HELD,
        [MEDIA_BY_POLICY] = M_HELD,
        [MEDIA_NO_INSPECTOR] = M_NO_INSPECTOR,
        [MEDIA_NOT_READABLE] = M_UNDECIDED,
        [MEDIA_TOO_LARGE] = M_TOO_LARGE,
        [MEDIA_GONE] = M_GONE,
        [MEDIA_WRONG_HASH] = M_WRONG_HASH,
        [MEDIA_WRONG_KIND] = M_UNDECIDED,
        [MEDIA_TOO_MANY] = M_TOO_MANY,
    };
    if (item->state == MEDIA_HELD)
        media_count(m, held[item->reason]);
    else
        media_count(m, item->kind != MEDIA_PICTURE ? M_PASSED
                       : item->covered             ? M_COVERED
                                                   : M_CLEAN);
}

static int write_leaf(struct job *j)
{
    struct media *m = j->media;
    struct config *config = config_acquire(m->deps.config);
    const struct config_channel *channel = config_channel_by_id(config, be16_get(j->key));
    struct audit_event event = {.at_ms = clock_wall_ms(),
                                .action = AUDIT_MEDIA,
                                .actor = "gateway",
                                .channel = channel ? channel->name : NULL,
                                .activity = channel ? policy_activity(channel->policy) : NULL,
                                .policy_hash = channel ? policy_hash(channel->policy) : NULL,
                                .object = j->item.message,
                                .outcome = verdict_word(&j->item)};
    buffer_clear(&j->leaf);
    int r = keyring_pseudonym(m->keys, j->item.keys.subject, &event.subject);
    if (r == 0)
        r = audit_leaf(&event, &j->leaf, j->leaf_hash);
    config_unref(config);
    return r;
}

static int run_row(struct store_txn *txn, struct store_job *job)
{
    struct job *j = (struct job *)((char *)job - offsetof(struct job, row_job));
    uint64_t index;
    j->raced =
        !store_put_row_as(txn, STORE_TABLE_MEDIA, span_of((const char *)j->key, sizeof(j->key)),
                          buffer_span(&j->head), buffer_span(&j->row));
    if (!j->raced)
        store_put_leaf(txn, buffer_span(&j->leaf), j->leaf_hash, &index);
    return store_txn_error(txn);
}

static void on_row(struct mail *mail)
{
    struct job *j = (struct job *)((char *)mail - offsetof(struct job, mail));
    struct media *m = j->media;
    if (j->row_job.result != 0 && !m->stopped) {
        LOG(LOG_ERROR, "media", "verdict_not_written", log_u64("serial", j->item.message),
            log_error(j->row_job.result));
        job_later(j, 0);
        return;
    }
    if (j->row_job.result == 0 && j->raced) {
        media_file_remove(m->folder, j->key, j->item.file);
        job_expired(j);
        return;
    }
    if (j->row_job.result == 0) {
        count_verdict(m, &j->item);
        if (m->deps.on_found && j->item.classes & ~(1u << POLICY_PICTURE_CLEAN)) {
            const struct media_found found = {be16_get(j->key), j->item.keys.subject,
                                              j->item.message, j->item.classes};
            m->deps.on_found(m->deps.on_found_ctx, &found);
        }
    }
    job_drop(j, j->row_job.result);
}

static void row_done(struct store_job *job)
{
    struct job *j = (struct job *)((char *)job - offsetof(struct job, row_job));
    loop_post(j->media->deps.loop, &j->mail, on_row);
}

/* The keys of the message are destroyed (erased, expired): nobody may have it, whoever waits is
 * told so, and its row will be swept. A hold keeps the leaf, and with it the picture. */
void job_expired(struct job *j)
{
    if (job_moved(j))
        return;
    LOG(LOG_INFO, "media", "expired_before_verdict", log_u64("serial", j->item.message));
    media_count(j->media, M_EXPIRED);
    job_drop(j, SLUIS_EEXPIRED);
}

void job_write(struct job *j)
{
    struct media *m = j->media;
    buffer_clear(&j->row);
    int r = media_row_write(m->keys, &j->item, &j->row);
    if (r == 0)
        r = write_leaf(j);
    struct media_item waiting = j->item;
    waiting.state = MEDIA_WAITING;
    buffer_clear(&j->head);
    media_row_head(&waiting, &j->head);
    if (r == SLUIS_EEXPIRED) {
        media_file_remove(m->folder, j->key, j->item.file);
        job_expired(j);
        return;
    }
    if (r != 0) {
        job_later(j, 0);
        return;
    }
    j->state = JOB_WRITTEN;
    j->row_job = (struct store_job){.priority = STORE_NORMAL, .run = run_row, .done = row_done};
    store_submit(m->deps.store, &j->row_job);
}

void job_hold(struct job *j, enum media_reason reason)
{
    j->item.state = MEDIA_HELD;
    j->item.reason = reason;
    LOG(LOG_INFO, "media", "withheld", log_u64("serial", j->item.message),
        log_word("reason", media_reason_word(reason)));
    job_later(j, 1); /* lets memory and its place go; the row is written in the next turn */
}

/* ---- sealing ---- */

static void sealed(struct job *j, const struct media_item *ready, int r)
{
    if (r == SLUIS_EEXPIRED) {
        job_expired(j);
    } else if (r != 0) {
        LOG(LOG_ERROR, "media", "not_written", log_u64("serial", j->item.message), log_error(r));
        job_later(j, 0);
    } else {
        j->item = *ready;
        j->item.state = MEDIA_READY;
        job_later(j, 1);
    }
}

static void seal_picture(struct job *j, const char *mime_type)
{
    struct media *m = j->media;
    struct media_item ready = j->item;
    ready.kind = MEDIA_PICTURE;
    ready.size = j->bytes.n;
    snprintf(ready.mime_type, sizeof(ready.mime_type), "%s", mime_type);
    crypto_hash_sha256(ready.sha256, (const uint8_t *)j->bytes.p, j->bytes.n);
    sealed(j, &ready, media_file_write(m->folder, m->keys, j->key, &ready, buffer_span(&j->bytes)));
}

/* What is in its file already. */
static void seal_rest(struct job *j, const char *mime_type)
{
    struct media_item ready = j->item;
    ready.kind = j->scan.kind;
    ready.size = j->out.size;
    snprintf(ready.mime_type, sizeof(ready.mime_type), "%s", mime_type);
    int r = media_out_end(&j->out, ready.sha256);
    j->seals = false;
    sealed(j, &ready, r);
}

/* ---- pictures ---- */

static void on_inspected(void *ctx, const struct media_inspected *seen)
{
    struct job *j = ctx;
    if (j->media->stopped)
        return;
    buffer_free(&j->bytes); /* the original: wiped */
    j->item.kind = MEDIA_PICTURE;
    j->item.classes = seen->classes;
    if (seen->verdict == MEDIA_UNDECIDED && seen->again && ++j->looks < LOOKS_MAX) {
        job_later(j, LOOK_AGAIN_MS); /* fetched again: the original is not kept meanwhile */
        return;
    }
    if (seen->verdict == MEDIA_UNDECIDED) {
        job_hold(j, seen->reason ? seen->reason : MEDIA_NOT_READABLE);
        return;
    }
    j->item.covered = seen->verdict == MEDIA_COVERED;
    j->item.hidden = j->item.covered ? seen->hidden : 0;
    buffer_init(&j->bytes, seen->bytes.n ? seen->bytes.n : 1);
    buffer_add(&j->bytes, seen->bytes);
    if (j->bytes.error)
        job_later(j, 0);
    else
        seal_picture(j, seen->mime_type);
}

static void inspect(struct job *j)
{
    const struct media_inspector *i = &j->media->deps.inspector;
    struct media_look look = {.bytes = buffer_span(&j->bytes),
                              .policy = policy_key(j->channel->policy)};
    if (j->bytes.n > MEDIA_PICTURE_MAX) {
        job_hold(j, MEDIA_TOO_LARGE);
        return;
    }
    look_actions(j->channel, look.actions);
    j->state = JOB_INSPECTED;
    int r = i->inspect ? i->inspect(i->ctx, &look, on_inspected, j) : SLUIS_ENOENT;
    if (r == SLUIS_ENOENT)
        job_hold(j, MEDIA_NO_INSPECTOR);
    else if (r != 0)
        job_later(j, LOOK_AGAIN_MS);
}

/* ---- everything else ---- */

/* The sender's name for its bytes stands where it says more than theirs do: "audio/ogg;
 * codecs=opus", the office types behind a ZIP. Never another family of types. */
static const char *type_of(const struct job *j, enum media_kind kind, const char *by_content)
{
    const char *said = j->item.mime_type;
    for (const char *c = said; *c; c++)
        if (*c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\')
            return by_content;
    if (kind == MEDIA_AUDIO || kind == MEDIA_VIDEO)
        return strncasecmp(said, by_content, 6) == 0 ? said : by_content;
    bool told = strncasecmp(said, "application/", 12) == 0 || strncasecmp(said, "text/", 5) == 0;
    return told && strcmp(by_content, "application/pdf") != 0 ? said : by_content;
}

/* Why a kind is not wanted here; an MP4 may turn out to be sound or video at its end. */
static enum media_reason unwanted(const struct job *j)
{
    bool said_picture = strcmp(j->item.name, "image") == 0 || strcmp(j->item.name, "sticker") == 0;
    if (j->scan.kind == MEDIA_PICTURE)
        return MEDIA_NO_REASON;
    if (said_picture)
        return MEDIA_WRONG_KIND;
    bool passes = any_route_passes(j->channel, j->scan.kind) ||
                  (j->scan.may_be_video && any_route_passes(j->channel, MEDIA_VIDEO));
    return passes ? MEDIA_NO_REASON : MEDIA_BY_POLICY;
}

int job_begin_bytes(struct job *j, bool *picture)
{
    struct media *m = j->media;
    *picture = j->scan.kind == MEDIA_PICTURE;
    j->item.kind = j->scan.kind;
    j->refused = unwanted(j);
    if (*picture && j->expected > MEDIA_PICTURE_MAX)
        j->refused = MEDIA_TOO_LARGE;
    if (j->refused || *picture)
        return 0;
    int r = media_out_begin(&j->out, m->folder, m->keys, j->key, &j->item);
    j->seals = r == 0;
    return r;
}

void job_judge(struct job *j)
{
    j->item.kind = j->scan.kind;
    j->scan.may_be_video = false;
    enum media_reason reason = unwanted(j);
    if (reason)
        job_hold(j, reason);
    else if (j->scan.kind == MEDIA_PICTURE)
        inspect(j);
    else
        seal_rest(j, type_of(j, j->scan.kind, j->scan.mime_type));
}
