#include "tree.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/encode.h"

#define SLAB_SLOTS_FIRST 1024
#define INNER_FIRST 256
/* New keys and inner nodes one puncture may need: the siblings along one path. */
#define PUNCTURE_SLOTS ((TREE_ARITY - 1) * TREE_LEVELS_MAX)

static const unsigned char tree_person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis tree";

void tree_child(const uint8_t node[TREE_KEY], unsigned index, uint8_t out[TREE_KEY])
{
    unsigned char byte = (unsigned char)index;
    crypto_generichash_blake2b_salt_personal(out, TREE_KEY, &byte, 1, node, TREE_KEY, NULL,
                                             tree_person);
}

unsigned tree_levels(enum keyring_tree tree)
{
    return tree == KEYRING_TIME ? TREE_LEVELS_TIME : TREE_LEVELS_SERIAL;
}

uint64_t tree_path(const struct keyring_leaf *leaf)
{
    return leaf->tree == KEYRING_TIME ? (uint64_t)leaf->cls << 32 | leaf->leaf : leaf->leaf;
}

/* ---- slab ---- */

static int slab_resize(struct slab *slab, uint32_t slots)
{
    uint32_t *free_slots = realloc(slab->free_slots, slots * sizeof(*free_slots));
    if (!free_slots)
        return SLUIS_ENOMEM;
    slab->free_slots = free_slots;
    uint8_t *keys = sodium_malloc((size_t)slots * TREE_KEY);
    if (!keys)
        return SLUIS_ENOMEM;
    sodium_memzero(keys, (size_t)slots * TREE_KEY);
    if (slab->keys) {
        memcpy(keys, slab->keys, (size_t)slab->used * TREE_KEY);
        sodium_free(slab->keys); /* wipes */
    }
    slab->keys = keys;
    slab->slots = slots;
    return 0;
}

/* Makes sure that `n` slots can be taken without failing. */
static int slab_ensure(struct slab *slab, uint32_t n)
{
    if (slab->free_count + (slab->slots - slab->used) >= n)
        return 0;
    if (slab->slots >= SLAB_SLOTS_MAX)
        return SLUIS_ELIMIT;
    return slab_resize(slab, slab->slots * 2);
}

static uint32_t slab_take(struct slab *slab)
{
    return slab->free_count ? slab->free_slots[--slab->free_count] : slab->used++;
}

static void slab_give(struct slab *slab, uint32_t slot)
{
    sodium_memzero(slab_key(slab, slot), TREE_KEY);
    slab->free_slots[slab->free_count++] = slot;
}

/* ---- inner nodes ---- */

static int inner_ensure(struct cover *cover, uint32_t n)
{
    /* the free list is not counted: one doubling too early does no harm */
    if (cover->inner_cap - cover->inner_used >= n)
        return 0;
    uint32_t cap = cover->inner_cap * 2;
    if (cap > SLAB_SLOTS_MAX)
        return SLUIS_ELIMIT;
    struct tree_inner *inner = realloc(cover->inner, cap * sizeof(*inner));
    if (!inner)
        return SLUIS_ENOMEM;
    cover->inner = inner;
    cover->inner_cap = cap;
    return 0;
}

static uint32_t inner_take(struct cover *cover)
{
    uint32_t at = cover->inner_free;
    if (at)
        cover->inner_free = cover->inner[at].child[0];
    else
        at = cover->inner_used++;
    memset(&cover->inner[at], 0, sizeof(cover->inner[at]));
    return at;
}

static void inner_give(struct cover *cover, uint32_t at)
{
    cover->inner[at].child[0] = cover->inner_free;
    cover->inner_free = at;
}

/* ---- cover ---- */

int cover_init(struct cover *cover)
{
    memset(cover, 0, sizeof(*cover));
    int result = slab_resize(&cover->slab, SLAB_SLOTS_FIRST);
    if (result)
        return result;
    cover->slab.used = SLAB_FIXED;
    cover->inner = calloc(INNER_FIRST, sizeof(*cover->inner));
    if (!cover->inner) {
        cover_free(cover);
        return SLUIS_ENOMEM;
    }
    cover->inner_cap = INNER_FIRST;
    cover->inner_used = 1;
    return 0;
}

void cover_free(struct cover *cover)
{
    if (cover->slab.keys)
        sodium_free(cover->slab.keys);
    free(cover->slab.free_slots);
    free(cover->inner);
    memset(cover, 0, sizeof(*cover));
}

static uint32_t live_new(struct cover *cover)
{
    cover->live++;
    return TREE_LIVE | slab_take(&cover->slab);
}

static uint8_t *live_key(const struct cover *cover, uint32_t ref)
{
    return slab_key(&cover->slab, ref & ~TREE_LIVE);
}

int cover_make(struct cover *cover, int64_t now_ms)
{
    for (unsigned t = 0; t < KEYRING_TREES; t++) {
        cover->roots[t] = live_new(cover);
        randombytes_buf(live_key(cover, cover->roots[t]), TREE_KEY);
    }
    randombytes_buf(slab_key(&cover->slab, SLAB_INDEX), TREE_KEY);
    randombytes_buf(slab_key(&cover->slab, SLAB_DERIVE), TREE_KEY);
    cover->lookup = (struct keyring_lookup){.made_ms = now_ms};
    return 0;
}

int cover_anchor(const struct cover *cover, enum keyring_tree tree, uint64_t path,
                 const uint8_t **key, unsigned *level)
{
    unsigned levels = tree_levels(tree);
    uint32_t ref = cover->roots[tree];
    for (unsigned at = 0; at <= levels; at++) {
        if (!ref)
            return SLUIS_EEXPIRED;
        if (ref & TREE_LIVE) {
            *key = live_key(cover, ref);
            *level = at;
            return 0;
        }
        if (at < levels)
            ref = cover->inner[ref].child[tree_index(levels, path, at)];
    }
    return SLUIS_EEXPIRED; /* an inner node below the leaves: never read from a file */
}

int cover_leaf(const struct cover *cover, enum keyring_tree tree, uint64_t path,
               uint8_t out[TREE_KEY])
{
    const uint8_t *key;
    unsigned level, levels = tree_levels(tree);
    int result = cover_anchor(cover, tree, path, &key, &level);
    if (result)
        return result;
    uint8_t node[TREE_KEY];
    memcpy(out, key, TREE_KEY);
    for (; level < levels; level++) {
        memcpy(node, out, TREE_KEY);
        tree_child(node, tree_index(levels, path, level), out);
    }
    sodium_memzero(node, sizeof(node));
    return 0;
}

static void subtree_kill(struct cover *cover, uint32_t ref)
{
    if (!ref)
        return;
    if (ref & TREE_LIVE) {
        slab_give(&cover->slab, ref & ~TREE_LIVE);
        cover->live--;
        return;
    }
    for (unsigned i = 0; i < TREE_ARITY; i++) /* depth at most TREE_LEVELS_MAX */
        subtree_kill(cover, cover->inner[ref].child[i]);
    inner_give(cover, ref);
}

/* Opens a cover node into its four children, so that they can be destroyed one by one. */
static uint32_t live_split(struct cover *cover, uint32_t ref)
{
    uint32_t inner = inner_take(cover);
    for (unsigned i = 0; i < TREE_ARITY; i++) {
        uint32_t child = live_new(cover);
        tree_child(live_key(cover, ref), i, live_key(cover, child));
        cover->inner[inner].child[i] = child;
    }
    slab_give(&cover->slab, ref & ~TREE_LIVE);
    cover->live--;
    return inner;
}

int cover_puncture(struct cover *cover, const struct keyring_leaf *leaf, bool *changed)
{
    unsigned levels = tree_levels(leaf->tree);
    /* `through` stays inside the class: the levels above it choose the class */
    unsigned first = levels - TREE_LEVELS_SERIAL;
    uint64_t path = tree_path(leaf);
    uint32_t *at = &cover->roots[leaf->tree];
    uint32_t parents[TREE_LEVELS_MAX];
    unsigned level = 0;

    *changed = false;
    /* one spare slot per level: a node is split before it is given back */
    int result = slab_ensure(&cover->slab, PUNCTURE_SLOTS + TREE_LEVELS_MAX + 1);
    if (!result)
        result = inner_ensure(cover, TREE_LEVELS_MAX);
    if (result)
        return result;
    for (; level < levels && *at; level++) {
        if (*at & TREE_LIVE)
            *at = live_split(cover, *at);
        uint32_t inner = *at;
        unsigned index = tree_index(levels, path, level);
        if (leaf->through && level >= first) {
            for (unsigned i = 0; i < index; i++) {
                if (cover->inner[inner].child[i])
                    *changed = true;
                subtree_kill(cover, cover->inner[inner].child[i]);
                cover->inner[inner].child[i] = 0;
            }
        }
        parents[level] = inner;
        at = &cover->inner[inner].child[index];
    }
    if (*at) {
        subtree_kill(cover, *at);
        *at = 0;
        *changed = true;
    }
    /* inner nodes without a living child go too: time in order leaves no trail */
    while (level > 0) {
        uint32_t inner = parents[--level];
        const uint32_t *child = cover->inner[inner].child;
        if (child[0] | child[1] | child[2] | child[3])
            break;
        inner_give(cover, inner);
        if (level == 0)
            cover->roots[leaf->tree] = 0;
        else
            cover->inner[parents[level - 1]].child[tree_index(levels, path, level - 1)] = 0;
    }
    return 0;
}

/* ---- what nothing hangs under ---- */

struct prune {
    struct cover *cover;
    const uint8_t *living;
    uint64_t bits; /* of `living` */
    uint64_t below;
};

/* The range begins and ends at multiples of its size, a power of four. */
static bool any_living(const struct prune *p, uint64_t first, uint64_t size)
{
    uint64_t end = first + size < p->bits ? first + size : p->bits;
    if (first == 0) /* leaf 0 is everybody's */
        return true;
    for (uint64_t at = first; at < end;) {
        if (at % 8 == 0 && !p->living[at / 8]) {
            at += 8;
            continue;
        }
        if (p->living[at / 8] >> at % 8 & 1)
            return true;
        at++;
    }
    return false;
}

/* What is left of a node; depth at most TREE_LEVELS_SERIAL. */
static uint32_t prune_node(struct prune *p, uint32_t ref, uint64_t first, uint64_t size)
{
    if (!ref || first >= p->below)
        return ref;
    if (first + size <= p->below && !any_living(p, first, size)) {
        subtree_kill(p->cover, ref);
        return 0;
    }
    if (ref & TREE_LIVE)
        return ref;
    uint32_t any = 0;
    for (unsigned i = 0; i < TREE_ARITY; i++) {
        uint32_t *child = &p->cover->inner[ref].child[i];
        *child = prune_node(p, *child, first + i * (size / TREE_ARITY), size / TREE_ARITY);
        any |= *child;
    }
    if (any)
        return ref;
    inner_give(p->cover, ref);
    return 0;
}

void cover_prune(struct cover *cover, enum keyring_tree tree, const uint8_t *living, size_t bytes,
                 uint32_t below, bool *changed)
{
    struct prune p = {cover, living, (uint64_t)bytes * 8, below};
    uint64_t before = cover->live;
    cover->roots[tree] =
        prune_node(&p, cover->roots[tree], 0, (uint64_t)1 << (2 * TREE_LEVELS_SERIAL));
    *changed = cover->live != before;
}

/* In the range of `ref`, from its right end; depth at most TREE_LEVELS_SERIAL. */
static uint64_t highest_gone(const struct cover *cover, uint32_t ref, uint64_t first, uint64_t size)
{
    uint64_t gone = 0;
    if (!ref)
        return first + size - 1;
    if (ref & TREE_LIVE)
        return 0;
    for (unsigned i = TREE_ARITY; i-- > 0 && !gone;)
        gone = highest_gone(cover, cover->inner[ref].child[i], first + i * (size / TREE_ARITY),
                            size / TREE_ARITY);
    return gone;
}

uint64_t cover_highest_gone(const struct cover *cover, enum keyring_tree tree)
{
    return highest_gone(cover, cover->roots[tree], 0, (uint64_t)1 << (2 * TREE_LEVELS_SERIAL));
}

/* ---- on paper ---- */

enum { MARK_DEAD, MARK_LIVE, MARK_INNER };
#define MARK_LOOKUP 'L'
#define LOOKUP_BYTES 14 /* mark, number, made, replacing */

static void ref_write(const struct cover *cover, uint32_t ref, struct buffer *out)
{
    if (!ref) {
        buffer_add_char(out, MARK_DEAD);
    } else if (ref & TREE_LIVE) {
        buffer_add_char(out, MARK_LIVE);
        buffer_add(out, span_of(live_key(cover, ref), TREE_KEY));
    } else {
        buffer_add_char(out, MARK_INNER);
        for (unsigned i = 0; i < TREE_ARITY; i++)
            ref_write(cover, cover->inner[ref].child[i], out);
    }
}

void cover_write(const struct cover *cover, struct buffer *out)
{
    buffer_add(out, span_of(slab_key(&cover->slab, SLAB_INDEX), TREE_KEY));
    buffer_add(out, span_of(slab_key(&cover->slab, SLAB_DERIVE), TREE_KEY));
    for (unsigned t = 0; t < KEYRING_TREES; t++)
        ref_write(cover, cover->roots[t], out);
    uint8_t text[LOOKUP_BYTES] = {MARK_LOOKUP};
    be32_put(text + 1, cover->lookup.number);
    be64_put(text + 5, (uint64_t)cover->lookup.made_ms);
    text[13] = cover->lookup.replacing;
    buffer_add(out, span_of(text, sizeof(text)));
    if (cover->lookup.replacing) {
        be64_put(text, (uint64_t)cover->lookup.next_made_ms);
        buffer_add(out, span_of(text, 8));
        buffer_add(out, span_of(slab_key(&cover->slab, SLAB_INDEX_NEXT), TREE_KEY));
    }
}

size_t cover_most(const struct cover *cover)
{
    return 2 * TREE_KEY + (size_t)cover->slab.used * (TREE_KEY + 1) + KEYRING_TREES +
           (size_t)cover->inner_used * (TREE_ARITY + 1) + LOOKUP_BYTES + 8 + TREE_KEY;
}

static int key_read(struct span *text, uint8_t *key)
{
    if (text->n < TREE_KEY)
        return SLUIS_EINVAL;
    memcpy(key, text->p, TREE_KEY);
    *text = span_from(*text, TREE_KEY);
    return 0;
}

static int ref_read(struct cover *cover, struct span *text, unsigned levels_left, uint32_t *out)
{
    if (text->n == 0)
        return SLUIS_EINVAL;
    char mark = text->p[0];
    *text = span_from(*text, 1);
    *out = 0;
    if (mark == MARK_DEAD)
        return 0;
    int result;
    if (mark == MARK_LIVE) {
        result = slab_ensure(&cover->slab, 1);
        if (result)
            return result;
        *out = live_new(cover);
        return key_read(text, live_key(cover, *out));
    }
    if (mark != MARK_INNER || levels_left == 0)
        return SLUIS_EINVAL;
    result = inner_ensure(cover, 1);
    if (result)
        return result;
    uint32_t inner = inner_take(cover), any = 0;
    *out = inner;
    for (unsigned i = 0; i < TREE_ARITY; i++) {
        uint32_t child;
        result = ref_read(cover, text, levels_left - 1, &child);
        if (result)
            return result;
        cover->inner[inner].child[i] = child;
        any |= child;
    }
    return any ? 0 : SLUIS_EINVAL;
}

static int lookup_read(struct cover *cover, struct span *text)
{
    const uint8_t *at = (const uint8_t *)text->p;
    cover->lookup = (struct keyring_lookup){0};
    if (text->n == 0)
        return 0;
    if (text->n < LOOKUP_BYTES || at[0] != MARK_LOOKUP || at[13] > 1)
        return SLUIS_EINVAL;
    cover->lookup.number = be32_get(at + 1);
    cover->lookup.made_ms = (int64_t)be64_get(at + 5);
    cover->lookup.replacing = at[13];
    *text = span_from(*text, LOOKUP_BYTES);
    if (!cover->lookup.replacing)
        return 0;
    if (text->n < 8)
        return SLUIS_EINVAL;
    cover->lookup.next_made_ms = (int64_t)be64_get((const uint8_t *)text->p);
    *text = span_from(*text, 8);
    return key_read(text, slab_key(&cover->slab, SLAB_INDEX_NEXT));
}

int cover_read(struct cover *cover, struct span text)
{
    int result = key_read(&text, slab_key(&cover->slab, SLAB_INDEX));
    if (!result)
        result = key_read(&text, slab_key(&cover->slab, SLAB_DERIVE));
    for (unsigned t = 0; t < KEYRING_TREES && !result; t++)
        result = ref_read(cover, &text, tree_levels((enum keyring_tree)t), &cover->roots[t]);
    if (!result)
        result = lookup_read(cover, &text);
    if (!result && text.n != 0)
        result = SLUIS_EINVAL;
    return result;
}
