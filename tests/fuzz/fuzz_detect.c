/*
 * Any text, any window. Findings lie inside their message, sorted, never overlapping, at borders of
 * characters; the same scratch and a fresh one give the same; a masked text no longer holds a value
 * that was found; an IBAN cut in two messages is still found, both halves.
 *
 * Input: a byte of flags, two bytes of place to cut, then messages separated by 0x1e, oldest first;
 * the last is the text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "sluis/base/utf8.h"
#include "sluis/detect.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MESSAGES_MAX (DETECT_WINDOW_MESSAGES + 2)

static struct detector *detectors[2];
static struct detect_scratch *scratch;
static struct finding found[DETECT_FINDINGS_MAX], again[DETECT_FINDINGS_MAX];

static void setup(void)
{
    static const char *const patterns[] = {"\\bP[0-9]{6}\\b", "\\bpolis ?[0-9]{4,9}\\b"};
    static const char *const words[] = {"polis"};
    static const char *const special[] = {"diabetes", "moslim"};
    static const struct detect_own own = {.name = "polisnummer",
                                          .patterns = patterns,
                                          .pattern_count = 2,
                                          .validator = "none",
                                          .context = words,
                                          .context_count = 1,
                                          .score = 700};
    struct detect_settings settings;
    detect_settings_default(&settings);
    CHECK(detector_new(&settings, &detectors[0], NULL) == 0);
    settings.strict = true;
    settings.from[DETECT_NAME] = settings.from[DETECT_SPECIAL] = 500;
    settings.own = &own;
    settings.own_count = 1;
    settings.special_words = special;
    settings.special_count = 2;
    CHECK(detector_new(&settings, &detectors[1], NULL) == 0);
    CHECK(detect_scratch_new(&scratch) == 0);
}

static struct span text_of(const struct detect_input *in, unsigned back)
{
    return back ? in->earlier[back - 1].text : in->text;
}

static bool is_continuation(struct span text, size_t at)
{
    return at < text.n && ((uint8_t)text.p[at] & 0xc0) == 0x80;
}

static void check_places(const struct detect_input *in, int n)
{
    for (int k = 0; k < n; k++) {
        const struct finding *f = &found[k];
        CHECK(f->back <= in->earlier_count && f->score <= 1000 && f->evidence);
        struct span text = text_of(in, f->back);
        CHECK(f->start < f->end && f->end <= text.n);
        if (utf8_valid(text))
            CHECK(!is_continuation(text, f->start) && !is_continuation(text, f->end));
        if (k > 0 && found[k - 1].back == f->back)
            CHECK(found[k - 1].end <= f->start);
        if (k > 0)
            CHECK(found[k - 1].back <= f->back);
    }
}

static bool is_solid(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0x80 ||
           c == '\\';
}

/* No IBAN, BSN or PAN of the findings stands free in what is left of the text. The mark of another
 * finding counts as a neighbour: what was glued to it did not stand free. */
static void check_masked(const struct detect_input *in, int n)
{
    size_t most = in->text.n + (size_t)n * 3 + 1, m = 0, at = 0;
    char *masked = malloc(most);
    CHECK(masked);
    for (int k = 0; k < n && !found[k].back; k++) {
        memcpy(masked + m, in->text.p + at, found[k].start - at);
        m += found[k].start - at;
        memcpy(masked + m, "[.]", 3);
        m += 3;
        at = found[k].end;
    }
    if (in->text.n > at)
        memcpy(masked + m, in->text.p + at, in->text.n - at);
    m += in->text.n - at;
    for (int k = 0; k < n && k < 32 && !found[k].back; k++) {
        if (found[k].type > DETECT_PAN)
            continue;
        struct span value = span_sub(in->text, found[k].start, found[k].end);
        const char *p = masked;
        while (value.n >= 8 && (p = memmem(p, m - (size_t)(p - masked), value.p, value.n))) {
            size_t start = (size_t)(p - masked), end = start + value.n;
            CHECK((start > 0 && is_solid((uint8_t)masked[start - 1])) ||
                  (end < m && is_solid((uint8_t)masked[end])));
            p++;
        }
    }
    free(masked);
}

/* The first IBAN that check digits prove, cut at a place inside it. */
static void check_split(const struct detector *d, const struct detect_input *in, int n,
                        unsigned cut)
{
    for (int k = 0; k < n && !found[k].back; k++) {
        struct finding f = found[k];
        if (f.type != DETECT_IBAN || f.score != 990 || in->text.n > DETECT_WINDOW_BYTES)
            continue;
        size_t place = f.start + 4 + cut % (f.end - f.start - 4);
        for (size_t c = f.start; c < f.end; c++)
            if ((uint8_t)in->text.p[c] >= 0x80 || in->text.p[c] == '\\' ||
                !is_solid((uint8_t)in->text.p[c]))
                return; /* compact ones only: a cut among separators may exceed their limit */
        struct detect_message first = {span_sub(in->text, 0, place), true, 0};
        struct detect_input second = {.text = span_from(in->text, place),
                                      .from_customer = true,
                                      .earlier = &first,
                                      .earlier_count = 1};
        int m = detect_run(d, scratch, &second, again, DETECT_FINDINGS_MAX);
        if (m == SLUIS_ELIMIT)
            return;
        bool tail = false, head = false;
        for (int j = 0; j < m; j++) {
            tail |= !again[j].back && again[j].start == 0 && again[j].end >= f.end - place;
            head |= again[j].back == 1 && again[j].start <= f.start && again[j].end == place;
        }
        CHECK(tail && head);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!scratch)
        setup();
    if (size < 4 || size > 20000)
        return 0;
    const struct detector *d = detectors[data[0] & 1];
    unsigned cut = (unsigned)(data[1] | data[2] << 8);
    struct span messages[MESSAGES_MAX];
    size_t count = 0;
    struct span rest = span_of(data + 3, size - 3);
    for (;;) {
        size_t end = span_find(rest, 0x1e);
        if (count == MESSAGES_MAX)
            memmove(messages, messages + 1, --count * sizeof *messages);
        messages[count++] = span_sub(rest, 0, end);
        if (end >= rest.n)
            break;
        rest = span_from(rest, end + 1);
    }
    struct detect_message earlier[MESSAGES_MAX];
    for (size_t k = 0; k + 1 < count; k++)
        earlier[count - 2 - k] =
            (struct detect_message){messages[k], (data[0] >> (k % 6 + 1)) & 1, 0};
    struct detect_input in = {.text = messages[count - 1],
                              .from_customer = true,
                              .earlier = earlier,
                              .earlier_count = count - 1};
    int n = detect_run(d, scratch, &in, found, DETECT_FINDINGS_MAX);
    CHECK(n >= 0 || n == SLUIS_ELIMIT || n == SLUIS_EJUDGE);
    if (n < 0)
        return 0;
    check_places(&in, n);
    struct detect_scratch *fresh;
    CHECK(detect_scratch_new(&fresh) == 0);
    CHECK(detect_run(d, fresh, &in, again, DETECT_FINDINGS_MAX) == n);
    detect_scratch_free(fresh);
    CHECK(n == 0 || memcmp(found, again, (size_t)n * sizeof *found) == 0);
    check_masked(&in, n);
    if (in.earlier_count == 0)
        check_split(d, &in, n, cut);
    return 0;
}
