/* One item from its row to its verdict: asked of Meta, fetched, checked; what fails is tried again
 * for as long as Meta keeps it. Loop's thread. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define GRAPH_VERSION "v24.0"

static unsigned bucket_of(const uint8_t key[MEDIA_KEY_BYTES])
{
    return be32_get(key + 2) & (JOBS_BUCKETS - 1); /* a keyed hash: spread already */
}

struct job *job_find(struct media *m, const uint8_t key[MEDIA_KEY_BYTES])
{
    struct job *j = m->buckets[bucket_of(key)];
    while (j && memcmp(j->key, key, MEDIA_KEY_BYTES) != 0)
        j = j->bucket_next;
    return j;
}

bool media_reserve(struct media *m, uint64_t bytes)
{
    if (m->bytes + bytes > m->deps.memory_max)
        return false;
    m->bytes += bytes;
    counter_set(&m->counters[M_BYTES], (int64_t)m->bytes);
    return true;
}

void media_release(struct media *m, uint64_t bytes)
{
    m->bytes -= bytes;
    counter_set(&m->counters[M_BYTES], (int64_t)m->bytes);
}

/* ---- making and ending ---- */

static bool is_zero(const uint8_t *bytes, size_t n)
{
    return sodium_is_zero(bytes, n) == 1;
}

/* What its row says now, when no verdict stands there. */
static int read_waiting(struct media *m, struct store_read *read,
                        const uint8_t key[MEDIA_KEY_BYTES], struct media_item *out)
{
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    int r = media_row_get(read, m->keys, key, false, &arena, out);
    arena_free(&arena);
    return r == 0 && out->state != MEDIA_WAITING ? SLUIS_EEXIST : r;
}

static void set_item(struct job *j, const struct media_item *item)
{
    j->item = *item;
    memcpy(j->announced, item->sha256, sizeof(j->announced));
    j->has_announced = !is_zero(j->announced, sizeof(j->announced));
}

struct job *job_from_row(struct media *m, struct store_read *read,
                         const uint8_t key[MEDIA_KEY_BYTES])
{
    struct media_item item;
    if (m->jobs >= JOBS_MAX) {
        atomic_store(&m->missed, true);
        return NULL;
    }
    struct job *j = read_waiting(m, read, key, &item) == 0 ? calloc(1, sizeof(*j)) : NULL;
    if (!j)
        return NULL;
    set_item(j, &item);
    j->media = m;
    j->message = item.message;
    memcpy(j->key, key, MEDIA_KEY_BYTES);
    buffer_init(&j->bytes, MEDIA_BYTES_MAX);
    buffer_init(&j->row, MEDIA_ROW_MAX);
    buffer_init(&j->head, ROW_CLEAR);
    buffer_init(&j->leaf, AUDIT_LEAF_MAX);
    struct job **bucket = &m->buckets[bucket_of(key)];
    j->bucket_next = *bucket;
    *bucket = j;
    *m->end = j;
    m->end = &j->next;
    m->jobs++;
    counter_set(&m->counters[M_WAITING], m->jobs);
    return j;
}

bool job_moved(struct job *j)
{
    struct media *m = j->media;
    struct store_read *read;
    struct media_item item;
    if (m->stopped || store_read_begin(m->deps.store, &read) != 0)
        return false;
    int r = read_waiting(m, read, j->key, &item);
    store_read_end(read);
    if (r != 0 || memcmp(item.file, j->item.file, sizeof(item.file)) == 0)
        return false;
    media_file_remove(m->folder, j->key, j->item.file);
    set_item(j, &item);
    job_later(j, 1);
    return true;
}

static void let_go(struct job *j)
{
    struct media *m = j->media;
    buffer_free(&j->bytes);
    if (j->seals)
        media_out_drop(&j->out);
    j->seals = false;
    media_release(m, j->reserved);
    j->reserved = 0;
    if (j->config)
        config_unref(j->config);
    j->config = NULL;
    j->channel = NULL;
    if (j->state == JOB_ASKED || j->state == JOB_FETCHED || j->state == JOB_INSPECTED)
        m->under_way--;
}

void job_drop(struct job *j, int result)
{
    struct media *m = j->media;
    let_go(j);
    struct job **at = &m->buckets[bucket_of(j->key)];
    while (*at != j)
        at = &(*at)->bucket_next;
    *at = j->bucket_next;
    at = &m->first;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    if (m->end == &j->next)
        m->end = at;
    m->jobs--;
    counter_set(&m->counters[M_WAITING], m->jobs);
    if (j->counted)
        waits_done(m, j->message);
    while (j->asks) {
        struct media_ask *ask = j->asks;
        j->asks = ask->next;
        m->ask_count--;
        if (result == 0)
            ask_answer(m, ask);
        else
            ask_finish(m, ask, result);
    }
    buffer_free(&j->row);
    buffer_free(&j->head);
    buffer_free(&j->leaf);
    free(j);
    media_wake(m);
}

void job_later(struct job *j, int64_t in_ms)
{
    let_go(j);
    j->state = JOB_LATER;
    if (in_ms == 0) {
        in_ms = BACKOFF_FIRST_MS;
        for (unsigned i = 0; i < j->tries && in_ms < BACKOFF_MAX_MS; i++)
            in_ms *= 2;
        in_ms = in_ms / 2 + (int64_t)randombytes_uniform((uint32_t)in_ms);
        j->tries++;
        media_count(j->media, M_RETRIES);
    }
    j->next_ms = clock_mono_ms() + in_ms;
    media_wake(j->media);
}

/* ---- bytes ---- */

/* Enough to know what it is, or all there is. */
static int begin_bytes(struct job *j)
{
    bool picture = false;
    media_kind_scan(&j->scan, buffer_span(&j->bytes));
    int r = job_begin_bytes(j, &picture);
    if (r != 0 || j->refused || picture)
        return r;
    r = media_out_add(&j->out, buffer_span(&j->bytes));
    buffer_clear(&j->bytes);
    return r;
}

/* As they come, on the room's loop, which may wait for the disk. */
static int take_bytes(struct job *j, struct span bytes)
{
    crypto_hash_sha256_update(&j->hash, (const uint8_t *)bytes.p, bytes.n);
    j->came += bytes.n;
    if (!j->seals) {
        buffer_add(&j->bytes, bytes);
        if (j->bytes.error == SLUIS_ELIMIT) { /* more than Meta said */
            j->refused = MEDIA_TOO_LARGE;
            return 0;
        }
        if (j->bytes.error || j->scan.begun || j->came < MEDIA_KIND_FIRST)
            return j->bytes.error;
        return begin_bytes(j);
    }
    media_kind_scan(&j->scan, bytes);
    return media_out_add(&j->out, bytes);
}

static int on_data(void *ctx, const struct http_head *head, struct span bytes)
{
    struct job *j = ctx;
    (void)head;
    if (j->media->stopped)
        return SLUIS_ECLOSED;
    j->data_error = take_bytes(j, bytes);
    return j->data_error ? j->data_error : j->refused ? SLUIS_EDENIED : 0;
}

static void on_bytes(const struct upstream_answer *answer, void *ctx)
{
    struct job *j = ctx;
    uint8_t hash[crypto_hash_sha256_BYTES];
    if (j->media->stopped)
        return; /* media_stop ends it */
    if (answer->outcome == UPSTREAM_ANSWERED && answer->status == 200 && !j->scan.begun)
        j->data_error = begin_bytes(j);
    if (j->refused) {
        job_hold(j, j->refused);
        return;
    }
    if (j->data_error == SLUIS_EEXPIRED) {
        job_expired(j);
        return;
    }
    if (j->data_error)
        LOG(LOG_ERROR, "media", "not_written", log_u64("serial", j->item.message),
            log_error(j->data_error));
    if (j->data_error || answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        /* An address lives for five minutes: another one is asked for. */
        job_later(j, 0);
        return;
    }
    crypto_hash_sha256_final(&j->hash, hash);
    if (j->has_announced && memcmp(hash, j->announced, sizeof(hash)) != 0) {
        LOG(LOG_WARN, "media", "wrong_hash", log_u64("serial", j->item.message));
        if (++j->hash_tries < HASH_TRIES)
            job_later(j, 0);
        else
            job_hold(j, MEDIA_WRONG_HASH);
        return;
    }
    job_judge(j);
}

/* ---- the address ---- */

static bool is_picture_name(const struct job *j)
{
    return strcmp(j->item.name, "image") == 0 || strcmp(j->item.name, "sticker") == 0 ||
           strncasecmp(j->item.mime_type, "image/", 6) == 0;
}

static enum media_kind named_kind(const struct job *j)
{
    if (is_picture_name(j))
        return MEDIA_PICTURE;
    if (strcmp(j->item.name, "audio") == 0 || strcmp(j->item.name, "voice") == 0)
        return MEDIA_AUDIO;
    return strcmp(j->item.name, "video") == 0 ? MEDIA_VIDEO : MEDIA_DOCUMENT;
}

/* A picture stands in memory as it comes, as it is kept, and once more while it is inspected: and
 * what is called something else may be one. Of the rest only the pieces do. */
static uint64_t memory_of(const struct job *j, uint64_t size)
{
    uint64_t most = named_kind(j) == MEDIA_PICTURE || size < MEDIA_PICTURE_MAX ? size : 0;
    return 3 * most + STREAM_BYTES;
}

static void fetch(struct job *j, struct span url, uint64_t size)
{
    struct media *m = j->media;
    uint64_t most = named_kind(j) == MEDIA_PICTURE ? MEDIA_PICTURE_MAX : MEDIA_BYTES_MAX;
    if (size > most || memory_of(j, size) > m->deps.memory_max) {
        job_hold(j, MEDIA_TOO_LARGE);
        return;
    }
    if (!media_reserve(m, memory_of(j, size))) {
        job_later(j, TICK_MS * 4); /* no memory for it yet */
        return;
    }
    j->reserved = memory_of(j, size);
    j->state = JOB_FETCHED;
    j->scan = (struct media_kind_scan){.begun = false};
    j->came = 0;
    j->expected = size;
    j->refused = MEDIA_NO_REASON;
    j->data_error = 0;
    j->bytes.max = size < MEDIA_PICTURE_MAX ? (size ? size : 1) : MEDIA_PICTURE_MAX;
    crypto_hash_sha256_init(&j->hash);
    const struct upstream_media_request request = {.channel = j->channel,
                                                   .url = url,
                                                   .answer_max = size,
                                                   .due_ms = clock_mono_ms() + BYTES_MS,
                                                   .data = on_data,
                                                   .done = on_bytes,
                                                   .ctx = j};
    if (upstream_media_stream(m->upstream, &request) != 0)
        job_later(j, 0);
}

static void read_metadata(struct job *j, struct span body)
{
    struct json_doc doc;
    struct arena arena;
    struct span url = SPAN_EMPTY, hash;
    uint64_t size = 0;
    arena_init(&arena, ARENA_MAX);
    int r = json_scan(&doc, body, &arena, NULL);
    if (r == 0)
        r = json_string(&doc, json_get(&doc, 0, SPAN("url")), &arena, &url);
    if (r == 0 && !j->has_announced &&
        json_string(&doc, json_get(&doc, 0, SPAN("sha256")), &arena, &hash) == 0)
        j->has_announced = hex_decode_lower(hash, j->announced, sizeof(j->announced)) == 0;
    uint32_t node = r == 0 ? json_get(&doc, 0, SPAN("file_size")) : JSON_NONE;
    struct span digits;
    if (json_is(&doc, node, JSON_STRING) && json_string(&doc, node, &arena, &digits) == 0)
        (void)span_u64(digits, &size); /* Meta writes it as a string */
    else if (r == 0)
        (void)json_u64(&doc, node, &size);
    if (r != 0)
        job_later(j, 0);
    else
        fetch(j, url, size ? size : MEDIA_PICTURE_MAX);
    arena_free(&arena);
}

static void on_metadata(const struct upstream_answer *answer, void *ctx)
{
    struct job *j = ctx;
    if (j->media->stopped)
        return;
    if (answer->outcome == UPSTREAM_ANSWERED && answer->status == 200) {
        read_metadata(j, answer->body);
    } else if (answer->outcome == UPSTREAM_ANSWERED &&
               (answer->status == 400 || answer->status == 404 || answer->status == 410)) {
        job_hold(j, MEDIA_GONE); /* Graph says 400 of an object it does not know */
    } else {
        if (answer->outcome == UPSTREAM_ANSWERED && answer->status < 429)
            LOG(LOG_ALARM, "media", "refused_by_meta", log_word("channel", j->channel->name),
                log_u64("status", answer->status));
        job_later(j, 0);
    }
}

static void ask_meta(struct job *j)
{
    char target[64 + MEDIA_ID_MAX + 32];
    int n = snprintf(target, sizeof(target), "/" GRAPH_VERSION "/%s?phone_number_id=%s", j->item.id,
                     j->channel->phone_number_id);
    const struct upstream_request request = {.channel = j->channel,
                                             .method = HTTP_GET,
                                             .target = span_of(target, (size_t)n),
                                             .answer_max = METADATA_MAX,
                                             .due_ms = clock_mono_ms() + METADATA_MS,
                                             .repeatable = true,
                                             .done = on_metadata,
                                             .ctx = j};
    if (n < 0 || (size_t)n >= sizeof(target) || upstream_send(j->media->upstream, &request) != 0)
        job_later(j, 0);
}

/* ---- in all ---- */

/* So many pictures in a minute of one contact are inspected. */
static bool within_pace(struct job *j)
{
    struct media *m = j->media;
    uint64_t subject = j->item.keys.subject;
    struct pace *p = &m->pace[(subject * 0x9e3779b97f4a7c15ull >> 40) & (PACE_SLOTS - 1)];
    int64_t minute = clock_mono_ms() / MINUTE_MS;
    if (j->paced)
        return true;
    if (p->subject != subject || p->minute != minute) /* who shares a slot starts it anew */
        *p = (struct pace){.subject = subject, .minute = minute};
    j->paced = ++p->n <= m->deps.per_minute;
    return j->paced;
}

void job_step(struct job *j)
{
    struct media *m = j->media;
    j->config = config_acquire(m->deps.config);
    j->channel = config_channel_by_id(j->config, be16_get(j->key));
    j->state = JOB_ASKED;
    m->under_way++;
    enum media_kind kind = named_kind(j);
    if (!j->channel) /* gone from the configuration: it may come back, or Meta's time runs out */
        job_later(j, BACKOFF_MAX_MS);
    else if (clock_wall_ms() - j->item.since_ms > j->channel->upstream.retry_s * 1000)
        job_hold(j, MEDIA_GONE);
    else if (!j->channel->media_pass)
        job_hold(j, MEDIA_BY_POLICY);
    else if (kind == MEDIA_PICTURE && !inspector_present(m))
        job_hold(j, MEDIA_NO_INSPECTOR);
    else if (kind == MEDIA_PICTURE && !within_pace(j))
        job_hold(j, MEDIA_TOO_MANY);
    else if (kind != MEDIA_PICTURE && !any_route_passes(j->channel, kind))
        job_hold(j, MEDIA_BY_POLICY);
    else
        ask_meta(j);
}

/* ---- rows without a job: of before the start, and those there was no room for ---- */

struct walk {
    struct media *m;
    unsigned rows, n;
    uint8_t keys[REFILL_ROWS][MEDIA_KEY_BYTES];
};

static int take_row(void *ctx, struct span key, struct span value)
{
    struct walk *w = ctx;
    if (key.n != MEDIA_KEY_BYTES)
        return 0;
    w->rows++;
    memcpy(w->m->refill_key, key.p, MEDIA_KEY_BYTES);
    if (media_row_waits(value))
        memcpy(w->keys[w->n++], key.p, MEDIA_KEY_BYTES);
    return w->rows == REFILL_ROWS;
}

static void refill(struct media *m)
{
    struct store_read *read;
    int64_t now = clock_mono_ms();
    if (!m->refilling && atomic_load(&m->missed) && now >= m->refill_ms) {
        atomic_store(&m->missed, false);
        m->refilling = true;
        memset(m->refill_key, 0, sizeof(m->refill_key));
    }
    struct walk *w = m->refilling && m->jobs < JOBS_MAX / 2 ? calloc(1, sizeof(*w)) : NULL;
    if (!w || store_read_begin(m->deps.store, &read) != 0) {
        free(w);
        return;
    }
    w->m = m;
    int r = store_each_row(read, STORE_TABLE_MEDIA,
                           span_of((const char *)m->refill_key, MEDIA_KEY_BYTES), take_row, w);
    for (unsigned i = 0; r >= 0 && i < w->n; i++)
        if (!job_find(m, w->keys[i]))
            (void)job_from_row(m, read, w->keys[i]);
    store_read_end(read);
    if (r < 0 || w->rows < REFILL_ROWS) { /* the last row of a full turn is looked at twice */
        m->refilling = false;
        m->refill_ms = now + REFILL_MS;
        if (r < 0)
            atomic_store(&m->missed, true);
    }
    free(w);
}

bool jobs_tick(struct media *m)
{
    int64_t now = clock_mono_ms();
    struct job *next;
    for (struct job *j = m->first; j; j = next) {
        next = j->next;
        if (j->state == JOB_LATER && j->next_ms <= now)
            j->state = JOB_QUEUED;
        if (j->state != JOB_QUEUED)
            continue;
        if (j->item.state != MEDIA_WAITING)
            job_write(j); /* its verdict stands; the row did not */
        else if (m->under_way < FETCHES_MAX)
            job_step(j);
    }
    refill(m);
    return m->first || m->refilling || atomic_load(&m->missed);
}

void jobs_end(struct media *m)
{
    while (m->first)
        job_drop(m->first, SLUIS_ECLOSED);
}
