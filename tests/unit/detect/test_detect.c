/* Detection, value by value: what is found, where, and what is left alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sluis/detect.h"

struct fixture {
    struct detector *detector;
    struct detect_scratch *scratch;
    struct finding found[64];
    int n;
};

static int setup(void **state)
{
    static struct fixture f;
    struct detect_settings settings;
    detect_settings_default(&settings);
    assert_int_equal(detector_new(&settings, &f.detector, NULL), 0);
    assert_int_equal(detect_scratch_new(&f.scratch), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    detector_free(f->detector);
    detect_scratch_free(f->scratch);
    return 0;
}

static void run(struct fixture *f, const char *text)
{
    struct detect_input in = {.text = span_str(text), .from_customer = true};
    f->n = detect_run(f->detector, f->scratch, &in, f->found, 64);
}

/* Exactly one finding: this type, this piece of the text. */
static void one(struct fixture *f, const char *text, enum detect_type type, const char *value)
{
    run(f, text);
    if (f->n != 1 || f->found[0].type != type)
        fail_msg("%d findings, first %s: %s", f->n,
                 f->n > 0 ? detect_type_word(f->found[0].type) : "-", text);
    struct span got = span_sub(span_str(text), f->found[0].start, f->found[0].end);
    if (!span_is(got, value))
        fail_msg("found '%.*s' in: %s", (int)got.n, got.p, text);
}

static void none(struct fixture *f, const char *text)
{
    run(f, text);
    if (f->n != 0)
        fail_msg("%s found in: %s", f->n > 0 ? detect_type_word(f->found[0].type) : "error", text);
}

static void test_iban(void **state)
{
    struct fixture *f = *state;
    one(f, "NL91ABNA0417164300", DETECT_IBAN, "NL91ABNA0417164300");
    one(f, "mijn rek is nl91 abna 0417 1643 00 tnv jansen", DETECT_IBAN, "nl91 abna 0417 1643 00");
    one(f, "NR:NL91ABNA0417164300tnv", DETECT_IBAN, "NL91ABNA0417164300");
    one(f, "NL91ABNA0417164300TNV JANSEN", DETECT_IBAN, "NL91ABNA0417164300");
    one(f, "NL91.ABNA.0417.1643.00", DETECT_IBAN, "NL91.ABNA.0417.1643.00");
    one(f, "NL91-ABNA-0417-1643-00", DETECT_IBAN, "NL91-ABNA-0417-1643-00");
    one(f, "NL91 ABNA\n0417 1643 00", DETECT_IBAN, "NL91 ABNA\n0417 1643 00");
    one(f, "DE89 3704 0044 0532 0130 00", DETECT_IBAN, "DE89 3704 0044 0532 0130 00");
    one(f, "GB29NWBK60161331926819", DETECT_IBAN, "GB29NWBK60161331926819");
    one(f, "FR14 2004 1010 0505 0001 3M02 606", DETECT_IBAN, "FR14 2004 1010 0505 0001 3M02 606");
    one(f, "BE68 5390 0754 7034", DETECT_IBAN, "BE68 5390 0754 7034");
    one(f, "MT84MALT011000012345MTLCAST001S", DETECT_IBAN, "MT84MALT011000012345MTLCAST001S");
    /* a wrong digit without context, a wrong length, an unknown country */
    none(f, "NL91ABNA0417164301");
    none(f, "NL91ABNA041716430");
    none(f, "QQ91ABNA0417164300");
}

static void test_normal_form(void **state)
{
    struct fixture *f = *state;
    one(f, "NL91\u00a0ABNA\u20090417\u00a01643\u00a000", DETECT_IBAN,
        "NL91\u00a0ABNA\u20090417\u00a01643\u00a000");
    one(f, "NL91\u200bABNA\u200d0417\u00ad164300", DETECT_IBAN,
        "NL91\u200bABNA\u200d0417\u00ad164300");
    /* Arabic-Indic digits, full width, Cyrillic look-alikes, keycaps */
    one(f, "é NL\u0669\u0661ABNA\u0660\u0664\u0661\u0667\u0661\u0666\u0664\u0663\u0660\u0660.",
        DETECT_IBAN,
        "NL\u0669\u0661ABNA\u0660\u0664\u0661\u0667\u0661\u0666\u0664\u0663\u0660\u0660");
    one(f, "\uff2e\uff2c\uff19\uff11ABNA0417164300", DETECT_IBAN,
        "\uff2e\uff2c\uff19\uff11ABNA0417164300");
    one(f, "NL91\u0410\u0412N\u04100417164300", DETECT_IBAN, "NL91\u0410\u0412N\u04100417164300");
    one(f, "bsn 1\ufe0f\u20e32\ufe0f\u20e33456782", DETECT_BSN,
        "1\ufe0f\u20e32\ufe0f\u20e33456782");
    one(f, "NL91\\u00a0ABNA\\u00a00417164300", DETECT_IBAN, "NL91\\u00a0ABNA\\u00a00417164300");
    one(f, "\xff\xfe NL91ABNA0417164300 \xc3", DETECT_IBAN, "NL91ABNA0417164300");
}

static void test_bsn(void **state)
{
    struct fixture *f = *state;
    one(f, "mijn bsn is 123456782", DETECT_BSN, "123456782");
    one(f, "BSN:123456782", DETECT_BSN, "123456782");
    one(f, "bsn123456782", DETECT_BSN, "123456782");
    one(f, "b.s.n. 123456782", DETECT_BSN, "123456782");
    one(f, "burger service nummer 123 456 782", DETECT_BSN, "123 456 782");
    one(f, "sofinr 123-456-782", DETECT_BSN, "123-456-782");
    one(f, "1234.56.782", DETECT_BSN, "1234.56.782");
    one(f, "123456782 is mijn bsn", DETECT_BSN, "123456782");
    none(f, "123456782");
    none(f, "ordernummer 123456782");
    none(f, "mijn bsn weet ik niet. ordernummer 123456782");
    none(f, "factuur 123456782 van gisteren");
}

static void test_pan(void **state)
{
    struct fixture *f = *state;
    one(f, "4111 1111 1111 1111", DETECT_PAN, "4111 1111 1111 1111");
    one(f, "creditcard 4111111111111111", DETECT_PAN, "4111111111111111");
    one(f, "3782-822463-10005", DETECT_PAN, "3782-822463-10005");
    one(f, "2221 0000 0000 0009", DETECT_PAN, "2221 0000 0000 0009");
    none(f, "4111 1111 1111 1112");
    none(f, "ordernummer 4111111111111111");
}

static void test_email_and_phone(void **state)
{
    struct fixture *f = *state;
    one(f, "mail naar jan.de-vries@voorbeeld.nl.", DETECT_EMAIL, "jan.de-vries@voorbeeld.nl");
    none(f, "@gemeente hallo");
    none(f, "a@b");
    one(f, "bel 06-12345678", DETECT_PHONE, "06-12345678");
    one(f, "06 12 34 56 78", DETECT_PHONE, "06 12 34 56 78");
    one(f, "+31 (0)6 12345678", DETECT_PHONE, "+31 (0)6 12345678");
    one(f, "0031612345678", DETECT_PHONE, "0031612345678");
    one(f, "020-1234567", DETECT_PHONE, "020-1234567");
    one(f, "0485 123 456", DETECT_PHONE, "0485 123 456");
    one(f, "+32 475 12 34 56", DETECT_PHONE, "+32 475 12 34 56");
    none(f, "0800-1234");
    none(f, "2024-05-17 12:30");
}

/* Another detector: the strict setting, a threshold. */
static void test_settings(void **state)
{
    struct fixture *f = *state;
    struct detector *was = f->detector;
    struct detect_settings settings;
    detect_settings_default(&settings);
    settings.strict = true;
    settings.from[DETECT_IBAN] = 1001;
    assert_int_equal(detector_new(&settings, &f->detector, NULL), 0);
    one(f, "123456782", DETECT_BSN, "123456782");
    none(f, "NL91ABNA0417164300");
    detector_free(f->detector);
    f->detector = was;
    assert_int_equal(detect_type_of(SPAN("licence_plate")), DETECT_LICENCE_PLATE);
    assert_int_equal(detect_type_of(SPAN("plate")), DETECT_TYPES_MAX);
    assert_string_equal(detect_type_word(DETECT_SPECIAL), "special");
    assert_null(detect_type_word(DETECT_OWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iban),
        cmocka_unit_test(test_normal_form),
        cmocka_unit_test(test_bsn),
        cmocka_unit_test(test_pan),
        cmocka_unit_test(test_email_and_phone),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
