/* Destroying what has expired, asked for by an operator; the statements about it. */
#include "internal.h"

#include "sluis/base/encode.h"
#include "sluis/purge.h"

#define REPORT_RECORDS_MAX 10000u

static bool member_true(struct admin_request *r, const char *member)
{
    return r->body.count != 0 &&
           json_is(&r->body, json_get(&r->body, 0, span_str(member)), JSON_TRUE);
}

void admin_purge(struct admin_request *r)
{
    struct buffer out;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    bool dry_run = member_true(r, "dry_run");
    int result = member_true(r, "apply_policy")
                     ? purge_apply_policy(r->admin->deps.purge, dry_run, &out)
                     : purge_run(r->admin->deps.purge, dry_run, &out);
    if (result == SLUIS_EDENIED)
        admin_error(r, 409, "clock",
                    "the clock is not trusted: nothing was destroyed; check it, then `sluis keys "
                    "clock-accept`");
    else if (result != 0)
        admin_error(r, 503, error_word(result), "not everything was destroyed; it is tried again");
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

struct report {
    struct buffer out;
    unsigned n;
};

static int add_record(void *ctx, struct span line)
{
    struct report *report = ctx;
    if (report->n == REPORT_RECORDS_MAX)
        return SLUIS_ELIMIT;
    if (report->n++)
        buffer_add_char(&report->out, ',');
    buffer_add(&report->out, line);
    return report->out.error;
}

/* Milliseconds, as the command line has made them of a date. */
static bool take_time(struct admin_request *r, const char *name, int64_t *out)
{
    uint64_t v = 0;
    struct span text = admin_query(r, name);
    if (!text.n || span_u64(text, &v) != 0 || v > INT64_MAX)
        return false;
    *out = (int64_t)v;
    return true;
}

void admin_purge_report(struct admin_request *r)
{
    struct report report = {.n = 0};
    uint8_t key[RETENTION_SIGN_PUBLIC];
    char key_text[BASE64_LEN(RETENTION_SIGN_PUBLIC) + 1];
    int64_t from, to;
    if (!take_time(r, "from", &from) || !take_time(r, "to", &to)) {
        admin_error(r, 400, "period", "from and to: milliseconds since 1970");
        return;
    }
    purge_public_key(r->admin->deps.purge, key);
    base64_encode(key, sizeof(key), key_text);
    buffer_init(&report.out, ADMIN_ANSWER_MAX);
    buffer_addf(&report.out, "{\"key\":\"%s\",\"records\":[", key_text);
    int result = purge_records(r->admin->deps.purge, from, to, add_record, &report);
    buffer_add(&report.out, SPAN("]}"));
    if (result == SLUIS_ELIMIT)
        admin_error(r, 413, "limit", "too many records: ask for a shorter period");
    else if (result != 0)
        admin_error(r, 503, error_word(result), "a record does not hold or cannot be read");
    else
        admin_json(r, 200, &report.out);
    buffer_free(&report.out);
}

void admin_clock_accept(struct admin_request *r)
{
    struct buffer out;
    int result = purge_clock_accept(r->admin->deps.purge);
    if (result != 0) {
        admin_error(r, 503, error_word(result), "could not be written down");
        return;
    }
    buffer_init(&out, 256);
    buffer_add(&out, SPAN("{\"clock\":\"accepted\"}"));
    admin_json(r, 200, &out);
    buffer_free(&out);
}
