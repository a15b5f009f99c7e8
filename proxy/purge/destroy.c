/* Destroying keys, and telling the store at once, so that a keyring from before is known as such.
 */
#include "room.h"

#include "sluis/base/log.h"

/* The keys are gone already: what fails here is made good at the next destruction or start. */
static void bind(struct purge *p)
{
    struct diag diag = {.text = ""};
    int r = keyring_bind(p->deps.keyring, p->deps.store, false, &diag);
    if (r != 0)
        LOG(LOG_ALARM, "purge", "not_bound", log_error(r), log_word("reason", diag.text));
}

int destroy_dead(struct purge *p, const uint8_t *living, size_t bytes, uint32_t below)
{
    int r = keyring_prune(p->deps.keyring, KEYRING_MESSAGE, living, bytes, below);
    if (r == 0)
        bind(p);
    return r;
}

int destroy_leaves(struct purge *p, const struct keyring_leaf *leaves, size_t n)
{
    int r = keyring_puncture(p->deps.keyring, leaves, n);
    if (r != 0)
        return r;
    bind(p);
    /* what hangs under them, media in files above all, need not wait for the next minute */
    if (atomic_load(&p->serving) && !pthread_equal(pthread_self(), p->thread))
        wake_round(p);
    return 0;
}
