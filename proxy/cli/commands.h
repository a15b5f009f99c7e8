/* The table of commands (commands.c), for the parser and the help of cli.c. */
#ifndef SLUIS_CLI_COMMANDS_H
#define SLUIS_CLI_COMMANDS_H

#include "internal.h"

#include "sluis/access/table.h"

/* For whatever the gateway decides, whether its row says so or not (option_at in cli.c). */
#define CLI_OPTION_AS                                                                              \
    {                                                                                              \
        "--as", 'A', "NAME", false, "as this person: asks password and code on standard input"     \
    }

/* In the order of PERMISSION_COMMANDS: row i of the one is row i of the other. */
extern const struct cli_command cli_commands[PERMISSION_COMMAND_COUNT];

#endif
