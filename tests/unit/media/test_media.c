/* Rows, kinds, sealed files and the sweep of the media room, on the real store and keyring. */
#include "../keyring/help.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../store/support.h"
#include "internal.h"
#include "sluis/retention.h"

#define CLASS 3
#define BUCKET 490000
#define CONFIG_ROOM 65536 /* an empty snapshot, and its count of references behind it */

struct fixture {
    struct place place;
    char folder[256], media_folder[300];
    struct store *store;
    struct keyring *keyring;
    struct keyring_cache *keys;
    struct loop *loop;
    struct media *media;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    place_make(&f.place);
    test_folder(f.folder);
    assert_int_equal(place_open(&f.place, true, &f.keyring), 0);
    f.store = test_store(f.folder);
    assert_int_equal(keyring_cache_new(f.keyring, &f.keys), 0);
    assert_int_equal(loop_new(&f.loop, 0), 0);
    assert_int_equal(media_path(f.folder, f.media_folder, sizeof(f.media_folder)), 0);
    const struct media_deps deps = {.store = f.store,
                                    .keyring = f.keyring,
                                    .loop = f.loop,
                                    .path = f.media_folder,
                                    .memory_max = 64u << 20};
    assert_int_equal(media_new(&deps, &f.media), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    media_free(f->media);
    loop_free(f->loop);
    keyring_cache_free(f->keys);
    store_close(f->store);
    keyring_close(f->keyring);
    test_folder_remove(f->folder);
    place_remove(&f->place);
    return 0;
}

static struct media_item ready(uint64_t serial, struct span bytes)
{
    struct media_item item = {.state = MEDIA_READY,
                              .kind = MEDIA_PICTURE,
                              .classes = 1u << POLICY_PICTURE_CARD,
                              .covered = true,
                              .hidden = 1u << POLICY_PICTURE_CARD,
                              .ordinal = 1,
                              .keys = {CLASS, BUCKET, 7, serial, 'F'},
                              .since_ms = clock_wall_ms(),
                              .mime_type = "image/jpeg",
                              .name = "image",
                              .size = bytes.n};
    snprintf(item.id, sizeof(item.id), "9000%llu", (unsigned long long)serial);
    randombytes_buf(item.file, sizeof(item.file));
    crypto_hash_sha256(item.sha256, (const uint8_t *)bytes.p, bytes.n);
    return item;
}

static void rows(void **state)
{
    struct fixture *f = *state;
    struct media_item item = ready(41, SPAN("abc")), back;
    struct buffer row;
    buffer_init(&row, MEDIA_ROW_MAX);
    assert_int_equal(media_row_write(f->keys, &item, &row), 0);
    assert_int_equal(media_row_read(f->keys, buffer_span(&row), &back), 0);
    assert_memory_equal(&back.keys, &item.keys, sizeof(item.keys));
    assert_int_equal(back.state, MEDIA_READY);
    assert_int_equal(back.classes, item.classes);
    assert_true(back.covered);
    assert_int_equal(back.hidden, item.hidden);
    assert_int_equal(back.size, 3);
    assert_string_equal(back.id, item.id);
    assert_string_equal(back.mime_type, "image/jpeg");
    assert_memory_equal(back.sha256, item.sha256, 32);
    /* neither the id nor the type nor the hash stands in it in clear */
    assert_null(memmem(row.p, row.n, item.id, strlen(item.id)));
    assert_null(memmem(row.p, row.n, "image", 5));
    assert_null(memmem(row.p, row.n, item.sha256, 32));
    for (size_t i = 0; i < row.n; i++) { /* every byte counts, or is one of the numbers in clear */
        row.p[i] ^= 1;
        int r = media_row_read(f->keys, buffer_span(&row), &back);
        assert_true(r != 0 || (i >= 1 && i < 11) || (i >= 33 && i < 49));
        row.p[i] ^= 1;
    }
    for (size_t n = 0; n < row.n; n++)
        assert_int_not_equal(media_row_read(f->keys, span_of(row.p, n), &back), 0);
    /* rows of version 1 say nothing of what they stand for */
    assert_int_equal(media_row_read(f->keys, SPAN("12345678"), &back), SLUIS_EINVAL);
    const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = 41};
    assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
    assert_int_equal(media_row_read(f->keys, buffer_span(&row), &back), SLUIS_EEXPIRED);
    assert_int_equal(back.keys.serial, 41);
    buffer_free(&row);
}

static void kinds(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        enum media_kind kind;
        const char *type;
    } rows_of[] = {
        {"\xff\xd8\xff\xe0 jfif", 9, MEDIA_PICTURE, "image/jpeg"},
        {"\x89PNG\r\n\x1a\n....", 12, MEDIA_PICTURE, "image/png"},
        {"RIFF....WEBPVP8 ", 16, MEDIA_PICTURE, "image/webp"},
        {"RIFF....WAVEfmt ", 16, MEDIA_DOCUMENT, "application/octet-stream"},
        {"GIF89a..", 8, MEDIA_PICTURE, "image/gif"},
        {"\0\0\0\x18"
         "ftypheic....",
         16, MEDIA_PICTURE, "image/heic"},
        {"\0\0\0\x18"
         "ftypmsf1....",
         16, MEDIA_PICTURE, "image/heif-sequence"}, /* and not a film, which might pass */
        {"\0\0\0\x18"
         "ftyphevc....",
         16, MEDIA_PICTURE, "image/heic-sequence"},
        {"OggS....", 8, MEDIA_AUDIO, "audio/ogg"},
        {"\0\0\0\x18"
         "ftypmp42................",
         28, MEDIA_AUDIO, "audio/mp4"},
        {"\0\0\0\x18"
         "ftypmp42....hdlr\0\0\0\0\0\0\0\0vide",
         32, MEDIA_VIDEO, "video/mp4"},
        {"\0\0\0\x18"
         "ftyp3gp4....hdlr\0\0\0\0\0\0\0\0vide",
         32, MEDIA_VIDEO, "video/3gpp"},
        {"%PDF-1.7", 8, MEDIA_DOCUMENT, "application/pdf"},
        {"<html>", 6, MEDIA_DOCUMENT, "application/octet-stream"},
        {"", 0, MEDIA_DOCUMENT, "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof(rows_of) / sizeof(rows_of[0]); i++) {
        const char *type = NULL;
        assert_int_equal(media_kind_of(span_of(rows_of[i].bytes, rows_of[i].n), &type),
                         rows_of[i].kind);
        assert_string_equal(type, rows_of[i].type);
    }
}

static size_t path_of(struct fixture *f, const uint8_t *key, const struct media_item *item,
                      char *out, size_t size)
{
    char name[FILE_NAME_MAX];
    struct stat s;
    media_file_name(key, item->file, name);
    snprintf(out, size, "%s/%s", f->media_folder, name);
    return stat(out, &s) == 0 ? (size_t)s.st_size : 0;
}

static void flip(const char *path, size_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void files(void **state)
{
    struct fixture *f = *state;
    const size_t n = 3 * CHUNK_BYTES + 17;
    char *bytes = malloc(n), path[700];
    uint8_t key[MEDIA_KEY_BYTES];
    struct buffer back;
    assert_non_null(bytes);
    test_bytes(5, bytes, n);
    struct media_item item = ready(51, span_of(bytes, n));
    media_key(f->keyring, 1, span_str(item.id), key);
    buffer_init(&back, n);
    assert_int_equal(media_file_write(f->media->folder, f->keys, key, &item, span_of(bytes, n)), 0);
    assert_int_equal(media_file_read(f->media->folder, f->keys, key, &item, &back), 0);
    assert_int_equal(back.n, n);
    assert_memory_equal(back.p, bytes, n);
    size_t size = path_of(f, key, &item, path, sizeof(path));
    assert_true(size > n);
    const size_t at[] = {0, 3, 4, 40, CHUNK_BYTES / 2, CHUNK_BYTES + 90, size - 1};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) { /* a changed byte, anywhere */
        flip(path, at[i]);
        buffer_clear(&back);
        assert_int_not_equal(media_file_read(f->media->folder, f->keys, key, &item, &back), 0);
        flip(path, at[i]);
    }
    assert_int_equal(truncate(path, (off_t)(size - CHUNK_BYTES)), 0); /* not even at a chunk */
    buffer_clear(&back);
    assert_int_equal(media_file_read(f->media->folder, f->keys, key, &item, &back), SLUIS_ECRYPTO);
    assert_int_equal(
        media_file_write(f->media->folder, f->keys, key, &item, span_of(bytes, CHUNK_BYTES)), 0);
    buffer_clear(&back); /* a whole chunk fewer: every seal holds, the hash does not */
    assert_int_equal(media_file_read(f->media->folder, f->keys, key, &item, &back), SLUIS_ECRYPTO);
    assert_int_equal(media_file_write(f->media->folder, f->keys, key, &item, span_of(bytes, n)), 0);
    const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = 51};
    assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
    buffer_clear(&back);
    assert_int_equal(media_file_read(f->media->folder, f->keys, key, &item, &back), SLUIS_EEXPIRED);
    assert_int_equal(back.n, 0);
    assert_int_equal(media_file_write(f->media->folder, f->keys, key, &item, span_of(bytes, n)),
                     SLUIS_EEXPIRED);
    assert_int_equal(path_of(f, key, &item, path, sizeof(path)), 0);
    buffer_free(&back);
    free(bytes);
}

struct put {
    const uint8_t *key;
    struct span value;
};

static int put_row(struct store_txn *txn, void *ctx)
{
    struct put *p = ctx;
    store_put_row(txn, STORE_TABLE_MEDIA, span_of((const char *)p->key, MEDIA_KEY_BYTES), p->value);
    return store_txn_error(txn);
}

static void put_item(struct fixture *f, const struct media_item *item, uint8_t *key)
{
    struct buffer row;
    struct put put = {.key = key};
    buffer_init(&row, MEDIA_ROW_MAX);
    media_key(f->keyring, 1, span_str(item->id), key);
    assert_int_equal(media_row_write(f->keys, item, &row), 0);
    put.value = buffer_span(&row);
    assert_int_equal(test_run(f->store, put_row, &put), 0);
    if (item->state == MEDIA_READY)
        assert_int_equal(media_file_write(f->media->folder, f->keys, key, item, SPAN("abc")), 0);
    buffer_free(&row);
}

static struct media_swept sweep_all(struct fixture *f, unsigned most)
{
    struct media_swept all = {.rows = 0}, one = {.more = true};
    for (unsigned i = 0; i < 100 && one.more; i++) {
        assert_int_equal(media_sweep(f->media, most, &one), 0);
        all.rows += one.rows;
        all.files += one.files;
    }
    assert_false(one.more);
    return all;
}

static void sweep(void **state)
{
    struct fixture *f = *state;
    uint8_t keys[10][MEDIA_KEY_BYTES];
    struct media_item items[10], item;
    char path[700];
    struct buffer out;
    for (unsigned i = 0; i < 10; i++) {
        items[i] = ready(100 + i, SPAN("abc"));
        put_item(f, &items[i], keys[i]);
    }
    struct media_item old = {.state = MEDIA_SENT, .since_ms = clock_wall_ms() - UPLOAD_KEPT_MS - 1};
    struct media_item young = {.state = MEDIA_SENT, .since_ms = clock_wall_ms()};
    uint8_t key[MEDIA_KEY_BYTES];
    snprintf(old.id, sizeof(old.id), "555");
    snprintf(young.id, sizeof(young.id), "556");
    put_item(f, &old, key);
    put_item(f, &young, key);
    struct media_swept swept = sweep_all(f, 3);
    assert_int_equal(swept.rows, 1); /* the upload that Meta has forgotten */
    assert_int_equal(swept.files, 0);
    const struct keyring_leaf gone[] = {{.tree = KEYRING_MESSAGE, .leaf = 102},
                                        {.tree = KEYRING_MESSAGE, .leaf = 107}};
    assert_int_equal(keyring_puncture(f->keyring, gone, 2), 0);
    /* a file that nothing points to: a crash before its row, or a row that was replaced */
    struct media_item orphan = ready(200, SPAN("abc"));
    media_key(f->keyring, 1, span_str(orphan.id), key);
    assert_int_equal(media_file_write(f->media->folder, f->keys, key, &orphan, SPAN("abc")), 0);
    struct media_item replaced = items[4];
    replaced.file[0] ^= 1;
    assert_int_equal(media_file_write(f->media->folder, f->keys, keys[4], &replaced, SPAN("abc")),
                     0);
    swept = sweep_all(f, 3);
    assert_int_equal(swept.rows, 2);
    assert_int_equal(swept.files, 2);
    assert_int_equal(path_of(f, keys[2], &items[2], path, sizeof(path)), 0);
    assert_int_equal(path_of(f, key, &orphan, path, sizeof(path)), 0);
    buffer_init(&out, 100);
    for (unsigned i = 0; i < 10; i++) {
        bool lives = i != 2 && i != 7;
        buffer_clear(&out);
        assert_int_equal(media_read(f->media, 1, span_str(items[i].id), &item, &out),
                         lives ? 0 : SLUIS_ENOENT);
        assert_int_equal(out.n, lives ? 3 : 0);
    }
    assert_int_equal(media_read(f->media, 2, span_str(items[0].id), &item, &out), SLUIS_ENOENT);
    swept = sweep_all(f, 1000);
    assert_int_equal(swept.rows + swept.files, 0);
    buffer_free(&out);
}

/* The sweep reads on while files are written: one whose row was committed after the sweep's reading
 * began is no litter. */
static void sweep_beside_writing(void **state)
{
    struct fixture *f = *state;
    struct store_read *read;
    struct media_item item = ready(300, SPAN("abc")), orphan = ready(301, SPAN("abc"));
    uint8_t key[MEDIA_KEY_BYTES];
    char name[FILE_NAME_MAX];
    assert_int_equal(store_read_begin(f->store, &read), 0);
    put_item(f, &item, key);
    media_file_name(key, item.file, name);
    assert_true(media_file_named(f->media, f->keys, read, name));
    media_file_name(key, orphan.file, name); /* control: no row, then or now */
    name[FILE_NAME_MAX - 2] ^= 1;
    assert_false(media_file_named(f->media, f->keys, read, name));
    store_read_end(read);
}

static void readers(void **state)
{
    (void)state;
    static const char text[] =
        "policy: 1\nname: p\nactivity: proef\nprofiles: {w: {default: redact}}\n"
        "originals: [{keep: 24h, ground: x}]\nhistory: [{keep: 1y, ground: x}]\n"
        "routes: {a: {profile: w}, b: {profile: w, media: withhold}, "
        "c: {profile: w, media: pass}}\n"
        "media: {card: redact, id_document: withhold, iban: pass, audio: pass, unknown: "
        "withhold}\n";
    struct policy *policy;
    struct diag diag = {.text = ""};
    assert_int_equal(policy_load(span_str(text), "p.yaml", &policy, &diag), 0);
    const struct policy_route *a = policy_route(policy, "a"), *b = policy_route(policy, "b"),
                              *c = policy_route(policy, "c");
    struct media_item item = {.state = MEDIA_READY, .kind = MEDIA_PICTURE};
    static const struct {
        uint32_t classes;
        uint16_t hidden;
        enum mask_media_state state;
    } pictures[] = {
        {1u << POLICY_PICTURE_CLEAN, 0, MASK_MEDIA_PASSED},
        {1u << POLICY_PICTURE_CARD, 1u << POLICY_PICTURE_CARD, MASK_MEDIA_COVERED},
        {1u << POLICY_PICTURE_CARD, 0, MASK_MEDIA_WITHHELD}, /* policy asks for it since */
        {1u << POLICY_PICTURE_CARD | 1u << POLICY_PICTURE_IBAN, 1u << POLICY_PICTURE_IBAN,
         MASK_MEDIA_WITHHELD}, /* something was covered then, but not this */
        {1u << POLICY_PICTURE_CARD | 1u << POLICY_PICTURE_IBAN, 1u << POLICY_PICTURE_CARD,
         MASK_MEDIA_COVERED},
        {1u << POLICY_PICTURE_ID_DOCUMENT, UINT16_MAX, MASK_MEDIA_WITHHELD},
        {1u << POLICY_PICTURE_CARD | 1u << POLICY_PICTURE_ID_DOCUMENT, UINT16_MAX,
         MASK_MEDIA_WITHHELD},
        {1u << POLICY_PICTURE_IBAN, 0, MASK_MEDIA_PASSED},
        {1u << POLICY_PICTURE_BSN, UINT16_MAX, MASK_MEDIA_WITHHELD}, /* not named */
        {1u << 31, UINT16_MAX, MASK_MEDIA_WITHHELD},                 /* of a later version */
    };
    for (size_t i = 0; i < sizeof(pictures) / sizeof(pictures[0]); i++) {
        item.classes = pictures[i].classes;
        item.hidden = pictures[i].hidden;
        item.covered = item.hidden != 0;
        assert_int_equal(media_state_for(&item, policy, a), pictures[i].state);
        assert_int_equal(media_state_for(&item, policy, b), MASK_MEDIA_WITHHELD);
        /* a route that may have it as it is gets the version that is kept for all */
        if (item.classes != 1u << 31)
            assert_int_equal(media_state_for(&item, policy, c),
                             item.covered ? MASK_MEDIA_COVERED : MASK_MEDIA_PASSED);
    }
    item.kind = MEDIA_AUDIO;
    assert_int_equal(media_state_for(&item, policy, a), MASK_MEDIA_PASSED);
    assert_int_equal(media_state_for(&item, policy, b), MASK_MEDIA_WITHHELD);
    item.kind = MEDIA_DOCUMENT;
    assert_int_equal(media_state_for(&item, policy, a), MASK_MEDIA_WITHHELD);
    item.kind = MEDIA_AUDIO;
    item.state = MEDIA_HELD;
    assert_int_equal(media_state_for(&item, policy, a), MASK_MEDIA_WITHHELD);
    item.state = MEDIA_WAITING;
    assert_int_equal(media_state_for(&item, policy, a), MASK_MEDIA_WAITING);
    assert_int_equal(media_state_for(&item, policy, b), MASK_MEDIA_WITHHELD); /* come what may */
    policy_unref(policy);
}

/* ---- spools ---- */

static void byte_at(int fd, size_t at)
{
    char c;
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
}

/* The unnamed file of the one spool that there is. */
static int spool_fd(struct fixture *f)
{
    char path[64], link[512];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, link, sizeof(link) - 1);
        if (n <= 0)
            continue;
        link[n] = '\0';
        if (strstr(link, f->media_folder) && strstr(link, "(deleted)"))
            return fd;
    }
    return -1;
}

/* What goes in comes out, wherever it is cut; not in clear on the disk, under no name; what the
 * disk changes is refused; too much is refused. */
static void spools(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 300001};
    struct media_spool *s;
    struct buffer out;
    struct stat st;
    char *bytes = malloc(300001), *lies = malloc(400000);
    for (size_t i = 0; i < 300001; i++)
        bytes[i] = (char)("een nummer "[i % 11] + (int)(i >> 16));
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        size_t n = sizes[k];
        assert_int_equal(media_spool_new(f->media, 300001, &s), 0);
        for (size_t at = 0; at < n; at += 40000)
            assert_int_equal(
                spool_add(s, span_of(bytes + at, n - at < 40000 ? n - at : 40000), false), 0);
        assert_int_equal(spool_add(s, SPAN_EMPTY, true), 0);
        assert_int_equal(media_spool_size(s), n);
        for (size_t at = 0; at <= n; at += 30011) {
            buffer_init(&out, 400000);
            assert_int_equal(spool_read(s, at, n - at < 100000 ? n - at : 100000, &out), 0);
            assert_int_equal(out.n, n - at < 100000 ? n - at : 100000);
            assert_memory_equal(out.n ? out.p : "", bytes + at, out.n);
            buffer_free(&out);
        }
        buffer_init(&out, 400000);
        assert_int_equal(spool_read(s, n, 1, &out), SLUIS_EINVAL);
        int fd = spool_fd(f);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        if (n == 300001) {
            ssize_t there = pread(fd, lies, 400000, 0);
            assert_true(there > 300001);
            assert_null(memmem(lies, (size_t)there, "een nummer", 10));
            byte_at(fd, 70000);
            assert_int_equal(spool_read(s, 0, 65536, &out), 0);
            assert_int_equal(spool_read(s, 65536, 10, &out), SLUIS_ECRYPTO);
            byte_at(fd, 70000);
            assert_int_equal(ftruncate(fd, 200000), 0);
            assert_int_equal(spool_read(s, 250000, 10, &out), SLUIS_EIO);
        }
        buffer_free(&out);
        media_spool_free(s);
        (void)loop_drain(f->loop);
        assert_int_equal(spool_fd(f), -1);
    }
    assert_int_equal(media_spool_new(f->media, 10, &s), 0);
    assert_int_equal(spool_add(s, SPAN("0123456789"), false), 0);
    assert_int_equal(spool_add(s, SPAN("x"), false), SLUIS_ELIMIT);
    assert_int_equal(spool_add(s, SPAN_EMPTY, true), SLUIS_ELIMIT); /* and so it stays */
    media_spool_free(s);
    struct media_spool *many[SPOOLS_MAX];
    (void)loop_drain(f->loop);
    for (unsigned i = 0; i < SPOOLS_MAX; i++)
        assert_int_equal(media_spool_new(f->media, 10, &many[i]), 0);
    assert_int_equal(media_spool_new(f->media, 10, &s), SLUIS_EAGAIN);
    for (unsigned i = 0; i < SPOOLS_MAX; i++)
        media_spool_free(many[i]);
    (void)loop_drain(f->loop);
    assert_int_equal(atomic_load(&f->media->spooled), 0);
    assert_int_equal(media_spool_new(f->media, 10, &s), 0);
    media_spool_free(s);
    (void)loop_drain(f->loop);
    free(bytes);
    free(lies);
}

/* A disk that is full: told as such, and nothing is left of it. */
static void spool_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct media_spool *s;
    struct rlimit before, small = {200000, RLIM_INFINITY};
    char *bytes = calloc(1, 300000);
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(media_spool_new(f->media, 1000000, &s), 0);
    int r = spool_add(s, span_of(bytes, 300000), false);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, was);
    assert_int_equal(r, SLUIS_EFULL);
    assert_int_equal(spool_add(s, SPAN("x"), true), SLUIS_EFULL);
    media_spool_free(s);
    (void)loop_drain(f->loop);
    assert_int_equal(spool_fd(f), -1);
    assert_int_equal(atomic_load(&f->media->spooled), 0);
    free(bytes);
}

/* However the bytes of a file are cut, it is what it is as a whole. */
static void kinds_in_pieces(void **state)
{
    static const char movie[] = "\0\0\0\x18"
                                "ftypmp42";
    static const char voice[] = "\0\0\0\x18"
                                "ftypM4A ";
    static const char phone[] = "\0\0\0\x18"
                                "ftyp3gp4";
    static const char mark[] = "hdlr\0\0\0\0\0\0\0\0vide";
    const char *const heads[] = {movie, voice, phone};
    char bytes[6000];
    (void)state;
    for (unsigned h = 0; h < 3; h++) {
        for (int marked = 0; marked < 2; marked++) {
            for (size_t at = 5000; at < 5020; at++) {
                struct media_kind_scan scan = {.begun = false};
                const char *type;
                memset(bytes, 'h', sizeof(bytes));
                memcpy(bytes, heads[h], 12);
                if (marked)
                    memcpy(bytes + at, mark, 16);
                size_t n = at + 16;
                enum media_kind whole = media_kind_of(span_of(bytes, n), &type);
                assert_int_equal(whole, marked ? MEDIA_VIDEO : MEDIA_AUDIO);
                media_kind_scan(&scan, span_of(bytes, 4096));
                for (size_t from = 4096; from < n; from += 7)
                    media_kind_scan(&scan, span_of(bytes + from, n - from < 7 ? n - from : 7));
                assert_int_equal(scan.kind, whole);
                assert_string_equal(scan.mime_type, type);
            }
        }
    }
    assert_int_equal(media_send_max(MEDIA_PICTURE, "image/webp"), 500 * 1024);
    assert_int_equal(media_send_max(MEDIA_PICTURE, "image/png"), 5 * 1024 * 1024);
    assert_int_equal(media_send_max(MEDIA_DOCUMENT, "text/plain"), 100 * 1024 * 1024);
}

/* ---- kept beyond their keys ---- */

static int read_id(struct fixture *f, const struct media_item *item, struct buffer *out)
{
    struct media_item there;
    buffer_clear(out);
    return media_read(f->media, 1, span_str(item->id), &there, out);
}

static int find(struct fixture *f, const struct media_item *item, struct media_item *there)
{
    struct store_read *read;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(f->store, &read), 0);
    int r = media_find(read, f->keyring, f->keys, 1, span_str(item->id), &arena, there);
    store_read_end(read);
    arena_free(&arena);
    return r;
}

static bool tool_finds(struct fixture *f, const struct media_item *item)
{
    struct media_item there;
    return find(f, item, &there) == 0;
}

static void destroy(struct fixture *f, enum keyring_tree tree, uint16_t cls, uint32_t at)
{
    const struct keyring_leaf leaf = {.tree = tree, .cls = cls, .leaf = at};
    assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
}

#define HOLD_CLASS 9
#define HOLD 77

/* A hold keeps the files when their keys and rows are gone, for export and not for tools; its end
 * is theirs. Another person's go as ever. */
static void held(void **state)
{
    struct fixture *f = *state;
    char *bytes = malloc(200000);
    randombytes_buf(bytes, 200000);
    struct media_item item = ready(51, span_of(bytes, 200000)), other = ready(52, SPAN("ander"));
    uint8_t key[MEDIA_KEY_BYTES], other_key[MEDIA_KEY_BYTES];
    const struct record_id to = {HOLD_CLASS, HOLD, 7, 0, 'F'};
    struct buffer out;
    buffer_init(&out, 400000);
    other.keys.subject = 8;
    put_item(f, &item, key);
    put_item(f, &other, other_key);
    assert_int_equal(
        media_file_write(f->media->folder, f->keys, key, &item, span_of(bytes, 200000)), 0);
    assert_int_equal(media_file_write(f->media->folder, f->keys, other_key, &other, SPAN("ander")),
                     0);
    assert_int_equal(media_keep(f->media, 7, 0, &to), 0);
    assert_int_equal(media_keep(f->media, 7, 0, &to), 0); /* done is done */
    struct media_swept swept = sweep_all(f, 100);
    assert_int_equal(swept.rows + swept.files, 0);
    assert_true(tool_finds(f, &item));
    destroy(f, KEYRING_TIME, CLASS, BUCKET);
    swept = sweep_all(f, 100);
    assert_int_equal(swept.rows, 2);
    assert_false(tool_finds(f, &item));
    assert_int_equal(read_id(f, &item, &out), 0);
    assert_int_equal(out.n, 200000);
    assert_memory_equal(out.p, bytes, out.n);
    assert_int_equal(read_id(f, &other, &out), SLUIS_ENOENT);
    destroy(f, KEYRING_TIME, HOLD_CLASS, HOLD);
    assert_int_equal(read_id(f, &item, &out), SLUIS_EEXPIRED);
    swept = sweep_all(f, 100);
    assert_int_equal(swept.rows, 1);
    char name[FILE_NAME_MAX];
    media_file_name(key, item.file, name);
    assert_int_equal(faccessat(f->media->folder, name, F_OK, 0), -1);
    buffer_free(&out);
    free(bytes);
}

static int withdraw(struct store_txn *txn, void *ctx)
{
    retention_withdrawn_put(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

static int take_serial(void *ctx, uint64_t serial)
{
    *(uint64_t *)ctx = *(uint64_t *)ctx * 1000 + serial;
    return 0;
}

/* A message that is sealed anew takes its picture with it; the old file is gone. */
static void moved(void **state)
{
    struct fixture *f = *state;
    char *bytes = malloc(150000);
    randombytes_buf(bytes, 150000);
    struct media_item item = ready(61, span_of(bytes, 150000));
    const struct record_id to = {CLASS, BUCKET + 5, 7, 99, 'M'};
    uint8_t key[MEDIA_KEY_BYTES];
    char name[FILE_NAME_MAX];
    struct buffer out;
    buffer_init(&out, 400000);
    put_item(f, &item, key);
    assert_int_equal(
        media_file_write(f->media->folder, f->keys, key, &item, span_of(bytes, 150000)), 0);
    assert_int_equal(media_keep(f->media, 7, 60, &to), 0); /* another message */
    media_file_name(key, item.file, name);
    assert_int_equal(faccessat(f->media->folder, name, F_OK, 0), 0);
    assert_int_equal(media_keep(f->media, 7, 61, &to), 0);
    assert_int_equal(faccessat(f->media->folder, name, F_OK, 0), -1);
    destroy(f, KEYRING_MESSAGE, 0, 61);
    assert_true(tool_finds(f, &item));
    assert_int_equal(read_id(f, &item, &out), 0);
    assert_memory_equal(out.p, bytes, 150000);
    /* again, while the message itself has moved on: it is known by the message's own number */
    const struct record_id later = {CLASS, BUCKET + 5, 7, 111, 'M'};
    assert_int_equal(media_keep(f->media, 7, 61, &later), 0);
    uint64_t leaf = 0; /* and its leaf is told, for whoever destroys what nothing hangs under */
    assert_int_equal(media_each_leaf(f->media, take_serial, &leaf), 0);
    assert_int_equal(leaf, 111);
    destroy(f, KEYRING_MESSAGE, 0, 99);
    assert_true(tool_finds(f, &item));
    /* taken back by its sender afterwards, under the number of the message */
    uint64_t message = 61;
    assert_int_equal(test_run(f->store, withdraw, &message), 0);
    assert_false(tool_finds(f, &item));
    assert_int_equal(read_id(f, &item, &out), SLUIS_EEXPIRED);
    struct media_swept swept = sweep_all(f, 100);
    assert_int_equal(swept.rows + swept.files, 0);
    /* who brings the same id again tells a row that lives from one whose keys are gone */
    struct media_item there;
    assert_int_equal(find(f, &item, &there), SLUIS_EEXPIRED);
    assert_string_equal(there.id, item.id);
    destroy(f, KEYRING_MESSAGE, 0, 111);
    assert_int_equal(find(f, &item, &there), SLUIS_EEXPIRED);
    assert_string_equal(there.id, "");
    assert_int_equal(read_id(f, &item, &out), SLUIS_EEXPIRED);
    buffer_free(&out);
    free(bytes);
}

static struct job *job_of(struct fixture *f, const uint8_t *key)
{
    struct store_read *read;
    assert_int_equal(store_read_begin(f->store, &read), 0);
    struct job *j = job_from_row(f->media, read, key);
    store_read_end(read);
    return j;
}

static struct media_item row_of(struct fixture *f, const uint8_t *key)
{
    struct media_item there;
    struct store_read *read;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(f->store, &read), 0);
    assert_int_equal(media_row_get(read, f->keys, key, false, &arena, &there), 0);
    store_read_end(read);
    arena_free(&arena);
    return there;
}

/* The verdict is written, and what comes of it is done. */
static void decide(struct fixture *f, struct job *j)
{
    j->item.state = MEDIA_HELD;
    j->item.reason = MEDIA_NOT_READABLE;
    job_write(j);
    for (unsigned i = 0; i < 60000 && f->media->jobs && j->state == JOB_WRITTEN; i++) {
        (void)loop_drain(f->loop);
        usleep(1000);
    }
}

/* A picture that waits when its message is sealed anew: the verdict comes under the new keys,
 * whether the old ones are gone by then or not. */
static void moved_before_its_verdict(void **state)
{
    struct fixture *f = *state;
    struct config *config = calloc(1, CONFIG_ROOM);
    const struct record_id to = {CLASS, BUCKET + 5, 7, 99, 'M'},
                           then = {CLASS, BUCKET, 7, 120, 'M'};
    struct media_item item = ready(91, SPAN("abc"));
    uint8_t key[MEDIA_KEY_BYTES];
    item.state = MEDIA_WAITING;
    put_item(f, &item, key);
    assert_int_equal(config_cell_new(config_ref(config), &f->media->deps.config), 0);
    struct job *j = job_of(f, key);
    assert_true(waits_add(f->media, 91, 1));
    j->counted = true;

    /* the old keys live yet: its row is another one */
    assert_int_equal(media_keep(f->media, 7, 91, &to), 0);
    assert_int_equal(row_of(f, key).state, MEDIA_WAITING);
    decide(f, j);
    assert_ptr_equal(job_find(f->media, key), j);
    assert_int_equal(j->state, JOB_LATER);
    assert_int_equal(j->item.keys.serial, 99);
    assert_int_equal(j->item.message, 91);
    assert_int_equal(row_of(f, key).state,
                     MEDIA_WAITING); /* the old verdict did not take its place */

    /* they are gone: what it seals cannot be opened */
    assert_int_equal(media_keep(f->media, 7, 91, &then), 0);
    destroy(f, KEYRING_MESSAGE, 0, 99);
    decide(f, j);
    assert_ptr_equal(job_find(f->media, key), j);
    assert_int_equal(j->item.keys.serial, 120);
    assert_true(media_waits(f->media, 91));

    /* and now it stands */
    decide(f, j);
    assert_null(job_find(f->media, key));
    assert_false(media_waits(f->media, 91));
    assert_int_equal(row_of(f, key).state, MEDIA_HELD);
    assert_int_equal(row_of(f, key).message, 91);
    destroy(f, KEYRING_MESSAGE, 0, 91);
    assert_true(tool_finds(f, &item));

    /* one whose keys went, and that was not moved, is at an end */
    item = ready(92, SPAN("abc"));
    item.state = MEDIA_WAITING;
    put_item(f, &item, key);
    j = job_of(f, key);
    destroy(f, KEYRING_MESSAGE, 0, 92);
    decide(f, j);
    assert_null(job_find(f->media, key));
    config_ref(config); /* no snapshot of a file's: freed here */
    config_cell_free(f->media->deps.config);
    f->media->deps.config = NULL;
    free(config);
}

static void on_asked(struct media_ask *ask)
{
    *(bool *)ask->ctx = true;
}

static int ask_for(struct fixture *f, const struct media_item *item, bool with_bytes, size_t n)
{
    bool asked = false;
    struct media_ask ask = {
        .loop = f->loop, .done = on_asked, .ctx = &asked, .with_bytes = with_bytes, .n = n};
    media_key(f->keyring, 1, span_str(item->id), ask.key);
    media_ask(f->media, &ask);
    while (!asked)
        (void)loop_drain(f->loop);
    assert_int_equal(ask.bytes.n, ask.result == 0 && with_bytes ? n ? n : 3 : 0);
    buffer_free(&ask.bytes);
    return ask.result;
}

/* Who had asked before, and waits or has some pieces, gets nothing more either. */
static void withdrawn_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct media_item item = ready(81, SPAN("abc"));
    uint8_t key[MEDIA_KEY_BYTES];
    uint64_t message = 81;
    item.message = message;
    put_item(f, &item, key);
    assert_int_equal(ask_for(f, &item, false, 0), 0);
    assert_int_equal(ask_for(f, &item, true, 0), 0);
    assert_int_equal(ask_for(f, &item, true, 2), 0);
    assert_int_equal(test_run(f->store, withdraw, &message), 0);
    assert_int_equal(ask_for(f, &item, false, 0), SLUIS_EEXPIRED);
    assert_int_equal(ask_for(f, &item, true, 0), SLUIS_EEXPIRED);
    assert_int_equal(ask_for(f, &item, true, 2), SLUIS_EEXPIRED);
}

/* Any part of a file, wherever its chunks end; a chunk from elsewhere, or a shorter file: refused.
 */
static void parts(void **state)
{
    struct fixture *f = *state;
    char *bytes = malloc(300000), path[600];
    randombytes_buf(bytes, 300000);
    struct media_item item = ready(71, span_of(bytes, 300000));
    uint8_t key[MEDIA_KEY_BYTES];
    struct buffer out;
    buffer_init(&out, 400000);
    put_item(f, &item, key);
    int folder = f->media->folder;
    assert_int_equal(media_file_write(folder, f->keys, key, &item, span_of(bytes, 300000)), 0);
    for (size_t at = 0; at < 300000; at += 21845) {
        for (size_t n = 1; at + n <= 300000; n += 65535) {
            buffer_clear(&out);
            assert_int_equal(media_file_part(folder, f->keys, key, &item, at, n, &out), 0);
            assert_int_equal(out.n, n);
            assert_memory_equal(out.p, bytes + at, n);
        }
    }
    buffer_clear(&out);
    assert_int_equal(media_file_part(folder, f->keys, key, &item, 299999, 2, &out), SLUIS_EINVAL);
    path_of(f, key, &item, path, sizeof(path));
    flip(path, 4 + 30); /* the first chunk: the others are as they were */
    assert_int_equal(media_file_part(folder, f->keys, key, &item, 0, 10, &out), SLUIS_ECRYPTO);
    buffer_clear(&out);
    assert_int_equal(media_file_part(folder, f->keys, key, &item, 65536, 10, &out), 0);
    assert_int_equal(truncate(path, 200000), 0);
    assert_int_equal(media_file_part(folder, f->keys, key, &item, 290000, 10, &out), SLUIS_ECRYPTO);
    buffer_free(&out);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows, setup, teardown),
        cmocka_unit_test(kinds),
        cmocka_unit_test_setup_teardown(files, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep_beside_writing, setup, teardown),
        cmocka_unit_test(readers),
        cmocka_unit_test_setup_teardown(spools, setup, teardown),
        cmocka_unit_test_setup_teardown(spool_on_a_full_disk, setup, teardown),
        cmocka_unit_test(kinds_in_pieces),
        cmocka_unit_test_setup_teardown(held, setup, teardown),
        cmocka_unit_test_setup_teardown(moved, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_before_its_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(parts, setup, teardown),
        cmocka_unit_test_setup_teardown(withdrawn_meanwhile, setup, teardown),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
