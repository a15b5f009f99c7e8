/* Media that a message brings: noted with it, in rows of the media room, and taken from there. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <sodium.h>
#include <stdio.h>

/* What stands under these names has an id of Meta's by which a tool may ask for the bytes. */
static const char *media_name(const struct json_doc *doc, uint32_t node, struct arena *arena,
                              int *error)
{
    static const char *const names[] = {"image", "video", "audio", "document", "sticker", "voice"};
    const struct json_node *v = json_node(doc, node);
    struct span name;
    if (v->kind != JSON_OBJECT || v->name_end == v->name_start)
        return NULL;
    *error = json_name(doc, node, arena, &name);
    for (size_t i = 0; *error == 0 && i < sizeof(names) / sizeof(names[0]); i++)
        if (span_is(name, names[i]))
            return names[i];
    return NULL;
}

static int take_string(const struct json_doc *doc, uint32_t object, struct span name,
                       struct arena *arena, struct span *out)
{
    uint32_t node = json_get(doc, object, name);
    *out = SPAN_EMPTY;
    return json_is(doc, node, JSON_STRING) ? json_string(doc, node, arena, out) : 0;
}

/* What Meta says of it; SLUIS_ENOENT when it has no id that could be asked for. */
static int read_object(const struct json_doc *doc, uint32_t node, const char *name,
                       struct arena *arena, struct media_item *out)
{
    struct span id, type, hash;
    memset(out, 0, sizeof(*out));
    int r = take_string(doc, node, SPAN("id"), arena, &id);
    if (r == 0)
        r = take_string(doc, node, SPAN("mime_type"), arena, &type);
    if (r == 0)
        r = take_string(doc, node, SPAN("sha256"), arena, &hash);
    if (r != 0)
        return r;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] < '0' || id.p[i] > '9')
            return SLUIS_ENOENT; /* it goes into an address as it is */
    if (id.n == 0 || id.n > MEDIA_ID_MAX)
        return SLUIS_ENOENT;
    memcpy(out->id, id.p, id.n);
    memcpy(out->mime_type, type.p ? type.p : "", type.n <= MEDIA_TYPE_MAX ? type.n : 0);
    snprintf(out->name, sizeof(out->name), "%s", name);
    if (base64_decode(hash, out->sha256, sizeof(out->sha256)) != sizeof(out->sha256))
        memset(out->sha256, 0, sizeof(out->sha256));
    return 0;
}

/* Under the keys of the part that lives longest. False: nothing of the message is kept, and so
 * nobody will have its media. */
static bool key_place(const struct item *item, struct record_id *out)
{
    const struct store_item *row = &item->row;
    *out = (struct record_id){.subject = item->subject.serial, .serial = row->serial, .part = 'F'};
    out->cls = row->cls_m ? row->cls_m : row->cls_o;
    out->bucket = row->cls_m ? row->bucket_m : row->bucket_o;
    return out->cls != 0;
}

static int add(struct item *item, struct media_item *media)
{
    struct intake_thread *t = item->owner;
    struct keyring *keyring = t->webhook->deps.keyring;
    struct store_read *read;
    struct media_item known;
    if (item->media_count == MEDIA_ITEMS_MAX || !key_place(item, &media->keys))
        return 0;
    int r = store_read_begin(t->webhook->deps.store, &read);
    if (r != 0)
        return r;
    r = media_find(read, keyring, t->keys, item->channel->id, span_str(media->id), &t->arena,
                   &known);
    store_read_end(read);
    /* An edit, or the same sticker: one verdict for one id. A row that still opens stays even if
     * its message was taken back: a legal hold may not have copied it yet, and nobody is shown it.
     */
    if (r == 0 || (r == SLUIS_EEXPIRED && known.id[0]))
        return 0;
    if (r != SLUIS_ENOENT && r != SLUIS_EEXPIRED && r != SLUIS_EINVAL)
        return r;
    media->state = MEDIA_WAITING;
    media->ordinal = (uint8_t)item->media_count;
    media->since_ms = item->row.taken_ms;
    randombytes_buf(media->file, sizeof(media->file));
    size_t start = item->media_rows.n;
    media_key(keyring, item->channel->id, span_str(media->id), item->media[item->media_count].key);
    r = media_row_write(t->keys, media, &item->media_rows);
    item->media[item->media_count].start = (uint16_t)start;
    item->media[item->media_count].n = (uint16_t)(item->media_rows.n - start);
    item->media_count += r == 0;
    return r;
}

int item_note_media(struct item *item, const struct json_doc *doc)
{
    struct arena *arena = &item->owner->arena;
    int r = 0;
    buffer_clear(&item->media_rows);
    item->media_count = 0;
    for (uint32_t node = 0; r == 0 && node < doc->count; node++) {
        struct media_item media;
        const char *name = media_name(doc, node, arena, &r);
        if (!name)
            continue;
        r = read_object(doc, node, name, arena, &media);
        r = r == SLUIS_ENOENT ? 0 : r ? r : add(item, &media);
    }
    return r;
}

void item_put_media(struct store_txn *txn, const struct item *item)
{
    for (unsigned i = 0; i < item->media_count; i++)
        store_put_row(txn, STORE_TABLE_MEDIA,
                      span_of((const char *)item->media[i].key, MEDIA_KEY_BYTES),
                      span_of(item->media_rows.p + item->media[i].start, item->media[i].n));
}

void item_take_media(const struct item *item)
{
    struct media *media = item->owner->webhook->deps.media;
    struct media_taken taken = {.channel = item->row.channel,
                                .serial = item->row.serial,
                                .subject = item->row.subject,
                                .taken_ms = item->row.taken_ms,
                                .count = item->media_count};
    for (unsigned i = 0; i < item->media_count; i++)
        memcpy(taken.keys[i], item->media[i].key, MEDIA_KEY_BYTES);
    if (media && item->media_count)
        media_take(media, &taken);
}
