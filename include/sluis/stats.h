/*
 * Statistics without content: how much, how fast, what was found. Never about one person, and no
 * count under five is told: null stands for 0 to 4. What small counts add up to is told in fives,
 * hour after hour, and every answer is a sum of what its hours tell (publish.c): so no answer less
 * another is a count under five either. A number may thus be up to four off for each 30 days; and
 * counts of a route or a tag always are multiples of five, since the channel's less the others'
 * would tell the rest. Medians and p90 are made of five waits and more at a time in the same way. A
 * channel, route, tag or hour of which nothing is told is not in the answer.
 *
 * Nothing is counted where messages pass. A thread of this room follows what is committed anyway,
 * the intake journal and the access log, some seconds behind, and writes what changed as a row an
 * hour, channel, route and tag, together with how far it came: so nothing is counted twice, or
 * lost, over a crash. A gateway that was busy catches up later.
 *
 * Glossary
 *   in, out           messages of contacts; messages that a tool sent or that were written on the
 *                     phone (echoes). Statuses count apart.
 *   conversation      begins with a contact's message after 24 h of silence (or the first), ends
 * with the last answer before 24 h of silence first response    from the message that begins it to
 * the first answer; follow-up: from the first unanswered message to the answer, later on. By the
 * messages' own times. target            `answer_within` of the channel in sluis.yaml: an alarm
 * when three quarters of it have passed without an answer; and at 20 hours, since Meta takes free
 * messages for 24 hours only (`answer_due`, `window_closing` in the operators' log) cell the counts
 * of one hour (UTC, when it was taken) and channel, and of one route or one tag in it
 *
 * In the store: STORE_TABLE_STATS, sealed (part 'S', class 0): 'h' | hour 4 | channel 2 | route 2 |
 * tag 8
 * -> a cell; 'c' -> how far. Kept STATS_KEEP_H.
 *
 * Threads: stats_write any that may wait for the store.
 */
#ifndef SLUIS_STATS_H
#define SLUIS_STATS_H

#include "sluis/base/buffer.h"
#include "sluis/config.h"
#include "sluis/keyring.h"
#include "sluis/store.h"

#define STATS_SUPPRESS_BELOW 5      /* counts of 1 to 4 could point at a person */
#define STATS_KEEP_H (24 * 366 * 5) /* hours that rows are kept: five years */
#define STATS_CONVERSATIONS 65536   /* open ones remembered: 6 MB; more: the longest silent go */
#define STATS_TAGS_MAX 4            /* of one conversation that are counted */
#define STATS_TAG_SIZE 33
#define STATS_PERIOD_MAX_H (24 * 400) /* of one answer */

struct stats;
struct stats_deps {
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    /* The tags of a conversation, at most STATS_TAGS_MAX; how many. NULL: none has any. */
    unsigned (*tags)(void *ctx, uint16_t channel, uint64_t subject,
                     char out[STATS_TAGS_MAX][STATS_TAG_SIZE]);
    void *ctx;
};
SLUIS_MUST_CHECK int stats_new(const struct stats_deps *deps, struct stats **out);
SLUIS_MUST_CHECK int stats_start(struct stats *stats);
void stats_stop(struct stats *stats); /* writes what was counted; before the store is closed */
void stats_free(struct stats *stats);

/* Follows what is committed up to now, and writes it, on the calling thread: tests, and before an
 * answer that must be of now. */
SLUIS_MUST_CHECK int stats_catch_up(struct stats *stats);

enum stats_by { STATS_BY_HOUR, STATS_BY_DAY, STATS_BY_ALL };
/* Appends a JSON object with the counts of a period, of one channel or (0) of all. SLUIS_EINVAL:
 * the period is empty or longer than STATS_PERIOD_MAX_H. */
SLUIS_MUST_CHECK int stats_write(struct stats *stats, int64_t from_ms, int64_t to_ms,
                                 uint16_t channel, enum stats_by by, struct buffer *out);

#endif
