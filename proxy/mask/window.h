/* Private to mask: the string by which a message takes part in its conversation. */
#ifndef SLUIS_MASK_WINDOW_H
#define SLUIS_MASK_WINDOW_H

#include "sluis/mask.h"

/* The first message, echo or history message of a unit, or JSON_NONE. */
uint32_t window_message(const struct json_doc *doc, uint32_t unit_root);
/* Its text body, caption, button text, reply title or order text; or JSON_NONE. */
uint32_t window_text(const struct json_doc *doc, uint32_t message);

#endif
