/* Verification of an export, line by line: order, leaf hashes, pages, earlier checkpoints, the
 * root. */

#define OPENSSL_SUPPRESS_DEPRECATED /* see merkle.c */
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "room.h"

#define EARLIER_MAX (1u << 22) /* checkpoints: eight years of one a minute */

struct earlier {
    uint64_t size;
    uint8_t root[MERKLE_HASH];
};

struct export_check {
    struct key_chain chain;
    struct checkpoint head;
    bool head_seen, page_open;
    struct merkle_range range;
    struct earlier *earlier;
    size_t earlier_count, earlier_room, earlier_next;
    uint64_t agreed; /* size of the largest earlier checkpoint that agrees */
    uint64_t page_from, page_to;
    SHA256_CTX page_hash;
    char filter[EXPORT_FILTER_MAX + 1];
    size_t filter_n;
    struct buffer note;
    struct export_report report;
    uint64_t line;
};

int export_check_new(const struct note_key *key, struct export_check **out)
{
    struct export_check *c = calloc(1, sizeof(*c));
    if (!c)
        return SLUIS_ENOMEM;
    key_chain_init(&c->chain, key);
    merkle_range_init(&c->range);
    buffer_init(&c->note, NOTE_MAX);
    *out = c;
    return 0;
}

void export_check_free(struct export_check *c)
{
    if (!c)
        return;
    buffer_free(&c->note);
    free(c->earlier);
    free(c);
}

__attribute__((format(printf, 3, 4))) static int
wrong(const struct export_check *c, struct export_finding *f, const char *format, ...)
{
    va_list args;
    memset(f, 0, sizeof(*f));
    f->line = c->line;
    va_start(args, format);
    vsnprintf(f->text, sizeof(f->text), format, args);
    va_end(args);
    return SLUIS_ECRYPTO;
}

static int at_leaf(struct export_finding *f, uint64_t index)
{
    f->has_index = true;
    f->index = index;
    return SLUIS_ECRYPTO;
}

static const char *key_name(const struct export_check *c)
{
    return c->chain.link[0].key.name;
}

static unsigned long long ull(uint64_t v)
{
    return v;
}

static int note_wrong(const struct export_check *c, struct export_finding *f, const char *what,
                      int r)
{
    if (r == SLUIS_ENOMEM)
        return r;
    if (r == SLUIS_ENOENT)
        return wrong(c, f, "%s is not signed by the key %s", what, key_name(c));
    if (r == SLUIS_ECRYPTO)
        return wrong(c, f, "the signature of %s does not hold", what);
    if (r == SLUIS_EDENIED)
        return wrong(c, f, "%s is signed by a key that does not speak for a log of its size", what);
    return wrong(c, f, "%s is not a checkpoint of the log %s", what, key_name(c));
}

/* ---- earlier checkpoints ---- */

static int add_earlier(struct export_check *c, uint64_t size, const uint8_t root[MERKLE_HASH])
{
    if (c->earlier_count == c->earlier_room) {
        size_t room = c->earlier_room ? 2 * c->earlier_room : 64;
        struct earlier *wider =
            room > EARLIER_MAX ? NULL : realloc(c->earlier, room * sizeof(*wider));
        if (!wider)
            return SLUIS_ENOMEM;
        c->earlier = wider;
        c->earlier_room = room;
    }
    struct earlier *e = &c->earlier[c->earlier_count++];
    e->size = size;
    memcpy(e->root, root, MERKLE_HASH);
    return 0;
}

/* The old key vouches for the tree at the change: the leaves are compared with it as with any
 * earlier checkpoint. */
static int take_change(struct export_check *c, struct span note, struct export_finding *f)
{
    struct key_change change;
    int r = key_change_read(note, &change);
    if (r == SLUIS_ENOMEM)
        return r;
    if (r != 0 || strcmp(change.old_key.name, key_name(c)) != 0)
        return wrong(c, f, "a change of keys is not signed by both keys of the log %s",
                     key_name(c));
    r = key_chain_add(&c->chain, &change);
    if (r == SLUIS_ENOENT)
        return 0; /* of keys before the one that is held: nothing rests on it */
    if (r != 0)
        return wrong(c, f,
                     "a change of keys at %llu leaves does not follow from the key that is held",
                     ull(change.size));
    return add_earlier(c, change.size, change.root);
}

int export_check_earlier(struct export_check *c, struct span note, struct export_finding *f)
{
    struct checkpoint head;
    if (key_change_is(note))
        return take_change(c, note, f);
    int r = key_chain_open(&c->chain, note, &head);
    if (r != 0)
        return note_wrong(c, f, "an earlier checkpoint", r);
    return add_earlier(c, head.size, head.root);
}

static int by_size(const void *a, const void *b)
{
    const struct earlier *x = a, *y = b;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* The earlier checkpoints of the size that was just reached. */
static int compare_earlier(struct export_check *c, struct export_finding *f)
{
    uint8_t root[MERKLE_HASH];
    if (c->earlier_next == c->earlier_count || c->earlier[c->earlier_next].size > c->range.size)
        return 0;
    merkle_range_root(&c->range, root);
    while (c->earlier_next < c->earlier_count &&
           c->earlier[c->earlier_next].size <= c->range.size) {
        const struct earlier *e = &c->earlier[c->earlier_next++];
        if (e->size < c->range.size) {
            wrong(
                c, f,
                "this export cannot be compared with the checkpoint of %llu leaves: make it again "
                "with that checkpoint, or without a filter",
                ull(e->size));
            return at_leaf(f, e->size);
        }
        if (memcmp(e->root, root, MERKLE_HASH) != 0) {
            wrong(c, f,
                  "the log is not the one of the earlier checkpoint of %llu leaves: of the leaves "
                  "%llu to %llu at least one was changed, removed, added or moved",
                  ull(e->size), ull(c->agreed), ull(e->size ? e->size - 1 : 0));
            return at_leaf(f, c->agreed);
        }
        c->agreed = e->size;
        c->report.earlier++;
    }
    return 0;
}

/* ---- lines ---- */

static int take_head(struct export_check *c, const struct export_line *line,
                     struct export_finding *f)
{
    if (c->head_seen)
        return wrong(c, f, "a second checkpoint stands in the export");
    buffer_clear(&c->note);
    int r = export_note_read(line->text, &c->note);
    if (r == 0)
        r = key_chain_open(&c->chain, buffer_span(&c->note), &c->head);
    if (r != 0)
        return note_wrong(c, f, "the checkpoint of the export", r);
    size_t n = span_find(c->head.extension, '\n');
    if (n >= sizeof(c->report.state))
        n = sizeof(c->report.state) - 1;
    if (c->head.extension.n)
        memcpy(c->report.state, c->head.extension.p, n);
    c->head.extension = SPAN_EMPTY; /* pointed into the note */
    c->head_seen = true;
    if (c->earlier_count)
        qsort(c->earlier, c->earlier_count, sizeof(*c->earlier), by_size);
    return compare_earlier(c, f);
}

static int take_change_line(struct export_check *c, const struct export_line *line,
                            struct export_finding *f)
{
    if (c->head_seen)
        return wrong(c, f, "a change of keys stands behind the checkpoint of the export");
    buffer_clear(&c->note);
    int r = export_note_read(line->text, &c->note);
    return r == SLUIS_EINVAL ? wrong(c, f, "line %llu is not a line of an export", ull(c->line))
           : r               ? r
                             : take_change(c, buffer_span(&c->note), f);
}

static int take_page(struct export_check *c, const struct export_line *line,
                     struct export_finding *f)
{
    if (line->index != c->range.size) {
        wrong(c, f, "a page from leaf %llu on was expected, this one begins at %llu",
              ull(c->range.size), ull(line->index));
        return at_leaf(f, c->range.size);
    }
    if (line->size != c->head.size)
        return wrong(c, f, "this page is of a log of %llu leaves, the checkpoint of one of %llu",
                     ull(line->size), ull(c->head.size));
    if (c->report.pages == 0) {
        memcpy(c->filter, line->text.p, line->text.n);
        c->filter_n = line->text.n;
        c->report.filtered = !span_is(line->text, EXPORT_FILTER_NONE);
    } else if (!span_eq(line->text, span_of(c->filter, c->filter_n))) {
        return wrong(c, f, "this page has another filter than the one before it");
    }
    c->page_open = true;
    c->page_from = line->index;
    c->page_to = line->to;
    c->report.pages++;
    SHA256_Init(&c->page_hash);
    return 0;
}

static int in_order(struct export_check *c, const struct export_line *line,
                    struct export_finding *f)
{
    if (line->index > c->range.size) {
        wrong(c, f, "leaf %llu is missing: leaf %llu stands in its place", ull(c->range.size),
              ull(line->index));
        return at_leaf(f, c->range.size);
    }
    if (line->index < c->range.size) {
        wrong(c, f, "leaf %llu stands where leaf %llu belongs: twice, or out of order",
              ull(line->index), ull(c->range.size));
        return at_leaf(f, line->index);
    }
    if (line->kind == EXPORT_SKIP && !c->report.filtered) {
        wrong(c, f, "leaf %llu was left out of an export without a filter", ull(line->index));
        return at_leaf(f, line->index);
    }
    if (c->range.size == c->page_to) {
        wrong(c, f, "leaf %llu stands in a page that ends before it", ull(line->index));
        return at_leaf(f, line->index);
    }
    return 0;
}

static int take_leaf(struct export_check *c, const struct export_line *line,
                     struct export_finding *f)
{
    uint8_t hash[MERKLE_HASH];
    int r = in_order(c, line, f);
    if (r != 0)
        return r;
    if (line->kind == EXPORT_LEAF) {
        merkle_leaf(line->text, hash);
        if (memcmp(hash, line->hash, MERKLE_HASH) != 0) {
            wrong(c, f, "leaf %llu was changed: it does not have its hash", ull(line->index));
            return at_leaf(f, line->index);
        }
    }
    uint64_t n = UINT64_C(1) << line->level;
    if (n > c->page_to - c->range.size || merkle_range_add(&c->range, line->level, line->hash)) {
        wrong(c, f, "2^%u leaves cannot be left out at leaf %llu", line->level, ull(line->index));
        return at_leaf(f, line->index);
    }
    if (line->kind == EXPORT_LEAF)
        c->report.shown++;
    else if (line->kind == EXPORT_PRUNED)
        c->report.pruned += n;
    else
        c->report.skipped += n;
    return compare_earlier(c, f);
}

static int take_signature(struct export_check *c, const struct export_line *line,
                          struct export_finding *f)
{
    uint8_t hash[32];
    struct buffer want;
    struct span text;
    if (c->range.size != c->page_to) {
        wrong(c, f, "leaf %llu is missing at the end of its page", ull(c->range.size));
        return at_leaf(f, c->range.size);
    }
    c->page_open = false;
    SHA256_Final(hash, &c->page_hash);
    buffer_clear(&c->note);
    buffer_init(&want, NOTE_MAX);
    export_page_text(key_name(c), hash, &want);
    int r = export_note_read(line->text, &c->note);
    if (r == 0)
        r = note_open(buffer_span(&c->note), key_chain_last(&c->chain), &text);
    if (r == 0 && !span_eq(text, buffer_span(&want)))
        r = SLUIS_ECRYPTO;
    buffer_free(&want);
    if (r == 0 || r == SLUIS_ENOMEM)
        return r;
    wrong(c, f,
          r == SLUIS_ENOENT ? "the page of the leaves %llu to %llu is not signed by this key"
                            : "the page of the leaves %llu to %llu is not as it was signed",
          ull(c->page_from), ull(c->page_to - 1));
    return at_leaf(f, c->page_from);
}

int export_check_line(struct export_check *c, struct span text, struct export_finding *f)
{
    struct export_line line;
    c->line++;
    if (text.n > EXPORT_LINE_MAX || export_line_read(text, &line) != 0) {
        wrong(c, f, "line %llu is not a line of an export", ull(c->line));
        return c->page_open ? at_leaf(f, c->range.size) : SLUIS_ECRYPTO;
    }
    if (line.kind == EXPORT_KEY_CHANGE && !c->page_open)
        return take_change_line(c, &line, f);
    if (!c->head_seen && line.kind != EXPORT_CHECKPOINT)
        return wrong(c, f, "the export does not begin with its checkpoint");
    bool inner = line.kind == EXPORT_LEAF || line.kind == EXPORT_SKIP ||
                 line.kind == EXPORT_PRUNED || line.kind == EXPORT_SIGNED;
    if (c->head_seen && inner != c->page_open) {
        wrong(c, f, "line %llu stands where it does not belong", ull(c->line));
        return at_leaf(f, c->range.size);
    }
    int r = line.kind == EXPORT_CHECKPOINT ? take_head(c, &line, f)
            : line.kind == EXPORT_PAGE     ? take_page(c, &line, f)
            : line.kind == EXPORT_SIGNED   ? take_signature(c, &line, f)
                                           : take_leaf(c, &line, f);
    if (r == 0 && c->page_open) {
        SHA256_Update(&c->page_hash, text.p, text.n);
        SHA256_Update(&c->page_hash, "\n", 1);
    }
    return r;
}

int export_check_end(struct export_check *c, struct export_report *report, struct export_finding *f)
{
    c->line = 0;
    if (!c->head_seen)
        return wrong(c, f, "the export is empty");
    if (c->range.size < c->head.size || c->page_open) {
        wrong(c, f, "the export was cut off: the leaves from %llu on are missing or not signed",
              ull(c->page_open ? c->page_from : c->range.size));
        return at_leaf(f, c->range.size);
    }
    merkle_range_root(&c->range, c->report.root);
    if (memcmp(c->report.root, c->head.root, MERKLE_HASH) != 0) {
        wrong(c, f,
              "the leaves do not make the tree of the checkpoint: of the leaves %llu to %llu at "
              "least one was changed, removed, added or moved",
              ull(c->agreed), ull(c->head.size ? c->head.size - 1 : 0));
        return at_leaf(f, c->agreed);
    }
    if (c->earlier_next < c->earlier_count) {
        wrong(c, f,
              "the log is shorter (%llu leaves) than an earlier checkpoint says (%llu): it was cut "
              "off, begun anew, or exported before that checkpoint",
              ull(c->head.size), ull(c->earlier[c->earlier_count - 1].size));
        return at_leaf(f, c->agreed);
    }
    c->report.size = c->head.size;
    c->report.keys = c->chain.count;
    *report = c->report;
    return 0;
}
