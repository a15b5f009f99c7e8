#include "internal.h"

#include "sluis/gateway.h"

int cmd_serve(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    const struct gateway_options options = {
        .config_file = file ? file : CLI_CONFIG,
        .accept_older_keyring = cli_has(call, "--accept-older-keyring"),
        .accept_log = cli_has(call, "--accept-log"),
        .accept_empty_store = cli_has(call, "--accept-empty-store")};
    return gateway_run(&options);
}
