/*
 * Changes one value in the store of a gateway that runs, behind its back, as who is root could:
 *
 *   store-poke FOLDER NAME first|last|KEY-IN-HEX OFFSET      turns one bit of the value over
 *   store-poke FOLDER NAME first|last|KEY-IN-HEX delete
 *
 * NAME is the database (layout.c: leaf, leafhash, row-setting), OFFSET a byte of the value, from
 * its end when it is negative. "first" passes by nothing, "last" is the row of the greatest key.
 */
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 128
#define VALUE 4096

static int fail(const char *what, int rc)
{
    fprintf(stderr, "store-poke: %s: %s\n", what, mdb_strerror(rc));
    return 1;
}

static size_t unhex(const char *hex, unsigned char *out, size_t room)
{
    size_t n = 0;
    for (; hex[0] && hex[1] && n < room; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};
        out[n++] = (unsigned char)strtoul(two, NULL, 16);
    }
    return n;
}

static int poke(MDB_txn *txn, MDB_dbi dbi, const char *where, const char *what)
{
    unsigned char key_bytes[64], copy[VALUE];
    MDB_cursor *cursor;
    MDB_val key = {0, key_bytes}, value;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc)
        return rc;
    bool named = strcmp(where, "first") != 0 && strcmp(where, "last") != 0;
    key.mv_size = named ? unhex(where, key_bytes, sizeof(key_bytes)) : 0;
    rc = mdb_cursor_get(cursor, &key, &value,
                        named                         ? MDB_SET_KEY
                        : strcmp(where, "first") == 0 ? MDB_FIRST
                                                      : MDB_LAST);
    if (!rc && strcmp(what, "delete") == 0) {
        rc = mdb_cursor_del(cursor, 0);
    } else if (!rc) {
        long at = strtol(what, NULL, 10);
        size_t place = at < 0 ? value.mv_size - (size_t)-at : (size_t)at;
        if (value.mv_size > sizeof(copy) || place >= value.mv_size)
            return MDB_BAD_VALSIZE;
        memcpy(copy, value.mv_data, value.mv_size);
        copy[place] ^= 1;
        value.mv_data = copy;
        rc = mdb_cursor_put(cursor, &key, &value, MDB_CURRENT);
    }
    mdb_cursor_close(cursor);
    return rc;
}

int main(int argc, char **argv)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    if (argc != 5)
        return 2;
    int rc = mdb_env_create(&env);
    if (!rc)
        rc = mdb_env_set_maxdbs(env, NAMES);
    if (!rc)
        rc = mdb_env_open(env, argv[1], 0, 0600);
    if (rc)
        return fail(argv[1], rc);
    rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc)
        return fail("begin", rc);
    rc = mdb_dbi_open(txn, argv[2], 0, &dbi);
    if (!rc)
        rc = poke(txn, dbi, argv[3], argv[4]);
    if (rc) {
        mdb_txn_abort(txn);
        return fail(argv[2], rc);
    }
    rc = mdb_txn_commit(txn);
    mdb_env_close(env);
    return rc ? fail("commit", rc) : 0;
}
