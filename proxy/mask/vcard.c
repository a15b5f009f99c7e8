#include "vcard.h"

#define HEAD_MAX 256 /* of a line, looked at per fold: a line of many folds stays cheap */

/* Does a line so far say that it is quoted-printable? There "=" at the end of a line is a fold; in
 * base64 it is padding. */
static bool quoted_printable(struct span line)
{
    const struct span word = SPAN("QUOTED-PRINTABLE");
    line = span_sub(line, 0, HEAD_MAX);
    for (size_t i = 0; i + word.n <= line.n && line.p[i] != ':'; i++)
        if (span_eq_nocase(span_sub(line, i, i + word.n), word))
            return true;
    return false;
}

/* How many bytes at `i` are a fold: a line break and the blank behind it. `line`: what stands
 * before it on the same unfolded line. */
static size_t fold_at(struct span text, size_t i, struct span line)
{
    size_t k = i;
    bool soft = text.p[k] == '=';
    k += soft;
    if (k < text.n && text.p[k] == '\r')
        k++;
    if (k >= text.n || text.p[k] != '\n')
        return 0;
    k++;
    if (soft)
        return quoted_printable(line) ? k - i : 0;
    return k < text.n && (text.p[k] == ' ' || text.p[k] == '\t') ? k + 1 - i : 0;
}

int vcard_unfold(struct arena *arena, struct span *text, const uint32_t **map)
{
    char *p = arena_try(arena, text->n);
    uint32_t *offsets = arena_try(arena, (text->n + 1) * sizeof *offsets);
    size_t n = 0, line = 0;
    if (!p || !offsets)
        return SLUIS_ENOMEM;
    for (size_t i = 0; i < text->n;) {
        size_t fold = fold_at(*text, i, span_of(p + line, n - line));
        if (fold) {
            i += fold;
            continue;
        }
        p[n] = text->p[i];
        offsets[n++] = *map ? (*map)[i] : (uint32_t)i;
        if (text->p[i] == '\n')
            line = n;
        i++;
    }
    offsets[n] = *map ? (*map)[text->n] : (uint32_t)text->n;
    *text = span_of(p, n);
    *map = offsets;
    return 0;
}

/* "item1.PHOTO;ENCODING=b:..." -> "PHOTO" */
static struct span property(struct span line)
{
    size_t end = 0;
    while (end < line.n && line.p[end] != ':' && line.p[end] != ';')
        end++;
    struct span name = span_sub(line, 0, end);
    size_t dot = span_find(name, '.');
    return dot < name.n ? span_from(name, dot + 1) : name;
}

bool vcard_media(struct span text, size_t *at, size_t *start, size_t *end)
{
    static const struct span names[] = {{"PHOTO", 5}, {"LOGO", 4}, {"SOUND", 5}, {"KEY", 3}};
    while (*at < text.n) {
        size_t from = *at;
        struct span line = span_from(text, from);
        line.n = span_find(line, '\n');
        *at = from + line.n + 1;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        size_t colon = span_find(line, ':');
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (colon + 1 >= line.n || !span_eq_nocase(property(line), names[i]))
                continue;
            *start = from + colon + 1;
            *end = from + line.n;
            return true;
        }
    }
    return false;
}
