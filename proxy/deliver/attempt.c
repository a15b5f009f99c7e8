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

static int64_t life_end(struct route *r, struct entry *e)
{
    int64_t end = e->item.taken_ms + r->facts->keep_trying_s * 1000;
    int64_t kept = part_ends(r, e, 'O');
    int64_t ends_m = r->facts->needs_original ? 0 : part_ends(r, e, 'M');
    if (ends_m > kept)
        kept = ends_m;
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

/* The units of one POST wait together: what is tried again is the same POST. */
static void wait_again(struct route *r, struct lane *lane, unsigned units, int64_t at_least)
{
    struct entry *e = lane->first;
    int64_t wait = backoff_ms(e->attempts);
    int64_t next = clock_mono_ms() + (wait > at_least ? wait : at_least);
    for (unsigned i = 0; i < units; i++, e = e->lane_next) {
        e->state = ENTRY_BACKOFF;
        e->next_ms = next;
    }
    deliver_count(r->deliver, D_RETRIES, units);
    lane_wait(r, lane);
}

static void detach(struct route *r, struct attempt *a)
{
    struct attempt **at = &r->attempts;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    r->in_flight--;
    r->units_in_flight -= a->units;
    a->lane->busy = false;
}

/* The first `units` entries of the lane, all with the same outcome. */
static void settle_units(struct route *r, struct lane *lane, unsigned units, enum outcome outcome)
{
    lane->units = 0;
    lane->busy = true; /* keeps the lane in place while it empties */
    for (unsigned i = 0; i + 1 < units; i++)
        route_settle(r, lane->first, outcome);
    lane->busy = false;
    route_settle(r, lane->first, outcome);
}

static void refused(struct route *r, struct lane *lane, unsigned units)
{
    struct entry *e = lane->first;
    if (++e->refusals < PARK_AFTER) {
        wait_again(r, lane, units, 0);
        return;
    }
    LOG(LOG_ALARM, "deliver", "parked", log_word("channel", r->channel->name),
        log_word("route", r->facts->name), log_u64("serial", e->item.serial),
        log_u64("status", e->last_status));
    settle_units(r, lane, units, OUTCOME_PARKED);
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
    if (verdict == VERDICT_REFUSED) { /* of this message; the route itself answers */
        route_resume(r);
        refused(r, lane, units);
        return;
    }
    wait_again(r, lane, units, retry_after_ms(answer));
    if (verdict == VERDICT_PAUSE) {
        route_pause(r, PAUSE_TOLD, why);
    } else if (answer->error == 0) {
        r->failures = 0;
    } else if (++r->failures >= DOWN_AFTER && r->paused != PAUSE_TOLD) {
        route_pause(r, PAUSE_DOWN, why);
    }
    if (r->paused)
        r->probe_ms = clock_mono_ms() + (r->paused == PAUSE_TOLD ? PROBE_MS : PROBE_DOWN_MS);
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
        settle_units(r, lane, units, OUTCOME_DELIVERED);
    } else {
        failed(r, lane, units, answer, verdict, why);
    }
    route_advance(r);
}

/* ---- the request ---- */

static int sign(struct span secret, struct span body, char out[72])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    memcpy(out, "sha256=", 8);
    if (!HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)body.p, body.n, mac,
              &n))
        return SLUIS_ECRYPTO;
    hex_encode(mac, n, out + 7);
    return 0;
}

/* The same on every attempt and after a restart: a keyed hash of route and serial. */
void delivery_id(const struct route *r, uint64_t serial, char out[DELIVERY_ID])
{
    delivery_id_of(r->id_key, serial, out);
}

static int post(struct route *r, struct attempt *a, struct span body)
{
    struct entry *e = a->lane->first;
    char signature[72], id[DELIVERY_ID], number[8];
    int result = sign(r->facts->secret, body, signature);
    if (result != 0)
        return result;
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

/* Items of one POST of Meta's, from the lane's first on; on a further try those of the first. */
static unsigned units_of(const struct route *r, const struct lane *lane)
{
    unsigned n = 1;
    if (lane->first->item.flags & STORE_ITEM_TOLD)
        return 1; /* a body of its own */
    if (r->one_per_post || lane->units)
        return lane->units ? lane->units : 1;
    for (const struct entry *e = lane->first;
         e->lane_next && e->lane_next->item.batch == lane->first->item.batch &&
         e->lane_next->state == ENTRY_READY && n < BATCH_UNITS_MAX;
         e = e->lane_next)
        n++;
    return n;
}

/* The other units of a POST are committed within moments: waits for them, once. */
static bool gathers(struct route *r, struct lane *lane)
{
    struct entry *e = lane->first;
    unsigned n = units_of(r, lane);
    if (r->one_per_post || e->attempts || lane->units || n == BATCH_UNITS_MAX)
        return false;
    const struct entry *last = e;
    for (unsigned i = 1; i < n; i++)
        last = last->lane_next;
    if (last->lane_next || clock_wall_ms() - last->item.taken_ms >= GATHER_MS ||
        last->item.taken_ms > clock_wall_ms())
        return false;
    e->state = ENTRY_BACKOFF;
    e->next_ms = clock_mono_ms() + GATHER_MS;
    lane_wait(r, lane);
    return true;
}

/* Looks again in a moment; what follows in the conversation waits behind it. */
static void await_verdict(struct route *r, struct lane *lane)
{
    struct entry *e = lane->first;
    e->state = ENTRY_BACKOFF;
    e->awaiting = true;
    e->next_ms = clock_mono_ms() + VERDICT_LOOK_MS;
    lane_wait(r, lane);
}

/* Will it fail again, whatever happens? */
static bool is_permanent(int error)
{
    return error == SLUIS_EINVAL || error == SLUIS_ECRYPTO || error == SLUIS_EJUDGE ||
           error == SLUIS_ELIMIT || error == SLUIS_EEXPIRED || error == SLUIS_EDENIED;
}

/* What cannot be composed: gone content expires, broken content is parked for a person (fail
 * closed), and what a lack of memory or the disk did is tried again. */
static void not_composed(struct route *r, struct lane *lane, unsigned units, int error)
{
    if (!is_permanent(error)) {
        struct entry *e = lane->first;
        for (unsigned i = 0; i < units; i++, e = e->lane_next)
            e->attempts++;
        wait_again(r, lane, units, 0);
        return;
    }
    LOG(LOG_ALARM, "deliver", "not_composed", log_word("route", r->facts->name),
        log_u64("serial", lane->first->item.serial), log_error(error));
    settle_units(r, lane, units, error == SLUIS_EEXPIRED ? OUTCOME_EXPIRED : OUTCOME_PARKED);
}

static void start(struct route *r, struct lane *lane)
{
    unsigned units = units_of(r, lane);
    struct buffer body;
    buffer_init(&body, BODY_MAX);
    int result = awaits_verdict(r, lane, units, clock_wall_ms())
                     ? SLUIS_EAGAIN
                     : compose_body(r, lane, units, &body);
    if (result == SLUIS_EAGAIN) {
        buffer_free(&body);
        await_verdict(r, lane);
        return;
    }
    if (is_permanent(result) && units > 1) { /* find out which one: one by one */
        units = 1;
        buffer_clear(&body);
        result = compose_body(r, lane, units, &body);
    }
    lane->units = units;
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
        e->awaiting = false;
        e->attempts++;
    }
    *a = (struct attempt){r, lane, 0, units, r->attempts};
    r->attempts = a;
    r->in_flight++;
    r->units_in_flight += units;
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
    if (audit_closed(r->deliver->deps.gate))
        return false; /* each tick asks again */
    if (!route_can_settle(r, r->one_per_post ? 1 : BATCH_UNITS_MAX))
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
        if (!expire(r, lane->first) && !gathers(r, lane))
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
    r->probing = false;
}
