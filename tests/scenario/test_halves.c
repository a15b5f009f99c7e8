/*
 * The two halves of a value on two connections at the same moment, in one second or two,
 * with four threads: whoever reads them, one owner judges them in sequence, so that each half is
 * masked in the end.
 */
#include "world.h"

#include "sluis/retention.h"

#include "../unit/net/net_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "sluis/mask.h"

#if defined(__SANITIZE_THREAD__)
#define ROUNDS 600u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUNDS 600u
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 10000u
#endif
#define PAIRS 8u

struct pair {
    struct world *w;
    unsigned first, rounds;
    pthread_barrier_t both;
    _Atomic unsigned failed;
};
struct side {
    struct pair *pair;
    bool second;
};

static void *run_side(void *ctx)
{
    struct side *side = ctx;
    struct pair *pair = side->pair;
    struct peer *peer = peer_open(pair->w->port, NULL);
    long long now = time(NULL);
    for (unsigned i = 0; i < pair->rounds; i++) {
        unsigned number = pair->first + i;
        char from[32], id[64], head[300], answer[2048], signature[72];
        snprintf(from, sizeof(from), "316%08u", number);
        snprintf(id, sizeof(id), "wamid.%u.%u", number, side->second);
        const struct message m = {from, id, side->second ? "17 1643 00" : "NL91 ABNA 04",
                                  now + (side->second ? (long long)(number % 2) : 0)};
        char *body = world_body(&m, 1);
        world_sign(body, strlen(body), WORLD_APP_SECRET, signature);
        snprintf(head, sizeof(head),
                 "POST /webhook/gemeente HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
                 "X-Hub-Signature-256: %s\r\n\r\n",
                 strlen(body), signature);
        pthread_barrier_wait(&pair->both);
        bool ok = peer && peer_send(peer, head) && peer_send(peer, body) &&
                  peer_read_message(peer, answer, sizeof(answer), false) > 0 &&
                  strncmp(answer, "HTTP/1.1 200", 12) == 0;
        if (!ok)
            pair->failed++;
        free(body);
    }
    if (peer)
        peer_close(peer);
    return NULL;
}

struct search {
    struct world *w;
    struct store_read *read;
    struct keyring_cache *cache;
    unsigned items, readable;
};

static int look(void *ctx, const struct store_item *item)
{
    struct search *s = ctx;
    struct arena arena;
    struct buffer plain;
    struct span sealed;
    struct record_id id;
    assert_int_equal(retention_part(s->read, item, 'M', &id), 0);
    arena_init(&arena, 1024 * 1024);
    buffer_init(&plain, STORE_RECORD_MAX);
    assert_int_equal(store_get_record(s->read, &id, &arena, &sealed), 0);
    assert_int_equal(record_open(s->cache, 0, &id, sealed, &plain), 0);
    s->items++;
    bool readable = memmem(plain.p, plain.n, "ABNA", 4) || memmem(plain.p, plain.n, "1643 00", 7);
    if (readable && s->readable++ < 3) /* invented, so it may be shown */
        print_message("serial %llu previous %llu: %.*s\n", (unsigned long long)item->serial,
                      (unsigned long long)item->previous, (int)plain.n - 300, plain.p + 300);
    buffer_free(&plain);
    arena_free(&arena);
    return 0;
}

static void test_two_connections(void **state)
{
    (void)state;
    struct world w = {.routes = 1, .loop_count = 4};
    struct pair pairs[PAIRS];
    struct side sides[2 * PAIRS];
    pthread_t threads[2 * PAIRS];
    world_make(&w);
    world_up(&w);
    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i] = (struct pair){&w, i * (ROUNDS / PAIRS), ROUNDS / PAIRS, {{0}}, 0};
        pthread_barrier_init(&pairs[i].both, NULL, 2);
        for (unsigned k = 0; k < 2; k++) {
            sides[2 * i + k] = (struct side){&pairs[i], k};
            assert_int_equal(pthread_create(&threads[2 * i + k], NULL, run_side, &sides[2 * i + k]),
                             0);
        }
    }
    for (unsigned i = 0; i < 2 * PAIRS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(pairs[i].failed, 0);
        pthread_barrier_destroy(&pairs[i].both);
    }
    struct search s = {.w = &w};
    assert_int_equal(keyring_cache_new(w.keyring, &s.cache), 0);
    assert_int_equal(store_read_begin(w.store, &s.read), 0);
    assert_int_equal(store_each_item(s.read, 1, look, &s), 0);
    store_read_end(s.read);
    keyring_cache_free(s.cache);
    assert_int_equal(s.items, 2 * (ROUNDS / PAIRS * PAIRS));
    assert_int_equal(s.readable, 0);
    world_down(&w, true);
    world_remove(&w);
}

static int send_as(struct world *w, unsigned i, unsigned nth, bool phone, const char *text)
{
    char body[2048], from[64] = "";
    if (phone)
        snprintf(from, sizeof(from), "\"from\":\"316%08u\",", i);
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":[{%s"
             "\"from_user_id\":\"NL.%u77\",\"id\":\"wamid.%u.%u\",\"timestamp\":\"%lld\","
             "\"type\":\"text\",\"text\":{\"body\":\"%s\"}}]}}]}]}",
             from, i, i, nth, (long long)time(NULL), text);
    return world_post(w, body);
}

/* Meta leaves the phone number out now and then: the halves still meet. */
static void test_two_identifiers(void **state)
{
    (void)state;
    struct world w = {.routes = 1, .loop_count = 4};
    enum { PEOPLE = 16 };
    world_make(&w);
    world_up(&w);
    for (unsigned i = 0; i < PEOPLE; i++) {
        assert_int_equal(send_as(&w, i, 0, true, "hoi"), 200);
        assert_int_equal(send_as(&w, i, 1, false, "hoi"), 200);
        assert_int_equal(send_as(&w, i, 2, true, "NL91 ABNA 04"), 200);
        assert_int_equal(send_as(&w, i, 3, false, "17 1643 00"), 200);
    }
    struct search s = {.w = &w};
    assert_int_equal(keyring_cache_new(w.keyring, &s.cache), 0);
    assert_int_equal(store_read_begin(w.store, &s.read), 0);
    assert_int_equal(store_each_item(s.read, 1, look, &s), 0);
    store_read_end(s.read);
    keyring_cache_free(s.cache);
    assert_int_equal(s.items, 4 * PEOPLE);
    assert_int_equal(s.readable, 0);
    world_down(&w, true);
    world_remove(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_identifiers),
                                       cmocka_unit_test(test_two_connections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
