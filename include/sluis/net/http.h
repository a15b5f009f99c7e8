/*
 * HTTP/1.1 as pure functions over spans (RFC 9112, strict: architecture section 7). No sockets,
 * no clock. Two state machines: requests as a server reads them, answers as a client reads them.
 * They share the field grammar and nothing else.
 *
 * Use: feed the bytes that are there; the machine says how many it took and what it has.
 *
 *     struct http_request_machine m;
 *     http_request_machine_init(&m);
 *     ...bytes arrive...
 *     r = http_request_head(&m, bytes);          // HTTP_NEED_MORE, HTTP_DONE or HTTP_REFUSED
 *     if (r == HTTP_DONE) use m.head             // spans point into `bytes` (m.head_len long)
 *     http_body_init(&body, &m.head, 1 << 20);
 *     r = http_body_feed(&body, rest, &data, &used);  // until HTTP_DONE
 *
 * A refusal names its reason; the connection is answered with http_reason_status() and closed.
 * Ownership: the machine borrows the bytes during a call; head spans are valid as long as the
 * caller keeps the head's bytes in place. Threads: pure.
 */
#ifndef SLUIS_NET_HTTP_H
#define SLUIS_NET_HTTP_H

#include "sluis/base/buffer.h"
#include "sluis/base/span.h"

#define HTTP_FIELDS_MAX 64                 /* header fields in one head */
#define HTTP_REQUEST_HEAD_MAX (16 * 1024)  /* bytes of a request head */
#define HTTP_ANSWER_HEAD_MAX (64 * 1024)   /* bytes of an answer head */
#define HTTP_TRAILERS_MAX (4 * 1024)       /* bytes of a trailer section, dropped */
#define HTTP_CHUNK_LINE_MAX 18             /* 16 hex digits and CRLF: no extensions */
#define HTTP_INTERIM_MAX 8                 /* 1xx answers before the final one */

enum http_result { HTTP_NEED_MORE, HTTP_DONE, HTTP_REFUSED };

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS };

/* One row per way to be refused: word for logs and counters, status to answer. The list is an
 * X-macro so that the table, the names and the tests come from one place. */
#define HTTP_REASONS(X)                                                                            \
    X(NONE, "none", 0)                                                                             \
    X(HEAD_TOO_LARGE, "head_too_large", 431)                                                       \
    X(TOO_MANY_FIELDS, "too_many_fields", 431)                                                     \
    X(LINE_ENDING, "line_ending", 400)           /* bare CR or LF */                               \
    X(REQUEST_LINE, "request_line", 400)                                                           \
    X(METHOD, "method", 501)                                                                       \
    X(TARGET, "target", 400)                                                                       \
    X(VERSION, "version", 505)                                                                     \
    X(FIELD_NAME, "field_name", 400)             /* also a space before the colon */               \
    X(FIELD_VALUE, "field_value", 400)           /* NUL, control bytes */                          \
    X(FOLDING, "folding", 400)                                                                     \
    X(HOST_MISSING, "host_missing", 400)                                                           \
    X(HOST_TWICE, "host_twice", 400)                                                               \
    X(HOST_VALUE, "host_value", 400)                                                               \
    X(LENGTH_VALUE, "length_value", 400)                                                           \
    X(LENGTH_TWICE, "length_twice", 400)                                                           \
    X(LENGTH_AND_CODING, "length_and_coding", 400)                                                 \
    X(CODING, "coding", 501)                     /* a Transfer-Encoding other than chunked */      \
    X(CODING_TWICE, "coding_twice", 400)                                                           \
    X(CODING_VERSION, "coding_version", 400)     /* Transfer-Encoding on HTTP/1.0 */               \
    X(BODY_NOT_ALLOWED, "body_not_allowed", 400) /* GET or HEAD with a body */                     \
    X(LENGTH_REQUIRED, "length_required", 411)                                                     \
    X(CONTENT_ENCODING, "content_encoding", 415)                                                   \
    X(EXPECT, "expect", 417)                                                                       \
    X(UPGRADE, "upgrade", 400)                                                                     \
    X(BODY_TOO_LARGE, "body_too_large", 413)                                                       \
    X(CHUNK_SIZE, "chunk_size", 400)                                                               \
    X(CHUNK_EXTENSION, "chunk_extension", 400)                                                     \
    X(CHUNK_END, "chunk_end", 400)                                                                 \
    X(TRAILERS, "trailers", 400)                                                                   \
    X(STATUS_LINE, "status_line", 502)                                                             \
    X(TOO_MANY_INTERIM, "too_many_interim", 502)                                                   \
    X(CLOSE_DELIMITED, "close_delimited", 502)   /* where a framed answer is required */           \
    X(TRUNCATED, "truncated", 502)               /* closed before the end */

enum http_reason {
#define X(name, word, status) HTTP_BAD_##name,
    HTTP_REASONS(X)
#undef X
        HTTP_REASON_COUNT
};
const char *http_reason_word(enum http_reason reason);
unsigned http_reason_status(enum http_reason reason);

struct http_field {
    struct span name, value; /* value without surrounding blanks */
};

/* Body framing after a head. */
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

struct http_head {
    /* requests */
    enum http_method method;
    struct span target; /* as spelled: path and query */
    struct span path;   /* before '?', as spelled */
    struct span query;  /* after '?', as spelled; empty when none */
    struct span host;   /* value of Host */
    bool expect_continue;
    /* answers */
    unsigned status; /* 100-599 */
    /* both */
    unsigned minor; /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;
    enum http_framing framing;
    uint64_t length; /* with HTTP_LENGTH */
    struct http_field fields[HTTP_FIELDS_MAX];
    unsigned field_count;
};

/* The first field of that name (no case), or an empty span with p NULL. */
struct span http_field(const struct http_head *head, struct span name);
/* How many fields have that name. */
unsigned http_field_count(const struct http_head *head, struct span name);

struct http_body_machine {
    enum http_framing framing;
    uint64_t left;  /* of the length or of the chunk */
    uint64_t total; /* body bytes seen */
    uint64_t max;   /* cap on `total` */
    unsigned state; /* internal */
    unsigned line;  /* bytes of the line at hand, internal */
    enum http_reason reason;
};

/* Where a machine is in the lines of its head. Internal. */
struct http_lines {
    const char *base; /* first byte of the head at the last call */
    size_t start;     /* of the line at hand */
    size_t scanned;   /* bytes known to hold no further line end */
    unsigned count;   /* lines taken */
};

struct http_request_machine {
    struct http_head head;
    size_t head_len; /* bytes of the head, the empty line included */
    struct http_lines lines;
    enum http_reason reason;
};

struct http_answer_machine {
    struct http_head head;
    size_t head_len;
    struct http_lines lines;
    unsigned interim; /* 1xx answers skipped */
    bool head_request; /* set by the caller: the request was HEAD */
    bool until_close_allowed;
    enum http_reason reason;
};

void http_request_machine_init(struct http_request_machine *m);
/*
 * `bytes`: everything read of this head so far, from its first byte (what follows the head may be
 * there too). The bytes may stand at another address at each call; when they moved after HTTP_DONE,
 * one more call moves the spans along.
 *
 * Decided here, where RFC 9112 leaves a choice:
 *   - an empty line before the request line is refused, not skipped (2.2);
 *   - absolute-form is taken when it is http or https, has a path and names exactly what Host names;
 *     `target` is then path and query. Asterisk-form and authority-form are refused (3.2);
 *   - HTTP/1.0 is served and closed whatever its Connection field says; it too needs a Host;
 *     other versions are refused (2.3);
 *   - POST, PUT and PATCH need a Content-Length or chunked (411), DELETE and OPTIONS may go
 *     without; a GET or HEAD may say Content-Length: 0 and no more (6.3);
 *   - a Content-Length of 0 gives the framing HTTP_NO_BODY;
 *   - a field named in Connection keeps its meaning, as nothing is relayed (RFC 9110, 7.6.1).
 */
enum http_result http_request_head(struct http_request_machine *m, struct span bytes);

void http_answer_machine_init(struct http_answer_machine *m, bool head_request,
                              bool until_close_allowed);
/*
 * Skips interim answers: when one was taken, *skip is its length, the result is HTTP_NEED_MORE
 * and the caller drops that many bytes and calls again with the rest, if there is any.
 *
 * 204, 304 and answers to HEAD have no body, whatever their fields announce; a 204 that announces
 * one is not kept alive. 101 is refused. A head whose fields contradict each other is refused even
 * when no body is due. Content-Encoding is for the caller to judge: a delivery needs the status only.
 */
enum http_result http_answer_head(struct http_answer_machine *m, struct span bytes, size_t *skip);

/* A length above `max` is refused at once: `reason` is set before a byte is fed. */
void http_body_init(struct http_body_machine *m, const struct http_head *head, uint64_t max);
/* Takes bytes; *data is the next run of body bytes (points into `bytes`, may be empty), *used how
 * many bytes of the input are done with. Call again with the rest while it returns
 * HTTP_NEED_MORE and input is left. With HTTP_DONE what is left belongs to the next message. A
 * chunk that would pass `max` is refused at its size line, before its data. */
enum http_result http_body_feed(struct http_body_machine *m, struct span bytes, struct span *data,
                                size_t *used);
/* The peer closed: HTTP_DONE when the framing allows that here, else HTTP_REFUSED. */
enum http_result http_body_closed(struct http_body_machine *m);

/*
 * Paths and queries. A path is percent-decoded once; "//", dot segments, %2F, %00 and control
 * bytes are refused with SLUIS_EINVAL, too many segments or too small an `out` with SLUIS_ELIMIT.
 * Segments are spans into `out` (path.n bytes always suffice). "/" has no segment and no trailing
 * slash. Bytes from 0x80 on are passed without a check for UTF-8.
 */
#define HTTP_SEGMENTS_MAX 12
struct http_path {
    struct span segments[HTTP_SEGMENTS_MAX];
    unsigned count;
    bool trailing_slash;
};
SLUIS_MUST_CHECK int http_path_split(struct span path, char *out, size_t size,
                                     struct http_path *result);

#define HTTP_PARAMETERS_MAX 32
struct http_parameter {
    struct span name, value; /* decoded: percent and '+' */
};
/* Splits `a=1&b=2`; decoded bytes go to `out`; empty pairs are skipped. SLUIS_EINVAL on a broken escape, SLUIS_ELIMIT on too
 * many parameters or too small an `out`. Duplicates are kept: the caller refuses them. */
SLUIS_MUST_CHECK int http_query_split(struct span query, char *out, size_t size,
                                      struct http_parameter *list, unsigned *count);
/* Percent-encodes everything but unreserved characters (RFC 3986 section 2.3). */
void http_percent_encode(struct buffer *out, struct span text);

/*
 * Range (RFC 9110 section 14.2): a single range of bytes of a representation of `size` bytes. Anything
 * else (another unit, several ranges, bad syntax) is ignored, that is, answered 200 with the whole.
 * *first and *last (inclusive) are set with HTTP_RANGE_ONE: 206. Unsatisfiable: 416. For GET only.
 */
enum http_range { HTTP_RANGE_IGNORED, HTTP_RANGE_ONE, HTTP_RANGE_UNSATISFIABLE };
enum http_range http_range_parse(struct span value, uint64_t size, uint64_t *first, uint64_t *last);
/* The Content-Range field that belongs to a 206 or a 416. */
void http_write_content_range(struct buffer *out, enum http_range range, uint64_t first,
                              uint64_t last, uint64_t size);

/* Serialising: heads are made from parsed facts, never copied from the other side. A target, name or
 * value outside its grammar (CR, LF, NUL, ...) sets the buffer's error to SLUIS_EINVAL. */
const char *http_method_word(enum http_method method);
const char *http_status_text(unsigned status);
void http_write_request_line(struct buffer *out, enum http_method method, struct span target);
void http_write_status_line(struct buffer *out, unsigned status);
void http_write_field(struct buffer *out, struct span name, struct span value);
void http_write_field_u64(struct buffer *out, struct span name, uint64_t value);
void http_write_end(struct buffer *out);

#endif
