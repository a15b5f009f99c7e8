/* Splitting webhooks into units. */
#include "room.h"

#define UNITS 16

struct units {
    struct mask_unit list[UNITS];
    size_t n;
    int stop_at;
};

static int collect(void *ctx, const struct mask_unit *unit)
{
    struct units *units = ctx;
    assert_true(units->n < UNITS);
    units->list[units->n++] = *unit;
    return (int)units->n == units->stop_at ? 77 : 0;
}

static int split(struct arena *arena, const char *text, struct units *units)
{
    struct json_doc doc;
    arena_init(arena, ROOM_MAX);
    units->n = 0;
    if (json_scan(&doc, span_str(text), arena, NULL) != 0)
        fail_msg("%s at %u", doc.error, doc.error_offset);
    int result = mask_split_webhook(&doc, arena, collect, units);
    for (size_t i = 0; i < units->n; i++) {
        struct json_doc again;
        struct mask_unit *u = &units->list[i];
        if (json_scan(&again, u->json, arena, NULL) != 0)
            fail_msg("unit %zu: %s: %.*s", i, again.error, (int)u->json.n, u->json.p);
        u->doc = u->doc ? (const struct json_doc *)u : NULL; /* only whether it was there */
    }
    return result;
}

#define CHANGE(field, value)                                                                       \
    "{\"object\":\"whatsapp_business_account\",\"extra\":1,\"entry\":[{\"id\":\"W1\",\"time\":5,"  \
    "\"changes\":[{\"field\":\"" field "\",\"value\":" value "}]}]}"
#define META "\"messaging_product\":\"whatsapp\",\"metadata\":{\"phone_number_id\":\"P1\"}"
#define UNIT(field, value) CHANGE(field, value)

static void test_single(void **state)
{
    (void)state;
    struct units units = {.stop_at = 0};
    struct arena arena;
    static const char text[] =
        CHANGE("messages",
               "{" META ",\"contacts\":[{\"profile\":{\"name\":\"Jan\"},\"wa_id\":\"31\"}],"
               "\"messages\":[{\"from\":\"31\",\"from_user_id\":\"NL.a\",\"id\":\"w\\u0031\","
               "\"timestamp\":\"1749416383\",\"type\":\"text\",\"text\":{\"body\":\"hoi\"}}]}");
    assert_int_equal(split(&arena, text, &units), 0);
    assert_int_equal(units.n, 1);
    const struct mask_unit *u = &units.list[0];
    assert_non_null(u->doc); /* nothing to rebuild */
    assert_true(span_is(u->json, text));
    assert_int_equal(u->kind, 1);
    assert_string_equal(u->field, "messages");
    assert_true(span_is(u->phone_number_id, "P1") && span_is(u->entry_id, "W1"));
    assert_true(span_is(u->id, "w1") && span_is(u->contact, "31") && span_is(u->user_id, "NL.a"));
    assert_true(span_is(u->type, "text") && u->at_ms == 1749416383000);
    assert_int_equal(u->target_id.n, 0);
    arena_free(&arena);
}

static void test_batch(void **state)
{
    (void)state;
    struct units units = {.stop_at = 0};
    struct arena arena;
    assert_int_equal(
        split(&arena,
              CHANGE("messages",
                     "{" META
                     ",\"contacts\":[{\"wa_id\":\"31\"},{\"user_id\":\"NL.b\"},{\"wa_id\":\"99\"}],"
                     "\"messages\":[{\"from\":\"31\",\"id\":\"a\",\"type\":\"text\"},"
                     "{\"from_user_id\":\"NL.b\",\"id\":\"b\",\"type\":\"revoke\",\"revoke\":"
                     "{\"original_message_id\":\"a\"}},{\"from\":\"77\",\"id\":\"c\"}],"
                     "\"statuses\":[{\"id\":\"s\",\"status\":\"read\",\"recipient_id\":\"31\","
                     "\"timestamp\":\"2\"}],\"errors\":[{\"code\":130429}],\"new\":{\"x\":1}}"),
              &units),
        0);
    assert_int_equal(units.n, 5);
    static const char *const expected[] = {
        UNIT("messages",
             "{" META ",\"contacts\":[{\"wa_id\":\"31\"}],\"messages\":[{\"from\":\"31\","
             "\"id\":\"a\",\"type\":\"text\"}]}"),
        UNIT("messages",
             "{" META
             ",\"contacts\":[{\"user_id\":\"NL.b\"}],\"messages\":[{\"from_user_id\":\"NL.b\","
             "\"id\":\"b\",\"type\":\"revoke\",\"revoke\":{\"original_message_id\":\"a\"}}]}"),
        UNIT("messages", "{" META ",\"messages\":[{\"from\":\"77\",\"id\":\"c\"}]}"),
        UNIT("messages", "{" META ",\"contacts\":[{\"wa_id\":\"31\"}],\"statuses\":[{\"id\":\"s\","
                         "\"status\":\"read\",\"recipient_id\":\"31\",\"timestamp\":\"2\"}]}"),
        UNIT("messages",
             "{" META ",\"contacts\":[{\"wa_id\":\"99\"}],\"errors\":[{\"code\":130429}],"
             "\"new\":{\"x\":1}}"),
    };
    for (size_t i = 0; i < N(expected); i++) {
        if (!span_is(units.list[i].json, expected[i]))
            fail_msg("%.*s", (int)units.list[i].json.n, units.list[i].json.p);
        assert_null(units.list[i].doc);
    }
    assert_true(span_is(units.list[1].target_id, "a") && span_is(units.list[1].user_id, "NL.b"));
    assert_int_equal(units.list[3].kind, 2);
    assert_true(span_is(units.list[3].status, "read") && units.list[3].at_ms == 2000);
    assert_int_equal(units.list[4].kind, 4);
    assert_int_equal(units.list[4].contact.n, 0);
    arena_free(&arena);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t kind;
        size_t n;
        const char *contact, *user, *id, *target;
    } rows[] = {
        {CHANGE("smb_message_echoes",
                "{" META ",\"message_echoes\":[{\"from\":\"31201234567\",\"to\":"
                "\"31612345678\",\"to_user_id\":\"NL.x\",\"id\":\"e\"}]}"),
         3, 1, "31612345678", "NL.x", "e", ""},
        {CHANGE("history",
                "{" META ",\"history\":[{\"metadata\":{\"phase\":0},\"threads\":[{\"id\":"
                "\"31\",\"messages\":[{\"from\":\"20\",\"to\":\"31\",\"id\":\"h\"}]}]}]}"),
         3, 1, "31", "", "h", ""},
        {CHANGE("history", "{" META ",\"history\":[{\"threads\":[{\"id\":\"31\",\"messages\":"
                           "[{\"from\":\"31\",\"id\":\"h\"}]}]}]}"),
         1, 1, "31", "", "h", ""},
        {CHANGE("history", "{" META ",\"history\":[{\"errors\":[{\"code\":1}]}]}"), 4, 1, "", "",
         "", ""},
        {CHANGE("messages",
                "{" META ",\"messages\":[{\"from\":\"31\",\"id\":\"m\",\"type\":\"reaction\","
                "\"reaction\":{\"message_id\":\"t\"}}]}"),
         1, 1, "31", "", "m", "t"},
        {CHANGE("messages",
                "{" META ",\"messages\":[{\"from\":\"31\",\"id\":\"m\",\"type\":\"edit\","
                "\"edit\":{\"original_message_id\":\"o\"}}]}"),
         1, 1, "31", "", "m", "o"},
        {CHANGE("messages", "{" META ",\"statuses\":[{\"id\":\"m\",\"recipient_id\":\"group\","
                            "\"recipient_participant_id\":\"31\"}]}"),
         2, 1, "31", "", "m", ""},
        {CHANGE("account_update", "{\"event\":\"VERIFIED_ACCOUNT\",\"phone_number\":\"3120\"}"), 4,
         1, "", "", "", ""},
        {CHANGE("user_preferences", "{" META ",\"user_preferences\":[{\"wa_id\":\"31\",\"value\":"
                                    "\"stop\"}]}"),
         4, 1, "31", "", "", ""},
        {CHANGE("smb_app_state_sync", "{" META ",\"state_sync\":[{\"type\":\"contact\"}]}"), 4, 1,
         "", "", "", ""},
        {CHANGE("messages", "{" META "}"), 4, 1, "", "", "", ""},
        {CHANGE("messages", "\"no object\""), 4, 1, "", "", "", ""},
        {CHANGE("messages", "{" META ",\"messages\":\"no list\",\"contacts\":7}"), 4, 1, "", "", "",
         ""},
        {CHANGE("messages", "{" META ",\"messages\":[1,2]}"), 4, 1, "", "", "", ""},
        {CHANGE("messages", "{" META ",\"mess\\u0061ges\":[{\"from\":\"31\",\"id\":\"m\"}]}"), 1, 1,
         "31", "", "m", ""},
        {CHANGE("messages", "{}"), 4, 1, "", "", "", ""},
        {"{\"object\":\"x\",\"entry\":[]}", 0, 0, "", "", "", ""},
        {"{\"object\":\"x\",\"entry\":[{\"id\":\"1\",\"changes\":[]}]}", 0, 0, "", "", "", ""},
        {"{\"object\":\"x\",\"entry\":[{\"changes\":[{\"field\":\"f\"}]}]}", 4, 1, "", "", "", ""},
    };
    struct units units = {.stop_at = 0};
    struct arena arena;
    for (size_t i = 0; i < N(rows); i++) {
        assert_int_equal(split(&arena, rows[i].text, &units), 0);
        if (units.n != rows[i].n)
            fail_msg("%s: %zu units", rows[i].text, units.n);
        if (units.n) {
            const struct mask_unit *u = &units.list[0];
            if (u->kind != rows[i].kind || !span_is(u->contact, rows[i].contact) ||
                !span_is(u->user_id, rows[i].user) || !span_is(u->id, rows[i].id) ||
                !span_is(u->target_id, rows[i].target))
                fail_msg("%s", rows[i].text);
        }
        arena_free(&arena);
    }
}

/* Whatever stands in a value stands in exactly one unit. */
static void test_nothing_lost(void **state)
{
    (void)state;
    static const char text[] =
        "{\"object\":\"x\",\"entry\":[{\"id\":\"1\",\"changes\":["
        "{\"field\":\"messages\",\"value\":{\"a\":\"MARK1\",\"contacts\":{\"no\":\"MARK2\"},"
        "\"messages\":"
        "[{\"id\":\"MARK3\"},{\"id\":\"MARK4\"}],\"statuses\":[{\"id\":\"MARK5\"}],\"message_"
        "echoes\":[{"
        "\"id\":\"MARK6\"}]}},"
        "{\"field\":\"history\",\"value\":{\"history\":[{\"threads\":[{\"id\":\"t\",\"messages\":[{"
        "\"id\":"
        "\"MARK7\"},{\"id\":\"MARK8\"}]}]}],\"contacts\":[{\"wa_id\":\"MARK9\"}]}}]}]}";
    struct units units = {.stop_at = 0};
    struct arena arena;
    assert_int_equal(split(&arena, text, &units), 0);
    for (int mark = 1; mark <= 9; mark++) {
        char word[24];
        unsigned n = 0;
        snprintf(word, sizeof word, "MARK%d", mark);
        for (size_t i = 0; i < units.n; i++)
            n += memmem(units.list[i].json.p, units.list[i].json.n, word, strlen(word)) != NULL;
        if (n != 1)
            fail_msg("%s stands in %u units", word, n);
    }
    arena_free(&arena);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "[]",
        "{}",
        "{\"object\":\"x\"}",
        "{\"object\":1,\"entry\":[]}",
        "{\"object\":\"x\",\"entry\":{}}",
        "{\"object\":\"x\",\"entry\":[1]}",
        "{\"object\":\"x\",\"entry\":[{\"id\":\"1\"}]}",
        "{\"object\":\"x\",\"entry\":[{\"changes\":[1]}]}",
        "{\"object\":\"x\",\"entry\":[{\"changes\":[{\"value\":{}}]}]}",
        "{\"object\":\"x\",\"entry\":[{\"changes\":[{\"field\":\"f\",\"value\":{}}]},{}]}",
    };
    struct units units = {.stop_at = 0};
    struct arena arena;
    for (size_t i = 0; i < N(rows); i++) {
        assert_int_equal(split(&arena, rows[i], &units), SLUIS_EINVAL);
        assert_int_equal(units.n, 0); /* nothing was given before the fault was seen */
        arena_free(&arena);
    }
    units.stop_at = 1; /* the receiver ends the walk */
    assert_int_equal(
        split(&arena, CHANGE("m", "{\"messages\":[{\"id\":\"a\"},{\"id\":\"b\"}]}"), &units), 77);
    assert_int_equal(units.n, 1);
    arena_free(&arena);
}

/* A list beyond what Meta ever sends: refused, not a quadratic search. */
static void test_limit(void **state)
{
    (void)state;
    struct buffer b;
    struct units units = {.stop_at = 0};
    struct arena arena;
    buffer_init(&b, ROOM_MAX);
    buffer_add_str(&b, "{\"object\":\"x\",\"entry\":[{\"changes\":[{\"field\":\"m\",\"value\":{"
                       "\"messages\":[{}");
    for (int i = 0; i < 4096; i++)
        buffer_add_str(&b, ",{}");
    buffer_add_str(&b, "]}}]}]}");
    buffer_add_char(&b, '\0');
    assert_int_equal(split(&arena, b.p, &units), SLUIS_ELIMIT);
    assert_int_equal(units.n, 0);
    arena_free(&arena);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),  cmocka_unit_test(test_batch),
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_nothing_lost),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
