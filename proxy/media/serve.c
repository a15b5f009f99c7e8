/* Tools that ask for an item: answered from its row and file, or they wait for its verdict. */
#include "internal.h"

static void on_answered(struct mail *mail)
{
    struct media_ask *ask = (struct media_ask *)mail;
    ask->done(ask);
}

void ask_finish(struct media *m, struct media_ask *ask, int result)
{
    ask->result = result;
    media_count(m, result == 0 ? M_SERVED : M_NOT_SERVED);
    loop_post(ask->loop, &ask->mail, on_answered);
}

/* Also of what waited for its verdict, or goes piece by piece: taken back meanwhile, it ends. */
static int read_item(struct media *m, const uint8_t key[MEDIA_KEY_BYTES], struct media_item *item)
{
    struct store_read *read;
    struct arena arena;
    struct span value;
    int r = store_read_begin(m->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, ARENA_MAX);
    r = store_get_row(read, STORE_TABLE_MEDIA, span_of((const char *)key, MEDIA_KEY_BYTES), &arena,
                      &value);
    if (r == 0)
        r = media_row_read(m->keys, value, item);
    if (r == 0)
        r = media_row_shown(read, item);
    store_read_end(read);
    arena_free(&arena);
    return r;
}

static int read_bytes(struct media *m, struct media_ask *ask)
{
    if (ask->n) {
        buffer_init(&ask->bytes, ask->n);
        int part =
            media_file_part(m->folder, m->keys, ask->key, &ask->item, ask->at, ask->n, &ask->bytes);
        if (part != 0)
            buffer_free(&ask->bytes);
        return part;
    }
    /* What is handed over is the asker's to count; here it is what stands at once. */
    if (m->bytes + ask->item.size > m->deps.memory_max)
        return SLUIS_ELIMIT;
    buffer_init(&ask->bytes, ask->item.size ? ask->item.size : 1);
    int r = media_file_read(m->folder, m->keys, ask->key, &ask->item, &ask->bytes);
    if (r != 0)
        buffer_free(&ask->bytes);
    return r;
}

void ask_answer(struct media *m, struct media_ask *ask)
{
    int r = read_item(m, ask->key, &ask->item);
    if (r == 0 && ask->item.state == MEDIA_HELD)
        r = SLUIS_EDENIED;
    else if (r == 0 && ask->item.state == MEDIA_WAITING)
        r = SLUIS_EAGAIN;
    else if (r == 0 && ask->item.state == MEDIA_READY && ask->with_bytes)
        r = read_bytes(m, ask);
    ask_finish(m, ask, r);
}

static void wait_with(struct media *m, struct job *j, struct media_ask *ask)
{
    int64_t soon = clock_mono_ms() + BACKOFF_FIRST_MS;
    if (m->ask_count >= ASKS_MAX) {
        ask_finish(m, ask, SLUIS_EAGAIN);
        return;
    }
    if (j->state == JOB_LATER && j->next_ms > soon) /* somebody wants to know now */
        j->next_ms = soon;
    ask->next = j->asks;
    j->asks = ask;
    m->ask_count++;
    media_wake(m);
}

static void on_ask(struct mail *mail)
{
    struct media_ask *ask = (struct media_ask *)mail;
    struct media *m = ask->media;
    struct store_read *read;
    if (m->drained) {
        ask_finish(m, ask, SLUIS_ECLOSED);
        return;
    }
    struct job *j = job_find(m, ask->key);
    if (!j && store_read_begin(m->deps.store, &read) == 0) {
        j = job_from_row(m, read, ask->key); /* one that found no room before */
        store_read_end(read);
    }
    if (j)
        wait_with(m, j, ask);
    else
        ask_answer(m, ask);
}

void media_ask(struct media *m, struct media_ask *ask)
{
    ask->media = m;
    ask->next = NULL;
    ask->result = 0;
    memset(&ask->item, 0, sizeof(ask->item));
    buffer_init(&ask->bytes, 1);
    loop_post(m->deps.loop, &ask->mail, on_ask);
}

bool asks_tick(struct media *m)
{
    int64_t now = clock_mono_ms();
    for (struct job *j = m->ask_count ? m->first : NULL; j; j = j->next) {
        struct media_ask **at = &j->asks;
        while (*at) {
            struct media_ask *ask = *at;
            if (ask->until_ms > now) {
                at = &ask->next;
                continue;
            }
            *at = ask->next;
            m->ask_count--;
            ask->item = j->item;
            ask_finish(m, ask, SLUIS_EAGAIN);
        }
    }
    return m->ask_count > 0;
}

void asks_end(struct media *m)
{
    for (struct job *j = m->first; j; j = j->next) {
        while (j->asks) {
            struct media_ask *ask = j->asks;
            j->asks = ask->next;
            m->ask_count--;
            ask_finish(m, ask, SLUIS_ECLOSED);
        }
    }
}

int media_read(struct media *m, uint16_t channel, struct span id, struct media_item *item,
               struct buffer *out)
{
    struct keyring_cache *keys;
    struct store_read *read;
    struct arena arena;
    uint8_t key[MEDIA_KEY_BYTES];
    int r = keyring_cache_new(m->deps.keyring, &keys);
    if (r != 0)
        return r;
    arena_init(&arena, ARENA_MAX);
    media_key(m->deps.keyring, channel, id, key);
    r = store_read_begin(m->deps.store, &read);
    if (r == 0) {
        r = media_row_get(read, keys, key, true, &arena, item);
        if (r == 0)
            r = media_row_shown(read, item);
        store_read_end(read);
    }
    if (r == 0 && out && item->state == MEDIA_READY)
        r = media_file_read(m->folder, keys, key, item, out);
    arena_free(&arena);
    keyring_cache_free(keys);
    return r;
}
