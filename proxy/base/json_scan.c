/* The strict scanner: one pass, no recursion, eight bytes of a string at a time. */
#include "sluis/base/json.h"

#include "sluis/base/utf8.h"

#include "json_text.h"

/* Objects with more members than this are checked for duplicates by sorting, when they close. */
#define MEMBERS_LINEAR 16
/* Nodes come in doublings of this. */
#define NODES_FIRST 32

struct frame {
    uint64_t seen; /* one bit per hashed name: a free bit proves that a name is new */
    uint32_t members;
};

struct scan {
    struct json_doc *doc;
    struct arena *arena;
    struct frame *frames;
    const char *p, *base, *end;
    uint32_t capacity;
    struct json_limits limits;
};

static int fail(struct scan *s, const char *at, const char *word, int error)
{
    s->doc->error = word;
    s->doc->error_offset = (uint32_t)(at - s->base);
    return error;
}

static int fail_syntax(struct scan *s, const char *at)
{
    return fail(s, at, at >= s->end ? "cut_off" : "syntax", SLUIS_EINVAL);
}

static uint64_t load_le(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* The high bit of the first byte that is a control, '"', '\\' or above 0x7e; later bits may lie. */
static uint64_t special_bytes(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = w ^ (ones * '"'), back = w ^ (ones * '\\'), del = w ^ (ones * 0x7f);
    return (((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((back - ones) & ~back) |
            ((del - ones) & ~del) | w) &
           high;
}

static int scan_escape(struct scan *s, uint8_t *flags)
{
    unsigned code, low;
    if (s->end - s->p < 2)
        return fail(s, s->end, "cut_off", SLUIS_EINVAL);
    switch (s->p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->p += 2;
        return 0;
    case 'u':
        break;
    default:
        return fail(s, s->p, "escape", SLUIS_EINVAL);
    }
    struct span rest = {s->p, (size_t)(s->end - s->p)};
    if (!json_unit(rest, &code))
        return fail(s, s->p, "escape", SLUIS_EINVAL);
    s->p += 6;
    if (code < 0xd800 || code > 0xdfff)
        return 0;
    rest = span_from(rest, 6);
    if (code < 0xdc00 && json_unit(rest, &low) && low >= 0xdc00 && low <= 0xdfff)
        s->p += 6;
    else
        *flags |= JSON_LONE_SURROGATE;
    return 0;
}

/* s->p stands behind the opening quote; leaves it behind the closing one. */
static int scan_string(struct scan *s, uint8_t *flags)
{
    uint8_t f = 0;
    for (;;) {
        if (s->end - s->p >= 8) {
            uint64_t m = special_bytes(load_le(s->p));
            if (!m) {
                s->p += 8;
                continue;
            }
            s->p += __builtin_ctzll(m) >> 3;
        } else if (s->p >= s->end) {
            return fail(s, s->end, "cut_off", SLUIS_EINVAL);
        }
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            s->p++;
            *flags = f;
            return 0;
        }
        if (c == '\\') {
            f |= JSON_ESCAPED;
            int error = scan_escape(s, &f);
            if (error)
                return error;
        } else if (c < 0x20) {
            return fail(s, s->p, "control", SLUIS_EINVAL);
        } else if (c < 0x7f) {
            s->p++;
        } else {
            uint32_t code;
            unsigned n =
                c == 0x7f ? 1 : utf8_decode((struct span){s->p, (size_t)(s->end - s->p)}, &code);
            if (n == 0)
                return fail(s, s->p, "utf8", SLUIS_EINVAL);
            f |= JSON_NON_ASCII;
            s->p += n;
        }
    }
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static int scan_number(struct scan *s)
{
    const char *p = s->p, *from;
    if (*p == '-')
        p++;
    from = p;
    p = digits(p, s->end);
    if (p == from || (*from == '0' && p - from > 1))
        return fail(s, p, "number", SLUIS_EINVAL);
    if (p < s->end && *p == '.') {
        from = ++p;
        p = digits(p, s->end);
        if (p == from)
            return fail(s, p, "number", SLUIS_EINVAL);
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < s->end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        p = digits(p, s->end);
        if (p == from)
            return fail(s, p, "number", SLUIS_EINVAL);
    }
    s->p = p;
    return 0;
}

static int scan_word(struct scan *s, struct span word)
{
    struct span rest = {s->p, (size_t)(s->end - s->p)};
    if (!span_starts(rest, word))
        return fail(s, s->p, "syntax", SLUIS_EINVAL);
    s->p += word.n;
    return 0;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static int grow(struct scan *s)
{
    struct json_doc *doc = s->doc;
    if (doc->count >= s->limits.values)
        return fail(s, s->p, "values", SLUIS_ELIMIT);
    uint64_t more = (uint64_t)s->capacity * 2;
    if (more > s->limits.values)
        more = s->limits.values;
    struct json_node *nodes = arena_try(s->arena, (size_t)more * sizeof *nodes);
    if (!nodes)
        return fail(s, s->p, "memory", SLUIS_ENOMEM);
    memcpy(nodes, doc->nodes, doc->count * sizeof *nodes);
    doc->nodes = nodes;
    s->capacity = (uint32_t)more;
    return 0;
}

static int name_of(struct scan *s, uint32_t node, struct span *name)
{
    const struct json_node *v = &s->doc->nodes[node];
    *name = span_sub(s->doc->text, v->name_start, v->name_end);
    return v->name_flags & JSON_ESCAPED ? json_name(s->doc, node, s->arena, name) : 0;
}

/* Is one of the earlier members called like `node`? Few members: each is compared. */
static int check_name(struct scan *s, struct frame *frame, uint32_t first, uint32_t node)
{
    struct span name, other;
    if (name_of(s, node, &name) != 0)
        return fail(s, s->p, "memory", SLUIS_ENOMEM);
    uint64_t bit = 1; /* the empty name */
    if (name.n)
        bit = (uint64_t)1 << (((unsigned char)name.p[0] + 3u * (unsigned char)name.p[name.n - 1] +
                               5u * (unsigned char)name.p[name.n / 2] + 7u * name.n) &
                              63);
    if (frame->seen & bit) {
        for (uint32_t i = first; i != node; i = s->doc->nodes[i].next) {
            if (name_of(s, i, &other) != 0)
                return fail(s, s->p, "memory", SLUIS_ENOMEM);
            if (span_eq(name, other))
                return fail(s, s->base + s->doc->nodes[node].name_start, "duplicate_name",
                            SLUIS_EINVAL);
        }
    }
    frame->seen |= bit;
    return 0;
}

static int compare_names(const struct span *a, const struct span *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int order = n ? memcmp(a->p, b->p, n) : 0; /* an empty span may have no address */
    return order ? order : a->n < b->n ? -1 : a->n > b->n;
}

static void sift(struct span *names, size_t i, size_t n)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && compare_names(&names[child], &names[child + 1]) < 0)
            child++;
        if (compare_names(&names[i], &names[child]) >= 0)
            return;
        struct span swap = names[i];
        names[i] = names[child];
        names[child] = swap;
    }
}

/* Many members: a heap sort, whose worst case cannot be provoked as a hash's can. */
static int check_names_sorted(struct scan *s, uint32_t object, uint32_t members)
{
    struct span *names = arena_try(s->arena, (size_t)members * sizeof *names);
    size_t n = 0;
    if (!names)
        return fail(s, s->p, "memory", SLUIS_ENOMEM);
    for (uint32_t i = s->doc->nodes[object].child; i != JSON_NONE; i = s->doc->nodes[i].next)
        if (name_of(s, i, &names[n++]) != 0)
            return fail(s, s->p, "memory", SLUIS_ENOMEM);
    for (size_t i = n / 2; i-- > 0;)
        sift(names, i, n);
    for (size_t last = n - 1; last > 0; last--) {
        struct span top = names[0];
        names[0] = names[last];
        names[last] = top;
        sift(names, 0, last);
        if (last + 1 < n && compare_names(&names[last], &names[last + 1]) == 0)
            return fail(s, s->p, "duplicate_name", SLUIS_EINVAL);
    }
    if (n > 1 && compare_names(&names[0], &names[1]) == 0)
        return fail(s, s->p, "duplicate_name", SLUIS_EINVAL);
    return 0;
}

/* A member's name and its colon; s->p stands on the opening quote. */
static int scan_name(struct scan *s, struct json_node *node)
{
    if (s->p >= s->end || *s->p != '"')
        return fail_syntax(s, s->p);
    node->name_start = (uint32_t)(++s->p - s->base);
    int error = scan_string(s, &node->name_flags);
    if (error)
        return error;
    node->name_end = (uint32_t)(s->p - 1 - s->base);
    skip_space(s);
    if (s->p >= s->end || *s->p != ':')
        return fail_syntax(s, s->p);
    s->p++;
    skip_space(s);
    return 0;
}

/* A value that is no container: its kind, and s->p behind it. Containers: s->p behind the bracket.
 */
static int scan_value(struct scan *s, struct json_node *node)
{
    if (s->p >= s->end)
        return fail_syntax(s, s->p);
    node->start = (uint32_t)(s->p - s->base);
    switch (*s->p) {
    case '"':
        node->kind = JSON_STRING;
        s->p++;
        return scan_string(s, &node->flags);
    case '{':
        node->kind = JSON_OBJECT;
        s->p++;
        return 0;
    case '[':
        node->kind = JSON_ARRAY;
        s->p++;
        return 0;
    case 't':
        node->kind = JSON_TRUE;
        return scan_word(s, SPAN("true"));
    case 'f':
        node->kind = JSON_FALSE;
        return scan_word(s, SPAN("false"));
    case 'n':
        node->kind = JSON_NULL;
        return scan_word(s, SPAN("null"));
    default:
        if (*s->p != '-' && (*s->p < '0' || *s->p > '9'))
            return fail_syntax(s, s->p);
        node->kind = JSON_NUMBER;
        return scan_number(s);
    }
}

/* Adds one value (with its name when `parent` is an object) behind its elder sibling. */
static int add_value(struct scan *s, uint32_t parent, uint32_t elder, struct frame *frame)
{
    struct json_doc *doc = s->doc;
    if (doc->count == s->capacity) {
        int error = grow(s);
        if (error)
            return error;
    }
    uint32_t index = doc->count;
    struct json_node *node = &doc->nodes[index];
    *node = (struct json_node){.next = JSON_NONE, .child = JSON_NONE, .parent = parent};
    bool member = parent != JSON_NONE && doc->nodes[parent].kind == JSON_OBJECT;
    int error = member ? scan_name(s, node) : 0;
    if (!error)
        error = scan_value(s, node);
    if (error)
        return error;
    node->end = (uint32_t)(s->p - s->base);
    doc->count++;
    if (elder != JSON_NONE)
        doc->nodes[elder].next = index;
    else if (parent != JSON_NONE)
        doc->nodes[parent].child = index;
    if (member && ++frame->members <= MEMBERS_LINEAR)
        return check_name(s, frame, doc->nodes[parent].child, index);
    return 0;
}

/* Closes containers as long as brackets close, and steps over the comma before the next value.
 * *done when the root has closed. */
static int close_containers(struct scan *s, uint32_t *parent, uint32_t *elder, uint32_t *depth,
                            bool *done)
{
    struct json_doc *doc = s->doc;
    for (;;) {
        if (*parent == JSON_NONE) {
            *done = true;
            return 0;
        }
        struct json_node *open = &doc->nodes[*parent];
        skip_space(s);
        if (s->p >= s->end)
            return fail_syntax(s, s->p);
        if (*s->p == ',' && *elder != JSON_NONE) {
            s->p++;
            skip_space(s);
            return 0;
        }
        if (*s->p != (open->kind == JSON_OBJECT ? '}' : ']'))
            return *elder == JSON_NONE ? 0 : fail_syntax(s, s->p);
        s->p++;
        open->end = (uint32_t)(s->p - s->base);
        if (open->kind == JSON_OBJECT && s->frames[*depth - 1].members > MEMBERS_LINEAR) {
            int error = check_names_sorted(s, *parent, s->frames[*depth - 1].members);
            if (error)
                return error;
        }
        *elder = *parent;
        *parent = open->parent;
        --*depth;
    }
}

static int scan_tree(struct scan *s)
{
    uint32_t parent = JSON_NONE, elder = JSON_NONE, depth = 0;
    bool done = false;
    while (!done) {
        int error = add_value(s, parent, elder, depth ? &s->frames[depth - 1] : NULL);
        if (error)
            return error;
        uint32_t index = s->doc->count - 1;
        elder = index;
        if (s->doc->nodes[index].kind >= JSON_OBJECT) {
            if (depth == s->limits.depth)
                return fail(s, s->p - 1, "depth", SLUIS_ELIMIT);
            s->frames[depth++] = (struct frame){0};
            parent = index;
            elder = JSON_NONE;
        }
        error = close_containers(s, &parent, &elder, &depth, &done);
        if (error)
            return error;
    }
    return 0;
}

int json_scan(struct json_doc *doc, struct span text, struct arena *arena,
              const struct json_limits *limits)
{
    struct scan s = {.doc = doc, .arena = arena, .p = text.p, .base = text.p};
    *doc = (struct json_doc){.text = text};
    if (text.n >= UINT32_MAX) {
        doc->error = "size";
        return SLUIS_ELIMIT;
    }
    s.end = text.n ? text.p + text.n : text.p;
    s.limits = limits ? *limits : (struct json_limits){JSON_DEPTH_DEFAULT, JSON_VALUES_DEFAULT};
    if (span_starts(text, SPAN("\xef\xbb\xbf")))
        return fail(&s, s.p, "byte_order_mark", SLUIS_EINVAL);
    s.capacity = (uint32_t)(text.n / 12) + NODES_FIRST;
    if (s.capacity > s.limits.values)
        s.capacity = s.limits.values;
    doc->nodes = arena_try(arena, (size_t)s.capacity * sizeof *doc->nodes + 1);
    s.frames = arena_try(arena, (size_t)s.limits.depth * sizeof *s.frames + 1);
    if (!doc->nodes || !s.frames) {
        doc->error = "memory";
        return SLUIS_ENOMEM;
    }
    skip_space(&s);
    int error = scan_tree(&s);
    if (error == 0) {
        skip_space(&s);
        if (s.p != s.end)
            error = fail(&s, s.p, "trailing", SLUIS_EINVAL);
    }
    if (error)
        doc->count = 0; /* a refused document has no nodes to read */
    return error;
}
