/*
 * What tools send, on its way: an unnamed file in the room's folder, sealed with a key that lives
 * in memory only, for the time of one call. A crash, a stolen disk and the free blocks of the file
 * hold nothing that can be read. On the room's loop, which may wait for the disk; handed over by
 * mail.
 *
 * On disk: pieces of SPOOL_PIECE bytes (the last one shorter), each as nonce (24), ciphertext, tag
 * (16); associated data is its number.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SPOOL_HEAD crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SPOOL_OVER (SPOOL_HEAD + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define SPOOL_KEY crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define SPOOL_PIECE (64u * 1024)

struct media_spool {
    struct mail mail; /* first: its end */
    struct media *media;
    int fd; /* -1: nothing written yet */
    bool ended;
    int error; /* the first; everything fails from then on */
    uint64_t max, size;
    struct buffer open; /* the piece that is not full yet */
    uint8_t *key;       /* guarded memory */
};

int media_spool_new(struct media *m, uint64_t max, struct media_spool **out)
{
    *out = NULL;
    if (atomic_fetch_add(&m->spools, 1) >= SPOOLS_MAX) {
        atomic_fetch_sub(&m->spools, 1);
        return SLUIS_EAGAIN;
    }
    struct media_spool *s = calloc(1, sizeof(*s));
    if (s && !(s->key = sodium_malloc(SPOOL_KEY))) {
        free(s);
        s = NULL;
    }
    if (!s) {
        atomic_fetch_sub(&m->spools, 1);
        return SLUIS_ENOMEM;
    }
    randombytes_buf(s->key, SPOOL_KEY);
    s->media = m;
    s->fd = -1;
    s->max = max;
    buffer_init(&s->open, SPOOL_PIECE);
    *out = s;
    return 0;
}

static void on_free(struct mail *mail)
{
    struct media_spool *s = (struct media_spool *)mail;
    if (s->fd >= 0)
        close(s->fd);
    atomic_fetch_sub_explicit(&s->media->spooled, (long long)s->size, memory_order_relaxed);
    atomic_fetch_sub(&s->media->spools, 1);
    buffer_free(&s->open);
    sodium_free(s->key); /* wiped: from here on the file says nothing */
    free(s);
}

void media_spool_free(struct media_spool *s)
{
    if (s)
        loop_post(s->media->deps.loop, &s->mail, on_free);
}

/* No name at any time; where the file system cannot, one for a moment. */
static int open_file(struct media_spool *s)
{
    uint8_t random[8];
    char name[32] = "spool-";
    s->fd = openat(s->media->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (s->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        randombytes_buf(random, sizeof(random));
        hex_encode(random, sizeof(random), name + 6);
        s->fd = openat(s->media->folder, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (s->fd >= 0 && unlinkat(s->media->folder, name, 0) != 0)
            return SLUIS_EIO;
    }
    if (s->fd >= 0)
        return 0;
    return errno == ENOSPC || errno == EDQUOT ? SLUIS_EFULL : SLUIS_EIO;
}

static int put_at(int fd, const uint8_t *p, size_t n, uint64_t at)
{
    while (n) {
        ssize_t w = pwrite(fd, p, n, (off_t)at);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return w == 0 || errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? SLUIS_EFULL
                                                                                  : SLUIS_EIO;
        p += w;
        n -= (size_t)w;
        at += (uint64_t)w;
    }
    return 0;
}

static uint64_t place_of(uint64_t piece)
{
    return piece * (SPOOL_PIECE + SPOOL_OVER);
}

/* The piece that stands open, sealed and written as number `piece`. */
static int write_piece(struct media_spool *s, uint64_t piece)
{
    uint8_t number[8], *out = malloc(SPOOL_PIECE + SPOOL_OVER);
    unsigned long long n = 0;
    if (!out)
        return SLUIS_ENOMEM;
    be64_put(number, piece);
    randombytes_buf(out, SPOOL_HEAD);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + SPOOL_HEAD, &n, (const uint8_t *)s->open.p,
                                               s->open.n, number, sizeof(number), NULL, out,
                                               s->key);
    int r = put_at(s->fd, out, SPOOL_HEAD + (size_t)n, place_of(piece));
    free(out);
    buffer_clear(&s->open);
    return r;
}

int spool_add(struct media_spool *s, struct span bytes, bool last)
{
    struct media *m = s->media;
    if (s->error == 0 && (s->ended || bytes.n > s->max - s->size))
        s->error = SLUIS_ELIMIT;
    if (s->error == 0 && s->fd < 0)
        s->error = open_file(s);
    if (s->error == 0 &&
        atomic_fetch_add(&m->spooled, (long long)bytes.n) + (long long)bytes.n > SPOOLED_MAX) {
        atomic_fetch_sub(&m->spooled, (long long)bytes.n);
        s->error = SLUIS_EFULL;
    }
    if (s->error != 0)
        return s->error;
    uint64_t piece = s->size / SPOOL_PIECE;
    s->size += bytes.n;
    while (s->error == 0 && bytes.n) {
        size_t n = SPOOL_PIECE - s->open.n < bytes.n ? SPOOL_PIECE - s->open.n : bytes.n;
        buffer_add(&s->open, span_sub(bytes, 0, n));
        bytes = span_from(bytes, n);
        if (s->open.error)
            s->error = s->open.error;
        else if (s->open.n == SPOOL_PIECE)
            s->error = write_piece(s, piece++);
    }
    s->ended = last;
    if (s->error == 0 && last && s->open.n)
        s->error = write_piece(s, piece);
    return s->error;
}

static int read_piece(struct media_spool *s, uint64_t piece, struct buffer *out)
{
    uint64_t from = piece * SPOOL_PIECE;
    size_t plain = s->size - from < SPOOL_PIECE ? (size_t)(s->size - from) : SPOOL_PIECE;
    size_t n = plain + SPOOL_OVER, got = 0;
    uint8_t number[8], *in = malloc(n);
    char *to = in ? buffer_reserve(out, plain) : NULL;
    int r = to ? 0 : SLUIS_ENOMEM;
    while (r == 0 && got < n) {
        ssize_t more = pread(s->fd, in + got, n - got, (off_t)(place_of(piece) + got));
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            r = SLUIS_EIO;
        else
            got += (size_t)more;
    }
    be64_put(number, piece);
    unsigned long long opened = 0;
    if (r == 0 && crypto_aead_xchacha20poly1305_ietf_decrypt(
                      (uint8_t *)to, &opened, NULL, in + SPOOL_HEAD, n - SPOOL_HEAD, number,
                      sizeof(number), in, s->key) != 0)
        r = SLUIS_ECRYPTO;
    if (r == 0)
        out->n += (size_t)opened;
    free(in);
    return r;
}

int spool_read(struct media_spool *s, uint64_t at, size_t n, struct buffer *out)
{
    if (s->error != 0)
        return s->error;
    if (!s->ended || at > s->size || n > s->size - at)
        return SLUIS_EINVAL;
    uint64_t end = at + n;
    size_t skip = (size_t)(at % SPOOL_PIECE), before = out->n;
    int r = 0;
    for (uint64_t piece = at / SPOOL_PIECE; r == 0 && piece * SPOOL_PIECE < end; piece++)
        r = read_piece(s, piece, out);
    if (r != 0)
        return r;
    if (skip) {
        memmove(out->p + before, out->p + before + skip, out->n - before - skip);
        sodium_memzero(out->p + out->n - skip, skip);
        out->n -= skip;
    }
    if (out->n - before > n) {
        sodium_memzero(out->p + before + n, out->n - before - n);
        out->n = before + n;
    }
    return 0;
}

uint64_t media_spool_size(const struct media_spool *s)
{
    return s->size;
}

/* ---- by mail ---- */

static void on_told(struct mail *mail)
{
    struct media_spool_op *op = (struct media_spool_op *)mail;
    op->done(op);
}

static void on_op(struct mail *mail)
{
    struct media_spool_op *op = (struct media_spool_op *)mail;
    struct media_spool *s = op->spool;
    if (op->what == MEDIA_SPOOL_READ) {
        /* Whole pieces come out of the file. */
        buffer_init(&op->bytes, op->n + 2 * (size_t)SPOOL_PIECE);
        op->result = spool_read(s, op->at, op->n, &op->bytes);
    } else {
        op->result = spool_add(s, buffer_span(&op->bytes), op->what == MEDIA_SPOOL_LAST);
        buffer_clear(&op->bytes);
    }
    loop_post(op->loop, &op->mail, on_told);
}

void media_spool_run(struct media_spool *s, struct media_spool_op *op)
{
    op->spool = s;
    op->result = 0;
    loop_post(s->media->deps.loop, &op->mail, on_op);
}
