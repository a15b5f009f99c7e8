/* Private to mask: what stands in the place of one finding. */
#ifndef SLUIS_MASK_REPLACE_H
#define SLUIS_MASK_REPLACE_H

#include "sluis/mask.h"

#define REPLACE_BLOCKED "[geblokkeerd]"

/* Appends the mask of `value` (decoded UTF-8, of type `type`) for `rule`; MASK_KEEP gives the value
 * itself, MASK_BLOCK the line for a whole text. hash_key may be NULL: then MASK_HASH redacts. */
void replace_value(struct mask_rule rule, unsigned type, struct span value,
                   const struct policy *policy, const uint8_t *hash_key, struct buffer *out);
/* "IBAN", "LICENCE_PLATE": the name of a type in a mask. */
void replace_label(const struct policy *policy, unsigned type, struct buffer *out);

#endif
