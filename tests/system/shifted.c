/* `sluis` on a clock that SLUIS_TEST_SHIFT_S moves: for tests only, never installed. */
#include "sluis/base/clock.h"
#include "sluis/cli.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *shift = getenv("SLUIS_TEST_SHIFT_S");
    if (shift)
        clock_test_shift(strtoll(shift, NULL, 10) * 1000);
    return cli_main(argc, argv);
}
