/*
 * Identity documents: the machine-readable zone (ICAO Doc 9303, parts 3 to 6: TD1 3 x 30, TD2 2 x
 * 36, TD3 2 x 44; check digits with weights 7, 3, 1) and documents by their words.
 */
#include "judge.h"

#include <ctype.h>

#define MRZ_CHARS_MAX 96
#define MRZ_ROWS_MAX 24
#define MRZ_SCORE_SHAPE 800  /* a row of the zone by its fillers */
#define MRZ_SCORE_DATES 900  /* the check digits of birth and expiry hold */
#define MRZ_SCORE_ALL 1000   /* those of the number too */
#define DOCUMENT_WORDS_MIN 2 /* one word alone gave 18 false alarms in 290 */

const char *const document_words[] = {"paspoort",
                                      "passport",
                                      "passeport",
                                      "reisepass",
                                      "pasaporte",
                                      "passaporto",
                                      "identiteitskaart",
                                      "identitycard",
                                      "identitykort",
                                      "personalausweis",
                                      "carted'identit",
                                      "carteidentit",
                                      "cartanationale",
                                      "nationaled'identit",
                                      "cartadiidentit",
                                      "cartad'identit",
                                      "rijbewijs",
                                      "drivinglicen",
                                      "driverlicen",
                                      "driver'slicen",
                                      "driverslicen",
                                      "permisdeconduire",
                                      "f\xc3\xbchrerschein",
                                      "verblijfstitel",
                                      "verblijfsvergunning",
                                      "residencepermit",
                                      "titredes\xc3\xa9jour",
                                      "aufenthaltstitel",
                                      "personalno",
                                      "personnummer",
                                      "dateofbirth",
                                      "geboortedatum",
                                      "datedenaissance",
                                      "geburtsdatum",
                                      "placeofbirth",
                                      "geboorteplaats",
                                      "lieudenaissance",
                                      "geburtsort",
                                      "dateofexpiry",
                                      "dateofissue",
                                      "datumafgifte",
                                      "datumvanafgifte",
                                      "dated'expiration",
                                      "datedexpiration",
                                      "nationality",
                                      "nationaliteit",
                                      "nationalit\xc3\xa9",
                                      "staatsangeh",
                                      "nationalite",
                                      "burgerservicenummer",
                                      "documentno",
                                      "documentnumber",
                                      "documentnummer",
                                      "passportno",
                                      "passnr",
                                      "koninkrijkdernederlanden",
                                      "kingdomofthenetherlands",
                                      "givennames",
                                      "givenname",
                                      "voornamen",
                                      "surname",
                                      "geslachtsnaam",
                                      "pr\xc3\xa9noms",
                                      "vornamen",
                                      "issuingauthority",
                                      "holder'ssignature",
                                      "signatureofbearer",
                                      "handtekeningvandehouder",
                                      "documentodeidentidad",
                                      "documentonacionaldeidentidad",
                                      "fechadenacimiento",
                                      "datadinascita",
                                      "sex/sexe",
                                      "geslacht/sex",
                                      "personalnumber",
                                      "idcard",
                                      NULL};

/* A value of a character under a check digit, -1 when it has none. */
static int mrz_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return c == '<' ? 0 : -1;
}

static bool mrz_check(const char *field, size_t n, char digit)
{
    static const int weight[] = {7, 3, 1};
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int v = mrz_value(field[i]);
        if (v < 0)
            return false;
        sum += v * weight[i % 3];
    }
    return digit == '<' ? sum % 10 == 0 : digit >= '0' && digit <= '9' && sum % 10 == digit - '0';
}

static char as_digit(char c)
{
    static const char from[] = "OQDUILZSGBTA", to[] = "000011256874";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : c;
}

static char as_letter(char c)
{
    static const char from[] = "01258", to[] = "OIZSB";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : c;
}

struct mrz_row {
    char text[MRZ_CHARS_MAX + 1];
    size_t n, fillers;
    size_t start, end; /* in the page */
};

/* Characters that recognisers give for the filler. */
static size_t filler(const char *s, size_t n, char *out, size_t *length)
{
    static const struct {
        const char *from;
        const char *to;
    } alike[] = {{"\xc2\xab", "<<"},    {"\xe3\x80\x8a", "<<"}, {"\xe3\x80\x88", "<"},
                 {"\xef\xbc\x9c", "<"}, {"\xe3\x81\x8f", "<"},  {"\xe2\x80\xb9", "<"},
                 {"\xe3\x82\xaf", "<"}, {"\xe2\x89\xaa", "<<"}};
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        size_t k = strlen(alike[i].from);
        if (n < k || memcmp(s, alike[i].from, k) != 0)
            continue;
        *length = strlen(alike[i].to);
        memcpy(out, alike[i].to, *length);
        return k;
    }
    return 0;
}

/* A row's characters of the zone's alphabet; false when too many are not. */
static bool mrz_row_of(const struct page *page, size_t row, struct mrz_row *out)
{
    memset(out, 0, sizeof *out);
    page_row(page, row, &out->start, &out->end);
    size_t other = 0, lower = 0;
    for (size_t i = out->start; i < out->end && out->n + 2 < MRZ_CHARS_MAX;) {
        char c = page->text[i], more[2];
        size_t length, k = filler(page->text + i, out->end - i, more, &length);
        if (k) {
            memcpy(out->text + out->n, more, length);
            out->n += length;
            out->fillers += length;
            i += k;
            continue;
        }
        c = c == '/' ? '7' : c; /* the zone has no stroke */
        if (isalnum((unsigned char)c) || c == '<') {
            lower += islower((unsigned char)c) != 0;
            out->text[out->n++] = (char)toupper((unsigned char)c);
            out->fillers += c == '<';
        } else if (c != ' ' && c != '.' && c != '-' && c != ',') {
            other++;
        }
        i++;
    }
    out->text[out->n] = 0;
    return out->n >= MRZ_LINE_MIN && other <= 3 && lower * 4 <= out->n;
}

/* yymmdd with its check digit at s[0..7), look-alikes read as digits. */
static bool mrz_date(const char *s)
{
    char d[8];
    for (size_t i = 0; i < 7; i++)
        d[i] = s[i] == '<' && i < 6 ? '0' : as_digit(s[i]);
    int month = (d[2] - '0') * 10 + d[3] - '0', day = (d[4] - '0') * 10 + d[5] - '0';
    for (size_t i = 0; i < 7; i++)
        if (!isdigit((unsigned char)d[i]))
            return false;
    return month <= 12 && day <= 31 && mrz_check(d, 6, d[6]);
}

/* Number and check digit at s[0..10), with the look-alikes either way. */
static bool mrz_number(const char *s)
{
    char d[10], all[10];
    bool check = false;
    for (size_t i = 0; i < 10; i++) {
        d[i] = s[i] == 'O' ? '0' : s[i];
        all[i] = as_digit(s[i]);
    }
    d[9] = s[9] == '<' ? '<' : as_digit(s[9]);
    all[9] = d[9];
    check = mrz_check(s, 9, d[9]) || mrz_check(d, 9, d[9]) || mrz_check(all, 9, d[9]);
    char first[10]; /* letters in front, digits behind */
    memcpy(first, all, 10);
    for (size_t i = 0; i < 2; i++) {
        first[i] = as_letter(s[i]);
        check |= mrz_check(first, 9, d[9]);
    }
    return check;
}

/* Where birth and expiry with valid check digits stand in the row, or -1. */
static int mrz_dates(const struct mrz_row *r)
{
    for (size_t i = 0; i + 15 <= r->n; i++) {
        char sex = r->text[i + 7];
        if ((sex == 'M' || sex == 'F' || sex == 'X' || sex == '<' || sex == 'H' || sex == 'N') &&
            mrz_date(r->text + i) && mrz_date(r->text + i + 8))
            return (int)i;
    }
    return -1;
}

/* The French identity card until 2021: number of twelve, given names, birth; 36 characters. */
static bool mrz_french(const struct mrz_row *first, const struct mrz_row *r)
{
    char d[13];
    if (r->n != 36 || strncmp(first->text, "IDFRA", 5) != 0)
        return false;
    for (size_t i = 0; i < 13; i++)
        d[i] = as_digit(r->text[i]);
    return mrz_check(d, 12, d[12]) && mrz_date(r->text + 27);
}

/* A number in the optional data that the eleven-test takes for a BSN (Dutch documents). */
static void mrz_bsn(const struct page *page, const struct mrz_row *r, struct judgement *j)
{
    for (size_t i = 0; i + 9 <= r->n; i++) {
        size_t digits = 0;
        while (digits < 9 && isdigit((unsigned char)r->text[i + digits]))
            digits++;
        if (digits == 9 && eleven_holds(r->text + i)) {
            judge_add(j, page, r->start, r->end, DETECT_BSN, 700, PICTURE_CLASS_BSN);
            return;
        }
        i += digits;
    }
}

void judge_mrz(const struct page *page, struct judgement *j)
{
    struct mrz_row row, first = {.n = 0};
    bool any = false, valid = false;
    for (size_t i = 0; i < page->rows; i++) {
        if (!mrz_row_of(page, i, &row))
            continue;
        int dates = mrz_dates(&row);
        bool shaped =
            row.fillers >= 4 || (row.fillers >= 2 && strstr(row.text, "<<")) || dates >= 0;
        if (!shaped)
            continue;
        any = true;
        bool number = dates >= 13 && mrz_number(row.text + dates - 13);
        if (dates >= 0 && dates < 3 && first.n >= 15) /* TD1: the number stands in the row before */
            for (size_t k = 4; k <= 6 && k + 10 <= first.n; k++)
                number |= mrz_number(first.text + k);
        number |= mrz_french(&first, &row);
        valid |= number;
        judge_add(j, page, row.start, row.end, PICTURE_FOUND_MRZ,
                  number       ? MRZ_SCORE_ALL
                  : dates >= 0 ? MRZ_SCORE_DATES
                               : MRZ_SCORE_SHAPE,
                  PICTURE_CLASS_MRZ);
        judge_secret(j, page->digits + row.start, row.end - row.start);
        if (strstr(row.text, "NLD"))
            mrz_bsn(page, &row, j);
        first = row;
    }
    j->mrz_valid |= valid;
    j->document |= any;
    if (any)
        j->classes |= 1u << PICTURE_CLASS_ID_DOCUMENT;
    else
        for (size_t i = 0; i < page->n; i++)
            j->hint |= page->text[i] == '<';
}

/* On a document every line goes but those that are printed labels. */
static void cover_document(const struct page *page, struct judgement *j)
{
    for (size_t i = 0; i < page->parts; i++) {
        char word[LINE_TEXT_MAX + 1];
        size_t n = 0;
        bool digit = false;
        for (size_t k = 0; k < page->part[i].n && n < LINE_TEXT_MAX; k++) {
            char c = page->text[page->part[i].at + k];
            digit |= isdigit((unsigned char)c) != 0;
            if (!isspace((unsigned char)c))
                word[n++] = (char)tolower((unsigned char)c);
        }
        word[n] = 0;
        if (n < 2 || (!digit && words_in(word, document_words)))
            continue;
        judge_add_part(j, page, i, digit ? DETECT_ID_DOCUMENT : PICTURE_FOUND_NAME, 700,
                       PICTURE_CLASS_ID_DOCUMENT);
        if (digit)
            judge_secret(j, page->digits + page->part[i].at, page->part[i].n);
    }
}

/* The BSN of a Dutch document is printed without the word. */
static void bare_bsn(const struct page *page, struct judgement *j)
{
    for (size_t i = 0; i < page->n;) {
        size_t end = i;
        while (end < page->n && isdigit((unsigned char)page->digits[end]))
            end++;
        if (end - i == 9 && eleven_holds(page->digits + i)) {
            judge_add(j, page, i, end, DETECT_BSN, 700, PICTURE_CLASS_BSN);
            judge_secret(j, page->digits + i, 9);
        }
        i = end + 1;
    }
}

void judge_document(const struct page *page, struct judgement *j)
{
    unsigned words = words_in(page->lower, document_words);
    bool zone = j->classes & 1u << PICTURE_CLASS_MRZ;
    if (words < DOCUMENT_WORDS_MIN && !zone) {
        j->hint |= words > 0;
        return;
    }
    j->document = true;
    j->classes |= 1u << PICTURE_CLASS_ID_DOCUMENT;
    bare_bsn(page, j);
    cover_document(page, j);
}
