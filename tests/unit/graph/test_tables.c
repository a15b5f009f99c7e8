/* The allow-lists of the tools face: members of bodies, parameters of queries. */
#include "internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *judge(const char *json, bool mark)
{
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, 1 << 20);
    assert_int_equal(json_scan(&doc, span_str(json), &arena, NULL), 0);
    const char *bad = body_bad_member(&doc, mark);
    arena_free(&arena);
    return bad;
}

static void members_of_messages(void **state)
{
    static const char *const good[] = {
        "{}",
        "{\"messaging_product\":\"whatsapp\",\"to\":\"1\",\"type\":\"text\",\"text\":{\"body\":"
        "\"x\"}}",
        "{\"recipient\":\"NL.1\",\"recipient_type\":\"individual\",\"context\":{}}",
        "{\"context\":null,\"preview_url\":true,\"message_activity_sharing\":false}",
        "{\"contacts\":[],\"location\":{},\"reaction\":{},\"template\":{},\"interactive\":{}}",
        "{\"biz_opaque_callback_data\":\"x\",\"recipient_identity_key_hash\":\"y\"}",
    };
    static const char *const bad[] = {"{\"method\":\"delete\"}",
                                      "{\"batch\":[]}",
                                      "{\"ids\":\"1\"}",
                                      "{\"callback\":\"x\"}",
                                      "{\"access_token\":\"x\"}",
                                      "{\"relative_url\":\"x\"}",
                                      "{\"fields\":\"x\"}",
                                      "{\"appsecret_proof\":\"x\"}",
                                      "{\"TEXT\":{}}",
                                      "{\"text \":{}}",
                                      "{\"te\\u0078t\":{}}",
                                      "{\"\":1}",
                                      "{\"text\":\"{}\"}",
                                      "{\"template\":\"{}\"}",
                                      "{\"interactive\":[]}",
                                      "{\"image\":\"x\"}",
                                      "{\"contacts\":{}}",
                                      "{\"contacts\":\"[]\"}",
                                      "{\"to\":31612345678}",
                                      "{\"to\":{\"a\":1}}",
                                      "{\"to\":[\"1\"]}",
                                      "{\"preview_url\":{}}",
                                      "{\"status\":\"delivered\"}",
                                      "{\"typing_indicator\":{\"type\":\"text\"}}",
                                      "{\"message_id\":\"wamid.x\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (judge(good[i], false))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!judge(bad[i], false))
            fail_msg("passed: %s", bad[i]);
}

static void members_of_marks(void **state)
{
    static const char *const bad[] = {
        "{\"status\":\"read\",\"text\":{\"body\":\"x\"}}",
        "{\"status\":\"read\",\"type\":\"text\"}",
        "{\"status\":\"read\",\"biz_opaque_callback_data\":\"x\"}",
        "{\"status\":\"read\",\"typing_indicator\":\"x\"}",
        "{\"status\":\"read\",\"typing_indicator\":{\"type\":\"text\",\"body\":\"x\"}}",
        "{\"status\":\"read\",\"method\":\"x\"}"};
    (void)state;
    assert_null(
        judge("{\"messaging_product\":\"whatsapp\",\"status\":\"read\",\"message_id\":\"x\","
              "\"typing_indicator\":{\"type\":\"text\"}}",
              true));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!judge(bad[i], true))
            fail_msg("passed: %s", bad[i]);
}

static const char *parameters(const char *query)
{
    static const char *const allowed[] = {"fields", "limit", NULL};
    static const char *const facts[] = {"id", "name", NULL};
    static const struct endpoint endpoint = {.parameters = allowed, .fields = facts};
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    char decoded[4096];
    unsigned n = 0;
    if (http_query_split(span_str(query), decoded, sizeof(decoded), list, &n) != 0)
        return "unreadable";
    return endpoint_bad_parameter(&endpoint, list, n);
}

static void parameters_of_queries(void **state)
{
    static const char *const good[] = {"",
                                       "fields=id,name",
                                       "limit=2&fields=id",
                                       "access_token=x&limit=1",
                                       "fields=id%2Cname",
                                       "fields=id,+name"};
    static const char *const bad[] = {"method=delete",
                                      "ids=1",
                                      "Fields=id",
                                      "fields=id&fields=id",
                                      "access_token=a&access_token=b",
                                      "fields=name{id}",
                                      "fields=subscribed_apps",
                                      "fields=id,assigned_users",
                                      "fields=id,name,",
                                      "fields=",
                                      "fields=nam",
                                      "fields=namee",
                                      "fields=NAME",
                                      "fields=i%20d",
                                      "fields=name.limit(1)",
                                      "fields=name%7Bid%7D",
                                      "m%65thod=x",
                                      "limit[]=1"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (parameters(good[i]))
            fail_msg("refused: %s (%s)", good[i], parameters(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!parameters(bad[i]))
            fail_msg("passed: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_messages),
        cmocka_unit_test(members_of_marks),
        cmocka_unit_test(parameters_of_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
