/* What a loader asks of a tree: known keys, kinds, and diagnoses that help. */
#include "sluis/base/yaml.h"

#include <stdarg.h>
#include <stdio.h>

#define NEAREST_TEXT_MAX 32 /* longer words are not typing errors of ours */
#define NEAREST_WORDS_MAX 64

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (const struct yaml_node *n = map->child; n; n = n->next)
        if (strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != YAML_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
        if (strcmp(node->text, nulls[i]) == 0)
            return true;
    return false;
}

const char *yaml_quote(struct yaml_quote *out, const char *text)
{
    size_t n = strlen(text), o = 0;
    bool cut = n > YAML_QUOTE_MAX;
    if (cut) {
        n = YAML_QUOTE_MAX;
        while (n && ((unsigned char)text[n] & 0xc0) == 0x80) /* not inside a character */
            n--;
    }
    out->text[o++] = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        /* C1 controls are 0xc2 0x80-0x9f; a terminal may obey them. */
        bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0;
        if (c1)
            i++;
        out->text[o++] = c < 0x20 || c == 0x7f || c1 ? '?' : text[i];
    }
    out->text[o++] = '"';
    for (int i = 0; cut && i < 3; i++)
        out->text[o++] = '.';
    out->text[o] = '\0';
    return out->text;
}

__attribute__((format(printf, 5, 0))) static int error_at(const struct yaml_doc *doc, unsigned line,
                                                          unsigned column, struct diag *diag,
                                                          const char *format, va_list args)
{
    char text[DIAG_TEXT_MAX];
    vsnprintf(text, sizeof(text), format, args);
    diag_set(diag, yaml_file(doc), line, column, "%s", text);
    return SLUIS_EINVAL;
}

int yaml_error(const struct yaml_doc *doc, const struct yaml_node *node, struct diag *diag,
               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_at(doc, node->line, node->column, diag, format, args);
    va_end(args);
    return SLUIS_EINVAL;
}

int yaml_error_key(const struct yaml_doc *doc, const struct yaml_node *node, struct diag *diag,
                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_at(doc, node->key ? node->key_line : node->line,
             node->key ? node->key_column : node->column, diag, format, args);
    va_end(args);
    return SLUIS_EINVAL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance (insert, delete, replace, swap of neighbours), ASCII case and - _ alike. */
static size_t distance(const char *a, size_t an, const char *b, size_t bn)
{
    size_t rows[3][NEAREST_TEXT_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= bn; j++)
        above[j] = j;
    for (size_t i = 1; i <= an; i++) {
        row[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            char x = lower(a[i - 1]) == '-' ? '_' : lower(a[i - 1]);
            char y = lower(b[j - 1]) == '-' ? '_' : lower(b[j - 1]);
            size_t d = least(above[j] + 1, row[j - 1] + 1);
            d = least(d, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x != y && lower(a[i - 2]) == y && lower(b[j - 2]) == x)
                d = least(d, before[j - 2] + 1);
            row[j] = d;
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[bn];
}

const char *yaml_nearest(const char *text, const char *const *words, size_t n)
{
    size_t length = strlen(text);
    const char *best = NULL;
    size_t best_distance = 0;
    if (!length || length > NEAREST_TEXT_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t word = strlen(words[i]);
        if (!word || word > NEAREST_TEXT_MAX)
            continue;
        size_t d = distance(text, length, words[i], word);
        size_t allowed = word <= 3 ? 1 : word <= 6 ? 2 : 3;
        if (d <= allowed && d < least(length, word) && (!best || d < best_distance)) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

static const char *const kind_words[] = {
    [YAML_WANT_TEXT] = "a text",
    [YAML_WANT_NUMBER] = "a whole number",
    [YAML_WANT_BOOL] = "true or false",
    [YAML_WANT_MAP] = "a map (key: value)",
    [YAML_WANT_LIST] = "a list",
    [YAML_WANT_DURATION] = "a duration such as 90s, 15min, 24h, 7d, 24m or 1y",
    [YAML_WANT_SIZE] = "a size such as 512MiB or 64GiB",
    [YAML_WANT_ANY] = "a value",
};

static const char *found_word(const struct yaml_node *node)
{
    if (node->kind == YAML_MAP)
        return "a map";
    if (node->kind == YAML_LIST)
        return "a list";
    return yaml_is_null(node) ? "nothing" : "a text";
}

static int wrong_kind(const struct yaml_doc *doc, const struct yaml_node *node, enum yaml_want want,
                      struct diag *diag)
{
    struct yaml_quote quote;
    return yaml_error(doc, node, diag, "%s%sexpected %s, found %s",
                      node->key ? yaml_quote(&quote, node->key) : "", node->key ? ": " : "",
                      kind_words[want], found_word(node));
}

int yaml_expect(const struct yaml_doc *doc, const struct yaml_node *node, enum yaml_want want,
                struct diag *diag)
{
    int64_t number;
    uint64_t size;
    bool yes;
    if (yaml_is_null(node))
        return wrong_kind(doc, node, want, diag);
    if (want == YAML_WANT_ANY)
        return 0;
    enum yaml_kind kind = want == YAML_WANT_MAP    ? YAML_MAP
                          : want == YAML_WANT_LIST ? YAML_LIST
                                                   : YAML_SCALAR;
    if (node->kind != kind)
        return wrong_kind(doc, node, want, diag);
    switch (want) {
    case YAML_WANT_NUMBER:
        return yaml_number(doc, node, INT64_MIN, INT64_MAX, &number, diag);
    case YAML_WANT_BOOL:
        return yaml_bool(doc, node, &yes, diag);
    case YAML_WANT_DURATION:
        return yaml_duration(doc, node, &number, diag);
    case YAML_WANT_SIZE:
        return yaml_size(doc, node, &size, diag);
    default:
        return 0;
    }
}

/* The keys of the table that work now, "a, b, c", cut to what fits. */
static void list_keys(const struct yaml_key *keys, size_t n, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (keys[i].later)
            continue;
        int wrote = snprintf(out + used, size - used, "%s%s", used ? ", " : "", keys[i].name);
        if (wrote < 0 || (size_t)wrote >= size - used)
            return;
        used += (size_t)wrote;
    }
}

static int unknown_key(const struct yaml_doc *doc, const struct yaml_node *node,
                       const struct yaml_key *keys, size_t n, struct diag *diag)
{
    const char *words[NEAREST_WORDS_MAX] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < n && count < NEAREST_WORDS_MAX; i++)
        words[count++] = keys[i].name;
    const char *near = yaml_nearest(node->key, words, count);
    struct yaml_quote quote;
    yaml_quote(&quote, node->key);
    if (near)
        return yaml_error_key(doc, node, diag, "unknown key %s; did you mean \"%s\"?", quote.text,
                              near);
    char known[300];
    list_keys(keys, n, known, sizeof(known));
    return yaml_error_key(doc, node, diag, "unknown key %s; known here: %s", quote.text, known);
}

int yaml_check_map(const struct yaml_doc *doc, const struct yaml_node *map,
                   const struct yaml_key *keys, size_t n, struct diag *diag)
{
    int error = yaml_expect(doc, map, YAML_WANT_MAP, diag);
    if (error)
        return error;
    for (const struct yaml_node *node = map->child; node; node = node->next) {
        size_t i = 0;
        while (i < n && strcmp(keys[i].name, node->key) != 0)
            i++;
        if (i == n)
            return unknown_key(doc, node, keys, n, diag);
        if (keys[i].later)
            return yaml_error_key(doc, node, diag, "\"%s\" is not available in this version",
                                  keys[i].name);
        error = yaml_expect(doc, node, keys[i].want, diag);
        if (error)
            return error;
    }
    for (size_t i = 0; i < n; i++)
        if (keys[i].required && !yaml_get(map, keys[i].name))
            return yaml_error_key(doc, map, diag, "missing key \"%s\": %s", keys[i].name,
                                  keys[i].help);
    return 0;
}
