/* Paths, readable files and secrets. A secret's bytes go from the file into guarded memory and
 * nowhere else; diagnoses name the file, never what is in it. */
#include "config_room.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int config_take_path(const struct loader *l, const struct yaml_node *node, const char **out)
{
    char path[CONFIG_PATH_MAX + 1];
    const char *text = node->text;
    bool absolute = text[0] == '/' || strcmp(l->folder, ".") == 0;
    int n = snprintf(path, sizeof(path), "%s%s%s", absolute ? "" : l->folder, absolute ? "" : "/",
                     text);
    if (!text[0] || n < 0 || (size_t)n >= sizeof(path))
        return yaml_error(l->doc, node, l->diag, "\"%s\": expected a path of 1 to %d bytes",
                          node->key, CONFIG_PATH_MAX);
    *out = arena_try_str(&l->snapshot->arena, span_of(path, (size_t)n));
    return *out ? 0 : config_no_memory(l);
}

/* Opens a regular file for reading; -1 with a diagnosis. */
static int open_file(const struct loader *l, const struct yaml_node *node, const char *path,
                     struct stat *st)
{
    struct yaml_quote quote;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, st) != 0) {
        yaml_error(l->doc, node, l->diag, "\"%s\": cannot open %s: %s", node->key,
                   yaml_quote(&quote, path), strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (!S_ISREG(st->st_mode)) {
        yaml_error(l->doc, node, l->diag, "\"%s\": %s is not a file", node->key,
                   yaml_quote(&quote, path));
        close(fd);
        return -1;
    }
    return fd;
}

int config_take_file(const struct loader *l, const struct yaml_node *node, const char **out)
{
    struct stat st;
    if (!node)
        return 0;
    int error = config_take_path(l, node, out);
    if (error)
        return error;
    int fd = open_file(l, node, *out, &st);
    if (fd < 0)
        return SLUIS_EINVAL;
    close(fd);
    return 0;
}

/* ---- where a secret is ---- */

static int credential_path(const struct loader *l, const struct yaml_node *node, const char **out)
{
    struct yaml_quote quote;
    const char *name = node->text;
    size_t n = strlen(name);
    if (!n || n > 255 || name[0] == '.' || strchr(name, '/'))
        return yaml_error(l->doc, node, l->diag, "%s is not the name of a credential",
                          yaml_quote(&quote, name));
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || folder[0] != '/')
        return yaml_error(l->doc, node, l->diag,
                          "credential %s: $CREDENTIALS_DIRECTORY is not set; systemd sets it with "
                          "LoadCredential=, by hand name the folder of the secrets: "
                          "CREDENTIALS_DIRECTORY=/etc/sluis/secrets sluis ...",
                          yaml_quote(&quote, name));
    char path[CONFIG_PATH_MAX + 1];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return yaml_error(l->doc, node, l->diag, "credential %s: its path is too long",
                          yaml_quote(&quote, name));
    *out = arena_try_str(&l->snapshot->arena, span_of(path, (size_t)length));
    return *out ? 0 : config_no_memory(l);
}

/* The one child of {credential: …} or {file: …}. */
static int secret_node(const struct loader *l, const struct yaml_node *node,
                       const struct yaml_node **out)
{
    if (node->kind == YAML_SCALAR && !yaml_is_null(node))
        return yaml_error(l->doc, node, l->diag,
                          "%s%s%sa secret is never written in this file, since it is copied, "
                          "mailed and kept in version control: {credential: NAME} or {file: PATH}",
                          node->key ? "\"" : "", node->key ? node->key : "",
                          node->key ? "\": " : "");
    int error = config_check(l, node, CONFIG_KEYS_SECRET);
    if (error)
        return error;
    if (config_count(node) != 1)
        return yaml_error_key(l->doc, node, l->diag,
                              "expected one of {credential: NAME} and {file: PATH}");
    *out = node->child;
    return 0;
}

/* Opens the secret's file. systemd guards its credentials with access lists, which show as group
 * bits; for other files the mode is all there is. */
static int open_secret(const struct loader *l, const struct yaml_node *node, const char *path,
                       struct stat *st)
{
    struct yaml_quote quote;
    int fd = open_file(l, node, path, st);
    if (fd < 0 || strcmp(node->key, "credential") == 0)
        return fd;
    if (st->st_mode & (S_IRWXG | S_IRWXO)) {
        yaml_error(l->doc, node, l->diag,
                   "secret file %s can be reached by others than its owner (mode %04o): chmod 600",
                   yaml_quote(&quote, path), (unsigned)st->st_mode & 07777);
        close(fd);
        return -1;
    }
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        yaml_error(l->doc, node, l->diag, "secret file %s belongs to another user",
                   yaml_quote(&quote, path));
        close(fd);
        return -1;
    }
    return fd;
}

static int find_secret(const struct loader *l, const struct yaml_node *node,
                       const struct yaml_node **where, const char **path)
{
    int error = secret_node(l, node, where);
    if (error)
        return error;
    bool credential = strcmp((*where)->key, "credential") == 0;
    return credential ? credential_path(l, *where, path) : config_take_path(l, *where, path);
}

int config_take_secret_path(const struct loader *l, const struct yaml_node *node, const char **out)
{
    const struct yaml_node *where;
    struct stat st;
    int error = find_secret(l, node, &where, out);
    if (error)
        return error;
    int fd = open_secret(l, where, *out, &st);
    if (fd < 0)
        return SLUIS_EINVAL;
    close(fd);
    return 0;
}

/* ---- its bytes ---- */

#define SECRET_ROOM (CONFIG_SECRET_MAX + 3) /* a line end of two, and one byte to see "longer" */

static char *reserve(struct snapshot *snapshot)
{
    struct slab *slab = snapshot->slabs;
    if (slab && CONFIG_SLAB - slab->used >= SECRET_ROOM)
        return slab->p + slab->used;
    slab = calloc(1, sizeof(*slab));
    if (!slab)
        return NULL;
    slab->p = sodium_malloc(CONFIG_SLAB);
    if (!slab->p) {
        free(slab);
        return NULL;
    }
    slab->next = snapshot->slabs;
    snapshot->slabs = slab;
    return slab->p;
}

/* Reads until the end or until `size` bytes; the number, or -1. */
static ssize_t read_all(int fd, char *p, size_t size)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

/* What is wrong with the secret, or NULL. They travel in headers and query strings. */
static const char *secret_fault(const char *p, size_t n)
{
    if (n == 0)
        return "is empty";
    if (n > CONFIG_SECRET_MAX)
        return "is longer than 512 bytes";
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x21 || p[i] > 0x7e)
            return "holds something else than printable ASCII (a space, a second line, a NUL)";
    if (n < CONFIG_SECRET_LEAST)
        return "is shorter than 8 bytes";
    return NULL;
}

int config_take_secret(const struct loader *l, const struct yaml_node *node, struct span *out)
{
    const struct yaml_node *where;
    const char *path;
    struct stat st;
    struct yaml_quote quote;
    int error = find_secret(l, node, &where, &path);
    if (error)
        return error;
    int fd = open_secret(l, where, path, &st);
    if (fd < 0)
        return SLUIS_EINVAL;
    char *p = reserve(l->snapshot);
    ssize_t got = p ? read_all(fd, p, SECRET_ROOM) : 0;
    int saved = errno;
    close(fd);
    if (!p)
        return config_no_memory(l);
    if (got < 0)
        return yaml_error(l->doc, where, l->diag, "cannot read secret file %s: %s",
                          yaml_quote(&quote, path), strerror(saved));
    size_t n = (size_t)got;
    if (n && p[n - 1] == '\n')
        n--;
    if (n && p[n - 1] == '\r')
        n--;
    const char *fault = secret_fault(p, n);
    if (fault)
        return yaml_error(l->doc, where, l->diag, "the secret in %s %s", yaml_quote(&quote, path),
                          fault);
    l->snapshot->slabs->used += n;
    *out = span_of(p, n);
    return 0;
}

void config_protect_secrets(struct snapshot *snapshot)
{
    for (struct slab *s = snapshot->slabs; s; s = s->next)
        sodium_mprotect_readonly(s->p);
}

void config_free_secrets(struct snapshot *snapshot)
{
    while (snapshot->slabs) {
        struct slab *next = snapshot->slabs->next;
        sodium_free(snapshot->slabs->p);
        free(snapshot->slabs);
        snapshot->slabs = next;
    }
}
