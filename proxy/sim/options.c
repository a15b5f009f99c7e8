#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void help(const struct command *c, const struct option_row *rows, size_t count)
{
    printf("usage: sluis-sim %s [OPTION…] %s\n\n%s\n", c->name, c->arguments, c->help);
    for (size_t i = 0; i < count; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", rows[i].name, rows[i].value ? rows[i].value : "");
        printf("  %-24s %s", left, rows[i].help);
        if (rows[i].number)
            printf(" (%g)", *rows[i].number);
        else if (rows[i].text && *rows[i].text)
            printf(" (%s)", *rows[i].text);
        printf("\n");
    }
}

int options_parse(const struct command *command, const struct option_row *rows, size_t count,
                  int argc, char **argv)
{
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && argv[at][1] == '-'; at++) {
        const struct option_row *row = NULL;
        if (strcmp(argv[at], "--help") == 0) {
            help(command, rows, count);
            return 0;
        }
        for (size_t i = 0; i < count; i++)
            if (strcmp(argv[at], rows[i].name) == 0)
                row = &rows[i];
        if (!row || (row->value && at + 1 >= argc)) {
            fprintf(stderr, "sluis-sim %s: %s %s (--help shows all)\n", command->name, argv[at],
                    row ? "needs a value" : "is unknown");
            return -1;
        }
        if (row->flag) {
            *row->flag = true;
            continue;
        }
        at++;
        if (row->text) {
            *row->text = argv[at];
            continue;
        }
        char *end;
        *row->number = strtod(argv[at], &end);
        if (*end || end == argv[at] || *row->number < 0) {
            fprintf(stderr, "sluis-sim %s: %s takes a number\n", command->name, row->name);
            return -1;
        }
    }
    return at;
}
