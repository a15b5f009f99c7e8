/* Coordinates: decimal pairs, and degrees with minutes and seconds. */
#include "room.h"

#define LOCATION_REACH 60

struct decimal {
    double value;
    unsigned decimals;
    uint32_t last; /* atom */
    uint32_t start;
};

/* "52.3702" from atom i, a minus sign included. */
static bool read_decimal(const struct detect_scratch *s, uint32_t i, struct decimal *out)
{
    if (i + 1 >= s->atom_n)
        return false;
    const struct atom *whole = &s->atoms[i], *part = &s->atoms[i + 1];
    if (whole->kind != ATOM_NUMBER || part->kind != ATOM_NUMBER || part->gap != 1 ||
        part->before != GAP_DOT || atom_size(whole) > 3)
        return false;
    *out = (struct decimal){.last = i + 1, .start = whole->start};
    double scale = 1;
    out->value = atom_number(s, whole);
    for (uint32_t k = part->start; k < part->end && k - part->start < 9; k++) {
        scale /= 10;
        out->value += scale * (s->norm[k] - '0');
    }
    out->decimals = atom_size(part);
    if (whole->start > 0 && s->norm[whole->start - 1] == '-')
        out->start--;
    return true;
}

static bool in_netherlands(const struct decimal *lat, const struct decimal *lon)
{
    return lat->value > 50.7 && lat->value < 53.7 && lon->value > 3.2 && lon->value < 7.3;
}

static void find_decimal(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    struct decimal lat, lon;
    if (!read_decimal(s, i, &lat) || lat.value > 90)
        return;
    uint32_t k = lat.last + 1;
    /* "lat 52.37 lon 4.89", "N52.3702 E4.8952" */
    if (k < s->atom_n && s->atoms[k].kind == ATOM_WORD && atom_size(&s->atoms[k]) <= 9 &&
        (atom_size(&s->atoms[k]) == 1 || (s->atoms[k].ctx & CTX_LOCATION) ||
         (atom_size(&s->atoms[k]) <= 3 && (s->atoms[k].ctx & WORD_PLAIN))))
        k++;
    if (k >= s->atom_n || s->atoms[k].gap > 4 ||
        (s->atoms[k].before & ~(GAP_SPACE | GAP_COMMA | GAP_COLON | GAP_EQUALS | GAP_DASH |
                                GAP_SLASH | GAP_LINE)) != 0 ||
        !read_decimal(s, k, &lon) || lon.value > 180)
        return;
    struct context c = context_of(s, i, lon.last, CTX_LOCATION, CNT_AMOUNT | CNT_DEVICE);
    bool fine = lat.decimals >= 4 && lon.decimals >= 4;
    bool near = in_netherlands(&lat, &lon) && lat.decimals >= 3 && lon.decimals >= 3;
    bool told =
        context_holds(&c) && c.want <= LOCATION_REACH && lat.decimals >= 2 && lon.decimals >= 2;
    if (!told && ((!fine && !near) || context_denies(&c)))
        return;
    hit_add(d, s, lat.start, s->atoms[lon.last].end, DETECT_LOCATION, told ? 950 : 880,
            told ? "coordinates+context" : "coordinates");
}

/* Three numbers with a mark between and a letter behind: 52°22'12"N. */
static bool read_degrees(const struct detect_scratch *s, uint32_t i, const char *letters,
                         uint32_t *last)
{
    if (i + 3 >= s->atom_n || s->atoms[i + 3].kind != ATOM_WORD || atom_size(&s->atoms[i + 3]) != 1)
        return false;
    for (uint32_t k = i + 1; k <= i + 2; k++)
        if (s->atoms[k].kind != ATOM_NUMBER || s->atoms[k].gap > 2 || atom_size(&s->atoms[k]) > 2 ||
            atom_number(s, &s->atoms[k]) > 59)
            return false;
    *last = i + 3;
    return s->norm[s->atoms[i].end] == NORM_SYMBOL && s->atoms[i + 3].gap <= 2 &&
           strchr(letters, s->norm[s->atoms[i + 3].start] & ~0x20) != NULL;
}

void find_location(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    if (atom_size(a) > 3 ||
        (i > 0 && s->atoms[i - 1].kind == ATOM_NUMBER && a->gap == 1 && (a->before & GAP_DOT)))
        return;
    uint32_t first = 0, last = 0;
    if (read_degrees(s, i, "NS", &first) && first + 1 < s->atom_n &&
        s->atoms[first + 1].kind == ATOM_NUMBER && read_degrees(s, first + 1, "EWO", &last)) {
        hit_add(d, s, a->start, s->atoms[last].end, DETECT_LOCATION, 950, "coordinates");
        return;
    }
    find_decimal(d, s, i);
}
