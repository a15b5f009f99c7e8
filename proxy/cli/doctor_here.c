/*
 * What `sluis doctor` can see without the gateway: configuration, certificates, folders, disk, and
 * when it does not run, its keys and ports. Nothing is opened that a running gateway holds.
 */
#include "doctor.h"

#include "sluis/config.h"
#include "sluis/gateway.h"
#include "sluis/keyring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_LOW_MIB 1024 /* less than this beside the store's size: something else may fill it */

void doctor_find(struct doctor_report *r, enum doctor_level level, const char *format, ...)
{
    static const char *const words[] = {"ok", "warning", "fault"};
    char text[DOCTOR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    r->counts[level]++;
    if (r->json) {
        buffer_addf(&r->out, "%s{\"level\":\"%s\",\"text\":", r->out.n ? "," : "", words[level]);
        json_quote(&r->out, span_str(text));
        buffer_add_char(&r->out, '}');
    } else {
        printf("%-8s %s\n", words[level], text);
    }
}

static void on_warning(void *ctx, const struct gateway_warning *w)
{
    bool ended = strcmp(w->word, "expires_soon") != 0;
    doctor_find(ctx, ended ? DOCTOR_FAULT : DOCTOR_WARNING, "%s", w->text);
}

static void look_folder(struct doctor_report *r, const char *key, const char *path,
                        const char *file, const char *missing)
{
    struct stat st;
    char inside[PATH_MAX];
    int n = snprintf(inside, sizeof(inside), "%s/%s", path, file);
    if (stat(path, &st) != 0)
        doctor_find(r, DOCTOR_FAULT, "%s %s: %s", key, path,
                    errno == ENOENT ? missing : strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        doctor_find(r, DOCTOR_FAULT, "%s %s: this is not a folder", key, path);
    else if (st.st_mode & 077)
        doctor_find(r, DOCTOR_FAULT, "%s %s: others can enter it (mode %04o): chmod 700", key, path,
                    (unsigned)st.st_mode & 07777);
    else if (n > 0 && (size_t)n < sizeof(inside) && access(inside, F_OK) != 0)
        doctor_find(r, DOCTOR_FAULT, "%s %s: %s", key, path,
                    errno == ENOENT ? missing : strerror(errno));
    else
        doctor_find(r, DOCTOR_OK, "%s %s", key, path);
}

/* As a start would, when none could be under way: the root key's form, and whether it opens. */
static void look_root_key(struct doctor_report *r, const struct config *config)
{
    const struct keyring_config keys = {.path = config->keys_path,
                                        .root_file = config->keys_root_file};
    struct keyring *keyring = NULL;
    struct diag diag = {.text = ""};
    struct stat st;
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    if (r->running || !keys.root_file || stat(keys.path, &st) != 0 || st.st_uid != geteuid())
        return;
    int result = keyring_open(&keys, &keyring, &diag);
    if (result == 0)
        keyring_close(keyring);
    else if (result != SLUIS_ENOENT) /* said already */
        doctor_find(r, DOCTOR_FAULT, "keyring: %s", diag_line(&diag, line, sizeof(line)));
}

static void look_disk(struct doctor_report *r, const struct config *config)
{
    struct statvfs disk;
    struct stat file = {.st_blocks = 0};
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/data.mdb", config->store_path);
    if (statvfs(config->store_path, &disk) != 0)
        return; /* said already */
    if (n < 1 || (size_t)n >= sizeof(path) || stat(path, &file) != 0)
        file.st_blocks = 0;
    uint64_t free_mib = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
    uint64_t has_mib = (uint64_t)file.st_blocks * 512 >> 20, size_mib = config->store_size >> 20;
    uint64_t wants_mib = size_mib > has_mib ? size_mib - has_mib : 0;
    if (free_mib < wants_mib)
        doctor_find(
            r, config->store_preallocate && !has_mib ? DOCTOR_FAULT : DOCTOR_WARNING,
            "disk of %s: %llu MiB free, the store may still grow by %llu MiB: make room, or "
            "make store.size smaller",
            config->store_path, (unsigned long long)free_mib, (unsigned long long)wants_mib);
    else if (free_mib - wants_mib < DISK_LOW_MIB)
        doctor_find(
            r, DOCTOR_WARNING,
            "disk of %s: %llu MiB free beside the store: pictures and the keyring need room",
            config->store_path, (unsigned long long)(free_mib - wants_mib));
    else
        doctor_find(r, DOCTOR_OK, "disk of %s: %llu MiB free", config->store_path,
                    (unsigned long long)free_mib);
}

/* "127.0.0.1:443" or "[::1]:443"; the configuration has been through the same check. */
static socklen_t parse_address(const char *text, struct sockaddr_storage *out)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    bool six = text[0] == '[' && n > 2;
    memset(out, 0, sizeof(*out));
    if (!n || n >= sizeof(host))
        return 0;
    memcpy(host, six ? text + 1 : text, six ? n - 2 : n);
    host[six ? n - 2 : n] = '\0';
    in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (six) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = port;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? sizeof(*v6) : 0;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? sizeof(*v4) : 0;
}

static void look_port(struct doctor_report *r, const char *name, const char *address)
{
    struct sockaddr_storage where;
    const int one = 1;
    socklen_t size = parse_address(address, &where);
    int fd = size ? socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&where, size) != 0)
        doctor_find(r, DOCTOR_FAULT, "listener %s: %s cannot be listened on: %s%s", name, address,
                    strerror(errno),
                    errno == EADDRINUSE      ? " (ss -ltnp says by whom)"
                    : errno == EACCES        ? " (ports below 1024 need CAP_NET_BIND_SERVICE)"
                    : errno == EADDRNOTAVAIL ? " (ip addr shows this machine's addresses)"
                                             : "");
    close(fd);
}

void doctor_here(struct doctor_report *r, const char *file)
{
    static const char *const names[] = {"meta", "tools", "admin"};
    struct config *config;
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    if (config_load(file, &config, &diag) != 0) {
        doctor_find(r, DOCTOR_FAULT, "configuration: %s", diag_line(&diag, line, sizeof(line)));
        return;
    }
    if (gateway_check(config, on_warning, r, &diag) != 0)
        doctor_find(r, DOCTOR_FAULT, "configuration: %s", diag_line(&diag, line, sizeof(line)));
    else
        doctor_find(r, DOCTOR_OK, "configuration %s", file);
    look_folder(
        r, "keyring", config->keys_path, "epoch",
        "there is no keyring: sluis keys init makes that of a new installation (is its disk "
        "mounted?)");
    look_root_key(r, config);
    look_folder(r, "store", config->store_path, "data.mdb",
                "there is no store: the first start makes it (is its disk mounted?)");
    look_disk(r, config);
    for (unsigned i = 0; !r->running && i < CONFIG_LISTENERS; i++)
        if (config->listeners[i].present)
            look_port(r, names[i], config->listeners[i].address);
    config_unref(config);
}
