/* The history room's own shapes. */
#ifndef SLUIS_HISTORY_ROOM_H
#define SLUIS_HISTORY_ROOM_H

#include "sluis/history.h"

struct history {
    struct history_deps deps;
};
void problem(struct history_request *q, unsigned status, const char *code, const char *detail);

#endif
