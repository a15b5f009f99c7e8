/* Contacts on the real store and keyring. */
#include "../keyring/help.h"

#include <sodium.h>

#include "../store/support.h"
#include "sluis/base/clock.h"
#include "sluis/contact.h"
#include "sluis/subject.h"

#define DAY ((int64_t)24 * 3600 * 1000)

struct fixture {
    struct place place;
    char folder[256];
    struct store *store;
    struct keyring *keyring;
    struct contacts *contacts;
};

static const struct contact_id anna = {1, 7}, anna_elsewhere = {2, 7}, bas = {1, 8};
static const struct audit_event by = {.actor = "test"};

static int setup(void **state)
{
    static struct fixture f;
    place_make(&f.place);
    test_folder(f.folder);
    assert_int_equal(place_open(&f.place, true, &f.keyring), 0);
    f.store = test_store(f.folder);
    assert_int_equal(contacts_open(f.store, f.keyring, &f.contacts), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    contacts_close(f->contacts);
    store_close(f->store);
    keyring_close(f->keyring);
    test_folder_remove(f->folder);
    place_remove(&f->place);
    return 0;
}

static uint64_t log_size(struct fixture *f)
{
    struct store_status status;
    store_status(f->store, &status);
    return status.log_size;
}

static int apply(struct fixture *f, int r, struct contact_change **change)
{
    if (r == 0)
        r = contact_apply(f->contacts, *change);
    contact_change_free(*change);
    return r;
}

static int consent(struct fixture *f, struct contact_id id, enum contact_basis basis,
                   const char *purpose, int64_t given_ms, int64_t withdrawn_ms)
{
    struct contact_consent c = {.basis = basis, .given_ms = given_ms, .withdrawn_ms = withdrawn_ms};
    struct contact_change *change;
    snprintf(c.purpose, sizeof(c.purpose), "%s", purpose);
    snprintf(c.source, sizeof(c.source), "balie");
    return apply(f, contact_consent(f->contacts, id, &c, &by, &change), &change);
}

static int stop(struct fixture *f, struct contact_id id, enum contact_stop how, int64_t at_ms)
{
    struct contact_change *change;
    return apply(f, contact_stop(f->contacts, id, how, at_ms, &by, &change), &change);
}

static int reference(struct fixture *f, struct contact_id id, const char *text)
{
    struct contact_change *change;
    return apply(f, contact_reference(f->contacts, id, span_str(text), &by, &change), &change);
}

static int noticed(struct fixture *f, struct contact_id id, const char *name, int64_t at_ms)
{
    struct contact_change *change;
    return apply(f, contact_noticed(f->contacts, id, span_str(name), at_ms, &change), &change);
}

static void look(struct fixture *f, struct contact_id id, struct contact_state *out)
{
    assert_int_equal(contact_read(f->contacts, id, out), 0);
}

#define CONSENT_ONLY (1u << CONTACT_CONSENT)

static void consents(void **state)
{
    struct fixture *f = *state;
    struct contact_state s;
    int64_t now = clock_wall_ms();
    uint64_t leaves = log_size(f);
    look(f, anna, &s);
    assert_null(contact_basis_for(&s, ~0u, SPAN_EMPTY));
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "nieuwsbrief", now - 10 * DAY, 0), 0);
    assert_int_equal(consent(f, anna, CONTACT_TASK, "", now - 5 * DAY, 0), 0);
    assert_int_equal(log_size(f), leaves + 2); /* every change is a leaf */
    look(f, anna, &s);
    assert_int_equal(s.consent_count, 2);
    assert_non_null(contact_basis_for(&s, CONSENT_ONLY, SPAN("nieuwsbrief")));
    assert_null(contact_basis_for(&s, CONSENT_ONLY, SPAN("aanbiedingen")));
    assert_non_null(contact_basis_for(&s, CONSENT_ONLY, SPAN_EMPTY));
    assert_non_null(contact_basis_for(&s, 1u << CONTACT_TASK, SPAN("afspraak"))); /* for any */
    assert_null(contact_basis_for(&s, 1u << CONTACT_CONTRACT, SPAN_EMPTY));
    /* another channel and another person know nothing of it */
    look(f, anna_elsewhere, &s);
    assert_int_equal(s.consent_count, 0);
    look(f, bas, &s);
    assert_int_equal(s.consent_count, 0);
    /* withdrawn, and not brought back by an older list */
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "nieuwsbrief", 0, now - DAY), 0);
    look(f, anna, &s);
    assert_null(contact_basis_for(&s, CONSENT_ONLY, SPAN_EMPTY));
    assert_string_equal(s.consents[0].source, "balie");
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "nieuwsbrief", now - 2 * DAY, 0),
                     SLUIS_EEXIST);
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "nieuwsbrief", now, 0), 0);
    look(f, anna, &s);
    assert_non_null(contact_basis_for(&s, CONSENT_ONLY, SPAN("nieuwsbrief")));
    assert_int_equal(s.consent_count, 2);
}

static void refusals(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms();
    uint64_t leaves = log_size(f);
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "", 0, now), SLUIS_ENOENT);
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "", now + DAY, 0), SLUIS_EINVAL);
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "", 0, 0), SLUIS_EINVAL);
    assert_int_equal(consent(f, bas, CONTACT_BASES, "", now, 0), SLUIS_EINVAL);
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "een\nregel", now, 0), SLUIS_EINVAL);
    assert_int_equal(reference(f, bas, "a\x01"), SLUIS_EINVAL);
    assert_int_equal(log_size(f), leaves);
    for (int i = 0; i < CONTACT_CONSENTS_MAX; i++) {
        char purpose[32];
        snprintf(purpose, sizeof(purpose), "doel %d", i);
        assert_int_equal(consent(f, bas, CONTACT_CUSTOMER, purpose, now, 0), 0);
    }
    assert_int_equal(consent(f, bas, CONTACT_CUSTOMER, "nog een", now, 0), SLUIS_ELIMIT);
    assert_int_equal(consent(f, bas, CONTACT_CUSTOMER, "doel 3", now, 0), 0);
    struct contact_state s;
    look(f, bas, &s);
    assert_int_equal(s.consent_count, CONTACT_CONSENTS_MAX);
}

static void opting_out(void **state)
{
    struct fixture *f = *state;
    struct contact_state s;
    int64_t now = clock_wall_ms();
    look(f, anna, &s);
    assert_false(contact_opted_out(&s));
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "", now - 9 * DAY, 0), 0);
    assert_int_equal(stop(f, anna, CONTACT_STOP_WORD, now - 5 * DAY), 0);
    look(f, anna, &s);
    assert_true(contact_opted_out(&s));
    /* a list from before it, and one of the same moment, change nothing */
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "x", now - 6 * DAY, 0), SLUIS_EEXIST);
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "x", now - 5 * DAY, 0), SLUIS_EEXIST);
    /* a contract does not open the door again, a new consent does */
    assert_int_equal(consent(f, anna, CONTACT_CONTRACT, "", now, 0), 0);
    look(f, anna, &s);
    assert_true(contact_opted_out(&s));
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "x", now - 4 * DAY, 0), 0);
    look(f, anna, &s);
    assert_false(contact_opted_out(&s));
    assert_int_equal(stop(f, anna, CONTACT_STOP_META, now - 3 * DAY), 0);
    look(f, anna, &s);
    assert_true(contact_opted_out(&s));
    assert_int_equal(stop(f, anna, CONTACT_STOP_NONE, now), 0);
    look(f, anna, &s);
    assert_false(contact_opted_out(&s));
}

static int run_link(struct store_txn *txn, void *ctx)
{
    if (*(bool *)ctx)
        subject_link(txn, anna.subject, bas.subject, 1000);
    else
        subject_unlink(txn, anna.subject, bas.subject);
    return store_txn_error(txn);
}

/* One person in two subjects, linked: the youngest word of either holds for both; consent does not
 * pass over. Unlinked, each has its own again. */
static void linked(void **state)
{
    struct fixture *f = *state;
    struct contact_state s;
    int64_t now = clock_wall_ms();
    bool link = true;
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "", now - 10 * DAY, 0), 0);
    assert_true(contact_consents(f->contacts, anna)); /* remembered from here on */
    assert_int_equal(stop(f, bas, CONTACT_STOP_WORD, now - 5 * DAY), 0);
    assert_true(contact_consents(f->contacts, anna));
    assert_int_equal(test_run(f->store, run_link, &link), 0);
    contact_linked(f->contacts, anna.subject);
    assert_false(contact_consents(f->contacts, anna));
    look(f, anna, &s);
    assert_true(contact_opted_out(&s));
    assert_int_equal(s.stop, CONTACT_STOP_WORD);
    look(f, anna_elsewhere, &s); /* on that channel alone */
    assert_false(contact_opted_out(&s));
    look(f, bas, &s);
    assert_int_equal(s.consent_count, 0);
    /* an older list brings nothing back, younger consent does, and only its own */
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "", now - 6 * DAY, 0), SLUIS_EEXIST);
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "", now - 4 * DAY, 0), 0);
    assert_true(contact_consents(f->contacts, anna));
    assert_false(contact_consents(f->contacts, bas));
    /* stop by the other one: what was remembered of this one goes */
    assert_int_equal(stop(f, bas, CONTACT_STOP_META, now - 3 * DAY), 0);
    assert_false(contact_consents(f->contacts, anna));
    assert_int_equal(stop(f, anna, CONTACT_STOP_NONE, now - 2 * DAY), 0); /* resumed: by either */
    look(f, bas, &s);
    assert_false(contact_opted_out(&s));
    assert_int_equal(stop(f, bas, CONTACT_STOP_WORD, now - 2 * DAY - 1), SLUIS_EEXIST);
    assert_int_equal(stop(f, bas, CONTACT_STOP_WORD, now - DAY), 0);
    look(f, anna, &s);
    assert_true(contact_opted_out(&s));
    link = false;
    assert_int_equal(test_run(f->store, run_link, &link), 0);
    contact_linked(f->contacts, anna.subject);
    look(f, anna, &s);
    assert_false(contact_opted_out(&s));
    look(f, bas, &s);
    assert_true(contact_opted_out(&s));
}

static void references(void **state)
{
    struct fixture *f = *state;
    struct contact_id found[4];
    struct contact_state s;
    assert_int_equal(reference(f, anna, "KL-10042"), 0);
    assert_int_equal(reference(f, anna_elsewhere, "KL-10042"), 0);
    assert_int_equal(reference(f, bas, "KL-10043"), 0);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-10042"), found, 4), 2);
    assert_int_equal(contact_ref_find(f->contacts, 2, SPAN("KL-10042"), found, 4), 1);
    assert_int_equal(found[0].channel, 2);
    assert_int_equal(found[0].subject, 7);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-1004"), found, 4), 0);
    /* another one, and none */
    assert_int_equal(reference(f, anna, "KL-2"), 0);
    assert_int_equal(contact_ref_find(f->contacts, 1, SPAN("KL-10042"), found, 4), 0);
    assert_int_equal(contact_ref_find(f->contacts, 1, SPAN("KL-2"), found, 4), 1);
    assert_int_equal(reference(f, anna, ""), 0);
    assert_int_equal(contact_ref_find(f->contacts, 1, SPAN("KL-2"), found, 4), 0);
    look(f, anna, &s);
    assert_string_equal(s.reference, "");
    assert_int_equal(contact_reindex(f->contacts, bas.subject), 0);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-10043"), found, 4), 1);
}

static int count_ours(void *ctx, struct span key, struct span value)
{
    unsigned *n = ctx;
    (void)value;
    *n += key.n && (key.p[0] == 'K' || key.p[0] == 'X');
    return 0;
}

static unsigned rows(struct fixture *f)
{
    unsigned n = 0;
    struct store_read *read;
    assert_int_equal(store_read_begin(f->store, &read), 0);
    (void)store_each_row(read, STORE_TABLE_SUBJECT, SPAN_EMPTY, count_ours, &n);
    store_read_end(read);
    return n;
}

/* The look-up key is replaced: found before, meanwhile and after, and under no old hash. */
static void reindexed(void **state)
{
    struct fixture *f = *state;
    struct contact_id found[2];
    assert_int_equal(reference(f, anna, "KL-7"), 0);
    assert_int_equal(reference(f, bas, "KL-8"), 0);
    assert_int_equal(keyring_lookup_begin(f->keyring, clock_wall_ms()), 0);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-7"), found, 2), 1);
    assert_int_equal(reference(f, bas, "KL-9"), 0); /* under the new one; the old row goes */
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-8"), found, 2), 0);
    assert_int_equal(contact_reindex(f->contacts, anna.subject), 0);
    assert_int_equal(contact_reindex(f->contacts, bas.subject), 0);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-7"), found, 2), 1);
    assert_int_equal(keyring_lookup_finish(f->keyring), 0);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-7"), found, 2), 1);
    assert_int_equal(found[0].subject, anna.subject);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-9"), found, 2), 1);
    assert_int_equal(rows(f), 4); /* two references, two look-up rows */
}

static void notices(void **state)
{
    struct fixture *f = *state;
    struct contact_state s;
    int64_t now = clock_wall_ms();
    look(f, anna, &s);
    assert_true(contact_notice_due(&s, SPAN("bsn"), 7 * DAY, now));
    assert_int_equal(noticed(f, anna, "bsn", now - 6 * DAY), 0);
    look(f, anna, &s);
    assert_false(contact_notice_due(&s, SPAN("bsn"), 7 * DAY, now));
    assert_true(contact_notice_due(&s, SPAN("bsn"), 6 * DAY, now));
    assert_true(contact_notice_due(&s, SPAN("card"), 7 * DAY, now));
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < CONTACT_NOTICES_A_DAY; i++)
        assert_int_equal(noticed(f, anna, names[i], now - 1000), 0);
    look(f, anna, &s);
    assert_false(contact_notice_due(&s, SPAN("card"), 7 * DAY, now)); /* enough for a day */
    assert_true(contact_notice_due(&s, SPAN("card"), 7 * DAY, now + DAY));
}

static void erased(void **state)
{
    struct fixture *f = *state;
    struct contact_state s;
    struct contact_id found[2];
    int64_t now = clock_wall_ms();
    for (int i = 0; i < 70; i++) { /* more than a page */
        char name[32];
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(noticed(f, anna, name, now - i * DAY), 0);
    }
    assert_int_equal(reference(f, anna, "KL-9"), 0);
    assert_int_equal(consent(f, anna_elsewhere, CONTACT_CONSENT, "", now, 0), 0);
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "", now, 0), 0);
    const struct keyring_leaf leaf = {.tree = KEYRING_SUBJECT, .leaf = 7};
    assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
    assert_int_equal(contact_read(f->contacts, anna, &s), SLUIS_EEXPIRED);
    assert_null(contact_basis_for(&s, ~0u, SPAN_EMPTY));
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "", now, 0), SLUIS_EEXPIRED);
    assert_int_equal(contact_reindex(f->contacts, 7), 0);
    assert_false(contact_living(f->contacts, 7, now));
    assert_int_equal(contact_forget(f->contacts, 7), 0);
    assert_int_equal(contact_ref_find(f->contacts, 0, SPAN("KL-9"), found, 2), 0);
    assert_int_equal(rows(f), 1); /* the other person's */
    look(f, bas, &s);
    assert_int_equal(s.consent_count, 1);
}

static void living(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms();
    uint64_t subjects[4];
    assert_false(contact_living(f->contacts, anna.subject, now));
    assert_int_equal(noticed(f, anna, "bsn", now), 0);
    assert_int_equal(reference(f, anna, "KL-1"), 0);
    assert_false(contact_living(f->contacts, anna.subject, now));
    assert_int_equal(stop(f, anna, CONTACT_STOP_WORD, now), 0);
    assert_true(contact_living(f->contacts, anna.subject, now));
    assert_true(contact_living(f->contacts, anna.subject, now + CONTACT_KEEP_MS - DAY));
    assert_false(contact_living(f->contacts, anna.subject, now + CONTACT_KEEP_MS + DAY));
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "", now - DAY, 0), 0);
    assert_true(contact_living(f->contacts, bas.subject, now + 20 * CONTACT_KEEP_MS));
    assert_int_equal(consent(f, bas, CONTACT_CONSENT, "", 0, now), 0);
    assert_true(contact_living(f->contacts, bas.subject, now + CONTACT_KEEP_MS - DAY));
    assert_false(contact_living(f->contacts, bas.subject, now + CONTACT_KEEP_MS + DAY));
    assert_int_equal(contact_subjects(f->contacts, 0, subjects, 4), 2);
    assert_int_equal(subjects[1], 8);
    assert_int_equal(contact_subjects(f->contacts, 8, subjects, 4), 1);
    assert_int_equal(contact_subjects(f->contacts, 0, subjects, 1), 1);
}

/* ---- the window and the pace, from the journal ---- */

struct traffic {
    struct contact_id id;
    uint8_t kind;
    int64_t at_ms;
    uint64_t serial;
};

static int put_item(struct store_txn *txn, void *ctx)
{
    const struct traffic *t = ctx;
    struct store_item item = {.serial = t->serial,
                              .batch = t->serial,
                              .subject = t->id.subject,
                              .channel = t->id.channel,
                              .kind = t->kind,
                              .at_ms = t->at_ms,
                              .taken_ms = t->at_ms};
    store_put_item(txn, &item);
    return store_txn_error(txn);
}

static void traffic(struct fixture *f, struct contact_id id, uint8_t kind, int64_t at_ms)
{
    struct traffic t = {id, kind, at_ms, store_next_serial(f->store)};
    assert_int_equal(test_run(f->store, put_item, &t), 0);
}

static enum contact_window window(struct fixture *f, struct contact_id id, int64_t now)
{
    enum contact_window w;
    assert_int_equal(contact_window(f->contacts, id, now, &w), 0);
    return w;
}

static void windows(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms();
    assert_int_equal(window(f, anna, now), CONTACT_UNKNOWN);
    traffic(f, anna, STORE_KIND_SENT, now - 3000);
    assert_int_equal(window(f, anna, now), CONTACT_UNKNOWN); /* we wrote, they did not */
    traffic(f, anna, STORE_KIND_MESSAGE, now - DAY - 1000);
    traffic(f, anna, STORE_KIND_SENT, now - 2000);
    traffic(f, anna, STORE_KIND_STATUS, now - 1000);
    assert_int_equal(window(f, anna, now), CONTACT_CLOSED);
    assert_int_equal(window(f, anna, now - 2000), CONTACT_OPEN);
    assert_int_equal(window(f, anna_elsewhere, now), CONTACT_UNKNOWN);
    contact_note_in(f->contacts, anna, now - 5);
    assert_int_equal(window(f, anna, now), CONTACT_OPEN);
    contact_note_in(f->contacts, anna, now - 2 * DAY); /* late, and older: changes nothing */
    assert_int_equal(window(f, anna, now), CONTACT_OPEN);
    assert_int_equal(window(f, anna, now + DAY), CONTACT_CLOSED);
    /* a restart knows what the journal knows */
    contacts_close(f->contacts);
    assert_int_equal(contacts_open(f->store, f->keyring, &f->contacts), 0);
    assert_int_equal(window(f, anna, now), CONTACT_CLOSED);
}

static bool take(struct fixture *f, unsigned messages, int64_t per_ms)
{
    bool may;
    assert_int_equal(contact_pace_take(f->contacts, anna, messages, per_ms, clock_wall_ms(), &may),
                     0);
    return may;
}

static void pace(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms();
    assert_true(take(f, 2, 60000));
    assert_true(take(f, 2, 60000));
    assert_false(take(f, 2, 60000)); /* two are under way */
    contact_pace_done(f->contacts, anna);
    assert_true(take(f, 2, 60000)); /* one ended without a message */
    traffic(f, anna, STORE_KIND_SENT, now);
    contact_pace_done(f->contacts, anna);
    contact_pace_done(f->contacts, anna);
    assert_true(take(f, 2, 60000)); /* one sent, one under way */
    assert_false(take(f, 2, 60000));
    contact_pace_done(f->contacts, anna);
    traffic(f, anna, STORE_KIND_SENT, now);
    traffic(f, anna, STORE_KIND_STATUS, now);
    assert_false(take(f, 2, 60000));
    assert_true(take(f, 3, 60000));
    contact_pace_done(f->contacts, anna);
}

static void pace_period(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms();
    traffic(f, anna, STORE_KIND_SENT, now - 61000);
    traffic(f, anna, STORE_KIND_SENT, now - 59000);
    assert_true(take(f, 2, 60000)); /* the first is past */
    assert_false(take(f, 2, 60000));
}

/* ---- texts ---- */

static void stop_words(void **state)
{
    static const char *const words[] = {"stop", "afmelden", "stop alle berichten"};
    (void)state;
    static const char *const yes[] = {
        "STOP", "stop", " Stop! ", "\"afmelden\"", "Stop alle berichten.",
        /* a hand, one with a skin tone and its form, typographic
         * quotes, an ellipsis, a space that does not break */
        "STOP \xf0\x9f\x9b\x91", "\xe2\x9c\x8b\xf0\x9f\x8f\xbd\xef\xb8\x8fStop!",
        "\xe2\x80\x9cstop\xe2\x80\x9d", "stop\xe2\x80\xa6",
        "\xc2\xa0"
        "Afmelden\xc2\xa0"
        "\xf0\x9f\x99\x8f"};
    static const char *const no[] = {
        "",      "stop ermee graag", "non-stop",     "niet afmelden",    "...",
        "stopp", "stop\xc3\xa9",     "\xc3\xa9stop", "\xf0\x9f\x9b\x91", "stop\xf0\x9f"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(contact_is_stop_word(words, 3, span_str(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(contact_is_stop_word(words, 3, span_str(no[i])));
    assert_false(contact_is_stop_word(NULL, 0, SPAN("stop")));
    /* a word that ends in a sign itself, and who leaves that out */
    static const char *const polite[] = {"stop a.u.b.", "!stop!"};
    assert_true(contact_is_stop_word(polite, 2, SPAN("Stop a.u.b.")));
    assert_true(contact_is_stop_word(polite, 2, SPAN(" STOP A.U.B ")));
    assert_true(contact_is_stop_word(polite, 2, SPAN("stop")));
    assert_false(contact_is_stop_word(polite, 2, SPAN("a.u.b.")));
    static const char *const french[] = {"arr\xc3\xaat\xc3\xa9"}; /* letters of any script stay */
    assert_true(contact_is_stop_word(french, 1, SPAN("Arr\xc3\xaat\xc3\xa9.")));
    assert_false(contact_is_stop_word(french, 1, SPAN("arr\xc3\xaat")));
    /* as long as a policy may write it */
    static const char *const wordy[] = {"stuur mij alstublieft geen berichten meer"};
    assert_true(contact_is_stop_word(wordy, 1, SPAN("Stuur mij alstublieft geen berichten meer!")));
}

static void languages(void **state)
{
    static const struct {
        const char *text, *phone;
        enum contact_language is;
    } cases[] = {
        {"Goedemorgen, mijn bsn is kwijt", "31612345678", CONTACT_DUTCH},
        {"Hello, can you help me with my passport?", "31612345678", CONTACT_ENGLISH},
        {"Hello", "31612345678", CONTACT_DUTCH},
        {"Hello", "32471234567", CONTACT_DUTCH},
        {"Hello", "4915112345678", CONTACT_ENGLISH},
        {"Merhaba", "905301234567", CONTACT_DUTCH},
        {"111222333", "31612345678", CONTACT_DUTCH},
        {"", "", CONTACT_DUTCH},
        {"I am at the station and ik kan de deur niet vinden", "31612345678", CONTACT_DUTCH},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(contact_language(span_str(cases[i].text), span_str(cases[i].phone)),
                         cases[i].is);
}

/* Nothing of what was written down stands in the store as it was. */
static int look_for(void *ctx, struct span key, struct span value)
{
    (void)key;
    bool *seen = ctx;
    *seen |= memmem(value.p, value.n, "KANARIE", 7) != NULL;
    return 0;
}

static void sealed(void **state)
{
    struct fixture *f = *state;
    bool seen = false;
    struct store_read *read;
    assert_int_equal(reference(f, anna, "KANARIE-1"), 0);
    assert_int_equal(noticed(f, anna, "KANARIE", 1000), 0);
    assert_int_equal(consent(f, anna, CONTACT_CONSENT, "KANARIE", clock_wall_ms(), 0), 0);
    assert_int_equal(store_read_begin(f->store, &read), 0);
    (void)store_each_row(read, STORE_TABLE_SUBJECT, SPAN_EMPTY, look_for, &seen);
    store_read_end(read);
    assert_false(seen);
    struct contact_state s;
    struct buffer out;
    look(f, anna, &s);
    buffer_init(&out, 65536);
    contact_write(&s, &out);
    assert_int_equal(out.error, 0);
    assert_non_null(memmem(out.p, out.n, "\"reference\":\"KANARIE-1\"", 23));
    assert_non_null(memmem(out.p, out.n, "\"basis\":\"consent\",\"purpose\":\"KANARIE\"", 37));
    buffer_free(&out);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(consents),
        CASE(refusals),
        CASE(opting_out),
        CASE(linked),
        CASE(references),
        CASE(reindexed),
        CASE(notices),
        CASE(erased),
        CASE(living),
        CASE(windows),
        CASE(pace),
        CASE(pace_period),
        CASE(sealed),
        cmocka_unit_test(stop_words),
        cmocka_unit_test(languages),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
