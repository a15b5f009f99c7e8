/* `sluis keys init`: the keyring of a new installation. */
#include "internal.h"

#include "sluis/audit.h"
#include "sluis/config.h"
#include "sluis/keyring.h"

#include <sodium.h>
#include <stdio.h>

static const char *root_of(const struct config *config)
{
    return config->keys_root_file ? config->keys_root_file : "made from the passphrase";
}

/* What an auditor keeps to check the access log with (sluis-log(7)). */
static int log_key(struct keyring *keyring, char key[NOTE_KEY_TEXT_MAX], char fingerprint[65])
{
    struct keyring_status status;
    char origin[AUDIT_ORIGIN_MAX];
    uint8_t seed[KEYRING_KEY_BYTES];
    struct note_key made;
    struct buffer text;
    keyring_status(keyring, &status);
    audit_log_origin(status.installation, origin);
    keyring_derive(keyring, AUDIT_KEY_LABEL, seed);
    int r = note_key_of_seed(span_str(origin), seed, &made);
    sodium_memzero(seed, sizeof(seed));
    if (r != 0)
        return r;
    buffer_init(&text, NOTE_KEY_TEXT_MAX);
    note_key_write(&made, &text);
    snprintf(key, NOTE_KEY_TEXT_MAX, "%.*s", (int)text.n, text.p);
    note_key_fingerprint(&made, fingerprint);
    buffer_free(&text);
    return 0;
}

static void tell(const struct cli_call *call, const struct config *config, bool made,
                 const char *secret, const char *key, const char *fingerprint)
{
    if (!cli_has(call, "--json")) {
        printf("keyring: %s%s\nroot key: %s\n", config->keys_path,
               made ? "" : " (was there already: nothing was made)", root_of(config));
        if (secret[0])
            printf("recovery secret: %s\n", secret);
        printf("log key: %s\nlog key fingerprint: %s\n", key, fingerprint);
        return;
    }
    struct buffer out;
    buffer_init(&out, 32 * 1024);
    buffer_add(&out, SPAN("{\"keyring\":"));
    json_quote(&out, span_str(config->keys_path));
    buffer_add(&out, SPAN(",\"root_key\":"));
    json_quote(&out, span_str(root_of(config)));
    if (secret[0])
        buffer_addf(&out, ",\"recovery_secret\":\"%s\"", secret);
    buffer_addf(&out, ",\"log_key\":\"%s\",\"log_key_fingerprint\":\"%s\"", key, fingerprint);
    printf("%.*s,\"made\":%s}\n", (int)out.n, out.p, made ? "true" : "false");
    buffer_free(&out);
}

static int init(const struct cli_call *call, const struct config *config, struct span passphrase,
                struct diag *diag)
{
    struct keyring_config keys = {
        .path = config->keys_path, .root_file = config->keys_root_file, .passphrase = passphrase};
    char secret[2 * KEYRING_RECOVERY_KEY + 1] = "";
    struct diag none = {.text = ""};
    struct keyring *keyring;
    char key[NOTE_KEY_TEXT_MAX] = "", fingerprint[65] = "";
    bool recovery_made;
    bool made = keyring_open(&keys, &keyring, &none) != 0;
    keys.make = true;
    int r = made ? keyring_open(&keys, &keyring, diag) : 0;
    if (r != 0)
        return r;
    r = log_key(keyring, key, fingerprint);
    keyring_close(keyring);
    if (r != 0)
        return r;
    r = keys_recovery_make(config->keys_path, secret, &recovery_made);
    tell(call, config, made, secret, key, fingerprint);
    if (made && !cli_has(call, "--json"))
        fprintf(stderr, "Keep the root key apart from the keyring and from backups: whoever has\n"
                        "all three reads everything. Losing the root key loses every message.\n");
    if (secret[0])
        keys_recovery_tell(config->keys_path);
    sodium_memzero(secret, sizeof(secret));
    return r;
}

int cmd_keys_init(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    struct config *config;
    if (sodium_init() < 0 || config_load(file ? file : CLI_CONFIG, &config, &diag) != 0) {
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
        return CLI_FAILED;
    }
    char passphrase[1024];
    size_t n = 0;
    int r = config->keys_root_file ? 0 : keys_passphrase_read(call, passphrase, &n);
    if (r == 0)
        r = init(call, config, span_of(passphrase, n), &diag);
    sodium_memzero(passphrase, sizeof(passphrase));
    if (r != 0 && diag.text[0])
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
    config_unref(config);
    return r == 0 ? CLI_DONE : CLI_FAILED;
}
