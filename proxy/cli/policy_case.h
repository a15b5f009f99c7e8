/*
 * One message judged by a policy on the command line, without a gateway: what `policy explain`
 * shows and `policy test` compares. The same detector, profiles and masking as the gateway's own.
 */
#ifndef SLUIS_CLI_POLICY_CASE_H
#define SLUIS_CLI_POLICY_CASE_H

#include "sluis/base/buffer.h"
#include "sluis/detect.h"
#include "sluis/mask.h"
#include "sluis/policy.h"

#define CASE_TEXT_MAX (64u * 1024) /* WhatsApp's longest text has 4,096 characters */
#define CASE_OUT_MAX (1024u * 1024)

struct policy_case {
    struct span text;
    bool from_customer, has_media;
    const char *template; /* the name of the one it is sent by, or NULL */
    const char *channel;  /* or NULL: rules that name channels do not hold */
    enum policy_media_kind media;
    enum policy_picture picture; /* an inspected one; POLICY_PICTURES: none */
    const char *role;            /* the sender's, or NULL */
    const char *attachment;      /* kind that is sent along, or NULL */
    unsigned grounds;            /* enum policy_basis: what is on record of the contact */
    bool consent, first;         /* the contact opted in; this is the first message of it */
    int64_t at_ms;               /* 0: not said */
    struct detect_message earlier[DETECT_WINDOW_MESSAGES]; /* newest first */
    size_t earlier_count;
    /* filled by case_judge */
    struct finding *found; /* DETECT_FINDINGS_MAX, the caller's */
    size_t count;
    uint64_t types; /* bit set */
};
/* 0, or the error of judging: show nothing. */
SLUIS_MUST_CHECK int case_judge(const struct policy *policy, struct detect_scratch *scratch,
                                struct policy_case *c);
struct retention_facts case_facts(const struct policy_case *c);
/* The notice with this index, and whether this message sets it off; NULL past the last. What a
 * contact was told before, and whether its window is open, a case does not know. */
const struct policy_notice *case_notice(const struct policy *policy, const struct policy_case *c,
                                        size_t index, bool *sent);
/* What a reader with this profile gets. */
SLUIS_MUST_CHECK int case_masked(const struct policy *policy, const struct policy_case *c,
                                 const struct profile *profile, struct buffer *out);
/* The same, and what the profile keeps is named and not shown: <phone>. */
SLUIS_MUST_CHECK int case_shown(const struct policy *policy, const struct policy_case *c,
                                const struct profile *profile, struct buffer *out);
/* What WhatsApp gets; SLUIS_EDENIED when policy refuses it, the words of what it refuses in `out`.
 */
SLUIS_MUST_CHECK int case_sent(const struct policy *policy, const struct policy_case *c,
                               struct buffer *out);

/* "24h, at most" and the like. */
const char *case_keep(const struct retention_rule *rule, char *out, size_t size);
const char *case_action(struct mask_rule rule, char *out, size_t size);
/* Loads a policy; a diagnosis goes to standard error. */
SLUIS_MUST_CHECK int case_load(const char *file, struct policy **out);

#endif
