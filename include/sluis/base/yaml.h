/*
 * YAML 1.2 for the two files people write (policy, configuration), through libfyaml. Gives a tree
 * of nodes with line and column; aliases, anchors, tags, directives, several documents, duplicate
 * keys, tabs in the indentation, NUL bytes, bytes that are not UTF-8 and text over YAML_TEXT_MAX
 * are refused. Loaders describe what they accept in tables of `struct yaml_key`, so that errors
 * ("expected ...; did you mean ...?") and the manual come from one row.
 *
 * A document owns its nodes and text. Threads: one at a time.
 */
#ifndef SLUIS_BASE_YAML_H
#define SLUIS_BASE_YAML_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"

#define YAML_TEXT_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 32 /* maps and lists in one another; ours need 6 */
#define YAML_NODES_MAX 100000
#define YAML_KEYS_MAX 1024 /* keys of one map: duplicates are found by comparing all pairs */
#define YAML_KEY_MAX 256   /* bytes of one key */

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column;         /* of the value, from 1; of the key when the value is empty */
    unsigned key_line, key_column; /* of the key when in a map */
    const char *key;               /* NUL-terminated, NULL outside maps */
    const char *text;              /* scalars: NUL-terminated (no NUL inside) */
    bool quoted;                   /* scalar was quoted: never a number, a boolean or null */
    struct yaml_node *next;        /* sibling */
    struct yaml_node *child;       /* first child */
};
struct yaml_doc;

/* `file` is used in diagnoses only. An empty file is refused. 0, SLUIS_EINVAL, SLUIS_ELIMIT,
 * SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int yaml_parse(struct span text, const char *file, struct yaml_doc **out,
                                struct diag *diag);
/* Reads the file (at most YAML_TEXT_MAX) and parses it. Also SLUIS_ENOENT and SLUIS_ESYS. */
SLUIS_MUST_CHECK int yaml_parse_file(const char *file, struct yaml_doc **out, struct diag *diag);
void yaml_free(struct yaml_doc *doc);
const struct yaml_node *yaml_root(const struct yaml_doc *doc);
const char *yaml_file(const struct yaml_doc *doc);
/* The bytes of the file as they were read (with the byte order mark, if any). */
struct span yaml_source(const struct yaml_doc *doc);

/* The child of a map, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* True for a value that was left out: nothing, ~ or null, not quoted. */
bool yaml_is_null(const struct yaml_node *node);

/* Checks a map against the keys it may have. A row whose `later` is set is a key of the contract
 * that has not arrived: "not available in this version". Unknown keys name the nearest known one.
 * Scalars of kind NUMBER, BOOL, DURATION and SIZE are checked for form; their bounds are the
 * loader's. */
enum yaml_want {
    YAML_WANT_TEXT,
    YAML_WANT_NUMBER,
    YAML_WANT_BOOL,
    YAML_WANT_MAP,
    YAML_WANT_LIST,
    YAML_WANT_DURATION,
    YAML_WANT_SIZE,
    YAML_WANT_ANY
};
struct yaml_key {
    const char *name;
    enum yaml_want want;
    bool required;
    bool later;
    const char *help; /* one line, for messages and the manual */
};
SLUIS_MUST_CHECK int yaml_check_map(const struct yaml_doc *doc, const struct yaml_node *map,
                                    const struct yaml_key *keys, size_t n, struct diag *diag);
/* The node is of the wanted kind, else a diagnosis. */
SLUIS_MUST_CHECK int yaml_expect(const struct yaml_doc *doc, const struct yaml_node *node,
                                 enum yaml_want want, struct diag *diag);
/* Scalars; each fails with a diagnosis saying what was expected. */
SLUIS_MUST_CHECK int yaml_number(const struct yaml_doc *doc, const struct yaml_node *node,
                                 int64_t least, int64_t most, int64_t *out, struct diag *diag);
SLUIS_MUST_CHECK int yaml_bool(const struct yaml_doc *doc, const struct yaml_node *node, bool *out,
                               struct diag *diag);
/* 0.00 to 1.00 (at most three decimals) as thousandths. */
SLUIS_MUST_CHECK int yaml_share(const struct yaml_doc *doc, const struct yaml_node *node,
                                uint16_t *out, struct diag *diag);
/* "90s", "15min", "24h", "7d", "2w", "24m", "1y" -> seconds. `m` is a month, as in the contract's
 * `log: {keep: 24m}`, and a twelfth of a year of 365 days, so that 12m and 1y are the same; minutes
 * are `min`. A number without a unit and `M` are refused with a hint, since a reader could take
 * either for something else. At most 100 years. */
SLUIS_MUST_CHECK int yaml_duration(const struct yaml_doc *doc, const struct yaml_node *node,
                                   int64_t *seconds, struct diag *diag);
/* "64GiB", "512MiB", "10KiB", "1TiB", plain bytes. */
SLUIS_MUST_CHECK int yaml_size(const struct yaml_doc *doc, const struct yaml_node *node,
                               uint64_t *bytes, struct diag *diag);
/* One of the words; its index in *out. The diagnosis lists them and the nearest. */
SLUIS_MUST_CHECK int yaml_word(const struct yaml_doc *doc, const struct yaml_node *node,
                               const char *const *words, size_t n, size_t *out, struct diag *diag);
/* A diagnosis at a node (yaml_error) or at its key (yaml_error_key), for the loader's own checks;
 * return SLUIS_EINVAL. Words from the file go through yaml_quote. */
int yaml_error(const struct yaml_doc *doc, const struct yaml_node *node, struct diag *diag,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
int yaml_error_key(const struct yaml_doc *doc, const struct yaml_node *node, struct diag *diag,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The nearest of the words by edit distance, or NULL when none is near. */
const char *yaml_nearest(const char *text, const char *const *words, size_t n);

/* A word from the file made fit for a diagnosis: in double quotes, control characters as '?', cut
 * at YAML_QUOTE_MAX bytes. Returns out->text. */
#define YAML_QUOTE_MAX 60
struct yaml_quote {
    char text[YAML_QUOTE_MAX + 8];
};
const char *yaml_quote(struct yaml_quote *out, const char *text);

#endif
