/*
 * One keep-alive HTTP(S) connection to the gateway, one request in flight. Connects when it has
 * something to send and again after a failure. Used by the webhook sender and the load generator.
 *
 * The certificate of the peer is verified against the host name of the URL.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "http.h"

/* Where to: parsed once, shared by many clients. */
struct target {
    char host[256];
    char authority[300]; /* for Host */
    char path[1024];
    struct sockaddr_storage address;
    int address_size;
    SSL_CTX *tls; /* NULL for http:// */
};
/* 0, or -1 (printed). `tls` is needed for https://. */
int target_parse(const char *url, SSL_CTX *tls, struct target *out);

struct client;
/* `status` is 0 when no whole answer came (refused, reset, closed, timed out); `answer` is then
 * NULL. */
typedef void client_fn(struct client *client, int status, const struct http_message *answer,
                       void *ctx);

struct client *client_new(struct event_base *base, const struct target *target, unsigned timeout_s,
                          client_fn *fn, void *ctx);
void client_free(struct client *client);
/* Sends these bytes, a whole request. -1 when one is in flight already. */
int client_send(struct client *client, struct span request);
/* Only connects (and shakes hands). */
int client_connect(struct client *client);
bool client_connected(const struct client *client);
bool client_busy(const struct client *client);

#endif
