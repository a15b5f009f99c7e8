/*
 * Numbers change hands: whose is a message with this number and this user id, and whose is the
 * number from now on (subject.h says why). `weigh` decides and is pure; facts of the persons are
 * only read when the identifiers do not agree.
 */
#include "resolver.h"

#include <sodium.h>

#include "sluis/base/clock.h"

#define RECORDS_MAX 64 /* of one person, as in an erasure */

struct facts {         /* of one subject */
    bool other_user;   /* has another user id than the message's */
    bool other_number; /* has another number */
    int64_t since_ms;  /* has the message's number since then */
};

static bool is_number(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
    return text.n > 0;
}

struct walk {
    struct subject_resolver *resolver;
    uint8_t prefix[SUBJECT_RECORD_PREFIX];
    struct span user, number;
    struct facts *out;
    unsigned n;
};

static int take_record(void *ctx, struct span key, struct span value)
{
    struct walk *w = ctx;
    struct subject_identifier id;
    if (!span_starts(key, span_of(w->prefix, sizeof(w->prefix))) || w->n++ == RECORDS_MAX)
        return 1;
    int r = subject_record_open(w->resolver->keys, key, value, &id);
    struct span text = span_of(id.text, id.n);
    if (r == 0 && id.until_ms == 0 && is_number(text)) {
        if (span_eq(text, w->number))
            w->out->since_ms = id.since_ms;
        else
            w->out->other_number = true;
    } else if (r == 0 && id.until_ms == 0 && !span_eq(text, w->user)) {
        w->out->other_user = true;
    }
    sodium_memzero(&id, sizeof(id));
    /* what does not open says nothing; doctor and erasure report it */
    return r == SLUIS_ECRYPTO || r == SLUIS_EINVAL || r == SLUIS_EEXPIRED ? 0 : r;
}

static int find_facts(struct subject_resolver *resolver, uint64_t subject, struct span user,
                      struct span number, struct facts *out)
{
    char texts[2][SUBJECT_IDENTIFIER_MAX];
    struct walk w = {.resolver = resolver,
                     .user = identifier_text(user, texts[0]),
                     .number = identifier_text(number, texts[1]),
                     .out = out};
    struct store_read *read;
    *out = (struct facts){.since_ms = 0};
    int r = store_read_begin(resolver->store, &read);
    if (r != 0)
        return r;
    subject_record_prefix(subject, w.prefix);
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(w.prefix, sizeof(w.prefix)), take_record,
                       &w);
    store_read_end(read);
    sodium_memzero(texts, sizeof(texts));
    return r < 0 ? r : 0;
}

void change_tag(struct subject_resolver *resolver, uint64_t subject, struct span identity,
                uint8_t out[STORE_TAG_BYTES])
{
    uint8_t hash[STORE_HASH_BYTES];
    memset(out, 0, STORE_TAG_BYTES);
    if (identity.n == 0 || identity.n > SUBJECT_IDENTIFIER_MAX ||
        keyring_hash_subject(resolver->keys, subject, "identity", identity, hash) != 0)
        return;
    memcpy(out, hash, STORE_TAG_BYTES);
    out[0] |= 1; /* zeros say that none is known */
}

/* What the number itself says of who uses it. */
enum sign { SIGN_NONE, SIGN_SAME, SIGN_OTHER };

static enum sign sign_of(struct subject_resolver *resolver, const struct lookup *number,
                         const struct subject_message *m)
{
    static const uint8_t none[STORE_TAG_BYTES];
    uint8_t tag[STORE_TAG_BYTES];
    int64_t day = (m ? m->at_ms : clock_wall_ms()) / DAY_MS;
    change_tag(resolver, number->serial, m ? m->identity : SPAN_EMPTY, tag);
    if (memcmp(tag, none, sizeof(none)) != 0 && memcmp(number->tag, none, sizeof(none)) != 0)
        return memcmp(tag, number->tag, sizeof(tag)) == 0 ? SIGN_SAME : SIGN_OTHER;
    return number->heard && day >= number->heard + SUBJECT_SILENT_DAYS ? SIGN_OTHER : SIGN_NONE;
}

/* The number is known as `had`'s; the user id is not known. What is not said by its user (a status
 * of what was sent, a tool's word) may come from whoever has the number by now, of whom nothing was
 * heard yet: their id is then not added to those of whoever had it before. */
static void weigh_new_user(const struct lookup *number, const struct facts *had, enum sign sign,
                           const struct subject_message *m, struct change *out)
{
    bool says = m && m->speaks;
    if (had->other_user && says) { /* late ones of before leave the number where it is */
        out->serial = 0;
        out->takes = !number->pending && m->at_ms >= had->since_ms;
    } else if (had->other_user || (!says && sign == SIGN_OTHER)) {
        out->leaves_user = true;
    } else if (says && !number->pending && sign == SIGN_OTHER) {
        out->serial = 0;
        out->takes = true;
    }
}

/* Both are known, of two subjects. */
static void weigh_both(const struct facts *had, const struct facts *user, enum sign sign,
                       const struct subject_message *m, struct change *out)
{
    out->takes = m->at_ms >= had->since_ms;
    out->links = out->takes && sign != SIGN_OTHER && !had->other_user && !user->other_number;
}

int change_decide(struct subject_resolver *resolver, const struct lookup *user,
                  const struct lookup *number, const struct subject_message *m, struct change *out)
{
    uint64_t by_user = user ? user->serial : 0, by_number = number ? number->serial : 0;
    struct facts had = {.since_ms = 0}, has = {.since_ms = 0};
    *out = (struct change){.serial = by_user ? by_user : by_number};
    if (!by_number || by_user == by_number)
        return 0;
    bool speaks = m && m->speaks && !number->pending;
    if (by_user && !speaks)
        return 0;
    enum sign sign = speaks || user ? sign_of(resolver, number, m) : SIGN_NONE;
    if (!user) {
        out->takes = sign == SIGN_OTHER;
        out->serial = out->takes ? 0 : by_number;
        return 0;
    }
    int r = find_facts(resolver, by_number, user->text, number->text, &had);
    if (r == 0 && by_user)
        r = find_facts(resolver, by_user, user->text, number->text, &has);
    if (r == 0 && by_user)
        weigh_both(&had, &has, sign, m, out);
    else if (r == 0)
        weigh_new_user(number, &had, sign, m, out);
    return r;
}
