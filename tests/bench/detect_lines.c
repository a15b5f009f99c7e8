/*
 * The corpus through the engine: JSON lines as `sluis scan --jsonl` reads them, findings out, those
 * in earlier messages too ("back"). For tests/corpus/evaluate.py; no masking, no policy file.
 *
 *     detect_lines [--strict] [--all] < corpus.jsonl > findings.jsonl
 *
 * --all looks for name and special too (the words below).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/arena.h"
#include "sluis/base/json.h"
#include "sluis/base/utf8.h"
#include "sluis/detect.h"

#define LINE_ARENA_MAX (64u * 1024 * 1024)

static const char *const special_words[] = {"diabetes", "depressie", "moslim", "strafblad"};

struct lines {
    struct detector *detector;
    struct detect_scratch *scratch;
    struct arena arena;
};

/* Earlier messages, oldest first in the line, newest first for the engine. */
static size_t read_context(struct lines *l, const struct json_doc *doc, uint32_t list,
                           struct detect_message *earlier)
{
    size_t n = 0, total = 0;
    for (uint32_t m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, m))
        total++;
    for (uint32_t m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, m), n++) {
        if (total - n > DETECT_WINDOW_MESSAGES)
            continue;
        struct detect_message *out = &earlier[total - 1 - n];
        if (json_string(doc, json_get(doc, m, SPAN("text")), &l->arena, &out->text) != 0)
            exit(1);
        out->from_customer = json_string_is(doc, json_get(doc, m, SPAN("from")), SPAN("customer"));
        out->at_ms = 0;
    }
    return total < DETECT_WINDOW_MESSAGES ? total : DETECT_WINDOW_MESSAGES;
}

static void print_finding(const struct lines *l, const struct finding *f, struct span text,
                          bool first)
{
    printf("%s{\"type\":\"%s\",\"start\":%zu,\"end\":%zu,\"score\":%.3f,\"evidence\":\"%s\"",
           first ? "" : ",", detector_type_word(l->detector, f->type),
           utf8_count(span_sub(text, 0, f->start)), utf8_count(span_sub(text, 0, f->end)),
           f->score / 1000.0, f->evidence);
    if (f->back)
        printf(",\"back\":%u", f->back);
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++)
        if (f->also >> type & 1)
            printf(",\"also_%s\":true", detector_type_word(l->detector, type));
    printf("}");
}

static void one_line(struct lines *l, struct span line)
{
    struct json_doc doc;
    if (json_scan(&doc, line, &l->arena, NULL) != 0)
        exit(1);
    struct detect_message earlier[DETECT_WINDOW_MESSAGES] = {0};
    struct detect_input in = {.from_customer = true, .earlier = earlier};
    if (json_string(&doc, json_get(&doc, 0, SPAN("text")), &l->arena, &in.text) != 0)
        exit(1);
    in.earlier_count = read_context(l, &doc, json_get(&doc, 0, SPAN("context")), earlier);
    static struct finding found[DETECT_FINDINGS_MAX];
    int n = detect_run(l->detector, l->scratch, &in, found, DETECT_FINDINGS_MAX);
    if (n < 0)
        exit(1);
    struct span id = json_raw(&doc, json_get(&doc, 0, SPAN("id")));
    printf("{\"id\":%.*s,\"findings\":[", (int)id.n, id.p);
    for (int k = 0; k < n; k++)
        print_finding(l, &found[k], found[k].back ? earlier[found[k].back - 1].text : in.text,
                      k == 0);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct detect_settings settings;
    detect_settings_default(&settings);
    for (int k = 1; k < argc; k++) {
        if (strcmp(argv[k], "--strict") == 0)
            settings.strict = true;
        if (strcmp(argv[k], "--all") == 0) {
            settings.from[DETECT_NAME] = settings.from[DETECT_SPECIAL] = 500;
            settings.special_words = special_words;
            settings.special_count = sizeof special_words / sizeof *special_words;
        }
    }
    struct lines l;
    arena_init(&l.arena, LINE_ARENA_MAX);
    if (detector_new(&settings, &l.detector, NULL) != 0 || detect_scratch_new(&l.scratch) != 0)
        return 1;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        one_line(&l, span_of(line, (size_t)n));
        arena_reset(&l.arena);
    }
    free(line);
    arena_free(&l.arena);
    detector_free(l.detector);
    detect_scratch_free(l.scratch);
    return 0;
}
