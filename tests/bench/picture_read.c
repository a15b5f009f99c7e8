/*
 * Reads pictures in this process, without the sandbox: one JSON line each. For measuring and
 * tuning.
 *
 *     picture_read [-p PASSES] [-t] [-o FOLDER] [-m MODELS] FILE...
 *
 * "ms" is wall time, "cpu_ms" CPU time of the inspection alone: what can be compared on a machine
 * that does other things too. -t prints the recognised text (never on pictures of real people), -o
 * writes covered pictures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sluis/vision.h"

static int read_file(const char *path, struct buffer *out)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    char *to;
    size_t n;
    while ((to = buffer_reserve(out, 65536)) != NULL && (n = fread(to, 1, 65536, f)) > 0)
        out->n += n;
    fclose(f);
    return out->error;
}

static unsigned cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (unsigned)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static void print_json(const char *path, const struct picture_verdict *v, unsigned cpu)
{
    printf("{\"file\":\"%s\",\"verdict\":\"%s\",\"reason\":\"%s\",\"classes\":[", path,
           picture_outcome_word(v->outcome), picture_reason_word(v->reason));
    const char *comma = "";
    for (unsigned c = 0; c < PICTURE_CLASSES; c++)
        if (v->classes & 1u << c) {
            printf("%s\"%s\"", comma, picture_class_word((enum picture_class)c));
            comma = ",";
        }
    printf("],\"findings\":[");
    for (size_t i = 0; i < v->finding_count; i++) {
        const struct picture_finding *f = &v->findings[i];
        printf("%s{\"type\":\"%s\",\"class\":\"%s\",\"box\":[%d,%d,%d,%d],\"score\":%.2f}",
               i ? "," : "", picture_found_word(f->type),
               picture_class_word((enum picture_class)f->class), f->x, f->y, f->w, f->h,
               f->score / 1000.0);
    }
    printf("],\"w\":%u,\"h\":%u,\"passes\":%u,\"ms\":%u,\"cpu_ms\":%u,\"peak_kib\":%u}\n", v->width,
           v->height, v->passes, v->ms, cpu, v->peak_kib);
}

static void write_out(const char *folder, const char *path, const struct picture_verdict *v,
                      const struct buffer *picture)
{
    static const char *const ends[] = {"", "jpg", "png", "webp", "gif"};
    char name[4096];
    const char *base = strrchr(path, '/');
    snprintf(name, sizeof name, "%s/%s.%s", folder, base ? base + 1 : path, ends[v->kind]);
    FILE *f = fopen(name, "wb");
    if (!f || fwrite(picture->p, 1, picture->n, f) != picture->n)
        fprintf(stderr, "%s: cannot write\n", name);
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    const char *models = getenv("SLUIS_MODELS"), *folder = NULL;
    unsigned passes = 0;
    bool text = false;
    int option;
    while ((option = getopt(argc, argv, "p:to:m:")) != -1) {
        if (option == 'p')
            passes = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't')
            text = true;
        else if (option == 'o')
            folder = optarg;
        else if (option == 'm')
            models = optarg;
        else
            return 2;
    }
    struct detect_settings settings;
    struct vision *vision;
    struct picture_policy policy;
    char problem[160];
    detect_settings_default(&settings);
    picture_policy_default(&policy);
    policy.want_text = text;
    if (vision_new(models && *models ? models : NULL, &settings, &vision, problem) != 0)
        return 1;
    if (problem[0])
        fprintf(stderr, "%s\n", problem);
    if (passes)
        vision_set_passes(vision, passes);
    for (int i = optind; i < argc; i++) {
        struct buffer in, out;
        struct picture_verdict v;
        buffer_init(&in, PICTURE_IN_MAX);
        buffer_init(&out, PICTURE_OUT_MAX);
        if (read_file(argv[i], &in) != 0) {
            fprintf(stderr, "%s: cannot read\n", argv[i]);
            return 1;
        }
        unsigned began = cpu_ms();
        vision_inspect(vision, buffer_span(&in), &policy, &v, &out);
        print_json(argv[i], &v, cpu_ms() - began);
        if (text)
            printf("%.*s\n", (int)v.text.n, v.text.p);
        fflush(stdout);
        if (folder && v.kind)
            write_out(folder, argv[i], &v, &out);
        picture_verdict_free(&v);
        buffer_free(&in);
        buffer_free(&out);
    }
    vision_free(vision);
    return 0;
}
