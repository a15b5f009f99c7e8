/*
 * The gateway: every room wired together, started in order, reloaded whole, stopped in a stated
 * time.
 */
#ifndef SLUIS_GATEWAY_H
#define SLUIS_GATEWAY_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

struct gateway_options {
    const char *config_file;
    /* Start with a keyring older than the one the store was last used with (keyring_bind): it can
     * open what was destroyed since. */
    bool accept_older_keyring;
    /* Start with an access log that is not the one of its last pushed checkpoint (audit_log_open).
     */
    bool accept_log;
    /* Start with an empty store though the keyring was used with one. */
    bool accept_empty_store;
};
/* Runs until SIGTERM or SIGINT. SIGHUP reloads. Returns the exit code: 0 stopped in order, 1 could
 * not start (the reason is on standard error). Blocks; the calling thread takes the signals. */
int gateway_run(const struct gateway_options *options);

/* What the files that a configuration names hold, beyond being there: each listener's certificate
 * and key belong together, authorities are certificates, folders are reachable. 0, or what
 * tls_server_new and tls_client_new give, with a diagnosis. What is not a fault of the
 * configuration is told to `warn` (may be NULL), one line each: certificates that end soon, have
 * ended or are not yet valid; no folder for the control socket, which systemd makes at a start.
 * Threads: any. */
struct gateway_warning {
    const char *listener; /* "meta"; "control" */
    const char *file;     /* the certificate; the folder */
    int64_t until_s;      /* the certificate's last second */
    const char *word;     /* expired, not_yet_valid, expires_soon; no_folder */
    const char *text; /* for a person: what, and what to do */
};
SLUIS_MUST_CHECK int gateway_check(const struct config *config,
                                   void (*warn)(void *ctx, const struct gateway_warning *w),
                                   void *ctx, struct diag *diag);

#endif
