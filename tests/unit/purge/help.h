/* A store, a keyring and a purge over them, with messages whose content is known. */
#ifndef SLUIS_TEST_PURGE_HELP_H
#define SLUIS_TEST_PURGE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sluis/policy.h"
#include "sluis/purge.h"
#include "sluis/retention.h"
#include "sluis/subject.h"

#ifndef HOUR_MS /* the room's own, for tests that look inside */
#define HOUR_MS 3600000ll
#endif
#define CHANNEL 1

struct world {
    char folder[256], keys[256], root[256];
    struct store *store;
    struct keyring *keyring;
    struct keyring_cache *cache, *writer, *readers;
    struct policy *policy;
    struct purge *purge;
    uint64_t consenting; /* subject that opted in; 0 nobody */
    uint64_t forgotten;  /* the last subject */
    unsigned forgets, media_passes;
    uint64_t media_leaf; /* a file hangs under this message leaf; 0 none */
    uint64_t notes_leaf; /* a note likewise */
    uint64_t kept;       /* message whose media were last moved, */
    struct record_id kept_to;
    unsigned keeps; /* times, */
    int keep_fault; /* or why not */
    uint8_t flags;       /* of the messages that are put (enum store_item_flags) */
    int64_t shift_ms;    /* to be taken back */
    const char *from;    /* who the messages are from, in their text; NULL: the same for all */
    size_t preallocate;
    bool may_be_full, full;                   /* messages_put may find no room; it did */
    size_t map_size;                          /* of the store; 0: the tests' */
    bool (*settled)(void *ctx, uint32_t key); /* for the purge, from its next opening on */
    unsigned told;                            /* what route 1 wants to be told (PURGE_TELL_*) */
    unsigned offers;                          /* items offered */
    uint16_t routes;                          /* of messages put: 1 .. routes */
    int (*keyring_fault)(void *ctx, unsigned step); /* from the next restart on */
    int (*store_fault)(void *ctx);
    void *fault_ctx;
};

/* originals 2h (a maximum), history 4h as a minimum ("selection"), pan never. */
void world_open(struct world *w);
/* Without a selection list: the history is a maximum as well. */
void world_open_with(struct world *w, bool selection);
void world_open_sized(struct world *w, size_t map_size); /* likewise, for benchmarks */
/* A world in folders whose names begin with `at`, made or as it was left. Not removed at the end.
 */
void world_open_at(struct world *w, const char *at, bool selection);
void world_leave(struct world *w); /* closed, the folders stay */
void world_close(struct world *w);
/* Store, keyring and purge closed and opened again: a restart. */
void world_restart(struct world *w);
/* The store's folder of before (FOLDER-old) takes the place of the store; a restart. */
void world_put_back(struct world *w);
void world_purge_open(struct world *w); /* after purge_free, without a restart */
/* Another policy is in force from now on: terms as in "2h" or "never", originals and history. */
void world_policy(struct world *w, const char *originals, const char *history);
void world_shift(struct world *w, int64_t ms);

struct message {
    struct store_item item;
    struct record_id o, m;
    char text[64];
};
/* Stores a message of the subject with both parts, and its identifier when it is not empty. */
void message_put(struct world *w, uint64_t subject, const char *identifier, int64_t at_ms,
                 struct message *out);
/* Many in one commit. */
struct to_put {
    uint64_t subject;
    const char *from; /* its identifier, in the text; written to the index too when `first` */
    bool first;
    int64_t at_ms;
};
void messages_put(struct world *w, const struct to_put *list, unsigned n, struct message *out);
/* What opening a part gives: 0, SLUIS_ENOENT (no row), SLUIS_EEXPIRED (row without a key). */
int message_open(struct world *w, const struct record_id *id);
bool identifier_known(struct world *w, const char *identifier, uint64_t *subject);
int run_purge(struct world *w, bool dry_run, char out[4096]);

#endif
