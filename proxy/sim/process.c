#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t process_cpu_us(long pid)
{
    char path[300];
    uint64_t total = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));) {
        unsigned long long ns;
        if (e->d_name[0] == '.')
            continue;
        /* Nanoseconds on the CPU; /proc/PID/stat counts in ticks of 10 ms. */
        snprintf(path, sizeof path, "/proc/%ld/task/%.20s/schedstat", pid, e->d_name);
        FILE *f = fopen(path, "re");
        if (f && fscanf(f, "%llu", &ns) == 1)
            total += ns / 1000;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return total;
}

static uint64_t status_field(long pid, const char *name)
{
    char path[64], line[256];
    uint64_t value = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return value;
}

uint64_t process_rss_kib(long pid)
{
    return status_field(pid, "VmRSS:");
}

uint64_t process_own_kib(long pid)
{
    return status_field(pid, "RssAnon:");
}

uint64_t process_peak_kib(long pid)
{
    return status_field(pid, "VmHWM:");
}
