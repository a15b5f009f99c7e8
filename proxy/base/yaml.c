#include "sluis/base/yaml.h"

#include "sluis/base/arena.h"
#include "sluis/base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* 100,000 nodes of 80 bytes, their text (1 MiB, each piece rounded to 16) and keys. */
#define YAML_ARENA_MAX ((size_t)32 * 1024 * 1024)

struct yaml_doc {
    struct arena arena;
    const char *file;
    struct span source;
    struct yaml_node *root;
};

/* One open map or list while the tree is built. */
struct level {
    struct yaml_node *node;
    struct yaml_node **tail; /* where the next child goes */
    size_t children;
    const char *key; /* read, its value is still to come */
    unsigned key_line, key_column;
};

struct builder {
    struct yaml_doc *doc;
    struct diag *diag;
    struct fy_diag *messages;
    struct fy_parser *parser;
    struct level levels[YAML_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    unsigned documents;
    unsigned line, column; /* of the event at hand */
};

static int refuse(const struct builder *b, int error, const char *text)
{
    diag_set(b->diag, b->doc->file, b->line, b->column, "%s", text);
    return error;
}

/* ---- the bytes, before the parser sees them ---- */

static const char *bad_byte(unsigned char c)
{
    if (c == 0)
        return "NUL byte";
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
        return "control character";
    return NULL;
}

/* libfyaml would take some of these in its stride, or say something a reader cannot use. */
static int check_bytes(struct builder *b, struct span text)
{
    bool indentation = true;
    b->line = b->column = 1;
    for (size_t i = 0; i < text.n;) {
        unsigned char c = (unsigned char)text.p[i];
        const char *bad = bad_byte(c);
        if (bad)
            return refuse(b, SLUIS_EINVAL, bad);
        if (c == '\t' && indentation)
            return refuse(b, SLUIS_EINVAL, "tab in the indentation: use spaces");
        if (c == '\n' || (c == '\r' && !(i + 1 < text.n && text.p[i + 1] == '\n'))) {
            b->line++;
            b->column = 1;
            indentation = true;
            i++;
            continue;
        }
        if (c != ' ' && c != '\r')
            indentation = false;
        size_t length = 1;
        if (c >= 0x80) {
            uint32_t code_point;
            length = utf8_decode(span_from(text, i), &code_point);
            if (!length)
                return refuse(b, SLUIS_EINVAL, "not UTF-8");
        }
        i += length;
        b->column++;
    }
    b->line = b->column = 0;
    return 0;
}

/* ---- events to nodes ---- */

/* `sign`: bytes of the sign (a quote, & or *) that libfyaml's mark stands behind. */
static bool place_token(struct builder *b, struct fy_token *token, int sign)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark || mark->line < 0 || mark->column < sign)
        return false;
    b->line = (unsigned)mark->line + 1;
    b->column = (unsigned)(mark->column - sign) + 1;
    return true;
}

static bool in_quotes(struct fy_token *token)
{
    enum fy_scalar_style style = fy_token_scalar_style(token);
    return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

static void place(struct builder *b, struct fy_event *event)
{
    struct fy_token *token = fy_event_get_token(event);
    int sign = event->type == FYET_SCALAR && token && in_quotes(token);
    if (place_token(b, token, sign))
        return;
    if (b->depth) {
        const struct level *top = &b->levels[b->depth - 1];
        b->line = top->key ? top->key_line : top->node->line;
        b->column = top->key ? top->key_column : top->node->column;
    } else {
        b->line = b->column = 1;
    }
}

/* A node linked into the level on top; NULL with *error set. */
static struct yaml_node *add_node(struct builder *b, enum yaml_kind kind, int *error)
{
    if (++b->nodes > YAML_NODES_MAX) {
        *error = refuse(b, SLUIS_ELIMIT, "too many values in one file");
        return NULL;
    }
    struct yaml_node *node = arena_try_zero(&b->doc->arena, sizeof(*node));
    if (!node) {
        *error = refuse(b, SLUIS_ENOMEM, "out of memory");
        return NULL;
    }
    *error = 0;
    node->kind = kind;
    node->line = b->line;
    node->column = b->column;
    if (!b->depth) {
        b->doc->root = node;
        return node;
    }
    struct level *top = &b->levels[b->depth - 1];
    node->key = top->key;
    node->key_line = top->key_line;
    node->key_column = top->key_column;
    top->key = NULL;
    top->children++;
    *top->tail = node;
    top->tail = &node->next;
    return node;
}

static bool wants_key(const struct builder *b)
{
    return b->depth && b->levels[b->depth - 1].node->kind == YAML_MAP &&
           !b->levels[b->depth - 1].key;
}

static int open_level(struct builder *b, enum yaml_kind kind)
{
    if (wants_key(b))
        return refuse(b, SLUIS_EINVAL, "a map or list as a key: keys are words");
    if (b->depth == YAML_DEPTH_MAX)
        return refuse(b, SLUIS_ELIMIT, "nested too deep");
    int error;
    struct yaml_node *node = add_node(b, kind, &error);
    if (!node)
        return error;
    b->levels[b->depth++] = (struct level){.node = node, .tail = &node->child};
    return 0;
}

static int take_key(struct builder *b, struct span text)
{
    struct level *top = &b->levels[b->depth - 1];
    if (!text.n)
        return refuse(b, SLUIS_EINVAL, "empty key");
    if (text.n > YAML_KEY_MAX)
        return refuse(b, SLUIS_ELIMIT, "key too long");
    if (top->children >= YAML_KEYS_MAX)
        return refuse(b, SLUIS_ELIMIT, "too many keys in one map");
    char *key = arena_try_str(&b->doc->arena, text);
    if (!key)
        return refuse(b, SLUIS_ENOMEM, "out of memory");
    for (const struct yaml_node *n = top->node->child; n; n = n->next)
        if (strcmp(n->key, key) == 0) {
            struct yaml_quote quote;
            diag_set(b->diag, b->doc->file, b->line, b->column,
                     "duplicate key %s; the first is on line %u", yaml_quote(&quote, key),
                     n->key_line);
            return SLUIS_EINVAL;
        }
    top->key = key;
    top->key_line = b->line;
    top->key_column = b->column;
    return 0;
}

static int take_scalar(struct builder *b, struct fy_event *event)
{
    struct span text = SPAN("");
    bool quoted = false;
    struct fy_token *token = event->scalar.value;
    if (token) {
        text.p = fy_token_get_text(token, &text.n);
        quoted = fy_token_scalar_style(token) != FYSS_PLAIN;
        if (!text.p)
            return refuse(b, SLUIS_ENOMEM, "out of memory");
    }
    if (text.n && memchr(text.p, 0, text.n))
        return refuse(b, SLUIS_EINVAL, "NUL character in a text");
    if (wants_key(b))
        return take_key(b, text);
    int error;
    struct yaml_node *node = add_node(b, YAML_SCALAR, &error);
    if (!node)
        return error;
    node->quoted = quoted;
    node->text = arena_try_str(&b->doc->arena, text);
    return node->text ? 0 : refuse(b, SLUIS_ENOMEM, "out of memory");
}

static int start_document(struct builder *b, struct fy_event *event)
{
    if (++b->documents > 1)
        return refuse(b, SLUIS_EINVAL, "a second document: one file holds one");
    const struct fy_document_state *state = event->document_start.document_state;
    if (fy_document_state_version_explicit((struct fy_document_state *)state) ||
        fy_document_state_tags_explicit((struct fy_document_state *)state))
        return refuse(b, SLUIS_EINVAL, "directives (%...) are not available: files are YAML 1.2");
    return 0;
}

/* The anchor (or alias) and the tag of an event, NULL when it has none. */
static struct fy_token *anchor_of(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_ALIAS:
        return event->alias.anchor;
    case FYET_SCALAR:
        return event->scalar.anchor;
    case FYET_MAPPING_START:
        return event->mapping_start.anchor;
    case FYET_SEQUENCE_START:
        return event->sequence_start.anchor;
    default:
        return NULL;
    }
}

static struct fy_token *tag_of(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_SCALAR:
        return event->scalar.tag;
    case FYET_MAPPING_START:
        return event->mapping_start.tag;
    case FYET_SEQUENCE_START:
        return event->sequence_start.tag;
    default:
        return NULL;
    }
}

static int take_event(struct builder *b, struct fy_event *event)
{
    place(b, event);
    if (anchor_of(event)) {
        place_token(b, anchor_of(event), 1);
        return refuse(b, SLUIS_EINVAL,
                      "anchors (&) and aliases (*) are not available: write the "
                      "value out, or quote a text that starts so");
    }
    if (tag_of(event)) {
        place_token(b, tag_of(event), 0);
        return refuse(b, SLUIS_EINVAL, "tags (!) are not available: quote a text that starts so");
    }
    switch (event->type) {
    case FYET_DOCUMENT_START:
        return start_document(b, event);
    case FYET_SCALAR:
        return take_scalar(b, event);
    case FYET_MAPPING_START:
        return open_level(b, YAML_MAP);
    case FYET_SEQUENCE_START:
        return open_level(b, YAML_LIST);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

/* libfyaml's first complaint, made printable. */
static int syntax_error(struct builder *b)
{
    void *iterator = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(b->messages, &iterator);
    struct yaml_quote quote;
    unsigned line = e && e->line > 0 ? (unsigned)e->line : b->line;
    unsigned column = e && e->line > 0 && e->column > 0 ? (unsigned)e->column : 0;
    diag_set(b->diag, b->doc->file, line, column, "not YAML: %s",
             yaml_quote(&quote, e && e->msg ? e->msg : "syntax error"));
    return SLUIS_EINVAL;
}

static int read_events(struct builder *b)
{
    struct fy_event *event;
    int error = 0;
    while (!error && (event = fy_parser_parse(b->parser))) {
        error = take_event(b, event);
        fy_parser_event_free(b->parser, event);
    }
    if (!error && fy_parser_get_stream_error(b->parser))
        error = syntax_error(b);
    if (!error && !b->doc->root) {
        b->line = b->column = 1;
        error = refuse(b, SLUIS_EINVAL, "the file is empty");
    }
    return error;
}

static int build(struct builder *b, struct span text)
{
    int error = check_bytes(b, text);
    if (error)
        return error;
    struct fy_diag_cfg messages;
    fy_diag_cfg_default(&messages);
    messages.fp = NULL;
    messages.level = FYET_ERROR;
    b->messages = fy_diag_create(&messages);
    if (!b->messages)
        return refuse(b, SLUIS_ENOMEM, "out of memory");
    fy_diag_set_collect_errors(b->messages, true);
    const struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = b->messages,
    };
    b->parser = fy_parser_create(&cfg);
    if (!b->parser || fy_parser_set_string(b->parser, text.p, text.n) != 0)
        error = refuse(b, SLUIS_ENOMEM, "out of memory");
    else
        error = read_events(b);
    if (b->parser)
        fy_parser_destroy(b->parser);
    fy_diag_destroy(b->messages);
    return error;
}

/* Takes `text`, which is in the document's arena. */
static int parse_owned(struct yaml_doc *doc, struct span text, struct yaml_doc **out,
                       struct diag *diag)
{
    struct builder *b = calloc(1, sizeof(*b));
    int error = SLUIS_ENOMEM;
    if (b) {
        b->doc = doc;
        b->diag = diag;
        doc->source = text;
        if (span_starts(text, SPAN("\xef\xbb\xbf")))
            text = span_from(text, 3);
        error = build(b, text.n ? text : SPAN("\n"));
        free(b);
    }
    if (error)
        yaml_free(doc);
    else
        *out = doc;
    return error;
}

static struct yaml_doc *new_doc(const char *file)
{
    struct yaml_doc *doc = calloc(1, sizeof(*doc));
    if (!doc)
        return NULL;
    arena_init(&doc->arena, YAML_ARENA_MAX);
    doc->file = arena_try_str(&doc->arena, span_str(file));
    if (!doc->file) {
        free(doc);
        return NULL;
    }
    return doc;
}

static int too_large(const char *file, struct diag *diag)
{
    diag_set(diag, file, 0, 0, "larger than 1 MiB");
    return SLUIS_ELIMIT;
}

int yaml_parse(struct span text, const char *file, struct yaml_doc **out, struct diag *diag)
{
    *out = NULL;
    if (text.n > YAML_TEXT_MAX)
        return too_large(file, diag);
    struct yaml_doc *doc = new_doc(file);
    if (!doc)
        return SLUIS_ENOMEM;
    struct span copy;
    if (arena_try_copy(&doc->arena, text, &copy) != 0) {
        yaml_free(doc);
        return SLUIS_ENOMEM;
    }
    return parse_owned(doc, copy, out, diag);
}

/* Reads at most YAML_TEXT_MAX + 1 bytes into *text. */
static int read_file(struct arena *arena, const char *file, struct span *text, struct diag *diag)
{
    int error = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        error = errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
        diag_set(diag, file, 0, 0, "cannot open: %s", strerror(errno));
        return error;
    }
    size_t n = 0;
    char *p = arena_try(arena, YAML_TEXT_MAX + 1);
    while (p && n <= YAML_TEXT_MAX) {
        ssize_t got = read(fd, p + n, YAML_TEXT_MAX + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error = SLUIS_ESYS;
            diag_set(diag, file, 0, 0, "cannot read: %s", strerror(errno));
        }
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    if (!p)
        error = SLUIS_ENOMEM;
    else if (!error && n > YAML_TEXT_MAX)
        error = too_large(file, diag);
    *text = span_of(p, n);
    return error;
}

int yaml_parse_file(const char *file, struct yaml_doc **out, struct diag *diag)
{
    *out = NULL;
    struct yaml_doc *doc = new_doc(file);
    if (!doc)
        return SLUIS_ENOMEM;
    struct span text;
    int error = read_file(&doc->arena, file, &text, diag);
    if (error) {
        yaml_free(doc);
        return error;
    }
    return parse_owned(doc, text, out, diag);
}

void yaml_free(struct yaml_doc *doc)
{
    if (!doc)
        return;
    arena_free(&doc->arena);
    free(doc);
}

const struct yaml_node *yaml_root(const struct yaml_doc *doc)
{
    return doc->root;
}

const char *yaml_file(const struct yaml_doc *doc)
{
    return doc->file;
}

struct span yaml_source(const struct yaml_doc *doc)
{
    return doc->source;
}
