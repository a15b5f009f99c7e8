#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/encode.h"

void wamid_make(const char *phone, uint64_t serial, char out[WAMID_SIZE])
{
    uint8_t raw[64] = {0x1c, 0x18};
    size_t n = strlen(phone), at = 3;
    char hex[21];
    if (n > 20)
        n = 20;
    raw[2] = (uint8_t)n;
    memcpy(raw + at, phone, n);
    at += n;
    static const uint8_t middle[] = {0x15, 0x02, 0x00, 0x12, 0x18, 0x14};
    memcpy(raw + at, middle, sizeof middle);
    at += sizeof middle;
    /* splitmix64: neighbours look unrelated, as Meta's do */
    uint64_t z = serial + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    snprintf(hex, sizeof hex, "%08X%012llX", (unsigned)((z >> 13) & 0xffffffffu),
             (unsigned long long)(serial & 0xffffffffffffu));
    memcpy(raw + at, hex, 20);
    at += 20;
    raw[at++] = 0;
    memcpy(out, "wamid.", 6);
    base64_encode(raw, at, out + 6);
}

/* A grey picture of one pixel. */
static const uint8_t media_bytes[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
    0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78,
    0x9c, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

struct span sim_media_bytes(void)
{
    return span_of(media_bytes, sizeof media_bytes);
}

char *status_body(const char *phone_number_id, const char *wamid, const char *recipient,
                  const char *status)
{
    char now[24];
    snprintf(now, sizeof now, "%lld", (long long)time(NULL));
    json_t *body = json_pack(
        "{ss s[{ss s[{ss s{ss s{ss ss} s[{ss ss ss ss s{sb ss ss}}]}}]}]}", "object",
        "whatsapp_business_account", "entry", "id", "102290129340398", "changes", "field",
        "messages", "value", "messaging_product", "whatsapp", "metadata", "display_phone_number",
        "31201234567", "phone_number_id", phone_number_id, "statuses", "id", wamid, "status",
        status, "timestamp", now, "recipient_id", recipient, "pricing", "billable", 1,
        "pricing_model", "PMP", "category", "service");
    char *text = json_dumps(body, SIM_DUMP);
    json_decref(body);
    return text;
}
