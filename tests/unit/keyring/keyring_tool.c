/* For raw_disk.py: keyring_tool RING ROOT SERIAL... makes the keyring, or destroys message leaves.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sluis/keyring.h"

int main(int argc, char **argv)
{
    struct keyring *keyring;
    struct diag diag = {0};
    if (argc < 3)
        return 2;
    const struct keyring_config config = {.path = argv[1], .root_file = argv[2], .make = argc == 3};
    if (keyring_open(&config, &keyring, &diag) != 0) {
        fprintf(stderr, "%s\n", diag.text);
        return 1;
    }
    int result = 0;
    for (int i = 3; i < argc && !result; i++) {
        const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE,
                                          .leaf = (uint32_t)strtoul(argv[i], NULL, 10)};
        result = keyring_puncture(keyring, &leaf, 1);
    }
    keyring_close(keyring);
    return result ? 1 : 0;
}
