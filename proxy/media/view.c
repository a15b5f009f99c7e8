/* What policy lets a reader have of an item, when it is asked. */
#include "internal.h"

enum mask_media_state media_state_for(const struct media_item *item, const struct policy *policy,
                                      const struct policy_route *route)
{
    (void)item;
    (void)policy;
    (void)route;
    return MASK_MEDIA_WITHHELD;
}

int media_view_of(void *ctx, struct span id, struct mask_media *out)
{
    const struct media_view *view = ctx;
    struct media_item item;
    memset(out, 0, sizeof(*out)); /* withheld */
    int r =
        media_find(view->read, view->keyring, view->cache, view->channel, id, view->arena, &item);
    if (r != 0) /* not known, erased, of an older version: nobody may have it */
        return 0;
    out->state = media_state_for(&item, view->policy, view->route);
    out->picture = item.kind == MEDIA_PICTURE;
    out->classes = item.classes;
    if (out->state != MASK_MEDIA_COVERED && out->state != MASK_MEDIA_PASSED)
        return 0;
    out->has_sha256 = true;
    memcpy(out->sha256, item.sha256, sizeof(out->sha256));
    return arena_try_copy(view->arena, span_str(item.mime_type), &out->mime_type);
}
