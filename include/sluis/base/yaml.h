/*
 * YAML 1.2 for the two files people write (policy, configuration), through libfyaml. Gives a tree of
 * nodes with line and column; aliases, anchors, tags, several documents, duplicate keys and text
 * over YAML_TEXT_MAX are refused. Loaders describe what they accept in tables of `struct yaml_key`, so
 * that defaults, errors ("expected ...; did you mean ...?") and documentation come from one row.
 *
 * A document owns its nodes and text. Threads: one at a time.
 */
#ifndef SLUIS_BASE_YAML_H
#define SLUIS_BASE_YAML_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"

#define YAML_TEXT_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 32
#define YAML_NODES_MAX 100000

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column;         /* of the value, from 1 */
    unsigned key_line, key_column; /* of the key when in a map */
    const char *key;               /* NUL-terminated, NULL outside maps */
    const char *text;              /* scalars: NUL-terminated (no NUL inside) */
    bool quoted;                   /* scalar was quoted: never a number, a boolean or null */
    struct yaml_node *next;        /* sibling */
    struct yaml_node *child;       /* first child */
};
struct yaml_doc;

/* `file` is used in diagnoses only. 0, SLUIS_EINVAL, SLUIS_ELIMIT, SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int yaml_parse(struct span text, const char *file, struct yaml_doc **out,
                                struct diag *diag);
/* Reads the file (at most YAML_TEXT_MAX) and parses it. */
SLUIS_MUST_CHECK int yaml_parse_file(const char *file, struct yaml_doc **out, struct diag *diag);
void yaml_free(struct yaml_doc *doc);
const struct yaml_node *yaml_root(const struct yaml_doc *doc);
const char *yaml_file(const struct yaml_doc *doc);

/* The child of a map, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* Checks a map against the keys it may have. A row whose `later` is set is a key of the contract that
 * has not arrived: "not available in this version". Unknown keys name the nearest known one. */
enum yaml_want { YAML_WANT_TEXT, YAML_WANT_NUMBER, YAML_WANT_BOOL, YAML_WANT_MAP, YAML_WANT_LIST,
                 YAML_WANT_DURATION, YAML_WANT_SIZE, YAML_WANT_ANY };
struct yaml_key {
    const char *name;
    enum yaml_want want;
    bool required;
    bool later;
    const char *help; /* one line, for messages and the manual */
};
SLUIS_MUST_CHECK int yaml_check_map(const struct yaml_doc *doc, const struct yaml_node *map,
                                    const struct yaml_key *keys, size_t n, struct diag *diag);
/* Scalars; each fails with a diagnosis saying what was expected. */
SLUIS_MUST_CHECK int yaml_number(const struct yaml_doc *doc, const struct yaml_node *node,
                                 int64_t least, int64_t most, int64_t *out, struct diag *diag);
SLUIS_MUST_CHECK int yaml_bool(const struct yaml_doc *doc, const struct yaml_node *node, bool *out,
                               struct diag *diag);
/* 0.00 to 1.00 as thousandths. */
SLUIS_MUST_CHECK int yaml_share(const struct yaml_doc *doc, const struct yaml_node *node,
                                uint16_t *out, struct diag *diag);
/* "90s", "15m", "24h", "7d", "2w", "12M", "1y" -> seconds (M = 30 days, y = 365 days). */
SLUIS_MUST_CHECK int yaml_duration(const struct yaml_doc *doc, const struct yaml_node *node,
                                   int64_t *seconds, struct diag *diag);
/* "64GiB", "512MiB", "10KiB", plain bytes. */
SLUIS_MUST_CHECK int yaml_size(const struct yaml_doc *doc, const struct yaml_node *node,
                               uint64_t *bytes, struct diag *diag);
/* One of the words; its index in *out. The diagnosis lists them and the nearest. */
SLUIS_MUST_CHECK int yaml_word(const struct yaml_doc *doc, const struct yaml_node *node,
                               const char *const *words, size_t n, size_t *out, struct diag *diag);
/* A diagnosis at a node, for the loader's own checks; returns SLUIS_EINVAL. */
int yaml_error(const struct yaml_doc *doc, const struct yaml_node *node, struct diag *diag,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The nearest of the words by edit distance, or NULL when none is near. */
const char *yaml_nearest(const char *text, const char *const *words, size_t n);

#endif
