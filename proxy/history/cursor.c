/* What goes out and must come back unchanged: cursors, ids of conversations, grants. */
#include "room.h"

#include "sluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PLAIN_MAX 128
#define SEALED_MAX (NONCE + PLAIN_MAX + TAG)

void sealed_write(struct history *h, const uint8_t bound[32], struct span plain, struct buffer *out)
{
    uint8_t sealed[SEALED_MAX];
    char text[BASE64URL_LEN(SEALED_MAX) + 1];
    unsigned long long n = 0;
    if (plain.n > PLAIN_MAX) {
        out->error = SLUIS_ELIMIT;
        return;
    }
    randombytes_buf(sealed, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE, &n, (const uint8_t *)plain.p,
                                               plain.n, bound, 32, NULL, sealed, h->cursor_key);
    base64url_encode(sealed, NONCE + (size_t)n, text);
    buffer_add_str(out, text);
}

int sealed_read(struct history *h, const uint8_t bound[32], struct span text, uint8_t *out,
                size_t size)
{
    uint8_t sealed[SEALED_MAX];
    long n = base64url_decode(text, sealed, sizeof(sealed));
    unsigned long long length = 0;
    if (n != (long)(NONCE + TAG + size))
        return SLUIS_EINVAL;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, &length, NULL, sealed + NONCE,
                                                   (unsigned long long)n - NONCE, bound, 32, sealed,
                                                   h->cursor_key) != 0)
        return SLUIS_ECRYPTO;
    return 0;
}

void cursor_write(struct work *w, const struct place *place, struct buffer *out)
{
    uint8_t bound[32], plain[24];
    if (!place) {
        buffer_add(out, SPAN("\"cursor\":null"));
        return;
    }
    query_hash(w, bound);
    be64_put(plain, place->a);
    be64_put(plain + 8, place->b);
    be64_put(plain + 16, place->c);
    buffer_add(out, SPAN("\"cursor\":\""));
    sealed_write(w->h, bound, span_of(plain, sizeof(plain)), out);
    buffer_add_char(out, '"');
}

int cursor_read(struct work *w, struct place *out)
{
    uint8_t bound[32], plain[24];
    *out = (struct place){0};
    if (!w->query.cursor.n)
        return 0;
    query_hash(w, bound);
    if (sealed_read(w->h, bound, w->query.cursor, plain, sizeof(plain)) != 0)
        return history_refuse(w, 400, "cursor", "this cursor is not of this query and this reader");
    *out = (struct place){be64_get(plain), be64_get(plain + 8), be64_get(plain + 16)};
    return 0;
}

void conversation_write(struct history *h, uint16_t channel, uint64_t subject, struct buffer *out)
{
    uint8_t plain[10];
    be16_put(plain, channel);
    be64_put(plain + 2, subject);
    int r = mask_alias(h->conversation_key, span_of(plain, sizeof(plain)), out);
    if (r != 0)
        out->error = r;
}

int conversation_read(struct history *h, struct span text, uint16_t *channel, uint64_t *subject)
{
    struct buffer plain;
    buffer_init(&plain, 64);
    int r = mask_unalias(h->conversation_key, text, &plain);
    if (r == 0 && plain.n != 10)
        r = SLUIS_EINVAL;
    if (r == 0) {
        *channel = be16_get((const uint8_t *)plain.p);
        *subject = be64_get((const uint8_t *)plain.p + 2);
    }
    buffer_free(&plain);
    return r;
}
