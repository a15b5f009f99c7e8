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
#define POLICY_RULES_MAX 256          /* per part: all pairs are compared once at load */
#define POLICY_OWN_WORDS_MAX 64       /* patterns, context or counter words of one recogniser */
#define POLICY_SPECIAL_WORDS_MAX 1000
#define POLICY_CHANNELS_MAX 64 /* channels that one rule names */
#define POLICY_PARTIAL_MAX 10         /* characters shown: first six and last four of a card */
#define POLICY_LEAST_KEEP_S (60 * 60) /* the narrowest bucket of retention is an hour */

struct profile {
    const char *name;
    struct mask_rule rules[DETECT_TYPES_MAX];
    struct policy_reason why[DETECT_TYPES_MAX];
    bool hides_contact;
};

struct route {
    struct policy_route door;
    bool media_said;
};

enum rule_kind { RULE_ANY, RULE_MEDIA, RULE_TEXT };
enum rule_direction { RULE_BOTH, RULE_IN, RULE_OUT };
struct rule {
    struct retention_rule door;
    uint64_t found; /* 0: any */
    enum rule_kind kind;
    enum rule_direction direction;
    const char *const *channels; /* NULL: any */
    size_t channel_count;
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
    const char *name, *activity, *controller, *dpo;
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
    enum outbound_action outbound[DETECT_TYPES_MAX];
    struct policy_reason outbound_why[DETECT_TYPES_MAX];
    enum on_revoke on_revoke;
    int64_t log_keep_s;
    bool links_said, templates_said; /* an empty list is said: none */
    const char *const *links;
    size_t link_count;
    const char *const *templates;
    size_t template_count;
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
/* The rule's conditions but for `found`. */
bool policy_rule_fits(const struct rule *rule, const struct retention_facts *facts);

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
SLUIS_MUST_CHECK int policy_load_templates(const struct loader *l, const struct yaml_node *node);
extern const char *const policy_tlds[];
extern const size_t policy_tld_count;
SLUIS_MUST_CHECK int policy_load_outbound(const struct loader *l, const struct yaml_node *node);

#endif
