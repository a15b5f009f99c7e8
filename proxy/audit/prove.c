/*
 * What the store holds beside the tree in memory and the last checkpoint that left: the rows of a
 * page, and bit by bit everything.
 *
 * A block (AUDIT_PAGE_LEAVES leaves) is read with one walk and hashed once. Blocks that nobody asks
 * for stand in a proof as they were made when their leaves were committed.
 */
#include "log.h"

#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define BLOCK_LEVEL 13    /* 2^13 = AUDIT_PAGE_LEAVES */
#define BLOCKS_HELD 2     /* the one of the row at hand, and the last one, which no node covers */
#define BLOCKS_A_TURN 32u /* 262,144 leaves: 55 ms */
_Static_assert(1u << BLOCK_LEVEL == AUDIT_PAGE_LEAVES, "a block is a subtree");

struct block { /* as the store has it now */
    uint64_t number, n;
    uint8_t node[2 * AUDIT_PAGE_LEAVES][MERKLE_HASH]; /* level 0 from AUDIT_PAGE_LEAVES on, ... */
};

struct now {
    struct store_read *read;
    uint64_t size;                 /* leaves that the log's thread has taken in */
    uint8_t (*known)[MERKLE_HASH]; /* blocks as they were committed, size / AUDIT_PAGE_LEAVES */
    struct block *held[BLOCKS_HELD];
    unsigned turn;
    bool damaged; /* a block is not what it was */
    uint64_t from, to;
};

/* ---- blocks ---- */

static int copy_hashes(void *ctx, uint64_t index, const uint8_t (*hashes)[32], size_t n)
{
    struct block *b = ctx;
    (void)index;
    for (size_t i = 0; i < n && b->n < AUDIT_PAGE_LEAVES; i++)
        memcpy(b->node[AUDIT_PAGE_LEAVES + b->n++], hashes[i], MERKLE_HASH);
    return b->n == AUDIT_PAGE_LEAVES;
}

static void damage(struct now *now, uint64_t number)
{
    if (now->damaged)
        return;
    now->damaged = true;
    now->from = number * AUDIT_PAGE_LEAVES;
    now->to = now->from + AUDIT_PAGE_LEAVES < now->size ? now->from + AUDIT_PAGE_LEAVES : now->size;
}

/* A heap: the node over i is at i / 2, the root at 1; those without all their leaves are not made.
 */
static void hash_up(struct block *b)
{
    for (uint64_t width = AUDIT_PAGE_LEAVES / 2, n = b->n / 2; width; width /= 2, n /= 2)
        for (uint64_t i = width; i < width + n; i++)
            merkle_node(b->node[2 * i], b->node[2 * i + 1], b->node[i]);
}

/* SLUIS_ECRYPTO is a row of hashes that is not there: damage as well. What could not be read says
 * nothing of the log: an error, and no reason to stop a gateway. */
static int read_block(struct now *now, uint64_t number, struct block *b)
{
    uint64_t due = now->size - number * AUDIT_PAGE_LEAVES;
    b->number = number;
    b->n = 0;
    int r = store_each_leaf_hash(now->read, number * AUDIT_PAGE_LEAVES, copy_hashes, b);
    if (r != 0 && r != SLUIS_ECRYPTO)
        return r;
    hash_up(b);
    if (b->n < (due < AUDIT_PAGE_LEAVES ? due : AUDIT_PAGE_LEAVES) ||
        (due >= AUDIT_PAGE_LEAVES && memcmp(b->node[1], now->known[number], MERKLE_HASH) != 0))
        damage(now, number);
    return 0;
}

static int hold(struct now *now, uint64_t number, struct block **out)
{
    for (unsigned i = 0; i < BLOCKS_HELD; i++)
        if (now->held[i] && now->held[i]->number == number) {
            *out = now->held[i];
            return 0;
        }
    struct block **slot = &now->held[now->turn++ % BLOCKS_HELD];
    if (!*slot && !(*slot = malloc(sizeof(**slot))))
        return SLUIS_ENOMEM;
    *out = *slot;
    (*slot)->number = UINT64_MAX; /* until it is read */
    return read_block(now, number, *slot);
}

/* ---- trees ---- */

static int node_at(struct now *now, uint64_t from, unsigned level, uint8_t out[MERKLE_HASH])
{
    struct block *b;
    uint64_t number = from / AUDIT_PAGE_LEAVES;
    if (level == BLOCK_LEVEL) {
        memcpy(out, now->known[number], MERKLE_HASH);
        return 0;
    }
    int r = hold(now, number, &b);
    if (r != 0)
        return r;
    uint64_t place = from % AUDIT_PAGE_LEAVES;
    if (place + (UINT64_C(1) << level) > b->n)
        return SLUIS_ECRYPTO; /* hashes are missing */
    memcpy(out, b->node[(AUDIT_PAGE_LEAVES + place) >> level], MERKLE_HASH);
    return 0;
}

/* merkle_source: the root over n leaves from `from` on, of the largest subtrees that there are. */
static int root_over(void *ctx, uint64_t from, uint64_t n, uint8_t out[MERKLE_HASH])
{
    struct now *now = ctx;
    struct merkle_range range;
    uint8_t hash[MERKLE_HASH];
    int r = from + n <= now->size ? 0 : SLUIS_ECRYPTO;
    merkle_range_init(&range);
    while (r == 0 && n) {
        unsigned level = BLOCK_LEVEL;
        while (from & ((UINT64_C(1) << level) - 1) || UINT64_C(1) << level > n)
            level--;
        r = node_at(now, from, level, hash);
        if (r == 0)
            r = merkle_range_add(&range, level, hash);
        from += UINT64_C(1) << level;
        n -= UINT64_C(1) << level;
    }
    merkle_range_root(&range, out);
    return r;
}

/* 0, SLUIS_ECRYPTO: another root. */
static int root_is(struct now *now, uint64_t size, const uint8_t root[MERKLE_HASH])
{
    uint8_t found[MERKLE_HASH];
    int r = root_over(now, 0, size, found);
    return r ? r : memcmp(found, root, MERKLE_HASH) ? SLUIS_ECRYPTO : 0;
}

/* Under the lock: what is read is then not older than the tree. */
static int now_begin(struct audit_log *log, struct now *now)
{
    *now = (struct now){.size = log->range.size};
    size_t blocks = log->range.size / AUDIT_PAGE_LEAVES;
    now->known = malloc((blocks + 1) * sizeof(*now->known));
    if (!now->known)
        return SLUIS_ENOMEM;
    if (blocks && !log->unchecked) /* else they are not known, and nothing is proven */
        memcpy(now->known, log->tree.block, blocks * sizeof(*now->known));
    return store_read_begin(log->store, &now->read);
}

static void now_end(struct now *now)
{
    if (now->read)
        store_read_end(now->read);
    for (unsigned i = 0; i < BLOCKS_HELD; i++)
        free(now->held[i]);
    free(now->known);
}

static void found_changed(struct audit_log *log, const char *what, uint64_t from, uint64_t to)
{
    pthread_mutex_lock(&log->lock);
    if (!log->changed)
        LOG(LOG_ALARM, "audit", "log_changed", log_word("where", what), log_u64("from", from),
            log_u64("to", to));
    log->changed = true;
    move_gate(log, false);
    pthread_mutex_unlock(&log->lock);
}

/* ---- a page ---- */

static int prove_row(struct now *now, const struct audit_proof *proof, struct audit_row *row)
{
    const struct merkle_source source = {.hash = root_over, .ctx = now};
    uint8_t path[MERKLE_LEVELS][MERKLE_HASH];
    struct block *b;
    size_t n;
    row->state = AUDIT_ROW_NOT_YET;
    if (row->index >= proof->size)
        return 0;
    int r = hold(now, row->index / AUDIT_PAGE_LEAVES, &b);
    if (r != 0)
        return r;
    uint64_t place = row->index % AUDIT_PAGE_LEAVES;
    bool same =
        place < b->n && memcmp(b->node[AUDIT_PAGE_LEAVES + place], row->hash, MERKLE_HASH) == 0;
    r = merkle_make_inclusion(&source, row->index, proof->size, path, &n);
    if (r != 0 && r != SLUIS_ECRYPTO)
        return r;
    bool in = r == 0 && merkle_check_inclusion(row->index, proof->size, row->hash, proof->root,
                                               (const uint8_t(*)[MERKLE_HASH])path, n) == 0;
    row->state = in && same ? AUDIT_ROW_PROVEN
                 : in       ? AUDIT_ROW_HASH
                 : same     ? AUDIT_ROW_TREE
                            : AUDIT_ROW_TEXT;
    return 0;
}

/* The inner nodes that the store keeps for a quick start (range.c), as they were read: those of
 * this tree, of some checkpoint. Whoever puts others there gains nothing, a start hashes then; but
 * somebody was at it. */
static int stored_nodes(struct now *now, int known, const struct merkle_range *saved,
                        struct audit_proof *proof)
{
    uint8_t root[MERKLE_HASH];
    int r = known == SLUIS_ENOENT ? 0 : known;
    if (known == 0 && saved->size) {
        merkle_range_root(saved, root);
        r = root_is(now, saved->size, root);
    }
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL) {
        proof->damage = AUDIT_DAMAGE_NODES;
        r = 0;
    }
    return r;
}

static int in_file(struct now *now, int known, const struct checkpoint *last,
                   struct audit_proof *proof)
{
    if (known == SLUIS_ENOENT || known == SLUIS_ESYS)
        return 0; /* taken away: what left is known all the same */
    int r = known == 0 && last->size ? root_is(now, last->size, last->root) : known;
    if (r == SLUIS_ECRYPTO || r == SLUIS_EDENIED)
        proof->damage = AUDIT_DAMAGE_FILE;
    return r == SLUIS_ECRYPTO || r == SLUIS_EDENIED ? 0 : r;
}

static int prove(struct now *now, struct audit_row *rows, size_t n, struct audit_proof *out)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = prove_row(now, out, &rows[i]);
    if (r == 0 && out->size) {
        r = root_is(now, out->size, out->root); /* the last block, which no node covers */
        if (r == SLUIS_ECRYPTO) {
            damage(now, out->size / AUDIT_PAGE_LEAVES);
            r = 0;
        }
    }
    return r;
}

/* Under the lock. Before anything has left: the newest that was signed. */
static void begin_proof(const struct audit_log *log, struct audit_proof *out)
{
    *out = (struct audit_proof){.outside = log->left_size > 0,
                                .waits = log->unchecked > 0,
                                .changed = log->changed,
                                .looked_size = log->looked_size,
                                .looked_ms = log->looked_ms};
    memcpy(out->origin, log->key.name, sizeof(out->origin) - 1);
    out->size = out->outside ? log->left_size : log->note.n ? log->note_size : 0;
    memcpy(out->root, out->outside ? log->left_root : log->note_root, MERKLE_HASH);
}

int audit_log_prove(struct audit_log *log, struct audit_row *rows, size_t n,
                    struct audit_proof *out)
{
    struct checkpoint last = {.size = 0};
    struct merkle_range saved = {.size = 0};
    struct now now;
    for (size_t i = 0; i < n; i++)
        rows[i].state = AUDIT_ROW_NOT_YET;
    pthread_mutex_lock(&log->lock);
    begin_proof(log, out);
    int file = log->file ? push_look(log->file, &log->chain, &last) : SLUIS_ENOENT;
    int nodes = log->nodes_changed ? SLUIS_ECRYPTO : range_load(log->store, &saved);
    int r = now_begin(log, &now);
    pthread_mutex_unlock(&log->lock);
    if (r == 0 && !out->waits)
        r = prove(&now, rows, n, out);
    if (r == 0 && now.damaged) {
        found_changed(log, "hashes", now.from, now.to);
        out->damage = AUDIT_DAMAGE_HASHES;
        out->from = now.from;
        out->to = now.to;
        out->changed = true;
    } else if (r == 0 && !out->waits) {
        r = stored_nodes(&now, nodes, &saved, out);
        if (r == 0)
            r = in_file(&now, file, &last, out);
    }
    now_end(&now);
    return r;
}

bool audit_log_changed(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool changed = log->changed;
    pthread_mutex_unlock(&log->lock);
    return changed;
}

/* ---- everything, some of it each turn ---- */

void look_on(struct audit_log *log)
{
    uint8_t root[MERKLE_HASH];
    struct now now;
    struct block *b;
    pthread_mutex_lock(&log->lock);
    bool skip = log->unchecked || log->changed || log->range.size == 0;
    merkle_range_root(&log->range, root);
    int r = skip ? 0 : now_begin(log, &now);
    pthread_mutex_unlock(&log->lock);
    if (skip)
        return;
    uint64_t blocks = now.size / AUDIT_PAGE_LEAVES, last = log->look_next + BLOCKS_A_TURN;
    for (uint64_t i = log->look_next; r == 0 && i < blocks && i < last; i++)
        r = hold(&now, i, &b);
    if (r == 0 && last >= blocks) {
        r = root_is(&now, now.size, root);
        if (r == SLUIS_ECRYPTO) {
            damage(&now, blocks);
            r = 0;
        }
    }
    if (r == 0 && now.damaged)
        found_changed(log, "hashes", now.from, now.to);
    else if (r != 0)
        LOG(LOG_ERROR, "audit", "log_not_checked", log_error(r));
    pthread_mutex_lock(&log->lock);
    log->look_next = r != 0 ? log->look_next : last < blocks ? last : 0;
    if (r == 0 && !now.damaged && last >= blocks) {
        log->looked_size = now.size;
        log->looked_ms = clock_wall_ms();
    }
    pthread_mutex_unlock(&log->lock);
    now_end(&now);
}
