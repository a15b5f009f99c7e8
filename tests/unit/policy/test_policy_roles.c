/* Roles, conditions, outbound, notices, hours, observing: what policy.h says of them. */
#include "sluis/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define HEAD "policy: 1\nname: t\n"
/* 2026-11-23 is a Monday; Amsterdam is an hour ahead of UTC in winter, two in summer. */
#define MONDAY_8 INT64_C(1795417200000) /* 07:00 UTC, 08:00 */
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

static struct policy *load(const char *text)
{
    struct policy *policy;
    struct diag diag = {0};
    if (policy_load(span_str(text), "t", &policy, &diag) != 0)
        fail_msg("%u:%u: %s", diag.line, diag.column, diag.text);
    return policy;
}

/* The example of the contract, whole. */
static const char contract[] =
    "policy: 1\n"
    "name: gemeente\n"
    "activity: klantvragen-whatsapp\n"
    "controller: {name: Gemeente Voorbeeld, dpo: fg@gemeente.example}\n"
    "processors:\n"
    "  - {name: Meta Cloud API, agreement: VWO-2026-014, keeps: 30d, transfer: DPF}\n"
    "  - {name: Webcare, agreement: VWO-2025-090, keeps: 30d}\n"
    "detect:    {default: {from: 0.70}, bsn: {from: 0.50}, name: off}\n"
    "recognisers: []\n"
    "profiles:\n"
    "  webcare: {default: redact, iban: {partial: {last: 4}}, phone: keep, email: keep}\n"
    "  chatbot: {default: token, bsn: redact, pan: redact, secret: redact}\n"
    "originals:\n"
    "  - {found: [pan, secret], keep: never, ground: PCI DSS 3.3.1}\n"
    "  - {found: bsn, keep: 24h, ground: Wabb art. 10}\n"
    "  - {keep: 24h, ground: AVG 6.1.e}\n"
    "history:\n"
    "  - {kind: media, keep: 7d, ground: AVG 6.1.e}\n"
    "  - {keep: 1y, ground: AVG 6.1.e, selection: \"Selectielijst 2020\"}\n"
    "roles:\n"
    "  agent:       {profile: webcare, may: [history]}\n"
    "  behandelaar: {profile: webcare, may: [history, reveal], reveal: [bsn], reason: required}\n"
    "  officer:     {may: [policy]}\n"
    "  auditor:     {may: [log]}\n"
    "routes:   {webcare: {profile: webcare}, bot: {profile: chatbot, media: withhold}}\n"
    "media:    {card: redact, id_document: withhold, unknown: withhold, document: withhold, audio: "
    "pass}\n"
    "outbound: {found: {bsn: refuse, pan: refuse}, links: [gemeente.example], templates: "
    "[afspraak_bevestigd]}\n"
    "notices:\n"
    "  card:  {nl: \"U stuurde een foto van een bankpas.\", en: \"You sent a card.\", safe: "
    "\"https://gemeente.example/veilig\", every: 7d}\n"
    "  first: {nl: \"Welkom\", en: \"Welcome\", safe: \"https://gemeente.example/privacy\", after: "
    "180d}\n"
    "log:      {keep: 24m}\n";

static void test_contract(void **state)
{
    (void)state;
    struct policy *p = load(contract);
    const struct policy_role *r = policy_role(p, "behandelaar");
    assert_non_null(r);
    assert_string_equal(r->name, "behandelaar");
    assert_ptr_equal(r->profile, policy_profile(p, "webcare"));
    assert_int_equal(r->may, POLICY_MAY_HISTORY | POLICY_MAY_REVEAL);
    assert_int_equal(r->reveal, 1 << DETECT_BSN);
    assert_true(r->reason_required);
    assert_false(r->reference_required);
    assert_true(policy_role_hours_open(r, MONDAY_8));
    assert_null(policy_role(p, "officer")->profile);
    assert_int_equal(policy_role(p, "officer")->may, POLICY_MAY_POLICY);
    assert_ptr_equal(policy_role_at(p, 3), policy_role(p, "auditor"));
    assert_null(policy_role_at(p, 4));
    assert_null(policy_role(p, "beheerder"));
    assert_null(policy_role(p, NULL));
    assert_string_equal(policy_why_role(p, "agent").rule, "roles.agent");
    assert_int_equal(policy_why_role(p, "agent").line, 21);
    assert_int_equal(profile_rule(policy_profile(p, "chatbot"), DETECT_IBAN).action, MASK_TOKEN);

    const struct policy_notice *card = policy_notice(p, "card");
    assert_non_null(card);
    assert_int_equal(card->on, POLICY_NOTICE_PICTURE);
    assert_int_equal(card->picture, POLICY_PICTURE_CARD);
    assert_string_equal(card->safe, "https://gemeente.example/veilig");
    assert_int_equal(card->every_s, 7 * 86400);
    const struct policy_notice *first = policy_notice_at(p, 1);
    assert_int_equal(first->on, POLICY_NOTICE_FIRST);
    assert_int_equal(first->after_s, 180 * 86400);
    assert_null(policy_notice_at(p, 2));
    assert_null(policy_notice(p, "bsn"));
    assert_int_equal(policy_why_notice(p, "first").line, 30);

    const struct policy_route *webcare = policy_route(p, "webcare"), *bot = policy_route(p, "bot");
    assert_int_equal(policy_picture(p, webcare, POLICY_PICTURE_CARD), MEDIA_REDACT);
    assert_int_equal(policy_picture(p, webcare, POLICY_PICTURE_ID_DOCUMENT), MEDIA_WITHHOLD);
    assert_int_equal(policy_picture(p, webcare, POLICY_PICTURE_CLEAN), MEDIA_PASS);
    assert_int_equal(policy_picture(p, webcare, POLICY_PICTURE_IBAN), MEDIA_WITHHOLD);
    assert_int_equal(policy_picture(p, bot, POLICY_PICTURE_CLEAN), MEDIA_WITHHOLD);
    assert_int_equal(policy_picture(p, NULL, POLICY_PICTURE_CARD), MEDIA_REDACT);
    assert_int_equal(policy_picture(p, NULL, POLICY_PICTURES), MEDIA_WITHHOLD);
    unsigned both = 1u << POLICY_PICTURE_CARD | 1u << POLICY_PICTURE_CLEAN;
    assert_int_equal(policy_picture_strictest(p, webcare, both), MEDIA_REDACT);
    assert_int_equal(policy_picture_strictest(p, webcare, both | 1u << POLICY_PICTURE_ID_DOCUMENT),
                     MEDIA_WITHHOLD);
    assert_int_equal(policy_picture_strictest(p, webcare, 0), MEDIA_WITHHOLD);
    assert_int_equal(policy_picture_strictest(p, webcare, 1u << 30), MEDIA_WITHHOLD);
    assert_int_equal(policy_why_picture(p, webcare, POLICY_PICTURE_CARD).line, 26);
    assert_string_equal(policy_why_picture(p, bot, POLICY_PICTURE_CARD).rule, "routes.bot.media");
    policy_unref(p);
}

static void test_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < POLICY_RIGHTS; i++) {
        const char *word = policy_right_word((enum policy_right)(1u << i));
        assert_non_null(word);
        assert_int_equal(policy_right_of(word), 1u << i);
    }
    assert_null(policy_right_word((enum policy_right)(1u << POLICY_RIGHTS)));
    assert_null(policy_right_word(POLICY_MAY_HISTORY | POLICY_MAY_REVEAL));
    assert_int_equal(policy_right_of("all"), 0);
    for (unsigned c = 0; c < POLICY_PICTURES; c++)
        assert_int_equal(policy_picture_of(policy_picture_word((enum policy_picture)c)), c);
    assert_int_equal(policy_picture_of("photo"), POLICY_PICTURES);
    assert_null(policy_picture_word(POLICY_PICTURES));
    assert_int_equal(policy_category_of(SPAN("MARKETING")), POLICY_CATEGORY_MARKETING);
    assert_int_equal(policy_category_of(SPAN("utility")), POLICY_CATEGORY_UTILITY);
    assert_int_equal(policy_category_of(SPAN("util")), POLICY_CATEGORY_UNKNOWN);
    assert_int_equal(policy_category_of(SPAN("")), POLICY_CATEGORY_UNKNOWN);
    assert_string_equal(policy_basis_word(POLICY_BASIS_CONTRACT), "contract");
    assert_int_equal(policy_basis_of("task"), POLICY_BASIS_TASK);
    assert_int_equal(policy_basis_of("interest"), 0);
}

static void test_hours(void **state)
{
    (void)state;
    struct policy *p = load(HEAD "hours: {open: \"09:00-17:30\", days: [ma, di, wo, do, vr], "
                                 "holidays: [2026-12-25]}\n"
                                 "roles: {nacht: {may: [stats], hours: \"22:00-06:00\"}}\n");
    const struct policy_role *night = policy_role(p, "nacht");
    assert_true(policy_has_hours(p));
    assert_false(policy_open_at(p, MONDAY_8));
    assert_false(policy_open_at(p, MONDAY_8 + HOUR - 1));
    assert_true(policy_open_at(p, MONDAY_8 + HOUR));
    assert_true(policy_open_at(p, MONDAY_8 + 9 * HOUR + HOUR / 2 - 1));
    assert_false(policy_open_at(p, MONDAY_8 + 9 * HOUR + HOUR / 2));
    assert_true(policy_open_at(p, MONDAY_8 + 4 * DAY + 2 * HOUR));  /* Friday */
    assert_false(policy_open_at(p, MONDAY_8 + 5 * DAY + 2 * HOUR)); /* Saturday */
    assert_false(policy_open_at(p, MONDAY_8 - DAY + 2 * HOUR));     /* Sunday */
    assert_true(policy_open_at(p, MONDAY_8 + 31 * DAY + 2 * HOUR)); /* 24 December */
    assert_false(policy_open_at(p, MONDAY_8 + 32 * DAY + 2 * HOUR));
    assert_false(policy_open_at(p, 0));
    /* 29 March 2027: summer time since the day before; 09:00 is 07:00 UTC */
    const int64_t summer = INT64_C(1806303600000);
    assert_true(policy_open_at(p, summer));
    assert_false(policy_open_at(p, summer - 1));
    assert_false(policy_open_at(p, summer - 3 * DAY)); /* Friday, winter time: 08:00 */
    assert_true(policy_open_at(p, summer - 3 * DAY + HOUR));
    /* Monday 1 November 2027: winter time since the day before; Monday 25 October is summer */
    const int64_t autumn = INT64_C(1825056000000); /* 08:00 UTC */
    assert_true(policy_open_at(p, autumn));
    assert_false(policy_open_at(p, autumn - HOUR));
    assert_true(policy_open_at(p, autumn - 7 * DAY - HOUR));
    assert_true(policy_role_hours_open(night, MONDAY_8 - 3 * HOUR)); /* 05:00 */
    assert_false(policy_role_hours_open(night, MONDAY_8 - 2 * HOUR));
    assert_false(policy_role_hours_open(night, MONDAY_8 + 14 * HOUR - 1));
    assert_true(policy_role_hours_open(night, MONDAY_8 + 14 * HOUR));
    policy_unref(p);
    p = load(HEAD);
    assert_false(policy_has_hours(p));
    assert_true(policy_open_at(p, 0));
    policy_unref(p);
}

static void test_observe(void **state)
{
    (void)state;
    struct policy *p = load(HEAD "until: 2026-12-15\nthen: bank\n");
    const int64_t end = policy_observe_until_ms(p);
    assert_int_equal(end, INT64_C(1797375600000)); /* 2026-12-15T23:00Z */
    assert_string_equal(policy_observe_then(p), "bank");
    assert_true(policy_observe(p, end - 1));
    assert_false(policy_observe(p, end));
    assert_true(policy_observe(p, end - 30 * DAY));
    assert_false(policy_observe(p, end - 32 * DAY)); /* not checked at load: still not for ever */
    struct diag diag = {0};
    assert_int_equal(policy_observe_check(p, end - 30 * DAY, "t", &diag), 0);
    assert_int_equal(policy_observe_check(p, end + DAY, "t", &diag), 0);
    assert_int_equal(policy_observe_check(p, end - 32 * DAY, "t", &diag), SLUIS_EINVAL);
    assert_int_equal(diag.line, 3);
    assert_int_equal(diag.column, 8);
    policy_unref(p);
    p = load(HEAD);
    assert_false(policy_observe(p, end));
    assert_int_equal(policy_observe_until_ms(p), 0);
    assert_string_equal(policy_observe_then(p), "");
    assert_int_equal(policy_observe_check(p, 0, "t", &diag), 0);
    policy_unref(p);
}

static const struct retention_facts shop = {.channel = "winkel", .at_ms = MONDAY_8};

static void test_profile_rules(void **state)
{
    (void)state;
    struct policy *p = load(HEAD "profiles:\n"
                                 "  a:\n"
                                 "    default: redact\n"
                                 "    phone: keep\n"
                                 "    rules:\n"
                                 "      - {when: {hour: \"18:00-08:00\"}, default: block}\n"
                                 "      - {when: {channel: balie, consent: given}, iban: keep}\n"
                                 "      - {when: {found: bsn, not_found: pan}, phone: redact}\n");
    const struct profile *a = policy_profile(p, "a");
    struct retention_facts f = shop;
    assert_true(profile_has_conditions(a));
    assert_int_equal(profile_rule_for(a, &f, DETECT_IBAN).action, MASK_REDACT);
    assert_int_equal(profile_rule_for(a, &f, DETECT_PHONE).action, MASK_KEEP);
    f.channel = "balie";
    assert_int_equal(profile_rule_for(a, &f, DETECT_IBAN).action, MASK_REDACT);
    f.consent = true;
    assert_int_equal(profile_rule_for(a, &f, DETECT_IBAN).action, MASK_KEEP);
    assert_string_equal(policy_why_profile_for(a, &f, DETECT_IBAN).rule, "profiles.a.rules[2]");
    assert_int_equal(policy_why_profile_for(a, &f, DETECT_IBAN).line, 9);
    f.found = 1 << DETECT_BSN;
    assert_int_equal(profile_rule_for(a, &f, DETECT_PHONE).action, MASK_REDACT);
    f.found |= 1 << DETECT_PAN;
    assert_int_equal(profile_rule_for(a, &f, DETECT_PHONE).action, MASK_KEEP);
    f.at_ms -= HOUR;
    assert_int_equal(profile_rule_for(a, &f, DETECT_PHONE).action, MASK_BLOCK);
    f.at_ms = 0; /* not known: no rule with hours */
    assert_int_equal(profile_rule_for(a, &f, DETECT_PHONE).action, MASK_KEEP);
    /* nothing known: the strictest */
    assert_int_equal(profile_rule(a, DETECT_PHONE).action, MASK_BLOCK);
    assert_int_equal(profile_rule(a, DETECT_IBAN).action, MASK_BLOCK);
    policy_unref(p);
}

static void test_outbound(void **state)
{
    (void)state;
    struct policy *p = load(
        HEAD
        "roles: {agent: {may: [stats]}, bot: {}}\n"
        "outbound:\n"
        "  found: {bsn: refuse, email: pass}\n"
        "  roles: {agent: {found: {iban: pass, bsn: mask}, attachments: [document]}}\n"
        "  rules:\n"
        "    - {when: {role: agent, channel: winkel, consent: missing}, found: {iban: refuse}}\n"
        "  attachments: [image]\n"
        "  links: [a.example, \"*.a.example\"]\n");
    struct retention_facts f = shop;
    assert_int_equal(policy_outbound(p, DETECT_BSN), OUTBOUND_REFUSE);
    assert_int_equal(policy_outbound(p, DETECT_IBAN), OUTBOUND_MASK);
    assert_int_equal(policy_outbound(p, DETECT_EMAIL), OUTBOUND_PASS);
    assert_int_equal(policy_outbound(p, DETECT_TYPES_MAX), OUTBOUND_REFUSE);
    assert_int_equal(policy_outbound_role(p, "agent", DETECT_BSN), OUTBOUND_MASK);
    assert_int_equal(policy_outbound_role(p, "agent", DETECT_EMAIL), OUTBOUND_PASS);
    assert_int_equal(policy_outbound_role(p, "bot", DETECT_IBAN), OUTBOUND_MASK);
    /* facts not known: the strictest of role and rules */
    assert_int_equal(policy_outbound_role(p, "agent", DETECT_IBAN), OUTBOUND_REFUSE);
    assert_int_equal(policy_outbound_for(p, "agent", &f, DETECT_IBAN), OUTBOUND_REFUSE);
    assert_string_equal(policy_why_outbound_for(p, "agent", &f, DETECT_IBAN).rule,
                        "outbound.rules[1].iban");
    f.consent = true;
    assert_int_equal(policy_outbound_for(p, "agent", &f, DETECT_IBAN), OUTBOUND_PASS);
    assert_string_equal(policy_why_outbound_for(p, "agent", &f, DETECT_IBAN).rule,
                        "outbound.roles.agent.found.iban");
    assert_int_equal(policy_outbound_for(p, "bot", &f, DETECT_IBAN), OUTBOUND_MASK);
    assert_true(policy_attachment_allowed(p, "agent", "document"));
    assert_false(policy_attachment_allowed(p, "agent", "image"));
    assert_true(policy_attachment_allowed(p, "bot", "image"));
    assert_false(policy_attachment_allowed(p, NULL, "document"));
    assert_true(policy_link_host_allowed(p, SPAN("A.example")));
    assert_true(policy_link_host_allowed(p, SPAN("b.a.example")));
    assert_false(policy_link_host_allowed(p, SPAN("a.example.b")));
    assert_false(policy_link_host_allowed(p, SPAN("")));
    policy_unref(p);
    p = load(HEAD);
    assert_true(policy_attachment_allowed(p, NULL, "document"));
    assert_true(policy_link_host_allowed(p, SPAN("a.example")));
    policy_unref(p);
}

static void test_contact(void **state)
{
    (void)state;
    struct policy *p = load(
        HEAD "outbound:\n"
             "  purposes: [permits, crisis]\n"
             "  templates: [{name: a, category: utility, purpose: permits}, {name: b, purpose: "
             "crisis}]\n"
             "  window: false\n"
             "  consent: {marketing: required, utility: [customer, contract, consent], "
             "authentication: none}\n"
             "  pace: {messages: 5, per: 24h}\n"
             "  stop: [halt]\n");
    size_t n;
    const struct policy_template *a = policy_template(p, SPAN("a"));
    assert_non_null(a);
    assert_int_equal(a->category, POLICY_CATEGORY_UTILITY);
    assert_string_equal(a->purpose, "permits");
    assert_int_equal(policy_template_at(p, 1)->category, POLICY_CATEGORY_UNKNOWN);
    assert_null(policy_template_at(p, 2));
    assert_null(policy_template(p, SPAN("c")));
    assert_false(policy_template_allowed(p, SPAN("c")));
    assert_false(policy_window(p));
    assert_int_equal(policy_consent_needed(p, POLICY_CATEGORY_MARKETING), POLICY_BASIS_CONSENT);
    assert_int_equal(policy_consent_needed(p, POLICY_CATEGORY_UTILITY),
                     POLICY_BASIS_CONSENT | POLICY_BASIS_CUSTOMER | POLICY_BASIS_CONTRACT);
    assert_int_equal(policy_consent_needed(p, POLICY_CATEGORY_AUTHENTICATION), 0);
    assert_int_equal(policy_consent_needed(p, POLICY_CATEGORY_SERVICE), 0);
    assert_int_equal(policy_consent_needed(p, POLICY_CATEGORY_UNKNOWN), POLICY_BASIS_CONSENT);
    assert_string_equal(policy_why_consent(p, POLICY_CATEGORY_UNKNOWN).rule,
                        "outbound.consent.marketing");
    assert_int_equal(policy_pace(p).messages, 5);
    assert_int_equal(policy_pace(p).per_s, 86400);
    assert_string_equal(policy_stop_words(p, &n)[0], "halt");
    assert_int_equal(n, 1);
    policy_unref(p);
    p = load(HEAD);
    assert_true(policy_window(p));
    assert_int_equal(policy_consent_needed(p, POLICY_CATEGORY_UNKNOWN), 0);
    assert_int_equal(policy_pace(p).messages, 0);
    assert_string_equal(policy_stop_words(p, &n)[0], "stop");
    assert_int_equal(n, 6);
    policy_unref(p);
}

static const struct {
    const char *text, *want;
} refused[] = {
    {"roles: {a: {may: [histroy]}}", "3:19: expected history, reveal"},
    {"roles: {a: {may: [log, log]}}", "3:24: \"log\" stands here twice"},
    {"roles: {a: {profile: x}}", "3:22: no profile is called \"x\""},
    {"roles: {a: {may: [history]}}", "3:13: this role reads messages and has no \"profile\""},
    {"profiles: {p: {}}\nroles: {a: {profile: p, may: [reveal]}}",
     "4:25: the right to reveal needs \"reveal\""},
    {"profiles: {p: {}}\nroles: {a: {profile: p, reveal: [bsn]}}",
     "4:25: \"reveal\" without the right"},
    {"profiles: {p: {}}\nroles: {a: {profile: p, may: [reveal, policy], reveal: [bsn]}}",
     "4:25: \"policy\" or \"approve\" and \"reveal\" in one role"},
    {"profiles: {p: {}}\nroles: {a: {profile: p, may: [log, search]}}", "4:25: \"log\" beside"},
    {"roles: {a: {reason: sometimes}}", "3:21: \"reason\": expected optional or required"},
    {"roles: {a: {hours: \"9-17\"}}", "3:20: expected hours as in 09:00-17:30"},
    {"roles: {a: {hours: \"09:00-24:30\"}}", "3:20: expected hours as in 09:00-17:30"},
    {"roles: {a: {hours: \"09:00-09:00\"}}", "3:20: expected hours as in 09:00-17:30"},
    {"hours: {open: \"09:00-17:00\", days: [mo]}", "3:37: expected ma, di, wo"},
    {"hours: {open: \"09:00-17:00\", holidays: [2026-02-29]}", "3:41: expected a day as in"},
    {"hours: {open: \"09:00-17:00\", holidays: [25-12-2026]}", "3:41: expected a day as in"},
    {"until: 2026-12-01", "3:1: an observing policy needs \"then\""},
    {"then: bank", "3:1: \"then\" belongs to an observing policy"},
    {"until: tomorrow\nthen: bank", "3:8: expected a day as in 2026-12-31, found \"tomorrow\""},
    {"until: 2026-12-01\nthen: t", "4:7: \"then\": this policy itself"},
    {"history: [{found: bsn, not_found: [bsn, pan], keep: 1d}]",
     "3:24: \"found\" and \"not_found\" exclude each other"},
    {"history: [{consent: yes, keep: 1d}]", "3:21: \"consent\": expected given or missing"},
    {"history: [{hour: nacht, keep: 1d}]", "3:18: expected hours as in"},
    {"history: [{days: [], keep: 1d}]", "3:12: \"days\": expected a day or a list of days"},
    {"history: [{hour: \"09:00-17:00\", keep: 1d}, {hour: \"09:00-17:00\", found: bsn, keep: 2d}]",
     "3:44: this rule is never reached: the one on line 3"},
    {"selection: required\nhistory: [{keep: 1y}]",
     "4:11: this rule names no \"selection\", and line 3 requires it"},
    {"profiles: {p: {rules: [{default: keep}]}}", "3:24: \"when\" is missing"},
    {"profiles: {p: {rules: [{when: {}}]}}", "3:24: this rule says of no type"},
    {"profiles: {p: {rules: [{when: {hours: x}, iban: keep}]}}",
     "3:32: unknown key \"hours\"; did you mean \"hour\"?"},
    {"profiles: {p: {rules: [{when: {role: a}, iban: keep}]}}", "3:32: unknown key \"role\""},
    {"profiles:\n  p:\n    rules:\n      - {when: {kind: media}, default: keep}\n"
     "      - {when: {kind: media, channel: a}, iban: keep}",
     "7:9: this rule is never reached: the one on line 6"},
    {"outbound: {roles: {agnt: {}}}\nroles: {agent: {}}",
     "3:20: no role is called \"agnt\"; did you mean \"agent\"?"},
    {"outbound: {rules: [{when: {role: a}, found: {bsn: pass}}]}", "3:28: no role is called \"a\""},
    {"outbound: {rules: [{when: {}, found: {}}]}", "3:20: this rule says of no type"},
    {"outbound: {rules: [{when: {}, found: {default: mask}}, {when: {kind: text}, found: {bsn: "
     "refuse}}]}",
     "3:56: this rule is never reached: the one on line 3"},
    {"outbound: {templates: [a, a]}", "3:27: template \"a\" stands here twice"},
    {"outbound: {templates: [{name: a, category: service}]}", "3:44: \"category\": expected"},
    {"outbound: {purposes: [permits], templates: [a]}", "3:45: template \"a\" has no \"purpose\""},
    {"outbound: {purposes: [permits], templates: [{name: a, purpose: permit}]}",
     "3:64: \"permit\" is none of outbound.purposes; did you mean \"permits\"?"},
    {"outbound: {purposes: [permits]}", "3:12: \"purposes\" without \"templates\""},
    {"outbound: {consent: {marketing: asked}}", "3:33: \"marketing\": expected consent, customer"},
    {"outbound: {consent: {marketing: [none]}}",
     "3:34: expected consent, customer, contract or task"},
    {"outbound: {pace: {messages: 0, per: 1d}}", "3:29: \"messages\": expected a number from 1"},
    {"outbound: {pace: {messages: 1, per: 1s}}", "3:37: \"per\": expected at least 1min"},
    {"outbound: {stop: []}", "3:12: \"stop\": a contact can always opt out"},
    {"outbound: {stop: [Stop]}", "3:19: write it in lower case"},
    {"outbound: {attachments: [pdf]}", "3:26: expected image, document"},
    {"notices: {bsn: {en: x}}", "3:11: missing key \"nl\""},
    {"notices: {bns: {nl: x}}", "3:11: \"bns\" is nothing to tell customers of"},
    {"notices: {unknown: {nl: x}}", "3:11: \"unknown\" is nothing to tell customers of"},
    {"notices: {bsn: {nl: x, every: 1min}}", "3:31: \"every\": expected at least 1h"},
    {"notices: {bsn: {nl: x, after: 2d}}", "3:24: \"after\" belongs to the notice \"first\""},
    {"notices: {closed: {nl: x}}", "3:11: \"closed\" needs \"hours\""},
    {"notices: {bsn: {nl: x, safe: \"http://a.example\"}}", "3:30: \"safe\": expected an address"},
    {"outbound: {links: [a.example]}\nnotices: {bsn: {nl: x, safe: \"https://b.example\"}}",
     "4:30: the text links to b.example, which is not in outbound.links"},
};

static void test_refused(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char text[1024], got[DIAG_TEXT_MAX + 32];
        struct policy *policy;
        struct diag diag = {0};
        snprintf(text, sizeof(text), HEAD "%s\n", refused[i].text);
        if (policy_load(span_str(text), "t", &policy, &diag) != SLUIS_EINVAL) {
            wrong++, print_message("accepted: %s\n", refused[i].text);
            policy_unref(policy);
            continue;
        }
        snprintf(got, sizeof(got), "%u:%u: %s", diag.line, diag.column, diag.text);
        if (strncmp(got, refused[i].want, strlen(refused[i].want)) != 0)
            wrong++,
                print_message("%s\n  want %s\n  got  %s\n", refused[i].text, refused[i].want, got);
        assert_null(policy);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract),      cmocka_unit_test(test_words),
        cmocka_unit_test(test_hours),         cmocka_unit_test(test_observe),
        cmocka_unit_test(test_profile_rules), cmocka_unit_test(test_outbound),
        cmocka_unit_test(test_contact),       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
