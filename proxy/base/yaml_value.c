/* Scalars: numbers, words, durations and sizes, each with a diagnosis of what was expected. */
#include "sluis/base/yaml.h"

#include <inttypes.h>
#include <stdio.h>

#define MINUTE INT64_C(60)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define DURATION_MAX (100 * YEAR) /* beyond it is a typing error, and sums must not overflow */

/* The message for a scalar of the wrong form. The value is quoted, so not for secrets. */
static int expected(const struct yaml_doc *doc, const struct yaml_node *node, struct diag *diag,
                    const char *what)
{
    struct yaml_quote key, text;
    const char *found = "a list";
    if (node->kind == YAML_MAP)
        found = "a map";
    else if (node->kind == YAML_SCALAR)
        found = yaml_is_null(node) ? "nothing" : yaml_quote(&text, node->text);
    return yaml_error(doc, node, diag, "%s%sexpected %s, found %s%s",
                      node->key ? yaml_quote(&key, node->key) : "", node->key ? ": " : "", what,
                      node->kind == YAML_SCALAR && node->quoted ? "the text " : "", found);
}

/* Digits at the start of `s`: their value and count; 0 when there are none or too many. */
static size_t digits(const char *s, uint64_t *value)
{
    size_t n = 0;
    uint64_t v = 0;
    while (s[n] >= '0' && s[n] <= '9') {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s[n] - '0'), &v))
            return 0;
        n++;
    }
    if (n > 1 && s[0] == '0') /* 010 is eight to some readers and ten to others */
        return 0;
    *value = v;
    return n;
}

int yaml_number(const struct yaml_doc *doc, const struct yaml_node *node, int64_t least,
                int64_t most, int64_t *out, struct diag *diag)
{
    bool plain = node->kind == YAML_SCALAR && !node->quoted;
    const char *s = plain ? node->text : "";
    bool minus = s[0] == '-';
    uint64_t v = 0;
    size_t n = digits(s + minus, &v);
    if (!n || s[minus + n] != '\0' || v > INT64_MAX)
        return expected(doc, node, diag, "a whole number");
    int64_t value = minus ? -(int64_t)v : (int64_t)v;
    if (value < least || value > most) {
        char what[80];
        snprintf(what, sizeof(what), "a number from %" PRId64 " to %" PRId64, least, most);
        return expected(doc, node, diag, what);
    }
    *out = value;
    return 0;
}

int yaml_bool(const struct yaml_doc *doc, const struct yaml_node *node, bool *out,
              struct diag *diag)
{
    bool plain = node->kind == YAML_SCALAR && !node->quoted;
    if (plain && strcmp(node->text, "true") == 0)
        *out = true;
    else if (plain && strcmp(node->text, "false") == 0)
        *out = false;
    else
        return expected(doc, node, diag, "true or false");
    return 0;
}

int yaml_share(const struct yaml_doc *doc, const struct yaml_node *node, uint16_t *out,
               struct diag *diag)
{
    bool plain = node->kind == YAML_SCALAR && !node->quoted;
    const char *s = plain ? node->text : "";
    unsigned value = 0, scale = 1000;
    bool good = s[0] == '0' || s[0] == '1';
    if (good) {
        value = (unsigned)(s[0] - '0') * scale;
        s++;
        if (*s == '.') {
            s++;
            good = *s != '\0';
            for (; good && *s >= '0' && *s <= '9' && scale > 1; s++) {
                scale /= 10;
                value += (unsigned)(*s - '0') * scale;
            }
        }
    }
    if (!good || *s != '\0' || value > 1000)
        return expected(doc, node, diag, "a number from 0 to 1 such as 0.70");
    *out = (uint16_t)value;
    return 0;
}

struct unit {
    const char *name;
    uint64_t value;
};

static const struct unit durations[] = {
    {"s", 1},       {"min", MINUTE},  {"h", HOUR}, {"d", DAY},
    {"w", 7 * DAY}, {"m", YEAR / 12}, {"y", YEAR},
};

static const struct unit sizes[] = {
    {"", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
};

/* The value in the base unit, or false. */
static bool with_unit(const struct yaml_node *node, const struct unit *units, size_t n,
                      uint64_t *out)
{
    if (node->kind != YAML_SCALAR || node->quoted)
        return false;
    uint64_t v;
    size_t length = digits(node->text, &v);
    for (size_t i = 0; length && i < n; i++)
        if (strcmp(node->text + length, units[i].name) == 0)
            return !__builtin_mul_overflow(v, units[i].value, out);
    return false;
}

/* The text behind the digits of a plain scalar, "" when there are none. */
static const char *suffix(const struct yaml_node *node)
{
    if (node->kind != YAML_SCALAR || node->quoted)
        return "";
    size_t n = strspn(node->text, "0123456789");
    return n ? node->text + n : "";
}

int yaml_duration(const struct yaml_doc *doc, const struct yaml_node *node, int64_t *seconds,
                  struct diag *diag)
{
    uint64_t v = 0;
    if (!with_unit(node, durations, sizeof(durations) / sizeof(durations[0]), &v)) {
        if (strcmp(suffix(node), "M") == 0)
            return expected(doc, node, diag,
                            "a duration; months are written 24m and minutes 15min");
        return expected(doc, node, diag, "a duration such as 90s, 15min, 24h, 7d, 24m or 1y");
    }
    if (v > (uint64_t)DURATION_MAX)
        return expected(doc, node, diag, "a duration of at most 100 years");
    *seconds = (int64_t)v;
    return 0;
}

int yaml_size(const struct yaml_doc *doc, const struct yaml_node *node, uint64_t *bytes,
              struct diag *diag)
{
    if (!with_unit(node, sizes, sizeof(sizes) / sizeof(sizes[0]), bytes)) {
        const char *unit = suffix(node);
        if (unit[0] && (unit[1] == '\0' || strcmp(unit + 1, "B") == 0))
            return expected(doc, node, diag, "a size with KiB, MiB, GiB or TiB");
        return expected(doc, node, diag, "a size such as 512MiB or 64GiB");
    }
    return 0;
}

int yaml_word(const struct yaml_doc *doc, const struct yaml_node *node, const char *const *words,
              size_t n, size_t *out, struct diag *diag)
{
    for (size_t i = 0; node->kind == YAML_SCALAR && i < n; i++)
        if (strcmp(node->text, words[i]) == 0) {
            *out = i;
            return 0;
        }
    char what[300];
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof(what); i++) {
        const char *join = i == 0 ? "" : i + 1 == n ? " or " : ", ";
        int wrote = snprintf(what + used, sizeof(what) - used, "%s%s", join, words[i]);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    expected(doc, node, diag, what);
    const char *near = node->kind == YAML_SCALAR ? yaml_nearest(node->text, words, n) : NULL;
    if (near && diag) {
        size_t end = strlen(diag->text);
        snprintf(diag->text + end, sizeof(diag->text) - end, "; did you mean \"%s\"?", near);
    }
    return SLUIS_EINVAL;
}
