/*
 * Tags and notes, sealed under the keys of the person they are about: on a message, under that
 * message's own, so that they end with it.
 *
 *   'N' | channel 2 | subject 8 | serial 8 (0: the conversation) | 't' or 'n' | number 8
 *       -> class 2 | bucket 4 | leaf 8 | sealed (what the key says, time, author, mask_pack's unit)
 *
 *   'T' | channel 2 | keyed hash of the tag 16 | subject 8 | serial 8
 *       -> 1; to find by tag
 *
 * The leaf is where the message is now: sealed anew (redacted, corrected, kept shorter), it has a
 * serial of its own, and history_keep takes what is said of it along. Rows without a leaf are of
 * before 2026-11-22, under the message's own serial: a sealed record begins with its version, a
 * leaf, which is less than 2^32, with 0.
 *
 * A tag's number is the first 8 bytes of its hash; a note's is the time in microseconds.
 */
#include "room.h"

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#include <sodium.h>
#include <stdlib.h>

#define KEY_BYTES (1 + 2 + 8 + 8 + 1 + 8)
#define PREFIX_BYTES (1 + 2 + 8 + 8)
#define INDEX_BYTES (NOTE_INDEX_PREFIX + 16)
#define PLACE_BYTES 6
#define LEAF_BYTES 8
#define PERSON_BYTES (1 + 2 + 8) /* of a prefix: all of one person on one channel */
#define TIDY_ROWS 512            /* looked at in one turn */

static void prefix_of(uint16_t channel, uint64_t subject, uint64_t serial, uint8_t out[KEY_BYTES])
{
    out[0] = 'N';
    be16_put(out + 1, channel);
    be64_put(out + 3, subject);
    be64_put(out + 11, serial);
}

void note_tag_hash(struct history *h, struct span tag, uint8_t out[STORE_HASH_BYTES])
{
    crypto_generichash(out, STORE_HASH_BYTES, (const uint8_t *)tag.p, tag.n, h->tag_key,
                       sizeof(h->tag_key));
}

void note_index_prefix(struct work *w, struct span tag, uint8_t out[NOTE_INDEX_PREFIX])
{
    out[0] = 'T';
    be16_put(out + 1, w->channel->id);
    note_tag_hash(w->h, tag, out + 3);
}

bool note_index_read(struct span key, uint64_t *subject, uint64_t *serial)
{
    if (key.n != INDEX_BYTES || key.p[0] != 'T')
        return false;
    *subject = be64_get((const uint8_t *)key.p + NOTE_INDEX_PREFIX);
    *serial = be64_get((const uint8_t *)key.p + NOTE_INDEX_PREFIX + 8);
    return true;
}

static void tag_key(struct work *w, uint64_t subject, uint64_t serial, struct span tag,
                    uint8_t key[KEY_BYTES], uint8_t index[INDEX_BYTES])
{
    note_index_prefix(w, tag, index);
    be64_put(index + NOTE_INDEX_PREFIX, subject);
    be64_put(index + NOTE_INDEX_PREFIX + 8, serial);
    prefix_of(w->channel->id, subject, serial, key);
    key[PREFIX_BYTES] = 't';
    memcpy(key + PREFIX_BYTES + 1, index + 3, 8);
}

/* The keys it hangs under; how many bytes of the value say so. */
static size_t record_of(struct span key, struct span value, struct record_id *out)
{
    const uint8_t *k = (const uint8_t *)key.p, *v = (const uint8_t *)value.p;
    bool leaf = value.n >= PLACE_BYTES + LEAF_BYTES && v[PLACE_BYTES] == 0;
    *out = (struct record_id){be16_get(v), be32_get(v + 2), be64_get(k + 3),
                              be64_get(leaf ? v + PLACE_BYTES : k + 11), PART_NOTE};
    return leaf ? PLACE_BYTES + LEAF_BYTES : PLACE_BYTES;
}

/* The opened row: time, author, packed unit. SLUIS_ECRYPTO: it is not the row of this key. */
static int open_row(struct keyring_cache *keys, struct span key, struct span value,
                    struct buffer *plain)
{
    struct record_id id;
    if (key.n != KEY_BYTES || value.n < PLACE_BYTES)
        return SLUIS_EINVAL;
    size_t place = record_of(key, value, &id);
    int r = record_open(keys, STORE_TABLE_HISTORY, &id, span_from(value, place), plain);
    if (r == 0 && (plain->n < KEY_BYTES + 9 || memcmp(plain->p, key.p, KEY_BYTES) != 0))
        r = SLUIS_ECRYPTO;
    return r;
}

static int seal_plain(struct keyring_cache *keys, const struct record_id *id, struct span plain,
                      struct buffer *out)
{
    buffer_add_be16(out, id->cls);
    buffer_add_be32(out, id->bucket);
    buffer_add_be64(out, id->serial);
    return out->error ? out->error : record_seal(keys, STORE_TABLE_HISTORY, id, 0, plain, out);
}

bool note_has_tag(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                  struct span tag)
{
    uint8_t key[KEY_BYTES], index[INDEX_BYTES];
    struct buffer plain;
    struct span value;
    tag_key(w, subject, serial, tag, key, index);
    if (store_get_row(read, STORE_TABLE_HISTORY, span_of(key, sizeof(key)), &w->worker->arena,
                      &value) != 0)
        return false;
    buffer_init(&plain, STORE_VALUE_MAX);
    bool has = open_row(w->worker->keys, span_of(key, sizeof(key)), value, &plain) == 0;
    buffer_free(&plain);
    return has;
}

/* ---- all of one message or conversation ---- */

struct gather {
    struct work *w;
    uint8_t prefix[KEY_BYTES];
    struct buffer tags, notes;
    unsigned tag_count, note_count;
    int error;
};

/* A note is judged by the policy of now and masked like a message that the organisation wrote. */
static int add_note(struct gather *g, int64_t at_ms, struct span author, struct span packed,
                    uint64_t number)
{
    struct work *w = g->w;
    struct form form = {.table = MASK_TABLE_SEND,
                        .facts = {.out = true, .channel = g->w->channel->name, .at_ms = at_ms}};
    struct buffer content;
    struct span text = SPAN_EMPTY, kept;
    int r = arena_try_copy(&w->worker->arena, packed, &kept);
    if (r == 0)
        r = mask_unpack(kept, &w->worker->arena, &form.judged, &form.json);
    if (r == 0)
        r = json_scan(&form.doc, form.json, &w->worker->arena, NULL);
    if (r != 0)
        return r;
    const struct read_judge judge = {.doc = &form.doc,
                                     .table = form.table,
                                     .policy = w->policy,
                                     .scratch = w->worker->scratch,
                                     .at_ms = at_ms};
    r = read_rejudge(&judge, &w->worker->arena, &form.judged);
    form.unjudged = r == SLUIS_EJUDGE || r == SLUIS_ELIMIT;
    buffer_init(&content, STORE_RECORD_MAX);
    if (r == 0 || form.unjudged)
        r = form_render(w, &form, &content, &text);
    if (r == 0) {
        buffer_addf(&g->notes, "%s{\"id\":%llu,", g->note_count ? "," : "",
                    (unsigned long long)number);
        add_time(&g->notes, "at", at_ms);
        buffer_add(&g->notes, SPAN(",\"author\":"));
        json_quote(&g->notes, author);
        buffer_add(&g->notes, SPAN(",\"text\":"));
        json_quote(&g->notes, text);
        buffer_add_char(&g->notes, '}');
        g->note_count++;
    }
    buffer_free(&content);
    return r;
}

static int take_row(void *ctx, struct span key, struct span value)
{
    struct gather *g = ctx;
    if (key.n != KEY_BYTES || memcmp(key.p, g->prefix, PREFIX_BYTES) != 0)
        return 1;
    struct buffer plain;
    buffer_init(&plain, STORE_VALUE_MAX);
    int r = open_row(g->w->worker->keys, key, value, &plain);
    if (r == 0) {
        struct span rest = span_from(buffer_span(&plain), KEY_BYTES);
        int64_t at_ms = (int64_t)be64_get((const uint8_t *)rest.p);
        size_t n = (uint8_t)rest.p[8];
        struct span author = span_sub(rest, 9, 9 + n), body = span_from(rest, 9 + n);
        if (key.p[PREFIX_BYTES] == 't' && g->tag_count < TAGS_MAX) {
            buffer_addf(&g->tags, "%s", g->tag_count++ ? "," : "");
            json_quote(&g->tags, body);
        } else if (key.p[PREFIX_BYTES] == 'n' && g->note_count < NOTES_MAX) {
            r = add_note(g, at_ms, author, body, be64_get((const uint8_t *)key.p + KEY_BYTES - 8));
        }
    }
    buffer_free(&plain);
    if (r != 0 && r != SLUIS_EEXPIRED)
        g->error = r;
    return g->error != 0;
}

static int gather(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                  struct gather *g)
{
    *g = (struct gather){.w = w};
    buffer_init(&g->tags, 8192);
    buffer_init(&g->notes, 1024 * 1024);
    prefix_of(w->channel->id, subject, serial, g->prefix);
    int r =
        store_each_row(read, STORE_TABLE_HISTORY, span_of(g->prefix, PREFIX_BYTES), take_row, g);
    return r < 0 ? r : g->error;
}

int note_write_all(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                   struct buffer *out)
{
    struct gather g;
    int r = gather(w, read, subject, serial, &g);
    buffer_add(out, SPAN("\"tags\":["));
    buffer_add(out, buffer_span(&g.tags));
    buffer_add(out, SPAN("],\"notes\":["));
    buffer_add(out, buffer_span(&g.notes));
    buffer_add_char(out, ']');
    if (r == 0)
        r = g.tags.error ? g.tags.error : g.notes.error;
    buffer_free(&g.tags);
    buffer_free(&g.notes);
    return r;
}

/* ---- putting ---- */

struct target {
    uint64_t subject, serial;
    uint64_t leaf; /* of the message now; 0 with a conversation */
    uint16_t cls;
    uint32_t bucket;
};

/* A conversation's ends as a message of today's would; a message's with that message. */
static int place_conversation(struct work *w, struct target *t)
{
    const struct retention_facts facts = {.out = true, .channel = w->channel->name};
    struct retention_rule rule = policy_retention(w->policy, RETENTION_HISTORY, &facts);
    struct retention_place place;
    int64_t now = clock_wall_ms();
    int r = retention_place(w->h->deps.store, &rule, RETENTION_HISTORY, now, now, &place);
    if (r == 0 && place.never)
        return history_refuse(w, 409, "not_kept", "policy keeps no history on this channel");
    t->cls = place.cls;
    t->bucket = place.bucket;
    return r;
}

static int find_message(struct work *w, struct target *t)
{
    struct store_read *read;
    struct store_item item;
    struct record_id at = {0};
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = store_get_item(read, w->query.message, &item);
    int part = r == 0 ? retention_part(read, &item, 'M', &at) : 0;
    if (part == SLUIS_ENOENT)
        part = retention_part(read, &item, 'O', &at);
    store_read_end(read);
    if (r == SLUIS_ENOENT || (r == 0 && item.channel != w->channel->id))
        return history_refuse(w, 404, "not_found", "no such message on this channel");
    if (r != 0)
        return r;
    if (subject_refused(w, item.subject))
        return history_refuse(w, 403, "restricted",
                              "the processing of this person's data is restricted");
    if (part == SLUIS_ENOENT)
        return history_refuse(w, 409, "not_kept", "nothing is kept of this message");
    if (part != 0)
        return part;
    *t = (struct target){item.subject, item.serial, at.serial, at.cls, at.bucket};
    return 0;
}

static int find_target(struct work *w, struct target *t)
{
    *t = (struct target){0};
    if (w->query.message)
        return find_message(w, t);
    int r = find_subject(w, &t->subject);
    return r ? r : place_conversation(w, t);
}

struct put {
    struct store_job job;
    uint8_t key[KEY_BYTES], index[INDEX_BYTES];
    struct buffer value;
    bool has_index, remove;
    struct audit_event event;
};

static int run_put(struct store_txn *txn, struct store_job *job)
{
    struct put *p = (struct put *)job;
    store_put_row(txn, STORE_TABLE_HISTORY, span_of(p->key, sizeof(p->key)),
                  p->remove ? SPAN_EMPTY : buffer_span(&p->value));
    if (p->has_index)
        store_put_row(txn, STORE_TABLE_HISTORY, span_of(p->index, sizeof(p->index)),
                      p->remove ? SPAN_EMPTY : SPAN("1"));
    audit_put(txn, &p->event);
    return store_txn_error(txn);
}

static int seal_row(struct work *w, const struct target *t, struct put *p, struct span body)
{
    const struct record_id id = {t->cls, t->bucket, t->subject, t->leaf, PART_NOTE};
    struct buffer plain;
    size_t author = strlen(w->actor);
    buffer_init(&plain, STORE_VALUE_MAX);
    buffer_add(&plain, span_of(p->key, sizeof(p->key)));
    buffer_add_be64(&plain, (uint64_t)clock_wall_ms());
    buffer_add_char(&plain, (char)author);
    buffer_add(&plain, span_of(w->actor, author));
    buffer_add(&plain, body);
    int r = plain.error;
    if (r == 0)
        r = seal_plain(w->worker->keys, &id, buffer_span(&plain), &p->value);
    buffer_free(&plain);
    if (r == 0 && p->value.n + sizeof(p->key) > STORE_VALUE_MAX)
        r = SLUIS_ELIMIT;
    if (r == SLUIS_ELIMIT)
        return history_refuse(w, 413, "too_large", "this does not fit in a note");
    return r == SLUIS_EEXPIRED
               ? history_refuse(w, 409, "not_kept", "nothing is kept of this message")
               : r;
}

/* The row and its leaf in one commit. */
static int put(struct work *w, const struct target *t, struct put *p, const char *outcome)
{
    p->job.priority = STORE_NORMAL;
    p->job.run = run_put;
    p->event = (struct audit_event){.at_ms = clock_wall_ms(),
                                    .action = AUDIT_HISTORY,
                                    .actor = w->actor,
                                    .claimed = w->q->claimed[0] ? w->q->claimed : NULL,
                                    .role = w->role,
                                    .channel = w->channel->name,
                                    .activity = policy_activity(w->policy),
                                    .purpose = w->purpose[0] ? w->purpose : NULL,
                                    .reference = w->reference[0] ? w->reference : NULL,
                                    .object = t->serial,
                                    .policy_hash = policy_hash(w->policy),
                                    .outcome = outcome};
    int r = keyring_pseudonym(w->worker->keys, t->subject, &p->event.subject);
    if (r == 0)
        r = store_submit_wait(w->h->deps.store, &p->job);
    if (r == 0)
        buffer_addf(&w->q->answer, "{\"done\":\"%s\"}\n", outcome);
    return r;
}

/* What is there, for the limits. */
static int count(struct work *w, const struct target *t, unsigned *tags, unsigned *notes)
{
    struct store_read *read;
    struct gather g;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = gather(w, read, t->subject, t->serial, &g);
    store_read_end(read);
    *tags = g.tag_count;
    *notes = g.note_count;
    buffer_free(&g.tags);
    buffer_free(&g.notes);
    return r;
}

static int put_tag(struct work *w)
{
    struct target t;
    struct put p = {.has_index = true, .remove = w->query.remove};
    unsigned tags = 0, notes = 0;
    struct finding found;
    const struct detect_input input = {.text = w->query.tag, .at_ms = clock_wall_ms()};
    if (detect_run(policy_detector(w->policy), w->worker->scratch, &input, &found, 1) != 0)
        return history_refuse(w, 400, "body", "tag: it holds personal data");
    int r = find_target(w, &t);
    if (r == 0 && !p.remove)
        r = count(w, &t, &tags, &notes);
    if (r == 0 && tags >= TAGS_MAX)
        r = history_refuse(w, 409, "limit", "16 tags are all there can be here");
    if (r != 0)
        return r;
    buffer_init(&p.value, STORE_VALUE_MAX);
    tag_key(w, t.subject, t.serial, w->query.tag, p.key, p.index);
    if (!p.remove)
        r = seal_row(w, &t, &p, w->query.tag);
    if (r == 0)
        r = put(w, &t, &p, p.remove ? "untagged" : "tagged");
    buffer_free(&p.value);
    return r;
}

int operation_tag(struct work *w)
{
    pthread_rwlock_rdlock(&w->h->place_lock);
    int r = put_tag(w);
    pthread_rwlock_unlock(&w->h->place_lock);
    return r;
}

/* {"type":"text","text":{"body":...}}: as a message that a tool sends. UTF-8 as it is: short. */
static void unit_of(struct span text, struct buffer *out)
{
    buffer_add(out, SPAN("{\"type\":\"text\",\"text\":{\"body\":\""));
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '"' || c == '\\')
            buffer_addf(out, "\\%c", c);
        else if (c < 0x20)
            buffer_addf(out, "\\u%04x", c);
        else
            buffer_add_char(out, (char)c);
    }
    buffer_add(out, SPAN("\"}}"));
}

static int judge_note(struct work *w, struct buffer *packed)
{
    struct arena *arena = &w->worker->arena;
    struct judged judged;
    struct json_doc doc;
    struct buffer unit;
    buffer_init(&unit, STORE_VALUE_MAX);
    unit_of(w->query.text, &unit);
    int r = unit.error ? unit.error : json_scan(&doc, buffer_span(&unit), arena, NULL);
    const struct judge_input input = {.doc = &doc,
                                      .table = MASK_TABLE_SEND,
                                      .policy = w->policy,
                                      .scratch = w->worker->scratch,
                                      .at_ms = clock_wall_ms()};
    if (r == 0)
        r = mask_judge(&input, arena, &judged);
    if (r == 0) {
        mask_pack(&judged, buffer_span(&unit), packed);
        r = packed->error;
    }
    buffer_free(&unit);
    if (r == SLUIS_ELIMIT)
        return history_refuse(w, 413, "too_large", "this does not fit in a note");
    return r == SLUIS_EJUDGE ? history_refuse(w, 422, "unjudged", "the text could not be checked")
                             : r;
}

static int put_note(struct work *w)
{
    struct target t;
    struct put p = {.remove = false};
    struct buffer packed;
    unsigned tags = 0, notes = 0;
    int r = find_target(w, &t);
    if (r == 0)
        r = count(w, &t, &tags, &notes);
    if (r == 0 && notes >= NOTES_MAX)
        r = history_refuse(w, 409, "limit", "50 notes are all there can be here");
    if (r != 0)
        return r;
    buffer_init(&packed, STORE_VALUE_MAX);
    buffer_init(&p.value, STORE_VALUE_MAX);
    prefix_of(w->channel->id, t.subject, t.serial, p.key);
    p.key[PREFIX_BYTES] = 'n';
    be64_put(p.key + PREFIX_BYTES + 1,
             (uint64_t)clock_wall_ms() * 1000 + (uint64_t)(clock_mono_us() % 1000));
    r = judge_note(w, &packed);
    if (r == 0)
        r = seal_row(w, &t, &p, buffer_span(&packed));
    if (r == 0)
        r = put(w, &t, &p, "noted");
    buffer_free(&packed);
    buffer_free(&p.value);
    return r;
}

int operation_note(struct work *w)
{
    pthread_rwlock_rdlock(&w->h->place_lock);
    int r = put_note(w);
    pthread_rwlock_unlock(&w->h->place_lock);
    return r;
}

/* ---- for statistics ---- */

struct listed {
    struct worker *worker;
    uint8_t prefix[KEY_BYTES];
    unsigned n, most;
    size_t size;
    char *out;
};

static int list_tag(void *ctx, struct span key, struct span value)
{
    struct listed *l = ctx;
    struct buffer plain;
    if (key.n != KEY_BYTES || memcmp(key.p, l->prefix, PREFIX_BYTES) != 0 || l->n == l->most)
        return 1;
    if (key.p[PREFIX_BYTES] != 't')
        return 0;
    buffer_init(&plain, STORE_VALUE_MAX);
    if (open_row(l->worker->keys, key, value, &plain) == 0) {
        size_t author = (uint8_t)plain.p[KEY_BYTES + 8];
        struct span tag = span_from(buffer_span(&plain), KEY_BYTES + 9 + author);
        if (tag.n && tag.n < l->size) {
            memcpy(l->out + l->n * l->size, tag.p, tag.n);
            l->out[l->n++ * l->size + tag.n] = '\0';
        }
    }
    buffer_free(&plain);
    return 0;
}

unsigned history_tags(struct history *h, uint16_t channel, uint64_t subject, unsigned most,
                      size_t size, char *out)
{
    struct worker *worker = &h->workers[WORKER_SCANS];
    struct listed l = {.worker = worker, .most = most, .size = size, .out = out};
    struct store_read *read;
    prefix_of(channel, subject, 0, l.prefix);
    if (store_read_begin(h->deps.store, &read) != 0)
        return 0;
    if (store_each_row(read, STORE_TABLE_HISTORY, span_of(l.prefix, PREFIX_BYTES), list_tag, &l) <
        0)
        l.n = 0;
    store_read_end(read);
    return l.n;
}

/* ---- rows whose key is gone ---- */

struct tidy {
    struct store_job job;
    struct worker *worker;
    struct store_read *read;
    uint8_t keys[TIDY_ROWS][STORE_KEY_MAX];
    size_t lengths[TIDY_ROWS];
    unsigned n, looked;
    uint8_t next[STORE_KEY_MAX];
    size_t next_n;
};

static int look(void *ctx, struct span key, struct span value)
{
    struct tidy *t = ctx;
    bool dead = false;
    if (t->looked++ == TIDY_ROWS) {
        memcpy(t->next, key.p, key.n);
        t->next_n = key.n;
        return 1;
    }
    if (key.p[0] == 'N') {
        struct buffer plain;
        buffer_init(&plain, STORE_VALUE_MAX);
        dead = open_row(t->worker->keys, key, value, &plain) == SLUIS_EEXPIRED;
        buffer_free(&plain);
    } else if (key.n == INDEX_BYTES) { /* its tag's row has gone before it */
        uint8_t row[KEY_BYTES];
        struct span found;
        const uint8_t *k = (const uint8_t *)key.p;
        prefix_of(be16_get(k + 1), be64_get(k + NOTE_INDEX_PREFIX),
                  be64_get(k + NOTE_INDEX_PREFIX + 8), row);
        row[PREFIX_BYTES] = 't';
        memcpy(row + PREFIX_BYTES + 1, k + 3, 8);
        dead = store_get_row(t->read, STORE_TABLE_HISTORY, span_of(row, sizeof(row)),
                             &t->worker->arena, &found) == SLUIS_ENOENT;
    }
    if (dead) {
        memcpy(t->keys[t->n], key.p, key.n);
        t->lengths[t->n++] = key.n;
    }
    return 0;
}

static int run_tidy(struct store_txn *txn, struct store_job *job)
{
    struct tidy *t = (struct tidy *)job;
    for (unsigned i = 0; i < t->n; i++)
        store_put_row(txn, STORE_TABLE_HISTORY, span_of(t->keys[i], t->lengths[i]), SPAN_EMPTY);
    return store_txn_error(txn);
}

void note_tidy(struct history *h, struct worker *worker)
{
    struct tidy t = {.job = {.priority = STORE_PURGE, .run = run_tidy}, .worker = worker};
    int r = 0;
    h->tidied_ms = clock_mono_ms();
    pthread_mutex_lock(&worker->busy);
    do {
        uint8_t from[STORE_KEY_MAX];
        size_t n = t.next_n;
        memcpy(from, t.next, n);
        t.n = t.looked = 0;
        t.next_n = 0;
        r = store_read_begin(h->deps.store, &t.read);
        if (r != 0)
            break;
        r = store_each_row(t.read, STORE_TABLE_HISTORY, span_of(from, n), look, &t);
        store_read_end(t.read);
        arena_reset(&worker->arena);
        if (r >= 0 && t.n)
            r = store_submit_wait(h->deps.store, &t.job);
    } while (r >= 0 && t.next_n);
    pthread_mutex_unlock(&worker->busy);
}

/* ---- for an export of what is kept of a person ---- */

struct person_notes {
    struct keyring_cache *keys;
    struct arena arena;
    struct buffer *out;
    uint8_t prefix[KEY_BYTES];
    unsigned n;
    int error;
};

static int export_body(struct person_notes *e, bool note, struct span body)
{
    struct judged judged;
    struct span json;
    if (!note) {
        json_quote(e->out, body);
        return 0;
    }
    int r = mask_unpack(body, &e->arena, &judged, &json);
    if (r == 0)
        buffer_add(e->out, json); /* as it was written: it is about this person */
    return r;
}

static int export_row(void *ctx, struct span key, struct span value)
{
    struct person_notes *e = ctx;
    struct buffer plain;
    if (key.n != KEY_BYTES || memcmp(key.p, e->prefix, PERSON_BYTES) != 0)
        return 1;
    buffer_init(&plain, STORE_VALUE_MAX);
    int r = open_row(e->keys, key, value, &plain);
    if (r == 0) {
        struct span rest = span_from(buffer_span(&plain), KEY_BYTES);
        bool note = key.p[PREFIX_BYTES] == 'n';
        size_t author = (uint8_t)rest.p[8];
        buffer_addf(e->out, "%s{\"message\":%llu,", e->n++ ? "," : "",
                    (unsigned long long)be64_get((const uint8_t *)key.p + 11));
        add_time(e->out, "at", (int64_t)be64_get((const uint8_t *)rest.p));
        buffer_add(e->out, SPAN(",\"author\":"));
        json_quote(e->out, span_sub(rest, 9, 9 + author));
        buffer_addf(e->out, ",\"%s\":", note ? "note" : "tag");
        r = export_body(e, note, span_from(rest, 9 + author));
        buffer_add_char(e->out, '}');
    }
    buffer_free(&plain);
    if (r != 0 && r != SLUIS_EEXPIRED)
        e->error = r;
    return e->error != 0;
}

int history_person_export(struct history *h, uint16_t channel, uint64_t subject, struct buffer *out)
{
    struct person_notes e = {.out = out};
    struct store_read *read;
    int r = keyring_cache_new(h->deps.keyring, &e.keys);
    if (r != 0)
        return r;
    arena_init(&e.arena, 1024 * 1024);
    prefix_of(channel, subject, 0, e.prefix);
    r = store_read_begin(h->deps.store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_HISTORY, span_of(e.prefix, PERSON_BYTES), export_row,
                           &e);
        store_read_end(read);
    }
    arena_free(&e.arena);
    keyring_cache_free(e.keys);
    return r < 0 ? r : e.error ? e.error : out->error;
}

/* ---- with a message that is sealed anew ---- */

#define KEEP_MAX (TAGS_MAX + NOTES_MAX)

struct keep {
    struct store_job job;
    struct keyring_cache *keys;
    struct record_id to;
    uint8_t prefix[KEY_BYTES];
    uint8_t key[KEEP_MAX][KEY_BYTES];
    struct buffer value[KEEP_MAX];
    unsigned n;
};

static int keep_row(void *ctx, struct span key, struct span value)
{
    struct keep *k = ctx;
    struct buffer plain;
    struct record_id id;
    if (key.n != KEY_BYTES || memcmp(key.p, k->prefix, PREFIX_BYTES) != 0 || k->n == KEEP_MAX)
        return 1;
    if (value.n < PLACE_BYTES)
        return SLUIS_EINVAL;
    record_of(key, value, &id);
    if (id.serial == k->to.serial && id.cls == k->to.cls && id.bucket == k->to.bucket)
        return 0; /* done the last time */
    buffer_init(&plain, STORE_VALUE_MAX);
    buffer_init(&k->value[k->n], STORE_VALUE_MAX);
    int r = open_row(k->keys, key, value, &plain);
    if (r == 0)
        r = seal_plain(k->keys, &k->to, buffer_span(&plain), &k->value[k->n]);
    buffer_free(&plain);
    if (r == 0) {
        memcpy(k->key[k->n++], key.p, KEY_BYTES);
        return 0;
    }
    buffer_free(&k->value[k->n]);
    if (r == SLUIS_EEXPIRED)
        return 0;
    /* Damaged, or as long as a row can be: it does not hold up a redaction, and is said. */
    LOG(LOG_ALARM, "history", "note_not_kept", log_u64("serial", id.serial), log_error(r));
    return r == SLUIS_ECRYPTO || r == SLUIS_EINVAL || r == SLUIS_ELIMIT ? 0 : r;
}

static int run_keep(struct store_txn *txn, struct store_job *job)
{
    const struct keep *k = (const struct keep *)(const void *)job;
    for (unsigned i = 0; i < k->n; i++)
        store_put_row(txn, STORE_TABLE_HISTORY, span_of((const char *)k->key[i], KEY_BYTES),
                      buffer_span(&k->value[i]));
    return store_txn_error(txn);
}

int history_keep(struct history *h, uint16_t channel, uint64_t subject, uint64_t serial,
                 const struct record_id *to)
{
    struct store_read *read;
    struct keep *k = calloc(1, sizeof(*k));
    if (!k)
        return SLUIS_ENOMEM;
    k->to = *to;
    k->to.subject = subject;
    k->to.part = PART_NOTE;
    k->job = (struct store_job){.priority = STORE_PURGE, .run = run_keep};
    prefix_of(channel, subject, serial, k->prefix);
    pthread_rwlock_wrlock(&h->place_lock);
    int r = keyring_cache_new(h->deps.keyring, &k->keys);
    if (r == 0)
        r = store_read_begin(h->deps.store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_HISTORY, span_of(k->prefix, PREFIX_BYTES), keep_row,
                           k);
        store_read_end(read);
        r = r < 0 ? r : 0;
    }
    if (r == 0 && k->n)
        r = store_submit_wait(h->deps.store, &k->job);
    pthread_rwlock_unlock(&h->place_lock);
    for (unsigned i = 0; i < k->n; i++)
        buffer_free(&k->value[i]);
    if (k->keys)
        keyring_cache_free(k->keys);
    free(k);
    return r;
}

/* ---- what they hang under ---- */

struct leaves {
    uint8_t from[KEY_BYTES];
    int (*each)(void *ctx, uint64_t serial);
    void *ctx;
    unsigned looked;
};

static int take_leaf(void *ctx, struct span key, struct span value)
{
    struct leaves *l = ctx;
    struct record_id id;
    if (key.n != KEY_BYTES || key.p[0] != 'N')
        return 1;
    if (value.n < PLACE_BYTES)
        return SLUIS_EINVAL;
    memcpy(l->from, key.p, KEY_BYTES);
    record_of(key, value, &id);
    int r = l->each(l->ctx, id.serial);
    return r ? r : ++l->looked >= TIDY_ROWS;
}

int history_each_leaf(struct history *h, int (*each)(void *ctx, uint64_t serial), void *ctx)
{
    struct leaves l = {.from = {'N'}, .each = each, .ctx = ctx};
    int r;
    do { /* the row that a slice ended with is told twice */
        struct store_read *read;
        l.looked = 0;
        r = store_read_begin(h->deps.store, &read);
        if (r != 0)
            return r;
        r = store_each_row(read, STORE_TABLE_HISTORY, span_of((const char *)l.from, KEY_BYTES),
                           take_leaf, &l);
        store_read_end(read);
        r = r > 0 ? 0 : r;
    } while (r == 0 && l.looked >= TIDY_ROWS);
    return r;
}
