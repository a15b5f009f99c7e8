/* The parser of command lines and the help; the commands themselves are commands.c. */
#include "commands.h"

#include "sluis/cli.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Commands of the contract that come with later versions: named, so that nobody thinks of a typing
 * error. */
static const char *const later[] = {
    NULL, /* none: the last row ends the list */
};

/* The i-th option of a command, NULL after the last: its own, and --as for whatever the gateway
 * decides, so that each such command can be given, and stands on record, by a person's name. */
static const struct cli_option *option_at(const struct cli_command *c, unsigned i)
{
#define X(name, where) PERMISSION_##where,
    static const uint8_t decides[] = {PERMISSION_COMMANDS(X)};
#undef X
    static const struct cli_option as = CLI_OPTION_AS;
    unsigned own = 0;
    bool has = decides[c - cli_commands] == PERMISSION_LOCAL;
    for (; own < CLI_OPTIONS_MAX && c->options[own].name; own++)
        has = has || strcmp(c->options[own].name, as.name) == 0;
    return i < own ? &c->options[i] : i == own && !has ? &as : NULL;
}

#define WIDTH 100        /* columns of a line of help, at most */
#define OPTION_COLUMN 24 /* of what an option takes; more where a command's options are longer */
#define COMMAND_COLUMN 28

/* Two columns: `left`, then `text` broken at its spaces under each other. */
static void print_row(FILE *out, const char *left, size_t column, const char *text)
{
    size_t at = 2 + column + 1, here = at;
    fprintf(out, "  %-*s", (int)column, left);
    while (*text) {
        size_t n = strcspn(text, " ");
        if (here > at && here + 1 + n > WIDTH) {
            fprintf(out, "\n%*s", (int)at - 1, "");
            here = at;
        }
        here += n + (here > at);
        fprintf(out, " %.*s", (int)n, text);
        text += n + strspn(text + n, " ");
    }
    fputc('\n', out);
}

static void print_line_of(FILE *out, const struct cli_command *c)
{
    char left[64];
    snprintf(left, sizeof(left), "%s %s", c->name, c->usage);
    print_row(out, left, COMMAND_COLUMN, c->help);
}

static size_t option_text(char out[64], const struct cli_option *o)
{
    int n = snprintf(out, 64, "-%c, %s%s%s", o->letter, o->name, o->value ? " " : "",
                     o->value ? o->value : "");
    return n < 0 ? 0 : (size_t)n;
}

static void print_command(FILE *out, const struct cli_command *c)
{
    fprintf(out, "usage: sluis %s%s%s [options]\n\n%s\n", c->name, c->usage[0] ? " " : "", c->usage,
            c->help);
    if (c->options[0].name)
        fprintf(out, "\noptions\n");
    const struct cli_option *o;
    char left[64];
    size_t column = OPTION_COLUMN;
    for (unsigned i = 0; (o = option_at(c, i)); i++)
        if (option_text(left, o) > column)
            column = option_text(left, o);
    for (unsigned i = 0; (o = option_at(c, i)); i++) {
        option_text(left, o);
        print_row(out, left, column, o->help);
    }
    fprintf(out, "\nexample\n  %s\n", c->example);
}

static void print_all(FILE *out)
{
    fprintf(out, "Sluis " SLUIS_VERSION ", privacy gateway for the WhatsApp Business Cloud API\n\n"
                 "usage: sluis COMMAND [options]      sluis COMMAND --help\n\n");
    for (size_t i = 0; i < PERMISSION_COMMAND_COUNT; i++)
        print_line_of(out, &cli_commands[i]);
    fprintf(out, "\nexit codes: 0 done, 1 refused or failed, 2 usage, 3 restored with keys that "
                 "open too much\n");
}

/* For the test of the manual: a line per command and per option. Not in the help. */
static void print_table(void)
{
    for (size_t i = 0; i < PERMISSION_COMMAND_COUNT; i++) {
        const struct cli_command *c = &cli_commands[i];
        printf("command\tsluis %s%s%s\t%s\n", c->name, c->usage[0] ? " " : "", c->usage, c->help);
        const struct cli_option *o;
        for (unsigned k = 0; (o = option_at(c, k)); k++) {
            char left[64];
            option_text(left, o);
            printf("option\t%s\t%s\n", left, o->help);
        }
    }
    for (size_t i = 0; later[i]; i++)
        printf("later\tsluis %s\n", later[i]);
}

const char *cli_value(const struct cli_call *call, const char *name, unsigned nth)
{
    for (unsigned i = 0; i < call->given_count; i++)
        if (strcmp(call->given[i].option->name, name) == 0 && nth-- == 0)
            return call->given[i].value ? call->given[i].value : "";
    return NULL;
}

bool cli_has(const struct cli_call *call, const char *name)
{
    return cli_value(call, name, 0) != NULL;
}

int cli_usage(const struct cli_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sluis %s: ", call->command->name);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsee: sluis %s --help\n", call->command->name);
    return CLI_USAGE;
}

int cli_id(const struct cli_call *call, const char *list, uint64_t *id)
{
    const char *usage = call->command->usage;
    if (call->word_count != 1)
        return cli_usage(call, "%s is needed: a number that `sluis %s` shows", usage, list);
    if (span_u64(span_str(call->words[0]), id) != 0)
        return cli_usage(call, "%s %s: a number that `sluis %s` shows", usage, call->words[0],
                         list);
    return CLI_DONE;
}

/* "--name=value" gives *value. */
static const struct cli_option *find_option(const struct cli_command *c, const char *text,
                                            const char **value)
{
    *value = NULL;
    const struct cli_option *o;
    for (unsigned i = 0; (o = option_at(c, i)); i++) {
        size_t n = strlen(o->name);
        if (strncmp(text, o->name, n) == 0 && text[n] == '=' && o->value) {
            *value = text + n + 1;
            return o;
        }
        if (strcmp(text, o->name) == 0 ||
            (text[0] == '-' && text[1] == o->letter && o->letter && !text[2]))
            return o;
    }
    return NULL;
}

/* How far the word that was typed is from one that is known: letters put in, left out or changed
 * (Levenshtein's distance, a row of its table at a time). */
static unsigned distance(struct span typed, struct span known)
{
    enum { LONGEST = 32 }; /* no name of a command or an option is longer */
    unsigned row[LONGEST + 1];
    if (typed.n > LONGEST || known.n > LONGEST)
        return LONGEST;
    for (unsigned k = 0; k <= known.n; k++)
        row[k] = k;
    for (unsigned t = 1; t <= typed.n; t++) {
        unsigned diagonal = row[0];
        row[0] = t;
        for (unsigned k = 1; k <= known.n; k++) {
            unsigned changed = diagonal + (typed.p[t - 1] != known.p[k - 1]);
            unsigned other = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
            diagonal = row[k];
            row[k] = changed < other ? changed : other;
        }
    }
    return row[known.n];
}

/* Near enough to be meant: two letters off, of a short word one, and nearer than the last. */
static bool is_nearer(struct span typed, struct span known, unsigned *nearest)
{
    unsigned d = distance(typed, known);
    if (d > (known.n > 3 ? 2 : 1) || d >= *nearest)
        return false;
    *nearest = d;
    return true;
}

static int unknown_option(const struct cli_call *call, const char *text)
{
    struct span typed = span_sub(span_str(text), 0, strcspn(text, "="));
    const struct cli_option *o, *meant = NULL;
    unsigned nearest = UINT_MAX;
    for (unsigned i = 0; (o = option_at(call->command, i)); i++)
        if (is_nearer(typed, span_str(o->name), &nearest))
            meant = o;
    if (meant && nearest == 0 && typed.n < strlen(text))
        return cli_usage(call, "%s takes no value", meant->name);
    if (meant)
        return cli_usage(call, "unknown option %.*s: did you mean %s?", (int)typed.n, typed.p,
                         meant->name);
    return cli_usage(call, "unknown option %.*s", (int)typed.n, typed.p);
}

/* The row says how many words a command takes. One too many is named, unless it may be a person's
 * number. */
static int check_words(const struct cli_call *call)
{
    const char *usage = call->command->usage;
    unsigned most = usage[0] != '\0';
    for (const char *p = usage; *p; p++)
        most += *p == ' ';
    if (call->word_count <= most || strstr(usage, "..."))
        return CLI_DONE;
    const char *extra = call->words[most];
    if (strstr(usage, "IDENTIFIER") || strstr(usage, "CONTACT"))
        return cli_usage(call, "one person at the most; a phone number has no spaces");
    if (extra[0] == '+' || strspn(extra, "0123456789") == strlen(extra))
        return cli_usage(call, "a number too many%s%s", most ? " after " : "", usage);
    return cli_usage(call, "unexpected word %s", extra);
}

static int parse(struct cli_call *call, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *value, *ignored;
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (call->word_count == CLI_WORDS_MAX)
                return cli_usage(call, "too many words");
            call->words[call->word_count++] = argv[i];
            continue;
        }
        const struct cli_option *o = find_option(call->command, argv[i], &value);
        if (!o)
            return unknown_option(call, argv[i]);
        if (!o->repeated && cli_has(call, o->name))
            return cli_usage(call, "%s is given twice", o->name);
        if (o->value && !value &&
            (i + 1 == argc || find_option(call->command, argv[i + 1], &ignored)))
            return cli_usage(call, "%s needs a value: %s", o->name, o->value);
        if (call->given_count == sizeof(call->given) / sizeof(call->given[0]))
            return cli_usage(call, "too many options");
        call->given[call->given_count].option = o;
        call->given[call->given_count++].value = !o->value ? NULL : value ? value : argv[++i];
    }
    return check_words(call);
}

/* How many of the words are this command's name; 0 when it is another. */
static int name_words(const char *name, int argc, char **argv)
{
    struct span rest = span_str(name);
    int n = 0;
    while (rest.n) {
        size_t end = span_find(rest, ' ');
        if (n == argc || !span_is(span_sub(rest, 0, end), argv[n]))
            return 0;
        rest = span_from(rest, end + 1);
        n++;
    }
    return n;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* "sluis token": the commands whose first word that is. True when there are any. */
static bool print_group(const char *word, bool asked)
{
    bool any = false;
    size_t n = strlen(word);
    for (size_t i = 0; i < PERMISSION_COMMAND_COUNT; i++) {
        if (strncmp(cli_commands[i].name, word, n) != 0 || cli_commands[i].name[n] != ' ')
            continue;
        if (!any && !asked)
            fprintf(stderr, "sluis %s: which of these?\n", word);
        any = true;
        print_line_of(asked ? stdout : stderr, &cli_commands[i]);
    }
    return any;
}

/* The word of a command that is nearest to what was typed for it: the first word of all, or, after
 * `group`, the second of those. *out is empty when none is near. */
static void nearest_word(const char *group, const char *typed, struct span *out)
{
    unsigned nearest = UINT_MAX;
    *out = SPAN_EMPTY;
    for (size_t i = 0; i < PERMISSION_COMMAND_COUNT; i++) {
        struct span name = span_str(cli_commands[i].name), known;
        size_t space = span_find(name, ' ');
        if (group && (space == name.n || !span_is(span_sub(name, 0, space), group)))
            continue;
        known = group ? span_from(name, space + 1) : span_sub(name, 0, space);
        if (is_nearer(span_str(typed), known, &nearest))
            *out = known;
    }
}

static int unknown(int argc, char **argv)
{
    struct span meant;
    for (size_t i = 0; later[i]; i++) {
        if (name_words(later[i], argc, argv)) {
            fprintf(stderr, "sluis %s: not available in this version\n", later[i]);
            return CLI_USAGE;
        }
    }
    bool asked = argc > 1 && is_help(argv[1]);
    if (print_group(argv[0], asked)) {
        if (asked)
            return CLI_DONE;
        if (argc > 1 && argv[1][0] != '+') { /* what may be a person's number is not repeated */
            nearest_word(argv[0], argv[1], &meant);
            fprintf(stderr, "unknown: sluis %s %s", argv[0], argv[1]);
            if (meant.n)
                fprintf(stderr, "; did you mean sluis %s %.*s?", argv[0], (int)meant.n, meant.p);
            fputc('\n', stderr);
        }
        return CLI_USAGE;
    }
    nearest_word(NULL, argv[0], &meant);
    fprintf(stderr, "sluis: unknown command %s", argv[0]);
    if (meant.n)
        fprintf(stderr, ": did you mean %.*s?", (int)meant.n, meant.p);
    fprintf(stderr, "\nsee: sluis --help\n");
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_all(stderr);
        return CLI_USAGE;
    }
    if (is_help(argv[1])) {
        print_all(stdout);
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("sluis " SLUIS_VERSION "\n");
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--commands") == 0) {
        print_table();
        return CLI_DONE;
    }
#ifdef SLUIS_HAS_SCAN
    if (strcmp(argv[1], "scan") == 0)
        return cmd_scan(argc - 1, argv + 1);
#endif
    for (size_t i = 0; i < PERMISSION_COMMAND_COUNT; i++) {
        int n = name_words(cli_commands[i].name, argc - 1, argv + 1);
        if (!n)
            continue;
        for (int k = 1 + n; k < argc; k++) {
            if (is_help(argv[k])) {
                print_command(stdout, &cli_commands[i]);
                return CLI_DONE;
            }
        }
        char session[CLI_SESSION_SIZE] = "";
        struct cli_call call = {.command = &cli_commands[i], .session = session};
        int r = parse(&call, argc - 1 - n, argv + 1 + n);
        if (r == 0) {
            r = cli_commands[i].run(&call);
            control_sign_out(&call);
        }
        return r;
    }
    return unknown(argc - 1, argv + 1);
}
