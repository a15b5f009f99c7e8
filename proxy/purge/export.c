/* Art. 15 and 20: what is kept of a person, and who saw it. */
#include "room.h"

#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/mask.h"

#define ARENA_MAX (8u * 1024 * 1024)
#define LEAVES_LOOKED 8192 /* in one read transaction */

static void add_part(struct purge *p, const struct store_item *item, uint8_t part,
                     struct arena *arena, struct buffer *out)
{
    struct buffer plain;
    struct judged judged;
    struct span json;
    buffer_init(&plain, STORE_RECORD_MAX);
    int r = person_open(p, item, part, arena, &plain, NULL);
    if (r == 0)
        r = mask_unpack(buffer_span(&plain), arena, &judged, &json);
    if (r == 0)
        buffer_add(out, json);
    else if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED)
        buffer_add(out, SPAN("null"));
    else /* there, and cannot be opened: the person may know that */
        buffer_addf(out, "{\"error\":\"%s\"}", error_word(r));
    buffer_free(&plain);
    arena_reset(arena);
}

/* The sender took it back, and it is kept all the same: by a hold, or a policy that hides only. */
static bool taken_back(struct purge *p, uint64_t serial)
{
    struct store_read *read;
    bool is = true;
    if (store_read_begin(p->deps.store, &read) != 0)
        return true;
    if (retention_withdrawn(read, serial, &is) != 0)
        is = true;
    store_read_end(read);
    return is;
}

static void add_message(struct purge *p, const struct store_item *item, struct arena *arena,
                        struct buffer *out)
{
    static const char *const kinds[] = {[STORE_KIND_MESSAGE] = "message",
                                        [STORE_KIND_STATUS] = "status",
                                        [STORE_KIND_ECHO] = "echo",
                                        [STORE_KIND_ACCOUNT] = "account",
                                        [STORE_KIND_SENT] = "sent"};
    char at[CLOCK_RFC3339_SIZE], channel[256] = "";
    clock_rfc3339(item->at_ms, at);
    (void)store_id_name(p->deps.store, STORE_NAME_CHANNEL, item->channel, channel);
    buffer_addf(out, "{\"serial\":%llu,\"at\":\"%s\",\"kind\":\"%s\",\"channel\":",
                (unsigned long long)item->serial, at,
                item->kind && item->kind <= STORE_KIND_SENT ? kinds[item->kind] : "other");
    json_quote(out, span_str(channel));
    buffer_addf(out, ",\"taken_back\":%s", taken_back(p, item->serial) ? "true" : "false");
    buffer_add(out, SPAN(",\"original\":"));
    add_part(p, item, 'O', arena, out);
    buffer_add(out, SPAN(",\"history\":"));
    add_part(p, item, 'M', arena, out);
    buffer_add_char(out, '}');
}

/* ---- accesses ---- */

struct accesses {
    uint64_t next; /* leaf to go on from */
    unsigned looked;
    bool more;
    struct buffer *out;
    const struct person_items *items;
    char subject[32]; /* "subject":"<pseudonym>" */
    size_t subject_n;
    unsigned n;
};

static uint64_t number_after(struct span leaf, const char *name)
{
    const char *at = memmem(leaf.p, leaf.n, name, strlen(name));
    uint64_t v = 0;
    for (at = at ? at + strlen(name) : leaf.p + leaf.n;
         at < leaf.p + leaf.n && *at >= '0' && *at <= '9'; at++)
        v = v * 10 + (uint64_t)(*at - '0');
    return v;
}

/* Of the person by pseudonym, or by the serial of one of their messages. */
static bool is_about(const struct accesses *a, struct span leaf)
{
    if (a->subject_n && memmem(leaf.p, leaf.n, a->subject, a->subject_n))
        return true;
    uint64_t object = number_after(leaf, "\"object\":");
    if (!object || !memmem(leaf.p, leaf.n, "deliver", 7))
        return false;
    uint64_t last = number_after(leaf, "\"object_last\":");
    for (size_t i = 0; i < a->items->n; i++)
        if (a->items->at[i].serial == object ||
            (a->items->at[i].serial > object && a->items->at[i].serial <= last))
            return true;
    return false;
}

static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct accesses *a = ctx;
    (void)hash;
    if (a->looked++ == LEAVES_LOOKED) {
        a->next = index;
        a->more = true;
        return 1;
    }
    if (!is_about(a, leaf))
        return 0;
    if (a->n++)
        buffer_add_char(a->out, ',');
    buffer_add(a->out, leaf);
    return a->out->error;
}

static int add_accesses(struct purge *p, uint64_t subject, const struct person_items *items,
                        struct buffer *out)
{
    struct accesses a = {.out = out, .items = items};
    uint64_t pseudonym = 0;
    struct store_read *read;
    int r = keyring_pseudonym(p->cache, subject, &pseudonym);
    if (r == 0) {
        uint8_t bytes[8];
        char hex[17];
        be64_put(bytes, pseudonym);
        hex_encode(bytes, sizeof(bytes), hex);
        a.subject_n = (size_t)snprintf(a.subject, sizeof(a.subject), "\"subject\":\"%s\"", hex);
        a.more = true;
    }
    while (r == 0 && a.more) { /* no read transaction over the whole log */
        a.more = false;
        a.looked = 0;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_leaf(read, a.next, take_leaf, &a);
        store_read_end(read);
    }
    return r;
}

int purge_person_export(struct purge *p, struct span identifier, struct buffer *out)
{
    struct person_items items = {0};
    struct audit_event event;
    struct arena arena;
    char now[CLOCK_RFC3339_SIZE];
    uint64_t subject;
    arena_init(&arena, ARENA_MAX);
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &subject);
    if (r == 0)
        r = person_event(p, subject, AUDIT_SUBJECT, "exported", &event);
    if (r == 0)
        r = person_record(p, &event); /* before the first byte */
    /* From here on nothing is changed: what is destroyed meanwhile is null in the export. */
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        r = person_items_readable(p, subject, &items);
    if (r == 0) {
        clock_rfc3339(event.at_ms, now);
        buffer_addf(out, "{\"made\":\"%s\",\"subject\":%llu,%s\"messages\":[", now,
                    (unsigned long long)subject, items.damaged ? "\"journal_damaged\":true," : "");
        for (size_t i = 0; i < items.n && !out->error; i++) {
            if (i)
                buffer_add_char(out, ',');
            add_message(p, &items.at[i], &arena, out);
        }
        buffer_add(out, SPAN("],\"accesses\":["));
        r = out->error ? out->error : add_accesses(p, subject, &items, out);
        buffer_add(out, SPAN("],\"contacts\":["));
        if (r == 0 && p->deps.person_export)
            r = p->deps.person_export(p->deps.ctx, subject, out);
        buffer_add(out, SPAN("]}"));
    }
    person_items_free(&items);
    arena_free(&arena);
    return r ? r : out->error;
}
