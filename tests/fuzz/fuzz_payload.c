/* Payload: split, judge, render. Never crashes; every unit scans; what is rendered is ASCII JSON
 * that scans; no found value is in it; the unjudged form holds nothing of what a content string
 * said. */
#include <stdint.h>
#include <stdlib.h>

#include "sluis/mask.h"

#define MEMORY (64 * 1024 * 1024)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static const char policy_text[] = "policy: 1\n"
                                  "name: fuzz\n"
                                  "activity: fuzz\n"
                                  "controller: {name: Fuzz, dpo: fg@fuzz.example}\n"
                                  "profiles:\n"
                                  "  strict: {default: redact}\n"
                                  "  mixed: {default: redact, iban: {partial: {last: 4}}, email: "
                                  "hash, phone: keep, contact: alias}\n"
                                  "originals: [{keep: 24h, ground: fuzz}]\n"
                                  "history: [{keep: 1y, ground: fuzz}]\n";

static struct policy *policy;
static struct detect_scratch *scratch;

struct fuzz {
    struct arena *arena;
    unsigned units;
};

static struct mask_reader reader_of(const char *profile)
{
    return (struct mask_reader){.profile = policy_profile(policy, profile),
                                .policy = policy,
                                .media_base = "https://sluis.example/m",
                                .hash_key = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                .alias_key = (const uint8_t *)"0123456789abcdef0123456789abcdef"};
}

static void render(const struct json_doc *doc, enum mask_table table, const struct judged *judged,
                   const struct mask_reader *reader, struct arena *arena, struct buffer *out)
{
    struct json_doc again;
    buffer_clear(out);
    if (mask_render(doc, 0, table, judged, reader, arena, out) != 0) {
        buffer_clear(out); /* memory, or an identifier too long for an alias */
        return;
    }
    for (size_t i = 0; i < out->n; i++)
        CHECK((unsigned char)out->p[i] < 0x7f);
    int error = json_scan(&again, buffer_span(out), arena, NULL);
    CHECK(error == 0 || error == SLUIS_ENOMEM || error == SLUIS_ELIMIT);
}

/* A found value is gone from the places where it was found; where it stands in a structure or an
 * identifier as well it stays, so occurrences are counted. */
static void check_gone(const struct json_doc *doc, const struct judged *judged, struct span out)
{
    for (size_t i = 0; i < judged->count; i++) {
        const struct mask_finding *f = &judged->findings[i];
        struct span value = span_sub(doc->text, f->start, f->end);
        bool ascii = value.n >= 12; /* shorter values stand elsewhere by chance */
        for (size_t k = 0; k < value.n; k++)
            ascii = ascii && value.p[k] >= '0' && value.p[k] <= 'z' && value.p[k] != '\\';
        size_t before = 0, after = 0, found = 0;
        if (!ascii)
            continue;
        for (size_t k = 0; k + value.n <= doc->text.n; k++)
            before += memcmp(doc->text.p + k, value.p, value.n) == 0;
        for (size_t k = 0; k + value.n <= out.n; k++)
            after += memcmp(out.p + k, value.p, value.n) == 0;
        for (size_t k = 0; k < judged->count; k++)
            found += span_eq(
                value, span_sub(doc->text, judged->findings[k].start, judged->findings[k].end));
        CHECK(after + found <= before);
    }
}

static void judge_and_render(const struct json_doc *doc, enum mask_table table, struct arena *arena)
{
    const struct judge_input input = {
        .doc = doc, .table = table, .policy = policy, .scratch = scratch, .from_customer = true};
    struct judged judged, back;
    struct span json;
    struct buffer out;
    buffer_init(&out, MEMORY);
    struct mask_reader reader = reader_of("strict");
    int error = mask_judge(&input, arena, &judged);
    if (error == 0) {
        uint32_t at = 0;
        for (size_t i = 0; i < judged.count; i++) {
            CHECK(judged.findings[i].start >= at && judged.findings[i].end <= doc->text.n);
            CHECK(judged.findings[i].end >= judged.findings[i].start);
            at = judged.findings[i].end;
        }
        mask_pack(&judged, doc->text, &out);
        if (out.error == 0 && mask_unpack(buffer_span(&out), arena, &back, &json) == 0)
            CHECK(span_eq(json, doc->text) && back.count == judged.count);
        reader.media_base = NULL; /* an address of ours repeats the id */
        render(doc, table, &judged, &reader, arena, &out);
        check_gone(doc, &judged, buffer_span(&out));
        reader.media_base = "https://sluis.example/m";
        reader.media = MEDIA_PASS;
        reader.expired = reader.after_gap = true;
        render(doc, table, &judged, &reader, arena, &out);
        reader = reader_of("mixed");
        render(doc, table, &judged, &reader, arena, &out);
    }
    reader.unjudged = true;
    render(doc, table, NULL, &reader, arena, &out);
    buffer_free(&out);
}

static int each(void *ctx, const struct mask_unit *unit)
{
    struct fuzz *fuzz = ctx;
    struct json_doc doc;
    struct span text;
    if (fuzz->units++ >= 8)
        return 1; /* enough of this input */
    int error = json_scan(&doc, unit->json, fuzz->arena, NULL);
    CHECK(error == 0 || error == SLUIS_ENOMEM);
    CHECK(unit->kind >= 1 && unit->kind <= 4 && unit->at_ms >= 0);
    if (error)
        return 1;
    judge_and_render(&doc, MASK_TABLE_WEBHOOK, fuzz->arena);
    if (mask_window_text(&doc, 0, fuzz->arena, &text) != 0)
        return 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc doc;
    struct arena arena;
    struct diag diag = {0};
    if (!policy && policy_load(span_str(policy_text), "fuzz", &policy, &diag) != 0)
        abort();
    if (!scratch && detect_scratch_new(&scratch) != 0)
        abort();
    arena_init(&arena, MEMORY);
    struct fuzz fuzz = {&arena, 0};
    if (json_scan(&doc, span_of(data, size), &arena, NULL) == 0) {
        int error = mask_split_webhook(&doc, &arena, each, &fuzz);
        if (error == SLUIS_EINVAL) {
            judge_and_render(&doc, MASK_TABLE_SEND, &arena);
            judge_and_render(&doc, MASK_TABLE_REPLY, &arena);
        }
    }
    arena_free(&arena);
    return 0;
}
