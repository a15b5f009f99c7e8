/* Datagrams with descriptors, the check of a child's result, detect settings as bytes. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"

#define FDS_MAX 4 /* descriptors that any datagram carries */

int wire_send(int socket, const struct wire_message *message, const int *fds, unsigned count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > FDS_MAX)
        return SLUIS_EINVAL;
    if (count) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(socket, &head, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof *message)
        return 0;
    return n < 0 && (errno == EPIPE || errno == ECONNRESET) ? SLUIS_ECLOSED : SLUIS_ESYS;
}

/* Takes the descriptors out of a message: those past `most` are closed. Returns how many came. */
static unsigned take_fds(struct msghdr *head, int *fds, unsigned most)
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (count < most)
                fds[count] = fd;
            else
                close(fd);
            count++;
        }
    }
    return count;
}

int wire_receive(int socket, struct wire_message *message, int *fds, unsigned most, unsigned *count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    struct msghdr head = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    *count = 0;
    ssize_t n;
    do
        n = recvmsg(socket, &head, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return SLUIS_ECLOSED;
    if (n < 0)
        return errno == EAGAIN ? SLUIS_EAGAIN : SLUIS_ESYS;
    unsigned came = take_fds(&head, fds, most);
    *count = came < most ? came : most;
    bool good = n == (ssize_t)sizeof *message && !(head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
                came <= most && message->magic == WIRE_MAGIC && message->version == WIRE_VERSION;
    if (good) {
        message->versions[sizeof message->versions - 1] = 0;
        message->problem[sizeof message->problem - 1] = 0;
        return 0;
    }
    for (unsigned i = 0; i < *count; i++)
        close(fds[i]);
    *count = 0;
    return SLUIS_EINVAL;
}

/* ---- result ---- */

static bool finding_holds(const struct picture_finding *f, const struct wire_result *r)
{
    return f->score <= 1000 && f->class < PICTURE_CLASSES && f->covered <= 1 &&
           f->type < DETECT_TYPES_MAX + PICTURE_FOUND_END && f->x >= 0 && f->y >= 0 && f->w >= 0 &&
           f->h >= 0 && (uint32_t)f->x <= r->width && (uint32_t)f->y <= r->height &&
           (uint32_t)f->w <= r->width - (uint32_t)f->x &&
           (uint32_t)f->h <= r->height - (uint32_t)f->y;
}

/* Numbers in range and outcomes that go together: a picture that nobody judged is never passed on.
 */
static bool head_holds(const struct wire_result *r, uint64_t job, size_t n)
{
    if (r->magic != WIRE_MAGIC || r->version != WIRE_VERSION || r->job != job ||
        r->outcome > PICTURE_REDACTED || r->reason >= PICTURE_REASONS ||
        r->classes >> PICTURE_CLASSES || r->in > PICTURE_GIF || r->kind > PICTURE_WEBP ||
        r->width > PICTURE_SIDE_MAX || r->height > PICTURE_SIDE_MAX ||
        r->engine > PICTURE_ENGINE_TESSERACT || r->findings > PICTURE_FINDINGS_MAX ||
        r->text > PICTURE_TEXT_MAX)
        return false;
    if (n != sizeof *r + r->findings * sizeof(struct picture_finding) + r->text)
        return false;
    if (r->outcome == PICTURE_WITHHELD)
        return r->kind == PICTURE_KIND_NONE && r->reason != PICTURE_OK;
    return r->kind != PICTURE_KIND_NONE && r->reason == PICTURE_OK && r->width && r->height &&
           r->engine != PICTURE_ENGINE_NONE && r->classes;
}

int wire_result_read(struct span bytes, uint64_t job, struct picture_verdict *out)
{
    struct wire_result r;
    if (bytes.n < sizeof r)
        return SLUIS_EINVAL;
    memcpy(&r, bytes.p, sizeof r);
    if (!head_holds(&r, job, bytes.n))
        return SLUIS_EINVAL;
    struct picture_finding *findings = NULL;
    char *text = NULL;
    if (r.findings) {
        findings = calloc(r.findings, sizeof *findings);
        if (!findings)
            return SLUIS_ENOMEM;
        memcpy(findings, bytes.p + sizeof r, r.findings * sizeof *findings);
        for (uint32_t i = 0; i < r.findings; i++)
            if (!finding_holds(&findings[i], &r)) {
                free(findings);
                return SLUIS_EINVAL;
            }
    }
    if (r.text) {
        text = malloc(r.text);
        if (!text) {
            free(findings);
            return SLUIS_ENOMEM;
        }
        memcpy(text, bytes.p + bytes.n - r.text, r.text);
    }
    out->outcome = (enum picture_outcome)r.outcome;
    out->reason = (enum picture_reason)r.reason;
    out->classes = r.classes;
    out->in = (enum picture_kind)r.in;
    out->kind = (enum picture_kind)r.kind;
    out->width = r.width;
    out->height = r.height;
    out->findings = findings;
    out->finding_count = r.findings;
    out->text = span_of(text, r.text);
    out->engine = (enum picture_engine)r.engine;
    out->passes = r.passes;
    out->ms = r.ms;
    out->peak_kib = r.peak_kib;
    return 0;
}

/* ---- detect settings: numbers big-endian, strings with a length before them ---- */

static void put_string(struct buffer *b, const char *s)
{
    struct span text = span_str(s);
    buffer_add_be16(b, text.n > UINT16_MAX ? 0 : (uint16_t)text.n);
    buffer_add(b, text);
    if (text.n > UINT16_MAX)
        b->error = SLUIS_ELIMIT;
}

static void put_strings(struct buffer *b, const char *const *list, size_t n)
{
    buffer_add_be32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_string(b, list[i]);
}

int wire_settings_write(const struct detect_settings *settings, struct buffer *out)
{
    for (unsigned i = 0; i < DETECT_OWN; i++)
        buffer_add_be16(out, settings->from[i]);
    buffer_add_be16(out, settings->strict);
    buffer_add_be32(out, (uint32_t)settings->own_count);
    for (size_t i = 0; i < settings->own_count; i++) {
        const struct detect_own *own = &settings->own[i];
        put_string(out, own->name);
        put_string(out, own->validator);
        buffer_add_be16(out, own->score);
        put_strings(out, own->patterns, own->pattern_count);
        put_strings(out, own->context, own->context_count);
        put_strings(out, own->counter, own->counter_count);
    }
    put_strings(out, settings->special_words, settings->special_count);
    if (out->n > WIRE_SETTINGS_MAX)
        return SLUIS_ELIMIT;
    return out->error;
}

struct take { /* a sticky reader: after the first error everything is zero */
    struct span rest;
    struct arena *arena;
    int error;
};

static uint32_t take_be(struct take *t, size_t n)
{
    uint32_t v = 0;
    if (t->error || t->rest.n < n) {
        t->error = t->error ? t->error : SLUIS_EINVAL;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)t->rest.p[i];
    t->rest = span_from(t->rest, n);
    return v;
}

static const char *take_string(struct take *t)
{
    size_t n = take_be(t, 2);
    if (t->error || t->rest.n < n) {
        t->error = t->error ? t->error : SLUIS_EINVAL;
        return "";
    }
    const char *s = arena_try_str(t->arena, span_sub(t->rest, 0, n));
    if (!s)
        t->error = SLUIS_ENOMEM;
    t->rest = span_from(t->rest, n);
    return s ? s : "";
}

static const char *const *take_strings(struct take *t, size_t *n)
{
    *n = take_be(t, 4);
    if (*n > t->rest.n / 2) /* each has a length of two bytes */
        t->error = t->error ? t->error : SLUIS_EINVAL;
    const char **list = t->error || !*n ? NULL : arena_try(t->arena, *n * sizeof *list);
    if (!list) {
        if (*n && !t->error)
            t->error = SLUIS_ENOMEM;
        *n = 0;
        return NULL;
    }
    for (size_t i = 0; i < *n; i++)
        list[i] = take_string(t);
    return list;
}

int wire_settings_read(struct span bytes, struct arena *arena, struct detect_settings *out)
{
    struct take t = {.rest = bytes, .arena = arena};
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < DETECT_OWN; i++)
        out->from[i] = (uint16_t)take_be(&t, 2);
    out->strict = take_be(&t, 2) != 0;
    out->own_count = take_be(&t, 4);
    if (out->own_count > DETECT_OWN_MAX)
        return SLUIS_EINVAL;
    struct detect_own *own = arena_try_zero(arena, (out->own_count + 1) * sizeof *own);
    if (!own)
        return SLUIS_ENOMEM;
    out->own = own;
    for (size_t i = 0; i < out->own_count; i++) {
        own[i].name = take_string(&t);
        own[i].validator = take_string(&t);
        own[i].score = (uint16_t)take_be(&t, 2);
        own[i].patterns = take_strings(&t, &own[i].pattern_count);
        own[i].context = take_strings(&t, &own[i].context_count);
        own[i].counter = take_strings(&t, &own[i].counter_count);
    }
    out->special_words = take_strings(&t, &out->special_count);
    if (!t.error && t.rest.n)
        t.error = SLUIS_EINVAL;
    return t.error;
}

/* A list: key (8 bytes), length (4), settings; one after another. */
int wire_detect_add(uint64_t key, const struct detect_settings *settings, struct buffer *list)
{
    struct buffer one;
    buffer_init(&one, WIRE_SETTINGS_MAX);
    int error = wire_settings_write(settings, &one);
    if (!error) {
        buffer_add_be64(list, key);
        buffer_add_be32(list, (uint32_t)one.n);
        buffer_add(list, buffer_span(&one));
        error = list->error;
    }
    buffer_free(&one);
    return error;
}

int wire_detect_next(struct span *list, struct arena *arena, uint64_t *key,
                     struct detect_settings *out)
{
    struct take t = {.rest = *list};
    if (!list->n)
        return SLUIS_ENOENT;
    *key = (uint64_t)take_be(&t, 4) << 32;
    *key |= take_be(&t, 4);
    size_t n = take_be(&t, 4);
    if (t.error || n > t.rest.n)
        return SLUIS_EINVAL;
    *list = span_from(t.rest, n);
    return wire_settings_read(span_sub(t.rest, 0, n), arena, out);
}
