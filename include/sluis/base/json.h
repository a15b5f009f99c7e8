/*
 * JSON on the message path: a strict scanner (RFC 8259) that keeps spans, and an emitter that
 * copies the original bytes with edits spliced in. Nothing is re-formatted: a byte that no edit
 * touches leaves as it came, save that the output is pure ASCII (non-ASCII characters and 0x7f
 * become \uXXXX, lower-case hex, surrogate pairs; whatsapp 0.3).
 *
 * Refused by the scanner: duplicate member names (compared decoded), invalid UTF-8, a byte order
 * mark, depth over the limit, too many values, trailing bytes, control characters in strings,
 * numbers not as in the grammar. Accepted as data: lone surrogate escapes and \u0000 (decoded
 * text shows a lone surrogate as U+FFFD).
 *
 * A document borrows its text; its nodes live in the arena. Nodes are indices, node 0 is the
 * root. Threads: pure functions over the caller's memory.
 *
 *     struct json_doc doc;
 *     if (json_scan(&doc, body, &arena, NULL) != 0) ... doc.error, doc.error_offset
 *     uint32_t entry = json_get(&doc, 0, SPAN("entry"));
 *     for (uint32_t e = json_first(&doc, entry); e != JSON_NONE; e = json_next(&doc, e)) ...
 */
#ifndef SLUIS_BASE_JSON_H
#define SLUIS_BASE_JSON_H

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/span.h"

#define JSON_NONE UINT32_MAX
#define JSON_DEPTH_DEFAULT 64
#define JSON_VALUES_DEFAULT 1000000

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY
};

enum json_flag {
    JSON_ESCAPED = 1,        /* string or name holds a backslash */
    JSON_NON_ASCII = 2,      /* string or name holds bytes above 0x7e */
    JSON_LONE_SURROGATE = 4, /* string holds an unpaired \uD8xx escape */
};

struct json_node {
    uint32_t start, end;         /* raw text of the value; a string's quotes included */
    uint32_t name_start, name_end; /* raw member name without quotes; 0, 0 in arrays and root */
    uint32_t next;               /* next sibling or JSON_NONE */
    uint32_t child;              /* first child or JSON_NONE */
    uint32_t parent;             /* JSON_NONE for the root */
    uint8_t kind;                /* enum json_kind */
    uint8_t flags;               /* of the value */
    uint8_t name_flags;          /* of the member name */
};

struct json_limits {
    uint32_t depth;  /* nesting of arrays and objects */
    uint32_t values; /* nodes in all */
};

struct json_doc {
    struct span text;
    struct json_node *nodes;
    uint32_t count;
    const char *error;     /* a constant word ("duplicate_name", "depth", ...) or NULL */
    uint32_t error_offset; /* byte where it was seen */
};

/* Text of at most 2^32 - 2 bytes. limits NULL: the defaults. 0, SLUIS_EINVAL, SLUIS_ELIMIT
 * (depth, values, size), SLUIS_ENOMEM (the arena); a refused document has no nodes. The error is one
 * of: cut_off syntax trailing number escape control utf8 byte_order_mark duplicate_name depth values
 * size memory. Memory: 32 bytes a value, at most four times that when they are many. */
SLUIS_MUST_CHECK int json_scan(struct json_doc *doc, struct span text, struct arena *arena,
                               const struct json_limits *limits);

static inline const struct json_node *json_node(const struct json_doc *doc, uint32_t node)
{
    return node < doc->count ? &doc->nodes[node] : NULL;
}
static inline enum json_kind json_kind(const struct json_doc *doc, uint32_t node)
{
    return node < doc->count ? (enum json_kind)doc->nodes[node].kind : JSON_NULL;
}
static inline bool json_is(const struct json_doc *doc, uint32_t node, enum json_kind kind)
{
    return node < doc->count && doc->nodes[node].kind == kind;
}
static inline uint32_t json_first(const struct json_doc *doc, uint32_t node)
{
    return node < doc->count ? doc->nodes[node].child : JSON_NONE;
}
static inline uint32_t json_next(const struct json_doc *doc, uint32_t node)
{
    return node < doc->count ? doc->nodes[node].next : JSON_NONE;
}

/* The member `name` (decoded name) of an object, or JSON_NONE (also when `object` is not one). */
uint32_t json_get(const struct json_doc *doc, uint32_t object, struct span name);
/* The element `index` of an array, or JSON_NONE. */
uint32_t json_at(const struct json_doc *doc, uint32_t array, uint32_t index);
/* A path of member names and decimal indices separated by dots: "entry.0.changes". */
uint32_t json_path(const struct json_doc *doc, uint32_t node, const char *path);

/* The raw bytes of a value (a string with its quotes). */
static inline struct span json_raw(const struct json_doc *doc, uint32_t node)
{
    const struct json_node *v = json_node(doc, node);
    return v ? span_sub(doc->text, v->start, v->end) : SPAN_EMPTY;
}
/* The raw bytes between a string's quotes; empty when it is not a string. */
struct span json_inner(const struct json_doc *doc, uint32_t node);
/* True when the node is a string whose decoded text is `text`. */
bool json_string_is(const struct json_doc *doc, uint32_t node, struct span text);
/* The decoded text of a string. Points into the document when nothing was escaped, else into the
 * arena. 0, SLUIS_EINVAL (not a string), SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int json_string(const struct json_doc *doc, uint32_t node, struct arena *arena,
                                 struct span *out);
/* The decoded member name of a node, likewise. */
SLUIS_MUST_CHECK int json_name(const struct json_doc *doc, uint32_t node, struct arena *arena,
                               struct span *out);
/* A number or a string of digits that fits; 0 or SLUIS_EINVAL. */
int json_u64(const struct json_doc *doc, uint32_t node, uint64_t *out);

/*
 * Decodes raw string content (between the quotes) with a map: map[i] is the offset in `raw` of
 * the escape or byte that produced decoded byte i, and map[*n] == raw.n. `text` needs raw.n
 * bytes, `map` raw.n + 1 entries: decoding never grows (\uXXXX is 6 bytes and gives at most 3).
 */
void json_decode_map(struct span raw, char *text, uint32_t *map, size_t *n);

/* Appends decoded UTF-8 `text` as JSON string content, pure ASCII, without the quotes. Invalid
 * UTF-8 becomes \ufffd. */
void json_escape(struct buffer *out, struct span text);
/* The same with quotes. */
void json_quote(struct buffer *out, struct span text);

/* A replacement of raw bytes [start, end) of the text by `with` (raw JSON, ASCII or UTF-8). */
struct json_edit {
    uint32_t start, end;
    struct span with;
};
/* Copies text [from, to) with the edits applied, as pure ASCII. Edits must be sorted by start,
 * lie inside [from, to) and not overlap: else SLUIS_EINVAL and nothing is added. Edits that
 * insert (start == end) are allowed. 0, SLUIS_EINVAL, or the buffer's error. */
SLUIS_MUST_CHECK int json_emit(struct buffer *out, struct span text, uint32_t from, uint32_t to,
                               const struct json_edit *edits, size_t n);

#endif
