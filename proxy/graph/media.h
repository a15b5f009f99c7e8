/* Private to graph: what calls about media share (media.c, upload.c, attach.c). */
#ifndef SLUIS_GRAPH_MEDIA_H
#define SLUIS_GRAPH_MEDIA_H

#include "internal.h"

#include "sluis/media.h"
#include "sluis/upstream.h"

struct attach;
struct relay;
struct upload;
struct media_call {
    struct media_item item;
    struct media_ask ask;
    struct span url;       /* of bytes at Meta; of what was uploaded, its id */
    struct stream *stream; /* media.c: a download in pieces */
    uint64_t reserved;     /* of media_reserve_for */

    /* file.c: a file on its way to Meta */
    struct media_spool *spool;
    struct media_spool_op op;
    bool op_busy;        /* the operation is the room's: the call outlives it */
    bool over;           /* the call has ended meanwhile */
    bool ended, full;    /* of the source: all came; it was asked to wait */
    int spool_result;    /* the first that was not 0 */
    struct buffer piece; /* gathered for the next operation; wiped */
    uint64_t size, max;  /* bytes that came; what WhatsApp takes, 0: not known yet */
    uint64_t at;         /* bytes that went to Meta */
    struct upstream_ticket ticket;
    struct media_check check;
    bool wants_picture; /* by where its link stands */
    struct buffer file; /* a picture as it was made anew; wiped */
    char type[MEDIA_TYPE_MAX + 1];
    char boundary[40];
    char form_type[96];               /* "multipart/form-data; boundary=..." */
    void (*go_on)(struct call *call); /* the source may */
    void (*then)(struct call *call);  /* uploaded and known: its id in `url` */
    /* The spool failed while bytes were coming: ends the source and the call. */
    void (*refused)(struct call *call, enum graph_error error, const char *detail);

    struct relay *relay; /* relay.c: what was uploaded, on its way back */
    struct upload *upload;
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

/* ---- file.c ---- */
/* Room for a file: then its bytes as they come, then its end; go_on and refused are set. E_COUNT,
 * or why it is refused. */
enum graph_error file_open(struct call *call);
/* *full: the source must wait until go_on. */
enum graph_error file_add(struct call *call, struct span bytes, bool *full);
/* It is looked at and uploaded; `then`, or the call ends with a refusal. `said`: the type that it
 * was given. */
void file_end(struct call *call, struct span said, void (*then)(struct call *call));
void upload_free(struct call *call);

/* ---- relay.c ---- */
void relay_free(struct call *call);

#endif
