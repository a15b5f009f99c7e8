/*
 * `sluis audit reconcile`: what the gateway says it delivered to a route beside what the tool says
 * it received. The tool's list is any text with an X-Sluis-Delivery in each line: its own log, a
 * column of its database, JSON lines.
 */
#include "internal.h"

#include "sluis/base/encode.h"
#include "sluis/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_BYTES 16
#define SHOWN_MAX 20u /* of each kind, unless --json */
#define PAGE_ARENA (64u * 1024 * 1024)

struct received {
    uint8_t id[ID_BYTES];
    bool seen; /* the gateway knows it */
};
struct reconciliation {
    struct received *list;
    size_t n, room;
    uint64_t lines_without;
    uint64_t delivered, agreed, missing, early, unknown;
    uint64_t batch; /* whose first delivery the tool has */
    const char *since, *until;
    bool json;
};

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct received *)a)->id, ((const struct received *)b)->id, ID_BYTES);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* The first run of exactly 32 hex digits. */
static bool find_id(struct span line, uint8_t id[ID_BYTES])
{
    for (size_t at = 0; at < line.n; at++) {
        size_t n = 0;
        while (at + n < line.n && is_hex(line.p[at + n]))
            n++;
        if (n == 2 * ID_BYTES)
            return hex_decode_lower(span_sub(line, at, at + n), id, ID_BYTES) == 0;
        at += n;
    }
    return false;
}

static int add(struct reconciliation *r, const uint8_t id[ID_BYTES])
{
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 1024;
        struct received *wider = realloc(r->list, room * sizeof(*wider));
        if (!wider)
            return SLUIS_ENOMEM;
        r->list = wider;
        r->room = room;
    }
    memcpy(r->list[r->n].id, id, ID_BYTES);
    r->list[r->n++].seen = false;
    return 0;
}

static int read_list(const char *path, struct reconciliation *r)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rbe");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    uint8_t id[ID_BYTES];
    int error = 0;
    if (!f) {
        fprintf(stderr, "sluis audit reconcile: %s: %s\n", path, strerror(errno));
        return CLI_FAILED;
    }
    while (error == 0 && (n = getline(&line, &room, f)) > 0) {
        if (find_id(span_of(line, (size_t)n), id))
            error = add(r, id);
        else
            r->lines_without++;
    }
    free(line);
    if (ferror(f))
        error = SLUIS_EIO;
    if (!standard)
        fclose(f);
    if (error != 0) {
        fprintf(stderr, "sluis audit reconcile: %s: %s\n", path, error_word(error));
        return CLI_FAILED;
    }
    qsort(r->list, r->n, sizeof(*r->list), by_id);
    size_t kept = 0; /* attempts repeat an id */
    for (size_t i = 0; i < r->n; i++)
        if (kept == 0 || by_id(&r->list[kept - 1], &r->list[i]) != 0)
            r->list[kept++] = r->list[i];
    r->n = kept;
    return CLI_DONE;
}

static void tell(const struct reconciliation *r, const char *what, uint64_t so_far, struct span id,
                 struct span time, struct span state)
{
    if (r->json)
        printf("{\"finding\":\"%s\",\"id\":\"%.*s\",\"time\":\"%.*s\",\"state\":\"%.*s\"}\n", what,
               (int)id.n, id.p, (int)time.n, time.p, (int)state.n, state.p);
    else if (so_far <= SHOWN_MAX)
        printf("%-28s %.*s  %.*s\n", what, (int)id.n, id.p, (int)time.n, time.p);
}

static bool in_period(const struct reconciliation *r, struct span time)
{
    struct span since = span_str(r->since), until = span_str(r->until);
    size_t a = since.n < time.n ? since.n : time.n, b = until.n < time.n ? until.n : time.n;
    return (!r->since || memcmp(time.p, since.p, a) >= 0) &&
           (!r->until || memcmp(time.p, until.p, b) < 0);
}

static int take_row(struct reconciliation *r, const struct json_doc *doc, uint32_t row,
                    struct arena *arena)
{
    struct span id, time, state;
    uint64_t batch = 0;
    struct received key;
    if (json_string(doc, json_get(doc, row, SPAN("id")), arena, &id) != 0 ||
        json_string(doc, json_get(doc, row, SPAN("time")), arena, &time) != 0 ||
        json_string(doc, json_get(doc, row, SPAN("state")), arena, &state) != 0 ||
        span_u64(json_raw(doc, json_get(doc, row, SPAN("batch"))), &batch) != 0 ||
        hex_decode_lower(id, key.id, ID_BYTES) != 0)
        return SLUIS_EINVAL;
    struct received *found = r->n ? bsearch(&key, r->list, r->n, sizeof(*r->list), by_id) : NULL;
    bool here = found || (batch && batch == r->batch); /* or in the POST of one before it */
    if (found) {
        found->seen = true;
        r->batch = batch;
    }
    if (!in_period(r, time))
        return 0;
    bool delivered = span_is(state, "delivered");
    r->delivered += delivered;
    if (delivered && here) {
        r->agreed++;
    } else if (delivered) {
        tell(r, "not_received", ++r->missing, id, time, state);
    } else if (found) { /* the tool's answer was lost on the way: it will come again */
        tell(r, "received_not_yet_settled", ++r->early, id, time, state);
    }
    return 0;
}

static int take_page(struct reconciliation *r, struct span text, uint64_t *next)
{
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, PAGE_ARENA);
    int result = json_scan(&doc, text, &arena, NULL);
    if (result == 0 && span_u64(json_raw(&doc, json_get(&doc, 0, SPAN("next"))), next) != 0)
        result = SLUIS_EINVAL;
    uint32_t list = result == 0 ? json_get(&doc, 0, SPAN("deliveries")) : JSON_NONE;
    for (uint32_t i = list == JSON_NONE ? JSON_NONE : json_first(&doc, list);
         result == 0 && i != JSON_NONE; i = json_next(&doc, i))
        result = take_row(r, &doc, i, &arena);
    arena_free(&arena);
    return result;
}

static void sum_up(struct reconciliation *r)
{
    for (size_t i = 0; i < r->n; i++) {
        char hex[2 * ID_BYTES + 1];
        if (r->list[i].seen)
            continue;
        hex_encode(r->list[i].id, ID_BYTES, hex);
        tell(r, "not_in_the_log", ++r->unknown, span_str(hex), SPAN_EMPTY, SPAN_EMPTY);
    }
    if (r->json) {
        printf(
            "{\"delivered\":%llu,\"agreed\":%llu,\"not_received\":%llu,"
            "\"received_not_yet_settled\":%llu,\"not_in_the_log\":%llu,\"lines_without\":%llu}\n",
            (unsigned long long)r->delivered, (unsigned long long)r->agreed,
            (unsigned long long)r->missing, (unsigned long long)r->early,
            (unsigned long long)r->unknown, (unsigned long long)r->lines_without);
        return;
    }
    printf("%llu delivered, %llu of them received; %llu not received; %llu received whose outcome "
           "is not settled yet; %llu received that were never for this route, or are past their "
           "retention\n",
           (unsigned long long)r->delivered, (unsigned long long)r->agreed,
           (unsigned long long)r->missing, (unsigned long long)r->early,
           (unsigned long long)r->unknown);
    if (r->lines_without)
        fprintf(stderr, "%llu lines without the identifier of a delivery were passed over\n",
                (unsigned long long)r->lines_without);
}

int cmd_audit_reconcile(const struct cli_call *call)
{
    const char *route = cli_value(call, "--route", 0);
    struct reconciliation r = {.since = cli_value(call, "--since", 0),
                               .until = cli_value(call, "--until", 0),
                               .json = cli_has(call, "--json")};
    uint64_t from = 0;
    if (call->word_count != 1 || !route)
        return cli_usage(call, "--route NAME and FILE are needed");
    int result = read_list(call->words[0], &r);
    do {
        struct control_answer a;
        char target[512];
        uint64_t next = 0;
        snprintf(target, sizeof(target), "/sluis/v1/log/deliveries?route=%.200s&from=%llu", route,
                 (unsigned long long)from);
        if (result == CLI_DONE)
            result = control_call(call, HTTP_GET, target, SPAN_EMPTY, &a);
        if (result != CLI_DONE)
            break;
        if (take_page(&r, buffer_span(&a.text), &next) != 0) {
            fprintf(stderr, "sluis audit reconcile: the gateway's answer cannot be read\n");
            result = CLI_FAILED;
        }
        control_free(&a);
        from = next;
    } while (result == CLI_DONE && from);
    if (result == CLI_DONE) {
        sum_up(&r);
        result = r.missing || r.unknown ? CLI_FAILED : CLI_DONE;
    }
    free(r.list);
    return result;
}
