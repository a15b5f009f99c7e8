/*
 * `sluis-verify`: checks an export of the access log offline, against the log's verifier key and
 * checkpoints that the auditor kept. Exit codes: 0 it holds, 1 it does not, 2 usage or a file that
 * cannot be read.
 */
#ifndef SLUIS_VERIFY_H
#define SLUIS_VERIFY_H

int verify_main(int argc, char **argv);

#endif
