/* The window, near misses, own recognisers, overlaps and limits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sluis/detect.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define MINUTE (60 * 1000)

static struct detector *detector;
static struct detect_scratch *scratch;
static struct finding found[256];

static int setup(void **state)
{
    struct detect_settings settings;
    (void)state;
    detect_settings_default(&settings);
    return detector_new(&settings, &detector, NULL) || detect_scratch_new(&scratch);
}

static int teardown(void **state)
{
    (void)state;
    detector_free(detector);
    detect_scratch_free(scratch);
    return 0;
}

/* Messages oldest first, each "A ..." (agent) or "C ..." (customer), a minute apart; the last is
 * the text. */
static int talk(const char *const *messages, size_t n)
{
    struct detect_message earlier[16];
    for (size_t k = 0; k + 1 < n; k++)
        earlier[n - 2 - k] = (struct detect_message){span_str(messages[k] + 2),
                                                     messages[k][0] == 'C', (int64_t)k * MINUTE};
    struct detect_input in = {.text = span_str(messages[n - 1] + 2),
                              .from_customer = messages[n - 1][0] == 'C',
                              .at_ms = (int64_t)(n - 1) * MINUTE,
                              .earlier = earlier,
                              .earlier_count = n - 1};
    return detect_run(detector, scratch, &in, found, N(found));
}

static void finding_is(int k, enum detect_type type, unsigned back, uint32_t start, uint32_t end)
{
    assert_int_equal(found[k].type, type);
    assert_int_equal(found[k].back, back);
    assert_int_equal(found[k].start, start);
    assert_int_equal(found[k].end, end);
}

static void test_questions(void **state)
{
    (void)state;
    const char *asked[] = {"A Wat is uw BSN?", "C 123456782"};
    assert_int_equal(talk(asked, 2), 1);
    finding_is(0, DETECT_BSN, 0, 0, 9);
    const char *other[] = {"A Wat is uw ordernummer?", "C 123456782"};
    assert_int_equal(talk(other, 2), 0);
    const char *later[] = {"A Wat is uw BSN?", "C even zoeken", "A prima", "C 123456782"};
    assert_int_equal(talk(later, 4), 1);
    const char *explained[] = {"C 123456782", "C dat is mijn bsn"};
    assert_int_equal(talk(explained, 2), 1);
    finding_is(0, DETECT_BSN, 1, 0, 9);
    /* what was found in its own turn is not told again */
    const char *known[] = {"C bsn 123456782", "C dat is dus mijn bsn"};
    assert_int_equal(talk(known, 2), 0);
    const char *pin[] = {"A Wat is uw pincode?", "C 4821"};
    assert_int_equal(talk(pin, 2), 1);
    finding_is(0, DETECT_SECRET, 0, 0, 4);
}

/* The welcome of policies/municipality.yaml, and what comes then: of digits that fail the elfproef
 * and are plainly another kind's, nobody is told that they are a BSN. */
static void test_other_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        enum detect_type type;
    } after[] = {{"C mijn creditcard: 4111 1111 1111 1111", DETECT_PAN},
                 {"C 3782 822463 10005", DETECT_PAN},
                 {"C Mijn rekening is NL91 ABNA 0417 1643 00", DETECT_IBAN},
                 {"C bel mij op 06 12345678", DETECT_PHONE},
                 {"C 06 12345678", DETECT_PHONE}};
    for (size_t i = 0; i < N(after); i++) {
        const char *asked[] = {"A Stuur hier geen burgerservicenummer (BSN).", after[i].said};
        assert_int_equal(talk(asked, 2), 1);
        assert_int_equal(found[0].type, after[i].type);
        assert_int_equal(found[0].also & (uint64_t)1 << DETECT_BSN, 0);
    }
    const char *mistyped[] = {"A Stuur hier geen burgerservicenummer (BSN).", "C 123456789"};
    assert_int_equal(talk(mistyped, 2), 1);
    finding_is(0, DETECT_BSN, 0, 0, 9);
}

static void test_split(void **state)
{
    (void)state;
    const char *two[] = {"C rek NL91 ABNA", "C 0417 1643 00 ok"};
    assert_int_equal(talk(two, 2), 2);
    finding_is(0, DETECT_IBAN, 0, 0, 12);
    finding_is(1, DETECT_IBAN, 1, 4, 13);
    const char *three[] = {"C NL91ABNA", "C 0417", "C 164300"};
    assert_int_equal(talk(three, 3), 3);
    finding_is(0, DETECT_IBAN, 0, 0, 6);
    finding_is(1, DETECT_IBAN, 1, 0, 4);
    finding_is(2, DETECT_IBAN, 2, 0, 8);
    const char *remark[] = {"C NL91 ABNA 04", "A ga door", "C 17164300"};
    assert_int_equal(talk(remark, 3), 2);
    finding_is(0, DETECT_IBAN, 0, 0, 8);
    finding_is(1, DETECT_IBAN, 2, 0, 12);
    const char *card[] = {"C 4111 1111", "C 1111 1111"};
    assert_int_equal(talk(card, 2), 2);
    const char *bsn[] = {"C mijn bsn is 1234", "C 56782"};
    assert_int_equal(talk(bsn, 2), 2);
    /* two people do not type one value */
    const char *others[] = {"A NL91 ABNA", "C 0417 1643 00"};
    int n = talk(others, 2);
    for (int k = 0; k < n; k++)
        assert_int_not_equal(found[k].type, DETECT_IBAN);
    const char *bsn_of_two[] = {"C mijn bsn", "A 1234", "C 56782"};
    n = talk(bsn_of_two, 3);
    for (int k = 0; k < n; k++)
        assert_int_equal(found[k].back, 0);
}

static void test_window_bounds(void **state)
{
    (void)state;
    struct detect_message question = {SPAN("Wat is uw BSN?"), false, 0};
    struct detect_input in = {.text = SPAN("123456782"),
                              .from_customer = true,
                              .at_ms = DETECT_WINDOW_MINUTES * MINUTE,
                              .earlier = &question,
                              .earlier_count = 1};
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), 1);
    in.at_ms += 1;
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), 0);
    in.at_ms = 0;
    char *big = malloc(DETECT_WINDOW_BYTES + 1);
    assert_non_null(big);
    memset(big, ' ', DETECT_WINDOW_BYTES + 1);
    memcpy(big, "Wat is uw BSN?", 14);
    question.text = span_of(big, DETECT_WINDOW_BYTES + 1);
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), 0);
    free(big);
    const char *nine[] = {
        "A Wat is uw BSN?", "C a", "C b", "C c", "C d", "C e", "C f", "C g", "C h", "C 123456782"};
    assert_int_equal(talk(nine, 10), 0); /* the question is the ninth message back */
    assert_int_equal(talk(nine + 1, 9), 0);
}

static void one(const char *text, enum detect_type type)
{
    const char *messages[1];
    char line[512];
    line[0] = 'C';
    line[1] = ' ';
    size_t n = strlen(text);
    assert_true(n + 3 < sizeof line);
    memcpy(line + 2, text, n + 1);
    messages[0] = line;
    int count = talk(messages, 1);
    if (type == DETECT_TYPES_MAX ? count != 0 : count != 1 || found[0].type != type)
        fail_msg("%d findings, %s: %s", count, count > 0 ? detect_type_word(found[0].type) : "-",
                 text);
}

static void test_near_misses(void **state)
{
    (void)state;
    one("mijn rekeningnummer is NL91 ABNA 0417 1643 01", DETECT_IBAN);
    assert_true(found[0].score < 750);
    one("NL91 ABNA 0417 1643 01", DETECT_TYPES_MAX);
    one("rekeningnummer 91ABNA0417164300", DETECT_IBAN);
    one("NL91ABNAO417164300", DETECT_IBAN); /* the letter O */
    one("mijn bsn is 123456789", DETECT_BSN);
    assert_true(found[0].score < 600);
    one("123456789", DETECT_TYPES_MAX);
    one("ordernummer 123456789", DETECT_TYPES_MAX);
    one("mijn bsn is 12345678", DETECT_BSN);
    one("creditcardnummer 4111 1111 1111 1112", DETECT_PAN);
    one("4111 1111 1111 1112", DETECT_TYPES_MAX);
    one("burgerserivcenummer 123456782", DETECT_BSN);
}

static void test_types(void **state)
{
    (void)state;
    one("Kerkstraat 12, 1234 AB Utrecht", DETECT_ADDRESS);
    one("1234AB 12", DETECT_ADDRESS);
    one("in 1234 is er niets", DETECT_TYPES_MAX);
    one("geb. 12-03-1980", DETECT_DOB);
    one("afspraak 12-03-2024", DETECT_TYPES_MAX);
    one("kenteken 12-GBB-3", DETECT_LICENCE_PLATE);
    one("vlucht KL-12-34", DETECT_TYPES_MAX);
    one("paspoort NWB1C23D4", DETECT_ID_DOCUMENT);
    one("P<NLDDE<BRUIJN<<WILLEKE<LISELOTTE<<<<<<<<<<<", DETECT_ID_DOCUMENT);
    one("rijbewijsnummer 5123456789", DETECT_ID_DOCUMENT);
    one("mijn pincode is 4821", DETECT_SECRET);
    one("wachtwoord: Welkom01", DETECT_SECRET);
    one("wachtwoord vergeten", DETECT_TYPES_MAX);
    one("52.3702, 4.8952", DETECT_LOCATION);
    one("NL123456782B01", DETECT_BSN);
    one("btw NL812345678B01", DETECT_TYPES_MAX);
    one("Mijn naam is Jan de Vries", DETECT_TYPES_MAX); /* off */
    /* found once, found everywhere in the text */
    const char *twice[] = {
        "C bsn 123456782 .......................................................... "
        ".......................................................................... "
        ".......................................................................... "
        ".......................................................................... "
        "........ 123456782"};
    assert_int_equal(talk(twice, 1), 2);
    /* an IBAN holds what looks like a phone number: the longer wins */
    one("rekening NL16 RABO 0612 3456 79", DETECT_IBAN);
}

static int load(const struct detect_own *own, size_t n, struct detector **out, struct diag *diag)
{
    struct detect_settings settings;
    detect_settings_default(&settings);
    settings.own = own;
    settings.own_count = n;
    return detector_new(&settings, out, diag);
}

static void refused(const char *pattern, const char *why)
{
    const char *patterns[] = {pattern};
    struct detect_own own = {.name = "x", .patterns = patterns, .pattern_count = 1, .score = 800};
    struct detector *d = NULL;
    struct diag diag = {0};
    assert_int_equal(load(&own, 1, &d, &diag), SLUIS_EINVAL);
    if (!strstr(diag.text, why))
        fail_msg("%s: %s", pattern, diag.text);
}

static void test_own(void **state)
{
    (void)state;
    const char *patterns[] = {"\\b[0-9]{10}\\b"};
    const char *context[] = {"A-nummer", "administratienummer"};
    const char *counter[] = {"order"};
    const struct detect_own own[] = {
        {"a_nummer", patterns, 1, "none", context, 2, counter, 1, 500},
        {"kaart", (const char *const[]){"\\b[0-9]{8}\\b"}, 1, "luhn", NULL, 0, NULL, 0, 900},
    };
    struct detector *d, *was = detector;
    assert_int_equal(load(own, 2, &d, NULL), 0);
    assert_string_equal(detector_type_word(d, DETECT_OWN), "a_nummer");
    assert_string_equal(detector_type_word(d, DETECT_OWN + 1), "kaart");
    assert_null(detector_type_word(d, DETECT_OWN + 2));
    detector = d;
    one("anummer 1234567890", DETECT_OWN);
    one("mijn A-nummer is 1234567890", DETECT_OWN);
    one("administratienummer: 1234567890", DETECT_OWN);
    assert_int_equal(found[0].score, 800);
    one("1234567890", DETECT_TYPES_MAX);
    one("anummer order 1234567890", DETECT_TYPES_MAX);
    one("18", DETECT_TYPES_MAX);
    one("79927390", DETECT_TYPES_MAX); /* Luhn does not hold */
    one("12345674", DETECT_OWN + 1);
    detector = was;
    detector_free(d);
    refused("(a+)+b", "takes too long");
    refused("([0-9]+,?)+x", "takes too long");
    refused("(a|aa)+$", "takes too long");
    refused("([a-z])\\1", "back references");
    refused("[0-9]*", "empty text");
    refused("[0-9", "character");
    /* each quick enough, together not: a policy does not take minutes to load */
    const char *many[8];
    char wide[400] = "q0";
    while (strlen(wide) < 390)
        strcat(wide, "|q1");
    for (size_t i = 0; i < 8; i++)
        many[i] = wide;
    struct detect_own heavy = {"veel", many, 1, "none", NULL, 0, NULL, 0, 900};
    struct diag why = {.text = ""};
    assert_int_equal(load(&heavy, 1, &d, &why), 0);
    detector_free(d);
    heavy.pattern_count = 8;
    assert_int_equal(load(&heavy, 1, &d, &why), SLUIS_EINVAL);
    assert_non_null(strstr(why.text, "together"));
    struct detect_own bad = own[0];
    bad.name = "iban";
    assert_int_equal(load(&bad, 1, &d, NULL), SLUIS_EINVAL);
    bad.name = "y";
    bad.validator = "crc";
    assert_int_equal(load(&bad, 1, &d, NULL), SLUIS_EINVAL);
    const struct detect_own twins[] = {own[0], own[0]};
    assert_int_equal(load(twins, 2, &d, NULL), SLUIS_EINVAL);
}

static void test_special_and_name(void **state)
{
    (void)state;
    const char *words[] = {"diabetes", "coeli\u00e4kie"};
    struct detect_settings settings;
    struct detector *d, *was = detector;
    detect_settings_default(&settings);
    settings.from[DETECT_NAME] = settings.from[DETECT_SPECIAL] = 700;
    settings.special_words = words;
    settings.special_count = 2;
    assert_int_equal(detector_new(&settings, &d, NULL), 0);
    detector = d;
    one("ik heb Diabetes", DETECT_SPECIAL);
    one("ik heb coeliakie", DETECT_SPECIAL);
    one("mijn naam is Jan de Vries", DETECT_NAME);
    one("ik heb een vraag", DETECT_TYPES_MAX);
    detector = was;
    detector_free(d);
}

static void test_limits(void **state)
{
    (void)state;
    char *text = malloc(DETECT_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, 'a', DETECT_TEXT_MAX + 1);
    struct detect_input in = {.text = {text, DETECT_TEXT_MAX}};
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), 0);
    in.text.n++;
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), SLUIS_ELIMIT);
    for (size_t k = 0; k + 14 < DETECT_TEXT_MAX; k += 14)
        memcpy(text + k, "bsn 123456782 ", 14);
    in.text.n = 14 * 256;
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), 256);
    in.text.n = 14 * 257;
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), SLUIS_ELIMIT);
    in.text.n = DETECT_TEXT_MAX;
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), SLUIS_ELIMIT);
    in.text = SPAN_EMPTY;
    assert_int_equal(detect_run(detector, scratch, &in, found, N(found)), 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),   cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_split),       cmocka_unit_test(test_window_bounds),
        cmocka_unit_test(test_near_misses), cmocka_unit_test(test_types),
        cmocka_unit_test(test_own),         cmocka_unit_test(test_special_and_name),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
