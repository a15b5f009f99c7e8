/* outbound.links and outbound.templates: what is a link, and where it may lead. */
#include "sluis/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct policy *load(const char *outbound)
{
    char text[1024];
    struct diag diag = {0};
    struct policy *policy;
    snprintf(text, sizeof(text), "policy: 1\nname: t\noutbound: %s\n", outbound);
    int error = policy_load(span_str(text), "t", &policy, &diag);
    if (error)
        print_message("%s\n", diag.text);
    assert_int_equal(error, 0);
    return policy;
}

/* Texts and the host that is refused; NULL: nothing is. */
static const struct {
    const char *text, *refused;
} cases[] = {
    {"", NULL},
    {"Tot morgen.", NULL},
    {"Kijk op https://gemeente.example/afspraak.", NULL},
    {"Kijk op HTTPS://Gemeente.Example:443/afspraak?x=1#y", NULL},
    {"gemeente.example", NULL},
    {"(gemeente.example)", NULL},
    {"\xe2\x80\x9cgemeente.example\xe2\x80\x9d", NULL}, /* curly quotes */
    {"gemeente.example/brief.html?u=elders.nl", NULL},  /* one link, to us */
    {"https://loket.zorg.example/a en gemeente.example", NULL},
    {"mail info@elders.example of bel", NULL},
    {"i.v.m. d.w.z. o.a. 1.500 euro, v2.10, 12.11.2026, 9.30 uur, 3.1.2", NULL},
    {"Ik kom morgen.Tot dan", NULL},
    {"zie brief.pdf en foto.JPG", NULL},
    {"...", NULL},
    {".", NULL},
    {"Wat?Ja.", NULL},
    /* elsewhere */
    {"https://elders.example", "elders.example"},
    {"elders.nl", "elders.nl"},
    {"kijk:elders.nl", "elders.nl"},
    {"Elders.Nl", "elders.nl"},
    {"ELDERS.SHOP", "elders.shop"},
    {"Elders.Academy", "elders.academy"},
    {"www.elders.example", "www.elders.example"},
    {"wa.me/31612345678", "wa.me"},
    {"bit.ly/x", "bit.ly"},
    {"elders.onbekend/pad", "elders.onbekend"},
    {"Elders.Onbekend/pad", "elders.onbekend"},
    {"http://192.168.1.1/x", "192.168.1.1"},
    {"192.168.1.1", "192.168.1.1"},
    {"https://localhost", "localhost"},
    {"https://[::1]/", "[::1]"},
    /* our domain in a place that is not the host */
    {"https://gemeente.example.elders.example", "gemeente.example.elders.example"},
    {"https://gemeente.example@elders.example/", "gemeente.example@elders.example"},
    {"https://elders.example/gemeente.example", "elders.example"},
    {"https://elders.example?gemeente.example", "elders.example"},
    {"https://elders.example\\@gemeente.example", "elders.example\\@gemeente.example"},
    {"https://gemeente.example\\.elders.example", "gemeente.example\\.elders.example"},
    {"https://gemeente%2eexample", "gemeente%2eexample"},
    {"https://nepgemeente.example", "nepgemeente.example"},
    {"https://gemeente.example.", "gemeente.example."},
    {"https://onder.gemeente.example", "onder.gemeente.example"},
    {"https://zorg.example", "zorg.example"}, /* *.zorg.example is what lies under it */
    {"https://gemeente.example:443@elders.example/", "gemeente.example@elders.example"},
    {"gemeente.example elders.nl", "elders.nl"},
    {"gemeente.example,elders.nl", "elders.nl"},
    {"gemeente.example?elders.nl", "elders.nl"},
    {"gemeente.example:elders.nl", "elders.nl"},
    {"gemeente.example#elders.nl", "elders.nl"},
    {"gemeente.example@elders.nl/pad", "elders.nl"},
    {"https://gemeente.example/\"elders.nl", "elders.nl"},
    {"https://gemeente.example/)elders.nl", "elders.nl"},
    {"x@elders.nl/pad", "elders.nl"},
    {"@elders.nl", "elders.nl"},
    /* other schemes */
    {"intent://gemeente.example", "intent"},
    {"ftp://gemeente.example", "ftp"},
    {"x https:gemeente.example", NULL}, /* a bare domain */
    {"https:///elders.nl", "?"},
    /* other ways to write it */
    {"https://elders\xe3\x80\x82nl", "elders.nl"},                          /* ideographic stop */
    {"\xef\xbd\x85lders\xef\xbc\x8e\xef\xbd\x8e\xef\xbd\x8c", "elders.nl"}, /* full width */
    {"eld\xe2\x80\x8b"
     "ers.n\xc2\xadl",
     "elders.nl"},                                           /* nothing to see */
    {"https://g\xd0\xb5meente.example", "g?meente.example"}, /* a Cyrillic e */
    {"g\xd0\xb5meente.example", "g?meente.example"},
    {"elders.\xd1\x80\xd1\x84", "elders.??"},
    {"\xff"
     "elders.nl",
     "?elders.nl"}, /* not UTF-8 */
    {"\xf0\x9f\x91\x8d"
     "elders.nl",
     "elders.nl"},
};

static void test_links(void **state)
{
    (void)state;
    struct policy *p = load("{links: [gemeente.example, \"*.zorg.example\"]}");
    struct policy *any = load("{}"), *none = load("{links: []}");
    size_t failed = 0;
    for (size_t i = 0; i < N(cases); i++) {
        char host[POLICY_HOST_MAX] = "x";
        bool good = policy_links_allowed(p, span_str(cases[i].text), host, sizeof(host));
        const char *want = cases[i].refused;
        if (good != !want || strcmp(host, want ? want : "") != 0) {
            print_message("%s: %s, not %s\n", cases[i].text, good ? "(passed)" : host,
                          want ? want : "(passed)");
            failed++;
        }
        assert_true(policy_links_allowed(any, span_str(cases[i].text), host, sizeof(host)));
        if (want)
            assert_false(policy_links_allowed(none, span_str(cases[i].text), host, sizeof(host)));
    }
    assert_int_equal(failed, 0);
    char small[4];
    assert_false(policy_links_allowed(p, SPAN("elders.nl"), small, sizeof(small)));
    assert_string_equal(small, "eld");
    assert_false(policy_links_allowed(none, SPAN("gemeente.example"), small, sizeof(small)));
    policy_unref(p);
    policy_unref(any);
    policy_unref(none);
}

/* A host that is too long for one is refused, wherever its dots stand; a long text is no trouble.
 */
static void test_long(void **state)
{
    (void)state;
    struct policy *p = load("{links: [gemeente.example]}");
    char host[POLICY_HOST_MAX];
    size_t n = 1024 * 1024;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'a', n);
    assert_true(policy_links_allowed(p, span_of(text, n), host, sizeof(host)));
    memcpy(text + n - 17, ".gemeente.example", 17);
    text[100] = '.';
    assert_false(policy_links_allowed(p, span_of(text, n), host, sizeof(host)));
    for (size_t i = 0; i + 1 < n; i += 2)
        memcpy(text + i, "a.", 2);
    assert_false(policy_links_allowed(p, span_of(text, n), host, sizeof(host)));
    for (size_t i = 0; i + 4 <= n; i += 4)
        memcpy(text + i, "://:", 4);
    (void)policy_links_allowed(p, span_of(text, n), host, sizeof(host));
    free(text);
    policy_unref(p);
}

static void test_templates(void **state)
{
    (void)state;
    struct policy *p = load("{templates: [afspraak_bevestigd, vergunning]}");
    assert_true(policy_template_allowed(p, SPAN("vergunning")));
    assert_false(policy_template_allowed(p, SPAN("vergunning2")));
    assert_false(policy_template_allowed(p, SPAN("Vergunning")));
    assert_false(policy_template_allowed(p, SPAN("vergunning\0")));
    assert_false(policy_template_allowed(p, SPAN("")));
    policy_unref(p);
    p = load("{templates: []}");
    assert_false(policy_template_allowed(p, SPAN("vergunning")));
    policy_unref(p);
    p = load("{}");
    assert_true(policy_template_allowed(p, SPAN("vergunning")));
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_links), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_templates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
