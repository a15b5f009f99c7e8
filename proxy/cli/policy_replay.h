/* `sluis policy diff --replay`, by the gateway. */
#ifndef SLUIS_CLI_POLICY_REPLAY_H
#define SLUIS_CLI_POLICY_REPLAY_H

struct cli_call;
/* Both files are sent; prints what differs and how often. CLI_DONE, CLI_FAILED, CLI_USAGE. */
int policy_replay(const struct cli_call *call, const char *old, const char *next);

#endif
