/* What policy lets a reader have of an item, when it is asked. */
#include "internal.h"

static enum policy_media_kind kind_in_policy(enum media_kind kind)
{
    switch (kind) {
    case MEDIA_AUDIO:
        return POLICY_MEDIA_AUDIO;
    case MEDIA_DOCUMENT:
        return POLICY_MEDIA_DOCUMENT;
    case MEDIA_VIDEO:
        return POLICY_MEDIA_VIDEO;
    default:
        return POLICY_MEDIA_UNKNOWN;
    }
}

/* A picture by what was seen in it. What has to be covered for this reader has been covered in the
 * one version that is kept, or the reader gets nothing: policy may have become stricter since. */
static enum mask_media_state picture_state(const struct media_item *item,
                                           const struct policy *policy,
                                           const struct policy_route *route)
{
    uint32_t classes = item->classes ? item->classes : 1u << POLICY_PICTURE_CLEAN;
    uint32_t shown = item->covered ? classes & ~(uint32_t)item->hidden : classes;
    enum media_action action = policy_picture_strictest(policy, route, classes);
    bool bare = shown && policy_picture_strictest(policy, route, shown) == MEDIA_REDACT;
    if (policy_observe(policy, clock_wall_ms())) /* changes nothing for tools */
        return item->covered ? MASK_MEDIA_COVERED : MASK_MEDIA_PASSED;
    if (action == MEDIA_WITHHOLD || bare)
        return MASK_MEDIA_WITHHELD;
    return item->covered ? MASK_MEDIA_COVERED : MASK_MEDIA_PASSED;
}

/* Could any verdict let this reader have it? */
static bool may_come(const struct policy *policy, const struct policy_route *route)
{
    for (unsigned c = POLICY_PICTURE_CLEAN; c < POLICY_PICTURES; c++)
        if (policy_picture(policy, route, (enum policy_picture)c) != MEDIA_WITHHOLD)
            return true;
    for (unsigned k = 0; k < POLICY_MEDIA_KINDS; k++)
        if (policy_route_media(policy, route, (enum policy_media_kind)k) == MEDIA_PASS)
            return true;
    return policy_observe(policy, clock_wall_ms());
}

enum mask_media_state media_state_for(const struct media_item *item, const struct policy *policy,
                                      const struct policy_route *route)
{
    if (item->state == MEDIA_WAITING)
        return may_come(policy, route) ? MASK_MEDIA_WAITING : MASK_MEDIA_WITHHELD;
    if (item->state != MEDIA_READY)
        return MASK_MEDIA_WITHHELD;
    if (item->kind == MEDIA_PICTURE)
        return picture_state(item, policy, route);
    return policy_route_media(policy, route, kind_in_policy(item->kind)) == MEDIA_PASS
               ? MASK_MEDIA_PASSED
               : MASK_MEDIA_WITHHELD;
}

int media_view_of(void *ctx, struct span id, struct mask_media *out)
{
    struct media_view *view = ctx;
    struct media_item item;
    memset(out, 0, sizeof(*out)); /* withheld */
    int r =
        media_find(view->read, view->keyring, view->cache, view->channel, id, view->arena, &item);
    if (r != 0) /* not known, erased, of an older version: nobody may have it */
        return 0;
    out->state = media_state_for(&item, view->policy, view->route);
    view->waiting |= out->state == MASK_MEDIA_WAITING;
    out->picture = item.kind == MEDIA_PICTURE;
    out->classes = item.classes;
    if (out->state != MASK_MEDIA_COVERED && out->state != MASK_MEDIA_PASSED)
        return 0;
    out->has_sha256 = true;
    memcpy(out->sha256, item.sha256, sizeof(out->sha256));
    return arena_try_copy(view->arena, span_str(item.mime_type), &out->mime_type);
}
