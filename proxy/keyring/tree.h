/*
 * Puncturable key trees (Goldreich, Goldwasser, Micali 1986): every leaf has a key, derived from
 * the root by child = BLAKE2b(key = node, message = index); the file that stands for the tree holds
 * only the *cover*, the fewest nodes from which every living leaf still derives. Destroying a
 * leaf replaces the node above it by its siblings along the way down.
 *
 * Glossary
 *   path    the leaf's number; two bits per level, the highest first
 *   anchor  the cover node above a leaf, and its level
 *   slab    guarded, locked memory (out of core files, no swap) that holds every key; slots of
 *           32 bytes, wiped when they are given back
 *
 * Threads: none of its own; keyring.c locks. Errors: 0 or enum sluis_error.
 */
#ifndef SLUIS_KEYRING_TREE_H
#define SLUIS_KEYRING_TREE_H

#include "sluis/base/buffer.h"
#include "sluis/keyring.h"

#define TREE_KEY 32
#define TREE_ARITY 4
#define TREE_LEVELS_MAX 24
/* Levels of each tree: 2 bits each. Time: 16 bits of class above 32 bits of bucket, so that each
 * class is a tree of its own under one root and needs no key to be added when it first appears. */
#define TREE_LEVELS_TIME 24
#define TREE_LEVELS_SERIAL 16
/* Slots of the slab that are no tree nodes. */
enum slab_slot { SLAB_ROOT, SLAB_EPOCH, SLAB_INDEX_NEXT, SLAB_INDEX, SLAB_DERIVE, SLAB_FIXED };
/* 64 MB of keys: some 200,000 scattered erasures. Beyond it puncturing answers SLUIS_ELIMIT. */
#define SLAB_SLOTS_MAX (2u * 1024 * 1024)

struct slab {
    uint8_t *keys; /* sodium_malloc */
    uint32_t slots, used;
    uint32_t *free_slots; /* stack of slots given back */
    uint32_t free_count;
};

/* A reference is 0 (dead), TREE_LIVE | slot (a cover node) or the number of an inner node. */
#define TREE_LIVE 0x80000000u

struct tree_inner {
    uint32_t child[TREE_ARITY];
};

struct cover {
    struct slab slab;
    struct tree_inner *inner; /* inner[0] is unused */
    uint32_t inner_cap, inner_used;
    uint32_t inner_free; /* list through child[0] */
    uint32_t roots[KEYRING_TREES];
    uint64_t live; /* cover nodes */
    struct keyring_lookup lookup; /* while replacing, its next key is in SLAB_INDEX_NEXT */
};

SLUIS_MUST_CHECK int cover_init(struct cover *cover);
void cover_free(struct cover *cover);
/* Fresh random roots, index key and derivation key. */
SLUIS_MUST_CHECK int cover_make(struct cover *cover, int64_t now_ms);
/* keyring_prune in memory; *changed: something went. */
void cover_prune(struct cover *cover, enum keyring_tree tree, const uint8_t *living, size_t bytes,
                 uint32_t below, bool *changed);
uint64_t cover_highest_gone(const struct cover *cover, enum keyring_tree tree);
static inline uint8_t *slab_key(const struct slab *slab, uint32_t slot)
{
    return slab->keys + (size_t)slot * TREE_KEY;
}

unsigned tree_levels(enum keyring_tree tree);
uint64_t tree_path(const struct keyring_leaf *leaf);
static inline unsigned tree_index(unsigned levels, uint64_t path, unsigned level)
{
    return (unsigned)(path >> (2 * (levels - 1 - level))) & 3u;
}
void tree_child(const uint8_t node[TREE_KEY], unsigned index, uint8_t out[TREE_KEY]);

/* The anchor of a leaf: its key (inside the slab) and level; SLUIS_EEXPIRED. */
SLUIS_MUST_CHECK int cover_anchor(const struct cover *cover, enum keyring_tree tree, uint64_t path,
                                  const uint8_t **key, unsigned *level);
/* Derives a leaf with no cache. */
SLUIS_MUST_CHECK int cover_leaf(const struct cover *cover, enum keyring_tree tree, uint64_t path,
                                uint8_t out[TREE_KEY]);
/* Destroys a leaf (`through`: and every one before it within the class). *changed tells whether
 * anything was still there. On SLUIS_ENOMEM or SLUIS_ELIMIT nothing was changed. */
SLUIS_MUST_CHECK int cover_puncture(struct cover *cover, const struct keyring_leaf *leaf,
                                    bool *changed);

/* The cover in depth-first order: index key, derivation key, then per tree 0 (dead), 1 and the key
 * (live), or 2 and four children; then what is known of the index key: 'L', its number (be32),
 * made (be64), and 0, or 1, when the next was made (be64) and the next key. A cover that ends before
 * 'L' is of a version that knew one index key: number 0, made at time 0. */
void cover_write(const struct cover *cover, struct buffer *out);
size_t cover_most(const struct cover *cover); /* bytes that cover_write may write, at most */
/* Refuses with SLUIS_EINVAL whatever cover_write would not have written. */
SLUIS_MUST_CHECK int cover_read(struct cover *cover, struct span text);

#endif
