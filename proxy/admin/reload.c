/* A reload that somebody asked for, alone or after an approval: answered when it was done. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

struct wait {
    struct admin *admin;
    struct server *server;
    uint64_t exchange;
    struct buffer text;
    admin_reloaded *answer;
};

static void on_done(void *ctx, const struct reload_outcome *outcome)
{
    struct wait *w = ctx;
    struct exchange *ex = server_exchange(w->server, w->exchange);
    struct admin_request r = {.admin = w->admin, .ex = ex};
    if (ex) {
        r.arena = exchange_arena(ex);
        w->answer(&r, outcome, &w->text);
    }
    buffer_free(&w->text);
    free(w);
}

void admin_reload_begin(struct admin_request *r, const char *author, struct buffer *text,
                        admin_reloaded *answer)
{
    const struct admin_deps *deps = &r->admin->deps;
    struct wait *w = calloc(1, sizeof(*w));
    struct reload_outcome never = {.error = SLUIS_ENOMEM};
    if (w) {
        *w = (struct wait){.admin = r->admin,
                           .server = exchange_server(r->ex),
                           .exchange = exchange_id(r->ex),
                           .text = *text,
                           .answer = answer};
        never.error = deps->reload(deps->ctx, author, on_done, w);
    }
    if (never.error == 0) {
        buffer_init(text, 0); /* it is w's */
        return;
    }
    free(w);
    answer(r, &never, text);
}

const char *admin_reload_why(const struct reload_outcome *outcome, char *out, size_t size)
{
    if (outcome->ran)
        return diag_line(&outcome->diag, out, size);
    snprintf(out, size, "%s",
             outcome->error == SLUIS_EAGAIN    ? "too many reloads wait for their turn: try again"
             : outcome->error == SLUIS_ECLOSED ? "the gateway is stopping: it was not reloaded"
                                               : "no memory for it now: try again");
    return out;
}

static void answer_reload(struct admin_request *r, const struct reload_outcome *outcome,
                          struct buffer *text)
{
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    if (outcome->error != 0) {
        admin_error(r, outcome->ran ? 422 : 503, "not_reloaded",
                    admin_reload_why(outcome, line, sizeof(line)));
        return;
    }
    buffer_addf(text, "{\"reloaded\":true,\"config_hash\":\"%.16s\"}", outcome->config_hash);
    admin_json(r, 200, text);
}

void admin_reload(struct admin_request *r)
{
    struct buffer text;
    buffer_init(&text, 1024);
    admin_reload_begin(r, r->who.name, &text, answer_reload);
    buffer_free(&text);
}
