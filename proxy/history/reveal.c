/*
 * What stands behind a mask, for a person: the types that the role lists, from part O while it
 * lives, after the leaf is durable. An answer is not to be kept (no-store); a grant lets the same
 * person see the same values again for HISTORY_GRANT_MS, each time on record.
 */
#include "room.h"

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#include <sodium.h>

#define GRANT_BYTES 33

struct grant {
    uint64_t message, types, until_ms;
    bool break_glass;
};

/* A grant is this person's, on this channel, under this role. */
static void grant_bound(const struct work *w, uint8_t out[32])
{
    crypto_generichash_state state;
    const uint64_t numbers[] = {w->q->principal.id, (uint64_t)w->q->principal.kind, w->channel->id};
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const uint8_t *)"grant", 5);
    crypto_generichash_update(&state, (const uint8_t *)numbers, sizeof(numbers));
    crypto_generichash_update(&state, (const uint8_t *)w->actor, strlen(w->actor) + 1);
    crypto_generichash_update(&state, (const uint8_t *)w->role, strlen(w->role) + 1);
    crypto_generichash_final(&state, out, 32);
}

static int grant_read(struct work *w, struct grant *g)
{
    uint8_t bound[32], plain[GRANT_BYTES];
    grant_bound(w, bound);
    if (sealed_read(w->h, bound, w->query.grant, plain, sizeof(plain)) != 0)
        return history_refuse(w, 400, "grant", "this grant is not yours, or none");
    *g = (struct grant){be64_get(plain), be64_get(plain + 8), be64_get(plain + 16), plain[32]};
    if ((int64_t)g->until_ms <= clock_wall_ms())
        return history_refuse(w, 410, "grant", "this grant has ended: ask again, with the reason");
    return 0;
}

static void grant_write(struct work *w, const struct grant *g, struct buffer *out)
{
    uint8_t bound[32], plain[GRANT_BYTES] = {0};
    grant_bound(w, bound);
    be64_put(plain, g->message);
    be64_put(plain + 8, g->types);
    be64_put(plain + 16, g->until_ms);
    plain[32] = g->break_glass;
    sealed_write(w->h, bound, span_of(plain, sizeof(plain)), out);
}

/* The types asked for, all of which the role must list; without any, all that it lists. */
static int take_types(struct work *w, struct grant *g)
{
    g->types = w->query.typed ? 0 : w->break_glass ? UINT64_MAX : w->reveal;
    uint32_t node = w->query.typed ? json_first(&w->body, w->query.types_node) : JSON_NONE;
    for (; node != JSON_NONE; node = json_next(&w->body, node)) {
        struct span text;
        char *word = NULL;
        if (json_string(&w->body, node, &w->arena, &text) == 0)
            word = arena_try_str(&w->arena, text);
        unsigned type = word ? policy_type_of(w->policy, word) : DETECT_TYPES_MAX;
        if (type >= DETECT_TYPES_MAX)
            return history_refuse(w, 400, "body", "types: no such type");
        g->types |= (uint64_t)1 << type;
    }
    if (!w->break_glass && (g->types & ~w->reveal))
        return history_refuse(w, 403, "right", "the role does not list this type");
    return g->types ? 0 : history_refuse(w, 403, "right", "the role lists no type");
}

static int take_grant(struct work *w, struct grant *g)
{
    int r;
    if (w->query.grant.n) {
        r = grant_read(w, g);
        w->break_glass = r == 0 && g->break_glass;
        return r ? r
               : (!g->break_glass && (g->types & ~w->reveal))
                   ? history_refuse(w, 403, "right", "the role does not list this type any more")
                   : 0;
    }
    g->message = w->query.message;
    g->until_ms = (uint64_t)clock_wall_ms() + HISTORY_GRANT_MS;
    g->break_glass = w->break_glass = w->query.break_glass;
    return take_types(w, g);
}

static int find_item(struct work *w, struct store_read *read, uint64_t serial,
                     struct store_item *item)
{
    int r = store_get_item(read, serial, item);
    if (r == SLUIS_ENOENT || (r == 0 && item->channel != w->channel->id))
        return history_refuse(w, 404, "not_found", "no such message on this channel");
    if (r == 0 && subject_refused(w, item->subject))
        return history_refuse(w, 403, "restricted",
                              "the processing of this person's data is restricted");
    return r;
}

/* A value as it was written: what lies in a string is decoded. */
static int add_value(struct work *w, const struct form *form, const struct mask_finding *f,
                     struct buffer *out)
{
    struct span raw = span_sub(form->json, f->start, f->end);
    char *text = arena_try(&w->worker->arena, raw.n + 1);
    uint32_t *map = arena_try(&w->worker->arena, (raw.n + 1) * sizeof(*map));
    size_t n = 0;
    if (!text || !map)
        return SLUIS_ENOMEM;
    json_decode_map(raw, text, map, &n);
    const char *word = policy_type_word(w->policy, f->type);
    buffer_addf(out, "{\"type\":\"%s\",\"value\":", word ? word : "own");
    json_quote(out, span_of(text, n));
    buffer_add_char(out, '}');
    return out->error;
}

static int add_values(struct work *w, const struct form *form, const struct grant *g,
                      struct buffer *out, uint64_t *types)
{
    unsigned n = 0, hidden = 0;
    int r = 0;
    buffer_add(out, SPAN(",\"values\":["));
    for (size_t i = 0; r == 0 && i < form->judged.count; i++) {
        const struct mask_finding *f = &form->judged.findings[i];
        uint64_t is = f->also | (uint64_t)1 << f->type;
        if (is & ~g->types) { /* all that was found in it must be granted */
            hidden++;
            continue;
        }
        buffer_add_str(out, n++ ? "," : "");
        *types |= is;
        r = add_value(w, form, f, out);
    }
    buffer_addf(out, "],\"hidden\":%u", hidden);
    /* What could not be judged is one value: all of it, for a person who breaks the glass. */
    buffer_add(out, SPAN(",\"unjudged\":"));
    if (form->unjudged && w->break_glass)
        buffer_add(out, form->json);
    else
        buffer_add(out, SPAN("null"));
    return r;
}

static int answer(struct work *w, const struct grant *g)
{
    struct buffer *out = &w->q->answer;
    struct store_read *read;
    struct store_item item;
    struct form form;
    uint64_t types = 0;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = find_item(w, read, g->message, &item);
    if (r == 0)
        r = form_open(w, read, &item, true, &form);
    store_read_end(read);
    if (r == SLUIS_EEXPIRED)
        r = history_refuse(w, 410, "gone",
                           "the original is not kept any more; of pictures none is kept");
    if (r != 0)
        return r;
    buffer_addf(out, "{\"message\":%llu", (unsigned long long)item.serial);
    r = add_values(w, &form, g, out, &types);
    buffer_addf(out, ",\"break_glass\":%s,", w->break_glass ? "true" : "false");
    add_time(out, "expires", (int64_t)g->until_ms);
    buffer_add(out, SPAN(",\"grant\":\""));
    grant_write(w, g, out);
    buffer_add(out, SPAN("\"}\n"));
    if (r == 0)
        r = work_show(w, item.subject, item.serial, types);
    return r;
}

int operation_reveal(struct work *w)
{
    struct grant g = {0};
    int r = take_grant(w, &g);
    if (r == 0)
        r = answer(w, &g);
    if (r == 0)
        r = work_record(w, AUDIT_REVEAL,
                        w->break_glass     ? "break_glass"
                        : w->query.grant.n ? "revealed_again"
                                           : "revealed",
                        0);
    if (r == 0 && w->break_glass)
        LOG(LOG_ALARM, "history", "break_glass", log_u64("serial", g.message));
    w->q->no_store = true;
    return r;
}
