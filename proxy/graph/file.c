/*
 * A file of a tool on its way to Meta: spooled as it comes, looked at, judged by outbound policy,
 * uploaded as a form of our own, its id known to the channel. A picture goes out as the worker made
 * it from pixels, or not at all; anything else goes from the spool as it came. Uploads (upload.c)
 * and attachments by link (attach.c) both take this way.
 *
 *     file_open -> file_add* -> file_end: LAST -> media_check -> judge -> "upload_intent" committed
 *       -> Meta -> "uploaded" committed with the id -> then
 *
 * One operation on the spool at a time; a call that ends meanwhile is freed when it comes back.
 */
#include "media.h"

#include <sodium.h>
#include <stdio.h>
#include <strings.h>

#define FILE_PIECE (256u * 1024) /* to and from the spool at once */
/* Beyond a piece that is full and one that is being written: what one turn of the source brings. */
#define FILE_PIECE_MAX (4 * FILE_PIECE)
#define FILE_MEMORY (4ull * FILE_PIECE) /* of one file on its way, pictures apart */

/* ---- into the spool ---- */

/* Of a call's files, which go one after the other, the largest counts. */
static bool reserve(struct call *call, uint64_t bytes)
{
    struct media_call *m = call->media;
    bool good = bytes <= m->reserved || media_reserve_for(call, bytes - m->reserved);
    if (good && bytes > m->reserved)
        m->reserved = bytes;
    return good;
}

enum graph_error file_open(struct call *call)
{
    struct media_call *m = media_of(call);
    struct media *room = call->thread->graph->deps.media;
    if (!m || m->op_busy || !reserve(call, FILE_MEMORY))
        return E_BUSY;
    media_spool_free(m->spool); /* of the link before */
    m->spool = NULL;
    if (!room)
        return E_MEDIA_UNCHECKED;
    if (media_spool_new(room, GRAPH_MEDIA_MAX, &m->spool) != 0)
        return E_BUSY;
    m->size = m->at = 0;
    m->max = 0;
    m->ended = m->full = false;
    m->spool_result = 0;
    buffer_free(&m->file);
    buffer_clear(&m->piece);
    m->piece.max = FILE_PIECE_MAX;
    return E_COUNT;
}

static enum graph_error error_of(const struct media_call *m, int result)
{
    switch (result) {
    case SLUIS_ELIMIT:
        return m->attach ? E_FETCH_LIMIT : E_TOO_LARGE;
    case SLUIS_EAGAIN:
    case SLUIS_ECLOSED:
    case SLUIS_ENOMEM:
        return E_BUSY;
    case SLUIS_ENOENT:
    case SLUIS_EINVAL:
        return E_MEDIA_UNCHECKED;
    default:
        return E_STORE; /* no room on the disk, or it gave back something else */
    }
}

static void check_it(struct call *call);
static void flush(struct call *call);

static void on_added(struct media_spool_op *op)
{
    struct call *call = op->ctx;
    struct media_call *m = call->media;
    m->op_busy = false;
    if (m->over) {
        call_free(call);
        return;
    }
    if (op->result != 0 && m->spool_result == 0)
        m->spool_result = op->result;
    if (m->spool_result != 0) {
        m->refused(call, error_of(m, m->spool_result), NULL);
        return;
    }
    bool was_full = m->full;
    m->full = false;
    if (m->ended && op->what == MEDIA_SPOOL_LAST)
        check_it(call);
    else if (m->ended || m->piece.n >= FILE_PIECE)
        flush(call);
    if (was_full && !m->ended)
        m->go_on(call);
}

static void flush(struct call *call)
{
    struct media_call *m = call->media;
    buffer_free(&m->op.bytes); /* of the operation before: wiped */
    m->op = (struct media_spool_op){.loop = call->thread->loop,
                                    .done = on_added,
                                    .ctx = call,
                                    .what = m->ended ? MEDIA_SPOOL_LAST : MEDIA_SPOOL_ADD,
                                    .bytes = m->piece};
    buffer_init(&m->piece, FILE_PIECE_MAX);
    m->op_busy = true;
    media_spool_run(m->spool, &m->op);
}

enum graph_error file_add(struct call *call, struct span bytes, bool *full)
{
    struct media_call *m = call->media;
    *full = false;
    buffer_add(&m->piece, bytes);
    if (m->piece.error)
        return E_BUSY;
    m->size += bytes.n;
    if (m->max == 0 && m->size >= MEDIA_KIND_FIRST) {
        /* The first bytes say what WhatsApp takes of it: nothing above that is read. */
        const char *type;
        enum media_kind kind = media_kind_of(buffer_span(&m->piece), &type);
        m->max = media_send_max(kind, type);
    }
    if (m->size > (m->max ? m->max : GRAPH_MEDIA_MAX))
        return error_of(m, SLUIS_ELIMIT);
    if (m->piece.n < FILE_PIECE)
        return E_COUNT;
    if (m->op_busy)
        *full = m->full = true;
    else
        flush(call);
    return E_COUNT;
}

void file_end(struct call *call, struct span said, void (*then)(struct call *call))
{
    struct media_call *m = call->media;
    snprintf(m->type, sizeof(m->type), "%.*s",
             said.n && said.n < sizeof(m->type) ? (int)said.n : 24,
             said.n && said.n < sizeof(m->type) ? said.p : "application/octet-stream");
    m->then = then;
    m->ended = true;
    if (!m->op_busy)
        flush(call);
}

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

/* A picture hides in nothing, and nothing else is called one: WhatsApp would refuse it. What a host
 * calls a file counts for documents only, and where a picture must stand there must be one. */
static bool good_kind(struct media_call *m, const struct media_check *check)
{
    bool said_picture = strncasecmp(m->type, "image/", 6) == 0;
    if (!m->attach)
        return said_picture == (check->kind == MEDIA_PICTURE);
    if (check->kind != MEDIA_DOCUMENT || said_picture)
        snprintf(m->type, sizeof(m->type), "%s", check->mime_type);
    return !m->wants_picture || check->kind == MEDIA_PICTURE;
}

static enum graph_error judge(struct call *call, const char **detail)
{
    struct media_call *m = call->media;
    const struct media_check *check = &m->check;
    if (check->result != 0) {
        enum graph_error error = error_of(m, check->result);
        if (error == E_MEDIA_UNCHECKED)
            *detail = check->result == SLUIS_ENOENT ? "no_inspector" : "not_readable";
        return error;
    }
    if (!good_kind(m, check)) {
        *detail = check->mime_type;
        return E_MEDIA_KIND;
    }
    if (m->size > media_send_max(check->kind, check->mime_type))
        return error_of(m, SLUIS_ELIMIT);
    *detail = kind_words[check->kind];
    if (!policy_attachment_allowed(call->channel->policy, role_of(call), *detail) &&
        !observing(call))
        return E_ATTACHMENT;
    *detail = check->kind == MEDIA_PICTURE ? refused_classes(call, &check->inspected) : NULL;
    return *detail ? E_MEDIA_CONTENT : E_COUNT;
}

static void on_intent(struct call *call, int result);

static void on_checked(struct media_check *check)
{
    struct call *call = check->ctx;
    struct media_call *m = call->media;
    const char *detail = NULL;
    enum graph_error error = judge(call, &detail);
    m->file = check->bytes;
    buffer_init(&check->bytes, 1);
    if (error == E_COUNT && check->kind == MEDIA_PICTURE) {
        snprintf(m->type, sizeof(m->type), "%s", check->mime_type);
        /* Here, in its form, and on its way out. */
        if (!reserve(call, FILE_MEMORY + 4 * (uint64_t)m->file.n))
            error = E_BUSY;
    }
    if (error == E_MEDIA_CONTENT)
        graph_count(call->thread->graph, G_CONTENT_REFUSED);
    if (error != E_COUNT)
        call_refuse(call, error, detail);
    else
        media_record(call, "upload_intent", SPAN_EMPTY, on_intent);
}

static void check_it(struct call *call)
{
    struct media_call *m = call->media;
    m->check = (struct media_check){.loop = call->thread->loop,
                                    .done = on_checked,
                                    .ctx = call,
                                    .policy = policy_key(call->channel->policy),
                                    .spool = m->spool};
    buffer_init(&m->check.bytes, 1);
    look_for(call, m->check.actions);
    media_check(call->thread->graph->deps.media, &m->check);
}

/* ---- to Meta ---- */

static void add_part(struct buffer *out, const char *boundary, const char *name, struct span value)
{
    buffer_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
    buffer_add(out, value);
    buffer_add(out, SPAN("\r\n"));
}

/* The form up to the file's bytes, and behind them. */
static void form_begin(struct media_call *m, struct buffer *out)
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
}

static void form_end(const struct media_call *m, struct buffer *out)
{
    buffer_addf(out, "\r\n--%s--\r\n", m->boundary);
}

/* A piece is there: with the form's beginning before the first and its end behind the last. */
static void on_read(struct media_spool_op *op)
{
    struct call *call = op->ctx;
    struct media_call *m = call->media;
    m->op_busy = false;
    if (m->over) {
        call_free(call);
        return;
    }
    struct buffer out;
    buffer_init(&out, FILE_PIECE_MAX);
    if (m->at == 0)
        buffer_add(&out, buffer_span(&call->rebuilt));
    buffer_add(&out, buffer_span(&op->bytes));
    m->at += op->bytes.n;
    if (m->at == m->size)
        form_end(m, &out);
    upstream_give(&m->ticket, op->result || out.error ? SPAN_EMPTY : buffer_span(&out));
    buffer_free(&out);
}

static void on_wanted(void *ctx)
{
    struct call *call = ctx;
    struct media_call *m = call->media;
    uint64_t left = m->size - m->at;
    buffer_free(&m->op.bytes);
    m->op = (struct media_spool_op){.loop = call->thread->loop,
                                    .done = on_read,
                                    .ctx = call,
                                    .what = MEDIA_SPOOL_READ,
                                    .at = m->at,
                                    .n = left < FILE_PIECE ? (size_t)left : FILE_PIECE};
    m->op_busy = true;
    media_spool_run(m->spool, &m->op);
}

/* The id in Meta's answer, in the arena. */
static int read_id(struct call *call, struct span body, struct span *id)
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
    if (result != 0)
        call_refuse(call, E_STORE, NULL);
    else
        call->media->then(call);
}

/* {"id":"..."}: the id becomes known to this channel, then the call goes on. */
static void on_uploaded(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200)
        reply_forward(call, answer);
    else if (read_id(call, answer->body, &call->media->url) != 0)
        call_refuse(call, E_REPLY, NULL);
    else
        media_record(call, "uploaded", call->media->url, on_known);
}

/* Committed that it goes: now it may. */
static void on_intent(struct call *call, int result)
{
    struct media_call *m = call->media;
    char target[64 + GRAPH_ID_MAX];
    int n = snprintf(target, sizeof(target), "/%s/%s/media", call->version, call->id);
    struct buffer end;
    if (result != 0 || !call_may_leave(call)) {
        call_refuse(call, E_STORE, NULL);
        return;
    }
    bool picture = m->check.kind == MEDIA_PICTURE;
    buffer_clear(&call->rebuilt);
    form_begin(m, &call->rebuilt);
    buffer_init(&end, 128);
    form_end(m, &end);
    struct upstream_request request = {
        .body_length = call->rebuilt.n + m->size + end.n, .more = on_wanted, .ticket = &m->ticket};
    if (picture) {
        buffer_add(&call->rebuilt, buffer_span(&m->file));
        buffer_add(&call->rebuilt, buffer_span(&end));
        request = (struct upstream_request){.body = buffer_span(&call->rebuilt)};
        buffer_free(&m->file);
    }
    buffer_free(&end);
    request.content_type = span_str(m->form_type);
    request.answer_max = GRAPH_REPLY_MAX;
    if (call->rebuilt.error)
        call_refuse(call, E_BUSY, NULL);
    else
        forward_request(call, HTTP_POST, span_of(target, (size_t)n), &request, on_uploaded);
}
