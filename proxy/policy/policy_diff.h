/* Inside of policy_diff: what its parts share. Not a door. */
#ifndef SLUIS_POLICY_DIFF_H
#define SLUIS_POLICY_DIFF_H

#include "policy_room.h"

/* Types of both policies under common numbers: built-in, then own ones by name. */
#define COMMON_MAX (DETECT_OWN + 2 * DETECT_OWN_MAX)
#define DIFF_CHANNELS_MAX 256
#define DIFF_TIMES_MAX 512
#define DIFF_TOLD_MAX 8192   /* differences told apart; more are told again, never left out */
#define DIFF_FOUND_MAX 352   /* sets of types tried where rules have conditions: pairs of 25 */
#define DIFF_EVERY_MAX 7     /* types of which every set is tried, with `not_found` */
#define DIFF_COMBINED_MAX 10 /* the same for terms: only where pairs of rules differ */

struct types { /* a bit set of common numbers */
    uint64_t bits[2];
};

struct diff {
    const struct policy *side[2];
    const char *words[COMMON_MAX];
    unsigned number[2][COMMON_MAX]; /* a side's own number; DETECT_TYPES_MAX: it has none */
    unsigned count;
    /* where decisions can differ: a channel and a moment of each kind that some rule tells apart */
    const char *channels[DIFF_CHANNELS_MAX]; /* the first is NULL: one that no rule names */
    size_t channel_count;
    int64_t times[DIFF_TIMES_MAX]; /* the first is 0: not known */
    size_t time_count;
    bool consent;   /* some rule asks for it */
    bool not_found; /* some rule of originals or history has it */
    unsigned not_found_types;
    struct types mentioned; /* types that conditions name */
    struct types cases;     /* those of profiles' rules and of rules for what goes out */
    bool cases_not_found;
    struct types sets[DIFF_FOUND_MAX]; /* that these tell apart */
    size_t set_count;
    bool too_many;
    uint64_t told[DIFF_TOLD_MAX];
    size_t told_count;
    void (*each)(void *ctx, const struct policy_difference *difference);
    void *ctx;
    int looser;
};

/* policy_diff.c */
void diff_tell(struct diff *d, enum policy_change change, const char *from, const char *to,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
enum policy_change diff_direction(bool looser);
/* A side's types under common numbers. */
struct types diff_common(const struct diff *d, int side, uint64_t found);
/* The same turned round. */
uint64_t diff_own_types(const struct diff *d, int side, struct types types);
/* Calls `each` for every place in the space of messages; `part` is the caller's. */
void diff_each_place(struct diff *d,
                     void (*each)(struct diff *d, const struct retention_facts *facts, int part),
                     int part);
/* Whether b holds at a moment at which a does not. */
bool diff_hours_gain(const struct hours *a, const struct hours *b);

/* policy_diff_read.c: who sees what */
void diff_routes(struct diff *d);
void diff_roles(struct diff *d);
/* policy_diff_send.c: what goes out */
void diff_outbound(struct diff *d);
void diff_contact(struct diff *d);
void diff_notices(struct diff *d);

#endif
