/* Tokens of tools: add (shown once), list, revoke. */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>

#define EXPIRES_MAX_MS INT64_C(253402300799000) /* the end of the year 9999 */

static bool good_name(struct span name)
{
    if (name.n == 0 || name.n >= sizeof(((struct principal *)0)->name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

static int record(struct admin_request *r, const char *name, uint64_t id, const char *outcome)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_TOKEN,
                                      .actor = r->who.name,
                                      .role = r->decision.role[0] ? r->decision.role : NULL,
                                      .claimed = name,
                                      .object = id,
                                      .outcome = outcome};
    return admin_record(r->admin->deps.store, &event);
}

/* "channels": ["burgerzaken", ...]; NULL or the name that is not there. */
static const char *take_channels(struct admin_request *r, const struct config *config,
                                 struct principal *p)
{
    uint32_t list = json_get(&r->body, 0, SPAN("channels"));
    for (uint32_t i = json_first(&r->body, list); i != JSON_NONE; i = json_next(&r->body, i)) {
        struct span text;
        if (p->channel_count == ACCESS_CHANNELS_MAX)
            return "channels: too many";
        if (json_string(&r->body, i, r->arena, &text) != 0)
            return "channels: a list of names was expected";
        char *name = arena_try_str(r->arena, text);
        const struct config_channel *channel = name ? config_channel(config, name) : NULL;
        if (!channel)
            return "channels: no such channel in the configuration";
        p->channels[p->channel_count++] = channel->id;
    }
    return p->channel_count ? NULL : "channels: at least one is needed";
}

/* A route of another channel would give the tool another route's aliases. */
static const char *take_route(const struct config *config, struct span name, struct principal *p)
{
    const struct config_channel *channel = NULL;
    if (name.n == 0)
        return NULL;
    p->route = admin_route_id(config, name);
    if (p->route == 0)
        return "route: no such route, or more than one channel has it (say channel/route)";
    if (!config_route_by_id(config, p->route, &channel) || !principal_may_use(p, channel->id))
        return "route: it belongs to none of these channels";
    return NULL;
}

/* "ranges": ["10.0.0.0/8", ...] */
static const char *take_ranges(struct admin_request *r, struct principal *p)
{
    uint32_t list = json_get(&r->body, 0, SPAN("ranges"));
    for (uint32_t i = json_first(&r->body, list); i != JSON_NONE; i = json_next(&r->body, i)) {
        struct span text;
        if (p->range_count == ACCESS_RANGES_MAX)
            return "ranges: too many";
        if (json_string(&r->body, i, r->arena, &text) != 0 ||
            access_range_parse(text, &p->ranges[p->range_count++]) != 0)
            return "ranges: an address, or a range like 10.0.0.0/8 or 2001:db8::/32 with nothing "
                   "behind the prefix, was expected";
    }
    return NULL;
}

/* A role must be one that the policies of all its channels know. */
static const char *take_role(struct admin_request *r, const struct config *config,
                             struct principal *p)
{
    struct span name = admin_text(r, "role");
    if (name.n == 0)
        return NULL;
    if (name.n >= sizeof(p->role) || memchr(name.p, 0, name.n))
        return "role: a name was expected";
    memcpy(p->role, name.p, name.n);
    for (unsigned i = 0; i < p->channel_count; i++) {
        const struct config_channel *c = config_channel_by_id(config, p->channels[i]);
        if (!c || !policy_role(c->policy, p->role))
            return "role: the policy of one of these channels has no such role";
    }
    return NULL;
}

static const char *take_expiry(struct admin_request *r, struct principal *p)
{
    uint64_t expires = 0;
    uint32_t at = json_get(&r->body, 0, SPAN("expires_ms"));
    if (at == JSON_NONE)
        return NULL;
    if (json_u64(&r->body, at, &expires) != 0 || expires > EXPIRES_MAX_MS ||
        (int64_t)expires <= clock_wall_ms())
        return "expires_ms: a time to come was expected, in milliseconds";
    p->expires_ms = (int64_t)expires;
    return NULL;
}

static void answer_token(struct admin_request *r, uint64_t id, const char *name, const char *text)
{
    struct buffer out;
    buffer_init(&out, 1024);
    buffer_addf(&out, "{\"id\":%llu,\"name\":\"%s\",\"token\":\"%s\"}", (unsigned long long)id,
                name, text);
    admin_json(r, 201, &out);
    buffer_free(&out);
}

void admin_tokens_add(struct admin_request *r)
{
    struct principal p = {.id = 0};
    struct span name = admin_text(r, "name"), route = admin_text(r, "route");
    struct config *config = config_acquire(r->admin->deps.config);
    const char *wrong = good_name(name) ? take_channels(r, config, &p)
                                        : "name: letters, digits, '-', '_' and '.' (1 to 63)";
    if (!wrong)
        wrong = take_route(config, route, &p);
    if (!wrong)
        wrong = take_role(r, config, &p);
    if (!wrong)
        wrong = take_ranges(r, &p);
    if (!wrong)
        wrong = take_expiry(r, &p);
    config_unref(config);
    if (wrong) {
        admin_error(r, 400, "token", wrong);
        return;
    }
    memcpy(p.name, name.p, name.n);
    p.created_ms = clock_wall_ms();
    snprintf(p.granted_by, sizeof(p.granted_by), "%s", r->who.name);
    char text[ACCESS_TOKEN_TEXT];
    uint64_t id = 0;
    int result = record(r, p.name, 0, "asked");
    if (result == 0)
        result = access_token_add(r->admin->deps.access, &p, text, &id);
    if (result == 0)
        result = record(r, p.name, id, "added");
    if (result == SLUIS_EEXIST) {
        admin_error(r, 409, "name",
                    "a token of this name is in use: revoke it, or take another name");
    } else if (result == SLUIS_ELIMIT) {
        admin_error(r, 409, "limit", "too many tokens: revoke some");
    } else if (result != 0) {
        admin_error(r, 503, error_word(result), "the token could not be stored");
    } else {
        answer_token(r, id, p.name, text);
    }
    sodium_memzero(text, sizeof(text));
}

#define OVERLAP_DEFAULT_S (24 * 3600u)
#define OVERLAP_MAX_S (31 * 24 * 3600u)

void admin_tokens_rotate(struct admin_request *r)
{
    char text[ACCESS_TOKEN_TEXT] = "";
    uint64_t id = 0, next = 0, overlap = OVERLAP_DEFAULT_S;
    uint32_t at = json_get(&r->body, 0, SPAN("overlap_s"));
    if (span_u64(r->id, &id) != 0 ||
        (at != JSON_NONE && (json_u64(&r->body, at, &overlap) != 0 || overlap > OVERLAP_MAX_S))) {
        admin_error(r, 400, "token", "the id of a token, and overlap_s of at most 31 days");
        return;
    }
    int result = record(r, NULL, id, "rotation_asked");
    if (result == 0)
        result = access_token_rotate(r->admin->deps.access, id, (int64_t)overlap * 1000,
                                     r->who.name, text, &next);
    if (result == 0)
        result = record(r, NULL, next, "rotated");
    if (result == SLUIS_ENOENT)
        admin_error(r, 404, "not_found", "no such token, or it is good no more");
    else if (result == SLUIS_ELIMIT)
        admin_error(r, 409, "limit", "too many tokens: revoke some");
    else if (result != 0)
        admin_error(r, 503, error_word(result), "the token could not be rotated");
    else
        answer_token(r, next, "", text);
    sodium_memzero(text, sizeof(text));
}

struct listing {
    struct buffer out;
    const struct config *config;
    unsigned n;
};

static int add_row(void *ctx, const struct principal *p)
{
    struct listing *l = ctx;
    buffer_addf(&l->out, "%s{\"id\":%llu,\"name\":\"%s\",\"channels\":[", l->n++ ? "," : "",
                (unsigned long long)p->id, p->name);
    for (unsigned i = 0; i < p->channel_count; i++) {
        const struct config_channel *c = config_channel_by_id(l->config, p->channels[i]);
        buffer_addf(&l->out, "%s\"%s\"", i ? "," : "", c ? c->name : "?");
    }
    char created[CLOCK_RFC3339_SIZE], expires[CLOCK_RFC3339_SIZE];
    clock_rfc3339(p->created_ms, created);
    clock_rfc3339(p->expires_ms, expires);
    buffer_addf(&l->out, "],\"role\":\"%s\",\"ranges\":[", p->role);
    for (unsigned i = 0; i < p->range_count; i++) {
        char range[64];
        access_range_text(&p->ranges[i], range);
        buffer_addf(&l->out, "%s\"%s\"", i ? "," : "", range);
    }
    buffer_addf(&l->out, "],\"created\":\"%s\",\"expires\":%s%s%s,\"revoked\":%s}", created,
                p->expires_ms ? "\"" : "", p->expires_ms ? expires : "null",
                p->expires_ms ? "\"" : "", p->revoked ? "true" : "false");
    return 0;
}

void admin_tokens_list(struct admin_request *r)
{
    struct listing l = {.config = config_acquire(r->admin->deps.config)};
    buffer_init(&l.out, ADMIN_ANSWER_MAX);
    buffer_add(&l.out, SPAN("{\"tokens\":["));
    int result = access_each(r->admin->deps.access, add_row, &l);
    buffer_add(&l.out, SPAN("]}"));
    config_unref((struct config *)l.config);
    if (result < 0)
        admin_error(r, 503, error_word(result), "the tokens could not be read");
    else
        admin_json(r, 200, &l.out);
    buffer_free(&l.out);
}

void admin_tokens_revoke(struct admin_request *r)
{
    uint64_t id = 0;
    if (span_u64(r->id, &id) != 0) {
        admin_error(r, 400, "token", "the id of a token is a number: see `sluis token list`");
        return;
    }
    int result = access_token_revoke(r->admin->deps.access, id);
    if (result != SLUIS_ENOENT && r->admin->deps.cut)
        r->admin->deps.cut(r->admin->deps.ctx, id); /* what it is being sent at this moment too */
    if (result == SLUIS_ENOENT) {
        admin_error(r, 404, "not_found", "no such token");
        return;
    }
    if (result == 0)
        result = record(r, NULL, id, "revoked");
    if (result != 0) {
        admin_error(r, 503, error_word(result), "the token could not be revoked");
        return;
    }
    struct buffer out;
    buffer_init(&out, 256);
    buffer_addf(&out, "{\"id\":%llu,\"revoked\":true}", (unsigned long long)id);
    admin_json(r, 200, &out);
    buffer_free(&out);
}
