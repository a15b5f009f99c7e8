/*
 * What time is it? When the purge does not trust the clock, Meta is asked: two requests, each over
 * a connection of its own with Meta's certificate checked; the Date of each answer (RFC 9110 6.6.1)
 * goes to the purge, which compares. Whatever the answer's status is, it has one.
 */
#include "internal.h"

#include "sluis/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIME_ANSWER_MAX (64u * 1024)
#define TIME_ASKED 2

/* On loop 0. */
struct time_errand {
    struct mail mail;
    struct gateway *gw;
    struct config *config;
    unsigned asked;
};

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_date(struct span text, int64_t *out_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {0};
    char word[32], month[4], rest[2];
    if (text.n >= sizeof(word))
        return false;
    memcpy(word, text.p, text.n);
    word[text.n] = '\0';
    if (sscanf(word, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%1s", &tm.tm_mday, month,
               &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, rest) != 6)
        return false;
    const char *at = strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!at || (at - months) % 3 || tm.tm_year < 1970 || tm.tm_hour > 23 || tm.tm_min > 59 ||
        tm.tm_sec > 60 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return false;
    tm.tm_mon = (int)(at - months) / 3;
    tm.tm_year -= 1900;
    *out_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static void ask_next(struct time_errand *e);

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    struct time_errand *e = ctx;
    int64_t at_ms;
    if (answer->outcome == UPSTREAM_ANSWERED &&
        parse_date(http_field(answer->head, SPAN("Date")), &at_ms))
        purge_clock_witness(e->gw->purge, at_ms);
    ask_next(e);
}

static void errand_free(struct time_errand *e)
{
    config_unref(e->config);
    free(e);
}

static void ask_next(struct time_errand *e)
{
    struct upstream *checker = e->gw->checker; /* NULL: stopping */
    size_t n = e->config->channel_count;
    while (checker && n && e->asked < TIME_ASKED) {
        const struct config_channel *channel = &e->config->channels[e->asked % n];
        char target[256];
        int length =
            snprintf(target, sizeof(target), "/v24.0/%s?fields=id", channel->phone_number_id);
        const struct upstream_request request = {.channel = channel,
                                                 .method = HTTP_GET,
                                                 .target = span_of(target, (size_t)length),
                                                 .answer_max = TIME_ANSWER_MAX,
                                                 .fresh_connection = true,
                                                 .done = on_answer,
                                                 .ctx = e};
        e->asked++;
        /* without TLS anybody could answer: then nobody is asked */
        if (strncmp(channel->upstream.base_url, "https://", 8) == 0 &&
            upstream_send(checker, &request) == 0)
            return;
    }
    errand_free(e);
}

static void on_errand(struct mail *mail)
{
    ask_next((struct time_errand *)mail);
}

void time_ask(void *ctx)
{
    struct gateway *gw = ctx;
    struct time_errand *e = gw->loops_started ? calloc(1, sizeof(*e)) : NULL;
    if (!e)
        return; /* it asks again */
    e->gw = gw;
    e->config = config_acquire(gw->cell);
    loop_post(gw->loops[0], &e->mail, on_errand);
}
