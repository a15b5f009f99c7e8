/* Runs a program under a filter of system calls as systemd makes it: what is not on the list kills.
 * Usage: filtered LIST PROGRAM ARGUMENT...; LIST: a file with a name a line. */
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[128];
    FILE *list = argc > 2 ? fopen(argv[1], "r") : NULL;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!list || !filter)
        return 2;
    while (fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = '\0';
        int number = seccomp_syscall_resolve_name(line);
        if (number != __NR_SCMP_ERROR)
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    fclose(list);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || seccomp_load(filter) != 0)
        return 2;
    execv(argv[2], argv + 2);
    return 2;
}
