/*
 * The gateway: every room wired together, started in order, reloaded whole, stopped in a stated
 * time.
 */
#ifndef SLUIS_GATEWAY_H
#define SLUIS_GATEWAY_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"

#include <stdbool.h>

struct gateway_options {
    const char *config_file;
    /* Start with a keyring older than the one the store was last used with (keyring_bind): it can
     * open what was destroyed since. */
    bool accept_older_keyring;
    /* Start with an access log that is not the one of its last pushed checkpoint (audit_log_open). */
    bool accept_log;
};
/* Runs until SIGTERM or SIGINT. SIGHUP reloads. Returns the exit code: 0 stopped in order, 1 could
 * not start (the reason is on standard error). Blocks; the calling thread takes the signals. */
int gateway_run(const struct gateway_options *options);

#endif
