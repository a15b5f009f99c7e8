/*
 * Figures of the tree at many leaves: bench-proof [LEAVES], 10 million unless said. Build the
 * target bench-proof with the release preset.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/proof.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t (*hashes)[MERKLE_HASH];

static int subtree(void *ctx, uint64_t from, uint64_t n, uint8_t out[MERKLE_HASH])
{
    struct merkle_range range;
    (void)ctx;
    merkle_range_init(&range);
    for (uint64_t i = 0; i < n; i++)
        if (merkle_range_add(&range, 0, hashes[from + i]) != 0)
            return SLUIS_EINVAL;
    merkle_range_root(&range, out);
    return 0;
}

/* An export of `size` leaves that shows one in `every`. */
static void export(uint64_t size, uint64_t every)
{
    static const uint8_t seed[NOTE_SEED] = {1};
    struct note_key key;
    struct merkle_range range;
    struct checkpoint head = {.size = size};
    struct buffer text, note, escaped, page;
    struct export_writer w;
    struct export_check *check;
    struct export_finding f = {.text = ""};
    struct export_report report;
    char leaf[400];
    uint8_t hash[MERKLE_HASH];
    size_t bytes = 0;
    double spent = 0, begin;
    int r = note_key_of_seed(SPAN("sluis/bench"), seed, &key);
    buffer_init(&text, NOTE_MAX);
    buffer_init(&note, NOTE_MAX);
    buffer_init(&escaped, NOTE_MAX);
    buffer_init(&page, 64u << 20);
    merkle_range_init(&range);
    for (uint64_t i = 0; i < size; i++) {
        int n = snprintf(leaf, sizeof(leaf), "{\"action\":\"deliver\",%0300llu}",
                         (unsigned long long)i);
        merkle_leaf(span_of(leaf, (size_t)n), hash);
        r = r ? r : merkle_range_add(&range, 0, hash);
    }
    memcpy(head.origin, key.name, sizeof(head.origin));
    merkle_range_root(&range, head.root);
    r = r ? r : checkpoint_write(&head, &text);
    r = r ? r : note_sign(&key, seed, buffer_span(&text), &note);
    export_note_write(buffer_span(&note), &escaped);
    export_line_write(
        &(struct export_line){.kind = EXPORT_CHECKPOINT, .text = buffer_span(&escaped)}, &page);
    r = r ? r : export_check_new(&key, &check);
    for (uint64_t from = 0; r == 0 && from < size; from += 8192) {
        uint64_t to = from + 8192 < size ? from + 8192 : size;
        export_page_begin(&w, &page, from, to, size, every > 1 ? SPAN("{\"a\":1}") : SPAN("{}"));
        for (uint64_t i = from; i < to; i++) {
            int n = snprintf(leaf, sizeof(leaf), "{\"action\":\"deliver\",%0300llu}",
                             (unsigned long long)i);
            merkle_leaf(span_of(leaf, (size_t)n), hash);
            if (i % every == 0)
                export_page_leaf(&w, span_of(leaf, (size_t)n), hash);
            else
                export_page_skip(&w, hash);
        }
        r = export_page_end(&w, &key, seed);
        bytes += page.n;
        begin = now();
        struct span rest = buffer_span(&page);
        while (r == 0 && rest.n) {
            size_t n = span_find(rest, '\n');
            r = export_check_line(check, span_sub(rest, 0, n), &f);
            rest = span_from(rest, n + 1);
        }
        spent += now() - begin;
        buffer_clear(&page);
    }
    begin = now();
    r = r ? r : export_check_end(check, &report, &f);
    spent += now() - begin;
    if (r != 0) {
        printf("failed: %d %s\n", r, f.text);
        exit(1);
    }
    printf("export of %llu leaves, 1 in %llu shown: %.1f MB, verified in %.2f s (%.0f leaves/s)\n",
           (unsigned long long)size, (unsigned long long)every, (double)bytes / 1e6, spent,
           (double)size / spent);
    export_check_free(check);
    buffer_free(&text);
    buffer_free(&note);
    buffer_free(&escaped);
    buffer_free(&page);
}

int main(int argc, char **argv)
{
    uint64_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    const struct merkle_source source = {subtree, NULL};
    uint8_t proof[MERKLE_LEVELS + 1][MERKLE_HASH], root[MERKLE_HASH], one[MERKLE_HASH];
    size_t n;
    hashes = malloc(size * MERKLE_HASH);
    if (!hashes || sodium_init() < 0)
        return 1;
    randombytes_buf(hashes, size * MERKLE_HASH);
    double begin = now();
    if (subtree(NULL, 0, size, root) != 0)
        return 1;
    double spent = now() - begin;
    printf("range of %llu leaves: %.2f s, %.3f us a leaf\n", (unsigned long long)size, spent,
           spent * 1e6 / (double)size);
    if (merkle_make_inclusion(&source, size / 3, size, proof, &n) != 0)
        return 1;
    begin = now();
    for (int i = 0; i < 1000; i++)
        if (merkle_check_inclusion(size / 3, size, hashes[size / 3], root, proof, n) != 0)
            return 1;
    printf("inclusion: %zu hashes, %zu bytes, verified in %.1f us\n", n, n * MERKLE_HASH,
           (now() - begin) * 1e3);
    if (merkle_make_consistency(&source, size / 3, size, proof, &n) != 0 ||
        subtree(NULL, 0, size / 3, one) != 0)
        return 1;
    begin = now();
    for (int i = 0; i < 1000; i++)
        if (merkle_check_consistency(size / 3, size, one, root, proof, n) != 0)
            return 1;
    printf("consistency: %zu hashes, %zu bytes, verified in %.1f us\n", n, n * MERKLE_HASH,
           (now() - begin) * 1e3);
    free(hashes);
    export(size, 1);
    export(size, 1000);
    return 0;
}
