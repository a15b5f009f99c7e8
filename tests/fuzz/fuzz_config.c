/*
 * Configuration and policy text: any bytes are read or refused with a diagnosis, and what is read
 * answers every question. A text that starts with "#c" is a sluis.yaml, anything else a policy.
 */
#include "sluis/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 leaks up to some kilobytes of its own when a quoted text of many pieces does not
 * end; once for a file that is refused. Leaks of ours are still found. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

static char folder[] = "/tmp/sluis-fuzz-config-XXXXXX";
static char config_file[64];

static void put(const char *name, const void *p, size_t n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n)
        abort();
    close(fd);
}

static void clean_up(void)
{
    static const char *const names[] = {"f", "sluis.yaml", "policies/p.yaml", "policies", ""};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (remove(path) != 0)
            fprintf(stderr, "left behind: %s\n", path);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char policy[] = "policy: 1\nname: p\nprofiles: {w: {}}\n"
                                 "routes: {r: {profile: w}}\n";
    (void)argc;
    (void)argv;
    char path[128];
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof(path), "%s/policies", folder);
    if (mkdir(path, 0700) != 0)
        abort();
    snprintf(config_file, sizeof(config_file), "%s/sluis.yaml", folder);
    put("f", "a-secret-secret\n", 16);
    put("policies/p.yaml", policy, sizeof(policy) - 1);
    atexit(clean_up);
    return 0;
}

/* A refusal says what is wrong. */
static void check_error(int error, const void *out, const struct diag *diag)
{
    if (out || error > 0 || (!diag->text[0] && error != SLUIS_ENOMEM))
        abort();
    for (const char *p = diag->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            abort();
}

static void no_looser(void *ctx, const struct policy_difference *d)
{
    (void)ctx;
    (void)d;
    abort(); /* a policy does not differ from itself */
}

static void count_rule(void *ctx, struct policy_reason why)
{
    if (!why.line || !why.rule[0])
        abort();
    ++*(size_t *)ctx;
}

static void count_warning(void *ctx, const struct policy_warning *w)
{
    if (!w->text[0])
        abort();
    ++*(size_t *)ctx;
}

static int strictness(enum mask_action action)
{
    static const int order[] = {[MASK_KEEP] = 0,  [MASK_PARTIAL] = 1, [MASK_HASH] = 2,
                                [MASK_TOKEN] = 3, [MASK_REDACT] = 4,  [MASK_BLOCK] = 5};
    return order[action];
}

/* Knowing more of a message never makes it stricter than knowing nothing. */
static void ask_readers(const struct policy *policy, const struct retention_facts *facts,
                        const char *role)
{
    const struct profile *profile;
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        for (size_t i = 0; (profile = policy_profile_at(policy, i)) != NULL; i++)
            if (strictness(profile_rule_for(profile, facts, t).action) >
                strictness(profile_rule(profile, t).action))
                abort();
        enum outbound_action known = policy_outbound_for(policy, role, facts, t);
        enum outbound_action unknown = policy_outbound_role(policy, role, t);
        if ((known == OUTBOUND_REFUSE && unknown != OUTBOUND_REFUSE) ||
            (known == OUTBOUND_MASK && unknown == OUTBOUND_PASS))
            abort();
    }
}

static void ask_people(const struct policy *policy)
{
    const struct policy_role *role;
    const struct policy_notice *notice;
    size_t rules = 0, warnings = 0, stops;
    for (unsigned i = 0; i < 16; i++) {
        const struct retention_facts facts = {.found = i & 1 ? UINT64_MAX : 0,
                                              .media = i & 2,
                                              .out = i & 4,
                                              .consent = i & 8,
                                              .channel = i & 1 ? "a" : NULL,
                                              .at_ms = INT64_C(3600000) * i * 77};
        ask_readers(policy, &facts, NULL);
        for (size_t r = 0; (role = policy_role_at(policy, r)) != NULL; r++)
            ask_readers(policy, &facts, role->name);
        (void)policy_open_at(policy, facts.at_ms);
    }
    for (size_t r = 0; (role = policy_role_at(policy, r)) != NULL; r++)
        if ((role->reveal && !(role->may & POLICY_MAY_REVEAL)) ||
            (role->may & POLICY_MAY_LOG && role->may & POLICY_MAY_HISTORY) ||
            policy_role(policy, role->name) != role)
            abort();
    for (size_t i = 0; (notice = policy_notice_at(policy, i)) != NULL; i++)
        if (!notice->nl[0] || !notice->en || !notice->safe || notice->every_s < 3600)
            abort();
    if (policy_stop_words(policy, &stops) == NULL || !stops)
        abort();
    policy_each_rule(policy, count_rule, &rules);
    if (policy_warnings(policy, count_warning, &warnings) != warnings)
        abort();
    if (policy_diff(policy, policy, no_looser, NULL) != 0)
        abort();
}

static void ask_policy(const struct policy *policy)
{
    for (unsigned t = 0; t <= DETECT_TYPES_MAX; t++) {
        struct mask_rule rule = profile_rule(policy_storage_profile(policy), t);
        if (rule.action != MASK_REDACT || (unsigned)policy_outbound(policy, t) > OUTBOUND_PASS)
            abort();
        const struct retention_facts facts = {.found = t < 64 ? UINT64_C(1) << t : 0,
                                              .media = t & 1};
        for (int part = 0; part < 2; part++) {
            struct retention_rule keep =
                policy_retention(policy, (enum retention_part)part, &facts);
            if (keep.never != (keep.keep_s == 0) || !keep.ground || keep.keep_s < 0)
                abort();
        }
    }
    ask_people(policy);
    if (!policy_detector(policy) || !policy_name(policy)[0])
        abort();
}

static void ask_config(const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *c = &config->channels[i];
        if (config_channel_by_number(config, c->app, span_str(c->phone_number_id)) != c ||
            config_channel(config, c->name) != c || !c->upstream.access_token.n)
            abort();
        for (size_t r = 0; r < c->route_count; r++)
            if (!c->routes[r].policy || !c->routes[r].secret.n || !c->routes[r].url)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag diag = {0};
    struct span text = span_of(data, size);
    if (span_starts(text, SPAN("#c"))) {
        struct config *config;
        put("sluis.yaml", data, size);
        int error = config_load(config_file, &config, &diag);
        if (error)
            check_error(error, config, &diag);
        else
            ask_config(config);
        config_unref(config);
        return 0;
    }
    struct policy *policy;
    int error = policy_load(text, "p.yaml", &policy, &diag);
    if (error)
        check_error(error, policy, &diag);
    else
        ask_policy(policy);
    policy_unref(policy);
    return 0;
}
