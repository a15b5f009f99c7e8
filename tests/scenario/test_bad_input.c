/* What the webhook must refuse, put aside, or take without harm. */
#include "world.h"

#include "sluis/base/clock.h"

#include "../unit/net/net_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ctype.h>
#include <time.h>
#include <cmocka.h>

#define PHONE "31600000001"
#define CANARY "kanarie7Qx9w2"

static void open_world(struct world *w)
{
    w->routes = 1;
    world_make(w);
    world_up(w);
}
static void close_world(struct world *w)
{
    world_down(w, true);
    world_remove(w);
}

static unsigned items(struct world *w);
static int count_item(void *ctx, const struct store_item *item)
{
    (void)item;
    ++*(unsigned *)ctx;
    return 0;
}
static unsigned items(struct world *w)
{
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_item(read, 1, count_item, &n), 0);
    store_read_end(read);
    return n;
}
static int count_row(void *ctx, struct span key, struct span value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)ctx;
    return 0;
}
static unsigned quarantined(struct world *w)
{
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_row(read, STORE_TABLE_QUARANTINE, SPAN_EMPTY, count_row, &n), 0);
    store_read_end(read);
    return n;
}

static void test_signatures(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    open_world(&w);
    const struct message m = {PHONE, "wamid.a", CANARY, 0};
    char *body = world_body(&m, 1), good[72], bad[200];
    size_t n = strlen(body);
    world_sign(body, n, WORLD_APP_SECRET, good);
    assert_int_equal(world_post_raw(&w, body, n, NULL), 401);
    assert_int_equal(world_post_raw(&w, body, n, ""), 401);
    assert_int_equal(world_post_raw(&w, body, n, "sha256="), 401);
    snprintf(bad, sizeof(bad), "%.70s", good); /* a digit short */
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    snprintf(bad, sizeof(bad), "%s0", good);
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    snprintf(bad, sizeof(bad), "sha1=%s", good + 7);
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    snprintf(bad, sizeof(bad), "%s", good + 7);
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    snprintf(bad, sizeof(bad), "%s", good);
    for (char *p = bad + 7; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    snprintf(bad, sizeof(bad), "%s\r\nX-Hub-Signature-256: %s", good, good); /* twice */
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    snprintf(bad, sizeof(bad), "%s", good);
    bad[70] = bad[70] == '0' ? '1' : '0';
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    world_sign(body, n, "route-secret", bad); /* another secret of ours */
    assert_int_equal(world_post_raw(&w, body, n, bad), 401);
    body[n - 20] ^= 1; /* another body */
    assert_int_equal(world_post_raw(&w, body, n, good), 401);
    body[n - 20] ^= 1;
    assert_int_equal(items(&w) + quarantined(&w), 0);
    /* the same again and again: taken once */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_post_raw(&w, body, n, good), 200);
    assert_int_equal(items(&w), 1);
    assert_true(tool_has(&w.tools[0], 1, 3000));
    free(body);
    close_world(&w);
}

static int get(struct world *w, const char *query, char *answer, size_t size)
{
    struct peer *peer = peer_open(w->port, NULL);
    char head[600];
    int status = -1;
    snprintf(head, sizeof(head), "GET /webhook/%s HTTP/1.1\r\nHost: x\r\n\r\n", query);
    assert_non_null(peer);
    assert_true(peer_send(peer, head));
    assert_true(peer_read_message(peer, answer, size, false) > 0);
    assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
    peer_close(peer);
    return status;
}

static void test_verification(void **state)
{
    (void)state;
#define TOKEN "hub.verify_token=verify-token-1"
    static const struct {
        const char *query;
        int status;
    } rows[] = {
        {"gemeente?hub.mode=subscribe&" TOKEN "&hub.challenge=4711", 200},
        {"gemeente?hub.challenge=4711&" TOKEN "&hub.mode=subscribe", 200},
        {"gemeente?hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=4711", 403},
        {"gemeente?hub.mode=subscribe&hub.verify_token=&hub.challenge=4711", 403},
        {"gemeente?hub.mode=subscribe&hub.challenge=4711", 403},
        {"gemeente?hub.mode=unsubscribe&" TOKEN "&hub.challenge=4711", 403},
        {"gemeente?" TOKEN "&hub.challenge=4711", 403},
        {"gemeente?hub.mode=subscribe&" TOKEN, 403},
        {"gemeente?hub.mode=subscribe&" TOKEN "&" TOKEN "&hub.challenge=4711", 403},
        {"gemeente?hub.mode=subscribe&" TOKEN "&hub.challenge=4711&hub.challenge=x", 403},
        {"gemeente?hub.mode=subscribe&hub.mode=subscribe&" TOKEN "&hub.challenge=4711", 403},
        {"gemeente", 403},
        {"other?hub.mode=subscribe&" TOKEN "&hub.challenge=4711", 404},
        {"gemeente/x?hub.mode=subscribe&" TOKEN "&hub.challenge=4711", 404},
        {"?hub.mode=subscribe&" TOKEN "&hub.challenge=4711", 404},
    };
    struct world w = {.routes = 1};
    char answer[4096];
    open_world(&w);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int status = get(&w, rows[i].query, answer, sizeof(answer));
        if (status != rows[i].status)
            fail_msg("%s: %d", rows[i].query, status);
        assert_true((strstr(answer, "\r\n\r\n4711") != NULL) == (status == 200));
    }
    close_world(&w);
}

/* Signed, and not readable: 200, sealed aside, in nobody's output. */
static void test_quarantine(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    open_world(&w);
    char *bomb = malloc(400001);
    assert_non_null(bomb);
    memset(bomb, '[', 200000);
    memset(bomb + 200000, ']', 200000);
    bomb[400000] = '\0';
    const char *const bad[] = {
        bomb,
        "{\"object\":[1,}",
        "",
        "null",
        "[]",
        "{\"object\":\"whatsapp_business_account\"}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":{}}",
        "{\"object\":5,\"entry\":[]}",
        "{\"object\":\"whatsapp_business_account\",\"object\":\"x\",\"entry\":[]}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":[]} " CANARY,
        "{\"a\":\"" CANARY "\xff\"}",
        "\xef\xbb\xbf{\"object\":\"whatsapp_business_account\",\"entry\":[]}",
    };
    const unsigned n = sizeof(bad) / sizeof(bad[0]);
    for (unsigned i = 0; i < n; i++)
        if (world_post(&w, bad[i]) != 200 || quarantined(&w) != i + 1)
            fail_msg("row %u", i);
    assert_int_equal(quarantined(&w), n);
    assert_int_equal(items(&w), 0);
    assert_int_equal(tool_count(&w.tools[0]), 0);
    assert_int_equal(world_traces(&w, CANARY), 0);
    free(bomb);
    close_world(&w);
}

static void test_size(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    const size_t max = 3u * 1024 * 1024;
    open_world(&w);
    char *body = malloc(max + 2), signature[72];
    assert_non_null(body);
    memset(body, ' ', max + 1);
    body[max + 1] = '\0';
    world_sign(body, max, WORLD_APP_SECRET, signature);
    assert_int_equal(world_post_raw(&w, body, max, signature), 200);
    world_sign(body, max + 1, WORLD_APP_SECRET, signature);
    assert_int_equal(world_post_raw(&w, body, max + 1, signature), 413);
    free(body);
    close_world(&w);
}

static bool few_quarantined(void *ctx)
{
    return quarantined(ctx) < 1000;
}

static void test_unknown_number(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    open_world(&w);
    const struct message m = {PHONE, "wamid.a", CANARY, 0};
    char *body = world_body(&m, 1);
    memcpy(strstr(body, WORLD_NUMBER), "999999999999999", 15);
    assert_int_equal(world_post(&w, body), 200);
    assert_int_equal(quarantined(&w), 1);
    assert_int_equal(items(&w), 0);
    assert_int_equal(world_traces(&w, CANARY), 0);
    free(body);
    close_world(&w);
}

/* A forgotten number fills what quarantine keeps of strangers, and nobody else is shut out: not
 * other numbers in the same POST, not what cannot be read, not after a restart. */
static void test_many_strangers(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    enum { BATCH = 100, BATCHES = 11 };
    struct message m[BATCH];
    char ids[BATCH][32];
    open_world(&w);
    for (unsigned b = 0; b < BATCHES; b++) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(ids[i], sizeof(ids[i]), "wamid.s%u-%u", b, i);
            m[i] = (struct message){PHONE, ids[i], CANARY, 0};
        }
        char *body = world_body(m, BATCH);
        memcpy(strstr(body, WORLD_NUMBER), "999999999999999", 15);
        assert_int_equal(world_post(&w, body), 200);
        free(body);
    }
    assert_int_equal(quarantined(&w), 1000);
    assert_int_equal(world_send(&w, PHONE, "wamid.known", "Goedemiddag"), 200);
    assert_true(tool_has(&w.tools[0], 1, 3000));
    assert_int_equal(world_post(&w, "{\"object\": [1,}"), 200);
    assert_int_equal(quarantined(&w), 1001);
    world_down(&w, false);
    world_up(&w);
    m[0] = (struct message){PHONE, "wamid.s-again", CANARY, 0};
    char *body = world_body(m, 1);
    memcpy(strstr(body, WORLD_NUMBER), "999999999999999", 15);
    assert_int_equal(world_post(&w, body), 200);
    free(body);
    assert_int_equal(quarantined(&w), 1001);
    assert_int_equal(world_traces(&w, CANARY), 0);
    /* eight days on its rows have gone */
    clock_test_shift((int64_t)8 * 24 * 3600 * 1000);
    assert_int_equal(world_post(&w, "{\"object\": [2,}"), 200);
    struct world *later = &w;
    assert_true(world_until(few_quarantined, later, 5000));
    clock_test_shift((int64_t)-8 * 24 * 3600 * 1000);
    close_world(&w);
}

static void test_surrogates(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    open_world(&w);
    assert_int_equal(world_send(&w, PHONE, "wamid.a",
                                "a\\ud800b \\udc00 \\u0000 \\ud83d\\ude00 IBAN"
                                " NL91\\u0020ABNA04\\u003117164300"),
                     200);
    assert_true(tool_has(&w.tools[0], 1, 3000));
    assert_true(tool_saw(&w.tools[0], "[IBAN]"));
    assert_false(tool_saw(&w.tools[0], "ABNA"));
    close_world(&w);
}

/* 1,000 updates in one POST, one of which cannot be judged and one of which is too large to keep:
 * the others are delivered as ever, in order. */
static void test_neighbours(void **state)
{
    (void)state;
    struct world w = {.routes = 1, .loop_count = 2};
    enum { N = 1000 };
    struct message *messages = calloc(N, sizeof(*messages));
    char(*ids)[64] = calloc(N, 64), *many = malloc(20000), *large = malloc(300001);
    assert_true(messages && ids && many && large);
    many[0] = '\0';
    for (unsigned i = 0; i < 1100; i++)
        strcat(many, "a@b1.nl ");
    strcat(many, CANARY);
    for (size_t i = 0; i < 300000; i++)
        large[i] = "kanarie7Qx9w2 "[i % 14];
    large[300000] = '\0';
    for (unsigned i = 0; i < N; i++) {
        snprintf(ids[i], 64, "wamid.%u", i);
        messages[i] = (struct message){i % 2 ? PHONE : "31600000002", ids[i],
                                       i == 500   ? many
                                       : i == 501 ? large
                                                  : ids[i],
                                       0};
    }
    open_world(&w);
    char *body = world_body(messages, N);
    assert_int_equal(world_post(&w, body), 200);
    assert_true(tool_has(&w.tools[0], N - 1, 30000));
    assert_int_equal(items(&w), N - 1);
    assert_int_equal(quarantined(&w), 1);
    assert_true(tool_saw(&w.tools[0], "[bericht kon niet worden gecontroleerd]"));
    assert_int_equal(world_traces(&w, CANARY), 0);
    /* the structure is there: a client sees from whom and when */
    for (unsigned i = 0; i < w.tools[0].count; i++)
        if (strstr(w.tools[0].got[i].body, "gecontroleerd"))
            assert_non_null(strstr(w.tools[0].got[i].body, "wamid.500"));
    assert_int_equal(world_post(&w, body), 200); /* Meta again: nothing new */
    assert_int_equal(items(&w), N - 1);
    free(body);
    free(messages);
    free(ids);
    free(many);
    free(large);
    close_world(&w);
}

/* What a message says stands in no file and no log, in no spelling. */
static void test_canary(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    int status = 503;
    open_world(&w);
    tool_set(&w.tools[0], tool_status, &status);
    for (unsigned i = 0; i < 5; i++) {
        char id[64];
        snprintf(id, sizeof(id), "wamid." CANARY "%u", i);
        assert_int_equal(world_send(&w, PHONE, id, "hallo " CANARY), 200);
    }
    for (unsigned i = 0; tool_count(&w.tools[0]) == 0 && i < 6000; i++)
        world_sleep(10);
    world_sleep(100);
    assert_true(tool_saw(&w.tools[0], CANARY)); /* it is for the tool to see: the search works */
    for (unsigned i = 0; i < w.tools[0].count; i++)
        memset(w.tools[0].got[i].body, 'x', w.tools[0].got[i].n);
    assert_int_equal(world_traces(&w, CANARY), 0);
    assert_int_equal(world_traces(&w, PHONE), 0);
    world_down(&w, true);
    assert_int_equal(world_traces(&w, CANARY), 0);
    world_remove(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),     cmocka_unit_test(test_verification),
        cmocka_unit_test(test_quarantine),     cmocka_unit_test(test_size),
        cmocka_unit_test(test_unknown_number), cmocka_unit_test(test_many_strangers),
        cmocka_unit_test(test_surrogates),     cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_canary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
