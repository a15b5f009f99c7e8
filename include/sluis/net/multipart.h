/*
 * Uploads: a streaming reader of multipart/form-data (RFC 7578, RFC 2046 section 5.1, strict).
 * Pure: no sockets, no allocation; it holds one part head and gives the content out as it comes.
 *
 *     struct multipart_reader r;
 *     if (multipart_init(&r, content_type)) ...        // value of the request's Content-Type
 *     ...body bytes arrive...
 *     while (bytes.n) {
 *         event = multipart_feed(&r, bytes, &used);     // PART_BEGIN: r.part; DATA: r.data
 *         bytes = span_from(bytes, used);
 *         if (event == MULTIPART_REFUSED) ...           // r.reason
 *     }
 *     ...the body ended...
 *     if (multipart_closed(&r) != MULTIPART_END) ...    // cut off, or refused
 *
 * Nothing that was read counts before MULTIPART_END. Parts come in any order; that a name comes
 * twice or is unknown is for the caller to refuse. Sizes of parts are the caller's to cap.
 *
 * Decided here, stricter than the RFCs: no preamble and no epilogue save a last CRLF; no blanks
 * after a boundary; a backslash inside a quoted value is refused, as clients disagree on what it
 * means; `name` must be there, once, not empty, and UTF-8; nested multipart and a
 * Content-Transfer-Encoding other than binary, 8bit or 7bit are refused; `filename*` is not
 * decoded, but marks the part as a file.
 *
 * Ownership: `part` spans live in the reader until the next part's head, `data` until the next
 * call. Threads: pure.
 */
#ifndef SLUIS_NET_MULTIPART_H
#define SLUIS_NET_MULTIPART_H

#include "sluis/base/error.h"
#include "sluis/base/span.h"

#define MULTIPART_PARTS_MAX 16        /* parts in one body */
#define MULTIPART_HEAD_MAX (4 * 1024) /* bytes of a part's head, the empty line included */
#define MULTIPART_BOUNDARY_MAX 70     /* RFC 2046 section 5.1.1 */

enum multipart_event {
    MULTIPART_NEED_MORE,
    MULTIPART_PART_BEGIN, /* `part` is set */
    MULTIPART_DATA,       /* `data` is the next run of the part's content, never empty */
    MULTIPART_PART_END,
    MULTIPART_END, /* from multipart_closed only */
    MULTIPART_REFUSED,
};

#define MULTIPART_REASONS(X)                                                                       \
    X(NONE, "none")                                                                                \
    X(PREAMBLE, "preamble")   /* the body does not start with the boundary */                      \
    X(DELIMITER, "delimiter") /* neither CRLF nor "--" after a boundary */                         \
    X(TOO_MANY_PARTS, "too_many_parts")                                                            \
    X(HEAD_TOO_LARGE, "part_head_too_large")                                                       \
    X(HEAD, "part_head")               /* field grammar, or a field twice */                       \
    X(DISPOSITION, "part_disposition") /* not form-data with one good name */                      \
    X(TYPE, "part_type")               /* not type/subtype, or multipart again */                  \
    X(ENCODING, "part_encoding")       /* Content-Transfer-Encoding */                             \
    X(EPILOGUE, "epilogue")            /* bytes after the end */                                   \
    X(TRUNCATED, "truncated")

enum multipart_reason {
#define X(name, word) MULTIPART_BAD_##name,
    MULTIPART_REASONS(X)
#undef X
        MULTIPART_REASON_COUNT
};
const char *multipart_reason_word(enum multipart_reason reason);

struct multipart_part {
    struct span name;         /* as spelled between the quotes: UTF-8, not empty */
    struct span filename;     /* likewise; may be empty */
    struct span content_type; /* value of the part's Content-Type, empty when there is none */
    bool is_file;             /* filename or filename* was there */
};

struct multipart_reader {
    struct multipart_part part;
    struct span data;
    enum multipart_reason reason;
    unsigned parts; /* begun so far */
    /* internal */
    unsigned state;
    size_t matched; /* bytes of the delimiter seen */
    size_t head_n;
    size_t delimiter_n;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CRLF "--" boundary */
    char head[MULTIPART_HEAD_MAX];
};

/* `content_type`: "multipart/form-data; boundary=...". SLUIS_EINVAL when it is not that, or the
 * boundary breaks its grammar. */
SLUIS_MUST_CHECK int multipart_init(struct multipart_reader *r, struct span content_type);
/* Takes bytes up to the next event; *used says how many. With MULTIPART_NEED_MORE all were taken.
 */
enum multipart_event multipart_feed(struct multipart_reader *r, struct span bytes, size_t *used);
/* The body ended: MULTIPART_END or MULTIPART_REFUSED. */
enum multipart_event multipart_closed(struct multipart_reader *r);

#endif
