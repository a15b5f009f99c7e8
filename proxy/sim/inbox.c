#include "inbox.h"

#include <stdio.h>
#include <stdlib.h>

#include "record.h"
#include "sluis/base/clock.h"
#include "tls.h"

struct inbox {
    struct inbox_options options;
    struct faults faults;
    FILE *record;
    unsigned long requests, bad_signatures, answered, failed;
};

struct inbox *inbox_new(const struct inbox_options *options)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox)
        return NULL;
    inbox->options = *options;
    faults_init(&inbox->faults);
    if (options->file && !(inbox->record = record_open(options->file))) {
        free(inbox);
        return NULL;
    }
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    if (inbox && inbox->record)
        fclose(inbox->record);
    free(inbox);
}

/* Adds the ids of messages and "status:id" of statuses, wherever the envelope has them. */
static void collect_ids(json_t *body, json_t *ids)
{
    size_t i, j, k;
    json_t *entry, *change, *item;
    json_array_foreach(json_object_get(body, "entry"), i, entry)
    {
        json_array_foreach(json_object_get(entry, "changes"), j, change)
        {
            json_t *value = json_object_get(change, "value");
            json_array_foreach(json_object_get(value, "messages"), k, item)
            {
                json_array_append(ids, json_object_get(item, "id"));
            }
            json_array_foreach(json_object_get(value, "statuses"), k, item)
            {
                json_array_append_new(
                    ids, json_sprintf("%s:%s", json_string_value(json_object_get(item, "status")),
                                      json_string_value(json_object_get(item, "id"))));
            }
        }
    }
}

/* The same for load, by looking for the members themselves: parsing costs more than all the rest.
 */
static void scan_ids(struct span body, json_t *ids)
{
    static const char mark[] = "\"id\":\"wamid.";
    for (const char *at; (at = memmem(body.p, body.n, mark, sizeof mark - 1));) {
        char id[128];
        size_t n = 0;
        body = span_from(body, (size_t)(at - body.p) + 6);
        for (size_t i = 0; i < body.n && body.p[i] != '"' && n < sizeof id; i++)
            if (body.p[i] != '\\') /* an escaped slash */
                id[n++] = body.p[i];
        json_array_append_new(ids, json_stringn(id, n));
    }
}

static bool pure_ascii(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

static void record(struct inbox *inbox, const struct http_message *m, bool signature, int status)
{
    if (!inbox->record)
        return;
    bool light = inbox->options.without_bodies;
    json_t *ids = json_array();
    json_t *body = light ? NULL : json_loadb(m->body.n ? m->body.p : "", m->body.n, 0, NULL);
    if (light)
        scan_ids(m->body, ids);
    else
        collect_ids(body, ids);
    json_t *line = json_pack("{sI so sb so so si so sb sb}", "at", (json_int_t)clock_wall_ms(),
                             "path", record_text(m->target), "signature", signature, "delivery",
                             record_text(http_header(m, "x-sluis-delivery")), "attempt",
                             record_text(http_header(m, "x-sluis-attempt")), "status", status,
                             "ids", ids, "json", light || body, "ascii", pure_ascii(m->body));
    if (!light)
        json_object_set_new(line, "body", record_bytes(m->body));
    record_line(inbox->record, line);
    json_decref(body);
}

void inbox_serve(struct request *request, const struct http_message *m, void *ctx)
{
    struct inbox *inbox = ctx;
    char expected[SIGNATURE_SIZE];
    int status = 200;
    inbox->requests++;
    signature_make(inbox->options.secret, m->body, expected);
    bool signature = span_is(http_header(m, "x-hub-signature-256"), expected);
    enum fault_kind fault = faults_pick(&inbox->faults, m->target);
    if (!span_is(m->method, "POST")) {
        status = 404;
    } else if (!signature) {
        inbox->bad_signatures++;
        status = 401;
    }
    /* Recorded before it is answered: what has a 200 is in the file. */
    if (fault != FAULT_NONE && !faults_lie(fault, request)) {
        inbox->failed++;
        record(inbox, m, signature, fault == FAULT_STATUS ? inbox->faults.status : 0);
        faults_answer(&inbox->faults, fault, request);
        return;
    }
    inbox->answered++;
    record(inbox, m, signature, status);
    request_reply_json(request, status, status == 200 ? "{}" : "{\"error\":\"refused\"}",
                       faults_delay(&inbox->faults));
}

struct faults *inbox_faults(struct inbox *inbox)
{
    return &inbox->faults;
}

json_t *inbox_summary(const struct inbox *inbox)
{
    return json_pack("{sI sI sI sI}", "requests", (json_int_t)inbox->requests, "answered",
                     (json_int_t)inbox->answered, "failed_on_command", (json_int_t)inbox->failed,
                     "bad_signatures", (json_int_t)inbox->bad_signatures);
}
