/* The table of endpoints and what every handler needs. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

static const struct endpoint {
    enum http_method method;
    const char *path; /* a last segment "{id}" matches one segment */
    bool control_only;
    void (*handle)(struct admin_request *r);
} endpoints[] = {
    {HTTP_GET, "livez", false, admin_livez},
    {HTTP_GET, "readyz", false, admin_readyz},
    {HTTP_GET, "readyz/meta", false, admin_readyz_meta},
    {HTTP_GET, "readyz/tools", false, admin_readyz_tools},
    {HTTP_GET, "metrics", false, admin_metrics},
    {HTTP_GET, "sluis/v1/status", true, admin_status},
    {HTTP_POST, "sluis/v1/reload", true, admin_reload},
    {HTTP_GET, "sluis/v1/tokens", true, admin_tokens_list},
    {HTTP_POST, "sluis/v1/tokens", true, admin_tokens_add},
    {HTTP_DELETE, "sluis/v1/tokens/{id}", true, admin_tokens_revoke},
    {HTTP_GET, "sluis/v1/queue", true, admin_queue_list},
    {HTTP_POST, "sluis/v1/queue/retry", true, admin_queue_retry},
    {HTTP_POST, "sluis/v1/queue/drop", true, admin_queue_drop},
    {HTTP_GET, "sluis/v1/quarantine", true, admin_quarantine_list},
    {HTTP_GET, "sluis/v1/log", true, admin_log_list},
    {HTTP_GET, "sluis/v1/log/key", true, admin_log_key},
    {HTTP_POST, "sluis/v1/log/checkpoint", true, admin_log_checkpoint},
    {HTTP_GET, "sluis/v1/log/export", true, admin_log_export},
    {HTTP_POST, "sluis/v1/doctor/route", true, admin_doctor_route},
    {HTTP_POST, "sluis/v1/doctor/meta", true, admin_doctor_meta},
    {HTTP_POST, "sluis/v1/purge", true, admin_purge},
    {HTTP_POST, "sluis/v1/subjects/find", true, admin_subject_find},
    {HTTP_POST, "sluis/v1/subjects/export", true, admin_subject_export},
    {HTTP_POST, "sluis/v1/subjects/erase", true, admin_subject_erase},
    {HTTP_POST, "sluis/v1/subjects/restrict", true, admin_subject_restrict},
    {HTTP_POST, "sluis/v1/subjects/hold", true, admin_subject_hold},
    {HTTP_POST, "sluis/v1/subjects/release", true, admin_subject_release},
    {HTTP_GET, "sluis/v1/purge/report", true, admin_purge_report},
    {HTTP_POST, "sluis/v1/keys/clock-accept", true, admin_clock_accept},
    {HTTP_POST, "sluis/v1/doctor/store", true, admin_doctor_store},
    {HTTP_GET, "sluis/v1/backup", true, admin_backup_state},
    {HTTP_POST, "sluis/v1/backup", true, admin_backup_make},
    {HTTP_POST, "sluis/v1/backup/verify", true, admin_backup_verify},
    {HTTP_GET, "sluis/v1/backup/register", true, admin_backup_register},
    {HTTP_POST, "sluis/v1/backup/gone", true, admin_backup_gone},
    {HTTP_GET, "sluis/v1/keys", true, admin_keys_status},
    {HTTP_POST, "sluis/v1/keys/rotate", true, admin_keys_rotate},
};

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
    if (r != 0) {
        admin_free(a);
        return r;
    }
    *out = a;
    return 0;
}

void admin_stop(struct admin *a)
{
    if (a)
        backup_work_stop(a->backup);
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    backup_work_free(a->backup);
    doctor_free(a->doctor);
    free(a);
}

void *admin_context(struct admin *a, bool control)
{
    return control ? &a->control : &a->open;
}

void admin_json(struct admin_request *r, unsigned status, struct buffer *body)
{
    buffer_add_char(body, '\n');
    if (body->error)
        admin_error(r, 500, "too_large", "the answer does not fit");
    else
        exchange_answer(r->ex, status, SPAN("application/json"), buffer_span(body));
}

void admin_error(struct admin_request *r, unsigned status, const char *code, const char *text)
{
    struct buffer out;
    buffer_init(&out, 4096);
    buffer_add(&out, SPAN("{\"error\":{\"code\":"));
    json_quote(&out, span_str(code));
    buffer_add(&out, SPAN(",\"message\":"));
    json_quote(&out, span_str(text));
    buffer_add(&out, SPAN("}}\n"));
    exchange_answer(r->ex, status, SPAN("application/json"), buffer_span(&out));
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

static bool matches(const struct endpoint *e, const struct http_path *path, struct span *id)
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
    return rest.n == 0 && path->count > 0;
}

static bool parse(struct admin_request *r, char *decoded, size_t size)
{
    const struct http_head *head = exchange_head(r->ex);
    struct span body = exchange_body(r->ex);
    if (http_query_split(head->query, decoded, size, r->query, &r->query_count) != 0) {
        admin_error(r, 400, "query", "the query cannot be read");
        return false;
    }
    if (body.n > 0 && (body.n > ADMIN_BODY_MAX || json_scan(&r->body, body, r->arena, NULL) != 0)) {
        r->body.count = 0;
        admin_error(r, 400, "json", "the body is not JSON, or too large");
        return false;
    }
    return true;
}

void admin_on_request(struct exchange *ex, void *ctx)
{
    const struct admin_side *side = ctx;
    struct admin_request r = {.admin = side->admin, .ex = ex, .arena = exchange_arena(ex)};
    const struct http_head *head = exchange_head(ex);
    char segments[1024], decoded[2048];
    struct http_path path;
    if (http_path_split(head->path, segments, sizeof(segments), &path) != 0 || path.count == 0) {
        admin_error(&r, 404, "not_found", "no such endpoint");
        return;
    }
    const struct endpoint *other = NULL;
    enum http_method method = head->method == HTTP_HEAD ? HTTP_GET : head->method;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        const struct endpoint *e = &endpoints[i];
        if ((e->control_only && !side->control) || !matches(e, &path, &r.id))
            continue;
        other = e;
        if (e->method == method) {
            if (parse(&r, decoded, sizeof(decoded)))
                e->handle(&r);
            return;
        }
    }
    admin_error(&r, other ? 405 : 404, other ? "method" : "not_found",
                other ? "this endpoint has another method" : "no such endpoint");
}
