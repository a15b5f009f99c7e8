/*
 * The OpenAPI 3.1 document of /sluis/v1/, made from the permission table: an endpoint that is
 * served is in it, and none else. What is known of bodies and answers stands in rows here; a
 * row that has not been described yet answers "any".
 */
#include "internal.h"

#include <stdio.h>

#define COMMON                                                                                     \
    "\"channel\":{\"type\":\"string\"},\"purpose\":{\"type\":\"string\",\"maxLength\":160},"       \
    "\"reference\":{\"type\":\"string\",\"maxLength\":160}"
#define WHO                                                                                        \
    "\"contact\":{\"type\":\"string\"},\"external_ref\":{\"type\":\"string\"},\"conversation\":{"  \
    "\"type\":\"string\"}"
#define PERIOD                                                                                     \
    "\"from\":{\"$ref\":\"#/components/schemas/Time\"},\"to\":{\"$ref\":\"#/components/schemas/"   \
    "Time\"}"
#define PAGED                                                                                      \
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":50},\"cursor\":{\"type\":"          \
    "\"string\"}"
#define BODY(properties, required)                                                                 \
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" properties              \
    "},\"required\":[" required "]}"
#define TAG "\"tag\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9_-]{1,32}$\"}"
#define REF(name) "{\"$ref\":\"#/components/schemas/" name "\"}"
#define CURSOR "\"cursor\":{\"type\":[\"string\",\"null\"]}"
#define OBJECT(properties, required)                                                               \
    "{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required "]}"

static const struct described {
    enum permission permission;
    const char *summary, *body, *answer, *query; /* body, answer: schemas; query: names, by space */
    const char *media;                           /* NULL: application/json */
} rows[] = {
    {PERMISSION_STATUS, "what the gateway is doing", NULL,
     OBJECT(
         "\"version\":{\"type\":\"string\"},\"store\":{\"type\":\"object\"},\"channels\":{\"type\":"
         "\"array\"},\"routes\":{\"type\":\"array\"}",
         "\"version\",\"store\",\"channels\",\"routes\""),
     NULL, NULL},
    {PERMISSION_CONSENT, "record or withdraw grounds, opting out and references of contacts",
     BODY("\"entries\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"object\"}},"
          "\"dry_run\":{\"type\":\"boolean\"}",
          "\"entries\""),
     OBJECT("\"entries\":" REF("Number") ",\"recorded\":" REF("Number") ",\"unchanged\":" REF(
                "Number") ",\"dry_run\":{\"type\":\"boolean\"}",
            "\"entries\",\"recorded\",\"unchanged\""),
     NULL, NULL},
    {PERMISSION_CONSENT_LIST, "what is on record of a contact",
     BODY("\"channel\":{\"type\":\"string\"},\"contact\":{\"type\":\"string\"},\"user_id\":{"
          "\"type\":\"string\"},\"reference\":{\"type\":\"string\"}",
          ""),
     OBJECT("\"consents\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"opted_out\":{"
            "\"type\":\"boolean\"}",
            "\"consents\",\"opted_out\""),
     NULL, NULL},
    {PERMISSION_TOKENS, "tokens and what they may use", NULL,
     OBJECT("\"tokens\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}", "\"tokens\""), NULL,
     NULL},
    {PERMISSION_LOG, "the access log, a line per leaf", NULL, NULL,
     "from since until actor role subject action outcome", "application/x-ndjson"},
    {PERMISSION_LOG_KEY, "the verifier key of the log", NULL,
     OBJECT(
         "\"origin\":{\"type\":\"string\"},\"key\":{\"type\":\"string\"},\"fingerprint\":{\"type\":"
         "\"string\"}",
         "\"origin\",\"key\",\"fingerprint\""),
     NULL, NULL},
    {PERMISSION_LOG_CHECKPOINT, "a signed checkpoint", NULL, NULL, NULL, "text/plain"},
    {PERMISSION_LOG_EXPORT, "a signed page of an export", NULL, NULL,
     "from size cuts since until actor role subject action outcome", "application/x-ndjson"},
    {PERMISSION_LOG_INCIDENT, "incident pack (art. 33)", NULL,
     OBJECT(
         "\"from\":" REF("Time") ",\"to\":" REF(
             "Time") ",\"known\":" REF("Time") ",\"notify_before\":" REF("Time") ",\"hours_left\":{"
                                                                                 "\"type\":"
                                                                                 "\"integer\"},"
                                                                                 "\"subjects\""
                                                                                 ":" REF("Number") ",\"records\":" REF(
                                                                                     "Number") ",\""
                                                                                               "cat"
                                                                                               "ego"
                                                                                               "rie"
                                                                                               "s\""
                                                                                               ":{"
                                                                                               "\"t"
                                                                                               "ype"
                                                                                               "\":"
                                                                                               "\"o"
                                                                                               "bje"
                                                                                               "ct"
                                                                                               "\","
                                                                                               "\"a"
                                                                                               "ddi"
                                                                                               "tio"
                                                                                               "nal"
                                                                                               "Pro"
                                                                                               "per"
                                                                                               "tie"
                                                                                               "s\""
                                                                                               ":" REF("Number") "},\"measures\":{\"type\":\"array\",\"items\":{\"type\":"
                                                                                                                 "\"object\"}}",
         "\"from\",\"to\",\"known\",\"notify_before\",\"subjects\",\"records\",\"categories\","
         "\"measures\""),
     "from to known route token form", NULL},
    {PERMISSION_STATISTICS, "counts without content", NULL,
     OBJECT("\"from\":" REF("Time") ",\"to\":" REF(
                "Time") ",\"suppressed_below\":{\"const\":5},\"counts\":{\"type\":\"array\","
                        "\"items\":" REF("Counts") "}",
            "\"from\",\"to\",\"suppressed_below\",\"counts\""),
     "channel from to by", NULL},
    {PERMISSION_HISTORY_CONVERSATIONS, "conversations of a channel, newest first",
     BODY(COMMON "," PERIOD ",\"contact\":{\"type\":\"string\"},\"external_ref\":{\"type\":"
                 "\"string\"}," TAG "," PAGED,
          "\"channel\""),
     OBJECT("\"conversations\":{\"type\":\"array\",\"items\":" REF("Conversation") "}," CURSOR,
            "\"conversations\",\"cursor\""),
     NULL, NULL},
    {PERMISSION_HISTORY_MESSAGES, "messages of a conversation, newest first, masked",
     BODY(COMMON "," WHO "," PERIOD "," TAG ",\"statuses\":{\"type\":\"boolean\"}," PAGED,
          "\"channel\""),
     OBJECT("\"conversation\":{\"type\":\"string\"},\"tags\":" REF("Tags") ",\"notes\":" REF(
                "Notes") ",\"messages\":{\"type\":\"array\",\"items\":" REF("Message") "}," CURSOR,
            "\"conversation\",\"messages\",\"cursor\""),
     NULL, NULL},
    {PERMISSION_HISTORY_TAG, "put or take away a tag",
     BODY(COMMON ",\"conversation\":{\"type\":\"string\"},\"message\":" REF(
              "Number") "," TAG ",\"remove\":{\"type\":\"boolean\"}",
          "\"channel\",\"tag\""),
     REF("Done"), NULL, NULL},
    {PERMISSION_HISTORY_NOTE, "put a note",
     BODY(COMMON ",\"conversation\":{\"type\":\"string\"},\"message\":" REF(
              "Number") ",\"text\":{\"type\":\"string\",\"maxLength\":1000}",
          "\"channel\",\"text\""),
     REF("Done"), NULL, NULL},
    {PERMISSION_HISTORY_REVEAL, "values behind masks, to a person",
     BODY(COMMON
          ",\"message\":" REF("Number") ",\"types\":{\"type\":\"array\",\"items\":{\"type\":"
                                        "\"string\"}},\"break_glass\":{\"type\":\"boolean\"},"
                                        "\"grant\":{\"type\":\"string\"}",
          "\"channel\""),
     OBJECT("\"message\":" REF("Number") ",\"values\":{\"type\":\"array\",\"items\":" OBJECT(
                "\"type\":{\"type\":\"string\"},\"value\":{\"type\":\"string\"}",
                "\"type\",\"value\"") "},\"hidden\":{\"type\":\"integer\"},\"grant\":{\"type\":"
                                      "\"string\"},"
                                      "\"expires\":" REF("Time"),
            "\"message\",\"values\",\"grant\",\"expires\""),
     NULL, NULL},
    {PERMISSION_HISTORY_SEARCH, "search over a period: a slice",
     BODY(COMMON
          "," PERIOD
          ",\"words\":{\"type\":\"array\",\"maxItems\":8,\"items\":{\"type\":\"string\"}}," TAG
          "," PAGED,
          "\"channel\",\"from\",\"to\",\"purpose\",\"reference\""),
     OBJECT("\"hits\":{\"type\":\"array\",\"items\":" OBJECT(
                "\"conversation\":{\"type\":\"string\"},\"message\":" REF("Message"),
                "\"conversation\",\"message\"") "},\"scanned\":{\"type\":\"integer\"}," CURSOR,
            "\"hits\",\"scanned\",\"cursor\""),
     NULL, NULL},
    {PERMISSION_HISTORY_EXPORT, "a part of the export of a conversation",
     BODY(COMMON "," WHO "," PERIOD ",\"form\":{\"enum\":[\"json\",\"html\"]}," PAGED,
          "\"channel\""),
     OBJECT("\"document\":{\"type\":\"string\"}," CURSOR, "\"document\",\"cursor\""), NULL, NULL},
    {PERMISSION_HISTORY_EXPIRING, "what the selection list demanded was kept and is about to end",
     BODY(COMMON ",\"before\":" REF("Time") "," PAGED, "\"channel\",\"before\""),
     OBJECT("\"classes\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}," CURSOR,
            "\"classes\",\"cursor\""),
     NULL, NULL},
    {PERMISSION_OPENAPI, "this document", NULL,
     OBJECT("\"openapi\":{\"type\":\"string\"},\"paths\":{\"type\":\"object\"}",
            "\"openapi\",\"paths\""),
     NULL, NULL},
};

static const char schemas[] =
    "\"Time\":{\"type\":\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z)?$\"},"
    "\"Number\":{\"type\":\"integer\",\"minimum\":0},"
    "\"Done\":{\"type\":\"object\",\"properties\":{\"done\":{\"type\":\"string\"}},\"required\":["
    "\"done\"]},"
    "\"Tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"Notes\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":"
    "\"integer\"},"
    "\"at\":{\"$ref\":\"#/components/schemas/"
    "Time\"},\"author\":{\"type\":\"string\"},\"text\":{\"type\":"
    "\"string\"}},\"required\":[\"id\",\"at\",\"author\",\"text\"]}},"
    "\"Conversation\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"last\":{"
    "\"$ref\":"
    "\"#/components/schemas/"
    "Time\"},\"last_direction\":{\"type\":\"string\"},\"last_message\":{\"type\":"
    "\"integer\"},\"tags\":{\"$ref\":\"#/components/schemas/Tags\"},\"notes\":{\"$ref\":"
    "\"#/components/schemas/Notes\"}},\"required\":[\"id\",\"last\",\"tags\",\"notes\"]},"
    "\"Message\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"},\"at\":{\"$"
    "ref\":"
    "\"#/components/schemas/Time\"},\"taken\":{\"$ref\":\"#/components/schemas/"
    "Time\"},\"direction\":{"
    "\"enum\":[\"in\",\"out\",\"status\",\"account\",\"other\"]},\"kind\":{\"type\":\"string\"},"
    "\"form\":{"
    "\"enum\":[\"original\",\"stored\",\"gone\",\"withheld\"]},\"masked\":{\"$ref\":"
    "\"#/components/schemas/"
    "Tags\"},\"media\":{\"type\":\"boolean\"},\"text\":{\"type\":[\"string\",\"null\"]},"
    "\"content\":{\"type\":[\"object\",\"null\"]},\"tags\":{\"$ref\":\"#/components/schemas/"
    "Tags\"},"
    "\"notes\":{\"$ref\":\"#/components/schemas/Notes\"}},\"required\":[\"id\",\"at\",\"taken\","
    "\"direction\",\"kind\",\"form\",\"masked\",\"media\",\"text\",\"content\",\"tags\",\"notes\"]}"
    ","
    "\"Counts\":{\"type\":\"object\",\"properties\":{\"from\":{\"$ref\":\"#/components/schemas/"
    "Time\"},"
    "\"hours\":{\"type\":\"integer\"},\"channel\":{\"type\":\"string\"},\"route\":{\"type\":"
    "\"string\"},\"tag\":"
    "{\"type\":\"string\"},\"in\":{\"type\":[\"integer\",\"null\"]},\"out\":{\"type\":[\"integer\","
    "\"null\"]},"
    "\"suppressed\":{\"type\":\"boolean\"}},\"required\":[\"from\",\"hours\",\"channel\","
    "\"suppressed\"]},"
    "\"Problem\":{\"type\":\"object\",\"description\":\"RFC "
    "9457\",\"properties\":{\"type\":{\"type\":"
    "\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},\"detail\":{"
    "\"type\":"
    "\"string\"}},\"required\":[\"type\",\"title\",\"status\",\"detail\"]}";

static const struct described *find(enum permission permission)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].permission == permission)
            return &rows[i];
    return NULL;
}

static void add_parameters(const struct permission_row *row, const struct described *d,
                           struct buffer *out)
{
    bool any = strstr(row->path, "{id}") != NULL;
    buffer_add(out, SPAN(",\"parameters\":["));
    if (any)
        buffer_add(out,
                   SPAN("{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
                        "\"string\"}}"));
    struct span rest = span_str(d ? d->query : NULL);
    while (rest.n) {
        size_t end = span_find(rest, ' ');
        struct span name = span_sub(rest, 0, end);
        buffer_addf(out,
                    "%s{\"name\":\"%.*s\",\"in\":\"query\",\"required\":false,\"schema\":{\"type\":"
                    "\"string\"}}",
                    any ? "," : "", (int)name.n, name.p);
        any = true;
        rest = span_from(rest, end + 1);
    }
    buffer_add_char(out, ']');
}

static void add_operation(const struct permission_row *row, struct buffer *out)
{
    static const char *const methods[] = {
        [PERMISSION_GET] = "get", [PERMISSION_POST] = "post", [PERMISSION_DELETE] = "delete"};
    const struct described *d = NULL;
    for (unsigned i = 0; i < PERMISSION_COUNT; i++)
        if (permission_row(i) == row)
            d = find(i);
    buffer_addf(out, "\"%s\":{\"operationId\":\"%s\",\"summary\":", methods[row->method], row->id);
    json_quote(out, span_str(d ? d->summary : row->id));
    buffer_addf(out, ",\"x-doors\":\"%s\"",
                row->doors == DOOR_BOTH    ? "admin control"
                : row->doors == DOOR_ADMIN ? "admin"
                                           : "control");
    add_parameters(row, d, out);
    if (d && d->body)
        buffer_addf(out,
                    ",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{"
                    "\"schema\":%s}}}",
                    d->body);
    buffer_addf(
        out, ",\"responses\":{\"200\":{\"description\":\"done\",\"content\":{\"%s\":{\"schema\":",
        d && d->media ? d->media : "application/json");
    buffer_add_str(out, d && d->answer ? d->answer : "true");
    buffer_add(out, SPAN("}}},\"default\":{\"description\":\"refused or failed\",\"content\":{"
                         "\"application/problem+json\":{\"schema\":" REF("Problem") "}}}}}"));
}

/* Rows of one path stand together in the document, wherever they stand in the table. */
static void add_path(unsigned first, struct buffer *out)
{
    const struct permission_row *row = permission_row(first);
    unsigned n = 0;
    buffer_addf(out, "\"/%s\":{", row->path);
    for (unsigned i = first; i < PERMISSION_COUNT; i++) {
        const struct permission_row *other = permission_row(i);
        if (strcmp(other->path, row->path) != 0)
            continue;
        buffer_add_str(out, n++ ? "," : "");
        add_operation(other, out);
    }
    buffer_add_char(out, '}');
}

static bool is_api(const struct permission_row *row)
{
    return strncmp(row->path, "sluis/v1/", 9) == 0 && !(row->flags & PERMISSION_PAGE);
}

void admin_openapi(struct admin_request *r)
{
    struct buffer out;
    unsigned n = 0;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    buffer_add(
        &out,
        SPAN("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Sluis\",\"version\":\"" SLUIS_VERSION
             "\",\"description\":\"The admin listener (persons) and the control socket. "
             "Tools have the history paths marked so on their own listener.\"},"
             "\"paths\":{"));
    for (unsigned i = 0; i < PERMISSION_COUNT; i++) {
        bool before = !is_api(permission_row(i));
        for (unsigned k = 0; k < i && !before; k++)
            before = strcmp(permission_row(k)->path, permission_row(i)->path) == 0;
        if (before)
            continue;
        buffer_add_str(&out, n++ ? "," : "");
        add_path(i, &out);
    }
    buffer_add(&out, SPAN("},\"components\":{\"schemas\":{"));
    buffer_add_str(&out, schemas);
    buffer_add(&out, SPAN("}}}"));
    admin_json(r, 200, &out);
    buffer_free(&out);
}
