#include "config_room.h"

#include "sluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define CONTROL_PATH "/run/sluis/control.sock"
#define CONFIG_MAIL_MAX 254 /* of an address: RFC 5321's path without brackets */

/* ---- the smaller sections ---- */

static int load_store(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    int error = config_check(l, node, CONFIG_KEYS_STORE);
    if (!error)
        error = config_take_path(l, yaml_get(node, "path"), &config->store_path);
    if (!error)
        error = config_take_size(l, yaml_get(node, "size"), 16 * MIB, 16 * TIB, "16MiB to 16TiB",
                                 &config->store_size);
    const struct yaml_node *preallocate = yaml_get(node, "preallocate");
    config->store_preallocate = true;
    if (!error && preallocate)
        error = yaml_bool(l->doc, preallocate, &config->store_preallocate, l->diag);
    return error;
}

/* True when `path` is `folder` or lies below it, as written. */
static bool inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* A file or a credential, or a passphrase that a person gives after the start. */
static int load_root_key(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    const struct yaml_node *passphrase = yaml_get(node, "passphrase");
    if (!passphrase)
        return config_take_secret_path(l, node, &config->keys_root_file);
    /* What stands there instead may be the passphrase: it is not repeated. */
    if (passphrase->quoted || !passphrase->text || strcmp(passphrase->text, "true") != 0)
        return yaml_error(l->doc, passphrase, l->diag,
                          "\"passphrase\": expected true; without one name a file or a credential");
    return config_check(l, node, CONFIG_KEYS_ROOT);
}

static int load_keys(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    int error = config_check(l, node, CONFIG_KEYS_KEYS);
    if (!error)
        error = config_take_path(l, yaml_get(node, "path"), &config->keys_path);
    if (!error && (inside(config->keys_path, config->store_path) ||
                   inside(config->store_path, config->keys_path)))
        error = yaml_error(l->doc, yaml_get(node, "path"), l->diag,
                           "\"path\": keys stand apart from what they open: not in store.path, nor "
                           "around it");
    if (!error)
        error = load_root_key(l, yaml_get(node, "root"));
    return error;
}

static int load_log(const struct loader *l, const struct yaml_node *node)
{
    static const char *const levels[] = {"alarm", "error", "warn", "info", "debug"};
    static const char *const forms[] = {"key-value", "json"};
    size_t level = LOG_INFO, form = LOG_KEY_VALUE;
    int error = node ? config_check(l, node, CONFIG_KEYS_LOG) : 0;
    const struct yaml_node *level_node = yaml_get(node, "level");
    if (!error && level_node)
        error = yaml_word(l->doc, level_node, levels, 5, &level, l->diag);
    const struct yaml_node *form_node = yaml_get(node, "form");
    if (!error && form_node)
        error = yaml_word(l->doc, form_node, forms, 2, &form, l->diag);
    l->snapshot->door.log_level = (enum log_level)level;
    l->snapshot->door.log_form = (enum log_form)form;
    return error;
}

static int load_checkpoints_https(const struct loader *l, const struct yaml_node *node,
                                  struct config_log_push *push)
{
    int error = config_check(l, node, CONFIG_KEYS_CHECKPOINTS_HTTPS);
    if (!error)
        error = config_take_bool(l, yaml_get(node, "private"), &push->https_private);
    if (!error)
        error =
            config_take_url(l, yaml_get(node, "url"), false, push->https_private, &push->https_url);
    if (!error && strncmp(push->https_url, "https://", 8) != 0)
        error = yaml_error(l->doc, yaml_get(node, "url"), l->diag, "\"url\": expected https://");
    if (!error && yaml_get(node, "token"))
        error = config_take_secret(l, yaml_get(node, "token"), &push->https_token);
    if (!error)
        error = config_take_file(l, yaml_get(node, "ca"), &push->https_ca);
    return error;
}

/* One address as it stands in a header: nothing that could begin another. */
static int take_mail_address(const struct loader *l, const struct yaml_node *node, const char **out)
{
    const char *at = strchr(node->text, '@');
    bool good = at && at > node->text && at[1] && strlen(node->text) <= CONFIG_MAIL_MAX &&
                !strpbrk(node->text, " \t\r\n<>\"(),;:\\");
    for (const char *p = node->text; *p && good; p++)
        good = *p > 0x20 && *p < 0x7f;
    if (!good)
        return yaml_error(l->doc, node, l->diag, "\"%s\": expected one mail address", node->key);
    *out = arena_try_str(&l->snapshot->arena, span_str(node->text));
    return *out ? 0 : config_no_memory(l);
}

static int load_checkpoints_mail(const struct loader *l, const struct yaml_node *node,
                                 struct config_log_push *push)
{
    int error = config_check(l, node, CONFIG_KEYS_CHECKPOINTS_MAIL);
    if (!error)
        error = config_take_path(l, yaml_get(node, "folder"), &push->mail_folder);
    if (!error)
        error = take_mail_address(l, yaml_get(node, "from"), &push->mail_from);
    if (!error)
        error = take_mail_address(l, yaml_get(node, "to"), &push->mail_to);
    return error;
}

/* Where checkpoints of the access log leave the machine. */
static int load_checkpoints(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    struct config_log_push *push = &config->log_push;
    if (!node)
        return 0;
    int error = config_check(l, node, CONFIG_KEYS_CHECKPOINTS);
    const struct yaml_node *file = yaml_get(node, "file"), *https = yaml_get(node, "https"),
                           *mail = yaml_get(node, "mail");
    if (!error && !file && !https && !mail)
        error = yaml_error(l->doc, node, l->diag,
                           "\"file\", \"https\" or \"mail\": expected in log_checkpoints");
    if (!error && file)
        error = config_take_path(l, file, &config->log_checkpoints_file);
    if (!error && file &&
        (inside(config->log_checkpoints_file, config->store_path) ||
         inside(config->log_checkpoints_file, config->keys_path)))
        error = yaml_error(l->doc, file, l->diag,
                           "\"file\": checkpoints stand apart from what they prove: not in "
                           "store.path or keys.path");
    if (!error && https)
        error = load_checkpoints_https(l, https, push);
    if (!error && mail)
        error = load_checkpoints_mail(l, mail, push);
    const struct yaml_node *hold = yaml_get(node, "hold_after");
    if (!error && hold && !file && !https)
        error = yaml_error(l->doc, hold, l->diag,
                           "\"hold_after\": needs \"file\" or \"https\", which go each minute");
    if (!error)
        error = config_take_duration(l, hold, 1, 366ll * 24 * 3600, "1s to 1y", &push->hold_s);
    return error;
}

static int load_control(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    config->control_path = CONTROL_PATH;
    int error = node ? config_take_path(l, node, &config->control_path) : 0;
    if (!error && strlen(config->control_path) > CONFIG_SOCKET_PATH_MAX)
        error = yaml_error(l->doc, node, l->diag,
                           "\"control\": the path of a socket has at most %d bytes",
                           CONFIG_SOCKET_PATH_MAX);
    return error;
}

static int load_rest(const struct loader *l, const struct yaml_node *root)
{
    struct config *config = &l->snapshot->door;
    int64_t threads = 0;
    config->memory_max = 256 * MIB;
    config->stop_s = 10;
    int error = load_control(l, yaml_get(root, "control"));
    const struct yaml_node *threads_node = yaml_get(root, "threads");
    if (!error && threads_node)
        error = yaml_number(l->doc, threads_node, 0, 64, &threads, l->diag);
    config->threads = (unsigned)threads;
    if (!error)
        error = config_take_size(l, yaml_get(root, "memory"), 16 * MIB, 64 * 1024 * MIB,
                                 "16MiB to 64GiB", &config->memory_max);
    static const char *const approvals[] = {"bootstrap", "officers"};
    size_t approval = 0;
    const struct yaml_node *approval_node = yaml_get(root, "policy_approval");
    if (!error && approval_node)
        error = yaml_word(l->doc, approval_node, approvals, 2, &approval, l->diag);
    config->approval_officers = approval == 1;
    config->policies = l->policies;
    const struct yaml_node *url = yaml_get(root, "public_url");
    if (!error && url)
        error = config_take_url(l, url, true, true, &config->public_url);
    if (!error)
        error =
            config_take_duration(l, yaml_get(root, "stop"), 1, 300, "1s to 5min", &config->stop_s);
    if (!error)
        error = load_log(l, yaml_get(root, "log"));
    if (!error)
        error = load_checkpoints(l, yaml_get(root, "log_checkpoints"));
    return error;
}

static int find_policies(struct loader *l, const struct yaml_node *node)
{
    static const struct yaml_node beside = {
        .kind = YAML_SCALAR, .key = "policies", .text = "policies"};
    return config_take_path(l, node ? node : &beside, &l->policies);
}

static int load_all(struct loader *l)
{
    const struct yaml_node *root = yaml_root(l->doc);
    int error = config_check(l, root, CONFIG_KEYS_TOP);
    if (!error)
        error = find_policies(l, yaml_get(root, "policies"));
    if (!error)
        error = config_load_listeners(l, yaml_get(root, "listeners"));
    if (!error)
        error = config_load_apps(l, yaml_get(root, "apps"));
    if (!error)
        error = config_load_channels(l, yaml_get(root, "channels"));
    if (!error)
        error = load_store(l, yaml_get(root, "store"));
    if (!error)
        error = load_keys(l, yaml_get(root, "keys"));
    if (!error)
        error = load_rest(l, root);
    return error;
}

static void hash_all(struct snapshot *s, struct span source)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)source.p, source.n);
    for (size_t i = 0; i < s->policy_count; i++)
        crypto_hash_sha256_update(&state, (const unsigned char *)policy_hash(s->policies[i]),
                                  POLICY_HASH_HEX - 1);
    crypto_hash_sha256_final(&state, digest);
    hex_encode(digest, sizeof(digest), s->door.hash);
}

static int load_doc(const char *file, const struct yaml_doc *doc, struct snapshot *s,
                    struct diag *diag)
{
    const char *slash = strrchr(file, '/');
    struct span folder = slash ? span_of(file, (size_t)(slash - file)) : SPAN(".");
    if (slash == file)
        folder = SPAN("/.");
    s->door.file = arena_try_str(&s->arena, span_str(file));
    struct loader l = {.snapshot = s, .doc = doc, .diag = diag};
    l.folder = arena_try_str(&s->arena, folder);
    if (!s->door.file || !l.folder)
        return config_no_memory(&l);
    int error = load_all(&l);
    if (!error) {
        hash_all(s, yaml_source(doc));
        config_protect_secrets(s);
    }
    return error;
}

int config_use_policy(struct config *config, size_t channel, struct policy *policy,
                      struct diag *diag)
{
    struct snapshot *s = (struct snapshot *)config;
    struct config_channel *c = &config->channels[channel];
    if (s->policy_count == CONFIG_POLICIES_MAX)
        return SLUIS_ELIMIT;
    for (size_t i = 0; i < c->route_count; i++) {
        if (!policy_route(policy, c->routes[i].name)) {
            diag_set(
                diag, NULL, 0, 0,
                "channel \"%s\": policy \"%s\" stays in force until its change is approved, and "
                "has no route \"%s\"",
                c->name, policy_name(policy), c->routes[i].name);
            return SLUIS_EINVAL;
        }
    }
    for (size_t i = 0; i < c->route_count; i++)
        c->routes[i].policy = policy_route(policy, c->routes[i].name);
    s->policies[s->policy_count++] = policy_ref(policy);
    c->policy = policy;
    c->then = NULL;
    hash_all(s, span_str(s->door.hash));
    return 0;
}

int config_load(const char *file, struct config **out, struct diag *diag)
{
    *out = NULL;
    if (sodium_init() < 0) {
        diag_set(diag, "", 0, 0, "libsodium cannot be used on this machine");
        return SLUIS_ECRYPTO;
    }
    struct yaml_doc *doc;
    int error = yaml_parse_file(file, &doc, diag);
    if (error)
        return error;
    struct snapshot *s = calloc(1, sizeof(*s));
    error = SLUIS_ENOMEM;
    if (s) {
        atomic_init(&s->refs, 1);
        arena_init(&s->arena, CONFIG_ARENA_MAX);
        error = load_doc(file, doc, s, diag);
    }
    yaml_free(doc);
    if (error)
        config_unref(s ? &s->door : NULL);
    else
        *out = &s->door;
    return error;
}

struct config *config_ref(struct config *config)
{
    struct snapshot *s = (struct snapshot *)config;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return config;
}

void config_unref(struct config *config)
{
    struct snapshot *s = (struct snapshot *)config;
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    config_free_secrets(s);
    for (size_t i = 0; i < s->policy_count; i++)
        policy_unref(s->policies[i]);
    arena_free(&s->arena);
    free(s);
}

/* ---- what a reload cannot change ---- */

static bool differ(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

static bool push_differs(const struct config_log_push *a, const struct config_log_push *b)
{
    return differ(a->https_url, b->https_url) || differ(a->https_ca, b->https_ca) ||
           !span_eq_secret(a->https_token, b->https_token) ||
           a->https_private != b->https_private || differ(a->mail_folder, b->mail_folder) ||
           differ(a->mail_from, b->mail_from) || differ(a->mail_to, b->mail_to) ||
           a->hold_s != b->hold_s;
}

const char *config_needs_restart(const struct config *running, const struct config *next)
{
    static const char *const addresses[CONFIG_LISTENERS] = {
        "listeners.meta.address", "listeners.tools.address", "listeners.admin.address"};
    for (int k = 0; k < CONFIG_LISTENERS; k++)
        if (differ(running->listeners[k].address, next->listeners[k].address))
            return addresses[k];
    const struct {
        const char *key;
        bool differs;
    } rest[] = {
        {"store.path", differ(running->store_path, next->store_path)},
        {"store.size", running->store_size != next->store_size},
        {"keys.path", differ(running->keys_path, next->keys_path)},
        {"keys.root", differ(running->keys_root_file, next->keys_root_file)},
        {"control", differ(running->control_path, next->control_path)},
        {"log_checkpoints.file", differ(running->log_checkpoints_file, next->log_checkpoints_file)},
        {"log_checkpoints", push_differs(&running->log_push, &next->log_push)},
        {"threads", running->threads != next->threads},
        {"memory", running->memory_max != next->memory_max},
    };
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        if (rest[i].differs)
            return rest[i].key;
    return NULL;
}

/* ---- finding things ---- */

const struct config_app *config_app(const struct config *config, struct span name)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (span_is(name, config->apps[i].name))
            return &config->apps[i];
    return NULL;
}

const struct config_channel *config_channel(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return &config->channels[i];
    return NULL;
}

const struct config_channel *config_channel_by_number(const struct config *config,
                                                      const struct config_app *app,
                                                      struct span phone_number_id)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (config->channels[i].app == app &&
            span_is(phone_number_id, config->channels[i].phone_number_id))
            return &config->channels[i];
    return NULL;
}

const struct config_channel *config_channel_by_waba(const struct config *config,
                                                    const struct config_app *app,
                                                    struct span waba_id)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (config->channels[i].app == app && span_is(waba_id, config->channels[i].waba_id))
            return &config->channels[i];
    return NULL;
}

const struct config_channel *config_channel_by_id(const struct config *config, uint16_t id)
{
    for (size_t i = 0; id && i < config->channel_count; i++)
        if (config->channels[i].id == id)
            return &config->channels[i];
    return NULL;
}

const struct config_route *config_route_by_id(const struct config *config, uint16_t id,
                                              const struct config_channel **channel)
{
    for (size_t i = 0; id && i < config->channel_count; i++) {
        const struct config_channel *c = &config->channels[i];
        for (size_t r = 0; r < c->route_count; r++)
            if (c->routes[r].id == id) {
                if (channel)
                    *channel = c;
                return &c->routes[r];
            }
    }
    return NULL;
}

int config_control_path(const char *file, char *out, size_t size, struct diag *diag)
{
    struct yaml_doc *doc;
    int error = yaml_parse_file(file, &doc, diag);
    if (error)
        return error;
    const struct yaml_node *node = yaml_get(yaml_root(doc), "control");
    const char *text = node && node->kind == YAML_SCALAR && node->text ? node->text : CONTROL_PATH;
    const char *slash = strrchr(file, '/');
    bool beside = text[0] != '/' && slash;
    int n = snprintf(out, size, "%.*s%s", beside ? (int)(slash - file) + 1 : 0, file, text);
    if (n < 1 || (size_t)n >= size)
        error = yaml_error(doc, node, diag, "\"control\": the path does not fit");
    yaml_free(doc);
    return error;
}
