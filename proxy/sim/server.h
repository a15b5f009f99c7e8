/*
 * A small HTTP(S) server on one event_base, one request at a time per connection. It can misbehave
 * on command: answer late, reset, close without an answer, never answer, or give another body than
 * it announced.
 *
 * Owner: the caller of server_new frees with server_free. A request lives until it is answered or
 * its connection is gone; spans of it are valid during the callback only.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <event2/event.h>
#include <openssl/ssl.h>

#include "http.h"

struct server;
struct request;

typedef void server_fn(struct request *request, const struct http_message *message, void *ctx);

/* `address` is "127.0.0.1:8443" (port 0: any); `tls` may be NULL, and is the
 * server's from then on. NULL on failure (printed). */
struct server *server_new(struct event_base *base, const char *address, SSL_CTX *tls, server_fn *fn,
                          void *ctx);
/* Answers get a Date that is so many seconds ahead of this machine's time. */
void server_date(struct server *server, int64_t ahead_s);
void server_free(struct server *server);
unsigned server_port(const struct server *server);

/* Exactly one of these per request. `headers` is whole lines with CRLF, or "". */
void request_reply(struct request *request, int status, const char *headers, struct span body,
                   unsigned delay_ms);
void request_reply_json(struct request *request, int status, const char *json, unsigned delay_ms);
enum request_failure { REQUEST_RESET, REQUEST_CLOSE, REQUEST_HANG };
void request_fail(struct request *request, enum request_failure how);
/* Before request_reply: its body is cut in half and the connection closed, has more bytes than its
 * length says, has one other byte in its middle, or comes in chunks of a byte. */
enum request_lie { REQUEST_TRUE, REQUEST_CUT, REQUEST_EXTRA, REQUEST_FLIP, REQUEST_CHUNKS };
void request_lie(struct request *request, enum request_lie how);

#endif
