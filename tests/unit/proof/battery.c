/*
 * The mutation battery: an export of 200 leaves, and everything that a forger could do to it, with
 * and without the log's key. Every mutant must be refused, and where a leaf is meant the finding
 * must name it, or a stretch between two kept checkpoints that begins before it. The unaltered
 * exports pass.
 *
 * Every byte is changed and cut at; with SLUIS_BATTERY_STEP=n every nth.
 *
 * Built three times: as it is, and twice against a verifier weakened at link time (signatures
 * always good; every tree has the root that is asked for): those must fail, or the battery sees
 * nothing.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/proof.h"

#define LEAVES 200
#define LINES_MAX (2 * LEAVES + 64)
#define TEXT_MAX (1u << 20)
#define MISSED_ENOUGH 100
#define EVERY UINT64_MAX /* no place is asked for */

static const uint8_t seed[NOTE_SEED] = {1, 2, 3}, other_seed[NOTE_SEED] = {9};
static struct note_key key, other_key;
static unsigned long tried, missed, misplaced;

static void must(int r)
{
    if (r != 0) {
        fprintf(stderr, "the battery itself failed: %d\n", r);
        exit(2);
    }
}

/* ---- the two weakened verifiers ---- */

int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long n, const unsigned char *pk);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long n, const unsigned char *pk)
{
    (void)sig;
    (void)m;
    (void)n;
    (void)pk;
    return 0;
}

static uint8_t weak_root[MERKLE_HASH];
void __wrap_merkle_range_root(const struct merkle_range *range, uint8_t out[MERKLE_HASH]);
void __wrap_merkle_range_root(const struct merkle_range *range, uint8_t out[MERKLE_HASH])
{
    (void)range;
    memcpy(out, weak_root, MERKLE_HASH);
}

/* ---- a log and its exports ---- */

struct log {
    char leaf[2 * LEAVES][400];
    unsigned n;
};

static void log_make(struct log *log)
{
    log->n = LEAVES;
    for (unsigned i = 0; i < LEAVES; i++)
        snprintf(log->leaf[i], sizeof(log->leaf[i]),
                 "{\"action\":\"%s\",\"actor\":\"gateway\",\"object\":%u,\"outcome\":\"delivered\","
                 "\"salt\":\"c2FsdCBvZiBsZWFm%06u\",\"time\":\"2026-11-21T22:%02u:%02u.000Z\","
                 "\"v\":1}",
                 i % 3 ? "deliver" : "send", i + 1, i, i / 60, i % 60);
}

static struct span leaf_of(const struct log *log, unsigned i)
{
    return span_str(log->leaf[i]);
}

static void note_of(const struct log *log, unsigned size, const struct note_key *k,
                    const uint8_t *s, struct buffer *out)
{
    struct merkle_range range;
    struct checkpoint c = {.size = size,
                           .extension = SPAN("time 2026-11-21T22:30:05.123Z clock synchronised\n")};
    struct buffer text;
    uint8_t hash[MERKLE_HASH];
    merkle_range_init(&range);
    for (unsigned i = 0; i < size; i++) {
        merkle_leaf(leaf_of(log, i), hash);
        must(merkle_range_add(&range, 0, hash));
    }
    merkle_range_root(&range, c.root);
    memcpy(c.origin, k->name, sizeof(c.origin));
    buffer_init(&text, TEXT_MAX);
    must(checkpoint_write(&c, &text));
    must(note_sign(k, s, buffer_span(&text), out));
    buffer_free(&text);
}

struct making {
    const struct note_key *key;
    const uint8_t *seed;
    unsigned page; /* leaves a page */
    bool filtered; /* shows what is no multiple of 3 */
};

static void export_of(const struct log *log, const struct making *m, struct buffer *out)
{
    struct buffer note, escaped;
    struct export_writer w;
    uint8_t hash[MERKLE_HASH];
    buffer_init(&note, TEXT_MAX);
    buffer_init(&escaped, TEXT_MAX);
    note_of(log, log->n, m->key, m->seed, &note);
    export_note_write(buffer_span(&note), &escaped);
    export_line_write(
        &(struct export_line){.kind = EXPORT_CHECKPOINT, .text = buffer_span(&escaped)}, out);
    for (unsigned from = 0; from < log->n; from += m->page) {
        unsigned to = from + m->page < log->n ? from + m->page : log->n;
        export_page_begin(&w, out, from, to, log->n,
                          m->filtered ? SPAN("{\"action\":\"deliver\"}") : SPAN("{}"));
        for (unsigned i = from; i < to; i++) {
            if (i == 50 || i == 120)
                export_page_cut(&w);
            merkle_leaf(leaf_of(log, i), hash);
            if (m->filtered && i % 3 == 0)
                export_page_skip(&w, hash);
            else
                export_page_leaf(&w, leaf_of(log, i), hash);
        }
        must(export_page_end(&w, m->key, m->seed));
    }
    must(out->error);
    buffer_free(&note);
    buffer_free(&escaped);
}

/* ---- the verifier ---- */

static struct buffer earlier[3]; /* what the auditor kept: 50, 120 and 200 leaves */

static int verify(struct span text, const struct note_key *k, unsigned earlier_count,
                  struct export_report *report, struct export_finding *f)
{
    struct export_check *check;
    memset(f, 0, sizeof(*f));
    must(export_check_new(k, &check));
    int r = 0;
    for (unsigned i = 0; r == 0 && i < earlier_count; i++)
        r = export_check_earlier(check, buffer_span(&earlier[i]), f);
    while (r == 0 && text.n) {
        size_t n = span_find(text, '\n');
        r = export_check_line(check, n == text.n ? SPAN_EMPTY : span_sub(text, 0, n), f);
        text = span_from(text, n + 1);
    }
    if (r == 0)
        r = export_check_end(check, report, f);
    export_check_free(check);
    return r;
}

static void end(void)
{
    printf("%lu mutants, %lu missed, %lu without their place\n", tried, missed, misplaced);
    exit(missed || misplaced ? 1 : 0);
}

/* `leaf`: the first one that was touched; the finding may begin earlier, never later. */
static void refused_with(const char *what, struct span text, const struct note_key *k,
                         unsigned earlier_count, uint64_t leaf)
{
    struct export_report report;
    struct export_finding f;
    tried++;
    if (verify(text, k, earlier_count, &report, &f) == 0) {
        if (missed++ < 5)
            printf("missed: %s, leaf %lld\n", what, (long long)leaf);
        if (missed == MISSED_ENOUGH)
            end();
    } else if (!f.text[0] || (leaf != EVERY && (!f.has_index || f.index > leaf))) {
        if (misplaced++ < 5)
            printf("misplaced: %s, leaf %lld: %s\n", what, (long long)leaf, f.text);
    }
}

static void refused(const char *what, struct span text, uint64_t leaf)
{
    refused_with(what, text, &key, 3, leaf);
}

static void passes(const char *what, struct span text, unsigned shown)
{
    struct export_report report;
    struct export_finding f;
    for (unsigned n = 0; n <= 3; n++) {
        if (verify(text, &key, n, &report, &f) != 0 || report.shown != shown ||
            report.shown + report.skipped != LEAVES || report.earlier != n) {
            printf("%s: not accepted: %s\n", what, f.text);
            exit(1);
        }
    }
}

/* ---- lines ---- */

struct lines {
    struct span line[LINES_MAX]; /* with line ends */
    unsigned n;
};

static void lines_of(struct span text, struct lines *out)
{
    for (out->n = 0; text.n; out->n++) {
        size_t end = span_find(text, '\n') + 1;
        out->line[out->n] = span_sub(text, 0, end);
        text = span_from(text, end);
    }
}

static void joined(const struct lines *lines, struct buffer *out)
{
    buffer_clear(out);
    for (unsigned i = 0; i < lines->n; i++)
        buffer_add(out, lines->line[i]);
}

/* The leaf of a line, or of the next one that has any. */
static uint64_t leaf_at(const struct lines *lines, unsigned i)
{
    struct export_line line;
    for (; i < lines->n; i++) {
        struct span text = span_sub(lines->line[i], 0, lines->line[i].n - 1);
        if (export_line_read(text, &line) == 0 &&
            (line.kind == EXPORT_LEAF || line.kind == EXPORT_SKIP))
            return line.index;
    }
    return LEAVES;
}

/* ---- what a forger without the key can do ---- */

static void bytes(struct buffer *text, bool cuts)
{
    const char *given = getenv("SLUIS_BATTERY_STEP");
    const size_t step = given ? strtoul(given, NULL, 10) : 1;
    for (size_t i = 0; i < text->n; i += step ? step : 1) {
        char kept = text->p[i];
        text->p[i] = (char)(kept ^ 1 << (i * 5 + i / 8) % 8);
        refused_with("a bit", buffer_span(text), &key, 0, EVERY);
        text->p[i] = kept;
        if (cuts)
            refused_with("cut off", span_sub(buffer_span(text), 0, i), &key, 0, EVERY);
    }
}

static void line_edits(struct span text)
{
    struct lines whole, edited;
    struct buffer out;
    buffer_init(&out, TEXT_MAX);
    lines_of(text, &whole);
    for (unsigned i = 0; i < whole.n; i++) {
        uint64_t leaf = i > 1 ? leaf_at(&whole, i) : EVERY;
        edited = whole;
        memmove(edited.line + i, edited.line + i + 1, (whole.n - i - 1) * sizeof(struct span));
        edited.n--;
        joined(&edited, &out);
        refused("a line removed", buffer_span(&out), leaf);
        edited = whole;
        memmove(edited.line + i + 1, edited.line + i, (whole.n - i) * sizeof(struct span));
        edited.n++;
        joined(&edited, &out);
        refused("a line twice", buffer_span(&out), EVERY);
        for (unsigned k = 1; k <= 37 && i + k < whole.n; k += 9) {
            edited = whole;
            edited.line[i] = whole.line[i + k];
            edited.line[i + k] = whole.line[i];
            joined(&edited, &out);
            refused("two lines exchanged", buffer_span(&out), leaf);
        }
    }
    buffer_free(&out);
}

/* A leaf with other words and the hash to match, or left out by its hash, in the signed pages. */
static void leaf_edits(const struct log *log, struct span text)
{
    struct lines whole, edited;
    struct buffer out, line;
    struct export_line parsed;
    buffer_init(&out, TEXT_MAX);
    buffer_init(&line, TEXT_MAX);
    lines_of(text, &whole);
    for (unsigned i = 0; i < whole.n; i++) {
        must(export_line_read(span_sub(whole.line[i], 0, whole.line[i].n - 1), &parsed));
        if (parsed.kind != EXPORT_LEAF)
            continue;
        char changed[400];
        memcpy(changed, log->leaf[parsed.index], sizeof(changed));
        changed[12] ^= 1;
        parsed.text = span_str(changed);
        for (int hash = 0; hash < 2; hash++) {
            if (hash)
                merkle_leaf(parsed.text, parsed.hash);
            buffer_clear(&line);
            export_line_write(&parsed, &line);
            edited = whole;
            edited.line[i] = buffer_span(&line);
            joined(&edited, &out);
            refused("a leaf changed", buffer_span(&out), parsed.index);
        }
        merkle_leaf(leaf_of(log, (unsigned)parsed.index), parsed.hash);
        parsed.kind = EXPORT_SKIP;
        buffer_clear(&line);
        export_line_write(&parsed, &line);
        edited = whole;
        edited.line[i] = buffer_span(&line);
        joined(&edited, &out);
        refused("a leaf hidden", buffer_span(&out), parsed.index);
    }
    buffer_free(&out);
    buffer_free(&line);
}

/* ---- what a forger with the key can do: the log made anew, every signature good ---- */

static void forged(const char *what, const struct log *log, const struct making *m, unsigned leaf)
{
    struct buffer out;
    buffer_init(&out, TEXT_MAX);
    export_of(log, m, &out);
    refused(what, buffer_span(&out), leaf);
    buffer_free(&out);
}

static void forgeries(const struct log *log, const struct making *m)
{
    static struct log other;
    for (unsigned i = 0; i < LEAVES; i++) {
        other = *log;
        other.leaf[i][12] ^= 1;
        forged("forged: a leaf changed", &other, m, i);
        other = *log;
        memmove(other.leaf[i], other.leaf[i + 1], (LEAVES - 1 - i) * sizeof(other.leaf[0]));
        other.n--;
        forged("forged: a leaf removed", &other, m, i < LEAVES - 1 ? i : LEAVES - 1);
        other = *log;
        memmove(other.leaf[i + 1], other.leaf[i], (LEAVES - i) * sizeof(other.leaf[0]));
        other.n++;
        if (i + 1 < LEAVES) /* the last one twice is a log that grew */
            forged("forged: a leaf twice", &other, m, i + 1);
        if (i + 1 < LEAVES) {
            other = *log;
            memcpy(other.leaf[i], log->leaf[i + 1], sizeof(other.leaf[0]));
            memcpy(other.leaf[i + 1], log->leaf[i], sizeof(other.leaf[0]));
            forged("forged: two leaves exchanged", &other, m, i);
        }
        other = *log;
        other.n = i;
        if (i > 0)
            forged("forged: cut off", &other, m, i);
    }
    /* A leaf that is an inner node's text: two hashes and no words. */
    struct making whole = *m;
    other = *log;
    snprintf(other.leaf[0], sizeof(other.leaf[0]), "{}");
    forged("forged: an empty leaf", &other, &whole, 0);
}

/* ---- keys, signatures, checkpoints ---- */

static void signatures(const struct log *log, struct span text)
{
    struct buffer out, kept = earlier[1];
    struct making foreign = {.key = &other_key, .seed = other_seed, .page = 64};
    struct lines mine, theirs;
    static struct log other;
    refused_with("another key", text, &other_key, 0, EVERY);
    buffer_init(&out, TEXT_MAX);
    export_of(log, &foreign, &out);
    refused_with("signed by another key", buffer_span(&out), &key, 0, EVERY);
    /* The same name and id, another secret: the signature must fail, not the look-up. */
    struct note_key alike = key;
    struct making mixed = {.key = &alike, .seed = other_seed, .page = 64};
    buffer_clear(&out);
    export_of(log, &mixed, &out);
    refused_with("a wrong signature", buffer_span(&out), &key, 0, EVERY);
    /* Each line of ours exchanged for that of the other signer. */
    lines_of(text, &mine);
    lines_of(buffer_span(&out), &theirs);
    struct buffer joint;
    buffer_init(&joint, TEXT_MAX);
    for (unsigned i = 0; i < mine.n && i < theirs.n; i++) {
        if (span_eq(mine.line[i], theirs.line[i]))
            continue;
        struct lines edited = mine;
        edited.line[i] = theirs.line[i];
        joined(&edited, &joint);
        refused_with("one signature of another", buffer_span(&joint), &key, 0, EVERY);
    }
    /* Earlier checkpoints: of another log under the same key, altered, of a longer log. */
    buffer_init(&earlier[1], TEXT_MAX);
    for (unsigned i = 0; i < 120; i++) {
        other = *log;
        other.leaf[i][12] ^= 1;
        buffer_clear(&earlier[1]);
        note_of(&other, 120, &key, seed, &earlier[1]);
        refused("an earlier checkpoint of another log", text, i < 50 ? 50 : i);
    }
    for (size_t i = 0; i < kept.n; i++) {
        buffer_clear(&earlier[1]);
        buffer_add(&earlier[1], buffer_span(&kept));
        earlier[1].p[i] ^= 2;
        refused("an earlier checkpoint altered", text, EVERY);
    }
    other = *log;
    snprintf(other.leaf[LEAVES], sizeof(other.leaf[0]), "{}");
    buffer_clear(&earlier[1]);
    note_of(&other, LEAVES + 1, &key, seed, &earlier[1]);
    refused("an earlier checkpoint of a longer log", text, LEAVES);
    buffer_free(&earlier[1]);
    earlier[1] = kept;
    buffer_free(&joint);
    buffer_free(&out);
}

int main(void)
{
    static struct log log;
    struct buffer whole, filtered;
    struct making m = {.key = &key, .seed = seed, .page = 64};
    struct making f = m;
    f.filtered = true;
    if (sodium_init() < 0)
        return 2;
    must(note_key_of_seed(SPAN("sluis/battery"), seed, &key));
    must(note_key_of_seed(SPAN("sluis/battery"), other_seed, &other_key));
    log_make(&log);
    static const unsigned sizes[3] = {50, 120, LEAVES};
    for (unsigned i = 0; i < 3; i++) {
        buffer_init(&earlier[i], TEXT_MAX);
        note_of(&log, sizes[i], &key, seed, &earlier[i]);
    }
    buffer_init(&whole, TEXT_MAX);
    buffer_init(&filtered, TEXT_MAX);
    export_of(&log, &m, &whole);
    export_of(&log, &f, &filtered);
    passes("the whole export", buffer_span(&whole), LEAVES);
    passes("the filtered export", buffer_span(&filtered), LEAVES - (LEAVES + 2) / 3);
    leaf_edits(&log, buffer_span(&whole));
    leaf_edits(&log, buffer_span(&filtered));
    forgeries(&log, &m);
    forgeries(&log, &f);
    signatures(&log, buffer_span(&whole));
    signatures(&log, buffer_span(&filtered));
    bytes(&whole, true);
    bytes(&filtered, false);
    line_edits(buffer_span(&whole));
    line_edits(buffer_span(&filtered));
    for (unsigned i = 0; i < 3; i++)
        buffer_free(&earlier[i]);
    buffer_free(&whole);
    buffer_free(&filtered);
    end();
}
