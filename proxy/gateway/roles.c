/* What a role gives on a channel: asked of the policies in force, for each decision anew. */
#include "internal.h"

/* Of one channel; SLUIS_ENOENT when its policy has no such role. */
static int on_channel(const struct config_channel *channel, const char *name, int64_t at_ms,
                      struct access_role *out)
{
    const struct policy_role *role = policy_role(channel->policy, name);
    memset(out, 0, sizeof(*out));
    if (!role)
        return SLUIS_ENOENT;
    out->may = role->may;
    out->reveal = role->reveal;
    out->open = policy_role_hours_open(role, at_ms);
    out->reason_required = role->reason_required;
    out->reference_required = role->reference_required;
    return 0;
}

/* What each of them gives, or what any of them gives. */
static void join(struct access_role *sum, const struct access_role *one, bool any)
{
    sum->may = any ? sum->may | one->may : sum->may & one->may;
    sum->reveal = any ? sum->reveal | one->reveal : sum->reveal & one->reveal;
    sum->open = any ? sum->open || one->open : sum->open && one->open;
    sum->reason_required |= one->reason_required;
    sum->reference_required |= one->reference_required;
}

static int on_all(const struct config *config, bool any, const char *name, int64_t at_ms,
                  struct access_role *out)
{
    struct access_role one;
    bool found = false;
    for (size_t c = 0; c < config->channel_count; c++) {
        int r = on_channel(&config->channels[c], name, at_ms, &one);
        if (r != 0 && !any)
            return SLUIS_ENOENT; /* a department that does not know this role is not governed by it
                                  */
        if (r != 0)
            continue;
        if (!found)
            *out = one;
        else
            join(out, &one, any);
        found = true;
    }
    return found ? 0 : SLUIS_ENOENT;
}

static int role_in_force(void *ctx, uint16_t channel, const char *name, int64_t at_ms,
                         struct access_role *out)
{
    struct gateway *gw = ctx;
    memset(out, 0, sizeof(*out));
    if (!gw->cell) /* it starts: nobody has a right yet */
        return SLUIS_ENOENT;
    struct config *config = config_acquire(gw->cell);
    const struct config_channel *one = NULL;
    int r = SLUIS_ENOENT;
    if (channel == ACCESS_WHOLE || channel == ACCESS_SOME)
        r = on_all(config, channel == ACCESS_SOME, name, at_ms, out);
    else if ((one = config_channel_by_id(config, channel)))
        r = on_channel(one, name, at_ms, out);
    config_unref(config);
    return r;
}

int roles_open(struct gateway *gw)
{
    const struct access_roles roles = {.role = role_in_force, .ctx = gw};
    int r = access_open(gw->store, gw->keyring, &gw->access);
    if (r == 0)
        access_set_roles(gw->access, &roles);
    return r;
}
