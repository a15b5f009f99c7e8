/*
 * Memory that runs out: the n-th allocation of our own code fails, for every n, while a policy and
 * a configuration are loaded. Nothing half-loaded comes out, nothing leaks (sanitizers tell), and
 * with memory back the same files load.
 */
#include "sluis/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define FAULTS_MAX 10000 /* far more than a load allocates */

static long countdown = -1; /* -1: no fault */

static bool fails(void)
{
    if (countdown < 0)
        return false;
    return countdown-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_sodium_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_sodium_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_sodium_malloc(size_t n)
{
    return fails() ? NULL : __real_sodium_malloc(n);
}

static char folder[] = "/tmp/sluis-faults-XXXXXX";

static const char *put(const char *name, const char *text)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

static const char config_text[] =
    "listeners: {meta: {address: \"0.0.0.0:1\", certificate: f, key: {file: f}},\n"
    "  tools: {address: \"0.0.0.0:2\", certificate: f, key: {file: f}, names: [a.b]}}\n"
    "apps: {a: {verify_token: {file: f}, app_secrets: [{file: f}]}}\n"
    "channels: {c: {app: a, phone_number_id: 1, waba_id: 2, policy: municipality,\n"
    "  upstream: {kind: meta, access_token: {file: f}, base_url: \"https://a.b\", ca: f},\n"
    "  routes: {webcare: {url: \"https://a.b/\", secret: {file: f}}}}}\n"
    "store: {path: s, size: 1GiB}\nkeys: {path: k, root: {file: f}}\n"
    "control: c\npublic_url: https://a.b\npolicies: " SLUIS_SOURCE_DIR "/policies\n";

static void test_policy(void **state)
{
    (void)state;
    long n = 0;
    for (;; n++) {
        assert_true(n < FAULTS_MAX);
        struct diag diag = {0};
        struct policy *policy = NULL;
        countdown = n;
        int error =
            policy_load_file(SLUIS_SOURCE_DIR "/policies/municipality.yaml", &policy, &diag);
        bool failed = countdown < 0;
        countdown = -1;
        if (!failed) {
            assert_int_equal(error, 0);
            policy_unref(policy);
            break;
        }
        assert_int_equal(error, SLUIS_ENOMEM);
        assert_null(policy);
    }
    print_message("%ld allocations\n", n);
    assert_true(n > 5);
}

static void test_config(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    put("f", "a-secret-secret");
    const char *file = put("sluis.yaml", config_text);
    long n = 0;
    for (;; n++) {
        assert_true(n < FAULTS_MAX);
        struct diag diag = {0};
        struct config *config = NULL;
        countdown = n;
        int error = config_load(file, &config, &diag);
        bool failed = countdown < 0;
        countdown = -1;
        if (!failed) {
            if (error)
                print_message("%s:%u:%u %s\n", diag.file, diag.line, diag.column, diag.text);
            assert_int_equal(error, 0);
            config_unref(config);
            break;
        }
        assert_int_equal(error, SLUIS_ENOMEM);
        assert_null(config);
    }
    print_message("%ld allocations\n", n);
    assert_true(n > 10);
    unlink(put("f", ""));
    unlink(file = put("sluis.yaml", ""));
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_policy),
                                       cmocka_unit_test(test_config)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
