/*
 * Media of customers: fetched from Meta when their message has been committed, inspected, sealed
 * under the message's keys, and served to tools from there (architecture section 4).
 *
 *   commit of a message -> media_take -> Meta: address, bytes -> hash checked -> kind by content
 *     picture: the inspector's verdict -> clean or covered bytes sealed in a file, or withheld
 *     else:    as policy says of documents, audio, video: sealed as it came, or withheld
 *   -> the row says so (durable) -> delivery that waits goes on, downloads that wait are answered
 *
 * Glossary
 *   item      one media object of one message, known by (channel, Meta's id of it)
 *   row       what the store knows of an item, in STORE_TABLE_MEDIA: written with the message
 *             (MEDIA_WAITING), replaced once with the verdict. Its facts are sealed under the keys
 *             of the message's part M (else O): a row whose keys are destroyed opens no more.
 *   file      the bytes that are served, in sealed chunks, in the folder `media` beside the
 *             database; named before it is written, by the row. The original of a picture is in
 *             memory only, and never outside this room and the inspector.
 *   verdict   what became of an item; fixed: the hash that a webhook told is the hash served.
 *
 * Threads: the room's work is done on one loop of the gateway's (deps.loop), which may wait for
 * disks. media_take, media_waits, media_ask, media_check and media_status may be called on any
 * thread and return at once; media_key, media_row_*, media_find and media_view_of are pure over
 * what the caller gives them, on any thread.
 *
 *     writer thread     media_take(media, &taken);                 before the delivery is offered
 *     a route's thread  if (media_waits(media, serial) && young) wait; else render with
 * media_view_of a tool's call     media_find(...) -> MEDIA_READY -> leaf committed ->
 * media_ask(...) -> bytes
 *
 * On disk: a file is a row of chunks: length (4 bytes, big-endian), then record_seal's output of
 * file id (16), chunk number (4), bytes. Key: (class, bucket, subject, serial, part 'F').
 */
#ifndef SLUIS_MEDIA_H
#define SLUIS_MEDIA_H

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/mailbox.h"
#include "sluis/config.h"
#include "sluis/keyring.h"
#include "sluis/mask.h"
#include "sluis/net/loop.h"
#include "sluis/net/resolver.h"
#include "sluis/store.h"

#define MEDIA_WAIT_MS 5000    /* delivery waits for verdicts so long, from the message's arrival */
#define MEDIA_ANSWER_MS 20000 /* a tool's download waits for a verdict so long */
#define MEDIA_KEY_BYTES (2 + STORE_HASH_BYTES)
#define MEDIA_FILE_ID 16
#define MEDIA_ROW_MAX 900                     /* bytes of a row's value */
#define MEDIA_ID_MAX 128                      /* Meta's ids are 15 to 20 digits */
#define MEDIA_TYPE_MAX 96                     /* bytes of a MIME type */
#define MEDIA_ITEMS_MAX 4                     /* of one message */
#define MEDIA_BYTES_MAX (100u * 1024 * 1024)  /* Meta's own limit on what customers send */
#define MEDIA_PICTURE_MAX (16u * 1024 * 1024) /* three times what Meta takes as a picture */

struct media;

/* ---- items and their rows ---- */
enum media_state {                    /* stands on disk: must not change */
                   MEDIA_WAITING = 1, /* no verdict yet */
                   MEDIA_READY = 2,   /* the file is there */
                   MEDIA_HELD = 3,    /* not passed to anybody: see media_reason */
                   MEDIA_SENT =
                       4, /* uploaded by a tool and inspected then; its bytes are Meta's only */
};
enum media_reason { /* why MEDIA_HELD; on disk */
                    MEDIA_NO_REASON,
                    MEDIA_BY_POLICY,    /* of its kind, or of what was seen in it */
                    MEDIA_NO_INSPECTOR, /* no worker or no models installed */
                    MEDIA_NOT_READABLE, /* the inspector could not decide: damaged, hostile, too
                                           slow */
                    MEDIA_TOO_LARGE,
                    MEDIA_GONE,       /* Meta does not have it any more */
                    MEDIA_WRONG_HASH, /* not what the webhook announced */
                    MEDIA_WRONG_KIND, /* said to be a picture and is none */
                    MEDIA_TOO_MANY, /* more pictures in a minute than one contact may have inspected
                                     */
                    MEDIA_REASONS
};
const char *media_reason_word(enum media_reason reason);

enum media_kind { /* by content; on disk */
                  MEDIA_PICTURE = 1,
                  MEDIA_AUDIO,
                  MEDIA_VIDEO,
                  MEDIA_DOCUMENT, /* all else */
};
struct media_item {
    enum media_state state;
    enum media_reason reason;
    enum media_kind kind;
    uint32_t classes;      /* of a picture: 1 << enum policy_picture */
    bool covered;          /* something in it was covered */
    uint16_t hidden;       /* which of `classes` are; policy may want another covered since */
    uint8_t ordinal;       /* among the message's items */
    struct record_id keys; /* of facts and file; part 'F' */
    uint64_t message;      /* serial of the message; that of `keys` too, unless it moved */
    int64_t since_ms;
    uint8_t file[MEDIA_FILE_ID];
    /* Of what is served; while MEDIA_WAITING as the webhook told, sha256 zeros when it did not. */
    char mime_type[MEDIA_TYPE_MAX + 1];
    char name[16]; /* Meta's word: "image", "document", ... */
    char id[MEDIA_ID_MAX + 1];
    uint8_t sha256[32];
    uint64_t size;
};

/* The key of (channel, id) in STORE_TABLE_MEDIA. */
void media_key(struct keyring *keyring, uint16_t channel, struct span id,
               uint8_t out[MEDIA_KEY_BYTES]);
/* The value of a row; MEDIA_SENT needs no keys and `cache` may be NULL then. SLUIS_EEXPIRED: the
 * keys are destroyed. */
SLUIS_MUST_CHECK int media_row_write(struct keyring_cache *cache, const struct media_item *item,
                                     struct buffer *out);
/* SLUIS_EEXPIRED (then state and keys are filled in), SLUIS_ECRYPTO, SLUIS_EINVAL (also the rows of
 * older versions, which say nothing about what the id stands for: nobody gets such media). */
SLUIS_MUST_CHECK int media_row_read(struct keyring_cache *cache, struct span value,
                                    struct media_item *out);
/* The item of (channel, id). SLUIS_ENOENT: no webhook brought it and nobody uploaded it;
 * SLUIS_EEXPIRED: its keys are destroyed (id is empty then), or its sender took the message back. */
SLUIS_MUST_CHECK int media_find(struct store_read *read, struct keyring *keyring,
                                struct keyring_cache *cache, uint16_t channel, struct span id,
                                struct arena *arena, struct media_item *out);

/* ---- what a reader may have of an item ---- */
/* For struct mask_reader: .media_of = media_view_of, .media_ctx = &view. Looks the object up and
 * asks policy; an item that is not known is withheld. The view lasts as long as the rendering. */
struct media_view {
    struct store_read *read;
    struct keyring *keyring;
    struct keyring_cache *cache;
    uint16_t channel;
    const struct policy *policy;
    const struct policy_route *route; /* of `policy`; NULL: a reader that is no tool */
    struct arena *arena;
    bool waiting; /* set when an item had no verdict yet */
};
int media_view_of(void *ctx, struct span id, struct mask_media *out);
/* The same for an item at hand; what policy says now. */
enum mask_media_state media_state_for(const struct media_item *item, const struct policy *policy,
                                      const struct policy_route *route);

/* ---- pictures: who inspects ---- */
/* The room decodes nothing. The gateway binds the sandboxed worker (sluis/picture.h) here. */
#define MEDIA_CLASSES 16 /* room for enum policy_picture */
struct media_look {
    struct span bytes;              /* the caller's, valid until `done` */
    uint8_t actions[MEDIA_CLASSES]; /* enum media_action of each enum policy_picture */
    uint64_t policy;                /* policy_key of the one whose recognisers judge its text */
};
enum media_verdict { MEDIA_CLEAN, MEDIA_COVERED, MEDIA_UNDECIDED };
struct media_inspected {
    enum media_verdict verdict;
    enum media_reason reason; /* of MEDIA_UNDECIDED: by policy, too large, not readable ... */
    bool again;               /* undecided by an accident: the same picture may do better */
    uint32_t classes;         /* 1 << enum policy_picture: what was seen */
    uint16_t hidden;          /* which of them are covered in `bytes` */
    uint64_t found;           /* bit set of detect types in it */
    struct span bytes;        /* encoded anew from pixels; during the callback only */
    const char *mime_type;    /* of them */
};
struct media_inspector {
    /* Looks at the picture; `done` is called once, on deps.loop's thread, never within the call. 0,
     * or an error and `done` is not called (SLUIS_EAGAIN: too many at once; SLUIS_ENOENT: no worker
     * or models). */
    int (*inspect)(void *ctx, const struct media_look *look,
                   void (*done)(void *done_ctx, const struct media_inspected *inspected),
                   void *done_ctx);
    bool (*present)(void *ctx); /* any thread */
    /* Engine and state in a few words, for status and doctor; any thread. */
    void (*words)(void *ctx, char *out, size_t size);
    void *ctx;
};

/* ---- the room ---- */
struct media_found { /* a verdict, for notices to the contact */
    uint16_t channel;
    uint64_t subject, serial;
    uint32_t classes;
};
struct media_deps {
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    struct resolver *resolver;
    struct loop *loop;                /* the room's own: it may wait for disks */
    const char *path;                 /* folder, made with mode 0700 */
    uint64_t memory_max;              /* bytes of media in memory at once */
    unsigned per_minute;              /* inspections of one contact [20] */
    struct media_inspector inspector; /* .inspect NULL: none, pictures are withheld */
    void (*on_found)(void *ctx, const struct media_found *found); /* loop's thread; may be NULL */
    void *on_found_ctx;
};
SLUIS_MUST_CHECK int media_new(const struct media_deps *deps, struct media **out);
/* Takes up what had no verdict when the gateway stopped. The loop runs, or is about to. */
void media_start(struct media *media);
/* Any thread: whoever waits is told SLUIS_ECLOSED, now and from now on; the rest goes on. */
void media_drain(struct media *media);
/* When its loop has stopped, or on its thread: ends requests to Meta; what waits is told
 * SLUIS_ECLOSED.
 */
void media_stop(struct media *media);
void media_free(struct media *media); /* loop stopped and drained */
/* The folder's name for a store's path, into out[size]. */
int media_path(const char *store_path, char *out, size_t size);

/* A message with media was committed, with its rows (MEDIA_WAITING). Any thread; copies. */
struct media_taken {
    uint16_t channel;
    uint64_t serial, subject;
    int64_t taken_ms;
    unsigned count;
    uint8_t keys[MEDIA_ITEMS_MAX][MEDIA_KEY_BYTES];
};
void media_take(struct media *media, const struct media_taken *taken);
/* Has the message an item without a verdict that is being worked on? Any thread; cheap. */
bool media_waits(struct media *media, uint64_t serial);

/* Asks for an item, and its bytes when `with_bytes`; waits for a verdict until `until_ms` (mono).
 * `done` is called once by mail to `loop`. result: 0, SLUIS_EAGAIN (no verdict yet), SLUIS_ENOENT,
 * SLUIS_EDENIED (held), SLUIS_EEXPIRED (keys destroyed), SLUIS_ECRYPTO (the file is not what the
 * row says), SLUIS_ELIMIT (memory), SLUIS_ECLOSED. The caller frees `bytes` with buffer_free. */
struct media_ask {
    struct mail mail; /* first; the room's until `done` */
    struct loop *loop;
    void (*done)(struct media_ask *ask);
    void *ctx;
    uint8_t key[MEDIA_KEY_BYTES];
    bool with_bytes;
    uint64_t at; /* with n: so many bytes from there; each piece is what was sealed at its place, */
    size_t n;    /* and who sends the whole compares its hash before the last one goes */
    int64_t until_ms;
    int result;
    struct media_item item;
    struct buffer bytes;    /* whole, their hash that of the item; or the piece */
    struct media_ask *next; /* the room's */
    struct media *media;    /* likewise */
};
void media_ask(struct media *media, struct media_ask *ask);

/*
 * What a tool sends, on its way to Meta, when it may be too large for memory: an unnamed file
 * beside the media, sealed with a key that is in memory only and gone with it. Any thread; the work
 * is done on the room's loop, one operation of a spool at a time, told by mail.
 *
 *     media_spool_new(media, MEDIA_BYTES_MAX, &spool);
 *     op.what = MEDIA_SPOOL_ADD, op.bytes = ...;  media_spool_run(spool, &op);   // op.done: next
 *     op.what = MEDIA_SPOOL_LAST ...                                   // with the last bytes, or
 * none op.what = MEDIA_SPOOL_READ, op.at, op.n;    media_spool_run(spool, &op);   // op.bytes
 */
struct media_spool;
enum media_spool_what { MEDIA_SPOOL_ADD, MEDIA_SPOOL_LAST, MEDIA_SPOOL_READ };
struct media_spool_op {
    struct mail mail; /* first; the room's until `done` */
    struct loop *loop;
    void (*done)(struct media_spool_op *op);
    void *ctx;
    enum media_spool_what what;
    struct buffer bytes; /* to be added (emptied), or read; the caller frees it */
    uint64_t at;         /* of what is read */
    size_t n;
    int result; /* 0, SLUIS_ELIMIT (above `max`), SLUIS_EFULL (disk, or too much of all tools),
                   SLUIS_EIO, SLUIS_ECRYPTO, SLUIS_EINVAL; after one nothing else succeeds */
    struct media_spool *spool; /* the room's */
};
/* SLUIS_EAGAIN: too many at once. */
SLUIS_MUST_CHECK int media_spool_new(struct media *media, uint64_t max, struct media_spool **out);
void media_spool_run(struct media_spool *spool, struct media_spool_op *op);
uint64_t media_spool_size(const struct media_spool *spool); /* between operations */
void media_spool_free(struct media_spool *spool);           /* likewise; NULL is fine */

/* What WhatsApp takes of a kind; a sticker is a WebP. */
uint64_t media_send_max(enum media_kind kind, const char *mime_type);

/* Inspects what a tool wants to send: `spool`, or `bytes` without one. result: 0 and `kind`; for a
 * picture `inspected` without its span and in `bytes` what was rebuilt, anything else stays where
 * it is; SLUIS_ENOENT (no inspector), SLUIS_EINVAL (undecided), SLUIS_EAGAIN (busy), SLUIS_ECLOSED,
 * or what the spool says. */
struct media_check {
    struct mail mail; /* first; the room's until `done` */
    struct loop *loop;
    void (*done)(struct media_check *check);
    void *ctx;
    struct media *media;            /* the room's */
    int64_t until_ms;               /* mono; 0: MEDIA_ANSWER_MS from now */
    uint8_t actions[MEDIA_CLASSES]; /* of each class of pictures: MEDIA_PASS or MEDIA_REDACT */
    uint64_t policy;                /* policy_key */
    struct media_spool *spool;      /* the caller's; its operations rest until `done` */
    struct buffer bytes;
    uint64_t reserved; /* the room's */
    int result;
    enum media_kind kind;
    struct media_inspected inspected;
    char mime_type[MEDIA_TYPE_MAX + 1]; /* by content */
    struct media_check *next;           /* the room's */
};
void media_check(struct media *media, struct media_check *check);

/* What bytes are, by their first ones; `mime_type` gets a constant name. */
enum media_kind media_kind_of(struct span bytes, const char **mime_type);
/* The same of bytes that come in pieces: the first one has MEDIA_KIND_FIRST bytes, or all there
 * are. An MP4 is video once a track of pictures was seen. */
#define MEDIA_KIND_FIRST 4096
struct media_kind_scan {
    enum media_kind kind;
    const char *mime_type, *as_video;
    bool begun, may_be_video;
    size_t tail_n;
    char tail[32]; /* what a mark may have begun in */
};
void media_kind_scan(struct media_kind_scan *scan, struct span bytes);

/* ---- for purge and export ---- */
struct media_swept {
    unsigned rows, files; /* gone: their keys were destroyed, or nothing points to them */
    bool more;
};
/* Looks at some of the rows and files and removes what cannot be read any more: rows whose keys are
 * destroyed with their files, uploads that Meta has forgotten (30 days), files without a row (a
 * crash). Not on event threads: it submits a job and waits. At most `most` rows and files a call.
 */
SLUIS_MUST_CHECK int media_sweep(struct media *media, unsigned most, struct media_swept *out);
/*
 * Media that must outlive the keys they hang under, before those are destroyed; each with a file of
 * its own, sealed anew. `serial` 0: a copy of all that this subject has, under to->cls and
 * to->bucket (a legal hold), beside what is there; done again, it adds what came since. Tools see
 * no more of it than before; media_read finds it. Else the media of the message of this serial
 * (its own, wherever it is by now) move under `to`: what was sealed anew keeps its picture, also one that
 * has no verdict yet, which is then sealed under `to`. Not on event threads.
 */
SLUIS_MUST_CHECK int media_keep(struct media *media, uint64_t subject, uint64_t serial,
                                const struct record_id *to);
/* The serial of the message leaf that each item hangs under, copies of holds too; `each` returns 0 to
 * go on, or an error. A message that was sealed anew again may be elsewhere by now. Not on event
 * threads. */
SLUIS_MUST_CHECK int media_each_leaf(struct media *media, int (*each)(void *ctx, uint64_t serial),
                                     void *ctx);
/* The item of (channel, id) and its bytes appended to `out` when it is MEDIA_READY; `out` may be
 * NULL. For export and people's pages, which find the id in the message's JSON; the caller has put
 * it on record. Not on event threads. SLUIS_ENOENT, SLUIS_EEXPIRED, SLUIS_ECRYPTO. */
SLUIS_MUST_CHECK int media_read(struct media *media, uint16_t channel, struct span id,
                                struct media_item *item, struct buffer *out);

struct media_status {
    bool inspector;   /* present */
    char words[256];  /* of the inspector */
    uint64_t waiting; /* items without a verdict */
    uint64_t bytes;   /* in memory */
};
void media_status(struct media *media, struct media_status *out);

#endif
