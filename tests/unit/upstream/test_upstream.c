/* Where the gateway's token may go: Meta's hosts over TLS, or the base address of the channel. What
 * is on the wire is tested with the real program: tests/system/graph. */
#include "sluis/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const metas[] = {
    "https://graph.facebook.com/v24.0/1",
    "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1",
    "https://LOOKASIDE.FBSBX.COM/x",
    "https://scontent-ams2-1.xx.fbcdn.net/v/t1",
    "https://mmg.whatsapp.net/d/f/x.enc",
    "https://facebook.com/",
    "http://graph.facebook.com/",
};
static const char *const others[] = {
    "https://evil.example/",
    "https://notfacebook.com/",
    "https://facebook.com.evil.example/",
    "https://lookaside.fbsbx.com.evil.example/",
    "https://evil.example/lookaside.fbsbx.com",
    "https://evil.example/?https://lookaside.fbsbx.com/",
    "https://evil.example#lookaside.fbsbx.com",
    "https://lookaside.fbsbx.com@evil.example/",
    "https://evil.example:443@lookaside.fbsbx.com/",
    "https://evil.example\\.fbsbx.com/",
    "https://fbsbx.com%2eevil.example/",
    "ftp://lookaside.fbsbx.com/",
    "//lookaside.fbsbx.com/",
    "lookaside.fbsbx.com",
    "https:///x",
    "",
};

static void hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(metas) / sizeof(metas[0]); i++)
        if (!upstream_is_meta_url(span_str(metas[i])))
            fail_msg("not known: %s", metas[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (upstream_is_meta_url(span_str(others[i])))
            fail_msg("taken for Meta's: %s", others[i]);
}

static unsigned answers;

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    (void)ctx;
    answers++;
    assert_int_equal(answer->outcome, UPSTREAM_NOT_SENT);
}

/* A URL of media that Meta's answer names, and where the token goes with it. */
static void media(void **state)
{
    struct config_channel channel = {.name = "burgerzaken"};
    struct loop *loop;
    struct upstream *upstream;
    (void)state;
    channel.upstream =
        (struct config_upstream){.base_url = "https://127.0.0.1:9", .access_token = SPAN("secret")};
    assert_int_equal(loop_new(&loop, 0), 0);
    assert_int_equal(upstream_new(loop, NULL, &upstream), 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (upstream_media(upstream, &channel, span_str(others[i]), 1000, 0, on_answer, NULL) == 0)
            fail_msg("would be asked: %s", others[i]);
    /* Without TLS the token would be read on the way. */
    assert_int_equal(upstream_media(upstream, &channel, SPAN("http://graph.facebook.com/"), 1000, 0,
                                    on_answer, NULL),
                     SLUIS_EDENIED);
    assert_int_equal(
        upstream_media(upstream, &channel, SPAN("http://127.0.0.1:9/"), 1000, 0, on_answer, NULL),
        SLUIS_EDENIED);
    /* Another port is another service. */
    assert_int_equal(
        upstream_media(upstream, &channel, SPAN("https://127.0.0.1:10/"), 1000, 0, on_answer, NULL),
        SLUIS_EDENIED);
    assert_int_equal(answers, 0);
    assert_int_equal(
        upstream_media(upstream, &channel, SPAN("https://127.0.0.1:9/x"), 1000, 0, on_answer, NULL),
        0);
    upstream_free(upstream); /* what is under way ends, told */
    assert_int_equal(answers, 1);
    loop_free(loop);
}

/* Media come from hosts without number: none of them is held on to. */
static void many_hosts(void **state)
{
    struct config_channel channel = {.name = "burgerzaken"};
    struct loop *loop;
    struct upstream *upstream;
    (void)state;
    channel.upstream =
        (struct config_upstream){.base_url = "https://127.0.0.1:9", .access_token = SPAN("secret")};
    assert_int_equal(loop_new(&loop, 0), 0);
    assert_int_equal(upstream_new(loop, NULL, &upstream), 0);
    answers = 0;
    for (unsigned i = 0; i < 200; i++) {
        char url[64];
        snprintf(url, sizeof(url), "https://h%u.xx.fbcdn.net/x", i);
        assert_int_equal(
            upstream_media(upstream, &channel, span_str(url), 1000, 0, on_answer, NULL), 0);
    }
    upstream_free(upstream);
    assert_int_equal(answers, 200);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),
        cmocka_unit_test(media),
        cmocka_unit_test(many_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
