/* What a conversation's messages say about each other, and what may be taken back. */
#include "world.h"

#include "sluis/retention.h"
#include "sluis/subject.h"

#include "sluis/base/encode.h"
#include "sluis/mask.h"

#include "../unit/store/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define PHONE "31600000001"

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

static int send_at(struct world *w, const char *from, const char *id, const char *text,
                   long long at)
{
    const struct message m = {from, id, text, at};
    char *body = world_body(&m, 1);
    int status = world_post(w, body);
    free(body);
    return status;
}

/* ---- what stands in the store ---- */

struct find_item {
    uint64_t nth, seen;
    struct store_item item;
};
static int nth_item(void *ctx, const struct store_item *item)
{
    struct find_item *f = ctx;
    f->item = *item;
    return f->seen++ == f->nth;
}

/* Part of the n-th accepted item, opened; -1 when it is gone. */
static int stored(struct world *w, unsigned nth, uint8_t part, char *out, size_t size,
                  struct judged *judged)
{
    struct store_read *read;
    struct keyring_cache *cache;
    struct arena arena;
    struct buffer plain;
    struct find_item f = {.nth = nth};
    struct span sealed, json;
    struct judged own;
    arena_init(&arena, 1024 * 1024);
    buffer_init(&plain, STORE_RECORD_MAX);
    assert_int_equal(keyring_cache_new(w->keyring, &cache), 0);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_item(read, 1, nth_item, &f), 0);
    assert_true(f.seen > nth);
    struct record_id id;
    int r = retention_part(read, &f.item, part, &id);
    if (r == 0)
        r = store_get_record(read, &id, &arena, &sealed);
    if (r == 0) {
        assert_int_equal(record_open(cache, 0, &id, sealed, &plain), 0);
        assert_int_equal(mask_unpack(buffer_span(&plain), &arena, judged ? judged : &own, &json),
                         0);
        assert_true(json.n < size);
        memcpy(out, json.p, json.n);
        out[json.n] = '\0';
    }
    store_read_end(read);
    keyring_cache_free(cache);
    buffer_free(&plain);
    arena_free(&arena);
    return r == 0 ? 0 : -1;
}

static unsigned leaves_with(struct world *w, const char *word);
struct count_leaves {
    const char *word;
    unsigned n;
};
static int count_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct count_leaves *c = ctx;
    (void)index;
    (void)hash;
    c->n += memmem(leaf.p, leaf.n, c->word, strlen(c->word)) != NULL;
    return 0;
}
static unsigned leaves_with(struct world *w, const char *word)
{
    struct store_read *read;
    struct count_leaves c = {word, 0};
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_leaf(read, 0, count_leaf, &c), 0);
    store_read_end(read);
    return c.n;
}

/* ---- halves ---- */

/* The first half waits for a tool that is away; the second comes: neither half is delivered, and
 * neither stands in part M. */
static void halves(struct world *w, long long at_a, long long at_b, const char *a, const char *b)
{
    char json[4096];
    int status = 503;
    tool_set(&w->tools[0], tool_status, &status);
    assert_int_equal(send_at(w, PHONE, "wamid.a", a, at_a), 200);
    for (unsigned i = 0; tool_count(&w->tools[0]) == 0 && i < 6000; i++)
        world_sleep(10); /* its one attempt is over */
    assert_int_equal(send_at(w, PHONE, "wamid.b", b, at_b), 200);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stored(w, i, 'M', json, sizeof(json), NULL), 0);
        assert_null(strstr(json, "ABNA"));
        assert_null(strstr(json, "643 00"));
        assert_int_equal(stored(w, i, 'O', json, sizeof(json), NULL), 0);
    }
    assert_int_equal(leaves_with(w, "\"remask\""), 1);
    /* What was tried before the second half was known went out with the first half: not after. The
     * conversation's attempts come one after the other: the second from now is of now. */
    unsigned begun = tool_count(&w->tools[0]);
    for (unsigned i = 0; tool_count(&w->tools[0]) < begun + 2 && i < 6000; i++)
        world_sleep(10);
    unsigned before = tool_count(&w->tools[0]);
    assert_true(before >= begun + 2);
    tool_set(&w->tools[0], NULL, NULL);
    assert_true(tool_has(&w->tools[0], 2, 5000));
    for (unsigned i = before; i < w->tools[0].count; i++) {
        assert_null(strstr(w->tools[0].got[i].body, "ABNA"));
        assert_null(strstr(w->tools[0].got[i].body, "643 00"));
        assert_null(strstr(w->tools[0].got[i].body, "verlopen"));
    }
}

#define HALF_A "NL91 ABNA 04"
#define HALF_B "17 1643 00"

static void test_halves(void **state)
{
    (void)state;
    long long now = time(NULL);
    for (unsigned restart = 0; restart < 2; restart++) {
        struct world w = {.routes = 1};
        open_world(&w);
        halves(&w, now, now + 1, HALF_A, HALF_B);
        close_world(&w);
    }
}

/* The second half was there first, or both in one second. */
static void test_halves_reversed(void **state)
{
    (void)state;
    long long now = time(NULL);
    for (int apart = 0; apart < 2; apart++) {
        struct world w = {.routes = 1};
        open_world(&w);
        halves(&w, now, now - apart, HALF_B, HALF_A);
        close_world(&w);
    }
}

/* A restart between the halves: the window comes from the store. */
static void test_halves_restart(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    long long now = time(NULL);
    open_world(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.a", HALF_A, now), 200);
    world_down(&w, true);
    world_up(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.b", HALF_B, now + 1), 200);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stored(&w, i, 'M', json, sizeof(json), NULL), 0);
        assert_null(strstr(json, "ABNA"));
        assert_null(strstr(json, "643 00"));
    }
    close_world(&w);
}

/* In one POST the first half is not yet committed when the second is judged. */
static void test_halves_one_post(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    open_world(&w);
    const struct message both[] = {{PHONE, "wamid.a", HALF_A, 0}, {PHONE, "wamid.b", HALF_B, 0}};
    char *body = world_body(both, 2);
    assert_int_equal(world_post(&w, body), 200);
    free(body);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stored(&w, i, 'M', json, sizeof(json), NULL), 0);
        assert_null(strstr(json, "ABNA"));
        assert_null(strstr(json, "643 00"));
    }
    close_world(&w);
}

/* Meta sends the first half again (we answered late): the window does not hold it twice. */
static void test_repeated_half(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    long long now = time(NULL);
    open_world(&w);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(send_at(&w, PHONE, "wamid.a", HALF_A, now), 200);
    assert_int_equal(send_at(&w, PHONE, "wamid.b", HALF_B, now + 1), 200);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stored(&w, i, 'M', json, sizeof(json), NULL), 0);
        assert_null(strstr(json, "ABNA"));
        assert_null(strstr(json, "643 00"));
    }
    assert_int_equal(leaves_with(&w, "deliver_intent"), 2);
    close_world(&w);
}

static int damage(struct store_txn *txn, void *ctx)
{
    store_put_record(txn, ctx, SPAN("this is no sealed record"));
    return store_txn_error(txn);
}

/* The first half cannot be opened, so not masked anew: no part of it stays. */
static void test_half_damaged(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    long long now = time(NULL);
    open_world(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.a", HALF_A, now), 200);
    struct store_read *read;
    struct find_item f = {.nth = 0};
    assert_int_equal(store_read_begin(w.store, &read), 0);
    assert_int_equal(store_each_item(read, 1, nth_item, &f), 0);
    store_read_end(read);
    struct record_id id = {f.item.cls_o, f.item.bucket_o, f.item.subject, f.item.serial, 'O'};
    assert_int_equal(test_run(w.store, damage, &id), 0);
    assert_int_equal(send_at(&w, PHONE, "wamid.b", HALF_B, now + 1), 200);
    assert_int_equal(stored(&w, 0, 'M', json, sizeof(json), NULL), -1);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    assert_int_equal(stored(&w, 1, 'M', json, sizeof(json), NULL), 0);
    assert_null(strstr(json, "643 00"));
    close_world(&w);
}

/* A part as it is sealed at its first place; false: no row is there. */
static bool sealed_at(struct world *w, const struct record_id *id, struct arena *arena,
                      struct span *sealed)
{
    struct store_read *read;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = store_get_record(read, id, arena, sealed);
    store_read_end(read);
    return r == 0;
}

static int opens(struct world *w, const struct record_id *id, struct span sealed)
{
    struct keyring_cache *cache;
    struct buffer plain;
    buffer_init(&plain, STORE_RECORD_MAX);
    assert_int_equal(keyring_cache_new(w->keyring, &cache), 0);
    int r = record_open(cache, 0, id, sealed, &plain);
    keyring_cache_free(cache);
    buffer_free(&plain);
    return r;
}

/* An older copy of the data holds the first half as it was: its key goes, what stays has another.
 */
static void test_half_in_older_copy(void **state)
{
    (void)state;
    for (unsigned held = 0; held < 2; held++) {
        struct world w = {.routes = 1, .held = held};
        struct store_read *read;
        struct find_item f = {.nth = 0};
        struct arena arena;
        struct span o, m, now_there;
        char json[4096];
        long long now = time(NULL);
        arena_init(&arena, 1024 * 1024);
        open_world(&w);
        assert_int_equal(send_at(&w, PHONE, "wamid.a", HALF_A, now), 200);
        assert_int_equal(store_read_begin(w.store, &read), 0);
        assert_int_equal(store_each_item(read, 1, nth_item, &f), 0);
        store_read_end(read);
        const struct record_id at_o = {f.item.cls_o, f.item.bucket_o, f.item.subject, f.item.serial,
                                       'O'};
        const struct record_id at_m = {f.item.cls_m, f.item.bucket_m, f.item.subject, f.item.serial,
                                       'M'};
        assert_true(sealed_at(&w, &at_o, &arena, &o) && sealed_at(&w, &at_m, &arena, &m));
        assert_int_equal(opens(&w, &at_o, o), 0); /* control: the copy opens */
        assert_int_equal(send_at(&w, PHONE, "wamid.b", HALF_B, now + 1), 200);
        assert_int_equal(w.leaf_count, 1);
        assert_int_equal(w.leaves[0], f.item.serial);
        const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = (uint32_t)w.leaves[0]};
        assert_int_equal(keyring_puncture(w.keyring, &leaf, 1), 0);
        assert_int_equal(opens(&w, &at_o, o), SLUIS_EEXPIRED);
        assert_int_equal(opens(&w, &at_m, m), SLUIS_EEXPIRED);
        /* under a hold the rows stay until the leaf may go */
        assert_true(sealed_at(&w, &at_o, &arena, &now_there) == (held == 1));
        assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), 0);
        assert_int_equal(stored(&w, 0, 'M', json, sizeof(json), NULL), 0);
        assert_null(strstr(json, "ABNA"));
        close_world(&w);
        arena_free(&arena);
    }
}

/* A contact has another number: two subjects, linked both ways, once; with a user id it is one. */
static void change_number(struct world *w, const char *id, const char *from, const char *to,
                          const char *extra)
{
    char body[2048];
    snprintf(
        body, sizeof(body),
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
        "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
        "\"metadata\":{\"display_phone_number\":\"31201234567\",\"phone_number_id\":\"%s\"},"
        "\"messages\":[{\"from\":\"%s\",\"id\":\"%s\",\"timestamp\":\"%lld\",\"type\":\"system\","
        "\"system\":{\"body\":\"User changed\",\"wa_id\":\"%s\",\"type\":"
        "\"user_changed_number\"%s}}]}}]}]}",
        WORLD_NUMBER, from, id, (long long)time(NULL), to, extra);
    assert_int_equal(world_post(w, body), 200);
}

static uint64_t subject_of(struct world *w, const char *number)
{
    struct store_read *read;
    uint64_t subject = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(subject_find(read, w->keyring, span_str(number), &subject), 0);
    store_read_end(read);
    return subject;
}

static unsigned links_of(struct world *w, uint64_t subject, uint64_t out[SUBJECT_LINKS_MAX])
{
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(subject_links(read, subject, out, &n), 0);
    store_read_end(read);
    return n;
}

static void test_number_change(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    uint64_t linked[SUBJECT_LINKS_MAX];
    open_world(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.a", "hallo", time(NULL)), 200);
    uint64_t before = subject_of(&w, PHONE);
    assert_int_equal(links_of(&w, before, linked), 0);
    for (unsigned i = 0; i < 2; i++) /* Meta brings it twice */
        change_number(&w, "wamid.change", PHONE, "31687654321", "");
    uint64_t after = subject_of(&w, "31687654321");
    assert_true(after != before);
    assert_int_equal(links_of(&w, before, linked), 1);
    assert_int_equal(linked[0], after);
    assert_int_equal(links_of(&w, after, linked), 1);
    assert_int_equal(linked[0], before);
    /* who writes from it is that subject */
    assert_int_equal(send_at(&w, "31687654321", "wamid.b", "nieuw", time(NULL)), 200);
    assert_int_equal(subject_of(&w, "31687654321"), after);
    /* to itself: nothing */
    change_number(&w, "wamid.same", PHONE, PHONE, "");
    assert_int_equal(links_of(&w, before, linked), 1);
    close_world(&w);
}

/* The halves of a card: part O of both goes, since policy never writes one. */
static const char never_policy[] =
    "policy: 1\nname: p\nactivity: proef\n"
    "profiles: {w: {default: redact, phone: keep}}\n"
    "originals: [{found: pan, keep: never, ground: PCI}, {keep: 24h, ground: AVG 6.1.e}]\n"
    "history: [{keep: 1y, ground: AVG 6.1.e}]\n"
    "routes: {r0: {profile: w}, r1: {profile: w}, r2: {profile: w}}\n";

static void test_never(void **state)
{
    (void)state;
    struct world w = {.routes = 1, .policy = never_policy};
    char json[4096];
    long long now = time(NULL);
    open_world(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.a", "mijn kaart 4111 1111", now), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), 0);
    assert_int_equal(send_at(&w, PHONE, "wamid.b", "1111 1111", now + 1), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    assert_int_equal(stored(&w, 0, 'M', json, sizeof(json), NULL), 0);
    assert_null(strstr(json, "4111 1111"));
    assert_int_equal(stored(&w, 1, 'O', json, sizeof(json), NULL), -1);
    close_world(&w);
}

/* "Wat is uw BSN?" by a tool: the window knows. */
static void test_sent(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    open_world(&w);
    assert_int_equal(world_send(&w, PHONE, "wamid.a", "hallo"), 200);
    const struct webhook_sent sent = {.channel = 1,
                                      .contact = SPAN(PHONE),
                                      .text = SPAN("Wat is uw BSN?"),
                                      .at_ms = (int64_t)time(NULL) * 1000,
                                      .serial = 1000000};
    webhook_note_sent(w.webhook, &sent);
    assert_int_equal(world_send(&w, PHONE, "wamid.b", "111222333"), 200);
    assert_int_equal(stored(&w, 1, 'M', json, sizeof(json), NULL), 0);
    assert_null(strstr(json, "111222333"));
    close_world(&w);
}

/* ---- taking back ---- */

static int take_back(struct world *w, const char *from, const char *id, const char *target)
{
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":[{\"from\":"
             "\"%s\",\"id\":\"%s\",\"timestamp\":\"%lld\",\"type\":\"revoke\","
             "\"revoke\":{\"original_message_id\":\"%s\"}}]}}]}]}",
             from, id, (long long)time(NULL), target);
    return world_post(w, body);
}

static void test_revoke(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    open_world(&w);
    assert_int_equal(world_send(&w, PHONE, "wamid.a", "spijt"), 200);
    /* somebody else's, and one that never was */
    assert_int_equal(take_back(&w, "31600000002", "wamid.x", "wamid.a"), 200);
    assert_int_equal(take_back(&w, PHONE, "wamid.y", "wamid.none"), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), 0);
    /* a status with the id of the message is not the message */
    char status[1024];
    snprintf(status, sizeof(status),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"statuses\":[{\"id\":"
             "\"wamid.s\",\"status\":\"sent\",\"timestamp\":\"%lld\",\"recipient_id\":\"" PHONE
             "\"}]}}]}]}",
             (long long)time(NULL));
    assert_int_equal(world_post(&w, status), 200);
    assert_int_equal(take_back(&w, PHONE, "wamid.z", "wamid.s"), 200);
    assert_int_equal(stored(&w, 3, 'O', json, sizeof(json), NULL), 0);
    /* the person's own */
    assert_int_equal(take_back(&w, PHONE, "wamid.r", "wamid.a"), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    assert_int_equal(stored(&w, 0, 'M', json, sizeof(json), NULL), 0);
    close_world(&w);
}

/* The revoke came first: its message is answered 200 and not stored. */
static void test_revoke_first(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    open_world(&w);
    assert_int_equal(take_back(&w, PHONE, "wamid.r", "wamid.a"), 200);
    assert_int_equal(take_back(&w, PHONE, "wamid.q", "wamid.a"), 200);
    assert_int_equal(world_send(&w, PHONE, "wamid.a", "spijt vooraf"), 200);
    assert_int_equal(world_send(&w, PHONE, "wamid.b", "hallo"), 200);
    assert_true(tool_has(&w.tools[0], 3, 5000));
    assert_false(tool_saw(&w.tools[0], "spijt vooraf"));
    assert_int_equal(leaves_with(&w, "deliver_intent"), 3);
    close_world(&w);
}

static int echo(struct world *w, const char *id, const char *rest)
{
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"smb_message_echoes\",\"value\":{\"messaging_product\":"
             "\"whatsapp\",\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},"
             "\"message_echoes\":[{\"from\":\"31850000000\",\"to\":\"" PHONE "\",\"id\":\"%s\","
             "\"timestamp\":\"%lld\",%s}]}}]}]}",
             id, (long long)time(NULL), rest);
    return world_post(w, body);
}

/* Staff takes its own message back. */
static void test_revoke_echo(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    open_world(&w);
    assert_int_equal(echo(&w, "wamid.e", "\"type\":\"text\",\"text\":{\"body\":\"fout\"}"), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), 0);
    assert_int_equal(echo(&w, "wamid.f",
                          "\"type\":\"revoke\",\"revoke\":{\"original_message_id\":"
                          "\"wamid.e\"}"),
                     200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    close_world(&w);
}

/* Message and revoke in one POST: the message is not committed yet when the revoke is read. */
static void test_revoke_one_post(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096], body[2048];
    open_world(&w);
    long long now = time(NULL);
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":["
             "{\"from\":\"" PHONE "\",\"id\":\"wamid.a\",\"timestamp\":\"%lld\",\"type\":\"text\","
             "\"text\":{\"body\":\"spijt\"}},{\"from\":\"" PHONE
             "\",\"id\":\"wamid.r\",\"timestamp\":\"%lld\",\"type\":\"revoke\","
             "\"revoke\":{\"original_message_id\":\"wamid.a\"}}]}}]}]}",
             now, now);
    assert_int_equal(world_post(&w, body), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    close_world(&w);
}

/* The first half is taken back in the same POST that brings the second: it does not come back. */
static void test_revoke_then_half(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096], body[2048];
    long long now = time(NULL);
    open_world(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.a", HALF_A, now), 200);
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":["
             "{\"from\":\"" PHONE
             "\",\"id\":\"wamid.r\",\"timestamp\":\"%lld\",\"type\":\"revoke\","
             "\"revoke\":{\"original_message_id\":\"wamid.a\"}},"
             "{\"from\":\"" PHONE "\",\"id\":\"wamid.b\",\"timestamp\":\"%lld\",\"type\":\"text\","
             "\"text\":{\"body\":\"" HALF_B "\"}}]}}]}]}",
             now, now);
    assert_int_equal(world_post(&w, body), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    assert_int_equal(stored(&w, 0, 'M', json, sizeof(json), NULL), 0);
    assert_null(strstr(json, "ABNA"));
    close_world(&w);
}

/* ---- media, retention, tool data ---- */

static void test_media(void **state)
{
    (void)state;
    struct world w = {.routes = 1, .channel_extra = "    media: pass\n"};
    char body[2048];
    open_world(&w);
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":[{\"from\":"
             "\"" PHONE "\",\"id\":\"wamid.i\",\"timestamp\":\"%lld\",\"type\":\"image\",\"image\":"
             "{\"mime_type\":\"image/jpeg\",\"sha256\":\"x\",\"id\":\"900000000000001\"}}]}}]}]}",
             (long long)time(NULL));
    assert_int_equal(world_post(&w, body), 200);
    struct config *config = config_acquire(w.cell);
    struct keyring_cache *keys;
    struct media_item item;
    struct store_read *read;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_int_equal(keyring_cache_new(w.keyring, &keys), 0);
    assert_int_equal(store_read_begin(w.store, &read), 0);
    assert_int_equal(media_find(read, w.keyring, keys, config->channels[0].id,
                                SPAN("900000000000001"), &arena, &item),
                     0);
    config_unref(config);
    assert_int_equal(item.state, MEDIA_WAITING);
    assert_string_equal(item.name, "image");
    assert_string_equal(item.id, "900000000000001");
    assert_string_equal(item.mime_type, "image/jpeg");
    assert_int_not_equal(item.keys.cls, 0);
    assert_int_equal(
        media_find(read, w.keyring, keys, 9999, SPAN("900000000000001"), &arena, &item),
        SLUIS_ENOENT);
    store_read_end(read);
    keyring_cache_free(keys);
    arena_free(&arena);
    /* nobody fetches in this world: nothing of it is passed */
    assert_true(tool_has(&w.tools[0], 1, 3000));
    assert_true(tool_saw(&w.tools[0], "[foto: niet doorgegeven]"));
    assert_false(tool_saw(&w.tools[0], "900000000000001"));
    close_world(&w);
}

/* A day late: part O may not be written any more, M may; years late: nothing may. */
static void test_late(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    char json[4096];
    long long now = time(NULL);
    open_world(&w);
    assert_int_equal(send_at(&w, PHONE, "wamid.a", "van eergisteren", now - 2 * 86400), 200);
    assert_int_equal(stored(&w, 0, 'O', json, sizeof(json), NULL), -1);
    assert_int_equal(stored(&w, 0, 'M', json, sizeof(json), NULL), 0);
    assert_true(tool_has(&w.tools[0], 1, 3000));
    assert_true(tool_saw(&w.tools[0], "verlopen"));
    assert_int_equal(send_at(&w, PHONE, "wamid.b", "van jaren her", now - 3 * 365 * 86400), 200);
    world_sleep(100);
    assert_int_equal(tool_accepted(&w.tools[0]), 1);
    close_world(&w);
}

/* A clock that ran ahead was believed and buckets that still lie ahead lost their keys: nothing is
 * answered 200 and dropped; Meta keeps it until somebody has looked. */
static void test_no_key(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    open_world(&w);
    assert_int_equal(world_send(&w, PHONE, "wamid.a", "eerst"), 200);
    assert_true(tool_has(&w.tools[0], 1, 3000));
    for (uint16_t cls = 1; cls < STORE_CLASSES_MAX; cls++) {
        const struct keyring_leaf leaf = {KEYRING_TIME, true, cls, 60000000};
        assert_int_equal(keyring_puncture(w.keyring, &leaf, 1), 0);
    }
    assert_int_equal(world_send(&w, PHONE, "wamid.b", "daarna"), 503);
    world_sleep(100);
    assert_int_equal(tool_accepted(&w.tools[0]), 1);
    close_world(&w);
}

/* Messages of long ago, by Meta's history or a clock that is off: once, however often they come. */
static void test_old_once(void **state)
{
    (void)state;
    struct world w = {.routes = 1};
    long long now = time(NULL);
    open_world(&w);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send_at(&w, PHONE, "wamid.o", "een maand oud", now - 30 * 86400), 200);
        assert_int_equal(send_at(&w, PHONE, "wamid.w", "drie dagen oud", now - 3 * 86400), 200);
        assert_int_equal(send_at(&w, PHONE, "wamid.f", "van morgen", now + 30 * 86400 + i), 200);
    }
    /* one that stands under another day's key than today's is searched for */
    assert_int_equal(send_at(&w, PHONE, "wamid.y", "van gisteren", now - 86400), 200);
    assert_int_equal(send_at(&w, PHONE, "wamid.y", "van gisteren", now - 4 * 86400), 200);
    assert_true(tool_has(&w.tools[0], 4, 5000));
    world_sleep(100);
    assert_int_equal(tool_accepted(&w.tools[0]), 4);
    assert_int_equal(leaves_with(&w, "deliver_intent"), 4);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_halves_reversed),
        cmocka_unit_test(test_halves_restart),
        cmocka_unit_test(test_halves_one_post),
        cmocka_unit_test(test_repeated_half),
        cmocka_unit_test(test_half_damaged),
        cmocka_unit_test(test_half_in_older_copy),
        cmocka_unit_test(test_number_change),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_sent),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_revoke_one_post),
        cmocka_unit_test(test_revoke_first),
        cmocka_unit_test(test_revoke_echo),
        cmocka_unit_test(test_revoke_then_half),
        cmocka_unit_test(test_media),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_no_key),
        cmocka_unit_test(test_old_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
