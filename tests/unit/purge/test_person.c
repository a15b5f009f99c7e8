/* One person: erased, in whole and in part; exported; restricted; held and released; late messages.
 */
#include "help.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "../store/support.h"
#include "internal.h" /* of the store: a row is changed as nobody may */
#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#define ANNA "31612345678"
#define BERT "31687654321"

static int setup(void **state)
{
    static struct world w;
    world_open(&w);
    *state = &w;
    return 0;
}

/* The same with a history that nothing demands: erasure is whole. */
static int setup_free(void **state)
{
    static struct world w;
    world_open_with(&w, false);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    return 0;
}

struct text {
    char p[16384];
    int result;
};

static struct text *erase(struct world *w, const char *identifier, bool dry)
{
    static struct text t;
    struct buffer out;
    buffer_init(&out, sizeof(t.p) - 1);
    t.result = purge_person_erase(w->purge, span_str(identifier), dry, &out);
    memcpy(t.p, out.p ? out.p : "", out.n);
    t.p[out.n] = '\0';
    buffer_free(&out);
    return &t;
}

static struct text *export(struct world *w, const char *identifier)
{
    static struct text t;
    struct buffer out;
    buffer_init(&out, sizeof(t.p) - 1);
    t.result = purge_person_export(w->purge, span_str(identifier), &out);
    memcpy(t.p, out.p ? out.p : "", out.n);
    t.p[out.n] = '\0';
    buffer_free(&out);
    return &t;
}

static bool signature_holds(struct world *w, const char *text)
{
    uint8_t key[RETENTION_SIGN_PUBLIC], signature[crypto_sign_BYTES];
    char message[4096];
    const char *begin = strstr(text, "\"certificate\":") + 14;
    const char *end = strstr(text, ",\"signature\":\"");
    purge_public_key(w->purge, key);
    size_t n = (size_t)(end - begin);
    size_t head = strlen(PURGE_CERTIFICATE_CONTEXT);
    memcpy(message, PURGE_CERTIFICATE_CONTEXT, head);
    memcpy(message + head, begin, n);
    assert_int_equal(base64_decode(span_of(end + 14, BASE64_LEN(crypto_sign_BYTES)), signature,
                                   sizeof(signature)),
                     sizeof(signature));
    return crypto_sign_verify_detached(signature, (const uint8_t *)message, head + n, key) == 0;
}

static void copy_sealed(struct world *w, const struct record_id *id, struct arena *arena,
                        struct span *out)
{
    struct store_read *read;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_record(read, id, arena, out), 0);
    store_read_end(read);
}

static int open_sealed(struct world *w, const struct record_id *id, struct span sealed)
{
    struct buffer plain;
    buffer_init(&plain, 1 << 20);
    int r = record_open(w->cache, 0, id, sealed, &plain);
    buffer_free(&plain);
    return r;
}

static void test_erase(void **state)
{
    struct world *w = *state;
    struct message a[3], b;
    struct arena arena;
    struct span backup;
    struct subject_resolver *resolver;
    uint64_t subject;
    int64_t now = clock_wall_ms();
    arena_init(&arena, 1 << 20);
    assert_int_equal(subject_resolver_new(w->store, w->keyring, &resolver), 0);
    message_put(w, 10, ANNA, now - 5000, &a[0]);
    message_put(w, 10, "NL.123", now - 4000, &a[1]); /* the same person's BSUID */
    message_put(w, 11, BERT, now - 3000, &b);
    message_put(w, 10, NULL, now - 2000, &a[2]);
    copy_sealed(w, &a[0].o, &arena, &backup);
    assert_int_equal(open_sealed(w, &a[0].o, backup), 0); /* control */

    assert_int_equal(erase(w, "31600000000", false)->result, SLUIS_ENOENT);
    struct text *dry = erase(w, "+31 6 1234 5678", true);
    assert_int_equal(dry->result, 0);
    assert_non_null(strstr(dry->p, "\"destroyed\":3"));
    assert_null(strstr(dry->p, "signature"));
    assert_int_equal(message_open(w, &a[0].o), 0);
    assert_true(identifier_known(w, ANNA, &subject));

    struct text *t = erase(w, "0612345678", false);
    assert_int_equal(t->result, 0);
    assert_true(signature_holds(w, t->p));
    *strstr(t->p, "\"destroyed\":3") = '\''; /* control: a changed certificate does not hold */
    assert_false(signature_holds(w, t->p));
    assert_non_null(strstr(t->p, "\"identifiers\":2"));
    assert_non_null(strstr(t->p, "\"in_part\":false"));
    assert_int_equal(w->forgotten, 10);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(message_open(w, &a[i].o), SLUIS_ENOENT);
        assert_int_equal(message_open(w, &a[i].m), SLUIS_ENOENT);
    }
    assert_int_equal(open_sealed(w, &a[0].o, backup), SLUIS_EEXPIRED);
    assert_false(identifier_known(w, ANNA, &subject));
    assert_false(identifier_known(w, "NL.123", &subject));
    assert_true(purge_refused(w->purge, 10));
    /* the neighbour */
    assert_int_equal(message_open(w, &b.o), 0);
    assert_true(identifier_known(w, BERT, &subject));
    assert_false(purge_refused(w->purge, 11));
    /* twice: nobody is left */
    assert_int_equal(erase(w, ANNA, false)->result, SLUIS_ENOENT);

    /* late messages, by either identifier; new ones; another person's */
    subject_resolver_forget(resolver, 10);
    assert_int_equal(subject_erased(resolver, SPAN(ANNA), SPAN_EMPTY, now - 2000), SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(resolver, SPAN("31611111111"), SPAN("NL.123"), now - 2000),
                     SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(resolver, SPAN(ANNA), SPAN_EMPTY, clock_wall_ms() + 1), 0);
    assert_int_equal(subject_erased(resolver, SPAN(BERT), SPAN_EMPTY, now - 2000), 0);
    subject_resolver_free(resolver);
    /* also after a restart, and a day later */
    world_restart(w);
    world_shift(w, 23 * HOUR_MS);
    assert_int_equal(subject_resolver_new(w->store, w->keyring, &resolver), 0);
    assert_int_equal(subject_erased(resolver, SPAN(ANNA), SPAN_EMPTY, now - 2000), SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(resolver, SPAN(BERT), SPAN_EMPTY, now - 2000), 0);
    subject_resolver_free(resolver);
    arena_free(&arena);
}

/* One bit of the block of the journal that holds an order. */
static int spoil(struct store_txn *txn, void *ctx)
{
    uint8_t key[8];
    struct span old;
    char block[STORE_VALUE_MAX];
    be64_put(key, *(const uint64_t *)ctx);
    if (!txn_get(txn, txn->store->dbi[DB_JOURNAL], key, sizeof(key), &old))
        return SLUIS_EIO;
    memcpy(block, old.p, old.n);
    block[old.n - 1] ^= 1;
    txn_put(txn, txn->store->dbi[DB_JOURNAL], key, sizeof(key), span_of(block, old.n), 0);
    return store_txn_error(txn);
}

static void spoil_block(struct world *w, uint64_t serial)
{
    struct store_read *read;
    struct store_item item;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_item(read, serial, &item), 0);
    store_read_end(read);
    assert_int_equal(test_run(w->store, spoil, &item.order), 0);
    world_restart(w);
}

/* A block of the journal is damaged, in the middle of a conversation: all of it is erased, and an
 * export says that there was more. */
static void test_erase_damaged(void **state)
{
    struct world *w = *state;
    struct message a[3], b;
    struct arena arena;
    struct span backup;
    arena_init(&arena, 1 << 20);
    for (unsigned i = 0; i < 3; i++)
        message_put(w, 10, i ? NULL : ANNA, clock_wall_ms(), &a[i]);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    copy_sealed(w, &a[1].o, &arena, &backup);
    assert_null(strstr(export(w, ANNA)->p, "journal_damaged"));
    spoil_block(w, a[1].item.serial);
    struct text *t = export(w, ANNA);
    assert_int_equal(t->result, 0);
    assert_non_null(strstr(t->p, "\"journal_damaged\":true"));
    assert_true(strstr(t->p, a[0].text) && strstr(t->p, a[2].text)); /* on either side of it */
    assert_null(strstr(t->p, a[1].text));
    assert_null(strstr(t->p, b.text));
    assert_int_equal(open_sealed(w, &a[1].o, backup), 0); /* control */
    assert_int_equal(erase(w, ANNA, true)->result, 0);
    t = erase(w, ANNA, false);
    assert_int_equal(t->result, 0);
    assert_non_null(strstr(t->p, "\"destroyed\":2"));
    assert_non_null(strstr(t->p, "\"journal_damaged\":true"));
    assert_true(signature_holds(w, t->p));
    assert_int_equal(open_sealed(w, &a[1].o, backup), SLUIS_EEXPIRED);
    assert_int_equal(message_open(w, &a[0].o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &a[2].m), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &b.o), 0);
    arena_free(&arena);
}

/* Where something may have to stay, nothing goes before the store was restored. */
static void test_erase_damaged_in_part(void **state)
{
    struct world *w = *state;
    struct message a[2];
    message_put(w, 10, ANNA, clock_wall_ms(), &a[0]);
    message_put(w, 10, NULL, clock_wall_ms(), &a[1]);
    spoil_block(w, a[0].item.serial);
    assert_int_equal(erase(w, ANNA, false)->result, SLUIS_ECRYPTO);
    assert_int_equal(message_open(w, &a[0].o), 0);
    assert_int_equal(message_open(w, &a[1].m), 0);
}

struct stated {
    unsigned n;
    char last[2048];
};
static int take_stated(void *ctx, struct span line)
{
    struct stated *s = ctx;
    s->n++;
    snprintf(s->last, sizeof(s->last), "%.*s", (int)line.n, line.p);
    return 0;
}

/* The selection list demands that the history stays: the originals go, the certificate says why. */
static void test_erase_in_part(void **state)
{
    struct world *w = *state;
    struct message a;
    uint64_t subject;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    struct text *t = erase(w, ANNA, false);
    assert_int_equal(t->result, 0);
    assert_non_null(strstr(t->p, "\"in_part\":true"));
    assert_non_null(strstr(t->p, "Selectielijst 2020"));
    assert_true(signature_holds(w, t->p));
    assert_int_equal(message_open(w, &a.o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &a.m), SLUIS_ENOENT); /* under its old serial */
    assert_true(identifier_known(w, ANNA, &subject));
    struct text *e = export(w, ANNA);
    assert_int_equal(e->result, 0);
    assert_non_null(strstr(e->p, "\"original\":null"));
    assert_non_null(strstr(e->p, a.text)); /* what stayed */
    /* stated once, for what it was: nobody took anything back, and not all of her went */
    struct stated s = {0};
    assert_int_equal(purge_records(w->purge, 0, INT64_MAX, take_stated, &s), 0);
    assert_int_equal(s.n, 1);
    assert_non_null(strstr(s.last, "\"class\":\"message\""));
    assert_non_null(strstr(s.last, "\"messages\":1"));
    assert_non_null(strstr(s.last, "\"reason\":\"erased\""));
}

/* A stop behind each step: the next start finishes. */
static void test_resume(void **state)
{
    struct world *w = *state;
    struct message a, b;
    uint64_t subject;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    /* the mark of a begun erasure needs the key; restrict makes a row, then the key goes */
    assert_int_equal(purge_person_restrict(w->purge, SPAN(ANNA), true), 0);
    const struct keyring_leaf leaf = {.tree = KEYRING_SUBJECT, .leaf = 10};
    assert_int_equal(keyring_puncture(w->keyring, &leaf, 1), 0);
    world_restart(w);
    assert_true(purge_refused(w->purge, 10));
    assert_int_equal(message_open(w, &a.o), SLUIS_EEXPIRED);
    assert_int_equal(purge_start(w->purge), 0);
    for (int i = 0; i < 3000 && message_open(w, &a.o) != SLUIS_ENOENT; i++) {
        const struct timespec pause = {.tv_nsec = 20000000};
        nanosleep(&pause, NULL);
    }
    purge_stop(w->purge);
    assert_int_equal(message_open(w, &a.o), SLUIS_ENOENT);
    assert_false(identifier_known(w, ANNA, &subject));
    assert_int_equal(message_open(w, &b.o), 0);
    world_restart(w);
    assert_false(purge_refused(w->purge, 10)); /* nothing is left to be minded */
}

static int run_leaf(struct store_txn *txn, void *ctx)
{
    audit_put(txn, ctx);
    return store_txn_error(txn);
}

static void test_export(void **state)
{
    struct world *w = *state;
    struct message a, b;
    struct audit_event event = {.at_ms = clock_wall_ms(),
                                .action = AUDIT_DELIVER_INTENT,
                                .actor = "meta",
                                .route = "webcare",
                                .outcome = "accepted"};
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    assert_int_equal(keyring_pseudonym(w->cache, 10, &event.subject), 0);
    event.object = a.item.serial;
    assert_int_equal(test_run(w->store, run_leaf, &event), 0);
    assert_int_equal(keyring_pseudonym(w->cache, 11, &event.subject), 0);
    event.object = b.item.serial;
    event.route = "elsewhere";
    assert_int_equal(test_run(w->store, run_leaf, &event), 0);
    struct text *t = export(w, ANNA);
    assert_int_equal(t->result, 0);
    assert_non_null(strstr(t->p, a.text));
    assert_null(strstr(t->p, b.text)); /* control: nobody else's */
    assert_non_null(strstr(t->p, "\"route\":\"webcare\""));
    assert_null(strstr(t->p, "elsewhere"));
    assert_non_null(strstr(t->p, "\"outcome\":\"exported\"")); /* this very one too */
    assert_int_equal(export(w, "31600000000")->result, SLUIS_ENOENT);
    assert_int_equal(export(w, "")->result, SLUIS_EINVAL);
}

static void test_restrict(void **state)
{
    struct world *w = *state;
    struct message a;
    struct purge_person person;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    assert_false(purge_refused(w->purge, 10));
    assert_int_equal(purge_person_restrict(w->purge, SPAN("31600000000"), true), SLUIS_ENOENT);
    assert_int_equal(purge_person_restrict(w->purge, SPAN(ANNA), true), 0);
    assert_true(purge_refused(w->purge, 10));
    assert_false(purge_refused(w->purge, 11));
    world_restart(w);
    assert_true(purge_refused(w->purge, 10));
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_true(person.restricted);
    assert_int_equal(person.messages, 1);
    assert_int_equal(purge_person_restrict(w->purge, SPAN(ANNA), false), 0);
    assert_false(purge_refused(w->purge, 10));
    world_restart(w);
    assert_false(purge_refused(w->purge, 10));
}

static void test_hold(void **state)
{
    struct world *w = *state;
    struct message a, b, late;
    struct purge_person person;
    char out[4096];
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN_EMPTY, SPAN("fg"), 0),
                     SLUIS_EINVAL);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN("bezwaar 2026/1"), SPAN("fg"), 0),
                     0);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN("x"), SPAN("y"), 0),
                     SLUIS_EEXIST);
    message_put(w, 10, NULL, clock_wall_ms(), &late); /* came after the hold */
    assert_int_equal(erase(w, ANNA, false)->result, SLUIS_EDENIED);
    assert_int_equal(message_open(w, &a.o), 0);
    /* the classes end; what is held is still there, what is not is gone */
    world_shift(w, 6 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(purge_sweep(w->purge), 0);
    assert_int_equal(message_open(w, &a.o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &b.o), SLUIS_ENOENT);
    struct text *t = export(w, ANNA);
    assert_int_equal(t->result, 0);
    assert_non_null(strstr(t->p, a.text));
    assert_non_null(strstr(t->p, late.text));
    world_restart(w);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_true(person.held);
    assert_string_equal(person.reason, "bezwaar 2026/1");
    const struct record_id copy = {0, person.hold, 10, a.item.serial, 'O'};
    struct record_id held = copy;
    assert_int_equal(retention_hold_class(w->store, &held.cls), 0);
    assert_int_equal(message_open(w, &held), 0);
    /* a message taken back waits as well */
    assert_int_equal(purge_person_release(w->purge, SPAN(BERT)), SLUIS_ENOENT);
    assert_int_equal(purge_person_release(w->purge, SPAN(ANNA)), 0);
    assert_int_equal(message_open(w, &held), SLUIS_ENOENT);
    t = export(w, ANNA);
    assert_int_equal(t->result, 0);
    assert_null(strstr(t->p, a.text));
    assert_int_equal(purge_person_release(w->purge, SPAN(ANNA)), SLUIS_ENOENT);
}

static int run_revoke(struct store_txn *txn, void *ctx)
{
    purge_revoke_put(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

static void test_hold_and_revoke(void **state)
{
    struct world *w = *state;
    struct message a, b;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN("x"), SPAN("fg"), 0), 0);
    assert_int_equal(test_run(w->store, run_revoke, &a.item.serial), 0);
    assert_int_equal(test_run(w->store, run_revoke, &b.item.serial), 0);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(message_open(w, &a.o), 0); /* waits */
    assert_int_equal(message_open(w, &b.o), SLUIS_ENOENT);
    assert_int_equal(purge_person_release(w->purge, SPAN(ANNA)), 0);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(message_open(w, &a.o), SLUIS_ENOENT);
}

static int run_leaf_only(struct store_txn *txn, void *ctx)
{
    const struct message *m = ctx;
    purge_leaf_put(txn, m->item.serial, m->item.serial, m->item.subject);
    return store_txn_error(txn);
}

/* A leaf alone: what was sealed under it opens no more, no row is touched; a hold makes it wait. */
static void test_leaf_only(void **state)
{
    struct world *w = *state;
    struct message a, b;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN("x"), SPAN("fg"), 0), 0);
    assert_int_equal(test_run(w->store, run_leaf_only, &a), 0);
    assert_int_equal(test_run(w->store, run_leaf_only, &b), 0);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(message_open(w, &a.o), 0);
    assert_int_equal(message_open(w, &b.o), SLUIS_EEXPIRED);
    assert_int_equal(purge_person_release(w->purge, SPAN(ANNA)), 0);
    world_restart(w);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(message_open(w, &a.o), SLUIS_EEXPIRED);
}

/* Part M of a message as it is now. */
static bool history_of(struct world *w, const struct message *m, char out[4096])
{
    struct store_read *read;
    struct record_id id;
    struct arena arena;
    struct buffer plain;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    buffer_init(&plain, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = retention_part(read, &m->item, 'M', &id);
    if (r == 0)
        r = store_get_record(read, &id, &arena, &sealed);
    if (r == 0)
        r = record_open(w->cache, 0, &id, sealed, &plain);
    store_read_end(read);
    assert_true(r == 0 || r == SLUIS_ENOENT);
    size_t n = 0;
    for (; n < plain.n && n < 4095; n++) /* packed: numbers stand before the text */
        out[n] = plain.p[n] ? plain.p[n] : ' ';
    out[n] = '\0';
    buffer_free(&plain);
    arena_free(&arena);
    return r == 0;
}

static void test_redact(void **state)
{
    struct world *w = *state;
    struct message a, b, c;
    struct purge_redacted done;
    struct arena arena;
    struct span copy_o, copy_m;
    char m[4096];
    arena_init(&arena, 1 << 20);
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 10, NULL, clock_wall_ms(), &b);
    message_put(w, 11, BERT, clock_wall_ms(), &c);
    copy_sealed(w, &a.o, &arena, &copy_o);
    copy_sealed(w, &a.m, &arena, &copy_m);
    struct purge_redaction asked = {.identifier = SPAN(ANNA), .text = SPAN("of message")};
    /* nothing to be found, nobody, and what may not be asked */
    asked.text = SPAN("nowhere");
    assert_int_equal(purge_redact(w->purge, &asked, &done), SLUIS_ENOENT);
    asked.text = SPAN_EMPTY;
    assert_int_equal(purge_redact(w->purge, &asked, &done), SLUIS_EINVAL);
    asked = (struct purge_redaction){.message = 999999};
    assert_int_equal(purge_redact(w->purge, &asked, &done), SLUIS_ENOENT);
    /* an identifier is structure, not what the message says: it stays */
    asked = (struct purge_redaction){.identifier = SPAN(ANNA), .text = SPAN("wamid")};
    assert_int_equal(purge_redact(w->purge, &asked, &done), SLUIS_ENOENT);

    asked.text = span_str(a.text);
    asked.dry_run = true;
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    assert_int_equal(done.messages, 1);
    assert_int_equal(message_open(w, &a.o), 0);
    asked.dry_run = false;
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    assert_int_equal(done.messages, 1);
    assert_int_equal(done.places, 1);
    assert_int_equal(message_open(w, &a.o), SLUIS_ENOENT);
    assert_true(history_of(w, &a, m));
    assert_null(strstr(m, a.text));
    assert_non_null(strstr(m, PURGE_HIDDEN_TEXT));
    /* not from an older copy of the data either */
    assert_int_equal(open_sealed(w, &a.o, copy_o), SLUIS_EEXPIRED);
    assert_int_equal(open_sealed(w, &a.m, copy_m), SLUIS_EEXPIRED);
    assert_int_equal(message_open(w, &b.o), 0); /* neighbours */
    assert_int_equal(message_open(w, &c.o), 0);
    assert_int_equal(w->forgotten, 10); /* windows */

    /* a correction, then the whole of it */
    asked = (struct purge_redaction){
        .message = b.item.serial, .text = SPAN("text of"), .instead = SPAN("\xc3\xa9\"n brief")};
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    assert_true(history_of(w, &b, m));
    assert_non_null(strstr(m, "\\u00e9\\\"n brief message"));
    asked = (struct purge_redaction){.message = b.item.serial,
                                     .instead = SPAN("al\xc3\xa9\"s \\ goed")}; /* the whole */
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    assert_true(history_of(w, &b, m));
    assert_non_null(strstr(m, "\"body\":\"al\\u00e9\\\"s \\\\ goed\""));
    asked = (struct purge_redaction){.message = b.item.serial};
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    assert_true(history_of(w, &b, m));
    assert_null(strstr(m, "n brief"));
    assert_non_null(strstr(m, PURGE_HIDDEN_TEXT));
    struct text *t = export(w, ANNA);
    assert_null(strstr(t->p, "n brief"));
    assert_non_null(strstr(t->p, "\"outcome\":\"redacted\""));
    assert_non_null(strstr(t->p, "\"outcome\":\"corrected\""));

    /* not under a hold */
    assert_int_equal(purge_person_hold(w->purge, SPAN(BERT), SPAN("x"), SPAN("fg"), 0), 0);
    asked = (struct purge_redaction){.message = c.item.serial};
    assert_int_equal(purge_redact(w->purge, &asked, &done), SLUIS_EDENIED);
    assert_int_equal(message_open(w, &c.o), 0);
    arena_free(&arena);
}

/* What was redacted before the hold has another leaf than its own: it is kept all the same. */
static void test_hold_of_redacted(void **state)
{
    struct world *w = *state;
    struct message a;
    struct purge_redacted done;
    char out[4096];
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    const struct purge_redaction asked = {
        .message = a.item.serial, .text = SPAN("text of"), .instead = SPAN("geschoond")};
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN("zaak"), SPAN("fg"), 0), 0);
    for (unsigned day = 0; day < 2; day++) { /* the classes end; every row has its sweep */
        world_shift(w, 6 * HOUR_MS);
        assert_int_equal(run_purge(w, false, out), 0);
        assert_int_equal(purge_sweep(w->purge), 0);
        struct text *t = export(w, ANNA);
        assert_int_equal(t->result, 0);
        assert_non_null(strstr(t->p, "geschoond message"));
        world_restart(w);
    }
    assert_int_equal(purge_person_release(w->purge, SPAN(ANNA)), 0);
    struct text *t = export(w, ANNA);
    assert_null(strstr(t->p, "geschoond message"));
}

static int run_put_subject(struct store_txn *txn, void *ctx)
{
    subject_put(txn, ctx);
    return store_txn_error(txn);
}

static int run_link(struct store_txn *txn, void *ctx)
{
    (void)ctx;
    subject_link(txn, 10, 11, 1000);
    return store_txn_error(txn);
}

/* Two subjects that a change of number linked: seen from both, erased one by one, never together.
 */
static void test_linked(void **state)
{
    struct world *w = *state;
    struct message a, b;
    struct purge_person person;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    assert_int_equal(purge_person_unlink(w->purge, SPAN(ANNA)), SLUIS_ENOENT);
    assert_int_equal(test_run(w->store, run_link, NULL), 0);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_int_equal(person.linked_count, 1);
    assert_int_equal(person.linked[0], 11);
    assert_int_equal(purge_person_find(w->purge, SPAN("#11"), &person), 0);
    assert_int_equal(person.subject, 11);
    assert_int_equal(person.linked[0], 10);
    assert_int_equal(purge_person_find(w->purge, SPAN("#12"), &person), SLUIS_ENOENT);
    assert_int_equal(purge_person_find(w->purge, SPAN("#0"), &person), SLUIS_EINVAL);
    assert_int_equal(purge_person_unlink(w->purge, SPAN(BERT)), 0);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_int_equal(person.linked_count, 0);
    assert_int_equal(test_run(w->store, run_link, NULL), 0);
    assert_int_equal(erase(w, "#11", false)->result, 0);
    assert_int_equal(message_open(w, &b.o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &a.o), 0);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_int_equal(person.linked_count, 0);
    assert_int_equal(purge_person_find(w->purge, SPAN("#11"), &person), SLUIS_ENOENT);
}

/* ---- a number that changed hands ---- */

/* Anna's number is 11's from `at_ms` on, as a message of its new user makes it. */
static void change_hands(struct world *w, int64_t at_ms, struct message *out)
{
    struct subject_resolver *resolver;
    struct subject s;
    const struct subject_message said = {.at_ms = at_ms, .speaks = true, .identity = SPAN("new")};
    const struct subject_message before = {
        .at_ms = at_ms - 1, .speaks = true, .identity = SPAN("old")};
    assert_int_equal(subject_resolver_new(w->store, w->keyring, &resolver), 0);
    assert_int_equal(subject_resolve_message(resolver, SPAN(ANNA), SPAN_EMPTY, &before, &s), 0);
    assert_int_equal(s.serial, 10);
    assert_int_equal(test_run(w->store, run_put_subject, &s), 0);
    subject_settled(resolver, &s, 0);
    assert_int_equal(subject_resolve_message(resolver, SPAN(ANNA), SPAN_EMPTY, &said, &s), 0);
    assert_int_not_equal(s.serial, 10);
    assert_int_equal(test_run(w->store, run_put_subject, &s), 0);
    subject_settled(resolver, &s, 0);
    subject_resolver_free(resolver);
    message_put(w, s.serial, NULL, at_ms, out);
}

static void day_text(const char *identifier, int64_t ms, char out[64])
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    snprintf(out, 64, "%s@%.10s", identifier, text);
}

static int count_former(void *ctx, struct span key, struct span value)
{
    (void)value;
    if (key.p[0] != 'O')
        return 1;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned former_rows(struct world *w)
{
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_row(read, STORE_TABLE_SUBJECT, SPAN("O"), count_former, &n), 0);
    store_read_end(read);
    return n;
}

/* The old one's and the new one's are told apart by the number; nothing is done to a stranger. */
static void test_changed_hands(void **state)
{
    struct world *w = *state;
    struct message a, b;
    struct purge_person person;
    struct purge_redacted redacted;
    char then[64], now_text[64], serial[2][32];
    int64_t now = clock_wall_ms(), changed = now - 1000;
    message_put(w, 10, ANNA, now - 5000, &a);
    change_hands(w, changed, &b);
    uint64_t other = b.item.subject;
    snprintf(serial[0], sizeof(serial[0]), "#%u", 10u);
    snprintf(serial[1], sizeof(serial[1]), "#%llu", (unsigned long long)other);
    for (unsigned round = 0; round < 2; round++) { /* and with the index made anew */
        assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
        assert_int_equal(person.subject, other);
        assert_int_equal(person.messages, 1);
        assert_int_equal(person.linked_count, 0);
        assert_int_equal(person.owner_count, 2);
        assert_true(person.owners[0].subject == other && person.owners[0].until_ms == 0 &&
                    person.owners[0].since_ms == changed);
        assert_true(person.owners[1].subject == 10 && person.owners[1].until_ms == changed &&
                    person.owners[1].since_ms == now - 5000);
        assert_int_equal(purge_lookup_replace(w->purge), 0);
        assert_int_equal(former_rows(w), 1); /* under the new key; none under the old */
    }
    assert_int_equal(export(w, ANNA)->result, SLUIS_EMANY);
    assert_int_equal(erase(w, ANNA, false)->result, SLUIS_EMANY);
    assert_int_equal(erase(w, ANNA, true)->result, SLUIS_EMANY);
    assert_int_equal(purge_person_restrict(w->purge, SPAN(ANNA), true), SLUIS_EMANY);
    assert_int_equal(purge_person_hold(w->purge, SPAN(ANNA), SPAN("zaak"), SPAN("fg"), 0),
                     SLUIS_EMANY);
    assert_int_equal(purge_person_release(w->purge, SPAN(ANNA)), SLUIS_EMANY);
    assert_int_equal(purge_person_unlink(w->purge, SPAN(ANNA)), SLUIS_EMANY);
    const struct purge_redaction asked = {.identifier = SPAN(ANNA), .text = SPAN("text")};
    assert_int_equal(purge_redact(w->purge, &asked, &redacted), SLUIS_EMANY);
    assert_non_null(strstr(export(w, serial[0])->p, a.text));
    assert_null(strstr(export(w, serial[0])->p, b.text));
    assert_non_null(strstr(export(w, serial[1])->p, b.text));
    assert_null(strstr(export(w, serial[1])->p, a.text));
    /* by the day: before either, nobody; on the day that it changed, both; after it, the new one */
    day_text(ANNA, now - 40 * 24 * HOUR_MS, then);
    assert_int_equal(purge_person_find(w->purge, span_str(then), &person), SLUIS_ENOENT);
    day_text(ANNA, changed + 24 * HOUR_MS, now_text);
    assert_int_equal(export(w, now_text)->result, 0);
    assert_null(strstr(export(w, now_text)->p, a.text));
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA "@2026"), &person), SLUIS_EINVAL);
    static const char *const none[] = {"2026-13-01", "2026-02-29", "2026-06-31", "2026-00-10"};
    for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++) {
        snprintf(then, sizeof(then), ANNA "@%s", none[i]);
        assert_int_equal(purge_person_find(w->purge, span_str(then), &person), SLUIS_EINVAL);
    }
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA "@2024-02-29"), &person), SLUIS_ENOENT);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA "@2023-12-31"), &person), SLUIS_ENOENT);
    /* held: the old one's alone */
    assert_int_equal(purge_person_hold(w->purge, SPAN("#10"), SPAN("zaak"), SPAN("fg"), 0), 0);
    assert_true(purge_held(w->purge, 10));
    assert_false(purge_held(w->purge, other));
    assert_int_equal(purge_person_release(w->purge, SPAN("#10")), 0);
    /* erased: the old one's alone, and then the number is one person's again */
    assert_int_equal(erase(w, "#10", false)->result, 0);
    assert_int_equal(former_rows(w), 0);
    assert_int_equal(message_open(w, &a.o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &b.o), 0);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_int_equal(person.owner_count, 1);
    assert_int_equal(person.subject, other);
    /* late ones: of before the change they were the old one's; since then they are not */
    struct subject_resolver *resolver;
    assert_int_equal(subject_resolver_new(w->store, w->keyring, &resolver), 0);
    subject_resolver_forget(resolver, 10);
    assert_int_equal(subject_erased(resolver, SPAN(ANNA), SPAN_EMPTY, changed - 2000),
                     SLUIS_EEXPIRED);
    assert_int_equal(subject_erased(resolver, SPAN(ANNA), SPAN_EMPTY, changed), 0);
    subject_resolver_free(resolver);
    assert_int_equal(erase(w, ANNA, false)->result, 0);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), SLUIS_ENOENT);
}

/* The old one's messages expire: the record and the row that led to it go, the new one's stay. */
static void test_changed_hands_then_past(void **state)
{
    struct world *w = *state;
    struct message a, b;
    struct purge_person person;
    char out[4096];
    int64_t now = clock_wall_ms();
    message_put(w, 10, ANNA, now - 5000, &a);
    change_hands(w, now - 1000, &b);
    uint64_t other = b.item.subject;
    world_shift(w, 23 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    message_put(w, other, NULL, clock_wall_ms(), &b);
    world_shift(w, 2 * HOUR_MS);
    assert_int_equal(purge_round(w->purge), 0);
    assert_int_equal(former_rows(w), 0);
    assert_int_equal(purge_person_find(w->purge, SPAN("#10"), &person), SLUIS_ENOENT);
    assert_int_equal(purge_person_find(w->purge, SPAN(ANNA), &person), 0);
    assert_int_equal(person.owner_count, 1);
    assert_int_equal(person.subject, other);
}

struct eraser {
    struct world *w;
    int result;
};

static void *erase_thread(void *ctx)
{
    struct eraser *e = ctx;
    struct buffer out;
    buffer_init(&out, 32768);
    e->result = purge_person_erase(e->w->purge, SPAN(ANNA), false, &out);
    buffer_free(&out);
    return NULL;
}

static void test_two_at_once(void **state)
{
    struct world *w = *state;
    struct message m;
    for (unsigned i = 0; i < 100; i++)
        message_put(w, 10, i ? NULL : ANNA, clock_wall_ms(), &m);
    struct eraser e[2] = {{.w = w}, {.w = w}};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, erase_thread, &e[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true((e[0].result == 0) != (e[1].result == 0));
    assert_int_equal(e[0].result + e[1].result, SLUIS_ENOENT);
    assert_int_equal(message_open(w, &m.o), SLUIS_ENOENT);
}

/* A row at another's place, of the other part, or of another person does not open. */
static void test_swapped(void **state)
{
    struct world *w = *state;
    struct message a, b;
    struct arena arena;
    struct span of_a, of_b;
    arena_init(&arena, 1 << 20);
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    copy_sealed(w, &a.o, &arena, &of_a);
    copy_sealed(w, &b.o, &arena, &of_b);
    assert_int_equal(open_sealed(w, &a.o, of_a), 0); /* control */
    assert_int_equal(open_sealed(w, &a.o, of_b), SLUIS_ECRYPTO);
    assert_int_equal(open_sealed(w, &a.m, of_a), SLUIS_ECRYPTO);
    struct record_id other = a.o;
    other.subject = 11;
    assert_int_equal(open_sealed(w, &other, of_a), SLUIS_ECRYPTO);
    other = a.o;
    other.bucket++;
    assert_int_equal(open_sealed(w, &other, of_a), SLUIS_ECRYPTO);
    arena_free(&arena);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_erase, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_erase_damaged, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_erase_damaged_in_part, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erase_in_part, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_export, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restrict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_and_revoke, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaf_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redact, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_hold_of_redacted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linked, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_changed_hands, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_changed_hands_then_past, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_two_at_once, setup_free, teardown),
        cmocka_unit_test_setup_teardown(test_swapped, setup_free, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
