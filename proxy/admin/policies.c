/* Versions of policies, and the second officer's approval. */
#include "internal.h"

#include <stdio.h>

void admin_policies_list(struct admin_request *r)
{
    struct buffer out;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    int result = r->admin->deps.versions(r->admin->deps.ctx, &out);
    if (result != 0)
        admin_error(r, 503, error_word(result), "the versions could not be read");
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

static bool may(void *ctx, uint16_t channel)
{
    return admin_may(ctx, channel);
}

static void answer_approval(struct admin_request *r, const struct reload_outcome *outcome,
                            struct buffer *text)
{
    char why[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    char line[sizeof(why) + 64];
    if (outcome->error == 0) {
        admin_json(r, 200, text);
        return;
    }
    snprintf(line, sizeof(line), "approved, on record, and not yet in force: %s",
             admin_reload_why(outcome, why, sizeof(why)));
    admin_error(r,
                !outcome->ran                     ? 503
                : outcome->error == SLUIS_EDENIED ? 409
                                                  : 422,
                "not_reloaded", line);
}

void admin_policies_approve(struct admin_request *r)
{
    struct diag diag = {.text = ""};
    struct buffer out;
    char name[POLICY_NAME_MAX + 1] = "", line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    struct span text = admin_text(r, "name");
    if (text.n == 0 || text.n > POLICY_NAME_MAX) {
        admin_error(r, 400, "name", "the name of a policy was expected");
        return;
    }
    memcpy(name, text.p, text.n);
    buffer_init(&out, ADMIN_ANSWER_MAX);
    bool alone = r->who.kind == PRINCIPAL_OPERATOR;
    struct policy_approval a = {
        .name = name,
        .actor = r->who.name,
        .hash = admin_text(r, "hash"),
        .dry_run = json_is(&r->body, json_get(&r->body, 0, SPAN("dry_run")), JSON_TRUE),
        .alone = alone,
        .may = may,
        .may_ctx = r,
        .out = &out};
    if (alone && !a.dry_run)
        LOG(LOG_ALARM, "admin", "policy_approved_by_operator",
            log_word("because",
                     r->who.break_glass ? "glass was broken" : "there never were two officers"));
    buffer_addf(&out, "{\"policy\":\"%s\",", name);
    int result = r->admin->deps.approve(r->admin->deps.ctx, &a, &diag);
    buffer_addf(&out, ",\"approved\":%s,\"put_forward\":%s}", a.dry_run ? "false" : "true",
                a.put_forward ? "true" : "false");
    if (result != 0)
        admin_error(r, result == SLUIS_EDENIED ? 409 : 422, "not_approved",
                    diag_line(&diag, line, sizeof(line)));
    else if (a.dry_run)
        admin_json(r, 200, &out);
    else /* what else became looser meanwhile is not what this officer put forward: nobody's name */
        admin_reload_begin(r, NULL, &out, answer_approval);
    buffer_free(&out);
}
