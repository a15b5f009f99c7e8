/* Subjects on the real store and keyring. */
#include "../keyring/help.h"

#include <sodium.h>

#include "../store/support.h"
#include "cache.h"

#include "sluis/base/clock.h"

struct fixture {
    struct place place;
    char folder[256];
    struct store *store;
    struct keyring *keyring;
    struct subject_resolver *resolver;
};

static int setup(void **state)
{
    static struct fixture f;
    place_make(&f.place);
    test_folder(f.folder);
    assert_int_equal(place_open(&f.place, true, &f.keyring), 0);
    f.store = test_store(f.folder);
    assert_int_equal(subject_resolver_new(f.store, f.keyring, &f.resolver), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    subject_resolver_free(f->resolver);
    store_close(f->store);
    keyring_close(f->keyring);
    test_folder_remove(f->folder);
    place_remove(&f->place);
    return 0;
}

static int put(struct store_txn *txn, void *ctx)
{
    subject_put(txn, ctx);
    return store_txn_error(txn);
}

static void resolve(struct fixture *f, const char *phone, const char *user, struct subject *out)
{
    assert_int_equal(subject_resolve(f->resolver, span_str(phone), span_str(user), out), 0);
    assert_int_not_equal(out->serial, 0);
}

static void commit(struct fixture *f, struct subject *subject)
{
    int result = test_run(f->store, put, subject);
    assert_int_equal(result, 0);
    subject_settled(f->resolver, subject, result);
}

static void fresh_resolver(struct fixture *f)
{
    subject_resolver_free(f->resolver);
    assert_int_equal(subject_resolver_new(f->store, f->keyring, &f->resolver), 0);
}

static void known_again(void **state)
{
    struct fixture *f = *state;
    struct subject a, b, again;
    resolve(f, "31612345678", "", &a);
    assert_int_equal(a.new_hashes, 1);
    commit(f, &a);
    resolve(f, "31687654321", "", &b);
    assert_int_not_equal(a.serial, b.serial);
    commit(f, &b);
    for (int round = 0; round < 2; round++) {
        resolve(f, "31612345678", "", &again);
        assert_int_equal(again.serial, a.serial);
        assert_int_equal(again.new_hashes, 0);
        subject_settled(f->resolver, &again, 0);
        fresh_resolver(f); /* the second time from the store */
    }
    assert_int_equal(subject_resolve(f->resolver, SPAN_EMPTY, SPAN_EMPTY, &again), SLUIS_EINVAL);
}

static void pending_is_shared(void **state)
{
    struct fixture *f = *state;
    struct subject first, second, third;
    resolve(f, "31612345678", "NL.1", &first);
    resolve(f, "31612345678", "NL.1", &second);
    assert_int_equal(first.serial, second.serial);
    assert_int_equal(first.new_hashes, 2);
    assert_int_equal(second.new_hashes, 2); /* its job writes them too */
    /* the first job fails, the second stands */
    subject_settled(f->resolver, &first, SLUIS_EIO);
    resolve(f, "31612345678", "", &third);
    assert_int_equal(third.serial, second.serial);
    commit(f, &second);
    commit(f, &third);
    fresh_resolver(f);
    resolve(f, "", "NL.1", &third);
    assert_int_equal(third.serial, second.serial);
    assert_int_equal(third.new_hashes, 0);
}

static void failed_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct subject first, second;
    resolve(f, "31612345678", "", &first);
    subject_settled(f->resolver, &first, SLUIS_EFULL);
    subject_settled(f->resolver, &first, 0); /* twice: no harm */
    resolve(f, "31612345678", "", &second);
    assert_int_not_equal(first.serial, second.serial); /* serials are never reused */
    assert_int_equal(second.new_hashes, 1);
    commit(f, &second);
}

/* An erased person: what was known goes, what is pending does not come back, others stay. */
static void erased_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct subject a, other, busy, after;
    resolve(f, "31612345678", "", &a);
    resolve(f, "31612345678", "", &busy); /* two messages under way */
    resolve(f, "31687654321", "", &other);
    subject_resolver_forget(f->resolver, a.serial);
    resolve(f, "31612345678", "", &after);
    assert_int_not_equal(after.serial, a.serial);
    subject_settled(f->resolver, &busy, 0); /* the old one's end changes nothing of the new one */
    resolve(f, "31612345678", "", &busy);
    assert_int_equal(busy.serial, after.serial);
    assert_int_equal(busy.new_hashes, 1);
    resolve(f, "31687654321", "", &busy);
    assert_int_equal(busy.serial, other.serial);
}

static void linked(void **state)
{
    struct fixture *f = *state;
    struct subject a, b, c;
    resolve(f, "31612345678", "", &a);
    commit(f, &a);
    resolve(f, "31612345678", "NL.1", &b); /* the user id appears later */
    assert_int_equal(a.serial, b.serial);
    assert_int_equal(b.new_hashes, 1);
    commit(f, &b);
    resolve(f, "31699999999", "NL.1", &c); /* a new number of the same person */
    assert_int_equal(c.serial, a.serial);
    assert_int_equal(c.new_hashes, 1);
    commit(f, &c);
    /* two known subjects: the user id decides, nothing is merged */
    struct subject other, both;
    resolve(f, "31655555555", "NL.2", &other);
    commit(f, &other);
    resolve(f, "31655555555", "NL.1", &both);
    assert_int_equal(both.serial, a.serial);
    assert_int_equal(both.new_hashes, 0);
    resolve(f, "31655555555", "", &both);
    assert_int_equal(both.serial, other.serial);
    /* the same text twice is one identifier */
    resolve(f, "channel:x", "channel:x", &c);
    assert_int_equal(c.new_hashes, 1);
    commit(f, &c);
}

/* ---- numbers change hands ---- */

#define DAY ((int64_t)24 * 3600 * 1000)
#define BEGAN (20000 * DAY)

/* A message of the number's user, committed. */
static uint64_t says(struct fixture *f, const char *phone, const char *user, int64_t at_ms,
                     const char *identity, struct subject *out)
{
    struct subject own;
    const struct subject_message m = {
        .at_ms = at_ms, .speaks = true, .identity = span_str(identity)};
    out = out ? out : &own;
    assert_int_equal(subject_resolve_message(f->resolver, span_str(phone), span_str(user), &m, out),
                     0);
    commit(f, out);
    return out->serial;
}

static int owners(struct fixture *f, const char *phone, struct subject_owner *out)
{
    struct store_read *read;
    struct keyring_cache *keys;
    assert_int_equal(keyring_cache_new(f->keyring, &keys), 0);
    assert_int_equal(store_read_begin(f->store, &read), 0);
    int n = subject_owners(read, f->keyring, keys, span_str(phone), out);
    store_read_end(read);
    keyring_cache_free(keys);
    return n;
}

static unsigned link_count(struct fixture *f, uint64_t subject)
{
    struct store_read *read;
    uint64_t out[SUBJECT_LINKS_MAX];
    unsigned n = 0;
    assert_int_equal(store_read_begin(f->store, &read), 0);
    assert_int_equal(subject_links(read, subject, out, &n), 0);
    store_read_end(read);
    return n;
}

#define P "31612345678"

static void silent_number(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    struct subject s;
    int64_t since;
    uint64_t a = says(f, P, "", BEGAN, "", NULL);
    int64_t last = BEGAN + 6 * DAY;
    assert_int_equal(says(f, P, "", last, "", &s), a);
    assert_false(s.touches); /* not for every message */
    last = BEGAN + 7 * DAY;
    assert_int_equal(says(f, P, "", last, "", &s), a);
    assert_true(s.touches);
    assert_int_equal(says(f, P, "", last, "", &s), a);
    assert_false(s.touches);
    last += 179 * DAY;
    fresh_resolver(f); /* it stands in the store */
    assert_int_equal(says(f, P, "", last, "", NULL), a);
    assert_int_equal(owners(f, P, who), 1);
    assert_int_equal(subject_since(f->resolver, SPAN(P), SPAN_EMPTY, &since), 0);
    assert_int_equal(since, 0);
    /* what the organisation sends, and what Meta says of it, is not the user's */
    const struct subject_message status = {.at_ms = last + 180 * DAY};
    assert_int_equal(subject_resolve_message(f->resolver, SPAN(P), SPAN_EMPTY, &status, &s), 0);
    assert_int_equal(s.serial, a);
    subject_settled(f->resolver, &s, 0);
    resolve(f, P, "", &s);
    assert_int_equal(s.serial, a);
    subject_settled(f->resolver, &s, 0);
    fresh_resolver(f);
    uint64_t b = says(f, P, "", last + 180 * DAY, "", &s);
    assert_int_not_equal(b, a);
    for (int round = 0; round < 2; round++) { /* remembered, and from the store */
        resolve(f, P, "", &s);
        assert_int_equal(s.serial, b);
        assert_int_equal(s.new_hashes, 0);
        assert_int_equal(says(f, P, "", last + 180 * DAY + 1, "", &s), b);
        assert_false(s.touches);
        fresh_resolver(f);
    }
    assert_int_equal(owners(f, P, who), 2);
    assert_int_equal(who[0].subject, b);
    assert_true(who[0].since_ms == last + 180 * DAY && who[0].until_ms == 0);
    assert_int_equal(who[1].subject, a);
    assert_true(who[1].since_ms == BEGAN && who[1].until_ms == last + 180 * DAY);
    assert_int_equal(subject_since(f->resolver, SPAN(P), SPAN_EMPTY, &since), 0);
    assert_true(since == last + 180 * DAY);
    assert_int_equal(link_count(f, a) + link_count(f, b), 0); /* nothing leads to a stranger */
}

/* Who never wrote, and who has the same user id or identity hash, is the same person. */
static void same_after_silence(void **state)
{
    struct fixture *f = *state;
    struct subject s;
    resolve(f, P, "", &s); /* the organisation wrote first */
    commit(f, &s);
    uint64_t a = says(f, P, "", BEGAN, "", NULL);
    assert_int_equal(a, s.serial);
    uint64_t b = says(f, "31600000001", "NL.1", BEGAN, "", NULL);
    assert_int_equal(says(f, "31600000001", "NL.1", BEGAN + 400 * DAY, "", NULL), b);
    /* heard of then: also when the user id is left out */
    assert_int_equal(says(f, "31600000001", "", BEGAN + 500 * DAY, "", NULL), b);
    uint64_t c = says(f, "31600000002", "", BEGAN, "hash", NULL);
    assert_int_equal(says(f, "31600000002", "", BEGAN + 400 * DAY, "hash", NULL), c);
    assert_int_not_equal(says(f, "31600000002", "", BEGAN + 800 * DAY, "", NULL), c);
}

static void another_identity(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    uint64_t a = says(f, P, "", BEGAN, "", NULL);
    assert_int_equal(says(f, P, "", BEGAN + 1, "first", NULL), a); /* asked for since now */
    fresh_resolver(f);
    assert_int_equal(says(f, P, "", BEGAN + 2, "first", NULL), a);
    assert_int_equal(says(f, P, "", BEGAN + 3, "", NULL), a);
    uint64_t b = says(f, P, "", BEGAN + 4, "second", NULL);
    assert_int_not_equal(b, a);
    assert_int_equal(says(f, P, "", BEGAN + 5, "second", NULL), b);
    assert_int_equal(owners(f, P, who), 2);
    assert_int_equal(link_count(f, a), 0);
}

static void another_user_id(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    struct subject s;
    uint64_t a = says(f, P, "NL.1", BEGAN, "", NULL);
    /* a status or a tool's word does not make it so */
    const struct subject_message status = {.at_ms = BEGAN + DAY};
    assert_int_equal(subject_resolve_message(f->resolver, SPAN(P), SPAN("NL.2"), &status, &s), 0);
    assert_int_equal(s.serial, a);
    assert_int_equal(s.new_hashes, 0);
    uint64_t b = says(f, P, "NL.2", BEGAN + DAY, "", NULL);
    assert_int_not_equal(b, a);
    fresh_resolver(f);
    assert_int_equal(says(f, P, "NL.2", BEGAN + 2 * DAY, "", NULL), b);
    assert_int_equal(says(f, P, "", BEGAN + 2 * DAY, "", NULL), b);
    /* late: its author is who had the number then, and the number stays where it is */
    assert_int_equal(says(f, P, "NL.1", BEGAN + DAY - 1, "", NULL), a);
    assert_int_equal(says(f, P, "", BEGAN + 2 * DAY, "", NULL), b);
    assert_int_equal(owners(f, P, who), 2);
    assert_int_equal(who[0].subject, b);
    assert_int_equal(link_count(f, a) + link_count(f, b), 0);
}

static void apart_then_together(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    uint64_t a = says(f, P, "", BEGAN, "", NULL), b = says(f, "", "NL.1", BEGAN + 1, "", NULL);
    assert_int_not_equal(a, b);
    assert_int_equal(says(f, P, "NL.1", BEGAN + 2, "", NULL), b);
    assert_int_equal(link_count(f, a), 1);
    assert_int_equal(link_count(f, b), 1);
    for (int round = 0; round < 2; round++) { /* all to one from then on */
        assert_int_equal(says(f, P, "", BEGAN + 3, "", NULL), b);
        assert_int_equal(says(f, "", "NL.1", BEGAN + 3, "", NULL), b);
        fresh_resolver(f);
    }
    assert_int_equal(owners(f, P, who), 2);
    /* whoever was silent, or has another number or user id, is somebody else */
    uint64_t c = says(f, "31600000001", "", BEGAN, "", NULL);
    uint64_t d = says(f, "", "NL.2", BEGAN + 200 * DAY, "", NULL);
    assert_int_equal(says(f, "31600000001", "NL.2", BEGAN + 200 * DAY, "", NULL), d);
    uint64_t e = says(f, "31600000002", "", BEGAN, "", NULL);
    assert_int_equal(says(f, "31600000002", "NL.2", BEGAN + 200 * DAY, "", NULL), d);
    uint64_t g = says(f, "31600000003", "NL.3", BEGAN, "", NULL);
    assert_int_equal(says(f, "31600000003", "NL.2", BEGAN + DAY, "", NULL), d);
    assert_int_equal(link_count(f, c) + link_count(f, d) + link_count(f, e) + link_count(f, g), 0);
}

/* A number was given out again. What Meta reports of a reminder to it, or a tool says, has the new
 * user's id in it before that user wrote anything: the id is not the old one's. */
static void status_before_a_word(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    struct subject s;
    uint64_t a = says(f, P, "", BEGAN, "", NULL);
    const struct subject_message status = {.at_ms = BEGAN + 180 * DAY};
    assert_int_equal(subject_resolve_message(f->resolver, SPAN(P), SPAN("NL.2"), &status, &s), 0);
    assert_int_equal(s.serial, a); /* sent to whoever had the number as far as was known */
    commit(f, &s);
    resolve(f, P, "NL.2", &s); /* a tool, now: years later */
    assert_int_equal(s.serial, a);
    commit(f, &s);
    fresh_resolver(f);
    uint64_t b = says(f, P, "NL.2", BEGAN + 181 * DAY, "", NULL);
    assert_int_not_equal(b, a);
    assert_int_equal(says(f, "", "NL.2", BEGAN + 182 * DAY, "", NULL), b);
    assert_int_equal(owners(f, P, who), 2);
    /* of a number that was heard of lately it is the same person's */
    uint64_t c = says(f, "31600000001", "", BEGAN, "", NULL);
    const struct subject_message soon = {.at_ms = BEGAN + 10 * DAY};
    assert_int_equal(
        subject_resolve_message(f->resolver, SPAN("31600000001"), SPAN("NL.3"), &soon, &s), 0);
    commit(f, &s);
    assert_int_equal(says(f, "", "NL.3", BEGAN + 11 * DAY, "", NULL), c);
}

/* The number is being written for its owner when another user id's message comes by it: that
 * message is not the owner's, though the number does not change hands before it is settled. */
static void another_user_id_at_once(void **state)
{
    struct fixture *f = *state;
    struct subject own, other;
    const struct subject_message m = {.at_ms = BEGAN + 200 * DAY, .speaks = true};
    const struct subject_message next = {.at_ms = BEGAN + 200 * DAY + 1, .speaks = true};
    (void)says(f, P, "", BEGAN, "", NULL);
    uint64_t a = says(f, "", "NL.1", BEGAN, "", NULL);
    assert_int_equal(says(f, "31600000001", "NL.1", BEGAN, "", NULL), a);
    assert_int_equal(subject_resolve_message(f->resolver, SPAN(P), SPAN("NL.1"), &m, &own), 0);
    assert_int_equal(own.serial, a);
    assert_int_equal(own.new_hashes, 1);
    assert_int_equal(subject_resolve_message(f->resolver, SPAN(P), SPAN("NL.2"), &next, &other), 0);
    assert_int_not_equal(other.serial, a);
    commit(f, &own);
    commit(f, &other);
    assert_int_equal(says(f, P, "NL.2", BEGAN + 201 * DAY, "", NULL), other.serial);
    assert_int_equal(says(f, P, "", BEGAN + 201 * DAY, "", NULL), other.serial);
}

/* Consent from before the number was its owner's: a user id that nobody knows does not make it
 * theirs; one that is known says whom it is of. However many had the number. */
static void since_by_user_id(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    int64_t since;
    for (unsigned i = 0; i < SUBJECT_OWNERS_MAX + 4; i++) {
        char user[16];
        snprintf(user, sizeof(user), "NL.%u", i + 1);
        (void)says(f, P, user, BEGAN + i * DAY, "", NULL);
        assert_int_equal(subject_since(f->resolver, SPAN(P), SPAN("NL.none"), &since), 0);
        assert_true(since == (i ? BEGAN + i * DAY : 0));
        assert_int_equal(subject_since(f->resolver, SPAN(P), SPAN_EMPTY, &since), 0);
        assert_true(since == (i ? BEGAN + i * DAY : 0));
        assert_int_equal(subject_since(f->resolver, SPAN(P), span_str(user), &since), 0);
        assert_true(since == 0);
    }
    assert_int_equal(owners(f, P, who), SLUIS_ELIMIT); /* rather none than not everybody */
}

static int put_tombstone(struct store_txn *txn, void *ctx)
{
    const int64_t *ms = ctx;
    struct fixture *f = (struct fixture *)(uintptr_t)ms[2];
    subject_tombstone_put(txn, f->keyring, SPAN(P), ms[0], ms[1]);
    return store_txn_error(txn);
}

/* Two who had a number one after the other are erased on one day: late messages of either. */
static void erased_twice_a_day(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms(), day = now / DAY * DAY;
    int64_t times[4] = {day + 1000, day + 5000, day + 3000, day + 9000};
    for (unsigned i = 0; i < 4; i++) {
        int64_t ctx[3] = {times[i], day + 20000, (int64_t)(uintptr_t)f};
        assert_int_equal(test_run(f->store, put_tombstone, ctx), 0);
    }
    fresh_resolver(f);
    assert_int_equal(subject_erased(f->resolver, SPAN(P), SPAN_EMPTY, day), SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(f->resolver, SPAN(P), SPAN_EMPTY, day + 2000), SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(f->resolver, SPAN(P), SPAN_EMPTY, day + 8000), SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(f->resolver, SPAN(P), SPAN_EMPTY, day + 9000), 0);
}

/* Two messages at once when the number changes hands: whichever job stands, it has changed. */
static void changing_twice(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    const struct subject_message m = {.at_ms = BEGAN + 200 * DAY, .speaks = true};
    for (unsigned fails = 0; fails < 3; fails++) { /* none, the first, both */
        char phone[16];
        struct subject s[2], after;
        snprintf(phone, sizeof(phone), "3161000000%u", fails);
        uint64_t a = says(f, phone, "", BEGAN, "", NULL);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(
                subject_resolve_message(f->resolver, span_str(phone), SPAN_EMPTY, &m, &s[i]), 0);
        assert_int_not_equal(s[0].serial, a);
        assert_int_equal(s[0].serial, s[1].serial);
        for (unsigned i = 0; i < 2; i++) {
            if (i < fails)
                subject_settled(f->resolver, &s[i], SLUIS_EIO);
            else
                commit(f, &s[i]);
        }
        for (int round = 0; round < 2; round++) {
            resolve(f, phone, "", &after);
            assert_int_equal(after.serial, fails < 2 ? s[0].serial : a);
            assert_int_equal(after.new_hashes, 0);
            fresh_resolver(f);
        }
        assert_int_equal(owners(f, phone, who), fails < 2 ? 2 : 1);
    }
}

static int erase_records(struct store_txn *txn, void *ctx)
{
    subject_records_delete(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

/* Erased between the look and the job: nothing of the old one comes back. */
static void erased_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct subject_owner who[SUBJECT_OWNERS_MAX];
    struct subject s;
    const struct subject_message m = {.at_ms = BEGAN + 200 * DAY, .speaks = true};
    uint64_t a = says(f, P, "", BEGAN, "", NULL);
    assert_int_equal(subject_resolve_message(f->resolver, SPAN(P), SPAN_EMPTY, &m, &s), 0);
    assert_int_equal(test_run(f->store, erase_records, &a), 0);
    commit(f, &s);
    assert_int_equal(owners(f, P, who), 1);
    assert_int_equal(who[0].subject, s.serial);
}

/* Should two threads invent one person: the later job fails, trying again finds the first. */
static void invented_twice(void **state)
{
    struct fixture *f = *state;
    struct subject_resolver *other;
    struct subject a, b;
    assert_int_equal(subject_resolver_new(f->store, f->keyring, &other), 0);
    resolve(f, "31612345678", "", &a);
    assert_int_equal(subject_resolve(other, SPAN("31612345678"), SPAN_EMPTY, &b), 0);
    assert_int_not_equal(a.serial, b.serial);
    commit(f, &a);
    int result = test_run(f->store, put, &b);
    assert_int_equal(result, SLUIS_EEXIST);
    subject_settled(other, &b, result);
    assert_int_equal(subject_resolve(other, SPAN("31612345678"), SPAN_EMPTY, &b), 0);
    assert_int_equal(a.serial, b.serial);
    assert_int_equal(b.new_hashes, 0);
    subject_resolver_free(other);
}

static void number_is_not_stored(void **state)
{
    struct fixture *f = *state;
    struct subject a;
    uint8_t plain[32], hash[STORE_HASH_BYTES];
    resolve(f, "31612345678", "", &a);
    subject_hash(f->keyring, SPAN("31612345678"), hash);
    assert_memory_equal(hash, a.rows[0].hash, STORE_HASH_BYTES);
    /* not a plain hash that could be tried without the key */
    crypto_generichash(plain, STORE_HASH_BYTES, (const uint8_t *)"31612345678", 11, NULL, 0);
    assert_memory_not_equal(plain, hash, STORE_HASH_BYTES);
    commit(f, &a);
}

/* The cache alone, small, against a plain list as model. */
static void cache_model(void **state)
{
    (void)state;
    enum { MAX = 8, KEYS = 24, ROUNDS = 20000 };
    struct cache cache;
    uint8_t keys[KEYS][STORE_HASH_BYTES];
    unsigned pending[KEYS] = {0}, used_at[KEYS] = {0};
    bool inside[KEYS] = {false}, known[KEYS] = {false};
    assert_int_equal(cache_init(&cache, MAX), 0);
    for (int k = 0; k < KEYS; k++) {
        randombytes_buf(keys[k], STORE_HASH_BYTES);
        keys[k][0] = keys[k][1] = keys[k][2] = 0; /* few buckets: long chains */
        keys[k][3] = (uint8_t)(k % 3);
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        unsigned k = randombytes_uniform(KEYS);
        struct cache_entry *entry = cache_find(&cache, keys[k]);
        assert_int_equal(entry != NULL, inside[k]);
        if (entry) {
            assert_int_equal(entry->serial, k + 1);
            assert_int_equal(entry->pending, pending[k]);
            if (pending[k] && randombytes_uniform(2)) {
                entry->pending = --pending[k];
                known[k] |= randombytes_uniform(2) == 1;
                entry->known = known[k];
                inside[k] = pending[k] || known[k];
                cache_update(&cache, entry);
            }
            used_at[k] = round;
            continue;
        }
        /* room, or the least recently used that is not pending goes */
        unsigned count = 0, oldest = KEYS;
        for (unsigned j = 0; j < KEYS; j++) {
            count += inside[j];
            if (inside[j] && !pending[j] && (oldest == KEYS || used_at[j] < used_at[oldest]))
                oldest = j;
        }
        entry = cache_add(&cache, keys[k], k + 1);
        if (count == MAX && oldest == KEYS) {
            assert_null(entry);
            continue;
        }
        assert_non_null(entry);
        if (count == MAX)
            inside[oldest] = known[oldest] = false;
        inside[k] = true;
        known[k] = randombytes_uniform(2) == 1;
        pending[k] = known[k] ? 0 : 1;
        entry->known = known[k];
        entry->pending = pending[k];
        used_at[k] = round;
        cache_update(&cache, entry);
    }
    cache_free(&cache);
}

/* As people write a number, and what is no number. */
static void written(void **state)
{
    static const char *const rows[][2] = {{"+31 6 1234 5678", "31612345678"},
                                          {"0031612345678", "31612345678"},
                                          {"06-12345678", "31612345678"},
                                          {"(06) 12.34.56.78", "31612345678"},
                                          {"31612345678", "31612345678"},
                                          {"+0612", "0612"},
                                          {"0", "31"},
                                          {"NL.13491208655302741918", "NL.13491208655302741918"},
                                          {"6+1", "6+1"},
                                          {"+ -().", ""},
                                          {"", ""}};
    char text[SUBJECT_WRITTEN_MAX + 2], digits[SUBJECT_WRITTEN_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span got = subject_normalise(span_str(rows[i][0]), text);
        assert_true(span_is(got, rows[i][1]));
    }
    memset(digits, '0', sizeof(digits)); /* the longest, every byte of it a digit */
    assert_int_equal(subject_normalise(span_of(digits, SUBJECT_WRITTEN_MAX), text).n,
                     SUBJECT_WRITTEN_MAX - 2);
    digits[1] = '6';
    assert_int_equal(subject_normalise(span_of(digits, SUBJECT_WRITTEN_MAX), text).n,
                     SUBJECT_WRITTEN_MAX + 1);
    assert_int_equal(subject_normalise(span_of(digits, sizeof(digits)), text).n, 0);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_again, setup, teardown),
        cmocka_unit_test_setup_teardown(pending_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(erased_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(linked, setup, teardown),
        cmocka_unit_test_setup_teardown(silent_number, setup, teardown),
        cmocka_unit_test_setup_teardown(same_after_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(another_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(another_user_id, setup, teardown),
        cmocka_unit_test_setup_teardown(apart_then_together, setup, teardown),
        cmocka_unit_test_setup_teardown(status_before_a_word, setup, teardown),
        cmocka_unit_test_setup_teardown(another_user_id_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(since_by_user_id, setup, teardown),
        cmocka_unit_test_setup_teardown(erased_twice_a_day, setup, teardown),
        cmocka_unit_test_setup_teardown(changing_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(erased_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(invented_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(number_is_not_stored, setup, teardown),
        cmocka_unit_test(cache_model),
        cmocka_unit_test(written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
