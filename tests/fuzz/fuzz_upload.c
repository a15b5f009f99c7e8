/*
 * An upload on its way in, as the graph face reads it: the framing of the request's body, the form
 * in it, its file sealed into a spool. The lowest bit of the third byte says whether the body is
 * chunked, the rest how often each run of the file is put away, so that it crosses the spool's
 * pieces. What is read back is what the form held, however the bytes were cut; the disk holds
 * nothing in clear.
 */
#include "fuzz_http.h"

#include <fcntl.h>
#include <unistd.h>

#include "internal.h"
#include "sluis/net/multipart.h"

#define BODY_MAX 60000u         /* a body above is refused by its framing */
#define SPOOL_MAX (256u * 1024) /* a file above by the spool */

struct upload_run {
    struct buffer file; /* what the form held, as often as it was put away */
    enum http_result body;
    enum multipart_event form;
    int spooled;
    unsigned repeat;
    struct media_spool *spool;
    struct multipart_reader reader;
};

static struct media room;

static void start(void)
{
    if (room.deps.loop)
        return;
    CHECK(sodium_init() >= 0);
    CHECK(loop_new(&room.deps.loop, 0) == 0);
    room.folder = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(room.folder >= 0);
}

static void put_away(struct upload_run *run, struct span data)
{
    for (unsigned i = 0; i < run->repeat && run->spooled == 0; i++) {
        uint64_t before = media_spool_size(run->spool);
        run->spooled = spool_add(run->spool, data, false);
        CHECK(run->spooled == 0 || run->spooled == SLUIS_ELIMIT);
        CHECK((run->spooled == SLUIS_ELIMIT) == (before + data.n > SPOOL_MAX));
        if (run->spooled == 0)
            buffer_add(&run->file, data);
    }
}

/* Some bytes of the form. False: it is refused. */
static bool feed_form(struct upload_run *run, struct span bytes)
{
    while (bytes.n && run->form != MULTIPART_REFUSED && run->spooled == 0) {
        size_t used = 0;
        run->form = multipart_feed(&run->reader, bytes, &used);
        CHECK(used <= bytes.n);
        if (run->form == MULTIPART_DATA && run->reader.part.is_file)
            put_away(run, run->reader.data);
        bytes = span_from(bytes, used);
    }
    return run->form != MULTIPART_REFUSED && run->spooled == 0;
}

/* Bytes as they arrive, in a block of exactly their size. */
static bool feed_body(struct upload_run *run, struct http_body_machine *machine, struct span bytes)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);
    CHECK(copy);
    memcpy(copy, bytes.p, bytes.n);
    struct span rest = span_of(copy, bytes.n);
    bool good = true;
    while (good && rest.n && run->body == HTTP_NEED_MORE) {
        struct span data;
        size_t used = 0;
        run->body = http_body_feed(machine, rest, &data, &used);
        CHECK(used <= rest.n && machine->total <= BODY_MAX);
        good = feed_form(run, data) && run->body != HTTP_REFUSED;
        CHECK(used || run->body != HTTP_NEED_MORE);
        rest = span_from(rest, used);
    }
    free(copy);
    return good && run->body == HTTP_NEED_MORE;
}

static bool is_good(const struct upload_run *run)
{
    return run->form == MULTIPART_END && run->spooled == 0 && run->body == HTTP_DONE;
}

static void read_back(struct upload_run *run, unsigned at)
{
    struct buffer out;
    uint64_t size = media_spool_size(run->spool);
    CHECK(size == run->file.n);
    buffer_init(&out, (size_t)size + 256 * 1024);
    CHECK(spool_read(run->spool, 0, (size_t)size, &out) == 0);
    CHECK(out.n == size && (size == 0 || memcmp(out.p, run->file.p, out.n) == 0));
    uint64_t from = size ? at * 977ull % size : 0;
    buffer_clear(&out);
    CHECK(spool_read(run->spool, from, (size_t)(size - from), &out) == 0);
    CHECK(out.n == size - from && (out.n == 0 || memcmp(out.p, run->file.p + from, out.n) == 0));
    CHECK(spool_read(run->spool, from, (size_t)(size - from) + 1, &out) == SLUIS_EINVAL);
    CHECK(spool_add(run->spool, SPAN("x"), false) == SLUIS_ELIMIT); /* it is ended */
    buffer_free(&out);
}

static void upload(struct upload_run *run, const struct http_head *head, struct span content_type,
                   struct span body, const uint8_t *bytes, size_t piece)
{
    struct http_body_machine machine;
    *run = (struct upload_run){.repeat = bytes[2] / 2 % 64 + 1, .form = MULTIPART_NEED_MORE};
    buffer_init(&run->file, SPOOL_MAX);
    CHECK(media_spool_new(&room, SPOOL_MAX, &run->spool) == 0);
    http_body_init(&machine, head, BODY_MAX);
    run->body = machine.left || head->framing == HTTP_CHUNKED ? HTTP_NEED_MORE : HTTP_DONE;
    bool open = multipart_init(&run->reader, content_type) == 0;
    if (!open)
        run->form = MULTIPART_REFUSED;
    while (open && body.n) {
        struct span now = span_sub(body, 0, piece < body.n ? piece : body.n);
        open = feed_body(run, &machine, now);
        body = span_from(body, now.n);
    }
    if (run->form != MULTIPART_REFUSED && run->spooled == 0 && run->body == HTTP_DONE)
        run->form = multipart_closed(&run->reader);
    if (is_good(run))
        CHECK(spool_add(run->spool, SPAN_EMPTY, true) == 0);
}

static void end(struct upload_run *run)
{
    media_spool_free(run->spool);
    (void)loop_drain(room.deps.loop);
    buffer_free(&run->file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct upload_run whole, split;
    if (n < FUZZ_PREFIX)
        return 0;
    start();
    struct span text = span_of(bytes + FUZZ_PREFIX, n - FUZZ_PREFIX);
    size_t line = span_find(text, '\n');
    struct span content_type = span_sub(text, 0, line), body = span_from(text, line + 1);
    const struct http_head head = {.framing = bytes[2] & 1 ? HTTP_CHUNKED : HTTP_LENGTH,
                                   .length = bytes[2] & 1 ? 0 : body.n};
    upload(&whole, &head, content_type, body, bytes, body.n + 1);
    if (is_good(&whole))
        read_back(&whole, bytes[1]);
    upload(&split, &head, content_type, body, bytes, bytes[1] % 64u + 1);
    if (is_good(&split))
        read_back(&split, bytes[0]);
    CHECK(is_good(&whole) == is_good(&split));
    CHECK(!is_good(&whole) || whole.file.n == split.file.n);
    if (is_good(&whole) && whole.repeat == 1 &&
        whole.file.n) /* runs of other lengths repeat otherwise */
        CHECK(memcmp(whole.file.p, split.file.p, whole.file.n) == 0);
    end(&whole);
    end(&split);
    CHECK(atomic_load(&room.spools) == 0 && atomic_load(&room.spooled) == 0);
    return 0;
}
