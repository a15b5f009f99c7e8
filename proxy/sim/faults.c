#include "faults.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[] = {"none", "status", "reset", "close", "hang",
                                    "cut",  "extra",  "flip",  "chunks"};

/* Meta's errors that a fault can name: code, HTTP status, text (whatsapp.md section 5). */
static const struct known_error {
    int code, status;
    const char *message;
} known_errors[] = {
    {2, 503, "Service temporarily unavailable"},
    {100, 400, "Invalid parameter"},
    {190, 401, "Invalid OAuth access token"},
    {80007, 400, "Rate limit issues"},
    {130429, 429, "Rate limit hit"},
    {131000, 500, "Something went wrong"},
    {131047, 400, "Re-engagement message"},
    {131056, 400, "(Business Account, Consumer Account) pair rate limit hit"},
};

void faults_init(struct faults *f)
{
    *f = (struct faults){.share = 1.0, .count = -1, .random = 0x9e3779b97f4a7c15u};
}

static uint64_t next_random(struct faults *f)
{
    /* xorshift64 */
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random;
}

static const struct known_error *find_error(int code)
{
    for (size_t i = 0; i < sizeof known_errors / sizeof *known_errors; i++)
        if (known_errors[i].code == code)
            return &known_errors[i];
    return NULL;
}

int faults_set(struct faults *f, json_t *from, const char **why)
{
    const char *kind = "none", *path = "";
    int delay = 0, jitter = 0, status = 0, code = 0;
    double share = 1.0;
    json_int_t count = -1;
    json_error_t error;
    *why = "unknown member or wrong type";
    if (json_unpack_ex(from, &error, JSON_STRICT, "{s?i s?i s?s s?i s?i s?F s?I s?s}", "delay_ms",
                       &delay, "jitter_ms", &jitter, "kind", &kind, "status", &status, "code",
                       &code, "share", &share, "count", &count, "path", &path) < 0)
        return -1;
    unsigned k = 0;
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k], kind) != 0)
        k++;
    *why = "unknown kind";
    if (k == sizeof kinds / sizeof *kinds)
        return -1;
    const struct known_error *known = find_error(code);
    *why = "unknown code, negative time, or kind status without a status";
    if ((code && !known) || delay < 0 || jitter < 0)
        return -1;
    if (known && !status)
        status = known->status;
    if (k == FAULT_STATUS && !status)
        return -1;
    uint64_t random = f->random;
    *f = (struct faults){.delay_ms = (unsigned)delay,
                         .jitter_ms = (unsigned)jitter,
                         .kind = (enum fault_kind)k,
                         .status = status,
                         .code = code,
                         .share = share,
                         .count = (long)count,
                         .random = random};
    snprintf(f->path, sizeof f->path, "%s", path);
    return 0;
}

json_t *faults_json(const struct faults *f)
{
    return json_pack("{si si ss si si sf sI ss sI}", "delay_ms", (int)f->delay_ms, "jitter_ms",
                     (int)f->jitter_ms, "kind", kinds[f->kind], "status", f->status, "code",
                     f->code, "share", f->share, "count", (json_int_t)f->count, "path", f->path,
                     "done", (json_int_t)f->done);
}

enum fault_kind faults_pick(struct faults *f, struct span target)
{
    if (f->kind == FAULT_NONE || f->count == 0)
        return FAULT_NONE;
    if (f->path[0] && !memmem(target.p, target.n, f->path, strlen(f->path)))
        return FAULT_NONE;
    if ((double)(next_random(f) >> 11) / 9007199254740992.0 >= f->share)
        return FAULT_NONE;
    if (f->count > 0)
        f->count--;
    f->done++;
    return f->kind;
}

unsigned faults_delay(struct faults *f)
{
    return f->delay_ms + (f->jitter_ms ? (unsigned)(next_random(f) % f->jitter_ms) : 0);
}

json_t *graph_error(int code, const char *message)
{
    char text[256];
    snprintf(text, sizeof text, "(#%d) %s", code, message);
    return json_pack("{s{ss ss si s{ss ss} ss}}", "error", "message", text, "type",
                     "OAuthException", "code", code, "error_data", "messaging_product", "whatsapp",
                     "details", message, "fbtrace_id", "AsimSimSimSimSimSimSimSi");
}

bool faults_lie(enum fault_kind kind, struct request *request)
{
    static const enum request_lie lies[] = {[FAULT_CUT] = REQUEST_CUT,
                                            [FAULT_EXTRA] = REQUEST_EXTRA,
                                            [FAULT_FLIP] = REQUEST_FLIP,
                                            [FAULT_CHUNKS] = REQUEST_CHUNKS};
    if (kind < FAULT_CUT)
        return false;
    request_lie(request, lies[kind]);
    return true;
}

int faults_answer(struct faults *f, enum fault_kind kind, struct request *request)
{
    if (kind == FAULT_RESET || kind == FAULT_CLOSE || kind == FAULT_HANG) {
        request_fail(request, kind == FAULT_RESET   ? REQUEST_RESET
                              : kind == FAULT_CLOSE ? REQUEST_CLOSE
                                                    : REQUEST_HANG);
        return 0;
    }
    const struct known_error *known = find_error(f->code);
    json_t *body = graph_error(f->code, known ? known->message : "simulated failure");
    char *text = json_dumps(body, JSON_COMPACT);
    request_reply_json(request, f->status, text ? text : "", faults_delay(f));
    free(text);
    json_decref(body);
    return f->status;
}
