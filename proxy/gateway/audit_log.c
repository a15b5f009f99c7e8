/* The access log's tree and key: opened when store and keyring are bound. */
#include "internal.h"

#include <sodium.h>

int ledger_log_open(struct gateway *gw, const struct config *config, struct diag *diag)
{
    struct keyring_status status;
    char origin[AUDIT_ORIGIN_MAX];
    uint8_t seed[KEYRING_KEY_BYTES];
    struct diag why = {.text = ""};
    keyring_status(gw->keyring, &status);
    audit_log_origin(status.installation, origin);
    keyring_derive(gw->keyring, AUDIT_KEY_LABEL, seed);
    const struct audit_log_config log = {.store = gw->store,
                                         .seed = seed,
                                         .origin = origin,
                                         .file = config->log_checkpoints_file,
                                         .refusals = &gw->refusals,
                                         .accept = gw->options->accept_log};
    int r = audit_log_open(&log, &gw->log, &why);
    sodium_memzero(seed, sizeof(seed));
    if (r == SLUIS_EDENIED)
        diag_set(diag, why.file, 0, 0,
                 "%s; to go on with it all the same: sluis serve --accept-log", why.text);
    else if (r != 0)
        diag_set(diag, why.file, 0, 0, "%s", why.text[0] ? why.text : error_word(r));
    else if (!config->log_checkpoints_file)
        LOG(LOG_WARN, "audit", "checkpoints_stay_here",
            log_word("setting", "log_checkpoints.file"));
    return r;
}
