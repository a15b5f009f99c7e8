/*
 * Masking of WhatsApp JSON: the table of paths (whatsapp 0.8), the judging of every content string,
 * and the rendering for one reader. Pure; findings come from detect, decisions from a policy's profile.
 *
 * Glossary
 *   unit      the JSON of one webhook with exactly one message, status or event in it: envelope,
 *             entry, change, metadata, the contact that belongs to it. What is stored and delivered.
 *   kind      of a path: structure, identifier, content, media URL, tool data.
 *
 * Judging is done once per unit; rendering as often as there are readers.
 */
#ifndef SLUIS_MASK_H
#define SLUIS_MASK_H

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/json.h"
#include "sluis/detect.h"
#include "sluis/policy.h"

enum mask_kind {
    MASK_STRUCTURE, /* passed, never judged */
    MASK_IDENTIFIER, /* phone, BSUID, message id: kept, or aliased where the profile hides contacts */
    MASK_CONTENT,    /* judged */
    MASK_CONTENT_JSON, /* a string that holds JSON: judged inside, else as content */
    MASK_MEDIA_URL,  /* Meta's address of media: never passed */
    MASK_MEDIA_ID,
    MASK_TOOL_DATA,  /* biz_opaque_callback_data */
};

/* Which table of paths applies. */
enum mask_table { MASK_TABLE_WEBHOOK, MASK_TABLE_SEND, MASK_TABLE_REPLY, MASK_TABLES };

#define MASK_FINDINGS_MAX 1024 /* per unit */

/* A finding in a unit: raw byte range of the unit's JSON text, inside one string, number or name. */
struct mask_finding {
    uint32_t start, end;
    uint16_t type;
    uint16_t score;
};
struct judged {
    struct mask_finding *findings; /* sorted by start, in the arena */
    size_t count;
    uint64_t found;                /* bit set of types */
    bool has_media;
    /* findings of the window: parts of a value that stand in earlier messages */
    struct finding *back;
    size_t back_count;
};
struct judge_input {
    const struct json_doc *doc;
    uint32_t root;
    enum mask_table table;
    const struct policy *policy;
    struct detect_scratch *scratch;
    bool from_customer;
    int64_t at_ms;
    const struct detect_message *earlier; /* newest first */
    size_t earlier_count;
};
/* SLUIS_EJUDGE, SLUIS_ELIMIT: show nothing (out->has_media stays what was seen until then). */
SLUIS_MUST_CHECK int mask_judge(const struct judge_input *input, struct arena *arena,
                                struct judged *out);

/* The text by which a unit takes part in its conversation's window (text body or caption, decoded),
 * into the arena; empty when it has none. */
SLUIS_MUST_CHECK int mask_window_text(const struct json_doc *doc, uint32_t unit_root,
                                      struct arena *arena, struct span *out);

struct mask_reader {
    const struct profile *profile;
    const struct policy *policy;
    enum media_action media; /* MEDIA_PASS or withheld; withheld as well while pictures are not redacted */
    const struct policy_route *route; /* NULL, or of `policy`: media passes only where policy_route_media
                                         says so for its kind as well */
    const char *media_base; /* gateway's own URL for media, "https://host/..." or NULL: urls dropped */
    const uint8_t *hash_key;  /* 32 bytes, MASK_HASH; per channel */
    const uint8_t *alias_key; /* 32 bytes, per route; used where the profile hides contacts */
    bool keeps_tool_data;     /* this route set it: pass; else dropped */
    bool unjudged;            /* content replaced by MASK_UNJUDGED_TEXT, structure kept */
    bool expired;             /* marked: rendered from part M after part O was gone */
    bool after_gap;           /* an earlier item of the conversation was parked */
};
#define MASK_UNJUDGED_TEXT "[bericht kon niet worden gecontroleerd]"
#define MASK_EXPIRED_TEXT "[verlopen]"

/* Renders the value at `root` as pure ASCII JSON, appended to `out`. Fails closed: on any error
 * `out` must not be used. */
SLUIS_MUST_CHECK int mask_render(const struct json_doc *doc, uint32_t root, enum mask_table table,
                                 const struct judged *judged, const struct mask_reader *reader,
                                 struct arena *arena, struct buffer *out);

/* Masks plain text (sluis scan): findings of the text in order. */
SLUIS_MUST_CHECK int mask_text(struct span text, const struct finding *findings, size_t n,
                               const struct policy *policy, const struct profile *profile,
                               struct buffer *out);

/* What stands in part O and part M before sealing: findings and unit JSON in one. */
void mask_pack(const struct judged *judged, struct span json, struct buffer *out);
/* The json span points into `packed`, findings go to the arena. SLUIS_EINVAL, SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int mask_unpack(struct span packed, struct arena *arena, struct judged *judged,
                                 struct span *json);

/* Aliases: deterministic, reversible by who has the key (XChaCha20-Poly1305 with a nonce derived from the text,
 * SIV-like). "wamid." in front is kept, so that clients recognise a message id. */
SLUIS_MUST_CHECK int mask_alias(const uint8_t key[32], struct span id, struct buffer *out);
SLUIS_MUST_CHECK int mask_unalias(const uint8_t key[32], struct span alias, struct buffer *out);

/* The kind of a path, for tests and `sluis policy explain`: "messages.*.text.body". */
enum mask_kind mask_path_kind(enum mask_table table, const char *path);

/*
 * Splitting a webhook into units. Walks entry[].changes[].value and calls `each` for every message,
 * echo, status and account event, with a unit rebuilt around it (only the contact that belongs to it).
 */
struct mask_unit {
    uint8_t kind;              /* enum store_kind values: 1 message, 2 status, 3 echo, 4 account */
    const char *field;         /* "messages", "smb_message_echoes", ... decoded, NUL-terminated */
    struct span phone_number_id; /* decoded, empty when there is no metadata */
    struct span entry_id;
    struct span id;            /* wamid, empty for account events */
    struct span contact;       /* phone of the data subject (group: sender; echo, status: addressee) */
    struct span user_id;       /* BSUID, or empty */
    struct span type;          /* "text", "image", "revoke", ... */
    struct span status;        /* statuses: "delivered" ... */
    struct span target_id;     /* revoke, edit, reaction: the message meant */
    int64_t at_ms;             /* from `timestamp`; 0 when absent */
    struct span json;          /* the unit's own JSON text, UTF-8 as received, in the arena */
    const struct json_doc *doc; /* the document that was split, when the unit is all of it: offsets are
                                   the same, no second scan is needed; else NULL */
};
/* `each` returns 0 to go on; anything else ends the walk with that value. SLUIS_EINVAL when the
 * envelope is not a webhook (object, entry, changes). */
SLUIS_MUST_CHECK int mask_split_webhook(const struct json_doc *doc, struct arena *arena,
                                        int (*each)(void *ctx, const struct mask_unit *unit),
                                        void *ctx);

#endif
