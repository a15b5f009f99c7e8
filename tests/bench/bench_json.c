/* CPU of the JSON part of the intake, per 700-byte webhook: scan, split, judge; and of a rendering.
 * Usage: bench_json [rounds]. Run a release build on an idle core. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/mask.h"

static const char webhook[] =
    "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\",\"changes\":["
    "{"
    "\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":"
    "\"15550783881\",\"phone_number_id\":\"106540352242922\"},\"contacts\":[{\"profile\":{\"name\":"
    "\"Sanne de Vries\"},\"wa_id\":\"16505551234\",\"user_id\":\"US.13491208655302741918\"}],"
    "\"messages\":[{\"from\":\"16505551234\",\"from_user_id\":\"US.13491208655302741918\",\"id\":"
    "\"wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=\",\"timestamp\":"
    "\"1749416383\",\"type\":\"text\",\"text\":{\"body\":\"Goedemiddag, ik heb twee weken geleden "
    "een paspoort aangevraagd en nog niets gehoord. Kunt u nagaan wanneer ik het kan ophalen? "
    "Alvast bedankt, Sanne\"}}]},\"field\":\"messages\"}]}]}";

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const char policy_text[] = "policy: 1\nname: bench\nactivity: bench\n"
                                  "controller: {name: Bench, dpo: fg@bench.example}\n"
                                  "profiles: {webcare: {default: redact}}\n"
                                  "originals: [{keep: 24h, ground: bench}]\n"
                                  "history: [{keep: 1y, ground: bench}]\n";

struct bench {
    struct policy *policy;
    struct detect_scratch *scratch;
    struct arena arena;
    struct buffer out;
    struct json_doc doc;
    struct judged judged;
    struct mask_unit unit;
    struct span text;
};

static int keep_unit(void *ctx, const struct mask_unit *unit)
{
    ((struct bench *)ctx)->unit = *unit;
    return 0;
}

static int do_scan(struct bench *b)
{
    return json_scan(&b->doc, b->text, &b->arena, NULL);
}

static int do_emit(struct bench *b)
{
    return json_emit(&b->out, b->text, 0, (uint32_t)b->text.n, NULL, 0);
}

static int do_split(struct bench *b)
{
    int error = do_scan(b);
    return error ? error : mask_split_webhook(&b->doc, &b->arena, keep_unit, b);
}

/* What the intake does of a webhook, detection included; the second scan only when the unit was
 * rebuilt. */
static int do_judge(struct bench *b)
{
    int error = do_split(b);
    if (!error && !b->unit.doc)
        error = json_scan(&b->doc, b->unit.json, &b->arena, NULL);
    const struct judge_input input = {
        .doc = &b->doc, .policy = b->policy, .scratch = b->scratch, .from_customer = true};
    return error ? error : mask_judge(&input, &b->arena, &b->judged);
}

/* What each route costs here: a scan of the unit and one rendering. */
static int do_render(struct bench *b)
{
    const struct mask_reader reader = {.profile = policy_profile(b->policy, "webcare"),
                                       .policy = b->policy};
    int error = do_scan(b);
    return error ? error
                 : mask_render(&b->doc, 0, MASK_TABLE_WEBHOOK, &b->judged, &reader, &b->arena,
                               &b->out);
}

/* The same detect calls that judging this webhook makes: its name and its text. */
static int do_detect(struct bench *b)
{
    static const struct span texts[] = {
        {"Sanne de Vries", 14},
        {"Goedemiddag, ik heb twee weken geleden een paspoort aangevraagd en nog niets gehoord. "
         "Kunt "
         "u nagaan wanneer ik het kan ophalen? Alvast bedankt, Sanne",
         147},
    };
    struct finding found[64];
    for (size_t i = 0; i < 2; i++) {
        const struct detect_input input = {.text = texts[i], .from_customer = true};
        if (detect_run(policy_detector(b->policy), b->scratch, &input, found, 64) != 0)
            return 1;
    }
    return 0;
}

static double run(struct bench *b, int (*step)(struct bench *), long rounds)
{
    double best = 1e9;
    for (int turn = 0; turn < 5; turn++) { /* the best of five: other programs use the machine */
        double start = now_us();
        for (long i = 0; i < rounds; i++) {
            if (step(b) != 0)
                exit(1);
            b->out.n = 0;
            arena_reset(&b->arena);
        }
        double us = (now_us() - start) / (double)rounds;
        best = us < best ? us : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    struct bench b = {.text = {webhook, sizeof webhook - 1}};
    struct diag diag = {0};
    if (policy_load(span_str(policy_text), "bench", &b.policy, &diag) != 0 ||
        detect_scratch_new(&b.scratch) != 0) {
        fprintf(stderr, "%s\n", diag.text);
        return 1;
    }
    arena_init(&b.arena, 1024 * 1024);
    buffer_init(&b.out, 1024 * 1024);
    double scan = run(&b, do_scan, rounds), split = run(&b, do_split, rounds);
    double judge = run(&b, do_judge, rounds), detect = run(&b, do_detect, rounds);
    double emit = run(&b, do_emit, rounds);
    arena_reset(&b.arena);
    b.judged = (struct judged){0};
    double render = run(&b, do_render, rounds);
    printf("webhook of %zu bytes, us of CPU\n", b.text.n);
    printf("scan                          %6.2f\n", scan);
    printf("scan + split                  %6.2f\n", split);
    printf("scan + split + judge          %6.2f (%.2f without detect)\n", judge, judge - detect);
    printf("detect, two texts             %6.2f\n", detect);
    printf("emit                          %6.2f\n", emit);
    printf("a route: scan + render        %6.2f\n", render);
    arena_free(&b.arena);
    buffer_free(&b.out);
    detect_scratch_free(b.scratch);
    policy_unref(b.policy);
    return 0;
}
