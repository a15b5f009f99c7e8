/* Which thread owns a contact. */
#include "sluis/subject.h"

unsigned subject_owner(struct span phone, struct span user_id, unsigned n)
{
    struct span key = phone.n ? phone : user_id;
    uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a: spreads, and needs no secret */
    if (key.n > 1 && key.p[0] == '+') /* tools write +31..., Meta 31... */
        key = span_from(key, 1);
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 0x100000001b3ull;
    return n ? (unsigned)((h >> 32) % n) : 0;
}
