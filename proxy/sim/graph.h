/*
 * Meta's side of the Graph API: messages, media, templates, numbers, set-up calls. Answers in the
 * shapes of the Cloud API, sends statuses back as webhooks, and records each request:
 *
 *     {"at":ms,"method":"POST","target":"/v24.0/…/messages","host":"…","authorization":"Bearer …",
 *      "type":"application/json","body":"…","setup":false,"status":200}
 *
 * `setup` marks calls that would point Meta elsewhere or hand out tokens: behind the gateway none
 * may arrive. A wrong token is answered 401 with code 190.
 */
#ifndef SIM_GRAPH_H
#define SIM_GRAPH_H

#include "faults.h"
#include "sender.h"

struct graph_options {
    const char *token;      /* the business' access token */
    const char *file;       /* JSONL, or NULL */
    const char *public_url; /* the base of paging and media URLs: "https://graph.facebook.com" */
    const char *media_url;  /* "https://lookaside.fbsbx.com" */
    struct sender *sender;  /* for statuses, or NULL */
    const char *media_files; /* folder: FOLDER/<id> is a media object of that id, or NULL */
};
struct graph;
struct graph *graph_new(const struct graph_options *options);
void graph_free(struct graph *graph);
/* A server_fn. */
void graph_serve(struct request *request, const struct http_message *message, void *ctx);
struct faults *graph_faults(struct graph *graph);
json_t *graph_summary(const struct graph *graph);

/* ---- inside ---- */
struct graph_media {
    struct graph_media *next;
    char id[24], type[128];
    char *bytes;
    size_t n;
};
/* Stores the file of a multipart upload. NULL when the body has none. */
struct graph_media *graph_media_add(struct graph_media **list, uint64_t serial,
                                    const struct http_message *m);
/* A file of the folder, by its id; kept from then on. NULL when there is none. */
struct graph_media *graph_media_load(struct graph_media **list, const char *folder, struct span id);
struct graph_media *graph_media_find(struct graph_media *list, struct span id);
bool graph_media_remove(struct graph_media **list, struct span id);
json_t *graph_media_json(const struct graph_media *media, const char *media_url);
void graph_media_free(struct graph_media *list);

#endif
