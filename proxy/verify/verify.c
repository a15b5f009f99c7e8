/* The command line of sluis-verify. */
#include "sluis/verify.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/encode.h"
#include "sluis/proof.h"

#define CHECKPOINTS_MAX 64             /* --checkpoint options */
#define FILE_MAX (1024u * 1024 * 1024) /* of a file with checkpoints */
#define KEY_FILE_MAX 4096
#define READ_STEP 65536
#define LINES_ROOM (4u * EXPORT_LINE_MAX)

enum { VERIFY_HOLDS = 0, VERIFY_WRONG = 1, VERIFY_USAGE = 2 };

struct options {
    const char *export, *key;
    const char *checkpoints[CHECKPOINTS_MAX];
    unsigned checkpoint_count;
    bool json;
};

static void help(FILE *out)
{
    fputs(
        "usage: sluis-verify FILE --key FILE [--checkpoint FILE]... [--json]\n\n"
        "Checks an export of the access log (`sluis audit export`) offline: every leaf, the tree,\n"
        "the signatures, and that nothing was changed since the checkpoints that you kept.\n\n"
        "options\n"
        "  -k, --key FILE         the log's verifier key (`sluis audit checkpoint --key`)\n"
        "  -c, --checkpoint FILE  one or more earlier checkpoints (repeat for more files)\n"
        "  -j, --json             machine-readable output\n"
        "  -h, --help             this text\n"
        "      --version\n\n"
        "FILE may be - for standard input.\n"
        "exit codes: 0 it holds, 1 it does not (one sentence says what and where), 2 usage\n\n"
        "example\n"
        "  sluis-verify export.jsonl --key log.key --checkpoint checkpoints.txt\n",
        out);
}

static int usage(const char *what)
{
    fprintf(stderr, "sluis-verify: %s\nsee: sluis-verify --help\n", what);
    return VERIFY_USAGE;
}

static int read_file(const char *path, size_t max, struct buffer *out)
{
    FILE *f = fopen(path, "rbe");
    size_t n = 1;
    buffer_init(out, max + READ_STEP);
    while (f && n && out->n <= max) {
        char *at = buffer_reserve(out, READ_STEP);
        n = at ? fread(at, 1, READ_STEP, f) : 0;
        out->n += n;
    }
    bool large = out->error || out->n > max;
    bool good = f && !ferror(f) && !large;
    if (!good)
        fprintf(stderr, "sluis-verify: %s: %s\n", path,
                large ? "too large" : strerror(errno ? errno : EIO));
    if (f)
        fclose(f);
    return good ? 0 : VERIFY_USAGE;
}

/* ---- what came of it ---- */

/* Findings are our own words, with numbers and a checked key name: nothing to escape but '"', which
 * a name may not hold. */
static int tell_wrong(const struct options *o, const char *file, const struct export_finding *f)
{
    if (o->json) {
        printf("{\"ok\":false,\"finding\":\"%s\"", f->text);
        if (f->has_index)
            printf(",\"index\":%llu", (unsigned long long)f->index);
        if (f->line)
            printf(",\"line\":%llu", (unsigned long long)f->line);
        printf("}\n");
    } else if (f->line) {
        printf("%s:%llu: %s\n", file, (unsigned long long)f->line, f->text);
    } else {
        printf("%s: %s\n", file, f->text);
    }
    return VERIFY_WRONG;
}

static int tell_holds(const struct options *o, const struct note_key *key,
                      const struct export_report *r)
{
    char root[BASE64_LEN(MERKLE_HASH) + 1];
    base64_encode(r->root, MERKLE_HASH, root);
    if (o->json)
        printf("{\"ok\":true,\"origin\":\"%s\",\"size\":%llu,\"root\":\"%s\",\"shown\":%llu,"
               "\"skipped\":%llu,\"pruned\":%llu,\"keys\":%u,\"filtered\":%s,\"pages\":%llu,"
               "\"earlier\":%llu}\n",
               key->name, (unsigned long long)r->size, root, (unsigned long long)r->shown,
               (unsigned long long)r->skipped, (unsigned long long)r->pruned, r->keys,
               r->filtered ? "true" : "false", (unsigned long long)r->pages,
               (unsigned long long)r->earlier);
    else
        printf(
            "%s: %llu of %llu leaves shown, all in the tree %s, %s %llu earlier checkpoint%s%s%s\n",
            key->name, (unsigned long long)r->shown, (unsigned long long)r->size, root,
            r->earlier ? "nothing changed since" : "compared with", (unsigned long long)r->earlier,
            r->earlier == 1 ? "" : "s", r->state[0] ? "; " : "", r->state);
    if (!o->json && r->pruned)
        printf("%s: %llu leaves are past the log's own retention: only their hashes are left\n",
               key->name, (unsigned long long)r->pruned);
    if (!o->json && r->keys > 1)
        printf("%s: signed by %u keys, each vouched for by the one before it\n", key->name,
               r->keys);
    return VERIFY_HOLDS;
}

static int no_memory(void)
{
    fprintf(stderr, "sluis-verify: no memory\n");
    return VERIFY_USAGE;
}

/* ---- the three files ---- */

static int take_key(const struct options *o, struct note_key *key)
{
    struct buffer text;
    int r = read_file(o->key, KEY_FILE_MAX, &text);
    if (r == 0 && note_key_read(buffer_span(&text), key) != 0) {
        fprintf(stderr, "sluis-verify: %s: not a verifier key (name+id+key)\n", o->key);
        r = VERIFY_USAGE;
    }
    buffer_free(&text);
    return r;
}

static int take_checkpoints(const struct options *o, const char *file, struct export_check *check)
{
    struct buffer text;
    struct export_finding f = {.text = "this file holds no whole checkpoint, or more than that"};
    unsigned n = 0;
    int r = read_file(file, FILE_MAX, &text), next = 0;
    struct span rest = buffer_span(&text), note;
    while (r == 0 && (next = note_next(&rest, &note)) == 0) {
        n++;
        next = export_check_earlier(check, note, &f);
        if (next != 0)
            break;
    }
    if (r == 0 && next == SLUIS_ENOMEM)
        r = no_memory();
    else if (r == 0 && (next != SLUIS_ENOENT || n == 0))
        r = tell_wrong(o, file, &f);
    buffer_free(&text);
    return r;
}

/* An export may be of any size, and what is given for one as well: no more than a few of its lines
 * are in memory, however long they are. */
struct lines {
    FILE *in;
    char *text; /* LINES_ROOM */
    size_t at, n;
};

/* With its end, when it has one; empty: no more. One that is too long comes in pieces. */
static struct span next_line(struct lines *l)
{
    for (;;) {
        const char *from = l->text + l->at;
        const char *end = memchr(from, '\n', l->n - l->at);
        size_t n = end ? (size_t)(end - from) + 1 : l->n - l->at;
        if (!end && n < LINES_ROOM) {
            memmove(l->text, from, n);
            l->at = 0;
            l->n = n + fread(l->text + n, 1, LINES_ROOM - n, l->in);
            if (l->n > n)
                continue;
            from = l->text;
        }
        l->at += n;
        return span_of(from, n);
    }
}

static int check_lines(const struct options *o, FILE *in, struct export_check *check)
{
    struct export_finding f;
    struct lines lines = {.in = in, .text = malloc(LINES_ROOM)};
    int r = lines.text ? 0 : SLUIS_ENOMEM, bad = 0;
    bool begun = false;
    while (r == 0 && bad == 0) {
        struct span line = next_line(&lines);
        if (line.n == 0)
            break;
        /* Changes of keys come first: they say who may have signed the earlier checkpoints. */
        for (unsigned i = 0; !begun && bad == 0 && i < o->checkpoint_count; i++) {
            if (span_starts(line, SPAN("{\"key_change\"")))
                break;
            bad = take_checkpoints(o, o->checkpoints[i], check);
        }
        begun = begun || !span_starts(line, SPAN("{\"key_change\""));
        /* A last line without its end is a byte that was taken away. */
        bool whole = line.p[line.n - 1] == '\n';
        if (bad == 0)
            r = export_check_line(check, span_sub(line, 0, whole ? line.n - 1 : 0), &f);
    }
    free(lines.text);
    if (bad)
        return bad;
    if (ferror(in)) {
        fprintf(stderr, "sluis-verify: %s: cannot be read\n", o->export);
        return VERIFY_USAGE;
    }
    return r == 0 ? 0 : r == SLUIS_ENOMEM ? no_memory() : tell_wrong(o, o->export, &f);
}

static int verify(const struct options *o)
{
    struct note_key key;
    struct export_check *check = NULL;
    struct export_report report;
    struct export_finding f;
    int r = take_key(o, &key);
    if (r != 0)
        return r;
    if (export_check_new(&key, &check) != 0)
        return no_memory();
    bool standard = strcmp(o->export, "-") == 0;
    FILE *in = r ? NULL : standard ? stdin : fopen(o->export, "rbe");
    if (r == 0 && !in) {
        fprintf(stderr, "sluis-verify: %s: %s\n", o->export, strerror(errno));
        r = VERIFY_USAGE;
    }
    if (r == 0)
        r = check_lines(o, in, check);
    if (r == 0)
        r = export_check_end(check, &report, &f) == 0 ? tell_holds(o, &key, &report)
                                                      : tell_wrong(o, o->export, &f);
    if (in && !standard)
        fclose(in);
    export_check_free(check);
    return r;
}

static bool option_is(const char *word, const char *name, const char *letter)
{
    return strcmp(word, name) == 0 || strcmp(word, letter) == 0;
}

int verify_main(int argc, char **argv)
{
    struct options o = {.json = false};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool value = option_is(word, "--key", "-k") || option_is(word, "--checkpoint", "-c");
        if (option_is(word, "--help", "-h")) {
            help(stdout);
            return VERIFY_HOLDS;
        }
        if (strcmp(word, "--version") == 0) {
            printf("sluis-verify " SLUIS_VERSION "\n");
            return VERIFY_HOLDS;
        }
        if (value && i + 1 == argc)
            return usage("an option needs a FILE");
        if (option_is(word, "--json", "-j"))
            o.json = true;
        else if (option_is(word, "--key", "-k") && !o.key)
            o.key = argv[++i];
        else if (option_is(word, "--checkpoint", "-c") && o.checkpoint_count < CHECKPOINTS_MAX)
            o.checkpoints[o.checkpoint_count++] = argv[++i];
        else if (value || (word[0] == '-' && word[1]))
            return usage("an option that is unknown, or given too often");
        else if (o.export)
            return usage("one export at a time");
        else
            o.export = word;
    }
    if (!o.export || !o.key)
        return usage("an export and --key are needed");
    if (sodium_init() < 0)
        return no_memory();
    return verify(&o);
}
