/* Private to mask: addresses of media, and the line that stands in the place of withheld media. */
#ifndef SLUIS_MASK_MEDIA_H
#define SLUIS_MASK_MEDIA_H

#include "sluis/mask.h"

/* Is `text` (decoded) an address on one of Meta's media hosts? */
bool media_is_url(struct span text);
/* Adds the Dutch line for a media object called `name` ("image", "audio", ...), ASCII; `voice`: a
 * voice note. */
void media_line(struct span name, bool voice, const struct mask_media *media, struct buffer *out);
/* Can `id` stand in a path as it is? */
bool media_id_safe(struct span id);

#endif
