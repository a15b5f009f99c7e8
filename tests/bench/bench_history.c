/*
 * History of a conversation and search over a large store. Usage: bench_history [MESSAGES] (default
 * 1000000).
 *
 *   page    50 messages of one of 20,000 conversations whose messages lie spread over all: warm
 * (the same store, random conversations) and cold (store closed, its pages dropped from memory,
 * opened, one page). With the leaf's commit, as a caller waits for it. list    the newest 50
 * conversations of the channel search  every message, slice by slice, for a word that one in 10,000
 * has
 */
#include "../scenario/world.h"

#include "sluis/access.h"
#include "sluis/base/clock.h"
#include "sluis/history.h"
#include "sluis/mask.h"
#include "sluis/retention.h"
#include "sluis/subject.h"

#include "../unit/store/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PEOPLE 20000u
#define BATCH 512u
#define WARM 1000u
#define COLD 100u

static struct world w;
static struct history *history;
static struct access *tokens;

struct batch {
    struct store_item items[BATCH];
    struct record_id ids[BATCH];
    struct buffer sealed[BATCH];
    uint8_t hash[BATCH][STORE_HASH_BYTES];
    bool fresh[BATCH];
    unsigned n;
};

static int run_batch(struct store_txn *txn, void *ctx)
{
    struct batch *b = ctx;
    for (unsigned i = 0; i < b->n; i++) {
        if (b->fresh[i])
            store_put_identifier(txn, b->hash[i], b->items[i].subject);
        store_put_record(txn, &b->ids[i], buffer_span(&b->sealed[i]));
        struct store_item item = b->items[i];
        store_put_item(txn, &item);
    }
    return store_txn_error(txn);
}

static void fill_one(struct batch *b, struct keyring_cache *keys, uint16_t channel, uint64_t n,
                     int64_t now)
{
    uint64_t person = n < PEOPLE ? n : (n * 2654435761u + n / 7) % PEOPLE;
    const struct retention_rule rule = {.keep_s = 365 * 24 * 3600, .ground = "", .selection = ""};
    struct retention_place place;
    struct judged none = {0};
    struct buffer unit, packed;
    unsigned i = b->n++;
    char phone[32];
    snprintf(phone, sizeof(phone), "316%08u", (unsigned)person);
    b->items[i] = (struct store_item){.serial = store_next_serial(w.store),
                                      .subject = person + 1,
                                      .channel = channel,
                                      .kind = n % 2 ? STORE_KIND_MESSAGE : STORE_KIND_ECHO,
                                      .at_ms = now - 86400000 + (int64_t)(n * 80),
                                      .taken_ms = now - 86400000 + (int64_t)(n * 80)};
    if (retention_place(w.store, &rule, RETENTION_HISTORY, now, now, &place) != 0)
        abort();
    b->items[i].cls_m = place.cls;
    b->items[i].bucket_m = place.bucket;
    b->ids[i] = (struct record_id){place.cls, place.bucket, person + 1, b->items[i].serial, 'M'};
    b->fresh[i] = n < PEOPLE;
    subject_hash(w.keyring, span_str(phone), b->hash[i]);
    buffer_init(&unit, 4096);
    buffer_init(&packed, 8192);
    buffer_init(&b->sealed[i], 8192);
    buffer_addf(
        &unit,
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"1\",\"changes\":[{"
        "\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{"
        "\"display_phone_number\":\"31201234567\",\"phone_number_id\":\"106540352242922\"},"
        "\"contacts\":[{\"profile\":{\"name\":\"Sanne\"},\"wa_id\":\"%s\"}],\"messages\":[{"
        "\"from\":\"%s\",\"id\":\"wamid.%llu\",\"timestamp\":\"%lld\",\"type\":\"text\","
        "\"text\":{\"body\":\"Goedemiddag, ik heb een vraag over mijn vergunning %s nummer "
        "%llu.\"}}]}}]}]}",
        phone, phone, (unsigned long long)n, (long long)(now / 1000),
        n % 10000 == 17 ? "lekkage" : "parkeren", (unsigned long long)n);
    mask_pack(&none, buffer_span(&unit), &packed);
    if (record_seal(keys, 0, &b->ids[i], 0, buffer_span(&packed), &b->sealed[i]) != 0)
        abort();
    buffer_free(&unit);
    buffer_free(&packed);
}

static void fill(uint64_t messages)
{
    struct batch *b = calloc(1, sizeof(*b));
    struct config *config = config_acquire(w.cell);
    struct keyring_cache *keys;
    int64_t now = clock_wall_ms();
    if (!b || keyring_cache_new(w.keyring, &keys) != 0)
        abort();
    for (uint64_t n = 0; n < messages;) {
        for (b->n = 0; b->n < BATCH && n < messages; n++)
            fill_one(b, keys, config->channels[0].id, n, now);
        if (test_run(w.store, run_batch, b) != 0)
            abort();
        for (unsigned i = 0; i < b->n; i++)
            buffer_free(&b->sealed[i]);
    }
    keyring_cache_free(keys);
    config_unref(config);
    free(b);
}

static void open_history(void)
{
    if (access_open(w.store, w.keyring, &tokens) != 0)
        abort();
    const struct history_deps deps = {
        .store = w.store, .keyring = w.keyring, .config = w.cell, .access = tokens};
    if (history_new(&deps, &history) != 0)
        abort();
}

static int64_t ask(enum history_operation operation, const char *body, struct history_request *q)
{
    history_request_init(q);
    q->operation = operation;
    q->principal = (struct principal){.kind = PRINCIPAL_OPERATOR, .name = "operator"};
    buffer_add_str(&q->body, body);
    int64_t began = clock_mono_us();
    history_run(history, q);
    int64_t took = clock_mono_us() - began;
    if (q->status != 200) {
        fprintf(stderr, "%u %.*s\n", q->status, (int)q->answer.n, q->answer.p);
        abort();
    }
    return took;
}

static int64_t page(unsigned person)
{
    struct history_request q;
    char body[128];
    snprintf(body, sizeof(body),
             "{\"channel\":\"burgerzaken\",\"contact\":\"316%08u\",\"limit\":50}", person);
    int64_t took = ask(HISTORY_MESSAGES, body, &q);
    history_request_free(&q);
    return took;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void tell(const char *what, int64_t *us, unsigned n)
{
    qsort(us, n, sizeof(*us), by_value);
    printf("%-28s p50 %7.2f ms   p99 %7.2f ms   max %7.2f ms   (%u)\n", what,
           (double)us[n / 2] / 1e3, (double)us[n * 99 / 100] / 1e3, (double)us[n - 1] / 1e3, n);
}

static void drop_pages(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/store/data.mdb", w.top);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fdatasync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        abort();
    close(fd);
}

static void cold(int64_t *us)
{
    for (unsigned i = 0; i < COLD; i++) {
        history_free(history);
        access_close(tokens);
        world_down(&w, false);
        drop_pages();
        world_up(&w);
        open_history();
        us[i] = page((i * 7919u + 13) % PEOPLE);
    }
}

static void search(uint64_t messages)
{
    struct history_request q;
    char body[1024], cursor[600] = "";
    uint64_t scanned = 0, hits = 0, slices = 0;
    int64_t began = clock_mono_us(), longest = 0;
    do {
        snprintf(
            body, sizeof(body),
            "{\"channel\":\"burgerzaken\",\"from\":\"2000-01-01\",\"to\":\"2099-01-01\",\"words\":["
            "\"LEKKAGE\"],\"purpose\":\"meting\",\"reference\":\"1\"%s%s%s}",
            cursor[0] ? ",\"cursor\":\"" : "", cursor, cursor[0] ? "\"" : "");
        int64_t took = ask(HISTORY_SEARCH, body, &q);
        longest = took > longest ? took : longest;
        buffer_add_char(&q.answer, '\0');
        scanned += strtoull(strstr(q.answer.p, "\"scanned\":") + 10, NULL, 10);
        for (const char *at = q.answer.p; (at = strstr(at, "\"message\":{\"id\"")); at++)
            hits++;
        const char *next = strstr(q.answer.p, "\"cursor\":\"");
        snprintf(cursor, sizeof(cursor), "%.*s", next ? (int)strcspn(next + 10, "\"") : 0,
                 next ? next + 10 : "");
        history_request_free(&q);
        slices++;
    } while (cursor[0]);
    double s = (double)(clock_mono_us() - began) / 1e6;
    printf("search: %llu messages in %.1f s: %.0f messages/s, %llu hits of %llu, %llu slices, "
           "longest %.0f ms\n",
           (unsigned long long)scanned, s, (double)scanned / s, (unsigned long long)hits,
           (unsigned long long)(messages / 10000), (unsigned long long)slices,
           (double)longest / 1e3);
}

int main(int argc, char **argv)
{
    uint64_t messages = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    static int64_t us[WARM];
    struct history_request q;
    w.routes = 1;
    w.map_size = (size_t)2 << 30;
    world_make(&w);
    world_up(&w);
    int64_t began = clock_mono_us();
    fill(messages);
    printf("%llu messages stored in %.0f s\n", (unsigned long long)messages,
           (double)(clock_mono_us() - began) / 1e6);
    open_history();
    for (unsigned i = 0; i < WARM; i++)
        page((i * 7919u) % PEOPLE);
    for (unsigned i = 0; i < WARM; i++)
        us[i] = page((i * 7919u) % PEOPLE);
    tell("page of 50, warm", us, WARM);
    for (unsigned i = 0; i < COLD; i++) {
        us[i] = ask(HISTORY_CONVERSATIONS, "{\"channel\":\"burgerzaken\"}", &q);
        history_request_free(&q);
    }
    tell("50 conversations, warm", us, COLD);
    search(messages);
    cold(us);
    tell("page of 50, cold", us, COLD);
    history_free(history);
    access_close(tokens);
    world_down(&w, true);
    world_remove(&w);
    return 0;
}
