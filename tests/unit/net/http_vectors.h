/*
 * The tables of HTTP messages: requests_bad.txt, requests_good.txt, answers.txt.
 *
 *     # a comment
 *     = name :: section of the RFC :: expectation :: what the caller told the machine (optional)
 *     | a line of the message
 *
 * A message line ends in CRLF unless it ends in a backslash. Escapes: \r \n \t \0 \\ \xNN, and
 * \{N:text} for N times the text (escapes inside are fine). Blank lines separate.
 *
 * Expectations: `refused WORD` (the word of the reason), `incomplete`, or `ok key=value ...` with
 * facts as http_run.h names them, and body.
 */
#ifndef SLUIS_TESTS_HTTP_VECTORS_H
#define SLUIS_TESTS_HTTP_VECTORS_H

#include "http_run.h"

struct http_vector {
    unsigned line; /* in the file */
    struct span name, section, expect, given;
    struct buffer bytes;
};

struct http_vectors {
    const char *file;
    struct buffer text;
    struct http_vector *list;
    unsigned count;
};

/* Exits with a message when the file cannot be read or does not hold the format. */
void http_vectors_load(struct http_vectors *v, const char *file);
void http_vectors_free(struct http_vectors *v);
/* Appends `text` with its escapes replaced; false when one is broken. */
bool http_vector_unescape(struct buffer *out, struct span text);

#endif
