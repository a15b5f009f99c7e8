/* Judging and rendering, message type by message type (whatsapp section 3), with invented persons
 * and published specimen numbers. In the vectors "$C" is a content string: it gets a canary and an
 * IBAN. */
#include "room.h"

#define IBAN "NL91ABNA0417164300"
#define URL                                                                                        \
    "\"url\":\"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&ext=2&hash=3\""
#define MEDIA(mime)                                                                                \
    "\"mime_type\":\"" mime "\",\"sha256\":\"q83vEjRWeJA=\",\"id\":\"1479537139650973\"," URL
#define CONTEXT "\"context\":{\"from\":\"15550783881\",\"id\":\"" WAMID "\",\"forwarded\":true},"
#define REPLY(type, rest)                                                                          \
    "\"type\":\"interactive\",\"interactive\":{\"type\":\"" type "\",\"" type "\":{" rest "}}"

struct vector {
    const char *name, *message;
    unsigned shown;       /* content strings left with media withheld; the contact's name counts */
    const char *has;      /* with media withheld, or NULL */
    const char *has_pass; /* with media passed, or NULL */
    unsigned names;       /* "$C" in member names: those are replaced whole */
};

static const struct vector vectors[] = {
    {"text", CONTEXT "\"type\":\"text\",\"text\":{\"body\":\"$C\"}", 2, "\"type\":\"text\"", NULL,
     0},
    {"image", "\"type\":\"image\",\"image\":{\"caption\":\"$C\"," MEDIA("image/jpeg") "}", 2,
     "\"type\":\"text\",\"text\":{\"body\":\"[foto: niet doorgegeven] ",
     "\"url\":\"https://sluis.example/media/1479537139650973\"}", 0},
    {"image without caption", "\"type\":\"image\",\"image\":{" MEDIA("image/jpeg") "}", 1,
     "\"text\":{\"body\":\"[foto: niet doorgegeven]\"}", "\"id\":\"1479537139650973\"", 0},
    {"video", "\"type\":\"video\",\"video\":{\"caption\":\"$C\"," MEDIA("video/mp4") "}", 2,
     "[video: niet doorgegeven] ", "\"sha256\":\"q83vEjRWeJA=\"", 0},
    {"voice", "\"type\":\"audio\",\"audio\":{\"voice\":true," MEDIA("audio/ogg; codecs=opus") "}",
     1, "\"text\":{\"body\":\"[spraakbericht: niet doorgegeven]\"}", "codecs=opus", 0},
    {"audio", "\"type\":\"audio\",\"audio\":{\"voice\":false," MEDIA("audio/mpeg") "}", 1,
     "\"text\":{\"body\":\"[audio: niet doorgegeven]\"}", "\"voice\":false", 0},
    {"document",
     "\"type\":\"document\",\"document\":{\"caption\":\"$C\",\"filename\":\"$C\"," MEDIA(
         "application/pdf") "}",
     2, "[document: niet doorgegeven] ", "\"filename\":\"", 0},
    {"sticker", "\"type\":\"sticker\",\"sticker\":{\"animated\":false," MEDIA("image/webp") "}", 1,
     "[sticker: niet doorgegeven]", "\"animated\":false", 0},
    {"media of another type",
     "\"type\":\"strange\",\"image\":{\"caption\":\"$C\"," MEDIA("image/png") "}", 2,
     "\"type\":\"strange\",\"image\":{\"caption\":\"[foto: niet doorgegeven] ", NULL, 0},
    {"media beside a text",
     "\"text\":{\"body\":\"$C\"},\"type\":\"image\",\"image\":{" MEDIA("image/png") "}", 2,
     "\"type\":\"image\",\"image\":{\"caption\":\"[foto: niet doorgegeven]\"}", NULL, 0},
    {"location",
     "\"type\":\"location\",\"location\":{\"latitude\":52.3731,\"longitude\":4.8922,"
     "\"name\":\"$C\",\"address\":\"$C\",\"url\":\"$C\"}",
     4, "\"latitude\":\"[LOCATION]\",\"longitude\":\"[LOCATION]\"", NULL, 0},
    {"contacts",
     "\"type\":\"contacts\",\"contacts\":[{\"name\":{\"formatted_name\":\"$C\",\"first_name\":\"$"
     "C\","
     "\"last_name\":\"$C\",\"middle_name\":\"$C\",\"suffix\":\"$C\",\"prefix\":\"$C\"},"
     "\"birthday\":"
     "\"$C\",\"phones\":[{\"phone\":\"+31 6 12345678\",\"wa_id\":\"31612345678\",\"type\":\"$C\"}],"
     "\"emails\":[{\"email\":\"jan@voorbeeld.example\",\"type\":\"$C\"}],\"addresses\":[{"
     "\"street\":"
     "\"$C\",\"city\":\"$C\",\"state\":\"$C\",\"zip\":\"$C\",\"country\":\"$C\",\"country_code\":"
     "\"nl\",\"type\":\"$C\"}],\"org\":{\"company\":\"$C\",\"department\":\"$C\",\"title\":\"$C\"},"
     "\"urls\":[{\"url\":\"$C\",\"type\":\"$C\"}],\"vcard\":\"BEGIN:VCARD\\nN:$C\\nEND:VCARD\"}]",
     22, "\"phone\":\"[PHONE]\",\"wa_id\":\"[PHONE]\"", NULL, 0},
    {"card fields that a phone fills in",
     "\"type\":\"contacts\",\"contacts\":[{\"name\":{\"formatted_name\":\"$C\"},\"addresses\":[{"
     "\"country_code\":\"$C\"}],\"origin\":\"$C\"}]",
     4, NULL, NULL, 0},
    {"flow reply's name", REPLY("nfm_reply", "\"name\":\"$C\",\"body\":\"$C\""), 3, NULL, NULL, 0},
    {"button reply", CONTEXT REPLY("button_reply", "\"id\":\"$C\",\"title\":\"$C\""), 3,
     "\"type\":\"button_reply\"", NULL, 0},
    {"list reply", REPLY("list_reply", "\"id\":\"$C\",\"title\":\"$C\",\"description\":\"$C\""), 4,
     NULL, NULL, 0},
    {"flow reply",
     REPLY("nfm_reply", "\"name\":\"flow\",\"body\":\"$C\",\"response_json\":\"{\\\"flow_token\\\":"
                        "\\\"$C\\\",\\\"veld $C\\\":{\\\"a\\\":[\\\"$C\\\",123456782,true]}}\""),
     4, "\"name\":\"flow\"", NULL, 1},
    {"flow reply that is no JSON",
     REPLY("nfm_reply", "\"name\":\"flow\",\"response_json\":\"{\\\"a\\\":$C\""), 2, NULL, NULL, 0},
    {"call permission",
     REPLY("call_permission_reply", "\"response\":\"accept\",\"is_permanent\":false,"
                                    "\"expiration_timestamp\":1749416383,\"response_source\":"
                                    "\"user_action\""),
     1, "\"expiration_timestamp\":1749416383", NULL, 0},
    {"button", CONTEXT "\"type\":\"button\",\"button\":{\"payload\":\"$C\",\"text\":\"$C\"}", 3,
     NULL, NULL, 0},
    {"reaction",
     "\"type\":\"reaction\",\"reaction\":{\"message_id\":\"" WAMID
     "\",\"emoji\":\"\xf0\x9f\x91\x8d\"}",
     1, "\\ud83d\\udc4d", NULL, 0},
    {"order",
     "\"type\":\"order\",\"order\":{\"catalog_id\":\"4111111111111111\",\"text\":\"$C\","
     "\"product_items\":[{\"product_retailer_id\":\"4111111111111111\",\"quantity\":2,\"item_"
     "price\":30,"
     "\"currency\":\"EUR\"}]}",
     2, "\"catalog_id\":\"4111111111111111\"", NULL, 0},
    {"system",
     "\"type\":\"system\",\"system\":{\"body\":\"$C changed from 16505551234 to 1650 555 9876\","
     "\"wa_id\":\"16505559876\",\"type\":\"user_changed_number\"}",
     2, "changed from [PHONE] to [PHONE]\"", NULL, 0},
    {"unsupported",
     "\"type\":\"unsupported\",\"errors\":[{\"code\":131051,\"title\":\"$C\",\"message\":\"$C\","
     "\"error_data\":{\"details\":\"$C\"}}],\"unsupported\":{\"type\":\"poll_creation\"}",
     4, "\"code\":131051", NULL, 0},
    {"edit of a text",
     "\"type\":\"edit\",\"edit\":{\"original_message_id\":\"" WAMID "\",\"message\":{\"context\":"
     "{\"id\":\"M0\"},\"type\":\"text\",\"text\":{\"body\":\"$C\"}}}",
     2, NULL, NULL, 0},
    {"edit of an image",
     "\"type\":\"edit\",\"edit\":{\"original_message_id\":\"" WAMID "\",\"message\":{\"type\":"
     "\"image\",\"image\":{\"caption\":\"$C\"," MEDIA("image/jpeg") "}}}",
     2, "\"type\":\"text\",\"text\":{\"body\":\"[foto: niet doorgegeven] ",
     "\"url\":\"https://sluis.example/media/1479537139650973\"}", 0},
    {"revoke", "\"type\":\"revoke\",\"revoke\":{\"original_message_id\":\"" WAMID "\"}", 1,
     "\"original_message_id\":\"" WAMID "\"", NULL, 0},
    {"referral",
     "\"type\":\"text\",\"text\":{\"body\":\"$C\"},\"referral\":{\"source_url\":\"https://fb.me/"
     "x\","
     "\"source_id\":\"4111111111111111\",\"source_type\":\"ad\",\"headline\":\"$C\",\"body\":\"$"
     "C\","
     "\"media_type\":\"image\",\"image_url\":\"https://scontent.fbcdn.net/x\",\"ctwa_clid\":\"A1\","
     "\"welcome_message\":{\"text\":\"$C\"}}",
     5, "\"media_type\":\"image\",\"ctwa_clid\"", NULL, 0},
    {"unknown type",
     "\"type\":\"poll\",\"poll\":{\"question\":\"$C\",\"options\":[\"$C\",{\"text\":\"$C\"}],\"n "
     "$C\":1,"
     "\"card\":4111111111111111,\"thumb\":\"https:\\/\\/mmg.WhatsApp.net\\/v\\/x\",\"more\":true}",
     4, "\"card\":\"[PAN]\"", NULL, 1},
    {"escapes",
     "\"type\":\"text\",\"text\":{\"body\":\"\\ud83d\\ude00 $C \\u00e9 \\ud800 \\u0000 \x7f "
     "\xe2\x82\xac"
     "\\\\ \\\"\"}",
     2, " \\u00e9 \\ud800 \\u0000 \\u007f \\u20ac\\\\ \\\"\"", NULL, 0},
};

static void check_shown(const struct vector *v, const char *out, unsigned shown)
{
    if (occurrences(out, "Kanarie") != shown || occurrences(out, "[IBAN]") != shown ||
        occurrences(out, "[IBAN ") != v->names)
        fail_msg("%s: %u strings expected, %u and %u seen: %s", v->name, shown,
                 occurrences(out, "Kanarie"), occurrences(out, "[IBAN]"), out);
    assert_lacks(out, "0417164300");
    assert_lacks(out, "fbsbx");
    assert_lacks(out, "fbcdn");
    assert_lacks(out, "hatsApp.net");
    assert_has(out,
               "\"display_phone_number\":\"15550783881\",\"phone_number_id\":\"106540352242922\"");
    assert_has(out, "\"id\":\"" WAMID "\",\"timestamp\":\"1749416383\"");
}

static void check_unjudged(const char *out)
{
    static const char *const gone[] = {"Kanarie",  "04171643", "fbsbx",     "1479537139650973",
                                       "12345678", "52.37",    "voorbeeld", "veld Kan"};
    for (size_t i = 0; i < N(gone); i++)
        assert_lacks(out, gone[i]);
    assert_has(out, "\"profile\":{\"name\":\"" MASK_UNJUDGED_TEXT "\"}");
    assert_has(out, "\"id\":\"" WAMID "\"");
}

static void test_types(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    for (size_t i = 0; i < N(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct mask_reader reader = room_reader(&r, "strict");
        room_message(&r, v->message, "Kanarie " IBAN);
        unsigned all = room_count(&r, IBAN) - v->names;
        room_judge(&r);
        const char *out = room_render(&r, &reader);
        check_shown(v, out, v->shown);
        if (v->has)
            assert_has(out, v->has);
        assert_lacks(out, "1479537139650973");

        reader.media = MEDIA_PASS;
        reader.media_base = "https://sluis.example/media";
        out = room_render(&r, &reader);
        check_shown(v, out, all);
        if (v->has_pass)
            assert_has(out, v->has_pass);
        reader.media_base = NULL;
        assert_lacks(room_render(&r, &reader), "\"url\":\"https:");

        reader.unjudged = true;
        reader.media_base = "https://sluis.example/media";
        check_unjudged(room_render(&r, &reader));
    }
    room_close(&r);
}

/* Every way to split the value by escapes is seen through, and masked whole. */
static void test_escaped_values(void **state)
{
    (void)state;
    static const char iban[] = IBAN;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    for (size_t i = 0; i < sizeof iban - 1; i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "\"type\":\"text\",\"text\":{\"body\":\"\\u00e9 %.*s\\u%04x%s \\n\"}", (int)i,
                 iban, (unsigned)iban[i], iban + i + 1);
        room_message(&r, body, "J");
        room_judge(&r);
        assert_has(room_render(&r, &reader), "\"body\":\"\\u00e9 [IBAN] \\n\"");
    }
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_escaped_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
