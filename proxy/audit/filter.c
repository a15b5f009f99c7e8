/* What an export shows. A leaf is canonical JSON that we wrote: a member stands once, as "name":.
 */
#include "leaf.h"

#include "sluis/base/json.h"

#define FILTER_TEXT_MAX 200 /* of one value; names have AUDIT_NAME_MAX */
#define LEAF_ARENA (64u * 1024)

enum { FILTERS = 7 };

static struct span value_of(const struct audit_filter *f, unsigned i, const char **name)
{
    const struct {
        const char *name;
        struct span value;
    } all[FILTERS] = {
        {"action", f->action}, {"actor", f->actor},     {"from", f->from}, {"outcome", f->outcome},
        {"role", f->role},     {"subject", f->subject}, {"to", f->to}};
    *name = all[i].name;
    return all[i].value;
}

bool audit_filter_any(const struct audit_filter *f)
{
    const char *name;
    for (unsigned i = 0; i < FILTERS; i++)
        if (value_of(f, i, &name).n)
            return false;
    return true;
}

int audit_filter_write(const struct audit_filter *f, struct buffer *out)
{
    const char *name;
    char before = '{';
    for (unsigned i = 0; i < FILTERS; i++) {
        struct span value = value_of(f, i, &name);
        if (!value.n)
            continue;
        if (value.n > FILTER_TEXT_MAX)
            return SLUIS_EINVAL;
        for (size_t k = 0; k < value.n; k++)
            if (value.p[k] < ' ' || value.p[k] > '~' || value.p[k] == '"' || value.p[k] == '\\')
                return SLUIS_EINVAL;
        buffer_addf(out, "%c\"%s\":\"", before, name);
        buffer_add(out, value);
        buffer_add_char(out, '"');
        before = ',';
    }
    buffer_add_str(out, before == '{' ? "{}" : "}");
    return out->error;
}

static int compare(struct span a, struct span b)
{
    int r = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

static bool fits(const char *name, struct span want, struct span text)
{
    if (strcmp(name, "from") == 0)
        return compare(text, want) >= 0;
    return strcmp(name, "to") == 0 ? compare(text, want) < 0 : span_eq(text, want);
}

bool audit_filter_match(const struct audit_filter *f, struct span leaf)
{
    struct json_doc doc;
    struct arena arena;
    const char *name;
    bool match = true;
    if (audit_filter_any(f))
        return true;
    arena_init(&arena, LEAF_ARENA);
    if (json_scan(&doc, leaf, &arena, NULL) != 0)
        match = false;
    for (unsigned i = 0; match && i < FILTERS; i++) {
        struct span want = value_of(f, i, &name), text = SPAN_EMPTY;
        if (!want.n)
            continue;
        bool time = strcmp(name, "from") == 0 || strcmp(name, "to") == 0;
        uint32_t node = json_get(&doc, 0, span_str(time ? "time" : name));
        match = node != JSON_NONE && json_string(&doc, node, &arena, &text) == 0 &&
                fits(name, want, text);
    }
    arena_free(&arena);
    return match;
}

/* A quote inside a value is escaped, so that the name with its quotes and colon stands once. */
struct span audit_member(struct span leaf, const char *name)
{
    const char *at = leaf.n ? memmem(leaf.p, leaf.n, name, strlen(name)) : NULL;
    if (!at)
        return SPAN_EMPTY;
    struct span rest = span_from(leaf, (size_t)(at - leaf.p) + strlen(name));
    size_t end = 0;
    if (rest.n && rest.p[0] == '"') {
        rest = span_from(rest, 1);
        while (end < rest.n && rest.p[end] != '"')
            end += rest.p[end] == '\\' ? 2 : 1;
    } else if (rest.n && rest.p[0] == '[') {
        rest = span_from(rest, 1);
        end = span_find(rest, ']');
    } else {
        while (end < rest.n && rest.p[end] >= '0' && rest.p[end] <= '9')
            end++;
    }
    return span_sub(rest, 0, end);
}
