/* Who sees what of a conversation: persons and tools by their roles, the policy of now, reveals
 * that end, a log that refuses, keys that are gone; and the statistics that follow. */
#include "world.h"

#include "sluis/access.h"
#include "sluis/access/person.h"
#include "sluis/base/clock.h"
#include "sluis/history.h"
#include "sluis/mask.h"
#include "sluis/retention.h"
#include "sluis/stats.h"

#include "../unit/store/support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define PHONE "31600000001"
#define IBAN "NL91ABNA0417164300"
#define ASK "\"channel\":\"burgerzaken\",\"contact\":\"" PHONE "\""
#define HOUR_MS 3600000ll

#define POLICY(profile)                                                                            \
    "policy: 1\nname: p\nactivity: proef\n"                                                        \
    "profiles: {w: {" profile "}, hidden: {default: redact, contact: alias}}\n"                    \
    "originals: [{keep: 24h, ground: AVG 6.1.e}]\n"                                                \
    "history: [{keep: 1y, ground: AVG 6.1.e}]\n"                                                   \
    "roles:\n  agent: {profile: w, may: [history]}\n  dicht: {profile: hidden, may: [history]}\n"  \
    "  behandelaar: {profile: w, may: [history, reveal], reveal: [bsn], reason: required}\n"       \
    "  zoeker: {profile: w, may: [search, export]}\n"                                              \
    "routes: {r0: {profile: w}}\n"

struct fixture {
    struct world w;
    struct access *access;
    struct history *history;
    struct audit_gate gate;
};

static int role_of(void *ctx, uint16_t channel, const char *name, int64_t at_ms,
                   struct access_role *out)
{
    struct fixture *f = ctx;
    struct config *config = config_acquire(f->w.cell);
    const struct policy_role *role = policy_role(config->channels[0].policy, name);
    (void)channel;
    if (role)
        *out = (struct access_role){.may = role->may,
                                    .reveal = role->reveal,
                                    .open = policy_role_hours_open(role, at_ms),
                                    .reason_required = role->reason_required,
                                    .reference_required = role->reference_required};
    config_unref(config);
    return role ? 0 : SLUIS_ENOENT;
}

static void open_history(struct fixture *f)
{
    const struct history_deps deps = {.store = f->w.store,
                                      .keyring = f->w.keyring,
                                      .config = f->w.cell,
                                      .access = f->access,
                                      .gate = &f->gate};
    assert_int_equal(history_new(&deps, &f->history), 0);
}

static void open_all(struct fixture *f, const char *policy)
{
    memset(f, 0, sizeof(*f));
    f->w.routes = 1;
    f->w.channel_extra = "    answer_within: 1min\n";
    f->w.policy = policy;
    world_make(&f->w);
    world_up(&f->w);
    assert_int_equal(access_open(f->w.store, f->w.keyring, &f->access), 0);
    const struct access_roles roles = {role_of, f};
    access_set_roles(f->access, &roles);
    open_history(f);
}

static void close_all(struct fixture *f)
{
    history_free(f->history);
    access_close(f->access);
    world_down(&f->w, true);
    world_remove(&f->w);
}

/* A person with a role on the channel. */
static struct principal person(struct fixture *f, const char *name, const char *role)
{
    struct access_enrolment e;
    struct person p;
    struct access_grant g = {.channel_count = 1};
    struct config *config = config_acquire(f->w.cell);
    enum access_why why;
    uint64_t id;
    g.channels[0] = config->channels[0].id;
    config_unref(config);
    assert_int_equal(
        access_person_add(f->access, name, "test", SPAN("een zin van vier woorden"), &e), 0);
    assert_int_equal(access_person_find(f->access, name, &p), 0);
    g.person = p.id;
    snprintf(g.role, sizeof(g.role), "%s", role);
    snprintf(g.granted_by, sizeof(g.granted_by), "test");
    assert_int_equal(access_grant_add(f->access, &g, clock_wall_ms(), &id, &why), 0);
    struct principal out = {.kind = PRINCIPAL_PERSON, .id = p.id};
    snprintf(out.name, sizeof(out.name), "%s", name);
    return out;
}

static struct principal tool(struct fixture *f, const char *name, const char *role, bool route)
{
    struct principal wanted = {.kind = PRINCIPAL_TOOL, .channel_count = 1}, out;
    struct config *config = config_acquire(f->w.cell);
    char text[ACCESS_TOKEN_TEXT];
    uint64_t id;
    wanted.channels[0] = config->channels[0].id;
    wanted.route = route ? config->channels[0].routes[0].id : 0;
    config_unref(config);
    snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    snprintf(wanted.role, sizeof(wanted.role), "%s", role);
    assert_int_equal(access_token_add(f->access, &wanted, text, &id), 0);
    assert_int_equal(access_token(f->access, span_str(text), clock_wall_ms(), &out), 0);
    return out;
}

/* The status; the answer, cut, in `out`. */
static unsigned ask(struct fixture *f, const struct principal *who,
                    enum history_operation operation, const char *body, char *out, size_t size)
{
    struct history_request q;
    history_request_init(&q);
    q.operation = operation;
    q.principal = *who;
    buffer_add_str(&q.body, body);
    history_run(f->history, &q);
    snprintf(out, size, "%.*s", (int)q.answer.n, q.answer.p);
    unsigned status = q.status;
    history_request_free(&q);
    return status;
}

static void say(struct fixture *f, const char *id, const char *text)
{
    assert_int_equal(world_send(&f->w, PHONE, id, text), 200);
}

/* "id":N of the first message of an answer */
static unsigned long long first_id(const char *answer)
{
    const char *at = strstr(answer, "\"messages\":[{\"id\":");
    assert_non_null(at);
    return strtoull(at + 18, NULL, 10);
}

static unsigned leaves_with(struct fixture *f, const char *text);

/* ---- who sees what ---- */

static void by_role(void **state)
{
    (void)state;
    static struct fixture f;
    char a[16384];
    open_all(&f, POLICY("default: redact, iban: keep"));
    say(&f, "wamid.1", "Mijn rekening is " IBAN ", mijn BSN is 111222333.");
    struct principal agent = person(&f, "anna", "agent"), hidden = person(&f, "dirk", "dicht");
    struct principal seeker = person(&f, "zoe", "zoeker");
    struct principal nobody = {.kind = PRINCIPAL_NOBODY}, other = agent;
    other.id = 99;
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_non_null(strstr(a, IBAN)); /* his profile keeps it */
    assert_null(strstr(a, "111222333"));
    assert_non_null(strstr(a, PHONE)); /* in the message's object */
    assert_int_equal(ask(&f, &hidden, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_null(strstr(a, IBAN));
    assert_null(strstr(a, PHONE)); /* contacts are hidden from this role */
    assert_int_equal(ask(&f, &nobody, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 401);
    assert_int_equal(ask(&f, &other, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 403);
    assert_int_equal(ask(&f, &seeker, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 403);
    assert_int_equal(ask(&f, &agent, HISTORY_EXPORT, "{" ASK "}", a, sizeof(a)), 403);
    assert_int_equal(ask(&f, &seeker, HISTORY_EXPORT, "{" ASK "}", a, sizeof(a)), 200);
    struct principal with = tool(&f, "crm", "agent", true), without = tool(&f, "bot", "", true);
    assert_int_equal(ask(&f, &with, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_null(strstr(a, "111222333"));
    assert_int_equal(ask(&f, &without, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 403);
    assert_int_equal(ask(&f, &with, HISTORY_SEARCH, "{}", a, sizeof(a)), 400);
    /* One reader's cursor is not another's. */
    say(&f, "wamid.2", "En nog iets.");
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK ",\"limit\":1}", a, sizeof(a)), 200);
    char body[1024], *cursor = strstr(a, "\"cursor\":\"");
    assert_non_null(cursor);
    cursor[10 + strcspn(cursor + 10, "\"")] = '\0';
    snprintf(body, sizeof(body), "{" ASK ",\"limit\":1,\"cursor\":\"%s\"}", cursor + 10);
    char b[16384];
    assert_int_equal(ask(&f, &hidden, HISTORY_MESSAGES, body, b, sizeof(b)), 400);
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, body, b, sizeof(b)), 200);
    close_all(&f);
}

/* What was kept yesterday is masked when policy says so today; and the keys' end is the end. */
static void policy_of_now(void **state)
{
    (void)state;
    static struct fixture f;
    char a[16384];
    open_all(&f, POLICY("default: redact, iban: keep"));
    say(&f, "wamid.1", "Mijn rekening is " IBAN ".");
    struct principal agent = person(&f, "anna", "agent");
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_non_null(strstr(a, IBAN));
    assert_non_null(strstr(a, "\"form\":\"original\""));
    f.w.policy = POLICY("default: redact");
    world_reload(&f.w);
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_null(strstr(a, IBAN));
    f.w.policy = POLICY("default: redact, iban: keep");
    world_reload(&f.w);
    /* Detection of now finds what intake did not look for. */
    f.w.policy = POLICY("default: redact") "detect: {iban: off}\n";
    world_reload(&f.w);
    say(&f, "wamid.2", "Of op " IBAN ".");
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK ",\"limit\":1}", a, sizeof(a)), 200);
    assert_non_null(strstr(a, IBAN));
    f.w.policy = POLICY("default: redact");
    world_reload(&f.w);
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK ",\"limit\":1}", a, sizeof(a)), 200);
    assert_null(strstr(a, IBAN));
    assert_non_null(strstr(a, "Of op [IBAN]."));
    f.w.policy = POLICY("default: redact, iban: keep");
    world_reload(&f.w);
    /* The original's bucket ends: what stays was masked when it came, whatever policy says. */
    struct config *config = config_acquire(f.w.cell);
    struct retention_facts facts = {0};
    struct retention_rule rule =
        policy_retention(config->channels[0].policy, RETENTION_ORIGINAL, &facts);
    struct retention_place place;
    int64_t now = clock_wall_ms();
    assert_int_equal(retention_place(f.w.store, &rule, RETENTION_ORIGINAL, now, now, &place), 0);
    config_unref(config);
    const struct keyring_leaf leaf = {
        .tree = KEYRING_TIME, .through = true, .cls = place.cls, .leaf = place.bucket};
    assert_int_equal(keyring_puncture(f.w.keyring, &leaf, 1), 0);
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_non_null(strstr(a, "Mijn rekening is [IBAN]."));
    assert_non_null(strstr(a, "\"form\":\"stored\""));
    assert_int_equal(ask(&f, &agent, HISTORY_NOTE,
                         "{\"channel\":\"burgerzaken\",\"message\":1,"
                         "\"text\":\"terugbellen\"}",
                         a, sizeof(a)),
                     200);
    const struct keyring_leaf gone = {.tree = KEYRING_SUBJECT, .leaf = 1};
    assert_int_equal(keyring_puncture(f.w.keyring, &gone, 1), 0);
    unsigned status = ask(&f, &agent, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a));
    assert_true(status == 404 || status == 503); /* nobody can be put on record any more */
    assert_null(strstr(a, "terugbellen"));
    close_all(&f);
}

/* ---- what tools sent: as they called, in a webhook's place ---- */

struct sent {
    struct store_item item;
    struct record_id id;
    struct buffer sealed;
};
static int run_sent(struct store_txn *txn, void *ctx)
{
    struct sent *s = ctx;
    store_put_record(txn, &s->id, buffer_span(&s->sealed));
    store_put_item(txn, &s->item);
    return store_txn_error(txn);
}

static void put_sent(struct fixture *f, uint64_t subject, const char *unit)
{
    struct config *config = config_acquire(f->w.cell);
    struct retention_facts facts = {.out = true};
    struct retention_rule rule =
        policy_retention(config->channels[0].policy, RETENTION_HISTORY, &facts);
    struct retention_place place;
    struct judged none = {0};
    struct keyring_cache *cache;
    struct buffer packed;
    struct sent s = {.item = {.serial = store_next_serial(f->w.store),
                              .subject = subject,
                              .channel = config->channels[0].id,
                              .kind = STORE_KIND_SENT,
                              .at_ms = clock_wall_ms(),
                              .taken_ms = clock_wall_ms()}};
    assert_int_equal(
        retention_place(f->w.store, &rule, RETENTION_HISTORY, s.item.at_ms, s.item.at_ms, &place),
        0);
    config_unref(config);
    s.item.cls_m = place.cls;
    s.item.bucket_m = place.bucket;
    s.id = (struct record_id){place.cls, place.bucket, subject, s.item.serial, 'M'};
    buffer_init(&packed, 4096);
    buffer_init(&s.sealed, 8192);
    mask_pack(&none, span_str(unit), &packed);
    assert_int_equal(keyring_cache_new(f->w.keyring, &cache), 0);
    assert_int_equal(record_seal(cache, 0, &s.id, 0, buffer_span(&packed), &s.sealed), 0);
    keyring_cache_free(cache);
    assert_int_equal(test_run(f->w.store, run_sent, &s), 0);
    buffer_free(&packed);
    buffer_free(&s.sealed);
}

static void sent_by_tools(void **state)
{
    (void)state;
    static struct fixture f;
    char a[16384];
    open_all(&f, POLICY("default: redact"));
    say(&f, "wamid.1", "Goedemorgen.");
    put_sent(&f, 1,
             "{\"messaging_product\":\"whatsapp\",\"to\":\"" PHONE
             "\",\"context\":{\"message_id\":\"wamid.SECRETID\"},\"type\":\"text\","
             "\"text\":{\"body\":\"U spreekt met Sluis, " IBAN "\"}}");
    struct principal agent = person(&f, "anna", "agent"), hidden = person(&f, "dirk", "dicht");
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK ",\"limit\":1}", a, sizeof(a)), 200);
    assert_non_null(strstr(a, "\"direction\":\"out\""));
    assert_non_null(strstr(a, "U spreekt met Sluis, [IBAN]"));
    assert_non_null(strstr(a, "\"to\":\"" PHONE "\""));
    assert_int_equal(ask(&f, &hidden, HISTORY_MESSAGES, "{" ASK ",\"limit\":1}", a, sizeof(a)),
                     200);
    assert_non_null(strstr(a, "U spreekt met Sluis"));
    assert_null(strstr(a, PHONE)); /* an alias of this role's */
    assert_null(strstr(a, "SECRETID"));
    close_all(&f);
}

/* ---- revealing ---- */

static int find_grant(void *ctx, const struct access_grant *g)
{
    struct access_grant *of = ctx;
    of->id = g->person == of->person ? g->id : of->id;
    return 0;
}

static void reveal(void **state)
{
    (void)state;
    static struct fixture f;
    char a[16384], body[2048], grant[600];
    open_all(&f, POLICY("default: redact"));
    say(&f, "wamid.1", "Mijn rekening is " IBAN ", mijn BSN is 111222333.");
    struct principal agent = person(&f, "anna", "agent"), piet = person(&f, "piet", "behandelaar");
    struct principal kees = person(&f, "kees", "behandelaar"),
                     crm = tool(&f, "crm", "behandelaar", 1);
    struct principal operator= {.kind = PRINCIPAL_OPERATOR, .name = "operator"};
    assert_int_equal(ask(&f, &piet, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    assert_null(strstr(a, "111222333"));
    unsigned long long id = first_id(a);
#define REVEAL "{\"channel\":\"burgerzaken\",\"message\":%llu%s}"
#define WHY ",\"purpose\":\"identiteit vaststellen\",\"reference\":\"zaak 12\""
    snprintf(body, sizeof(body), REVEAL, id, WHY);
    assert_int_equal(ask(&f, &agent, HISTORY_REVEAL, body, a, sizeof(a)), 403);
    assert_int_equal(ask(&f, &crm, HISTORY_REVEAL, body, a, sizeof(a)), 403);
    assert_int_equal(ask(&f, &operator, HISTORY_REVEAL, body, a, sizeof(a)), 403);
    assert_int_equal(leaves_with(&f, "\"action\":\"reveal\""), 0);
    assert_int_equal(leaves_with(&f, "history_refused"), 3);
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 200);
    assert_non_null(strstr(a, "{\"type\":\"bsn\",\"value\":\"111222333\"}"));
    assert_null(strstr(a, "0417164300")); /* the role does not list it */
    assert_non_null(strstr(a, "\"hidden\":1"));
    assert_int_equal(leaves_with(&f, "\"action\":\"reveal\",\"actor\":\"piet\""), 1);
    assert_int_equal(leaves_with(&f, "\"reference\":\"zaak 12\""), 1);
    char *at = strstr(a, "\"grant\":\"");
    assert_non_null(at);
    snprintf(grant, sizeof(grant), "%.*s", (int)strcspn(at + 9, "\""), at + 9);
    snprintf(body, sizeof(body), REVEAL, id, "");
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 400); /* no reason */
    snprintf(body, sizeof(body), REVEAL, id, WHY ",\"types\":[\"iban\"]");
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 403);
    snprintf(body, sizeof(body), REVEAL, id, WHY ",\"types\":[\"iban\"],\"break_glass\":true");
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 200);
    assert_non_null(strstr(a, IBAN));
    assert_int_equal(leaves_with(&f, "\"outcome\":\"break_glass\""), 1);
    /* The grant: its person's, for minutes. */
    snprintf(body, sizeof(body), "{\"channel\":\"burgerzaken\",\"grant\":\"%s\"}", grant);
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 200);
    assert_non_null(strstr(a, "111222333"));
    assert_int_equal(ask(&f, &kees, HISTORY_REVEAL, body, a, sizeof(a)), 400);
    assert_int_equal(ask(&f, &crm, HISTORY_REVEAL, body, a, sizeof(a)), 403);
    clock_test_shift(HISTORY_GRANT_MS + 1000);
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 410);
    clock_test_shift(-HISTORY_GRANT_MS - 1000);
    /* ... and no longer than his role. */
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 200);
    struct access_grant of = {.person = piet.id};
    access_each_grant(f.access, find_grant, &of);
    assert_int_equal(access_grant_revoke(f.access, of.id), 0);
    assert_int_equal(ask(&f, &piet, HISTORY_REVEAL, body, a, sizeof(a)), 403);
    assert_null(strstr(a, "111222333"));
    assert_int_equal(world_traces(&f.w, "111222333"), 0);
    close_all(&f);
}

/* ---- no record, no content ---- */

struct count {
    const char *text;
    unsigned n;
};
static int count_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct count *c = ctx;
    (void)index;
    (void)hash;
    c->n += memmem(leaf.p, leaf.n, c->text, strlen(c->text)) != NULL;
    return 0;
}
static unsigned leaves_with(struct fixture *f, const char *text)
{
    struct count c = {text, 0};
    struct store_read *read;
    assert_int_equal(store_read_begin(f->w.store, &read), 0);
    assert_true(store_each_leaf(read, 0, count_leaf, &c) >= 0);
    store_read_end(read);
    return c.n;
}

static void no_record_no_content(void **state)
{
    (void)state;
    static struct fixture f;
    static const char *const bodies[] = {"{" ASK "}", "{" ASK "}", "{\"channel\":\"burgerzaken\"}"};
    static const enum history_operation operations[] = {HISTORY_MESSAGES, HISTORY_EXPORT,
                                                        HISTORY_CONVERSATIONS};
    char a[16384];
    struct principal operator= {.kind = PRINCIPAL_OPERATOR, .name = "operator"};
    open_all(&f, POLICY("default: redact"));
    say(&f, "wamid.1", "Kanarie in de kooi.");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask(&f, &operator, operations[i], bodies[i], a, sizeof(a)), 200);
    unsigned before = leaves_with(&f, "\"actor\":\"operator\"");
    assert_int_equal(before, 3);
    atomic_store(&f.gate.closed, true);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(&f, &operator, operations[i], bodies[i], a, sizeof(a)), 503);
        assert_null(strstr(a, "Kanarie"));
        assert_null(strstr(a, "conversation\":\""));
    }
    atomic_store(&f.gate.closed, false);
    operator.name[0] = '\n'; /* a leaf that cannot be made: nothing is shown either */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(&f, &operator, operations[i], bodies[i], a, sizeof(a)), 503);
        assert_null(strstr(a, "Kanarie"));
    }
    assert_int_equal(leaves_with(&f, "\"actor\":\"operator\""), before);
    close_all(&f);
}

/* ---- statistics ---- */

/* Does the operators' log say so? */
static bool alarmed(struct fixture *f, const char *event)
{
    char path[200], *text = calloc(1, 1 << 20);
    snprintf(path, sizeof(path), "%s/log", f->w.top);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(text);
    (void)!fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    bool found = strstr(text, event) != NULL;
    free(text);
    return found;
}

struct put_items {
    struct store_item items[64];
    unsigned n;
};
static int run_put(struct store_txn *txn, void *ctx)
{
    struct put_items *p = ctx;
    for (unsigned i = 0; i < p->n; i++)
        store_put_item(txn, &p->items[i]);
    return store_txn_error(txn);
}

static void put(struct fixture *f, uint64_t subject, uint8_t kind, int64_t at_ms)
{
    struct config *config = config_acquire(f->w.cell);
    struct put_items p = {.n = 1};
    p.items[0] = (struct store_item){.serial = store_next_serial(f->w.store),
                                     .subject = subject,
                                     .channel = config->channels[0].id,
                                     .kind = kind,
                                     .at_ms = at_ms,
                                     .taken_ms = at_ms};
    config_unref(config);
    assert_int_equal(test_run(f->w.store, run_put, &p), 0);
}

static unsigned tags_of(void *ctx, uint16_t channel, uint64_t subject,
                        char out[STATS_TAGS_MAX][STATS_TAG_SIZE])
{
    (void)ctx;
    (void)channel;
    snprintf(out[0], STATS_TAG_SIZE, "klacht");
    return subject >= 100 && subject < 106;
}

static struct stats *open_stats(struct fixture *f)
{
    const struct stats_deps deps = {
        .store = f->w.store, .keyring = f->w.keyring, .config = f->w.cell, .tags = tags_of};
    struct stats *s;
    assert_int_equal(stats_new(&deps, &s), 0);
    return s;
}

static void told(struct fixture *f, struct stats *s, int64_t from_ms, char *out, size_t size)
{
    struct buffer b;
    struct config *config = config_acquire(f->w.cell);
    buffer_init(&b, 1 << 20);
    assert_int_equal(stats_write(s, from_ms, clock_wall_ms() + HOUR_MS, config->channels[0].id,
                                 STATS_BY_ALL, &b),
                     0);
    config_unref(config);
    snprintf(out, size, "%.*s", (int)b.n, b.p);
    buffer_free(&b);
}

static void statistics(void **state)
{
    (void)state;
    static struct fixture f;
    char a[16384], b[16384];
    open_all(&f, POLICY("default: redact"));
    int64_t t = (clock_wall_ms() / HOUR_MS - 40) * HOUR_MS; /* one hour, or its counts are small */
    /* Ten conversations, answered after 100 s, then a follow-up answered after 1000 s. */
    for (uint64_t i = 0; i < 10; i++) {
        put(&f, 100 + i, STORE_KIND_MESSAGE, t);
        put(&f, 100 + i, STORE_KIND_SENT, t + 100 * 1000);
        put(&f, 100 + i, STORE_KIND_MESSAGE, t + 200 * 1000);
        put(&f, 100 + i, STORE_KIND_ECHO, t + 1200 * 1000);
    }
    for (uint64_t i = 0; i < 3; i++) /* three that nobody answered: too few to tell */
        put(&f, 200 + i, STORE_KIND_MESSAGE, t);
    struct stats *s = open_stats(&f);
    told(&f, s, t - HOUR_MS, a, sizeof(a));
    assert_non_null(strstr(a, "\"in\":23,\"out\":20"));
    assert_non_null(strstr(a, "\"conversations_begun\":13"));
    assert_non_null(strstr(a, "\"conversations_answered\":10"));
    assert_non_null(strstr(a, "\"tag\":\"klacht\",\"in\":10,\"out\":10"));
    unsigned long long n, median, p90;
    const char *at = strstr(a, "\"first_response\":");
    assert_int_equal(sscanf(at,
                            "\"first_response\":{\"count\":%llu,\"median_s\":%llu,\"p90_s\":%llu",
                            &n, &median, &p90),
                     3);
    assert_int_equal(n, 10);
    assert_in_range(median, 91, 109);
    assert_in_range(p90, 91, 109);
    assert_non_null(strstr(a, "\"target_met\":null,\"target_missed\":20"));
    at = strstr(a, "\"follow_up\":");
    assert_int_equal(sscanf(at, "\"follow_up\":{\"count\":%llu,\"median_s\":%llu", &n, &median), 2);
    assert_in_range(median, 910, 1090);
    /* Over a crash nothing is counted twice, and nothing is lost. */
    stats_free(s);
    s = open_stats(&f);
    told(&f, s, t - HOUR_MS, b, sizeof(b));
    assert_string_equal(strstr(a, "\"counts\""), strstr(b, "\"counts\""));
    stats_free(s);
    for (uint64_t i = 0; i < 7; i++)
        put(&f, 300 + i, STORE_KIND_MESSAGE, clock_wall_ms());
    s = open_stats(&f);
    told(&f, s, t - HOUR_MS, b, sizeof(b));
    assert_non_null(strstr(b, "\"in\":30,\"out\":20"));
    stats_free(s); /* these are of today: gone over again, to learn who waits */
    s = open_stats(&f);
    told(&f, s, t - HOUR_MS, b, sizeof(b));
    assert_non_null(strstr(b, "\"in\":30,\"out\":20"));
    assert_non_null(strstr(b, "\"conversations_begun\":20"));
    /* Small counts are not told. */
    told(&f, s, clock_wall_ms() + 30 * 60000, b, sizeof(b));
    stats_free(s);
    put(&f, 400, STORE_KIND_MESSAGE, clock_wall_ms() - 30 * 24 * HOUR_MS);
    put(&f, 100, STORE_KIND_MESSAGE, clock_wall_ms() - 30 * 24 * HOUR_MS); /* under a tag */
    s = open_stats(&f);
    struct buffer small;
    buffer_init(&small, 1 << 16);
    assert_int_equal(stats_write(s, clock_wall_ms() - 31 * 24 * HOUR_MS,
                                 clock_wall_ms() - 29 * 24 * HOUR_MS, 0, STATS_BY_ALL, &small),
                     0);
    snprintf(b, sizeof(b), "%.*s", (int)small.n, small.p);
    assert_non_null(strstr(b, "\"counts\":[]")); /* nor that there was anything */
    assert_null(strstr(b, "\"in\":1"));
    assert_null(strstr(b, "\"tag\"")); /* nor that there was one */
    assert_int_equal(stats_write(s, 5, 5, 0, STATS_BY_ALL, &small), SLUIS_EINVAL);
    assert_int_equal(stats_write(s, 0, clock_wall_ms(), 0, STATS_BY_ALL, &small), SLUIS_EINVAL);
    buffer_free(&small);
    stats_free(s);
    close_all(&f);
}

static void alarms(void **state)
{
    (void)state;
    static struct fixture f;
    open_all(&f, POLICY("default: redact"));
    struct stats *s = open_stats(&f);
    put(&f, 1, STORE_KIND_MESSAGE, clock_wall_ms() - 1000);
    clock_test_shift(31000); /* it looks twice a minute */
    assert_int_equal(stats_catch_up(s), 0);
    assert_false(alarmed(&f, "answer_due"));
    clock_test_shift(31000);
    assert_int_equal(stats_catch_up(s), 0);
    assert_true(alarmed(&f, "answer_due")); /* three quarters of a minute have passed */
    assert_false(alarmed(&f, "window_closing"));
    clock_test_shift(20 * HOUR_MS);
    assert_int_equal(stats_catch_up(s), 0);
    assert_true(alarmed(&f, "window_closing"));
    clock_test_shift(-20 * HOUR_MS - 62000);
    stats_free(s);
    close_all(&f);
}

/* ---- a note in the instant of a redaction ---- */

struct instant {
    struct fixture *f;
    const struct principal *who;
    unsigned long long message;
    uint16_t channel;
    struct record_id to;
    sem_t inside, go, kept;
    unsigned status;
    int result;
};

struct gate_job {
    struct store_job job;
    struct instant *at;
};

static int hold_writer(struct store_txn *txn, struct store_job *job)
{
    struct instant *at = ((struct gate_job *)(void *)job)->at;
    sem_post(&at->inside);
    sem_wait(&at->go);
    return store_txn_error(txn);
}

static void gate_done(struct store_job *job)
{
    sem_post(&((struct gate_job *)(void *)job)->at->inside);
}

static void *put_note(void *ctx)
{
    struct instant *at = ctx;
    char body[256], a[1024];
    snprintf(body, sizeof(body),
             "{\"channel\":\"burgerzaken\",\"message\":%llu,\"text\":\"gebeld\"}", at->message);
    at->status = ask(at->f, at->who, HISTORY_NOTE, body, a, sizeof(a));
    return NULL;
}

static void *keep_notes(void *ctx)
{
    struct instant *at = ctx;
    at->result = history_keep(at->f->history, at->channel, at->to.subject, at->message, &at->to);
    sem_post(&at->kept);
    return NULL;
}

static int only_there(void *ctx, uint64_t serial)
{
    const struct instant *at = ctx;
    return serial == at->to.serial ? 0 : SLUIS_EINVAL;
}

/* The note knows where its message is, and is not written yet; then the message moves. */
static void note_in_the_instant(void **state)
{
    (void)state;
    static struct fixture f;
    char a[16384];
    open_all(&f, POLICY("default: redact"));
    say(&f, "wamid.1", "Wanneer zijn jullie open?");
    struct principal agent = person(&f, "anna", "agent");
    assert_int_equal(ask(&f, &agent, HISTORY_MESSAGES, "{" ASK "}", a, sizeof(a)), 200);
    struct instant at = {.f = &f, .who = &agent, .message = first_id(a), .result = -1};
    struct gate_job gate = {.job = {.run = hold_writer, .done = gate_done}, .at = &at};
    struct store_status status;
    struct store_read *read;
    struct store_item item;
    struct timespec until;
    pthread_t note, keep;
    assert_int_equal(store_read_begin(f.w.store, &read), 0);
    assert_int_equal(store_get_item(read, at.message, &item), 0);
    assert_int_equal(retention_part(read, &item, 'M', &at.to), 0);
    store_read_end(read);
    at.channel = item.channel;
    at.to.serial = store_next_serial(f.w.store);
    sem_init(&at.inside, 0, 0);
    sem_init(&at.go, 0, 0);
    sem_init(&at.kept, 0, 0);
    store_submit(f.w.store, &gate.job);
    sem_wait(&at.inside);
    assert_int_equal(pthread_create(&note, NULL, put_note, &at), 0);
    do {
        sched_yield();
        store_status(f.w.store, &status);
    } while (status.queued == 0);
    assert_int_equal(pthread_create(&keep, NULL, keep_notes, &at), 0);
    /* It has to wait for the note. When it does not, this sees it be ready. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 200000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (sem_timedwait(&at.kept, &until) != 0 && errno == EINTR)
        ;
    sem_post(&at.go);
    sem_wait(&at.inside);
    pthread_join(note, NULL);
    pthread_join(keep, NULL);
    assert_int_equal(at.status, 200);
    assert_int_equal(at.result, 0);
    assert_int_equal(history_each_leaf(f.history, only_there, &at), 0);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_role),
        cmocka_unit_test(policy_of_now),
        cmocka_unit_test(sent_by_tools),
        cmocka_unit_test(reveal),
        cmocka_unit_test(no_record_no_content),
        cmocka_unit_test(statistics),
        cmocka_unit_test(alarms),
        cmocka_unit_test(note_in_the_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
