/* The config door: a good file, its snapshot, its secrets, and the cell that reload swaps. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define URL "\"https://chat.example/webhooks/+31\""

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

    config_unref(c);
    config_unref(NULL);
}

static void test_good_routes(void **state)
{
    (void)state;
    struct config *c = load_replaced("listeners", "listeners");
    const struct config_channel *channel = config_channel(c, "burgerzaken");
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
    assert_true(c->store_preallocate);
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
                                   "systemd sets it with LoadCredential=, by hand name the folder "
                                   "of the secrets: CREDENTIALS_DIRECTORY=/etc/sluis/secrets "
                                   "sluis ...");
    setenv("CREDENTIALS_DIRECTORY", in_folder("credentials"), 1);
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

static void test_passphrase(void **state)
{
    (void)state;
    struct config *c = load_replaced("{file: root}", "{passphrase: true}");
    assert_null(c->keys_root_file);
    config_unref(c);
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
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_good_routes),
        cmocka_unit_test(test_everything_said),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_passphrase),
        cmocka_unit_test(test_needs_restart),
        cmocka_unit_test(test_cell),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
