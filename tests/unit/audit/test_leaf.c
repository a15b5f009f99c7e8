/* Leaves of the access log. With the argument --print it writes leaves for check_schema.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "sluis/audit.h"
#include "sluis/detect.h"

#define POLICY_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const char policy[] = POLICY_64;

static struct audit_event event_full(void)
{
    return (struct audit_event){.at_ms = 1795300205123,
                                .action = AUDIT_DELIVER,
                                .actor = "gateway",
                                .claimed = "agent \"7\" \\ back",
                                .role = "behandelaar",
                                .responsible = "Gemeente Voorbeeld",
                                .channel = "burgerzaken",
                                .route = "burgerzaken/webcare",
                                .activity = "klantvragen-whatsapp",
                                .purpose = "caf\303\251 vraag",
                                .reference = "zaak 2026/7",
                                .object = 17,
                                .object_last = 9007199254740991,
                                .count = 3,
                                .subject = 0xfedcba9876543210,
                                .masked = 1ull << DETECT_IBAN | 1ull << DETECT_SPECIAL |
                                          1ull << DETECT_OWN | 1ull << (DETECT_TYPES_MAX - 1),
                                .policy_hash = policy,
                                .build = "00ff",
                                .config_hash = policy,
                                .key = policy,
                                .outcome = "delivered",
                                .code = 200};
}

static struct audit_event event_least(void)
{
    return (struct audit_event){.at_ms = 0, .action = AUDIT_START, .actor = "gateway"};
}

/* Takes the salt out: what is left can be compared. */
static void without_salt(struct buffer *leaf)
{
    char *salt = memmem(leaf->p, leaf->n, "\"salt\":\"", 8);
    assert_non_null(salt);
    for (int i = 0; i < 22; i++) {
        char c = salt[8 + i];
        assert_true(c != '\0' && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                        "0123456789-_",
                                        c));
        salt[8 + i] = '.';
    }
    assert_int_equal(salt[30], '"');
}

static void spelled_exactly(void **state)
{
    (void)state;
    struct buffer out;
    uint8_t hash[32];
    struct audit_event event = event_full();
    buffer_init(&out, 4096);
    assert_int_equal(audit_leaf(&event, &out, hash), 0);
    without_salt(&out);
    assert_string_equal(
        (buffer_add_char(&out, '\0'), out.p),
        "{\"action\":\"deliver\",\"actor\":\"gateway\",\"build\":\"00ff\",\"channel\":"
        "\"burgerzaken\","
        "\"claimed\":\"agent \\\"7\\\" \\\\ back\",\"code\":200,\"config_hash\":\"" POLICY_64
        "\",\"count\":3,"
        "\"key\":\"" POLICY_64 "\","
        "\"masked\":[\"iban\",\"special\",\"own\"],\"object\":17,"
        "\"object_last\":9007199254740991,\"outcome\":\"delivered\","
        "\"policy_hash\":\"0123456789abcdef\",\"processing_activity\":\"klantvragen-whatsapp\","
        "\"purpose\":\"caf\303\251 vraag\",\"reference\":\"zaak "
        "2026/7\",\"responsible\":\"Gemeente Voorbeeld\","
        "\"role\":\"behandelaar\",\"route\":\"burgerzaken/webcare\","
        "\"salt\":\"......................\",\"subject\":\"fedcba9876543210\","
        "\"time\":\"2026-11-21T22:30:05.123Z\",\"v\":1}");
    buffer_clear(&out);
    event = event_least();
    assert_int_equal(audit_leaf(&event, &out, hash), 0);
    without_salt(&out);
    assert_string_equal((buffer_add_char(&out, '\0'), out.p),
                        "{\"action\":\"start\",\"actor\":\"gateway\","
                        "\"salt\":\"......................\","
                        "\"time\":\"1970-01-01T00:00:00.000Z\",\"v\":1}");
    buffer_free(&out);
}

/* jansson, sorted and compact, writes the same bytes: a second opinion on RFC 8785. */
static void as_jansson_sorts(void **state)
{
    (void)state;
    struct buffer out;
    uint8_t hash[32];
    struct audit_event event = event_full();
    buffer_init(&out, 4096);
    assert_int_equal(audit_leaf(&event, &out, hash), 0);
    json_t *value = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    char *again = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT);
    assert_int_equal(strlen(again), out.n);
    assert_memory_equal(again, out.p, out.n);
    free(again);
    json_decref(value);
    buffer_free(&out);
}

static void hash_is_rfc6962(void **state)
{
    (void)state;
    struct buffer out, with;
    uint8_t hash[32], want[32];
    struct audit_event event = event_full();
    buffer_init(&out, 4096);
    buffer_init(&with, 4096);
    assert_int_equal(audit_leaf(&event, &out, hash), 0);
    buffer_add_char(&with, 0);
    buffer_add(&with, buffer_span(&out));
    crypto_hash_sha256(want, (uint8_t *)with.p, with.n); /* libsodium: another implementation */
    assert_memory_equal(hash, want, 32);
    /* RFC 6962: the hash of an empty leaf */
    static const char empty[] = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    char hex[65];
    assert_int_equal(audit_hash(SPAN_EMPTY, hash), 0);
    sodium_bin2hex(hex, sizeof(hex), hash, 32);
    assert_string_equal(hex, empty);
    buffer_free(&out);
    buffer_free(&with);
}

static void salts_differ(void **state)
{
    (void)state;
    enum { N = 500 };
    static uint8_t hashes[N][32];
    struct buffer out;
    struct audit_event event = event_least();
    buffer_init(&out, 4096);
    for (int i = 0; i < N; i++) {
        buffer_clear(&out);
        assert_int_equal(audit_leaf(&event, &out, hashes[i]), 0);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(hashes[i], hashes[j], 32);
    }
    buffer_free(&out);
}

static int leaf_of(struct audit_event event)
{
    struct buffer out;
    uint8_t hash[32];
    buffer_init(&out, 4096);
    int result = audit_leaf(&event, &out, hash);
    assert_int_equal(out.n > 0, result == 0);
    buffer_free(&out);
    return result;
}

static void claimed_checked(void **state)
{
    (void)state;
    char text[80];
    struct audit_event event = event_least();
    for (int c = 1; c < 256; c++) {
        text[0] = 'a';
        text[1] = (char)c;
        text[2] = '\0';
        event.claimed = text;
        assert_int_equal(leaf_of(event), c >= 0x20 && c <= 0x7e ? 0 : SLUIS_EINVAL);
    }
    memset(text, 'x', 65);
    text[64] = '\0';
    assert_int_equal(leaf_of(event), 0);
    text[64] = 'x';
    text[65] = '\0';
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event.claimed = "";
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event.claimed = "caf\303\251"; /* valid UTF-8, but not ASCII */
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
}

static void injections_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\033[2J",
        "a\177",
        "a\302\205b",         /* NEL */
        "a\342\200\256b",     /* right-to-left override */
        "a\342\200\250b",     /* line separator */
        "a\342\201\246b",     /* isolate */
        "a\342\200\213b",     /* zero width space */
        "a\357\273\277b",     /* byte order mark */
        "a\363\240\200\201b", /* tag character */
        "\300\257",           /* overlong */
        "\355\240\200",       /* surrogate */
        "a\377",
        "caf\303", /* cut off */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_event event = event_least();
        event.actor = bad[i];
        assert_int_equal(leaf_of(event), SLUIS_EINVAL);
        const char **fields[] = {&event.role,    &event.responsible, &event.channel,
                                 &event.route,   &event.activity,    &event.purpose,
                                 &event.outcome, &event.policy_hash, &event.claimed,
                                 &event.build,   &event.config_hash, &event.reference};
        event.actor = "gateway";
        for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
            *fields[f] = bad[i];
            assert_int_equal(leaf_of(event), SLUIS_EINVAL);
            *fields[f] = NULL;
        }
    }
    struct audit_event event = event_least();
    event.outcome = "Delivered";
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event = event_least();
    event.policy_hash = "0123456789ABCDEF";
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event.policy_hash = "0123";
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event = event_least();
    event.build = "";
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event.build = POLICY_64 "0";
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event = event_least();
    event.action = AUDIT_ACTION_COUNT;
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event = event_least();
    event.actor = NULL;
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event = event_least();
    event.at_ms = -1;
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
    event = event_least();
    event.object = 1ull << 53; /* a double would round it */
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
}

static void longest_fits(void **state)
{
    (void)state;
    char name[AUDIT_NAME_MAX + 2];
    struct audit_event event = event_full();
    memset(name, 'n', sizeof(name));
    name[AUDIT_NAME_MAX] = '\0';
    event.actor = event.role = event.responsible = event.channel = event.route = event.activity =
        event.purpose = name;
    event.masked = ~0ull;
    assert_int_equal(leaf_of(event), 0);
    memset(name, '"', AUDIT_NAME_MAX); /* all escaped: too long, refused, not cut */
    assert_int_equal(leaf_of(event), SLUIS_ELIMIT);
    memset(name, 'n', sizeof(name));
    name[AUDIT_NAME_MAX + 1] = '\0';
    assert_int_equal(leaf_of(event), SLUIS_EINVAL);
}

static void words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AUDIT_ACTION_COUNT; i++) {
        assert_non_null(audit_action_word((enum audit_action)i));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(audit_action_word((enum audit_action)i),
                                    audit_action_word((enum audit_action)j));
    }
    assert_null(audit_action_word(AUDIT_ACTION_COUNT));
    /* the same words in the same order as the detectors have */
    assert_int_equal(AUDIT_TYPES, DETECT_OWN);
    for (unsigned i = 0; i < AUDIT_TYPES; i++)
        assert_string_equal(audit_type_word(i), detect_type_word((enum detect_type)i));
    assert_string_equal(audit_type_word(DETECT_OWN + 3), "own");
}

static void *in_a_thread(void *arg)
{
    struct audit_event event = event_full();
    unsigned *failed = arg;
    struct buffer out;
    uint8_t hash[32];
    buffer_init(&out, 4096);
    for (int i = 0; i < 2000; i++) {
        buffer_clear(&out);
        if (audit_leaf(&event, &out, hash) != 0)
            ++*failed;
    }
    buffer_free(&out);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    pthread_t ids[4];
    unsigned failed[4] = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, in_a_thread, &failed[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(failed[i], 0);
    }
}

static int print_leaves(void)
{
    struct buffer out;
    uint8_t hash[32];
    buffer_init(&out, 1 << 20);
    for (unsigned action = 0; action < AUDIT_ACTION_COUNT; action++) {
        struct audit_event event = action % 2 ? event_full() : event_least();
        event.action = (enum audit_action)action;
        if (audit_leaf(&event, &out, hash) != 0)
            return 1;
        buffer_add_char(&out, '\n');
    }
    struct audit_event event = event_full();
    event.masked = ~0ull;
    if (audit_leaf(&event, &out, hash) != 0)
        return 1;
    fwrite(out.p, 1, out.n, stdout);
    puts("");
    buffer_free(&out);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0)
        return print_leaves();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelled_exactly), cmocka_unit_test(as_jansson_sorts),
        cmocka_unit_test(hash_is_rfc6962), cmocka_unit_test(salts_differ),
        cmocka_unit_test(claimed_checked), cmocka_unit_test(injections_refused),
        cmocka_unit_test(longest_fits),    cmocka_unit_test(words),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
