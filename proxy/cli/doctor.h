/* What `sluis doctor` found, a line or an object each. The room's own. */
#ifndef SLUIS_CLI_DOCTOR_H
#define SLUIS_CLI_DOCTOR_H

#include "internal.h"

#define DOCTOR_TEXT 1536

enum doctor_level { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAULT, DOCTOR_LEVELS };
struct doctor_report {
    bool json;
    bool running;      /* the gateway answers: its ports are its own */
    struct buffer out; /* with json: the objects, a comma between */
    unsigned counts[DOCTOR_LEVELS];
};
void doctor_find(struct doctor_report *report, enum doctor_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Configuration, certificates, folders, disk; ports when it does not run. */
void doctor_here(struct doctor_report *report, const char *config_file);

#endif
