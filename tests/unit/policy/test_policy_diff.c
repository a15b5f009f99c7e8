/* What policy_diff says of two policies, against what the two decide. */
#include "sluis/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD "policy: 1\nname: t\n"

static struct policy *load(const char *text)
{
    struct diag diag = {0};
    struct policy *policy = NULL;
    if (policy_load(span_str(text), "t.yaml", &policy, &diag) != 0) {
        /* random rules may hide one another: not a pair to compare */
        if (!strstr(diag.text, "never reached"))
            print_message("%s\n%s\n", text, diag.text);
        assert_non_null(strstr(diag.text, "never reached"));
    }
    return policy;
}

struct seen {
    unsigned n[3];
    unsigned pairs; /* terms that were told: bit 4 * from + to, in days */
    char all[65536];
};

static void note(void *ctx, const struct policy_difference *d)
{
    static const char *const words[] = {"looser", "stricter", "other"};
    struct seen *s = ctx;
    size_t used = strlen(s->all);
    s->n[d->change]++;
    if (strncmp(d->what, "originals", 9) == 0) /* "never" or "2d, at most (line 4)" */
        s->pairs |= 1u << (4 * strtoul(d->from, NULL, 10) + strtoul(d->to, NULL, 10)) % 16;
    snprintf(s->all + used, sizeof(s->all) - used, "%s %s: %s -> %s\n", words[d->change], d->what,
             d->from, d->to);
}

/* Each pair, one way and turned round: what is looser becomes stricter. */
static const struct {
    const char *old, *next, *said;
    bool both_looser; /* turned round, it is looser too */
} cases[] = {
    {"", "", "", false},
    {"# a comment\n", "activity: t\n", "", false},
    {"detect: {iban: {from: 0.5}}\n", "detect: {iban: off}\n",
     "looser detect: iban: from 0.500 -> off\n", false},
    {"detect: {bsn: {strict: true}}\n", "", "looser detect: bsn: strict -> not strict\n", false},
    {"detect: {special: {words: [a, b]}}\n", "detect: {special: {words: [b]}}\n",
     "looser detect: special: 1 words -> no longer\n", false},
    {"recognisers: [{name: x, patterns: [x]}]\n", "",
     "looser detect: x: looked for -> not looked for\n", true},
    {"recognisers: [{name: x, patterns: [x]}]\n", "recognisers: [{name: x, patterns: [y]}]\n",
     "looser detect: x: recogniser -> recogniser changed: what it finds is not compared\n", true},
    {"profiles: {a: {}}\nroutes: {r: {profile: a}}\n",
     "profiles: {a: {phone: keep, bsn: {partial: {last: 1}}}}\nroutes: {r: {profile: a}}\n",
     "looser route r: bsn: redact -> partial (first 0, last 1)\n"
     "looser route r: phone: redact -> keep\n",
     false},
    {"profiles: {a: {iban: {partial: {last: 4}}}}\nroutes: {r: {profile: a}}\n",
     "profiles: {a: {iban: {partial: {first: 1, last: 3}}}}\nroutes: {r: {profile: a}}\n",
     "looser route r: iban: partial (first 0, last 4) -> partial (first 1, last 3)\n", true},
    /* the same by another name, in another order */
    {"profiles: {a: {default: keep, bsn: hash}}\nroutes: {r: {profile: a}}\n",
     "profiles: {c: {}, b: {bsn: hash, default: keep}}\nroutes: {r: {profile: b}}\n", "", false},
    {"profiles: {a: {contact: alias}}\nroutes: {r: {profile: a}}\n",
     "profiles: {a: {}}\nroutes: {r: {profile: a}}\n", "looser route r: contact: alias -> keep\n",
     false},
    {"profiles: {a: {}}\n", "profiles: {a: {}}\nroutes: {r: {profile: a}}\n",
     "looser route r: may not receive -> may\n", false},
    {"profiles: {a: {}}\nroutes: {r: {profile: a}}\n",
     "profiles: {a: {}}\nroutes: {r: {profile: a}}\nmedia: {audio: pass}\n",
     "looser route r: pictures: clean: withhold -> pass\nlooser route r: sound: withhold -> pass\n",
     false},
    {"outbound: {found: {default: refuse}}\n", "outbound: {found: {default: refuse, bsn: mask}}\n",
     "looser outbound: bsn: refuse -> mask\n", false},
    {"log: {keep: 2y}\n", "log: {keep: 1y}\n", "looser log: kept: a time -> shorter\n", false},
    {"outbound: {links: [a.example]}\n", "outbound: {links: [a.example, b.example]}\n",
     "looser outbound: links: b.example: refused -> allowed\n", false},
    {"outbound: {links: []}\n", "", "looser outbound: links: listed ones -> any\n", false},
    {"outbound: {templates: [a]}\n", "outbound: {}\n",
     "looser outbound: templates: listed ones -> any\n", false},
    {"", "on_revoke: hide\n", "looser on_revoke: erase -> hide\n", false},
    /* own types by name, whatever their number */
    {"recognisers: [{name: x, patterns: [x]}, {name: y, patterns: [y]}]\noriginals: [{found: y, "
     "keep: never}, {keep: 1d}]\n",
     "recognisers: [{name: y, patterns: [y]}, {name: x, patterns: [x]}]\noriginals: [{found: y, "
     "keep: never}, {keep: 1d}]\n",
     "", false},
    {"originals: [{channel: c, keep: never}, {direction: out, keep: 1d}]\n",
     "originals: [{direction: out, keep: 1d}]\n",
     "looser originals: sent text on c: never (line 3) -> 1d, at most (line 3)\n"
     "looser originals: sent media on c: never (line 3) -> 1d, at most (line 3)\n",
     false},
    /* conditions: the same decision, written otherwise */
    {"history: [{not_found: bsn, keep: 1y}, {keep: 1d}]\n",
     "history: [{found: bsn, keep: 1d}, {keep: 1y}]\n", "", false},
    {"profiles: {a: {rules: [{when: {hour: \"18:00-08:00\"}, iban: block}]}}\nroutes: {r: "
     "{profile: "
     "a}}\n",
     "profiles: {a: {}}\nroutes: {r: {profile: a}}\n",
     "looser route r: iban, in some messages: block -> redact\n", false},
    {"profiles: {a: {rules: [{when: {consent: given}, iban: keep}]}}\nroutes: {r: {profile: a}}\n",
     "profiles: {a: {rules: [{when: {consent: given, channel: b}, iban: keep}, {when: {consent: "
     "given, found: bsn}, iban: keep}, {when: {consent: given, not_found: bsn}, iban: keep}]}}\n"
     "routes: {r: {profile: a}}\n",
     "", false},
    {"profiles: {a: {rules: [{when: {found: bsn}, iban: redact}], iban: keep}}\nroutes: {r: "
     "{profile: "
     "a}}\n",
     "profiles: {a: {rules: [{when: {found: [bsn, pan]}, iban: redact}], iban: keep}}\nroutes: {r: "
     "{profile: a}}\n",
     "stricter route r: iban, in some messages: keep -> redact\n", true},
    /* roles */
    {"", "roles: {a: {may: [log]}}\n", "looser role a: is none -> is one\n", false},
    {"profiles: {p: {}}\nroles: {a: {profile: p, may: [history]}}\n",
     "profiles: {p: {}}\nroles: {a: {profile: p, may: [history, reveal], reveal: [bsn]}}\n",
     "looser role a: may reveal: no -> yes\nlooser role a: may reveal bsn: no -> yes\n", false},
    {"profiles: {p: {}}\nroles: {a: {profile: p, may: [reveal], reveal: [bsn], reference: "
     "required}}\n",
     "profiles: {p: {}}\nroles: {a: {profile: p, may: [reveal], reveal: [bsn], reason: "
     "optional}}\n",
     "looser role a: reason: required -> optional\nlooser role a: reference: required -> "
     "optional\n",
     false},
    {"roles: {a: {hours: \"09:00-17:00\"}}\n", "roles: {a: {hours: \"09:00-18:00\"}}\n",
     "looser role a: hours: hours -> other hours\n", false},
    {"roles: {a: {hours: \"09:00-17:00\"}}\n", "roles: {a: {hours: \"10:00-18:00\"}}\n",
     "looser role a: hours: hours -> other hours\n", true},
    {"roles: {a: {hours: {open: \"09:00-17:00\", holidays: [2026-12-25]}}}\n",
     "roles: {a: {hours: {open: \"09:00-17:00\"}}}\n",
     "looser role a: hours: hours -> other hours\n", false},
    {"profiles: {p: {}}\nroles: {a: {profile: p}}\n",
     "profiles: {p: {iban: keep}}\nroles: {a: {profile: p}}\n",
     "looser role a: iban: redact -> keep\n", false},
    /* pictures */
    {"profiles: {a: {}}\nroutes: {r: {profile: a}}\nmedia: {card: withhold}\n",
     "profiles: {a: {}}\nroutes: {r: {profile: a}}\nmedia: {card: redact}\n",
     "looser route r: pictures: card: withhold -> redact\n", false},
    /* outbound */
    {"roles: {a: {}}\noutbound: {roles: {a: {found: {iban: refuse}}}}\n", "roles: {a: {}}\n",
     "looser outbound by a: iban: refuse -> mask\n", false},
    {"roles: {a: {}}\noutbound: {rules: [{when: {role: a, channel: c}, found: {iban: refuse}}]}\n",
     "roles: {a: {}}\n", "looser outbound by a: iban, in some messages: refuse -> mask\n", false},
    {"outbound: {attachments: [image]}\n", "outbound: {attachments: [image, video]}\n",
     "looser outbound: attachments: video: refused -> allowed\n", false},
    {"outbound: {consent: {marketing: consent}}\n",
     "outbound: {consent: {marketing: [consent, customer]}}\n",
     "looser outbound: an unknown category needs: consent -> consent or customer\n"
     "looser outbound: marketing needs: consent -> consent or customer\n",
     false},
    {"outbound: {templates: [{name: a, category: marketing}], consent: {marketing: required}}\n",
     "outbound: {templates: [{name: a, category: utility}], consent: {marketing: required}}\n",
     "looser outbound: template a needs: consent -> nothing\n"
     "other outbound: template a: category: marketing -> utility\n",
     false},
    {"outbound: {pace: {messages: 5, per: 24h}}\n", "outbound: {pace: {messages: 6, per: 24h}}\n",
     "looser outbound: pace: 5 in 86400s -> 6 in 86400s\n", false},
    {"outbound: {pace: {messages: 5, per: 24h}}\n", "",
     "looser outbound: pace: 5 in 86400s -> no bound\n", false},
    {"", "outbound: {window: false}\n",
     "looser outbound: the 24-hour window: held to -> not held to\n", false},
    {"outbound: {stop: [stop, halt]}\n", "outbound: {stop: [stop]}\n",
     "looser outbound: stop: halt: opts out -> does not\n", false},
    /* observing */
    {"", "until: 2026-12-01\nthen: a\n",
     "looser until: masks -> observes: masks nothing but secrets\n", false},
    {"until: 2026-12-01\nthen: a\n", "until: 2026-12-02\nthen: a\n",
     "looser until: a day -> later\n", false},
    {"until: 2026-12-01\nthen: a\n", "until: 2026-12-01\nthen: b\n", "looser then: a -> b\n", true},
    {"selection: required\n", "", "looser selection: required -> not required\n", false},
    /* two types, one that a rule of the old asks for and one that a rule of the new does */
    {"outbound: {found: {default: pass}, rules: [{when: {found: bsn}, found: {iban: refuse}}]}\n",
     "outbound: {found: {default: pass}, rules: [{when: {found: phone}, found: {iban: pass}}, "
     "{when: {found: bsn}, found: {iban: refuse}}]}\n",
     "looser outbound: iban, in some messages: refuse -> pass\n", false},
    /* three types at once keep three rules away */
    {"profiles: {a: {}}\nroutes: {r: {profile: a}}\n",
     "profiles: {a: {rules: [{when: {not_found: bsn}, iban: redact}, {when: {not_found: pan}, "
     "iban: "
     "redact}, {when: {not_found: phone}, iban: redact}], iban: keep}}\nroutes: {r: {profile: "
     "a}}\n",
     "looser route r: iban, in some messages: redact -> keep\n", false},
    {"history: [{not_found: bsn, keep: never}, {not_found: pan, keep: never}, {not_found: phone, "
     "keep: never}, {keep: never}]\n",
     "history: [{not_found: bsn, keep: never}, {not_found: pan, keep: never}, {not_found: phone, "
     "keep: never}, {keep: 1d}]\n",
     "looser history: received text: never (line 3) -> 1d, at most (line 3)\n"
     "looser history: received media: never (line 3) -> 1d, at most (line 3)\n"
     "looser history: sent text: never (line 3) -> 1d, at most (line 3)\n"
     "looser history: sent media: never (line 3) -> 1d, at most (line 3)\n",
     false},
    /* what customers are told is told to the second officer word by word */
    {"notices: {bsn: {nl: geen BSN, safe: \"https://a.example\"}}\n",
     "notices: {bsn: {nl: geen BSN, safe: \"https://b.example\"}}\n",
     "looser notices: bsn: safe, told to customers: https://a.example -> https://b.example\n",
     true},
    {"notices: {bsn: {nl: a, every: 2d}}\n", "notices: {bsn: {nl: b, every: 1d}}\n",
     "looser notices: bsn: nl, told to customers: a -> b\n"
     "looser notices: bsn: every: 172800s -> 86400s\n",
     true},
    {"notices: {bsn: {nl: a, every: 1d}}\n", "notices: {bsn: {nl: a, every: 2d}}\n",
     "stricter notices: bsn: every: 86400s -> 172800s\n", true},
    {"", "notices: {bsn: {nl: a}}\n",
     "looser notices: bsn: not told -> told\n"
     "looser notices: bsn: nl, told to customers: nothing -> a\n",
     true},
    /* listed, a template needs less than one that is not known */
    {"outbound: {consent: {marketing: required, utility: none}}\n",
     "outbound: {templates: [{name: a, category: utility}], consent: {marketing: required, "
     "utility: "
     "none}}\n",
     "stricter outbound: templates: any -> listed ones\n"
     "looser outbound: template a needs: consent -> nothing\n",
     true},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        char a[1024], b[1024];
        snprintf(a, sizeof(a), HEAD "%s", cases[i].old);
        snprintf(b, sizeof(b), HEAD "%s", cases[i].next);
        struct policy *old = load(a), *next = load(b);
        struct seen seen = {0}, back = {0};
        int looser = policy_diff(old, next, note, &seen);
        if (strcmp(seen.all, cases[i].said) != 0)
            print_message("case %zu said\n%snot\n%s", i, seen.all, cases[i].said);
        assert_string_equal(seen.all, cases[i].said);
        assert_int_equal(looser, seen.n[POLICY_LOOSER]);
        int turned = policy_diff(next, old, note, &back);
        if ((turned > 0) != cases[i].both_looser)
            print_message("case %zu turned round said\n%s", i, back.all);
        assert_int_equal(turned > 0, cases[i].both_looser);
        assert_int_equal(back.n[0] + back.n[1], seen.n[0] + seen.n[1]);
        policy_unref(old);
        policy_unref(next);
    }
}

/* The same words, one stricter and one looser: minutes are not told, nor is the hour. */
static void test_same_words(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct policy *old = load(HEAD "history: [{hour: \"00:00-12:00\", keep: 100min}, {keep: "
                                   "90min}]\n");
    struct policy *next = load(HEAD "history: [{hour: \"00:00-12:00\", keep: 90min}, {keep: "
                                    "100min}]\n");
    assert_true(policy_diff(old, next, note, &seen) > 0);
    assert_true(policy_diff(next, old, note, &seen) > 0);
    policy_unref(old);
    policy_unref(next);
}

/* ---- retention, against every message there can be ---- */

static const char *const types[] = {"iban", "bsn", "pan"};
static const char *const channels[] = {"a", "b", "c"};

static void random_rules(char *text, size_t size, unsigned *seed)
{
    static const char *const keeps[] = {"never", "1d", "2d", "3d"};
    size_t used = (size_t)snprintf(text, size, HEAD "originals:\n");
    int n = 1 + rand_r(seed) % 4;
    for (int i = 0; i < n; i++) {
        int x = rand_r(seed) % 3, y = rand_r(seed) % 3, z = rand_r(seed) % 3;
        bool found = rand_r(seed) % 2;
        used += (size_t)snprintf(text + used, size - used, " - {keep: %s", keeps[rand_r(seed) % 4]);
        if (found)
            used +=
                (size_t)snprintf(text + used, size - used, ", found: [%s, %s]", types[x], types[y]);
        if (rand_r(seed) % 3 == 0)
            used += (size_t)snprintf(text + used, size - used, ", kind: %s",
                                     rand_r(seed) % 2 ? "media" : "text");
        if (rand_r(seed) % 3 == 0)
            used += (size_t)snprintf(text + used, size - used, ", direction: %s",
                                     rand_r(seed) % 2 ? "in" : "out");
        if (rand_r(seed) % 3 == 0)
            used += (size_t)snprintf(text + used, size - used, ", channel: [%s]",
                                     channels[rand_r(seed) % 2]);
        if (rand_r(seed) % 3 == 0 && !(found && x == z && y == z)) /* that no message is */
            used += (size_t)snprintf(text + used, size - used, ", not_found: %s", types[z]);
        if (rand_r(seed) % 5 == 0)
            used += (size_t)snprintf(text + used, size - used, ", consent: %s",
                                     rand_r(seed) % 2 ? "given" : "missing");
        if (rand_r(seed) % 5 == 0)
            used += (size_t)snprintf(text + used, size - used, ", hour: \"%s\"",
                                     rand_r(seed) % 2 ? "09:00-17:00" : "12:00-02:00");
        used += (size_t)snprintf(text + used, size - used, "}\n");
    }
}

/* Over all messages: bit 4 * from + to for each two terms, in days, that one message has. */
static unsigned by_hand(const struct policy *old, const struct policy *next)
{
    unsigned result = 0;
    static const int64_t times[] = {0,
                                    1795424400000,
                                    1795435200000,
                                    1795448400000,
                                    1795467600000,
                                    1795485600000}; /* 10, 13, 17, 22, 03 h */
    for (unsigned i = 0; i < 8 * 2 * 2 * 3 * 2 * 6; i++) {
        const struct retention_facts facts = {.found = i % 8, /* the first three types */
                                              .media = i / 8 % 2,
                                              .out = i / 16 % 2,
                                              .channel = channels[i / 32 % 3],
                                              .consent = i / 96 % 2,
                                              .at_ms = times[i / 192]};
        struct retention_rule a = policy_retention(old, RETENTION_ORIGINAL, &facts);
        struct retention_rule b = policy_retention(next, RETENTION_ORIGINAL, &facts);
        if (a.keep_s != b.keep_s)
            result |= 1u << (4 * (a.keep_s / 86400) + b.keep_s / 86400);
    }
    return result;
}

static void test_retention(void **state)
{
    (void)state;
    unsigned seed = 20261122, compared = 0, kinds[4] = {0};
    while (compared < 1000) {
        char a[1024], b[1024];
        random_rules(a, sizeof(a), &seed);
        random_rules(b, sizeof(b), &seed);
        struct policy *old = load(a), *next = load(b);
        if (old && next) {
            struct seen seen = {0};
            int looser = policy_diff(old, next, note, &seen);
            unsigned pairs = by_hand(old, next), up = 0x8ce; /* from a shorter to a longer term */
            unsigned truth = (pairs & up ? 1u : 0) | (pairs & ~up ? 2u : 0);
            if (pairs != seen.pairs)
                print_message("%s\n%s\n%s", a, b, seen.all);
            assert_int_equal(pairs, seen.pairs);
            assert_int_equal(truth & 1, looser > 0);
            assert_int_equal((truth & 2) / 2, seen.n[POLICY_STRICTER] > 0);
            kinds[truth]++;
            compared++;
        }
        policy_unref(old);
        policy_unref(next);
    }
    print_message("same %u, looser %u, stricter %u, both %u\n", kinds[0], kinds[1], kinds[2],
                  kinds[3]);
    for (int i = 0; i < 4; i++)
        assert_true(kinds[i] > 3); /* each outcome occurs, so that each is tested */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases),
                                       cmocka_unit_test(test_same_words),
                                       cmocka_unit_test(test_retention)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
