/* `sluis keys status`, `rotate`, `recovery`; `sluis doctor --store`. */
#include "internal.h"

#include "sluis/base/encode.h"
#include "sluis/config.h"
#include "sluis/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECOVERY_FILE "recovery.pub"
#define PASSPHRASE_SIZE 1024
#define HEX (2 * KEYRING_RECOVERY_KEY)

static void tell_status(const struct control_answer *a)
{
    char value[80];
    printf("installation: %s\n", print_member(a, 0, "installation", value, sizeof(value)));
    printf("generation: %s\n", print_member(a, 0, "generation", value, sizeof(value)));
    printf("keys: %s\n", print_member(a, 0, "keys", value, sizeof(value)));
    printf("root key: %s\n", print_member(a, 0, "root", value, sizeof(value)));
    if (strcmp(print_member(a, 0, "locked", value, sizeof(value)), "true") != 0)
        printf("NOT locked in memory: keys may reach the swap (LimitMEMLOCK=)\n");
    if (strcmp(print_member(a, 0, "behind", value, sizeof(value)), "false") != 0)
        printf("BEHIND: a destruction has not reached the disk yet\n");
    printf("look-up key: %s", print_member(a, 0, "lookup", value, sizeof(value)));
    printf(", made %s", print_member(a, 0, "lookup_made", value, sizeof(value)));
    printf(", to be replaced by %s\n", print_member(a, 0, "lookup_until", value, sizeof(value)));
    if (strcmp(print_member(a, 0, "lookup_replacing", value, sizeof(value)), "true") == 0)
        printf("look-up key: being replaced; both live until the index is made anew\n");
    if (strcmp(print_member(a, 0, "lookup_error", value, sizeof(value)), "ok") != 0)
        printf("look-up key: NOT replaced, tried again by the hour (%s; the log says why)\n",
               value);
}

int cmd_keys_status(const struct cli_call *call)
{
    struct control_answer a;
    if (control_call(call, HTTP_GET, "/sluis/v1/keys", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        tell_status(&a);
    control_free(&a);
    return CLI_DONE;
}

static void tell_log_key(const struct control_answer *a)
{
    struct span text = buffer_span(&a->text), rest = span_from(text, sizeof("{\"log_key\":\"") - 1);
    rest = span_sub(rest, 0, span_find(rest, '"'));
    printf("log key: %.*s\n", (int)rest.n, rest.p);
    fprintf(stderr,
            "The access log is signed with this key from now on; the change is signed by the "
            "old one and the new one, and stands in every export. Who keeps the old key "
            "needs no other.\n");
}

int cmd_keys_rotate(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    buffer_init(&body, 4096);
    int r = 0;
    if (cli_has(call, "--log"))
        buffer_add(&body, SPAN("{\"log\":true}"));
    else if (cli_has(call, "--lookup"))
        buffer_add(&body, SPAN("{\"lookup\":true}"));
    else if (cli_has(call, "--passphrase"))
        r = keys_passphrase_body(call, &body);
    else
        buffer_add(&body, SPAN("{}"));
    if (r == 0)
        r = control_call(call, HTTP_POST, "/sluis/v1/keys/rotate", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (!print_json(call, &a) && cli_has(call, "--log")) {
        tell_log_key(&a);
    } else if (!cli_has(call, "--json")) {
        printf("%s", cli_has(call, "--lookup")
                         ? "the index is being made anew; `sluis keys status` says when\n"
                         : "the keyring is sealed under a new root key; the old one opens nothing "
                           "any more\n");
        tell_status(&a);
    }
    control_free(&a);
    return CLI_DONE;
}

int keys_passphrase_read(const struct cli_call *call, char out[PASSPHRASE_SIZE], size_t *n)
{
    const char *file = cli_value(call, "--passphrase", 0);
    bool standard = !file || strcmp(file, "-") == 0;
    ssize_t got = 1;
    *n = 0;
    if (standard && isatty(STDIN_FILENO))
        fprintf(stderr, "passphrase (it shows on this terminal; `-p FILE` reads a file): ");
    int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && *n < PASSPHRASE_SIZE && !memchr(out, '\n', *n) &&
           (got = read(fd, out + *n, PASSPHRASE_SIZE - *n)) > 0)
        *n += (size_t)got;
    if (fd > STDERR_FILENO)
        close(fd);
    const char *end = memchr(out, '\n', *n);
    if (end)
        *n = (size_t)(end - out);
    if (*n > 0 && out[*n - 1] == '\r')
        (*n)--;
    if (fd >= 0 && got >= 0 && *n >= KEYRING_PASSPHRASE_MIN && *n < PASSPHRASE_SIZE)
        return CLI_DONE;
    fprintf(stderr, "sluis %s: a passphrase of %d to %d bytes on one line was expected %s %s\n",
            call->command->name, KEYRING_PASSPHRASE_MIN, PASSPHRASE_SIZE - 1,
            standard ? "on" : "in", standard ? "standard input" : file);
    sodium_memzero(out, PASSPHRASE_SIZE);
    return CLI_FAILED;
}

/* From a file or standard input, never from the command line, where every process sees it. */
int keys_passphrase_body(const struct cli_call *call, struct buffer *out)
{
    char text[PASSPHRASE_SIZE];
    size_t n;
    if (keys_passphrase_read(call, text, &n) != CLI_DONE)
        return CLI_FAILED;
    buffer_add(out, SPAN("{\"passphrase\":"));
    json_quote(out, span_of(text, n));
    buffer_add_char(out, '}');
    sodium_memzero(text, sizeof(text));
    return CLI_DONE;
}

int cmd_keys_unseal(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    buffer_init(&body, 16 * 1024);
    int r = keys_passphrase_body(call, &body);
    if (r == 0)
        r = control_call(call, HTTP_POST, "/sluis/v1/keys/unseal", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("unsealed\n");
    control_free(&a);
    return CLI_DONE;
}

/* The public half of a recovery key, beside the keyring, unless there is one. */
static int put_public(const char *keys_path, const uint8_t public_key[KEYRING_RECOVERY_KEY],
                      bool *made)
{
    char path[1024], text[HEX + 2];
    *made = false;
    snprintf(path, sizeof(path), "%s/" RECOVERY_FILE, keys_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return CLI_DONE;
    if (fd < 0) {
        fprintf(stderr, "sluis: %s: %s\n", path, strerror(errno));
        return CLI_FAILED;
    }
    hex_encode(public_key, KEYRING_RECOVERY_KEY, text);
    text[HEX] = '\n';
    *made = write(fd, text, HEX + 1) == HEX + 1 && fsync(fd) == 0;
    close(fd);
    if (!*made)
        unlink(path);
    return *made ? CLI_DONE : CLI_FAILED;
}

int keys_recovery_make(const char *keys_path, char secret[HEX + 1], bool *made)
{
    uint8_t public_key[KEYRING_RECOVERY_KEY], secret_key[KEYRING_RECOVERY_KEY];
    keyring_recovery_make(public_key, secret_key);
    int r = put_public(keys_path, public_key, made);
    if (*made)
        hex_encode(secret_key, sizeof(secret_key), secret);
    sodium_memzero(secret_key, sizeof(secret_key));
    return r;
}

int keys_recovery_put(const char *keys_path, const uint8_t secret[KEYRING_RECOVERY_KEY])
{
    uint8_t public_key[KEYRING_RECOVERY_KEY];
    bool made;
    if (crypto_scalarmult_base(public_key, secret) != 0)
        return CLI_FAILED;
    return put_public(keys_path, public_key, &made);
}

void keys_recovery_tell(const char *keys_path)
{
    fflush(stdout); /* "above" is to hold in a file that takes both, too */
    fprintf(
        stderr,
        "The recovery secret above is shown this once. It opens backups of the keyring: keep it\n"
        "in a safe, apart from them and from this machine. Its public half is in\n"
        "%s/" RECOVERY_FILE ".\n",
        keys_path);
}

int cmd_keys_recovery(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32], secret[HEX + 1];
    struct config *config;
    bool made = false;
    if (sodium_init() < 0 || config_load(file ? file : CLI_CONFIG, &config, &diag) != 0) {
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
        return CLI_FAILED;
    }
    int r = keys_recovery_make(config->keys_path, secret, &made);
    if (r == CLI_DONE && !made) {
        fprintf(stderr,
                "sluis keys recovery: there is one already (%s/" RECOVERY_FILE
                "); remove that file "
                "to make another: older keyring backups keep theirs\n",
                config->keys_path);
        r = CLI_FAILED;
    } else if (made) {
        printf("%s\n", secret);
        keys_recovery_tell(config->keys_path);
    }
    sodium_memzero(secret, sizeof(secret));
    config_unref(config);
    return r;
}

/* ---- doctor --store ---- */

#define COUNTS 10
static const char *const count_names[COUNTS] = {"opened", "expired", "past", "unplaced", "moved",
                                                "leaves", "blocks",  "rows", "unsealed", "damaged"};

static void add_counts(const struct control_answer *a, unsigned long long sums[COUNTS])
{
    uint32_t counts = json_get(&a->json, 0, SPAN("counts"));
    for (size_t i = 0; i < COUNTS; i++) {
        uint64_t n = 0;
        if (json_u64(&a->json, json_get(&a->json, counts, span_str(count_names[i])), &n) == 0)
            sums[i] += n;
    }
}

static void tell_sums(const struct cli_call *call, const unsigned long long sums[COUNTS])
{
    bool json = cli_has(call, "--json");
    for (size_t i = 0; i < COUNTS; i++) {
        if (json)
            printf("%s\"%s\":%llu%s", i ? "," : "{\"counts\":{", count_names[i], sums[i],
                   i + 1 == COUNTS ? "}}\n" : "");
        else
            printf("%12llu  %s\n", sums[i], count_names[i]);
    }
}

int doctor_store(const struct cli_call *call)
{
    unsigned long long sums[COUNTS] = {0};
    char place[2 * (2 + 64) + 1] = "", more[8] = "true";
    while (strcmp(more, "true") == 0) {
        struct control_answer a;
        struct buffer body;
        buffer_init(&body, 512);
        buffer_addf(&body, "{\"place\":\"%s\"}", place);
        int r = control_call(call, HTTP_POST, "/sluis/v1/doctor/store", buffer_span(&body), &a);
        buffer_free(&body);
        if (r != 0)
            return r;
        print_member(&a, 0, "more", more, sizeof(more));
        print_member(&a, 0, "place", place, sizeof(place));
        add_counts(&a, sums);
        uint32_t list = json_get(&a.json, 0, SPAN("damaged"));
        if (!cli_has(call, "--json"))
            print_damaged(&a, list);
        else if (json_first(&a.json, list) != JSON_NONE)
            printf("{\"damaged\":%.*s}\n", (int)json_raw(&a.json, list).n,
                   json_raw(&a.json, list).p);
        control_free(&a);
    }
    tell_sums(call, sums);
    return sums[COUNTS - 1] ? CLI_FAILED : CLI_DONE;
}
