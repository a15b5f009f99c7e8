/* Rows of principals: sealed, several in one commit. */
#include "room.h"

#include "sluis/base/encode.h"

#include <stdlib.h>

#define TOKEN_PART 'P'

void principal_key(char kind, uint64_t id, char key[PRINCIPAL_KEY])
{
    key[0] = kind;
    be64_put((uint8_t *)key + 1, id);
}

/* Parts of their own: a person's row does not open as a token's. */
struct record_id principal_record(char kind, uint64_t id)
{
    return (struct record_id){.serial = id, .part = kind == 't' ? TOKEN_PART : (uint8_t)kind};
}

struct rows_job {
    struct store_job job;
    unsigned n;
    struct {
        char key[PRINCIPAL_KEY];
        struct buffer sealed; /* empty: the row goes */
    } rows[PRINCIPAL_ROWS_MAX];
};

static int run(struct store_txn *txn, struct store_job *job)
{
    const struct rows_job *rows = (struct rows_job *)(void *)job;
    for (unsigned i = 0; i < rows->n; i++)
        store_put_row(txn, STORE_TABLE_PRINCIPAL, span_of(rows->rows[i].key, PRINCIPAL_KEY),
                      buffer_span(&rows->rows[i].sealed));
    return store_txn_error(txn);
}

int principal_rows_commit(struct store *store, struct keyring_cache *keys,
                          const struct principal_row *rows, unsigned n)
{
    struct rows_job *job = n <= PRINCIPAL_ROWS_MAX ? calloc(1, sizeof(*job)) : NULL;
    int result = 0;
    if (!job)
        return SLUIS_ENOMEM;
    job->job = (struct store_job){.priority = STORE_NORMAL, .run = run};
    for (; job->n < n; job->n++) {
        const struct principal_row *row = &rows[job->n];
        const struct record_id record = principal_record(row->kind, row->id);
        struct buffer *sealed = &job->rows[job->n].sealed;
        principal_key(row->kind, row->id, job->rows[job->n].key);
        buffer_init(sealed, STORE_VALUE_MAX);
        if (!result && row->plain.n)
            result = record_seal(keys, STORE_TABLE_PRINCIPAL, &record, 1, row->plain, sealed);
    }
    if (!result)
        result = store_submit_wait(store, &job->job);
    while (job->n)
        buffer_free(&job->rows[--job->n].sealed);
    free(job);
    return result;
}
