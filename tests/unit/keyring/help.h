/* A keyring in a folder of its own under /tmp, for the tests of this room. */
#ifndef TEST_KEYRING_HELP_H
#define TEST_KEYRING_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "room.h"

struct place {
    char top[64], ring[96], root[96], epoch[112];
};

static inline void place_make(struct place *place)
{
    strcpy(place->top, "/tmp/sluis-keyring-XXXXXX");
    assert_non_null(mkdtemp(place->top));
    snprintf(place->ring, sizeof(place->ring), "%s/ring", place->top);
    snprintf(place->root, sizeof(place->root), "%s/root", place->top);
    snprintf(place->epoch, sizeof(place->epoch), "%s/epoch", place->ring);
}

static inline void place_remove(const struct place *place)
{
    char command[1024];
    snprintf(command, sizeof(command), "rm -rf '%s'", place->top);
    assert_int_equal(system(command), 0);
}

static inline void copy_folder(const char *from, const char *to)
{
    char command[1024];
    snprintf(command, sizeof(command), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
    assert_int_equal(system(command), 0);
}

static inline int place_open(const struct place *place, bool make, struct keyring **out)
{
    struct diag diag = {0};
    const struct keyring_config config = {
        .path = place->ring, .root_file = place->root, .make = make};
    return keyring_open(&config, out, &diag);
}

static inline struct record_id id_of(uint16_t cls, uint32_t bucket, uint64_t subject,
                                     uint64_t serial, uint8_t part)
{
    return (struct record_id){
        .cls = cls, .bucket = bucket, .subject = subject, .serial = serial, .part = part};
}

static inline void write_file(const char *path, const void *bytes, size_t n, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

#endif
