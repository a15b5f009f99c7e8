/*
 * A process that ends at the n-th step to disk: as after kill -9, what it wrote before stands, and
 * nothing after. A step is a sync, a write to a descriptor that syncs, a renaming, a removal, a
 * folder; with `every` each write and each file that is made as well.
 *
 * Not a loss of power: that is enumerated for the store in tests/unit/store/test_store_crash.c, and
 * for the keyring by its own steps (tests/unit/keyring/test_files.c).
 */
#ifndef SLUIS_TEST_CRASH_POINTS_H
#define SLUIS_TEST_CRASH_POINTS_H

#include <stdbool.h>

#define CRASH_EXIT 99 /* the status of a process that ended at its step */

/* From now on steps count; ends before the step number `at` (from 1) is taken; 0: never. */
void crash_arm(unsigned at, bool every);
/* Steps counted since crash_arm; stops counting. */
unsigned crash_disarm(void);

#endif
