/* A shorter policy asked for, being applied, and on record: the order is in shorten.c. */
#include "shorten.h"

#include <stdio.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

const struct span shorten_state_key = {"purge.a", 7};

/* ---- the row of what is under way ---- */

int shorten_state_seal(struct shorten *s)
{
    uint8_t text[STATE_BYTES];
    be64_put(text, (uint64_t)s->state.since_ms);
    for (unsigned i = 0; i < STORE_CLASSES_MAX; i++) {
        be64_put(text + 8 + i * 16, s->state.messages[i + 1]);
        be64_put(text + 16 + i * 16, s->state.subjects[i + 1]);
    }
    buffer_clear(&s->sealed);
    return row_seal(s->p, STORE_TABLE_SETTING, PART_APPLY, 1, span_of(text, sizeof(text)),
                    &s->sealed);
}

static int state_read(struct purge *p, struct state *out)
{
    struct buffer plain;
    memset(out, 0, sizeof(*out));
    buffer_init(&plain, ROW_TEXT_MAX);
    int r = row_read(p, STORE_TABLE_SETTING, shorten_state_key, PART_APPLY, 1, &plain);
    if (r == 0 && plain.n != STATE_BYTES)
        r = SLUIS_ECRYPTO;
    if (r == 0) {
        const uint8_t *text = (const uint8_t *)plain.p;
        out->since_ms = (int64_t)be64_get(text);
        for (unsigned i = 0; i < STORE_CLASSES_MAX; i++) {
            out->messages[i + 1] = be64_get(text + 8 + i * 16);
            out->subjects[i + 1] = be64_get(text + 16 + i * 16);
        }
    }
    buffer_free(&plain);
    return r;
}

int shorten_load(struct purge *p)
{
    struct state state;
    int r = state_read(p, &state);
    p->applying = r == 0;
    return r == SLUIS_ENOENT ? 0 : r;
}

/* ---- on record ---- */

static int line_add(struct shorten *s, uint16_t cls)
{
    unsigned n = s->line_count;
    struct keyring_status keys;
    struct rule_facts facts;
    if (store_id_name(s->p->deps.store, STORE_NAME_CLASS, cls, s->names[n]) != 0)
        return SLUIS_EIO;
    keyring_status(s->p->deps.keyring, &keys);
    rule_find(s->p, "", &facts); /* the rule that made the class is not in force any more */
    memcpy(s->hashes[n], facts.policy_hash, POLICY_HASH_HEX);
    const struct retention_destruction d = {.cls = s->names[n],
                                            .category = "",
                                            .ground = "",
                                            .reason = "shortened",
                                            .from_ms = s->state.since_ms,
                                            .to_ms = s->now_ms,
                                            .messages = s->state.messages[cls],
                                            .subjects = s->state.subjects[cls],
                                            .generation = keys.generation,
                                            .policy_hash = facts.policy_hash,
                                            .at_ms = s->now_ms};
    s->events[n] = (struct audit_event){.at_ms = s->now_ms,
                                        .action = AUDIT_PURGE,
                                        .actor = "gateway",
                                        .object = cls,
                                        .count = s->state.messages[cls],
                                        .purpose = s->names[n],
                                        .policy_hash = s->hashes[n],
                                        .outcome = "shortened"};
    buffer_init(&s->lines[n], STORE_VALUE_MAX);
    s->line_count++;
    return destruction_seal(s->p, &d, s->line_keys[n], &s->lines[n]);
}

static int run_lines(struct store_txn *txn, struct store_job *job)
{
    struct shorten *s = (struct shorten *)(void *)job;
    for (unsigned i = 0; i < s->line_count; i++) {
        store_put_row(txn, STORE_TABLE_SETTING, span_of(s->line_keys[i], DESTRUCTION_KEY_BYTES),
                      buffer_span(&s->lines[i]));
        audit_put(txn, &s->events[i]);
    }
    store_put_row(txn, STORE_TABLE_SETTING, shorten_state_key, buffer_span(&s->sealed));
    return store_txn_error(txn);
}

/* `end`: nothing is under way any more. */
static int write_lines(struct shorten *s, bool end)
{
    int r = 0;
    for (uint16_t cls = 1; r == 0 && cls <= STORE_CLASSES_MAX; cls++)
        if (s->state.messages[cls])
            r = line_add(s, cls);
    memset(&s->state, 0, sizeof(s->state));
    s->state.since_ms = s->now_ms;
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        if (s->seen[i].bits)
            memset(s->seen[i].bits, 0, s->seen[i].bytes);
    if (r == 0)
        r = shorten_state_seal(s);
    if (end)
        buffer_clear(&s->sealed); /* the row goes */
    s->job = (struct store_job){.priority = STORE_PURGE, .run = run_lines};
    if (r == 0)
        r = store_submit_wait(s->p->deps.store, &s->job);
    for (unsigned i = 0; i < s->line_count; i++)
        buffer_free(&s->lines[i]);
    s->line_count = 0;
    if (r == 0 && end)
        s->p->applying = false;
    return r;
}

/* ---- all of it ---- */

int shorten_drain(struct purge *p)
{
    pthread_mutex_lock(&p->lock);
    struct shorten *s = shorten_new(p, false);
    int r = s ? 0 : SLUIS_ENOMEM;
    bool applying = p->applying;
    if (r == 0 && applying)
        r = clock_check(p, s->now_ms) ? state_read(p, &s->state) : SLUIS_EDENIED;
    if (r == 0)
        r = shorten_destroy(s); /* of a walk that was cut off, or of a message taken back */
    if (r == 0 && applying)
        r = write_lines(s, false);
    pthread_mutex_unlock(&p->lock);
    if (r == 0 && applying)
        r = shorten_walk(s);
    pthread_mutex_lock(&p->lock);
    if (r == 0 && applying)
        r = shorten_destroy(s);
    if (r == 0 && applying)
        r = write_lines(s, true);
    pthread_mutex_unlock(&p->lock);
    if (applying && r != SLUIS_ECLOSED)
        LOG(r ? LOG_ALARM : LOG_INFO, "purge", r ? "policy_waits" : "policy_applied",
            log_u64("messages", s ? s->messages : 0), log_u64("held", s ? s->held : 0),
            log_error(r));
    if (s)
        shorten_free(s);
    return r == SLUIS_ECLOSED ? 0 : r;
}

int purge_apply_now(struct purge *p)
{
    return shorten_drain(p);
}

struct ask_job {
    struct store_job job;
    struct span sealed;
    struct audit_event event;
};

static int run_ask(struct store_txn *txn, struct store_job *job)
{
    struct ask_job *a = (struct ask_job *)(void *)job;
    store_put_row(txn, STORE_TABLE_SETTING, shorten_state_key, a->sealed);
    audit_put(txn, &a->event);
    return store_txn_error(txn);
}

/* On record that it was asked for, and by whom; the service thread does it. */
static int ask(struct shorten *s)
{
    struct rule_facts facts;
    int r = 0;
    rule_find(s->p, "", &facts);
    s->state.since_ms = s->now_ms;
    struct ask_job a = {.job = {.priority = STORE_PURGE, .run = run_ask},
                        .event = {.at_ms = s->now_ms,
                                  .action = AUDIT_PURGE,
                                  .actor = purge_actor(s->p),
                                  .count = s->messages,
                                  .policy_hash = facts.policy_hash,
                                  .outcome = "policy_to_be_applied"}};
    pthread_mutex_lock(&s->p->lock);
    if (!s->p->applying) {
        r = shorten_state_seal(s);
        a.sealed = buffer_span(&s->sealed);
        if (r == 0)
            r = store_submit_wait(s->p->deps.store, &a.job);
        s->p->applying = r == 0;
    }
    pthread_mutex_unlock(&s->p->lock);
    return r;
}

static void describe(struct shorten *s, bool dry_run, struct buffer *out)
{
    buffer_addf(out, "{\"dry_run\":%s,\"messages\":%llu,\"classes\":[", dry_run ? "true" : "false",
                (unsigned long long)s->messages);
    for (unsigned i = 0; i < s->fate_count; i++) {
        char from[256] = "", to[256] = "";
        (void)store_id_name(s->p->deps.store, STORE_NAME_CLASS, s->fates[i].from, from);
        if (s->fates[i].to)
            (void)store_id_name(s->p->deps.store, STORE_NAME_CLASS, s->fates[i].to, to);
        buffer_addf(out, "%s{\"from\":\"%s\",\"to\":\"%s\",\"messages\":%llu}", i ? "," : "", from,
                    to, (unsigned long long)s->fates[i].messages);
    }
    buffer_addf(
        out,
        "],\"longer\":%llu,\"held\":%llu,\"unreadable\":%llu,\"no_channel\":%llu,\"media\":%llu,"
        "\"applying\":%s}",
        (unsigned long long)s->longer, (unsigned long long)s->held,
        (unsigned long long)s->unreadable, (unsigned long long)s->unknown,
        (unsigned long long)s->media, s->p->applying ? "true" : "false");
}

int purge_apply_policy(struct purge *p, bool dry_run, struct buffer *out)
{
    struct shorten *s = shorten_new(p, true); /* counts first, whatever is asked */
    if (!s)
        return SLUIS_ENOMEM;
    pthread_mutex_lock(&p->lock);
    int r = clock_check(p, s->now_ms) ? 0 : SLUIS_EDENIED;
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        r = shorten_walk(s);
    if (r == 0 && !dry_run && s->messages)
        r = ask(s);
    if (r == 0)
        describe(s, dry_run, out);
    shorten_free(s);
    if (r == 0 && !dry_run)
        wake_round(p);
    return r ? r : out->error;
}
