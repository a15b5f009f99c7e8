/* Private to mask: tokens, reversible by the gateway alone. The door is in sluis/mask.h. */
#ifndef SLUIS_MASK_TOKEN_H
#define SLUIS_MASK_TOKEN_H

#include "render.h"

/* Appends "[IBAN#...]" for a value of this type; `keys` is not NULL. */
void mask_token_write(const struct policy *policy, unsigned type, struct span value,
                 const struct mask_token_keys *keys, struct buffer *out);
/* The findings of a string together with the number signs of what looks like a token in it: a
 * customer who types one must not have it taken for ours. */
const struct mask_finding *token_forged(struct render *r, uint32_t node,
                                        const struct mask_finding *f, size_t *n);

#endif
