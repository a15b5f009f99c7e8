/* The conversations' windows of one thread: bounded in number and bytes, wiped, oldest use first.
 */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>

struct slot {
    struct window window; /* first: a window is its slot */
    struct slot *next;    /* in its bucket */
    struct slot *newer, *older;
    size_t bytes;
};

#define WINDOW_BUCKETS 16384u /* a power of two */

struct window_table {
    struct slot *buckets[WINDOW_BUCKETS];
    struct slot *newest, *oldest;
    unsigned count;
    size_t bytes;
};

int window_table_new(struct window_table **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : SLUIS_ENOMEM;
}

static struct slot **bucket(struct window_table *t, uint16_t channel, uint64_t subject)
{
    uint64_t h = (subject * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)channel * 0xc2b2ae3d27d4eb4full);
    return &t->buckets[(h >> 40) & (WINDOW_BUCKETS - 1)];
}

static void unlink_use(struct window_table *t, struct slot *s)
{
    if (s->newer)
        s->newer->older = s->older;
    else
        t->newest = s->older;
    if (s->older)
        s->older->newer = s->newer;
    else
        t->oldest = s->newer;
    s->newer = s->older = NULL;
}

static void link_newest(struct window_table *t, struct slot *s)
{
    s->older = t->newest;
    if (t->newest)
        t->newest->newer = s;
    t->newest = s;
    if (!t->oldest)
        t->oldest = s;
}

static void drop_message(struct window_table *t, struct slot *s, unsigned index)
{
    struct window_message *m = &s->window.messages[index];
    if (m->text.p) {
        sodium_memzero((char *)m->text.p, m->text.n);
        free((char *)m->text.p);
    }
    s->bytes -= m->text.n;
    t->bytes -= m->text.n;
    for (unsigned i = index + 1; i < s->window.count; i++)
        s->window.messages[i - 1] = s->window.messages[i];
    s->window.count--;
}

static void drop_slot(struct window_table *t, struct slot *s)
{
    struct slot **at = bucket(t, s->window.channel, s->window.subject);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    unlink_use(t, s);
    while (s->window.count)
        drop_message(t, s, s->window.count - 1);
    free(s);
    t->count--;
}

void window_table_free(struct window_table *t)
{
    if (!t)
        return;
    while (t->oldest)
        drop_slot(t, t->oldest);
    free(t);
}

struct window *window_get(struct window_table *t, uint16_t channel, uint64_t subject)
{
    struct slot **at = bucket(t, channel, subject);
    struct slot *s = *at;
    while (s && (s->window.channel != channel || s->window.subject != subject))
        s = s->next;
    if (!s) {
        while (t->oldest && (t->count >= WINDOW_CONVERSATIONS_MAX || t->bytes > WINDOW_BYTES_MAX))
            drop_slot(t, t->oldest);
        s = calloc(1, sizeof(*s));
        if (!s)
            return NULL;
        s->window.channel = channel;
        s->window.subject = subject;
        s->next = *at;
        *at = s;
        t->count++;
    } else {
        unlink_use(t, s);
    }
    link_newest(t, s);
    return &s->window;
}

void window_remove(struct window_table *t, uint16_t channel, uint64_t subject, uint64_t serial)
{
    struct slot *s = *bucket(t, channel, subject);
    while (s && (s->window.channel != channel || s->window.subject != subject))
        s = s->next;
    for (unsigned i = 0; s && i < s->window.count; i++) {
        if (s->window.messages[i].serial == serial) {
            drop_message(t, s, i);
            return;
        }
    }
}

void window_forget(struct window_table *t, uint64_t subject)
{
    for (struct slot *s = t->newest; s;) {
        struct slot *older = s->older;
        if (s->window.subject == subject)
            drop_slot(t, s);
        s = older;
    }
}

static bool is_newer(const struct window_message *m, int64_t at_ms, uint64_t serial)
{
    return m->at_ms > at_ms || (m->at_ms == at_ms && m->serial > serial);
}

int window_add(struct window_table *t, struct window *w, struct span text, bool from_customer,
               int64_t at_ms, uint64_t serial)
{
    struct slot *s = (struct slot *)w;
    uint32_t cut = 0;
    if (text.n > DETECT_WINDOW_BYTES) { /* the end of a long text is what its successor continues */
        cut = (uint32_t)(text.n - DETECT_WINDOW_BYTES);
        while (cut < text.n && ((unsigned char)text.p[cut] & 0xc0) == 0x80)
            cut++;
        text = span_from(text, cut);
    }
    unsigned place = 0; /* newest first; what arrives late goes behind */
    for (unsigned i = 0; i < w->count; i++) {
        if (w->messages[i].serial == serial)
            return 0;
        place += is_newer(&w->messages[i], at_ms, serial);
    }
    if (place == DETECT_WINDOW_MESSAGES)
        return 0;
    char *copy = malloc(text.n ? text.n : 1);
    if (!copy)
        return SLUIS_ENOMEM;
    if (text.n)
        memcpy(copy, text.p, text.n);
    if (w->count == DETECT_WINDOW_MESSAGES)
        drop_message(t, s, w->count - 1);
    for (unsigned i = w->count; i > place; i--)
        w->messages[i] = w->messages[i - 1];
    w->messages[place] =
        (struct window_message){span_of(copy, text.n), cut, from_customer, at_ms, serial};
    w->count++;
    s->bytes += text.n;
    t->bytes += text.n;
    while (s->bytes > DETECT_WINDOW_BYTES && w->count > 1)
        drop_message(t, s, w->count - 1);
    while (t->bytes > WINDOW_BYTES_MAX && t->oldest != s)
        drop_slot(t, t->oldest);
    return 0;
}
