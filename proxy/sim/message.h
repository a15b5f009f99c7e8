/*
 * Webhook bodies as Meta sends them, and conversations from a readable file.
 *
 * A conversation file, one instruction a line, # for comments:
 *
 *     channel PHONE_NUMBER_ID WABA_ID DISPLAY_NUMBER     the business, before anything else
 *     contact NAME PHONE PROFILE NAME                    how the file speaks of a person
 *     NAME text Wat kost een paspoort?                   a text message
 *     NAME image {"caption":"mijn pas"}                  any type: its object as JSON
 *     NAME text+ {"body":"ja"} {"context":{"id":"@1"}}   with further members of the message
 *     value FIELD {"statuses":[]}                        any other change, as JSON
 *     raw {"object":"x"}                                 a whole body, as it stands
 *     batch / end                                        what is between goes in one POST
 *     pause MS                                           waits before the next POST
 *     expect STATUS                                      answer to the next POST (default 200)
 *
 * In JSON, "@N" stands for the id of the N-th message of the file, "@now" for the time, "@media"
 * for the id of the picture that sluis-sim's Graph side always has; media objects without id, url,
 * mime_type and sha256 get them.
 */
#ifndef SIM_MESSAGE_H
#define SIM_MESSAGE_H

#include <jansson.h>
#include <stdint.h>

#include "sluis/base/span.h"

/* "wamid." and base64 as Meta builds it: the contact's number in it, then 20 hex digits. */
#define WAMID_SIZE 96
void wamid_make(const char *phone, uint64_t serial, char out[WAMID_SIZE]);

/* The picture that the Graph side always serves. */
#define SIM_MEDIA_ID "770011223344556"
#define SIM_MEDIA_TYPE "image/png"
struct span sim_media_bytes(void);

/* Meta escapes what is not ASCII, and slashes. */
#define SIM_DUMP (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH)

/* One POST of a script. */
struct post {
    char *body;
    size_t n;
    unsigned pause_ms; /* before it is sent */
    int expect;
    char *contact; /* number of its first message's author, or "" */
};
struct script {
    struct post *posts;
    size_t count;
};
/* 0, or -1 with "file:line: what" printed. `seed` makes the message ids of this run its own. */
int script_load(const char *file, uint64_t seed, struct script *out);
int script_parse(struct span text, const char *name, uint64_t seed, struct script *out);
void script_free(struct script *script);

/* A status webhook for a message that the Graph side took. The caller frees. */
char *status_body(const char *phone_number_id, const char *wamid, const char *recipient,
                  const char *status);

#endif
