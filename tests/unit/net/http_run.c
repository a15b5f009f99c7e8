#include "http_run.h"

#include <stdio.h>
#include <stdlib.h>

#define FACTS_MAX (1024 * 1024)

static void fact(struct http_run *run, const char *key, struct span value)
{
    buffer_add_str(&run->facts, key);
    buffer_add(&run->facts, SPAN("="));
    buffer_add(&run->facts, value);
    buffer_add(&run->facts, SPAN("\n"));
}

static void fact_u64(struct http_run *run, const char *key, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    fact(run, key, span_of(text, (size_t)n));
}

struct span http_run_fact(const struct http_run *run, struct span key)
{
    struct span rest = buffer_span(&run->facts);
    while (rest.n) {
        size_t end = span_find(rest, '\n');
        struct span line = span_sub(rest, 0, end);
        size_t equals = span_find(line, '=');
        if (span_eq(span_sub(line, 0, equals), key))
            return (struct span){line.p + equals + 1, line.n - equals - 1};
        rest = span_from(rest, end + 1);
    }
    return SPAN_EMPTY;
}

static void inside(struct span s, struct span bytes)
{
    if (s.n && (s.p < bytes.p || s.p + s.n > bytes.p + bytes.n)) {
        fprintf(stderr, "a span of the head lies outside the bytes\n");
        abort();
    }
}

static void check_spans(const struct http_head *head, size_t head_len, struct span bytes)
{
    if (head_len > bytes.n || head->field_count > HTTP_FIELDS_MAX) {
        fprintf(stderr, "head_len or field_count out of range\n");
        abort();
    }
    struct span taken = span_sub(bytes, 0, head_len);
    inside(head->target, taken);
    inside(head->path, taken);
    inside(head->query, taken);
    inside(head->host, taken);
    for (unsigned i = 0; i < head->field_count; i++) {
        inside(head->fields[i].name, taken);
        inside(head->fields[i].value, taken);
    }
}

static void facts_of_head(struct http_run *run, const struct http_head *head, bool request)
{
    static const char *const framings[] = {
        [HTTP_NO_BODY] = "none",
        [HTTP_LENGTH] = "length",
        [HTTP_CHUNKED] = "chunked",
        [HTTP_UNTIL_CLOSE] = "close",
    };
    if (request) {
        fact(run, "method", span_str(http_method_word(head->method)));
        fact(run, "target", head->target);
        fact(run, "path", head->path);
        fact(run, "query", head->query);
        fact(run, "host", head->host);
        fact_u64(run, "continue", head->expect_continue);
        http_write_request_line(&run->again, head->method, head->target);
    } else {
        fact_u64(run, "status", head->status);
        fact_u64(run, "interim", run->interim);
        http_write_status_line(&run->again, head->status);
    }
    fact_u64(run, "minor", head->minor);
    fact_u64(run, "keep", head->keep_alive);
    fact(run, "framing", span_str(framings[head->framing]));
    fact_u64(run, "length", head->length);
    fact_u64(run, "fields", head->field_count);
    for (unsigned i = 0; i < head->field_count; i++) {
        buffer_add(&run->fields, head->fields[i].name);
        buffer_add(&run->fields, SPAN(": "));
        buffer_add(&run->fields, head->fields[i].value);
        buffer_add(&run->fields, SPAN("\n"));
        http_write_field(&run->again, head->fields[i].name, head->fields[i].value);
    }
    http_write_end(&run->again);
}

static char *copy_of(struct span bytes)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);
    if (!copy)
        abort();
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    return copy;
}

/* Either machine, so that one loop serves both. */
struct machine {
    bool request, closed;
    struct http_request_machine in;
    struct http_answer_machine out;
};

static size_t next_end(size_t at, size_t n, struct http_cut cut)
{
    size_t step = at == 0 ? cut.first : cut.step;
    return step >= n - at ? n : at + (step ? step : 1);
}

/* Feeds the head; *start is where this head begins (interim answers are dropped), *end how many
 * bytes have arrived. */
static enum http_result run_head(struct http_run *run, struct machine *m, struct span bytes,
                                 struct http_cut cut, size_t *start, size_t *end)
{
    char *last = NULL;
    enum http_result result;
    for (;;) {
        struct span arrived = span_sub(bytes, *start, *end);
        char *copy = copy_of(arrived);
        struct span moved = span_of(copy, arrived.n);
        free(last);
        last = copy;
        size_t skip = 0;
        result =
            m->request ? http_request_head(&m->in, moved) : http_answer_head(&m->out, moved, &skip);
        run->interim = m->out.interim;
        *start += skip;
        if (result == HTTP_DONE) {
            struct http_head *head = m->request ? &m->in.head : &m->out.head;
            size_t head_len = m->request ? m->in.head_len : m->out.head_len;
            check_spans(head, head_len, moved);
            facts_of_head(run, head, m->request);
            *start += head_len;
        }
        if (result != HTTP_NEED_MORE)
            break;
        if (skip && *start < *end)
            continue;
        if (*end == bytes.n)
            break;
        *end = next_end(*end, bytes.n, cut);
    }
    free(last);
    return result;
}

static enum http_result run_body(struct http_run *run, struct http_body_machine *body,
                                 struct span bytes, struct http_cut cut, size_t *start, size_t *end,
                                 bool closed)
{
    for (;;) {
        struct span arrived = span_sub(bytes, *start, *end);
        char *copy = copy_of(arrived);
        struct span moved = span_of(copy, arrived.n);
        enum http_result result;
        size_t taken = 0;
        do {
            struct span data;
            size_t used;
            struct span rest = span_of(copy + taken, arrived.n - taken);
            result = http_body_feed(body, rest, &data, &used);
            inside(data, rest);
            if (used > rest.n)
                abort();
            buffer_add(&run->body, data);
            taken += used;
        } while (result == HTTP_NEED_MORE && taken < moved.n);
        *start += taken;
        free(copy);
        if (result != HTTP_NEED_MORE)
            return result;
        if (*end == bytes.n)
            return closed ? http_body_closed(body) : HTTP_NEED_MORE;
        *end = next_end(*end, bytes.n, cut);
    }
}

static void run_machine(struct http_run *run, struct machine *m, struct span bytes,
                        struct http_cut cut)
{
    *run = (struct http_run){.verdict = HTTP_RUN_INCOMPLETE};
    buffer_init(&run->facts, FACTS_MAX);
    buffer_init(&run->fields, FACTS_MAX);
    buffer_init(&run->body, HTTP_RUN_BODY_MAX);
    buffer_init(&run->again, FACTS_MAX);
    size_t start = 0, end = bytes.n ? next_end(0, bytes.n, cut) : 0;
    enum http_result result = run_head(run, m, bytes, cut, &start, &end);
    run->reason = m->request ? m->in.reason : m->out.reason;
    if (result == HTTP_DONE) {
        run->head_done = true;
        struct http_body_machine body;
        http_body_init(&body, m->request ? &m->in.head : &m->out.head, HTTP_RUN_BODY_MAX);
        result = run_body(run, &body, bytes, cut, &start, &end, m->closed);
        run->reason = body.reason;
    }
    if (result == HTTP_DONE) {
        run->verdict = HTTP_RUN_OK;
        run->used = start;
        fact_u64(run, "rest", bytes.n - start);
    } else if (result == HTTP_REFUSED) {
        run->verdict = HTTP_RUN_REFUSED;
    }
    if (run->facts.error || run->fields.error || run->body.error || run->again.error) {
        fprintf(stderr, "buffer: %s\n", error_word(run->again.error));
        abort(); /* what was accepted must also be writable, and the caps hold */
    }
}

void http_run_request(struct http_run *run, struct span bytes, struct http_cut cut)
{
    struct machine m = {.request = true};
    http_request_machine_init(&m.in);
    run_machine(run, &m, bytes, cut);
}

void http_run_answer(struct http_run *run, struct span bytes, struct http_cut cut,
                     struct http_answer_given given)
{
    struct machine m = {.closed = given.closed};
    http_answer_machine_init(&m.out, given.head, given.until_close);
    run_machine(run, &m, bytes, cut);
}

void http_run_free(struct http_run *run)
{
    buffer_free(&run->facts);
    buffer_free(&run->fields);
    buffer_free(&run->body);
    buffer_free(&run->again);
}

bool http_run_equal(const struct http_run *a, const struct http_run *b)
{
    return a->verdict == b->verdict && a->reason == b->reason && a->used == b->used &&
           a->head_done == b->head_done &&
           span_eq(buffer_span(&a->facts), buffer_span(&b->facts)) &&
           span_eq(buffer_span(&a->fields), buffer_span(&b->fields)) &&
           span_eq(buffer_span(&a->body), buffer_span(&b->body));
}
