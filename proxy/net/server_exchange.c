#include "server_private.h"

#include "sluis/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* An id is a number that is never used twice, and the slot where its exchange stands. */
#define SLOT_BITS 20
#define SLOT_MASK ((1u << SLOT_BITS) - 1)

static void new_id(struct exchange *ex)
{
    ex->id = ++ex->server->next_id << SLOT_BITS | ex->slot;
}

static int take_slot(struct server *server, struct exchange *ex)
{
    if (server->free_slot_count > 0) {
        ex->slot = server->free_slots[--server->free_slot_count];
        server->slots[ex->slot] = ex;
        return 0;
    }
    if (server->slot_count == server->slot_room) {
        unsigned room = server->slot_room ? server->slot_room * 2 : 64;
        if (room > SLOT_MASK + 1)
            return SLUIS_ELIMIT;
        struct exchange **slots = realloc(server->slots, room * sizeof(struct exchange *));
        if (!slots)
            return SLUIS_ENOMEM;
        server->slots = slots;
        unsigned *free_slots = realloc(server->free_slots, room * sizeof(*free_slots));
        if (!free_slots)
            return SLUIS_ENOMEM;
        server->free_slots = free_slots;
        server->slot_room = room;
    }
    ex->slot = server->slot_count++;
    server->slots[ex->slot] = ex;
    return 0;
}

struct exchange *exchange_get(struct server_conn *sc)
{
    struct server *server = sc->server;
    struct exchange *ex = server->pool;
    if (ex) {
        server->pool = ex->next_free;
        server->pooled--;
    } else {
        ex = calloc(1, sizeof(*ex));
        if (!ex)
            return NULL;
        ex->server = server;
        if (take_slot(server, ex)) {
            free(ex);
            return NULL;
        }
        buffer_init(&ex->in, SERVER_HEAD_ROOM);
        buffer_init(&ex->body, 0);
        buffer_init(&ex->out, SERVER_ANSWER_MAX);
        arena_init(&ex->arena, SERVER_ARENA_MAX);
    }
    ex->sc = sc;
    sc->ex = ex;
    new_id(ex);
    http_request_machine_init(&ex->head);
    return ex;
}

void exchange_account(struct exchange *ex, uint64_t bytes)
{
    ex->server->memory = ex->server->memory - ex->accounted + bytes;
    ex->accounted = bytes;
}

static void keep_small(struct buffer *b)
{
    if (b->cap > SERVER_KEEP_BYTES)
        buffer_free(b);
    else
        buffer_clear(b);
}

static void reset(struct exchange *ex)
{
    exchange_account(ex, 0);
    if (ex->counted)
        ex->server->busy--;
    keep_small(&ex->body);
    keep_small(&ex->out);
    if (ex->arena.used)
        arena_reset(&ex->arena);
    ex->body_span = SPAN_EMPTY;
    ex->sink = (struct exchange_sink){.data = NULL};
    ex->paused = ex->body_whole = false;
    ex->source = (struct exchange_source){.more = NULL};
    ex->source_left = 0;
    ex->source_asked = false;
    ex->data = NULL;
    ex->known = ex->counted = ex->answered = ex->refused = ex->close_after = ex->begun = false;
    ex->status = 0;
}

void exchange_free(struct exchange *ex)
{
    buffer_free(&ex->in);
    buffer_free(&ex->body);
    buffer_free(&ex->out);
    arena_free(&ex->arena);
    free(ex);
}

void exchange_put(struct exchange *ex)
{
    struct server *server = ex->server;
    reset(ex);
    keep_small(&ex->in);
    ex->in_used = 0;
    ex->sc->ex = NULL;
    ex->sc = NULL;
    ex->id = 0;
    if (server->pooled >= SERVER_POOL_MAX) {
        server->slots[ex->slot] = NULL;
        server->free_slots[server->free_slot_count++] = ex->slot;
        exchange_free(ex);
        return;
    }
    ex->next_free = server->pool;
    server->pool = ex;
    server->pooled++;
}

void exchange_next(struct exchange *ex)
{
    if (ex->in.n == ex->in_used && conn_pending(ex->sc->conn) == 0) {
        exchange_put(ex);
        return;
    }
    reset(ex);
    buffer_drop(&ex->in, ex->in_used);
    ex->in_used = 0;
    new_id(ex);
    http_request_machine_init(&ex->head);
}

void exchange_gone(struct exchange *ex)
{
    struct server *server = ex->server;
    if (!ex->known || ex->answered)
        return;
    ex->known = false;
    server_count(server, COUNT_GONE, 1);
    /* Too late to answer: meanwhile every attempt to is void. */
    ex->answered = true;
    if (server->config.on_gone)
        server->config.on_gone(ex, server->config.ctx);
    ex->answered = false;
}

struct exchange *server_exchange(struct server *server, uint64_t id)
{
    unsigned slot = (unsigned)(id & SLOT_MASK);
    if (id == 0 || slot >= server->slot_count)
        return NULL;
    struct exchange *ex = server->slots[slot];
    if (!ex || ex->id != id || !ex->known || ex->answered)
        return NULL;
    return ex;
}

uint64_t exchange_id(const struct exchange *ex)
{
    return ex->id;
}

struct server *exchange_server(const struct exchange *ex)
{
    return ex->server;
}

bool server_full(const struct server *server)
{
    return server->memory > server->config.limits.memory_max;
}

const struct http_head *exchange_head(const struct exchange *ex)
{
    return &ex->head.head;
}

struct span exchange_body(const struct exchange *ex)
{
    return ex->body_span;
}

void exchange_take_body(struct exchange *ex, struct buffer *out)
{
    if (ex->body.n && ex->body_span.p == ex->body.p) {
        *out = ex->body;
        buffer_init(&ex->body, 0);
    } else {
        buffer_init(out, ex->body_span.n ? ex->body_span.n : 1);
        buffer_add(out, ex->body_span);
    }
    ex->body_span = SPAN_EMPTY;
}

struct arena *exchange_arena(struct exchange *ex)
{
    return &ex->arena;
}

struct span exchange_client_name(const struct exchange *ex)
{
    return span_str(ex->sc->client_name);
}

const char *exchange_peer(const struct exchange *ex)
{
    return ex->sc->peer;
}

bool exchange_host_named(const struct exchange *ex, const char *const *names)
{
    struct span host = exchange_head(ex)->host;
    const struct tls_context *tls = ex->sc->server->tls;
    size_t end = host.n && host.p[0] == '[' ? host.n : span_find(host, ':');
    for (; names && *names; names++)
        if (span_eq_nocase(span_sub(host, 0, end), span_str(*names)))
            return true;
    return !tls || tls_names(tls, host);
}

void exchange_set_owner(struct exchange *ex, uint64_t owner)
{
    ex->sc->owner = owner;
}

unsigned server_cut(struct server *server, uint64_t owner)
{
    unsigned n = 0;
    for (struct server_conn *sc = server->first, *next; sc; sc = next) {
        next = sc->next;
        if (sc->owner != owner || owner == 0)
            continue;
        server_conn_close(sc, "withdrawn");
        n++;
    }
    return n;
}

void exchange_set_data(struct exchange *ex, void *data)
{
    ex->data = data;
}

void *exchange_data(const struct exchange *ex)
{
    return ex->data;
}

/* The Date field's value (RFC 9110 section 5.6.7), made once a second. */
static struct span date(struct server *server)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t now = clock_wall_ms() / 1000;
    if (now != server->date_s) {
        time_t seconds = (time_t)now;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        snprintf(server->date, sizeof(server->date), "%s, %02u %s %04u %02u:%02u:%02u GMT",
                 days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100u, months[tm.tm_mon % 12],
                 (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)tm.tm_hour % 100u,
                 (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
        server->date_s = now;
    }
    return span_str(server->date);
}

void exchange_answer_begin(struct exchange *ex, unsigned status)
{
    buffer_clear(&ex->out);
    ex->status = status;
    ex->begun = true;
    http_write_status_line(&ex->out, status);
    http_write_field(&ex->out, SPAN("Date"), date(ex->server));
}

void exchange_answer_field(struct exchange *ex, struct span name, struct span value)
{
    http_write_field(&ex->out, name, value);
}

void exchange_close_after(struct exchange *ex)
{
    ex->close_after = true;
}

/* A field with a line break in it, or no memory: the answer cannot be what the handler meant. */
static void write_failure(struct exchange *ex)
{
    buffer_free(&ex->out);
    ex->close_after = true;
    http_write_status_line(&ex->out, 500);
    http_write_field(&ex->out, SPAN("Date"), date(ex->server));
    http_write_field_u64(&ex->out, SPAN("Content-Length"), 0);
    http_write_field(&ex->out, SPAN("Connection"), SPAN("close"));
    http_write_end(&ex->out);
}

static void end_head(struct exchange *ex, bool bodyless, uint64_t length)
{
    if (!ex->head.head.keep_alive || ex->server->draining || ex->refused)
        ex->close_after = true;
    if (!bodyless)
        http_write_field_u64(&ex->out, SPAN("Content-Length"), length);
    if (ex->close_after)
        http_write_field(&ex->out, SPAN("Connection"), SPAN("close"));
    http_write_end(&ex->out);
}

void exchange_answer_end(struct exchange *ex, struct span body)
{
    struct server_conn *sc = ex->sc;
    bool bodyless = ex->status == 204 || ex->status == 304;
    if (ex->answered || !ex->begun)
        return;
    end_head(ex, bodyless, body.n);
    if (!bodyless && ex->head.head.method != HTTP_HEAD)
        buffer_add(&ex->out, body);
    if (ex->out.error)
        write_failure(ex);
    ex->answered = true;
    server_conn_answered(sc);
}

bool exchange_answer_stream(struct exchange *ex, uint64_t length,
                            const struct exchange_source *source)
{
    struct server_conn *sc = ex->sc;
    if (ex->answered || !ex->begun)
        return false;
    end_head(ex, false, length);
    bool wanted = length > 0 && ex->head.head.method != HTTP_HEAD && !ex->out.error;
    if (ex->out.error)
        write_failure(ex);
    ex->answered = true;
    if (wanted) {
        ex->source = *source;
        ex->source_left = length;
    }
    server_conn_answered(sc);
    return wanted;
}

void exchange_answer_more(struct server *server, uint64_t id, struct span bytes)
{
    unsigned slot = (unsigned)(id & SLOT_MASK);
    struct exchange *ex = id && slot < server->slot_count ? server->slots[slot] : NULL;
    if (ex && ex->id == id && ex->source_asked)
        server_conn_piece(ex->sc, bytes);
}

void exchange_source_over(struct exchange *ex, bool whole)
{
    void (*over)(void *ctx, bool whole) = ex->source.over;
    ex->source.more = NULL;
    ex->source.over = NULL;
    ex->source_left = 0;
    if (over)
        over(ex->source.ctx, whole);
}

void exchange_stream_body(struct exchange *ex, const struct exchange_sink *sink)
{
    ex->sink = *sink;
}

void exchange_answer(struct exchange *ex, unsigned status, struct span content_type,
                     struct span body)
{
    exchange_answer_begin(ex, status);
    if (content_type.n)
        exchange_answer_field(ex, SPAN("Content-Type"), content_type);
    exchange_answer_end(ex, body);
}

void exchange_abort(struct exchange *ex, const char *reason)
{
    if (ex->answered)
        return;
    ex->known = false; /* the handler knows */
    server_conn_close(ex->sc, reason);
}
