/*
 * The ways out of the machine beside the file: each is given the newest checkpoint, and before it
 * every change of the log's key that it has not had yet, in order.
 *
 * Row: STORE_TABLE_SETTING, "audit-told/" and the name of the way, the number of changes that went
 * it (4 bytes): a way that was shut while a key was replaced has it after a restart too.
 */
#include "log.h"

#include <stdio.h>

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define TOLD_PREFIX "audit-told/"
#define TOLD_KEY_MAX 64

static struct span told_key(const struct log_target *target, char out[TOLD_KEY_MAX])
{
    int n = snprintf(out, TOLD_KEY_MAX, TOLD_PREFIX "%s", target->door.name);
    return span_of(out, n > 0 && n < TOLD_KEY_MAX ? (size_t)n : 0);
}

unsigned told_load(struct audit_log *log, const struct log_target *target)
{
    char key[TOLD_KEY_MAX];
    struct store_read *read;
    struct arena arena;
    struct span value = SPAN_EMPTY;
    unsigned told = 0;
    if (store_read_begin(log->store, &read) != 0)
        return 0; /* once more does no harm */
    arena_init(&arena, 4096);
    if (store_get_row(read, STORE_TABLE_SETTING, told_key(target, key), &arena, &value) == 0 &&
        value.n == 4)
        told = be32_get((const uint8_t *)value.p);
    store_read_end(read);
    arena_free(&arena);
    return told;
}

struct save {
    struct store_job job;
    struct span key;
    uint8_t told[4];
};

static int put_told(struct store_txn *txn, struct store_job *job)
{
    const struct save *s = (const struct save *)job;
    store_put_row(txn, STORE_TABLE_SETTING, s->key, span_of(s->told, sizeof(s->told)));
    return store_txn_error(txn);
}

static void told_save(struct audit_log *log, const struct log_target *target)
{
    char key[TOLD_KEY_MAX];
    struct save s = {.job = {.priority = STORE_NORMAL, .run = put_told},
                     .key = told_key(target, key)};
    be32_put(s.told, target->told);
    int r = store_submit_wait(log->store, &s.job);
    if (r != 0) /* it will be told again */
        LOG(LOG_WARN, "audit", "told_not_saved", log_error(r));
}

/* The changes that this way has not had. */
static int push_changes(struct audit_log *log, struct log_target *t)
{
    struct buffer note;
    int r = 0;
    buffer_init(&note, NOTE_MAX);
    for (;;) {
        pthread_mutex_lock(&log->lock);
        bool any = t->told + 1 < log->chain.count;
        buffer_clear(&note);
        if (any)
            buffer_add(&note, change_at(log, t->told));
        pthread_mutex_unlock(&log->lock);
        r = any ? note.error : r;
        if (any && r == 0)
            r = t->door.push(t->door.ctx, buffer_span(&note));
        if (!any || r != 0)
            break;
        t->told++; /* only this thread has it */
        told_save(log, t);
    }
    buffer_free(&note);
    return r;
}

void push_out(struct audit_log *log)
{
    struct buffer note;
    buffer_init(&note, NOTE_MAX);
    for (unsigned i = 0; i < log->target_count; i++) {
        struct log_target *t = &log->targets[i];
        pthread_mutex_lock(&log->lock);
        uint64_t size = log->note_size;
        bool due = !t->pushed && log->note.n;
        buffer_clear(&note);
        buffer_add(&note, buffer_span(&log->note));
        pthread_mutex_unlock(&log->lock);
        if (!due)
            continue;
        int r = note.error ? note.error : push_changes(log, t);
        if (r == 0)
            r = t->door.push(t->door.ctx, buffer_span(&note));
        pthread_mutex_lock(&log->lock);
        t->pushed = r == 0 && size == log->note_size;
        if (r != 0 && !t->failing)
            LOG(LOG_ALARM, "audit", "checkpoint_not_pushed", log_word("target", t->door.name),
                log_error(r));
        else if (r == 0 && t->failing)
            LOG(LOG_WARN, "audit", "checkpoint_pushed_again", log_word("target", t->door.name),
                log_u64("leaves", size));
        t->failing = r != 0;
        move_gate(log, true);
        pthread_mutex_unlock(&log->lock);
    }
    buffer_free(&note);
}

void say_left_behind(struct audit_log *log)
{
    for (unsigned i = 0; i < log->target_count; i++)
        if (!log->targets[i].pushed && log->note.n)
            LOG(LOG_WARN, "audit", "last_checkpoint_not_pushed",
                log_word("target", log->targets[i].door.name), log_u64("leaves", log->note_size),
                log_word("in_file", log->file && log->pushed ? "yes" : "no"));
}
