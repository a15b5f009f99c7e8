/* The parser of command lines and the help; the commands themselves are commands.c. */
#include "commands.h"

#include "sluis/cli.h"

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

static void print_command(FILE *out, const struct cli_command *c)
{
    fprintf(out, "usage: sluis %s%s%s [options]\n\n%s\n", c->name, c->usage[0] ? " " : "", c->usage,
            c->help);
    if (c->options[0].name)
        fprintf(out, "\noptions\n");
    const struct cli_option *o;
    for (unsigned i = 0; (o = option_at(c, i)); i++) {
        char left[64];
        snprintf(left, sizeof(left), "-%c, %s%s%s", o->letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-24s %s\n", left, o->help);
    }
    fprintf(out, "\nexample\n  %s\n", c->example);
}

static void print_all(FILE *out)
{
    fprintf(out, "Sluis " SLUIS_VERSION ", privacy gateway for the WhatsApp Business Cloud API\n\n"
                 "usage: sluis COMMAND [options]      sluis COMMAND --help\n\n");
    for (size_t i = 0; i < PERMISSION_COMMAND_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s %s", cli_commands[i].name, cli_commands[i].usage);
        fprintf(out, "  %-28s %s\n", left, cli_commands[i].help);
    }
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
            printf("option\t-%c, %s%s%s\t%s\n", o->letter, o->name, o->value ? " " : "",
                   o->value ? o->value : "", o->help);
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

static int parse(struct cli_call *call, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (call->word_count == CLI_WORDS_MAX)
                return cli_usage(call, "too many words");
            call->words[call->word_count++] = argv[i];
            continue;
        }
        const char *value;
        const struct cli_option *o = find_option(call->command, argv[i], &value);
        if (!o)
            return cli_usage(call, "unknown option %s", argv[i]);
        if (!o->repeated && cli_has(call, o->name))
            return cli_usage(call, "%s is given twice", o->name);
        if (o->value && !value && i + 1 == argc)
            return cli_usage(call, "%s needs a %s", o->name, o->value);
        if (call->given_count == sizeof(call->given) / sizeof(call->given[0]))
            return cli_usage(call, "too many options");
        call->given[call->given_count].option = o;
        call->given[call->given_count++].value = !o->value ? NULL : value ? value : argv[++i];
    }
    return CLI_DONE;
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
        char left[64];
        snprintf(left, sizeof(left), "%s %s", cli_commands[i].name, cli_commands[i].usage);
        fprintf(asked ? stdout : stderr, "  %-28s %s\n", left, cli_commands[i].help);
    }
    return any;
}

static int unknown(int argc, char **argv)
{
    for (size_t i = 0; later[i]; i++) {
        if (name_words(later[i], argc, argv)) {
            fprintf(stderr, "sluis %s: not available in this version\n", later[i]);
            return CLI_USAGE;
        }
    }
    if (print_group(argv[0], argc > 1 && is_help(argv[1])))
        return argc > 1 && is_help(argv[1]) ? CLI_DONE : CLI_USAGE;
    fprintf(stderr, "sluis: unknown command %s\nsee: sluis --help\n", argv[0]);
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
