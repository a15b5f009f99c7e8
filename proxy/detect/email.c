/* E-mail addresses. */
#include "room.h"

#define LOCAL_MAX 64 /* RFC 5321 */
#define DOMAIN_MAX 255
#define LABEL_MAX 63

static bool is_local(uint8_t c)
{
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-' || c == '+' ||
           c == '%' || c == '\'' || c == '&' || c == '=' || c == '~' || c == '!' || c == '#' ||
           c == '$';
}

/* The end of the domain that starts at `at`; 0 when there is none. */
static uint32_t read_domain(const struct detect_scratch *s, uint32_t at)
{
    uint32_t end = 0, label = at;
    unsigned dots = 0;
    for (uint32_t k = at; k <= s->norm_n && k - at <= DOMAIN_MAX; k++) {
        uint8_t c = k < s->norm_n ? s->norm[k] : 0;
        if (is_letter(c) || is_digit(c) || c == '-')
            continue;
        if (k == label || k - label > LABEL_MAX)
            break;
        /* the last label is at least two letters */
        bool letters = true;
        for (uint32_t j = label; j < k && letters; j++)
            letters = is_letter(s->norm[j]);
        if (dots > 0 && letters && k - label >= 2)
            end = k;
        if (c != '.')
            break;
        dots++;
        label = k + 1;
    }
    return end;
}

/* `at` is the place of an '@'. */
void find_email(const struct detector *d, struct detect_scratch *s, uint32_t at)
{
    uint32_t start = at;
    while (start > 0 && at - start < LOCAL_MAX && is_local(s->norm[start - 1]))
        start--;
    while (start < at && !is_letter(s->norm[start]) && !is_digit(s->norm[start]))
        start++;
    if (start == at)
        return;
    uint32_t end = read_domain(s, at + 1);
    if (end)
        hit_add(d, s, start, end, DETECT_EMAIL, 990, "form");
}
