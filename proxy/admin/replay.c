/* POST /sluis/v1/policy/replay {"old":text,"new":text,"from":ms,"to":ms,"channel":name,"order":n}: two
 * policies over what is stored. Counts and rule names; asking stands in the access log. */
#include "internal.h"

#include "sluis/read.h"

#define BUDGET_MS 1500 /* of one call: the loop answers probes too; the caller comes again */

static int load(struct admin_request *r, const char *member, struct policy **out)
{
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    struct diag diag = {.text = ""};
    int result = policy_load(admin_text(r, member), member, out, &diag);
    if (result != 0)
        admin_error(r, 422, "policy", diag_line(&diag, line, sizeof(line)));
    return result;
}

static bool number(struct admin_request *r, const char *member, uint64_t *out)
{
    uint32_t node = json_get(&r->body, 0, span_str(member));
    return node != JSON_NONE && span_u64(json_raw(&r->body, node), out) == 0 && *out <= INT64_MAX;
}

static int replay(struct admin_request *r, struct read_replay *q, struct buffer *out)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_POLICY,
                                      .actor = r->who.name,
                                      .role = r->decision.role[0] ? r->decision.role : NULL,
                                      .policy_hash = policy_hash(q->next),
                                      .outcome = "replayed"};
    int result = admin_record(r->admin->deps.store, &event);
    if (result == 0)
        result = keyring_cache_new(r->admin->deps.keyring, &q->keys);
    if (result == 0)
        result = read_replay(q, out);
    keyring_cache_free(q->keys);
    return result;
}

void admin_policy_replay(struct admin_request *r)
{
    struct policy *old = NULL, *next = NULL;
    uint64_t from = 0, to = 0, order = 0;
    struct span name = r->body.count ? admin_text(r, "channel") : SPAN_EMPTY;
    char *text = arena_try_str(r->arena, name);
    struct config *config = config_acquire(r->admin->deps.config);
    const struct config_channel *channel = text && name.n ? config_channel(config, text) : NULL;
    struct read_replay q = {.store = r->admin->deps.store,
                            .channel = channel ? channel->id : 0,
                            .budget_ms = BUDGET_MS};
    config_unref(config);
    struct buffer out;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    if (!r->body.count || !number(r, "from", &from) || !number(r, "to", &to))
        admin_error(r, 400, "period", "from and to: milliseconds since 1970");
    else if (name.n && !channel)
        admin_error(r, 404, "channel", "no channel has this name");
    else if (load(r, "old", &old) == 0 && load(r, "new", &next) == 0) {
        q.from_ms = (int64_t)from;
        q.to_ms = (int64_t)to;
        q.order = number(r, "order", &order) ? order : 0;
        q.old = old;
        q.next = next;
        int result = replay(r, &q, &out);
        if (result == 0)
            admin_json(r, 200, &out);
        else
            admin_error(r, 503, error_word(result), "what is stored could not be read");
    }
    policy_unref(old);
    policy_unref(next);
    buffer_free(&out);
}
