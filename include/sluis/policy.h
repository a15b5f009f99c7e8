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
 * ESYS. It reads once; a file that is being written, or whose last line has no end, is refused (it may
 * wait some 20 ms for a file that was changed a moment ago: not on event threads). */
SLUIS_MUST_CHECK int policy_load(struct span text, const char *file, struct policy **out,
                                 struct diag *diag);
SLUIS_MUST_CHECK int policy_load_file(const char *file, struct policy **out, struct diag *diag);
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);

const char *policy_name(const struct policy *policy);
const char *policy_activity(const struct policy *policy);
/* What it is for, for the register; "" when the policy does not say. */
const char *policy_purpose(const struct policy *policy);
/* "" when the policy does not say. */
const char *policy_controller(const struct policy *policy);
const char *policy_dpo(const struct policy *policy);
const char *policy_hash(const struct policy *policy);
const struct detector *policy_detector(const struct policy *policy);
/* What the detector was made from, for a process that makes its own (pictures); lives with the
 * policy. policy_key: the first 8 bytes of its hash, never 0, a name for it there. */
const struct detect_settings *policy_detect(const struct policy *policy);
uint64_t policy_key(const struct policy *policy);
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

/* What conditions look at ("when": channel, direction, kind, hour, days, consent, found,
 * not_found). Originals and history, profiles and outbound rules all ask the same of a message. */
enum retention_part {
    RETENTION_ORIGINAL,
    RETENTION_HISTORY,
    RETENTION_QUARANTINE,
    RETENTION_LOG /* of the access log: no rules, policy_log_keep_s */
};
struct retention_facts {
    uint64_t found; /* bit set of detect types */
    bool media;
    bool out;            /* written by the organisation: sent through us, or an echo */
    const char *channel; /* its name; NULL matches no rule that names channels */
    int64_t at_ms;       /* the message's own time; 0: unknown, matches no rule that names hours */
    bool consent;        /* the contact opted in and did not opt out; false when not known */
};

/* NULL when there is no such profile. */
const struct profile *policy_profile(const struct policy *policy, const char *name);
/* One by one, in the file's order; NULL past the last. */
const struct profile *policy_profile_at(const struct policy *policy, size_t index);
const char *profile_name(const struct profile *profile);
/* What a message with these facts gets; the first rule of the profile that fits decides, else the
 * profile's own rows. `facts` NULL: not known, then the strictest of all that could decide. */
struct mask_rule profile_rule_for(const struct profile *profile,
                                  const struct retention_facts *facts, unsigned type);
/* Of two rules the stricter: block, redact, token, hash, partial, keep. */
bool mask_rule_stricter(struct mask_rule a, struct mask_rule b);
/* What a finding of type `own` gets where another was found too: the stricter; redact where the
 * other shows a part, since that part lies elsewhere. */
struct mask_rule mask_rule_join(struct mask_rule own, struct mask_rule other);
/* What a place gets that is not one whole value: kept or hidden, never a part, hash or token. */
struct mask_rule mask_rule_of_rest(struct mask_rule rule);
/* What a finding gets: the rules of its type and of finding.also joined. *by: the type whose rule
 * decided. */
struct mask_rule profile_rule_of(const struct profile *profile,
                                 const struct retention_facts *facts, const struct finding *f,
                                 unsigned *by);
/* Of one type, without facts. */
struct mask_rule profile_rule(const struct profile *profile, unsigned type);
/* True when some condition asks whether the contact consented: retention_facts.consent matters. */
bool policy_minds_consent(const struct policy *policy);
/* True when the profile has rules with conditions: facts matter. */
bool profile_has_conditions(const struct profile *profile);
/* True when some type is shown as a token, under some condition at least. */
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

/* Files that nobody looked into, told apart by what Meta calls them. MEDIA_REDACT does not occur
 * here. The channel must pass media too. */
enum policy_media_kind {
    POLICY_MEDIA_UNKNOWN, /* pictures and stickers that were not inspected, whatever comes */
    POLICY_MEDIA_DOCUMENT,
    POLICY_MEDIA_AUDIO,
    POLICY_MEDIA_VIDEO, /* when policy does not say: as unknown */
    POLICY_MEDIA_KINDS
};
/* What the route says, else what the policy says of the kind, else MEDIA_WITHHOLD. `route` came
 * from policy_route of the same policy. */
enum media_action policy_route_media(const struct policy *policy, const struct policy_route *route,
                                     enum policy_media_kind kind);

/* What was seen in an inspected picture; the strictest class of several is the caller's to take:
 * policy_picture_strictest. The words are the keys of `media`. */
enum policy_picture {
    POLICY_PICTURE_UNKNOWN, /* could not be inspected */
    POLICY_PICTURE_CLEAN,
    POLICY_PICTURE_CARD,        /* a payment card, its number read or not */
    POLICY_PICTURE_ID_DOCUMENT, /* passport, identity card, driving licence */
    POLICY_PICTURE_MRZ,         /* a machine-readable zone */
    POLICY_PICTURE_BSN,
    POLICY_PICTURE_IBAN,
    POLICY_PICTURE_PAYMENT_CODE, /* a QR code with an account in it */
    POLICY_PICTURE_OTHER,        /* another finding in the text of the picture */
    POLICY_PICTURES
};
/* What the route says (withhold or pass), else what `media` says of the class; a class that is not
 * named is withheld, but for a clean picture where `media` is written at all. `route` NULL: a
 * reader that is not a tool; else from policy_route of the same policy. */
enum media_action policy_picture(const struct policy *policy, const struct policy_route *route,
                                 enum policy_picture class);
/* Of several classes (bit set of 1 << class) the strictest: withhold, then redact, then pass. */
enum media_action policy_picture_strictest(const struct policy *policy,
                                           const struct policy_route *route, unsigned classes);
/* "card"; NULL past the last. */
const char *policy_picture_word(enum policy_picture class);
/* POLICY_PICTURES when no class is called so. */
enum policy_picture policy_picture_of(const char *word);

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
#define POLICY_RIGHTS 13
/* "history" ... "operate" for 1 << 0 ...; NULL for what is no right. */
const char *policy_right_word(enum policy_right right);
/* 0 when no right is called so. */
enum policy_right policy_right_of(const char *word);

struct policy_role {
    const char *name;
    const struct profile *profile; /* NULL: sees no content at all */
    uint32_t may;                  /* bit set of enum policy_right */
    uint64_t reveal;               /* types that may be revealed; empty without POLICY_MAY_REVEAL */
    bool reason_required;          /* revealing needs a reason (the default) */
    bool reference_required;       /* and the number of a case */
};
/* NULL when the policy names no such role: then nothing is allowed. */
const struct policy_role *policy_role(const struct policy *policy, const char *name);
const struct policy_role *policy_role_at(const struct policy *policy, size_t index);
/* False outside the hours that the role is bound to. `role` came from this room. */
bool policy_role_hours_open(const struct policy_role *role, int64_t at_ms);

/* ---- retention ---- */
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
/* What becomes of a finding in a text that goes out. First match: outbound.rules that fit, then
 * outbound.roles of this role, then outbound.found; OUTBOUND_MASK when nothing is said. `role`
 * NULL: a sender without a role. `facts` NULL: not known, then the strictest that could decide. */
enum outbound_action policy_outbound_for(const struct policy *policy, const char *role,
                                         const struct retention_facts *facts, unsigned type);
/* The same without facts, and without facts and role. */
enum outbound_action policy_outbound_role(const struct policy *policy, const char *role,
                                          unsigned type);
enum outbound_action policy_outbound(const struct policy *policy, unsigned type);

#define POLICY_HOST_MAX 256 /* room for what policy_links_allowed tells */
/* True when a text that goes out holds no link that policy forbids: no `links` in it, or every link
 * leads to a listed domain. Else the first one's host, printable and cut to `size`. What may be a
 * link counts as one (proxy/policy/policy_links.c). */
bool policy_links_allowed(const struct policy *policy, struct span text, char *host, size_t size);
/* True when the policy has no `templates`, or this name among them. */
bool policy_template_allowed(const struct policy *policy, struct span name);

enum policy_category {
    POLICY_CATEGORY_UNKNOWN, /* the policy does not say */
    POLICY_CATEGORY_MARKETING,
    POLICY_CATEGORY_UTILITY,
    POLICY_CATEGORY_AUTHENTICATION,
    POLICY_CATEGORY_SERVICE, /* a message that is no template */
    POLICY_CATEGORIES
};
/* "marketing"; NULL past the last and for unknown. */
const char *policy_category_word(enum policy_category category);
/* Meta writes them in capitals: case does not matter. POLICY_CATEGORY_UNKNOWN when none. */
enum policy_category policy_category_of(struct span word);
struct policy_template {
    const char *name;
    enum policy_category category;
    const char *purpose; /* "" when not said */
};
/* What the policy says of a template; NULL when it is not listed. */
const struct policy_template *policy_template(const struct policy *policy, struct span name);
const struct policy_template *policy_template_at(const struct policy *policy, size_t index);

/* May this kind of attachment be sent ("image", "document", "audio", "video", "sticker", ...:
 * Meta's word for the message's type)? outbound.roles.ROLE.attachments, else outbound.attachments,
 * else yes.
 */
bool policy_attachment_allowed(const struct policy *policy, const char *role, const char *kind);
/* True when an attachment may be linked from this host: no `links`, or the host among them. */
bool policy_link_host_allowed(const struct policy *policy, struct span host);
/* Are free messages held to WhatsApp's 24-hour window by us already? True unless `window: false`.
 */
bool policy_window(const struct policy *policy);

/* Messages that one contact may be sent in any period of `per_s`; 0 messages: no bound. Templates
 * and free messages alike. */
struct policy_pace {
    unsigned messages;
    int64_t per_s;
};
struct policy_pace policy_pace(const struct policy *policy);

/* Grounds on which a contact may be written to first; a bit set. */
enum policy_basis {
    POLICY_BASIS_CONSENT = 1 << 0,
    POLICY_BASIS_CUSTOMER = 1 << 1,
    POLICY_BASIS_CONTRACT = 1 << 2,
    POLICY_BASIS_TASK = 1 << 3,
};
#define POLICY_BASES 4
const char *policy_basis_word(enum policy_basis basis); /* "consent" ... */
unsigned policy_basis_of(const char *word);             /* 0 when none */
/* One of these must be on record before a template of this category goes out; 0: none needed. Of a
 * category that is unknown: what the strictest asks. 0 when the policy has no `consent`. */
unsigned policy_consent_needed(const struct policy *policy, enum policy_category category);
/* Words by which a contact opts out, lower case, to be compared with the whole text (without case
 * and without space round it). Without `stop`: stop, stop aub, stop a.u.b., afmelden, uitschrijven,
 * unsubscribe. */
const char *const *policy_stop_words(const struct policy *policy, size_t *n);

/* ---- notices to customers, opening hours ---- */
enum policy_notice_on {
    POLICY_NOTICE_FOUND,   /* a type was found; `type` */
    POLICY_NOTICE_PICTURE, /* a picture of class `picture` came */
    POLICY_NOTICE_FIRST,   /* first contact, or after `after_s` of silence */
    POLICY_NOTICE_CLOSED,  /* outside opening hours */
    POLICY_NOTICE_STOP,    /* the contact opted out by a word, now: the one answer to it */
};
struct policy_notice {
    const char *name; /* the key: "card", "bsn", "first", "closed", a type of the policy's own */
    enum policy_notice_on on;
    unsigned type;                /* DETECT_TYPES_MAX when it is not about one */
    enum policy_picture picture;  /* POLICY_PICTURES when not about one; of FOUND too: bsn, iban and
                                     id_document are seen in a text or in a picture */
    const char *nl, *en; /* en "" when not said: Dutch for everybody */
    const char *safe;    /* https://..., or "" */
    int64_t every_s;     /* at most once in this time for one contact */
    int64_t after_s;     /* POLICY_NOTICE_FIRST: silence that counts as long */
};
/* NULL when there is none of that name. */
const struct policy_notice *policy_notice(const struct policy *policy, const char *name);
const struct policy_notice *policy_notice_at(const struct policy *policy, size_t index);
/* Seconds that clocks in Europe/Amsterdam are ahead of UTC (years 2000 to 2199). */
int64_t policy_local_offset_s(int64_t utc_s);
/* Opening hours, Europe/Amsterdam; always open when the policy says none. */
bool policy_open_at(const struct policy *policy, int64_t at_ms);
bool policy_has_hours(const struct policy *policy);
/* "2026-11-23 10:00" in Europe/Amsterdam: ms since 1970; 0 when it is not written so. */
int64_t policy_local_ms(const char *text);

/* ---- observing ---- */
#define POLICY_OBSERVE_MAX_S (30 * 24 * 60 * 60)
/* An observing policy records what it would do and changes nothing for tools, but for `secret`.
 * True until its last day has ended (Europe/Amsterdam); after that the policy named by `then` holds
 * (the gateway sees to it), and this one's own rules until it does. Who renders or sends asks this
 * and sets mask_reader.observing. That `until` is at most POLICY_OBSERVE_MAX_S ahead is checked by
 * policy_observe_check, as a loaded policy knows no clock. */
bool policy_observe(const struct policy *policy, int64_t now_ms);
/* The first moment at which it no longer observes; 0: not an observing policy. */
int64_t policy_observe_until_ms(const struct policy *policy);
/* "" when not an observing policy. */
const char *policy_observe_then(const struct policy *policy);
/* 0, or SLUIS_EINVAL with a diagnosis: more than 30 days ahead. */
SLUIS_MUST_CHECK int policy_observe_check(const struct policy *policy, int64_t now_ms,
                                          const char *file, struct diag *diag);

/* ---- why: the rule that decided, for `explain` ---- */
struct policy_reason {
    const char
        *rule;     /* "profiles.webcare.iban", "originals[2]" (from 1); "" when none was written */
    unsigned line; /* of the policy's file; 0 when none was written: the built-in default */
};
/* Where the policy says its name. */
struct policy_reason policy_why_name(const struct policy *policy);
struct policy_reason policy_why_profile(const struct profile *profile, unsigned type);
struct policy_reason policy_why_profile_for(const struct profile *profile,
                                            const struct retention_facts *facts, unsigned type);
struct policy_reason policy_why_retention(const struct policy *policy, enum retention_part part,
                                          const struct retention_facts *facts);
/* Of the rule with this index (policy_retention_at); SLUIS_ENOENT past the last. */
int policy_why_rule_at(const struct policy *policy, enum retention_part part, size_t index,
                       struct policy_reason *out);
struct policy_reason policy_why_links(const struct policy *policy);
struct policy_reason policy_why_templates(const struct policy *policy);
struct policy_reason policy_why_outbound(const struct policy *policy, unsigned type);
struct policy_reason policy_why_outbound_for(const struct policy *policy, const char *role,
                                             const struct retention_facts *facts, unsigned type);
struct policy_reason policy_why_role(const struct policy *policy, const char *name);
struct policy_reason policy_why_notice(const struct policy *policy, const char *name);
struct policy_reason policy_why_picture(const struct policy *policy,
                                        const struct policy_route *route,
                                        enum policy_picture class);
struct policy_reason policy_why_consent(const struct policy *policy, enum policy_category category);
struct policy_reason policy_why_attachments(const struct policy *policy, const char *role);
/* Every rule that was written, in the order of the sections. */
void policy_each_rule(const struct policy *policy,
                      void (*each)(void *ctx, struct policy_reason why), void *ctx);

/* ---- what a careful reader would ask about ---- */
struct policy_warning {
    unsigned line, other_line; /* other_line 0: about one rule only */
    const char *text;          /* lives during the call */
};
/* Rules that contradict or hide each other in part, and rights that nobody uses; what cannot be meant
 * is refused at load. Returns how many. */
size_t policy_warnings(const struct policy *policy,
                       void (*each)(void *ctx, const struct policy_warning *warning), void *ctx);

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
/* The annex for an impact assessment (art. 35), to be appended: risks of the threat model, measures,
 * what remains, what is not covered. */
SLUIS_MUST_CHECK int policy_register_dpia(const struct policy *policy, bool dutch,
                                          struct buffer *out);
/* What the two have written, as a page of HTML without script. */
SLUIS_MUST_CHECK int policy_register_html(struct span markdown, bool dutch, struct buffer *out);

/* ---- access log ---- */
/* How long leaves are kept in seconds; 0 when the policy does not say: for ever. */
int64_t policy_log_keep_s(const struct policy *policy);

#endif
