/*
 * POST /{phone}/media: parts read, the file looked at, known parts written anew under our own
 * boundary. A picture goes out as the worker made it from pixels, or not at all.
 */
#include "media.h"

#include "sluis/net/multipart.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- what it is, and whether it may go ---- */

/* Which type of `outbound.found` decides about a class of pictures. */
static unsigned type_of_class(enum policy_picture class)
{
    switch (class) {
    case POLICY_PICTURE_CARD:
        return DETECT_PAN;
    case POLICY_PICTURE_ID_DOCUMENT:
    case POLICY_PICTURE_MRZ:
        return DETECT_ID_DOCUMENT;
    case POLICY_PICTURE_BSN:
        return DETECT_BSN;
    case POLICY_PICTURE_IBAN:
    case POLICY_PICTURE_PAYMENT_CODE:
        return DETECT_IBAN;
    default:
        return DETECT_TYPES_MAX;
    }
}

static const char *role_of(const struct call *call)
{
    if (call->principal.role[0])
        return call->principal.role;
    return call->route ? call->route->name : NULL;
}

/* A covered card or passport says nothing to anybody: what text would be masked in is refused. */
static enum outbound_action class_action(const struct call *call, enum policy_picture class)
{
    unsigned type = type_of_class(class);
    if (type == DETECT_TYPES_MAX)
        return OUTBOUND_MASK;
    enum outbound_action action = policy_outbound_role(call->channel->policy, role_of(call), type);
    bool whole = class == POLICY_PICTURE_CARD || class == POLICY_PICTURE_ID_DOCUMENT ||
                 class == POLICY_PICTURE_MRZ;
    return action == OUTBOUND_MASK && whole ? OUTBOUND_REFUSE : action;
}

static bool observing(const struct call *call)
{
    return policy_observe(call->channel->policy, clock_wall_ms());
}

static void look_for(const struct call *call, uint8_t actions[MEDIA_CLASSES])
{
    memset(actions, MEDIA_WITHHOLD, MEDIA_CLASSES);
    for (unsigned c = POLICY_PICTURE_CARD; c < POLICY_PICTURES; c++)
        actions[c] = observing(call) || class_action(call, (enum policy_picture)c) == OUTBOUND_PASS
                         ? MEDIA_PASS
                         : MEDIA_REDACT;
}

/* The classes seen that policy refuses, as a list; NULL when there are none. */
static const char *refused_classes(struct call *call, const struct media_inspected *seen)
{
    struct buffer words;
    buffer_init(&words, 256);
    for (unsigned c = POLICY_PICTURE_CARD; c < POLICY_PICTURES; c++)
        if (seen->classes >> c & 1 && class_action(call, (enum policy_picture)c) == OUTBOUND_REFUSE)
            buffer_addf(&words, "%s%s", words.n ? ", " : "",
                        policy_picture_word((enum policy_picture)c));
    for (unsigned type = 0; type < DETECT_TYPES_MAX && type < 64; type++)
        if (seen->found >> type & 1 &&
            policy_outbound_role(call->channel->policy, role_of(call), type) == OUTBOUND_REFUSE)
            buffer_addf(&words, "%s%s", words.n ? ", " : "",
                        policy_type_word(call->channel->policy, type));
    const char *kept =
        words.n && !observing(call) ? arena_try_str(&call->arena, buffer_span(&words)) : NULL;
    bool any = words.n > 0 && !observing(call);
    buffer_free(&words);
    return any && !kept ? "" : kept;
}

static const char *const kind_words[] = {[MEDIA_PICTURE] = "image",
                                         [MEDIA_AUDIO] = "audio",
                                         [MEDIA_VIDEO] = "video",
                                         [MEDIA_DOCUMENT] = "document"};

static enum graph_error judge(struct call *call, const char **detail)
{
    struct media_call *m = call->media;
    const struct media_check *check = &m->check;
    if (check->result == SLUIS_EAGAIN || check->result == SLUIS_ECLOSED)
        return E_BUSY;
    if (check->result == SLUIS_ELIMIT)
        return E_TOO_LARGE;
    if (check->result != 0) {
        *detail = check->result == SLUIS_ENOENT ? "no_inspector" : "not_readable";
        return E_MEDIA_UNCHECKED;
    }
    bool said_picture = strncasecmp(m->type, "image/", 6) == 0;
    if (said_picture != (check->kind == MEDIA_PICTURE)) {
        *detail = check->mime_type; /* WhatsApp would refuse it; a picture hides in nothing */
        return E_MEDIA_KIND;
    }
    *detail = kind_words[check->kind];
    if (!policy_attachment_allowed(call->channel->policy, role_of(call), *detail) &&
        !observing(call))
        return E_ATTACHMENT;
    *detail = check->kind == MEDIA_PICTURE ? refused_classes(call, &check->inspected) : NULL;
    return *detail ? E_MEDIA_CONTENT : E_COUNT;
}

static void on_checked(struct media_check *check)
{
    struct call *call = check->ctx;
    struct media_call *m = call->media;
    const char *detail = NULL;
    enum graph_error error = judge(call, &detail);
    buffer_free(&m->file);
    m->file = check->bytes;
    buffer_init(&check->bytes, 1);
    if (check->kind == MEDIA_PICTURE)
        snprintf(m->type, sizeof(m->type), "%s", check->mime_type);
    if (error == E_MEDIA_CONTENT)
        graph_count(call->thread->graph, G_CONTENT_REFUSED);
    m->checked(call, error, detail);
}

void upload_check(struct call *call, struct span said)
{
    struct media_call *m = call->media;
    struct media *room = call->thread->graph->deps.media;
    snprintf(m->type, sizeof(m->type), "%.*s",
             said.n && said.n < sizeof(m->type) ? (int)said.n : 24,
             said.n && said.n < sizeof(m->type) ? said.p : "application/octet-stream");
    m->check = (struct media_check){.loop = call->thread->loop,
                                    .done = on_checked,
                                    .ctx = call,
                                    .policy = policy_key(call->channel->policy),
                                    .bytes = m->file};
    buffer_init(&m->file, GRAPH_UPLOAD_MAX);
    look_for(call, m->check.actions);
    if (room) {
        media_check(room, &m->check);
        return;
    }
    m->check.result = SLUIS_ENOENT;
    on_checked(&m->check);
}

/* ---- the parts ---- */

struct upload {
    struct buffer product, type, *file;
    struct span file_type;
    unsigned seen; /* bits: product, type, file */
};

#define UPLOAD_WORD_MAX 256 /* of the parts that are no file */

static int take_part(struct upload *u, struct arena *arena, const struct multipart_part *part,
                     struct buffer **slot)
{
    static const char *const names[] = {"messaging_product", "type", "file"};
    struct buffer *const slots[] = {&u->product, &u->type, u->file};
    for (unsigned i = 0; i < 3; i++) {
        if (!span_is(part->name, names[i]))
            continue;
        if (u->seen & 1u << i)
            return SLUIS_EINVAL;
        u->seen |= 1u << i;
        *slot = slots[i];
        return i == 2 ? arena_try_copy(arena, part->content_type, &u->file_type) : 0;
    }
    return SLUIS_EINVAL;
}

/* "image/jpeg", "audio/ogg; codecs=opus": what is written into a head again, so no line ends. */
static bool good_type(struct span type)
{
    for (size_t i = 0; i < type.n; i++)
        if (type.p[i] < 0x20 || type.p[i] > 0x7e)
            return false;
    return type.n <= MEDIA_TYPE_MAX;
}

static int read_parts(struct call *call, struct upload *u)
{
    struct multipart_reader *reader = arena_try(&call->arena, sizeof(*reader));
    if (!reader || multipart_init(reader, span_str(call->content_type)) != 0)
        return SLUIS_EINVAL;
    struct span rest = buffer_span(&call->body);
    struct buffer *slot = NULL;
    while (rest.n) {
        size_t used = 0;
        enum multipart_event event = multipart_feed(reader, rest, &used);
        int r = 0;
        if (event == MULTIPART_REFUSED)
            return SLUIS_EINVAL;
        if (event == MULTIPART_PART_BEGIN)
            r = take_part(u, &call->arena, &reader->part, &slot);
        if (event == MULTIPART_DATA && slot)
            buffer_add(slot, reader->data);
        if (r == 0 && slot)
            r = slot->error;
        if (r != 0)
            return r;
        rest = span_from(rest, used);
    }
    if (multipart_closed(reader) != MULTIPART_END || !(u->seen & 4) ||
        !span_is(buffer_span(&u->product), "whatsapp") || !good_type(buffer_span(&u->type)) ||
        !good_type(u->file_type))
        return SLUIS_EINVAL;
    return 0;
}

/* ---- for Meta ---- */

static void add_part(struct buffer *out, const char *boundary, const char *name, struct span value)
{
    buffer_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
    buffer_add(out, value);
    buffer_add(out, SPAN("\r\n"));
}

void upload_form(struct media_call *m, struct buffer *out)
{
    uint8_t random[16];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(m->boundary, sizeof(m->boundary), random, sizeof(random));
    snprintf(m->form_type, sizeof(m->form_type), "multipart/form-data; boundary=%s", m->boundary);
    add_part(out, m->boundary, "messaging_product", SPAN("whatsapp"));
    add_part(out, m->boundary, "type", span_str(m->type));
    /* The name of a file may name a person: Meta needs only that there is one. */
    buffer_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n",
                m->boundary);
    buffer_addf(out, "Content-Type: %s\r\n\r\n", m->type);
    buffer_add(out, buffer_span(&m->file));
    buffer_addf(out, "\r\n--%s--\r\n", m->boundary);
    buffer_free(&m->file);
}

int upload_id(struct call *call, struct span body, struct span *id)
{
    struct json_doc doc;
    int r = json_scan(&doc, body, &call->arena, NULL);
    if (r == 0)
        r = json_string(&doc, json_get(&doc, 0, SPAN("id")), &call->arena, id);
    if (r == 0)
        r = arena_try_copy(&call->arena, *id, id);
    return r;
}

static void on_known(struct call *call, int result)
{
    struct exchange *ex = call_exchange(call);
    struct buffer reply;
    if (result != 0) {
        call_refuse(call, E_STORE, NULL);
        return;
    }
    buffer_init(&reply, GRAPH_REPLY_MAX);
    buffer_add(&reply, SPAN("{\"id\":"));
    json_quote(&reply, call->media->url); /* holds the id here */
    buffer_add_char(&reply, '}');
    if (ex)
        exchange_answer(ex, 200, SPAN("application/json"), buffer_span(&reply));
    buffer_free(&reply);
    call_free(call);
}

/* {"id":"..."}: the id becomes known to this channel, then the tool hears of it. */
static void on_uploaded(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200)
        reply_forward(call, answer);
    else if (upload_id(call, answer->body, &call->media->url) != 0)
        call_refuse(call, E_REPLY, NULL);
    else
        media_record(call, "uploaded", call->media->url, on_known);
}

/* Committed that it goes: now it may. */
static void on_intent(struct call *call, int result)
{
    char target[64 + GRAPH_ID_MAX];
    int n = snprintf(target, sizeof(target), "/%s/%s/media", call->version, call->id);
    if (result != 0 || !call_may_leave(call))
        call_refuse(call, E_STORE, NULL);
    else
        forward(call, HTTP_POST, span_of(target, (size_t)n), span_str(call->media->form_type),
                buffer_span(&call->rebuilt), GRAPH_REPLY_MAX, on_uploaded);
}

static void on_looked_at(struct call *call, enum graph_error error, const char *detail)
{
    if (error != E_COUNT) {
        call_refuse(call, error, detail);
        return;
    }
    upload_form(call->media, &call->rebuilt);
    if (call->rebuilt.error)
        call_refuse(call, E_TOO_LARGE, NULL);
    else
        media_record(call, "upload_intent", SPAN_EMPTY, on_intent);
}

void handle_media_upload(struct call *call)
{
    struct media_call *m = media_of(call);
    struct upload u = {.file = m ? &m->file : NULL};
    /* As it came, as it is looked at, rebuilt, and on its way out. */
    if (!m || !media_reserve_for(call, 4 * (uint64_t)call->body.n)) {
        call_refuse(call, E_BUSY, NULL);
        return;
    }
    buffer_init(&u.product, UPLOAD_WORD_MAX);
    buffer_init(&u.type, UPLOAD_WORD_MAX);
    m->file.max = GRAPH_UPLOAD_MAX;
    m->checked = on_looked_at;
    int r = read_parts(call, &u);
    buffer_free(&call->body);
    if (r != 0)
        call_refuse(call, r == SLUIS_ELIMIT ? E_TOO_LARGE : E_BODY, "multipart");
    else
        upload_check(call, u.type.n ? buffer_span(&u.type) : u.file_type); /* may end the call */
    buffer_free(&u.product);
    buffer_free(&u.type);
}
