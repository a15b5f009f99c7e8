/*
 * A real disk: ext4 on a loop device, taken away under load as a failing disk takes itself away
 * (EXT4_IOC_SHUTDOWN without a flush of the journal: from then on every write and sync fails, and
 * what was not synced is gone). The store must seal itself, and after mounting again every
 * acknowledged message must be there. The control, without syncs, must lose some.
 *
 * Skipped (77) where mounting is not permitted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define SHUTDOWN_REQUEST _IOR('X', 125, uint32_t) /* EXT4_IOC_SHUTDOWN */
#define SHUTDOWN_NO_FLUSH 2u                      /* EXT4_GOING_FLAGS_NOLOGFLUSH */
#define MESSAGES 300

struct disk {
    char folder[256], image[300], mounted[300], store[320];
};

/* `before`'path'`between`'path'`after` through the shell; folders are ours and hold no quote. */
static int command(const char *before, const char *path, const char *between, const char *to)
{
    char line[1024];
    (void)snprintf(line, sizeof(line), "%s '%s' %s%s%s%s >/dev/null 2>&1", before, path, between,
                   to ? "'" : "", to ? to : "", to ? "'" : "");
    return system(line);
}

static bool disk_mount(struct disk *d)
{
    return command("mount -o loop", d->image, "", d->mounted) == 0;
}

static bool disk_make(struct disk *d)
{
    test_folder(d->folder);
    (void)snprintf(d->image, sizeof(d->image), "%s/image", d->folder);
    (void)snprintf(d->mounted, sizeof(d->mounted), "%s/mounted", d->folder);
    (void)snprintf(d->store, sizeof(d->store), "%s/store", d->mounted);
    return mkdir(d->folder, 0700) == 0 && mkdir(d->mounted, 0700) == 0 &&
           command("truncate -s 64M", d->image, "", NULL) == 0 &&
           command("mkfs.ext4 -q -F", d->image, "", NULL) == 0 && disk_mount(d);
}

static void disk_free(struct disk *d)
{
    (void)umount2(d->mounted, MNT_DETACH);
    test_folder_remove(d->folder);
}

static void disk_shut_down(const struct disk *d)
{
    uint32_t how = SHUTDOWN_NO_FLUSH;
    int fd = open(d->mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SHUTDOWN_REQUEST, &how), 0);
    (void)close(fd);
}

static int run_message(struct store_txn *txn, void *ctx)
{
    return test_message_put(txn, ctx);
}

/* Stores, fails, mounts again; how many of the acknowledged are missing. */
static size_t fail_and_count(struct disk *d, bool no_sync)
{
    static struct test_message messages[MESSAGES];
    struct test_message late = {.subject = 3};
    struct store_config config;
    struct store_status status;
    struct store *store;
    struct store_read *read;
    struct diag diag;
    size_t missing = 0;

    test_config(&config, d->store);
    config.map_size = 32u * 1024 * 1024;
    config.no_sync = no_sync;
    assert_int_equal(store_open(&config, &store, &diag), 0);
    for (size_t i = 0; i < MESSAGES; i++) {
        messages[i] = (struct test_message){.serial = store_next_serial(store), .subject = 3};
        assert_int_equal(test_run(store, run_message, &messages[i]), 0);
    }
    disk_shut_down(d);
    late.serial = store_next_serial(store);
    int rc = test_run(store, run_message, &late);
    assert_int_equal(rc, SLUIS_EIO);
    rc = test_run(store, run_message, &late);
    assert_int_equal(rc, SLUIS_ESEALED);
    store_status(store, &status);
    assert_int_equal(status.state, STORE_SEALED);
    assert_false(status.reads_allowed);
    store_close(store);

    assert_int_equal(umount(d->mounted), 0);
    assert_true(disk_mount(d));
    config.no_sync = false;
    if (store_open(&config, &store, &diag) != 0)
        return MESSAGES;
    assert_int_equal(store_read_begin(store, &read), 0);
    for (size_t i = 0; i < MESSAGES; i++)
        missing += test_message_check(read, &messages[i]) != 0;
    store_read_end(read);
    store_close(store);
    return missing;
}

static void test_disk_fails(void **state)
{
    struct disk d;

    (void)state;
    if (!disk_make(&d)) {
        disk_free(&d);
        skip();
    }
    size_t missing = fail_and_count(&d, false);
    disk_free(&d);
    print_message("%d acknowledged, %zu missing\n", MESSAGES, missing);
    assert_int_equal(missing, 0);
}

static void test_control_no_sync(void **state)
{
    struct disk d;

    (void)state;
    if (!disk_make(&d)) {
        disk_free(&d);
        skip();
    }
    size_t missing = fail_and_count(&d, true);
    disk_free(&d);
    print_message("without sync: %d acknowledged, %zu missing\n", MESSAGES, missing);
    assert_true(missing > 0);
}

/* Something else takes the whole disk: full, not broken; and on again when it is given back. */
static int run_filler(struct store_txn *txn, void *ctx)
{
    static uint8_t bytes[100000];
    struct record_id id = {.cls = 5, .bucket = 1, .serial = *(uint64_t *)ctx, .part = 'O'};
    store_put_record(txn, &id, span_of(bytes, sizeof(bytes)));
    return store_txn_error(txn);
}

static void test_disk_full(void **state)
{
    static char bytes[1024 * 1024];
    struct test_message before = {.serial = 1, .subject = 3}, after = {.serial = 2, .subject = 3};
    struct store_config config;
    struct store_status status;
    struct store *store;
    struct store_read *read;
    struct diag diag;
    struct disk d;
    char other[400];

    (void)state;
    if (!disk_make(&d)) {
        disk_free(&d);
        skip();
    }
    test_config(&config, d.store);
    assert_int_equal(store_open(&config, &store, &diag), 0);
    assert_int_equal(test_run(store, run_message, &before), 0);
    (void)snprintf(other, sizeof(other), "%s/other", d.mounted);
    int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, bytes, sizeof(bytes)) > 0)
        ;
    (void)close(fd);
    int rc = 0;
    for (uint64_t serial = 10; rc == 0 && serial < 2000; serial++)
        rc = test_run_at(store, STORE_PURGE, run_filler, &serial);
    assert_int_equal(rc, SLUIS_EFULL);
    store_status(store, &status);
    assert_int_equal(status.state, STORE_FULL);
    assert_int_equal(test_run(store, run_message, &after), SLUIS_EFULL);
    assert_int_equal(store_read_begin(store, &read), 0);
    assert_int_equal(test_message_check(read, &before), 0);
    store_read_end(read);
    assert_int_equal(unlink(other), 0);
    for (int i = 0; i < 6000 && status.state != STORE_READY; i++) {
        usleep(10000);
        store_status(store, &status);
    }
    assert_int_equal(status.state, STORE_READY);
    assert_int_equal(test_run(store, run_message, &after), 0);
    store_close(store);

    /* read-only: refused with a reason, and nothing is harmed */
    assert_int_equal(umount(d.mounted), 0);
    assert_int_equal(command("mount -o loop,ro", d.image, "", d.mounted), 0);
    diag.text[0] = '\0';
    assert_int_not_equal(store_open(&config, &store, &diag), 0);
    assert_non_null(strstr(diag.text, "Read-only"));
    assert_int_equal(umount(d.mounted), 0);
    assert_true(disk_mount(&d));
    assert_int_equal(store_open(&config, &store, &diag), 0);
    assert_int_equal(store_read_begin(store, &read), 0);
    assert_int_equal(test_message_check(read, &before), 0);
    assert_int_equal(test_message_check(read, &after), 0);
    store_read_end(read);
    store_close(store);
    disk_free(&d);
}

int main(void)
{
    struct disk d;
    bool can = disk_make(&d);
    disk_free(&d);
    if (!can) {
        print_message("skipped: no loop mount permitted\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk_fails),
        cmocka_unit_test(test_control_no_sync),
        cmocka_unit_test(test_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
