/*
 * Inside of the policy room: what a loaded policy is, and the tables of its keys. Not a door.
 */
#ifndef SLUIS_POLICY_ROOM_H
#define SLUIS_POLICY_ROOM_H

#include "sluis/base/arena.h"
#include "sluis/base/yaml.h"
#include "sluis/policy.h"

#include <stdatomic.h>

#define POLICY_ARENA_MAX (4 * 1024 * 1024) /* what is kept of a file of at most 1 MiB */
#define POLICY_TEXT_TEXT_MAX 200           /* bytes of a ground, an activity, a name of an office */
#define POLICY_PROFILES_MAX 64
#define POLICY_LINKS_MAX 1000
#define POLICY_TEMPLATES_MAX 1000
#define POLICY_ROUTES_MAX 64
#define POLICY_PROCESSORS_MAX 64
#define POLICY_RULES_MAX 1024    /* per part: all pairs are compared once at load */
#define POLICY_OWN_WORDS_MAX 64 /* patterns, context or counter words of one recogniser */
#define POLICY_SPECIAL_WORDS_MAX 1000
#define POLICY_CHANNELS_MAX 64        /* channels that one rule names */
#define POLICY_PARTIAL_MAX 10         /* characters shown: first six and last four of a card */
#define POLICY_LEAST_KEEP_S (60 * 60) /* the narrowest bucket of retention is an hour */

#define POLICY_CASES_MAX 1000 /* rules with conditions, per profile and in outbound */
#define POLICY_ROLES_MAX 64
#define POLICY_NOTICES_MAX 64
#define POLICY_NOTICE_TEXT_MAX 1024 /* WhatsApp takes 4,096; a notice is to be read */
#define POLICY_STOP_WORDS_MAX 64
#define POLICY_HOLIDAYS_MAX 366
#define POLICY_ATTACHMENTS_MAX 16
#define POLICY_WHEN_TEXT 256 /* room for conditions in words */

/* ---- times of the day and week, Europe/Amsterdam (policy_time.c) ---- */
struct hours {
    bool said;
    uint16_t open, close;    /* minutes; close before open: over midnight */
    uint8_t days;            /* bit 0 Monday; of the day on which it opened */
    const int32_t *holidays; /* days since 1970 */
    size_t holiday_count;
};

/* ---- conditions (policy_when.c) ---- */
enum rule_kind { RULE_ANY, RULE_MEDIA, RULE_TEXT };
enum rule_direction { RULE_BOTH, RULE_IN, RULE_OUT };
enum rule_consent { RULE_CONSENT_ANY, RULE_CONSENT_GIVEN, RULE_CONSENT_MISSING };
struct when {
    uint64_t found, not_found; /* 0: any, none */
    enum rule_kind kind;
    enum rule_direction direction;
    enum rule_consent consent;
    const char *const *channels; /* NULL: any */
    size_t channel_count;
    struct hours hours;
    const char *role; /* outbound rules only; NULL: any */
};

/* A rule of a profile: what it says of types, under conditions. */
struct profile_case {
    struct when when;
    uint64_t named; /* types it decides; a `default` in it names all */
    struct mask_rule rules[DETECT_TYPES_MAX];
    struct policy_reason why;
};

struct profile {
    const char *name;
    struct mask_rule rules[DETECT_TYPES_MAX];
    struct policy_reason why[DETECT_TYPES_MAX];
    struct profile_case *cases;
    size_t case_count;
    bool hides_contact;
};

struct role {
    struct policy_role door;
    struct hours hours;
    struct policy_reason why;
};

struct outbound_set { /* what is said of types; `named` as above */
    uint64_t named;
    uint8_t actions[DETECT_TYPES_MAX]; /* enum outbound_action */
    struct policy_reason why[DETECT_TYPES_MAX];
};
struct attachments {
    bool said;
    const char *const *at;
    size_t n;
    struct policy_reason why;
};
struct outbound_case {
    struct when when;
    struct outbound_set set;
};
struct outbound_role {
    const char *name;
    struct outbound_set set;
    struct attachments attachments;
};
struct notice {
    struct policy_notice door;
    struct policy_reason why;
};

struct route {
    struct policy_route door;
    bool media_said;
    struct policy_reason media_why;
};

struct rule {
    struct retention_rule door;
    struct when when;
    struct policy_reason why;
};
struct rules {
    struct rule *at;
    size_t n;
};

struct processor {
    const char *name, *agreement, *keeps, *transfer; /* "" when not said */
};

struct policy {
    atomic_uint refs;
    struct arena arena;
    char hash[POLICY_HASH_HEX];
    const char *name, *activity, *purpose, *controller, *dpo;
    unsigned name_line;
    struct detect_settings settings;
    struct detect_own own[DETECT_OWN_MAX];
    struct detector *detector;
    struct profile *profiles;
    size_t profile_count;
    struct profile storage;
    struct route *routes;
    size_t route_count;
    struct rules rules[2];
    enum media_action media[POLICY_MEDIA_KINDS];
    enum media_action pictures[POLICY_PICTURES];
    struct policy_reason pictures_why[POLICY_PICTURES];
    struct role *roles;
    size_t role_count;
    struct outbound_set outbound; /* names every type once loaded */
    struct outbound_case *outbound_cases;
    size_t outbound_case_count;
    struct outbound_role *outbound_roles;
    size_t outbound_role_count;
    struct attachments attachments;
    bool window;
    struct policy_pace pace;
    bool consent_said;
    bool minds_consent; /* some condition asks for it */
    uint8_t consent[POLICY_CATEGORIES]; /* bit sets of enum policy_basis */
    struct policy_reason consent_why[POLICY_CATEGORIES];
    const char *const *stop_words;
    size_t stop_count;
    struct notice *notices;
    size_t notice_count;
    struct hours hours;
    int64_t until_ms; /* 0: not observing */
    const char *then;
    unsigned until_line, until_column;
    bool selection_required;
    enum on_revoke on_revoke;
    int64_t log_keep_s;
    bool links_said, templates_said; /* an empty list is said: none */
    const char *const *links;
    size_t link_count;
    struct policy_template *templates;
    size_t template_count;
    const char *const *purposes; /* templates must have one of these; NULL: any */
    size_t purpose_count;
    struct policy_reason links_why, templates_why;
    struct processor *processors;
    size_t processor_count;
};

/* What every loading function needs. */
struct loader {
    struct policy *policy;
    const struct yaml_doc *doc;
    struct diag *diag;
};

/* ---- policy.c ---- */
/* Takes the document. */
SLUIS_MUST_CHECK int policy_load_doc(struct yaml_doc *doc, struct policy **out, struct diag *diag);

/* ---- policy_keys.c ---- */
#define TYPE_WORDS_MAX (DETECT_TYPES_MAX + 4)

/* A table of keys and the heading under which the manual describes them. */
struct policy_table {
    const char *heading;
    const struct yaml_key *keys;
    size_t n;
};
enum policy_table_index {
    POLICY_KEYS_TOP,
    POLICY_KEYS_CONTROLLER,
    POLICY_KEYS_PROCESSOR,
    POLICY_KEYS_DETECT,
    POLICY_KEYS_DETECT_TYPE,
    POLICY_KEYS_RECOGNISER,
    POLICY_KEYS_PROFILE,
    POLICY_KEYS_ACTION,
    POLICY_KEYS_PARTIAL,
    POLICY_KEYS_RULE,
    POLICY_KEYS_ROUTE,
    POLICY_KEYS_MEDIA,
    POLICY_KEYS_OUTBOUND,
    POLICY_KEYS_FOUND,
    POLICY_KEYS_LOG,
    POLICY_KEYS_WHEN,
    POLICY_KEYS_CASE,
    POLICY_KEYS_ROLE,
    POLICY_KEYS_OUTBOUND_RULE,
    POLICY_KEYS_OUTBOUND_WHEN,
    POLICY_KEYS_OUTBOUND_ROLE,
    POLICY_KEYS_TEMPLATE,
    POLICY_KEYS_CONSENT,
    POLICY_KEYS_PACE,
    POLICY_KEYS_NOTICE,
    POLICY_KEYS_HOURS,
    POLICY_KEYS_TABLES
};
extern const struct policy_table policy_tables[POLICY_KEYS_TABLES];

SLUIS_MUST_CHECK int policy_check(const struct loader *l, const struct yaml_node *map,
                                  enum policy_table_index table);
/* The same for a map whose keys are types too. */
SLUIS_MUST_CHECK int policy_check_types(const struct loader *l, const struct yaml_node *map,
                                        enum policy_table_index table);
/* The type a key or a text names, the policy's own included; DETECT_TYPES_MAX when none. */
unsigned policy_type(const struct policy *policy, const char *word);
/* "unknown type ...; did you mean ...?" at the key (or at the value when it has none). */
int policy_unknown_type(const struct loader *l, const struct yaml_node *node, const char *word,
                        enum policy_table_index table);
/* A name of ours: lower-case letters, digits, - and _, a letter first, at most POLICY_NAME_MAX. */
SLUIS_MUST_CHECK int policy_take_name(const struct loader *l, const struct yaml_node *node,
                                      const char *text, const char **out);
/* A printable text of at most POLICY_TEXT_TEXT_MAX bytes. */
SLUIS_MUST_CHECK int policy_take_text(const struct loader *l, const struct yaml_node *node,
                                      const char **out);
int policy_no_memory(const struct loader *l);
/* The reason for what stands at `node`; the rule's name is printf-like. */
SLUIS_MUST_CHECK int policy_take_reason(const struct loader *l, const struct yaml_node *node,
                                        struct policy_reason *out, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A list of at most `most` texts into the policy's arena. */
SLUIS_MUST_CHECK int policy_take_words(const struct loader *l, const struct yaml_node *list,
                                       int most, const char *const **out, size_t *out_n);
/* The loaded detector finds what the policy asks of it; at the end of loading. */
SLUIS_MUST_CHECK int policy_check_special(const struct loader *l, const struct yaml_node *detect);

/* ---- policy_time.c ---- */
/* "09:00-17:30" into open and close. */
SLUIS_MUST_CHECK int policy_take_span(const struct loader *l, const struct yaml_node *node,
                                      struct hours *out);
/* A list of days (ma di wo do vr za zo, mon tue ...), or one. */
SLUIS_MUST_CHECK int policy_take_days(const struct loader *l, const struct yaml_node *node,
                                      struct hours *out);
/* "09:00-17:30", or {open, days, holidays}. */
SLUIS_MUST_CHECK int policy_take_hours(const struct loader *l, const struct yaml_node *node,
                                       struct hours *out);
/* "2026-12-31": days since 1970. */
SLUIS_MUST_CHECK int policy_take_date(const struct loader *l, const struct yaml_node *node,
                                      int32_t *day);
bool policy_hours_hold(const struct hours *hours, int64_t at_ms);
/* "2026-12-15": the day of this moment in Europe/Amsterdam. */
void policy_day_text(int64_t at_ms, char out[16]);
bool policy_hours_same(const struct hours *a, const struct hours *b);
/* The first moment of that day in Europe/Amsterdam, ms since 1970. */
int64_t policy_day_start_ms(int32_t day);

/* ---- policy_when.c ---- */
/* The keys of conditions in `map`, which may hold others too. */
SLUIS_MUST_CHECK int policy_take_when(const struct loader *l, const struct yaml_node *map,
                                      struct when *out);
/* A type or a list of types. */
SLUIS_MUST_CHECK int policy_take_types(const struct loader *l, const struct yaml_node *node,
                                       uint64_t *out);
bool policy_when_holds(const struct when *when, const struct retention_facts *facts);
/* The conditions but for what was found. */
bool policy_when_fits(const struct when *when, const struct retention_facts *facts);
/* True when whatever `later` holds for, `earlier` holds for too. */
bool policy_when_covers(const struct when *earlier, const struct when *later);
/* True when one message can meet both. */
bool policy_when_meets(const struct when *a, const struct when *b);
bool policy_when_empty(const struct when *when);
bool policy_when_same(const struct when *a, const struct when *b);

/* ---- policy_contact.c ---- */
SLUIS_MUST_CHECK int policy_take_attachments(const struct loader *l, const struct yaml_node *list,
                                             const char *where, struct attachments *out);

/* ---- policy_media.c ---- */
/* withhold, pass and, with `findings`, redact. */
SLUIS_MUST_CHECK int policy_media_word(const struct loader *l, const struct yaml_node *node,
                                       bool findings, enum media_action *out);

/* ---- one section each; `node` may be NULL: the section was left out ---- */
SLUIS_MUST_CHECK int policy_load_recognisers(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_detect(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_profiles(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_media(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_routes(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_rules(const struct loader *l, const struct yaml_node *node,
                                       enum retention_part part);
/* policy_links.c */
SLUIS_MUST_CHECK int policy_load_links(const struct loader *l, const struct yaml_node *node);
extern const char *const policy_tlds[];
extern const size_t policy_tld_count;
SLUIS_MUST_CHECK int policy_load_outbound(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_roles(const struct loader *l, const struct yaml_node *node);
SLUIS_MUST_CHECK int policy_load_contact(const struct loader *l, const struct yaml_node *outbound);
SLUIS_MUST_CHECK int policy_load_notices(const struct loader *l, const struct yaml_node *root);
SLUIS_MUST_CHECK int policy_load_observe(const struct loader *l, const struct yaml_node *root);
/* "no profile is called ...; did you mean ...?" at the node. */
int policy_unknown_profile(const struct loader *l, const struct yaml_node *node);
/* Entries of a map or list. */
size_t policy_count(const struct yaml_node *node);

#endif
