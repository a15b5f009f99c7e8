/* Private to mask: a string that holds a JSON document (nfm_reply.response_json). */
#ifndef SLUIS_MASK_INNER_H
#define SLUIS_MASK_INNER_H

#include "sluis/mask.h"

struct inner {
    struct json_doc doc; /* of the decoded string */
    const uint32_t *map; /* decoded offset -> offset in the raw string content */
    uint32_t base;       /* where the raw content starts in the outer text */
};

/* Decodes the string `node`: text and map (map[text->n] is the raw length), in the arena. */
SLUIS_MUST_CHECK int inner_decode(const struct json_doc *doc, uint32_t node, struct arena *arena,
                                  struct span *text, const uint32_t **map);
/* 0; SLUIS_EINVAL when the string holds no JSON object or array: then it is content; SLUIS_ENOMEM.
 */
SLUIS_MUST_CHECK int inner_open(const struct json_doc *doc, uint32_t node, struct arena *arena,
                                struct inner *out);

#endif
