/* Two officers: who is enrolled waits for a second one, whatever was once governed stays so, and
 * what is removed stays removed, also when the store failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/support.h"
#include "people.h"
#include "sluis/base/clock.h"

#define NOW INT64_C(1795300205123)
#define PASSWORD "een lang wachtwoord"

struct fixture {
    char top[64], folder[256], ring[96], root[96];
    struct store *store;
    struct keyring *keyring;
    struct access *access;
    _Atomic bool failing; /* of the store: every commit, as on a full disk */
};

static int fault(void *ctx)
{
    return atomic_load((_Atomic bool *)ctx) ? ENOSPC : 0;
}

static int role(void *ctx, uint16_t channel, const char *name, int64_t at_ms,
                struct access_role *out)
{
    uint32_t may = strcmp(name, "officer") == 0  ? POLICY_MAY_APPROVE | POLICY_MAY_POLICY
                   : strcmp(name, "beheer") == 0 ? POLICY_MAY_ROLES
                   : strcmp(name, "agent") == 0  ? POLICY_MAY_HISTORY
                                                 : 0;
    (void)ctx, (void)channel, (void)at_ms;
    *out = (struct access_role){.may = may, .open = true};
    return may ? 0 : SLUIS_ENOENT;
}

static void open_all(struct fixture *f)
{
    const struct access_roles roles = {role, NULL};
    struct store_config config;
    test_config(&config, f->folder);
    config.fault = fault;
    config.fault_ctx = &f->failing;
    assert_int_equal(store_open(&config, &f->store, NULL), 0);
    assert_int_equal(access_open(f->store, f->keyring, &f->access), 0);
    access_set_roles(f->access, &roles);
    people_of(f->access)->ops = crypto_pwhash_OPSLIMIT_MIN;
    people_of(f->access)->mem = crypto_pwhash_MEMLIMIT_MIN;
}

static void close_all(struct fixture *f)
{
    access_close(f->access);
    store_close(f->store);
}

static int setup(void **state)
{
    static struct fixture f;
    f.failing = false;
    strcpy(f.top, "/tmp/sluis-officers-XXXXXX");
    assert_non_null(mkdtemp(f.top));
    snprintf(f.ring, sizeof(f.ring), "%s/ring", f.top);
    snprintf(f.root, sizeof(f.root), "%s/root", f.top);
    test_folder(f.folder);
    const struct keyring_config config = {.path = f.ring, .root_file = f.root, .make = true};
    assert_int_equal(keyring_open(&config, &f.keyring, NULL), 0);
    open_all(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_all(f);
    keyring_close(f->keyring);
    test_folder_remove(f->folder);
    test_folder_remove(f->top);
    return 0;
}

static void restart(struct fixture *f)
{
    close_all(f);
    open_all(f);
}

static struct person found(struct fixture *f, const char *name)
{
    struct person p;
    assert_int_equal(access_person_find(f->access, name, &p), 0);
    return p;
}

static uint64_t add(struct fixture *f, const char *name, const char *by, const char *role_name)
{
    struct access_enrolment e;
    enum access_why why;
    uint64_t id;
    assert_int_equal(access_person_add(f->access, name, by, SPAN(PASSWORD), &e), 0);
    struct access_grant grant = {.person = e.id, .all = true};
    strcpy(grant.role, role_name);
    strcpy(grant.granted_by, by);
    assert_int_equal(access_grant_add(f->access, &grant, NOW, &id, &why), 0);
    return e.id;
}

static bool may(struct fixture *f, const char *name, uint32_t rights)
{
    struct person p = found(f, name);
    struct principal who;
    principal_of(&p, &who);
    return access_may(f->access, &who, ACCESS_WHOLE, rights, NOW);
}

/* The disk has room again; the store notices within a second or two. */
static void recover(struct fixture *f)
{
    struct principal wanted = {.channels = {1}, .channel_count = 1};
    char text[ACCESS_TOKEN_TEXT];
    uint64_t id;
    int result = -1;
    strcpy(wanted.name, "proef");
    f->failing = false;
    for (int i = 0; result != 0 && i < 6000; i++) {
        usleep(25000);
        result = access_token_add(f->access, &wanted, text, &id);
    }
    assert_int_equal(result, 0);
    access_flush(f->access, false);
}

static void who_enrols_is_not_two(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e;
    add(f, "jan", "operator:0", "beheer");
    uint64_t els = add(f, "els", "operator:0", "officer");
    assert_true(may(f, "els", POLICY_MAY_APPROVE)); /* before there are two */
    uint64_t piet = add(f, "piet", "operator:0", "officer");
    assert_true(may(f, "piet", POLICY_MAY_APPROVE));

    /* jan makes somebody up */
    uint64_t spook = add(f, "spook", "jan", "officer");
    assert_true(found(f, "spook").waits);
    assert_false(may(f, "spook", POLICY_MAY_APPROVE));
    assert_false(may(f, "spook", POLICY_MAY_POLICY));
    assert_true(may(f, "spook", 0)); /* may sign in and choose a password */
    assert_int_equal(access_officers(f->access, POLICY_MAY_APPROVE, NOW), 2);
    assert_int_equal(access_person_confirm(f->access, spook, "jan", false), SLUIS_EDENIED);
    assert_int_equal(access_person_confirm(f->access, spook, "spook", false), SLUIS_EDENIED);
    restart(f);
    assert_false(may(f, "spook", POLICY_MAY_APPROVE));
    assert_int_equal(access_person_confirm(f->access, spook, "els", false), 0);
    assert_true(may(f, "spook", POLICY_MAY_APPROVE));
    assert_int_equal(access_person_confirm(f->access, spook, "els", false), SLUIS_EEXIST);

    /* or takes an officer's place */
    assert_int_equal(access_person_reset(f->access, els, "jan", &e), 0);
    assert_false(may(f, "els", POLICY_MAY_APPROVE));
    assert_int_equal(access_person_confirm(f->access, els, "piet", false), SLUIS_EAGAIN);
    assert_int_equal(access_person_password(f->access, els, SPAN(PASSWORD)), 0);
    assert_false(may(f, "els", POLICY_MAY_APPROVE)); /* a password of one's own is not enough */
    assert_int_equal(access_person_confirm(f->access, els, "jan", false), SLUIS_EDENIED);
    restart(f);
    assert_false(may(f, "els", POLICY_MAY_APPROVE));
    assert_int_equal(access_person_confirm(f->access, els, "piet", false), 0);
    restart(f);
    assert_true(may(f, "els", POLICY_MAY_APPROVE));
    assert_string_equal(found(f, "els").enrolled_by, "jan");
    assert_string_equal(found(f, "els").confirmed_by, "piet");

    /* an operator who breaks the glass may do both; it is an alarm elsewhere */
    assert_int_equal(access_person_reset(f->access, piet, "operator:0", &e), 0);
    assert_int_equal(access_person_password(f->access, piet, SPAN(PASSWORD)), 0);
    assert_int_equal(access_person_confirm(f->access, piet, "operator:0", false), SLUIS_EDENIED);
    assert_int_equal(access_person_confirm(f->access, piet, "operator:0", true), 0);
}

static void governed_stays(void **state)
{
    struct fixture *f = *state;
    const struct principal operator= {.kind = PRINCIPAL_OPERATOR};
    const enum permission approve = PERMISSION_POLICIES_APPROVE;
    struct access_decision d;
    bool alarm;
    uint64_t els = add(f, "els", "operator:0", "officer");
    assert_int_equal(permission_may(f->access, approve, &operator, true, NOW, &d, &alarm), 0);
    add(f, "piet", "operator:0", "officer");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(permission_may(f->access, approve, &operator, true, NOW, &d, &alarm),
                         SLUIS_EDENIED);
        assert_int_equal(d.why, ACCESS_OFFICERS);
        /* an operator may remove; it gives him nothing */
        assert_int_equal(i ? 0 : access_person_remove(f->access, els), 0);
        restart(f);
    }
    assert_int_equal(access_officers(f->access, POLICY_MAY_APPROVE, NOW), 1);
    assert_int_equal(permission_may(f->access, approve, &operator, true, NOW, &d, &alarm),
                     SLUIS_EDENIED);
    assert_false(access_governed(f->access, POLICY_MAY_ROLES, NOW)); /* never two of those */
}

static void removed_stays(void **state)
{
    struct fixture *f = *state;
    struct access_enrolment e;
    uint64_t jan = add(f, "jan", "operator:0", "agent");
    f->failing = true;
    assert_int_not_equal(access_person_remove(f->access, jan), 0);
    assert_true(found(f, "jan").removed); /* to be found by who tries again */
    assert_false(may(f, "jan", POLICY_MAY_HISTORY));
    assert_int_equal(access_person_add(f->access, "jan", "operator:0", SPAN(PASSWORD), &e),
                     SLUIS_EEXIST); /* not while the old one could come back */
    recover(f);
    struct person p;
    assert_int_equal(access_person_find(f->access, "jan", &p), SLUIS_ENOENT);
    restart(f);
    assert_int_equal(access_person_find(f->access, "jan", &p), SLUIS_ENOENT);
    assert_int_equal(people_of(f->access)->grant_count, 0); /* nor do the grants stay */
    uint64_t next = add(f, "jan", "operator:0", "agent");
    assert_true(next > jan);
}

static void tokens_revoked_stay(void **state)
{
    struct fixture *f = *state;
    struct principal wanted = {.channels = {1}, .channel_count = 1}, out;
    char text[ACCESS_TOKEN_TEXT];
    uint64_t id;
    strcpy(wanted.name, "bot");
    assert_int_equal(access_token_add(f->access, &wanted, text, &id), 0);
    assert_int_equal(access_token(f->access, span_str(text), NOW, &out), 0);
    f->failing = true;
    assert_int_not_equal(access_token_revoke(f->access, id), 0);
    assert_int_equal(access_token(f->access, span_str(text), NOW, &out), SLUIS_EDENIED);
    recover(f);
    restart(f);
    assert_int_equal(access_token(f->access, span_str(text), NOW, &out), SLUIS_EDENIED);
}

static void removed_make_room(void **state)
{
    struct fixture *f = *state;
    struct people *people = people_of(f->access);
    struct access_enrolment e;
    uint64_t first = add(f, "jan", "operator:0", "agent"), id = 0;
    assert_int_equal(access_person_remove(f->access, first), 0);
    for (unsigned i = 1; i < ACCESS_PERSONS_MAX; i++) { /* filled up in memory, as rows would */
        people->persons[people->person_count] = people->persons[0];
        people->persons[people->person_count].person.id = people->next_person++;
        people->persons[people->person_count].person.removed = false;
        snprintf(people->persons[people->person_count].person.name, ACCESS_NAME_SIZE, "n%u", i);
        people->person_count++;
    }
    assert_int_equal(access_person_add(f->access, "els", "operator:0", SPAN(PASSWORD), &e), 0);
    id = e.id;
    assert_int_equal(people->person_count, ACCESS_PERSONS_MAX);
    assert_null(person_by_id(people, first));
    assert_int_equal(access_person_add(f->access, "piet", "operator:0", SPAN(PASSWORD), &e),
                     SLUIS_ELIMIT);
    restart(f);
    assert_null(person_by_id(people_of(f->access), first));
    assert_int_equal(found(f, "els").id, id);
}

struct seen {
    int64_t tool, person;
};

static int see_tool(void *ctx, const struct principal *p)
{
    ((struct seen *)ctx)->tool = p->last_use_ms;
    return 0;
}

static int see_person(void *ctx, const struct person *p)
{
    ((struct seen *)ctx)->person = p->last_use_ms;
    return 0;
}

/* At a stop all of them, by the hour what is an hour newer. */
static void last_uses(void **state)
{
    struct fixture *f = *state;
    struct principal wanted = {.channels = {1}, .channel_count = 1}, out;
    struct seen seen = {0, 0};
    char text[ACCESS_TOKEN_TEXT], session[ACCESS_SECRET_TEXT];
    uint64_t id;
    strcpy(wanted.name, "bot");
    add(f, "jan", "operator:0", "agent");
    assert_int_equal(access_token_add(f->access, &wanted, text, &id), 0);
    for (int i = 0; i < 3; i++) { /* first use, then twice within the hour */
        const int64_t at = NOW + i * 1000;
        assert_int_equal(access_token_from(f->access, span_str(text), "192.0.2.1", at, &out), 0);
        assert_int_equal(access_session_open(f->access, "jan", ACCESS_BEARER, "x", at, session), 0);
        access_flush(f->access, i == 2);
        restart(f);
        access_each(f->access, see_tool, &seen);
        access_each_person(f->access, see_person, &seen);
        const int64_t want = i == 2 ? at : NOW;
        assert_int_equal(seen.tool, want);
        assert_int_equal(seen.person, want);
    }
}

static void names_of_others(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"operator", "Installer", "gateway", "file", "stricter"};
    struct access_enrolment e;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(access_person_add(f->access, names[i], "x", SPAN(PASSWORD), &e),
                         SLUIS_EINVAL);
    assert_int_equal(access_person_add(f->access, "operator:0", "x", SPAN(PASSWORD), &e),
                     SLUIS_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_enrols_is_not_two, setup, teardown),
        cmocka_unit_test_setup_teardown(governed_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_revoked_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(last_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_others, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
