/* The certificate of erasure: written when it is done, and given again with what routes answered.
 */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"

#define CERTIFICATE_MAX 16384 /* with TELL_ROUTES routes */

static void certificate_key(uint64_t number, uint8_t key[CERTIFICATE_KEY_BYTES])
{
    memcpy(key, "purge.e", 7);
    be64_put(key + 7, number);
}

uint64_t certificate_number(const uint8_t key[CERTIFICATE_KEY_BYTES])
{
    return be64_get(key + 7);
}

int certificate_seal(struct purge *p, uint64_t number, struct span head, struct span tail,
                     uint8_t key[CERTIFICATE_KEY_BYTES], struct buffer *sealed)
{
    struct buffer text;
    certificate_key(number, key);
    buffer_init(&text, ROW_TEXT_MAX);
    buffer_add(&text, head);
    buffer_add_char(&text, '\n');
    buffer_add(&text, tail);
    int r = text.error;
    if (r == 0)
        r = row_seal(p, STORE_TABLE_SETTING, PART_CERTIFICATE, number, buffer_span(&text), sealed);
    buffer_free(&text);
    return r;
}

static void add_told(struct purge *p, const struct told_route *told, unsigned n, struct buffer *out)
{
    char name[256], at[CLOCK_RFC3339_SIZE];
    buffer_add(out, SPAN(",\"told\":["));
    for (unsigned i = 0; i < n; i++) {
        name[0] = '\0';
        (void)store_id_name(p->deps.store, STORE_NAME_ROUTE, told[i].route, name);
        buffer_addf(out, "%s{", i ? "," : "");
        if (told[i].at_ms) {
            clock_rfc3339(told[i].at_ms, at);
            buffer_addf(out, "\"at\":\"%s\",", at);
        }
        buffer_addf(out, "\"messages\":%llu,\"route\":", (unsigned long long)told[i].messages);
        json_quote(out, span_str(name));
        buffer_addf(out, ",\"state\":\"%s\"", told[i].state);
        if (told[i].status)
            buffer_addf(out, ",\"status\":%u", told[i].status);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

int certificate_write(struct purge *p, uint64_t number, struct span head, struct span tail,
                      const struct told_route *told, unsigned n, bool sign, struct buffer *out)
{
    uint8_t signature[crypto_sign_BYTES];
    char base64[BASE64_LEN(crypto_sign_BYTES) + 1], issued[CLOCK_RFC3339_SIZE];
    struct buffer text;
    buffer_init(&text, CERTIFICATE_MAX);
    clock_rfc3339(clock_wall_ms(), issued);
    buffer_add(&text, SPAN(PURGE_CERTIFICATE_CONTEXT));
    buffer_add(&text, head);
    buffer_addf(&text, ",\"issued\":\"%s\",\"number\":%llu", issued, (unsigned long long)number);
    buffer_add(&text, tail);
    add_told(p, told, n, &text);
    buffer_add(&text, SPAN(",\"v\":1}"));
    int r = text.error;
    if (r == 0) {
        base64_encode(p->keys->public_key, RETENTION_SIGN_PUBLIC, base64);
        buffer_addf(out, "{\"key\":\"%s\",\"certificate\":", base64);
        buffer_add(out, span_from(buffer_span(&text), sizeof(PURGE_CERTIFICATE_CONTEXT) - 1));
        if (sign) {
            crypto_sign_detached(signature, NULL, (const uint8_t *)text.p, text.n, p->keys->secret);
            base64_encode(signature, sizeof(signature), base64);
            buffer_addf(out, ",\"signature\":\"%s\"", base64);
        }
        buffer_add_char(out, '}');
        r = out->error;
    }
    buffer_free(&text);
    return r;
}

/* ---- again, later ---- */

struct answers {
    struct told_route at[TELL_ROUTES];
    unsigned n;
};

/* The worst of a route's items is what it answered. */
static int take_told(void *ctx, const struct retention_told *told)
{
    static const char *const words[] = {[RETENTION_TOLD_DELIVERED] = "delivered",
                                        [RETENTION_TOLD_WAITING] = "pending",
                                        [RETENTION_TOLD_PARKED] = "refused",
                                        [RETENTION_TOLD_FAILED] = "not_delivered"};
    struct answers *a = ctx;
    unsigned i = 0;
    while (i < a->n && a->at[i].route != told->route)
        i++;
    if (i == TELL_ROUTES)
        return SLUIS_ELIMIT;
    struct told_route *r = &a->at[i];
    const char *word =
        told->outcome <= RETENTION_TOLD_FAILED ? words[told->outcome] : "not_delivered";
    if (i == a->n) {
        *r = (struct told_route){.route = told->route, .state = word, .status = told->status};
        a->n++;
    }
    r->messages += told->messages;
    if (strcmp(r->state, "delivered") == 0 && told->outcome != RETENTION_TOLD_DELIVERED) {
        r->state = word;
        r->status = told->status;
    }
    if (told->settled_ms > r->at_ms)
        r->at_ms = told->settled_ms;
    return 0;
}

int purge_certificate(struct purge *p, uint64_t number, struct buffer *out)
{
    struct answers *a = calloc(1, sizeof(*a));
    uint8_t key[CERTIFICATE_KEY_BYTES];
    struct buffer facts;
    struct store_read *read;
    if (!a)
        return SLUIS_ENOMEM;
    certificate_key(number, key);
    buffer_init(&facts, ROW_TEXT_MAX);
    int r = row_read(p, STORE_TABLE_SETTING, span_of(key, sizeof(key)), PART_CERTIFICATE, number,
                     &facts);
    if (r == 0)
        r = store_read_begin(p->deps.store, &read);
    if (r == 0) {
        r = retention_told_each(read, number, take_told, a);
        store_read_end(read);
    }
    const char *end = r == 0 ? memchr(facts.p, '\n', facts.n) : NULL;
    if (r == 0 && !end)
        r = SLUIS_ECRYPTO;
    if (r == 0) {
        size_t head = (size_t)(end - facts.p);
        r = certificate_write(p, number, span_of(facts.p, head),
                              span_of(end + 1, facts.n - head - 1), a->at, a->n, true, out);
    }
    buffer_free(&facts);
    free(a);
    return r;
}
