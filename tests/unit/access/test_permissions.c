/*
 * The full product: role x grant x hours x endpoint x door x content class for persons, and every
 * endpoint for nobody, tools and operators, against permissions.tsv and roles.tsv, which are
 * written by hand. Prints how many cells were compared and how many differ. `test_permissions FILE`
 * takes another permissions.tsv: the negative control.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../store/support.h"
#include "people.h"

#define NOW INT64_C(1795300205123)
#define LINES_MAX 256
#define LINE 512

static const char *const rights[] = {"history", "reveal",  "search", "export",  "log",
                                     "policy",  "approve", "roles",  "subject", "hold",
                                     "consent", "stats",   "operate"};
static const char *const contents[] = {"none",   "counts",   "log",       "own",
                                       "masked", "original", "credential"};
#define CONTENTS 7

struct expected { /* a line of permissions.tsv */
    char method[8], path[128], operator_may[8];
    bool anyone, signed_in, whole, admin, control;
    uint32_t need;
    unsigned content;
    bool seen;
};
struct actor { /* a line of roles.tsv */
    char name[32];
    uint32_t may;
    bool shown[CONTENTS];
};

static struct expected table[LINES_MAX];
static struct actor actors[64];
static unsigned table_n, actor_n;
static const char *permissions_file;

static uint32_t rights_of_word(const char *words)
{
    uint32_t out = 0;
    char copy[128], *state = NULL;
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *w = strtok_r(copy, "+", &state); w; w = strtok_r(NULL, "+", &state)) {
        unsigned i = 0;
        while (i < 13 && strcmp(w, rights[i]) != 0)
            i++;
        if (i == 13 && strcmp(w, "-") != 0)
            fail_msg("no such right: %s", w);
        out |= i < 13 ? UINT32_C(1) << i : 0;
    }
    return out;
}

static void read_table(void)
{
    char line[LINE], doors[32], right[64], scope[16], content[16];
    FILE *f = fopen(permissions_file, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        struct expected *e = &table[table_n];
        if (line[0] == '#')
            continue;
        memset(e, 0, sizeof(*e));
        assert_true(table_n < LINES_MAX);
        assert_int_equal(sscanf(line, "%7s %127s %63s %15s %31s %7s %15s", e->method, e->path,
                                right, scope, doors, e->operator_may, content),
                         7);
        e->anyone = strcmp(right, "anyone") == 0;
        e->signed_in = strcmp(right, "signed-in") == 0;
        e->need = e->anyone || e->signed_in ? 0 : rights_of_word(right);
        e->whole = strcmp(scope, "whole") == 0;
        e->admin = strstr(doors, "admin") != NULL;
        e->control = strstr(doors, "control") != NULL;
        while (e->content < CONTENTS && strcmp(contents[e->content], content) != 0)
            e->content++;
        assert_true(e->content < CONTENTS);
        table_n++;
    }
    fclose(f);
}

static void read_actors(void)
{
    char line[LINE], may[128], cell[CONTENTS][8];
    FILE *f = fopen(SLUIS_SOURCE_DIR "/tests/unit/access/roles.tsv", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        struct actor *a = &actors[actor_n];
        if (line[0] == '#' || strncmp(line, "role\t", 5) == 0)
            continue;
        assert_int_equal(sscanf(line, "%31s %127s %7s %7s %7s %7s %7s %7s %7s", a->name, may,
                                cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6]),
                         9);
        a->may = rights_of_word(may);
        for (unsigned i = 0; i < CONTENTS; i++)
            a->shown[i] = cell[i][0] == 'y';
        actor_n++;
    }
    fclose(f);
}

static struct expected *expected_of(const struct permission_row *row)
{
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    for (unsigned i = 0; i < table_n; i++)
        if (strcmp(table[i].method, methods[row->method]) == 0 &&
            strcmp(table[i].path + 1, row->path) == 0)
            return &table[i];
    return NULL;
}

/* ---- the rooms under test ---- */

static bool hours_open;

/* Channels 1 and 2, both with all roles. */
static int role(void *ctx, uint16_t channel, const char *name, int64_t at_ms,
                struct access_role *out)
{
    (void)ctx, (void)at_ms;
    for (unsigned i = 0; i < actor_n; i++) {
        if (strcmp(actors[i].name, name) != 0 || (channel > 2 && channel != ACCESS_SOME))
            continue;
        *out = (struct access_role){.may = actors[i].may, .open = hours_open};
        return 0;
    }
    return SLUIS_ENOENT;
}

struct fixture {
    char top[64], folder[256], ring[96], root[96];
    struct store *store;
    struct keyring *keyring;
    struct access *access;
};
static struct fixture f;

static int setup(void **state)
{
    const struct access_roles roles = {role, NULL};
    (void)state;
    strcpy(f.top, "/tmp/sluis-permissions-XXXXXX");
    assert_non_null(mkdtemp(f.top));
    snprintf(f.ring, sizeof(f.ring), "%s/ring", f.top);
    snprintf(f.root, sizeof(f.root), "%s/root", f.top);
    test_folder(f.folder);
    const struct keyring_config config = {.path = f.ring, .root_file = f.root, .make = true};
    assert_int_equal(keyring_open(&config, &f.keyring, NULL), 0);
    f.store = test_store(f.folder);
    assert_int_equal(access_open(f.store, f.keyring, &f.access), 0);
    access_set_roles(f.access, &roles);
    read_table();
    read_actors();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    access_close(f.access);
    store_close(f.store);
    keyring_close(f.keyring);
    test_folder_remove(f.folder);
    test_folder_remove(f.top);
    return 0;
}

enum granted { ON_ALL, ON_ONE, ON_OTHER, ON_NONE, WAITS_ON_ALL, GRANTS };

/* Straight into memory: roles that break the separation cannot be granted by the door. */
static struct principal person(const struct actor *a, enum granted how)
{
    struct people *people = people_of(f.access);
    struct principal out;
    people->person_count = 1;
    memset(&people->persons[0], 0, sizeof(people->persons[0]));
    people->persons[0].person.id = 1;
    strcpy(people->persons[0].person.name, "jan");
    people->grant_count = how == ON_NONE ? 0 : 1;
    people->persons[0].person.waits = how == WAITS_ON_ALL; /* nobody has vouched for him yet */
    people->grants[0] =
        (struct access_grant){.id = 1, .person = 1, .all = how == ON_ALL || how == WAITS_ON_ALL};
    snprintf(people->grants[0].role, sizeof(people->grants[0].role), "%s", a->name);
    if (how == ON_ONE || how == ON_OTHER) {
        people->grants[0].channel_count = 1;
        people->grants[0].channels[0] = how == ON_ONE ? 1 : 2;
    }
    principal_of(&people->persons[0].person, &out);
    return out;
}

/* Rights that may not go together: as architecture and issue say it, not as decide.c does. */
static bool breaks(uint32_t may, uint32_t need)
{
    const uint32_t reveal = 1 << 1, log = 1 << 4, governs = 1 << 5 | 1 << 6 | 1 << 7;
    const uint32_t content = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3;
    bool governing = (may & governs) && (may & reveal);
    bool reading = (may & log) && (may & content);
    return (governing && (need & (governs | reveal))) || (reading && (need & (log | content)));
}

/* At the door and, for a channel's endpoint, on channel 1. */
static bool expect_person(const struct expected *e, const struct actor *a, enum granted how,
                          bool control)
{
    if (!(control ? e->control : e->admin))
        return false;
    if (e->anyone || e->signed_in)
        return true;
    bool there = how == ON_ALL || (how == ON_ONE && !e->whole);
    bool conflict = breaks(a->may, e->need) || (breaks(a->may, a->may) && breaks(a->may, e->need));
    /* A role that breaks the separation by itself gives nothing at all. */
    return there && hours_open && (a->may & e->need) == e->need && !conflict &&
           !breaks(a->may, a->may);
}

static bool ask_person(enum permission permission, const struct principal *who, bool control)
{
    const struct permission_row *row = permission_row(permission);
    struct access_decision d;
    bool alarm;
    if (permission_may(f.access, permission, who, control, NOW, &d, &alarm) != 0)
        return false;
    uint32_t need = row->right & ~(PERMIT_ANYONE | PERMIT_SIGNED_IN);
    return row->scope == PERMISSION_WHOLE || need == 0 || access_may(f.access, who, 1, need, NOW);
}

static void every_endpoint_has_a_line(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PERMISSION_COUNT; p++) {
        struct expected *e = expected_of(permission_row(p));
        if (!e)
            fail_msg("%s /%s: no line in tests/unit/access/permissions.tsv", permission_row(p)->id,
                     permission_row(p)->path);
        e->seen = true;
    }
    for (unsigned i = 0; i < table_n; i++)
        if (!table[i].seen)
            fail_msg("%s %s: a line without an endpoint", table[i].method, table[i].path);
}

static unsigned long cells, differing;

static void compare(const char *who, const char *what, bool got, bool want)
{
    cells++;
    if (got == want)
        return;
    if (differing++ < 20)
        printf("differs: %s, %s: %s\n", who, what, got ? "allowed" : "refused");
}

/* One person, one endpoint, one door: a cell per class of content. */
static void compare_classes(const struct actor *a, enum granted how, unsigned p, bool control,
                            bool shown[CONTENTS])
{
    const struct permission_row *row = permission_row(p);
    const struct expected *e = expected_of(row);
    struct principal who = person(a, how);
    bool got = ask_person(p, &who, control), want = e && expect_person(e, a, how, control);
    for (unsigned c = 0; c < CONTENTS; c++)
        compare(a->name, row->id, got && row->content == c, want && e->content == c);
    if (got)
        shown[row->content] = true;
}

static void persons(void **state)
{
    (void)state;
    for (unsigned i = 0; i < actor_n; i++) {
        bool shown[CONTENTS] = {false};
        for (int open = 1; open >= 0; open--)
            for (unsigned how = 0; how < GRANTS; how++)
                for (unsigned p = 0; p < PERMISSION_COUNT; p++)
                    for (int control = 0; control < 2; control++) {
                        hours_open = open;
                        compare_classes(&actors[i], how, p, control, shown);
                    }
        for (unsigned c = 0; c < CONTENTS; c++)
            compare(actors[i].name, contents[c], shown[c], actors[i].shown[c]);
    }
    hours_open = true;
}

static void others(void **state)
{
    (void)state;
    const struct actor *officer = NULL;
    for (unsigned i = 0; i < actor_n; i++)
        if (strcmp(actors[i].name, "beheer") == 0)
            officer = &actors[i];
    assert_non_null(officer);
    for (unsigned p = 0; p < PERMISSION_COUNT; p++) {
        const struct permission_row *row = permission_row(p);
        const struct expected *e = expected_of(row);
        struct access_decision d;
        bool alarm;
        assert_non_null(e);
        for (int control = 0; control < 2; control++) {
            bool door = control ? e->control : e->admin;
            struct principal nobody = {.id = 1}, tool = {.kind = PRINCIPAL_TOOL, .id = 1};
            struct principal op = {.kind = PRINCIPAL_OPERATOR};
            people_of(f.access)->person_count = people_of(f.access)->grant_count = 0;
            people_of(f.access)->governed = 0;
            compare("nobody", row->id,
                    permission_may(f.access, p, &nobody, control, NOW, &d, &alarm) == 0,
                    door && e->anyone);
            compare("tool", row->id,
                    permission_may(f.access, p, &tool, control, NOW, &d, &alarm) == 0,
                    door && e->anyone);
            bool may = permission_may(f.access, p, &op, control, NOW, &d, &alarm) == 0;
            bool ruled = strcmp(e->operator_may, "no") != 0;
            compare("operator", row->id, may, door && (e->anyone || (control && ruled)));
            compare("operator, alarm", row->id, may && alarm,
                    door && control && strcmp(e->operator_may, "alarm") == 0);
            bool first = strcmp(e->operator_may, "first") == 0;
            /* two persons with all the rights it asks for */
            struct actor both = *officer;
            both.may = e->need;
            strcpy(actors[actor_n].name, "officieren");
            actors[actor_n].may = e->need;
            actor_n++;
            strcpy(both.name, "officieren");
            (void)person(&both, ON_ALL);
            struct people *people = people_of(f.access);
            people->persons[1] = people->persons[0];
            people->persons[1].person.id = 2;
            people->grants[1] = people->grants[0];
            people->grants[1].person = 2;
            people->person_count = people->grant_count = 2;
            compare("operator beside officers", row->id,
                    permission_may(f.access, p, &op, control, NOW, &d, &alarm) == 0,
                    door && (e->anyone || (control && ruled && !first)));
            people->person_count = people->grant_count = 0;
            compare("operator where officers were", row->id,
                    permission_may(f.access, p, &op, control, NOW, &d, &alarm) == 0,
                    door && (e->anyone || (control && ruled && !first)));
            op.break_glass = true;
            may = permission_may(f.access, p, &op, control, NOW, &d, &alarm) == 0;
            compare("operator, glass", row->id, may && alarm,
                    door && control && (first || strcmp(e->operator_may, "alarm") == 0));
            actor_n--;
        }
    }
}

static void product(void **state)
{
    (void)state;
    printf("cells %lu, differing %lu\n", cells, differing);
    assert_true(cells > 100000);
    assert_int_equal(differing, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_has_a_line),
        cmocka_unit_test(persons),
        cmocka_unit_test(others),
        cmocka_unit_test(product),
    };
    permissions_file = argc > 1 ? argv[1] : SLUIS_SOURCE_DIR "/tests/unit/access/permissions.tsv";
    return cmocka_run_group_tests(tests, setup, teardown);
}
