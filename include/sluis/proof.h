/*
 * Proofs about the access log: the Merkle tree, signed checkpoints, and the form of an export.
 * Pure: no store, no clock, no files; `sluis-verify` links this room and base, nothing else of
 * ours.
 *
 * Sources: RFC 6962 section 2.1 (leaf and node hashes, tree head), RFC 9162 sections 2.1.3
 * and 2.1.4 (verification of proofs), C2SP signed-note and tlog-checkpoint.
 *
 * Glossary
 *   leaf hash   SHA-256(0x00 || leaf); node hash SHA-256(0x01 || left || right)
 *   subtree     2^level leaves that begin at a multiple of 2^level
 *   range       roots of the largest subtrees that make up the first `size` leaves ("compact
 * range"): all that is needed to go on, at most 64 hashes note        a text and the lines of those
 * who signed it checkpoint  a note that says: the log `origin` has `size` leaves and this root
 *
 * Threads: any; nothing is shared.
 */
#ifndef SLUIS_PROOF_H
#define SLUIS_PROOF_H

#include "sluis/base/buffer.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"

/* ---- the tree ---- */

#define MERKLE_HASH 32
#define MERKLE_LEVELS 64 /* sizes are 64-bit */

void merkle_leaf(struct span leaf, uint8_t out[MERKLE_HASH]);
void merkle_node(const uint8_t left[MERKLE_HASH], const uint8_t right[MERKLE_HASH],
                 uint8_t out[MERKLE_HASH]);

struct merkle_range {
    uint64_t size;
    unsigned count;                           /* one for each bit set in `size` */
    uint8_t node[MERKLE_LEVELS][MERKLE_HASH]; /* largest subtree first */
};
void merkle_range_init(struct merkle_range *range);
/* Appends a subtree of 2^level leaves (level 0: a leaf hash). SLUIS_EINVAL: it cannot begin at this
 * size, or the size overflows; nothing changed. */
SLUIS_MUST_CHECK int merkle_range_add(struct merkle_range *range, unsigned level,
                                      const uint8_t hash[MERKLE_HASH]);
void merkle_range_root(const struct merkle_range *range, uint8_t out[MERKLE_HASH]);

/* Verification: 0 when the proof holds, else SLUIS_ECRYPTO. */
SLUIS_MUST_CHECK int merkle_check_inclusion(uint64_t index, uint64_t size,
                                            const uint8_t leaf[MERKLE_HASH],
                                            const uint8_t root[MERKLE_HASH],
                                            const uint8_t (*proof)[MERKLE_HASH], size_t n);
/* From a tree of `first` leaves to one of `second`. A proof from the empty tree says nothing and
 * does not hold. */
SLUIS_MUST_CHECK int merkle_check_consistency(uint64_t first, uint64_t second,
                                              const uint8_t first_root[MERKLE_HASH],
                                              const uint8_t second_root[MERKLE_HASH],
                                              const uint8_t (*proof)[MERKLE_HASH], size_t n);

/* Making: `hash` gives the root over leaves from .. from + n - 1 (n > 0); non-zero ends with that.
 */
struct merkle_source {
    int (*hash)(void *ctx, uint64_t from, uint64_t n, uint8_t out[MERKLE_HASH]);
    void *ctx;
};
SLUIS_MUST_CHECK int merkle_make_inclusion(const struct merkle_source *source, uint64_t index,
                                           uint64_t size, uint8_t proof[MERKLE_LEVELS][MERKLE_HASH],
                                           size_t *n);
SLUIS_MUST_CHECK int merkle_make_consistency(const struct merkle_source *source, uint64_t first,
                                             uint64_t second,
                                             uint8_t proof[MERKLE_LEVELS + 1][MERKLE_HASH],
                                             size_t *n);

/* ---- signed notes ---- */

#define NOTE_NAME_MAX 128    /* bytes of a key's name, and of an origin */
#define NOTE_MAX (16 * 1024) /* bytes of a note */
#define NOTE_SIGNATURES_MAX 16
#define NOTE_SEED 32
#define NOTE_KEY_TEXT_MAX (NOTE_NAME_MAX + 64)

/* A verifier key: Ed25519. Names are printable ASCII without space, '+', '"' and '\'. */
struct note_key {
    char name[NOTE_NAME_MAX + 1];
    uint8_t id[4];
    uint8_t public_key[32];
};
/* SLUIS_EINVAL: not a name. */
SLUIS_MUST_CHECK int note_key_make(struct span name, const uint8_t public_key[32],
                                   struct note_key *out);
SLUIS_MUST_CHECK int note_key_of_seed(struct span name, const uint8_t seed[NOTE_SEED],
                                      struct note_key *out);
/* "name+id+key", as auditors keep it: id in hex, key in base64; one line end is allowed behind it.
 */
SLUIS_MUST_CHECK int note_key_read(struct span text, struct note_key *out);
void note_key_write(const struct note_key *key, struct buffer *out);
/* SHA-256 of the public key in hex, for reading aloud. */
void note_key_fingerprint(const struct note_key *key, char out[65]);

/* Appends the note; `text` ends in a line end. SLUIS_EINVAL (not a text for a note), SLUIS_ENOMEM.
 */
SLUIS_MUST_CHECK int note_sign(const struct note_key *key, const uint8_t seed[NOTE_SEED],
                               struct span text, struct buffer *out);
/* Appends one more signature line of the same text. */
SLUIS_MUST_CHECK int note_cosign(const struct note_key *key, const uint8_t seed[NOTE_SEED],
                                 struct span text, struct buffer *out);
/* The text of a note that `key` signed. SLUIS_EINVAL (not a note), SLUIS_ENOENT (not signed by this
 * key; other signatures are ignored), SLUIS_ECRYPTO (the signature does not hold). */
SLUIS_MUST_CHECK int note_open(struct span note, const struct note_key *key, struct span *text);
/* The next of several notes, each followed by an empty line; moves `rest` behind it. SLUIS_ENOENT:
 * no more; SLUIS_EINVAL: what is left holds no whole note. */
SLUIS_MUST_CHECK int note_next(struct span *rest, struct span *note);

struct checkpoint {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    uint8_t root[MERKLE_HASH];
    struct span extension; /* further lines, each with its line end; may be empty */
};
/* Appends the text of a note; `extension` as above. */
SLUIS_MUST_CHECK int checkpoint_write(const struct checkpoint *checkpoint, struct buffer *out);
SLUIS_MUST_CHECK int checkpoint_read(struct span text, struct checkpoint *out);
/* note_open and checkpoint_read, and the origin must be the key's name (else SLUIS_EINVAL). */
SLUIS_MUST_CHECK int checkpoint_open(struct span note, const struct note_key *key,
                                     struct checkpoint *out);

/* ---- one key after another ---- */
/*
 * A log's key can be replaced. The change is a note signed by both keys:
 *
 *   sluis/log-key-change/v1
 *   SIZE                     leaves that the old key vouches for,
 *   ROOT                     and the root of their tree
 *   OLD KEY
 *   NEW KEY
 *
 * The old key speaks for trees up to SIZE, the new one for larger ones. So whoever comes to hold a
 * later key cannot sign an earlier part of the log anew, and who keeps the first key needs no other.
 */
struct key_change {
    uint64_t size;
    uint8_t root[MERKLE_HASH];
    struct note_key old_key, new_key; /* of the same name */
};
SLUIS_MUST_CHECK int key_change_sign(const struct key_change *change,
                                     const uint8_t old_seed[NOTE_SEED],
                                     const uint8_t new_seed[NOTE_SEED], struct buffer *note);
bool key_change_is(struct span note); /* by its first line */
/* SLUIS_EINVAL (not one), SLUIS_ENOENT and SLUIS_ECRYPTO as of note_open, of either key. */
SLUIS_MUST_CHECK int key_change_read(struct span note, struct key_change *out);

#define KEY_CHAIN_MAX 64 /* keys of one log: a year each is more than its retention */
struct key_chain {
    struct key_link {
        struct note_key key;
        uint64_t until;            /* largest tree it speaks for */
        uint8_t root[MERKLE_HASH]; /* of that tree; not of the last link */
    } link[KEY_CHAIN_MAX];
    unsigned count;
    bool from_known; /* the first key here had one before it */
    uint64_t from;
    uint8_t from_root[MERKLE_HASH];
};
void key_chain_init(struct key_chain *chain, const struct note_key *key);
/* In the order of the log; one that is known already changes nothing. SLUIS_ENOENT: it is about keys
 * before the first one here; SLUIS_ECRYPTO: it contradicts what is known, or follows no key of the
 * chain; SLUIS_ELIMIT. */
SLUIS_MUST_CHECK int key_chain_add(struct key_chain *chain, const struct key_change *change);
const struct note_key *key_chain_last(const struct key_chain *chain);
/* A checkpoint that a key of the chain signed, of a size it speaks for. As checkpoint_open;
 * SLUIS_EDENIED: of another size. */
SLUIS_MUST_CHECK int key_chain_open(const struct key_chain *chain, struct span note,
                                    struct checkpoint *out);

/* ---- exports ---- */
/*
 * Lines, each ending in a line end, spelled exactly so:
 *
 *   {"key_change":"NOTE"}                       first, one for each key that was replaced, in order
 *   {"checkpoint":"NOTE"}                       once; line ends in NOTE as \n
 *   {"page":FROM,"to":TO,"size":SIZE,"filter":OBJECT}
 *   {"index":I,"hash":"BASE64","leaf":LEAF}     a leaf, as it stands in the log
 *   {"skip":I,"level":K,"hash":"BASE64"}        2^K leaves from I on that the filter left out: the
 *                                               root of their subtree
 *   {"pruned":I,"level":K,"hash":"BASE64"}      the same for leaves past the log's own retention: only
 *                                               their hashes are left, filter or not
 *   {"signed":"NOTE"}                           ends the page; text of the note: "ORIGIN/export",
 * line end, base64 of the SHA-256 of the page's lines before this one (line ends included), line
 * end
 *
 * Pages follow each other from 0 to the checkpoint's size. Leaves and skipped subtrees together
 * make the tree, so every leaf shown is proven to be in it, and no byte of the file is free to
 * change: pages are signed, leaves are under the root.
 */
#define EXPORT_LINE_MAX (64 * 1024)
#define EXPORT_FILTER_MAX 2048
#define EXPORT_FILTER_NONE "{}"

enum export_kind {
    EXPORT_CHECKPOINT,
    EXPORT_PAGE,
    EXPORT_LEAF,
    EXPORT_SKIP,
    EXPORT_SIGNED,
    EXPORT_KEY_CHANGE,
    EXPORT_PRUNED
};
struct export_line {
    enum export_kind kind;
    uint64_t index, to, size; /* page: from, to, size; leaf, skip: index */
    unsigned level;
    uint8_t hash[MERKLE_HASH];
    struct span text; /* note as written, filter or leaf */
};
/* One line without its line end; spans point into it. SLUIS_EINVAL. */
SLUIS_MUST_CHECK int export_line_read(struct span line, struct export_line *out);
void export_line_write(const struct export_line *line, struct buffer *out); /* with line end */
/* The note in `text` of a line: its \n made line ends. SLUIS_EINVAL: any other escape. */
SLUIS_MUST_CHECK int export_note_read(struct span text, struct buffer *out);
void export_note_write(struct span note, struct buffer *out);
/* Appends the line that ends a page; `page`: its lines so far, line ends included. */
SLUIS_MUST_CHECK int export_page_sign(const struct note_key *key, const uint8_t seed[NOTE_SEED],
                                      struct span page, struct buffer *out);

/* What a run of leaves that are not shown comes down to: the fewest subtrees. */
struct export_gap {
    bool pruned; /* nobody can read them any more; else the filter left them out */
    uint64_t from, n;
    unsigned count;
    uint8_t level[2 * MERKLE_LEVELS];
    uint8_t node[2 * MERKLE_LEVELS][MERKLE_HASH];
};
void export_gap_init(struct export_gap *gap, uint64_t from);
void export_gap_add(struct export_gap *gap, const uint8_t hash[MERKLE_HASH]);
/* Appends its lines and begins anew behind it. */
void export_gap_flush(struct export_gap *gap, struct buffer *out);

/* A page, written leaf by leaf in order: shown, or skipped by its hash. At a cut no subtree reaches
 * over: put one at the size of each earlier checkpoint that the reader will compare with. */
struct export_writer {
    struct buffer *out;
    size_t start; /* of the page in `out` */
    struct export_gap gap;
};
void export_page_begin(struct export_writer *w, struct buffer *out, uint64_t from, uint64_t to,
                       uint64_t size, struct span filter);
void export_page_leaf(struct export_writer *w, struct span leaf, const uint8_t hash[MERKLE_HASH]);
void export_page_skip(struct export_writer *w, const uint8_t hash[MERKLE_HASH]);
void export_page_pruned(struct export_writer *w, const uint8_t hash[MERKLE_HASH]);
void export_page_cut(struct export_writer *w);
SLUIS_MUST_CHECK int export_page_end(struct export_writer *w, const struct note_key *key,
                                     const uint8_t seed[NOTE_SEED]);

/* ---- verification of an export ---- */

struct export_check;
struct export_finding {
    uint64_t line;  /* of the export, from 1; 0: none */
    bool has_index; /* first leaf that is in doubt */
    uint64_t index;
    char text[256]; /* one sentence, no line end */
};
struct export_report {
    uint64_t size;           /* leaves of the tree */
    uint64_t shown;          /* leaves in the export */
    uint64_t skipped;        /* leaves that the filter left out: under hashes only */
    uint64_t pruned;         /* leaves past the log's own retention: likewise */
    uint64_t pages, earlier; /* earlier checkpoints that agree */
    bool filtered;
    uint8_t root[MERKLE_HASH];
    unsigned keys;   /* that signed the log, one after another */
    char state[128]; /* the checkpoint's first extension line */
};
SLUIS_MUST_CHECK int export_check_new(const struct note_key *key, struct export_check **out);
void export_check_free(struct export_check *check);
/* An earlier checkpoint that the auditor holds, or a change of keys among them: before the
 * checkpoint of the export, and behind its key changes (export_check_line). SLUIS_ECRYPTO with a
 * finding when it is not one of this log. */
SLUIS_MUST_CHECK int export_check_earlier(struct export_check *check, struct span note,
                                          struct export_finding *finding);
/* Line by line, without line ends; then the end. 0, or SLUIS_ECRYPTO with a finding (no call may
 * follow), SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int export_check_line(struct export_check *check, struct span line,
                                       struct export_finding *finding);
SLUIS_MUST_CHECK int export_check_end(struct export_check *check, struct export_report *report,
                                      struct export_finding *finding);

#endif
