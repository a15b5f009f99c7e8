#include "message.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/encode.h"

#define SCRIPT_CONTACTS_MAX 64   /* people of one file */
#define SCRIPT_MESSAGES_MAX 4096 /* messages that "@N" can name */
#define SCRIPT_FILE_MAX (8u << 20)

struct contact {
    char name[32], phone[24], profile[128];
};
struct parser {
    const char *file;
    unsigned line;
    uint64_t seed;
    char phone_number_id[32], waba[32], display[24];
    struct contact contacts[SCRIPT_CONTACTS_MAX];
    size_t contact_count;
    char (*ids)[WAMID_SIZE];
    size_t id_count;
    json_t *changes; /* of the POST being built */
    const char *first_contact;
    bool batch;
    unsigned pause_ms;
    int expect;
    struct script *out;
};

/* Gives a media object what Meta always sends and the file left out. */
static void media_defaults(json_t *media)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char base64[BASE64_LEN(SHA256_DIGEST_LENGTH) + 1];
    struct span picture = sim_media_bytes();
    SHA256((const unsigned char *)picture.p, picture.n, digest);
    base64_encode(digest, sizeof digest, base64);
    json_t *defaults = json_pack(
        "{ss ss ss ss}", "id", SIM_MEDIA_ID, "mime_type", SIM_MEDIA_TYPE, "sha256", base64, "url",
        "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=" SIM_MEDIA_ID
        "&ext=1763760000&hash=ATsim");
    json_object_update_missing(media, defaults);
    json_decref(defaults);
}

static int fail(const struct parser *p, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", p->file, p->line, what);
    return -1;
}

static int add_post(struct parser *p, char *body)
{
    struct script *s = p->out;
    struct post *grown = realloc(s->posts, (s->count + 1) * sizeof *grown);
    if (!grown || !body) {
        free(body);
        return fail(p, "out of memory");
    }
    s->posts = grown;
    s->posts[s->count++] =
        (struct post){.body = body,
                      .n = strlen(body),
                      .pause_ms = p->pause_ms,
                      .expect = p->expect,
                      .contact = strdup(p->first_contact ? p->first_contact : "")};
    p->pause_ms = 0;
    p->expect = 200;
    p->first_contact = NULL;
    return 0;
}

/* Sends off the changes gathered so far, unless a batch is open. */
static int flush(struct parser *p)
{
    if (p->batch || json_array_size(p->changes) == 0)
        return 0;
    json_t *body = json_pack("{ss s[{ss sO}]}", "object", "whatsapp_business_account", "entry",
                             "id", p->waba, "changes", p->changes);
    char *text = json_dumps(body, SIM_DUMP);
    json_decref(body);
    json_decref(p->changes);
    p->changes = json_array();
    return add_post(p, text);
}

/* Replaces "@N", "@media" and "@now" in every string below `node`. */
static void resolve(struct parser *p, json_t *node)
{
    const char *key;
    size_t i;
    json_t *child;
    void *next;
    if (json_is_object(node)) {
        json_object_foreach_safe(node, next, key, child)
        {
            resolve(p, child);
        }
    } else if (json_is_array(node)) {
        json_array_foreach(node, i, child)
        {
            resolve(p, child);
        }
    } else if (json_is_string(node) && json_string_value(node)[0] == '@') {
        const char *text = json_string_value(node);
        char *end;
        unsigned long n = strtoul(text + 1, &end, 10);
        char now[24];
        snprintf(now, sizeof now, "%lld", (long long)time(NULL));
        if (strcmp(text, "@now") == 0)
            json_string_set(node, now);
        else if (strcmp(text, "@media") == 0)
            json_string_set(node, SIM_MEDIA_ID);
        else if (*end == '\0' && n >= 1 && n <= p->id_count)
            json_string_set(node, p->ids[n - 1]);
    }
}

/* One JSON value at the front of *rest, which moves behind it. */
static json_t *take_json(struct parser *p, const char **rest)
{
    json_error_t error;
    json_t *value = json_loads(*rest, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);
    if (!value) {
        fail(p, error.text);
        return NULL;
    }
    *rest += error.position;
    *rest += strspn(*rest, " \t");
    resolve(p, value);
    return value;
}

static json_t *metadata(const struct parser *p)
{
    return json_pack("{ss ss}", "display_phone_number", p->display, "phone_number_id",
                     p->phone_number_id);
}

static bool is_media(const char *type)
{
    static const char *const types[] = {"image", "video", "audio", "document", "sticker"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static int add_message(struct parser *p, const struct contact *c, char *type, const char *rest)
{
    size_t n = strlen(type);
    bool plus = n > 1 && type[n - 1] == '+';
    if (plus)
        type[n - 1] = '\0';
    if (!p->phone_number_id[0])
        return fail(p, "a channel line must come first");
    if (p->id_count == SCRIPT_MESSAGES_MAX)
        return fail(p, "too many messages");
    json_t *object =
        strcmp(type, "text") == 0 && !plus ? json_pack("{ss}", "body", rest) : take_json(p, &rest);
    json_t *more = plus && object ? take_json(p, &rest) : NULL;
    if (!object || (plus && !more)) {
        json_decref(object);
        return -1;
    }
    if (is_media(type))
        media_defaults(object);
    char *id = p->ids[p->id_count];
    char now[24];
    wamid_make(c->phone, p->seed + p->id_count, id);
    p->id_count++;
    snprintf(now, sizeof now, "%lld", (long long)time(NULL));
    json_t *message = json_pack("{ss ss ss ss so}", "from", c->phone, "id", id, "timestamp", now,
                                "type", type, type, object);
    if (more)
        json_object_update(message, more);
    json_decref(more);
    json_t *change =
        json_pack("{ss s{ss so s[{s{ss} ss}] s[o]}}", "field", "messages", "value",
                  "messaging_product", "whatsapp", "metadata", metadata(p), "contacts", "profile",
                  "name", c->profile, "wa_id", c->phone, "messages", message);
    json_array_append_new(p->changes, change);
    if (!p->first_contact)
        p->first_contact = c->phone;
    return flush(p);
}

static int add_value(struct parser *p, const char *rest)
{
    char field[64];
    int at = 0;
    if (sscanf(rest, "%63s %n", field, &at) != 1 || at == 0)
        return fail(p, "value FIELD {…}");
    rest += at;
    json_t *value = take_json(p, &rest);
    if (!value)
        return -1;
    json_t *common = json_pack("{ss so}", "messaging_product", "whatsapp", "metadata", metadata(p));
    if (strcmp(field, "messages") == 0 || strncmp(field, "smb_", 4) == 0)
        json_object_update_missing(value, common);
    json_decref(common);
    json_array_append_new(p->changes, json_pack("{ss so}", "field", field, "value", value));
    return flush(p);
}

static int add_contact(struct parser *p, const char *rest)
{
    if (p->contact_count == SCRIPT_CONTACTS_MAX)
        return fail(p, "too many contacts");
    struct contact *c = &p->contacts[p->contact_count];
    if (sscanf(rest, "%31s %23s %127[^\n]", c->name, c->phone, c->profile) != 3)
        return fail(p, "contact NAME PHONE PROFILE NAME");
    p->contact_count++;
    return 0;
}

static int parse_line(struct parser *p, char *line)
{
    char word[64], type[64];
    int at = 0;
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return 0;
    if (sscanf(line, "%63s %n", word, &at) != 1)
        return fail(p, "cannot be read");
    const char *rest = line + (at ? at : (int)strlen(line));
    if (strcmp(word, "channel") == 0)
        return sscanf(rest, "%31s %31s %23s", p->phone_number_id, p->waba, p->display) == 3
                   ? 0
                   : fail(p, "channel PHONE_NUMBER_ID WABA_ID DISPLAY_NUMBER");
    if (strcmp(word, "contact") == 0)
        return add_contact(p, rest);
    if (strcmp(word, "value") == 0)
        return add_value(p, rest);
    if (strcmp(word, "raw") == 0)
        return add_post(p, strdup(rest));
    if (strcmp(word, "batch") == 0 || strcmp(word, "end") == 0) {
        p->batch = word[0] == 'b';
        return flush(p);
    }
    if (strcmp(word, "pause") == 0) {
        p->pause_ms += (unsigned)strtoul(rest, NULL, 10);
        return 0;
    }
    if (strcmp(word, "expect") == 0) {
        p->expect = (int)strtol(rest, NULL, 10);
        return 0;
    }
    for (size_t i = 0; i < p->contact_count; i++) {
        if (strcmp(word, p->contacts[i].name) != 0)
            continue;
        at = 0;
        if (sscanf(rest, "%63s %n", type, &at) != 1)
            return fail(p, "NAME TYPE …");
        return add_message(p, &p->contacts[i], type, at ? rest + at : "");
    }
    return fail(p, "unknown word, or a contact that was not introduced");
}

int script_parse(struct span text, const char *name, uint64_t seed, struct script *out)
{
    int result = -1;
    struct parser *p = calloc(1, sizeof *p);
    *out = (struct script){NULL, 0};
    if (!p)
        return -1;
    *p = (struct parser){.file = name, .seed = seed, .expect = 200, .out = out};
    p->changes = json_array();
    p->ids = calloc(SCRIPT_MESSAGES_MAX, WAMID_SIZE);
    if (!p->ids)
        goto out;
    while (text.n) {
        struct span line = span_sub(text, 0, span_find(text, '\n'));
        text = span_from(text, line.n + 1);
        char *copy = line.n ? strndup(line.p, line.n) : strdup("");
        p->line++;
        int bad = copy ? parse_line(p, copy) : -1;
        free(copy);
        if (bad)
            goto out;
    }
    if (p->batch)
        fail(p, "batch without end");
    else
        result = 0;
out:
    json_decref(p->changes);
    free(p->ids);
    free(p);
    return result;
}

int script_load(const char *file, uint64_t seed, struct script *out)
{
    FILE *f = fopen(file, "re");
    char *text = malloc(SCRIPT_FILE_MAX);
    int result = -1;
    *out = (struct script){NULL, 0};
    if (!f || !text)
        fprintf(stderr, "sluis-sim: cannot read %s\n", file);
    else
        result = script_parse(span_of(text, fread(text, 1, SCRIPT_FILE_MAX, f)), file, seed, out);
    if (f)
        fclose(f);
    free(text);
    return result;
}

void script_free(struct script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        free(script->posts[i].body);
        free(script->posts[i].contact);
    }
    free(script->posts);
    *script = (struct script){NULL, 0};
}
