/* Persons on the real store and keyring: codes, signing in, sessions, grants, decisions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/support.h"
#include "people.h"
#include "sluis/base/clock.h"

#define NOW INT64_C(1795300205123)
#define STEP (NOW / 30000)
#define PASSWORD "een lang wachtwoord"

struct fixture {
    char top[64], folder[256], ring[96], root[96];
    struct store *store;
    struct keyring *keyring;
    struct access *access;
};

/* Roles as a policy would give them: channels 1 and 2; "officer" only on 1. */
static int role(void *ctx, uint16_t channel, const char *name, int64_t at_ms,
                struct access_role *out)
{
    static const struct {
        const char *name;
        uint32_t may;
        bool one_only;
    } roles[] = {
        {"agent", POLICY_MAY_HISTORY, false},
        {"behandelaar", POLICY_MAY_HISTORY | POLICY_MAY_REVEAL, false},
        {"officer", POLICY_MAY_POLICY | POLICY_MAY_APPROVE, true},
        {"beheer", POLICY_MAY_ROLES | POLICY_MAY_OPERATE, false},
        {"auditor", POLICY_MAY_LOG, false},
        {"nacht", POLICY_MAY_HISTORY, false},
        {"alles", POLICY_MAY_POLICY | POLICY_MAY_REVEAL, false},
        {"niets", 0, false},
    };
    (void)at_ms;
    if (ctx && *(bool *)ctx) /* the policy of now has no roles */
        return SLUIS_ENOENT;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].name, name) != 0)
            continue;
        if (roles[i].one_only && channel != 1 && channel != ACCESS_SOME)
            return SLUIS_ENOENT;
        if (channel > 2 && channel != ACCESS_SOME)
            return SLUIS_ENOENT;
        *out = (struct access_role){.may = roles[i].may, .open = strcmp(name, "nacht") != 0};
        return 0;
    }
    return SLUIS_ENOENT;
}

static bool no_roles;

static void open_access(struct fixture *f)
{
    const struct access_roles roles = {role, &no_roles};
    assert_int_equal(access_open(f->store, f->keyring, &f->access), 0);
    access_set_roles(f->access, &roles);
    people_of(f->access)->ops = crypto_pwhash_OPSLIMIT_MIN;
    people_of(f->access)->mem = crypto_pwhash_MEMLIMIT_MIN;
}

static int setup(void **state)
{
    static struct fixture f;
    no_roles = false;
    strcpy(f.top, "/tmp/sluis-person-XXXXXX");
    assert_non_null(mkdtemp(f.top));
    snprintf(f.ring, sizeof(f.ring), "%s/ring", f.top);
    snprintf(f.root, sizeof(f.root), "%s/root", f.top);
    test_folder(f.folder);
    const struct keyring_config config = {.path = f.ring, .root_file = f.root, .make = true};
    assert_int_equal(keyring_open(&config, &f.keyring, NULL), 0);
    f.store = test_store(f.folder);
    open_access(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    access_close(f->access);
    store_close(f->store);
    keyring_close(f->keyring);
    test_folder_remove(f->folder);
    test_folder_remove(f->top);
    return 0;
}

static void restart(struct fixture *f)
{
    access_close(f->access);
    store_close(f->store);
    f->store = test_store(f->folder);
    open_access(f);
}

/* ---- RFC 6238 appendix B, RFC 4648 section 10 ---- */

static void published_codes(void **state)
{
    static const char *const secrets[] = {
        "12345678901234567890", "12345678901234567890123456789012",
        "1234567890123456789012345678901234567890123456789012345678901234"};
    static const struct {
        uint64_t time;
        const char *code[3];
    } rows[] = {
        {59, {"94287082", "46119246", "90693936"}},
        {1111111109, {"07081804", "68084774", "25091201"}},
        {1111111111, {"14050471", "67062674", "99943326"}},
        {1234567890, {"89005924", "91819424", "93441116"}},
        {2000000000, {"69279037", "90698825", "38618901"}},
        {20000000000, {"65353130", "77737706", "47863826"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned h = 0; h < 3; h++) {
            char code[9];
            assert_int_equal(
                totp_code((enum totp_hash)h, span_str(secrets[h]), rows[i].time / 30, 8, code), 0);
            assert_string_equal(code, rows[i].code[h]);
            assert_int_equal(
                totp_code((enum totp_hash)h, span_str(secrets[h]), rows[i].time / 30, 6, code), 0);
            assert_string_equal(code, rows[i].code[h] + 2);
        }
    }
    char code[9];
    assert_int_equal(totp_code(TOTP_SHA1, SPAN("x"), 1, 5, code), SLUIS_EINVAL);
    assert_int_equal(totp_code(TOTP_SHA1, SPAN("x"), 1, 9, code), SLUIS_EINVAL);
}

static void published_base32(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "MY"},
                                          {"fo", "MZXQ"},
                                          {"foo", "MZXW6"},
                                          {"foob", "MZXW6YQ"},
                                          {"fooba", "MZXW6YTB"},
                                          {"foobar", "MZXW6YTBOI"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer text, back;
        buffer_init(&text, 64);
        buffer_init(&back, 64);
        base32_encode(span_str(rows[i][0]), &text);
        assert_true(span_is(buffer_span(&text), rows[i][1]));
        assert_int_equal(base32_decode(buffer_span(&text), &back), 0);
        assert_true(span_is(buffer_span(&back), rows[i][0]));
        assert_int_equal(base32_decode(SPAN("M1"), &back), SLUIS_EINVAL);
        buffer_free(&text);
        buffer_free(&back);
    }
}

/* ---- signing in ---- */

struct
try {
    struct access_sign_in s;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool over;
};

static void on_done(struct access_sign_in *s)
{
    struct try *t = s->ctx;
    pthread_mutex_lock(&t->lock);
    t->over = true;
    pthread_cond_signal(&t->ready);
    pthread_mutex_unlock(&t->lock);
}

static int sign_in_from(struct fixture *f, struct try *t, const char *name, const char *password,
                        const char *code, int64_t at_ms, const char *peer)
{
    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->ready, NULL);
    snprintf(t->s.name, sizeof(t->s.name), "%s", name);
    snprintf(t->s.password, sizeof(t->s.password), "%s", password);
    snprintf(t->s.code, sizeof(t->s.code), "%s", code);
    snprintf(t->s.peer, sizeof(t->s.peer), "%s", peer);
    t->s.at_ms = at_ms;
    t->s.kind = ACCESS_COOKIE;
    t->s.done = on_done;
    t->s.ctx = t;
    assert_int_equal(access_sign_in(f->access, &t->s), 0);
    pthread_mutex_lock(&t->lock);
    while (!t->over)
        pthread_cond_wait(&t->ready, &t->lock);
    pthread_mutex_unlock(&t->lock);
    return t->s.result;
}

static int sign_in(struct fixture *f, struct try *t, const char *name, const char *password,
                   const char *code, int64_t at_ms)
{
    return sign_in_from(f, t, name, password, code, at_ms, "192.0.2.1");
}

/* The code of a person's enrolment for a step. */
static void code_of(const struct access_enrolment *e, int64_t step, char out[9])
{
    const char *from = strstr(e->uri, "secret=");
    assert_non_null(from);
    struct span text = span_str(from + 7);
    struct buffer secret;
    buffer_init(&secret, 64);
    assert_int_equal(base32_decode(span_sub(text, 0, span_find(text, '&')), &secret), 0);
    assert_int_equal(totp_code(TOTP_SHA1, buffer_span(&secret), (uint64_t)step, 6, out), 0);
    buffer_free(&secret);
}

static struct access_enrolment person(struct fixture *f, const char *name)
{
    struct access_enrolment e;
    assert_int_equal(access_person_add(f->access, name, "operator", SPAN(PASSWORD), &e), 0);
    assert_string_equal(e.password, "");
    return e;
}

static void signed_in(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e = person(f, "jan");
    struct access_session session;
    struct try t;
    char code[9], other[9];
    code_of(&e, STEP, code);
    code_of(&e, STEP + 1, other);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD "x", code, NOW), SLUIS_EDENIED);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, "000000", NOW), SLUIS_EDENIED);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, "", NOW), SLUIS_EDENIED);
    assert_int_equal(sign_in(f, &t, "niemand", PASSWORD, code, NOW), SLUIS_EDENIED);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), 0);
    assert_string_equal(t.s.who.name, "jan");
    assert_string_equal(t.s.password, ""); /* wiped */
    char cookie[ACCESS_SECRET_TEXT];
    strcpy(cookie, t.s.session);
    assert_int_equal(
        access_session(f->access, span_str(cookie), ACCESS_COOKIE, "192.0.2.1", NOW, &session), 0);
    assert_string_equal(session.who.name, "jan");
    assert_int_equal(session.who.kind, PRINCIPAL_PERSON);
    /* a code is used once, also after a restart, and older ones are past */
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), SLUIS_EDENIED);
    restart(f);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), SLUIS_EDENIED);
    assert_int_equal(
        access_session(f->access, span_str(cookie), ACCESS_COOKIE, "192.0.2.1", NOW, &session),
        SLUIS_EDENIED); /* sessions live in memory only */
    code_of(&e, STEP - 1, code);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), SLUIS_EDENIED);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, other, NOW), 0); /* a clock 30 s ahead */
}

static void drift(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e = person(f, "jan");
    struct try t;
    char code[9];
    code_of(&e, STEP - 2, code);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), SLUIS_EDENIED);
    code_of(&e, STEP + 2, code);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), SLUIS_EDENIED);
    code_of(&e, STEP - 1, code);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), 0);
    code_of(&e, STEP, code);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW), 0);
}

static void one_time_password(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e;
    struct access_session session;
    struct try t;
    char code[9];
    int64_t now = clock_wall_ms();
    assert_int_equal(access_person_add(f->access, "piet", "operator", SPAN_EMPTY, &e), 0);
    assert_int_equal(strlen(e.password), 24);
    assert_int_equal(access_person_add(f->access, "piet", "operator", SPAN_EMPTY, &e),
                     SLUIS_EEXIST);
    assert_string_equal(e.uri, "");
    struct person p;
    assert_int_equal(access_person_find(f->access, "piet", &p), 0);
    assert_int_equal(access_person_reset(f->access, p.id, "operator:0", &e), 0);
    code_of(&e, now / 30000, code);
    assert_int_equal(sign_in(f, &t, "piet", e.password, code, now + ACCESS_ENROL_MS + 30000),
                     SLUIS_EDENIED); /* too late; and the code is not of that moment */
    assert_int_equal(sign_in(f, &t, "piet", e.password, code, now), 0);
    assert_true(t.s.one_time);
    char cookie[ACCESS_SECRET_TEXT];
    strcpy(cookie, t.s.session);
    assert_int_equal(
        access_session(f->access, span_str(cookie), ACCESS_COOKIE, "192.0.2.1", now, &session), 0);
    assert_true(session.one_time);
    assert_int_equal(access_person_password(f->access, p.id, span_str(e.password)), SLUIS_EINVAL);
    assert_int_equal(access_person_password(f->access, p.id, SPAN("kort")), SLUIS_EINVAL);
    assert_int_equal(access_person_password(f->access, p.id, SPAN(PASSWORD)), 0);
    assert_int_equal(
        access_session(f->access, span_str(cookie), ACCESS_COOKIE, "192.0.2.1", now, &session),
        SLUIS_EDENIED); /* sessions of the old password end */
    code_of(&e, now / 30000 + 1, code);
    assert_int_equal(sign_in(f, &t, "piet", e.password, code, now), SLUIS_EDENIED);
    assert_int_equal(sign_in(f, &t, "piet", PASSWORD, code, now), 0);
    assert_false(t.s.one_time);
}

static void one_time_password_expires(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e;
    struct try t;
    char code[9];
    int64_t late = clock_wall_ms() + ACCESS_ENROL_MS + 1000;
    assert_int_equal(access_person_add(f->access, "piet", "operator", SPAN_EMPTY, &e), 0);
    code_of(&e, late / 30000, code);
    assert_int_equal(sign_in(f, &t, "piet", e.password, code, late), SLUIS_EDENIED);
}

static void slowed_down(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e = person(f, "jan");
    struct try t;
    char code[9];
    code_of(&e, STEP, code);
    for (int known = 1; known >= 0; known--) { /* the same for a name that does not exist */
        const char *name = known ? "jan" : "niemand";
        for (int i = 0; i < 5; i++)
            assert_int_equal(sign_in(f, &t, name, "fout fout fout", code, NOW), SLUIS_EDENIED);
        assert_int_equal(sign_in(f, &t, name, known ? PASSWORD : "fout", code, NOW), SLUIS_EAGAIN);
        assert_int_equal(t.s.wait_s, 1);
    }
    /* another address is not slowed yet, and after the wait this one goes on */
    assert_int_equal(sign_in_from(f, &t, "jan", PASSWORD, code, NOW, "192.0.2.9"), 0);
    code_of(&e, STEP + 1, code);
    assert_int_equal(sign_in(f, &t, "jan", PASSWORD, code, NOW + 1000), 0);
    /* an address that tries name after name */
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "naam%d", i);
        assert_int_equal(sign_in_from(f, &t, name, "x", "1", NOW, "2001:db8:1:2::1"),
                         SLUIS_EDENIED);
    }
    assert_int_equal(sign_in_from(f, &t, "nog", "x", "1", NOW, "2001:db8:1:2::7"), SLUIS_EAGAIN);
    assert_int_equal(sign_in_from(f, &t, "nog", "x", "1", NOW, "2001:db8:1:3::7"), SLUIS_EDENIED);
}

/* Who knows a name and has many addresses does not keep its owner out of their own place. */
static void not_kept_out(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e = person(f, "jan");
    struct try t;
    char code[9];
    code_of(&e, STEP, code);
    assert_int_equal(sign_in_from(f, &t, "jan", PASSWORD, code, NOW, "192.0.2.1"), 0);
    for (int i = 0; i < 50; i++) {
        char from[32];
        snprintf(from, sizeof(from), "198.51.100.%d", i + 1);
        assert_int_equal(sign_in_from(f, &t, "jan", "x", "1", NOW, from), SLUIS_EDENIED);
    }
    code_of(&e, STEP + 1, code);
    assert_int_equal(sign_in_from(f, &t, "jan", PASSWORD, code, NOW, "192.0.2.9"), SLUIS_EAGAIN);
    assert_int_equal(sign_in_from(f, &t, "jan", PASSWORD, code, NOW, "192.0.2.1"), 0);
    /* there, too, guessing is slowed */
    for (int i = 0; i < 5; i++)
        assert_int_equal(sign_in_from(f, &t, "jan", "x", "1", NOW, "192.0.2.1"), SLUIS_EDENIED);
    assert_int_equal(sign_in_from(f, &t, "jan", "x", "1", NOW, "192.0.2.1"), SLUIS_EAGAIN);
}

/* ---- sessions ---- */

static void sessions(void **state)
{
    struct fixture *f = *state;
    struct access_session s;
    char cookie[ACCESS_SECRET_TEXT], bearer[ACCESS_SECRET_TEXT], more[ACCESS_SECRET_TEXT];
    person(f, "jan");
    assert_int_equal(access_session_open(f->access, "niemand", ACCESS_COOKIE, "a", NOW, cookie),
                     SLUIS_ENOENT);
    assert_int_equal(access_session_open(f->access, "jan", ACCESS_COOKIE, "a", NOW, cookie), 0);
    assert_int_equal(access_session_open(f->access, "jan", ACCESS_BEARER, "a", NOW, bearer), 0);
    struct span c = span_str(cookie), b = span_str(bearer);
    /* never the one for the other */
    assert_int_equal(access_session(f->access, c, ACCESS_BEARER, "a", NOW, &s), SLUIS_EDENIED);
    assert_int_equal(access_session(f->access, b, ACCESS_COOKIE, "a", NOW, &s), SLUIS_EDENIED);
    assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "a", NOW, &s), 0);
    assert_int_equal(access_session(f->access, b, ACCESS_BEARER, "a", NOW, &s), 0);
    /* near misses */
    more[0] = '\0';
    strcpy(more, cookie);
    more[0] = more[0] == 'A' ? 'B' : 'A';
    assert_int_equal(access_session(f->access, span_str(more), ACCESS_COOKIE, "a", NOW, &s),
                     SLUIS_EDENIED);
    assert_int_equal(
        access_session(f->access, span_sub(c, 0, c.n - 1), ACCESS_COOKIE, "a", NOW, &s),
        SLUIS_EDENIED);
    assert_int_equal(access_session(f->access, SPAN_EMPTY, ACCESS_COOKIE, "a", NOW, &s),
                     SLUIS_EDENIED);
    /* idle, and absolute however busy */
    int64_t at = NOW;
    for (; at + ACCESS_IDLE_MS - 1 < NOW + ACCESS_ABSOLUTE_MS; at += ACCESS_IDLE_MS - 1)
        assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "a", at, &s), 0);
    assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "a", NOW + ACCESS_ABSOLUTE_MS, &s),
                     SLUIS_EDENIED);
    assert_int_equal(access_session(f->access, b, ACCESS_BEARER, "a", NOW + ACCESS_IDLE_MS, &s),
                     SLUIS_EDENIED);
    /* stolen: seen from another address it ends, for both */
    assert_int_equal(access_session_open(f->access, "jan", ACCESS_COOKIE, "a", NOW, cookie), 0);
    assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "b", NOW, &s), SLUIS_EEXPIRED);
    assert_string_equal(s.who.name, "jan");
    assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "a", NOW, &s), SLUIS_EDENIED);
    /* signed out; removed */
    assert_int_equal(access_session_open(f->access, "jan", ACCESS_COOKIE, "a", NOW, cookie), 0);
    access_session_close(f->access, c);
    assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "a", NOW, &s), SLUIS_EDENIED);
    assert_int_equal(access_session_open(f->access, "jan", ACCESS_COOKIE, "a", NOW, cookie), 0);
    struct person p;
    assert_int_equal(access_person_find(f->access, "jan", &p), 0);
    assert_int_equal(access_person_remove(f->access, p.id), 0);
    assert_int_equal(access_session(f->access, c, ACCESS_COOKIE, "a", NOW, &s), SLUIS_EDENIED);
    assert_int_equal(access_session_open(f->access, "jan", ACCESS_COOKIE, "a", NOW, cookie),
                     SLUIS_ENOENT);
}

static void many_sessions(void **state)
{
    struct fixture *f = *state;
    struct access_session s;
    char text[SESSIONS_EACH + 1][ACCESS_SECRET_TEXT];
    person(f, "jan");
    for (int i = 0; i <= SESSIONS_EACH; i++)
        assert_int_equal(
            access_session_open(f->access, "jan", ACCESS_COOKIE, "a", NOW + i, text[i]), 0);
    for (int i = 0; i <= SESSIONS_EACH; i++)
        assert_int_equal(
            access_session(f->access, span_str(text[i]), ACCESS_COOKIE, "a", NOW + 100, &s),
            i ? 0 : SLUIS_EDENIED); /* the oldest made room */
}

/* ---- grants and decisions ---- */

static uint64_t id_of(struct fixture *f, const char *name)
{
    struct person p;
    assert_int_equal(access_person_find(f->access, name, &p), 0);
    return p.id;
}

static int grant(struct fixture *f, const char *name, const char *what, uint16_t channel,
                 const char *by, uint64_t *id, enum access_why *why)
{
    struct access_grant g = {.person = id_of(f, name), .all = channel == 0};
    snprintf(g.role, sizeof(g.role), "%s", what);
    snprintf(g.granted_by, sizeof(g.granted_by), "%s", by);
    if (channel)
        g.channels[g.channel_count++] = channel;
    return access_grant_add(f->access, &g, NOW, id, why);
}

static struct principal who(struct fixture *f, const char *name)
{
    struct principal p;
    struct person one;
    assert_int_equal(access_person_find(f->access, name, &one), 0);
    principal_of(&one, &p);
    return p;
}

static void granted(void **state)
{
    struct fixture *f = *state;
    enum access_why why;
    uint64_t id;
    person(f, "jan");
    struct principal jan = who(f, "jan");
    assert_false(access_may(f->access, &jan, 1, POLICY_MAY_HISTORY, NOW));
    assert_true(access_may(f->access, &jan, 1, 0, NOW)); /* signed in */
    assert_int_equal(grant(f, "jan", "agent", 2, "operator", &id, &why), 0);
    for (int again = 0; again < 2; again++) {
        assert_true(access_may(f->access, &jan, 2, POLICY_MAY_HISTORY, NOW));
        assert_true(access_may(f->access, &jan, ACCESS_SOME, POLICY_MAY_HISTORY, NOW));
        assert_false(access_may(f->access, &jan, 1, POLICY_MAY_HISTORY, NOW));
        assert_false(access_may(f->access, &jan, ACCESS_WHOLE, POLICY_MAY_HISTORY, NOW));
        assert_false(access_may(f->access, &jan, 2, POLICY_MAY_REVEAL, NOW));
        assert_false(access_may(f->access, &jan, 2, POLICY_MAY_HISTORY | POLICY_MAY_REVEAL, NOW));
        restart(f);
    }
    no_roles = true; /* a reload took the role out of the policy */
    assert_false(access_may(f->access, &jan, 2, POLICY_MAY_HISTORY, NOW));
    no_roles = false;
    assert_int_equal(access_grant_revoke(f->access, id), 0);
    assert_false(access_may(f->access, &jan, 2, POLICY_MAY_HISTORY, NOW));
    assert_int_equal(access_grant_revoke(f->access, 99), SLUIS_ENOENT);
    assert_int_equal(grant(f, "jan", "agent", 0, "operator", &id, &why), 0);
    assert_true(access_may(f->access, &jan, 1, POLICY_MAY_HISTORY, NOW));
    assert_true(access_may(f->access, &jan, ACCESS_WHOLE, POLICY_MAY_HISTORY, NOW));
    assert_int_equal(access_person_remove(f->access, jan.id), 0);
    struct access_decision d;
    assert_int_equal(access_decide(f->access, &jan, 1, POLICY_MAY_HISTORY, NOW, &d), SLUIS_EDENIED);
    assert_int_equal(d.why, ACCESS_GONE);
    restart(f);
    assert_false(access_may(f->access, &jan, 1, POLICY_MAY_HISTORY, NOW));
}

static void separated(void **state)
{
    struct fixture *f = *state;
    enum access_why why;
    uint64_t id;
    person(f, "jan");
    assert_int_equal(grant(f, "jan", "behandelaar", 1, "operator", &id, &why), 0);
    assert_int_equal(grant(f, "jan", "officer", 1, "operator", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_CONFLICT);
    assert_int_equal(grant(f, "jan", "beheer", 0, "operator", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_CONFLICT);
    assert_int_equal(grant(f, "jan", "auditor", 2, "operator", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_CONFLICT); /* on another channel too: the log is of all */
    assert_int_equal(grant(f, "jan", "alles", 2, "operator", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_CONFLICT); /* a role that breaks it alone */
    assert_int_equal(grant(f, "jan", "agent", 2, "jan", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_NO_RIGHT); /* not to oneself */
    assert_int_equal(grant(f, "jan", "onbekend", 2, "operator", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_NO_GRANT);
    assert_int_equal(grant(f, "jan", "officer", 2, "operator", &id, &why), SLUIS_EDENIED);
    assert_int_equal(why, ACCESS_NO_GRANT); /* known on channel 1 only */
    assert_int_equal(grant(f, "jan", "niets", 2, "operator", &id, &why), SLUIS_EDENIED);
    person(f, "officier");
    assert_int_equal(grant(f, "officier", "officer", 1, "operator", &id, &why), 0);
    struct principal officer = who(f, "officier");
    assert_true(access_may(f->access, &officer, 1, POLICY_MAY_POLICY, NOW));
    assert_false(access_may(f->access, &officer, 1, POLICY_MAY_REVEAL, NOW));
    /* the installation as a whole needs every channel's policy to say so */
    assert_int_equal(grant(f, "officier", "officer", 0, "operator", &id, &why), 0);
    assert_false(access_may(f->access, &officer, ACCESS_WHOLE, POLICY_MAY_POLICY, NOW));
    person(f, "nacht");
    assert_int_equal(grant(f, "nacht", "nacht", 1, "operator", &id, &why), 0);
    struct principal night = who(f, "nacht");
    struct access_decision d;
    assert_int_equal(access_decide(f->access, &night, 1, POLICY_MAY_HISTORY, NOW, &d),
                     SLUIS_EDENIED);
    assert_int_equal(d.why, ACCESS_CLOSED);
    assert_int_equal(d.given.may, 0);
}

/* The policy changed after the grants: what conflicts now gives neither. */
static void separated_at_use(void **state)
{
    struct fixture *f = *state;
    enum access_why why;
    uint64_t id;
    person(f, "jan");
    struct principal jan = who(f, "jan");
    assert_int_equal(grant(f, "jan", "behandelaar", 1, "operator", &id, &why), 0);
    assert_int_equal(grant(f, "jan", "agent", 2, "operator", &id, &why), 0);
    struct people *people = people_of(f->access);
    strcpy(people->grants[1].role, "auditor"); /* as if `agent` had become one */
    struct access_decision d;
    assert_int_equal(access_decide(f->access, &jan, 2, POLICY_MAY_LOG, NOW, &d), SLUIS_EDENIED);
    assert_int_equal(d.why, ACCESS_CONFLICT);
    assert_int_equal(access_decide(f->access, &jan, 1, POLICY_MAY_REVEAL, NOW, &d), SLUIS_EDENIED);
    assert_int_equal(d.why, ACCESS_CONFLICT);
    assert_int_equal(access_decide(f->access, &jan, 1, POLICY_MAY_HISTORY, NOW, &d), SLUIS_EDENIED);
    assert_int_equal(d.why, ACCESS_CONFLICT);
}

static void officers(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e;
    struct access_decision d;
    enum access_why why;
    uint64_t id;
    bool alarm;
    struct principal operator= {.kind = PRINCIPAL_OPERATOR};
    const enum permission add = PERMISSION_TOKENS_ADD;
    assert_int_equal(permission_may(f->access, add, &operator, true, NOW, &d, &alarm), 0);
    assert_false(alarm);
    person(f, "een");
    person(f, "twee");
    assert_int_equal(access_person_add(f->access, "drie", "operator", SPAN_EMPTY, &e), 0);
    assert_int_equal(grant(f, "een", "beheer", 0, "operator", &id, &why), 0);
    assert_int_equal(grant(f, "drie", "beheer", 0, "operator", &id, &why), 0);
    assert_int_equal(access_officers(f->access, POLICY_MAY_ROLES, NOW), 1); /* drie never came */
    assert_int_equal(permission_may(f->access, add, &operator, true, NOW, &d, &alarm), 0);
    assert_int_equal(grant(f, "twee", "beheer", 0, "operator", &id, &why), 0);
    assert_int_equal(access_officers(f->access, POLICY_MAY_ROLES, NOW), 2);
    assert_int_equal(permission_may(f->access, add, &operator, true, NOW, &d, &alarm),
                     SLUIS_EDENIED);
    assert_int_equal(d.why, ACCESS_OFFICERS);
    operator.break_glass = true;
    assert_int_equal(permission_may(f->access, add, &operator, true, NOW, &d, &alarm), 0);
    assert_true(alarm);
    assert_int_equal(permission_may(f->access, add, &operator, false, NOW, &d, &alarm),
                     SLUIS_EDENIED); /* not at the other door */
    struct principal een = who(f, "een");
    assert_int_equal(permission_may(f->access, add, &een, false, NOW, &d, &alarm), 0);
    assert_int_equal(permission_may(f->access, PERMISSION_LOG, &een, false, NOW, &d, &alarm),
                     SLUIS_EDENIED);
    struct principal nobody = {.id = een.id};
    assert_int_equal(permission_may(f->access, add, &nobody, false, NOW, &d, &alarm),
                     SLUIS_EDENIED);
    assert_int_equal(permission_may(f->access, add, &nobody, true, NOW, &d, &alarm), SLUIS_EDENIED);
    assert_int_equal(permission_may(f->access, PERMISSION_LIVEZ, &nobody, false, NOW, &d, &alarm),
                     0);
}

/* Holds the room's thread where it is until the lock is given back, so that what comes waits. */
static void on_done_held(struct access_sign_in *s)
{
    pthread_mutex_t *held = s->ctx;
    pthread_mutex_lock(held);
    pthread_mutex_unlock(held);
}

static int waits(struct fixture *f, struct access_sign_in *s, const char *name, const char *peer,
                 pthread_mutex_t *held)
{
    memset(s, 0, sizeof(*s));
    snprintf(s->name, sizeof(s->name), "%s", name);
    snprintf(s->peer, sizeof(s->peer), "%s", peer);
    s->at_ms = NOW;
    s->done = on_done_held;
    s->ctx = held;
    return access_sign_in(f->access, s);
}

/* A flood of sign-ins leaves places: to other addresses, and to who signed in there before. */
static void flooded(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e = person(f, "jan");
    struct try t;
    static struct access_sign_in many[2 * ACCESS_SIGN_INS_ADDRESS + ACCESS_SIGN_INS_MAX + 8];
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    unsigned n = 0, address, other, strangers, known = 0;
    char code[9], peer[32];
    code_of(&e, STEP, code);
    assert_int_equal(sign_in_from(f, &t, "jan", PASSWORD, code, NOW, "192.0.2.1"), 0);
    pthread_mutex_lock(&held); /* nothing is asserted until it is given back */
    /* one address, many names; the first may be at the thread already, no other can be */
    for (unsigned i = 0; i < 2 * ACCESS_SIGN_INS_ADDRESS; i++) {
        snprintf(peer, sizeof(peer), "2001:db8:1:2::%x", i + 1);
        n += waits(f, &many[n], "x", peer, &held) == 0;
    }
    address = n;
    n += waits(f, &many[n], "piet", "198.51.100.1", &held) == 0;
    other = n - address;
    for (unsigned i = 0; i < ACCESS_SIGN_INS_MAX; i++) {
        snprintf(peer, sizeof(peer), "203.0.113.%u", i + 1);
        n += waits(f, &many[n], "x", peer, &held) == 0;
    }
    strangers = n;
    for (unsigned i = 0; i < ACCESS_SIGN_INS_KNOWN + 1; i++) {
        bool in = waits(f, &many[n], "jan", "192.0.2.1", &held) == 0;
        n += in;
        known += in;
    }
    pthread_mutex_unlock(&held);
    access_stop(f->access); /* they are done before the test's memory goes */
    assert_in_range(address, ACCESS_SIGN_INS_ADDRESS, ACCESS_SIGN_INS_ADDRESS + 1);
    assert_int_equal(other, 1);
    assert_in_range(strangers, ACCESS_SIGN_INS_STRANGERS, ACCESS_SIGN_INS_STRANGERS + 1);
    assert_int_equal(known, ACCESS_SIGN_INS_KNOWN);
    pthread_mutex_destroy(&held);
}

/* Who shares an officer's address and knows that officer's name does not take every place. */
static void flooded_in_a_known_name(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e = person(f, "jan"), other = person(f, "piet");
    struct try t;
    static struct access_sign_in many[2 * ACCESS_SIGN_INS_MAX];
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    unsigned n = 0, jan, piet;
    char code[9];
    code_of(&e, STEP, code);
    assert_int_equal(sign_in_from(f, &t, "jan", PASSWORD, code, NOW, "192.0.2.1"), 0);
    code_of(&other, STEP, code);
    assert_int_equal(sign_in_from(f, &t, "piet", PASSWORD, code, NOW, "192.0.2.2"), 0);
    pthread_mutex_lock(&held); /* nothing is asserted until it is given back */
    for (unsigned i = 0; i < ACCESS_SIGN_INS_MAX + 4; i++)
        n += waits(f, &many[n], "jan", "192.0.2.1", &held) == 0;
    jan = n;
    n += waits(f, &many[n], "piet", "192.0.2.2", &held) == 0;
    piet = n - jan;
    pthread_mutex_unlock(&held);
    access_stop(f->access); /* they are done before the test's memory goes */
    /* the first may be at the thread already */
    assert_in_range(jan, ACCESS_SIGN_INS_KNOWN + ACCESS_SIGN_INS_ADDRESS,
                    ACCESS_SIGN_INS_KNOWN + ACCESS_SIGN_INS_ADDRESS + 1);
    assert_int_equal(piet, 1);
    pthread_mutex_destroy(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_codes),
        cmocka_unit_test(published_base32),
        cmocka_unit_test_setup_teardown(signed_in, setup, teardown),
        cmocka_unit_test_setup_teardown(drift, setup, teardown),
        cmocka_unit_test_setup_teardown(one_time_password, setup, teardown),
        cmocka_unit_test_setup_teardown(one_time_password_expires, setup, teardown),
        cmocka_unit_test_setup_teardown(slowed_down, setup, teardown),
        cmocka_unit_test_setup_teardown(not_kept_out, setup, teardown),
        cmocka_unit_test_setup_teardown(flooded, setup, teardown),
        cmocka_unit_test_setup_teardown(flooded_in_a_known_name, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(many_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(granted, setup, teardown),
        cmocka_unit_test_setup_teardown(separated, setup, teardown),
        cmocka_unit_test_setup_teardown(separated_at_use, setup, teardown),
        cmocka_unit_test_setup_teardown(officers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
