/*
 * Masking of WhatsApp JSON: the table of paths (whatsapp 0.8), the judging of every content string,
 * and the rendering for one reader. Pure; findings come from detect, decisions from a policy's
 * profile.
 *
 * Glossary
 *   unit      the JSON of one webhook with exactly one message, status or event in it: envelope,
 *             entry, change, metadata, the contact that belongs to it. What is stored and
 * delivered. kind      of a path: structure, identifier, content, media URL, tool data.
 *
 * Judging is done once per unit; rendering as often as there are readers. The table stands in
 * proxy/mask/paths.c; what it does not list is content: strings, numbers in their written form, and
 * member names. Values under unknown names, in contact cards and in response_json are judged
 * together with their name ("bsn: 123456782").
 *
 * What a reader sees instead:
 *   a finding            by the profile, the strictest rule of all types found at its place: [IBAN], \u2022\u2022\u2022\u2022\u2022\u20224300,
 * [IBAN:3f9a0c52], or with block the whole string as [geblokkeerd]; a token as [IBAN#...], while
 * the original of the message is kept, else as a redaction a forged token       what a customer
 * typed in a token's form has its # made a full-width one a number             the same as a
 * string: "latitude":"[LOCATION]" a member name        [IBAN 3]: type and place in its object;
 * beside it, unknown names that start with a bracket become [veld 3], so that names stay different
 *   media, withheld      the message becomes a text: [foto: niet doorgegeven] and the caption;
 * video, audio, spraakbericht, document, sticker likewise. Where that is not possible (no type, a
 * text beside it) the object is replaced by {"caption": that line} media, passed        the object,
 * its url media_base/<id>, or no url when media_base is NULL Meta's addresses     the member is
 * dropped, null in an array pictures in a vCard  cut, whatever the profile expired, after_gap
 * "sluis":{"expired":true,"after_gap":true} as first member of the unit, [verlopen] before its
 * text; a member of that name in the input is dropped unjudged             content strings and
 * unknown member names replaced, unknown numbers 0 (also what its sender took back, or an officer
 * hid: another text, `hidden`)
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
    uint64_t also; /* types that were found here too: the strictest rule of all masks it */
    bool rest;     /* not one whole value: no part, hash or token of it is shown */
};
struct judged {
    struct mask_finding *findings; /* sorted by start, in the arena */
    size_t count;
    uint64_t found;                /* bit set of types, those in `also` too */
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
/* Adds findings of that text (offsets in it, decoded) to what was judged: a later message showed
 * that they belong to a value. Findings that overlap become one. SLUIS_EINVAL when the unit has no
 * such text or a finding lies outside it, SLUIS_ELIMIT, SLUIS_ENOMEM; then `judged` is as it was. */
SLUIS_MUST_CHECK int mask_window_add(const struct json_doc *doc, uint32_t unit_root,
                                     const struct finding *findings, size_t n, struct arena *arena,
                                     struct judged *judged);

/* Tokens (proxy/mask/token.c): 64 bits under the message's own keys, and its serial, hidden. They
 * are not stored: a token holds as long as the original of its message. */
#define MASK_TOKEN_TAG 8
struct mask_token_keys {
    uint8_t value[32];   /* record_subkey of the original, part 'T' */
    uint8_t channel[32]; /* keyring_derive "token/<channel>" */
    uint32_t serial;     /* of the message */
};
struct mask_token {
    size_t start, sign, end; /* in the text: "[", "#", past "]" */
    uint32_t serial;         /* hidden: mask_token_serial */
    uint8_t tag[MASK_TOKEN_TAG];
};
/* The next text in a token's form from `from` on; whether it is one shows when it is looked up. */
bool mask_token_next(struct span text, size_t from, struct mask_token *out);
/* The serial of the message that a token would belong to: any number, when it is none of ours. */
uint32_t mask_token_serial(const uint8_t channel[32], const struct mask_token *token);
/* The value that a token stands for, among the findings of that message's original (decoded, in the
 * arena). SLUIS_ENOENT: none of them; SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int mask_token_value(const struct json_doc *doc, const struct judged *judged,
                                      const uint8_t value_key[32], const struct mask_token *token,
                                      struct arena *arena, struct span *value);

/* What a reader may have of one media object. */
enum mask_media_state {
    MASK_MEDIA_WITHHELD, /* becomes a line of text */
    MASK_MEDIA_WAITING,  /* not inspected yet: the object without url and sha256, our line before its
                            caption */
    MASK_MEDIA_COVERED,  /* the object with what is served, our line before its caption */
    MASK_MEDIA_PASSED,   /* the object with what is served */
};
struct mask_media {
    enum mask_media_state state;
    bool picture;          /* by content, whatever Meta calls it */
    uint32_t classes;      /* 1 << enum policy_picture: for the line */
    struct span mime_type; /* of what is served; empty: as Meta said */
    uint8_t sha256[32];
    bool has_sha256;
};

struct mask_reader {
    const struct profile *profile;
    const struct policy *policy;
    enum media_action media; /* MEDIA_PASS or withheld; withheld as well while pictures are not redacted */
    const struct policy_route *route; /* NULL, or of `policy`: media passes only where policy_route_media
                                         says so for its kind as well */
    /* Each object by its id (decoded); on top of `media` and `route`. An error withholds it. NULL:
     * nobody asked what is in it, it stays as it came; for what is stored, and for media nobody
     * inspects. */
    int (*media_of)(void *ctx, struct span id, struct mask_media *out);
    void *media_ctx;
    const char *media_base; /* gateway's own URL for media, "https://host/..." or NULL: urls dropped */
    const uint8_t *hash_key;  /* 32 bytes, MASK_HASH; per channel */
    const uint8_t *alias_key; /* 32 bytes, per route; used where the profile hides contacts */
    bool keeps_tool_data;     /* this route set it: pass; else dropped */
    /* Of the message at hand, for MASK_TOKEN; NULL: its original is not kept, so it redacts. */
    const struct mask_token_keys *token;
    /* What the profile's conditions look at: channel, direction, time, consent (what was found, and
     * whether there are media, is taken from the judgement). NULL: not known, the strictest holds. */
    const struct retention_facts *facts;
    bool observing;           /* policy_observe: everything is kept but `secret` */
    bool unjudged;            /* content replaced by `hidden`, structure kept */
    struct span hidden;       /* UTF-8; empty: MASK_UNJUDGED_TEXT */
    bool expired;             /* marked: rendered from part M after part O was gone */
    bool after_gap;           /* an earlier item of the conversation was parked */
};
#define MASK_UNJUDGED_TEXT "[bericht kon niet worden gecontroleerd]"
#define MASK_EXPIRED_TEXT "[verlopen]"
#define MASK_WITHDRAWN_TEXT "[ingetrokken]" /* of `hidden`: the sender took it back */

/* Renders the value at `root` as pure ASCII JSON, appended to `out`. Fails closed: on any error
 * `out` must not be used. `judged` may be NULL when reader->unjudged. Findings must be those of this
 * very text (mask_judge or mask_unpack). In MASK_TABLE_SEND media stay and identifiers are never
 * aliased. SLUIS_EJUDGE (no profile, no judgement, no alias_key where contacts are hidden),
 * SLUIS_ENOMEM, SLUIS_ELIMIT. */
SLUIS_MUST_CHECK int mask_render(const struct json_doc *doc, uint32_t root, enum mask_table table,
                                 const struct judged *judged, const struct mask_reader *reader,
                                 struct arena *arena, struct buffer *out);

/* Masks plain text (sluis scan): findings of the text in order; those of earlier messages are passed
 * over. SLUIS_EINVAL when they overlap or lie outside; a hash becomes a redaction (no key). */
SLUIS_MUST_CHECK int mask_text(struct span text, const struct finding *findings, size_t n,
                               const struct policy *policy, const struct profile *profile,
                               struct buffer *out);

/* The same for a message with these facts (its findings are in facts->found); NULL: not known. */
SLUIS_MUST_CHECK int mask_text_for(struct span text, const struct finding *findings, size_t n,
                                   const struct policy *policy, const struct profile *profile,
                                   const struct retention_facts *facts, struct buffer *out);

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
    struct span identity;      /* identity_key_hash of its contact: changes with whoever has the number */
    struct span type;          /* "text", "image", "revoke", ... */
    struct span status;        /* statuses: "delivered" ... */
    struct span target_id;     /* revoke, edit, reaction: the message meant */
    int64_t at_ms;             /* from `timestamp`; 0 when absent */
    struct span json;          /* the unit's own JSON text, UTF-8 as received, in the arena */
    const struct json_doc *doc; /* the document that was split, when the unit is all of it: offsets are
                                   the same, no second scan is needed; else NULL */
};
/* Spans of a unit live as long as the arena and the document. What no item takes along (errors, account
 * fields, unknown members, contacts of nobody) makes a unit of kind 4. History is split message by
 * message. `each` returns 0 to go on; anything else ends the walk with that value. SLUIS_EINVAL when the
 * envelope is not a webhook (object, entry, changes, field), SLUIS_ELIMIT over 4096 items or contacts in
 * one value: both before the value's first unit; SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int mask_split_webhook(const struct json_doc *doc, struct arena *arena,
                                        int (*each)(void *ctx, const struct mask_unit *unit),
                                        void *ctx);

#endif
