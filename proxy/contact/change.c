/* Changes: what they are, the rows and the leaf that stand for them. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/utf8.h"

/* ---- what stands, in one bit ---- */

bool contact_consents(struct contacts *c, struct contact_id id)
{
    struct contact_state state;
    int known = contact_memory_consents(c->memory, id);
    if (known)
        return known == CONSENTS_YES;
    uint64_t changes = atomic_load(&c->changes);
    int r = contact_read(c, id, &state);
    bool yes = r == 0 && !contact_opted_out(&state) &&
               contact_basis_for(&state, 1u << CONTACT_CONSENT, SPAN_EMPTY);
    sodium_memzero(&state, sizeof(state));
    if (r == 0 && atomic_load(&c->changes) == changes)
        contact_memory_note_consents(c->memory, id, yes ? CONSENTS_YES : CONSENTS_NO);
    return yes;
}

void contact_linked(struct contacts *c, uint64_t subject)
{
    atomic_fetch_add(&c->changes, 1);
    contact_memory_forget_consents(c->memory, subject);
}

/* ---- what is said ---- */

/* Texts of tools and persons: UTF-8, no control characters. */
static bool is_plain(const char *text, size_t size)
{
    size_t n = strnlen(text, size);
    if (n == size || !utf8_valid(span_of(text, n)))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_past(int64_t at_ms, int64_t now_ms)
{
    return at_ms > 0 && at_ms <= now_ms + SKEW_MS;
}

static struct contact_consent *find_consent(struct contact_state *state,
                                            const struct contact_consent *wanted)
{
    for (unsigned i = 0; i < state->consent_count; i++) {
        struct contact_consent *c = &state->consents[i];
        if (c->basis == wanted->basis && strcmp(c->purpose, wanted->purpose) == 0)
            return c;
    }
    return NULL;
}

/* ---- making a change ---- */

static struct contact_change *change_new(struct contacts *c, struct contact_id id)
{
    struct contact_change *change = calloc(1, sizeof(*change));
    if (!change)
        return NULL;
    change->contacts = c;
    change->id = id;
    for (unsigned i = 0; i < CHANGE_ROWS; i++)
        buffer_init(&change->rows[i].value, ROW_VALUE_MAX);
    buffer_init(&change->leaf, AUDIT_LEAF_MAX);
    return change;
}

void contact_change_free(struct contact_change *change)
{
    if (!change)
        return;
    /* It stands by now, or it does not: what was remembered, or is being read, says neither. */
    atomic_fetch_add(&change->contacts->changes, 1);
    contact_memory_note_consents(change->contacts->memory, change->id, CONSENTS_NOT_KNOWN);
    for (unsigned i = 0; i < change->linked_count; i++) {
        const struct contact_id id = {change->id.channel, change->linked[i]};
        contact_memory_note_consents(change->contacts->memory, id, CONSENTS_NOT_KNOWN);
    }
    for (unsigned i = 0; i < CHANGE_ROWS; i++)
        buffer_free(&change->rows[i].value);
    buffer_free(&change->leaf);
    free(change);
}

void contact_change_run(struct store_txn *txn, const struct contact_change *change)
{
    uint64_t index;
    for (unsigned i = 0; i < change->row_count; i++)
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(change->rows[i].key, change->rows[i].key_n),
                      buffer_span(&change->rows[i].value));
    if (change->leaf.n)
        store_put_leaf(txn, buffer_span(&change->leaf), change->leaf_hash, &index);
}

static struct change_row *next_row(struct contact_change *change, const uint8_t *key, size_t n)
{
    struct change_row *row = &change->rows[change->row_count++];
    memcpy(row->key, key, n);
    row->key_n = n;
    return row;
}

static int add_sealed(struct contacts *c, struct contact_change *change, struct contact_id id,
                      enum row_kind kind, struct span what, const struct buffer *plain)
{
    uint8_t key[ROW_KEY];
    if (plain->error)
        return plain->error;
    contact_row_key(c, id, kind, what, key);
    struct change_row *row = next_row(change, key, ROW_KEY);
    return contact_row_seal(c, key, buffer_span(plain), &row->value);
}

int contact_pseudonym(struct contacts *c, uint64_t subject, uint64_t *out)
{
    pthread_mutex_lock(&c->lock);
    int r = keyring_pseudonym(c->cache, subject, out);
    pthread_mutex_unlock(&c->lock);
    return r;
}

static int add_leaf(struct contacts *c, struct contact_change *change, struct contact_id id,
                    const struct audit_event *given, const char *purpose, const char *outcome)
{
    struct audit_event event = *given;
    event.action = AUDIT_CONSENT;
    event.at_ms = clock_wall_ms();
    event.purpose = purpose;
    event.outcome = outcome;
    int r = contact_pseudonym(c, id.subject, &event.subject);
    return r ? r : audit_leaf(&event, &change->leaf, change->leaf_hash);
}

/* `r` decides whose it is. */
static int finish(int r, struct contact_change *change, struct contact_change **out)
{
    if (r != 0) {
        contact_change_free(change);
        change = NULL;
    }
    *out = change;
    return r;
}

/* ---- consent ---- */

/* What the entry becomes, given what stands. */
static int weigh(struct contact_state *state, struct contact_consent *wanted)
{
    const struct contact_consent *old = find_consent(state, wanted);
    if (wanted->withdrawn_ms) {
        if (!old)
            return SLUIS_ENOENT;
        int64_t withdrawn_ms = wanted->withdrawn_ms;
        *wanted = *old;
        wanted->withdrawn_ms = withdrawn_ms;
        return 0;
    }
    if (old && old->withdrawn_ms >= wanted->given_ms)
        return SLUIS_EEXIST;
    if (wanted->basis == CONTACT_CONSENT && state->stop && state->stop_ms >= wanted->given_ms)
        return SLUIS_EEXIST;
    return !old && state->consent_count == CONTACT_CONSENTS_MAX ? SLUIS_ELIMIT : 0;
}

int contact_consent(struct contacts *c, struct contact_id id, const struct contact_consent *given,
                    const struct audit_event *event, struct contact_change **out)
{
    struct contact_consent consent = *given;
    struct contact_state state;
    struct buffer plain, what;
    bool withdrawal = consent.withdrawn_ms != 0;
    *out = NULL;
    if (consent.basis >= CONTACT_BASES || !is_plain(consent.purpose, sizeof(consent.purpose)) ||
        !is_plain(consent.source, sizeof(consent.source)) ||
        !is_past(withdrawal ? consent.withdrawn_ms : consent.given_ms, clock_wall_ms()))
        return SLUIS_EINVAL;
    int r = contact_read(c, id, &state);
    if (r == 0)
        r = weigh(&state, &consent);
    sodium_memzero(&state, sizeof(state));
    if (r != 0)
        return r;
    struct contact_change *change = change_new(c, id);
    if (!change)
        return SLUIS_ENOMEM;
    buffer_init(&plain, ROW_TEXT_MAX);
    buffer_init(&what, ROW_TEXT_MAX);
    contact_consent_plain(&consent, &plain);
    contact_consent_what(&consent, &what);
    r = what.error ? what.error
                   : add_sealed(c, change, id, ROW_CONSENT, buffer_span(&what), &plain);
    if (r == 0)
        r = add_leaf(c, change, id, event, contact_basis_word(consent.basis),
                     withdrawal ? "withdrawn" : "added");
    buffer_free(&plain);
    buffer_free(&what);
    return finish(r, change, out);
}

/* ---- opting out ---- */

int contact_stop(struct contacts *c, struct contact_id id, enum contact_stop stop, int64_t at_ms,
                 const struct audit_event *event, struct contact_change **out)
{
    static const char *const how[] = {[CONTACT_STOP_NONE] = NULL,
                                      [CONTACT_STOP_WORD] = "stop word",
                                      [CONTACT_STOP_META] = "user_preferences",
                                      [CONTACT_STOP_PERSON] = "told"};
    struct buffer plain;
    struct contact_state state;
    uint64_t linked[SUBJECT_LINKS_MAX];
    unsigned n = 0;
    *out = NULL;
    if (stop > CONTACT_STOP_PERSON || !is_past(at_ms, clock_wall_ms()))
        return SLUIS_EINVAL;
    int r = contact_read_linked(c, id, &state, linked, &n);
    bool older = r == 0 && state.stop_ms > at_ms;
    sodium_memzero(&state, sizeof(state));
    struct contact_change *change = r == 0 && !older ? change_new(c, id) : NULL;
    if (!change)
        return r ? r : older ? SLUIS_EEXIST : SLUIS_ENOMEM;
    memcpy(change->linked, linked, n * sizeof(*linked));
    change->linked_count = n;
    buffer_init(&plain, ROW_TEXT_MAX);
    buffer_add_char(&plain, ROW_VERSION);
    buffer_add_char(&plain, (char)stop);
    buffer_add_be64(&plain, (uint64_t)at_ms);
    if (r == 0)
        r = add_sealed(c, change, id, ROW_STOP, SPAN_EMPTY, &plain);
    if (r == 0)
        r = add_leaf(c, change, id, event, how[stop], stop ? "stopped" : "resumed");
    buffer_free(&plain);
    return finish(r, change, out);
}

/* ---- notices ---- */

int contact_noticed(struct contacts *c, struct contact_id id, struct span name, int64_t at_ms,
                    struct contact_change **out)
{
    struct buffer plain;
    struct contact_change *change = change_new(c, id);
    *out = NULL;
    if (!change)
        return SLUIS_ENOMEM;
    buffer_init(&plain, ROW_TEXT_MAX);
    buffer_add_char(&plain, ROW_VERSION);
    buffer_add_be64(&plain, (uint64_t)at_ms);
    buffer_add_char(&plain, (char)name.n);
    buffer_add(&plain, name);
    int r = name.n && name.n <= CONTACT_NAME_MAX ? 0 : SLUIS_EINVAL;
    if (r == 0)
        r = add_sealed(c, change, id, ROW_NOTICE, name, &plain);
    buffer_free(&plain);
    return finish(r, change, out);
}

/* ---- the reference ---- */

/* The rows of a reference; `old`: the look-up row that goes, or empty. */
static int put_reference(struct contacts *c, struct contact_change *change, struct contact_id id,
                         struct span reference, const char *old)
{
    uint8_t key[ROW_KEY], link[REF_KEY], hash[STORE_HASH_BYTES];
    struct buffer plain;
    int r = 0;
    if (old[0]) {
        struct keyring_hashes hashes;
        keyring_hash_identifiers(c->keyring, REF_LABEL, span_str(old), &hashes);
        for (unsigned i = 0; i < hashes.n; i++) {
            contact_ref_key(hashes.hash[i], id, link);
            next_row(change, link, REF_KEY);
        }
    }
    contact_row_key(c, id, ROW_REFERENCE, SPAN_EMPTY, key);
    struct change_row *row = next_row(change, key, ROW_KEY);
    if (reference.n == 0)
        return 0;
    contact_ref_hash(c, reference, hash);
    buffer_add(&row->value, span_of(hash, STORE_HASH_BYTES));
    buffer_init(&plain, ROW_TEXT_MAX);
    buffer_add_char(&plain, ROW_VERSION);
    buffer_add_char(&plain, (char)reference.n);
    buffer_add(&plain, reference);
    r = plain.error ? plain.error : contact_row_seal(c, key, buffer_span(&plain), &row->value);
    buffer_free(&plain);
    contact_ref_key(hash, id, link);
    buffer_add_char(&next_row(change, link, REF_KEY)->value, ROW_VERSION);
    return r;
}

int contact_reference(struct contacts *c, struct contact_id id, struct span reference,
                      const struct audit_event *event, struct contact_change **out)
{
    struct contact_state state;
    char text[CONTACT_REFERENCE_MAX + 1] = "";
    *out = NULL;
    if (reference.n > CONTACT_REFERENCE_MAX)
        return SLUIS_EINVAL;
    memcpy(text, reference.p ? reference.p : "", reference.n);
    if (strlen(text) != reference.n || !is_plain(text, sizeof(text)))
        return SLUIS_EINVAL;
    int r = contact_read(c, id, &state);
    if (r != 0)
        return r;
    struct contact_change *change = change_new(c, id);
    r = change ? put_reference(c, change, id, reference, state.reference) : SLUIS_ENOMEM;
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(text, sizeof(text));
    if (r == 0)
        r = add_leaf(c, change, id, event, NULL,
                     reference.n ? "reference_set" : "reference_removed");
    return finish(r, change, out);
}

/* ---- a job of its own ---- */

struct apply_job {
    struct store_job job;
    const struct contact_change *change;
};

static int run_apply(struct store_txn *txn, struct store_job *job)
{
    contact_change_run(txn, ((struct apply_job *)(void *)job)->change);
    return store_txn_error(txn);
}

int contact_apply(struct contacts *c, const struct contact_change *change)
{
    struct apply_job job = {.job = {.priority = STORE_NORMAL, .run = run_apply}, .change = change};
    return store_submit_wait(c->store, &job.job);
}
