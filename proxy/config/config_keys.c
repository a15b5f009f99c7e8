/* Every key the configuration may have: loading, diagnoses and the manual come from these rows. */
#include "config_room.h"

#define WANT(w) YAML_WANT_##w, false, false
#define MUST(w) YAML_WANT_##w, true, false

static const struct yaml_key top[] = {
    {"listeners", MUST(MAP), "where Sluis listens"},
    {"apps", MUST(MAP), "Meta apps by name: https://HOST/webhook/NAME is an app's callback"},
    {"channels", MUST(MAP), "WhatsApp numbers by name"},
    {"store", MUST(MAP), "where messages are stored"},
    {"keys", MUST(MAP), "where the keys of the store are"},
    {"policies", WANT(TEXT), "folder of the policies; default policies, beside this file"},
    {"control", WANT(TEXT), "path of the control socket; default /run/sluis/control.sock"},
    {"threads", WANT(NUMBER), "event threads, 0 to 64; default 0: one per core"},
    {"memory", WANT(SIZE),
     "memory for bodies, deliveries, media and windows, 16MiB to 64GiB; default 256MiB"},
    {"public_url", WANT(TEXT),
     "base of the URLs that tools are given (paging, media); default: the Host they asked"},
    {"policy_approval", WANT(TEXT),
     "bootstrap or officers: whether a policy may be loosened before there are two officers; default "
     "bootstrap, with an alarm"},
    {"stop", WANT(DURATION), "time for a graceful stop, 1s to 5min; default 10s"},
    {"log", WANT(MAP), "the operators' log on standard error"},
    {"log_checkpoints", WANT(MAP), "where checkpoints of the access log go; default: nowhere"},
};

static const struct yaml_key listeners[] = {
    {"meta", MUST(MAP), "for Meta's webhooks (public)"},
    {"tools", WANT(MAP), "for tools (internal)"},
    {"admin", WANT(MAP), "for persons and metrics (internal)"},
};

static const struct yaml_key listener[] = {
    {"address", MUST(TEXT), "IPv4 address or [IPv6 address], colon, port; port 0: any free one"},
    {"certificate", MUST(TEXT), "PEM file with the certificate and its chain"},
    {"key", MUST(ANY), "PEM file with the private key, as a secret"},
    {"client_ca", WANT(TEXT), "PEM file: only clients with a certificate of this CA; meta only"},
    {"client_cn", WANT(TEXT), "exact common name of the client's certificate; needs client_ca"},
    {"url", WANT(TEXT),
     "https base at which Meta reaches this listener, for the check of its callback; meta only"},
    {"names", WANT(LIST), "host names answered for: tools (without: any) and admin (beside those of its certificate)"},
    {"connections", WANT(NUMBER), "most connections at once, 1 to 1000000; default 10000"},
};

static const struct yaml_key app[] = {
    {"verify_token", MUST(ANY), "secret: the token given to Meta with the callback URL"},
    {"app_secrets", MUST(LIST), "one or two secrets (two while one is replaced)"},
};

static const struct yaml_key channel[] = {
    {"app", MUST(TEXT), "the app whose webhooks carry this number"},
    {"phone_number_id", MUST(TEXT), "Meta's id of the number (digits); unique within an app"},
    {"waba_id", MUST(TEXT), "Meta's id of the WhatsApp Business account (digits)"},
    {"upstream", MUST(MAP), "the way out to WhatsApp"},
    {"policy", MUST(TEXT), "name of the policy"},
    {"media", WANT(TEXT), "withhold, or pass what the policy passes; default withhold"},
    {"fetch_from", WANT(LIST), "hosts that attachments by link are fetched from; without: none"},
    {"answer_within", WANT(DURATION),
     "target for an answer to a contact, 1min to 24h; an alarm at three quarters of it; default "
     "none"},
    {"routes", MUST(MAP), "tools by name; each name is a route of the policy; {}: none"},
};

static const struct yaml_key upstream[] = {
    {"kind", MUST(TEXT), "meta"},
    {"access_token", MUST(ANY), "secret: the token Sluis uses; tools never see it"},
    {"retry", WANT(DURATION),
     "how long Meta keeps trying a webhook, 1h to 7d; default 7d, 1h with No Storage"},
    {"base_url", WANT(TEXT), "default https://graph.facebook.com; for tests"},
    {"ca", WANT(TEXT), "PEM file with the CA of base_url; default: the system's"},
    {"private", WANT(BOOL), "base_url may be at a private address; default false"},
};

static const struct yaml_key route[] = {
    {"url", MUST(TEXT), "where webhooks are delivered; https, or http to an address of our own"},
    {"secret", MUST(ANY), "secret: signs deliveries (X-Hub-Signature-256)"},
    {"one_per_post", WANT(BOOL), "one message per request, in order; default true"},
    {"private", WANT(BOOL), "the tool may be at a private address; default true"},
    {"ca", WANT(TEXT), "PEM file with the CA of the tool; default: the system's"},
    {"keep_trying", WANT(DURATION), "how long a delivery is tried, 1min to 7d; default 7d"},
    {"needs_original", WANT(BOOL),
     "a delivery whose original has expired is dropped, not sent masked; default false"},
    {"fetch_from", WANT(LIST), "more hosts that attachments by link of this tool are fetched from"},
    {"told", WANT(TEXT),
     "erased, expired, both or none: a webhook of Sluis's own (object \"sluis\") names the "
     "deliveries "
     "whose messages were erased (art. 19) or have expired; default none"},
};

static const struct yaml_key store[] = {
    {"path", MUST(TEXT), "folder of the database"},
    {"size", MUST(SIZE), "most it may grow to, 16MiB to 16TiB"},
    {"preallocate", WANT(BOOL),
     "take the disk for it at start, so that a full disk never stops a commit; default true"},
};

static const struct yaml_key keys[] = {
    {"path", MUST(TEXT), "folder of the keyring; not inside store.path"},
    {"root", MUST(ANY), "secret: the root key; or {passphrase: true}"},
};

static const struct yaml_key keys_root[] = {
    {"passphrase", MUST(BOOL),
     "true: made from a passphrase; the gateway starts sealed until `sluis keys unseal`"},
};

static const struct yaml_key log_keys[] = {
    {"level", WANT(TEXT), "alarm, error, warn, info or debug; default info"},
    {"form", WANT(TEXT), "key-value or json; default key-value"},
};

static const struct yaml_key checkpoints[] = {
    {"file", WANT(TEXT), "file they are appended to, on another machine's disk; not in store.path"},
    {"https", WANT(MAP), "an HTTPS endpoint they are POSTed to"},
    {"mail", WANT(MAP), "a folder that mail of them is dropped in"},
    {"hold_after", WANT(DURATION),
     "without a checkpoint that left for so long, nothing is shown or sent; default: never"},
};

static const struct yaml_key checkpoints_https[] = {
    {"url", MUST(TEXT), "https://host/path; each checkpoint is one POST, any 2xx takes it"},
    {"token", WANT(ANY), "secret: sent as Authorization: Bearer"},
    {"ca", WANT(TEXT), "PEM file of the authorities to trust; default the system's"},
    {"private", WANT(BOOL), "it may have a private address; default false"},
};

static const struct yaml_key checkpoints_mail[] = {
    {"folder", MUST(TEXT), "folder that the mail system takes messages from; it must exist"},
    {"from", MUST(TEXT), "sender's address"},
    {"to", MUST(TEXT), "the auditor's address"},
};

static const struct yaml_key secret[] = {
    {"credential", WANT(TEXT), "name of a systemd credential (LoadCredential=)"},
    {"file", WANT(TEXT), "path of a file that only its owner can read (mode 0600)"},
};

static const struct yaml_key fetch[] = {
    {"host", MUST(TEXT), "name or address, with :port when it is not 443"},
    {"private", WANT(BOOL), "it may be at a private address; default false"},
    {"ca", WANT(TEXT), "PEM file with its CA; default: the system's"},
};

#define TABLE(heading, keys)                                                                       \
    {                                                                                              \
        heading, keys, sizeof(keys) / sizeof((keys)[0])                                            \
    }
const struct config_table config_tables[CONFIG_KEYS_TABLES] = {
    [CONFIG_KEYS_TOP] = TABLE("Top level", top),
    [CONFIG_KEYS_LISTENERS] = TABLE("listeners", listeners),
    [CONFIG_KEYS_LISTENER] = TABLE("listeners.NAME", listener),
    [CONFIG_KEYS_APP] = TABLE("apps.NAME", app),
    [CONFIG_KEYS_CHANNEL] = TABLE("channels.NAME", channel),
    [CONFIG_KEYS_UPSTREAM] = TABLE("channels.NAME.upstream", upstream),
    [CONFIG_KEYS_ROUTE] = TABLE("channels.NAME.routes.NAME", route),
    [CONFIG_KEYS_STORE] = TABLE("store", store),
    [CONFIG_KEYS_KEYS] = TABLE("keys", keys),
    [CONFIG_KEYS_ROOT] = TABLE("keys.root", keys_root),
    [CONFIG_KEYS_LOG] = TABLE("log", log_keys),
    [CONFIG_KEYS_CHECKPOINTS] = TABLE("log_checkpoints", checkpoints),
    [CONFIG_KEYS_CHECKPOINTS_HTTPS] = TABLE("log_checkpoints.https", checkpoints_https),
    [CONFIG_KEYS_CHECKPOINTS_MAIL] = TABLE("log_checkpoints.mail", checkpoints_mail),
    [CONFIG_KEYS_SECRET] = TABLE("Secrets", secret),
    [CONFIG_KEYS_FETCH] = TABLE("fetch_from", fetch),
};

int config_check(const struct loader *l, const struct yaml_node *map, enum config_table_index table)
{
    return yaml_check_map(l->doc, map, config_tables[table].keys, config_tables[table].n, l->diag);
}

size_t config_count(const struct yaml_node *node)
{
    size_t n = 0;
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next)
        n++;
    return n;
}

int config_no_memory(const struct loader *l)
{
    diag_set(l->diag, yaml_file(l->doc), 0, 0, "out of memory");
    return SLUIS_ENOMEM;
}

int config_take_name(const struct loader *l, const struct yaml_node *node, const char *text,
                     const char **out)
{
    size_t n = strlen(text);
    bool good = n > 0 && n <= CONFIG_NAME_MAX && text[0] >= 'a' && text[0] <= 'z' &&
                strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
    struct yaml_quote quote;
    if (!good)
        return yaml_error_key(l->doc, node, l->diag,
                              "%s is not a name: lower-case letters, digits, - and _, a letter "
                              "first, at most %d",
                              yaml_quote(&quote, text), CONFIG_NAME_MAX);
    *out = arena_try_str(&l->snapshot->arena, span_str(text));
    return *out ? 0 : config_no_memory(l);
}

int config_take_bool(const struct loader *l, const struct yaml_node *node, bool *out)
{
    return node ? yaml_bool(l->doc, node, out, l->diag) : 0;
}

int config_take_duration(const struct loader *l, const struct yaml_node *node, int64_t least,
                         int64_t most, const char *range, int64_t *out)
{
    if (!node)
        return 0;
    int error = yaml_duration(l->doc, node, out, l->diag);
    if (!error && (*out < least || *out > most))
        error = yaml_error(l->doc, node, l->diag, "\"%s\": expected %s, found \"%s\"", node->key,
                           range, node->text);
    return error;
}

int config_take_size(const struct loader *l, const struct yaml_node *node, uint64_t least,
                     uint64_t most, const char *range, uint64_t *out)
{
    if (!node)
        return 0;
    int error = yaml_size(l->doc, node, out, l->diag);
    if (!error && (*out < least || *out > most))
        error = yaml_error(l->doc, node, l->diag, "\"%s\": expected %s, found \"%s\"", node->key,
                           range, node->text);
    return error;
}
