/* `sluis doctor --store`: a slice of everything that is sealed per request, opened. */
#include "internal.h"

#include "sluis/backup.h"
#include "sluis/base/encode.h"

#define SLICE_VALUES 4000u
#define SLICE_MS 20u /* the admin loop answers health meanwhile */

void admin_add_counts(struct buffer *out, const struct backup_counts *c)
{
    buffer_addf(
        out,
        "{\"blocks\":%llu,\"leaves\":%llu,\"opened\":%llu,\"past\":%llu,\"expired\":%llu,"
        "\"unplaced\":%llu,\"moved\":%llu,\"rows\":%llu,\"unsealed\":%llu,\"damaged\":%llu}",
        (unsigned long long)c->blocks, (unsigned long long)c->leaves, (unsigned long long)c->opened,
        (unsigned long long)c->past, (unsigned long long)c->expired,
        (unsigned long long)c->unplaced, (unsigned long long)c->moved, (unsigned long long)c->rows,
        (unsigned long long)c->unsealed, (unsigned long long)c->damaged);
}

void admin_add_finding(void *ctx, const struct backup_finding *f)
{
    struct buffer *out = ctx;
    const char part[2] = {f->part, 0};
    buffer_addf(out, "%s{\"what\":\"%s\",\"name\":", out->n > 1 ? "," : "", f->what);
    json_quote(out, span_str(f->name));
    buffer_addf(out, ",\"serial\":%llu,\"part\":\"%s\",\"error\":\"%s\"}",
                (unsigned long long)f->serial, part, error_word(f->error));
    LOG(LOG_ALARM, "doctor", "damaged_value", log_word("what", f->what),
        log_u64("serial", f->serial), log_error(f->error));
}

/* Where the last slice ended, as the caller was told: hex of the table's number and the key. */
static bool take_place(struct span text, struct store_place *place)
{
    uint8_t bytes[2 + STORE_KEY_MAX];
    *place = (struct store_place){.table = 0};
    if (text.n == 0)
        return true;
    if (text.n % 2 || text.n / 2 < 2 || text.n / 2 > sizeof(bytes) ||
        hex_decode_lower(text, bytes, text.n / 2) != 0)
        return false;
    place->table = be16_get(bytes);
    place->n = (uint8_t)(text.n / 2 - 2);
    memcpy(place->key, bytes + 2, place->n);
    return true;
}

void admin_doctor_store(struct admin_request *r)
{
    struct store_place place;
    struct buffer findings, out;
    if (!take_place(admin_text(r, "place"), &place)) {
        admin_error(r, 400, "place", "place: what the last answer gave was expected");
        return;
    }
    buffer_init(&findings, ADMIN_ANSWER_MAX / 2);
    buffer_init(&out, ADMIN_ANSWER_MAX);
    buffer_add_char(&findings, '[');
    struct backup_check check = {.store = r->admin->deps.store,
                                 .keyring = r->admin->deps.keyring,
                                 .now_ms = clock_wall_ms(),
                                 .found = admin_add_finding,
                                 .ctx = &findings};
    int result = backup_check_some(&check, &place, SLICE_VALUES, SLICE_MS);
    if (result < 0) {
        admin_error(r, 503, error_word(result), "the store could not be read");
    } else {
        uint8_t table[2];
        be16_put(table, place.table);
        buffer_addf(&out, "{\"more\":%s,\"place\":\"", result == 1 ? "true" : "false");
        buffer_add_hex(&out, span_of(table, sizeof(table)));
        buffer_add_hex(&out, span_of(place.key, place.n));
        buffer_add(&out, SPAN("\",\"counts\":"));
        admin_add_counts(&out, &check.counts);
        buffer_add(&out, SPAN(",\"damaged\":"));
        buffer_add(&out, buffer_span(&findings));
        buffer_add(&out, SPAN("]}"));
        admin_json(r, 200, &out);
    }
    buffer_free(&findings);
    buffer_free(&out);
}
