/* Attempts: which lane may try, the POST, and what its answer changes. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

int64_t backoff_ms(unsigned attempts)
{
    int64_t wait = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < attempts && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    return wait / 2 + (int64_t)randombytes_uniform((uint32_t)wait); /* half to one and a half */
}

/* ---- how long an entry may wait ---- */

static int64_t life_end(struct route *r, const struct entry *e)
{
    int64_t end = e->item.taken_ms + r->facts->keep_trying_s * 1000;
    int64_t bucket, kept = 0;
    struct store *store = r->deliver->deps.store;
    if (e->item.cls_o && retention_bucket_end(store, e->item.cls_o, e->item.bucket_o, &bucket) == 0)
        kept = bucket;
    if (!r->facts->needs_original && e->item.cls_m &&
        retention_bucket_end(store, e->item.cls_m, e->item.bucket_m, &bucket) == 0 && bucket > kept)
        kept = bucket;
    return kept && kept < end ? kept : end;
}

static void warn_of_age(struct route *r, struct entry *e, int64_t now, int64_t end)
{
    int64_t life = end - e->item.taken_ms, age = now - e->item.taken_ms;
    unsigned due = life <= 0 || age * 10 >= life * 9 ? 2 : age * 2 >= life ? 1 : 0;
    if (due <= e->warned)
        return;
    e->warned = (uint8_t)due;
    LOG(LOG_ALARM, "deliver", "delivery_ageing", log_word("channel", r->channel->name),
        log_word("route", r->facts->name), log_u64("serial", e->item.serial),
        log_u64("percent", due == 2 ? 90 : 50));
}

/* True when the entry was settled as expired. */
static bool expire(struct route *r, struct entry *e)
{
    int64_t now = clock_wall_ms(), end = life_end(r, e);
    if (now < end) {
        warn_of_age(r, e, now, end);
        return false;
    }
    LOG(LOG_ALARM, "deliver", "expired", log_word("channel", r->channel->name),
        log_word("route", r->facts->name), log_u64("serial", e->item.serial));
    route_settle(r, e, OUTCOME_EXPIRED);
    return true;
}

/* ---- the answer ---- */

static void wait_again(struct route *r, struct entry *e, int64_t at_least)
{
    int64_t wait = backoff_ms(e->attempts);
    e->state = ENTRY_BACKOFF;
    e->next_ms = clock_mono_ms() + (wait > at_least ? wait : at_least);
    deliver_count(r->deliver, D_RETRIES, 1);
}

static void detach(struct route *r, struct attempt *a)
{
    struct attempt **at = &r->attempts;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    r->in_flight--;
    a->lane->busy = false;
}

static void refused(struct route *r, struct lane *lane, unsigned units)
{
    struct entry *e = lane->first;
    if (++e->refusals < PARK_AFTER) {
        for (unsigned i = 0; i < units && e; i++, e = e->lane_next)
            wait_again(r, e, 0);
        return;
    }
    LOG(LOG_ALARM, "deliver", "parked", log_word("channel", r->channel->name),
        log_word("route", r->facts->name), log_u64("serial", e->item.serial),
        log_u64("status", e->last_status));
    for (unsigned i = 0; i < units; i++)
        route_settle(r, lane->first, OUTCOME_PARKED);
}

static void failed(struct route *r, struct lane *lane, unsigned units,
                   const struct client_answer *answer, enum verdict verdict, const char *why)
{
    struct entry *e = lane->first;
    if (answer->stale && !e->fresh) { /* nothing was said: the pool's connection had died */
        for (unsigned i = 0; i < units; i++, e = e->lane_next) {
            e->state = ENTRY_READY;
            e->fresh = true;
            e->attempts--;
        }
        lane_make_ready(r, lane);
        return;
    }
    if (verdict == VERDICT_REFUSED) {
        refused(r, lane, units);
        return;
    }
    for (unsigned i = 0; i < units; i++, e = e->lane_next)
        wait_again(r, e, retry_after_ms(answer));
    if (verdict == VERDICT_PAUSE) {
        route_pause(r, PAUSE_TOLD, why);
    } else if (answer->error != 0 && ++r->failures >= DOWN_AFTER) {
        route_pause(r, PAUSE_DOWN, why);
    }
    if (r->paused)
        r->probe_ms = clock_mono_ms() + PROBE_MS;
}

static void on_answer(const struct client_answer *answer, void *ctx)
{
    struct attempt *a = ctx;
    struct route *r = a->route;
    struct lane *lane = a->lane;
    unsigned units = a->units;
    const char *why;
    enum verdict verdict = verdict_of(answer, &why);
    detach(r, a);
    free(a);
    r->probing = false;
    struct entry *e = lane->first;
    for (unsigned i = 0; i < units; i++, e = e->lane_next)
        e->last_status = answer->error ? 0 : (uint16_t)answer->head->status;
    if (verdict == VERDICT_DELIVERED) {
        route_resume(r);
        /* `busy` keeps the lane in place while it empties */
        lane->busy = true;
        for (unsigned i = 0; i + 1 < units; i++)
            route_settle(r, lane->first, OUTCOME_DELIVERED);
        lane->busy = false;
        route_settle(r, lane->first, OUTCOME_DELIVERED);
    } else {
        failed(r, lane, units, answer, verdict, why);
    }
    route_advance(r);
}

/* ---- the request ---- */

static void sign(struct span secret, struct span body, char out[72])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    memcpy(out, "sha256=", 8);
    if (HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)body.p, body.n, mac, &n))
        hex_encode(mac, n, out + 7);
}

/* The same on every attempt and after a restart: a keyed hash of route and serial. */
static void delivery_id(const struct route *r, uint64_t serial, char out[33])
{
    uint8_t text[8], hash[16];
    be64_put(text, serial);
    crypto_generichash(hash, sizeof(hash), text, sizeof(text), r->id_key, sizeof(r->id_key));
    hex_encode(hash, sizeof(hash), out);
}

static int post(struct route *r, struct attempt *a, struct span body)
{
    struct entry *e = a->lane->first;
    char signature[72], id[33], number[8];
    sign(r->facts->secret, body, signature);
    delivery_id(r, e->item.serial, id);
    snprintf(number, sizeof(number), "%u", e->attempts);
    const struct http_field fields[] = {
        {SPAN("Content-Type"), SPAN("application/json")},
        {SPAN("X-Hub-Signature-256"), span_str(signature)},
        {SPAN("X-Sluis-Delivery"), span_str(id)},
        {SPAN("X-Sluis-Attempt"), span_str(number)},
    };
    const struct client_request request = {
        .method = HTTP_POST,
        .url = &r->url,
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .body = body,
        .status_only = true,
        .fresh_connection = e->fresh,
        .done = on_answer,
        .ctx = a,
    };
    return client_send(r->client, &request, &a->client_id);
}

/* Items of one POST of Meta's, from the lane's first on. */
static unsigned units_of(const struct route *r, const struct lane *lane)
{
    unsigned n = 1;
    if (r->facts->one_per_post)
        return 1;
    for (const struct entry *e = lane->first;
         e->lane_next && e->lane_next->item.batch == lane->first->item.batch &&
         e->lane_next->state == ENTRY_READY && n < BATCH_UNITS_MAX;
         e = e->lane_next)
        n++;
    return n;
}

/* What cannot be composed: gone content expires, all else is parked for a person (fail closed). */
static void not_composed(struct route *r, struct lane *lane, unsigned units, int error)
{
    enum outcome outcome = error == SLUIS_EEXPIRED ? OUTCOME_EXPIRED : OUTCOME_PARKED;
    if (error == SLUIS_ENOMEM || error == SLUIS_EIO || error == SLUIS_ESEALED) {
        struct entry *e = lane->first;
        for (unsigned i = 0; i < units; i++, e = e->lane_next) {
            e->attempts++;
            wait_again(r, e, 0);
        }
        return;
    }
    LOG(LOG_ALARM, "deliver", "not_composed", log_word("route", r->facts->name),
        log_u64("serial", lane->first->item.serial), log_error(error));
    lane->busy = true;
    for (unsigned i = 0; i + 1 < units; i++)
        route_settle(r, lane->first, outcome);
    lane->busy = false;
    route_settle(r, lane->first, outcome);
}

static void start(struct route *r, struct lane *lane)
{
    unsigned units = units_of(r, lane);
    struct buffer body;
    buffer_init(&body, BODY_MAX);
    int result = compose_body(r, lane, units, &body);
    if (result == SLUIS_EEXPIRED && units > 1) /* find out which one: one by one */
        units = 1, buffer_clear(&body), result = compose_body(r, lane, units, &body);
    struct attempt *a = result == 0 ? calloc(1, sizeof(*a)) : NULL;
    if (result == 0 && !a)
        result = SLUIS_ENOMEM;
    if (result != 0) {
        buffer_free(&body);
        not_composed(r, lane, units, result);
        return;
    }
    struct entry *e = lane->first;
    for (unsigned i = 0; i < units; i++, e = e->lane_next) {
        e->state = ENTRY_IN_FLIGHT;
        e->attempts++;
    }
    *a = (struct attempt){r, lane, 0, units, r->attempts};
    r->attempts = a;
    r->in_flight++;
    lane->busy = true;
    r->probing = r->paused != PAUSE_NONE;
    deliver_count(r->deliver, D_ATTEMPTS, 1);
    result = post(r, a, buffer_span(&body));
    buffer_free(&body);
    if (result != 0) { /* not accepted: resolver not ready, queue of the pool full */
        const struct client_answer answer = {.error = result, .failure = CLIENT_FAIL_CONNECT};
        on_answer(&answer, a);
    }
}

static bool may_start(const struct route *r)
{
    if (!r->started || !r->present || r->stopping || !r->client)
        return false;
    if (r->outcome_count + r->in_flight * BATCH_UNITS_MAX / 8 >= OUTCOMES_MAX)
        return false; /* outcomes cannot be written: no audit, no content */
    if (r->paused)
        return !r->probing && r->in_flight == 0 && clock_mono_ms() >= r->probe_ms;
    return r->in_flight < IN_FLIGHT_MAX;
}

void attempt_next(struct route *r)
{
    while (may_start(r)) {
        struct lane *lane = lane_take_ready(r);
        if (!lane)
            return;
        if (!lane->first || lane->first->state != ENTRY_READY || lane->busy) {
            lane_tidy(r, lane);
            continue;
        }
        if (!expire(r, lane->first))
            start(r, lane);
    }
}

void attempt_cancel_all(struct route *r)
{
    while (r->attempts) {
        struct attempt *a = r->attempts;
        struct lane *lane = a->lane;
        client_cancel(r->client, a->client_id);
        detach(r, a);
        struct entry *e = lane->first;
        for (unsigned i = 0; i < a->units && e; i++, e = e->lane_next) {
            e->state = ENTRY_READY;
            e->attempts--;
        }
        free(a);
        lane_make_ready(r, lane);
    }
}
