/* `sluis audit export` and `sluis audit checkpoint`. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluis/audit.h"

#define TARGET_MAX 4096
#define CHANGES_MAX (4u * 1024 * 1024)     /* of the answer about keys */
#define CUTS_MAX 100                       /* the gateway's */
#define CHECKPOINTS_MAX (16 * 1024 * 1024) /* bytes of the file with them */

int cmd_audit_checkpoint(const struct cli_call *call)
{
    struct control_answer a;
    char text[NOTE_KEY_TEXT_MAX];
    if (!cli_has(call, "--key")) {
        if (control_call(call, HTTP_POST, "/sluis/v1/log/checkpoint", SPAN_EMPTY, &a) != 0)
            return CLI_FAILED;
        if (cli_has(call, "--json")) {
            struct buffer out;
            buffer_init(&out, CLI_ANSWER_MAX);
            json_quote(&out, buffer_span(&a.text));
            printf("{\"checkpoint\":%.*s}\n", (int)out.n, out.p);
            buffer_free(&out);
        } else {
            fwrite(a.text.p, 1, a.text.n, stdout);
        }
        control_free(&a);
        return CLI_DONE;
    }
    if (control_call(call, HTTP_GET, "/sluis/v1/log/key", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        printf("%s\n", print_member(&a, 0, "key", text, sizeof(text)));
        fprintf(stderr, "fingerprint: %s\n",
                print_member(&a, 0, "fingerprint", text, sizeof(text)));
    }
    control_free(&a);
    return CLI_DONE;
}

/* ---- export ---- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The sizes in the auditor's file; the signatures are sluis-verify's business. */
static int read_cuts(const char *path, uint64_t *cuts, size_t *n)
{
    FILE *f = fopen(path, "rbe");
    struct buffer text;
    struct span rest, note;
    struct checkpoint c;
    int r = 0;
    *n = 0;
    if (!f) {
        fprintf(stderr, "sluis: %s: %s\n", path, strerror(errno));
        return CLI_FAILED;
    }
    buffer_init(&text, CHECKPOINTS_MAX);
    char *at;
    size_t got = 1;
    while (got && (at = buffer_reserve(&text, 65536))) {
        got = fread(at, 1, 65536, f);
        text.n += got;
    }
    fclose(f);
    rest = buffer_span(&text);
    while (r == 0 && (r = note_next(&rest, &note)) == 0) {
        struct key_change change; /* its size is a cut at the gateway anyway */
        if (key_change_is(note)) {
            r = key_change_read(note, &change);
            continue;
        }
        size_t end = 0; /* of the text: an empty line */
        while (end + 1 < note.n && (note.p[end] != '\n' || note.p[end + 1] != '\n'))
            end++;
        r = *n == CUTS_MAX ? SLUIS_ELIMIT : checkpoint_read(span_sub(note, 0, end + 1), &c);
        if (r == 0)
            cuts[(*n)++] = c.size;
    }
    buffer_free(&text);
    if (r != SLUIS_ENOENT) {
        fprintf(stderr, "sluis: %s: %s\n", path,
                r == SLUIS_ELIMIT ? "more than 100 checkpoints: the newest says it all"
                                  : "not a file of checkpoints");
        return CLI_FAILED;
    }
    qsort(cuts, *n, sizeof(*cuts), by_value);
    return CLI_DONE;
}

static int make_query(const struct cli_call *call, struct buffer *out)
{
    const char *file = cli_value(call, "--checkpoint", 0);
    uint64_t cuts[CUTS_MAX];
    size_t n = 0;
    for (size_t i = 0; audit_filters[i]; i++) {
        const char *value = control_option(call, audit_filters[i]);
        if (value && !value[0])
            return cli_usage(call, "--%s: a value was expected", audit_filters[i]);
    }
    (void)control_add_options(call, audit_filters, out);
    if (file && read_cuts(file, cuts, &n) != 0)
        return CLI_FAILED;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || cuts[i] != cuts[i - 1])
            buffer_addf(out, "%s%llu", i ? "," : "&cuts=", (unsigned long long)cuts[i]);
    if (out->error)
        return cli_usage(call, "the filters are too long");
    return CLI_DONE;
}

static void put_note(FILE *out, enum export_kind kind, struct span note)
{
    struct buffer escaped, line;
    buffer_init(&escaped, 4 * NOTE_MAX);
    buffer_init(&line, 4 * NOTE_MAX);
    export_note_write(note, &escaped);
    export_line_write(&(struct export_line){.kind = kind, .text = buffer_span(&escaped)}, &line);
    fwrite(line.p, 1, line.n, out);
    buffer_free(&escaped);
    buffer_free(&line);
}

/* Before all else: by which keys the log was signed, one after another. */
static int put_changes(const struct cli_call *call, FILE *out)
{
    struct control_answer a;
    struct arena arena;
    struct json_doc doc;
    struct span note;
    if (control_call(call, HTTP_GET, "/sluis/v1/log/key", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    arena_init(&arena, CHANGES_MAX);
    int r = json_scan(&doc, buffer_span(&a.text), &arena, NULL);
    if (r == 0) {
        uint32_t list = json_get(&doc, 0, SPAN("changes"));
        for (uint32_t i = json_first(&doc, list); r == 0 && i != JSON_NONE;
             i = json_next(&doc, i)) {
            r = json_string(&doc, i, &arena, &note);
            if (r == 0)
                put_note(out, EXPORT_KEY_CHANGE, note);
        }
    }
    arena_free(&arena);
    control_free(&a);
    return r == 0 ? CLI_DONE : CLI_FAILED;
}

/* The checkpoint as the export's first line; *size: the leaves it covers. */
static int put_checkpoint(const struct cli_call *call, FILE *out, uint64_t *size)
{
    struct control_answer a;
    if (control_call(call, HTTP_POST, "/sluis/v1/log/checkpoint", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    struct span rest = span_from(buffer_span(&a.text), span_find(buffer_span(&a.text), '\n') + 1);
    int r = span_u64(span_sub(rest, 0, span_find(rest, '\n')), size);
    put_note(out, EXPORT_CHECKPOINT, buffer_span(&a.text));
    control_free(&a);
    return r == 0 ? CLI_DONE : CLI_FAILED;
}

int audit_export_write(const struct cli_call *call, FILE *out)
{
    struct buffer query, target;
    uint64_t size = 0;
    buffer_init(&query, TARGET_MAX);
    buffer_init(&target, 2 * TARGET_MAX);
    int r = make_query(call, &query);
    if (r == CLI_DONE)
        r = put_changes(call, out);
    if (r == CLI_DONE)
        r = put_checkpoint(call, out, &size);
    for (uint64_t from = 0; r == CLI_DONE && from < size; from += AUDIT_PAGE_LEAVES) {
        struct control_answer a;
        buffer_clear(&target);
        buffer_addf(&target, "/sluis/v1/log/export?from=%llu&size=%llu", (unsigned long long)from,
                    (unsigned long long)size);
        buffer_add(&target, buffer_span(&query));
        r = control_get(call, &target, &a);
        if (r != CLI_DONE)
            break;
        fwrite(a.text.p, 1, a.text.n, out);
        control_free(&a);
        if (ferror(out))
            r = CLI_FAILED;
    }
    buffer_free(&query);
    buffer_free(&target);
    if (fflush(out) != 0 || ferror(out)) {
        fprintf(stderr, "sluis %s: the export could not be written whole: %s\n",
                call->command->name, strerror(errno));
        return CLI_FAILED;
    }
    return r;
}

int cmd_audit_export(const struct cli_call *call)
{
    return audit_export_write(call, stdout);
}
