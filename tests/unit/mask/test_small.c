/* The small parts of mask: paths, text masks, aliases, packing, window text. */
#include "room.h"

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        enum mask_table table;
        const char *path;
        enum mask_kind kind;
    } rows[] = {
        {MASK_TABLE_WEBHOOK, "messages.*.text.body", MASK_CONTENT},
        {MASK_TABLE_WEBHOOK, "messages.0.text.body", MASK_CONTENT},
        {MASK_TABLE_WEBHOOK, "entry.*.changes.*.value.messages.*.text.body", MASK_CONTENT},
        {MASK_TABLE_WEBHOOK, "entry.*.id", MASK_STRUCTURE},
        {MASK_TABLE_WEBHOOK, "metadata.phone_number_id", MASK_STRUCTURE},
        {MASK_TABLE_WEBHOOK, "messages.*.from", MASK_IDENTIFIER},
        {MASK_TABLE_WEBHOOK, "messages.*.timestamp", MASK_STRUCTURE},
        {MASK_TABLE_WEBHOOK, "messages.*.image.url", MASK_MEDIA_URL},
        {MASK_TABLE_WEBHOOK, "messages.*.image.id", MASK_MEDIA_ID},
        {MASK_TABLE_WEBHOOK, "messages.*.edit.message.image.url", MASK_MEDIA_URL},
        {MASK_TABLE_WEBHOOK, "messages.*.edit.message.edit.message.text.body", MASK_CONTENT},
        {MASK_TABLE_WEBHOOK, "message_echoes.*.to", MASK_IDENTIFIER},
        {MASK_TABLE_WEBHOOK, "history.*.threads.*.messages.*.text.body", MASK_CONTENT},
        {MASK_TABLE_WEBHOOK, "statuses.*.biz_opaque_callback_data", MASK_TOOL_DATA},
        {MASK_TABLE_WEBHOOK, "messages.*.interactive.nfm_reply.response_json", MASK_CONTENT_JSON},
        {MASK_TABLE_WEBHOOK, "messages.*.new_type.id", MASK_CONTENT},
        {MASK_TABLE_WEBHOOK, "messages.*.text", MASK_STRUCTURE},
        {MASK_TABLE_WEBHOOK, "messages.*.timestamp.deep", MASK_CONTENT},
        {MASK_TABLE_SEND, "to", MASK_IDENTIFIER},
        {MASK_TABLE_SEND, "template.components.*.parameters.*.text", MASK_CONTENT},
        {MASK_TABLE_SEND, "interactive.action.sections.*.rows.*.description", MASK_CONTENT},
        {MASK_TABLE_SEND, "interactive.action.cards.*.action.parameters.url", MASK_CONTENT},
        {MASK_TABLE_SEND, "biz_opaque_callback_data", MASK_TOOL_DATA},
        {MASK_TABLE_SEND, "status", MASK_STRUCTURE},
        {MASK_TABLE_REPLY, "messages.*.id", MASK_IDENTIFIER},
        {MASK_TABLE_REPLY, "error.error_data.details", MASK_CONTENT},
        {MASK_TABLE_REPLY, "url", MASK_MEDIA_URL},
        {MASK_TABLE_REPLY, "unheard_of", MASK_CONTENT},
    };
    for (size_t i = 0; i < N(rows); i++)
        if (mask_path_kind(rows[i].table, rows[i].path) != rows[i].kind)
            fail_msg("%s: %d", rows[i].path, mask_path_kind(rows[i].table, rows[i].path));
}

static void check_text(struct room *r, const char *profile, const char *text, const char *expected)
{
    struct finding found[64];
    const struct detect_input input = {.text = span_str(text), .from_customer = true};
    int n = detect_run(policy_detector(r->policy), r->scratch, &input, found, N(found));
    assert_true(n >= 0);
    buffer_clear(&r->out);
    assert_int_equal(mask_text(span_str(text), found, (size_t)n, r->policy,
                               policy_profile(r->policy, profile), &r->out),
                     0);
    buffer_add_char(&r->out, '\0');
    assert_string_equal(r->out.p, expected);
}

static void test_text(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    check_text(&r, "strict", "niets", "niets");
    check_text(&r, "strict", "Mijn rekening is NL91ABNA0417164300, groet",
               "Mijn rekening is [IBAN], groet");
    check_text(&r, "open", "Mijn rekening is NL91ABNA0417164300.",
               "Mijn rekening is NL91ABNA0417164300.");
    check_text(
        &r, "partly", "caf\xc3\xa9 NL91 ABNA 0417 1643 00",
        "caf\xc3\xa9 \xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2"
        "4300"); /* always six bullets, no separators: neither length nor spelling shows */
    check_text(&r, "partly", "pas 4111 1111 1111 1111 ok", "[geblokkeerd]");
    const struct finding wrong = {.start = 3, .end = 99};
    assert_int_equal(
        mask_text(SPAN("kort"), &wrong, 1, r.policy, policy_profile(r.policy, "strict"), &r.out),
        SLUIS_EINVAL);
    room_close(&r);
}

static void test_alias(void **state)
{
    (void)state;
    static const uint8_t key[32] = "een sleutel van tweeendertig b.", other[32] = "nog een";
    static const char *const ids[] = {WAMID, "16505551234", "US.13491208655302741918",
                                      "",    "wamid.",      "groep@g.us"};
    struct buffer a, b, plain;
    buffer_init(&a, 4096);
    buffer_init(&b, 4096);
    buffer_init(&plain, 4096);
    for (size_t i = 0; i < N(ids); i++) {
        buffer_clear(&a);
        buffer_clear(&b);
        buffer_clear(&plain);
        assert_int_equal(mask_alias(key, span_str(ids[i]), &a), 0);
        assert_int_equal(mask_alias(key, span_str(ids[i]), &b), 0);
        assert_true(span_eq(buffer_span(&a), buffer_span(&b))); /* deterministic */
        assert_int_equal(span_starts(buffer_span(&a), SPAN("wamid.")),
                         span_starts(span_str(ids[i]), SPAN("wamid.")));
        assert_int_equal(mask_unalias(key, buffer_span(&a), &plain), 0);
        assert_true(span_is(buffer_span(&plain), ids[i]));
        assert_int_equal(mask_unalias(other, buffer_span(&a), &plain), SLUIS_ECRYPTO);
        a.p[a.n - 2] = a.p[a.n - 2] == 'A' ? 'B' : 'A';
        assert_int_not_equal(mask_unalias(key, buffer_span(&a), &plain), 0);
        buffer_clear(&b);
        assert_int_equal(mask_alias(other, span_str(ids[i]), &b), 0);
        assert_false(span_eq(buffer_span(&a), buffer_span(&b)));
    }
    assert_int_equal(mask_unalias(key, SPAN(WAMID), &plain), SLUIS_EINVAL);
    assert_int_equal(mask_unalias(key, SPAN("16505551234"), &plain), SLUIS_EINVAL);
    buffer_clear(&a);
    char lengthy[600] = {0};
    assert_int_equal(mask_alias(key, span_of(lengthy, sizeof lengthy), &a), SLUIS_ELIMIT);
    buffer_free(&a);
    buffer_free(&b);
    buffer_free(&plain);
}

static void test_pack(void **state)
{
    (void)state;
    struct mask_finding rows[] = {
        {.start = 3, .end = 9, .type = DETECT_IBAN, .score = 990, .also = 1u << DETECT_PHONE},
        {.start = 12, .end = 20, .type = DETECT_BSN, .score = 510, .rest = true}};
    struct finding back = {.start = 1,
                           .end = 4,
                           .type = DETECT_PAN,
                           .score = 700,
                           .back = 2,
                           .also = 1u << DETECT_BSN};
    struct judged judged = {rows, 2, 1u << DETECT_IBAN | 1u << DETECT_BSN, true, &back, 1}, got;
    struct span json = SPAN("{\"a\":\"0123456789012345\"}"), out;
    struct arena arena;
    struct buffer b;
    arena_init(&arena, 65536);
    buffer_init(&b, 65536);
    mask_pack(&judged, json, &b);
    assert_int_equal(mask_unpack(buffer_span(&b), &arena, &got, &out), 0);
    assert_true(span_eq(out, json));
    assert_int_equal(got.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct mask_finding *f = &got.findings[i];
        assert_true(f->start == rows[i].start && f->end == rows[i].end);
        assert_true(f->type == rows[i].type && f->score == rows[i].score);
        assert_true(f->also == rows[i].also && f->rest == rows[i].rest);
    }
    assert_true(got.back[0].also == back.also && !got.back[0].rest);
    assert_true(got.found == judged.found && got.has_media && got.back_count == 1);
    assert_int_equal(got.back[0].type, DETECT_PAN);
    assert_int_equal(got.back[0].back, 2);
    for (size_t n = 0; n < b.n - json.n; n++) /* cut anywhere in the head */
        assert_int_equal(mask_unpack(span_of(b.p, n), &arena, &got, &out), SLUIS_EINVAL);
    assert_int_equal(mask_unpack(span_of(b.p, b.n - 10), &arena, &got, &out), SLUIS_EINVAL);
    b.p[0] = 9;
    assert_int_equal(mask_unpack(buffer_span(&b), &arena, &got, &out), SLUIS_EINVAL);
    rows[1].start = 5; /* overlaps the first */
    buffer_clear(&b);
    mask_pack(&judged, json, &b);
    assert_int_equal(mask_unpack(buffer_span(&b), &arena, &got, &out), SLUIS_EINVAL);
    buffer_clear(&b);
    mask_pack(&(struct judged){0}, json, &b);
    assert_int_equal(mask_unpack(buffer_span(&b), &arena, &got, &out), 0);
    assert_true(got.count == 0 && span_eq(out, json));
    buffer_free(&b);
    arena_free(&arena);
}

/* As versions before `also` wrote it: rows of 12 bytes, and of 13 for the window. */
static void test_pack_before_also(void **state)
{
    (void)state;
    static const uint8_t old[] = {
        1, 1, 0, 0,  0, 0, 0, 0,  0, 7, 0, 2,    0, 1, /* media, found, counts */
        0, 0, 0, 3,  0, 0, 0, 9,  0, 0, 3, 0xde,       /* iban, 990 */
        0, 0, 0, 12, 0, 0, 0, 20, 0, 1, 1, 0xfe,       /* bsn, 510 */
        0, 0, 0, 1,  0, 0, 0, 4,  0, 2, 2, 0xbc, 2,    /* pan, 700, two back */
    };
    const struct span json = SPAN("{\"a\":\"0123456789012345\"}");
    struct judged got;
    struct span out;
    struct arena arena;
    struct buffer b;
    arena_init(&arena, 65536);
    buffer_init(&b, 65536);
    buffer_add(&b, span_of((const char *)old, sizeof(old)));
    buffer_add(&b, json);
    assert_int_equal(mask_unpack(buffer_span(&b), &arena, &got, &out), 0);
    assert_true(span_eq(out, json) && got.has_media && got.found == 7);
    assert_true(got.count == 2 && got.back_count == 1);
    assert_true(got.findings[0].start == 3 && got.findings[0].end == 9);
    assert_true(got.findings[0].type == DETECT_IBAN && got.findings[0].score == 990);
    assert_true(got.findings[1].start == 12 && got.findings[1].end == 20);
    assert_true(got.findings[1].type == DETECT_BSN && got.findings[1].score == 510);
    assert_true(got.back[0].type == DETECT_PAN && got.back[0].back == 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(got.findings[i].also == 0 && !got.findings[i].rest);
    assert_true(got.back[0].also == 0 && !got.back[0].rest);
    buffer_free(&b);
    arena_free(&arena);
}

static void test_window(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"type\":\"text\",\"text\":{\"body\":\"caf\\u00e9\"}", "caf\xc3\xa9"},
        {"\"type\":\"image\",\"image\":{\"caption\":\"kijk\",\"id\":\"1\"}", "kijk"},
        {"\"type\":\"edit\",\"edit\":{\"message\":{\"type\":\"text\",\"text\":{\"body\":\"n\"}}}",
         "n"},
        {"\"type\":\"button\",\"button\":{\"text\":\"Ja\",\"payload\":\"x\"}", "Ja"},
        {"\"type\":\"sticker\",\"sticker\":{\"id\":\"1\"}", ""},
    };
    struct room r;
    struct span text;
    room_open(&r);
    for (size_t i = 0; i < N(rows); i++) {
        room_message(&r, rows[i][0], "x");
        room_judge(&r);
        assert_int_equal(mask_window_text(&r.doc, 0, &r.arena, &text), 0);
        assert_true(span_is(text, rows[i][1]));
    }
    room_close(&r);
}

/* What a later message showed: offsets of the decoded text become ranges of the raw JSON. */
static void test_window_add(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    room_message(&r, "\"type\":\"text\",\"text\":{\"body\":\"\\u00e9n NL91 ABNA\"}", "x");
    room_judge(&r);
    assert_int_equal(r.judged.count, 0);
    const struct finding f = {.start = 4, .end = 13, .type = DETECT_IBAN, .score = 900};
    const struct finding wider = {.start = 2, .end = 8, .type = DETECT_IBAN, .score = 900};
    const struct finding outside = {.start = 4, .end = 14, .type = DETECT_IBAN, .score = 900};
    assert_int_equal(mask_window_add(&r.doc, 0, &f, 1, &r.arena, &r.judged), 0);
    assert_int_equal(r.judged.count, 1);
    const struct mask_finding *m = &r.judged.findings[0];
    assert_true(span_is(span_sub(r.doc.text, m->start, m->end), "NL91 ABNA"));
    assert_true(r.judged.found >> DETECT_IBAN & 1);
    /* overlapping ones become one; the same again changes nothing */
    assert_int_equal(mask_window_add(&r.doc, 0, &wider, 1, &r.arena, &r.judged), 0);
    assert_int_equal(mask_window_add(&r.doc, 0, &f, 1, &r.arena, &r.judged), 0);
    assert_int_equal(r.judged.count, 1);
    m = &r.judged.findings[0];
    assert_true(span_is(span_sub(r.doc.text, m->start, m->end), "n NL91 ABNA"));
    assert_int_equal(mask_window_add(&r.doc, 0, &outside, 1, &r.arena, &r.judged), SLUIS_EINVAL);
    assert_int_equal(r.judged.count, 1);
    room_message(&r, "\"type\":\"sticker\",\"sticker\":{\"id\":\"1\"}", "x");
    room_judge(&r);
    assert_int_equal(mask_window_add(&r.doc, 0, &f, 1, &r.arena, &r.judged), SLUIS_EINVAL);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_pack_before_also),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_window_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
