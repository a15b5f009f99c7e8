/* `sluis history`: conversations as the operator may see them (every finding masked), on record. */
#include "internal.h"

#include "sluis/base/utf8.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDENTIFIER_MAX 128

/* Text of a message may not steer a terminal. */
static void print_text(struct span text)
{
    for (size_t i = 0; i < text.n;) {
        uint32_t c = (unsigned char)text.p[i];
        unsigned n = c < 0x80 ? 1 : utf8_decode(span_from(text, i), &c);
        bool bad = n == 0 || c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c ||
                   (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                   (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
        if (bad)
            putchar(c == '\n' ? ' ' : '?');
        else
            fwrite(text.p + i, 1, n, stdout);
        i += n ? n : 1;
    }
}

static struct span member(struct control_answer *a, uint32_t object, const char *name)
{
    struct span text = SPAN_EMPTY;
    uint32_t node = json_get(&a->json, object, span_str(name));
    if (node == JSON_NONE || json_is(&a->json, node, JSON_NULL))
        return SPAN_EMPTY;
    if (!json_is(&a->json, node, JSON_STRING))
        return json_raw(&a->json, node);
    return json_string(&a->json, node, &a->arena, &text) == 0 ? text : SPAN_EMPTY;
}

static void add_member(struct buffer *body, const char *name, struct span value)
{
    buffer_addf(body, "%s\"%s\":", body->n > 1 ? "," : "", name);
    json_quote(body, value);
}

/* {"channel":..} and what else was given; CLI_USAGE when the person is missing. */
static int make_body(const struct cli_call *call, bool person, struct buffer *body)
{
    static const char *const names[] = {"channel",   "from",         "to",     "tag", "purpose",
                                        "reference", "conversation", "before", "form"};
    char identifier[IDENTIFIER_MAX] = "";
    buffer_add_char(body, '{');
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char option[32];
        snprintf(option, sizeof(option), "--%s", names[i]);
        const char *value = cli_value(call, option, 0);
        if (value)
            add_member(body, names[i], span_str(value));
    }
    if (!cli_value(call, "--channel", 0))
        return cli_usage(call, "--channel is needed");
    if (!person || cli_value(call, "--conversation", 0))
        return call->word_count ? cli_usage(call, "IDENTIFIER or --conversation, not both") : 0;
    if (call->word_count != 1)
        return cli_usage(call,
                         "one phone number or BSUID, - for standard input, or --conversation");
    if (strcmp(call->words[0], "-") == 0) {
        if (!fgets(identifier, sizeof(identifier), stdin))
            return cli_usage(call, "nothing on standard input");
        identifier[strcspn(identifier, "\r\n")] = '\0';
    } else {
        snprintf(identifier, sizeof(identifier), "%s", call->words[0]);
    }
    add_member(body, "contact", span_str(identifier));
    sodium_memzero(identifier, sizeof(identifier));
    return 0;
}

static void print_message(struct control_answer *a, uint32_t m)
{
    struct span at = member(a, m, "at"), direction = member(a, m, "direction");
    struct span text = member(a, m, "text");
    printf("%.*s  %-6.*s  ", (int)at.n, at.p, (int)direction.n, direction.p);
    if (text.n)
        print_text(text);
    else { /* a template, a place, a list: what it is; of one that is gone, that */
        const uint32_t content = json_get(&a->json, m, SPAN("content"));
        struct span what = content == JSON_NONE ? SPAN_EMPTY : member(a, content, "type");
        if (!what.n)
            what = member(a, m, content == JSON_NONE ? "form" : "kind");
        printf("(%.*s)", (int)what.n, what.p);
    }
    putchar('\n');
}

static void print_page(struct control_answer *a)
{
    uint32_t list = json_get(&a->json, 0, SPAN("messages"));
    for (uint32_t m = json_first(&a->json, list); m != JSON_NONE; m = json_next(&a->json, m))
        print_message(a, m);
    list = json_get(&a->json, 0, SPAN("hits"));
    for (uint32_t h = json_first(&a->json, list); h != JSON_NONE; h = json_next(&a->json, h)) {
        struct span id = member(a, h, "conversation");
        printf("%.*s  ", (int)id.n, id.p);
        print_message(a, json_get(&a->json, h, SPAN("message")));
    }
    list = json_get(&a->json, 0, SPAN("conversations"));
    for (uint32_t c = json_first(&a->json, list); c != JSON_NONE; c = json_next(&a->json, c)) {
        struct span id = member(a, c, "id"), last = member(a, c, "last"),
                    tags = member(a, c, "tags");
        printf("%.*s  %.*s  %.*s\n", (int)last.n, last.p, (int)id.n, id.p, (int)tags.n, tags.p);
    }
    list = json_get(&a->json, 0, SPAN("classes"));
    for (uint32_t c = json_first(&a->json, list); c != JSON_NONE; c = json_next(&a->json, c)) {
        struct span name = member(a, c, "class"), ends = member(a, c, "first_ends");
        struct span n = member(a, c, "messages"), ids = member(a, c, "conversations");
        printf("%.*s  from %.*s  %.*s messages  %.*s\n", (int)name.n, name.p, (int)ends.n, ends.p,
               (int)n.n, n.p, (int)ids.n, ids.p);
    }
}

/* One call; *cursor: where to go on, "" at the end. */
static int ask(const struct cli_call *call, const char *operation, const struct buffer *body,
               char cursor[512], struct control_answer *a)
{
    char target[64];
    struct buffer whole;
    snprintf(target, sizeof(target), "/sluis/v1/history/%s", operation);
    buffer_init(&whole, 64 * 1024);
    buffer_add(&whole, buffer_span(body));
    if (cursor[0])
        add_member(&whole, "cursor", span_str(cursor));
    buffer_add_char(&whole, '}');
    int r = control_call(call, HTTP_POST, target, buffer_span(&whole), a);
    buffer_free(&whole);
    if (r == 0) {
        struct span next = member(a, 0, "cursor");
        snprintf(cursor, 512, "%.*s", (int)next.n, next.n ? next.p : "");
    }
    return r;
}

/* Page after page until there is no more. Interrupted, it stops: nothing goes on without it. */
static int all_pages(const struct cli_call *call, const char *operation, struct buffer *body)
{
    struct control_answer a;
    char cursor[512] = "";
    uint64_t scanned = 0, more = 0;
    bool progress = strcmp(operation, "search") == 0 && isatty(STDERR_FILENO);
    do {
        int r = ask(call, operation, body, cursor, &a);
        if (r != 0)
            return r;
        if (!print_json(call, &a))
            print_page(&a);
        struct span n = member(&a, 0, "scanned");
        if (n.n && span_u64(n, &more) == 0)
            scanned += more;
        if (progress)
            fprintf(stderr, "\r%llu messages looked at", (unsigned long long)scanned);
        control_free(&a);
        fflush(stdout);
    } while (cursor[0] && !ferror(stdout));
    if (progress)
        fputc('\n', stderr);
    if (ferror(stdout)) {
        fprintf(stderr, "sluis %s: the output could not be written\n", call->command->name);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int run(const struct cli_call *call, const char *operation, bool person)
{
    struct buffer body;
    buffer_init(&body, 32 * 1024);
    int r = make_body(call, person, &body);
    if (r == 0)
        r = all_pages(call, operation, &body);
    buffer_free(&body);
    return r;
}

int cmd_history_list(const struct cli_call *call)
{
    return run(call, "conversations", false);
}

int cmd_history_show(const struct cli_call *call)
{
    return run(call, "messages", true);
}

int cmd_history_expiring(const struct cli_call *call)
{
    if (!cli_value(call, "--before", 0))
        return cli_usage(call, "--before is needed");
    return run(call, "expiring", false);
}

int cmd_history_search(const struct cli_call *call)
{
    struct buffer body;
    buffer_init(&body, 32 * 1024);
    int r = make_body(call, false, &body);
    if (r == 0 && cli_value(call, "--word", 0)) {
        buffer_add_str(&body, ",\"words\":[");
        const char *word;
        for (unsigned i = 0; (word = cli_value(call, "--word", i)); i++) {
            buffer_add_str(&body, i ? "," : "");
            json_quote(&body, span_str(word));
        }
        buffer_add_char(&body, ']');
    }
    if (r == 0)
        r = all_pages(call, "search", &body);
    buffer_free(&body);
    return r;
}

/* ---- export: parts one after the other are the document ---- */

static int write_parts(const struct cli_call *call, struct buffer *body, FILE *out)
{
    struct control_answer a;
    char cursor[512] = "";
    do {
        int r = ask(call, "export", body, cursor, &a);
        if (r != 0)
            return r;
        struct span part = member(&a, 0, "document");
        size_t n = fwrite(part.p ? part.p : "", 1, part.n, out);
        bool whole = n == part.n && fflush(out) == 0;
        control_free(&a);
        if (!whole)
            return SLUIS_EIO;
    } while (cursor[0]);
    return fsync(fileno(out)) == 0 || errno == EINVAL || errno == EROFS ? 0 : SLUIS_EIO;
}

/* Into a file beside it first: what stands under the name is whole, or was not touched. */
int cmd_history_export(const struct cli_call *call)
{
    const char *path = cli_value(call, "--out", 0);
    struct buffer body;
    char part[4096];
    FILE *out = stdout;
    buffer_init(&body, 32 * 1024);
    int r = make_body(call, true, &body);
    if (r == 0 && path) {
        snprintf(part, sizeof(part), "%s.part", path);
        out = fopen(part, "wxe");
        if (!out) {
            fprintf(stderr, "sluis history export: %s: %s\n", part, strerror(errno));
            r = CLI_FAILED;
        }
    }
    if (r == 0) {
        r = write_parts(call, &body, out);
        bool closed = !path || fclose(out) == 0;
        if (r == 0 && (!closed || (path && rename(part, path) != 0)))
            r = SLUIS_EIO;
        if (r != 0 && path)
            unlink(part);
        if (r == SLUIS_EIO)
            fprintf(stderr,
                    "sluis history export: the file could not be written: nothing is kept\n");
    }
    buffer_free(&body);
    return r == SLUIS_EIO ? CLI_FAILED : r;
}
