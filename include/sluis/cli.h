/* The command line: `sluis COMMAND ...`. Exit codes: 0 done, 1 refused or failed, 2 usage. */
#ifndef SLUIS_CLI_H
#define SLUIS_CLI_H

int cli_main(int argc, char **argv);

#endif
