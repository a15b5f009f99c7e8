/* From a stored or remembered item to the body a route gets: rendered when it is used. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/read.h"

#include <sodium.h>

struct form {
    struct judged judged;
    struct span json;
    bool expired;
    bool withdrawn; /* its sender took it back: that is all that is said of it */
    bool current;   /* judged by the policy in force now */
};

static bool gone(int result)
{
    return result == SLUIS_ENOENT || result == SLUIS_EEXPIRED;
}

int64_t part_ends(struct route *r, struct entry *e, uint8_t part)
{
    bool o = part == 'O';
    uint16_t cls = o ? e->item.cls_o : e->item.cls_m;
    int64_t *ends = o ? &e->ends_o_ms : &e->ends_m_ms;
    if (cls && *ends == 0 &&
        retention_bucket_end(r->deliver->deps.store, cls, o ? e->item.bucket_o : e->item.bucket_m,
                             ends) != 0)
        *ends = 0;
    return *ends;
}

/* A copy in memory is good for as long as the part that it is a copy of. */
static bool content_holds(struct route *r, struct entry *e)
{
    if (!e->content || atomic_load(&e->content->forgotten))
        return false;
    int64_t ends = e->item.cls_o ? part_ends(r, e, 'O') : e->item.taken_ms + UNWRITTEN_MS;
    return clock_wall_ms() < ends;
}

static int fetch_stored(struct route *r, const struct store_item *item, struct form *form,
                        struct span *packed)
{
    struct store_read *read;
    struct record_id id;
    int result = store_read_begin(r->deliver->deps.store, &read);
    if (result != 0)
        return result;
    result = retention_withdrawn(read, item->serial, &form->withdrawn);
    if (result == 0)
        result = retention_part(read, item, 'O', &id);
    if (result == 0)
        result = read_record(r->keys, read, &id, &r->arena, packed);
    if (gone(result) && !r->facts->needs_original) {
        result = retention_part(read, item, 'M', &id);
        if (result == 0)
            result = read_record(r->keys, read, &id, &r->arena, packed);
        form->expired = result == 0 && !form->withdrawn;
    }
    store_read_end(read);
    return result;
}

/* O while it lives, else M marked as expired, else SLUIS_EEXPIRED. */
static int fetch(struct route *r, struct entry *e, struct form *form)
{
    struct span packed;
    if (content_holds(r, e)) {
        packed = span_of(e->content->bytes, e->content->n);
        form->current = strcmp(e->content->judged_by, policy_hash(r->channel->policy)) == 0;
        return mask_unpack(packed, &r->arena, &form->judged, &form->json);
    }
    content_unref(e->content);
    e->content = NULL;
    const struct store_item *item = &e->item;
    int result = fetch_stored(r, item, form, &packed);
    /* What was sealed anew while this was read has its old keys gone: it stands elsewhere now. */
    if (gone(result) || form->expired)
        result = fetch_stored(r, item, form, &packed);
    if (gone(result))
        return SLUIS_EEXPIRED;
    if (result == 0 && form->expired)
        deliver_count(r->deliver, D_FROM_M, 1);
    return result == 0 ? mask_unpack(packed, &r->arena, &form->judged, &form->json) : result;
}

static struct retention_facts facts_of(const struct route *r, const struct entry *e)
{
    const struct deliver_deps *deps = &r->deliver->deps;
    bool consents = policy_minds_consent(r->channel->policy) && deps->consents &&
                    deps->consents(deps->refused_ctx, r->channel->id, e->item.subject);
    return (struct retention_facts){.out = e->item.kind == STORE_KIND_ECHO,
                                    .channel = r->channel->name,
                                    .at_ms = e->item.at_ms,
                                    .consent = consents};
}

/* Judged by the policy of now; when that cannot be done the content goes behind the replacement
 * text. */
static int judge_now(struct route *r, struct entry *e, const struct json_doc *doc,
                     struct form *form, bool *unjudged)
{
    *unjudged = form->withdrawn || (e->item.flags & STORE_ITEM_UNJUDGED) != 0;
    if (*unjudged || form->current)
        return 0;
    const struct read_judge judge = {.doc = doc,
                                     .table = MASK_TABLE_WEBHOOK,
                                     .policy = r->channel->policy,
                                     .scratch = r->scratch,
                                     .from_customer = e->item.kind == STORE_KIND_MESSAGE,
                                     .at_ms = e->item.at_ms};
    int result = read_rejudge(&judge, &r->arena, &form->judged);
    if (result == 0 || result == SLUIS_ENOMEM)
        return result;
    *unjudged = true;
    LOG(LOG_ALARM, "deliver", "unjudged", log_u64("serial", e->item.serial), log_error(result));
    return 0;
}

/* What tokens of this message are made with. False: no original is written, so there are none. */
static bool token_keys(struct route *r, const struct store_item *item, struct mask_token_keys *out)
{
    const struct record_id id = {item->cls_o, item->bucket_o, item->subject, item->serial, 'T'};
    if (!item->cls_o || !profile_gives_tokens(r->facts->policy->profile) ||
        record_subkey(r->keys, &id, out->value) != 0)
        return false;
    memcpy(out->channel, r->token_key, sizeof(out->channel));
    out->serial = (uint32_t)item->serial;
    return true;
}

/* Is there time left to wait for a verdict? One clock a message, however many pictures it has. */
static bool has_time(const struct entry *e, int64_t now)
{
    int64_t age = now - e->item.taken_ms;
    return age >= 0 && age < MEDIA_WAIT_MS && (e->item.flags & STORE_ITEM_HAS_MEDIA);
}

bool awaits_verdict(struct route *r, const struct lane *lane, unsigned units, int64_t now)
{
    struct media *media = r->deliver->deps.media;
    const struct entry *e = lane->first;
    for (unsigned i = 0; media && i < units; i++, e = e->lane_next)
        if (has_time(e, now) && media_waits(media, e->item.serial))
            return true;
    return false;
}

static int render(struct route *r, struct entry *e, struct buffer *out)
{
    bool unjudged = false;
    struct form form = {.expired = false};
    struct json_doc doc;
    const struct deliver_deps *deps = &r->deliver->deps;
    if (deps->refused && deps->refused(deps->refused_ctx, e->item.subject))
        return SLUIS_EDENIED;
    int result = fetch(r, e, &form);
    if (result == 0)
        result = json_scan(&doc, form.json, &r->arena, NULL);
    if (result == 0)
        result = judge_now(r, e, &doc, &form, &unjudged);
    if (result != 0)
        return result;
    const struct policy_route *policy = r->facts->policy;
    bool media = e->item.flags & STORE_ITEM_HAS_MEDIA && r->channel->media_pass && deps->media;
    struct media_view view = {.keyring = deps->keyring,
                              .cache = r->keys,
                              .channel = r->channel->id,
                              .policy = r->channel->policy,
                              .route = policy,
                              .arena = &r->arena};
    if (media && (result = store_read_begin(deps->store, &view.read)) != 0)
        return result;
    struct mask_token_keys token;
    bool tokens = !form.expired && token_keys(r, &e->item, &token);
    const struct retention_facts facts = facts_of(r, e);
    const struct mask_reader reader = {
        .profile = policy->profile,
        .policy = r->channel->policy,
        .media = media ? MEDIA_PASS : MEDIA_WITHHOLD,
        .route = policy,
        .media_of = media_view_of, /* what was seen in each, and what the route's policy says */
        .media_ctx = &view,
        .media_base = r->deliver->deps.media_base,
        .hash_key = r->hash_key,
        .alias_key = r->alias_key,
        /* it goes back only to the tool that set it: the one there is */
        .keeps_tool_data = r->channel->route_count == 1,
        .token = tokens ? &token : NULL,
        .facts = &facts,
        .observing = policy_observe(r->channel->policy, clock_wall_ms()),
        .unjudged = unjudged,
        .hidden = form.withdrawn ? SPAN(MASK_WITHDRAWN_TEXT) : SPAN_EMPTY,
        .expired = form.expired,
        .after_gap = e->after_gap,
    };
    result = mask_render(&doc, 0, MASK_TABLE_WEBHOOK, &form.judged, &reader, &r->arena, out);
    sodium_memzero(&token, sizeof(token));
    if (media)
        store_read_end(view.read);
    if (result == 0 && view.waiting && has_time(e, clock_wall_ms()))
        return SLUIS_EAGAIN; /* taken up again after a restart, or the same picture twice */
    return result ? result : out->error;
}

/* The elements of `entry` of a rendered unit, without the brackets. */
static int entry_elements(struct route *r, struct span unit, struct span *out)
{
    struct json_doc doc;
    int result = json_scan(&doc, unit, &r->arena, NULL);
    if (result != 0)
        return result;
    struct span raw = json_raw(&doc, json_get(&doc, 0, SPAN("entry")));
    if (raw.n < 2 || raw.p[0] != '[')
        return SLUIS_EINVAL;
    *out = span_of(raw.p + 1, raw.n - 2);
    return 0;
}

static int merge(struct route *r, struct lane *lane, unsigned units, struct buffer *out)
{
    struct entry *e = lane->first;
    struct buffer unit;
    int result = 0;
    buffer_init(&unit, BODY_MAX);
    buffer_add(out, SPAN("{\"object\":\"whatsapp_business_account\",\"entry\":["));
    for (unsigned i = 0; result == 0 && i < units; i++, e = e->lane_next) {
        struct span elements;
        buffer_clear(&unit);
        arena_reset(&r->arena);
        result = render(r, e, &unit);
        if (result == 0)
            result = entry_elements(r, buffer_span(&unit), &elements);
        if (result != 0)
            break;
        if (i)
            buffer_add_char(out, ',');
        buffer_add(out, elements);
    }
    buffer_add(out, SPAN("]}"));
    buffer_free(&unit);
    return result ? result : out->error;
}

int compose_body(struct route *r, struct lane *lane, unsigned units, struct buffer *out)
{
    int result = lane->first->item.flags & STORE_ITEM_TOLD ? told_body(r, lane->first, out)
                 : units == 1                              ? render(r, lane->first, out)
                                                           : merge(r, lane, units, out);
    arena_reset(&r->arena);
    return result;
}
