/*
 * Every key that a policy may have, with a change of it that loosens: policy_diff has to say so,
 * for what it misses takes effect without a second officer. A key without a row is a failure; one
 * that cannot loosen says why in place of a change.
 */
#include "policy_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD "policy: 1\n"
#define ROUTE "routes: {r: {profile: a}}\n"
#define PLAIN "profiles: {a: {}}\n" ROUTE
#define PROFILE(text) "name: t\nprofiles: {a: {" text "}}\n" ROUTE
#define CASE(when) PROFILE("rules: [{when: {" when "}, iban: keep}]")
#define RULE(when) "name: t\nhistory: [{" when "keep: never}, {keep: 1d}]\n"
#define OUT(text) "name: t\nroles: {x: {}, y: {}}\noutbound: {" text "}\n"
#define SENT(when) OUT("rules: [{when: {" when "}, found: {iban: refuse}}]")
#define ROLE(text) "name: t\nprofiles: {a: {}}\nroles: {x: {" text "}}\n"
#define FILES(text) "name: t\n" PLAIN "media: {" text "}\n"
#define OWN(text) "name: t\nrecognisers: [{" text "}]\n"
#define NOTICE "name: t\nnotices: {bsn: {nl: t}}\n"
#define REGISTER "told in the register, decides nothing"
#define TOLD(text) "name: t\nnotices: {bsn: {" text "}}\n"

static const struct {
    enum policy_table_index table;
    const char *key, *old, *next;
    const char *never; /* why it cannot loosen */
} rows[] = {
    {POLICY_KEYS_TOP, "policy", NULL, NULL, "the language's version: 1"},
    {POLICY_KEYS_TOP, "name", NULL, NULL, "a name"},
    {POLICY_KEYS_TOP, "activity", NULL, NULL, REGISTER},
    {POLICY_KEYS_TOP, "purpose", NULL, NULL, REGISTER},
    {POLICY_KEYS_TOP, "controller", NULL, NULL, REGISTER},
    {POLICY_KEYS_TOP, "processors", NULL, NULL, REGISTER},
    {POLICY_KEYS_TOP, "detect", "name: t\n", "name: t\ndetect: {iban: off}\n", NULL},
    {POLICY_KEYS_TOP, "recognisers", OWN("name: x, patterns: [x]"), "name: t\n", NULL},
    {POLICY_KEYS_TOP, "profiles", PROFILE(""), PROFILE("iban: keep"), NULL},
    {POLICY_KEYS_TOP, "originals", "name: t\n", "name: t\noriginals: [{keep: 1h}]\n", NULL},
    {POLICY_KEYS_TOP, "history", "name: t\n", "name: t\nhistory: [{keep: 1h}]\n", NULL},
    {POLICY_KEYS_TOP, "on_revoke", "name: t\n", "name: t\non_revoke: hide\n", NULL},
    {POLICY_KEYS_TOP, "selection", "name: t\nselection: required\n", "name: t\n", NULL},
    {POLICY_KEYS_TOP, "roles", "name: t\n", "name: t\nroles: {x: {}}\n", NULL},
    {POLICY_KEYS_TOP, "routes", "name: t\nprofiles: {a: {}}\n", "name: t\n" PLAIN, NULL},
    {POLICY_KEYS_TOP, "media", "name: t\n" PLAIN, FILES("document: pass"), NULL},
    {POLICY_KEYS_TOP, "outbound", OUT("window: true"), OUT("window: false"), NULL},
    {POLICY_KEYS_TOP, "notices", NOTICE, "name: t\n", NULL},
    {POLICY_KEYS_TOP, "hours", NULL, NULL, "which notice is sent: no finding depends on it"},
    {POLICY_KEYS_TOP, "log", "name: t\nlog: {keep: 2y}\n", "name: t\nlog: {keep: 1y}\n", NULL},
    {POLICY_KEYS_TOP, "until", "name: t\n", "name: t\nuntil: 2026-12-01\nthen: b\n", NULL},
    {POLICY_KEYS_TOP, "then", "name: t\nuntil: 2026-12-01\nthen: b\n",
     "name: t\nuntil: 2026-12-01\nthen: c\n", NULL},
    {POLICY_KEYS_CONTROLLER, "name", NULL, NULL, REGISTER},
    {POLICY_KEYS_CONTROLLER, "dpo", NULL, NULL, REGISTER},
    {POLICY_KEYS_PROCESSOR, "name", NULL, NULL, REGISTER},
    {POLICY_KEYS_PROCESSOR, "agreement", NULL, NULL, REGISTER},
    {POLICY_KEYS_PROCESSOR, "keeps", NULL, NULL, REGISTER},
    {POLICY_KEYS_PROCESSOR, "transfer", NULL, NULL, REGISTER},
    {POLICY_KEYS_DETECT, "default", "name: t\n", "name: t\ndetect: {default: {from: 0.71}}\n",
     NULL},
    {POLICY_KEYS_DETECT_TYPE, "from", "name: t\ndetect: {iban: {from: 0.5}}\n",
     "name: t\ndetect: {iban: {from: 0.51}}\n", NULL},
    {POLICY_KEYS_DETECT_TYPE, "strict", "name: t\ndetect: {bsn: {strict: true}}\n",
     "name: t\ndetect: {bsn: {strict: false}}\n", NULL},
    {POLICY_KEYS_DETECT_TYPE, "words", "name: t\ndetect: {special: {words: [b, c]}}\n",
     "name: t\ndetect: {special: {words: [b, d]}}\n", NULL},
    {POLICY_KEYS_RECOGNISER, "name", OWN("name: x, patterns: [x]"), OWN("name: y, patterns: [x]"),
     NULL},
    {POLICY_KEYS_RECOGNISER, "patterns", OWN("name: x, patterns: [x, y]"),
     OWN("name: x, patterns: [x]"), NULL},
    {POLICY_KEYS_RECOGNISER, "validator", OWN("name: x, patterns: [x]"),
     OWN("name: x, patterns: [x], validator: luhn"), NULL},
    {POLICY_KEYS_RECOGNISER, "context", OWN("name: x, patterns: [x], context: [w]"),
     OWN("name: x, patterns: [x]"), NULL},
    {POLICY_KEYS_RECOGNISER, "counter", OWN("name: x, patterns: [x]"),
     OWN("name: x, patterns: [x], counter: [w]"), NULL},
    {POLICY_KEYS_RECOGNISER, "score", OWN("name: x, patterns: [x]"),
     OWN("name: x, patterns: [x], score: 0.69"), NULL},
    {POLICY_KEYS_PROFILE, "default", PROFILE("default: token"), PROFILE("default: hash"), NULL},
    {POLICY_KEYS_PROFILE, "contact", PROFILE("contact: alias"), PROFILE("contact: keep"), NULL},
    {POLICY_KEYS_PROFILE, "rules", PROFILE(""), CASE("kind: text"), NULL},
    {POLICY_KEYS_ACTION, "partial", PROFILE(""), PROFILE("iban: {partial: {last: 1}}"), NULL},
    {POLICY_KEYS_PARTIAL, "first", PROFILE("iban: {partial: {first: 1, last: 4}}"),
     PROFILE("iban: {partial: {first: 2, last: 2}}"), NULL},
    {POLICY_KEYS_PARTIAL, "last", PROFILE("iban: {partial: {last: 1}}"),
     PROFILE("iban: {partial: {last: 2}}"), NULL},
    {POLICY_KEYS_RULE, "found", RULE("found: [bsn, pan], "), RULE("found: bsn, "), NULL},
    {POLICY_KEYS_RULE, "not_found", RULE("not_found: bsn, "), RULE("not_found: [bsn, pan], "),
     NULL},
    {POLICY_KEYS_RULE, "kind", RULE("kind: media, "), RULE("kind: text, "), NULL},
    {POLICY_KEYS_RULE, "direction", RULE("direction: in, "), RULE("direction: out, "), NULL},
    {POLICY_KEYS_RULE, "channel", RULE("channel: [b, c], "), RULE("channel: b, "), NULL},
    {POLICY_KEYS_RULE, "hour", RULE("hour: \"08:00-18:00\", "), RULE("hour: \"08:01-18:00\", "),
     NULL},
    {POLICY_KEYS_RULE, "days", RULE("days: [ma, di], "), RULE("days: [ma, wo], "), NULL},
    {POLICY_KEYS_RULE, "consent", RULE("consent: missing, "), RULE("consent: given, "), NULL},
    {POLICY_KEYS_RULE, "keep", "name: t\nhistory: [{keep: 3600s}]\n",
     "name: t\nhistory: [{keep: 3601s}]\n", NULL},
    {POLICY_KEYS_RULE, "ground", NULL, NULL, REGISTER},
    {POLICY_KEYS_RULE, "selection", "name: t\nhistory: [{keep: 1y}]\n",
     "name: t\nhistory: [{keep: 1y, selection: s}]\n", NULL},
    {POLICY_KEYS_ROUTE, "profile", "name: t\nprofiles: {a: {}, b: {iban: keep}}\n" ROUTE,
     "name: t\nprofiles: {a: {}, b: {iban: keep}}\nroutes: {r: {profile: b}}\n", NULL},
    {POLICY_KEYS_ROUTE, "media", "name: t\n" PLAIN,
     "name: t\nprofiles: {a: {}}\nroutes: {r: {profile: a, media: pass}}\n", NULL},
    {POLICY_KEYS_MEDIA, "card", FILES("card: redact"), FILES("card: pass"), NULL},
    {POLICY_KEYS_MEDIA, "id_document", FILES("id_document: redact"), FILES("id_document: pass"),
     NULL},
    {POLICY_KEYS_MEDIA, "mrz", FILES("mrz: withhold"), FILES("mrz: redact"), NULL},
    {POLICY_KEYS_MEDIA, "bsn", FILES("bsn: withhold"), FILES("bsn: redact"), NULL},
    {POLICY_KEYS_MEDIA, "iban", FILES("iban: redact"), FILES("iban: pass"), NULL},
    {POLICY_KEYS_MEDIA, "payment_code", FILES("payment_code: withhold"),
     FILES("payment_code: redact"), NULL},
    {POLICY_KEYS_MEDIA, "other", FILES("other: withhold"), FILES("other: redact"), NULL},
    {POLICY_KEYS_MEDIA, "clean", FILES("clean: withhold"), FILES("clean: pass"), NULL},
    {POLICY_KEYS_MEDIA, "unknown", FILES("unknown: withhold"), FILES("unknown: pass"), NULL},
    {POLICY_KEYS_MEDIA, "document", FILES("document: withhold"), FILES("document: pass"), NULL},
    {POLICY_KEYS_MEDIA, "audio", FILES("audio: withhold"), FILES("audio: pass"), NULL},
    {POLICY_KEYS_MEDIA, "video", FILES("video: withhold"), FILES("video: pass"), NULL},
    {POLICY_KEYS_OUTBOUND, "found", OUT("found: {iban: refuse}"), OUT("found: {iban: mask}"), NULL},
    {POLICY_KEYS_OUTBOUND, "roles", OUT("found: {iban: refuse}"),
     OUT("found: {iban: refuse}, roles: {x: {found: {iban: pass}}}"), NULL},
    {POLICY_KEYS_OUTBOUND, "rules", SENT("kind: text"), OUT("window: true"), NULL},
    {POLICY_KEYS_OUTBOUND, "links", OUT("links: []"), OUT("links: [b.example]"), NULL},
    {POLICY_KEYS_OUTBOUND, "templates", OUT("templates: []"), OUT("templates: [b]"), NULL},
    {POLICY_KEYS_OUTBOUND, "purposes", OUT("purposes: [p], templates: [{name: b, purpose: p}]"),
     OUT("purposes: [p, q], templates: [{name: b, purpose: p}]"), NULL},
    {POLICY_KEYS_OUTBOUND, "attachments", OUT("attachments: []"), OUT("attachments: [image]"),
     NULL},
    {POLICY_KEYS_OUTBOUND, "window", OUT("window: true"), OUT("window: false"), NULL},
    {POLICY_KEYS_OUTBOUND, "consent", OUT("consent: {utility: customer}"), OUT("window: true"),
     NULL},
    {POLICY_KEYS_OUTBOUND, "pace", OUT("pace: {messages: 1, per: 1h}"), OUT("window: true"), NULL},
    {POLICY_KEYS_OUTBOUND, "stop", OUT("window: true"), OUT("stop: [halt]"), NULL},
    {POLICY_KEYS_FOUND, "default", OUT("found: {default: refuse}"), OUT("found: {default: mask}"),
     NULL},
    {POLICY_KEYS_LOG, "keep", "name: t\nlog: {keep: 2d}\n", "name: t\nlog: {keep: 1d}\n", NULL},
    {POLICY_KEYS_WHEN, "found", CASE("found: bsn"), CASE("found: [bsn, pan]"), NULL},
    {POLICY_KEYS_WHEN, "not_found", CASE("not_found: [bsn, pan]"), CASE("not_found: bsn"), NULL},
    {POLICY_KEYS_WHEN, "kind", CASE("kind: text"), CASE("kind: media"), NULL},
    {POLICY_KEYS_WHEN, "direction", CASE("direction: in"), CASE("direction: out"), NULL},
    {POLICY_KEYS_WHEN, "channel", CASE("channel: b"), CASE("channel: [b, c]"), NULL},
    {POLICY_KEYS_WHEN, "hour", CASE("hour: \"08:00-18:00\""), CASE("hour: \"08:00-18:01\""), NULL},
    {POLICY_KEYS_WHEN, "days", CASE("days: ma"), CASE("days: [ma, zo]"), NULL},
    {POLICY_KEYS_WHEN, "consent", CASE("consent: given"), CASE("consent: missing"), NULL},
    {POLICY_KEYS_CASE, "when", CASE("kind: text, direction: in"), CASE("kind: text"), NULL},
    {POLICY_KEYS_CASE, "default", PROFILE("rules: [{when: {kind: text}, default: hash}]"),
     PROFILE("rules: [{when: {kind: text}, default: keep}]"), NULL},
    {POLICY_KEYS_ROLE, "profile", ROLE(""), ROLE("profile: a"), NULL},
    {POLICY_KEYS_ROLE, "may", ROLE("may: [log]"), ROLE("may: [policy]"), NULL},
    {POLICY_KEYS_ROLE, "reveal", ROLE("profile: a, may: [reveal], reveal: [bsn]"),
     ROLE("profile: a, may: [reveal], reveal: [iban]"), NULL},
    {POLICY_KEYS_ROLE, "reason", ROLE("reason: required"), ROLE("reason: optional"), NULL},
    {POLICY_KEYS_ROLE, "reference", ROLE("reference: required"), ROLE("reference: optional"), NULL},
    {POLICY_KEYS_ROLE, "hours", ROLE("hours: \"08:00-18:00\""), ROLE("hours: \"08:00-18:01\""),
     NULL},
    {POLICY_KEYS_OUTBOUND_RULE, "when", SENT("kind: text"), SENT("kind: text, direction: in"),
     NULL},
    {POLICY_KEYS_OUTBOUND_RULE, "found", SENT("kind: text"),
     OUT("rules: [{when: {kind: text}, found: {iban: pass}}]"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "found", SENT("found: [bsn, pan]"), SENT("found: bsn"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "not_found", SENT("not_found: bsn"), SENT("not_found: [bsn, pan]"),
     NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "kind", SENT("kind: text"), SENT("kind: media"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "direction", SENT("direction: out"), SENT("direction: in"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "channel", SENT("channel: [b, c]"), SENT("channel: b"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "hour", SENT("hour: \"08:00-18:00\""),
     SENT("hour: \"08:00-17:59\""), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "days", SENT("days: [ma, di]"), SENT("days: ma"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "consent", SENT("consent: given"), SENT("consent: missing"), NULL},
    {POLICY_KEYS_OUTBOUND_WHEN, "role", SENT("role: x"), SENT("role: y"), NULL},
    {POLICY_KEYS_OUTBOUND_ROLE, "found", OUT("roles: {x: {found: {iban: refuse}}}"),
     OUT("roles: {x: {found: {iban: mask}}}"), NULL},
    {POLICY_KEYS_OUTBOUND_ROLE, "attachments", OUT("roles: {x: {attachments: []}}"),
     OUT("roles: {x: {attachments: [video]}}"), NULL},
    {POLICY_KEYS_TEMPLATE, "name", OUT("templates: [{name: b}]"), OUT("templates: [{name: c}]"),
     NULL},
    {POLICY_KEYS_TEMPLATE, "category",
     OUT("consent: {marketing: required}, templates: [{name: b, category: marketing}]"),
     OUT("consent: {marketing: required}, templates: [{name: b, category: utility}]"), NULL},
    {POLICY_KEYS_TEMPLATE, "purpose", NULL, NULL, "bound by `purposes`, a word of its own"},
    {POLICY_KEYS_CONSENT, "marketing", OUT("consent: {marketing: required}"),
     OUT("consent: {marketing: none}"), NULL},
    {POLICY_KEYS_CONSENT, "utility", OUT("consent: {utility: [consent]}"),
     OUT("consent: {utility: [consent, task]}"), NULL},
    {POLICY_KEYS_CONSENT, "authentication", OUT("consent: {authentication: consent}"),
     OUT("consent: {authentication: contract}"), NULL},
    {POLICY_KEYS_CONSENT, "service", OUT("consent: {service: required}"),
     OUT("consent: {service: none}"), NULL},
    {POLICY_KEYS_PACE, "messages", OUT("pace: {messages: 1, per: 1h}"),
     OUT("pace: {messages: 2, per: 2h}"), NULL},
    {POLICY_KEYS_PACE, "per", OUT("pace: {messages: 1, per: 2h}"),
     OUT("pace: {messages: 1, per: 1h}"), NULL},
    {POLICY_KEYS_NOTICE, "nl", NOTICE, TOLD("nl: u"), NULL},
    {POLICY_KEYS_NOTICE, "en", NOTICE, TOLD("nl: t, en: u"), NULL},
    {POLICY_KEYS_NOTICE, "safe", NOTICE, TOLD("nl: t, safe: 'https://a.example'"), NULL},
    {POLICY_KEYS_NOTICE, "every", TOLD("nl: t, every: 2d"), TOLD("nl: t, every: 1d"), NULL},
    {POLICY_KEYS_NOTICE, "after", "name: t\nnotices: {first: {nl: t, after: 20d}}\n",
     "name: t\nnotices: {first: {nl: t, after: 10d}}\n", NULL},
    {POLICY_KEYS_HOURS, "open", ROLE("hours: {open: \"08:00-18:00\"}"),
     ROLE("hours: {open: \"07:59-18:00\"}"), NULL},
    {POLICY_KEYS_HOURS, "days", ROLE("hours: {open: \"08:00-18:00\"}"),
     ROLE("hours: {open: \"08:00-18:00\", days: [ma, di, wo, do, vr, za]}"), NULL},
    {POLICY_KEYS_HOURS, "holidays", ROLE("hours: {open: \"08:00-18:00\", holidays: [2026-12-25]}"),
     ROLE("hours: {open: \"08:00-18:00\"}"), NULL},
};

static void ignore(void *ctx, const struct policy_difference *difference)
{
    (void)ctx, (void)difference;
}

static struct policy *load(const char *text)
{
    char whole[1024];
    struct diag diag = {0};
    struct policy *policy = NULL;
    snprintf(whole, sizeof(whole), HEAD "%s", text);
    if (policy_load(span_str(whole), "t.yaml", &policy, &diag) != 0)
        fail_msg("%s\n%s", whole, diag.text);
    return policy;
}

static void test_each_loosens(void **state)
{
    (void)state;
    unsigned missed = 0;
    for (size_t i = 0; i < N(rows); i++) {
        if (rows[i].never)
            continue;
        struct policy *old = load(rows[i].old), *next = load(rows[i].next);
        /* the row is about its key */
        assert_true(strstr(rows[i].old, rows[i].key) || strstr(rows[i].next, rows[i].key));
        if (policy_diff(old, next, ignore, NULL) == 0) {
            print_message("%s, %s: not called looser:\n%s\n%s\n",
                          policy_tables[rows[i].table].heading, rows[i].key, rows[i].old,
                          rows[i].next);
            missed++;
        }
        policy_unref(old);
        policy_unref(next);
    }
    assert_int_equal(missed, 0);
}

static void test_each_has_a_row(void **state)
{
    (void)state;
    size_t told = 0;
    for (size_t t = 0; t < POLICY_KEYS_TABLES; t++)
        for (size_t k = 0; k < policy_tables[t].n; k++) {
            size_t n = 0;
            for (size_t i = 0; i < N(rows); i++)
                n += rows[i].table == t && strcmp(rows[i].key, policy_tables[t].keys[k].name) == 0;
            if (n != 1)
                fail_msg("%s, %s has %zu rows: give it a change that loosens, and see that "
                         "policy_diff says so",
                         policy_tables[t].heading, policy_tables[t].keys[k].name, n);
            told += n;
        }
    assert_int_equal(told, N(rows)); /* none of a key that is no more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_has_a_row),
                                       cmocka_unit_test(test_each_loosens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
