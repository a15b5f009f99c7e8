/* Rendering rule by rule: actions of a profile, aliases, names, addresses, tool data, marks,
 * failures. */
#include "room.h"

#define IBAN "NL91ABNA0417164300"
#define URL                                                                                        \
    "\"url\":\"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&ext=2&hash=3\""
#define MEDIA(mime)                                                                                \
    "\"mime_type\":\"" mime "\",\"sha256\":\"q83v\",\"id\":\"1479537139650973\"," URL
#define CONTEXT "\"context\":{\"from\":\"15550783881\",\"id\":\"" WAMID "\"},"
#define BODY(text) "\"type\":\"text\",\"text\":{\"body\":\"" text "\"}"

/* With a profile that keeps everything nothing changes. */
static void test_keep(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "open");
    room_message(&r, BODY("$C") ",\"bsn\":123456782,\"" IBAN "\":1", "BSN 123456782 " IBAN);
    room_judge(&r);
    assert_true(r.judged.count >= 5);
    const char *out = room_render(&r, &reader);
    assert_true(span_eq(span_str(out), buffer_span(&r.text)));
    room_close(&r);
}

static void test_actions(void **state)
{
    (void)state;
    struct room r;
    char hash[17];
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "partly");
    room_message(&r, BODY("rek " IBAN " of jan@voorbeeld.example, bel +31 6 12345678"), "Jan");
    room_judge(&r);
    const char *out = room_render(&r, &reader);
    assert_has(out, "rek \\u2022\\u2022\\u2022\\u2022\\u2022\\u20224300 of [EMAIL:");
    assert_has(out, "bel +31 6 12345678\"");
    snprintf(hash, sizeof hash, "%s", strstr(out, "[EMAIL:"));
    room_message(&r, BODY("JAN@voorbeeld.example en piet@voorbeeld.example"), "J");
    room_judge(&r);
    out = room_render(&r, &reader);
    assert_int_equal(occurrences(out, hash), 1); /* the same address, spelled otherwise */
    assert_int_equal(occurrences(out, "[EMAIL:"), 2);
    reader.hash_key = NULL;
    assert_int_equal(occurrences(room_render(&r, &reader), "[EMAIL]"), 2);
    room_message(&r, BODY("pas 4111 1111 1111 1111 en " IBAN), "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "\"body\":\"[geblokkeerd]\"");
    room_close(&r);
}

static void test_alias(void **state)
{
    (void)state;
    static const char *const hidden[] = {"16505551234", "13491208655302741918", "HBgLMTY1MDU1NTEy",
                                         "16505559876", "Kanarie Jansen",
                                         /* the number in base64, at its three alignments */
                                         "MTY1MDU1NTEyMzQ", "E2NTA1NTUxMjM0", "xNjUwNTU1MTIzN"};
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "alias");
    room_message(&r,
                 CONTEXT
                 "\"type\":\"system\",\"system\":{\"body\":\"from 16505551234 to 16505559876\","
                 "\"wa_id\":\"16505559876\",\"type\":\"user_changed_number\"},\"reaction\":"
                 "{\"message_id\":\"" WAMID "\"}",
                 "Kanarie Jansen");
    room_judge(&r);
    const char *out = room_render(&r, &reader);
    for (size_t i = 0; i < N(hidden); i++)
        assert_lacks(out, hidden[i]);
    assert_has(out, "\"name\":\"[NAME]\"");
    assert_has(out, "\"phone_number_id\":\"106540352242922\"");
    struct json_doc doc;
    struct span id, context;
    struct buffer plain;
    buffer_init(&plain, 4096);
    assert_int_equal(json_scan(&doc, span_str(out), &r.arena, NULL), 0);
    uint32_t message = json_path(&doc, 0, "entry.0.changes.0.value.messages.0");
    assert_int_equal(json_string(&doc, json_path(&doc, message, "id"), &r.arena, &id), 0);
    assert_int_equal(json_string(&doc, json_path(&doc, message, "context.id"), &r.arena, &context),
                     0);
    assert_true(span_eq(id, context)); /* a reply can still be matched */
    assert_int_equal(mask_unalias(reader.alias_key, id, &plain), 0);
    assert_true(span_is(buffer_span(&plain), WAMID));
    buffer_free(&plain);
    reader.unjudged = true;
    out = room_render(&r, &reader);
    for (size_t i = 0; i < N(hidden); i++)
        assert_lacks(out, hidden[i]);
    reader = room_reader(&r, "hidden"); /* numbers in texts are kept: but not from who is hidden */
    assert_has(room_render(&r, &reader), "\"body\":\"from [PHONE] to [PHONE]\"");
    reader.alias_key = NULL; /* fails closed */
    buffer_clear(&r.out);
    assert_int_equal(mask_render(&r.doc, 0, r.table, &r.judged, &reader, &r.arena, &r.out),
                     SLUIS_EJUDGE);
    room_close(&r);
}

static void test_names(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    room_message(&r,
                 "\"type\":\"poll\",\"poll\":{\"" IBAN
                 "\":1,\"x\":2,\"[IBAN 1]\":3,\"NL91 ABNA 0417 1643 "
                 "00\":4,\"\\u005bIBAN 4]\":5}",
                 "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader),
               "\"poll\":{\"[IBAN 1]\":1,\"x\":2,\"[veld 3]\":3,\"[IBAN 4]\":4,\"[veld 5]\":5}");
    room_message(&r, "\"type\":\"poll\",\"poll\":{\"[a]\":1,\"x\":2}", "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader),
               "\"poll\":{\"[a]\":1,\"x\":2}"); /* nothing found: untouched */
    reader.unjudged = true;
    assert_has(room_render(&r, &reader), "\"[veld 6]\":{\"[veld 1]\":0,\"[veld 2]\":0}");
    room_close(&r);
}

/* A number counts with the name it stands under; a value in a form is seen through both encodings.
 */
static void test_named_values(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    room_message(
        &r,
        "\"type\":\"interactive\",\"interactive\":{\"type\":\"nfm_reply\",\"nfm_reply\":{\"name\":"
        "\"flow\",\"response_json\":\"{\\\"bsn\\\":\\\"123456782\\\",\\\"uw_bsn\\\":123456782,"
        "\\\"iban\\\":\\\"NL91\\\\u0041BNA0\\u003417164300 \\\\ud83d\\\\ude00\\\"}\"}}",
        "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader),
               "\"response_json\":\"{\\\"bsn\\\":\\\"[BSN]\\\",\\\"uw_bsn\\\":\\\"[BSN]\\\","
               "\\\"iban\\\":\\\"[IBAN] \\\\ud83d\\\\ude00\\\"}\"");
    assert_true(r.judged.found & 1u << DETECT_BSN);
    room_close(&r);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "https://lookaside.fbsbx.com/x", "HTTPS://A.FBCDN.NET",     "//mmg.whatsapp.net/x",
        "https://u:p@a.fbcdn.net:443/",  "https://fbsbx.com./x",    "https:\\\\\\\\a.fbsbx.com/",
        " https://a.fbsbx.com",          "https:\\/\\/a.fbsbx.com", "ht\\u0074ps://a.fbsbx.com",
        "https://a@b@c.fbsbx.com?x",
    };
    static const char *const kept[] = {
        "https://example.com/fbsbx.com", "https://notfbsbx.com/",
        "zie https://a.fbsbx.com/x",     "fbsbx.com",
        "https://a.fbsbx.com.example/x",
    };
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    for (size_t i = 0; i < N(gone) + N(kept); i++) {
        bool drop = i < N(gone);
        const char *url = drop ? gone[i] : kept[i - N(gone)];
        char message[512];
        snprintf(message, sizeof message,
                 "\"type\":\"new\",\"new\":{\"a\":1,\"u\":\"%s\",\"l\":[\"%s\"]}", url, url);
        room_message(&r, message, "J");
        room_judge(&r);
        assert_has(room_render(&r, &reader),
                   drop ? "\"new\":{\"a\":1,\"l\":[null]}" : strchr(message, '{'));
    }
    /* what a customer types is a text, whatever it looks like */
    room_message(&r, BODY("https://a.fbsbx.com/x"), "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "\"body\":\"https://a.fbsbx.com/x\"");
    /* an id that cannot stand in a path is no reason to pass Meta's own address */
    reader.media = MEDIA_PASS;
    reader.media_base = "https://sluis.example/media";
    room_message(&r, "\"type\":\"image\",\"image\":{\"id\":\"../../admin\"," URL "}", "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "\"image\":{\"id\":\"../../admin\"}");
    room_close(&r);
}

/* A contact card: folded lines are read as one, pictures in it are cut even where all is kept. */
static void test_card(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    room_message(
        &r,
        "\"type\":\"contacts\",\"contacts\":[{\"vcard\":\"BEGIN:VCARD\\r\\nNOTE:rek NL91ABNA"
        "\\r\\n 0417164300 ok\\r\\nitem1.photo;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRg\\n KANARIE=="
        "\\nLOGO:x\\nNOTE;ENCODING=QUOTED-PRINTABLE:NL91=\\r\\nABNA0417164300\\nEND:VCARD\"}]",
        "J");
    room_judge(&r);
    assert_has(
        room_render(&r, &reader),
        "\"vcard\":\"BEGIN:VCARD\\r\\nNOTE:rek [IBAN] ok\\r\\nitem1.photo;ENCODING=b;TYPE=JPEG:"
        "[foto: niet doorgegeven]\\nLOGO:[foto: niet doorgegeven]\\n"
        "NOTE;ENCODING=QUOTED-PRINTABLE:[IBAN]\\nEND:VCARD\"");
    reader = room_reader(&r, "open");
    const char *out = room_render(&r, &reader);
    assert_lacks(out, "KANARIE");
    assert_has(out, "NL91ABNA\\r\\n 0417164300");
    room_close(&r);
}

static void set_status(struct room *r, const char *status)
{
    buffer_clear(&r->text);
    buffer_add_str(&r->text, "{\"object\":\"w\",\"entry\":[{\"id\":\"1\",\"changes\":[{\"field\":"
                             "\"messages\",\"value\":{\"statuses\":[{");
    buffer_add_str(&r->text, status);
    buffer_add_str(&r->text, "}]}}]}]}");
}

static void test_tool_data(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"biz_opaque_callback_data\":\"" IBAN "\",\"id\":\"x\",\"status\":\"read\"",
         "\"statuses\":[{\"id\":\"x\",\"status\":\"read\"}]"},
        {"\"id\":\"x\",\"biz_opaque_callback_data\":\"" IBAN "\",\"status\":\"read\"",
         "\"statuses\":[{\"id\":\"x\",\"status\":\"read\"}]"},
        {"\"id\":\"x\" , \"biz_opaque_callback_data\":\"" IBAN "\"",
         "\"statuses\":[{\"id\":\"x\"}]"},
        {"\"biz_opaque_callback_data\":\"" IBAN "\"", "\"statuses\":[{}]"},
    };
    struct room r;
    room_open(&r);
    for (size_t i = 0; i < N(rows); i++) {
        struct mask_reader reader = room_reader(&r, "strict");
        set_status(&r, rows[i][0]);
        room_judge(&r);
        assert_has(room_render(&r, &reader), rows[i][1]);
        reader.keeps_tool_data = true; /* untouched for the tool that set it */
        assert_has(room_render(&r, &reader), "\"biz_opaque_callback_data\":\"" IBAN "\"");
    }
    /* judged when it is sent; the address of a message is not hidden from Meta */
    r.table = MASK_TABLE_SEND;
    struct mask_reader reader = room_reader(&r, "alias");
    buffer_clear(&r.text);
    buffer_add_str(&r.text, "{\"to\":\"+16505551234\"," BODY(
                                IBAN) ",\"biz_opaque_callback_data\":\"" IBAN "\"}");
    room_judge(&r);
    assert_string_equal(
        room_render(&r, &reader),
        "{\"to\":\"+16505551234\"," BODY("[IBAN]") ",\"biz_opaque_callback_data\":\"[IBAN]\"}");
    room_close(&r);
}

static void test_send_and_reply(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    r.table = MASK_TABLE_SEND;
    buffer_add_str(
        &r.text, "{\"messaging_product\":\"whatsapp\",\"to\":\"16505551234\",\"type\":\"template\","
                 "\"template\":{"
                 "\"name\":\"order_update\",\"language\":{\"code\":\"nl\"},\"components\":[{"
                 "\"type\":\"body\","
                 "\"parameters\":[{\"type\":\"text\",\"parameter_name\":\"first\",\"text\":\"" IBAN
                 "\"},{\"type\":"
                 "\"currency\",\"currency\":{\"fallback_value\":\"\xe2\x82\xac "
                 "10\",\"code\":\"EUR\",\"amount_1000\":"
                 "10000}}]},{\"type\":\"button\",\"sub_type\":\"url\",\"index\":\"0\","
                 "\"parameters\":[{\"type\":"
                 "\"text\",\"text\":\"x\"}]}]}}");
    room_judge(&r);
    assert_int_equal(r.judged.count, 1);
    const char *out = room_render(&r, &reader);
    assert_has(out, "\"text\":\"[IBAN]\"");
    assert_has(out, "\"fallback_value\":\"\\u20ac 10\"");
    buffer_clear(&r.text);
    buffer_add_str(&r.text,
                   "{\"messaging_product\":\"whatsapp\",\"status\":\"read\",\"message_id\":\"" WAMID
                   "\",\"typing_indicator\":{\"type\":\"text\"}}");
    room_judge(&r);
    assert_int_equal(r.judged.count, 0);
    out = room_render(&r, &reader);
    assert_true(span_eq(span_str(out), buffer_span(&r.text)));
    /* an image that a tool sends stays one */
    buffer_clear(&r.text);
    buffer_add_str(&r.text,
                   "{\"to\":\"1\",\"type\":\"image\",\"image\":{\"id\":\"7\",\"caption\":\"" IBAN
                   "\"}}");
    room_judge(&r);
    assert_has(room_render(&r, &reader),
               "\"type\":\"image\",\"image\":{\"id\":\"7\",\"caption\":\"[IBAN]\"}");

    r.table = MASK_TABLE_REPLY;
    /* templates come back as the organisation wrote them */
    buffer_clear(&r.text);
    buffer_add_str(
        &r.text,
        "{\"data\":[{\"name\":\"afspraak\",\"components\":[{\"type\":\"BODY\",\"text\":\"Bel "
        "+31 20 1234567\"},{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"PHONE_NUMBER\","
        "\"text\":\"Bel\",\"phone_number\":\"+31201234567\"}]}],\"id\":\"1\"}],\"paging\":{"
        "\"cursors\":{\"after\":\"MjQZD\"},\"next\":\"https://graph.facebook.com/v14.0/1\"}}");
    room_judge(&r);
    out = room_render(&r, &reader);
    assert_true(span_eq(span_str(out), buffer_span(&r.text)));
    reader.media_base = "https://sluis.example/m/";
    buffer_clear(&r.text);
    buffer_add_str(&r.text,
                   "{\"messaging_product\":\"whatsapp\"," URL ",\"mime_type\":\"image/jpeg\","
                   "\"sha256\":\"ab\",\"file_size\":\"303833\",\"id\":\"4111111111111111\"}");
    room_judge(&r);
    out = room_render(&r, &reader);
    assert_has(out, "\"url\":\"https://sluis.example/m/4111111111111111\"");
    assert_has(out, "\"id\":\"4111111111111111\"");
    reader.media_base = NULL;
    assert_has(room_render(&r, &reader), "{\"messaging_product\":\"whatsapp\",\"mime_type\"");
    room_close(&r);
}

static void test_marks(void **state)
{
    (void)state;
    static const char mark[] = "{\"sluis\":{\"expired\":true,\"after_gap\":true},\"object\"";
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    reader.expired = reader.after_gap = true;
    room_message(&r, BODY("dag"), "J");
    room_judge(&r);
    const char *out = room_render(&r, &reader);
    assert_int_equal(strncmp(out, mark, sizeof mark - 1), 0);
    assert_has(out, "\"body\":\"[verlopen] dag\"");
    room_message(&r, "\"type\":\"image\",\"image\":{" MEDIA("image/jpeg") "}", "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "\"body\":\"[verlopen] [foto: niet doorgegeven]\"");
    /* nobody else can say it */
    buffer_clear(&r.text);
    buffer_add_str(&r.text, "{\"sl\\u0075is\":{\"expired\":true},\"object\":\"x\",\"entry\":[]}");
    room_judge(&r);
    assert_has(room_render(&r, &reader), mark);
    reader.expired = reader.after_gap = false;
    assert_string_equal(room_render(&r, &reader), "{\"object\":\"x\",\"entry\":[]}");
    buffer_clear(&r.text);
    buffer_add_str(&r.text, "{\"sluis\":1}");
    room_judge(&r);
    reader.after_gap = true;
    assert_string_equal(room_render(&r, &reader), "{\"sluis\":{\"after_gap\":true}}");
    room_close(&r);
}

static void test_route_media(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    reader.media = MEDIA_PASS;
    reader.route = policy_route(r.policy, "webcare");
    assert_non_null(reader.route);
    room_message(&r, "\"type\":\"audio\",\"audio\":{\"voice\":true," MEDIA("audio/ogg") "}", "J");
    room_judge(&r);
    assert_true(r.judged.has_media);
    assert_has(room_render(&r, &reader), "\"type\":\"audio\"");
    room_message(&r, "\"type\":\"image\",\"image\":{" MEDIA("image/png") "}", "J");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "[foto: niet doorgegeven]");
    room_message(&r, "\"type\":\"video\",\"video\":{" MEDIA("video/mp4") "}", "J");
    room_judge(&r); /* by its own word, not by that of what nobody looked into */
    assert_has(room_render(&r, &reader), "\"type\":\"video\"");
    room_message(&r, "\"type\":\"image\",\"image\":{" MEDIA("image/png") "}", "J");
    room_judge(&r);
    reader.route = NULL;
    assert_has(room_render(&r, &reader), "\"type\":\"image\"");
    room_close(&r);
}

/* A value in two messages: the half that stands in this one is masked, the other is reported. */
static void test_window(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    const struct detect_message earlier = {SPAN("Wat is uw BSN?"), false, 1749416380000};
    room_message(&r, BODY("123456782"), "123456782");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "\"body\":\"123456782\"");
    const struct judge_input input = {.doc = &r.doc,
                                      .policy = r.policy,
                                      .scratch = r.scratch,
                                      .from_customer = true,
                                      .at_ms = 1749416383000,
                                      .earlier = &earlier,
                                      .earlier_count = 1};
    assert_int_equal(mask_judge(&input, &r.arena, &r.judged), 0);
    const char *out = room_render(&r, &reader);
    assert_has(out, "\"body\":\"[BSN]\"");
    assert_has(out, "\"name\":\"123456782\""); /* the contact's name is no answer to the question */
    room_close(&r);
}

static int judge_anew(struct room *r)
{
    const struct judge_input input = {.doc = &r->doc, .policy = r->policy, .scratch = r->scratch};
    arena_reset(&r->arena);
    assert_int_equal(json_scan(&r->doc, buffer_span(&r->text), &r->arena, NULL), 0);
    return mask_judge(&input, &r->arena, &r->judged);
}

/* Fails closed: no profile, no judgement, more text or findings than are judged. */
static void test_closed(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    room_message(&r, BODY("$C"), IBAN);
    room_judge(&r);
    assert_int_equal(mask_render(&r.doc, 0, r.table, NULL, &reader, &r.arena, &r.out),
                     SLUIS_EJUDGE);
    reader.unjudged = true;
    assert_int_equal(mask_render(&r.doc, 0, r.table, NULL, &reader, &r.arena, &r.out), 0);
    reader.profile = NULL;
    assert_int_equal(mask_render(&r.doc, 0, r.table, &r.judged, &reader, &r.arena, &r.out),
                     SLUIS_EJUDGE);
    buffer_clear(&r.text);
    buffer_add_str(&r.text, "{\"x\":\"");
    for (size_t i = 0; i <= DETECT_TEXT_MAX; i++)
        buffer_add_char(&r.text, 'a');
    buffer_add_str(&r.text, "\"}");
    assert_int_equal(judge_anew(&r), SLUIS_ELIMIT);
    buffer_clear(&r.text);
    buffer_add_str(&r.text, "{\"x\":[\"\"");
    for (int i = 0; i <= MASK_FINDINGS_MAX; i++)
        buffer_add_str(&r.text, ",\"" IBAN "\"");
    buffer_add_str(&r.text, "]}");
    assert_int_equal(judge_anew(&r), SLUIS_ELIMIT);
    assert_int_equal(r.judged.count, 0);
    /* many findings in one text are no limit */
    buffer_clear(&r.text);
    buffer_add_str(&r.text, "{\"x\":\"");
    for (int i = 0; i < 200; i++)
        buffer_add_str(&r.text, IBAN ", ");
    buffer_add_str(&r.text, "\"}");
    assert_int_equal(judge_anew(&r), 0);
    assert_int_equal(r.judged.count, 200);
    room_close(&r);
}

/* Conditions of a profile: what the caller knows and what was found; the strictest when nothing is
 * known. */
static void test_conditions(void **state)
{
    (void)state;
    struct room r;
    struct retention_facts facts = {.channel = "dag"};
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "rules");
    room_message(&r, BODY("rek " IBAN " of jan@voorbeeld.example, bel +31 6 12345678"), "Jan");
    room_judge(&r);
    reader.facts = &facts;
    assert_has(room_render(&r, &reader), "rek [IBAN] of [EMAIL], bel +31 6 12345678\"");
    facts.out = true; /* the mail address comes from the judgement, not from here */
    assert_has(room_render(&r, &reader), "rek " IBAN " of [EMAIL], bel +31 6 12345678\"");
    facts.channel = "nacht";
    assert_has(room_render(&r, &reader), "rek [IBAN] of [EMAIL], bel [PHONE]\"");
    reader.facts = NULL;
    assert_has(room_render(&r, &reader), "rek [IBAN] of [EMAIL], bel [PHONE]\"");
    room_close(&r);
}

/* An observing policy changes nothing but secrets. */
static void test_observing(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    struct mask_reader reader = room_reader(&r, "strict");
    room_message(&r, BODY("rek " IBAN ", mijn wachtwoord is Zomer2026!"), "Jan");
    room_judge(&r);
    assert_has(room_render(&r, &reader), "rek [IBAN], mijn wachtwoord is [SECRET]\"");
    reader.observing = true;
    assert_has(room_render(&r, &reader), "rek " IBAN ", mijn wachtwoord is [SECRET]\"");
    reader.profile = policy_profile(r.policy, "open");
    assert_has(room_render(&r, &reader), "rek " IBAN ", mijn wachtwoord is Zomer2026!\"");
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep),         cmocka_unit_test(test_actions),
        cmocka_unit_test(test_alias),        cmocka_unit_test(test_names),
        cmocka_unit_test(test_named_values), cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_tool_data),    cmocka_unit_test(test_send_and_reply),
        cmocka_unit_test(test_marks),        cmocka_unit_test(test_route_media),
        cmocka_unit_test(test_card),         cmocka_unit_test(test_window),
        cmocka_unit_test(test_closed),       cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_observing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
