#include "sluis/retention.h"

#include <stdio.h>
#include <string.h>

#include "calendar.h"

#define CLASS_NAME_MAX 64
/* A century: beyond it a rule is a slip of the pen, and buckets stay far inside 32 bits. */
#define KEEP_MAX_S (100 * 366ll * 24 * 3600)

static const char *const part_words[] = {
    [RETENTION_ORIGINAL] = "original",
    [RETENTION_HISTORY] = "history",
    [RETENTION_QUARANTINE] = "quarantine",
    [RETENTION_LOG] = "log",
};
#define PARTS (sizeof(part_words) / sizeof(part_words[0]))
#define HINT_HOLD PARTS
#define HOLD_NAME "hold/0/min/never"

static const char *const width_words[WIDTHS] = {
    [WIDTH_HOUR] = "hour",
    [WIDTH_DAY] = "day",
    [WIDTH_MONTH] = "month",
};

static int class_name(const struct retention_rule *rule, enum retention_part part,
                      char out[CLASS_NAME_MAX])
{
    if (rule->keep_s <= 0 || rule->keep_s > KEEP_MAX_S || (unsigned)part >= PARTS)
        return SLUIS_EINVAL;
    snprintf(out, CLASS_NAME_MAX, "%s/%lld/%s/%s", part_words[part], (long long)rule->keep_s,
             rule->minimum ? "min" : "max", width_words[calendar_width(rule->keep_s)]);
    return 0;
}

static int prepare_rule(struct store *store, const struct retention_rule *rule,
                        enum retention_part part)
{
    char name[CLASS_NAME_MAX];
    uint16_t cls;
    if (rule->never)
        return 0;
    int result = class_name(rule, part, name);
    return result ? result : store_name_id(store, STORE_NAME_CLASS, span_str(name), &cls);
}

int retention_prepare(struct store *store, const struct policy *policy)
{
    const struct retention_rule quarantine = {.keep_s = RETENTION_QUARANTINE_KEEP_S};
    uint16_t hold;
    int result = prepare_rule(store, &quarantine, RETENTION_QUARANTINE);
    if (!result)
        result = store_name_id(store, STORE_NAME_CLASS, SPAN(HOLD_NAME), &hold);
    /* the quarantine has no rules in a policy */
    for (unsigned part = RETENTION_ORIGINAL; part <= RETENTION_HISTORY && !result; part++) {
        struct retention_rule rule;
        /* the policy's loader bounds the number of rules */
        for (size_t i = 0; !result; i++) {
            if (policy_retention_at(policy, (enum retention_part)part, i, &rule) != 0)
                break;
            result = prepare_rule(store, &rule, (enum retention_part)part);
        }
    }
    return result;
}

int retention_prepare_log(struct store *store, int64_t keep_s)
{
    const struct retention_rule rule = {.keep_s = keep_s, .minimum = true};
    return prepare_rule(store, &rule, RETENTION_LOG);
}

int retention_place_log(struct store *store, int64_t keep_s, int64_t now_ms,
                        struct retention_place *out)
{
    const struct retention_rule rule = {.keep_s = keep_s, .minimum = true};
    return retention_place(store, &rule, RETENTION_LOG, now_ms, now_ms, out);
}

/*
 * The number of a class. Walking all names costs a few microseconds, so each thread remembers where
 * it found one; what it remembers is a hint, checked against the store every time (another store
 * may have come in its place).
 */
static int class_find(struct store *store, unsigned which, const char *name, uint16_t *out)
{
    static _Thread_local uint16_t hints[PARTS + 1];
    char known[256];
    uint16_t hint = hints[which];
    if (hint && store_id_name(store, STORE_NAME_CLASS, hint, known) == 0 &&
        strcmp(known, name) == 0) {
        *out = hint;
        return 0;
    }
    for (uint16_t cls = 1; cls <= STORE_CLASSES_MAX; cls++) {
        if (store_id_name(store, STORE_NAME_CLASS, cls, known) != 0 || strcmp(known, name) != 0)
            continue;
        hints[which] = *out = cls;
        return 0;
    }
    return SLUIS_ENOENT;
}

int retention_place(struct store *store, const struct retention_rule *rule,
                    enum retention_part part, int64_t at_ms, int64_t now_ms,
                    struct retention_place *out)
{
    char name[CLASS_NAME_MAX];
    memset(out, 0, sizeof(*out));
    if (rule->never) {
        out->never = true;
        return 0;
    }
    int result = class_name(rule, part, name);
    if (!result)
        result = class_find(store, part, name, &out->cls);
    if (result)
        return result;
    enum bucket_width width = calendar_width(rule->keep_s);
    int64_t from = at_ms > now_ms ? now_ms : at_ms;
    int64_t end = (from < 0 ? 0 : from) + rule->keep_s * 1000;
    int64_t bucket = calendar_bucket(width, end);
    /* the bucket that holds `end` ends after it; the one before ends at or before it */
    if (!rule->minimum || calendar_start(width, bucket) == end)
        bucket--;
    if (bucket < 0) {
        out->expired = true;
        return 0;
    }
    out->bucket = (uint32_t)bucket;
    out->ends_ms = calendar_start(width, bucket + 1);
    out->expired = out->ends_ms <= now_ms;
    return 0;
}

/* The width that stands in a class's name; WIDTHS for the hold class. */
static int class_width(struct store *store, uint16_t cls, enum bucket_width *out)
{
    char name[256];
    int result = store_id_name(store, STORE_NAME_CLASS, cls, name);
    if (result)
        return result;
    *out = WIDTHS;
    if (strcmp(name, HOLD_NAME) == 0)
        return 0;
    const char *word = strrchr(name, '/');
    for (unsigned width = 0; word && width < WIDTHS; width++)
        if (strcmp(word + 1, width_words[width]) == 0)
            *out = (enum bucket_width)width;
    return *out == WIDTHS ? SLUIS_ENOENT : 0;
}

int retention_bucket_end(struct store *store, uint16_t cls, uint32_t bucket, int64_t *ends_ms)
{
    enum bucket_width width;
    int result = class_width(store, cls, &width);
    if (!result)
        *ends_ms = width == WIDTHS ? INT64_MAX : calendar_start(width, (int64_t)bucket + 1);
    return result;
}

int retention_last_ended(struct store *store, uint16_t cls, int64_t now_ms, uint32_t *bucket)
{
    enum bucket_width width;
    int result = class_width(store, cls, &width);
    if (result)
        return result;
    int64_t last = width == WIDTHS || now_ms < 0 ? -1 : calendar_bucket(width, now_ms) - 1;
    if (last < 0)
        return SLUIS_ENOENT;
    *bucket = (uint32_t)last;
    return 0;
}

int retention_hold_class(struct store *store, uint16_t *cls)
{
    return class_find(store, HINT_HOLD, HOLD_NAME, cls);
}
