/* Hours and days, in Europe/Amsterdam by the rule of directive 2000/84/EC: summer time from the
 * last Sunday of March to the last Sunday of October, both at 01:00 UTC. No time zone database:
 * pure. */
#include "policy_room.h"

#include <stdio.h>

#define DAY_S 86400
#define MINUTES (24 * 60)
#define WORKDAYS 0x1f
#define EVERY_DAY 0x7f
#define YEAR_LEAST 2000
#define YEAR_MOST 2199

/* Days since 1970 of a date (Hinnant's algorithm: years start in March, 400 years have 146,097
 * days). */
static int32_t days_of(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = y / 400, of_era = y - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int year_of(int64_t day)
{
    int year = (int)(1970 + day / 366); /* never too late */
    while (year < YEAR_MOST + 1 && days_of(year + 1, 1, 1) <= day)
        year++;
    return year;
}

/* 0 Monday */
static unsigned weekday(int64_t day)
{
    return (unsigned)((day % 7 + 7 + 3) % 7);
}

static int64_t last_sunday_s(int year, int month)
{
    int32_t last = days_of(year, month, 31);
    return ((int64_t)last - (int64_t)((weekday(last) + 1) % 7)) * DAY_S + 3600;
}

static int64_t offset_s(int64_t utc_s)
{
    int year = year_of(utc_s / DAY_S);
    return utc_s >= last_sunday_s(year, 3) && utc_s < last_sunday_s(year, 10) ? 7200 : 3600;
}

int64_t policy_local_offset_s(int64_t utc_s)
{
    return offset_s(utc_s);
}

int64_t policy_day_start_ms(int32_t day)
{
    int64_t local = (int64_t)day * DAY_S;
    int64_t utc = local - 3600;
    return (local - offset_s(utc)) * 1000; /* no change of the clock happens between 23 and 0 UTC */
}

static bool is_holiday(const struct hours *hours, int64_t day)
{
    for (size_t i = 0; i < hours->holiday_count; i++)
        if (hours->holidays[i] == day)
            return true;
    return false;
}

bool policy_hours_hold(const struct hours *hours, int64_t at_ms)
{
    if (!hours->said)
        return true;
    if (at_ms <= 0)
        return false;
    int64_t local = at_ms / 1000 + offset_s(at_ms / 1000);
    int64_t day = local / DAY_S;
    unsigned minute = (unsigned)(local % DAY_S / 60);
    bool night = hours->close <= hours->open;
    if (night && minute < hours->close) /* it opened the day before */
        day--;
    else if (minute < hours->open || (!night && minute >= hours->close))
        return false;
    return hours->days >> weekday(day) & 1 && !is_holiday(hours, day);
}

void policy_day_text(int64_t at_ms, char out[16])
{
    int64_t day = (at_ms / 1000 + offset_s(at_ms / 1000)) / DAY_S;
    int year = year_of(day), month = 1;
    while (month < 12 && days_of(year, month + 1, 1) <= day)
        month++;
    snprintf(out, 16, "%04u-%02u-%02u", (unsigned)year % 10000u, (unsigned)month % 100u,
             (unsigned)(day - days_of(year, month, 1) + 1) % 100u);
}

bool policy_hours_same(const struct hours *a, const struct hours *b)
{
    if (a->said != b->said || a->open != b->open || a->close != b->close || a->days != b->days ||
        a->holiday_count != b->holiday_count)
        return false;
    for (size_t i = 0; i < a->holiday_count; i++)
        if (!is_holiday(b, a->holidays[i]))
            return false;
    return true;
}

/* ---- as written ---- */

/* Two digits; -1 when they are none. */
static int two(const char *text)
{
    bool good = text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9';
    return good ? (text[0] - '0') * 10 + text[1] - '0' : -1;
}

/* "09:00" in minutes, 24:00 included; -1 when it is no time. */
static int minutes_of(const char *text)
{
    int hour = two(text), minute = hour >= 0 && text[2] == ':' ? two(text + 3) : -1;
    if (minute < 0 || minute > 59 || hour > 24 || (hour == 24 && minute))
        return -1;
    return hour * 60 + minute;
}

int policy_take_span(const struct loader *l, const struct yaml_node *node, struct hours *out)
{
    bool text = node->kind == YAML_SCALAR && strlen(node->text) == 11 && node->text[5] == '-';
    int open = text ? minutes_of(node->text) : -1, close = text ? minutes_of(node->text + 6) : -1;
    struct yaml_quote quote;
    if (open < 0 || close < 0 || open == close || open == MINUTES)
        return yaml_error(
            l->doc, node, l->diag,
            "expected hours as in 09:00-17:30 (18:00-08:00 is over midnight), found %s",
            yaml_quote(&quote, node->kind == YAML_SCALAR ? node->text : ""));
    out->open = (uint16_t)open;
    out->close = (uint16_t)close;
    if (!out->days)
        out->days = EVERY_DAY;
    out->said = true;
    return 0;
}

int policy_take_days(const struct loader *l, const struct yaml_node *node, struct hours *out)
{
    static const char *const words[] = {"ma",  "di",  "wo",  "do",  "vr",  "za",  "zo",
                                        "mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    const struct yaml_node *first = node->kind == YAML_LIST ? node->child : node;
    out->days = 0;
    if (node->kind == YAML_MAP || !first)
        return yaml_error_key(l->doc, node, l->diag, "\"days\": expected a day or a list of days");
    for (const struct yaml_node *i = first; i; i = node->kind == YAML_LIST ? i->next : NULL) {
        size_t word = 0;
        int error = yaml_word(l->doc, i, words, 14, &word, l->diag);
        if (error)
            return error;
        out->days = (uint8_t)(out->days | 1u << word % 7);
    }
    if (!out->said) { /* days without an hour: the whole day */
        out->open = 0;
        out->close = MINUTES;
        out->said = true;
    }
    return 0;
}

/* "2026-12-31" at the start of a text in days since 1970; false when it is no date. */
static bool date_of(const char *t, int32_t *day)
{
    static const int longest[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool shape = strlen(t) >= 10 && t[4] == '-' && t[7] == '-';
    int high = shape ? two(t) : -1, low = shape ? two(t + 2) : -1;
    int year = high < 0 || low < 0 ? -1 : high * 100 + low;
    int month = shape ? two(t + 5) : -1, date = shape ? two(t + 8) : -1;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < YEAR_LEAST || year > YEAR_MOST || month < 1 || month > 12 || date < 1 ||
        date > longest[month - 1] + (month == 2 && leap))
        return false;
    *day = days_of(year, month, date);
    return true;
}

int64_t policy_local_ms(const char *text)
{
    int32_t day;
    if (strlen(text) != 16 || (text[10] != ' ' && text[10] != 'T') || !date_of(text, &day))
        return 0;
    int minutes = minutes_of(text + 11);
    if (minutes < 0 || minutes == MINUTES)
        return 0;
    int64_t local = (int64_t)day * DAY_S + minutes * 60;
    return (local - offset_s(local - 3600)) * 1000;
}

int policy_take_date(const struct loader *l, const struct yaml_node *node, int32_t *day)
{
    struct yaml_quote quote;
    const char *t = node->kind == YAML_SCALAR ? node->text : "";
    if (strlen(t) == 10 && date_of(t, day))
        return 0;
    return yaml_error(l->doc, node, l->diag, "expected a day as in 2026-12-31, found %s",
                      yaml_quote(&quote, t));
}

static int take_holidays(const struct loader *l, const struct yaml_node *list, struct hours *out)
{
    size_t n = policy_count(list);
    if (n > POLICY_HOLIDAYS_MAX)
        return yaml_error_key(l->doc, list, l->diag, "more than %d days", POLICY_HOLIDAYS_MAX);
    int32_t *days = arena_try_zero(&l->policy->arena, (n + 1) * sizeof(*days));
    if (!days)
        return policy_no_memory(l);
    out->holidays = days;
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        int error = policy_take_date(l, i, &days[out->holiday_count]);
        if (error)
            return error;
        out->holiday_count++;
    }
    return 0;
}

int policy_take_hours(const struct loader *l, const struct yaml_node *node, struct hours *out)
{
    *out = (struct hours){.days = WORKDAYS};
    if (node->kind == YAML_SCALAR) {
        out->days = EVERY_DAY;
        return policy_take_span(l, node, out);
    }
    int error = policy_check(l, node, POLICY_KEYS_HOURS);
    if (!error)
        error = policy_take_span(l, yaml_get(node, "open"), out);
    const struct yaml_node *days = yaml_get(node, "days");
    if (!error && days)
        error = policy_take_days(l, days, out);
    const struct yaml_node *holidays = yaml_get(node, "holidays");
    if (!error && holidays)
        error = take_holidays(l, holidays, out);
    return error;
}

bool policy_open_at(const struct policy *policy, int64_t at_ms)
{
    return policy_hours_hold(&policy->hours, at_ms);
}

bool policy_has_hours(const struct policy *policy)
{
    return policy->hours.said;
}

bool policy_role_hours_open(const struct policy_role *role, int64_t at_ms)
{
    const struct role *r = (const struct role *)((const char *)role - offsetof(struct role, door));
    return policy_hours_hold(&r->hours, at_ms);
}

/* ---- observing ---- */

int policy_load_observe(const struct loader *l, const struct yaml_node *root)
{
    struct policy *policy = l->policy;
    const struct yaml_node *until = yaml_get(root, "until"), *then = yaml_get(root, "then");
    int32_t day = 0;
    policy->then = "";
    if (!until && !then)
        return 0;
    if (!until || !then)
        return yaml_error_key(
            l->doc, until ? until : then, l->diag,
            until ? "an observing policy needs \"then\": the policy that holds "
                    "after its last day"
                  : "\"then\" belongs to an observing policy: \"until\" is missing");
    int error = policy_take_date(l, until, &day);
    if (!error)
        error = policy_take_name(l, then, then->text, &policy->then);
    if (!error && strcmp(policy->then, policy->name) == 0)
        error = yaml_error(l->doc, then, l->diag,
                           "\"then\": this policy itself: name the one that holds afterwards");
    policy->until_ms = policy_day_start_ms(day + 1);
    policy->until_line = until->line;
    policy->until_column = until->column;
    return error;
}

bool policy_observe(const struct policy *policy, int64_t now_ms)
{
    return policy->until_ms && now_ms < policy->until_ms &&
           policy->until_ms - now_ms <= ((int64_t)POLICY_OBSERVE_MAX_S + DAY_S) * 1000;
}

int64_t policy_observe_until_ms(const struct policy *policy)
{
    return policy->until_ms;
}

const char *policy_observe_then(const struct policy *policy)
{
    return policy->then;
}

int policy_observe_check(const struct policy *policy, int64_t now_ms, const char *file,
                         struct diag *diag)
{
    /* the last day itself counts in full */
    if (policy->until_ms - now_ms <= ((int64_t)POLICY_OBSERVE_MAX_S + DAY_S) * 1000)
        return 0;
    diag_set(diag, file, policy->until_line, policy->until_column,
             "\"until\": an observing policy masks nothing; its last day is at most 30 days ahead");
    return SLUIS_EINVAL;
}
