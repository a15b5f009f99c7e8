/* Sealed files: written whole, synced, named by the row that points to them; read whole, checked.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void media_file_name(const uint8_t key[MEDIA_KEY_BYTES], const uint8_t file[MEDIA_FILE_ID],
                     char out[FILE_NAME_MAX])
{
    hex_encode(key, MEDIA_KEY_BYTES, out);
    out[2 * MEDIA_KEY_BYTES] = '-';
    hex_encode(file, MEDIA_FILE_ID, out + 2 * MEDIA_KEY_BYTES + 1);
}

static int errno_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? SLUIS_EFULL : SLUIS_EIO;
}

static int write_all(int fd, struct span s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return errno_error();
        s = span_from(s, (size_t)n);
    }
    return 0;
}

static int read_all(int fd, char *out, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t more = read(fd, out + *got, n - *got);
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return SLUIS_EIO;
        if (more == 0)
            break;
        *got += (size_t)more;
    }
    return 0;
}

static uint32_t generation_of(const struct media_item *item, uint32_t chunk)
{
    return (uint32_t)item->ordinal << CHUNK_NUMBERS | chunk;
}

/* The AEAD binds ordinal and number; file and number stand inside as well, where they are checked.
 */
static int write_chunk(int fd, struct keyring_cache *keys, const struct media_item *item,
                       uint32_t number, struct span bytes)
{
    struct buffer plain, sealed;
    uint8_t length[4];
    buffer_init(&plain, CHUNK_BYTES + CHUNK_HEAD);
    buffer_init(&sealed, CHUNK_SEALED_MAX);
    buffer_add(&plain, span_of((const char *)item->file, MEDIA_FILE_ID));
    buffer_add_be32(&plain, number);
    buffer_add(&plain, bytes);
    int r = plain.error;
    if (r == 0)
        r = record_seal(keys, STORE_TABLE_MEDIA, &item->keys, generation_of(item, number),
                        buffer_span(&plain), &sealed);
    be32_put(length, (uint32_t)sealed.n);
    if (r == 0)
        r = write_all(fd, span_of((const char *)length, sizeof(length)));
    if (r == 0)
        r = write_all(fd, buffer_span(&sealed));
    buffer_free(&plain);
    buffer_free(&sealed);
    return r;
}

int media_out_begin(struct media_out *o, int folder, struct keyring_cache *keys,
                    const uint8_t key[MEDIA_KEY_BYTES], const struct media_item *item)
{
    memset(o, 0, sizeof(*o));
    o->folder = folder;
    o->keys = keys;
    o->item = *item;
    media_file_name(key, item->file, o->name);
    buffer_init(&o->open, CHUNK_BYTES);
    crypto_hash_sha256_init(&o->hash);
    o->fd = -1;
    if (unlinkat(folder, o->name, 0) != 0 && errno != ENOENT) /* of a try that a crash ended */
        return SLUIS_EIO;
    o->fd = openat(folder, o->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    return o->fd < 0 ? errno_error() : 0;
}

static int close_chunk(struct media_out *o)
{
    int r = write_chunk(o->fd, o->keys, &o->item, o->number++, buffer_span(&o->open));
    buffer_clear(&o->open);
    return r;
}

int media_out_add(struct media_out *o, struct span bytes)
{
    int r = bytes.n > MEDIA_BYTES_MAX - o->size ? SLUIS_ELIMIT : 0;
    crypto_hash_sha256_update(&o->hash, (const uint8_t *)bytes.p, bytes.n);
    o->size += bytes.n;
    while (r == 0 && bytes.n) {
        size_t n = CHUNK_BYTES - o->open.n < bytes.n ? CHUNK_BYTES - o->open.n : bytes.n;
        buffer_add(&o->open, span_sub(bytes, 0, n));
        bytes = span_from(bytes, n);
        r = o->open.error;
        if (r == 0 && o->open.n == CHUNK_BYTES)
            r = close_chunk(o);
    }
    return r;
}

int media_out_end(struct media_out *o, uint8_t sha256[32])
{
    int r = o->open.n ? close_chunk(o) : 0;
    crypto_hash_sha256_final(&o->hash, sha256);
    if (r == 0 && fsync(o->fd) != 0)
        r = errno_error();
    if (r == 0 && fsync(o->folder) != 0)
        r = errno_error();
    if (r != 0) {
        media_out_drop(o);
        return r;
    }
    close(o->fd);
    o->fd = -1;
    buffer_free(&o->open);
    return 0;
}

void media_out_drop(struct media_out *o)
{
    buffer_free(&o->open);
    if (o->fd < 0)
        return;
    close(o->fd);
    o->fd = -1;
    unlinkat(o->folder, o->name, 0);
}

int media_file_write(int folder, struct keyring_cache *keys, const uint8_t key[MEDIA_KEY_BYTES],
                     const struct media_item *item, struct span bytes)
{
    struct media_out o;
    uint8_t hash[32];
    int r = media_out_begin(&o, folder, keys, key, item);
    if (r == 0)
        r = media_out_add(&o, bytes);
    if (r == 0)
        return media_out_end(&o, hash);
    media_out_drop(&o);
    return r;
}

/* The next chunk, appended without its head. 1: that was the end. */
static int read_chunk(int fd, struct keyring_cache *keys, const struct media_item *item,
                      uint32_t number, char *sealed, struct buffer *plain)
{
    uint8_t length[4];
    size_t got;
    int r = read_all(fd, (char *)length, sizeof(length), &got);
    if (r != 0 || got == 0)
        return r ? r : 1;
    size_t n = be32_get(length);
    if (got != sizeof(length) || n > CHUNK_SEALED_MAX)
        return SLUIS_ECRYPTO;
    r = read_all(fd, sealed, n, &got);
    if (r != 0 || got != n)
        return r ? r : SLUIS_ECRYPTO;
    buffer_clear(plain);
    r = record_open(keys, STORE_TABLE_MEDIA, &item->keys, span_of(sealed, n), plain);
    if (r != 0)
        return r;
    return plain->n >= CHUNK_HEAD && memcmp(plain->p, item->file, MEDIA_FILE_ID) == 0 &&
                   be32_get((const uint8_t *)plain->p + MEDIA_FILE_ID) == number
               ? 0
               : SLUIS_ECRYPTO;
}

int media_file_read(int folder, struct keyring_cache *keys, const uint8_t key[MEDIA_KEY_BYTES],
                    const struct media_item *item, struct buffer *out)
{
    char name[FILE_NAME_MAX], *sealed = malloc(CHUNK_SEALED_MAX);
    crypto_hash_sha256_state state;
    uint8_t hash[crypto_hash_sha256_BYTES];
    struct buffer plain;
    size_t before = out->n;
    media_file_name(key, item->file, name);
    int fd = sealed ? openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0) {
        free(sealed);
        return !sealed ? SLUIS_ENOMEM : errno == ENOENT ? SLUIS_ENOENT : SLUIS_EIO;
    }
    buffer_init(&plain, CHUNK_SEALED_MAX); /* record_open wants room for the tag */
    crypto_hash_sha256_init(&state);
    int r = 0;
    for (uint32_t number = 0; r == 0; number++) {
        r = read_chunk(fd, keys, item, number, sealed, &plain);
        if (r != 0)
            break;
        struct span bytes = span_from(buffer_span(&plain), CHUNK_HEAD);
        crypto_hash_sha256_update(&state, (const uint8_t *)bytes.p, bytes.n);
        buffer_add(out, bytes);
        r = out->error ? out->error : out->n - before > item->size ? SLUIS_ECRYPTO : 0;
    }
    crypto_hash_sha256_final(&state, hash);
    if (r == 1)
        r = out->n - before == item->size && memcmp(hash, item->sha256, sizeof(hash)) == 0
                ? 0
                : SLUIS_ECRYPTO;
    buffer_free(&plain);
    free(sealed);
    close(fd);
    return r;
}

/* Full chunks are all of one length on the disk: the one that holds a byte is found by counting. */
int media_file_part(int folder, struct keyring_cache *keys, const uint8_t key[MEDIA_KEY_BYTES],
                    const struct media_item *item, uint64_t at, size_t n, struct buffer *out)
{
    char name[FILE_NAME_MAX], *sealed = malloc(CHUNK_SEALED_MAX);
    struct buffer plain;
    if (!sealed || at > item->size || n > item->size - at) {
        free(sealed);
        return sealed ? SLUIS_EINVAL : SLUIS_ENOMEM;
    }
    media_file_name(key, item->file, name);
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd >= 0 ? 0 : errno == ENOENT ? SLUIS_ENOENT : SLUIS_EIO;
    uint64_t number = at / CHUNK_BYTES;
    if (r == 0 && lseek(fd, (off_t)(number * (4 + CHUNK_SEALED_MAX)), SEEK_SET) < 0)
        r = SLUIS_EIO;
    buffer_init(&plain, CHUNK_SEALED_MAX);
    for (; r == 0 && n; number++) {
        uint64_t from = number * CHUNK_BYTES;
        size_t whole = item->size - from < CHUNK_BYTES ? (size_t)(item->size - from) : CHUNK_BYTES;
        r = read_chunk(fd, keys, item, (uint32_t)number, sealed, &plain);
        if (r != 0 || plain.n != CHUNK_HEAD + whole) { /* 1: it ends before its time */
            r = r < 0 ? r : SLUIS_ECRYPTO;
            break;
        }
        size_t skip = (size_t)(at - from), take = whole - skip < n ? whole - skip : n;
        buffer_add(out, span_of(plain.p + CHUNK_HEAD + skip, take));
        r = out->error;
        at += take;
        n -= take;
    }
    buffer_free(&plain);
    free(sealed);
    if (fd >= 0)
        close(fd);
    return r;
}

void media_file_remove(int folder, const uint8_t key[MEDIA_KEY_BYTES],
                       const uint8_t file[MEDIA_FILE_ID])
{
    char name[FILE_NAME_MAX];
    media_file_name(key, file, name);
    unlinkat(folder, name, 0);
}
