/* The snapshot in force. A mutex is held for a few instructions: taking a reference must not race
 * with the swap that drops the last one. */
#include "config_room.h"

#include <pthread.h>
#include <stdlib.h>

struct config_cell {
    pthread_mutex_t mutex;
    struct config *current;
};

int config_cell_new(struct config *first, struct config_cell **out)
{
    struct config_cell *cell = calloc(1, sizeof(*cell));
    if (!cell)
        return SLUIS_ENOMEM;
    if (pthread_mutex_init(&cell->mutex, NULL) != 0) {
        free(cell);
        return SLUIS_ESYS;
    }
    cell->current = first;
    *out = cell;
    return 0;
}

void config_cell_free(struct config_cell *cell)
{
    if (!cell)
        return;
    config_unref(cell->current);
    pthread_mutex_destroy(&cell->mutex);
    free(cell);
}

struct config *config_acquire(struct config_cell *cell)
{
    pthread_mutex_lock(&cell->mutex);
    struct config *config = config_ref(cell->current);
    pthread_mutex_unlock(&cell->mutex);
    return config;
}

void config_swap(struct config_cell *cell, struct config *next)
{
    pthread_mutex_lock(&cell->mutex);
    struct config *old = cell->current;
    cell->current = next;
    pthread_mutex_unlock(&cell->mutex);
    config_unref(old); /* outside: freeing a snapshot takes long */
}
