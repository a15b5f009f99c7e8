/* Dispatch by the permission table, and what every handler needs. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

/* A row of the permission table with its handler: an endpoint without a row cannot be reached, and
 * a row without a handler does not build. */
static void (*const handlers[PERMISSION_COUNT])(struct admin_request *r) = {
#define X(id, method, path, handler, ...) [PERMISSION_##id] = handler,
    PERMISSION_ENDPOINTS(X)
#undef X
};

static const enum http_method methods[] = {
    [PERMISSION_GET] = HTTP_GET, [PERMISSION_POST] = HTTP_POST, [PERMISSION_DELETE] = HTTP_DELETE};

#define FLUSH_EVERY_MS (10 * 60 * 1000) /* last uses are written when an hour newer */

static void on_flush(void *ctx)
{
    struct admin *a = ctx;
    access_flush(a->deps.access, false);
    loop_timer_set(a->flush, FLUSH_EVERY_MS);
}

int admin_new(const struct admin_deps *deps, struct admin **out)
{
    *out = NULL;
    struct admin *a = calloc(1, sizeof(*a));
    if (!a)
        return SLUIS_ENOMEM;
    a->deps = *deps;
    a->open = (struct admin_side){a, false};
    a->control = (struct admin_side){a, true};
    int r = doctor_new(a, &a->doctor);
    if (r == 0)
        r = backup_work_new(a, &a->backup);
    if (r == 0)
        r = incident_work_new(&a->incident);
    if (r == 0)
        r = loop_timer_new(deps->loop, on_flush, a, &a->flush);
    if (r == 0)
        loop_timer_set(a->flush, FLUSH_EVERY_MS);
    if (r != 0) {
        admin_free(a);
        return r;
    }
    *out = a;
    return 0;
}

void admin_stop(struct admin *a)
{
    if (!a)
        return;
    access_stop(a->deps.access);
    backup_work_stop(a->backup);
    incident_work_stop(a->incident);
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    if (a->flush)
        loop_timer_free(a->flush);
    backup_work_free(a->backup);
    incident_work_free(a->incident);
    doctor_free(a->doctor);
    free(a);
}

void *admin_context(struct admin *a, bool control)
{
    return control ? &a->control : &a->open;
}

void admin_answer(struct exchange *ex, unsigned status, struct span type, struct span body)
{
    exchange_answer_begin(ex, status);
    exchange_answer_field(ex, SPAN("Content-Type"), type);
    exchange_answer_field(ex, SPAN("Cache-Control"), SPAN("no-store"));
    exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    exchange_answer_end(ex, body);
}

void admin_json(struct admin_request *r, unsigned status, struct buffer *body)
{
    buffer_add_char(body, '\n');
    if (body->error)
        admin_error(r, 500, "too_large", "the answer does not fit");
    else
        admin_answer(r->ex, status, SPAN("application/json"), buffer_span(body));
}

/* RFC 9457; "error" besides is what older readers look for. */
void admin_error(struct admin_request *r, unsigned status, const char *code, const char *text)
{
    struct buffer out;
    buffer_init(&out, 4096);
    buffer_addf(
        &out, "{\"type\":\"urn:sluis:problem:%s\",\"title\":\"%s\",\"status\":%u,\"detail\":", code,
        code, status);
    json_quote(&out, span_str(text));
    buffer_add(&out, SPAN(",\"error\":{\"code\":"));
    json_quote(&out, span_str(code));
    buffer_add(&out, SPAN(",\"message\":"));
    json_quote(&out, span_str(text));
    buffer_add(&out, SPAN("}}\n"));
    admin_answer(r->ex, status, SPAN("application/problem+json"), buffer_span(&out));
    buffer_free(&out);
}

struct span admin_text(struct admin_request *r, const char *member)
{
    struct span text = SPAN_EMPTY;
    if (r->body.count == 0 ||
        json_string(&r->body, json_get(&r->body, 0, span_str(member)), r->arena, &text) != 0)
        return SPAN_EMPTY;
    return text;
}

struct span admin_query(const struct admin_request *r, const char *name)
{
    for (unsigned i = 0; i < r->query_count; i++)
        if (span_is(r->query[i].name, name))
            return r->query[i].value;
    return SPAN_EMPTY;
}

void admin_route_name(const struct config *config, uint16_t id, char out[2 * CONFIG_NAME_MAX + 2])
{
    const struct config_channel *channel = NULL;
    const struct config_route *route = config_route_by_id(config, id, &channel);
    snprintf(out, 2 * CONFIG_NAME_MAX + 2, "%s%s%s", route ? channel->name : "", route ? "/" : "",
             route ? route->name : "");
}

uint16_t admin_route_id(const struct config *config, struct span name)
{
    uint16_t found = 0;
    unsigned short_matches = 0;
    for (size_t c = 0; c < config->channel_count; c++) {
        for (size_t i = 0; i < config->channels[c].route_count; i++) {
            const struct config_route *route = &config->channels[c].routes[i];
            char full[2 * CONFIG_NAME_MAX + 2];
            snprintf(full, sizeof(full), "%s/%s", config->channels[c].name, route->name);
            if (span_is(name, full))
                return route->id;
            if (span_is(name, route->name)) {
                found = route->id;
                short_matches++;
            }
        }
    }
    return short_matches == 1 ? found : 0;
}

/* ---- one leaf, durable ---- */

struct record_job {
    struct store_job job;
    const struct audit_event *event;
};

static int run_record(struct store_txn *txn, struct store_job *job)
{
    audit_put(txn, ((struct record_job *)job)->event);
    return store_txn_error(txn);
}

int admin_record(struct store *store, const struct audit_event *event)
{
    struct record_job job = {.job = {.priority = STORE_NORMAL, .run = run_record}, .event = event};
    return store_submit_wait(store, &job.job);
}

/* ---- dispatch ---- */

static bool matches(const struct permission_row *e, const struct http_path *path, struct span *id)
{
    struct span rest = span_str(e->path);
    for (unsigned i = 0; i < path->count; i++) {
        size_t n = span_find(rest, '/');
        struct span want = span_sub(rest, 0, n);
        if (want.n == 0)
            return false;
        if (span_is(want, "{id}"))
            *id = path->segments[i];
        else if (!span_eq(want, path->segments[i]))
            return false;
        rest = span_from(rest, n + 1);
    }
    return rest.n == 0;
}

/* A page's form: names and values into the arena. */
static bool parse_form(struct admin_request *r, struct span body)
{
    struct span type = http_field(exchange_head(r->ex), SPAN("Content-Type"));
    char *text = body.n <= ADMIN_BODY_MAX ? arena_try(r->arena, body.n + 1) : NULL;
    if (text &&
        span_is(span_sub(type, 0, span_find(type, ';')), "application/x-www-form-urlencoded") &&
        http_query_split(body, text, body.n + 1, r->form, &r->form_count) == 0)
        return true;
    r->form_count = 0;
    admin_error(r, 400, "form", "the form cannot be read, or is too large");
    return false;
}

struct span admin_form(const struct admin_request *r, const char *name)
{
    for (unsigned i = 0; i < r->form_count; i++)
        if (span_is(r->form[i].name, name))
            return r->form[i].value;
    return SPAN_EMPTY;
}

static bool parse(struct admin_request *r, char *decoded, size_t size)
{
    const struct http_head *head = exchange_head(r->ex);
    struct span body = exchange_body(r->ex);
    const struct permission_row *row = permission_row(r->permission);
    if (http_query_split(head->query, decoded, size, r->query, &r->query_count) != 0) {
        admin_error(r, 400, "query", "the query cannot be read");
        return false;
    }
    if (row->flags & PERMISSION_PAGE && row->method == PERMISSION_POST)
        return parse_form(r, body);
    if (body.n > 0 && (body.n > ADMIN_BODY_MAX || json_scan(&r->body, body, r->arena, NULL) != 0)) {
        r->body.count = 0;
        admin_error(r, 400, "json", "the body is not JSON, or too large");
        return false;
    }
    return true;
}

/* While the access log refuses, nothing that would have to stand in it is shown. */
static bool needs_log(const struct permission_row *row)
{
    return row->content == CONTENT_LOG || row->content == CONTENT_MASKED ||
           row->content == CONTENT_ORIGINAL;
}

/* A page of another site that DNS leads here (rebinding) says another host: nothing is answered
 * then but what anybody may know, which health checks ask for by address. */
static bool host_known(struct admin_request *r, const struct permission_row *row)
{
    if (r->control || (row && row->right & PERMIT_ANYONE && row->method == PERMISSION_GET &&
                       !(row->flags & PERMISSION_PAGE)))
        return true;
    struct config *config = config_acquire(r->admin->deps.config);
    bool known = exchange_host_named(r->ex, config->listeners[CONFIG_ADMIN].names);
    config_unref(config);
    if (!known)
        admin_error(r, 421, "host",
                    "this host is not one of this gateway's: see names of listeners.admin");
    return known;
}

void admin_on_request(struct exchange *ex, void *ctx)
{
    const struct admin_side *side = ctx;
    struct admin_request r = {
        .admin = side->admin, .ex = ex, .control = side->control, .arena = exchange_arena(ex)};
    const struct http_head *head = exchange_head(ex);
    char segments[1024], decoded[2048];
    struct http_path path;
    if (http_path_split(head->path, segments, sizeof(segments), &path) != 0) {
        admin_error(&r, 404, "not_found", "no such endpoint");
        return;
    }
    bool other = false;
    enum http_method method = head->method == HTTP_HEAD ? HTTP_GET : head->method;
    for (unsigned i = 0; i < PERMISSION_COUNT; i++) {
        const struct permission_row *row = permission_row(i);
        if (!(row->doors & (r.control ? DOOR_CONTROL : DOOR_ADMIN)) || !matches(row, &path, &r.id))
            continue;
        other = true;
        if (methods[row->method] != method)
            continue;
        r.permission = i;
        if (!host_known(&r, row))
            return;
        /* The page of a log that was found changed says where. */
        if (audit_closed(side->admin->deps.gate) && needs_log(row) &&
            !(i == PERMISSION_PAGE_LOG && audit_log_changed(r.admin->deps.log))) {
            admin_error(&r, 503, "log",
                        "the access log takes no records: nothing is shown until it does");
            return;
        }
        admin_identify(&r);
        r.english = page_english(&r);
        if (parse(&r, decoded, sizeof(decoded)) && admin_same_site(&r) && admin_let_in(&r)) {
            if (side->admin->deps.purge)
                purge_asked_by(side->admin->deps.purge, r.who.name);
            handlers[i](&r);
        }
        return;
    }
    if (!host_known(&r, NULL))
        return;
    admin_error(&r, other ? 405 : 404, other ? "method" : "not_found",
                other ? "this endpoint has another method" : "no such endpoint");
}
