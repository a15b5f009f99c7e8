/* Tags and notes put and taken away. */
#include "note.h"

#include "sluis/base/encode.h"

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
        r = note_row_seal(w->worker->keys, &id, buffer_span(&plain), &p->value);
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
    struct note_gather g;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = note_gather(w, read, t->subject, t->serial, &g);
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
    note_tag_key(w, t.subject, t.serial, w->query.tag, p.key, p.index);
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
    note_prefix(w->channel->id, t.subject, t.serial, p.key);
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
