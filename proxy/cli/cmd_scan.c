/*
 * sluis scan: detect and mask text from standard input, a line at a time.
 *
 * Data on standard output, talk on standard error. Nothing is kept: each line's memory is wiped
 * before the next. A line that cannot be judged is never shown: its masked form says so, and the
 * exit code is 1.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/json.h"
#include "sluis/base/utf8.h"
#include "sluis/detect.h"
#include "sluis/mask.h"
#include "sluis/policy.h"

int cmd_scan(int argc, char **argv);

/* A line: the longest text, escaped, with its window. */
#define LINE_MAX_BYTES (8u * 1024 * 1024)
#define ARENA_MAX (64u * 1024 * 1024)
#define OUT_MAX (64u * 1024 * 1024)
#define OUT_FLUSH (256u * 1024)
#define READ_CHUNK (256u * 1024)
#define CONTEXT_MAX 1000 /* messages of context in one line; the window takes the last of them */

static const char help[] =
    "Usage: sluis scan [-p POLICY] [--profile NAME] [--jsonl] [--json]\n"
    "\n"
    "Finds personal data in standard input, line by line, and writes it masked.\n"
    "\n"
    "  -p, --policy FILE   thresholds, own recognisers and profiles of this policy;\n"
    "                      without: the built-in thresholds, every finding redacted\n"
    "      --profile NAME  mask as this profile of the policy says (default: redact all)\n"
    "      --jsonl         one JSON object a line: {\"id\":1,\"text\":\"...\",\"context\":[\n"
    "                      {\"from\":\"customer|agent\",\"text\":\"...\"}]}, oldest first; writes\n"
    "                      {\"id\":1,\"findings\":[{\"type\":\"iban\",\"start\":28,\"end\":46,\n"
    "                      \"score\":0.99}],\"masked\":\"...\"}; offsets in code points\n"
    "      --json          plain text in, the objects of --jsonl out; id is the line's number\n"
    "\n"
    "Examples:\n"
    "  echo 'mijn rek is NL91ABNA0417164300' | sluis scan\n"
    "  sluis scan -p policies/municipality.yaml --jsonl < export.jsonl > masked.jsonl\n"
    "\n"
    "Exit: 0 done, 1 refused or a line could not be judged, 2 usage.\n";

static const char builtin_policy[] = "policy: 1\nname: scan\nprofiles: {scan: {default: redact}}\n";

struct scan {
    struct policy *policy;
    const struct profile *profile;
    struct detect_scratch *scratch;
    struct arena arena;
    struct buffer out, masked;
    struct finding *found;
    bool json_in, json_out;
    uint64_t line;
    bool failed; /* some line could not be judged */
};

/* Code points before byte `end`, counted on from the last call. */
struct cursor {
    struct span text;
    size_t byte, point;
};

static size_t points_to(struct cursor *c, size_t end)
{
    for (; c->byte < end; c->byte++)
        c->point += ((uint8_t)c->text.p[c->byte] & 0xc0) != 0x80;
    return c->point;
}

static void add_finding(struct scan *s, const struct finding *f, struct cursor *c)
{
    size_t start = points_to(c, f->start);
    buffer_addf(&s->out, "{\"type\":\"%s\",\"start\":%zu,\"end\":%zu,\"score\":%u.%02u}",
                detector_type_word(policy_detector(s->policy), f->type), start,
                points_to(c, f->end), f->score / 1000u, f->score / 10u % 100u);
}

/* Findings of the text, then those in earlier messages with their place in `context`. */
static void add_findings(struct scan *s, int n, struct span text,
                         const struct detect_message *earlier, size_t context_n)
{
    struct cursor c = {.text = text};
    bool first = true;
    buffer_add(&s->out, SPAN(",\"findings\":["));
    for (int k = 0; k < n; k++) {
        if (s->found[k].back)
            continue;
        if (!first)
            buffer_add_char(&s->out, ',');
        add_finding(s, &s->found[k], &c);
        first = false;
    }
    buffer_add_char(&s->out, ']');
    first = true;
    unsigned back = 0;
    for (int k = 0; k < n; k++) {
        const struct finding *f = &s->found[k];
        if (!f->back)
            continue;
        if (f->back != back)
            c = (struct cursor){.text = earlier[f->back - 1].text};
        back = f->back;
        buffer_addf(&s->out, "%s{\"message\":%zu,\"finding\":", first ? ",\"earlier\":[" : ",",
                    context_n - back);
        add_finding(s, f, &c);
        buffer_add_char(&s->out, '}');
        first = false;
    }
    if (!first)
        buffer_add_char(&s->out, ']');
}

/* Judges one text and writes its line. */
static void judge(struct scan *s, struct span id, const struct detect_input *in, size_t context_n)
{
    int n = detect_run(policy_detector(s->policy), s->scratch, in, s->found, DETECT_FINDINGS_MAX);
    buffer_clear(&s->masked);
    if (n >= 0 && mask_text(in->text, s->found, (size_t)n, s->policy, s->profile, &s->masked) != 0)
        n = SLUIS_EJUDGE;
    struct span masked = n < 0 ? SPAN(MASK_UNJUDGED_TEXT) : buffer_span(&s->masked);
    s->failed |= n < 0;
    if (!s->json_out) {
        buffer_add(&s->out, masked);
        buffer_add_char(&s->out, '\n');
        return;
    }
    buffer_add(&s->out, SPAN("{\"id\":"));
    if (id.n)
        buffer_add(&s->out, id);
    else
        buffer_add_u64(&s->out, s->line);
    if (n < 0)
        buffer_addf(&s->out, ",\"findings\":[],\"error\":\"%s\"", error_word(n));
    else
        add_findings(s, n, in->text, in->earlier, context_n);
    buffer_add(&s->out, SPAN(",\"masked\":"));
    json_quote(&s->out, masked);
    buffer_add(&s->out, SPAN("}\n"));
}

/* The context of a line, newest first. Returns how many messages it has, or an error. */
static int read_context(struct scan *s, const struct json_doc *doc, uint32_t list,
                        struct detect_message *earlier)
{
    size_t total = 0;
    for (uint32_t m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, m))
        total++;
    if (total > CONTEXT_MAX)
        return SLUIS_ELIMIT;
    size_t n = 0;
    for (uint32_t m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, m), n++) {
        if (total - n > DETECT_WINDOW_MESSAGES)
            continue;
        struct detect_message *out = &earlier[total - 1 - n];
        int error = json_string(doc, json_get(doc, m, SPAN("text")), &s->arena, &out->text);
        if (error)
            return error;
        out->from_customer = !json_string_is(doc, json_get(doc, m, SPAN("from")), SPAN("agent"));
    }
    return (int)total;
}

static int scan_object(struct scan *s, struct span line)
{
    struct json_doc doc;
    struct detect_message earlier[DETECT_WINDOW_MESSAGES] = {0};
    struct detect_input in = {.from_customer = true, .earlier = earlier};
    int error = json_scan(&doc, line, &s->arena, NULL);
    if (error)
        return error;
    error = json_string(&doc, json_get(&doc, 0, SPAN("text")), &s->arena, &in.text);
    if (error)
        return error;
    int context = read_context(s, &doc, json_get(&doc, 0, SPAN("context")), earlier);
    if (context < 0)
        return context;
    in.earlier_count =
        (size_t)context < DETECT_WINDOW_MESSAGES ? (size_t)context : DETECT_WINDOW_MESSAGES;
    /* the id as it came, in ASCII */
    struct buffer id;
    buffer_init(&id, LINE_MAX_BYTES);
    const struct json_node *node = json_node(&doc, json_get(&doc, 0, SPAN("id")));
    if (node && json_emit(&id, line, node->start, node->end, NULL, 0) != 0)
        error = SLUIS_EINVAL;
    if (!error)
        judge(s, node ? buffer_span(&id) : SPAN("null"), &in, (size_t)context);
    buffer_free(&id);
    return error;
}

static void scan_line(struct scan *s, struct span line)
{
    s->line++;
    if (span_ends(line, SPAN("\r")))
        line.n--;
    if (!s->json_in) {
        struct detect_input in = {.text = line, .from_customer = true};
        judge(s, SPAN_EMPTY, &in, 0);
        return;
    }
    if (line.n == 0)
        return;
    int error = scan_object(s, line);
    if (error) {
        fprintf(stderr, "sluis scan: line %llu: %s\n", (unsigned long long)s->line,
                error == SLUIS_EINVAL ? "not an object with a \"text\"" : error_word(error));
        s->failed = true;
    }
    arena_reset(&s->arena);
}

static int flush(struct scan *s)
{
    if (!s->out.error && s->out.n == 0)
        return 0;
    if (s->out.error || fwrite(s->out.p, 1, s->out.n, stdout) != s->out.n) {
        fprintf(stderr, "sluis scan: cannot write\n");
        return 1;
    }
    buffer_clear(&s->out);
    return 0;
}

/* Reads lines until the end of the input. Output leaves when the input pauses or 256 KiB are ready.
 */
static int scan_input(struct scan *s)
{
    struct buffer in;
    buffer_init(&in, LINE_MAX_BYTES + READ_CHUNK);
    int result = 0;
    size_t seen = 0; /* bytes of `in` that hold no line break */
    for (;;) {
        char *to = buffer_reserve(&in, READ_CHUNK);
        if (!to) {
            fprintf(stderr, "sluis scan: line %llu is too long\n", (unsigned long long)s->line + 1);
            result = 1;
            break;
        }
        ssize_t n = read(STDIN_FILENO, to, READ_CHUNK);
        if (n < 0)
            result = 1;
        if (n <= 0)
            break;
        in.n += (size_t)n;
        size_t start = 0;
        char *end;
        while ((end = memchr(in.p + seen, '\n', in.n - seen)) != NULL) {
            size_t at = (size_t)(end - in.p);
            scan_line(s, span_of(in.p + start, at - start));
            start = seen = at + 1;
            if (s->out.n > OUT_FLUSH && (result = flush(s)) != 0)
                goto out;
        }
        buffer_drop(&in, start);
        seen = in.n;
        if (in.n > LINE_MAX_BYTES)
            continue;
        if ((result = flush(s)) != 0 || fflush(stdout) != 0)
            goto out;
    }
    if (result == 0 && in.n)
        scan_line(s, buffer_span(&in));
    if (result == 0)
        result = flush(s);
out:
    buffer_free(&in);
    return result;
}

static int open_policy(struct scan *s, const char *file, const char *profile)
{
    struct diag diag = {0};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    int error = file ? policy_load_file(file, &s->policy, &diag)
                     : policy_load(span_str(builtin_policy), "built-in", &s->policy, &diag);
    if (error) {
        fprintf(stderr, "sluis scan: %s\n", diag_line(&diag, line, sizeof line));
        return error;
    }
    s->profile = profile ? policy_profile(s->policy, profile) : policy_storage_profile(s->policy);
    if (!s->profile) {
        fprintf(stderr, "sluis scan: the policy has no profile \"%s\"\n", profile);
        return SLUIS_ENOENT;
    }
    return 0;
}

int cmd_scan(int argc, char **argv)
{
    static const struct option options[] = {
        {"policy", required_argument, NULL, 'p'}, {"profile", required_argument, NULL, 'f'},
        {"jsonl", no_argument, NULL, 'l'},        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct scan s = {0};
    const char *policy = NULL, *profile = NULL;
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:h", options, NULL)) != -1) {
        if (option == 'p')
            policy = optarg;
        else if (option == 'f')
            profile = optarg;
        else if (option == 'l')
            s.json_in = s.json_out = true;
        else if (option == 'j')
            s.json_out = true;
        else if (option == 'h')
            return fputs(help, stdout) < 0 || fflush(stdout) != 0;
        else {
            const char *word = argv[optind - 1];
            fprintf(stderr, "sluis scan: %s %.*s\nsee: sluis scan --help\n",
                    option == ':' ? "a value is needed after" : "unknown option",
                    (int)strcspn(word, "="), word);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sluis scan: text is read from standard input; see --help\n");
        return 2;
    }
    int result = 1;
    arena_init(&s.arena, ARENA_MAX);
    buffer_init(&s.out, OUT_MAX);
    buffer_init(&s.masked, OUT_MAX);
    s.found = calloc(DETECT_FINDINGS_MAX, sizeof *s.found);
    if (s.found && detect_scratch_new(&s.scratch) == 0 && open_policy(&s, policy, profile) == 0)
        result = scan_input(&s) || s.failed;
    policy_unref(s.policy);
    detect_scratch_free(s.scratch);
    free(s.found);
    buffer_free(&s.masked);
    buffer_free(&s.out);
    arena_free(&s.arena);
    return result;
}
