/* What another process has used, from /proc. */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#include <stdint.h>

/* CPU of all its threads in microseconds; 0 when it is not there. */
uint64_t process_cpu_us(long pid);
/* Resident memory now, and the most there was, in KiB. */
uint64_t process_rss_kib(long pid);
uint64_t process_peak_kib(long pid);

#endif
