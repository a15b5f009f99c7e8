/* What another process has used, from /proc. */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#include <stdint.h>

/* CPU of all its threads in microseconds; 0 when it is not there. */
uint64_t process_cpu_us(long pid);
/* Resident memory in KiB: now, of its own (without pages of mapped files, which the kernel takes
 * back when it needs them), and the most there was. */
uint64_t process_rss_kib(long pid);
uint64_t process_own_kib(long pid);
uint64_t process_peak_kib(long pid);

#endif
