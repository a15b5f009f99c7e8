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

static void on_check(struct mail *mail)
{
    struct media_check *check = (struct media_check *)mail;
    struct media *m = check->media;
    const char *mime_type;
    check->kind = media_kind_of(buffer_span(&check->bytes), &mime_type);
    snprintf(check->mime_type, sizeof(check->mime_type), "%s", mime_type);
    if (m->drained) {
        finish(check, SLUIS_ECLOSED);
    } else if (check->kind != MEDIA_PICTURE) {
        media_count(m, M_CHECKED);
        finish(check, 0);
    } else if (check->bytes.n > MEDIA_PICTURE_MAX || m->check_count >= CHECKS_MAX) {
        finish(check, SLUIS_ELIMIT);
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
