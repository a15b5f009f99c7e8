/* Lint: every key of the tables is described in proxy/man/sluis.yaml.5.md, and no other. */
#include "config_room.h"

#include "manual.h"

int main(void)
{
    char *manual = manual_read(SLUIS_SOURCE_DIR "/proxy/man/sluis.yaml.5.md");
    int wrong = 0;
    if (!manual)
        fprintf(stderr, "proxy/man/sluis.yaml.5.md cannot be read\n");
    for (size_t i = 0; i < CONFIG_KEYS_TABLES; i++)
        wrong += manual_check(manual ? manual : "", config_tables[i].heading, config_tables[i].keys,
                              config_tables[i].n);
    free(manual);
    return !manual || wrong ? 1 : 0;
}
