/* Whom an identifier means: a number may have been several persons', one after the other. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/subject.h"

_Static_assert(SUBJECT_OWNERS_MAX == PURGE_OWNERS_MAX, "the door has room for all");

/* "#17": that subject, if anything is known of it. */
static int find_serial(struct purge *p, struct span digits, struct purge_owner *out)
{
    struct store_read *read;
    uint64_t subject;
    int r = span_u64(digits, &subject);
    if (r != 0 || subject == 0)
        return SLUIS_EINVAL;
    r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = subject_known(read, subject);
    store_read_end(read);
    *out = (struct purge_owner){.subject = subject};
    return r;
}

/* Days since 1970 of a date of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level
 * date algorithms", days_from_civil). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "2026-11-22" as that day's first millisecond. */
static int day_of(struct span text, int64_t *ms)
{
    uint64_t y, m, d;
    if (text.n != 10 || text.p[4] != '-' || text.p[7] != '-' ||
        span_u64(span_sub(text, 0, 4), &y) != 0 || span_u64(span_sub(text, 5, 7), &m) != 0 ||
        span_u64(span_sub(text, 8, 10), &d) != 0 || y < 1970 || m < 1 || m > 12 || d < 1 || d > 31)
        return SLUIS_EINVAL;
    int64_t day = days_of((int64_t)y, (int64_t)m, (int64_t)d);
    int64_t next = days_of((int64_t)(y + m / 12), (int64_t)(m % 12) + 1, 1);
    *ms = day * DAY_MS;
    return day < next ? 0 : SLUIS_EINVAL; /* no 31st of June: another day's owner is a stranger */
}

static int find_owners(struct purge *p, struct span identifier, struct purge_owner *out,
                       unsigned *n)
{
    struct subject_owner owners[SUBJECT_OWNERS_MAX];
    char text[SUBJECT_WRITTEN_MAX + 2];
    struct store_read *read;
    struct span known = subject_normalise(identifier, text);
    if (!known.n)
        return SLUIS_EINVAL;
    int r = store_read_begin(p->deps.store, &read);
    if (r == 0) {
        r = subject_owners(read, p->deps.keyring, p->cache, known, owners);
        store_read_end(read);
    }
    sodium_memzero(text, sizeof(text));
    for (int i = 0; i < r; i++)
        out[i] = (struct purge_owner){.subject = owners[i].subject,
                                      .since_ms = owners[i].since_ms,
                                      .until_ms = owners[i].until_ms};
    *n = r > 0 ? (unsigned)r : 0;
    return r < 0 ? r : 0;
}

/* The newest first: who has it now, then who had it last. */
static int by_end(const void *a, const void *b)
{
    const struct purge_owner *x = a, *y = b;
    if (!x->until_ms || !y->until_ms)
        return !x->until_ms ? (y->until_ms ? -1 : 0) : 1;
    return x->until_ms > y->until_ms ? -1 : x->until_ms < y->until_ms;
}

int person_owners(struct purge *p, struct span identifier, struct purge_owner out[PURGE_OWNERS_MAX],
                  unsigned *n)
{
    int64_t day_ms = 0;
    bool dated = false;
    memset(out, 0, PURGE_OWNERS_MAX * sizeof(*out));
    *n = 0;
    if (identifier.n > 1 && identifier.p[0] == '#') {
        int r = find_serial(p, span_from(identifier, 1), &out[0]);
        *n = r == 0;
        return r == SLUIS_ENOENT ? 0 : r;
    }
    size_t at = span_find(identifier, '@');
    if (at < identifier.n) {
        if (day_of(span_from(identifier, at + 1), &day_ms) != 0)
            return SLUIS_EINVAL;
        dated = true;
        identifier = span_sub(identifier, 0, at);
    }
    int r = find_owners(p, identifier, out, n);
    unsigned kept = 0;
    for (unsigned i = 0; r == 0 && i < *n; i++)
        if (!dated ||
            (out[i].since_ms < day_ms + DAY_MS && (!out[i].until_ms || out[i].until_ms > day_ms)))
            out[kept++] = out[i];
    *n = kept;
    qsort(out, kept, sizeof(*out), by_end);
    return r;
}

int person_find(struct purge *p, struct span identifier, uint64_t *subject)
{
    struct purge_owner owners[PURGE_OWNERS_MAX];
    unsigned n;
    int r = person_owners(p, identifier, owners, &n);
    *subject = owners[0].subject;
    if (r == 0)
        r = n == 0 ? SLUIS_ENOENT : n > 1 ? SLUIS_EMANY : 0;
    return r;
}
