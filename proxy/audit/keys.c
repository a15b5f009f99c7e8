/* The log's key: which it is, which it was, and how it is replaced. */
#include "log.h"

#include <sodium.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

void audit_log_key(struct audit_log *log, struct note_key *out)
{
    pthread_mutex_lock(&log->lock);
    *out = log->key;
    pthread_mutex_unlock(&log->lock);
}

unsigned audit_log_keys(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    unsigned n = log->chain.count;
    pthread_mutex_unlock(&log->lock);
    return n;
}

int audit_log_key_changes(struct audit_log *log, struct buffer *out)
{
    pthread_mutex_lock(&log->lock);
    buffer_add(out, buffer_span(&log->changes));
    pthread_mutex_unlock(&log->lock);
    return out->error;
}

struct span newest_change(const struct audit_log *log)
{
    struct span rest = buffer_span(&log->changes), note, last = SPAN_EMPTY;
    while (note_next(&rest, &note) == 0)
        last = note;
    return last;
}

struct span change_at(const struct audit_log *log, unsigned number)
{
    struct span rest = buffer_span(&log->changes), note = SPAN_EMPTY;
    for (unsigned i = 0; i <= number; i++)
        if (note_next(&rest, &note) != 0)
            return SPAN_EMPTY;
    return note;
}

static int keep(struct audit_log *log, struct span note, const struct key_change *change)
{
    int r = key_chain_add(&log->chain, change);
    buffer_add(&log->changes, note);
    buffer_add_char(&log->changes, '\n');
    return r ? r : log->changes.error;
}

int take_changes(struct audit_log *log, const struct audit_log_config *config, struct diag *diag)
{
    struct key_change change;
    int r = 0;
    key_chain_init(&log->chain, &log->key);
    log->change_pushed = true;
    for (unsigned i = 0; r == 0 && i < config->change_count; i++) {
        r = key_change_read(config->changes[i], &change);
        if (r == 0 && i == 0)
            key_chain_init(&log->chain, &change.old_key);
        if (r == 0)
            r = keep(log, config->changes[i], &change);
    }
    const struct note_key *last = key_chain_last(&log->chain);
    if (r == 0 && (strcmp(last->name, log->key.name) != 0 ||
                   memcmp(last->public_key, log->key.public_key, 32) != 0))
        r = SLUIS_ECRYPTO;
    if (r != 0)
        diag_set(diag, NULL, 0, 0, "the changes of the access log's key do not lead to its key");
    return r;
}

/* Under the lock, which nobody else may have until the new key is in use: a larger checkpoint of
 * the old one would speak for leaves that are not its own. */
static int replace(struct audit_log *log, const uint8_t seed[NOTE_SEED],
                   int (*commit)(void *ctx, struct span note, const char *fingerprint), void *ctx)
{
    struct key_change change = {.size = log->range.size, .old_key = log->key};
    struct buffer note;
    char fingerprint[65];
    if (log->chain.count == KEY_CHAIN_MAX)
        return SLUIS_ELIMIT;
    merkle_range_root(&log->range, change.root);
    buffer_init(&note, NOTE_MAX);
    int r = note_key_of_seed(span_str(log->key.name), seed, &change.new_key);
    note_key_fingerprint(&change.new_key, fingerprint);
    if (r == 0)
        r = key_change_sign(&change, log->seed, seed, &note);
    if (r == 0)
        r = commit(ctx, buffer_span(&note), fingerprint);
    if (r == 0)
        r = keep(log, buffer_span(&note), &change);
    if (r == 0) {
        log->key = change.new_key;
        memcpy(log->seed, seed, NOTE_SEED);
        buffer_clear(&log->note); /* the next one is the new key's */
        log->change_pushed = !log->file;
    }
    buffer_free(&note);
    return r;
}

int audit_log_replace_key(struct audit_log *log, const uint8_t seed[NOTE_SEED],
                          int (*commit)(void *ctx, struct span note, const char *fingerprint),
                          void *ctx)
{
    struct buffer note;
    buffer_init(&note, NOTE_MAX);
    int r = audit_log_checkpoint(log, &note); /* the old key's last, as far as it can */
    if (r == 0) {
        pthread_mutex_lock(&log->lock);
        r = log->changed ? SLUIS_ECRYPTO : replace(log, seed, commit, ctx);
        pthread_mutex_unlock(&log->lock);
    }
    buffer_clear(&note);
    if (r == 0)
        r = audit_log_checkpoint(log, &note);
    buffer_free(&note);
    return r;
}
