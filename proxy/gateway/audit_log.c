/* The access log's tree and key: opened when store and keyring are bound. */
#include "internal.h"

#include <sodium.h>

/* On the log's thread, which ends before the webhook room does. */
static int pay(void *ctx)
{
    struct gateway *gw = ctx;
    return gw->webhook ? webhook_pay_owed(gw->webhook) : 0;
}

int ledger_log_open(struct gateway *gw, const struct config *config, struct diag *diag)
{
    struct keyring_status status;
    char origin[AUDIT_ORIGIN_MAX];
    struct log_keys keys;
    struct diag why = {.text = ""};
    int r = log_push_open(&config->log_push, &gw->log_push, &why);
    if (r != 0) {
        diag_set(diag, why.file, 0, 0, "log_checkpoints: %s",
                 why.text[0] ? why.text : error_word(r));
        return r;
    }
    struct audit_target targets[AUDIT_TARGETS_MAX];
    unsigned count = 0;
    if (config->log_push.https_url)
        targets[count++] = (struct audit_target){"https", log_push_https, gw->log_push, true};
    if (config->log_push.mail_folder)
        targets[count++] = (struct audit_target){"mail", log_push_mail, gw->log_push, false};
    keyring_status(gw->keyring, &status);
    audit_log_origin(status.installation, origin);
    r = log_keys_load(gw, &keys);
    if (r != 0) {
        diag_set(diag, NULL, 0, 0, "the keys of the access log cannot be read: %s", error_word(r));
        log_keys_free(&keys);
        return r;
    }
    const struct audit_log_config log = {.store = gw->store,
                                         .seed = keys.seed,
                                         .changes = keys.changes,
                                         .change_count = keys.count,
                                         .origin = origin,
                                         .file = config->log_checkpoints_file,
                                         .targets = targets,
                                         .target_count = count,
                                         .gate = &gw->gate,
                                         .hold_after_s = config->log_push.hold_s,
                                         .turn = log_keep_turn,
                                         .pay = pay,
                                         .pay_ctx = gw,
                                         .refusals = &gw->refusals,
                                         .accept = gw->options->accept_log};
    r = audit_log_open(&log, &gw->log, &why);
    log_keys_free(&keys);
    if (r == SLUIS_EDENIED)
        diag_set(diag, why.file, 0, 0,
                 "%s; to go on with it all the same: sluis serve --accept-log", why.text);
    else if (r != 0)
        diag_set(diag, why.file, 0, 0, "%s", why.text[0] ? why.text : error_word(r));
    else if (!config->log_checkpoints_file && !count)
        LOG(LOG_WARN, "audit", "checkpoints_stay_here",
            log_word("setting", "log_checkpoints.file"));
    return r;
}
