/*
 * The HTTP/1.1 of sluis-sim, independent of the gateway's own codec on purpose: a message that both
 * sides misread in the same way would go unseen. Tolerant and small; both peers are ours.
 *
 * Threads: pure functions.
 */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include "sluis/base/span.h"

/* Largest message taken; above Meta's 3 MB webhooks and the pictures of the tests. */
#define HTTP_MESSAGE_MAX (32u << 20)

struct http_message {
    struct span method, target; /* of a request */
    int status;                 /* of an answer */
    struct span head;           /* the header lines, each with its CRLF */
    struct span body;
    bool keep_alive;
    size_t size;   /* bytes of the input that this message took */
    char *decoded; /* owns the body of a chunked message, or NULL */
};

/* Takes one message from the front of `in`. 1: done (then http_message_free), 0: more bytes needed
 * (*need is the size from which another try makes sense), -1: not HTTP. Spans point into `in`. */
int http_parse(struct span in, bool answer, struct http_message *m, size_t *need);
void http_message_free(struct http_message *m);

/* The value of a header (name in any case), trimmed; empty when absent. */
struct span http_header(const struct http_message *m, const char *name);

/* The value of a query parameter of `target`, as spelled; empty when absent. */
struct span http_query(struct span target, const char *name);
/* `target` without its query. */
struct span http_path(struct span target);
/* The n-th segment of the path, from 0; empty when there are fewer. A leading version ("v24.0")
 * counts as no segment. */
struct span http_segment(struct span target, unsigned n);

const char *http_reason(int status);

#endif
