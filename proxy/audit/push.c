/* The file that takes checkpoints out of the machine: appended to, never rewritten. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_MAX (16 * 1024) /* read of the file's end: some fifty checkpoints */
#define PATH_ROOM 4096

static ssize_t read_tail(int fd, off_t from, char *out, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t r = pread(fd, out + have, n - have, from + (off_t)have);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        have += (size_t)r;
    }
    return (ssize_t)have;
}

/* The last checkpoint of this log in the text; *end: where it ends. */
static int find_last(struct span text, const struct key_chain *chain, struct checkpoint *out,
                     bool *newest_key, size_t *end)
{
    const struct note_key *newest = key_chain_last(chain);
    struct checkpoint found;
    int result = SLUIS_EDENIED;
    for (size_t i = 0; i < text.n; i += span_find(span_from(text, i), '\n') + 1) {
        struct span rest = span_from(text, i), note;
        struct key_change change;
        if (i && text.p[i - 1] != '\n')
            continue;
        if (key_change_is(rest)) { /* a line end of ours behind it, if not a checkpoint */
            if (note_next(&rest, &note) == 0 && key_change_read(note, &change) == 0)
                *end = i + note.n;
            continue;
        }
        if (!span_starts(rest, span_str(newest->name)) || note_next(&rest, &note) != 0 ||
            key_chain_open(chain, note, &found) != 0)
            continue;
        *newest_key = checkpoint_open(note, newest, &found) == 0;
        if (!*newest_key && key_chain_open(chain, note, &found) != 0)
            continue;
        *out = found;
        out->extension = SPAN_EMPTY;
        *end = i + note.n;
        result = 0;
    }
    return result;
}

int push_look(const char *file, const struct key_chain *chain, struct checkpoint *out)
{
    char tail[TAIL_MAX];
    struct stat st;
    bool newest;
    size_t end;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
    int r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? 0 : SLUIS_ESYS;
    off_t from = r == 0 && st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
    ssize_t n = r == 0 ? read_tail(fd, from, tail, sizeof(tail)) : 0;
    close(fd);
    if (r != 0 || n < 0)
        return SLUIS_ESYS;
    return n == 0 ? SLUIS_ENOENT : find_last(span_of(tail, (size_t)n), chain, out, &newest, &end);
}

int push_last(const char *file, const struct key_chain *chain, struct checkpoint *out,
              bool *newest_key)
{
    char tail[TAIL_MAX];
    struct stat st;
    size_t end = 0;
    int fd = open(file, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
    int r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? 0 : SLUIS_ESYS;
    off_t from = r == 0 && st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
    ssize_t n = r == 0 ? read_tail(fd, from, tail, sizeof(tail)) : 0;
    if (n < 0)
        r = SLUIS_ESYS;
    else if (r == 0)
        r = n == 0 ? SLUIS_ENOENT
                   : find_last(span_of(tail, (size_t)n), chain, out, newest_key, &end);
    /* Behind it stands an empty line, or what a crash left of the next. */
    if (r == 0 && ((size_t)n != end + 1 || tail[end] != '\n') &&
        (ftruncate(fd, from + (off_t)end) != 0 || pwrite(fd, "\n", 1, from + (off_t)end) != 1 ||
         fsync(fd) != 0))
        r = SLUIS_ESYS;
    close(fd);
    return r;
}

static int write_all(int fd, struct span text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return SLUIS_ESYS;
        text = span_from(text, (size_t)n);
    }
    return 0;
}

/* A new name in a folder is durable when the folder is. */
static int sync_folder(const char *file)
{
    char path[PATH_ROOM];
    int n = snprintf(path, sizeof(path), "%s", file);
    if (n < 0 || (size_t)n >= sizeof(path))
        return SLUIS_ESYS;
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 && fsync(fd) == 0 ? 0 : SLUIS_ESYS;
    if (fd >= 0)
        close(fd);
    return r;
}

int push_note(const char *file, struct span note)
{
    struct stat st;
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0)
        return SLUIS_ESYS;
    int r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? 0 : SLUIS_ESYS;
    if (r == 0) {
        r = write_all(fd, note);
        if (r == 0)
            r = write_all(fd, SPAN("\n"));
        if (r == 0 && fsync(fd) != 0)
            r = SLUIS_ESYS;
        if (r != 0 && ftruncate(fd, st.st_size) != 0)
            r = SLUIS_EIO; /* the next start cuts it off */
    }
    close(fd);
    return r == 0 && st.st_size == 0 ? sync_folder(file) : r;
}
