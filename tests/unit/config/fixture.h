/*
 * Shared by the tests of config: a folder with certificates, secrets and policies, a good
 * sluis.yaml, and loading it with one place changed.
 */
#ifndef SLUIS_TEST_CONFIG_FIXTURE_H
#define SLUIS_TEST_CONFIG_FIXTURE_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sluis/config.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_MAX (256 * 1024)

static char folder[] = "/tmp/sluis-config-XXXXXX";

static const char good[] =
    "listeners:\n"                                                                         /* 1 */
    "  meta: {address: \"0.0.0.0:8443\", certificate: cert.pem, key: {file: key.pem}}\n"   /* 2 */
    "  tools: {address: \"[::1]:9443\", certificate: cert.pem, key: {file: key.pem}}\n"    /* 3 */
    "apps:\n"                                                                              /* 4 */
    "  gemeente: {verify_token: {file: verify}, app_secrets: [{file: secret}]}\n"          /* 5 */
    "channels:\n"                                                                          /* 6 */
    "  burgerzaken:\n"                                                                     /* 7 */
    "    app: gemeente\n"                                                                  /* 8 */
    "    phone_number_id: \"106540352242922\"\n"                                           /* 9 */
    "    waba_id: 102290129340398\n"                                                       /* 10 */
    "    upstream: {kind: meta, access_token: {file: token}}\n"                            /* 11 */
    "    policy: gemeente\n"                                                               /* 12 */
    "    routes:\n"                                                                        /* 13 */
    "      webcare: {url: \"https://chat.example/webhooks/+31\", secret: {file: route}}\n" /* 14 */
    "store: {path: store, size: 64GiB}\n"                                                  /* 15 */
    "keys: {path: keys, root: {file: root}}\n";                                            /* 16 */

static const char policy[] = "policy: 1\nname: gemeente\nprofiles: {w: {}}\n"
                             "routes: {webcare: {profile: w}, bot: {profile: w}}\n";

static inline void write_file(const char *name, const char *text, size_t n, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text), 0600);
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static inline int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(in_folder("policies"), 0700), 0);
    assert_int_equal(mkdir(in_folder("credentials"), 0700), 0);
    assert_int_equal(mkdir(in_folder("other"), 0700), 0);
    write_text("policies/gemeente.yaml", policy);
    write_text("policies/broken.yaml", "policy: 1\nname: broken\nrouts: {}\n");
    write_text("policies/renamed.yaml", policy);
    write_text("other/gemeente.yaml", policy);
    write_file("cert.pem", "certificate\n", 12, 0644);
    write_text("key.pem", "private key\n");
    write_text("verify", "verify-token-1\n");
    write_text("secret", "app-secret-one\r\n");
    write_text("secret2", "app-secret-two");
    write_text("token", "EAAupstream-token");
    write_text("route", "route-secret\n");
    write_text("root", "root-key-root-key\n");
    write_file("open", "a-secret-secret", 15, 0640);
    write_file("world", "a-secret-secret", 15, 0604);
    write_text("empty", "\n");
    write_text("short", "1234567\n");
    write_text("spaced", "a secret secret\n");
    write_text("two", "secret-one\nsecret-two\n");
    write_file("nul", "secret\0secret", 13, 0600);
    char line[600];
    memset(line, 'x', sizeof(line));
    write_file("longest", line, 512, 0600);
    write_file("long", line, 513, 0600);
    write_text("credentials/verify", "verify-by-credential\n");
    write_file("credentials/acl", "credential-with-acl\n", 20, 0440);
    setenv("CREDENTIALS_DIRECTORY", in_folder("credentials"), 1);
    return 0;
}

/* The files of one folder of ours, then the folder. */
static inline void remove_folder(const char *name)
{
    DIR *d = opendir(name);
    const struct dirent *e;
    while (d && (e = readdir(d)))
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(name);
}

static inline int tear_down(void **state)
{
    (void)state;
    remove_folder(in_folder("policies"));
    remove_folder(in_folder("credentials"));
    remove_folder(in_folder("other"));
    remove_folder(folder);
    return 0;
}

static inline int load_text(const char *text, struct config **out, struct diag *diag)
{
    write_text("sluis.yaml", text);
    return config_load(in_folder("sluis.yaml"), out, diag);
}

/* The good text with `from` replaced by `to`; `from` must be there. */
static inline void replaced(const char *from, const char *to, char *out)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(out, TEXT_MAX, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static inline struct config *load_replaced(const char *from, const char *to)
{
    char *text = malloc(TEXT_MAX);
    struct diag diag = {0};
    struct config *config;
    replaced(from, to, text);
    int error = load_text(text, &config, &diag);
    if (error)
        print_message("%s:%u:%u %s\n", diag.file, diag.line, diag.column, diag.text);
    assert_int_equal(error, 0);
    free(text);
    return config;
}

#endif
