/* `sluis consent`: what an organisation may send to whom, on what ground. "-" reads the contact
 * from standard input, so that it stands in no list of processes and no shell's history. */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTACT_WORD_MAX 160
#define BATCH_MAX 200               /* entries of one request: the gateway's own bound */
#define BODY_MAX (60u * 1024)       /* bytes of one request, below the gateway's bound */
#define IMPORT_LINE_MAX (8u * 1024) /* bytes of a line of an import */
#define ERRORS_MAX 20u              /* lines told of; the rest waits for a better file */
#define COLUMNS_MAX 16

static bool read_contact(const struct cli_call *call, char out[CONTACT_WORD_MAX])
{
    if (call->word_count != 1)
        return false;
    if (strcmp(call->words[0], "-") != 0) {
        snprintf(out, CONTACT_WORD_MAX, "%s", call->words[0]);
    } else {
        if (!fgets(out, CONTACT_WORD_MAX, stdin))
            return false;
        out[strcspn(out, "\r\n")] = '\0';
    }
    return out[0] != '\0';
}

/* "NL.abc" is a user id, all else a phone number. */
static void add_contact(struct buffer *body, const char *text)
{
    bool id =
        text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z' && text[2] == '.';
    buffer_addf(body, "{\"%s\":", id ? "user_id" : "contact");
    json_quote(body, span_str(text));
}

static void add_option(const struct cli_call *call, const char *option, const char *member,
                       struct buffer *body)
{
    const char *value = cli_value(call, option, 0);
    if (!value)
        return;
    buffer_addf(body, ",\"%s\":", member);
    json_quote(body, span_str(value));
}

static int begin(const struct cli_call *call, struct buffer *body)
{
    char contact[CONTACT_WORD_MAX];
    if (!read_contact(call, contact))
        return cli_usage(call, "one phone number or BSUID is needed, or - for standard input");
    buffer_init(body, BODY_MAX);
    add_contact(body, contact);
    sodium_memzero(contact, sizeof(contact));
    add_option(call, "--channel", "channel", body);
    return 0;
}

static int finish(const struct cli_call *call, struct buffer *body, const char *target,
                  const char *done)
{
    struct control_answer a;
    char unchanged[16];
    buffer_add_char(body, '}');
    int r = control_call(call, HTTP_POST, target, buffer_span(body), &a);
    buffer_free(body);
    if (r != 0)
        return r;
    bool late = strcmp(print_member(&a, 0, "unchanged", unchanged, sizeof(unchanged)), "1") == 0;
    if (!print_json(call, &a) && done)
        printf("%s\n",
               late ? "unchanged: a later withdrawal or STOP is on record, or the number was "
                      "somebody else's then"
                    : done);
    else if (!done && !cli_has(call, "--json"))
        fwrite(a.text.p, 1, a.text.n, stdout);
    control_free(&a);
    return late ? CLI_FAILED : CLI_DONE;
}

int cmd_consent_add(const struct cli_call *call)
{
    struct buffer body;
    if (!cli_value(call, "--basis", 0) && !cli_value(call, "--reference", 0))
        return cli_usage(call, "--basis and --source are needed, or --reference");
    int r = begin(call, &body);
    if (r != 0)
        return r;
    add_option(call, "--basis", "basis", &body);
    add_option(call, "--purpose", "purpose", &body);
    add_option(call, "--source", "source", &body);
    add_option(call, "--time", "time", &body);
    add_option(call, "--reference", "reference", &body);
    return finish(call, &body, "/sluis/v1/consent", "recorded");
}

int cmd_consent_withdraw(const struct cli_call *call)
{
    struct buffer body;
    bool all = cli_has(call, "--all");
    if (all == (cli_value(call, "--basis", 0) != NULL))
        return cli_usage(call, "--basis (and --purpose), or --all: nothing may be begun any more");
    int r = begin(call, &body);
    if (r != 0)
        return r;
    buffer_add_str(&body, all ? ",\"stop\":true" : ",\"withdraw\":true");
    add_option(call, "--basis", "basis", &body);
    add_option(call, "--purpose", "purpose", &body);
    add_option(call, "--time", "time", &body);
    return finish(call, &body, "/sluis/v1/consent", "withdrawn");
}

int cmd_consent_list(const struct cli_call *call)
{
    struct buffer body;
    const char *reference = cli_value(call, "--reference", 0);
    if (!reference) {
        int r = begin(call, &body);
        return r ? r : finish(call, &body, "/sluis/v1/consent/list", NULL);
    }
    if (call->word_count != 0)
        return cli_usage(call, "a contact or --reference, not both");
    buffer_init(&body, BODY_MAX);
    buffer_add_str(&body, "{\"reference\":");
    json_quote(&body, span_str(reference));
    add_option(call, "--channel", "channel", &body);
    return finish(call, &body, "/sluis/v1/consent/list", NULL);
}

/* ---- import ---- */

struct import {
    const struct cli_call *call;
    const char *name; /* of the file, for diagnoses */
    FILE *file;
    unsigned line;
    char separator; /* of a CSV file; 0: JSON lines */
    char column[COLUMNS_MAX][32];
    unsigned columns;
    struct buffer entries; /* one after the other */
    struct {
        size_t end;
        unsigned line;
    } at[BATCH_MAX];
    unsigned n, errors;
    unsigned long long recorded, unchanged, seen;
    bool dry, eof;
};

static int wrong(struct import *i, unsigned line, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", i->name, line, what);
    return ++i->errors < ERRORS_MAX ? 0 : CLI_FAILED;
}

/* The next cell of a CSV line, in place; quotes doubled within quotes. NULL at the end. */
static char *next_cell(char **at, char separator)
{
    char *from = *at, *to;
    if (!from)
        return NULL;
    if (*from != '"') {
        char *end = strchr(from, separator);
        *at = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        return from;
    }
    char *cell = to = ++from;
    while (*from && !(from[0] == '"' && from[1] != '"')) {
        from += *from == '"';
        *to++ = *from++;
    }
    from += *from == '"';
    *at = *from == separator ? from + 1 : NULL;
    *to = '\0';
    return cell;
}

static int read_header(struct import *i, char *line)
{
    char *at = line;
    i->separator = strchr(line, ';') ? ';' : ',';
    for (char *cell = next_cell(&at, i->separator); cell; cell = next_cell(&at, i->separator)) {
        if (i->columns == COLUMNS_MAX || strlen(cell) >= sizeof(i->column[0]) || !cell[0])
            return wrong(i, i->line,
                         "the first line names the columns: contact, basis, purpose, "
                         "source, time, channel, reference"),
                   CLI_FAILED;
        snprintf(i->column[i->columns++], sizeof(i->column[0]), "%s", cell);
    }
    return 0;
}

static void add_cells(struct import *i, char *line)
{
    char *at = line;
    const char *comma = "";
    buffer_add_char(&i->entries, '{');
    for (unsigned c = 0; at; c++) {
        char *cell = next_cell(&at, i->separator);
        if (!cell[0])
            continue; /* an empty cell says nothing */
        buffer_addf(&i->entries, "%s", comma);
        json_quote(&i->entries, span_str(c < i->columns ? i->column[c] : "column"));
        buffer_add_char(&i->entries, ':');
        bool flag = c < i->columns &&
                    (strcmp(i->column[c], "withdraw") == 0 || strcmp(i->column[c], "stop") == 0);
        if (flag && (strcmp(cell, "true") == 0 || strcmp(cell, "false") == 0))
            buffer_add_str(&i->entries, cell);
        else
            json_quote(&i->entries, span_str(cell));
        comma = ",";
    }
    buffer_add_char(&i->entries, '}');
}

/* One entry: of its shape and of its time, without which a list sent again would bring back who
 * withdrew since. */
static const char *check_entry(struct import *i, size_t from)
{
    struct arena arena;
    struct json_doc doc;
    const char *what = NULL;
    arena_init(&arena, 256 * 1024);
    if (json_scan(&doc, span_from(buffer_span(&i->entries), from), &arena, NULL) != 0 ||
        !json_is(&doc, 0, JSON_OBJECT))
        what = "no JSON object";
    else if (json_get(&doc, 0, SPAN("time")) == JSON_NONE)
        what = "time: when it was given, withdrawn or said is needed in an import";
    arena_free(&arena);
    return what;
}

/* The next line as an entry; false at the end of the file. */
static bool read_entry(struct import *i, int *result)
{
    char line[IMPORT_LINE_MAX];
    if (!fgets(line, sizeof(line), i->file))
        return false;
    i->line++;
    size_t n = strlen(line), from = i->entries.n;
    if (n + 1 == sizeof(line) && line[n - 1] != '\n') {
        *result = CLI_FAILED;
        wrong(i, i->line, "the line is too long");
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    char *text = i->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
    if (text[0] == '\0')
        return true;
    if (i->line == 1 && text[0] != '{') {
        *result = read_header(i, text);
        return *result == 0;
    }
    if (i->separator)
        add_cells(i, text);
    else
        buffer_add_str(&i->entries, text);
    const char *what = i->entries.error ? "too long" : check_entry(i, from);
    i->seen++;
    if (what) {
        i->entries.n = from;
        *result = wrong(i, i->line, what);
    } else {
        i->at[i->n].end = i->entries.n;
        i->at[i->n++].line = i->line;
    }
    sodium_memzero(line, sizeof(line));
    return *result == 0;
}

static uint64_t number(const struct control_answer *a, const char *member)
{
    uint64_t v = 0;
    return json_u64(&a->json, json_get(&a->json, 0, span_str(member)), &v) == 0 ? v : 0;
}

/* Entries `from` on; what came of it. *bad: the entry that was refused. */
static int send_entries(struct import *i, unsigned from, bool dry, unsigned *bad)
{
    struct buffer body;
    struct control_answer a;
    const char *channel = cli_value(i->call, "--channel", 0);
    char message[256];
    size_t start = from ? i->at[from - 1].end : 0;
    *bad = i->n;
    buffer_init(&body, 2 * BODY_MAX);
    buffer_addf(&body, "{\"dry_run\":%s,\"entries\":[", dry ? "true" : "false");
    for (unsigned k = from; k < i->n; k++) {
        struct span entry = span_sub(buffer_span(&i->entries), start, i->at[k].end);
        start = i->at[k].end;
        buffer_addf(&body, "%s", k > from ? "," : "");
        buffer_add(&body, span_sub(entry, 0, entry.n - 1));
        if (channel && !memmem(entry.p, entry.n, "\"channel\"", 9)) {
            buffer_add_str(&body, ",\"channel\":");
            json_quote(&body, span_str(channel));
        }
        buffer_add_char(&body, '}');
    }
    buffer_add_str(&body, "]}");
    int r = body.error
                ? CLI_FAILED
                : control_ask(i->call, HTTP_POST, "/sluis/v1/consent", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (a.status == 200) {
        i->recorded += number(&a, "recorded");
        i->unchanged += number(&a, "unchanged");
    } else if (a.status == 400 && json_get(&a.json, 0, SPAN("entry")) != JSON_NONE) {
        *bad = from + (unsigned)number(&a, "entry");
        uint32_t error = json_get(&a.json, 0, SPAN("error"));
        print_member(&a, error, "message", message, sizeof(message));
        r = wrong(i, *bad < i->n ? i->at[*bad].line : i->line, message);
    } else {
        uint32_t error = json_get(&a.json, 0, SPAN("error"));
        fprintf(stderr, "sluis: %s\n",
                print_member(&a, error, "message", message, sizeof(message)));
        r = CLI_FAILED;
    }
    control_free(&a);
    return r;
}

static int pass(struct import *i, bool dry)
{
    int r = 0;
    bool more = true;
    rewind(i->file);
    i->line = i->columns = 0;
    i->separator = 0;
    i->recorded = i->unchanged = i->seen = 0;
    while (r == 0 && more) {
        i->n = 0;
        buffer_clear(&i->entries);
        while (more && r == 0 && i->n < BATCH_MAX && i->entries.n < BODY_MAX - 2 * IMPORT_LINE_MAX)
            more = read_entry(i, &r);
        for (unsigned from = 0, bad; r == 0 && from < i->n; from = bad + 1)
            r = send_entries(i, from, dry, &bad);
    }
    return r ? r : i->errors ? CLI_FAILED : 0;
}

int cmd_consent_import(const struct cli_call *call)
{
    struct import *i = calloc(1, sizeof(*i));
    if (call->word_count != 1 || !i) {
        free(i);
        return cli_usage(call,
                         "one file is needed: CSV with a first line that names the columns, or "
                         "JSON lines");
    }
    i->call = call;
    i->name = call->words[0];
    i->dry = cli_has(call, "--dry-run");
    i->file = fopen(i->name, "re");
    buffer_init(&i->entries, BODY_MAX);
    if (!i->file)
        fprintf(stderr, "sluis: %s: cannot be read\n", i->name);
    /* All of it is looked at before any of it is recorded. */
    int r = i->file ? pass(i, true) : CLI_FAILED;
    if (r == 0 && !i->dry)
        r = pass(i, false);
    if (r == 0 && cli_has(call, "--json"))
        printf("{\"entries\":%llu,\"recorded\":%llu,\"unchanged\":%llu,\"dry_run\":%s}\n", i->seen,
               i->recorded, i->unchanged, i->dry ? "true" : "false");
    else if (r == 0)
        printf("%llu entries: %llu %s, %llu unchanged (a later withdrawal is on record, or the "
               "number was "
               "somebody else's then)\n",
               i->seen, i->recorded, i->dry ? "would be recorded" : "recorded", i->unchanged);
    else if (i->errors)
        fprintf(stderr, "sluis: nothing was recorded\n");
    if (i->file)
        fclose(i->file);
    buffer_free(&i->entries);
    free(i);
    return r ? CLI_FAILED : CLI_DONE;
}
