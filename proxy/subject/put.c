/* In the job: the rows of what a message says of its subject. */
#include "resolver.h"

static void put_row(struct store_txn *txn, uint64_t serial, const struct subject_row *row)
{
    struct store_identifier identifier = {
        .subject = serial, .key = (uint8_t)row->key, .heard = row->heard};
    memcpy(identifier.tag, row->tag, sizeof(identifier.tag));
    store_put_identifier_row(txn, row->hash, &identifier, row->was);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(row->record_key, SUBJECT_KEY_BYTES),
                  span_of(row->record, row->record_n));
}

/* Whoever had the number keeps its record, closed; was it erased meanwhile, nothing comes back. */
static void put_left(struct store_txn *txn, const struct subject *subject, uint64_t was)
{
    const struct subject_row *left = &subject->left;
    struct span key = span_of(left->record_key, SUBJECT_KEY_BYTES);
    if (!store_delete_row_as(txn, STORE_TABLE_SUBJECT, key, SPAN_EMPTY))
        return;
    store_put_row(txn, STORE_TABLE_SUBJECT, key, span_of(left->record, left->record_n));
    subject_former_put(txn, left->hash, was, left->key);
    if (subject->links)
        subject_link(txn, was, subject->serial, subject->left_ms);
}

void subject_put(struct store_txn *txn, const struct subject *subject)
{
    for (unsigned i = 0; i < subject->new_hashes; i++) {
        const struct subject_row *row = &subject->rows[i];
        put_row(txn, subject->serial, row);
        if (row->was) /* it may have had it before, too */
            subject_former_delete(txn, row->hash, subject->serial);
        if (row->was && subject->leaves)
            put_left(txn, subject, row->was);
    }
    if (subject->touches) {
        struct store_identifier identifier = {.subject = subject->serial,
                                              .heard = subject->touch.heard};
        memcpy(identifier.tag, subject->touch.tag, sizeof(identifier.tag));
        store_touch_identifier(txn, subject->touch.hash, &identifier);
    }
}
