/* sluis image: pictures through the sandboxed worker. This process never decodes one. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/picture.h"

#define PATH_BYTES 4096
#define SHEET_BYTES_MAX (12u * 1024 * 1024) /* of the pictures on a sheet together, each side */

struct image {
    const struct cli_call *call;
    struct picture_pool *pool;
    const char *out;
    bool out_is_folder;
    struct buffer before[PICTURE_SHEET_MAX], after[PICTURE_SHEET_MAX];
    size_t pairs;
    bool failed;
};

static int read_all(const char *path, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return SLUIS_ENOENT;
    for (;;) {
        char *to = buffer_reserve(out, 65536);
        ssize_t n = to ? read(fd, to, 65536) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        out->n += (size_t)n;
    }
    close(fd);
    return out->error;
}

static int write_file(const char *path, struct span bytes)
{
    FILE *f = fopen(path, "wbe");
    if (!f)
        return SLUIS_EIO;
    bool good = fwrite(bytes.p, 1, bytes.n, f) == bytes.n;
    return fclose(f) == 0 && good ? 0 : SLUIS_EIO;
}

/* The result of the worker, sealed: mapped for reading. Unmapped by the caller. */
static struct span map_result(const struct picture_verdict *v)
{
    void *p = v->fd >= 0 && v->n ? mmap(NULL, v->n, PROT_READ, MAP_PRIVATE, v->fd, 0) : MAP_FAILED;
    return p == MAP_FAILED ? SPAN_EMPTY : span_of(p, v->n);
}

static void print_one(const struct image *im, const char *file, const struct picture_verdict *v)
{
    struct buffer line;
    buffer_init(&line, CLI_ANSWER_MAX);
    if (cli_has(im->call, "--json")) {
        buffer_add(&line, SPAN("{\"file\":"));
        json_quote(&line, span_str(file));
        buffer_addf(&line, ",\"verdict\":\"%s\"", picture_outcome_word(v->outcome));
        if (v->outcome == PICTURE_WITHHELD)
            buffer_addf(&line, ",\"reason\":\"%s\"", picture_reason_word(v->reason));
        buffer_add(&line, SPAN(",\"findings\":["));
        for (size_t i = 0; i < v->finding_count; i++) {
            const struct picture_finding *f = &v->findings[i];
            buffer_addf(&line, "%s{\"type\":\"%s\",\"box\":[%d,%d,%d,%d],\"score\":%u.%02u}",
                        i ? "," : "", picture_found_word(f->type), f->x, f->y, f->w, f->h,
                        f->score / 1000u, f->score / 10u % 100u);
        }
        buffer_addf(&line, "],\"ms\":%u}\n", v->ms);
    } else {
        buffer_addf(&line, "%s: %s", file, picture_outcome_word(v->outcome));
        if (v->outcome == PICTURE_WITHHELD)
            buffer_addf(&line, " (%s)", picture_reason_word(v->reason));
        for (unsigned c = PICTURE_CLASS_CARD; c < PICTURE_CLASSES; c++)
            if (v->classes & 1u << c)
                buffer_addf(&line, " %s", picture_class_word((enum picture_class)c));
        buffer_addf(&line, ", %zu boxes, %u ms\n", v->finding_count, v->ms);
    }
    if (!line.error)
        fwrite(line.p, 1, line.n, stdout);
    buffer_free(&line);
    fflush(stdout);
}

static void keep_pair(struct image *im, struct span before, struct span after)
{
    if (!cli_has(im->call, "--sheet") || im->pairs == PICTURE_SHEET_MAX ||
        before.n > SHEET_BYTES_MAX / 12 || after.n > SHEET_BYTES_MAX / 6)
        return;
    buffer_init(&im->before[im->pairs], SHEET_BYTES_MAX);
    buffer_init(&im->after[im->pairs], SHEET_BYTES_MAX);
    buffer_add(&im->before[im->pairs], before);
    buffer_add(&im->after[im->pairs++], after);
}

static int write_result(const struct image *im, const char *file, struct span result)
{
    char path[PATH_BYTES];
    const char *base = strrchr(file, '/');
    int n = im->out_is_folder
                ? snprintf(path, sizeof path, "%s/%s", im->out, base ? base + 1 : file)
                : snprintf(path, sizeof path, "%s", im->out);
    if (n < 0 || n >= (int)sizeof path || write_file(path, result) != 0) {
        fprintf(stderr, "sluis image: cannot write %s\n", im->out);
        return SLUIS_EIO;
    }
    return 0;
}

static void inspect(struct image *im, const char *file)
{
    struct buffer in;
    struct picture_policy policy;
    struct picture_verdict v;
    int fd;
    buffer_init(&in, PICTURE_IN_MAX + 65536);
    picture_policy_default(&policy);
    int error = read_all(file, &in);
    if (!error)
        error = picture_memfd(buffer_span(&in), &fd);
    if (error) {
        fprintf(stderr, "sluis image: %s: %s\n", file,
                error == SLUIS_ENOENT ? "cannot be opened" : "cannot be read or is too large");
        im->failed = true;
        buffer_free(&in);
        return;
    }
    picture_inspect(im->pool, fd, &policy, &v);
    struct span result = map_result(&v);
    print_one(im, file, &v);
    if (im->out && result.n && write_result(im, file, result) != 0)
        im->failed = true;
    if (v.outcome == PICTURE_WITHHELD)
        im->failed = true;
    keep_pair(im, buffer_span(&in), result);
    if (result.n)
        munmap((void *)(uintptr_t)result.p, result.n);
    picture_verdict_free(&v);
    buffer_free(&in);
}

static void make_sheet(struct image *im, const char *path)
{
    struct picture_pair pairs[PICTURE_SHEET_MAX];
    struct picture_verdict v;
    for (size_t i = 0; i < im->pairs; i++)
        pairs[i] = (struct picture_pair){buffer_span(&im->before[i]), buffer_span(&im->after[i])};
    int error = picture_sheet(im->pool, pairs, im->pairs, &v);
    struct span png = error ? SPAN_EMPTY : map_result(&v);
    if (!png.n || write_file(path, png) != 0) {
        fprintf(stderr, "sluis image: no contact sheet in %s\n", path);
        im->failed = true;
    }
    if (png.n)
        munmap((void *)(uintptr_t)png.p, png.n);
    picture_verdict_free(&v);
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
    struct picture_pool_options options = {.models = cli_value(call, "--models", 0), .workers = 1};
    if (picture_pool_new(&options, &im.pool) != 0) {
        fprintf(stderr, "sluis image: no thread for the worker\n");
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
    for (size_t i = 0; i < im.pairs; i++) {
        buffer_free(&im.before[i]);
        buffer_free(&im.after[i]);
    }
    picture_pool_free(im.pool);
    return im.failed ? CLI_FAILED : CLI_DONE;
}
