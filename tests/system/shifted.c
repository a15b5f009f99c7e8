/*
 * `sluis` on a clock that a test moves: for tests only, never installed. SLUIS_TEST_SHIFT_S: so
 * many seconds on; or back, and then the calendar's clock alone: the monotonic one would stand
 * before the machine's start, where no clock ever stands. SLUIS_TEST_LEAP: when that file is there,
 * so many seconds more as it says, once, while it runs.
 */
#include "sluis/base/clock.h"
#include "sluis/cli.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int64_t __real_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void);

static int64_t back_ms; /* set before the first thread */

int64_t __wrap_clock_wall_ms(void)
{
    return __real_clock_wall_ms() + back_ms;
}

static void *watch(void *path)
{
    char line[32] = {0};
    FILE *f = NULL;
    while (!f || !fgets(line, sizeof(line), f)) {
        if (f)
            fclose(f);
        usleep(20000);
        f = fopen(path, "re");
    }
    fclose(f);
    clock_test_shift(strtoll(line, NULL, 10) * 1000);
    return NULL;
}

int main(int argc, char **argv)
{
    const char *shift = getenv("SLUIS_TEST_SHIFT_S");
    char *leap = getenv("SLUIS_TEST_LEAP");
    pthread_t thread;
    int64_t ms = shift ? strtoll(shift, NULL, 10) * 1000 : 0;
    if (ms < 0)
        back_ms = ms;
    else
        clock_test_shift(ms);
    if (leap && pthread_create(&thread, NULL, watch, leap) == 0)
        pthread_detach(thread);
    return cli_main(argc, argv);
}
