/* Tokens: made for a reader, found in a text, turned back by the gateway alone. */
#include "room.h"

#define IBAN "NL91ABNA0417164300"

static const struct mask_token_keys keys = {
    .value = "key of one message, 32 bytes....",
    .channel = "key of the channel, 32 bytes....",
    .serial = 70001,
};

static const char *tokened(struct room *r, const struct mask_token_keys *with)
{
    struct mask_reader reader = room_reader(r, "token");
    reader.token = with;
    return room_render(r, &reader);
}

/* The first token of a text; its place in `text`. */
static struct mask_token token_in(const char *text)
{
    struct mask_token token;
    if (!mask_token_next(span_str(text), 0, &token))
        fail_msg("no token in %s", text);
    return token;
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct room r;
    struct span value = SPAN_EMPTY;
    room_open(&r);
    room_message(&r, "\"type\":\"text\",\"text\":{\"body\":\"van \\u004eL91ABNA0417164300 af\"}",
                 "Jan");
    room_judge(&r);
    const char *out = tokened(&r, &keys);
    assert_has(out, "van [IBAN#");
    assert_lacks(out, "0417");
    struct mask_token token = token_in(out);
    assert_int_equal(token.end - token.start, strlen("[IBAN#") + 24 + 1);
    assert_int_equal(mask_token_serial(keys.channel, &token), keys.serial);
    assert_int_equal(mask_token_value(&r.doc, &r.judged, keys.value, &token, &r.arena, &value), 0);
    assert_true(
        span_is(value, IBAN)); /* decoded: the customer wrote its first letter as an escape */

    /* another message's key, another tag, another channel: nothing */
    struct mask_token_keys other = keys;
    other.value[0] ^= 1;
    assert_int_equal(mask_token_value(&r.doc, &r.judged, other.value, &token, &r.arena, &value),
                     SLUIS_ENOENT);
    other.channel[31] ^= 1;
    assert_int_not_equal(mask_token_serial(other.channel, &token), keys.serial);
    token.tag[7] ^= 1;
    assert_int_equal(mask_token_value(&r.doc, &r.judged, keys.value, &token, &r.arena, &value),
                     SLUIS_ENOENT);
    room_close(&r);
}

static void test_without_an_original(void **state)
{
    (void)state;
    struct room r;
    struct mask_token token;
    room_open(&r);
    room_message(&r, "\"type\":\"text\",\"text\":{\"body\":\"van " IBAN " af\"}", "Jan");
    room_judge(&r);
    const char *out = tokened(&r, NULL);
    assert_has(out, "van [IBAN] af");
    assert_false(mask_token_next(span_str(out), 0, &token));
    room_close(&r);
}

/* The same value in two messages has two tokens that have nothing in common. */
static void test_bound_to_the_message(void **state)
{
    (void)state;
    struct room r;
    room_open(&r);
    room_message(&r, "\"type\":\"text\",\"text\":{\"body\":\"" IBAN "\"}", "Jan");
    room_judge(&r);
    struct mask_token_keys second = keys;
    struct mask_token a = token_in(tokened(&r, &keys));
    second.value[5] ^= 0x20;
    second.serial++;
    struct mask_token b = token_in(tokened(&r, &second));
    assert_memory_not_equal(a.tag, b.tag, MASK_TOKEN_TAG);
    assert_int_not_equal(a.serial ^ b.serial, keys.serial ^ second.serial);
    room_close(&r);
}

static void test_forged(void **state)
{
    (void)state;
    struct room r;
    struct mask_token token;
    static const char *const typed[] = {
        "[IBAN#0123456789abcdef01234567]",
        "[bsn#0123456789ABCDEF01234567]",
        "\\u005bIBAN\\u00230123456789abcdef0123456\\u0037]",
        "[[X#0123456789abcdef01234567] en [Y#0123456789abcdef01234567]",
    };
    static const char *const plain[] = {"zaak [ticket#12345]", "[IBAN#0123456789abcdef0123456z]",
                                        "#0123456789abcdef01234567", "[#0123456789abcdef01234567]"};
    room_open(&r);
    for (size_t i = 0; i < N(typed) + N(plain); i++) {
        char message[256];
        const char *text = i < N(typed) ? typed[i] : plain[i - N(typed)];
        snprintf(message, sizeof(message),
                 "\"type\":\"text\",\"text\":{\"body\":\"%s, of " IBAN "\"}", text);
        room_message(&r, message, "Jan");
        room_judge(&r);
        const struct mask_reader open = room_reader(&r, "open");
        const char *out = room_render(&r, &open);
        assert_has(out, IBAN); /* what the profile keeps stays */
        if (i < N(typed))
            assert_has(out, "\\uff03");
        else
            assert_has(out, text);
        assert_false(mask_token_next(span_str(out), 0, &token));
        struct json_doc doc; /* and decoded as a tool would */
        struct span body;
        assert_int_equal(json_scan(&doc, span_str(out), &r.arena, NULL), 0);
        uint32_t node = json_path(&doc, 0, "entry.0.changes.0.value.messages.0.text.body");
        assert_int_equal(json_string(&doc, node, &r.arena, &body), 0);
        assert_false(mask_token_next(body, 0, &token));
    }
    room_close(&r);
}

static void test_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool token;
    } rows[] = {
        {"[IBAN#0123456789abcdef01234567]", true},
        {"x[own_type-2#0123456789ABCDEF01234567]y", true},
        {"[IBAN #0123456789abcdef01234567]", false},
        {"[IBAN#0123456789abcdef0123456]", false},
        {"[IBAN#0123456789abcdef012345678]", false},
        {"[IBAN#0123456789abcdef01234567", false},
        {"[#0123456789abcdef01234567]", false},
        {"", false},
        {"[", false},
        {"[IBAN#", false},
    };
    struct mask_token token;
    for (size_t i = 0; i < N(rows); i++)
        if (mask_token_next(span_str(rows[i].text), 0, &token) != rows[i].token)
            fail_msg("%s", rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_without_an_original),
        cmocka_unit_test(test_bound_to_the_message),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
