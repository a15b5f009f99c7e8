/* `sluis keys init`: the keyring of a new installation. */
#include "internal.h"

#include "sluis/config.h"
#include "sluis/keyring.h"

#include <sodium.h>
#include <stdio.h>

static void tell_made(const struct cli_call *call, const struct config *config)
{
    if (!cli_has(call, "--json")) {
        printf("keyring: %s\nroot key: %s\n", config->keys_path, config->keys_root_file);
        return;
    }
    struct buffer out;
    buffer_init(&out, 32 * 1024);
    buffer_add(&out, SPAN("{\"keyring\":"));
    json_quote(&out, span_str(config->keys_path));
    buffer_add(&out, SPAN(",\"root_key\":"));
    json_quote(&out, span_str(config->keys_root_file));
    printf("%.*s}\n", (int)out.n, out.p);
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
    const struct keyring_config keys = {
        .path = config->keys_path, .root_file = config->keys_root_file, .make = true};
    int r = keyring_open(&keys, &keyring, &diag);
    if (r == 0) {
        keyring_close(keyring);
        tell_made(call, config);
        fprintf(stderr, "Keep the root key apart from the keyring and from backups: whoever has\n"
                        "all three reads everything. Losing the root key loses every message.\n");
    } else {
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
    }
    config_unref(config);
    return r == 0 ? CLI_DONE : CLI_FAILED;
}
