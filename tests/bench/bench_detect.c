/*
 * Microseconds per message and MB/s of detect_run, window included, JSON excluded; one core.
 *
 *     bench_detect corpus.jsonl [MESSAGES] [only]
 *
 * corpus.jsonl from tests/corpus/generate.py. Prints the corpus repeated to MESSAGES (a million),
 * its messages without digits, 64 KiB of digits, and the worst texts known, each of 64 KiB and of 1
 * MiB: the time per byte of both shows that no text takes quadratic time. `only`: the corpus alone
 * (for perf stat).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/arena.h"
#include "sluis/base/json.h"
#include "sluis/detect.h"

#define MESSAGES_MAX 20000
#define CORPUS_MAX (64u * 1024 * 1024)

struct bench {
    struct detector *detector;
    struct detect_scratch *scratch;
    struct detect_input messages[MESSAGES_MAX];
    size_t count, bytes;
    struct finding found[DETECT_FINDINGS_MAX];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void load(struct bench *b, const char *file, struct arena *arena)
{
    FILE *in = fopen(file, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    if (!in) {
        perror(file);
        exit(2);
    }
    while ((n = getline(&line, &cap, in)) > 0 && b->count < MESSAGES_MAX) {
        struct json_doc doc;
        struct span copy;
        struct detect_input *m = &b->messages[b->count++];
        if (arena_try_copy(arena, span_of(line, (size_t)n), &copy) != 0 ||
            json_scan(&doc, copy, arena, NULL) != 0 ||
            json_string(&doc, json_get(&doc, 0, SPAN("text")), arena, &m->text) != 0)
            exit(2);
        b->bytes += m->text.n;
        m->from_customer = true;
        uint32_t list = json_get(&doc, 0, SPAN("context"));
        size_t total = 0;
        for (uint32_t c = json_first(&doc, list); c != JSON_NONE; c = json_next(&doc, c))
            total++;
        struct detect_message *earlier = arena_try_zero(arena, (total + 1) * sizeof *earlier);
        if (!earlier)
            exit(2);
        size_t k = total;
        for (uint32_t c = json_first(&doc, list); c != JSON_NONE; c = json_next(&doc, c)) {
            k--;
            if (json_string(&doc, json_get(&doc, c, SPAN("text")), arena, &earlier[k].text) != 0)
                exit(2);
            earlier[k].from_customer =
                json_string_is(&doc, json_get(&doc, c, SPAN("from")), SPAN("customer"));
        }
        m->earlier = earlier;
        m->earlier_count = total;
    }
    free(line);
    fclose(in);
}

static int run(struct bench *b, const struct detect_input *in)
{
    return detect_run(b->detector, b->scratch, in, b->found, DETECT_FINDINGS_MAX);
}

static void corpus(struct bench *b, size_t want, bool quiet)
{
    size_t done = 0, bytes = 0, findings = 0;
    double start = now();
    while (done < want) {
        size_t before = done;
        for (size_t k = 0; k < b->count && done < want; k++) {
            const struct span t = b->messages[k].text;
            bool digits = false;
            for (size_t c = 0; c < t.n && quiet && !digits; c++)
                digits = t.p[c] >= '0' && t.p[c] <= '9';
            if (digits)
                continue;
            int n = run(b, &b->messages[k]);
            findings += n > 0 ? (size_t)n : 0;
            bytes += t.n;
            done++;
        }
        if (done == before)
            return;
    }
    double s = now() - start;
    printf("%-34s %9zu messages  %7.3f us each  %7.1f MB/s  (%zu findings)\n",
           quiet ? "corpus, messages without digits" : "corpus", done, s * 1e6 / (double)done,
           (double)bytes / 1e6 / s, findings);
}

static void text(struct bench *b, const char *name, const char *unit, size_t size)
{
    size_t unit_n = strlen(unit);
    char *p = malloc(size);
    if (!p)
        exit(2);
    for (size_t k = 0; k < size; k++)
        p[k] = unit[k % unit_n];
    struct detect_input in = {.text = {p, size}, .from_customer = true};
    double least = 1e9;
    int n = 0;
    for (int k = 0; k < 3; k++) {
        double start = now();
        n = run(b, &in);
        double s = now() - start;
        least = s < least ? s : least;
    }
    printf("%-34s %9zu bytes     %9.3f ms  %7.2f ns/byte  (result %d)\n", name, size, least * 1e3,
           least * 1e9 / (double)size, n);
    free(p);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *unit;
    } worst[] = {
        {"digits", "1234567890"},
        {"digits and spaces", "1 "},
        {"pairs of digits", "06 12 34 "},
        {"keyword and number", "bsn 1 "},
        {"keyword and BSN", "bsn 123456782 "},
        {"card groups", "4111 "},
        {"IBAN starts", "NL91 ABNA "},
        {"near IBANs", "rek NL91 ABNA 0417 "},
        {"at signs", "a@"},
        {"passwords", "ww "},
        {"dates", "geb 1-2-80 "},
        {"postcodes", "A 1 1234 AB "},
        {"capitals and numbers", "A 1, "},
        {"machine readable", "A<<A"},
        {"plates", "12-AB-"},
        {"short words", "a "},
        {"typing errors", "burgerservicexyzer 1 "},
        {"coordinates", "52.3702 "},
        {"every keyword",
         "bsn rek pas tel geb kenteken paspoort rijbewijs pin cvc ww tan adres order 12 "},
    };
    if (argc < 2) {
        fprintf(stderr, "usage: bench_detect corpus.jsonl [MESSAGES] [only]\n");
        return 2;
    }
    struct bench *b = calloc(1, sizeof *b);
    struct arena arena;
    struct detect_settings settings;
    detect_settings_default(&settings);
    arena_init(&arena, CORPUS_MAX);
    if (!b || detector_new(&settings, &b->detector, NULL) != 0 ||
        detect_scratch_new(&b->scratch) != 0)
        return 1;
    load(b, argv[1], &arena);
    size_t want = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    corpus(b, want, false);
    if (argc <= 3) {
        corpus(b, want, true);
        for (size_t k = 0; k < sizeof worst / sizeof *worst; k++) {
            text(b, worst[k].name, worst[k].unit, 64 * 1024);
            text(b, "", worst[k].unit, 1024 * 1024);
        }
    }
    detector_free(b->detector);
    detect_scratch_free(b->scratch);
    arena_free(&arena);
    free(b);
    return 0;
}
