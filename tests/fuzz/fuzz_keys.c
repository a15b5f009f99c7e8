/*
 * What the rooms of keys and log read or write from bytes: covers, token rows, destruction records,
 * log leaves. The first byte chooses. What is read must be written back the same; what is destroyed
 * must be gone, on paper too; no leaf may hold a byte that breaks its line.
 */
#include <sodium.h>
#include <stdlib.h>

#include "../../proxy/access/room.h"
#include "sluis/audit.h"
#include "sluis/retention.h"
#include "tree.h"

#define TEXT_MAX (1 << 20)
#define PUNCTURES_MAX 64

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void cover_text(const uint8_t *data, size_t n)
{
    struct cover cover;
    struct buffer text;
    if (cover_init(&cover) != 0)
        return;
    if (cover_read(&cover, span_of(data, n)) == 0) {
        buffer_init(&text, TEXT_MAX);
        cover_write(&cover, &text);
        /* One of an older version ends before 'L', and gets it now. */
        check(text.error == 0 && span_starts(buffer_span(&text), span_of(data, n)) &&
              (text.n == n || text.p[n] == 'L'));
        check(text.n <= cover_most(&cover));
        buffer_free(&text);
    }
    cover_free(&cover);
}

/* Seven bytes a puncture: tree and `through`, class, leaf. */
static void punctures(const uint8_t *data, size_t n)
{
    struct cover cover, back;
    struct buffer text;
    uint8_t key[TREE_KEY];
    bool changed;
    if (cover_init(&cover) != 0)
        return;
    if (cover_make(&cover, 1795300205123) != 0) {
        cover_free(&cover);
        return;
    }
    struct keyring_leaf leaves[PUNCTURES_MAX];
    unsigned count = 0;
    for (; n >= 7 && count < PUNCTURES_MAX; data += 7, n -= 7) {
        struct keyring_leaf *leaf = &leaves[count++];
        *leaf = (struct keyring_leaf){.tree = (enum keyring_tree)(data[0] % KEYRING_TREES),
                                      .cls = (uint16_t)(data[1] << 8 | data[2]),
                                      .leaf = (uint32_t)data[3] << 24 | (uint32_t)data[4] << 16 |
                                              (uint32_t)data[5] << 8 | data[6]};
        leaf->through = leaf->tree == KEYRING_TIME && data[0] >= 0x80;
        bool was = cover_leaf(&cover, leaf->tree, tree_path(leaf), key) == 0;
        check(cover_puncture(&cover, leaf, &changed) == 0);
        check(changed || !was);
        check(cover_puncture(&cover, leaf, &changed) == 0 && !changed);
    }
    buffer_init(&text, TEXT_MAX);
    cover_write(&cover, &text);
    check(text.error == 0 && text.n <= cover_most(&cover));
    check(cover_init(&back) == 0 && cover_read(&back, buffer_span(&text)) == 0);
    for (unsigned i = 0; i < count; i++)
        check(cover_leaf(&back, leaves[i].tree, tree_path(&leaves[i]), key) == SLUIS_EEXPIRED);
    buffer_free(&text);
    cover_free(&back);
    cover_free(&cover);
}

static void token_row(const uint8_t *data, size_t n)
{
    struct token token, again;
    struct buffer row;
    if (token_read(span_of(data, n), &token) != 0)
        return;
    buffer_init(&row, TEXT_MAX);
    token_write(&token, &row);
    /* A row of the first version is written as one of this version. */
    check((row.n == n || data[0] == 1) && token_read(buffer_span(&row), &again) == 0);
    check(memcmp(&token.principal, &again.principal, sizeof(token.principal)) == 0);
    buffer_free(&row);
}

static void destruction(const uint8_t *data, size_t n)
{
    static const uint8_t public_key[RETENTION_SIGN_PUBLIC] = {9};
    struct span record;
    check(retention_destruction_verify(span_of(data, n), public_key, &record) != 0);
}

/* The bytes, cut into texts at each 0xff, as the fields of an event. */
static void leaf(const uint8_t *data, size_t n)
{
    char text[8][AUDIT_NAME_MAX + 8] = {{0}};
    unsigned field = 0;
    size_t at = 0;
    for (size_t i = 0; i < n && field < 8; i++) {
        if (data[i] == 0xff || at + 1 == sizeof(text[0])) {
            field++;
            at = 0;
        } else {
            text[field][at++] = (char)data[i];
        }
    }
    const struct audit_event event = {.at_ms = (int64_t)n * 1000003,
                                      .action = AUDIT_SEND,
                                      .actor = text[0],
                                      .claimed = field > 0 ? text[1] : NULL,
                                      .role = field > 1 ? text[2] : NULL,
                                      .channel = field > 2 ? text[3] : NULL,
                                      .purpose = field > 3 ? text[4] : NULL,
                                      .outcome = field > 4 ? text[5] : NULL,
                                      .policy_hash = field > 5 ? text[6] : NULL,
                                      .route = field > 6 ? text[7] : NULL,
                                      .masked = n};
    struct buffer out;
    uint8_t hash[32];
    buffer_init(&out, 4096);
    if (audit_leaf(&event, &out, hash) == 0) {
        check(out.n <= AUDIT_LEAF_MAX && out.p[0] == '{' && out.p[out.n - 1] == '}');
        for (size_t i = 0; i < out.n; i++)
            check((unsigned char)out.p[i] >= 0x20 && out.p[i] != 0x7f);
    } else {
        check(out.n == 0);
    }
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const targets[])(const uint8_t *, size_t) = {cover_text, punctures, token_row,
                                                               destruction, leaf};
    if (n == 0 || sodium_init() < 0)
        return 0;
    targets[data[0] % 5](data + 1, n - 1);
    return 0;
}
