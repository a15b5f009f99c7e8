/* What the files of the proof room share. */
#ifndef SLUIS_PROOF_ROOM_H
#define SLUIS_PROOF_ROOM_H

#include "sluis/proof.h"

#include "sluis/base/encode.h"

void proof_sha256(struct span bytes, uint8_t out[32]);

/* Exactly 32 bytes in the one spelling that base64 has for them. */
SLUIS_MUST_CHECK int proof_base64_read(struct span text, uint8_t *out, size_t n);
void proof_base64_write(const uint8_t *bytes, size_t n, struct buffer *out);

/* A decimal number without leading zeroes at the start of `rest`, which moves behind it. */
SLUIS_MUST_CHECK int proof_number(struct span *rest, uint64_t *out);

/* The text that is signed for a page whose lines have this hash. */
void export_page_text(const char *origin, const uint8_t sha256[32], struct buffer *out);

#endif
