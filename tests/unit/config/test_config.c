/* The config door: a good file, its snapshot and its secrets; and the exact words said about bad
 * ones. Each case changes one place of the good file. */
#include "sluis/config.h"

#include <dirent.h>
#include <stdatomic.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

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

static void write_file(const char *name, const char *text, size_t n, mode_t mode)
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

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text), 0600);
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
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

static void remove_all(const char *name)
{
    DIR *d = opendir(name);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[600];
        snprintf(path, sizeof(path), "%s/%s", name, e->d_name);
        if (e->d_name[0] != '.' && unlink(path) != 0)
            remove_all(path);
    }
    if (d)
        closedir(d);
    rmdir(name);
}

static int tear_down(void **state)
{
    (void)state;
    remove_all(folder);
    return 0;
}

static int load_text(const char *text, struct config **out, struct diag *diag)
{
    write_text("sluis.yaml", text);
    return config_load(in_folder("sluis.yaml"), out, diag);
}

/* The good text with `from` replaced by `to`; `from` must be there. */
static void replaced(const char *from, const char *to, char *out)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(out, TEXT_MAX, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static struct config *load_replaced(const char *from, const char *to)
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

static void test_good(void **state)
{
    (void)state;
    struct config *c = load_replaced("listeners", "listeners");
    assert_string_equal(c->file, in_folder("sluis.yaml"));
    assert_true(c->listeners[CONFIG_META].present);
    assert_string_equal(c->listeners[CONFIG_META].address, "0.0.0.0:8443");
    assert_string_equal(c->listeners[CONFIG_META].certificate, in_folder("cert.pem"));
    assert_string_equal(c->listeners[CONFIG_META].key_file, in_folder("key.pem"));
    assert_null(c->listeners[CONFIG_META].client_ca);
    assert_int_equal(c->listeners[CONFIG_TOOLS].connections, 10000);
    assert_false(c->listeners[CONFIG_ADMIN].present);

    const struct config_app *app = config_app(c, SPAN("gemeente"));
    assert_non_null(app);
    assert_true(span_is(app->verify_token, "verify-token-1"));
    assert_true(span_is(app->secrets[0], "app-secret-one"));
    assert_int_equal(app->secrets[1].n, 0);
    assert_null(config_app(c, SPAN("gemeent")));

    const struct config_channel *channel = config_channel(c, "burgerzaken");
    assert_ptr_equal(channel->app, app);
    assert_string_equal(channel->waba_id, "102290129340398");
    assert_ptr_equal(config_channel_by_number(c, app, SPAN("106540352242922")), channel);
    assert_null(config_channel_by_number(c, app, SPAN("10654035224292")));
    assert_null(config_channel_by_number(c, NULL, SPAN("106540352242922")));
    assert_ptr_equal(config_channel_by_waba(c, app, SPAN("102290129340398")), channel);
    assert_null(config_channel(c, "x"));
    assert_string_equal(policy_name(channel->policy), "gemeente");
    assert_false(channel->media_pass);
    assert_true(span_is(channel->upstream.access_token, "EAAupstream-token"));
    assert_string_equal(channel->upstream.base_url, "https://graph.facebook.com");
    assert_int_equal(channel->upstream.retry_s, 7 * 86400);
    assert_false(channel->upstream.private_allowed);

    assert_int_equal(channel->route_count, 1);
    struct config_route *route = channel->routes;
    assert_string_equal(route->url, "https://chat.example/webhooks/+31");
    assert_true(span_is(route->secret, "route-secret"));
    assert_true(route->one_per_post && route->private_allowed && !route->needs_original);
    assert_int_equal(route->keep_trying_s, 7 * 86400);
    assert_ptr_equal(route->policy, policy_route(channel->policy, "webcare"));

    /* Numbers are the gateway's to give; before that nothing is found by 0. */
    const struct config_channel *of = NULL;
    assert_null(config_channel_by_id(c, 0));
    assert_null(config_route_by_id(c, 0, &of));
    route->id = 7;
    c->channels[0].id = 3;
    assert_ptr_equal(config_route_by_id(c, 7, &of), route);
    assert_ptr_equal(of, channel);
    assert_ptr_equal(config_channel_by_id(c, 3), channel);

    assert_string_equal(c->store_path, in_folder("store"));
    assert_int_equal(c->store_size, UINT64_C(64) << 30);
    assert_string_equal(c->keys_path, in_folder("keys"));
    assert_string_equal(c->keys_root_file, in_folder("root"));
    assert_string_equal(c->control_path, "/run/sluis/control.sock");
    assert_int_equal(c->threads, 0);
    assert_int_equal(c->memory_max, 256 << 20);
    assert_null(c->public_url);
    assert_int_equal(c->stop_s, 10);
    assert_int_equal(c->log_level, LOG_INFO);
    assert_int_equal(c->log_form, LOG_KEY_VALUE);
    config_unref(c);
    config_unref(NULL);
}

static void test_everything_said(void **state)
{
    (void)state;
    struct config *c = load_replaced(
        "apps:\n",
        "  admin: {address: \"127.0.0.1:0\", certificate: cert.pem, key: {file: key.pem}, "
        "connections: 5}\n"
        "policies: other\ncontrol: /tmp/s.sock\nthreads: 4\nmemory: 1GiB\n"
        "public_url: https://wa.example:8443/\nstop: 1min\n"
        "log: {level: debug, form: json}\napps:\n");
    assert_int_equal(c->listeners[CONFIG_ADMIN].connections, 5);
    assert_string_equal(c->control_path, "/tmp/s.sock");
    assert_int_equal(c->threads, 4);
    assert_int_equal(c->memory_max, 1 << 30);
    assert_string_equal(c->public_url, "https://wa.example:8443");
    assert_int_equal(c->stop_s, 60);
    assert_int_equal(c->log_level, LOG_DEBUG);
    assert_int_equal(c->log_form, LOG_JSON);
    config_unref(c);

    c = load_replaced("key.pem}}\n  tools: {",
                      "key.pem}, client_ca: cert.pem, client_cn: meta}\n"
                      "  tools: {names: [sluis.intern, GRAPH.facebook.com], ");
    assert_string_equal(c->listeners[CONFIG_META].client_ca, in_folder("cert.pem"));
    assert_string_equal(c->listeners[CONFIG_META].client_cn, "meta");
    assert_string_equal(c->listeners[CONFIG_TOOLS].names[1], "GRAPH.facebook.com");
    assert_null(c->listeners[CONFIG_TOOLS].names[2]);
    config_unref(c);

    c = load_replaced("kind: meta,", "kind: meta, retry: 1h, base_url: \"http://127.0.0.1:8000\", "
                                     "private: true, ca: cert.pem,");
    assert_int_equal(c->channels[0].upstream.retry_s, 3600);
    assert_string_equal(c->channels[0].upstream.base_url, "http://127.0.0.1:8000");
    assert_true(c->channels[0].upstream.private_allowed);
    config_unref(c);

    c = load_replaced("policy: gemeente\n", "policy: gemeente\n    media: pass\n");
    assert_true(c->channels[0].media_pass);
    config_unref(c);

    c = load_replaced("webcare: {",
                      "bot: {url: \"http://[fd00::1]:80/x?y=1\", secret: {file: "
                      "longest}, one_per_post: false, needs_original: true, "
                      "keep_trying: 1h, ca: cert.pem}\n      webcare: {private: false, ");
    assert_int_equal(c->channels[0].route_count, 2);
    const struct config_route *bot = &c->channels[0].routes[0];
    assert_int_equal(bot->secret.n, 512);
    assert_true(!bot->one_per_post && bot->needs_original && bot->private_allowed);
    assert_int_equal(bot->keep_trying_s, 3600);
    assert_false(c->channels[0].routes[1].private_allowed);
    config_unref(c);

    c = load_replaced("    routes:\n      webcare: {url: \"https://chat.example/webhooks/+31\", "
                      "secret: {file: route}}\n",
                      "    routes: {}\n");
    assert_int_equal(c->channels[0].route_count, 0);
    config_unref(c);
}

static void test_secrets(void **state)
{
    (void)state;
    struct config *c = load_replaced(
        "verify_token: {file: verify}, app_secrets: [{file: secret}]",
        "verify_token: {credential: verify}, app_secrets: [{credential: acl}, {file: secret2}]");
    assert_true(span_is(c->apps[0].verify_token, "verify-by-credential"));
    assert_true(span_is(c->apps[0].secrets[0], "credential-with-acl"));
    assert_true(span_is(c->apps[0].secrets[1], "app-secret-two"));
    config_unref(c);

    char *text = malloc(TEXT_MAX);
    struct diag diag = {0};
    if (geteuid() == 0) { /* only root can give a file away */
        write_text("given", "a-secret-secret");
        assert_int_equal(chown(in_folder("given"), 65534, 65534), 0);
        replaced("verify_token: {file: verify}", "verify_token: {file: given}", text);
        assert_int_equal(load_text(text, &c, &diag), SLUIS_EINVAL);
        assert_non_null(strstr(diag.text, "given\" belongs to another user"));
    }
    unsetenv("CREDENTIALS_DIRECTORY");
    replaced("verify_token: {file: verify}", "verify_token: {credential: verify}", text);
    assert_int_equal(load_text(text, &c, &diag), SLUIS_EINVAL);
    assert_string_equal(diag.text, "credential \"verify\": $CREDENTIALS_DIRECTORY is not set; "
                                   "systemd sets it with LoadCredential=");
    setenv("CREDENTIALS_DIRECTORY", in_folder("credentials"), 1);
    free(text);
}

#define SECRET_RULE                                                                                \
    "a secret is never written in this file, since it is copied, mailed and kept in version "      \
    "control: {credential: NAME} or {file: PATH}"
#define NAME_RULE " is not a name: lower-case letters, digits, - and _, a letter first, at most 63"
#define HTTP_RULE "http is for localhost and private addresses only; use https"
#define URL "\"https://chat.example/webhooks/+31\""
#define APART "keys stand apart from what they open: not in store.path, nor around it"

/* `said` begins with the place in sluis.yaml, or with another file's name; @ is the folder. */
static const struct {
    const char *from, *to, *said;
} bad[] = {
    {good, "", "1:1: the file is empty"},
    {good, "- a\n", "1:1: expected a map (key: value), found a list"},
    {"keys: {", "keyz: {", "16:1: unknown key \"keyz\"; did you mean \"keys\"?"},
    {"keys: {", "control: [a]\nkeys: {", "16:10: \"control\": expected a text, found a list"},
    {"keys: {", "threads: 65\nkeys: {",
     "16:10: \"threads\": expected a number from 0 to 64, found \"65\""},
    {"keys: {", "threads: many\nkeys: {",
     "16:10: \"threads\": expected a whole number, found \"many\""},
    {"keys: {", "memory: 1MiB\nkeys: {",
     "16:9: \"memory\": expected 16MiB to 64GiB, found \"1MiB\""},
    {"keys: {", "stop: 1h\nkeys: {", "16:7: \"stop\": expected 1s to 5min, found \"1h\""},
    {"keys: {", "stop: 1m\nkeys: {", "16:7: \"stop\": expected 1s to 5min, found \"1m\""},
    {"keys: {", "stop: 10\nkeys: {",
     "16:7: \"stop\": expected a duration such as 90s, 15min, 24h, 7d, 24m or 1y, found \"10\""},
    {"keys: {", "log: {level: verbose}\nkeys: {",
     "16:14: \"level\": expected alarm, error, warn, info or debug, found \"verbose\""},
    {"keys: {", "log: {from: json}\nkeys: {", "16:7: unknown key \"from\"; did you mean \"form\"?"},
    {"keys: {", "public_url: https://a.example/x\nkeys: {",
     "16:13: \"public_url\": expected scheme and host only, without a path"},
    {"keys: {", "public_url: http://a.example\nkeys: {", "16:13: \"public_url\": " HTTP_RULE},
    {"keys: {", "store: {}\nkeys: {", "16:1: duplicate key \"store\"; the first is on line 15"},
    {"store: {path: store, size: 64GiB}\n", "",
     "1:1: missing key \"store\": where messages are stored"},
    {"size: 64GiB", "", "15:1: missing key \"size\": most it may grow to, 16MiB to 16TiB"},
    {"64GiB", "64GB", "15:28: \"size\": expected a size with KiB, MiB, GiB or TiB, found \"64GB\""},
    {"64GiB", "1KiB", "15:28: \"size\": expected 16MiB to 16TiB, found \"1KiB\""},
    {"path: keys", "path: store/keys", "16:14: \"path\": " APART},
    {"path: keys", "path: store", "16:14: \"path\": " APART},
    {"path: store,", "path: keys/store,", "16:14: \"path\": " APART},
    {"path: keys", "path: ''", "16:14: \"path\": expected a path of 1 to 1024 bytes"},
    {"{file: root}", "{file: nothing}",
     "16:33: \"file\": cannot open \"@/nothing\": No such file or directory"},
    /* listeners */
    {"  meta: {", "  mata: {", "2:3: unknown key \"mata\"; did you mean \"meta\"?"},
    {"  meta: {", "  web: {", "2:3: unknown key \"web\"; known here: meta, tools, admin"},
    {"  meta: {address: \"0.0.0.0:8443\", certificate: cert.pem, key: {file: key.pem}}\n", "",
     "1:1: missing key \"meta\": for Meta's webhooks (public)"},
    {"\"0.0.0.0:8443\"", "443",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found \"443\""},
    {"\"0.0.0.0:8443\"", "\"0.0.0.0\"",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found \"0.0.0.0\""},
    {"\"0.0.0.0:8443\"", "\"0.0.0.0:65536\"",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found "
     "\"0.0.0.0:65536\""},
    {"\"0.0.0.0:8443\"", "\"sluis.intern:443\"",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found "
     "\"sluis.intern:443\""},
    {"\"0.0.0.0:8443\"", "\"[::1]:9443\"", "3:20: \"address\": the meta listener has this one"},
    {"\"[::1]:9443\"", "\"[::1:9443\"",
     "3:20: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found \"[::1:9443\""},
    {"certificate: cert.pem", "certificate: none.pem",
     "2:48: \"certificate\": cannot open \"@/none.pem\": No such file or directory"},
    {"certificate: cert.pem", "certificate: policies",
     "2:48: \"certificate\": \"@/policies\" is not a file"},
    {"key: {file: key.pem}", "key: key.pem", "2:63: \"key\": " SECRET_RULE},
    {"key: {file: key.pem}", "key: {file: cert.pem}",
     "2:70: secret file \"@/cert.pem\" can be reached by others than its owner (mode 0644): chmod "
     "600"},
    {"  tools: {", "  tools: {client_ca: cert.pem, ",
     "3:11: \"client_ca\" is for the meta listener only"},
    {"  meta: {", "  meta: {names: [a.example], ",
     "2:10: \"names\" is for the tools listener only"},
    {"  meta: {", "  meta: {client_cn: x, ", "2:10: \"client_cn\" needs client_ca"},
    {"  tools: {", "  tools: {names: [], ", "3:11: expected 1 to 64 host names"},
    {"  tools: {", "  tools: {names: [\"a b\"], ", "3:19: \"a b\" is not a host name"},
    {"  tools: {", "  tools: {connections: 0, ",
     "3:24: \"connections\": expected a number from 1 to 1000000, found \"0\""},
    /* apps and secrets */
    {"  gemeente: {verify", "  Gemeente: {verify", "5:3: \"Gemeente\"" NAME_RULE},
    {"verify_token: {file: verify}, ", "",
     "5:3: missing key \"verify_token\": secret: the token "
     "given to Meta with the callback URL"},
    {"{file: verify}", "hunter2-hunter2", "5:28: \"verify_token\": " SECRET_RULE},
    {"[{file: secret}]", "[hunter2-hunter2]", "5:58: " SECRET_RULE},
    {"[{file: secret}]", "[]", "5:44: \"app_secrets\": expected one or two secrets, found 0"},
    {"[{file: secret}]", "[{file: secret}, {file: secret2}, {file: secret}]",
     "5:44: \"app_secrets\": expected one or two secrets, found 3"},
    {"[{file: secret}]", "{file: secret}", "5:57: \"app_secrets\": expected a list, found a map"},
    {"{file: verify}", "{}", "5:14: expected one of {credential: NAME} and {file: PATH}"},
    {"{file: verify}", "{file: verify, credential: verify}",
     "5:14: expected one of {credential: NAME} and {file: PATH}"},
    {"{file: verify}", "{fil: verify}", "5:29: unknown key \"fil\"; did you mean \"file\"?"},
    {"{file: verify}", "{value: verify}",
     "5:29: unknown key \"value\"; known here: credential, file"},
    {"{file: verify}", "{credential: ../verify}",
     "5:41: \"../verify\" is not the name of a credential"},
    {"{file: verify}", "{credential: nothing}",
     "5:41: \"credential\": cannot open \"@/credentials/nothing\": No such file or directory"},
    {"{file: verify}", "{file: open}",
     "5:35: secret file \"@/open\" can be reached by others than "
     "its owner (mode 0640): chmod 600"},
    {"{file: verify}", "{file: world}",
     "5:35: secret file \"@/world\" can be reached by others "
     "than its owner (mode 0604): chmod 600"},
    {"{file: verify}", "{file: policies}", "5:35: \"file\": \"@/policies\" is not a file"},
    {"{file: verify}", "{file: /dev/zero}", "5:35: \"file\": \"/dev/zero\" is not a file"},
    {"{file: verify}", "{file: empty}", "5:35: the secret in \"@/empty\" is empty"},
    {"{file: verify}", "{file: short}", "5:35: the secret in \"@/short\" is shorter than 8 bytes"},
    {"{file: verify}", "{file: long}", "5:35: the secret in \"@/long\" is longer than 512 bytes"},
    {"{file: verify}", "{file: spaced}",
     "5:35: the secret in \"@/spaced\" holds something else "
     "than printable ASCII (a space, a second line, a NUL)"},
    {"{file: verify}", "{file: two}",
     "5:35: the secret in \"@/two\" holds something else than "
     "printable ASCII (a space, a second line, a NUL)"},
    {"{file: verify}", "{file: nul}",
     "5:35: the secret in \"@/nul\" holds something else than "
     "printable ASCII (a space, a second line, a NUL)"},
    /* channels */
    {"    app: gemeente\n", "    app: gemente\n",
     "8:10: no app is called \"gemente\"; did you mean \"gemeente\"?"},
    {"    app: gemeente\n", "",
     "7:3: missing key \"app\": the app whose webhooks carry this number"},
    {"    app: gemeente\n", "    app: gemeente\n    rout: {}\n",
     "9:5: unknown key \"rout\"; did you mean \"routes\"?"},
    {"\"106540352242922\"", "\"+31201234567\"",
     "9:22: \"phone_number_id\": expected 1 to 32 digits"},
    {"\"106540352242922\"", "", "9:5: \"phone_number_id\": expected a text, found nothing"},
    {"waba_id: 102290129340398", "waba_id: 1022_90129340398",
     "10:14: \"waba_id\": expected 1 to 32 digits"},
    {"waba_id: 102290129340398", "waba_id: 123456789012345678901234567890123",
     "10:14: \"waba_id\": expected 1 to 32 digits"},
    {"kind: meta", "kind: mata",
     "11:22: \"kind\": expected meta, found \"mata\"; did you mean \"meta\"?"},
    {"access_token: {file: token}", "access_token: EAAtoken",
     "11:42: \"access_token\": " SECRET_RULE},
    {"kind: meta,", "kind: meta, retry: 30d,",
     "11:35: \"retry\": expected 1h to 7d, found \"30d\""},
    {"kind: meta,", "kind: meta, base_url: \"https://127.0.0.1:1\",",
     "11:38: \"base_url\": this is a private address: it needs private: true"},
    {"kind: meta,", "kind: meta, private: true, base_url: \"https://127.0.0.1:1/v1\",",
     "11:53: \"base_url\": expected scheme and host only, without a path"},
    {"kind: meta,", "kind: meta, ca: none.pem,",
     "11:32: \"ca\": cannot open \"@/none.pem\": No such file or directory"},
    {"policy: gemeente", "policy: nobody",
     "12:13: \"policy\": there is no file \"@/policies/nobody.yaml\""},
    {"policy: gemeente", "policy: ../x", "12:13: \"../x\"" NAME_RULE},
    {"policy: gemeente", "policy: broken",
     "@/policies/broken.yaml:3:1: unknown key \"routs\"; did you mean \"routes\"?"},
    {"policy: gemeente", "policy: renamed",
     "@/policies/renamed.yaml: this policy is called "
     "\"gemeente\"; its file must have that name"},
    {"policy: gemeente", "policy: gemeente\n    media: redact",
     "13:12: \"media\": expected withhold or pass, found \"redact\""},
    /* routes and URLs */
    {"      webcare:", "      webcar:", "14:7: policy \"gemeente\" has no route \"webcar\""},
    {URL, "chat.example", "14:22: \"url\": expected a URL: https://HOST/PATH"},
    {URL, "ftp://chat.example/", "14:22: \"url\": expected a URL: https://HOST/PATH"},
    {URL, "HTTPS://chat.example/", "14:22: \"url\": expected a URL: https://HOST/PATH"},
    {URL, "http://chat.example/", "14:22: \"url\": " HTTP_RULE},
    {URL, "http://93.184.216.34/", "14:22: \"url\": " HTTP_RULE},
    {URL, "\"http://[2001:db8::1]/\"", "14:22: \"url\": " HTTP_RULE},
    {URL, "\"http://[::ffff:93.184.216.34]/\"", "14:22: \"url\": " HTTP_RULE},
    {URL, "https://u:p@chat.example/",
     "14:22: \"url\": a URL with a user name or a password: use "
     "the tool's secret"},
    {URL, "https://chat.example:0/",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "https://chat.example:99999/",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "https://chat.example:/",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "https:///x", "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://chat..example/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://127.1/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://2130706433/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://chat%2eexample/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "\"https://[::1/\"",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "\"https://chat.example/#x\"",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL, "\"https://chat.example/a b\"",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL, "\"https://chat.example/\\r\\nHost: x\"",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL, "https://ch\xc3\xa4t.example/",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL ",", "\"https://10.0.0.1/\", private: false,",
     "14:22: \"url\": this is a private address: it needs private: true"},
    {"secret: {file: route}", "secret: {file: route}, keep_trying: 30d",
     "14:95: \"keep_trying\": expected 1min to 7d, found \"30d\""},
    {"secret: {file: route}", "secret: {file: route}, one_per_post: yes",
     "14:96: \"one_per_post\": expected true or false, found \"yes\""},
    {", secret: {file: route}", "",
     "14:7: missing key \"secret\": secret: signs deliveries (X-Hub-Signature-256)"},
};

static void expand(const char *said, char *out, size_t size)
{
    const char *at = strchr(said, '@');
    if (at && strncmp(at, "@chat", 5) != 0)
        snprintf(out, size, "%.*s%s%s", (int)(at - said), said, folder, at + 1);
    else
        snprintf(out, size, "%s", said);
}

static bool case_fails(size_t i, char *text)
{
    char line[1024], said[1024], expanded[900];
    struct diag diag = {0};
    struct config *config;
    replaced(bad[i].from, bad[i].to, text);
    int error = load_text(text, &config, &diag);
    expand(bad[i].said, expanded, sizeof(expanded));
    bool here = bad[i].said[0] != '@';
    snprintf(said, sizeof(said), "%s%s%s", here ? in_folder("sluis.yaml") : "", here ? ":" : "",
             expanded);
    diag_line(&diag, line, sizeof(line));
    if (error == SLUIS_EINVAL && !config && strcmp(line, said) == 0)
        return false;
    print_message("%s -> %s\n  said %s\n  not  %s\n", bad[i].from, bad[i].to, line, said);
    config_unref(config);
    return true;
}

static void test_refused(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX);
    size_t failed = 0;
    for (size_t i = 0; i < N(bad); i++)
        failed += case_fails(i, text);
    print_message("%zu refused configurations\n", N(bad));
    free(text);
    assert_int_equal(failed, 0);
}

/* No diagnosis shows a secret: neither one written inline nor one read from a file. */
static void test_no_secret_said(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX);
    for (size_t i = 0; i < N(bad); i++) {
        struct diag diag = {0};
        struct config *config;
        replaced(bad[i].from, bad[i].to, text);
        assert_int_not_equal(load_text(text, &config, &diag), 0);
        assert_null(strstr(diag.text, "hunter2"));
        assert_null(strstr(diag.text, "EAA"));
        assert_null(strstr(diag.text, "secret-one"));
        assert_null(strstr(diag.text, "1234567"));
    }
    free(text);
}

static void add_channel(char *text, const char *name, const char *app, const char *number)
{
    size_t n = strlen(text);
    snprintf(text + n, TEXT_MAX - n,
             "  %s:\n    app: %s\n    phone_number_id: \"%s\"\n    waba_id: 1\n"
             "    upstream: {kind: meta, access_token: {file: token}}\n    policy: gemeente\n"
             "    routes: {}\n",
             name, app, number);
}

/* Numbers are unique within an app, not over apps; a policy is loaded once. */
static void test_channels(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX);
    struct diag diag = {0};
    struct config *c;
    replaced("channels:\n",
             "  bank: {verify_token: {file: verify}, app_secrets: [{file: secret2}]}\nchannels:\n",
             text);
    char *rest = strdup(strstr(text, "store:"));
    *strstr(text, "store:") = '\0';
    add_channel(text, "second", "bank", "106540352242922");
    size_t n = strlen(text);
    snprintf(text + n, TEXT_MAX - n, "%s", rest);
    assert_int_equal(load_text(text, &c, &diag), 0);
    assert_int_equal(c->channel_count, 2);
    assert_ptr_equal(c->channels[0].policy, c->channels[1].policy);
    const struct config_app *bank = config_app(c, SPAN("bank"));
    assert_string_equal(config_channel_by_number(c, bank, SPAN("106540352242922"))->name, "second");
    assert_null(config_channel_by_waba(c, bank, SPAN("102290129340398")));
    config_unref(c);

    text[n] = '\0';
    add_channel(text, "third", "bank", "106540352242922");
    n = strlen(text);
    snprintf(text + n, TEXT_MAX - n, "%s", rest);
    assert_int_equal(load_text(text, &c, &diag), SLUIS_EINVAL);
    assert_string_equal(diag.text,
                        "\"phone_number_id\": channel \"second\" of the same app has this number");
    assert_int_equal(diag.line, 25);
    free(rest);
    free(text);
}

/* As many channels as may be, and one more. */
static void test_limits(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX), name[16], number[16];
    struct diag diag = {0};
    struct config *c;
    replaced("listeners", "listeners", text);
    char *rest = strdup(strstr(text, "store:"));
    *strstr(text, "store:") = '\0';
    for (int i = 1; i < CONFIG_CHANNELS_MAX; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        snprintf(number, sizeof(number), "%d", i);
        add_channel(text, name, "gemeente", number);
    }
    size_t n = strlen(text);
    snprintf(text + n, TEXT_MAX - n, "%s", rest);
    assert_int_equal(load_text(text, &c, &diag), 0);
    assert_int_equal(c->channel_count, CONFIG_CHANNELS_MAX);
    config_unref(c);
    text[n] = '\0';
    add_channel(text, "one-more", "gemeente", "99999");
    n = strlen(text);
    snprintf(text + n, TEXT_MAX - n, "%s", rest);
    assert_int_equal(load_text(text, &c, &diag), SLUIS_ELIMIT);
    assert_string_equal(diag.text, "too many keys in one map");
    free(rest);
    free(text);
}

static void test_hash(void **state)
{
    (void)state;
    struct config *a = load_replaced("listeners", "listeners");
    struct config *b = load_replaced("listeners", "listeners");
    struct config *c = load_replaced("listeners", "# x\nlisteners");
    assert_int_equal(strlen(a->hash), 64);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
    char text[600];
    snprintf(text, sizeof(text), "%s# x\n", policy);
    write_text("policies/gemeente.yaml", text);
    struct config *d = load_replaced("listeners", "listeners");
    assert_string_not_equal(a->hash, d->hash);
    write_text("policies/gemeente.yaml", policy);
    config_unref(a);
    config_unref(b);
    config_unref(c);
    config_unref(d);
}

static void test_needs_restart(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *key; /* key NULL: a reload does it */
    } cases[] = {
        {"listeners", "# x\nlisteners", NULL},
        {"webcare: {", "bot: {", NULL},
        {URL, "https://other.example/", NULL},
        {"store:", "stop: 1s\nlog: {level: warn}\nstore:", NULL},
        {"0.0.0.0:8443", "0.0.0.0:8444", "listeners.meta.address"},
        {"[::1]:9443", "[::1]:9444", "listeners.tools.address"},
        {"apps:\n",
         "  admin: {address: \"[::1]:1\", certificate: cert.pem, key: {file: key.pem}}\n"
         "apps:\n",
         "listeners.admin.address"},
        {"path: store", "path: store2", "store.path"},
        {"64GiB", "65GiB", "store.size"},
        {"path: keys", "path: keys2", "keys.path"},
        {"{file: root}", "{file: token}", "keys.root"},
        {"store:", "control: x\nstore:", "control"},
        {"store:", "threads: 3\nstore:", "threads"},
        {"store:", "memory: 1GiB\nstore:", "memory"},
    };
    struct config *running = load_replaced("listeners", "listeners");
    for (size_t i = 0; i < N(cases); i++) {
        struct config *next = load_replaced(cases[i].from, cases[i].to);
        const char *key = config_needs_restart(running, next);
        assert_true(key ? cases[i].key && strcmp(key, cases[i].key) == 0 : !cases[i].key);
        config_unref(next);
    }
    config_unref(running);
}

static void test_files(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct config *c;
    char line[1024];
    assert_int_equal(config_load("/nonexistent/sluis.yaml", &c, &diag), SLUIS_ENOENT);
    assert_string_equal(diag_line(&diag, line, sizeof(line)),
                        "/nonexistent/sluis.yaml: cannot open: No such file or directory");
    assert_null(c);
    /* A relative name: paths start at the working directory. */
    char before[1024];
    assert_non_null(getcwd(before, sizeof(before)));
    write_text("sluis.yaml", good);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(config_load("sluis.yaml", &c, &diag), 0);
    assert_string_equal(c->keys_root_file, "root");
    config_unref(c);
    assert_int_equal(chdir(before), 0);
}

struct reader {
    struct config_cell *cell;
    atomic_int *stop;
    long rounds;
};

static void *read_cell(void *arg)
{
    struct reader *r = arg;
    while (!*r->stop) {
        struct config *c = config_acquire(r->cell);
        if (!span_is(c->apps[0].verify_token, "verify-token-1") ||
            !policy_route(c->channels[0].policy, "webcare"))
            abort();
        config_unref(c);
        r->rounds++;
    }
    return NULL;
}

/* Reloads while readers hold what they took: nobody sees a freed snapshot (sanitizers tell). */
static void test_cell(void **state)
{
    (void)state;
    struct config_cell *cell;
    assert_int_equal(config_cell_new(load_replaced("listeners", "listeners"), &cell), 0);
    atomic_int stop = 0;
    struct reader readers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < N(threads); i++) {
        readers[i] = (struct reader){cell, &stop, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_cell, &readers[i]), 0);
    }
    struct config *held = config_acquire(cell);
    for (int i = 0; i < 100; i++)
        config_swap(cell, load_replaced("listeners", "listeners"));
    stop = 1;
    for (size_t i = 0; i < N(threads); i++)
        pthread_join(threads[i], NULL);
    assert_true(span_is(held->apps[0].verify_token, "verify-token-1"));
    struct config *now = config_acquire(cell);
    assert_ptr_not_equal(now, held);
    config_unref(now);
    config_unref(held);
    config_cell_free(cell);
    config_cell_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_everything_said),
        cmocka_unit_test(test_secrets),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_secret_said), cmocka_unit_test(test_channels),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_hash),
        cmocka_unit_test(test_files),          cmocka_unit_test(test_needs_restart),
        cmocka_unit_test(test_cell),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
