/*
 * Is the value on this line one? For tests/corpus/agree.py. Lines "iban X", "bsn X", "luhn X";
 * answers 1 or 0. iban goes through the whole engine (found, and found whole); bsn through the
 * engine with a keyword before it, counted when the elfproef was the evidence; luhn is the check
 * alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../proxy/detect/room.h"

static bool found_whole(const struct detector *d, struct detect_scratch *s, struct span text,
                        size_t from, enum detect_type type, const char *evidence)
{
    struct finding f[64];
    struct detect_input in = {.text = text, .from_customer = true};
    int n = detect_run(d, s, &in, f, 64);
    for (int k = 0; k < n; k++)
        if (f[k].type == type && f[k].start == from && f[k].end == text.n &&
            strstr(f[k].evidence, evidence) != NULL)
            return true;
    return false;
}

int main(void)
{
    struct detect_settings settings;
    struct detector *d;
    struct detect_scratch *s;
    detect_settings_default(&settings);
    /* letters read as digits are no agreement on what is valid */
    for (unsigned t = 0; t < DETECT_OWN; t++)
        if (t != DETECT_IBAN && t != DETECT_BSN)
            settings.from[t] = 1001;
    if (detector_new(&settings, &d, NULL) != 0 || detect_scratch_new(&s) != 0)
        return 1;
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        struct span text = span_of(line, strcspn(line, "\n"));
        bool yes = false;
        if (span_starts(text, SPAN("iban ")))
            yes = found_whole(d, s, span_from(text, 5), 0, DETECT_IBAN, "mod97") &&
                  !found_whole(d, s, span_from(text, 5), 0, DETECT_IBAN, "mended");
        else if (span_starts(text, SPAN("bsn ")))
            yes = found_whole(d, s, text, 4, DETECT_BSN, "elfproef");
        else if (span_starts(text, SPAN("luhn ")))
            yes = check_luhn((const uint8_t *)text.p + 5, text.n - 5);
        puts(yes ? "1" : "0");
    }
    detector_free(d);
    detect_scratch_free(s);
    return 0;
}
