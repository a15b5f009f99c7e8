/* Persons and grants: rows, and what is kept of them in memory. */
#include "people.h"

#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#define PERSON_VERSION 2 /* 1 ends with the hash: nobody had to be confirmed */
#define GRANT_VERSION 1
#define ROW_MAX 1024
#define FLUSH_BATCH 32u /* persons in one commit */

/* ---- rows ---- */

static void text_put(const char *text, struct buffer *out)
{
    buffer_add_char(out, (char)strlen(text));
    buffer_add_str(out, text);
}

static bool text_get(struct span *in, char *out, size_t size)
{
    size_t n = in->n ? (uint8_t)in->p[0] : size;
    if (n >= size || in->n < 1 + n)
        return false;
    memcpy(out, in->p + 1, n);
    out[n] = '\0';
    *in = span_from(*in, 1 + n);
    return strlen(out) == n;
}

/* version, id, times (4 of 8), last step (8), removed (1), secret, name, added_by, hash,
 * enrolled_by, confirmed_by, confirmed (8), waits (1) */
static void person_write(const struct person_row *row, struct buffer *out)
{
    const struct person *p = &row->person;
    buffer_add_char(out, PERSON_VERSION);
    buffer_add_be64(out, p->id);
    buffer_add_be64(out, (uint64_t)p->created_ms);
    buffer_add_be64(out, (uint64_t)p->last_use_ms);
    buffer_add_be64(out, (uint64_t)p->one_time_until_ms);
    buffer_add_be64(out, row->last_step);
    buffer_add_char(out, p->removed ? 1 : 0);
    buffer_add(out, span_of(row->secret, PERSON_SECRET));
    text_put(p->name, out);
    text_put(p->added_by, out);
    text_put(row->hash, out);
    text_put(p->enrolled_by, out);
    text_put(p->confirmed_by, out);
    buffer_add_be64(out, (uint64_t)p->confirmed_ms);
    buffer_add_char(out, p->waits ? 1 : 0);
}

#define PERSON_FIXED (1 + 5 * 8 + 1 + PERSON_SECRET)

static bool read_confirmed(struct span in, struct person *p)
{
    if (!text_get(&in, p->enrolled_by, sizeof(p->enrolled_by)) ||
        !text_get(&in, p->confirmed_by, sizeof(p->confirmed_by)) || in.n != 9 ||
        (uint8_t)in.p[8] > 1)
        return false;
    p->confirmed_ms = (int64_t)be64_get((const uint8_t *)in.p);
    p->waits = in.p[8] == 1;
    return true;
}

static int person_read(struct span in, struct person_row *row)
{
    const uint8_t *at = (const uint8_t *)in.p;
    memset(row, 0, sizeof(*row));
    if (in.n < PERSON_FIXED || at[0] == 0 || at[0] > PERSON_VERSION || at[41] > 1)
        return SLUIS_EINVAL;
    row->person.id = be64_get(at + 1);
    row->person.created_ms = (int64_t)be64_get(at + 9);
    row->person.last_use_ms = (int64_t)be64_get(at + 17);
    row->person.one_time_until_ms = (int64_t)be64_get(at + 25);
    row->last_step = be64_get(at + 33);
    row->person.removed = at[41] == 1;
    memcpy(row->secret, at + 42, PERSON_SECRET);
    in = span_from(in, PERSON_FIXED);
    if (!text_get(&in, row->person.name, sizeof(row->person.name)) ||
        !text_get(&in, row->person.added_by, sizeof(row->person.added_by)) ||
        !text_get(&in, row->hash, sizeof(row->hash)) || !token_name_valid(row->person.name))
        return SLUIS_EINVAL;
    if (at[0] == 1)
        return in.n ? SLUIS_EINVAL : 0;
    return read_confirmed(in, &row->person) ? 0 : SLUIS_EINVAL;
}

static void grant_write(const struct access_grant *g, struct buffer *out)
{
    buffer_add_char(out, GRANT_VERSION);
    buffer_add_be64(out, g->id);
    buffer_add_be64(out, g->person);
    buffer_add_be64(out, (uint64_t)g->granted_ms);
    buffer_add_char(out, g->all ? 1 : 0);
    text_put(g->role, out);
    text_put(g->granted_by, out);
    buffer_add_char(out, (char)g->channel_count);
    for (unsigned i = 0; i < g->channel_count; i++)
        buffer_add_be16(out, g->channels[i]);
}

static int grant_read(struct span in, struct access_grant *g)
{
    const uint8_t *at = (const uint8_t *)in.p;
    memset(g, 0, sizeof(*g));
    if (in.n < 26 || at[0] != GRANT_VERSION || at[25] > 1)
        return SLUIS_EINVAL;
    g->id = be64_get(at + 1);
    g->person = be64_get(at + 9);
    g->granted_ms = (int64_t)be64_get(at + 17);
    g->all = at[25] == 1;
    in = span_from(in, 26);
    if (!text_get(&in, g->role, sizeof(g->role)) ||
        !text_get(&in, g->granted_by, sizeof(g->granted_by)) || in.n < 1)
        return SLUIS_EINVAL;
    g->channel_count = (uint8_t)in.p[0];
    if (g->channel_count > ACCESS_CHANNELS_MAX || in.n != 1 + 2 * (size_t)g->channel_count)
        return SLUIS_EINVAL;
    for (unsigned i = 0; i < g->channel_count; i++)
        g->channels[i] = be16_get((const uint8_t *)in.p + 1 + 2 * i);
    return 0;
}

int people_load(struct people *people, char kind, uint64_t id, struct span plain)
{
    int result = SLUIS_EINVAL;
    if (kind == 'p') {
        if (people->person_count == ACCESS_PERSONS_MAX)
            return SLUIS_ELIMIT;
        struct person_row *row = &people->persons[people->person_count];
        result = person_read(plain, row);
        if (!result && row->person.id != id)
            result = SLUIS_ECRYPTO;
        if (id >= people->next_person)
            people->next_person = id + 1;
        if (!result)
            people->person_count++;
    } else if (kind == 'o') {
        if (plain.n != 8)
            return SLUIS_EINVAL;
        people->governed = (uint32_t)be64_get((const uint8_t *)plain.p);
        result = 0;
    } else if (kind == 'g') {
        if (people->grant_count == ACCESS_GRANTS_MAX)
            return SLUIS_ELIMIT;
        struct access_grant *grant = &people->grants[people->grant_count];
        result = grant_read(plain, grant);
        if (!result && grant->id != id)
            result = SLUIS_ECRYPTO;
        if (id >= people->next_grant)
            people->next_grant = id + 1;
        if (!result)
            people->grant_count++;
    }
    return result;
}

int person_commit(struct people *people, const struct person_row *row, uint64_t gone)
{
    struct buffer plain;
    buffer_init(&plain, ROW_MAX);
    person_write(row, &plain);
    const struct principal_row rows[] = {{'p', row->person.id, buffer_span(&plain)},
                                         {'p', gone, SPAN_EMPTY}};
    int result = plain.error;
    if (!result)
        result = principal_rows_put(people->access, rows, gone ? 2 : 1);
    buffer_free(&plain);
    return result;
}

/* Grants of a person, out of memory when their rows are. */
static void grants_drop(struct people *people, uint64_t person)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < people->grant_count; i++)
        if (people->grants[i].person != person)
            people->grants[kept++] = people->grants[i];
    people->grant_count = kept;
}

int person_gone(struct people *people, const struct person_row *row)
{
    struct principal_row rows[1 + ACCESS_CHANNELS_MAX];
    struct buffer plain;
    unsigned n = 1;
    buffer_init(&plain, ROW_MAX);
    person_write(row, &plain);
    rows[0] = (struct principal_row){'p', row->person.id, buffer_span(&plain)};
    pthread_mutex_lock(&people->lock);
    for (unsigned i = 0; i < people->grant_count && n <= ACCESS_CHANNELS_MAX; i++)
        if (people->grants[i].person == row->person.id)
            rows[n++] = (struct principal_row){'g', people->grants[i].id, SPAN_EMPTY};
    pthread_mutex_unlock(&people->lock);
    int result = plain.error ? plain.error : principal_rows_put(people->access, rows, n);
    buffer_free(&plain);
    if (result)
        return result;
    pthread_mutex_lock(&people->lock);
    grants_drop(people, row->person.id);
    person_by_id(people, row->person.id)->due = false;
    pthread_mutex_unlock(&people->lock);
    return 0;
}

static int grant_commit(struct people *people, const struct access_grant *grant)
{
    struct buffer plain;
    buffer_init(&plain, ROW_MAX);
    grant_write(grant, &plain);
    int result = plain.error;
    if (!result)
        result = principal_row_put(people->access, 'g', grant->id, buffer_span(&plain));
    buffer_free(&plain);
    return result;
}

/* ---- opening ---- */

int people_open(struct access *access, struct people **out)
{
    struct people *people = calloc(1, sizeof(*people));
    if (!people)
        return SLUIS_ENOMEM;
    people->access = access;
    people->next_person = people->next_grant = 1;
    people->ops = PERSON_OPS;
    people->mem = PERSON_MEM;
    pthread_mutex_init(&people->change, NULL);
    pthread_mutex_init(&people->lock, NULL);
    pthread_cond_init(&people->work, NULL);
    throttle_init(&people->throttle);
    people->persons = calloc(ACCESS_PERSONS_MAX, sizeof(*people->persons));
    people->grants = calloc(ACCESS_GRANTS_MAX, sizeof(*people->grants));
    people->sessions = calloc(SESSIONS_MAX, sizeof(*people->sessions));
    if (!people->persons || !people->grants || !people->sessions) {
        people_close(people);
        return SLUIS_ENOMEM;
    }
    *out = people;
    return 0;
}

void people_close(struct people *people)
{
    if (!people)
        return;
    sign_in_stop(people);
    if (people->persons)
        sodium_memzero(people->persons, ACCESS_PERSONS_MAX * sizeof(*people->persons));
    if (people->sessions)
        sodium_memzero(people->sessions, SESSIONS_MAX * sizeof(*people->sessions));
    free(people->persons);
    free(people->grants);
    free(people->sessions);
    throttle_free(&people->throttle);
    pthread_cond_destroy(&people->work);
    pthread_mutex_destroy(&people->lock);
    pthread_mutex_destroy(&people->change);
    sodium_memzero(people, sizeof(*people));
    free(people);
}

/* ---- looking up ---- */

struct person_row *person_by_id(struct people *people, uint64_t id)
{
    for (unsigned i = 0; i < people->person_count; i++)
        if (people->persons[i].person.id == id)
            return &people->persons[i];
    return NULL;
}

struct person_row *person_by_name(struct people *people, const char *name)
{
    for (unsigned i = 0; i < people->person_count; i++)
        if (!people->persons[i].person.removed && strcmp(people->persons[i].person.name, name) == 0)
            return &people->persons[i];
    return NULL;
}

void principal_of(const struct person *person, struct principal *out)
{
    memset(out, 0, sizeof(*out));
    out->kind = PRINCIPAL_PERSON;
    out->id = person->id;
    memcpy(out->name, person->name, sizeof(out->name));
    out->created_ms = person->created_ms;
    out->revoked = person->removed;
}

int access_person_find(struct access *access, const char *name, struct person *out)
{
    struct people *people = people_of(access);
    pthread_mutex_lock(&people->lock);
    const struct person_row *row = person_by_name(people, name);
    for (unsigned i = 0; !row && i < people->person_count; i++)
        if (people->persons[i].due && strcmp(people->persons[i].person.name, name) == 0)
            row = &people->persons[i]; /* whose removal is to be tried again */
    if (row)
        *out = row->person;
    pthread_mutex_unlock(&people->lock);
    return row ? 0 : SLUIS_ENOENT;
}

int access_each_person(struct access *access, int (*each)(void *ctx, const struct person *p),
                       void *ctx)
{
    struct people *people = people_of(access);
    pthread_mutex_lock(&people->lock);
    unsigned count = people->person_count;
    struct person *copy = calloc(count ? count : 1, sizeof(*copy));
    for (unsigned i = 0; copy && i < count; i++) {
        copy[i] = people->persons[i].person;
        if (people->persons[i].used_ms > copy[i].last_use_ms)
            copy[i].last_use_ms = people->persons[i].used_ms;
    }
    pthread_mutex_unlock(&people->lock);
    if (!copy)
        return SLUIS_ENOMEM;
    for (unsigned i = 0; i < count; i++)
        if (each(ctx, &copy[i]) != 0)
            break;
    free(copy);
    return 0;
}

/* ---- written down later ---- */

/* The next persons from `id` who are to be written: last use newer by `than`, or what failed. */
static unsigned next_due(struct people *people, uint64_t *from, int64_t than,
                         struct person_row out[FLUSH_BATCH])
{
    unsigned n = 0;
    pthread_mutex_lock(&people->lock);
    for (unsigned i = 0; i < people->person_count && n < FLUSH_BATCH; i++) {
        const struct person_row *row = &people->persons[i];
        bool used = row->used_ms && row->used_ms >= row->person.last_use_ms + than;
        if (row->person.id < *from || !(used || row->due))
            continue;
        out[n] = *row;
        if (used)
            out[n].person.last_use_ms = row->used_ms;
        *from = out[n++].person.id + 1;
    }
    pthread_mutex_unlock(&people->lock);
    return n;
}

static int used_commit(struct people *people, const struct person_row *batch, unsigned n)
{
    struct principal_row rows[FLUSH_BATCH];
    struct buffer plain[FLUSH_BATCH];
    int result = 0;
    for (unsigned i = 0; i < n; i++) {
        buffer_init(&plain[i], ROW_MAX);
        person_write(&batch[i], &plain[i]);
        result = result ? result : plain[i].error;
        rows[i] = (struct principal_row){'p', batch[i].person.id, buffer_span(&plain[i])};
    }
    if (!result)
        result = principal_rows_put(people->access, rows, n);
    for (unsigned i = 0; i < n; i++)
        buffer_free(&plain[i]);
    pthread_mutex_lock(&people->lock);
    for (unsigned i = 0; !result && i < n; i++)
        person_by_id(people, batch[i].person.id)->person.last_use_ms = batch[i].person.last_use_ms;
    pthread_mutex_unlock(&people->lock);
    return result;
}

int people_flush(struct people *people, int64_t than_ms)
{
    struct person_row batch[FLUSH_BATCH];
    uint64_t from = 0;
    unsigned n;
    int result = 0;
    pthread_mutex_lock(&people->change);
    if (people->governed_due)
        result = governed_commit(people);
    while (!result && (n = next_due(people, &from, than_ms, batch)) > 0) {
        result = used_commit(people, batch, n);
        for (unsigned i = 0; !result && i < n; i++)
            if (batch[i].due)
                result = person_gone(people, &batch[i]);
    }
    pthread_mutex_unlock(&people->change);
    sodium_memzero(batch, sizeof(batch));
    return result;
}

/* ---- grants ---- */

/* May this be granted? Under `change`. */
static int grant_check(struct people *people, const struct access_grant *wanted, int64_t now_ms,
                       enum access_why *why)
{
    struct access_grant of_person[ACCESS_CHANNELS_MAX + 1];
    struct person_row *row;
    unsigned n = 0;
    int result = 0;
    *why = ACCESS_NO_GRANT;
    if (!token_name_valid(wanted->role) || wanted->channel_count > ACCESS_CHANNELS_MAX ||
        wanted->all == (wanted->channel_count > 0))
        return SLUIS_EINVAL;
    pthread_mutex_lock(&people->lock);
    row = person_by_id(people, wanted->person);
    if (!row || row->person.removed)
        result = SLUIS_ENOENT;
    else if (strcmp(row->person.name, wanted->granted_by) == 0)
        *why = ACCESS_NO_RIGHT, result = SLUIS_EDENIED; /* nobody gives himself a role */
    else if (people->grant_count == ACCESS_GRANTS_MAX)
        result = SLUIS_ELIMIT;
    for (unsigned i = 0; !result && i < people->grant_count; i++) {
        if (people->grants[i].person != wanted->person)
            continue;
        if (n == ACCESS_CHANNELS_MAX)
            result = SLUIS_ELIMIT;
        else
            of_person[n++] = people->grants[i];
    }
    pthread_mutex_unlock(&people->lock);
    if (result)
        return result;
    if (rights_of(people->access, wanted, 1, now_ms) == 0)
        return SLUIS_EDENIED; /* a role that nobody defines, or that may nothing */
    of_person[n++] = *wanted;
    uint32_t all = rights_of(people->access, of_person, n, now_ms);
    *why = all & access_conflicts(all) ? ACCESS_CONFLICT : ACCESS_GRANTED;
    return *why == ACCESS_GRANTED ? 0 : SLUIS_EDENIED;
}

int access_grant_add(struct access *access, const struct access_grant *wanted, int64_t now_ms,
                     uint64_t *id, enum access_why *why)
{
    struct people *people = people_of(access);
    struct access_grant grant = *wanted;
    pthread_mutex_lock(&people->change);
    int result = grant_check(people, wanted, now_ms, why);
    if (!result) {
        grant.id = people->next_grant++; /* only holders of `change` give ids */
        grant.granted_ms = now_ms;
        result = grant_commit(people, &grant);
    }
    if (!result) {
        pthread_mutex_lock(&people->lock);
        people->grants[people->grant_count++] = grant;
        pthread_mutex_unlock(&people->lock);
        *id = grant.id;
    }
    pthread_mutex_unlock(&people->change);
    if (!result)
        officers_look(access);
    return result;
}

int access_grant_revoke(struct access *access, uint64_t id)
{
    struct people *people = people_of(access);
    int result = SLUIS_ENOENT;
    officers_look(access);
    pthread_mutex_lock(&people->change);
    pthread_mutex_lock(&people->lock);
    for (unsigned i = 0; result && i < people->grant_count; i++) {
        if (people->grants[i].id != id)
            continue;
        memmove(&people->grants[i], &people->grants[i + 1],
                (people->grant_count - i - 1) * sizeof(*people->grants));
        people->grant_count--; /* at once, before it is durable */
        result = 0;
    }
    pthread_mutex_unlock(&people->lock);
    /* The row goes also when memory has it no more: it may be one that could not be deleted before.
     */
    if (!result || id < people->next_grant) {
        int gone = principal_row_put(access, 'g', id, SPAN_EMPTY);
        result = gone ? gone : result;
    }
    pthread_mutex_unlock(&people->change);
    return result;
}

int access_each_grant(struct access *access, int (*each)(void *ctx, const struct access_grant *g),
                      void *ctx)
{
    struct people *people = people_of(access);
    pthread_mutex_lock(&people->lock);
    unsigned count = people->grant_count;
    struct access_grant *copy = calloc(count ? count : 1, sizeof(*copy));
    if (copy)
        memcpy(copy, people->grants, count * sizeof(*copy));
    pthread_mutex_unlock(&people->lock);
    if (!copy)
        return SLUIS_ENOMEM;
    for (unsigned i = 0; i < count; i++)
        if (each(ctx, &copy[i]) != 0)
            break;
    free(copy);
    return 0;
}
