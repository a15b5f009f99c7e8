/* The policies in policies/: each loads under its own name and keeps what it promises. */
#include "sluis/policy.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "manual.h"

#define BIT(type) (UINT64_C(1) << (type))
#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct policy *load(const char *name)
{
    char path[1024];
    struct diag diag = {0};
    struct policy *policy;
    snprintf(path, sizeof(path), "%s/policies/%s.yaml", SLUIS_SOURCE_DIR, name);
    int error = policy_load_file(path, &policy, &diag);
    if (error)
        print_message("%s:%u:%u: %s\n", diag.file, diag.line, diag.column, diag.text);
    assert_int_equal(error, 0);
    assert_string_equal(policy_name(policy), name);
    return policy;
}

static struct retention_rule original(const struct policy *p, unsigned type)
{
    const struct retention_facts facts = {.found = BIT(type), .media = false};
    return policy_retention(p, RETENTION_ORIGINAL, &facts);
}

static bool answers_subjects(const struct policy *p)
{
    const uint32_t need = POLICY_MAY_SUBJECT | POLICY_MAY_EXPORT | POLICY_MAY_HOLD;
    const struct policy_role *role;
    for (size_t i = 0; (role = policy_role_at(p, i)) != NULL; i++)
        if ((role->may & need) == need)
            return true;
    return false;
}

static void check(const char *name)
{
    struct policy *p = load(name);
    print_message("%s %s\n", name, policy_hash(p));
    const struct retention_facts plain = {.found = 0, .media = false},
                                 media = {.found = 0, .media = true};
    assert_true(original(p, DETECT_PAN).never);
    assert_true(original(p, DETECT_SECRET).never);
    bool municipality = strcmp(name, "municipality") == 0;
    assert_int_equal(original(p, DETECT_BSN).never, !municipality);
    if (municipality) {
        assert_int_equal(original(p, DETECT_BSN).keep_s, 24 * 3600);
        assert_string_equal(original(p, DETECT_BSN).ground, "Wabb art. 10");
    }
    assert_false(policy_retention(p, RETENTION_ORIGINAL, &plain).never);
    assert_false(policy_retention(p, RETENTION_HISTORY, &plain).never);
    assert_false(policy_retention(p, RETENTION_HISTORY, &media).never);

    /* No tool gets a BSN, a card or a secret in full; no file passes unseen. */
    const struct policy_route *webcare = policy_route(p, "webcare");
    assert_non_null(webcare);
    static const unsigned hidden[] = {DETECT_BSN, DETECT_PAN, DETECT_SECRET, DETECT_IBAN};
    for (size_t i = 0; i < N(hidden); i++)
        assert_int_not_equal(profile_rule(webcare->profile, hidden[i]).action, MASK_KEEP);
    assert_int_equal(profile_rule(webcare->profile, DETECT_PHONE).action, MASK_KEEP);
    bool observes = policy_observe_until_ms(p) != 0; /* changes nothing: files pass as before */
    /* What a data subject may ask for (art. 15 to 18) is one person's to do, not the operator's. */
    assert_int_equal(answers_subjects(p), !observes);
    for (int k = 0; k < POLICY_MEDIA_KINDS && !observes; k++)
        assert_int_equal(policy_route_media(p, webcare, (enum policy_media_kind)k), MEDIA_WITHHOLD);
    assert_int_equal(policy_outbound(p, DETECT_BSN), OUTBOUND_REFUSE);
    assert_int_equal(policy_outbound(p, DETECT_PAN), OUTBOUND_REFUSE);
    assert_int_equal(policy_log_keep_s(p), 2 * 365 * 86400);
    assert_int_equal(policy_on_revoke(p), municipality ? ON_REVOKE_HIDE : ON_REVOKE_ERASE);
    policy_unref(p);
}

/* A shipped policy has its tests beside it (ctest: policy-NAME runs them). */
static void check_tested(const char *file, int length)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/policies/%.*s.test.yaml", SLUIS_SOURCE_DIR, length, file);
    FILE *f = fopen(path, "r");
    if (!f)
        print_message("%s is missing\n", path);
    assert_non_null(f);
    fclose(f);
}

/* Every file of the folder, so that a new one cannot be forgotten here. */
static void test_all(void **state)
{
    (void)state;
    size_t seen = 0;
    DIR *d = opendir(SLUIS_SOURCE_DIR "/policies");
    assert_non_null(d);
    const struct dirent *e;
    while ((e = readdir(d))) {
        char name[POLICY_NAME_MAX + 1];
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".yaml") != 0 || span_ends(span_str(e->d_name), SPAN(".test.yaml")))
            continue;
        check_tested(e->d_name, (int)(dot - e->d_name));
        snprintf(name, sizeof(name), "%.*s", (int)(dot - e->d_name), e->d_name);
        check(name);
        seen++;
    }
    closedir(d);
    assert_true(seen >= 4);
}

static void test_default(void **state)
{
    (void)state;
    struct policy *p = load("default");
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++)
        assert_int_equal(profile_rule(policy_route(p, "webcare")->profile, t).action,
                         t == DETECT_PHONE ? MASK_KEEP : MASK_REDACT);
    policy_unref(p);
}

/* The example at the end of the manual page. */
static void test_manual(void **state)
{
    (void)state;
    char *manual = manual_read(SLUIS_SOURCE_DIR "/proxy/man/sluis-policy.5.md");
    assert_non_null(manual);
    char *text = strstr(manual, "\n## Example\n");
    assert_non_null(text);
    text += strlen("\n## Example\n");
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        assert_memory_equal(line, "    ", 4); /* nothing but the example until the end */
        size_t length = strlen(line + 4);
        memmove(manual + n, line + 4, length);
        n += length;
        manual[n++] = '\n';
    }
    struct diag diag = {0};
    struct policy *policy = NULL;
    int error = policy_load(span_of(manual, n), "manual", &policy, &diag);
    if (error)
        print_message("%u:%u %s\n", diag.line, diag.column, diag.text);
    assert_int_equal(error, 0);
    assert_string_equal(policy_name(policy), "example");
    policy_unref(policy);
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_default),
                                       cmocka_unit_test(test_manual)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
