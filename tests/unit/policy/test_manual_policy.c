/* Lint: every key of the tables is described in proxy/man/sluis-policy.5.md, and no other. */
#include "policy_room.h"

#include "manual.h"

int main(void)
{
    char *manual = manual_read(SLUIS_SOURCE_DIR "/proxy/man/sluis-policy.5.md");
    int wrong = 0;
    if (!manual)
        fprintf(stderr, "proxy/man/sluis-policy.5.md cannot be read\n");
    for (size_t i = 0; i < POLICY_KEYS_TABLES; i++)
        wrong += manual_check(manual ? manual : "", policy_tables[i].heading, policy_tables[i].keys,
                              policy_tables[i].n);
    free(manual);
    return !manual || wrong ? 1 : 0;
}
