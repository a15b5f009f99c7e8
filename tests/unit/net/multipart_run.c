#include "multipart_run.h"

#include <stdio.h>
#include <stdlib.h>

#define PARTS_BYTES_MAX (8 * 1024 * 1024)

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "multipart: %s\n", what);
        abort();
    }
}

static void part_begin(struct multipart_run *run, const struct multipart_part *part)
{
    buffer_add(&run->parts, part->name);
    buffer_add(&run->parts, SPAN("|"));
    buffer_add(&run->parts, part->is_file ? part->filename : SPAN("-"));
    buffer_add(&run->parts, SPAN("|"));
    buffer_add(&run->parts, part->content_type);
    buffer_add(&run->parts, SPAN("|"));
}

/* One piece, in a block of exactly its size. True while the reader wants more. */
static bool feed_piece(struct multipart_run *run, struct multipart_reader *reader,
                       struct span bytes, bool *open)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);
    must(copy != NULL, "memory");
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    size_t at = 0;
    enum multipart_event event = MULTIPART_NEED_MORE;
    while (at < bytes.n && event != MULTIPART_REFUSED) {
        size_t used;
        event = multipart_feed(reader, span_of(copy + at, bytes.n - at), &used);
        must(used <= bytes.n - at, "took more than there was");
        must(event != MULTIPART_NEED_MORE || used == bytes.n - at, "wants more but left some");
        at += used;
        must((event == MULTIPART_DATA) == (reader->data.n > 0), "data without its event");
        if (event == MULTIPART_PART_BEGIN) {
            must(!*open && reader->part.name.n > 0, "a part inside a part");
            *open = true;
            part_begin(run, &reader->part);
        } else if (event == MULTIPART_DATA) {
            must(*open, "data outside a part");
            buffer_add(&run->parts, reader->data);
        } else if (event == MULTIPART_PART_END) {
            must(*open, "the end of no part");
            *open = false;
            buffer_add(&run->parts, SPAN("\x1f"));
        }
    }
    free(copy);
    return event != MULTIPART_REFUSED;
}

void multipart_run(struct multipart_run *run, struct span content_type, struct span bytes,
                   struct http_cut cut)
{
    static const size_t least = 1;
    struct multipart_reader reader;
    *run = (struct multipart_run){.end = MULTIPART_REFUSED};
    buffer_init(&run->parts, PARTS_BYTES_MAX);
    if (multipart_init(&reader, content_type)) {
        run->init_refused = true;
        return;
    }
    bool open = false, wants = true;
    for (size_t at = 0; at < bytes.n && wants;) {
        size_t step = at == 0 ? cut.first : cut.step;
        step = step < least ? least : step;
        size_t end = step >= bytes.n - at ? bytes.n : at + step;
        wants = feed_piece(run, &reader, span_sub(bytes, at, end), &open);
        at = end;
    }
    run->end = multipart_closed(&reader);
    run->reason = reader.reason;
    must(run->end != MULTIPART_END || !open, "ended inside a part");
    must(reader.parts <= MULTIPART_PARTS_MAX + 1 && !run->parts.error, "caps");
}

void multipart_run_free(struct multipart_run *run)
{
    buffer_free(&run->parts);
}

bool multipart_run_equal(const struct multipart_run *a, const struct multipart_run *b)
{
    return a->init_refused == b->init_refused && a->end == b->end && a->reason == b->reason &&
           span_eq(buffer_span(&a->parts), buffer_span(&b->parts));
}
