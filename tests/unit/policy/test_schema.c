/*
 * policies/policy.schema.json, for editors, is made from the tables of keys: this test makes it and
 * compares. SLUIS_SCHEMA_PRINT=1 prints what is expected, to be put in its place. The shipped
 * policies hold to it, and it refuses what it should.
 */
#include "policy_room.h"

#include "sluis/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "manual.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define REF(name) "{\"$ref\": \"#/$defs/" name "\"}"
#define LIST(item) "{\"type\": \"array\", \"items\": " item "}"
#define NAMED(item)                                                                                \
    "{\"type\": \"object\", \"propertyNames\": " REF("name") ", \"additionalProperties\": " item "}"
#define WORDS(words) "{\"enum\": [" words "]}"
#define STRINGS LIST("{\"type\": \"string\"}")
#define ONE_OR_MORE "{\"anyOf\": [{\"type\": \"string\"}, " STRINGS "]}"
#define COVERED WORDS("\"redact\", \"withhold\", \"pass\"")
#define FILES WORDS("\"withhold\", \"pass\"")
#define BASIS                                                                                      \
    "{\"anyOf\": [" WORDS("\"required\", \"none\"") ", " REF("ground") ", " LIST(REF("ground")) "]}"
#define KINDS                                                                                      \
    LIST(WORDS(                                                                                    \
        "\"image\", \"document\", \"audio\", \"video\", \"sticker\", \"location\", \"contacts\""))
#define OPEN "{\"anyOf\": [" REF("span") ", " REF("hours") "]}"
#define NEEDED WORDS("\"required\", \"optional\"")
#define WHEN_ROWS(table)                                                                           \
    {table, "found", ONE_OR_MORE}, {table, "not_found", ONE_OR_MORE},                              \
        {table, "kind", WORDS("\"media\", \"text\"")},                                             \
        {table, "direction", WORDS("\"in\", \"out\"")}, {table, "channel", ONE_OR_MORE},           \
        {table, "hour", REF("span")}, {table, "days", ONE_OR_MORE},                                \
    {                                                                                              \
        table, "consent", WORDS("\"given\", \"missing\"")                                          \
    }

/* Names of the tables in the schema, and what keys that are no table's may hold. */
static const struct {
    const char *name, *others;
} defs[POLICY_KEYS_TABLES] = {
    [POLICY_KEYS_TOP] = {"policy", NULL},
    [POLICY_KEYS_CONTROLLER] = {"controller", NULL},
    [POLICY_KEYS_PROCESSOR] = {"processor", NULL},
    [POLICY_KEYS_DETECT] = {"detect", "{\"anyOf\": [{\"const\": \"off\"}, " REF("threshold") "]}"},
    [POLICY_KEYS_DETECT_TYPE] = {"threshold", NULL},
    [POLICY_KEYS_RECOGNISER] = {"recogniser", NULL},
    [POLICY_KEYS_PROFILE] = {"profile", REF("action")},
    [POLICY_KEYS_ACTION] = {"shape", NULL},
    [POLICY_KEYS_PARTIAL] = {"partial", NULL},
    [POLICY_KEYS_RULE] = {"rule", NULL},
    [POLICY_KEYS_ROUTE] = {"route", NULL},
    [POLICY_KEYS_MEDIA] = {"media", NULL},
    [POLICY_KEYS_OUTBOUND] = {"outbound", NULL},
    [POLICY_KEYS_FOUND] = {"found", REF("sending")},
    [POLICY_KEYS_LOG] = {"log", NULL},
    [POLICY_KEYS_WHEN] = {"when", NULL},
    [POLICY_KEYS_CASE] = {"profile_rule", REF("action")},
    [POLICY_KEYS_ROLE] = {"role", NULL},
    [POLICY_KEYS_OUTBOUND_RULE] = {"outbound_rule", NULL},
    [POLICY_KEYS_OUTBOUND_WHEN] = {"outbound_when", NULL},
    [POLICY_KEYS_OUTBOUND_ROLE] = {"outbound_role", NULL},
    [POLICY_KEYS_TEMPLATE] = {"template", NULL},
    [POLICY_KEYS_CONSENT] = {"consent", NULL},
    [POLICY_KEYS_PACE] = {"pace", NULL},
    [POLICY_KEYS_NOTICE] = {"notice", NULL},
    [POLICY_KEYS_HOURS] = {"hours", NULL},
};

/* Values that the kind of a key does not tell. */
static const struct {
    enum policy_table_index table;
    const char *key, *schema;
} values[] = {
    {POLICY_KEYS_TOP, "policy", "{\"const\": 1}"},
    {POLICY_KEYS_TOP, "name", REF("name")},
    {POLICY_KEYS_TOP, "controller", REF("controller")},
    {POLICY_KEYS_TOP, "processors", LIST(REF("processor"))},
    {POLICY_KEYS_TOP, "detect", REF("detect")},
    {POLICY_KEYS_TOP, "recognisers", LIST(REF("recogniser"))},
    {POLICY_KEYS_TOP, "profiles", NAMED(REF("profile"))},
    {POLICY_KEYS_TOP, "originals", LIST(REF("rule"))},
    {POLICY_KEYS_TOP, "history", LIST(REF("rule"))},
    {POLICY_KEYS_TOP, "on_revoke", WORDS("\"erase\", \"hide\"")},
    {POLICY_KEYS_TOP, "routes", NAMED(REF("route"))},
    {POLICY_KEYS_TOP, "media", REF("media")},
    {POLICY_KEYS_TOP, "outbound", REF("outbound")},
    {POLICY_KEYS_TOP, "log", REF("log")},
    {POLICY_KEYS_DETECT, "default", REF("threshold")},
    {POLICY_KEYS_DETECT_TYPE, "from", REF("share")},
    {POLICY_KEYS_DETECT_TYPE, "words", STRINGS},
    {POLICY_KEYS_RECOGNISER, "name", REF("name")},
    {POLICY_KEYS_RECOGNISER, "patterns", STRINGS},
    {POLICY_KEYS_RECOGNISER, "validator",
     WORDS("\"luhn\", \"mod97\", \"elfproef\", \"mod11\", \"none\"")},
    {POLICY_KEYS_RECOGNISER, "context", STRINGS},
    {POLICY_KEYS_RECOGNISER, "counter", STRINGS},
    {POLICY_KEYS_RECOGNISER, "score", REF("share")},
    {POLICY_KEYS_PROFILE, "default", REF("action")},
    {POLICY_KEYS_PROFILE, "contact", WORDS("\"keep\", \"alias\"")},
    {POLICY_KEYS_ACTION, "partial", REF("partial")},
    WHEN_ROWS(POLICY_KEYS_RULE),
    {POLICY_KEYS_RULE, "keep", "{\"anyOf\": [{\"const\": \"never\"}, " REF("duration") "]}"},
    {POLICY_KEYS_ROUTE, "media", WORDS("\"withhold\", \"pass\"")},
    {POLICY_KEYS_MEDIA, "card", COVERED},
    {POLICY_KEYS_MEDIA, "id_document", COVERED},
    {POLICY_KEYS_MEDIA, "mrz", COVERED},
    {POLICY_KEYS_MEDIA, "bsn", COVERED},
    {POLICY_KEYS_MEDIA, "iban", COVERED},
    {POLICY_KEYS_MEDIA, "payment_code", COVERED},
    {POLICY_KEYS_MEDIA, "other", COVERED},
    {POLICY_KEYS_MEDIA, "clean", FILES},
    {POLICY_KEYS_MEDIA, "unknown", FILES},
    {POLICY_KEYS_MEDIA, "document", FILES},
    {POLICY_KEYS_MEDIA, "audio", FILES},
    {POLICY_KEYS_MEDIA, "video", FILES},
    {POLICY_KEYS_OUTBOUND, "found", REF("found")},
    {POLICY_KEYS_OUTBOUND, "links", STRINGS},
    {POLICY_KEYS_OUTBOUND, "templates",
     LIST("{\"anyOf\": [{\"type\": \"string\"}, " REF("template") "]}")},
    {POLICY_KEYS_OUTBOUND, "roles", NAMED(REF("outbound_role"))},
    {POLICY_KEYS_OUTBOUND, "rules", LIST(REF("outbound_rule"))},
    {POLICY_KEYS_OUTBOUND, "purposes", LIST(REF("name"))},
    {POLICY_KEYS_OUTBOUND, "attachments", KINDS},
    {POLICY_KEYS_OUTBOUND, "consent", REF("consent")},
    {POLICY_KEYS_OUTBOUND, "pace", REF("pace")},
    {POLICY_KEYS_OUTBOUND, "stop", STRINGS},
    {POLICY_KEYS_OUTBOUND_RULE, "when", REF("outbound_when")},
    {POLICY_KEYS_OUTBOUND_RULE, "found", REF("found")},
    {POLICY_KEYS_OUTBOUND_ROLE, "found", REF("found")},
    {POLICY_KEYS_OUTBOUND_ROLE, "attachments", KINDS},
    {POLICY_KEYS_TEMPLATE, "category", WORDS("\"marketing\", \"utility\", \"authentication\"")},
    {POLICY_KEYS_CONSENT, "marketing", BASIS},
    {POLICY_KEYS_CONSENT, "utility", BASIS},
    {POLICY_KEYS_CONSENT, "authentication", BASIS},
    {POLICY_KEYS_CONSENT, "service", BASIS},
    {POLICY_KEYS_TOP, "selection", WORDS("\"required\"")},
    {POLICY_KEYS_TOP, "roles", NAMED(REF("role"))},
    {POLICY_KEYS_TOP, "notices", NAMED(REF("notice"))},
    {POLICY_KEYS_TOP, "hours", OPEN},
    {POLICY_KEYS_TOP, "until", REF("day")},
    {POLICY_KEYS_TOP, "then", REF("name")},
    {POLICY_KEYS_PROFILE, "rules", LIST(REF("profile_rule"))},
    WHEN_ROWS(POLICY_KEYS_WHEN),
    WHEN_ROWS(POLICY_KEYS_OUTBOUND_WHEN),
    {POLICY_KEYS_CASE, "when", REF("when")},
    {POLICY_KEYS_CASE, "default", REF("action")},
    {POLICY_KEYS_ROLE, "may",
     LIST(
         WORDS("\"history\", \"reveal\", \"search\", \"export\", \"log\", \"policy\", \"approve\", "
               "\"roles\", \"subject\", \"hold\", \"consent\", \"stats\", \"operate\""))},
    {POLICY_KEYS_ROLE, "reveal", STRINGS},
    {POLICY_KEYS_ROLE, "reason", NEEDED},
    {POLICY_KEYS_ROLE, "reference", NEEDED},
    {POLICY_KEYS_ROLE, "hours", OPEN},
    {POLICY_KEYS_HOURS, "open", REF("span")},
    {POLICY_KEYS_HOURS, "days", ONE_OR_MORE},
    {POLICY_KEYS_HOURS, "holidays", LIST(REF("day"))},
    {POLICY_KEYS_FOUND, "default", REF("sending")},
};

/* Values that more than one key has. */
static const char scalars[] =
    "    \"name\": {\"type\": \"string\", \"pattern\": \"^[a-z][a-z0-9_-]{0,62}$\"},\n"
    "    \"duration\": {\"type\": \"string\", \"pattern\": "
    "\"^[0-9]+(s|min|h|d|w|m|y)$\"},\n"
    "    \"day\": {\"type\": \"string\", \"pattern\": \"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"},\n"
    "    \"span\": {\"type\": \"string\", \"pattern\": "
    "\"^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$\"},\n"
    "    \"ground\": " WORDS(
        "\"consent\", \"customer\", \"contract\", \"task\"") ",\n"
                                                             "    \"share\": {\"type\": "
                                                             "\"number\", \"minimum\": 0, "
                                                             "\"maximum\": 1},\n"
                                                             "    \"sending\": " WORDS(
                                                                 "\"mask\", \"refuse\", "
                                                                 "\"pass\"") ",\n"
                                                                             "    "
                                                                             "\"action\": "
                                                                             "{\"anyOf\": "
                                                                             "[" WORDS(
                                                                                 "\"redact"
                                                                                 "\", "
                                                                                 "\"hash\","
                                                                                 " \"keep\""
                                                                                 ", "
                                                                                 "\"token\""
                                                                                 ", "
                                                                                 "\"block"
                                                                                 "\"") ","
                                                                                       " " REF(
                                                                                           "shape") "]}";

static const char *value_of(enum policy_table_index table, const struct yaml_key *key)
{
    for (size_t i = 0; i < N(values); i++)
        if (values[i].table == table && strcmp(values[i].key, key->name) == 0)
            return values[i].schema;
    switch (key->want) {
    case YAML_WANT_TEXT:
        return "{\"type\": \"string\"}";
    case YAML_WANT_NUMBER:
        return "{\"type\": \"integer\"}";
    case YAML_WANT_BOOL:
        return "{\"type\": \"boolean\"}";
    case YAML_WANT_DURATION:
        return REF("duration");
    default:
        fail_msg("no schema for the value of \"%s\"", key->name);
        return "";
    }
}

static void make_table(enum policy_table_index t, struct buffer *out)
{
    const struct policy_table *table = &policy_tables[t];
    size_t required = 0;
    buffer_addf(out, "    \"%s\": {\n      \"type\": \"object\",\n      \"properties\": {",
                defs[t].name);
    bool any = false;
    for (size_t i = 0; i < table->n; i++) {
        const struct yaml_key *key = &table->keys[i];
        required += key->required;
        if (key->later)
            continue;
        buffer_addf(out, "%s\n        \"%s\": {\"description\": ", any ? "," : "", key->name);
        json_quote(out, span_str(key->help));
        buffer_addf(out, ", \"allOf\": [%s]}", value_of(t, key));
        any = true;
    }
    buffer_add(out, SPAN("\n      },\n"));
    if (required) {
        buffer_add(out, SPAN("      \"required\": ["));
        for (size_t i = 0, told = 0; i < table->n; i++)
            if (table->keys[i].required)
                buffer_addf(out, "%s\"%s\"", told++ ? ", " : "", table->keys[i].name);
        buffer_add(out, SPAN("],\n"));
    }
    buffer_addf(out, "      \"additionalProperties\": %s\n    }",
                defs[t].others ? defs[t].others : "false");
}

static void make_schema(struct buffer *out)
{
    buffer_add(out, SPAN("{\n"
                         "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                         "  \"title\": \"Sluis policy\",\n"
                         "  \"$ref\": \"#/$defs/policy\",\n"
                         "  \"$defs\": {\n"));
    buffer_add_str(out, scalars);
    for (size_t t = 0; t < POLICY_KEYS_TABLES; t++) {
        buffer_add(out, SPAN(",\n"));
        make_table((enum policy_table_index)t, out);
    }
    buffer_add(out, SPAN("\n  }\n}\n"));
}

static void test_made(void **state)
{
    (void)state;
    struct buffer made;
    buffer_init(&made, 256 * 1024);
    make_schema(&made);
    assert_int_equal(made.error, 0);
    if (getenv("SLUIS_SCHEMA_PRINT")) {
        FILE *f = fopen(getenv("SLUIS_SCHEMA_PRINT"), "w");
        assert_non_null(f);
        fwrite(made.p, 1, made.n, f);
        fclose(f);
    }
    char *shipped = manual_read(SLUIS_SOURCE_DIR "/policies/policy.schema.json");
    if (!shipped || !span_is(buffer_span(&made), shipped))
        print_message("run SLUIS_SCHEMA_PRINT=policies/policy.schema.json test_schema\n");
    assert_non_null(shipped);
    assert_true(span_is(buffer_span(&made), shipped));
    free(shipped);
    buffer_free(&made);
}

/* ---- the words of JSON Schema that it uses ---- */

struct checker {
    struct json_doc schema;
    const char *why;
};

static bool holds(struct checker *c, uint32_t schema, const struct yaml_node *v);

static uint32_t deref(const struct checker *c, uint32_t node)
{
    char path[128];
    struct span ref = json_inner(&c->schema, json_get(&c->schema, node, SPAN("$ref")));
    assert_true(span_starts(ref, SPAN("#/$defs/")));
    ref = span_from(ref, strlen("#/$defs/"));
    snprintf(path, sizeof(path), "$defs.%.*s", (int)ref.n, ref.p);
    uint32_t target = json_path(&c->schema, 0, path);
    assert_true(target != JSON_NONE); /* no reference leads nowhere */
    return target;
}

static bool is_number(const struct yaml_node *v, bool whole)
{
    char *end = NULL;
    double d = v->kind == YAML_SCALAR && !v->quoted ? strtod(v->text, &end) : 0;
    return end && end != v->text && !*end && (!whole || d == (double)(long long)d);
}

static bool type_holds(struct span type, const struct yaml_node *v)
{
    bool boolean = v->kind == YAML_SCALAR && !v->quoted &&
                   (strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0);
    if (span_is(type, "object"))
        return v->kind == YAML_MAP;
    if (span_is(type, "array"))
        return v->kind == YAML_LIST;
    if (span_is(type, "boolean"))
        return boolean;
    if (span_is(type, "number") || span_is(type, "integer"))
        return is_number(v, span_is(type, "integer"));
    assert_true(span_is(type, "string"));
    return v->kind == YAML_SCALAR && !boolean && !is_number(v, false);
}

static bool members_hold(struct checker *c, uint32_t schema, const struct yaml_node *v)
{
    uint32_t known = json_get(&c->schema, schema, SPAN("properties"));
    uint32_t others = json_get(&c->schema, schema, SPAN("additionalProperties"));
    for (const struct yaml_node *i = v->child; i; i = i->next) {
        uint32_t at = json_get(&c->schema, known, span_str(i->key));
        if (at == JSON_NONE)
            at = others;
        c->why = i->key;
        if (json_is(&c->schema, at, JSON_FALSE) ||
            (json_is(&c->schema, at, JSON_OBJECT) && !holds(c, at, i)))
            return false;
    }
    uint32_t required = json_get(&c->schema, schema, SPAN("required"));
    for (uint32_t r = json_first(&c->schema, required); r != JSON_NONE;
         r = json_next(&c->schema, r)) {
        struct span name = json_inner(&c->schema, r);
        bool there = false;
        for (const struct yaml_node *i = v->child; i; i = i->next)
            there |= span_is(name, i->key);
        if (!there)
            return false;
    }
    return true;
}

/* enum and const; patterns and bounds are left to the loader. */
static bool word_holds(struct checker *c, uint32_t schema, const struct yaml_node *v)
{
    uint32_t words = json_get(&c->schema, schema, SPAN("enum"));
    uint32_t word = json_get(&c->schema, schema, SPAN("const"));
    if (words == JSON_NONE && word == JSON_NONE)
        return true;
    if (v->kind != YAML_SCALAR)
        return false;
    if (word != JSON_NONE)
        return json_string_is(&c->schema, word, span_str(v->text)) ||
               span_is(json_raw(&c->schema, word), v->text);
    for (uint32_t w = json_first(&c->schema, words); w != JSON_NONE; w = json_next(&c->schema, w))
        if (json_string_is(&c->schema, w, span_str(v->text)))
            return true;
    return false;
}

static bool holds(struct checker *c, uint32_t schema, const struct yaml_node *v)
{
    if (json_get(&c->schema, schema, SPAN("$ref")) != JSON_NONE && !holds(c, deref(c, schema), v))
        return false;
    uint32_t list = json_get(&c->schema, schema, SPAN("allOf"));
    for (uint32_t i = json_first(&c->schema, list); i != JSON_NONE; i = json_next(&c->schema, i))
        if (!holds(c, i, v))
            return false;
    list = json_get(&c->schema, schema, SPAN("anyOf"));
    bool one = list == JSON_NONE;
    for (uint32_t i = json_first(&c->schema, list); i != JSON_NONE; i = json_next(&c->schema, i))
        one |= holds(c, i, v);
    uint32_t type = json_get(&c->schema, schema, SPAN("type"));
    if (!one || !word_holds(c, schema, v) ||
        (type != JSON_NONE && !type_holds(json_inner(&c->schema, type), v)))
        return false;
    uint32_t items = json_get(&c->schema, schema, SPAN("items"));
    for (const struct yaml_node *i = v->child; items != JSON_NONE && i; i = i->next)
        if (!holds(c, items, i))
            return false;
    return v->kind != YAML_MAP || members_hold(c, schema, v);
}

static bool text_holds(const char *text)
{
    struct arena arena;
    struct checker c = {.why = ""};
    struct yaml_doc *doc;
    struct diag diag = {0};
    char *shipped = manual_read(SLUIS_SOURCE_DIR "/policies/policy.schema.json");
    assert_non_null(shipped);
    arena_init(&arena, 4 * 1024 * 1024);
    assert_int_equal(json_scan(&c.schema, span_str(shipped), &arena, NULL), 0);
    assert_int_equal(yaml_parse(span_str(text), "t", &doc, &diag), 0);
    bool good = holds(&c, 0, yaml_root(doc));
    if (!good)
        print_message("refused by the schema at %s\n", c.why);
    yaml_free(doc);
    arena_free(&arena);
    free(shipped);
    return good;
}

static void test_shipped(void **state)
{
    (void)state;
    static const char *const names[] = {"default", "observe", "municipality", "bank", "airline"};
    for (size_t i = 0; i < N(names); i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/policies/%s.yaml", SLUIS_SOURCE_DIR, names[i]);
        char *text = manual_read(path);
        assert_non_null(text);
        assert_true(text_holds(text));
        free(text);
    }
}

#define HEAD "policy: 1\nname: t\n"

static void test_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "name: t\n",
        "policy: 2\nname: t\n",
        HEAD "profils: {}\n",
        HEAD "notices: {bsn: {en: text}}\n",
        HEAD "roles: {a: {may: [all]}}\n",
        HEAD "roles: {a: {reason: yes}}\n",
        HEAD "profiles: {a: {rules: [{when: {kind: voice}, default: keep}]}}\n",
        HEAD "profiles: {a: {rules: [{default: keep}]}}\n",
        HEAD "outbound: {templates: [{category: marketing}]}\n",
        HEAD "outbound: {consent: {marketing: asked}}\n",
        HEAD "outbound: {attachments: [pdf]}\n",
        HEAD "hours: {days: [ma]}\n",
        HEAD "detect: {bsn: on}\n",
        HEAD "detect: {bsn: {form: 0.5}}\n",
        HEAD "detect: {bsn: {from: high}}\n",
        HEAD "profiles: {a: {default: redcat}}\n",
        HEAD "profiles: {a: {iban: {partial: {lst: 4}}}}\n",
        HEAD "originals: {keep: 1d}\n",
        HEAD "originals: [{ground: x}]\n",
        HEAD "originals: [{keep: 1d, kind: picture}]\n",
        HEAD "media: {card: hide}\n",
        HEAD "media: {unknown: redact}\n",
        HEAD "outbound: {found: {bsn: redact}}\n",
        HEAD "routes: {a: {}}\n",
    };
    for (size_t i = 0; i < N(bad); i++) {
        if (text_holds(bad[i]))
            fail_msg("accepted:\n%s", bad[i]);
        struct policy *policy;
        assert_int_equal(policy_load(span_str(bad[i]), "t", &policy, NULL), SLUIS_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_made), cmocka_unit_test(test_shipped),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
