/* Retention classes: what has ended, how far it was destroyed and recorded, what is in it. */
#include "room.h"

#include <stdlib.h>

#include "sluis/base/encode.h"

#define STATE_BYTES 8
#define SLICE 512                               /* records looked at in one read transaction */
#define SUBJECTS_BYTES_MAX (512u * 1024 * 1024) /* a bit for every 32-bit serial */

void class_state_key(uint16_t cls, uint8_t out[CLASS_KEY_BYTES])
{
    memcpy(out, "purge.c", 7);
    be16_put(out + 7, cls);
}

int class_state_read(struct purge *p, uint16_t cls, struct class_state *out)
{
    uint8_t key[CLASS_KEY_BYTES];
    struct buffer plain;
    *out = (struct class_state){NO_BUCKET, NO_BUCKET};
    class_state_key(cls, key);
    buffer_init(&plain, ROW_TEXT_MAX);
    int r = row_read(p, STORE_TABLE_SETTING, span_of(key, sizeof(key)), PART_CLASS, cls, &plain);
    if (r == 0 && plain.n != STATE_BYTES)
        r = SLUIS_ECRYPTO;
    if (r == 0) {
        out->punctured = be32_get((const uint8_t *)plain.p);
        out->recorded = be32_get((const uint8_t *)plain.p + 4);
    }
    buffer_free(&plain);
    return r == SLUIS_ENOENT ? 0 : r;
}

int class_state_seal(struct purge *p, uint16_t cls, const struct class_state *state,
                     struct buffer *out)
{
    uint8_t text[STATE_BYTES];
    be32_put(text, state->punctured);
    be32_put(text + 4, state->recorded);
    return row_seal(p, STORE_TABLE_SETTING, PART_CLASS, cls, span_of(text, sizeof(text)), out);
}

static int take_first(void *ctx, const struct record_id *id)
{
    *(uint32_t *)ctx = id->bucket;
    return 1;
}

/* The first row behind what is on record; NO_BUCKET when its bucket has not ended. */
static int first_row(struct purge *p, struct class_plan *c)
{
    struct store_read *read;
    uint32_t from = c->state.recorded == NO_BUCKET ? 0 : c->state.recorded + 1;
    c->first = NO_BUCKET;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_key(read, c->cls, from, 0, take_first, &c->first);
    store_read_end(read);
    if (c->first > c->ended)
        c->first = NO_BUCKET;
    return r;
}

int plan_make(struct purge *p, int64_t now_ms, struct purge_plan *plan)
{
    plan->count = 0;
    for (uint16_t cls = 1; cls <= STORE_CLASSES_MAX; cls++) {
        struct class_plan *c = &plan->at[plan->count];
        *c = (struct class_plan){.cls = cls};
        if (store_id_name(p->deps.store, STORE_NAME_CLASS, cls, c->name) != 0)
            break; /* numbers are given out without gaps */
        int r = retention_last_ended(p->deps.store, cls, now_ms, &c->ended);
        if (r == SLUIS_ENOENT)
            continue; /* the hold class, or a name of a later version */
        if (r == 0)
            r = class_state_read(p, cls, &c->state);
        if (r == 0)
            r = first_row(p, c);
        if (r != 0)
            return r;
        c->due = c->state.punctured == NO_BUCKET || c->state.punctured < c->ended;
        if (c->due || c->first != NO_BUCKET)
            plan->count++;
    }
    return 0;
}

/* ---- counting ---- */

struct slice {
    uint32_t bucket, ended;
    uint64_t serials[SLICE];
    unsigned n;
    bool more;
    uint64_t next; /* where the next slice begins, with `bucket` */
};

static int take_key(void *ctx, const struct record_id *id)
{
    struct slice *s = ctx;
    if (id->bucket > s->ended)
        return 1;
    if (s->n == SLICE) {
        s->bucket = id->bucket;
        s->next = id->serial;
        s->more = true;
        return 1;
    }
    if (s->n == 0 || s->bucket != id->bucket || s->serials[s->n - 1] != id->serial)
        s->serials[s->n++] = id->serial;
    s->bucket = id->bucket;
    return 0;
}

int subjects_add(struct subjects *seen, uint64_t subject, uint64_t *count)
{
    uint64_t at = subject / 8;
    if (subject == 0)
        return 0;
    if (at >= SUBJECTS_BYTES_MAX)
        return SLUIS_ELIMIT;
    if (at >= seen->bytes) {
        size_t bytes = seen->bytes ? seen->bytes : 4096;
        while (bytes <= at)
            bytes *= 2;
        uint8_t *bits = realloc(seen->bits, bytes);
        if (!bits)
            return SLUIS_ENOMEM;
        memset(bits + seen->bytes, 0, bytes - seen->bytes);
        seen->bits = bits;
        seen->bytes = bytes;
    }
    uint8_t bit = (uint8_t)(1u << subject % 8);
    *count += !(seen->bits[at] & bit);
    seen->bits[at] |= bit;
    return 0;
}

bool subjects_has(const struct subjects *seen, uint64_t subject)
{
    return subject / 8 < seen->bytes && seen->bits[subject / 8] >> subject % 8 & 1;
}

/* One read transaction: at most SLICE records. */
static int count_slice(struct purge *p, struct class_plan *c, struct slice *s,
                       struct subjects *seen)
{
    struct store_read *read;
    s->n = 0;
    s->more = false;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_key(read, c->cls, s->bucket, s->next, take_key, s);
    for (unsigned i = 0; r == 0 && i < s->n; i++) {
        struct store_item item;
        c->messages++;
        r = store_get_item(read, s->serials[i], &item);
        if (r == 0)
            r = subjects_add(seen, item.subject, &c->subjects);
        else if (r == SLUIS_ENOENT)
            r = 0; /* quarantine: not in the journal, nobody's */
    }
    store_read_end(read);
    return r;
}

int plan_count(struct purge *p, struct class_plan *c)
{
    struct slice *s = malloc(sizeof(*s));
    struct subjects seen = {NULL, 0};
    int r = s ? 0 : SLUIS_ENOMEM;
    c->messages = c->subjects = 0;
    if (c->first == NO_BUCKET || r != 0)
        goto out;
    *s = (struct slice){.bucket = c->first, .ended = c->ended, .more = true};
    while (r == 0 && s->more)
        r = purge_stopping(p) ? SLUIS_ECLOSED : count_slice(p, c, s, &seen);
out:
    free(seen.bits);
    free(s);
    return r;
}
