/* Private to graph: what calls about media share (media.c, upload.c, attach.c). */
#ifndef SLUIS_GRAPH_MEDIA_H
#define SLUIS_GRAPH_MEDIA_H

#include "internal.h"

#include "sluis/media.h"

struct attach;
struct media_call {
    struct media_item item;
    struct media_ask ask;
    struct media_check check;
    struct span url;    /* of bytes at Meta */
    struct buffer file; /* to be uploaded; wiped */
    char type[MEDIA_TYPE_MAX + 1];
    char boundary[40];
    char form_type[96]; /* "multipart/form-data; boundary=..." */
    /* What a file that goes out is and may be: E_COUNT and `file`, or why it may not. */
    void (*checked)(struct call *call, enum graph_error error, const char *detail);
    struct attach *attach;
};
/* Made when absent; NULL: no memory. */
struct media_call *media_of(struct call *call);

/* Memory for media of one thread, given back with the call. From then on an answer is the server's,
 * until its tool has taken it: calls that were let in before may not add to that without end. */
bool media_reserve_for(struct call *call, uint64_t bytes);

/* A leaf is committed; with `uploaded` (an id of Meta's) its row too. Then `then` is called on the
 * call's thread, once: no record, no content. */
void media_record(struct call *call, const char *outcome, struct span uploaded,
                  void (*then)(struct call *call, int result));

/* upload.c: looks at media->file, then calls media->checked. `said`: the type it was given. */
void upload_check(struct call *call, struct span said);
/* The file as a form for Meta, in `out`. */
void upload_form(struct media_call *media, struct buffer *out);
/* The id in Meta's answer to an upload, in the arena. */
SLUIS_MUST_CHECK int upload_id(struct call *call, struct span body, struct span *id);

#endif
