/* Is the clock right? Judged by the last minute that was written down. */
#include "room.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

/* Clocks that run a day side by side may come this far apart. */
#define EVEN_MS (5 * 60 * 1000)
#define WRITE_EVERY_MS 60000

static const struct span clock_key = {"purge.clock", 11};

struct clock_job {
    struct store_job job;
    struct buffer sealed;
    const struct audit_event *event; /* or NULL */
};

static int run_clock(struct store_txn *txn, struct store_job *job)
{
    struct clock_job *c = (struct clock_job *)(void *)job;
    store_put_row(txn, STORE_TABLE_SETTING, clock_key, buffer_span(&c->sealed));
    if (c->event)
        audit_put(txn, c->event);
    return store_txn_error(txn);
}

static int clock_write(struct purge *p, int64_t now_ms, const struct audit_event *event)
{
    struct clock_job c = {.job = {.priority = STORE_PURGE, .run = run_clock}, .event = event};
    uint8_t text[8];
    be64_put(text, (uint64_t)now_ms);
    buffer_init(&c.sealed, STORE_VALUE_MAX);
    int r = row_seal(p, STORE_TABLE_SETTING, PART_CLOCK, 1, span_of(text, 8), &c.sealed);
    if (r == 0)
        r = store_submit_wait(p->deps.store, &c.job);
    buffer_free(&c.sealed);
    if (r == 0)
        p->clock_last_ms = now_ms;
    return r;
}

int clock_load(struct purge *p)
{
    struct buffer plain;
    buffer_init(&plain, ROW_TEXT_MAX);
    int r = row_read(p, STORE_TABLE_SETTING, clock_key, PART_CLOCK, 1, &plain);
    if (r == 0 && plain.n == 8)
        p->clock_last_ms = (int64_t)be64_get((const uint8_t *)plain.p);
    else if (r == 0)
        r = SLUIS_ECRYPTO;
    buffer_free(&plain);
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL) { /* damaged: then no minute is trusted unseen */
        LOG(LOG_ALARM, "purge", "last_minute_damaged", log_error(r));
        p->clock_last_ms = 1;
        return 0;
    }
    /* A store that was never purged: nothing says that the clock is wrong. */
    return r == SLUIS_ENOENT ? 0 : r;
}

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* Off, but has it run evenly for a day since? Then it is the world's time, and we were off. */
static bool ran_evenly(struct purge *p, int64_t now_ms)
{
    int64_t mono = clock_mono_ms() - p->clock_off_mono_ms;
    int64_t wall = now_ms - p->clock_off_wall_ms;
    if (apart(mono, wall) > EVEN_MS) { /* it jumped again: the day begins anew */
        p->clock_off_wall_ms = now_ms;
        p->clock_off_mono_ms = clock_mono_ms();
        return false;
    }
    return mono >= (int64_t)PURGE_CLOCK_TRUST_S * 1000;
}

/* ---- what others say ---- */

/* An answer that is still fresh, and whose moment our clock has not jumped away from since. */
static bool counts(const struct witness *w, int64_t now_ms)
{
    int64_t since = clock_mono_ms() - w->mono_ms;
    return w->mono_ms && since <= PURGE_WITNESS_OLD_MS &&
           apart(now_ms - w->wall_ms, since) <= PURGE_WITNESS_MS;
}

enum said { SAID_NOTHING, SAID_RIGHT, SAID_WRONG };
static enum said witnesses_say(struct purge *p, int64_t now_ms, int64_t *off_ms)
{
    enum said said = SAID_NOTHING;
    pthread_mutex_lock(&p->witness_lock);
    const struct witness *a = &p->witnesses[0], *b = &p->witnesses[1];
    int64_t off_a = a->wall_ms - a->said_ms, off_b = b->wall_ms - b->said_ms;
    if (counts(a, now_ms) && counts(b, now_ms) && apart(off_a, off_b) <= PURGE_WITNESS_MS) {
        bool right = apart(off_a, 0) <= PURGE_WITNESS_MS && apart(off_b, 0) <= PURGE_WITNESS_MS;
        said = right ? SAID_RIGHT : SAID_WRONG;
        *off_ms = off_a;
    }
    pthread_mutex_unlock(&p->witness_lock);
    return said;
}

void purge_clock_witness(struct purge *p, int64_t said_ms)
{
    int64_t now = clock_wall_ms(), off = 0;
    pthread_mutex_lock(&p->witness_lock);
    p->witnesses[0] = p->witnesses[1];
    p->witnesses[1] = (struct witness){said_ms, now, clock_mono_ms()};
    pthread_mutex_unlock(&p->witness_lock);
    enum said said = witnesses_say(p, now, &off);
    if (said == SAID_WRONG)
        LOG(LOG_ALARM, "purge", "clock_wrong", log_i64("off_s", off / 1000));
    if (said == SAID_RIGHT && !atomic_load(&p->clock_trusted))
        wake_round(p);
}

static void ask_others(struct purge *p)
{
    int64_t mono = clock_mono_ms();
    if (!p->deps.ask_time || (p->clock_asked_ms && mono - p->clock_asked_ms < PURGE_WITNESS_OLD_MS))
        return;
    if (atomic_load(&p->serving)) { /* before that nobody could answer */
        p->clock_asked_ms = mono;
        p->deps.ask_time(p->deps.ctx);
    }
}

bool clock_check(struct purge *p, int64_t now_ms)
{
    int64_t off;
    bool near = p->clock_last_ms == 0 ||
                apart(now_ms, p->clock_last_ms) <= (int64_t)PURGE_CLOCK_TRUST_S * 1000;
    if (!near && !p->clock_off_mono_ms) {
        p->clock_off_wall_ms = now_ms;
        p->clock_off_mono_ms = clock_mono_ms();
        LOG(LOG_ALARM, "purge", "clock_not_trusted",
            log_i64("off_s", (now_ms - p->clock_last_ms) / 1000));
    }
    bool confirmed = !near && witnesses_say(p, now_ms, &off) == SAID_RIGHT;
    bool trusted = near || confirmed || ran_evenly(p, now_ms);
    if (confirmed)
        LOG(LOG_WARN, "purge", "clock_confirmed");
    if (trusted)
        p->clock_off_mono_ms = 0;
    else
        ask_others(p);
    atomic_store(&p->clock_trusted, trusted);
    return trusted;
}

void clock_note(struct purge *p, int64_t now_ms)
{
    if (!atomic_load(&p->clock_trusted) ||
        (p->clock_last_ms && apart(now_ms, p->clock_last_ms) < WRITE_EVERY_MS))
        return;
    int r = clock_write(p, now_ms, NULL);
    if (r != 0) /* destroying goes on: the minute before still stands */
        LOG(LOG_ERROR, "purge", "clock_not_written", log_error(r));
}

int purge_clock_accept(struct purge *p)
{
    int64_t now = clock_wall_ms();
    const struct audit_event event = {
        .at_ms = now, .action = AUDIT_CLOCK, .actor = purge_actor(p), .outcome = "accepted"};
    pthread_mutex_lock(&p->lock);
    int r = clock_write(p, now, &event);
    if (r == 0) {
        p->clock_off_mono_ms = 0;
        atomic_store(&p->clock_trusted, true);
        LOG(LOG_WARN, "purge", "clock_accepted");
    }
    pthread_mutex_unlock(&p->lock);
    wake_round(p);
    return r;
}
