/* `sluis keys init`: the keyring of a new installation. */
#include "internal.h"

#include "sluis/config.h"
#include "sluis/keyring.h"

#include <sodium.h>
#include <stdio.h>

static void tell(const struct cli_call *call, const struct config *config, bool made)
{
    if (!cli_has(call, "--json")) {
        printf("keyring: %s%s\nroot key: %s\n", config->keys_path,
               made ? "" : " (was there already: nothing was made)", config->keys_root_file);
        return;
    }
    struct buffer out;
    buffer_init(&out, 32 * 1024);
    buffer_add(&out, SPAN("{\"keyring\":"));
    json_quote(&out, span_str(config->keys_path));
    buffer_add(&out, SPAN(",\"root_key\":"));
    json_quote(&out, span_str(config->keys_root_file));
    printf("%.*s,\"made\":%s}\n", (int)out.n, out.p, made ? "true" : "false");
    buffer_free(&out);
}

int cmd_keys_init(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    struct config *config;
    struct keyring *keyring;
    if (call->word_count)
        return cli_usage(call, "no words are expected");
    if (sodium_init() < 0 || config_load(file ? file : CLI_CONFIG, &config, &diag) != 0) {
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
        return CLI_FAILED;
    }
    struct keyring_config keys = {.path = config->keys_path, .root_file = config->keys_root_file};
    struct diag none = {.text = ""};
    bool made = keyring_open(&keys, &keyring, &none) != 0;
    keys.make = true;
    int r = made ? keyring_open(&keys, &keyring, &diag) : 0;
    if (r == 0) {
        keyring_close(keyring);
        tell(call, config, made);
        if (made && !cli_has(call, "--json"))
            fprintf(stderr,
                    "Keep the root key apart from the keyring and from backups: whoever has\n"
                    "all three reads everything. Losing the root key loses every message.\n");
    } else {
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
    }
    config_unref(config);
    return r == 0 ? CLI_DONE : CLI_FAILED;
}
