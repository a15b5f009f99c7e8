/* The keyring on disk: crash points, damage, wrong keys, owners and modes. */
#include "help.h"

#include <sys/wait.h>

#define LEAF_SERIAL 300

struct stop_at {
    unsigned step;
};

static int fault(void *ctx, unsigned step)
{
    const struct stop_at *stop = ctx;
    return step == stop->step;
}

static int open_with(const struct place *place, struct stop_at *stop, struct keyring **out)
{
    const struct keyring_config config = {.path = place->ring,
                                          .root_file = place->root,
                                          .make = stop != NULL,
                                          .fault = stop ? fault : NULL,
                                          .fault_ctx = stop};
    return keyring_open(&config, out, NULL);
}

static int seal_one(struct keyring *keyring, uint64_t serial, struct buffer *out)
{
    struct keyring_cache *cache;
    const struct record_id id = id_of(2, 9000, 20, serial, 'O');
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    int result = record_seal(cache, 1, &id, 1, SPAN("x"), out);
    keyring_cache_free(cache);
    return result;
}

static int open_one(struct keyring *keyring, uint64_t serial, struct span sealed)
{
    struct keyring_cache *cache;
    struct buffer out;
    const struct record_id id = id_of(2, 9000, 20, serial, 'O');
    buffer_init(&out, 4096);
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    int result = record_open(cache, 1, &id, sealed, &out);
    keyring_cache_free(cache);
    buffer_free(&out);
    return result;
}

static int puncture_one(struct keyring *keyring, uint32_t serial)
{
    const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = serial};
    return keyring_puncture(keyring, &leaf, 1);
}

static size_t count_covers(const struct place *place)
{
    char command[1024], text[16] = "";
    snprintf(command, sizeof(command), "ls '%s' | grep -c '^cover'", place->ring);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(text, sizeof(text), pipe));
    pclose(pipe);
    return strtoul(text, NULL, 10);
}

static bool slot_empty(const struct place *place, unsigned index)
{
    char slot[4096], zero[4096] = {0};
    int fd = open(place->epoch, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, slot, sizeof(slot), (off_t)index * 4096), sizeof(slot));
    close(fd);
    return memcmp(slot, zero, sizeof(slot)) == 0;
}

/* A crash after each of the six steps: what opens then is the keyring before or after, never
 * anything else; from step 3 on the new one, and the old slot is then overwritten. */
static void crash_points(void **state)
{
    (void)state;
    for (unsigned step = 1; step <= 6; step++) {
        struct place place;
        struct stop_at stop = {0};
        struct keyring *keyring;
        struct buffer dead, alive;
        struct keyring_status status;
        place_make(&place);
        buffer_init(&dead, 4096);
        buffer_init(&alive, 4096);
        assert_int_equal(open_with(&place, &stop, &keyring), 0);
        assert_int_equal(seal_one(keyring, LEAF_SERIAL, &dead), 0);
        assert_int_equal(seal_one(keyring, LEAF_SERIAL + 1, &alive), 0);
        stop.step = step;
        assert_int_equal(puncture_one(keyring, LEAF_SERIAL), SLUIS_EIO);
        /* in memory it is gone at once */
        assert_int_equal(open_one(keyring, LEAF_SERIAL, buffer_span(&dead)), SLUIS_EEXPIRED);
        keyring_close(keyring);

        assert_int_equal(open_with(&place, NULL, &keyring), 0);
        bool finished = step >= 3;
        keyring_status(keyring, &status);
        assert_int_equal(status.generation, finished ? 2 : 1);
        assert_int_equal(open_one(keyring, LEAF_SERIAL, buffer_span(&dead)),
                         finished ? SLUIS_EEXPIRED : 0);
        assert_int_equal(open_one(keyring, LEAF_SERIAL + 1, buffer_span(&alive)), 0);
        assert_int_equal(count_covers(&place), 1);
        assert_true(slot_empty(&place, finished ? 1 : 0));
        assert_false(slot_empty(&place, finished ? 0 : 1));
        /* and it goes on */
        assert_int_equal(puncture_one(keyring, LEAF_SERIAL), 0);
        assert_int_equal(open_one(keyring, LEAF_SERIAL, buffer_span(&dead)), SLUIS_EEXPIRED);
        keyring_close(keyring);
        buffer_free(&dead);
        buffer_free(&alive);
        place_remove(&place);
    }
}

/* A failure that is no crash: the same process tries again and gets there. */
static void failure_then_again(void **state)
{
    (void)state;
    for (unsigned step = 1; step <= 6; step++) {
        for (unsigned second = 0; second <= 6; second++) {
            struct place place;
            struct stop_at stop = {0};
            struct keyring *keyring;
            struct buffer dead, alive;
            struct keyring_status status;
            place_make(&place);
            buffer_init(&dead, 4096);
            buffer_init(&alive, 4096);
            assert_int_equal(open_with(&place, &stop, &keyring), 0);
            assert_int_equal(seal_one(keyring, LEAF_SERIAL, &dead), 0);
            assert_int_equal(seal_one(keyring, LEAF_SERIAL + 1, &alive), 0);
            stop.step = step;
            assert_int_equal(puncture_one(keyring, LEAF_SERIAL), SLUIS_EIO);
            keyring_status(keyring, &status);
            assert_true(status.behind);
            stop.step = second;
            int result = keyring_puncture(keyring, NULL, 0);
            assert_int_equal(result, second ? SLUIS_EIO : 0);
            keyring_status(keyring, &status);
            assert_int_equal(status.behind, second != 0);
            keyring_close(keyring); /* "crash" at the second attempt too */
            assert_int_equal(open_with(&place, NULL, &keyring), 0);
            assert_int_equal(open_one(keyring, LEAF_SERIAL + 1, buffer_span(&alive)), 0);
            int dead_result = open_one(keyring, LEAF_SERIAL, buffer_span(&dead));
            if (step >= 5 || second == 0 || second >= 3)
                assert_int_equal(dead_result, SLUIS_EEXPIRED);
            else
                assert_true(dead_result == 0 || dead_result == SLUIS_EEXPIRED);
            keyring_close(keyring);
            buffer_free(&dead);
            buffer_free(&alive);
            place_remove(&place);
        }
    }
}

/* What an old copy of the files can do after the puncture: nothing, without the old slot. */
static void old_cover_is_dead(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct buffer dead;
    char copy[128], command[1024];
    place_make(&place);
    snprintf(copy, sizeof(copy), "%s/copy", place.top);
    buffer_init(&dead, 4096);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    assert_int_equal(seal_one(keyring, LEAF_SERIAL, &dead), 0);
    keyring_close(keyring);
    copy_folder(place.ring, copy);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    assert_int_equal(puncture_one(keyring, LEAF_SERIAL), 0);
    keyring_close(keyring);
    /* the old cover brought back beside today's slots: not read, and removed */
    snprintf(command, sizeof(command), "cp '%s/cover.1' '%s/'", copy, place.ring);
    assert_int_equal(system(command), 0);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    assert_int_equal(open_one(keyring, LEAF_SERIAL, buffer_span(&dead)), SLUIS_EEXPIRED);
    assert_int_equal(count_covers(&place), 1);
    keyring_close(keyring);
    /* the old cover under the new one's name: refused */
    snprintf(command, sizeof(command), "cp '%s/cover.1' '%s/cover.2'", copy, place.ring);
    assert_int_equal(system(command), 0);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    /* the control: the whole old keyring, slots included, does open it */
    copy_folder(copy, place.ring);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    assert_int_equal(open_one(keyring, LEAF_SERIAL, buffer_span(&dead)), 0);
    keyring_close(keyring);
    buffer_free(&dead);
    place_remove(&place);
}

static void slot_patch(const struct place *place, size_t at, uint8_t flip)
{
    uint8_t byte;
    int fd = open(place->epoch, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= flip;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void damage(void **state)
{
    (void)state;
    struct place place, other;
    struct keyring *keyring;
    char slots[8192], swapped[8192], command[1024];
    place_make(&place);
    assert_int_equal(place_open(&place, true, &keyring), 0); /* generation 1 stands in slot 1 */
    keyring_close(keyring);
    /* every byte of the slot that means something; the zeros behind it do not */
    for (size_t at = 4096; at < 4096 + 104; at++) {
        slot_patch(&place, at, 0x20);
        assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
        assert_int_equal(place_open(&place, true, &keyring), SLUIS_ECRYPTO); /* never made anew */
        slot_patch(&place, at, 0x20);
    }
    /* a torn second slot: the good one is taken, the torn one overwritten */
    slot_patch(&place, 100, 0x55);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    keyring_close(keyring);
    assert_true(slot_empty(&place, 0));
    /* slots swapped */
    int fd = open(place.epoch, O_RDWR);
    assert_int_equal(pread(fd, slots, sizeof(slots), 0), sizeof(slots));
    memcpy(swapped, slots + 4096, 4096);
    memcpy(swapped + 4096, slots, 4096);
    assert_int_equal(pwrite(fd, swapped, sizeof(swapped), 0), sizeof(swapped));
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    assert_int_equal(pwrite(fd, slots, sizeof(slots), 0), sizeof(slots));
    close(fd);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    /* open twice */
    struct keyring *second;
    assert_int_equal(place_open(&place, false, &second), SLUIS_EEXIST);
    keyring_close(keyring);

    /* another installation's keyring, cover or slots, under our root key and under its own */
    place_make(&other);
    assert_int_equal(place_open(&other, true, &keyring), 0);
    keyring_close(keyring);
    char aside[128];
    snprintf(aside, sizeof(aside), "%s/aside", place.top);
    copy_folder(place.ring, aside);
    copy_folder(other.ring, place.ring);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    copy_folder(aside, place.ring);
    snprintf(command, sizeof(command), "cp '%s' '%s' && rm -rf '%s'", place.root, other.root,
             other.ring);
    assert_int_equal(system(command), 0);
    assert_int_equal(place_open(&other, true, &keyring), 0); /* same root key, other keyring */
    keyring_close(keyring);
    snprintf(command, sizeof(command), "cp '%s/cover.1' '%s/cover.1'", other.ring, place.ring);
    assert_int_equal(system(command), 0);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    copy_folder(aside, place.ring);
    snprintf(command, sizeof(command), "rm '%s/cover.1'", place.ring);
    assert_int_equal(system(command), 0);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    copy_folder(aside, place.ring);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    keyring_close(keyring);
    place_remove(&place);
    place_remove(&other);
}

static void cover_bytes(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    char cover[256];
    uint8_t bytes[1024];
    place_make(&place);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    keyring_close(keyring);
    snprintf(cover, sizeof(cover), "%s/cover.1", place.ring);
    int fd = open(cover, O_RDWR);
    ssize_t n = read(fd, bytes, sizeof(bytes));
    assert_true(n > 150 && n < (ssize_t)sizeof(bytes));
    for (ssize_t i = 0; i < n; i++) {
        uint8_t wrong = (uint8_t)(bytes[i] ^ 4);
        assert_int_equal(pwrite(fd, &wrong, 1, i), 1);
        assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
        assert_int_equal(pwrite(fd, &bytes[i], 1, i), 1);
    }
    assert_int_equal(ftruncate(fd, n - 1), 0);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    keyring_close(keyring);
    close(fd);
    place_remove(&place);
}

static void root_file(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    char text[65], wrong[65];
    place_make(&place);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ENOENT);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    keyring_close(keyring);
    int fd = open(place.root, O_RDONLY);
    assert_int_equal(read(fd, text, 64), 64);
    text[64] = '\0';
    close(fd);

    const mode_t modes[] = {0644, 0640, 0604, 0660, 0700, 0200 | 0440};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(place.root, modes[i]), 0);
        assert_int_equal(place_open(&place, false, &keyring), SLUIS_EDENIED);
    }
    assert_int_equal(chmod(place.root, 0400), 0);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    keyring_close(keyring);
    if (geteuid() == 0) { /* only root can give a file away */
        assert_int_equal(chown(place.root, 65534, 65534), 0);
        assert_int_equal(place_open(&place, false, &keyring), SLUIS_EDENIED);
        assert_int_equal(chown(place.root, 0, 0), 0);
    }
    memcpy(wrong, text, sizeof(wrong));
    wrong[10] = wrong[10] == 'a' ? 'b' : 'a';
    write_file(place.root, wrong, 64, 0600);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_ECRYPTO);
    assert_int_equal(place_open(&place, true, &keyring), SLUIS_ECRYPTO); /* nothing made over it */
    write_file(place.root, text, 63, 0600);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_EINVAL);
    memcpy(wrong, text, sizeof(wrong));
    wrong[3] = 'G';
    write_file(place.root, wrong, 64, 0600);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_EINVAL);
    write_file(place.root, text, 64, 0600);
    assert_int_equal(chmod(place.ring, 0750), 0);
    assert_int_equal(place_open(&place, false, &keyring), SLUIS_EDENIED);
    assert_int_equal(chmod(place.ring, 0700), 0);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    keyring_close(keyring);
    place_remove(&place);
}

/* A crash while the keyring is being made leaves nothing that a second try cannot finish. */
static void crash_while_making(void **state)
{
    (void)state;
    for (unsigned step = 1; step <= 6; step++) {
        struct place place;
        struct stop_at stop = {step};
        struct keyring *keyring;
        place_make(&place);
        assert_int_equal(open_with(&place, &stop, &keyring), SLUIS_EIO);
        stop.step = 0;
        assert_int_equal(open_with(&place, &stop, &keyring), 0);
        keyring_close(keyring);
        assert_int_equal(open_with(&place, NULL, &keyring), 0);
        keyring_close(keyring);
        place_remove(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_points),       cmocka_unit_test(failure_then_again),
        cmocka_unit_test(old_cover_is_dead),  cmocka_unit_test(damage),
        cmocka_unit_test(cover_bytes),        cmocka_unit_test(root_file),
        cmocka_unit_test(crash_while_making),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
