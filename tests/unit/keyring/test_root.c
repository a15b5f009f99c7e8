/* Where the root key comes from, and putting another in its place. */
#include "help.h"

#include <errno.h>

#define OLD_WORDS "een oude zin van woorden"
#define NEW_WORDS "een nieuwe zin van woorden"

static unsigned stop_step;

static int fault(void *ctx, unsigned step)
{
    (void)ctx;
    return step == stop_step;
}

static int open_root(const struct place *place, const char *file, const char *words, bool make,
                     struct keyring **out)
{
    const struct keyring_config config = {.path = place->ring,
                                          .root_file = file,
                                          .passphrase = span_str(words),
                                          .make = make,
                                          .fault = fault};
    stop_step = 0;
    return keyring_open(&config, out, NULL);
}

static void identifier(struct keyring *keyring, uint8_t out[STORE_HASH_BYTES])
{
    keyring_hash_identifier(keyring, "x", SPAN("y"), out);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void credential(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_status status;
    place_make(&place);
    assert_int_equal(open_root(&place, place.root, NULL, true, &keyring), 0);
    keyring_status(keyring, &status);
    assert_string_equal(status.root, "file");
    keyring_close(keyring);
    assert_int_equal(chmod(place.root, 0440), 0);
    assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), SLUIS_EDENIED);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", place.top, 1), 0);
    if (geteuid() == 0) { /* a credential that root owns, readable through an ACL */
        assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), 0);
        keyring_status(keyring, &status);
        assert_string_equal(status.root, "credential");
        assert_int_equal(keyring_rotate_root(keyring, SPAN_EMPTY), SLUIS_EDENIED);
        keyring_close(keyring);
        const mode_t modes[] = {0444, 0460, 0540, 0640 | 0004, 0450};
        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
            assert_int_equal(chmod(place.root, modes[i]), 0);
            assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), SLUIS_EDENIED);
        }
        assert_int_equal(chmod(place.root, 0440), 0);
        assert_int_equal(chown(place.root, 65534, 65534), 0);
        assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), SLUIS_EDENIED);
    }
    /* a name that only begins alike is no credential */
    char beside[96];
    snprintf(beside, sizeof(beside), "%.60s/roo", place.top);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", beside, 1), 0);
    assert_int_equal(chown(place.root, geteuid(), getegid()), 0);
    assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), SLUIS_EDENIED);
    unsetenv("CREDENTIALS_DIRECTORY");
    place_remove(&place);
}

/* argon2id at its interactive limits: the test should not wait. */
static void cheap_kdf(const struct place *place)
{
    char path[128];
    uint8_t bytes[36] = {'S', 'L', 'U', 'I', 'S', 'K', 'D', '1', 0, 0, 0, 2, 0, 0, 0, 0, 4};
    snprintf(path, sizeof(path), "%s/root.kdf", place->ring);
    assert_true(mkdir(place->ring, 0700) == 0 || errno == EEXIST);
    write_file(path, bytes, sizeof(bytes), 0600);
}

static void passphrase(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_status status;
    uint8_t before[STORE_HASH_BYTES], after[STORE_HASH_BYTES];
    char kdf[128];
    place_make(&place);
    snprintf(kdf, sizeof(kdf), "%s/root.kdf", place.ring);
    cheap_kdf(&place);
    assert_int_equal(open_root(&place, NULL, "te kort", true, &keyring), SLUIS_EINVAL);
    assert_int_equal(open_root(&place, NULL, OLD_WORDS, true, &keyring), 0);
    keyring_status(keyring, &status);
    assert_string_equal(status.root, "passphrase");
    identifier(keyring, before);
    keyring_close(keyring);
    assert_int_equal(open_root(&place, NULL, NEW_WORDS, false, &keyring), SLUIS_ECRYPTO);
    assert_int_equal(open_root(&place, NULL, OLD_WORDS, false, &keyring), 0);
    identifier(keyring, after);
    assert_memory_equal(before, after, sizeof(before));
    keyring_close(keyring);

    /* costs that were lowered, or raised until a start hangs, are refused */
    uint8_t bytes[36];
    int fd = open(kdf, O_RDWR);
    assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
    close(fd);
    const struct {
        unsigned at;
        uint8_t value;
    } wrong[] = {{0, 'X'}, {11, 1}, {11, 33}, {12, 1}, {16, 1}, {16, 0}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t changed[36];
        memcpy(changed, bytes, sizeof(changed));
        changed[wrong[i].at] = wrong[i].value;
        write_file(kdf, changed, sizeof(changed), 0600);
        assert_int_equal(open_root(&place, NULL, OLD_WORDS, false, &keyring), SLUIS_EINVAL);
    }
    uint8_t salted[36];
    memcpy(salted, bytes, sizeof(salted));
    salted[35] ^= 1;
    write_file(kdf, salted, sizeof(salted), 0600);
    assert_int_equal(open_root(&place, NULL, OLD_WORDS, false, &keyring), SLUIS_ECRYPTO);
    write_file(kdf, bytes, 35, 0600);
    assert_int_equal(open_root(&place, NULL, OLD_WORDS, false, &keyring), SLUIS_EINVAL);
    place_remove(&place);
}

/* The file that is made has the stated costs. */
static void passphrase_made(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    char kdf[128];
    uint8_t bytes[64];
    place_make(&place);
    snprintf(kdf, sizeof(kdf), "%s/root.kdf", place.ring);
    assert_int_equal(mkdir(place.ring, 0700), 0);
    assert_int_equal(open_root(&place, NULL, OLD_WORDS, true, &keyring), 0);
    keyring_close(keyring);
    int fd = open(kdf, O_RDONLY);
    assert_int_equal(read(fd, bytes, sizeof(bytes)), 36);
    close(fd);
    const uint8_t costs[] = {0, 0, 0, 3, 0, 0, 0, 0, 0x10, 0, 0, 0}; /* 3 passes, 256 MB */
    assert_memory_equal(bytes + 8, costs, sizeof(costs));
    place_remove(&place);
}

/* A crash after each step of a rotation, of both kinds: exactly one of the two root keys opens, and
 * everything is still there. */
static void rotate_crashes(void **state)
{
    (void)state;
    for (int words = 0; words < 2; words++) {
        for (unsigned step = 0; step <= 6; step++) {
            if (words && step != 3 && step != 5)
                continue; /* argon2id takes its time; the file went through all of them */
            struct place place;
            struct keyring *keyring;
            uint8_t before[STORE_HASH_BYTES], after[STORE_HASH_BYTES];
            char old_root[128], fresh[128];
            place_make(&place);
            snprintf(old_root, sizeof(old_root), "%s/root.old", place.top);
            snprintf(fresh, sizeof(fresh), "%s.new", place.root);
            const char *file = words ? NULL : place.root;
            if (words)
                cheap_kdf(&place);
            assert_int_equal(open_root(&place, file, OLD_WORDS, true, &keyring), 0);
            identifier(keyring, before);
            if (!words)
                copy_folder(place.root, old_root);
            stop_step = step;
            int result = keyring_rotate_root(keyring, words ? SPAN(NEW_WORDS) : SPAN_EMPTY);
            assert_int_equal(result, step ? SLUIS_EIO : 0);
            keyring_close(keyring);
            bool rotated = step == 0 || step >= 5;
            /* where the keyring says it is */
            assert_int_equal(
                open_root(&place, file, rotated ? NEW_WORDS : OLD_WORDS, false, &keyring), 0);
            identifier(keyring, after);
            assert_memory_equal(before, after, sizeof(before));
            keyring_close(keyring);
            if (words) {
                assert_int_equal(
                    open_root(&place, NULL, rotated ? OLD_WORDS : NEW_WORDS, false, &keyring),
                    SLUIS_ECRYPTO);
            } else {
                assert_false(exists(fresh));
                assert_int_equal(open_root(&place, old_root, NULL, false, &keyring),
                                 rotated ? SLUIS_ECRYPTO : 0);
                if (!rotated)
                    keyring_close(keyring);
            }
            place_remove(&place);
        }
    }
}

/* A true crash leaves the .new file where it is: put it back as it was at each moment. */
static void rotate_power_cut(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    char old_root[128], fresh[128], old_ring[128];
    place_make(&place);
    snprintf(old_root, sizeof(old_root), "%s/root.old", place.top);
    snprintf(old_ring, sizeof(old_ring), "%s/ring.old", place.top);
    snprintf(fresh, sizeof(fresh), "%s.new", place.root);
    assert_int_equal(open_root(&place, place.root, NULL, true, &keyring), 0);
    copy_folder(place.root, old_root);
    copy_folder(place.ring, old_ring);
    assert_int_equal(keyring_rotate_root(keyring, SPAN_EMPTY), 0);
    keyring_close(keyring);
    /* cut after the slots were changed, before the file was put in place */
    assert_int_equal(rename(place.root, fresh), 0);
    copy_folder(old_root, place.root);
    assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), 0);
    keyring_close(keyring);
    assert_false(exists(fresh)); /* put in place by that start */
    assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), 0);
    keyring_close(keyring);
    /* cut before the slots were changed: the old one opens, the new one goes */
    copy_folder(place.root, fresh);
    copy_folder(old_root, place.root);
    copy_folder(old_ring, place.ring);
    assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), 0);
    keyring_close(keyring);
    assert_false(exists(fresh));
    place_remove(&place);
}

static void wrong_kind(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    place_make(&place);
    assert_int_equal(open_root(&place, place.root, NULL, true, &keyring), 0);
    assert_int_equal(keyring_rotate_root(keyring, SPAN(NEW_WORDS)), SLUIS_EINVAL);
    keyring_close(keyring);
    assert_int_equal(open_root(&place, place.root, NULL, false, &keyring), 0);
    keyring_close(keyring);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credential),       cmocka_unit_test(passphrase),
        cmocka_unit_test(passphrase_made),  cmocka_unit_test(rotate_crashes),
        cmocka_unit_test(rotate_power_cut), cmocka_unit_test(wrong_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
