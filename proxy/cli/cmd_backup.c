/* `sluis backup`: asked of the running gateway, which makes it; `sluis restore`: done here,
 * without. */
#include "internal.h"

#include "sluis/backup.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/config.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 1024
#define POLL_MS 100
#define NUMBER 32

/* The gateway has another working folder than the caller. */
static bool absolute(const char *given, char out[PATH_SIZE])
{
    char here[PATH_SIZE];
    int n;
    if (given[0] == '/')
        n = snprintf(out, PATH_SIZE, "%s", given);
    else if (getcwd(here, sizeof(here)))
        n = snprintf(out, PATH_SIZE, "%s/%s", here, given);
    else
        return false;
    return n > 0 && n < PATH_SIZE;
}

static void date_of(const char *ms, char out[NUMBER])
{
    struct tm tm;
    time_t at = (time_t)(strtoll(ms, NULL, 10) / 1000);
    if (at <= 0 || !gmtime_r(&at, &tm) || strftime(out, NUMBER, "%Y-%m-%d %H:%MZ", &tm) == 0)
        snprintf(out, NUMBER, "-");
}

static void print_counts(const struct control_answer *a, uint32_t counts)
{
    static const char *const rows[][2] = {
        {"opened", "records open"},
        {"expired", "records whose key is destroyed: nobody can open them"},
        {"past", "records that open although their term has ended"},
        {"unplaced", "records that no journal block knows: not served by themselves"},
        {"moved", "of these, what stays of messages taken back: looked at through their rows"},
        {"leaves", "leaves of the access log"},
        {"blocks", "blocks of the journal"},
        {"rows", "sealed rows of small tables"},
        {"unsealed", "rows without a tag (numbers, times, keyed hashes): not checked"},
        {"damaged", "DAMAGED"}};
    char value[NUMBER];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf("%12s  %s\n", print_member(a, counts, rows[i][0], value, sizeof(value)), rows[i][1]);
}

void print_damaged(const struct control_answer *a, uint32_t list)
{
    char what[NUMBER], name[80], serial[NUMBER], part[8], error[NUMBER];
    for (uint32_t d = json_first(&a->json, list); d != JSON_NONE; d = json_next(&a->json, d))
        printf("damaged: %s %s serial %s part %s (%s)\n",
               print_member(a, d, "what", what, sizeof(what)),
               print_member(a, d, "name", name, sizeof(name)),
               print_member(a, d, "serial", serial, sizeof(serial)),
               print_member(a, d, "part", part, sizeof(part)),
               print_member(a, d, "error", error, sizeof(error)));
}

static int wait_for_it(const struct cli_call *call, struct control_answer *a)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000l};
    char state[16];
    for (;;) {
        if (control_call(call, HTTP_GET, "/sluis/v1/backup", SPAN_EMPTY, a) != 0)
            return CLI_FAILED;
        if (strcmp(print_member(a, 0, "state", state, sizeof(state)), "running") != 0)
            return strcmp(state, "done") == 0 ? CLI_DONE : CLI_FAILED;
        control_free(a);
        nanosleep(&pause, NULL);
    }
}

static void tell_made(const struct control_answer *a, const char *folder)
{
    char bytes[NUMBER], growth[NUMBER], number[NUMBER], expires[NUMBER], day[NUMBER];
    date_of(print_member(a, 0, "expires_ms", expires, sizeof(expires)), day);
    print_member(a, 0, "keyring_backup", number, sizeof(number));
    printf("data: %s/data (%s bytes; the store grew by %s meanwhile)\n", folder,
           print_member(a, 0, "bytes", bytes, sizeof(bytes)),
           print_member(a, 0, "growth", growth, sizeof(growth)));
    if (strcmp(number, "0") == 0)
        return;
    printf("keyring: %s/keyring/keyring-%s.backup, number %s\n", folder, number, number);
    fprintf(stderr,
            "Keep the keyring part away from the data part. It opens what is destroyed after now:\n"
            "destroy it by %s and say so: sluis backup confirm %s\n",
            day, number);
}

/* The keyring part is made first: it stands, and counts, though the rest was not finished. */
static void tell_failed(const struct control_answer *a, const char *folder)
{
    char error[900], number[NUMBER], expires[NUMBER], day[NUMBER];
    fprintf(stderr, "sluis backup: %s\n", print_member(a, 0, "error", error, sizeof(error)));
    print_member(a, 0, "keyring_backup", number, sizeof(number));
    if (!number[0] || strcmp(number, "0") == 0)
        return;
    date_of(print_member(a, 0, "expires_ms", expires, sizeof(expires)), day);
    fprintf(stderr,
            "Its keyring part was numbered, and certificates of erasure count with it until %s.\n"
            "Destroy %s/keyring, and say so: sluis backup confirm %s\n",
            day, folder, number);
}

/* Starts it, waits, tells. */
static int work(const struct cli_call *call, const char *target, struct buffer *body,
                const char *folder, bool makes, bool verifies)
{
    struct control_answer a;
    int r = control_call(call, HTTP_POST, target, buffer_span(body), &a);
    buffer_free(body);
    if (r != 0)
        return r;
    control_free(&a);
    memset(&a, 0, sizeof(a));
    r = wait_for_it(call, &a);
    if (!a.json.count)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        if (makes && r == CLI_DONE)
            tell_made(&a, folder);
        if (verifies) {
            print_damaged(&a, json_get(&a.json, 0, SPAN("damaged")));
            if (r == CLI_DONE)
                print_counts(&a, json_get(&a.json, 0, SPAN("counts")));
        }
        if (r == CLI_DONE && verifies)
            printf("restorable\n");
    }
    if (r != CLI_DONE)
        tell_failed(&a, folder);
    control_free(&a);
    return r;
}

int cmd_backup(const struct cli_call *call)
{
    const char *to = cli_value(call, "--to", 0), *days = cli_value(call, "--keep", 0);
    char folder[PATH_SIZE];
    struct buffer body;
    uint64_t n = 0;
    if (!to)
        return cli_usage(call, "--to DIR is needed");
    if (!absolute(to, folder))
        return cli_usage(call, "--to: too long");
    if (days && (span_u64(span_str(days), &n) != 0 || n == 0 || n > 366))
        return cli_usage(call, "--keep %s: 1 to 366 days", days);
    buffer_init(&body, 16 * 1024);
    buffer_add(&body, SPAN("{\"to\":"));
    json_quote(&body, span_str(folder));
    if (days)
        buffer_addf(&body, ",\"keep_days\":%llu", (unsigned long long)n);
    buffer_addf(&body, ",\"data_only\":%s,\"verify\":%s}",
                cli_has(call, "--data-only") ? "true" : "false",
                cli_has(call, "--verify") ? "true" : "false");
    return work(call, "/sluis/v1/backup", &body, folder, true, cli_has(call, "--verify"));
}

/* DIR itself, or the data part in it. */
static bool data_folder(const char *given, char out[PATH_SIZE])
{
    char folder[PATH_SIZE], manifest[PATH_SIZE + 32];
    if (!absolute(given, folder))
        return false;
    snprintf(manifest, sizeof(manifest), "%s/data/manifest.json", folder);
    int n = snprintf(out, PATH_SIZE, "%s%s", folder, access(manifest, F_OK) == 0 ? "/data" : "");
    return n > 0 && n < PATH_SIZE;
}

int cmd_backup_verify(const struct cli_call *call)
{
    char folder[PATH_SIZE];
    struct buffer body;
    if (call->word_count != 1)
        return cli_usage(call, "DIR is needed");
    if (!data_folder(call->words[0], folder))
        return cli_usage(call, "DIR: too long");
    buffer_init(&body, 16 * 1024);
    buffer_add(&body, SPAN("{\"from\":"));
    json_quote(&body, span_str(folder));
    buffer_add_char(&body, '}');
    return work(call, "/sluis/v1/backup/verify", &body, folder, false, true);
}

int cmd_backup_list(const struct cli_call *call)
{
    struct control_answer a;
    char number[NUMBER], generation[NUMBER], ms[NUMBER], made[NUMBER], expires[NUMBER],
        gone[NUMBER];
    if (control_call(call, HTTP_GET, "/sluis/v1/backup/register", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        uint32_t list = json_get(&a.json, 0, SPAN("backups"));
        for (uint32_t b = json_first(&a.json, list); b != JSON_NONE; b = json_next(&a.json, b)) {
            date_of(print_member(&a, b, "made_ms", ms, sizeof(ms)), made);
            date_of(print_member(&a, b, "expires_ms", ms, sizeof(ms)), expires);
            date_of(print_member(&a, b, "gone_ms", ms, sizeof(ms)), gone);
            printf("keyring backup %s of generation %s, made %s, to be destroyed by %s, %s%s\n",
                   print_member(&a, b, "number", number, sizeof(number)),
                   print_member(&a, b, "generation", generation, sizeof(generation)), made, expires,
                   gone[0] == '-' ? "not confirmed" : "confirmed destroyed ",
                   gone[0] == '-' ? "" : gone);
        }
    }
    control_free(&a);
    return CLI_DONE;
}

int cmd_backup_confirm(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    uint64_t number;
    if (cli_id(call, "backup list", &number) != 0)
        return CLI_USAGE;
    buffer_init(&body, 64);
    buffer_addf(&body, "{\"number\":%llu}", (unsigned long long)number);
    int r = control_call(call, HTTP_POST, "/sluis/v1/backup/gone", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("keyring backup %llu: destroyed everywhere, on record\n",
               (unsigned long long)number);
    control_free(&a);
    return CLI_DONE;
}

/* ---- restore ---- */

static bool gateway_runs(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool runs = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return runs;
}

static bool read_secret(const char *file, uint8_t out[KEYRING_RECOVERY_KEY])
{
    char text[2 * KEYRING_RECOVERY_KEY];
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 077) == 0 &&
                read(fd, text, sizeof(text)) == (ssize_t)sizeof(text) &&
                hex_decode_lower(span_of(text, sizeof(text)), out, KEYRING_RECOVERY_KEY) == 0;
    if (fd >= 0)
        close(fd);
    sodium_memzero(text, sizeof(text));
    if (!good)
        fprintf(stderr,
                "sluis restore: %s: the recovery secret as 64 hex digits in a file that "
                "only you can read was expected\n",
                file);
    return good;
}

/* A destruction record that the keyring in use does not know of. */
static void tell_destroyed(void *ctx, struct span record)
{
    unsigned *n = ctx;
    struct control_answer a = {0};
    char cls[256], reason[64], messages[32], subjects[32], time[64];
    arena_init(&a.arena, 65536);
    if (json_scan(&a.json, record, &a.arena, NULL) == 0) {
        if ((*n)++ == 0)
            printf("This keyring opens again what was destroyed after it was saved:\n%-26s %-36s "
                   "%-10s %10s %10s\n",
                   "destroyed", "class", "reason", "messages", "persons");
        printf("%-26s %-36s %-10s %10s %10s\n", print_member(&a, 0, "time", time, sizeof(time)),
               print_member(&a, 0, "class", cls, sizeof(cls)),
               print_member(&a, 0, "reason", reason, sizeof(reason)),
               print_member(&a, 0, "messages", messages, sizeof(messages)),
               print_member(&a, 0, "subjects", subjects, sizeof(subjects)));
    }
    arena_free(&a.arena);
}

static void tell_past(const struct backup_restored *got)
{
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        if (got->past[i].records)
            printf("%12llu  of the open ones are past their term: %s\n",
                   (unsigned long long)got->past[i].records, got->past[i].cls);
}

static void tell_restored(const struct backup_restored *got, const struct backup_restore *q)
{
    const struct backup_counts *c = &got->counts;
    if (q->keyring_file)
        printf("keyring: %s, generation %llu\n", q->keys.path,
               (unsigned long long)got->keyring_generation);
    if (!q->data) {
        fprintf(stderr, "An older keyring opens what was destroyed since it was saved. The gateway "
                        "asks for it to be accepted: sluis serve --accept-older-keyring\n");
        return;
    }
    printf("store: %s\n%12llu  records open\n%12llu  records whose key is destroyed: nobody can "
           "open them\n%12llu  records damaged\n%12llu  leaves of the access log\n",
           q->store_path, (unsigned long long)c->opened, (unsigned long long)c->expired,
           (unsigned long long)c->damaged, (unsigned long long)c->leaves);
    fprintf(stderr, "The access log ends at the moment of the backup; where its checkpoints went "
                    "elsewhere, the\ngateway asks for that to be accepted: sluis serve "
                    "--accept-log\n");
    if (got->older)
        printf("The keyring (generation %llu) is OLDER than the data know (%llu): of the records "
               "above it opens also those that were destroyed in between. Destroy them again: "
               "sluis purge, and each erasure since.\n",
               (unsigned long long)got->keyring_generation,
               (unsigned long long)got->data_generation);
    tell_past(got);
}

/* What to do when it is the keyring that stands in the way. */
static void hint(const struct backup_restore *q, int error)
{
    const bool stands = access(q->keys.path, F_OK) == 0;
    if (!q->keyring_file && !stands)
        fprintf(stderr, "Without a keyring nobody can open these data. A keyring part is restored "
                        "by --keyring FILE\n--recovery-key FILE, with them or before.\n");
    else if (q->keyring_file && q->data && stands && error == SLUIS_EEXIST)
        fprintf(stderr,
                "Is it today's, or what a restore that failed has put there? Then it is the one to "
                "use:\nleave --keyring and --recovery-key out. If not, move %s away first.\n",
                q->keys.path);
    else if (q->keyring_file && q->data && stands)
        fprintf(stderr,
                "If the keyring was put in place (%s), go on without --keyring and "
                "--recovery-key.\n",
                q->keys.path);
}

static int restore(const struct cli_call *call, const struct config *config)
{
    const char *from = cli_value(call, "--from", 0), *keyring = cli_value(call, "--keyring", 0);
    const char *secret = cli_value(call, "--recovery-key", 0);
    char folder[PATH_SIZE], line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    char passphrase[1024];
    size_t n = 0;
    uint8_t key[KEYRING_RECOVERY_KEY];
    struct backup_restored got;
    unsigned again = 0;
    struct diag diag = {.text = ""};
    if (gateway_runs(config->control_path)) {
        fprintf(stderr, "sluis restore: a gateway is running on %s: stop it first\n",
                config->control_path);
        return CLI_FAILED;
    }
    if (from && !data_folder(from, folder))
        return cli_usage(call, "--from: too long");
    if (!config->keys_root_file && keys_passphrase_read(call, passphrase, &n) != CLI_DONE)
        return CLI_FAILED;
    if (secret && !read_secret(secret, key))
        return CLI_FAILED;
    const struct backup_restore q = {.data = from ? folder : NULL,
                                     .store_path = config->store_path,
                                     .store_size = config->store_size,
                                     .keyring_file = keyring,
                                     .recovery_key = key,
                                     .keys = {.path = config->keys_path,
                                              .root_file = config->keys_root_file,
                                              .passphrase = span_of(passphrase, n)},
                                     .now_ms = clock_wall_ms(),
                                     .destroyed = tell_destroyed,
                                     .ctx = &again};
    int r = backup_restore(&q, &got, &diag);
    if (r == 0 && keyring && keys_recovery_put(config->keys_path, key) != CLI_DONE)
        fprintf(stderr, "sluis restore: without that file the next backup needs another recovery "
                        "key: sluis keys recovery\n");
    sodium_memzero(key, sizeof(key));
    sodium_memzero(passphrase, sizeof(passphrase));
    if (r != 0) {
        fprintf(stderr, "sluis restore: %s\n", diag_line(&diag, line, sizeof(line)));
        hint(&q, r);
        return CLI_FAILED;
    }
    tell_restored(&got, &q);
    return again || got.older || got.counts.past ? CLI_OLDER : CLI_DONE;
}

int cmd_restore(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    struct config *config;
    if (!cli_has(call, "--from") && !cli_has(call, "--keyring"))
        return cli_usage(call, "--from DIR or --keyring FILE, or both, are needed");
    if (cli_has(call, "--keyring") != cli_has(call, "--recovery-key"))
        return cli_usage(call, "--keyring and --recovery-key belong together");
    if (sodium_init() < 0 || config_load(file ? file : CLI_CONFIG, &config, &diag) != 0) {
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
        return CLI_FAILED;
    }
    int code = restore(call, config);
    config_unref(config);
    return code;
}
