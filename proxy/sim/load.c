#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "process.h"
#include "sluis/base/clock.h"
#include "tls.h"

#define LOAD_TICK_US 500        /* how late an open-loop message may be for our own reasons */
#define LOAD_BODY_MAX 65536     /* of --size */
#define LOAD_CLOSED_MAX 4000000 /* messages of one closed-loop run */
#define LOAD_RETRY_MS 200       /* pause before a refused message is tried again */
#define LOAD_OPENING_MAX 64     /* handshakes at a time */

struct slot {
    struct load *load;
    struct client *client;
    uint32_t item; /* in flight */
};
struct load {
    const struct load_options *o;
    struct load_result *r;
    struct event_base *base;
    struct event *tick;
    struct slot *slots;
    uint32_t *idle; /* stack of slots */
    unsigned idle_count;
    uint32_t *again; /* ring of items to send again, with the moment from which */
    uint64_t *again_us;
    size_t again_first, again_count, again_size;
    size_t total; /* open loop: how many in all */
    size_t next;
    uint64_t start_us, end_us;
    size_t open;              /* in flight */
    struct span hold_request; /* sent once on each connection that is only held */
    char *body;
};

void load_id(const struct load_options *o, size_t k, uint32_t contact, char id[96], char phone[24])
{
    snprintf(phone, 24, "31612%06u", contact % 1000000u);
    wamid_make(phone, (o->seed << 24) + k, id);
}

/* Specimens of what a municipality is sent; one in four holds something to mask. */
static const char *const texts[] = {
    "Goedemiddag, ik wil graag weten hoe het staat met mijn aanvraag voor een parkeervergunning.",
    "Kunt u het terugstorten op NL91ABNA0417164300 ten name van J. de Vries? Alvast bedankt.",
    "Hoi, is het stadhuis zaterdag open en moet ik daarvoor een afspraak maken of kan ik zo komen?",
    "Bedankt voor het snelle antwoord, dan kom ik donderdag langs aan de balie met mijn formulier.",
};

/* Head and body of message k in load->body; its size. */
static size_t build(struct load *l, size_t k, char *out, size_t max)
{
    const struct load_options *o = l->o;
    const struct load_item *item = &l->r->items[k];
    char id[WAMID_SIZE], phone[24], signature[SIGNATURE_SIZE];
    load_id(o, k, item->contact, id, phone);
    int n = snprintf(
        l->body, LOAD_BODY_MAX,
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"%s\",\"changes\":[{"
        "\"value\":{"
        "\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":\"31201234567\","
        "\"phone_number_id\":\"%s\"},\"contacts\":[{\"profile\":{\"name\":\"Proefpersoon\"},"
        "\"wa_id\":\"%s\"}],\"messages\":[{\"from\":\"%s\",\"id\":\"%s\",\"timestamp\":\"%lld\","
        "\"text\":{\"body\":\"%s",
        o->waba, o->phone_number_id, phone, phone, id, (long long)time(NULL), texts[k % 4]);
    static const char end[] = "\"},\"type\":\"text\"}]},\"field\":\"messages\"}]}]}";
    static const char filler[] = " Met vriendelijke groet en alvast bedankt voor de moeite.";
    size_t at = (size_t)n, want = o->size > sizeof end ? o->size - (sizeof end - 1) : 0;
    while (at < want && at < LOAD_BODY_MAX - sizeof end) {
        l->body[at] = filler[(at - (size_t)n) % (sizeof filler - 1)];
        at++;
    }
    memcpy(l->body + at, end, sizeof end - 1);
    at += sizeof end - 1;
    signature_make(o->secret, span_of(l->body, at), signature);
    int head = snprintf(out, max,
                        "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: facebookexternalua\r\n"
                        "Content-Type: application/json\r\nX-Hub-Signature-256: %s\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        o->target->path, o->target->authority, signature, at);
    memcpy(out + head, l->body, at);
    return (size_t)head + at;
}

static void send_item(struct load *l, uint32_t k)
{
    char request[LOAD_BODY_MAX + 2048];
    struct load_item *item = &l->r->items[k];
    struct slot *slot = &l->slots[l->idle[--l->idle_count]];
    size_t n = build(l, k, request, sizeof request);
    if (!item->first_us)
        item->first_us = (uint64_t)clock_mono_us();
    item->tries++;
    l->r->sent++;
    slot->item = k;
    l->open++;
    if (client_send(slot->client, span_of(request, n)) < 0 && !client_busy(slot->client)) {
        l->open--;
        l->idle[l->idle_count++] = (uint32_t)(slot - l->slots);
    }
}

/* Sends what is due and can be sent now. */
static void pump(struct load *l)
{
    uint64_t now = (uint64_t)clock_mono_us();
    while (l->idle_count && l->again_count && l->again_us[l->again_first] <= now) {
        uint32_t k = l->again[l->again_first];
        l->again_first = (l->again_first + 1) % l->again_size;
        l->again_count--;
        send_item(l, k);
    }
    while (l->idle_count && l->next < l->total) {
        struct load_item *item = &l->r->items[l->next];
        if (l->o->rate > 0) {
            item->intended_us = l->start_us + (uint64_t)((double)l->next * 1e6 / l->o->rate);
            if (item->intended_us > now)
                break;
        } else {
            if (now >= l->end_us)
                break;
            item->intended_us = now;
        }
        item->contact = (uint32_t)(l->next % l->o->contacts);
        send_item(l, (uint32_t)l->next++);
    }
}

static void on_answer(struct client *client, int status, const struct http_message *m, void *ctx)
{
    (void)client;
    struct slot *slot = ctx;
    struct load *l = slot->load;
    struct load_item *item = &l->r->items[slot->item];
    uint64_t now = (uint64_t)clock_mono_us();
    item->status = (uint16_t)status;
    l->r->by_status[status < LOAD_STATUS_MAX ? status : 0]++;
    if (status == 200) {
        item->ok_us = now;
        histogram_add(&l->r->latency, now - item->intended_us);
    } else if (status == 503 && http_header(m, "retry-after").n == 0) {
        l->r->late_retry_after++;
    }
    if (status != 200 && l->o->retry && l->again_count < l->again_size) {
        size_t at = (l->again_first + l->again_count++) % l->again_size;
        l->again[at] = slot->item;
        l->again_us[at] = now + LOAD_RETRY_MS * 1000u;
    }
    l->open--;
    l->idle[l->idle_count++] = (uint32_t)(slot - l->slots);
    pump(l);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct load *l = ctx;
    pump(l);
    uint64_t now = (uint64_t)clock_mono_us();
    bool all_sent = l->next == l->total || (l->o->rate <= 0 && now >= l->end_us);
    if ((all_sent && l->open == 0 && l->again_count == 0) ||
        now > l->end_us + (uint64_t)(l->o->drain_s * 1e6))
        event_base_loopbreak(l->base);
}

static void every(struct load *l, long us, event_callback_fn fn)
{
    struct timeval tv = {0, us};
    l->tick = event_new(l->base, -1, EV_PERSIST, fn, l);
    event_add(l->tick, &tv);
}

/* Opens all connections, a few at a time; ends the loop when they stand or 60 s have passed. */
static void on_open(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct load *l = ctx;
    unsigned standing = 0, opening = 0;
    for (unsigned i = 0; i < l->next; i++)
        standing += client_connected(l->slots[i].client);
    opening = (unsigned)l->next - standing;
    while (opening < LOAD_OPENING_MAX && l->next < l->o->connections) {
        struct client *client = l->slots[l->next++].client;
        if (l->hold_request.n)
            client_send(client, l->hold_request);
        else
            client_connect(client);
        opening++;
    }
    if (standing == l->o->connections || (uint64_t)clock_mono_us() > l->end_us)
        event_base_loopbreak(l->base);
}

static void open_all(struct load *l)
{
    l->next = 0;
    l->end_us = (uint64_t)clock_mono_us() + 60000000u;
    every(l, 5000, on_open);
    event_base_dispatch(l->base);
    event_free(l->tick);
    l->next = 0;
}

/* After a request the connection idles as keep-alive does; without one it would be a slow peer. */
static void on_hold_answer(struct client *client, int status, const struct http_message *m,
                           void *ctx)
{
    (void)client;
    (void)m;
    struct slot *slot = ctx;
    slot->load->r->by_status[status < LOAD_STATUS_MAX ? status : 0]++;
}

static void load_free(struct load *l)
{
    for (unsigned i = 0; l->slots && i < l->o->connections; i++)
        client_free(l->slots[i].client);
    free(l->slots);
    free(l->idle);
    free(l->again);
    free(l->again_us);
    free(l->body);
}

static int load_init(struct load *l)
{
    const struct load_options *o = l->o;
    l->total = o->rate > 0 ? (size_t)(o->rate * o->seconds) : LOAD_CLOSED_MAX;
    l->r->items = calloc(l->total + 1, sizeof *l->r->items);
    l->slots = calloc(o->connections, sizeof *l->slots);
    l->idle = calloc(o->connections, sizeof *l->idle);
    l->again_size = o->retry ? l->total + 1 : 1;
    l->again = calloc(l->again_size, sizeof *l->again);
    l->again_us = calloc(l->again_size, sizeof *l->again_us);
    l->body = malloc(LOAD_BODY_MAX);
    if (!l->r->items || !l->slots || !l->idle || !l->again || !l->again_us || !l->body)
        return -1;
    for (unsigned i = 0; i < o->connections; i++) {
        l->slots[i].load = l;
        l->slots[i].client =
            client_new(l->base, o->target, l->hold_request.n ? 0 : o->timeout_s,
                       l->hold_request.n ? on_hold_answer : on_answer, &l->slots[i]);
        if (!l->slots[i].client)
            return -1;
        l->idle[l->idle_count++] = i;
    }
    return 0;
}

int load_run(struct event_base *base, const struct load_options *options, struct load_result *out)
{
    struct load l = {.o = options, .r = out, .base = base};
    *out = (struct load_result){.seconds = 0};
    int result = load_init(&l);
    if (result == 0) {
        open_all(&l);
        uint64_t cpu = process_cpu_us(options->pid);
        l.start_us = (uint64_t)clock_mono_us();
        l.end_us = l.start_us + (uint64_t)(options->seconds * 1e6);
        every(&l, LOAD_TICK_US, on_tick);
        event_base_dispatch(base);
        event_free(l.tick);
        out->seconds = (double)((uint64_t)clock_mono_us() - l.start_us) / 1e6;
        usleep((useconds_t)(options->linger_s * 1e6));
        out->cpu_us = process_cpu_us(options->pid) - cpu;
        out->rss_kib = process_rss_kib(options->pid);
        out->own_kib = process_own_kib(options->pid);
        out->peak_kib = process_peak_kib(options->pid);
        out->item_count = l.next;
    }
    load_free(&l);
    return result;
}

static void on_held(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(((struct load *)ctx)->base);
}

unsigned load_hold(struct event_base *base, const struct load_options *options,
                   struct load_result *out)
{
    struct load l = {.o = options, .r = out, .base = base};
    struct timeval tv = {(time_t)options->seconds, 0};
    unsigned standing = 0;
    char request[2048];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                     options->target->path, options->target->authority);
    *out = (struct load_result){.seconds = options->seconds};
    l.hold_request = span_of(request, (size_t)n);
    if (load_init(&l) == 0) {
        open_all(&l);
        l.tick = event_new(base, -1, 0, on_held, &l);
        event_add(l.tick, &tv);
        event_base_dispatch(base);
        event_free(l.tick);
        out->rss_kib = process_rss_kib(options->pid);
        out->own_kib = process_own_kib(options->pid);
        out->peak_kib = process_peak_kib(options->pid);
        for (unsigned i = 0; i < options->connections; i++)
            standing += client_connected(l.slots[i].client);
    }
    load_free(&l);
    return standing;
}
