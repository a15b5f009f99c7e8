/* The policy door: decisions of good policies, and the exact words said about bad ones. */
#include "sluis/policy.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD "policy: 1\nname: t\n"

static struct policy *load(const char *text)
{
    struct diag diag = {0};
    struct policy *policy;
    int error = policy_load(span_str(text), "t.yaml", &policy, &diag);
    if (error)
        print_message("%u:%u %s\n", diag.line, diag.column, diag.text);
    assert_int_equal(error, 0);
    return policy;
}

/* The example of the contract, with what this version refuses left out. */
static const char contract[] =
    "policy: 1\n"
    "name: gemeente\n"
    "activity: klantvragen-whatsapp\n"
    "controller: {name: Gemeente Voorbeeld, dpo: fg@gemeente.example}\n"
    "detect:    {default: {from: 0.70}, bsn: {from: 0.50}, name: off}\n"
    "recognisers: []\n"
    "profiles:\n"
    "  webcare: {default: redact, iban: {partial: {last: 4}}, phone: keep, email: keep}\n"
    "  chatbot: {default: hash, bsn: redact, pan: block, secret: redact, contact: alias}\n"
    "originals:\n"
    "  - {found: [pan, secret], keep: never, ground: PCI DSS 3.3.1}\n"
    "  - {found: bsn, keep: 24h, ground: Wabb art. 10}\n"
    "  - {keep: 48h, ground: AVG 6.1.e}\n"
    "history:\n"
    "  - {kind: media, keep: 7d, ground: AVG 6.1.e}\n"
    "  - {keep: 1y, ground: AVG 6.1.e, selection: \"Selectielijst 2020\"}\n"
    "routes:   {webcare: {profile: webcare}, bot: {profile: chatbot, media: withhold}}\n"
    "media:    {card: withhold, id_document: withhold, unknown: pass, document: withhold, audio: "
    "pass}\n"
    "outbound: {found: {bsn: refuse, pan: refuse, email: pass}}\n"
    "log:      {keep: 24m}\n";

static void expect_rule(const struct policy *p, const char *profile, unsigned type,
                        enum mask_action action, int first, int last)
{
    struct mask_rule rule = profile_rule(policy_profile(p, profile), type);
    assert_int_equal(rule.action, action);
    assert_int_equal(rule.first, first);
    assert_int_equal(rule.last, last);
}

/* What the picture worker makes its detector from. */
static void test_detect_settings(void **state)
{
    (void)state;
    static const char own[] =
        HEAD "detect: {iban: {from: 0.90}}\n"
             "recognisers: [{name: klantnummer, patterns: ['K[0-9]{6}'], score: 0.90}]\n"
             "profiles: {p: {default: redact}}\n";
    struct policy *p = load(own), *again = load(own), *other = load(contract);
    const struct detect_settings *s = policy_detect(p);
    assert_int_equal(s->from[DETECT_IBAN], 900);
    assert_int_equal(s->own_count, 1);
    assert_string_equal(s->own[0].patterns[0], "K[0-9]{6}");
    assert_true(policy_key(p) != 0 && policy_key(p) == policy_key(again));
    assert_true(policy_key(p) != policy_key(other));
    policy_unref(p);
    policy_unref(again);
    policy_unref(other);
}

static void test_contract(void **state)
{
    (void)state;
    struct policy *p = load(contract);
    assert_string_equal(policy_name(p), "gemeente");
    assert_string_equal(policy_activity(p), "klantvragen-whatsapp");
    assert_string_equal(policy_controller(p), "Gemeente Voorbeeld");
    assert_string_equal(policy_dpo(p), "fg@gemeente.example");
    assert_non_null(policy_detector(p));
    assert_int_equal(policy_log_keep_s(p), 2 * 365 * 86400);

    expect_rule(p, "webcare", DETECT_IBAN, MASK_PARTIAL, 0, 4);
    expect_rule(p, "webcare", DETECT_PHONE, MASK_KEEP, 0, 0);
    expect_rule(p, "webcare", DETECT_BSN, MASK_REDACT, 0, 0);
    expect_rule(p, "webcare", DETECT_OWN + 3, MASK_REDACT, 0, 0);
    expect_rule(p, "webcare", DETECT_TYPES_MAX, MASK_REDACT, 0, 0);
    expect_rule(p, "chatbot", DETECT_IBAN, MASK_HASH, 0, 0);
    expect_rule(p, "chatbot", DETECT_PAN, MASK_BLOCK, 0, 0);
    assert_null(policy_profile(p, "nobody"));
    assert_false(profile_hides_contact(policy_profile(p, "webcare")));
    assert_true(profile_hides_contact(policy_profile(p, "chatbot")));
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++)
        assert_int_equal(profile_rule(policy_storage_profile(p), t).action, MASK_REDACT);

    const struct policy_route *webcare = policy_route(p, "webcare"), *bot = policy_route(p, "bot");
    assert_string_equal(profile_name(webcare->profile), "webcare");
    assert_string_equal(profile_name(bot->profile), "chatbot");
    assert_null(policy_route(p, "nobody"));
    assert_int_equal(webcare->media, MEDIA_WITHHOLD); /* documents do not pass */
    assert_int_equal(policy_route_media(p, webcare, POLICY_MEDIA_AUDIO), MEDIA_PASS);
    assert_int_equal(policy_route_media(p, webcare, POLICY_MEDIA_DOCUMENT), MEDIA_WITHHOLD);
    assert_int_equal(policy_route_media(p, bot, POLICY_MEDIA_AUDIO), MEDIA_WITHHOLD);

    assert_int_equal(policy_outbound(p, DETECT_BSN), OUTBOUND_REFUSE);
    assert_int_equal(policy_outbound(p, DETECT_EMAIL), OUTBOUND_PASS);
    assert_int_equal(policy_outbound(p, DETECT_IBAN), OUTBOUND_MASK);
    assert_int_equal(policy_outbound(p, DETECT_TYPES_MAX), OUTBOUND_REFUSE);
    policy_unref(p);
}

#define BIT(type) (UINT64_C(1) << (type))

static void test_retention(void **state)
{
    (void)state;
    struct policy *p = load(contract);
    static const struct {
        enum retention_part part;
        struct retention_facts facts;
        int64_t keep; /* 0: never */
        bool minimum;
        const char *ground;
    } cases[] = {
        {RETENTION_ORIGINAL, {.found = 0, .media = false}, 48 * 3600, false, "AVG 6.1.e"},
        {RETENTION_ORIGINAL,
         {.found = BIT(DETECT_BSN), .media = false},
         24 * 3600,
         false,
         "Wabb art. 10"},
        {RETENTION_ORIGINAL,
         {.found = BIT(DETECT_BSN) | BIT(DETECT_PAN), .media = true},
         0,
         false,
         "PCI DSS 3.3.1"},
        {RETENTION_ORIGINAL,
         {.found = BIT(DETECT_SECRET), .media = false},
         0,
         false,
         "PCI DSS 3.3.1"},
        {RETENTION_ORIGINAL,
         {.found = BIT(DETECT_IBAN), .media = true},
         48 * 3600,
         false,
         "AVG 6.1.e"},
        {RETENTION_HISTORY,
         {.found = BIT(DETECT_BSN), .media = true},
         7 * 86400,
         false,
         "AVG 6.1.e"},
        {RETENTION_HISTORY,
         {.found = BIT(DETECT_BSN), .media = false},
         365 * 86400,
         true,
         "AVG 6.1.e"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct retention_rule rule = policy_retention(p, cases[i].part, &cases[i].facts);
        assert_int_equal(rule.never, cases[i].keep == 0);
        assert_int_equal(rule.keep_s, cases[i].keep);
        assert_int_equal(rule.minimum, cases[i].minimum);
        assert_string_equal(rule.ground, cases[i].ground);
    }
    struct retention_rule rule;
    assert_int_equal(policy_retention_at(p, RETENTION_HISTORY, 1, &rule), 0);
    assert_string_equal(rule.selection, "Selectielijst 2020");
    assert_int_equal(policy_retention_at(p, RETENTION_HISTORY, 2, &rule), SLUIS_ENOENT);
    policy_unref(p);

    /* No rules, or none that matches: never. */
    p = load(HEAD "history: [{kind: text, keep: 1y}]\n");
    const struct retention_facts media = {.found = 0, .media = true},
                                 text = {.found = 0, .media = false};
    assert_true(policy_retention(p, RETENTION_ORIGINAL, &text).never);
    assert_true(policy_retention(p, RETENTION_HISTORY, &media).never);
    assert_false(policy_retention(p, RETENTION_HISTORY, &text).never);
    policy_unref(p);
}

static void expect_reason(struct policy_reason why, const char *rule, unsigned line)
{
    assert_string_equal(why.rule, rule);
    assert_int_equal(why.line, line);
}

/* The rule that decided and its line; nothing for what no rule decided. */
static void test_why(void **state)
{
    (void)state;
    struct policy *p = load(contract);
    const struct profile *webcare = policy_profile(p, "webcare");
    expect_reason(policy_why_profile(webcare, DETECT_IBAN), "profiles.webcare.iban", 8);
    expect_reason(policy_why_profile(webcare, DETECT_BSN), "profiles.webcare.default", 8);
    expect_reason(policy_why_profile(policy_profile(p, "chatbot"), DETECT_PAN),
                  "profiles.chatbot.pan", 9);
    expect_reason(policy_why_profile(webcare, DETECT_TYPES_MAX), "", 0);
    expect_reason(policy_why_profile(policy_storage_profile(p), DETECT_IBAN), "", 0);
    const struct retention_facts pan = {.found = BIT(DETECT_PAN) | BIT(DETECT_BSN), .media = false};
    const struct retention_facts bsn = {.found = BIT(DETECT_BSN), .media = false},
                                 media = {.found = 0, .media = true};
    expect_reason(policy_why_retention(p, RETENTION_ORIGINAL, &pan), "originals[1]", 11);
    expect_reason(policy_why_retention(p, RETENTION_ORIGINAL, &bsn), "originals[2]", 12);
    expect_reason(policy_why_retention(p, RETENTION_ORIGINAL, &media), "originals[3]", 13);
    expect_reason(policy_why_retention(p, RETENTION_HISTORY, &media), "history[1]", 15);
    expect_reason(policy_why_outbound(p, DETECT_BSN), "outbound.found.bsn", 19);
    expect_reason(policy_why_outbound(p, DETECT_IBAN), "", 0);
    policy_unref(p);
    p = load(HEAD "profiles: {a: {}}\noutbound:\n  found:\n    default: refuse\n");
    expect_reason(policy_why_profile(policy_profile(p, "a"), DETECT_IBAN), "", 0);
    expect_reason(policy_why_retention(p, RETENTION_HISTORY, &media), "", 0);
    expect_reason(policy_why_outbound(p, DETECT_IBAN), "outbound.found.default", 6);
    policy_unref(p);
}

static void test_smallest(void **state)
{
    (void)state;
    struct policy *p = load(HEAD "profiles: {a: {}}\nroutes: {r: {profile: a}}\n");
    assert_string_equal(policy_activity(p), "t");
    assert_string_equal(policy_controller(p), "");
    assert_int_equal(policy_log_keep_s(p), 0);
    assert_int_equal(policy_on_revoke(p), ON_REVOKE_ERASE);
    assert_int_equal(profile_rule(policy_profile(p, "a"), DETECT_IBAN).action, MASK_REDACT);
    assert_int_equal(policy_route(p, "r")->media, MEDIA_WITHHOLD);
    assert_int_equal(policy_route_media(p, policy_route(p, "r"), POLICY_MEDIA_AUDIO),
                     MEDIA_WITHHOLD);
    policy_unref(p);
    p = load(HEAD "profiles: {a: {}}\nmedia: {unknown: pass, document: pass, audio: pass}\n"
                  "routes: {r: {profile: a}, s: {profile: a, media: withhold}}\n");
    assert_int_equal(policy_route(p, "r")->media, MEDIA_PASS);
    assert_int_equal(policy_route(p, "s")->media, MEDIA_WITHHOLD);
    policy_unref(p);
    policy_unref(NULL);
}

/* The number of findings of `type` in a text, by the policy's detector. */
static int findings(const struct policy *p, const char *text, unsigned type)
{
    struct detect_scratch *scratch;
    struct finding found[32];
    assert_int_equal(detect_scratch_new(&scratch), 0);
    const struct detect_input input = {.text = span_str(text), .from_customer = true};
    int n = detect_run(policy_detector(p), scratch, &input, found, N(found)), of_type = 0;
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        of_type += found[i].type == type;
    detect_scratch_free(scratch);
    return of_type;
}

/* Settings reach the detector: thresholds, off, strict. 111222333 is the well-known test BSN. */
static void test_detect(void **state)
{
    (void)state;
    struct policy *p = load(HEAD);
    assert_int_equal(findings(p, "mijn IBAN is NL91ABNA0417164300", DETECT_IBAN), 1);
    assert_int_equal(findings(p, "111222333", DETECT_BSN), 0);
    policy_unref(p);
    p = load(HEAD "detect: {iban: off, bsn: {strict: true}}\n");
    assert_int_equal(findings(p, "mijn IBAN is NL91ABNA0417164300", DETECT_IBAN), 0);
    assert_int_equal(findings(p, "111222333", DETECT_BSN), 1);
    policy_unref(p);
    /* The order in the file does not matter: what is named wins over the default. */
    p = load(HEAD "detect: {iban: {from: 0.5}, default: {from: 1}}\n");
    assert_int_equal(findings(p, "mijn IBAN is NL91ABNA0417164300", DETECT_IBAN), 1);
    assert_int_equal(findings(p, "mijn bsn is 111222333", DETECT_BSN), 0);
    policy_unref(p);
}

/* A recogniser is a type like the others, from its patterns to masking, retention and sending. */
static void test_recognisers(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "recognisers:\n"
             "  - {name: klantnummer, patterns: ['\\bK[0-9]{6}\\b'], context: [klant], counter: "
             "[order], score: 0.5}\n"
             "profiles: {a: {klantnummer: {partial: {first: 1}}}}\n"
             "originals: [{found: klantnummer, keep: never}, {keep: 1d}]\n"
             "outbound: {found: {klantnummer: refuse}}\n";
    struct policy *p = load(text);
    assert_int_equal(policy_type_of(p, "klantnummer"), DETECT_OWN);
    assert_string_equal(policy_type_word(p, DETECT_OWN), "klantnummer");
    assert_null(policy_type_word(p, DETECT_OWN + 1));
    assert_int_equal(findings(p, "als klant K123456", DETECT_OWN), 1);
    assert_int_equal(findings(p, "K123456", DETECT_OWN), 0); /* 0.50 alone */
    assert_int_equal(findings(p, "klant order K123456", DETECT_OWN), 0);
    assert_int_equal(findings(p, "als klant K1234567", DETECT_OWN), 0);
    expect_rule(p, "a", DETECT_OWN, MASK_PARTIAL, 1, 0);
    const struct retention_facts own = {.found = BIT(DETECT_OWN)}, none = {.found = 0};
    assert_true(policy_retention(p, RETENTION_ORIGINAL, &own).never);
    assert_false(policy_retention(p, RETENTION_ORIGINAL, &none).never);
    assert_int_equal(policy_outbound(p, DETECT_OWN), OUTBOUND_REFUSE);
    policy_unref(p);
}

static void test_special(void **state)
{
    (void)state;
    struct policy *p = load(HEAD "detect: {special: {words: [vakbond, Geloof, cliënt]}}\n");
    assert_int_equal(findings(p, "ik ben lid van de Vakbond", DETECT_SPECIAL), 1);
    assert_int_equal(findings(p, "mijn geloof en de client", DETECT_SPECIAL), 2);
    assert_int_equal(findings(p, "vakbonden", DETECT_SPECIAL), 0);
    policy_unref(p);
    p = load(HEAD "detect: {special: off}\n");
    assert_int_equal(findings(p, "ik ben lid van de vakbond", DETECT_SPECIAL), 0);
    policy_unref(p);
}

/* Conditions on direction and channel; a caller that names no channel matches no rule that does. */
static void test_conditions(void **state)
{
    (void)state;
    struct policy *p = load(HEAD "originals:\n"
                                 "  - {direction: out, channel: [balie, zorg], keep: 1d}\n"
                                 "  - {direction: out, found: bsn, keep: 2d}\n"
                                 "  - {channel: zorg, keep: never}\n"
                                 "  - {direction: in, keep: 3d}\n"
                                 "  - {keep: 4d}\n");
    static const struct {
        struct retention_facts facts;
        int days; /* 0: never */
    } cases[] = {
        {{.out = true, .channel = "balie"}, 1},
        {{.out = true, .channel = "zorg"}, 1},
        {{.out = false, .channel = "zorg"}, 0},
        {{.out = false, .channel = "balie"}, 3},
        {{.out = true, .channel = "elders"}, 4},
        {{.out = true, .channel = "elders", .found = BIT(DETECT_BSN)}, 2},
        {{.out = true, .channel = NULL}, 4},
        {{.out = false, .channel = NULL, .found = BIT(DETECT_BSN)}, 3},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct retention_rule rule = policy_retention(p, RETENTION_ORIGINAL, &cases[i].facts);
        assert_int_equal(rule.never, cases[i].days == 0);
        assert_int_equal(rule.keep_s, cases[i].days * 86400);
    }
    policy_unref(p);
}

static void test_hash(void **state)
{
    (void)state;
    /* printf 'policy: 1\nname: t\n' | sha256sum */
    static const char known[] = "f88f57af8aa55b54888ca5df822b703e9b6b8b5a90b4328dd370cee8497a2433";
    struct policy *a = load(HEAD), *b = load(HEAD), *c = load(HEAD "# a comment counts\n");
    assert_string_equal(policy_hash(a), known);
    assert_string_equal(policy_hash(b), known);
    assert_string_not_equal(policy_hash(c), known);
    policy_unref(a);
    policy_unref(b);
    policy_unref(c);
}

#define NAME_RULE " is not a name: lower-case letters, digits, - and _, a letter first, at most 63"
#define DOMAIN_RULE                                                                                \
    " is not a domain: lower case, as in gemeente.example, or *.gemeente.example for what lies "   \
    "under it; no scheme, no path"
#define ACTIONS "expected redact, hash, token, keep, block or {partial: {last: 4}}, found "

/* Text behind HEAD (two lines), or a whole text when it starts with '!' ; diagnosis without file.
 */
static const struct {
    const char *text, *said;
} bad[] = {
    /* the whole */
    {"!", "1:1: the file is empty"},
    {"![1]", "1:1: expected a map (key: value), found a list"},
    {"!name: t", "1:1: missing key \"policy\": version of this language: 1"},
    {"!policy: 1", "1:1: missing key \"name\": the policy's name, the same as its file's without "
                   ".yaml"},
    {"!policy: 2\nname: t", "1:9: \"policy\": this version of Sluis reads policy: 1"},
    {"!policy: one\nname: t", "1:9: \"policy\": expected a whole number, found \"one\""},
    {"!policy: 1\nname: Gemeente", "2:1: \"Gemeente\"" NAME_RULE},
    {"!policy: 1\nname: ../x", "2:1: \"../x\"" NAME_RULE},
    {"!policy: 1\nname: [a]", "2:7: \"name\": expected a text, found a list"},
    {"name: u", "3:1: duplicate key \"name\"; the first is on line 2"},
    {"profile: {}", "3:1: unknown key \"profile\"; did you mean \"profiles\"?"},
    {"detekt: {}", "3:1: unknown key \"detekt\"; did you mean \"detect\"?"},
    {"Routes: {}", "3:1: unknown key \"Routes\"; did you mean \"routes\"?"},
    {"xyzzy: 1", "3:1: unknown key \"xyzzy\"; known here: policy, name, activity, purpose, "
                 "controller, processors, detect, recognisers, profiles, originals, history, "
                 "on_revoke, selection, roles, routes, media, "
                 "outbound, notices, hours, log, until, then"},
    {"processors: {}", "3:13: \"processors\": expected a list, found a map"},
    {"processors: [{agreement: x}]", "3:14: missing key \"name\": the processor's name"},
    {"processors: [{name: x, keeps: lang}]",
     "3:31: \"keeps\": expected a duration such as 90s, 15min, 24h, 7d, 24m or 1y, found \"lang\""},
    {"activity: \"a\\nb\"", "3:11: expected one line of 1 to 200 bytes"},
    {"activity: {}", "3:11: \"activity\": expected a text, found a map"},
    {"controller: Gemeente", "3:13: \"controller\": expected a map (key: value), found a text"},
    {"controller: {dpo: x}", "3:1: missing key \"name\": the organisation's name"},
    {"controller: {name: x, dpi: y}", "3:23: unknown key \"dpi\"; did you mean \"dpo\"?"},
    {"log: {keep: 12}",
     "3:13: \"keep\": expected a duration such as 90s, 15min, 24h, 7d, 24m or 1y, "
     "found \"12\""},
    {"log: {keep: 2h}", "3:13: \"keep\": the access log is kept at least 1d"},
    {"log: {}", "3:1: missing key \"keep\": how long the access log is kept, at least 1d"},
    /* detect */
    {"detect: [iban]", "3:9: \"detect\": expected a map (key: value), found a list"},
    {"detect: {ibna: off}", "3:10: unknown type \"ibna\"; did you mean \"iban\"?"},
    {"detect: {creditcard: off}", "3:10: unknown type \"creditcard\""},
    {"detect: {iban: on}", "3:16: \"iban\": expected {from: 0.70} or off"},
    {"detect: {iban: 'off'}", "3:16: \"iban\": expected {from: 0.70} or off"},
    {"detect: {iban: {}}", "3:16: \"iban\": expected {from: 0.70} or off"},
    {"detect: {iban: }", "3:10: \"iban\": expected {from: 0.70} or off"},
    {"detect: {iban: {from: 70}}",
     "3:23: \"from\": expected a number from 0 to 1 such as 0.70, found \"70\""},
    {"detect: {iban: {from: -0.1}}",
     "3:23: \"from\": expected a number from 0 to 1 such as 0.70, found \"-0.1\""},
    {"detect: {iban: {form: 0.7}}", "3:17: unknown key \"form\"; did you mean \"from\"?"},
    {"detect: {iban: {strict: true}}", "3:17: only bsn can be strict"},
    {"detect: {default: {strict: true}}", "3:20: only bsn can be strict"},
    {"detect: {bsn: {strict: yes}}", "3:24: \"strict\": expected true or false, found \"yes\""},
    {"detect: {default: off}", "3:19: \"default\": expected a map (key: value), found a text"},
    {"detect: {default: {}}", "3:10: expected {from: 0.70}"},
    /* recognisers */
    {"recognisers: {}", "3:14: \"recognisers\": expected a list, found a map"},
    {"recognisers: [{patterns: [x]}]", "3:15: missing key \"name\": name of the type"},
    {"recognisers: [{name: x}]", "3:15: missing key \"patterns\": regular expressions (PCRE2)"},
    {"recognisers: [{name: x, patterns: []}]", "3:25: no pattern in it"},
    {"recognisers: [{name: iban, patterns: [x]}]",
     "3:22: \"iban\" is taken: a recogniser needs its own name"},
    {"recognisers: [{name: default, patterns: [x]}]",
     "3:22: \"default\" is taken: a recogniser needs its own name"},
    {"recognisers: [{name: x, patterns: [x], validator: elfprof}]",
     "3:51: \"validator\": expected luhn, mod97, elfproef, mod11 or none, found \"elfprof\"; did "
     "you "
     "mean \"elfproef\"?"},
    {"recognisers: [{name: x, patterns: [x], score: 2}]",
     "3:47: \"score\": expected a number from 0 to 1 such as 0.70, found \"2\""},
    {"recognisers: [{name: x, patterns: [{}]}]", "3:36: expected a text, found a map"},
    {"recognisers:\n - {name: x, patterns: [x]}\n - {name: y, patterns: ['(a+)+b']}",
     "5:4: recognisers: recogniser y: the pattern takes too long on repeated characters; bound its "
     "loops"},
    {"recognisers: [{name: x, patterns: ['(a)\\1']}]",
     "3:15: recognisers: recogniser x: back references are not allowed"},
    {"recognisers: [{name: x, patterns: ['a*']}]",
     "3:15: recognisers: recogniser x: the pattern matches the empty text"},
    {"recognisers: [{name: x, patterns: ['a(']}]",
     "3:15: recognisers: recogniser x: missing closing parenthesis at character 3 of its pattern"},
    {"recognisers: [{name: x, patterns: [a]}, {name: x, patterns: [b]}]",
     "3:48: \"x\" is taken: a recogniser needs its own name"},
    /* special */
    {"detect: {special: {from: 0.7}}", "3:10: special needs words: {from: 0.70, words: [...]}"},
    {"detect: {special: {words: []}}", "3:20: special needs words: {from: 0.70, words: [...]}"},
    {"detect: {iban: {words: [a]}}", "3:17: only special has words"},
    {"detect: {default: {from: 0.5, words: [a]}}", "3:31: only special has words"},
    {"detect: {special: {words: [vakbond, lid van]}}",
     "3:37: this word would not be found: single words of 1 to 32 letters, and \"from\" at most "
     "0.80"},
    {"detect: {special: {from: 0.9, words: [vakbond]}}",
     "3:39: this word would not be found: single words of 1 to 32 letters, and \"from\" at most "
     "0.80"},
    /* profiles */
    {"profiles: {Web: {}}", "3:12: \"Web\"" NAME_RULE},
    {"profiles: {a: redact}", "3:15: \"a\": expected a map (key: value), found a text"},
    {"profiles: {a: {default: redcat}}",
     "3:25: \"default\": " ACTIONS "\"redcat\"; did you mean \"redact\"?"},
    {"profiles: {a: {iban: }}", "3:16: \"iban\": " ACTIONS "nothing"},
    {"profiles: {a: {iban: [redact]}}", "3:22: \"iban\": " ACTIONS "a list"},
    {"profiles: {a: {iban: partial}}",
     "3:22: \"iban\": partial needs a shape: {partial: {last: 4}}"},
    {"profiles: {a: {iban: tokn}}", "3:22: \"iban\": " ACTIONS "\"tokn\"; did you mean \"token\"?"},
    {"profiles: {a: {iban: {partial: 4}}}",
     "3:32: \"partial\": expected a map (key: value), found a text"},
    {"profiles: {a: {iban: {partial: {}}}}",
     "3:32: partial shows 1 to 10 characters, first and last together"},
    {"profiles: {a: {iban: {partial: {first: 6, last: 5}}}}",
     "3:32: partial shows 1 to 10 characters, first and last together"},
    {"profiles: {a: {iban: {partial: {last: 11}}}}",
     "3:39: \"last\": expected a number from 0 to 10, found \"11\""},
    {"profiles: {a: {iban: {partial: {lst: 4}}}}",
     "3:33: unknown key \"lst\"; did you mean \"last\"?"},
    {"profiles: {a: {iban: {redact: true}}}", "3:23: unknown key \"redact\"; known here: partial"},
    {"profiles: {a: {emial: keep}}", "3:16: unknown type \"emial\"; did you mean \"email\"?"},
    {"profiles: {a: {defualt: keep}}", "3:16: unknown type \"defualt\"; did you mean \"default\"?"},
    {"profiles: {a: {contact: hide}}", "3:25: \"contact\": expected keep or alias, found \"hide\""},
    {"profiles: {a: {}, a: {}}", "3:19: duplicate key \"a\"; the first is on line 3"},
    /* originals, history */
    {"originals: {keep: 24h}", "3:12: \"originals\": expected a list, found a map"},
    {"originals: [24h]", "3:13: expected a map (key: value), found a text"},
    {"originals: [{found: bsn}]",
     "3:13: missing key \"keep\": a duration of at least 1h, or never: not written at all"},
    {"originals:\n  - {keep: 0}", "4:12: \"keep\": 0 is not a time to keep; write never: then that "
                                  "part is not written at all"},
    {"history: [{keep: 0d}]",
     "3:18: \"keep\": 0 is not a time to keep; write never: then that part "
     "is not written at all"},
    {"history: [{keep: nevr}]", "3:18: \"keep\": expected a duration or never, found \"nevr\"; did "
                                "you mean \"never\"?"},
    {"history: [{keep: 24}]",
     "3:18: \"keep\": expected a duration such as 90s, 15min, 24h, 7d, 24m "
     "or 1y, found \"24\""},
    {"history: [{keep: 12M}]", "3:18: \"keep\": expected a duration; months are written 24m and "
                               "minutes 15min, found \"12M\""},
    {"history: [{keep: 30min}]", "3:18: \"keep\": expected at least 1h, or never"},
    {"history: [{kind: picture, keep: 7d}]",
     "3:18: \"kind\": expected media or text, found \"picture\""},
    {"originals: [{found: bns, keep: 1d}]", "3:21: unknown type \"bns\"; did you mean \"bsn\"?"},
    {"originals: [{found: [pan, bns], keep: 1d}]",
     "3:27: unknown type \"bns\"; did you mean \"bsn\"?"},
    {"originals: [{found: [], keep: 1d}]", "3:14: \"found\": expected a type or a list of types"},
    {"originals: [{found: {}, keep: 1d}]", "3:14: \"found\": expected a type or a list of types"},
    {"originals: [{found: [[pan]], keep: 1d}]", "3:22: expected a text, found a list"},
    {"originals:\n - {keep: 1d}\n - {found: pan, keep: never}",
     "5:4: this rule is never reached: the one on line 4 takes all it would"},
    {"originals:\n - {found: [pan, bsn], keep: 1d}\n - {found: pan, kind: text, keep: never}",
     "5:4: this rule is never reached: the one on line 4 takes all it would"},
    {"history: [{keep: 1d, ground: \"\"}]", "3:30: expected one line of 1 to 200 bytes"},
    {"history: [{keep: 1d, minimum: true}]",
     "3:22: unknown key \"minimum\"; known here: found, not_found, kind, direction, channel, hour, "
     "days, consent, keep, ground, selection"},
    {"history: [{keep: 1d, direction: uit}]",
     "3:33: \"direction\": expected in or out, found \"uit\""},
    {"history: [{keep: 1d, channel: {}}]",
     "3:22: \"channel\": expected a channel or a list of channels"},
    {"history: [{keep: 1d, channel: [Balie]}]", "3:32: \"Balie\"" NAME_RULE},
    {"history:\n - {channel: [a, b], keep: 1d}\n - {channel: b, keep: 2d}",
     "5:4: this rule is never reached: the one on line 4 takes all it would"},
    /* media, routes */
    {"media: pass", "3:8: \"media\": expected a map (key: value), found a text"},
    {"media: {unknown: redact}",
     "3:18: \"unknown\": \"redact\" needs something to cover: write withhold or pass"},
    {"media: {audio: pas}",
     "3:16: \"audio\": expected withhold or pass, found \"pas\"; did you mean \"pass\"?"},
    {"media: {vidoe: pass}", "3:9: unknown key \"vidoe\"; did you mean \"video\"?"},
    {"routes: {r: {}}", "3:10: missing key \"profile\": the masking profile of this tool"},
    {"routes: {r: {profile: a}}", "3:23: no profile is called \"a\""},
    {"profiles: {webcare: {}}\nroutes: {r: {profile: webcar}}",
     "4:23: no profile is called \"webcar\"; did you mean \"webcare\"?"},
    {"profiles: {a: {}}\nroutes: {r: {profile: a, media: redact}}",
     "4:33: \"media\": \"redact\" needs something to cover: write withhold or pass"},
    {"profiles: {a: {}}\nroutes: {\"\\e[2J\": {profile: a}}", "4:10: \"?[2J\"" NAME_RULE},
    /* outbound */
    {"outbound: {links: [\"https://a.example\"]}", "3:20: \"https://a.example\"" DOMAIN_RULE},
    {"outbound: {links: [A.example]}", "3:20: \"A.example\"" DOMAIN_RULE},
    {"outbound: {links: [localhost]}", "3:20: \"localhost\"" DOMAIN_RULE},
    {"outbound: {links: [\"*.*.example\"]}", "3:20: \"*.*.example\"" DOMAIN_RULE},
    {"outbound: {links: [a..example]}", "3:20: \"a..example\"" DOMAIN_RULE},
    {"outbound: {links: [-a.example]}", "3:20: \"-a.example\"" DOMAIN_RULE},
    {"outbound: {links: a.example}", "3:19: \"links\": expected a list, found a text"},
    {"outbound: {templates: [Afspraak]}",
     "3:24: \"Afspraak\" is not a template's name: lower-case letters, digits and _"},
    {"outbound: {templates: [{name: A}]}",
     "3:31: \"A\" is not a template's name: lower-case letters, digits and _"},
    {"outbound: {found: {bsn: redact}}",
     "3:25: \"bsn\": expected mask, refuse or pass, found \"redact\""},
    {"outbound: {found: {bsn: refuze}}",
     "3:25: \"bsn\": expected mask, refuse or pass, found \"refuze\"; did you mean \"refuse\"?"},
    {"outbound: {found: {bnk: mask}}", "3:20: unknown type \"bnk\""},
    {"outbound: {found: refuse}", "3:19: \"found\": expected a map (key: value), found a text"},
    /* YAML */
    {"profiles: {a: &x {}, b: *x}",
     "3:15: anchors (&) and aliases (*) are not available: write the value out, or quote a text "
     "that starts so"},
    {"activity: !!str x", "3:11: tags (!) are not available: quote a text that starts so"},
    {"profiles:\n\ta: {}", "4:1: tab in the indentation: use spaces"},
    {"<<: {a: 1}",
     "3:1: unknown key \"<<\"; known here: policy, name, activity, purpose, controller, "
     "processors, detect, "
     "recognisers, profiles, originals, history, on_revoke, selection, roles, routes, media, "
     "outbound, notices, hours, log, until, then"},
};

static void test_refused(void **state)
{
    (void)state;
    size_t failed = 0;
    for (size_t i = 0; i < N(bad); i++) {
        char text[1024], line[1024], said[1024];
        struct diag diag = {0};
        struct policy *policy;
        bool whole = bad[i].text[0] == '!';
        snprintf(text, sizeof(text), "%s%s", whole ? "" : HEAD, bad[i].text + whole);
        int error = policy_load(span_str(text), "t.yaml", &policy, &diag);
        diag_line(&diag, line, sizeof(line));
        snprintf(said, sizeof(said), "t.yaml:%s", bad[i].said);
        if (error != SLUIS_EINVAL || policy || strcmp(line, said) != 0) {
            print_message("%s\n  said %s\n  not  %s\n", text, line, said);
            failed++;
        }
        assert_int_equal(policy_load(span_str(text), "t.yaml", &policy, NULL), error);
    }
    print_message("%zu refused policies\n", N(bad));
    assert_int_equal(failed, 0);
}

/* `item` n times, its '#' replaced by a number. */
static void add_many(char *text, size_t size, const char *head, const char *item, int n,
                     const char *tail)
{
    const char *mark = strchr(item, '#');
    size_t used = (size_t)snprintf(text, size, HEAD "%s", head);
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, size - used, "%.*s%d%s", (int)(mark - item), item, i,
                                 mark + 1);
    snprintf(text + used, size - used, "%s", tail);
}

/* One more than each list may have. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *head, *item, *tail;
        int most;
        const char *said;
    } lists[] = {
        {"profiles:\n", " p#: {}\n", "", 64, "more than 64 profiles"},
        {"profiles: {a: {}}\nroutes:\n", " r#: {profile: a}\n", "", 64, "more than 64 routes"},
        {"recognisers:\n", " - {name: r#, patterns: [x]}\n", "", 32, "more than 32 recognisers"},
        {"recognisers: [{name: x, patterns: [", "p#, ", "]}]\n", 64, "more than 64 entries"},
        {"processors:\n", " - {name: p#}\n", "", 64, "more than 64 processors"},
        {"history:\n", " - {channel: c#, found: bsn, keep: 1d}\n", "", 1024, "more than 1024 rules"},
    };
    size_t size = 128 * 1024;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < N(lists); i++) {
        struct diag diag = {0};
        struct policy *policy = NULL;
        for (int more = 0; more < 2; more++) {
            add_many(text, size, lists[i].head, lists[i].item, lists[i].most + more, lists[i].tail);
            memset(&diag, 0, sizeof(diag));
            int error = policy_load(span_str(text), "t.yaml", &policy, &diag);
            if (more)
                assert_int_equal(error, SLUIS_EINVAL);
            assert_true((strcmp(diag.text, lists[i].said) == 0) == (more == 1));
            policy_unref(policy);
            policy = NULL;
        }
    }
    free(text);
}

static void *take_and_drop(void *arg)
{
    struct policy *policy = arg;
    for (int i = 0; i < 20000; i++) {
        struct policy *mine = policy_ref(policy);
        const struct retention_facts facts = {.found = BIT(DETECT_PAN), .media = false};
        if (!policy_retention(mine, RETENTION_ORIGINAL, &facts).never)
            abort();
        policy_unref(mine);
    }
    policy_unref(policy);
    return NULL;
}

/* The last of several threads frees; a leak or a double free shows under the sanitizers. */
static void test_threads(void **state)
{
    (void)state;
    struct policy *policy = load(contract);
    pthread_t threads[4];
    for (size_t i = 0; i < N(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, policy_ref(policy)), 0);
    policy_unref(policy);
    for (size_t i = 0; i < N(threads); i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract),
        cmocka_unit_test(test_detect_settings), cmocka_unit_test(test_retention),
        cmocka_unit_test(test_smallest), cmocka_unit_test(test_why),
        cmocka_unit_test(test_detect),   cmocka_unit_test(test_recognisers),
        cmocka_unit_test(test_special),  cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_hash),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
