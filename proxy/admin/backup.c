/* Backups of the running gateway: one at a time, on a thread of its own; asked after by polling. */
#include "internal.h"

#include "sluis/backup.h"
#include "sluis/base/encode.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_MAX 900
#define FINDINGS_MAX (64u * 1024)
#define DAY_S (24ll * 3600)
#define KEEP_DAYS_DEFAULT 31 /* of the keyring part: so long an erasure can be undone */
/* A copy may let the store grow by a tenth of its size: intake stops at nine tenths. */
#define GROWTH_SHARE 10

enum work_state { WORK_IDLE, WORK_RUNNING, WORK_DONE, WORK_FAILED };

struct backup_work {
    struct admin *admin;
    pthread_mutex_t lock; /* state and results */
    pthread_t thread;
    bool to_join;
    char actor[ACCESS_NAME_SIZE]; /* who asked for this one */
    atomic_bool stop;
    enum work_state state;
    bool makes, verifies, has_recovery;
    char folder[FOLDER_MAX];
    uint8_t recovery[KEYRING_RECOVERY_KEY];
    int64_t keep_s;
    uint64_t growth_max;
    struct backup_made made;
    struct backup_counts counts;
    struct buffer findings;
    struct diag diag;
};

int backup_work_new(struct admin *admin, struct backup_work **out)
{
    struct backup_work *w = calloc(1, sizeof(*w));
    if (!w)
        return SLUIS_ENOMEM;
    w->admin = admin;
    pthread_mutex_init(&w->lock, NULL);
    buffer_init(&w->findings, FINDINGS_MAX);
    *out = w;
    return 0;
}

void backup_work_stop(struct backup_work *w)
{
    if (!w || !w->to_join)
        return;
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
    w->to_join = false;
}

void backup_work_free(struct backup_work *w)
{
    if (!w)
        return;
    backup_work_stop(w);
    buffer_free(&w->findings);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static int record(struct admin *admin, const char *actor, const char *outcome, uint32_t number)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_BACKUP,
                                      .actor = actor,
                                      .object = number,
                                      .outcome = outcome};
    return admin_record(admin->deps.store, &event);
}

static int make(struct backup_work *w, struct backup_made *made, struct diag *diag)
{
    char media[1024];
    struct config *config = config_acquire(w->admin->deps.config);
    bool fits = media_path(config->store_path, media, sizeof(media)) == 0;
    config_unref(config);
    if (!fits)
        return SLUIS_ELIMIT;
    const struct backup_request request = {.store = w->admin->deps.store,
                                           .media = media,
                                           .keyring = w->admin->deps.keyring,
                                           .folder = w->folder,
                                           .recovery_key = w->has_recovery ? w->recovery : NULL,
                                           .keep_s = w->keep_s,
                                           .now_ms = clock_wall_ms(),
                                           .growth_max = w->growth_max,
                                           .stop = &w->stop};
    return backup_make(&request, made, diag);
}

static int verify(struct backup_work *w, struct backup_counts *counts, struct diag *diag)
{
    char folder[FOLDER_MAX + 8];
    struct backup_check check = {.keyring = w->admin->deps.keyring,
                                 .now_ms = clock_wall_ms(),
                                 .found = admin_add_finding,
                                 .ctx = &w->findings};
    snprintf(folder, sizeof(folder), "%s%s", w->folder, w->makes ? "/data" : "");
    int r = backup_verify(folder, &check, &w->stop, diag);
    *counts = check.counts;
    return r;
}

static void *work_main(void *arg)
{
    struct backup_work *w = arg;
    struct backup_made made = {0};
    struct backup_counts counts = {0};
    struct diag diag = {.text = ""};
    int r = 0;
    if (w->makes && (r = record(w->admin, w->actor, "begun", 0)) != 0)
        diag_set(&diag, NULL, 0, 0, "the access log refuses: %s", error_word(r));
    if (r == 0 && w->makes)
        r = make(w, &made, &diag);
    if (r == 0 && w->verifies)
        r = verify(w, &counts, &diag);
    if (r == SLUIS_ECLOSED)
        diag_set(&diag, NULL, 0, 0, "the gateway stops");
    else if (r != 0 && !diag.text[0])
        diag_set(&diag, NULL, 0, 0, "%s", error_word(r));
    if (record(w->admin, w->actor,
               r != 0     ? "failed"
               : w->makes ? "made"
                          : "verified",
               made.number) != 0)
        LOG(LOG_ALARM, "backup", "outcome_not_recorded");
    LOG(r ? LOG_ERROR : LOG_INFO, "backup", r ? "failed" : "done", log_error(r),
        log_u64("bytes", made.bytes), log_u64("growth", made.growth));
    pthread_mutex_lock(&w->lock);
    w->made = made;
    w->counts = counts;
    w->diag = diag;
    w->state = r ? WORK_FAILED : WORK_DONE;
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The public recovery key, beside the keyring. */
static bool read_recovery(const char *keys_path, uint8_t out[KEYRING_RECOVERY_KEY])
{
    char path[1024], text[2 * KEYRING_RECOVERY_KEY];
    snprintf(path, sizeof(path), "%s/" ADMIN_RECOVERY_FILE, keys_path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    return n == (ssize_t)sizeof(text) &&
           hex_decode_lower(span_of(text, sizeof(text)), out, KEYRING_RECOVERY_KEY) == 0;
}

static bool busy(struct backup_work *w)
{
    pthread_mutex_lock(&w->lock);
    bool running = w->state == WORK_RUNNING;
    pthread_mutex_unlock(&w->lock);
    return running;
}

static bool take_folder(struct admin_request *r, struct backup_work *w, const char *member)
{
    struct span folder = admin_text(r, member);
    if (folder.n == 0 || folder.n >= FOLDER_MAX || folder.p[0] != '/' ||
        memchr(folder.p, 0, folder.n)) {
        admin_error(r, 400, member, "an absolute path was expected");
        return false;
    }
    snprintf(w->folder, sizeof(w->folder), "%.*s", (int)folder.n, folder.p);
    return true;
}

/* Is `folder`, which may not be there yet, `of` or below it? */
static bool stands_in(const char *folder, const char *of)
{
    char place[FOLDER_MAX], real[PATH_MAX], home[PATH_MAX];
    snprintf(place, sizeof(place), "%s", folder);
    for (size_t n = strlen(place); n > 1 && place[n - 1] == '/'; n--)
        place[n - 1] = '\0';
    if (!realpath(place, real)) { /* only its last part may be missing */
        char *last = strrchr(place, '/');
        if (!last || last == place)
            return false;
        *last = '\0';
        if (!realpath(place, real))
            return false;
    }
    if (!realpath(of, home))
        return false;
    size_t n = strlen(home);
    return strncmp(real, home, n) == 0 && (real[n] == '/' || real[n] == '\0');
}

static void begin(struct admin_request *r, struct backup_work *w)
{
    if (w->to_join) /* the one before has ended */
        pthread_join(w->thread, NULL);
    w->to_join = false;
    atomic_store(&w->stop, false);
    snprintf(w->actor, sizeof(w->actor), "%s", r->who.name);
    buffer_clear(&w->findings);
    buffer_add_char(&w->findings, '[');
    w->state = WORK_RUNNING;
    if (pthread_create(&w->thread, NULL, work_main, w) != 0) {
        w->state = WORK_FAILED;
        admin_error(r, 503, "thread", "no thread for it");
        return;
    }
    w->to_join = true;
    struct buffer out;
    buffer_init(&out, 64);
    buffer_add(&out, SPAN("{\"state\":\"running\"}"));
    admin_json(r, 202, &out);
    buffer_free(&out);
}

void admin_backup_make(struct admin_request *r)
{
    struct backup_work *w = r->admin->backup;
    uint64_t days = KEEP_DAYS_DEFAULT;
    if (busy(w)) {
        admin_error(r, 409, "busy", "a backup is being made or verified");
        return;
    }
    uint32_t node = r->body.count ? json_get(&r->body, 0, SPAN("keep_days")) : JSON_NONE;
    if (node != JSON_NONE && (json_u64(&r->body, node, &days) != 0 || days == 0 ||
                              (int64_t)days > KEYRING_BACKUP_KEEP_MAX_S / DAY_S)) {
        admin_error(r, 400, "keep_days", "keep_days: 1 to 366 was expected");
        return;
    }
    if (!take_folder(r, w, "to"))
        return;
    struct config *config = config_acquire(r->admin->deps.config);
    bool data_only = json_is(&r->body, json_get(&r->body, 0, SPAN("data_only")), JSON_TRUE);
    w->has_recovery = !data_only && read_recovery(config->keys_path, w->recovery);
    w->growth_max = config->store_size / GROWTH_SHARE;
    bool within =
        stands_in(w->folder, config->store_path) || stands_in(w->folder, config->keys_path);
    config_unref(config);
    if (within) {
        admin_error(r, 422, "to",
                    "to: inside the folder of the store or of the keyring: a backup stands "
                    "elsewhere, best on another machine");
        return;
    }
    if (!data_only && !w->has_recovery) {
        admin_error(r, 422, "recovery",
                    "no recovery key beside the keyring (" ADMIN_RECOVERY_FILE
                    "): `sluis keys recovery` makes one; --data-only does without");
        return;
    }
    w->keep_s = (int64_t)days * DAY_S;
    w->makes = true;
    w->verifies = json_is(&r->body, json_get(&r->body, 0, SPAN("verify")), JSON_TRUE);
    begin(r, w);
}

void admin_backup_verify(struct admin_request *r)
{
    struct backup_work *w = r->admin->backup;
    if (busy(w)) {
        admin_error(r, 409, "busy", "a backup is being made or verified");
        return;
    }
    if (!take_folder(r, w, "from"))
        return;
    w->makes = false;
    w->verifies = true;
    begin(r, w);
}

void admin_backup_state(struct admin_request *r)
{
    static const char *const words[] = {"idle", "running", "done", "failed"};
    struct backup_work *w = r->admin->backup;
    struct buffer out;
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    buffer_init(&out, ADMIN_ANSWER_MAX);
    pthread_mutex_lock(&w->lock);
    buffer_addf(&out, "{\"state\":\"%s\"", words[w->state]);
    if (w->state == WORK_DONE || w->state == WORK_FAILED) {
        if (w->state == WORK_FAILED) {
            buffer_add(&out, SPAN(",\"error\":"));
            json_quote(&out, span_str(diag_line(&w->diag, line, sizeof(line))));
        }
        buffer_addf(&out,
                    ",\"bytes\":%llu,\"growth\":%llu,\"keyring_backup\":%u,\"generation\":%llu,"
                    "\"expires_ms\":%lld",
                    (unsigned long long)w->made.bytes, (unsigned long long)w->made.growth,
                    w->made.number, (unsigned long long)w->made.generation,
                    (long long)w->made.expires_ms);
        if (w->verifies) {
            buffer_add(&out, SPAN(",\"counts\":"));
            admin_add_counts(&out, &w->counts);
            buffer_add(&out, SPAN(",\"damaged\":"));
            buffer_add(&out, w->findings.error ? SPAN("[") : buffer_span(&w->findings));
            buffer_add_char(&out, ']');
        }
    }
    pthread_mutex_unlock(&w->lock);
    buffer_add_char(&out, '}');
    admin_json(r, 200, &out);
    buffer_free(&out);
}

static int add_backup(void *ctx, const struct keyring_backup *b)
{
    struct buffer *out = ctx;
    buffer_addf(out,
                "%s{\"number\":%u,\"generation\":%llu,\"made_ms\":%lld,\"expires_ms\":%lld,"
                "\"gone_ms\":%lld}",
                out->p[out->n - 1] == '[' ? "" : ",", b->number, (unsigned long long)b->generation,
                (long long)b->made_ms, (long long)b->expires_ms, (long long)b->gone_ms);
    return out->error;
}

void admin_backup_register(struct admin_request *r)
{
    struct buffer out;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    buffer_add(&out, SPAN("{\"backups\":["));
    int result =
        keyring_backup_each(r->admin->deps.keyring, r->admin->deps.store, add_backup, &out);
    buffer_add(&out, SPAN("]}"));
    if (result != 0)
        admin_error(r, 503, error_word(result), "the register cannot be read");
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_backup_gone(struct admin_request *r)
{
    uint64_t number = 0;
    struct buffer out;
    if (r->body.count == 0 ||
        json_u64(&r->body, json_get(&r->body, 0, SPAN("number")), &number) != 0 ||
        number > UINT32_MAX) {
        admin_error(r, 400, "number", "number: the number of a backup was expected");
        return;
    }
    int result = keyring_backup_gone(r->admin->deps.keyring, r->admin->deps.store, (uint32_t)number,
                                     clock_wall_ms());
    if (result == 0)
        result = record(r->admin, r->who.name, "gone", (uint32_t)number);
    if (result != 0) {
        admin_error(r, result == SLUIS_ENOENT ? 404 : 503, error_word(result),
                    result == SLUIS_ENOENT ? "no such backup" : "it could not be recorded");
        return;
    }
    buffer_init(&out, 64);
    buffer_add(&out, SPAN("{\"confirmed\":true}"));
    admin_json(r, 200, &out);
    buffer_free(&out);
}
