/*
 * POST /{phone}/media: the form read as it comes, its file into the spool (file.c), known parts
 * only. What the tool hears is the id, once that is known to the channel.
 */
#include "media.h"

#include "sluis/net/multipart.h"

#include <stdlib.h>

#define UPLOAD_WORD_MAX 256 /* of the parts that are no file */
/* Bytes a second over an upload's life: its file keeps room on the disk, so it may not trickle. */
#define UPLOAD_MIN_RATE (16u * 1024)

struct upload {
    struct multipart_reader reader;
    struct buffer product, type;
    struct buffer *slot; /* where the part goes that is being read; NULL: the file */
    struct span file_type;
    unsigned seen; /* bits: product, type, file */
};

void upload_free(struct call *call)
{
    struct upload *u = call->media->upload;
    if (!u)
        return;
    buffer_free(&u->product);
    buffer_free(&u->type);
    free(u);
    call->media->upload = NULL;
}

static bool take_part(struct call *call, struct upload *u)
{
    static const char *const names[] = {"messaging_product", "type", "file"};
    struct buffer *const slots[] = {&u->product, &u->type, NULL};
    const struct multipart_part *part = &u->reader.part;
    for (unsigned i = 0; i < 3; i++) {
        if (!span_is(part->name, names[i]))
            continue;
        if (u->seen & 1u << i)
            return false;
        u->seen |= 1u << i;
        u->slot = slots[i];
        return i != 2 || arena_try_copy(&call->arena, part->content_type, &u->file_type) == 0;
    }
    return false;
}

/* Some bytes of the form. E_COUNT, or why it is refused. */
static enum graph_error take(struct call *call, struct span rest, bool *full)
{
    struct upload *u = call->media->upload;
    *full = false;
    while (rest.n) {
        size_t used = 0;
        bool now_full = false;
        enum graph_error error = E_COUNT;
        switch (multipart_feed(&u->reader, rest, &used)) {
        case MULTIPART_REFUSED:
            return E_BODY;
        case MULTIPART_PART_BEGIN:
            error = take_part(call, u) ? E_COUNT : E_BODY;
            break;
        case MULTIPART_DATA:
            if (u->slot)
                buffer_add(u->slot, u->reader.data);
            else
                error = file_add(call, u->reader.data, &now_full);
            if (u->slot && u->slot->error)
                error = E_BODY;
            break;
        default:
            break;
        }
        if (error != E_COUNT)
            return error;
        *full = *full || now_full;
        rest = span_from(rest, used);
    }
    return E_COUNT;
}

static void on_body(struct exchange *ex, struct span bytes, void *ctx)
{
    struct call *call = ctx;
    bool full;
    enum graph_error error = take(call, bytes, &full);
    if (error != E_COUNT)
        call_refuse(call, error, error == E_BODY ? "multipart" : NULL);
    else if (full)
        exchange_pause_body(ex);
}

static void on_refused(struct call *call, enum graph_error error, const char *detail)
{
    struct exchange *ex = call_exchange(call);
    if (ex)
        exchange_set_data(ex, NULL);
    call_refuse(call, error, detail);
}

static void go_on(struct call *call)
{
    struct exchange *ex = call_exchange(call);
    if (ex)
        exchange_resume_body(ex);
}

bool upload_begin(struct call *call, struct exchange *ex)
{
    struct media_call *m = media_of(call);
    struct upload *u = m ? calloc(1, sizeof(*u)) : NULL;
    const struct exchange_sink sink = {.data = on_body, .ctx = call, .min_rate = UPLOAD_MIN_RATE};
    if (!u) {
        call_refuse(call, E_BUSY, NULL);
        return false;
    }
    m->upload = u;
    buffer_init(&u->product, UPLOAD_WORD_MAX);
    buffer_init(&u->type, UPLOAD_WORD_MAX);
    enum graph_error error =
        multipart_init(&u->reader, span_str(call->content_type)) != 0 ? E_BODY : file_open(call);
    if (error != E_COUNT) {
        call_refuse(call, error, error == E_BODY ? "multipart" : NULL);
        return false;
    }
    m->go_on = go_on;
    m->refused = on_refused;
    exchange_stream_body(ex, &sink);
    return true;
}

/* "image/jpeg", "audio/ogg; codecs=opus": what is written into a head again, so no line ends. */
static bool good_type(struct span type)
{
    for (size_t i = 0; i < type.n; i++)
        if (type.p[i] < 0x20 || type.p[i] > 0x7e)
            return false;
    return type.n <= MEDIA_TYPE_MAX;
}

static void on_sent(struct call *call)
{
    struct exchange *ex = call_exchange(call);
    struct buffer reply;
    buffer_init(&reply, GRAPH_REPLY_MAX);
    buffer_add(&reply, SPAN("{\"id\":"));
    json_quote(&reply, call->media->url); /* holds the id here */
    buffer_add_char(&reply, '}');
    if (ex)
        exchange_answer(ex, 200, SPAN("application/json"), buffer_span(&reply));
    buffer_free(&reply);
    call_free(call);
}

/* The whole form was read. */
void handle_media_upload(struct call *call)
{
    struct upload *u = call->media ? call->media->upload : NULL;
    if (!u || multipart_closed(&u->reader) != MULTIPART_END || !(u->seen & 4) ||
        !span_is(buffer_span(&u->product), "whatsapp") || !good_type(buffer_span(&u->type)) ||
        !good_type(u->file_type))
        call_refuse(call, E_BODY, "multipart");
    else if (call->media->spool_result != 0)
        call_refuse(call, E_STORE, NULL);
    else
        file_end(call, u->type.n ? buffer_span(&u->type) : u->file_type, on_sent);
}
