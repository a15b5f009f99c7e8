/*
 * sluis-sim: plays Meta's Cloud API and a webcare tool over real TLS and HTTP, sends scripted
 * conversations, generates load, and checks that nothing was lost. For tests and demonstration.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

static const struct command *const commands[] = {&command_serve, &command_send, &command_load,
                                                 &command_check, &command_sign};
#define COMMANDS (sizeof commands / sizeof *commands)

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: sluis-sim COMMAND [OPTION…]\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *text = commands[i]->help;
        fprintf(to, "  %-6s %.*s\n", commands[i]->name, (int)strcspn(text, "\n"), text);
    }
    fprintf(to, "\nsluis-sim COMMAND --help tells more. Exit: 0 done, 1 failed, 2 usage.\n");
    return code;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return usage(stderr, EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return usage(stdout, 0);
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "sluis-sim: unknown command %s\n", argv[1]);
    return usage(stderr, EXIT_USAGE);
}
