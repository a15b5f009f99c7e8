/* Private to sluis-media: the walls around a child that sees a picture. */
#ifndef SLUIS_WORKER_SANDBOX_H
#define SLUIS_WORKER_SANDBOX_H

#include "sluis/base/error.h"

/* ABI version of Landlock in this kernel, 0 when it has none. */
int sandbox_landlock_abi(void);
/* Zygote, once everything is loaded: no new privileges, no path of any file system can be opened,
 * made or executed, no TCP port bound or connected, no abstract socket or process outside reached.
 * 0, or SLUIS_ESYS. Nothing when the kernel has no Landlock. */
SLUIS_MUST_CHECK int sandbox_landlock(void);
/* Child: limits, lowest priority, then seccomp: what is not on the list kills the process. */
SLUIS_MUST_CHECK int sandbox_limits(void);
SLUIS_MUST_CHECK int sandbox_seccomp(void);
/* Builds and frees the filter: the zygote's proof that it can. */
SLUIS_MUST_CHECK int sandbox_seccomp_try(void);

#endif
