/*
 * Policy: what an officer wrote in policies/<name>.yaml, checked and immutable. Pure: text in,
 * decisions out; no files (but the loader helper), no clock, no globals.
 *
 * A policy is shared and reference-counted; a reload makes a new one beside it. Threads: any.
 */
#ifndef SLUIS_POLICY_H
#define SLUIS_POLICY_H

#include "sluis/base/buffer.h"
#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"
#include "sluis/detect.h"

#define POLICY_NAME_MAX 63
#define POLICY_HASH_HEX 65 /* SHA-256 of the file's bytes, lower-case hex, NUL */

struct policy;

/* The language is described in proxy/man/sluis-policy.5.md. `file` is for diagnoses; a policy's
 * name is checked against its file by the configuration. 0, SLUIS_EINVAL (with a diagnosis: file,
 * line, column, what was expected), SLUIS_ELIMIT, SLUIS_ENOMEM; policy_load_file also SLUIS_ENOENT,
 * ESYS. */
SLUIS_MUST_CHECK int policy_load(struct span text, const char *file, struct policy **out,
                                 struct diag *diag);
SLUIS_MUST_CHECK int policy_load_file(const char *file, struct policy **out, struct diag *diag);
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);

const char *policy_name(const struct policy *policy);
const char *policy_activity(const struct policy *policy);
/* "" when the policy does not say. */
const char *policy_controller(const struct policy *policy);
const char *policy_dpo(const struct policy *policy);
const char *policy_hash(const struct policy *policy);
const struct detector *policy_detector(const struct policy *policy);
/* The type a word names, the policy's own included; DETECT_TYPES_MAX when none. */
unsigned policy_type_of(const struct policy *policy, const char *word);
/* The same turned round; NULL when the policy has no such type. */
const char *policy_type_word(const struct policy *policy, unsigned type);

/* ---- masking profiles ---- */
enum mask_action {
    MASK_REDACT,  /* [IBAN] */
    MASK_PARTIAL, /* keeps the last (or first) n characters: ••••••4300 */
    MASK_HASH,    /* [IBAN:3f9a0c52] keyed, the same value gives the same hash per channel */
    MASK_TOKEN,   /* [IBAN#...] reversible by the gateway for the same contact */
    MASK_KEEP,
    MASK_BLOCK, /* the whole text is replaced */
};
struct mask_rule {
    enum mask_action action;
    uint8_t first, last; /* MASK_PARTIAL: characters (letters and digits) kept */
};
struct profile;
/* NULL when there is no such profile. */
const struct profile *policy_profile(const struct policy *policy, const char *name);
/* One by one, in the file's order; NULL past the last. */
const struct profile *policy_profile_at(const struct policy *policy, size_t index);
const char *profile_name(const struct profile *profile);
struct mask_rule profile_rule(const struct profile *profile, unsigned type);
/* True when some type is shown as a token. */
bool profile_gives_tokens(const struct profile *profile);
/* True when the profile says `contact: alias`: identifiers (phone, BSUID, message ids) are replaced
 * by aliases. Masking `phone` is not enough: that is about numbers found in texts. */
bool profile_hides_contact(const struct profile *profile);
/* The profile used for part M: every finding redacted. */
const struct profile *policy_storage_profile(const struct policy *policy);

/* ---- routes ---- */
enum media_action { MEDIA_WITHHOLD, MEDIA_PASS, MEDIA_REDACT };
struct policy_route {
    const char *name;
    const struct profile *profile;
    enum media_action media; /* pass only when every kind passes; by kind: policy_route_media */
};
/* NULL when the policy names no such route. */
const struct policy_route *policy_route(const struct policy *policy, const char *name);
const struct policy_route *policy_route_at(const struct policy *policy, size_t index);

/* Files are told apart by what Meta calls them; pictures are not inspected in this version, so that
 * every picture is `unknown` and MEDIA_REDACT does not occur. The channel must pass media too. */
enum policy_media_kind {
    POLICY_MEDIA_UNKNOWN, /* pictures, stickers, videos, whatever comes */
    POLICY_MEDIA_DOCUMENT,
    POLICY_MEDIA_AUDIO,
    POLICY_MEDIA_KINDS
};
/* What the route says, else what the policy says of the kind, else MEDIA_WITHHOLD. `route` came
 * from policy_route of the same policy. */
enum media_action policy_route_media(const struct policy *policy, const struct policy_route *route,
                                     enum policy_media_kind kind);

/* ---- roles: who may do what ---- */
enum policy_right {
    POLICY_MAY_HISTORY = 1 << 0,  /* read a conversation, masked by the role's profile */
    POLICY_MAY_REVEAL = 1 << 1,   /* see the types in `reveal`, each time with a reason */
    POLICY_MAY_SEARCH = 1 << 2,   /* search over a period and channel, masked */
    POLICY_MAY_EXPORT = 1 << 3,   /* export what may be read */
    POLICY_MAY_LOG = 1 << 4,      /* read the access log; sees no content */
    POLICY_MAY_POLICY = 1 << 5,   /* propose and tighten policies, try messages */
    POLICY_MAY_APPROVE = 1 << 6,  /* the second officer, for what loosens */
    POLICY_MAY_ROLES = 1 << 7,    /* persons, tokens and their roles */
    POLICY_MAY_SUBJECT = 1 << 8,  /* find, export, erase, restrict a data subject */
    POLICY_MAY_HOLD = 1 << 9,     /* legal holds */
    POLICY_MAY_CONSENT = 1 << 10, /* the consent registry */
    POLICY_MAY_STATS = 1 << 11,   /* counts without content */
    POLICY_MAY_OPERATE = 1 << 12, /* reload, queue, keys, backup, status */
};

/* ---- retention ---- */
enum retention_part { RETENTION_ORIGINAL, RETENTION_HISTORY, RETENTION_QUARANTINE };
struct retention_facts {
    uint64_t found; /* bit set of detect types */
    bool media;
    bool out;            /* written by the organisation: sent through us, or an echo */
    const char *channel; /* its name; NULL matches no rule that names channels */
};
struct retention_rule {
    bool never;
    int64_t keep_s;
    bool minimum;          /* rounded to the later bucket, else to the earlier; with `selection` */
    const char *ground;    /* or "" */
    const char *selection; /* selection list, or "" */
};
/* First match; a policy without a matching rule keeps nothing (never). */
struct retention_rule policy_retention(const struct policy *policy, enum retention_part part,
                                       const struct retention_facts *facts);

/* The rules one by one, for giving classes their numbers at reload; SLUIS_ENOENT past the last. */
int policy_retention_at(const struct policy *policy, enum retention_part part, size_t index,
                        struct retention_rule *out);

/* ---- outbound ---- */
enum outbound_action { OUTBOUND_MASK, OUTBOUND_REFUSE, OUTBOUND_PASS };
/* OUTBOUND_MASK unless the policy says otherwise. */
enum outbound_action policy_outbound(const struct policy *policy, unsigned type);

#define POLICY_HOST_MAX 256 /* room for what policy_links_allowed tells */
/* True when a text that goes out holds no link that policy forbids: no `links` in it, or every link
 * leads to a listed domain. Else the first one's host, printable and cut to `size`. What may be a
 * link counts as one (proxy/policy/policy_links.c). */
bool policy_links_allowed(const struct policy *policy, struct span text, char *host, size_t size);
/* True when the policy has no `templates`, or this name among them. */
bool policy_template_allowed(const struct policy *policy, struct span name);

/* ---- why: the rule that decided, for `explain` ---- */
struct policy_reason {
    const char
        *rule;     /* "profiles.webcare.iban", "originals[2]" (from 1); "" when none was written */
    unsigned line; /* of the policy's file; 0 when none was written: the built-in default */
};
struct policy_reason policy_why_profile(const struct profile *profile, unsigned type);
struct policy_reason policy_why_retention(const struct policy *policy, enum retention_part part,
                                          const struct retention_facts *facts);
/* Of the rule with this index (policy_retention_at); SLUIS_ENOENT past the last. */
int policy_why_rule_at(const struct policy *policy, enum retention_part part, size_t index,
                       struct policy_reason *out);
struct policy_reason policy_why_links(const struct policy *policy);
struct policy_reason policy_why_templates(const struct policy *policy);
struct policy_reason policy_why_outbound(const struct policy *policy, unsigned type);

/* ---- messages that the customer takes back ---- */
enum on_revoke {
    ON_REVOKE_ERASE, /* what was stored of it is destroyed; that it was there stays */
    ON_REVOKE_HIDE   /* kept as long as its class says */
};
/* ON_REVOKE_ERASE unless the policy says otherwise. */
enum on_revoke policy_on_revoke(const struct policy *policy);

/* ---- what changes ---- */
enum policy_change { POLICY_LOOSER, POLICY_STRICTER, POLICY_OTHER };
struct policy_difference {
    enum policy_change change;
    const char *what;      /* "route webcare: iban" */
    const char *from, *to; /* in words; all three live during the call only */
};
/* Every decision that differs between two policies, and whether it lets more be seen, kept or sent:
 * what is found, what each route sees, what is kept (each pair of rules that one same message can
 * meet), what goes out. A changed recogniser counts as looser, since patterns are not compared.
 * Returns the number of looser ones. */
int policy_diff(const struct policy *old, const struct policy *next,
                void (*each)(void *ctx, const struct policy_difference *difference), void *ctx);

/* ---- the register of processing activities (AVG art. 30) ---- */
/* Appends the entry as Markdown, Dutch or English; what the policy does not say is marked as to be
 * filled in. 0 or the buffer's error. */
SLUIS_MUST_CHECK int policy_register(const struct policy *policy, bool dutch, struct buffer *out);

/* ---- access log ---- */
/* How long leaves are kept in seconds; 0 when the policy does not say: for ever. */
int64_t policy_log_keep_s(const struct policy *policy);

#endif
