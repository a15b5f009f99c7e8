/*
 * The real intake and delivery in one process: store, keyring, policy, webhook face on real
 * sockets, deliver, and tools that behave as a test says. What a scenario shares.
 */
#ifndef SLUIS_TEST_WORLD_H
#define SLUIS_TEST_WORLD_H

#include "sluis/deliver.h"
#include "sluis/webhook.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORLD_LOOPS_MAX 4
#define WORLD_TOOLS_MAX 3
#define WORLD_APP_SECRET "app-secret-of-the-world"
#define WORLD_NUMBER "106540352242922"

struct got { /* one POST that a tool answered */
    char *body;
    size_t n;
    char id[40];
    unsigned attempt;
    int status;
};
struct tool {
    struct loop *loop;
    struct server *server;
    pthread_mutex_t lock;
    struct got *got;
    unsigned count, cap;
    /* The status to answer with; 0: reset, -1: never. On the tool's thread; NULL: 200. */
    int (*decide)(struct tool *tool, const struct got *got, void *ctx);
    void *ctx;
    const char *field, *value; /* sent with every answer, or NULL */
};

struct world {
    char top[64];
    const char *policy;      /* text of the policy, or NULL: the plain one */
    const char *route_extra; /* ", keep_trying: 1min" ..., for every route */
    const char *channel_extra;
    unsigned routes, loop_count;
    struct store *store;
    struct keyring *keyring;
    struct config_cell *cell;
    struct loop *loops[WORLD_LOOPS_MAX];
    struct subject_resolver *subjects[WORLD_LOOPS_MAX];
    struct server *servers[WORLD_LOOPS_MAX];
    struct deliver *deliver;
    struct webhook *webhook;
    uint64_t deliver_memory;
    size_t map_size; /* of the store; 0: the tests' */
    uint16_t port;
    int log;
    struct tool tools[WORLD_TOOLS_MAX];
    /* message leaves that purge would destroy, as the writer was told; `held`: not yet */
    uint64_t leaves[64];
    unsigned leaf_count;
    bool held;
};

/* Folder, keyring, tools. Then world_up and world_down as often as a test likes: a restart. */
void world_make(struct world *world);
void world_up(struct world *world);
/* `gently`: deliver_stop first, as the gateway does; else as after a kill. */
void world_down(struct world *world, bool gently);
void world_remove(struct world *world);
/* New configuration from the fields above. */
void world_reload(struct world *world);
struct config *world_config(struct world *world);

/* One text message as Meta sends it. */
struct message {
    const char *from, *id, *text;
    long long at; /* seconds; 0: now */
};
/* The POST's body for `n` messages, malloc'ed. */
char *world_body(const struct message *messages, unsigned n);
/* Signs and POSTs; the status, or -1. */
int world_post(struct world *world, const char *body);
int world_post_raw(struct world *world, const void *body, size_t n, const char *signature);
void world_sign(const void *body, size_t n, const char *secret, char out[72]);
int world_send(struct world *world, const char *from, const char *id, const char *text);

unsigned tool_count(struct tool *tool);
/* Waits until the tool has answered `n` POSTs with 200; false after `ms`. */
bool tool_has(struct tool *tool, unsigned n, int ms);
unsigned tool_accepted(struct tool *tool);
/* The text body of the i-th POST answered with 200, copied; empty when there is none. */
void tool_text(struct tool *tool, unsigned i, char *out, size_t size);
/* Does the text occur in what the tool got, in any POST? */
bool tool_saw(struct tool *tool, const char *text);
void tool_set(struct tool *tool, int (*decide)(struct tool *, const struct got *, void *),
              void *ctx);
int tool_status(struct tool *tool, const struct got *got, void *ctx); /* ctx: int * */

/* In how many files below the world's folder (store, keys, log) and POSTs to tools the token
 * stands, as text, hex or base64. */
unsigned world_traces(struct world *world, const char *token);

struct deliver_route_status world_status(struct world *world, unsigned route);
bool world_until(bool (*holds)(void *ctx), void *ctx, int ms);
void world_sleep(int ms);

#endif
