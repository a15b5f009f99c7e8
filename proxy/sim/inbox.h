/*
 * The webcare tool of sluis-sim: takes the webhooks that Sluis delivers, checks the signature with
 * the route's own secret, answers as its faults say, and records each request:
 *
 *     {"at":ms,"path":"/webhooks/…","signature":true,"delivery":"…","attempt":1,"status":200,
 *      "ids":["wamid…"],"body":"…"}
 *
 * A wrong signature is answered 401. `status` 0: no answer was given.
 */
#ifndef SIM_INBOX_H
#define SIM_INBOX_H

#include "faults.h"

struct inbox_options {
    const char *secret;  /* the route's */
    const char *file;    /* JSONL, or NULL */
    bool without_bodies; /* for load: ids only */
};
struct inbox;
struct inbox *inbox_new(const struct inbox_options *options);
void inbox_free(struct inbox *inbox);
/* A server_fn. */
void inbox_serve(struct request *request, const struct http_message *message, void *ctx);
struct faults *inbox_faults(struct inbox *inbox);
json_t *inbox_summary(const struct inbox *inbox);

#endif
