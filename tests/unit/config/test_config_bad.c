/* Bad configurations, and the exact words said about each; every case changes one place of the good
 * file. */
#include "fixture.h"

#define SECRET_RULE                                                                                \
    "a secret is never written in this file, since it is copied, mailed and kept in version "      \
    "control: {credential: NAME} or {file: PATH}"
#define NAME_RULE " is not a name: lower-case letters, digits, - and _, a letter first, at most 63"
#define HTTP_RULE "http is for localhost and private addresses only; use https"
#define URL "\"https://chat.example/webhooks/+31\""
#define PASSPHRASE "\"passphrase\": expected true; without one name a file or a credential"
#define APART "keys stand apart from what they open: not in store.path, nor around it"

/* `said` begins with the place in sluis.yaml, or with another file's name; @ is the folder. */
static const struct {
    const char *from, *to, *said;
} bad[] = {
    {good, "", "1:1: the file is empty"},
    {good, "- a\n", "1:1: expected a map (key: value), found a list"},
    {"keys: {", "keyz: {", "16:1: unknown key \"keyz\"; did you mean \"keys\"?"},
    {"keys: {", "control: [a]\nkeys: {", "16:10: \"control\": expected a text, found a list"},
    {"keys: {", "threads: 65\nkeys: {",
     "16:10: \"threads\": expected a number from 0 to 64, found \"65\""},
    {"keys: {", "threads: many\nkeys: {",
     "16:10: \"threads\": expected a whole number, found \"many\""},
    {"keys: {", "memory: 1MiB\nkeys: {",
     "16:9: \"memory\": expected 16MiB to 64GiB, found \"1MiB\""},
    {"keys: {", "stop: 1h\nkeys: {", "16:7: \"stop\": expected 1s to 5min, found \"1h\""},
    {"keys: {", "stop: 1m\nkeys: {", "16:7: \"stop\": expected 1s to 5min, found \"1m\""},
    {"keys: {", "stop: 10\nkeys: {",
     "16:7: \"stop\": expected a duration such as 90s, 15min, 24h, 7d, 24m or 1y, found \"10\""},
    {"keys: {", "log: {level: verbose}\nkeys: {",
     "16:14: \"level\": expected alarm, error, warn, info or debug, found \"verbose\""},
    {"keys: {", "log: {from: json}\nkeys: {", "16:7: unknown key \"from\"; did you mean \"form\"?"},
    {"keys: {", "public_url: https://a.example/x\nkeys: {",
     "16:13: \"public_url\": expected scheme and host only, without a path"},
    {"keys: {", "public_url: http://a.example\nkeys: {", "16:13: \"public_url\": " HTTP_RULE},
    {"keys: {", "store: {}\nkeys: {", "16:1: duplicate key \"store\"; the first is on line 15"},
    {"store: {path: store, size: 64GiB}\n", "",
     "1:1: missing key \"store\": where messages are stored"},
    {"size: 64GiB", "", "15:1: missing key \"size\": most it may grow to, 16MiB to 16TiB"},
    {"64GiB", "64GB", "15:28: \"size\": expected a size with KiB, MiB, GiB or TiB, found \"64GB\""},
    {"64GiB", "1KiB", "15:28: \"size\": expected 16MiB to 16TiB, found \"1KiB\""},
    {"path: keys", "path: store/keys", "16:14: \"path\": " APART},
    {"path: keys", "path: store", "16:14: \"path\": " APART},
    {"path: store,", "path: keys/store,", "16:14: \"path\": " APART},
    {"root: {file: root}", "root: {passphrase: false}", "16:39: " PASSPHRASE},
    {"root: {file: root}", "root: {passphrase: hunter2hunter2}", "16:39: " PASSPHRASE},
    {"root: {file: root}", "root: {passphrase: \"true\"}", "16:39: " PASSPHRASE},
    {"root: {file: root}", "root: {passphrase: {file: hunter2}}", "16:39: " PASSPHRASE},
    {"root: {file: root}", "root: {passphrase: true, file: root}",
     "16:45: unknown key \"file\"; known here: passphrase"},
    {"path: keys", "path: ''", "16:14: \"path\": expected a path of 1 to 1024 bytes"},
    {"{file: root}", "{file: nothing}",
     "16:33: \"file\": cannot open \"@/nothing\": No such file or directory"},
    /* listeners */
    {"  meta: {", "  mata: {", "2:3: unknown key \"mata\"; did you mean \"meta\"?"},
    {"  meta: {", "  web: {", "2:3: unknown key \"web\"; known here: meta, tools, admin"},
    {"  meta: {address: \"0.0.0.0:8443\", certificate: cert.pem, key: {file: key.pem}}\n", "",
     "1:1: missing key \"meta\": for Meta's webhooks (public)"},
    {"\"0.0.0.0:8443\"", "443",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found \"443\""},
    {"\"0.0.0.0:8443\"", "\"0.0.0.0\"",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found \"0.0.0.0\""},
    {"\"0.0.0.0:8443\"", "\"0.0.0.0:65536\"",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found "
     "\"0.0.0.0:65536\""},
    {"\"0.0.0.0:8443\"", "\"sluis.intern:443\"",
     "2:19: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found "
     "\"sluis.intern:443\""},
    {"\"0.0.0.0:8443\"", "\"[::1]:9443\"", "3:20: \"address\": the meta listener has this one"},
    {"\"[::1]:9443\"", "\"[::1:9443\"",
     "3:20: \"address\": expected an address such as 0.0.0.0:443 or [::]:443, found \"[::1:9443\""},
    {"certificate: cert.pem", "certificate: none.pem",
     "2:48: \"certificate\": cannot open \"@/none.pem\": No such file or directory"},
    {"certificate: cert.pem", "certificate: policies",
     "2:48: \"certificate\": \"@/policies\" is not a file"},
    {"key: {file: key.pem}", "key: key.pem", "2:63: \"key\": " SECRET_RULE},
    {"key: {file: key.pem}", "key: {file: cert.pem}",
     "2:70: secret file \"@/cert.pem\" can be reached by others than its owner (mode 0644): chmod "
     "600"},
    {"  tools: {", "  tools: {client_ca: cert.pem, ",
     "3:11: \"client_ca\" is for the meta listener only"},
    {"  meta: {", "  meta: {names: [a.example], ",
     "2:10: \"names\" is not for the meta listener"},
    {"  meta: {", "  meta: {client_cn: x, ", "2:10: \"client_cn\" needs client_ca"},
    {"  tools: {", "  tools: {names: [], ", "3:11: expected 1 to 64 host names"},
    {"  tools: {", "  tools: {names: [\"a b\"], ", "3:19: \"a b\" is not a host name"},
    {"  tools: {", "  tools: {connections: 0, ",
     "3:24: \"connections\": expected a number from 1 to 1000000, found \"0\""},
    /* apps and secrets */
    {"  gemeente: {verify", "  Gemeente: {verify", "5:3: \"Gemeente\"" NAME_RULE},
    {"verify_token: {file: verify}, ", "",
     "5:3: missing key \"verify_token\": secret: the token "
     "given to Meta with the callback URL"},
    {"{file: verify}", "hunter2-hunter2", "5:28: \"verify_token\": " SECRET_RULE},
    {"[{file: secret}]", "[hunter2-hunter2]", "5:58: " SECRET_RULE},
    {"[{file: secret}]", "[]", "5:44: \"app_secrets\": expected one or two secrets, found 0"},
    {"[{file: secret}]", "[{file: secret}, {file: secret2}, {file: secret}]",
     "5:44: \"app_secrets\": expected one or two secrets, found 3"},
    {"[{file: secret}]", "{file: secret}", "5:57: \"app_secrets\": expected a list, found a map"},
    {"{file: verify}", "{}", "5:14: expected one of {credential: NAME} and {file: PATH}"},
    {"{file: verify}", "{file: verify, credential: verify}",
     "5:14: expected one of {credential: NAME} and {file: PATH}"},
    {"{file: verify}", "{fil: verify}", "5:29: unknown key \"fil\"; did you mean \"file\"?"},
    {"{file: verify}", "{value: verify}",
     "5:29: unknown key \"value\"; known here: credential, file"},
    {"{file: verify}", "{credential: ../verify}",
     "5:41: \"../verify\" is not the name of a credential"},
    {"{file: verify}", "{credential: nothing}",
     "5:41: \"credential\": cannot open \"@/credentials/nothing\": No such file or directory"},
    {"{file: verify}", "{file: open}",
     "5:35: secret file \"@/open\" can be reached by others than "
     "its owner (mode 0640): chmod 600"},
    {"{file: verify}", "{file: world}",
     "5:35: secret file \"@/world\" can be reached by others "
     "than its owner (mode 0604): chmod 600"},
    {"{file: verify}", "{file: policies}", "5:35: \"file\": \"@/policies\" is not a file"},
    {"{file: verify}", "{file: /dev/zero}", "5:35: \"file\": \"/dev/zero\" is not a file"},
    {"{file: verify}", "{file: empty}", "5:35: the secret in \"@/empty\" is empty"},
    {"{file: verify}", "{file: short}", "5:35: the secret in \"@/short\" is shorter than 8 bytes"},
    {"{file: verify}", "{file: long}", "5:35: the secret in \"@/long\" is longer than 512 bytes"},
    {"{file: verify}", "{file: spaced}",
     "5:35: the secret in \"@/spaced\" holds something else "
     "than printable ASCII (a space, a second line, a NUL)"},
    {"{file: verify}", "{file: two}",
     "5:35: the secret in \"@/two\" holds something else than "
     "printable ASCII (a space, a second line, a NUL)"},
    {"{file: verify}", "{file: nul}",
     "5:35: the secret in \"@/nul\" holds something else than "
     "printable ASCII (a space, a second line, a NUL)"},
    /* channels */
    {"    app: gemeente\n", "    app: gemente\n",
     "8:10: no app is called \"gemente\"; did you mean \"gemeente\"?"},
    {"    app: gemeente\n", "",
     "7:3: missing key \"app\": the app whose webhooks carry this number"},
    {"    app: gemeente\n", "    app: gemeente\n    rout: {}\n",
     "9:5: unknown key \"rout\"; did you mean \"routes\"?"},
    {"\"106540352242922\"", "\"+31201234567\"",
     "9:22: \"phone_number_id\": expected 1 to 32 digits"},
    {"\"106540352242922\"", "", "9:5: \"phone_number_id\": expected a text, found nothing"},
    {"waba_id: 102290129340398", "waba_id: 1022_90129340398",
     "10:14: \"waba_id\": expected 1 to 32 digits"},
    {"waba_id: 102290129340398", "waba_id: 123456789012345678901234567890123",
     "10:14: \"waba_id\": expected 1 to 32 digits"},
    {"kind: meta", "kind: mata",
     "11:22: \"kind\": expected meta, found \"mata\"; did you mean \"meta\"?"},
    {"access_token: {file: token}", "access_token: EAAtoken",
     "11:42: \"access_token\": " SECRET_RULE},
    {"kind: meta,", "kind: meta, retry: 30d,",
     "11:35: \"retry\": expected 1h to 7d, found \"30d\""},
    {"kind: meta,", "kind: meta, base_url: \"https://127.0.0.1:1\",",
     "11:38: \"base_url\": this is a private address: it needs private: true"},
    {"kind: meta,", "kind: meta, private: true, base_url: \"https://127.0.0.1:1/v1\",",
     "11:53: \"base_url\": expected scheme and host only, without a path"},
    {"kind: meta,", "kind: meta, ca: none.pem,",
     "11:32: \"ca\": cannot open \"@/none.pem\": No such file or directory"},
    {"policy: gemeente", "policy: nobody",
     "12:13: \"policy\": there is no file \"@/policies/nobody.yaml\""},
    {"policy: gemeente", "policy: ../x", "12:13: \"../x\"" NAME_RULE},
    {"policy: gemeente", "policy: broken",
     "@/policies/broken.yaml:3:1: unknown key \"routs\"; did you mean \"routes\"?"},
    {"policy: gemeente", "policy: renamed",
     "@/policies/renamed.yaml: this policy is called "
     "\"gemeente\"; its file must have that name"},
    {"policy: gemeente", "policy: gemeente\n    media: redact",
     "13:12: \"media\": expected withhold or pass, found \"redact\""},
    /* routes and URLs */
    {"      webcare:", "      webcar:", "14:7: policy \"gemeente\" has no route \"webcar\""},
    {URL, "chat.example", "14:22: \"url\": expected a URL: https://HOST/PATH"},
    {URL, "ftp://chat.example/", "14:22: \"url\": expected a URL: https://HOST/PATH"},
    {URL, "HTTPS://chat.example/", "14:22: \"url\": expected a URL: https://HOST/PATH"},
    {URL, "http://chat.example/", "14:22: \"url\": " HTTP_RULE},
    {URL, "http://93.184.216.34/", "14:22: \"url\": " HTTP_RULE},
    {URL, "\"http://[2001:db8::1]/\"", "14:22: \"url\": " HTTP_RULE},
    {URL, "\"http://[::ffff:93.184.216.34]/\"", "14:22: \"url\": " HTTP_RULE},
    {URL, "https://u:p@chat.example/",
     "14:22: \"url\": a URL with a user name or a password: use "
     "the tool's secret"},
    {URL, "https://chat.example:0/",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "https://chat.example:99999/",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "https://chat.example:/",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "https:///x", "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://chat..example/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://127.1/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://2130706433/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "https://chat%2eexample/",
     "14:22: \"url\": the host of this URL is neither a name nor an address"},
    {URL, "\"https://[::1/\"",
     "14:22: \"url\": the port of this URL is not a number from 1 to 65535"},
    {URL, "\"https://chat.example/#x\"",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL, "\"https://chat.example/a b\"",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL, "\"https://chat.example/\\r\\nHost: x\"",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL, "https://ch\xc3\xa4t.example/",
     "14:22: \"url\": a URL has no spaces, no #, \\, \", <, > and only ASCII"},
    {URL ",", "\"https://10.0.0.1/\", private: false,",
     "14:22: \"url\": this is a private address: it needs private: true"},
    {"secret: {file: route}", "secret: {file: route}, keep_trying: 30d",
     "14:95: \"keep_trying\": expected 1min to 7d, found \"30d\""},
    {"secret: {file: route}", "secret: {file: route}, one_per_post: yes",
     "14:96: \"one_per_post\": expected true or false, found \"yes\""},
    {", secret: {file: route}", "",
     "14:7: missing key \"secret\": secret: signs deliveries (X-Hub-Signature-256)"},
};

static void expand(const char *said, char *out, size_t size)
{
    const char *at = strchr(said, '@');
    if (at && strncmp(at, "@chat", 5) != 0)
        snprintf(out, size, "%.*s%s%s", (int)(at - said), said, folder, at + 1);
    else
        snprintf(out, size, "%s", said);
}

static bool case_fails(size_t i, char *text)
{
    char line[1024], said[1400], expanded[900];
    struct diag diag = {0};
    struct config *config;
    replaced(bad[i].from, bad[i].to, text);
    int error = load_text(text, &config, &diag);
    expand(bad[i].said, expanded, sizeof(expanded));
    bool here = bad[i].said[0] != '@';
    snprintf(said, sizeof(said), "%s%s%s", here ? in_folder("sluis.yaml") : "", here ? ":" : "",
             expanded);
    diag_line(&diag, line, sizeof(line));
    if (error == SLUIS_EINVAL && !config && strcmp(line, said) == 0)
        return false;
    print_message("%s -> %s\n  said %s\n  not  %s\n", bad[i].from, bad[i].to, line, said);
    config_unref(config);
    return true;
}

static void test_refused(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX);
    size_t failed = 0;
    for (size_t i = 0; i < N(bad); i++)
        failed += case_fails(i, text);
    print_message("%zu refused configurations\n", N(bad));
    free(text);
    assert_int_equal(failed, 0);
}

/* No diagnosis shows a secret: neither one written inline nor one read from a file. */
static void test_no_secret_said(void **state)
{
    (void)state;
    char *text = malloc(TEXT_MAX);
    for (size_t i = 0; i < N(bad); i++) {
        struct diag diag = {0};
        struct config *config;
        replaced(bad[i].from, bad[i].to, text);
        assert_int_not_equal(load_text(text, &config, &diag), 0);
        assert_null(strstr(diag.text, "hunter2"));
        assert_null(strstr(diag.text, "EAA"));
        assert_null(strstr(diag.text, "secret-one"));
        assert_null(strstr(diag.text, "1234567"));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_no_secret_said)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
