/*
 * Inside of the config room: the snapshot with what it owns, and the tables of its keys. Not a
 * door.
 */
#ifndef SLUIS_CONFIG_ROOM_H
#define SLUIS_CONFIG_ROOM_H

#include "sluis/base/arena.h"
#include "sluis/base/yaml.h"
#include "sluis/config.h"

#include <stdatomic.h>

#define CONFIG_ARENA_MAX ((size_t)64 * 1024 * 1024) /* 1,024 channels of 16 routes, and names */
#define CONFIG_POLICIES_MAX 256
#define CONFIG_NAMES_MAX 64        /* host names of one listener */
#define CONFIG_URL_MAX 2048        /* bytes of a URL */
#define CONFIG_PATH_MAX 1024       /* bytes of a path */
#define CONFIG_SECRET_LEAST 8      /* bytes; shorter ones are guessed */
#define CONFIG_ID_MAX 32           /* digits of an identifier of Meta's; they have 15 to 17 */
#define CONFIG_SLAB (16 * 1024)    /* guarded memory is taken in pieces of this size */
#define CONFIG_SOCKET_PATH_MAX 107 /* sun_path without its NUL */

/* Guarded, locked memory for secrets; wiped when freed. */
struct slab {
    struct slab *next;
    char *p; /* sodium_malloc'ed */
    size_t used;
};

struct snapshot {
    struct config door; /* first */
    atomic_uint refs;
    struct arena arena;
    struct slab *slabs;
    struct policy *policies[CONFIG_POLICIES_MAX];
    size_t policy_count;
};

/* What every loading function needs. */
struct loader {
    struct snapshot *snapshot;
    const struct yaml_doc *doc;
    struct diag *diag;
    const char *folder;   /* of the file: relative paths start here */
    const char *policies; /* folder of the policies */
};

/* ---- config_keys.c ---- */
struct config_table {
    const char *heading; /* in the manual */
    const struct yaml_key *keys;
    size_t n;
};
enum config_table_index {
    CONFIG_KEYS_TOP,
    CONFIG_KEYS_LISTENERS,
    CONFIG_KEYS_LISTENER,
    CONFIG_KEYS_APP,
    CONFIG_KEYS_CHANNEL,
    CONFIG_KEYS_UPSTREAM,
    CONFIG_KEYS_ROUTE,
    CONFIG_KEYS_STORE,
    CONFIG_KEYS_KEYS,
    CONFIG_KEYS_ROOT,
    CONFIG_KEYS_LOG,
    CONFIG_KEYS_CHECKPOINTS,
    CONFIG_KEYS_CHECKPOINTS_HTTPS,
    CONFIG_KEYS_CHECKPOINTS_MAIL,
    CONFIG_KEYS_SECRET,
    CONFIG_KEYS_FETCH,
    CONFIG_KEYS_TABLES
};
extern const struct config_table config_tables[CONFIG_KEYS_TABLES];

SLUIS_MUST_CHECK int config_check(const struct loader *l, const struct yaml_node *map,
                                  enum config_table_index table);
size_t config_count(const struct yaml_node *node);
int config_no_memory(const struct loader *l);
/* A name of ours: lower-case letters, digits, - and _, a letter first, at most CONFIG_NAME_MAX. */
SLUIS_MUST_CHECK int config_take_name(const struct loader *l, const struct yaml_node *node,
                                      const char *text, const char **out);
/* The texts of optional scalars; *out stays as it is when `node` is NULL. */
SLUIS_MUST_CHECK int config_take_bool(const struct loader *l, const struct yaml_node *node,
                                      bool *out);
SLUIS_MUST_CHECK int config_take_duration(const struct loader *l, const struct yaml_node *node,
                                          int64_t least, int64_t most, const char *range,
                                          int64_t *out);
SLUIS_MUST_CHECK int config_take_size(const struct loader *l, const struct yaml_node *node,
                                      uint64_t least, uint64_t most, const char *range,
                                      uint64_t *out);

/* ---- config_files.c: paths and secrets ---- */
/* A path, from the file's folder when it is relative. */
SLUIS_MUST_CHECK int config_take_path(const struct loader *l, const struct yaml_node *node,
                                      const char **out);
/* A path to a file that can be read; nothing to do when `node` is NULL. */
SLUIS_MUST_CHECK int config_take_file(const struct loader *l, const struct yaml_node *node,
                                      const char **out);
/* {credential: NAME} or {file: PATH}: the path of a secret file that can be read and that only its
 * owner can. */
SLUIS_MUST_CHECK int config_take_secret_path(const struct loader *l, const struct yaml_node *node,
                                             const char **out);
/* The same, read into guarded memory without its last line end. */
SLUIS_MUST_CHECK int config_take_secret(const struct loader *l, const struct yaml_node *node,
                                        struct span *out);
void config_protect_secrets(struct snapshot *snapshot); /* read-only from here on */
void config_free_secrets(struct snapshot *snapshot);

/* ---- config_url.c ---- */
/* The hosts of `fetch_from`; nothing when it is absent. */
SLUIS_MUST_CHECK int config_take_fetch(const struct loader *l, const struct yaml_node *node,
                                       struct config_fetch **out, size_t *count);

enum host_kind { HOST_NAME, HOST_LOCAL, HOST_PUBLIC, HOST_BAD };
/* HOST_LOCAL: localhost, or an address that is loopback, private or link-local. HOST_PUBLIC: any
 * other address. HOST_BAD: neither a name nor an address ("127.1", "a..b", ""). */
enum host_kind config_host_kind(struct span host);
/* "host:port" or "[address]:port" of a listener: an address, no name. */
SLUIS_MUST_CHECK int config_take_address(const struct loader *l, const struct yaml_node *node,
                                         const char **out);
/* `bare`: scheme, host and port only (a slash at the end is dropped). */
SLUIS_MUST_CHECK int config_take_url(const struct loader *l, const struct yaml_node *node,
                                     bool bare, bool private_allowed, const char **out);

/* ---- one section each ---- */
SLUIS_MUST_CHECK int config_load_listeners(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int config_load_apps(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int config_load_channels(const struct loader *l, const struct yaml_node *node);

#endif
