#include "sluis/base/log.h"
#include "sluis/base/buffer.h"
#include "sluis/base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int least_level = LOG_INFO;
static _Atomic int form_wanted = LOG_KEY_VALUE;
static _Atomic int log_fd = STDERR_FILENO;

static const char *const level_words[] = {"alarm", "error", "warn", "info", "debug"};

void log_configure(enum log_level least, enum log_form form, int fd)
{
    atomic_store(&least_level, (int)least);
    atomic_store(&form_wanted, (int)form);
    atomic_store(&log_fd, fd);
}

struct log_field log_error(int error)
{
    return log_word("error", error_word(error));
}

struct log_field log_errno(void)
{
    const char *name = strerrorname_np(errno);
    return log_word("errno", name ? name : "unknown");
}

struct line {
    char text[LOG_LINE_MAX];
    size_t n;
};

static void put(struct line *l, char c)
{
    if (l->n < LOG_LINE_MAX - 2) /* room for the end of the line */
        l->text[l->n++] = c;
}

static void put_text(struct line *l, const char *s)
{
    while (*s)
        put(l, *s++);
}

/* Printable ASCII passes, save what would end the value; the rest as \xNN. JSON needs \u00NN. */
static void put_word(struct line *l, const char *s, bool json)
{
    bool quote = json;
    for (const char *p = s; !quote && *p; p++)
        quote = *p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p >= 0x7f;
    quote = quote || !*s;
    if (quote)
        put(l, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char escape[8];
        if (c == '"' || c == '\\') {
            put(l, '\\');
            put(l, (char)c);
        } else if (c < ' ' || c >= 0x7f) {
            snprintf(escape, sizeof(escape), json ? "\\u00%02x" : "\\x%02x", c);
            put_text(l, escape);
        } else {
            put(l, (char)c);
        }
    }
    if (quote)
        put(l, '"');
}

static void put_key(struct line *l, const char *key, bool json)
{
    if (json) {
        put_text(l, l->n > 1 ? ",\"" : "\"");
        put_text(l, key);
        put_text(l, "\":");
    } else {
        if (l->n)
            put(l, ' ');
        put_text(l, key);
        put(l, '=');
    }
}

static void put_field(struct line *l, const struct log_field *f, bool json)
{
    char number[24];
    put_key(l, f->key, json);
    switch (f->kind) {
    case LOG_KIND_U64:
        snprintf(number, sizeof(number), "%llu", (unsigned long long)f->number);
        put_text(l, number);
        break;
    case LOG_KIND_I64:
        snprintf(number, sizeof(number), "%lld", (long long)(int64_t)f->number);
        put_text(l, number);
        break;
    case LOG_KIND_WORD:
        put_word(l, f->word ? f->word : "-", json);
        break;
    }
}

void log_write(enum log_level level, const char *room, const char *event,
               const struct log_field *fields, size_t n)
{
    if ((int)level > atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    int saved = errno;
    bool json = atomic_load(&form_wanted) == LOG_JSON;
    struct line l = {.n = 0};
    char ts[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms(), ts);
    if (json)
        put(&l, '{');
    const struct log_field first[] = {log_word("ts", ts), log_word("level", level_words[level]),
                                      log_word("room", room), log_word("event", event)};
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        put_field(&l, &first[i], json);
    for (size_t i = 0; i < n; i++)
        put_field(&l, &fields[i], json);
    if (json)
        put(&l, '}');
    l.text[l.n++] = '\n';
    ssize_t written = write(atomic_load(&log_fd), l.text, l.n);
    (void)written; /* a log that cannot be written must not stop the gateway */
    errno = saved;
}
