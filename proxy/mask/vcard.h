/* Private to mask: contact cards in vCard form (RFC 6350), a text of folded lines that may hold
 * pictures. */
#ifndef SLUIS_MASK_VCARD_H
#define SLUIS_MASK_VCARD_H

#include "sluis/mask.h"

/* Takes the folds out of a decoded text with its map (NULL: one to one): a line that starts with a
 * space goes on the line before, as does one after "=" at a line's end (quoted-printable). `text`
 * and `map` are replaced by copies in the arena. 0 or SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int vcard_unfold(struct arena *arena, struct span *text, const uint32_t **map);
/* The next value of a PHOTO, LOGO, SOUND or KEY at or behind *at in an unfolded text. */
bool vcard_media(struct span text, size_t *at, size_t *start, size_t *end);

#endif
