/* Tokens on the real store and keyring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/support.h"
#include "room.h"
#include "sluis/base/counters.h"

#define NOW 1795300205123

struct fixture {
    char top[64], folder[256], ring[96], root[96];
    struct store *store;
    struct keyring *keyring;
    struct access *access;
};

static int setup(void **state)
{
    static struct fixture f;
    strcpy(f.top, "/tmp/sluis-access-XXXXXX");
    assert_non_null(mkdtemp(f.top));
    snprintf(f.ring, sizeof(f.ring), "%s/ring", f.top);
    snprintf(f.root, sizeof(f.root), "%s/root", f.top);
    test_folder(f.folder);
    const struct keyring_config config = {.path = f.ring, .root_file = f.root, .make = true};
    assert_int_equal(keyring_open(&config, &f.keyring, NULL), 0);
    f.store = test_store(f.folder);
    assert_int_equal(access_open(f.store, f.keyring, &f.access), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    access_close(f->access);
    store_close(f->store);
    keyring_close(f->keyring);
    test_folder_remove(f->folder);
    test_folder_remove(f->top);
    return 0;
}

static void restart(struct fixture *f)
{
    access_close(f->access);
    store_close(f->store);
    f->store = test_store(f->folder);
    assert_int_equal(access_open(f->store, f->keyring, &f->access), 0);
}

static struct principal wanted(const char *name)
{
    struct principal p = {.channels = {3, 5}, .channel_count = 2, .route = 7};
    strcpy(p.name, name);
    return p;
}

static uint64_t add(struct fixture *f, struct principal p, char text[ACCESS_TOKEN_TEXT])
{
    uint64_t id;
    assert_int_equal(access_token_add(f->access, &p, text, &id), 0);
    return id;
}

static int ask(struct fixture *f, const char *text, struct principal *out)
{
    memset(out, 0, sizeof(*out));
    return access_token(f->access, span_str(text), NOW, out);
}

static void added_and_found(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT], other[ACCESS_TOKEN_TEXT];
    struct principal p;
    uint64_t id = add(f, wanted("webcare"), text);
    uint64_t other_id = add(f, wanted("bot"), other);
    assert_true(id != other_id);
    assert_int_equal(strlen(text), 6 + 43);
    assert_memory_equal(text, "sluis_", 6);
    assert_string_not_equal(text, other);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ask(f, text, &p), 0);
        assert_int_equal(p.id, id);
        assert_string_equal(p.name, "webcare");
        assert_int_equal(p.route, 7);
        assert_false(p.revoked);
        assert_true(p.created_ms > 0);
        assert_true(principal_may_use(&p, 3) && principal_may_use(&p, 5));
        assert_false(principal_may_use(&p, 4) || principal_may_use(&p, 0));
        assert_int_equal(ask(f, other, &p), 0);
        assert_int_equal(p.id, other_id);
        restart(f);
    }
}

static void unknown(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT], wrong[ACCESS_TOKEN_TEXT + 8];
    struct principal p;
    add(f, wanted("webcare"), text);
    for (size_t i = 0; i < strlen(text); i++) {
        strcpy(wrong, text);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        assert_int_equal(ask(f, wrong, &p), SLUIS_EDENIED);
        assert_int_equal(p.id, 0);
    }
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(access_token(f->access, span_of(text, n), NOW, &p), SLUIS_EDENIED);
    snprintf(wrong, sizeof(wrong), "%s=", text);
    assert_int_equal(ask(f, wrong, &p), SLUIS_EDENIED);
    snprintf(wrong, sizeof(wrong), " %s", text);
    assert_int_equal(ask(f, wrong, &p), SLUIS_EDENIED);
    assert_int_equal(access_token(f->access, SPAN_EMPTY, NOW, &p), SLUIS_EDENIED);
    assert_int_equal(ask(f, text, &p), 0); /* the control */
    struct buffer metrics;
    buffer_init(&metrics, 1 << 20);
    counters_write(&metrics);
    buffer_add_char(&metrics, '\0');
    char want[96];
    snprintf(want, sizeof(want), "sluis_access_tokens_total{result=\"unknown\"} %zu\n",
             2 * strlen(text) + 3);
    assert_non_null(strstr(metrics.p, want));
    buffer_free(&metrics);
}

static void revoked_and_expired(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT], dated[ACCESS_TOKEN_TEXT], next[ACCESS_TOKEN_TEXT];
    struct principal p;
    uint64_t id = add(f, wanted("webcare"), text);
    struct principal until = wanted("tijdelijk");
    until.expires_ms = NOW + 1;
    add(f, until, dated);
    assert_int_equal(ask(f, dated, &p), 0);
    assert_int_equal(access_token(f->access, span_str(dated), NOW + 1, &p), SLUIS_EDENIED);
    assert_int_equal(access_token_revoke(f->access, id), 0);
    assert_int_equal(access_token_revoke(f->access, id), 0); /* no error */
    assert_int_equal(access_token_revoke(f->access, 999), SLUIS_ENOENT);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ask(f, text, &p), SLUIS_EDENIED);
        assert_int_equal(ask(f, dated, &p), 0);
        restart(f);
    }
    /* the name is free again, the id is not */
    assert_true(add(f, wanted("webcare"), next) > id);
    assert_int_equal(ask(f, next, &p), 0);
    assert_int_equal(ask(f, text, &p), SLUIS_EDENIED);
}

static void refused_wishes(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT];
    uint64_t id;
    add(f, wanted("webcare"), text);
    struct principal p = wanted("webcare");
    assert_int_equal(access_token_add(f->access, &p, text, &id), SLUIS_EEXIST);
    static const char *const names[] = {"", "a b", "a\nb", "a\"b", "caf\303\251", "a/b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        p = wanted(names[i]);
        assert_int_equal(access_token_add(f->access, &p, text, &id), SLUIS_EINVAL);
    }
    p = wanted("x");
    memset(p.name, 'x', sizeof(p.name)); /* no end */
    assert_int_equal(access_token_add(f->access, &p, text, &id), SLUIS_EINVAL);
    p = wanted("x");
    p.channel_count = 0;
    assert_int_equal(access_token_add(f->access, &p, text, &id), SLUIS_EINVAL);
    p.channel_count = ACCESS_CHANNELS_MAX + 1;
    assert_int_equal(access_token_add(f->access, &p, text, &id), SLUIS_EINVAL);
    p.channel_count = 1;
    p.channels[0] = 0;
    assert_int_equal(access_token_add(f->access, &p, text, &id), SLUIS_EINVAL);
}

/* What stands in the store neither shows a token nor opens under another key. */
struct seen {
    const char *text;
    unsigned rows, found;
    char key[2][STORE_KEY_MAX], value[2][STORE_VALUE_MAX];
    size_t key_n[2], value_n[2];
};

static int see(void *ctx, struct span key, struct span value)
{
    struct seen *seen = ctx;
    seen->found += memmem(value.p, value.n, "webcare", 7) != NULL ||
                   memmem(value.p, value.n, seen->text, strlen(seen->text)) != NULL;
    if (seen->rows < 2) {
        memcpy(seen->key[seen->rows], key.p, key.n);
        memcpy(seen->value[seen->rows], value.p, value.n);
        seen->key_n[seen->rows] = key.n;
        seen->value_n[seen->rows] = value.n;
    }
    seen->rows++;
    return 0;
}

static int swap_rows(struct store_txn *txn, void *ctx)
{
    struct seen *seen = ctx;
    for (int i = 0; i < 2; i++)
        store_put_row(txn, STORE_TABLE_PRINCIPAL, span_of(seen->key[i], seen->key_n[i]),
                      span_of(seen->value[1 - i], seen->value_n[1 - i]));
    return store_txn_error(txn);
}

static void sealed_rows(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT], other[ACCESS_TOKEN_TEXT], third[ACCESS_TOKEN_TEXT];
    struct principal p;
    struct store_read *read;
    add(f, wanted("webcare"), text);
    add(f, wanted("bot"), other);
    uint64_t third_id = add(f, wanted("derde"), third);
    static struct seen seen;
    memset(&seen, 0, sizeof(seen));
    seen.text = text;
    assert_int_equal(store_read_begin(f->store, &read), 0);
    assert_int_equal(store_each_row(read, STORE_TABLE_PRINCIPAL, SPAN_EMPTY, see, &seen), 0);
    store_read_end(read);
    assert_int_equal(seen.rows, 3);
    assert_int_equal(seen.found, 0);
    /* two rows swapped: neither opens, the third does, ids go on */
    assert_int_equal(test_run(f->store, swap_rows, &seen), 0);
    restart(f);
    assert_int_equal(ask(f, text, &p), SLUIS_EDENIED);
    assert_int_equal(ask(f, other, &p), SLUIS_EDENIED);
    assert_int_equal(ask(f, third, &p), 0);
    assert_true(add(f, wanted("vierde"), text) > third_id);
}

static int count_each(void *ctx, const struct principal *p)
{
    uint64_t *last = ctx;
    assert_true(p->id > *last);
    *last = p->id;
    return p->id == 3;
}

static void listed(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT], name[32];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "tool-%d", i);
        add(f, wanted(name), text);
    }
    uint64_t last = 0;
    assert_int_equal(access_each(f->access, count_each, &last), 0);
    assert_int_equal(last, 3); /* stopped there */
}

/* The table alone: full, with revoked ones making room, against the hash table. */
static void table_full(void **state)
{
    (void)state;
    struct token_table *table = calloc(1, sizeof(*table));
    table->tokens = calloc(ACCESS_TOKENS_MAX, sizeof(*table->tokens));
    for (unsigned i = 0; i < ACCESS_TOKENS_MAX; i++) {
        table->tokens[i].principal.id = i + 1;
        memset(table->tokens[i].hash, 0x5a, TOKEN_HASH); /* all in one run */
        table->tokens[i].hash[30] = (uint8_t)(i >> 8);
        table->tokens[i].hash[31] = (uint8_t)i;
    }
    table->count = ACCESS_TOKENS_MAX;
    table_index(table);
    uint8_t hash[TOKEN_HASH];
    for (unsigned i = 0; i < ACCESS_TOKENS_MAX; i += 97) {
        memcpy(hash, table->tokens[i].hash, TOKEN_HASH);
        assert_ptr_equal(table_find(table, hash), &table->tokens[i]);
        hash[0] ^= 1;
        assert_null(table_find(table, hash));
    }
    free(table->tokens);
    free(table);
}

static void row_refused(void **state)
{
    (void)state;
    struct token token = {.principal = wanted("webcare")}, back;
    struct buffer row;
    buffer_init(&row, 512);
    token_write(&token, &row);
    assert_int_equal(token_read(buffer_span(&row), &back), 0);
    assert_string_equal(back.principal.name, "webcare");
    for (size_t n = 0; n < row.n; n++)
        assert_int_equal(token_read(span_of(row.p, n), &back), SLUIS_EINVAL);
    char *name = memmem(row.p, row.n, "webcare", 7);
    name[6] = '\0'; /* found by fuzz_keys: a shorter name in the same place */
    assert_int_equal(token_read(buffer_span(&row), &back), SLUIS_EINVAL);
    name[6] = 'e';
    buffer_add_char(&row, 0);
    assert_int_equal(token_read(buffer_span(&row), &back), SLUIS_EINVAL);
    buffer_free(&row);
}

struct asker {
    struct fixture *f;
    const char *text;
    _Atomic bool *revoked;
    _Atomic bool *stop;
    unsigned wrong;
};

static void *keep_asking(void *arg)
{
    struct asker *asker = arg;
    struct principal p;
    while (!*asker->stop) {
        bool gone = *asker->revoked;
        if (access_token(asker->f->access, span_str(asker->text), NOW, &p) == 0 && gone)
            asker->wrong++;
    }
    return NULL;
}

static void revoked_for_all_threads(void **state)
{
    struct fixture *f = *state;
    char text[ACCESS_TOKEN_TEXT], more[ACCESS_TOKEN_TEXT];
    uint64_t id = add(f, wanted("webcare"), text);
    _Atomic bool revoked = false, stop = false;
    struct asker askers[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        askers[i] = (struct asker){f, text, &revoked, &stop, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, keep_asking, &askers[i]), 0);
    }
    add(f, wanted("bot"), more);
    assert_int_equal(access_token_revoke(f->access, id), 0);
    revoked = true;
    add(f, wanted("derde"), more);
    stop = true;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].wrong, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(added_and_found, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(revoked_and_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_wishes, setup, teardown),
        cmocka_unit_test_setup_teardown(sealed_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(listed, setup, teardown),
        cmocka_unit_test(table_full),
        cmocka_unit_test(row_refused),
        cmocka_unit_test_setup_teardown(revoked_for_all_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
