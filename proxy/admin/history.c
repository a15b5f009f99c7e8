/* History for persons and at the control socket: the call goes to history's workers, the answer
 * comes back by mail, so that no slow call holds this loop. */
#include "internal.h"

#include "sluis/history.h"

#include <stdio.h>
#include <stdlib.h>

struct pending {
    struct history_request request; /* first: history's mail */
    struct mail mail;
    struct loop *loop;
    struct server *server;
    uint64_t exchange;
};

static const struct {
    enum permission permission;
    enum history_operation operation;
} rows[] = {
    {PERMISSION_HISTORY_CONVERSATIONS, HISTORY_CONVERSATIONS},
    {PERMISSION_HISTORY_MESSAGES, HISTORY_MESSAGES},
    {PERMISSION_HISTORY_TAG, HISTORY_TAG},
    {PERMISSION_HISTORY_NOTE, HISTORY_NOTE},
    {PERMISSION_HISTORY_REVEAL, HISTORY_REVEAL},
    {PERMISSION_HISTORY_SEARCH, HISTORY_SEARCH},
    {PERMISSION_HISTORY_EXPORT, HISTORY_EXPORT},
    {PERMISSION_HISTORY_EXPIRING, HISTORY_EXPIRING},
};

static void on_answer(struct mail *mail)
{
    struct pending *p = (struct pending *)((char *)mail - offsetof(struct pending, mail));
    struct exchange *ex = server_exchange(p->server, p->exchange);
    if (ex) {
        exchange_answer_begin(ex, p->request.status);
        exchange_answer_field(ex, SPAN("Content-Type"), span_str(p->request.content_type));
        exchange_answer_field(ex, SPAN("Cache-Control"), SPAN("no-store"));
        exchange_answer_end(ex, buffer_span(&p->request.answer));
    }
    history_request_free(&p->request);
    free(p);
}

/* A worker's thread. */
static void on_done(struct history_request *request)
{
    struct pending *p = (struct pending *)request;
    loop_post(p->loop, &p->mail, on_answer);
}

void admin_history(struct admin_request *r)
{
    struct history *history = r->admin->deps.history;
    struct pending *p = history ? calloc(1, sizeof(*p)) : NULL;
    if (!p) {
        admin_error(r, 503, "unavailable", "not now");
        return;
    }
    history_request_init(&p->request);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].permission == r->permission)
            p->request.operation = rows[i].operation;
    p->request.principal = r->who;
    p->request.done = on_done;
    p->loop = r->admin->deps.loop;
    p->server = exchange_server(r->ex);
    p->exchange = exchange_id(r->ex);
    buffer_add(&p->request.body, exchange_body(r->ex));
    history_submit(history, &p->request);
}
