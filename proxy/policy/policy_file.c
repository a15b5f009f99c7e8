/* A policy from its file. An editor or a copy may be half-way through: a file that changes while it
 * is read, or was changed a moment ago and changes again, or ends within a line, is not taken. What
 * was read is parsed and hashed as one, so that a policy's hash is always that of what is in force.
 */
#include "policy_room.h"

#include <sys/stat.h>
#include <time.h>

#define STEADY_MS 20 /* a file written within this time is looked at once more after it */
#define TRIES 5

struct look {
    int64_t size, ino, changed_ns;
    bool there;
};

static struct look look(const char *file)
{
    struct stat s;
    if (stat(file, &s) != 0)
        return (struct look){.there = false};
    return (struct look){s.st_size, (int64_t)s.st_ino,
                         (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec, true};
}

static bool same(struct look a, struct look b)
{
    return a.there == b.there && a.size == b.size && a.ino == b.ino && a.changed_ns == b.changed_ns;
}

static bool fresh(struct look a)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* the file system's clock, not the one that tests shift */
    int64_t age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - a.changed_ns;
    return age >= 0 && age < (int64_t)STEADY_MS * 1000000;
}

int policy_load_file(const char *file, struct policy **out, struct diag *diag)
{
    *out = NULL;
    for (int i = 0; i < TRIES; i++) {
        struct yaml_doc *doc;
        struct look before = look(file);
        if (before.there && fresh(before)) {
            const struct timespec wait = {.tv_nsec = STEADY_MS * 1000000L};
            nanosleep(&wait, NULL);
            if (!same(before, look(file)))
                continue;
        }
        int error = yaml_parse_file(file, &doc, diag);
        if (!same(before, look(file))) {
            if (!error)
                yaml_free(doc);
            continue;
        }
        if (error)
            return error;
        struct span text = yaml_source(doc);
        if (text.p[text.n - 1] == '\n')
            return policy_load_doc(doc, out, diag);
        yaml_free(doc);
        diag_set(diag, file, 0, 0, "the last line has no end: is the file whole?");
        return SLUIS_EINVAL;
    }
    diag_set(diag, file, 0, 0, "the file is being written: try again");
    return SLUIS_EINVAL;
}
