#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "graph.h"
#include "sluis/base/encode.h"

/* The next part of a multipart body: its head and bytes. False at the end. */
static bool next_part(struct span *rest, struct span boundary, struct span *head,
                      struct span *bytes)
{
    char mark[80];
    int n = snprintf(mark, sizeof mark, "--%.*s", (int)boundary.n, boundary.p);
    const char *start = memmem(rest->p, rest->n, mark, (size_t)n);
    if (!start)
        return false;
    *rest = span_from(*rest, (size_t)(start - rest->p) + (size_t)n);
    if (span_starts(*rest, SPAN("--")))
        return false;
    const char *empty = memmem(rest->p, rest->n, "\r\n\r\n", 4);
    const char *end = memmem(rest->p, rest->n, mark, (size_t)n);
    if (!empty || !end || end < empty + 6)
        return false;
    *head = span_of(rest->p + 2, (size_t)(empty - rest->p));
    *bytes = span_of(empty + 4, (size_t)(end - empty) - 6);
    return true;
}

struct graph_media *graph_media_add(struct graph_media **list, uint64_t serial,
                                    const struct http_message *m)
{
    struct span type = http_header(m, "content-type"), rest = m->body, head, bytes;
    const char *at = memmem(type.p, type.n, "boundary=", 9);
    if (!at)
        return NULL;
    struct span boundary = span_from(type, (size_t)(at - type.p) + 9);
    boundary = span_sub(boundary, 0, span_find(boundary, ';'));
    if (boundary.n >= 2 && boundary.p[0] == '"')
        boundary = span_sub(boundary, 1, boundary.n - 1);
    if (boundary.n == 0 || boundary.n > 70)
        return NULL;
    while (next_part(&rest, boundary, &head, &bytes)) {
        if (!memmem(head.p, head.n, "name=\"file\"", 11) && !memmem(head.p, head.n, "name=file", 9))
            continue;
        struct graph_media *media = calloc(1, sizeof *media);
        char *copy = malloc(bytes.n + 1);
        if (!media || !copy) {
            free(media);
            free(copy);
            return NULL;
        }
        struct http_message part = {.head = head};
        struct span of = http_header(&part, "content-type");
        memcpy(copy, bytes.p, bytes.n);
        media->bytes = copy;
        media->n = bytes.n;
        snprintf(media->id, sizeof media->id, "10375432%08llu", (unsigned long long)serial);
        snprintf(media->type, sizeof media->type, "%.*s", of.n ? (int)of.n : 24,
                 of.n ? of.p : "application/octet-stream");
        media->next = *list;
        *list = media;
        return media;
    }
    return NULL;
}

static const char *type_of(const char *bytes, size_t n)
{
    if (n > 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return "image/jpeg";
    if (n > 4 && memcmp(bytes, "\x89PNG", 4) == 0)
        return "image/png";
    if (n > 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return "image/webp";
    if (n > 4 && memcmp(bytes, "OggS", 4) == 0)
        return "audio/ogg; codecs=opus";
    return n > 4 && memcmp(bytes, "%PDF", 4) == 0 ? "application/pdf" : "application/octet-stream";
}

#define FILE_MAX (100u * 1024 * 1024) /* Meta's own limit */

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "re");
    char *bytes = NULL;
    long size = -1;
    if (f && fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size >= 0 && size <= (long)FILE_MAX && (bytes = malloc((size_t)size + 1)) != NULL) {
        rewind(f);
        *n = fread(bytes, 1, (size_t)size, f);
    }
    if (f)
        fclose(f);
    return bytes;
}

struct graph_media *graph_media_load(struct graph_media **list, const char *folder, struct span id)
{
    char path[4096];
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] < '0' || id.p[i] > '9')
            return NULL;
    if (!folder || id.n == 0 || id.n >= sizeof((struct graph_media *)0)->id)
        return NULL;
    int length = snprintf(path, sizeof path, "%s/%.*s", folder, (int)id.n, id.p);
    struct graph_media *media =
        length > 0 && (size_t)length < sizeof path ? calloc(1, sizeof *media) : NULL;
    if (!media || !(media->bytes = read_file(path, &media->n))) {
        free(media);
        return NULL;
    }
    memcpy(media->id, id.p, id.n);
    snprintf(media->type, sizeof media->type, "%s", type_of(media->bytes, media->n));
    media->next = *list;
    *list = media;
    return media;
}

struct graph_media *graph_media_find(struct graph_media *list, struct span id)
{
    while (list && !span_is(id, list->id))
        list = list->next;
    return list;
}

bool graph_media_remove(struct graph_media **list, struct span id)
{
    for (; *list; list = &(*list)->next) {
        if (!span_is(id, (*list)->id))
            continue;
        struct graph_media *gone = *list;
        *list = gone->next;
        free(gone->bytes);
        free(gone);
        return true;
    }
    return false;
}

json_t *graph_media_json(const struct graph_media *media, const char *media_url)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1], url[256], size[24];
    SHA256((const unsigned char *)media->bytes, media->n, digest);
    hex_encode(digest, sizeof digest, hex);
    snprintf(url, sizeof url, "%s/whatsapp_business/attachments/?mid=%s&ext=1763760000&hash=ATsim",
             media_url, media->id);
    snprintf(size, sizeof size, "%zu", media->n);
    return json_pack("{ss ss ss ss ss ss}", "messaging_product", "whatsapp", "url", url,
                     "mime_type", media->type, "sha256", hex, "file_size", size, "id", media->id);
}

void graph_media_free(struct graph_media *list)
{
    while (list) {
        struct graph_media *next = list->next;
        free(list->bytes);
        free(list);
        list = next;
    }
}
