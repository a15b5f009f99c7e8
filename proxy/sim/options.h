/* Command-line options as one table per subcommand: parsing, help and defaults from the same rows.
 */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct option_row {
    const char *name;  /* "--url" */
    const char *value; /* what it takes, for help; NULL: a switch */
    const char *help;
    const char **text; /* one of these is set */
    double *number;
    bool *flag;
};
struct command {
    const char *name;
    const char *arguments; /* after the options, for help */
    const char *help;
    int (*run)(int argc, char **argv);
};

/* Parses argv[1..]. Returns the index of the first argument that is no option, -1 on a usage error
 * (printed), or 0 when --help was printed. */
int options_parse(const struct command *command, const struct option_row *rows, size_t count,
                  int argc, char **argv);

extern const struct command command_serve, command_send, command_load, command_check, command_sign;

#define EXIT_USAGE 2

#endif
