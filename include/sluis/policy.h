/*
 * Policy: what an officer wrote in policies/<name>.yaml, checked and immutable. Pure: text in,
 * decisions out; no files (but the loader helper), no clock, no globals.
 *
 * A policy is shared and reference-counted; a reload makes a new one beside it. Threads: any.
 */
#ifndef SLUIS_POLICY_H
#define SLUIS_POLICY_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"
#include "sluis/detect.h"

#define POLICY_NAME_MAX 63
#define POLICY_HASH_HEX 65 /* SHA-256 of the file's bytes, lower-case hex, NUL */

struct policy;

SLUIS_MUST_CHECK int policy_load(struct span text, const char *file, struct policy **out,
                                 struct diag *diag);
SLUIS_MUST_CHECK int policy_load_file(const char *file, struct policy **out, struct diag *diag);
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);

const char *policy_name(const struct policy *policy);
const char *policy_activity(const struct policy *policy);
const char *policy_hash(const struct policy *policy);
const struct detector *policy_detector(const struct policy *policy);

/* ---- masking profiles ---- */
enum mask_action {
    MASK_REDACT,  /* [IBAN] */
    MASK_PARTIAL, /* keeps the last (or first) n characters: ••••••4300 */
    MASK_HASH,    /* [IBAN:3f9a0c52] keyed, the same value gives the same hash per channel */
    MASK_TOKEN,   /* [IBAN#...] reversible by the gateway for the same contact */
    MASK_KEEP,
    MASK_BLOCK,   /* the whole text is replaced */
};
struct mask_rule {
    enum mask_action action;
    uint8_t first, last; /* MASK_PARTIAL: characters (letters and digits) kept */
};
struct profile;
/* NULL when there is no such profile. */
const struct profile *policy_profile(const struct policy *policy, const char *name);
const char *profile_name(const struct profile *profile);
struct mask_rule profile_rule(const struct profile *profile, unsigned type);
/* True when the profile hides who the contact is: identifiers (phone, BSUID, message ids) are
 * replaced by aliases. In this version: a profile that does not keep `phone`... is not enough;
 * only `contact: alias` hides. */
bool profile_hides_contact(const struct profile *profile);
/* The profile used for part M: every finding redacted. */
const struct profile *policy_storage_profile(const struct policy *policy);

/* ---- routes ---- */
enum media_action { MEDIA_WITHHOLD, MEDIA_PASS, MEDIA_REDACT };
struct policy_route {
    const char *name;
    const struct profile *profile;
    enum media_action media; /* for this route; media: of the policy when not said */
};
/* NULL when the policy names no such route. */
const struct policy_route *policy_route(const struct policy *policy, const char *name);

/* ---- retention ---- */
enum retention_part { RETENTION_ORIGINAL, RETENTION_HISTORY };
struct retention_facts {
    uint64_t found; /* bit set of detect types */
    bool media;
};
struct retention_rule {
    bool never;
    int64_t keep_s;
    bool minimum;       /* rounded to the later bucket, else to the earlier */
    const char *ground; /* or "" */
};
/* First match; a policy without a matching rule keeps nothing (never). */
struct retention_rule policy_retention(const struct policy *policy, enum retention_part part,
                                       const struct retention_facts *facts);

/* The rules one by one, for giving classes their numbers at reload; SLUIS_ENOENT past the last. */
int policy_retention_at(const struct policy *policy, enum retention_part part, size_t index,
                        struct retention_rule *out);

/* ---- outbound ---- */
enum outbound_action { OUTBOUND_MASK, OUTBOUND_REFUSE, OUTBOUND_PASS };
enum outbound_action policy_outbound(const struct policy *policy, unsigned type);

#endif
