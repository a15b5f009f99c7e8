/*
 * Pictures: handed to sandboxed workers, which look at what is in them and cover what must not be
 * seen. This door is the side of the gateway: it moves bytes, never decodes them, and links no
 * decoder. Whatever goes wrong, the verdict is `withheld` with a reason, and the caller lives on.
 *
 *     picture_pool_new(&(struct picture_pool_options){.detect = settings}, &pool);
 *     job->in = fd;                           // picture_memfd(bytes, &fd)
 *     picture_policy_default(&job->policy);
 *     job->done = on_done;                    // on the pool's thread: post it to your loop
 *     picture_submit(pool, job);              // never waits; done is called exactly once
 *     ... job->verdict.outcome, .fd ... picture_verdict_free(&job->verdict);
 *
 * Words:
 *   worker    the program `sluis-media`: one process (the zygote) that loads the engine, never sees
 *             a picture, and forks a child under seccomp and Landlock for each picture.
 *   class     what policy speaks of: card, id_document, mrz, ...; a picture may have several.
 *   finding   one thing that was seen, with its box in the picture as it is shown (EXIF orientation
 *             applied): x and y from the top left, width and height, in pixels.
 *   outcome   clean (bytes encoded anew, nothing covered), redacted (the same, with solid boxes),
 * or withheld (no bytes).
 *
 * A picture has one covered version: its bytes and hash are fixed with the first verdict.
 *
 * Threads: the pool has one thread of its own ("sluis-picture"); every function may be called from
 * any thread and none waits, but picture_pool_free and picture_inspect (which says so).
 */
#ifndef SLUIS_PICTURE_H
#define SLUIS_PICTURE_H

#include "sluis/base/error.h"
#include "sluis/base/span.h"
#include "sluis/detect.h"

#define PICTURE_IN_MAX                                                                             \
    (32u * 1024 * 1024) /* bytes of a picture that is looked at; Meta's are <= 5 MB */
#define PICTURE_OUT_MAX (48u * 1024 * 1024) /* bytes of a picture encoded anew */
#define PICTURE_PIXELS_MAX 25000000u        /* width times height, from the header */
#define PICTURE_SIDE_MAX 20000u             /* either side, in pixels */
#define PICTURE_FINDINGS_MAX 256            /* more: the picture is withheld */
#define PICTURE_TEXT_MAX (64u * 1024)       /* bytes of recognised text that are given back */
#define PICTURE_QUEUE_MAX 512               /* jobs waiting; more is SLUIS_ELIMIT */
#define PICTURE_CPU_S 10                    /* CPU seconds a child has */
#define PICTURE_WALL_MS 60000  /* a child's life by the clock: CPU time at nice 19 may be slow */
#define PICTURE_FORKS_MAX 1000 /* then the zygote is replaced */

/* The same order as enum policy_picture. */
enum picture_class {
    PICTURE_CLASS_UNKNOWN, /* could not be judged */
    PICTURE_CLASS_CLEAN,
    PICTURE_CLASS_CARD, /* a payment card (front, back), its number read or not; a PAN as text */
    PICTURE_CLASS_ID_DOCUMENT, /* passport, identity card, driving licence, residence permit */
    PICTURE_CLASS_MRZ,         /* a machine-readable zone, check digits valid or not */
    PICTURE_CLASS_BSN,
    PICTURE_CLASS_IBAN,
    PICTURE_CLASS_PAYMENT_CODE, /* a QR code with an account in it */
    PICTURE_CLASS_OTHER,        /* another finding in the text of the picture */
    PICTURE_CLASSES
};
/* "unknown", "clean", "card", "id_document", "mrz", "bsn", "iban", "payment_code", "other". */
const char *picture_class_word(enum picture_class class);

/* The same order as enum media_action. */
enum picture_action { PICTURE_WITHHOLD, PICTURE_PASS, PICTURE_REDACT };

/* What to do. A class that is seen and passed stays uncovered, unless another one covers it. */
struct picture_policy {
    uint8_t action[PICTURE_CLASSES]; /* enum picture_action; UNKNOWN and CLEAN are never redacted */
    uint64_t detect;                 /* whose settings judge the text: a key of picture_pool_detect;
                                      * 0: the pool's first. A key it does not have: withheld */
    uint64_t types;                  /* bit 1 << enum detect_type: text findings that count as OTHER
                                      * (IBAN, BSN, PAN and ID documents have classes of their own) */
    bool card_name;                  /* a card keeps its holder's name uncovered */
    bool card_cvc;                   /* a card keeps its CVC uncovered (never the number) */
    bool want_text;                  /* verdict.text: it is personal data, ask only to judge it */
    bool sheet; /* no inspection: `in` holds pairs of pictures (picture_sheet), a contact sheet
                   comes back */
};
/* Withhold unknown, pass clean, redact the rest; every type but name. */
void picture_policy_default(struct picture_policy *policy);

enum picture_outcome { PICTURE_WITHHELD, PICTURE_CLEAN, PICTURE_REDACTED };
const char *
picture_outcome_word(enum picture_outcome outcome); /* "withheld", "clean", "redacted" */

enum picture_reason {
    PICTURE_OK,
    PICTURE_BY_POLICY,   /* seen, and policy says withhold */
    PICTURE_NO_WORKER,   /* sluis-media cannot be started */
    PICTURE_NO_ENGINE,   /* no models, no tesseract, or a checksum does not hold */
    PICTURE_NOT_PICTURE, /* not JPEG, PNG, WebP or GIF by its content */
    PICTURE_TOO_LARGE,   /* bytes, pixels, scans, or memory */
    PICTURE_BROKEN,      /* truncated or damaged */
    PICTURE_LATE,        /* CPU or wall time is up */
    PICTURE_DIED,        /* the worker was killed or gave a reply that does not hold */
    PICTURE_BUSY,        /* the queue is full */
    PICTURE_STOPPED,     /* the pool is being freed */
    PICTURE_READABLE,    /* digits could still be read after covering */
    PICTURE_FAILED,      /* anything else (memory, detection) */
    PICTURE_NO_POLICY,   /* the settings it was to be judged by are not (no longer) the worker's */
    PICTURE_REASONS
};
const char *picture_reason_word(enum picture_reason reason); /* "policy", "no-worker", ... */

enum picture_kind { PICTURE_KIND_NONE, PICTURE_JPEG, PICTURE_PNG, PICTURE_WEBP, PICTURE_GIF };
/* "image/jpeg"; "" for none. */
const char *picture_kind_mime(enum picture_kind kind);
/* By the first bytes; enough for routing, the worker decides. Pure. */
enum picture_kind picture_kind_of(struct span first);

/* A finding's type: enum detect_type, or one of these. */
enum picture_found {
    PICTURE_FOUND_CARD = 64, /* card digits that are no valid number, expiry, the card as a whole */
    PICTURE_FOUND_NAME,      /* the holder's name on a card or document */
    PICTURE_FOUND_CVC,
    PICTURE_FOUND_MRZ,
    PICTURE_FOUND_CODE, /* payment QR code */
    PICTURE_FOUND_END
};
/* "pan", "iban", ..., "card", "name", "cvc", "mrz", "code"; "own" for a policy's own type. */
const char *picture_found_word(unsigned type);

struct picture_finding {
    uint16_t type;
    uint16_t score;  /* 0..1000 */
    uint8_t class;   /* enum picture_class */
    uint8_t covered; /* 1: under a solid box in the result */
    uint16_t padding;
    int32_t x, y, w, h;
};

enum picture_engine { PICTURE_ENGINE_NONE, PICTURE_ENGINE_PPOCR, PICTURE_ENGINE_TESSERACT };
const char *picture_engine_word(enum picture_engine engine); /* "none", "pp-ocrv4", "tesseract" */
/* What it costs that this is not the best engine, for people: of 123 pictures of cards tesseract
 * recognises 35, PP-OCRv4 109. "" for the best one. */
const char *picture_engine_cost(enum picture_engine engine);

struct picture_verdict {
    enum picture_outcome outcome;
    enum picture_reason reason;
    uint32_t classes;       /* bits 1 << enum picture_class; UNKNOWN when not judged */
    enum picture_kind in;   /* what came, by content */
    enum picture_kind kind; /* what fd holds; NONE when withheld */
    uint32_t width, height; /* as shown; 0 when not decoded */
    int fd;     /* sealed memfd with the whole file, or -1; closed by picture_verdict_free */
    uint64_t n; /* its bytes */
    uint8_t sha256[32];               /* its hash */
    struct picture_finding *findings; /* in reading order */
    size_t finding_count;
    struct span text; /* with want_text: recognised lines, '\n' between them */
    enum picture_engine engine;
    uint32_t passes;   /* of recognition */
    uint32_t ms;       /* in the worker, by the clock */
    uint32_t peak_kib; /* resident memory of the child at its most */
};
/* Wipes the text; leaves an empty verdict (withheld, fd -1). */
void picture_verdict_free(struct picture_verdict *verdict);
/* The line that stands in a masked webhook: "[foto: bankpas afgeschermd]",
 * "[foto: identiteitsbewijs niet doorgegeven]", "[foto: kon niet worden gecontroleerd]"; empty for
 * a clean picture. Constant. `n` classes decide, the outcome chooses the verb. */
struct span picture_line(enum picture_outcome outcome, uint32_t classes);

/* ---- the pool ---- */

struct picture_pool;
struct picture_pool_options {
    const char
        *program; /* path of sluis-media; NULL: $SLUIS_MEDIA, else beside our own executable */
    const char *models; /* folder; NULL: the worker's own search ($SLUIS_MODELS, its packages) */
    unsigned workers;   /* children at once; 0: cores - 1, at least 1, at most 16 */
    unsigned wall_ms;   /* 0: PICTURE_WALL_MS */
    unsigned forks;     /* 0: PICTURE_FORKS_MAX */
    const struct detect_settings *detect; /* copied; NULL: detect_settings_default; key 0 */
};
/* Starts the thread; the worker is started by the first job or picture_pool_warm. SLUIS_EINVAL,
 * SLUIS_ENOMEM, SLUIS_ESYS. A missing program is no error here: its jobs end as NO_WORKER. */
SLUIS_MUST_CHECK int picture_pool_new(const struct picture_pool_options *options,
                                      struct picture_pool **out);
/* Ends what waits or runs as STOPPED (done is called, here or on the thread), stops the worker,
 * waits for the thread. NULL is allowed. */
void picture_pool_free(struct picture_pool *pool);
/* Starts the worker now, so that the first picture does not wait for the models (0.5 s). */
void picture_pool_warm(struct picture_pool *pool);
/* Detect settings by key, one for each policy: thresholds, own recognisers, special words. */
#define PICTURE_DETECT_MAX 64                   /* of a pool: each costs the worker memory */
#define PICTURE_DETECT_BYTES (4u * 1024 * 1024) /* of all together; a policy file is <= 1 MiB */
struct picture_detect {
    uint64_t key; /* never 0; the same key twice is the same settings */
    const struct detect_settings *settings;
};
/* At start and after a policy reload: jobs handed out from now on are judged with these (copied).
 * The worker compiles their patterns before it sees a picture, so it is replaced when anything
 * changed; pictures under way end first. `n` 0: the defaults. SLUIS_ENOMEM, SLUIS_ELIMIT (too many,
 * too long): then the settings before stay. */
SLUIS_MUST_CHECK int picture_pool_detect(struct picture_pool *pool,
                                         const struct picture_detect *list, size_t n);

struct picture_job {
    int in; /* memfd with the picture from its first byte; the pool seals it if it is not, and
               closes it */
    struct picture_policy policy;
    /* Called once, on the pool's thread (also within picture_pool_free). The job is the caller's
     * again, the verdict too: picture_verdict_free. Must not wait. */
    void (*done)(struct picture_job *job);
    void *context;
    struct picture_verdict verdict;
    /* the pool's own */
    struct picture_job *next;
    uint64_t id;
    uint64_t epoch;
    int64_t began_ms;
    unsigned tries;
    int result, picture;
};
/* Hands over. 0, or SLUIS_ELIMIT (queue full) and SLUIS_ECLOSED: then `done` is not called, the
 * descriptor stays the caller's and the picture is withheld. */
SLUIS_MUST_CHECK int picture_submit(struct picture_pool *pool, struct picture_job *job);

/* For commands: submits and waits. The descriptor is closed in any case. */
void picture_inspect(struct picture_pool *pool, int in, const struct picture_policy *policy,
                     struct picture_verdict *out);

/* For commands: a contact sheet (PNG, in out->fd) of pictures before and after, made by the worker.
 * At most PICTURE_SHEET_MAX pairs; an empty `after` was withheld. Waits. SLUIS_ELIMIT, SLUIS_ESYS,
 * SLUIS_EJUDGE (out->reason tells). */
#define PICTURE_SHEET_MAX 12
struct picture_pair {
    struct span before, after;
};
SLUIS_MUST_CHECK int picture_sheet(struct picture_pool *pool, const struct picture_pair *pairs,
                                   size_t n, struct picture_verdict *out);

/* A sealed memfd with these bytes. SLUIS_ELIMIT past PICTURE_IN_MAX, SLUIS_ESYS. */
SLUIS_MUST_CHECK int picture_memfd(struct span bytes, int *out);

struct picture_pool_status {
    bool running;               /* the worker is up and has its engine */
    enum picture_engine engine; /* of the last worker that came up */
    int landlock;               /* ABI version, 0: not in this kernel (seccomp carries it) */
    bool seccomp;
    char versions[128]; /* "pp-ocrv4 1.4.2, onnxruntime 1.28.0" */
    char problem[160];  /* why the engine is not the best one; "" when it is */
    unsigned workers;
    uint64_t waiting, under_way, done, withheld, died, starts;
};
void picture_pool_status(struct picture_pool *pool, struct picture_pool_status *out);

#endif
