/*
 * Runs the HTTP machines over bytes that arrive in pieces, and writes down every fact as text, so
 * that two runs can be compared byte by byte. Shared by the vector tests, the probe and the fuzz
 * targets.
 *
 * The head's bytes stand at another address after each piece, in a block of exactly their size: a
 * span left behind, or a byte read too many, is found by the address sanitizer.
 */
#ifndef SLUIS_TESTS_HTTP_RUN_H
#define SLUIS_TESTS_HTTP_RUN_H

#include "sluis/net/http.h"

#define HTTP_RUN_BODY_MAX (1024 * 1024)

/* How the bytes are cut: a first piece, then pieces of `step` bytes. */
struct http_cut {
    size_t first, step;
};
#define HTTP_UNCUT ((struct http_cut){SIZE_MAX, SIZE_MAX})

enum http_verdict { HTTP_RUN_OK, HTTP_RUN_REFUSED, HTTP_RUN_INCOMPLETE };

struct http_run {
    enum http_verdict verdict;
    enum http_reason reason;
    bool head_done;       /* the head was taken, whatever became of the body */
    size_t used;          /* bytes of the message, when ok */
    unsigned interim;     /* answers */
    struct buffer facts;  /* "key=value\n" lines */
    struct buffer fields; /* "name: value\n" for each */
    struct buffer body;
    struct buffer again; /* the head serialised anew from its facts, when the head was taken */
};

struct http_answer_given {
    bool head, until_close, closed;
};

/* Aborts when a span of the head lies outside the bytes or head_len is more than there is. */
void http_run_request(struct http_run *run, struct span bytes, struct http_cut cut);
void http_run_answer(struct http_run *run, struct span bytes, struct http_cut cut,
                     struct http_answer_given given);
void http_run_free(struct http_run *run);
/* Same verdict, reason, facts and body. */
bool http_run_equal(const struct http_run *a, const struct http_run *b);
/* The value of a fact ("method", "keep", ...), or a span with p NULL. */
struct span http_run_fact(const struct http_run *run, struct span key);

#endif
