/* Is a changed policy in force at once, or does it wait (versions.h)? */
#include "versions.h"

#include "sluis/base/clock.h"

#include <stdio.h>

#define PHONE_KEY (CONFIG_NAME_MAX + 64)

/* As a name, in the place of a channel's: names have no '/'. */
static void phone_key(const struct config_channel *c, char out[PHONE_KEY])
{
    snprintf(out, PHONE_KEY, "phone/%s", c->phone_number_id);
}

static const struct config_channel *channel_of_phone(const struct config *config,
                                                     const struct config_channel *c)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].phone_number_id, c->phone_number_id) == 0)
            return &config->channels[i];
    return NULL;
}

int version_note(struct gateway *gw, const struct config_channel *c, const struct policy *policy,
                 const char *actor, const char *outcome)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_POLICY,
                                      .actor = actor,
                                      .claimed = policy_name(policy),
                                      .channel = c ? c->name : NULL,
                                      .activity = policy_activity(policy),
                                      .policy_hash = policy_hash(policy),
                                      .outcome = outcome};
    return admin_record(gw->store, &event);
}

/* A version nobody had to approve, or the one that waits; one that is known stays as it is, save
 * that one which was in force before and loosens now waits again, for another than who brings it
 * back. */
static int keep_version(struct gateway *gw, const struct config *config,
                        const struct policy *policy, const char *author, const char *approver,
                        int looser)
{
    struct policy_version v;
    if (version_get(gw, policy_hash(policy), &v) == 0 && (v.approved_ms != 0) == (approver[0] != 0))
        return 0;
    memset(&v, 0, sizeof(v));
    snprintf(v.hash, sizeof(v.hash), "%s", policy_hash(policy));
    snprintf(v.name, sizeof(v.name), "%s", policy_name(policy));
    snprintf(v.author, sizeof(v.author), "%s", author);
    snprintf(v.approver, sizeof(v.approver), "%s", approver);
    v.proposed_ms = clock_wall_ms();
    v.approved_ms = approver[0] ? v.proposed_ms : 0;
    v.looser = (unsigned)looser;
    int r = version_text_put(gw, config, policy);
    return r ? r : version_put(gw, &v);
}

/* ---- the decision ---- */

static void count_only(void *ctx, const struct policy_difference *difference)
{
    (void)ctx, (void)difference;
}

enum verdict { SAME, STRICTER, APPROVED, FOLLOWS, LOOSER, NEW };

/* That it was in force elsewhere or before, as the first or as a stricter one, is no approval. */
static enum verdict compare(struct gateway *gw, const char *channel, const struct policy *old,
                            const struct policy *next, int *looser)
{
    *looser = 0;
    if (!old)
        return NEW;
    if (strcmp(policy_hash(old), policy_hash(next)) == 0)
        return SAME;
    *looser = policy_diff(old, next, count_only, NULL);
    if (*looser == 0)
        return STRICTER;
    if (version_granted(gw, channel, policy_hash(next)))
        return APPROVED;
    return version_follows(gw, channel, old, policy_hash(next)) ? FOLLOWS : LOOSER;
}

/* What takes effect at once, with its text: the next start compares with it. */
static int take(struct gateway *gw, const struct config *next, const struct config_channel *c,
                const char *author, enum verdict verdict, int looser)
{
    const char *outcome = verdict == NEW       ? "installed"
                          : verdict == FOLLOWS ? "followed"
                          : verdict == LOOSER  ? "loosened_alone"
                                               : "stricter";
    const char *approver = verdict == NEW       ? "installer"
                           : verdict == FOLLOWS ? "followed"
                           : verdict == LOOSER  ? author
                                                : "stricter";
    int r = version_note(gw, c, c->policy, author, outcome);
    r = r ? r : keep_version(gw, next, c->policy, author, approver, looser);
    return r ? r : version_choose(gw, c);
}

/* A channel's next policy beside the one in force: 0 it may be, SLUIS_EDENIED it waits. */
static int judge(struct gateway *gw, const struct config *next, const struct config_channel *c,
                 const struct policy *old, const char *author, struct diag *diag)
{
    char owner[ACCESS_NAME_SIZE];
    int looser, r;
    if (!author) {
        version_owner(next, c->policy, owner);
        author = owner;
    }
    enum verdict verdict = compare(gw, c->name, old, c->policy, &looser);
    bool bootstrap = !next->approval_officers &&
                     !access_governed(gw->access, POLICY_MAY_APPROVE, clock_wall_ms());
    if (verdict == SAME || verdict == APPROVED)
        return 0;
    if (verdict == LOOSER && bootstrap)
        LOG(LOG_ALARM, "gateway", "policy_loosened_without_officers",
            log_word("policy", policy_name(c->policy)), log_u64("looser", (uint64_t)looser));
    if (verdict != LOOSER || bootstrap)
        return take(gw, next, c, author, verdict, looser);
    r = keep_version(gw, next, c->policy, author, "", looser);
    if (r == 0)
        r = version_note(gw, c, c->policy, author, "waits_for_approval");
    if (r != 0)
        return r;
    diag_set(diag, NULL, 0, 0,
             "policy \"%s\" is looser than the one in force on channel \"%s\" (%d decisions): a "
             "second officer has to agree: sluis policy approve %s --as NAME",
             policy_name(c->policy), c->name, looser, policy_name(c->policy));
    return SLUIS_EDENIED;
}

/* The policy that was last in force under this key; *out NULL when none was. */
static int stored_policy(struct gateway *gw, const char *key, struct policy **out)
{
    char hex[POLICY_HASH_HEX] = "";
    *out = NULL;
    int r = version_in_force_get(gw, key, hex);
    return r == SLUIS_ENOENT ? 0 : r ? r : version_policy(gw, hex, out);
}

/* Beside what is in force under the channel's name, or its number; else beside what last was.
 * *seen: there was such a policy. */
static int judge_beside(struct gateway *gw, const struct config *next,
                        const struct config_channel *c, const struct config_channel *before,
                        const char *key, const char *author, struct diag *diag, bool *seen)
{
    struct policy *stored = NULL;
    int r = before ? 0 : stored_policy(gw, key, &stored);
    const struct policy *old = before ? before->policy : stored;
    *seen |= old != NULL;
    if (r == 0 && old)
        r = judge(gw, next, c, old, author, diag);
    policy_unref(stored);
    return r;
}

static int judge_channel(struct gateway *gw, const struct config *now, const struct config *next,
                         const struct config_channel *c, const char *author, struct diag *diag)
{
    char key[PHONE_KEY];
    const struct config_channel *named = config_channel(now, c->name);
    const struct config_channel *numbered = channel_of_phone(now, c);
    bool seen = false;
    int r = judge_beside(gw, next, c, named, c->name, author, diag, &seen);
    phone_key(c, key);
    if (r == 0 && (!named || named != numbered))
        r = judge_beside(gw, next, c, numbered, key, author, diag, &seen);
    return r || seen ? r : judge(gw, next, c, NULL, author, diag);
}

int versions_judge(struct gateway *gw, const struct config *now, const struct config *next,
                   const char *author, struct diag *diag)
{
    int r = 0;
    pthread_mutex_lock(&gw->version_lock);
    for (size_t i = 0; i < next->channel_count; i++) {
        int one = judge_channel(gw, now, next, &next->channels[i], author, diag);
        r = r ? r : one;
    }
    pthread_mutex_unlock(&gw->version_lock);
    return r;
}

static bool is_in_force(struct gateway *gw, const char *key, const struct policy *policy)
{
    char hex[POLICY_HASH_HEX] = "";
    return version_in_force_get(gw, key, hex) == 0 && strcmp(hex, policy_hash(policy)) == 0;
}

static int keep_in_force(struct gateway *gw, const char *key, const struct policy *policy)
{
    return is_in_force(gw, key, policy) ? 0 : version_in_force_put(gw, key, policy_hash(policy));
}

int versions_in_force(struct gateway *gw, const struct config *config)
{
    int r = 0;
    pthread_mutex_lock(&gw->version_lock);
    for (size_t i = 0; i < config->channel_count; i++) {
        char key[PHONE_KEY];
        const struct config_channel *c = &config->channels[i];
        phone_key(c, key);
        int named = keep_in_force(gw, c->name, c->policy);
        int numbered = keep_in_force(gw, key, c->policy);
        r = r ? r : named ? named : numbered;
    }
    pthread_mutex_unlock(&gw->version_lock);
    return r;
}

/* At start: the file beside what was in force under this key when it stopped. */
static int start_beside(struct gateway *gw, struct config *config, size_t i, const char *key,
                        struct diag *diag, bool *seen)
{
    struct config_channel *c = &config->channels[i];
    struct policy *old = NULL;
    int r = stored_policy(gw, key, &old);
    if (r == SLUIS_ENOENT && is_in_force(gw, key, c->policy)) {
        *seen = true; /* versions before this one kept no text of what had followed */
        return version_text_put(gw, config, c->policy);
    }
    if (r != 0) {
        diag_set(diag, NULL, 0, 0,
                 "the policy in force on channel \"%s\" cannot be read from the store (%s)",
                 c->name, error_word(r));
        return r;
    }
    *seen |= old != NULL;
    if (old)
        r = judge(gw, config, c, old, NULL, diag);
    if (r == SLUIS_EDENIED) { /* the old one stays in force */
        LOG(LOG_ALARM, "gateway", "policy_waits_for_approval", log_word("channel", c->name),
            log_word("policy", policy_name(c->policy)));
        diag->text[0] = '\0';
        r = config_use_policy(config, i, old, diag);
    }
    policy_unref(old);
    return r;
}

static int start_channel(struct gateway *gw, struct config *config, size_t i, struct diag *diag)
{
    char key[PHONE_KEY];
    const struct config_channel *c = &config->channels[i];
    bool seen = false;
    phone_key(c, key);
    int r = start_beside(gw, config, i, c->name, diag, &seen);
    if (r == 0)
        r = start_beside(gw, config, i, key, diag, &seen);
    return r || seen ? r : judge(gw, config, c, NULL, "installer", diag);
}

int versions_start(struct gateway *gw, struct config *config, struct diag *diag)
{
    int r = keyring_cache_new(gw->keyring, &gw->version_keys);
    for (size_t i = 0; r == 0 && i < config->channel_count; i++)
        r = start_channel(gw, config, i, diag);
    return r;
}
