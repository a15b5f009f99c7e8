/* Word of message leaves that must be destroyed, left in the commit that made them superfluous: a
 * stop between that commit and the change of the keyring loses none. */
#include "room.h"

#include "sluis/base/encode.h"

static void word_key(uint64_t serial, uint8_t key[ROW_SERIAL_KEY])
{
    key[0] = ROW_WORD;
    be64_put(key + 1, serial);
}

void word_put(struct store_txn *txn, uint64_t serial, const struct word *word)
{
    uint8_t key[ROW_SERIAL_KEY], value[WORD_BYTES] = {0};
    word_key(serial, key);
    if (word) {
        be64_put(value, word->subject);
        be16_put(value + 8, word->cls_o);
        be16_put(value + 10, word->cls_m);
    }
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)),
                  span_of(value, sizeof(value)));
}

void word_delete(struct store_txn *txn, uint64_t serial)
{
    uint8_t key[ROW_SERIAL_KEY];
    word_key(serial, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
}

static int take_word(void *ctx, struct span key, struct span value)
{
    struct words *words = ctx;
    const uint8_t *v = (const uint8_t *)value.p;
    if (words->n == WORDS_MAX || key.n != ROW_SERIAL_KEY || key.p[0] != ROW_WORD)
        return 1;
    if (value.n != WORD_BYTES)
        return SLUIS_EIO;
    words->at[words->n++] = (struct word){be64_get((const uint8_t *)key.p + 1), be64_get(v),
                                          be16_get(v + 8), be16_get(v + 10)};
    return 0;
}

int words_read(struct purge *p, struct words *out)
{
    uint8_t from[ROW_SERIAL_KEY];
    struct store_read *read;
    out->n = 0;
    word_key(0, from);
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_word, out);
    store_read_end(read);
    return r;
}

int words_destroy(struct purge *p, const struct words *words)
{
    struct keyring_leaf leaves[WORDS_MAX];
    for (unsigned i = 0; i < words->n; i++)
        leaves[i] =
            (struct keyring_leaf){.tree = KEYRING_MESSAGE, .leaf = (uint32_t)words->at[i].serial};
    return words->n ? destroy_leaves(p, leaves, words->n) : 0;
}
