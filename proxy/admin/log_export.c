/* The access log for an auditor: its key, its checkpoint, signed pages of an export. */
#include "internal.h"

#include <stdlib.h>

#define CUTS_MAX 100 /* earlier checkpoints that a filtered export is made comparable with */

void admin_log_key(struct admin_request *r)
{
    struct note_key key;
    struct buffer out, notes;
    struct span rest, note;
    char fingerprint[65];
    audit_log_key(r->admin->deps.log, &key);
    note_key_fingerprint(&key, fingerprint);
    buffer_init(&out, ADMIN_ANSWER_MAX);
    buffer_init(&notes, ADMIN_ANSWER_MAX);
    buffer_addf(&out, "{\"origin\":\"%s\",\"key\":\"", key.name);
    note_key_write(&key, &out);
    buffer_addf(&out, "\",\"fingerprint\":\"%s\",\"changes\":[", fingerprint);
    if (audit_log_key_changes(r->admin->deps.log, &notes) != 0)
        out.error = SLUIS_ENOMEM;
    rest = buffer_span(&notes);
    for (unsigned i = 0; note_next(&rest, &note) == 0; i++) {
        if (i)
            buffer_add_char(&out, ',');
        json_quote(&out, note);
    }
    buffer_add(&out, SPAN("]}"));
    buffer_free(&notes);
    admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_log_checkpoint(struct admin_request *r)
{
    struct buffer note;
    buffer_init(&note, NOTE_MAX);
    int result = audit_log_checkpoint(r->admin->deps.log, &note);
    if (result != 0)
        admin_error(r, 503, error_word(result), "no checkpoint could be made");
    else
        admin_answer(r->ex, 200, SPAN("text/plain; charset=utf-8"), buffer_span(&note));
    buffer_free(&note);
}

static int number(const struct admin_request *r, const char *name, uint64_t *out)
{
    return span_u64(admin_query(r, name), out);
}

/* "10,200,3000": rising. */
static int read_cuts(struct span text, uint64_t *cuts, size_t *n)
{
    for (*n = 0; text.n; (*n)++) {
        size_t end = span_find(text, ',');
        if (*n == CUTS_MAX || span_u64(span_sub(text, 0, end), &cuts[*n]) != 0 ||
            (*n && cuts[*n] <= cuts[*n - 1]))
            return SLUIS_EINVAL;
        text = span_from(text, end + 1);
    }
    return 0;
}

/* Recorded before a leaf is read, as every reading of the log. */
static int record(struct admin_request *r, uint64_t from)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_READ_LOG,
                                      .actor = r->who.name,
                                      .object = from,
                                      .outcome = "exported"};
    return admin_record(r->admin->deps.store, &event);
}

void admin_log_export(struct admin_request *r)
{
    struct audit_filter filter = log_filter(r);
    uint64_t from, size, to, cuts[CUTS_MAX];
    size_t cut_count;
    struct buffer out;
    if (number(r, "from", &from) != 0 || number(r, "size", &size) != 0 ||
        read_cuts(admin_query(r, "cuts"), cuts, &cut_count) != 0) {
        admin_error(r, 400, "range", "from, size: numbers of leaves; cuts: rising, 100 at most");
        return;
    }
    if (!log_filter_good(r, &filter))
        return;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    int result = record(r, from);
    if (result == 0)
        result =
            audit_log_page(r->admin->deps.log, &filter, from, size, cuts, cut_count, &out, &to);
    if (result == SLUIS_EINVAL)
        admin_error(r, 400, "range", "no such page, or a filter that is not plain text");
    else if (result != 0)
        admin_error(r, 503, error_word(result), "the log could not be read");
    else
        admin_answer(r->ex, 200, SPAN("application/x-ndjson"), buffer_span(&out));
    buffer_free(&out);
}
