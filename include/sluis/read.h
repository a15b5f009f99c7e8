/*
 * Reading what is stored, for whoever shows it: a part is opened, and judged again by the policy in
 * force now, so that no reader gets less masking than intake found needful nor less than policy
 * asks today. Shared by delivery and history.
 *
 * Threads: any; cache, scratch and arena are the caller's.
 */
#ifndef SLUIS_READ_H
#define SLUIS_READ_H

#include "sluis/keyring.h"
#include "sluis/mask.h"
#include "sluis/store.h"

/* The opened record (mask_pack's form) in the arena. SLUIS_ENOENT, SLUIS_EEXPIRED, SLUIS_ECRYPTO,
 * SLUIS_ENOMEM, or the store's error. */
SLUIS_MUST_CHECK int read_record(struct keyring_cache *keys, struct store_read *read,
                                 const struct record_id *id, struct arena *arena,
                                 struct span *packed);

struct read_judge {
    const struct json_doc *doc;
    enum mask_table table;
    const struct policy *policy;
    struct detect_scratch *scratch;
    bool from_customer;
    int64_t at_ms;
};
/* Adds what `policy` finds in the text to what was found at intake; where findings overlap, one has
 * the types of all and the strictest rule masks it. The messages before it are not
 * looked at again: what only they explain stays as intake found it. mask_judge's errors: show
 * nothing. */
SLUIS_MUST_CHECK int read_rejudge(const struct read_judge *judge, struct arena *arena,
                                  struct judged *judged);

/* What two policies would do with what is stored: `sluis policy diff --replay`. Each message of the
 * period whose original still lives is judged by both (by its own text: the messages before it are
 * not looked at), and every decision that differs is counted under the rules that made it. Counts and
 * rule names come out, nothing of any message. */
struct read_replay {
    struct store *store;
    struct keyring_cache *keys;
    const struct policy *old, *next;
    uint16_t channel; /* 0: all */
    int64_t from_ms, to_ms;
    uint64_t order;    /* where to begin: 0, or *next_order of the call before */
    int64_t budget_ms; /* stops after about this time */
};
/* Appends {"messages":n,"judged":n,"masked_only":n,"unjudged":n,"next":order,"differences":[{"what":
 * "route webcare: iban","from":"redact","from_rule":"...","to":"keep","to_rule":"...","change":
 * "looser","messages":n}, ...]}; next 0: the end. SLUIS_ENOMEM, or the store's error. Not on event
 * threads. */
SLUIS_MUST_CHECK int read_replay(const struct read_replay *replay, struct buffer *out);

#endif
