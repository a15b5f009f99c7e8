/* sluis image: pictures through the sandboxed worker. This process never decodes one. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/picture.h"
#include "sluis/policy.h"

#define PATH_BYTES 4096
#define SHEET_BYTES_MAX (PICTURE_IN_MAX - 4096) /* of all pictures on a sheet: one job's input */

struct image {
    const struct cli_call *call;
    struct picture_pool *pool;
    struct policy *policy; /* NULL: everything that is found is covered */
    struct picture_policy actions;
    const char *out;
    bool out_is_folder;
    struct buffer before[PICTURE_SHEET_MAX], after[PICTURE_SHEET_MAX];
    size_t pairs, sheet_bytes;
    bool failed;
};

/* For people; the word itself stands in --json. */
static const char *reason_text(enum picture_reason reason)
{
    static const char *const texts[PICTURE_REASONS] = {
        [PICTURE_BY_POLICY] = "policy says so of what is in it",
        [PICTURE_NO_WORKER] = "sluis-media cannot be started",
        [PICTURE_NO_ENGINE] = "no models and no tesseract, or a checksum does not hold",
        [PICTURE_NOT_PICTURE] = "not JPEG, PNG, WebP or GIF by its content",
        [PICTURE_TOO_LARGE] = "too large: over 25 megapixels, 20,000 pixels a side or 500 scans, "
                              "or more memory than a picture may take",
        [PICTURE_BROKEN] = "damaged or cut off",
        [PICTURE_LATE] = "more time than a picture may take",
        [PICTURE_DIED] = "the worker was killed",
        [PICTURE_READABLE] = "digits could still be read after covering",
    };
    return (unsigned)reason < PICTURE_REASONS && texts[reason] ? texts[reason]
                                                               : picture_reason_word(reason);
}

/* NULL, or why the file could not be read. */
static const char *read_all(const char *path, struct buffer *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    const char *problem = fstat(fd, &st) != 0   ? strerror(errno)
                          : S_ISDIR(st.st_mode) ? "is a folder: name the files in it"
                          : S_ISREG(st.st_mode) && st.st_size > PICTURE_IN_MAX
                              ? "larger than 32 MiB"
                              : NULL;
    while (!problem) {
        char *to = buffer_reserve(out, 65536);
        ssize_t n = to ? read(fd, to, 65536) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            problem = strerror(errno);
        if (n <= 0)
            break;
        out->n += (size_t)n;
    }
    close(fd);
    if (!problem && (out->error || out->n > PICTURE_IN_MAX))
        problem = out->error == SLUIS_ENOMEM ? "no memory" : "larger than 32 MiB";
    return problem;
}

/* NULL, or why it could not be written; then nothing is left of it. */
static const char *write_file(const char *path, struct span bytes)
{
    FILE *f = fopen(path, "wbe");
    if (!f)
        return strerror(errno);
    bool good = fwrite(bytes.p, 1, bytes.n, f) == bytes.n;
    const char *problem = good ? NULL : strerror(errno);
    if (fclose(f) != 0 && !problem)
        problem = strerror(errno);
    if (problem)
        unlink(path);
    return problem;
}

/* The result of the worker, sealed: mapped for reading. Unmapped by the caller. */
static struct span map_result(const struct picture_verdict *v)
{
    void *p = v->fd >= 0 && v->n ? mmap(NULL, v->n, PROT_READ, MAP_PRIVATE, v->fd, 0) : MAP_FAILED;
    return p == MAP_FAILED ? SPAN_EMPTY : span_of(p, v->n);
}

static const char *type_word(const struct image *im, unsigned type)
{
    bool own = type >= DETECT_OWN && type < DETECT_TYPES_MAX && im->policy;
    return own ? detector_type_word(policy_detector(im->policy), type) : picture_found_word(type);
}

static void print_json_line(const struct image *im, const char *file, const char *unreadable,
                            const struct picture_verdict *v)
{
    struct buffer line;
    buffer_init(&line, CLI_ANSWER_MAX);
    buffer_add(&line, SPAN("{\"file\":"));
    json_quote(&line, span_str(file));
    buffer_addf(&line, ",\"verdict\":\"%s\"", picture_outcome_word(v->outcome));
    if (v->outcome == PICTURE_WITHHELD)
        buffer_addf(&line, ",\"reason\":\"%s\"",
                    unreadable ? "unreadable" : picture_reason_word(v->reason));
    buffer_add(&line, SPAN(",\"findings\":["));
    for (size_t i = 0; i < v->finding_count; i++) {
        const struct picture_finding *f = &v->findings[i];
        buffer_addf(&line, "%s{\"type\":\"%s\",\"box\":[%d,%d,%d,%d],\"score\":%u.%02u}",
                    i ? "," : "", type_word(im, f->type), f->x, f->y, f->w, f->h, f->score / 1000u,
                    f->score / 10u % 100u);
    }
    buffer_addf(&line, "],\"ms\":%u}\n", v->ms);
    if (!line.error)
        fwrite(line.p, 1, line.n, stdout);
    buffer_free(&line);
}

static void print_one(const struct image *im, const char *file, const struct picture_verdict *v)
{
    if (cli_has(im->call, "--json")) {
        print_json_line(im, file, NULL, v);
    } else {
        printf("%s: %s", file, picture_outcome_word(v->outcome));
        for (unsigned c = PICTURE_CLASS_CARD; c < PICTURE_CLASSES; c++)
            if (v->classes & 1u << c)
                printf(" %s", picture_class_word((enum picture_class)c));
        if (v->outcome == PICTURE_WITHHELD)
            printf(" (%s)\n", reason_text(v->reason));
        else
            printf(", %zu boxes, %u ms\n", v->finding_count, v->ms);
    }
    fflush(stdout);
}

static void keep_pair(struct image *im, const char *file, struct span before, struct span after)
{
    if (!cli_has(im->call, "--sheet"))
        return;
    if (im->pairs == PICTURE_SHEET_MAX || before.n + after.n > SHEET_BYTES_MAX - im->sheet_bytes) {
        fprintf(stderr, "sluis image: %s: not on the sheet (12 pictures, 32 MiB in all)\n", file);
        return;
    }
    im->sheet_bytes += before.n + after.n;
    buffer_init(&im->before[im->pairs], SHEET_BYTES_MAX);
    buffer_init(&im->after[im->pairs], SHEET_BYTES_MAX);
    buffer_add(&im->before[im->pairs], before);
    buffer_add(&im->after[im->pairs++], after);
}

/* The name says what is in it: a GIF that became PNG is not called .gif. */
static const char *extension_for(const char *name, enum picture_kind kind)
{
    static const struct {
        enum picture_kind kind;
        const char *as[3];
    } rows[] = {{PICTURE_JPEG, {".jpg", ".jpeg", NULL}},
                {PICTURE_PNG, {".png", NULL}},
                {PICTURE_WEBP, {".webp", NULL}}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].kind != kind)
            continue;
        for (unsigned k = 0; rows[i].as[k]; k++)
            if (dot && strcasecmp(dot, rows[i].as[k]) == 0)
                return "";
        return rows[i].as[0];
    }
    return "";
}

static void write_result(struct image *im, const char *file, enum picture_kind kind,
                         struct span result)
{
    char path[PATH_BYTES];
    const char *base = strrchr(file, '/'), *problem = NULL;
    base = base ? base + 1 : file;
    int n = im->out_is_folder
                ? snprintf(path, sizeof path, "%s/%s%s", im->out, base, extension_for(base, kind))
                : snprintf(path, sizeof path, "%s", im->out);
    if (n < 0 || n >= (int)sizeof path)
        problem = "the path is too long";
    else if (im->out_is_folder && im->call->word_count > 1 && access(path, F_OK) == 0)
        problem = "is there already, and is not overwritten";
    else
        problem = write_file(path, result);
    if (problem) {
        fprintf(stderr, "sluis image: %s: %s\n", n < 0 ? im->out : path, problem);
        im->failed = true;
    }
}

static void unreadable(struct image *im, const char *file, const char *problem)
{
    struct picture_verdict none = {.fd = -1};
    fprintf(stderr, "sluis image: %s: %s\n", file, problem);
    if (cli_has(im->call, "--json"))
        print_json_line(im, file, problem, &none);
    im->failed = true;
}

static void inspect(struct image *im, const char *file)
{
    struct buffer in;
    struct picture_verdict v;
    int fd;
    buffer_init(&in, PICTURE_IN_MAX + 65536);
    const char *problem = read_all(file, &in);
    if (!problem && picture_memfd(buffer_span(&in), &fd) != 0)
        problem = "no memory";
    if (problem) {
        unreadable(im, file, problem);
        buffer_free(&in);
        return;
    }
    picture_inspect(im->pool, fd, &im->actions, &v);
    struct span result = map_result(&v);
    print_one(im, file, &v);
    if (im->out && result.n)
        write_result(im, file, v.kind, result);
    if (v.outcome == PICTURE_WITHHELD)
        im->failed = true;
    keep_pair(im, file, buffer_span(&in), result);
    if (result.n)
        munmap((void *)(uintptr_t)result.p, result.n);
    picture_verdict_free(&v);
    buffer_free(&in);
}

static void make_sheet(struct image *im, const char *path)
{
    struct picture_pair pairs[PICTURE_SHEET_MAX];
    struct picture_verdict v = {.fd = -1};
    for (size_t i = 0; i < im->pairs; i++)
        pairs[i] = (struct picture_pair){buffer_span(&im->before[i]), buffer_span(&im->after[i])};
    int error = im->pairs ? picture_sheet(im->pool, pairs, im->pairs, &v) : SLUIS_ENOENT;
    struct span png = error ? SPAN_EMPTY : map_result(&v);
    const char *problem = error == SLUIS_ENOENT ? "there is no picture to show"
                          : !png.n              ? reason_text(v.reason)
                                                : write_file(path, png);
    if (problem) {
        fprintf(stderr, "sluis image: no contact sheet in %s: %s\n", path, problem);
        im->failed = true;
    }
    if (png.n)
        munmap((void *)(uintptr_t)png.p, png.n);
    picture_verdict_free(&v);
}

/* What policy makes of pictures and of the text in them, for a reader that is no route. */
static int open_policy(struct image *im, const char *file)
{
    struct diag diag = {0};
    char line[DIAG_TEXT_MAX * 2];
    picture_policy_default(&im->actions);
    if (!file)
        return 0;
    int error = policy_load_file(file, &im->policy, &diag);
    if (error) {
        if (diag.text[0])
            fprintf(stderr, "%s\n", diag_line(&diag, line, sizeof line));
        else
            fprintf(stderr, "sluis image: %s: %s\n", file, error_word(error));
        return error;
    }
    for (unsigned c = PICTURE_CLASS_CLEAN; c < PICTURE_CLASSES; c++)
        im->actions.action[c] = (uint8_t)policy_picture(im->policy, NULL, (enum policy_picture)c);
    im->actions.types = ~UINT64_C(0);
    return 0;
}

static void image_free(struct image *im)
{
    for (size_t i = 0; i < im->pairs; i++) {
        buffer_free(&im->before[i]);
        buffer_free(&im->after[i]);
    }
    picture_pool_free(im->pool);
    policy_unref(im->policy);
}

int cmd_image(const struct cli_call *call)
{
    struct image im = {.call = call, .out = cli_value(call, "--output", 0)};
    struct stat st;
    if (call->word_count == 0)
        return cli_usage(call, "which picture?");
    im.out_is_folder = im.out && stat(im.out, &st) == 0 && S_ISDIR(st.st_mode);
    if (im.out && call->word_count > 1 && !im.out_is_folder)
        return cli_usage(call, "for several pictures --output is a folder that exists");
    if (open_policy(&im, cli_value(call, "--policy", 0)) != 0)
        return CLI_FAILED;
    struct picture_pool_options options = {.models = cli_value(call, "--models", 0),
                                           .workers = 1,
                                           .detect = im.policy ? policy_detect(im.policy) : NULL};
    if (picture_pool_new(&options, &im.pool) != 0) {
        fprintf(stderr, "sluis image: no thread for the worker, or a policy that is too long\n");
        image_free(&im);
        return CLI_FAILED;
    }
    for (unsigned i = 0; i < call->word_count; i++)
        inspect(&im, call->words[i]);
    struct picture_pool_status status;
    picture_pool_status(im.pool, &status);
    if (status.problem[0])
        fprintf(stderr, "sluis image: %s: %s\n", picture_engine_word(status.engine),
                status.problem);
    if (cli_has(call, "--sheet"))
        make_sheet(&im, cli_value(call, "--sheet", 0));
    image_free(&im);
    return im.failed ? CLI_FAILED : CLI_DONE;
}
