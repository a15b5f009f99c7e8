/* Private to mask: one rendering, shared by render.c (the walk) and render_media.c. */
#ifndef SLUIS_MASK_RENDER_H
#define SLUIS_MASK_RENDER_H

#include "paths.h"

/* Type of a range that no profile shows: media inside a contact card. */
#define RENDER_CUT UINT16_MAX
/* Type of a number sign in what looks like a token of ours (token.h). */
#define RENDER_FORGED (UINT16_MAX - 1)

struct render {
    const struct json_doc *doc;
    enum mask_table table;
    const struct mask_reader *reader;
    const struct mask_finding *findings;
    size_t count, cursor;
    struct arena *arena;
    struct json_edit *edits;
    size_t n, capacity;
    struct buffer text;          /* the replacement being built */
    uint32_t marked;             /* the string that says [verlopen], or JSON_NONE */
    uint32_t forged;             /* a member of the input that has our mark's name, or JSON_NONE */
    bool hides, withhold, inner; /* withhold: all media, whatever their kind */
    struct retention_facts facts;
    uint32_t media; /* the media object that `of` is about, or JSON_NONE */
    struct mask_media of;
    int error;
};

/* The first failure stays; nothing is emitted then. */
void render_fail(struct render *r, int error);
/* Replaces raw [start, end) by what stands in r->text, which is emptied. */
/* What stands where content is not shown at all. */
void render_hidden(struct render *r);
void render_edit_text(struct render *r, uint32_t start, uint32_t end);
/* The findings that touch [start, end), in order. Ranges must come in document order. */
const struct mask_finding *render_take(struct render *r, uint32_t start, uint32_t end, size_t *n);
/* What this reader gets of a finding; *by: the type whose rule decided. */
struct mask_rule render_rule(const struct render *r, const struct mask_finding *f, unsigned *by);
/* Adds raw content [start, end) to r->text with its findings masked. */
void render_masked(struct render *r, uint32_t start, uint32_t end, const struct mask_finding *f,
                   size_t n);

/* Is `node` a media object that this reader may not have? */
bool render_withheld(struct render *r, uint32_t node, const struct path_row *row);
/* The media member of a message that becomes a text message; JSON_NONE when none does. */
uint32_t render_becomes_text(struct render *r, uint32_t object, const struct path_list *list);
/* Adds what stands for a media object, with quotes: our line, then its caption, masked. */
void render_media_line(struct render *r, uint32_t media);
/* What the reader may have of a media object; looked up once for each. */
const struct mask_media *render_media_of(struct render *r, uint32_t node);
/* A media object that is passed with other bytes than Meta's, or before it was looked at: what must
 * change. */
void render_media_begin(struct render *r, uint32_t node);
enum media_member { MEMBER_AS_IT_IS, MEMBER_DROPPED, MEMBER_DONE };
enum media_member render_media_member(struct render *r, uint32_t member);
/* Is `node` an address of media? */
bool render_media_address(struct render *r, uint32_t node, const struct path_row *row);
/* Rewrites an address of media to the gateway's own; false when it must go. */
bool render_own_address(struct render *r, uint32_t node, const struct path_row *row);
/* The findings of a contact card together with the media in it. */
const struct mask_finding *render_card_media(struct render *r, uint32_t node,
                                             const struct mask_finding *f, size_t *n);

#endif
