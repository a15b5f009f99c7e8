/* Attachments of tools, before they leave: what they are by content, and what is seen in pictures.
 * Whether it may go out as it then is, is the caller's decision. */
#include "internal.h"

static void on_checked(struct mail *mail)
{
    struct media_check *check = (struct media_check *)mail;
    check->done(check);
}

static void finish(struct media_check *check, int result)
{
    media_release(check->media, check->reserved);
    check->reserved = 0;
    check->result = result;
    loop_post(check->loop, &check->mail, on_checked);
}

static void on_inspected(void *ctx, const struct media_inspected *seen)
{
    struct media_check *check = ctx;
    struct media *m = check->media;
    check->inspected = *seen;
    check->inspected.bytes = SPAN_EMPTY;
    check->inspected.mime_type = NULL;
    media_count(m, M_CHECKED);
    buffer_free(&check->bytes);
    if (seen->verdict == MEDIA_UNDECIDED) {
        finish(check, SLUIS_EINVAL);
        return;
    }
    buffer_init(&check->bytes, seen->bytes.n ? seen->bytes.n : 1);
    buffer_add(&check->bytes, seen->bytes);
    snprintf(check->mime_type, sizeof(check->mime_type), "%s", seen->mime_type);
    finish(check, check->bytes.error);
}

/* False: it waits for a place. */
static bool begin(struct media *m, struct media_check *check)
{
    const struct media_inspector *i = &m->deps.inspector;
    struct media_look look = {.bytes = buffer_span(&check->bytes), .policy = check->policy};
    memcpy(look.actions, check->actions, sizeof(look.actions));
    int r = i->inspect ? i->inspect(i->ctx, &look, on_inspected, check) : SLUIS_ENOENT;
    if (r == SLUIS_EAGAIN)
        return false;
    if (r != 0)
        finish(check, r);
    return true;
}

/* What it is, and a picture into memory: the worker wants it whole, and no other kind is looked
 * into. */
static int look_first(struct media_check *check)
{
    struct media_kind_scan scan = {.begun = false};
    struct media_spool *spool = check->spool;
    uint64_t size = spool ? media_spool_size(spool) : check->bytes.n;
    struct buffer piece;
    int r = 0;
    if (!spool)
        media_kind_scan(&scan, buffer_span(&check->bytes));
    buffer_init(&piece, PIECE_BYTES + 4 * CHUNK_BYTES);
    for (uint64_t at = 0; spool && r == 0 && (!scan.begun || scan.may_be_video);) {
        size_t n = size - at < PIECE_BYTES ? (size_t)(size - at) : PIECE_BYTES;
        buffer_clear(&piece);
        r = spool_read(spool, at, n, &piece);
        if (r == 0)
            media_kind_scan(&scan, buffer_span(&piece));
        at += n;
        if (at == size)
            break;
    }
    buffer_free(&piece);
    if (r != 0)
        return r;
    check->kind = scan.kind;
    snprintf(check->mime_type, sizeof(check->mime_type), "%s", scan.mime_type);
    if (scan.kind != MEDIA_PICTURE)
        return 0;
    if (size > MEDIA_PICTURE_MAX)
        return SLUIS_ELIMIT;
    if (!media_reserve(check->media, 3 * size)) /* as it came, as it is handed over, made anew */
        return SLUIS_EAGAIN;
    check->reserved = 3 * size;
    if (!spool)
        return 0;
    buffer_free(&check->bytes);
    buffer_init(&check->bytes, (size_t)size + 2 * CHUNK_BYTES);
    return spool_read(spool, 0, (size_t)size, &check->bytes);
}

static void on_check(struct mail *mail)
{
    struct media_check *check = (struct media_check *)mail;
    struct media *m = check->media;
    int r = m->drained ? SLUIS_ECLOSED : look_first(check);
    if (r != 0) {
        finish(check, r);
    } else if (check->kind != MEDIA_PICTURE) {
        media_count(m, M_CHECKED);
        finish(check, 0);
    } else if (m->check_count >= CHECKS_MAX) {
        finish(check, SLUIS_EAGAIN);
    } else if (!begin(m, check)) {
        check->next = m->checks;
        m->checks = check;
        m->check_count++;
        media_wake(m);
    }
}

void media_check(struct media *m, struct media_check *check)
{
    check->media = m;
    check->next = NULL;
    check->reserved = 0;
    check->result = 0;
    check->inspected = (struct media_inspected){.verdict = MEDIA_UNDECIDED};
    if (check->until_ms == 0)
        check->until_ms = clock_mono_ms() + MEDIA_ANSWER_MS;
    loop_post(m->deps.loop, &check->mail, on_check);
}

bool checks_tick(struct media *m)
{
    int64_t now = clock_mono_ms();
    struct media_check **at = &m->checks;
    while (*at) {
        struct media_check *check = *at, *next = check->next;
        bool late = check->until_ms <= now;
        if (late)
            finish(check, SLUIS_EAGAIN);
        if (late || begin(m, check)) {
            *at = next;
            m->check_count--;
        } else {
            at = &check->next;
        }
    }
    return m->checks != NULL;
}

void checks_end(struct media *m)
{
    while (m->checks) {
        struct media_check *check = m->checks;
        m->checks = check->next;
        m->check_count--;
        finish(check, SLUIS_ECLOSED);
    }
}
