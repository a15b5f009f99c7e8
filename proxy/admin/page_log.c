/*
 * The access log as a page without script: filters in the URL, newest first; who, what and why
 * before the rest; times in Europe/Amsterdam and in UTC. Every leaf that is shown is hashed again
 * and compared; the checkpoint says how far the log is signed.
 */
#include "internal.h"

#include "sluis/base/encode.h"
#include "sluis/console.h"

#include <stdlib.h>

#include <stdio.h>

#define ROWS_MAX 100u /* on one page */
#define WINDOW 2048u  /* leaves in one read transaction */
#define LOOK_MAX                                                                                   \
    65536u /* leaves looked at for one page: a filter that fits little goes on by link */

enum text {
    T_TITLE,
    T_WHO,
    T_WHAT,
    T_WHY,
    T_WHEN,
    T_ABOUT,
    T_MORE,
    T_VERIFIED,
    T_NOT_VERIFIED,
    T_FILTER,
    T_SINCE,
    T_UNTIL,
    T_ACTOR,
    T_ROLE,
    T_SUBJECT,
    T_ACTION,
    T_OUTCOME,
    T_OLDER,
    T_NEWEST,
    T_NONE,
    T_LOOKED,
    T_CLAIMED,
    T_NO_WHY,
    T_CHANGED,
    T_OTHER,
    T_CSV,
    T_COUNT
};
static const char *const texts[2][T_COUNT] = {
    {"Toegangslog",
     "Wie",
     "Wat",
     "Waarom",
     "Wanneer (Nederland \xc2\xb7 UTC)",
     "Over wie",
     "Bijzonderheden",
     "gecontroleerd tot en met controlepunt",
     "het controlepunt kon niet worden gemaakt: het log is niet gecontroleerd",
     "Filteren",
     "vanaf (UTC)",
     "tot (UTC)",
     "wie",
     "rol",
     "betrokkene",
     "wat",
     "uitkomst",
     "Ouder",
     "Nieuwste",
     "Geen regels die hieraan voldoen.",
     "bekeken regels",
     "volgens de tool",
     "geen doel opgegeven",
     "GEWIJZIGD: deze regel past niet bij zijn controlegetal",
     "English",
     "Dit lezen staat zelf ook in het log."},
    {"Access log",
     "Who",
     "What",
     "Why",
     "When (Netherlands \xc2\xb7 UTC)",
     "About whom",
     "Details",
     "verified up to checkpoint",
     "no checkpoint could be made: the log is not verified",
     "Filter",
     "from (UTC)",
     "to (UTC)",
     "who",
     "role",
     "subject",
     "what",
     "outcome",
     "Older",
     "Newest",
     "No entries fit this.",
     "entries looked at",
     "as claimed by the tool",
     "no purpose given",
     "CHANGED: this entry does not fit its hash",
     "Nederlands",
     "Reading this is itself in the log."},
};

struct row {
    uint64_t index;
    uint8_t hash[32];
    struct span leaf;
};
struct view {
    struct admin_request *r;
    struct audit_filter filter;
    const char *const *t;
    bool english;
    struct row rows[ROWS_MAX];
    unsigned n;
    uint64_t before; /* leaves from here on are not shown */
    uint64_t looked, low;
    struct arena arena;
    int error;
};

struct window {
    struct view *v;
    uint64_t end;
    struct row found[WINDOW];
    unsigned n;
};

static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct window *w = ctx;
    if (index >= w->end || w->n == WINDOW)
        return 1;
    w->v->looked++;
    if (!audit_filter_match(&w->v->filter, leaf))
        return 0;
    struct row *row = &w->found[w->n];
    row->index = index;
    memcpy(row->hash, hash, 32);
    w->v->error = arena_try_copy(&w->v->arena, leaf, &row->leaf);
    w->n += w->v->error == 0;
    return w->v->error != 0;
}

/* Backwards, a window at a time, newest first, past what holds nothing of the period. */
static int gather(struct view *v)
{
    struct store *store = v->r->admin->deps.store;
    struct audit_log *log = v->r->admin->deps.log;
    struct window *w = malloc(sizeof(*w));
    int r = w ? 0 : SLUIS_ENOMEM;
    v->low = audit_log_behind(log, &v->filter, v->before);
    while (r == 0 && v->low > 0 && v->n < ROWS_MAX && v->looked < LOOK_MAX) {
        struct store_read *read;
        uint64_t from = (v->low - 1) / WINDOW * WINDOW;
        *w = (struct window){.v = v, .end = v->low};
        r = store_read_begin(store, &read);
        if (r != 0)
            break;
        r = store_each_leaf(read, from, take_leaf, w);
        store_read_end(read);
        r = r < 0 ? r : v->error;
        v->low = from;
        for (unsigned i = w->n; r == 0 && i-- > 0;) {
            if (v->n == ROWS_MAX) {
                v->low = w->found[i].index + 1;
                break;
            }
            v->rows[v->n++] = w->found[i];
        }
        v->low = audit_log_behind(log, &v->filter, v->low);
    }
    free(w);
    return r;
}

/* ---- writing ---- */

static struct span value(struct view *v, struct span leaf, const char *name)
{
    struct span raw = audit_member(leaf, name), out = raw;
    if (!raw.n || !memchr(raw.p, '\\', raw.n))
        return raw;
    char *text = arena_try(&v->arena, raw.n);
    size_t n = 0;
    for (size_t i = 0; text && i < raw.n; i++) { /* leaves escape quotes and backslashes only */
        if (raw.p[i] == '\\' && i + 1 < raw.n)
            i++;
        text[n++] = raw.p[i];
    }
    if (text)
        out = span_of(text, n);
    return out;
}

/* On a narrow screen a row is a block: each cell bears its column's name. */
static void open_cell(const struct view *v, struct buffer *out, enum text column)
{
    buffer_addf(out, "<td data-label=\"%s\">", v->t[column]);
}

static void add_when(struct buffer *out, struct span time)
{
    int64_t ms;
    if (!history_time(time, &ms)) {
        html_escape(out, time);
        return;
    }
    buffer_add(out, SPAN("<span class=\"when\">"));
    log_local_time(out, ms);
    buffer_add(out, SPAN("<br><small>"));
    html_escape(out, time);
    buffer_add(out, SPAN("</small></span>"));
}

/* What a tool said of itself, its agent, is a claim; what the gateway, an operator or a person did
 * something to is not. */
static bool claimed_by_tool(struct span leaf)
{
    static const char *const actions[] = {"send_intent", "send",  "history", "search",
                                          "media",       "setup", "export",  "reveal"};
    struct span action = audit_member(leaf, "\"action\":");
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (span_is(action, actions[i]))
            return true;
    return span_is(action, "refuse") && audit_member(leaf, "\"code\":").n;
}

static void add_part(struct view *v, struct buffer *out, struct span leaf, const char *name,
                     const char *before, const char *after)
{
    struct span text = value(v, leaf, name);
    if (!text.n)
        return;
    buffer_add_str(out, before);
    html_escape(out, text);
    buffer_add_str(out, after);
}

static void add_action(struct view *v, struct span word, struct buffer *out)
{
    const char *dutch = v->english ? NULL : log_action_dutch(word);
    if (dutch) {
        buffer_addf(out, "%s <small>(%.*s)</small>", dutch, (int)word.n, word.p);
        return;
    }
    html_escape(out, word);
}

static void add_row(struct view *v, const struct row *row, struct buffer *out)
{
    uint8_t hash[32];
    bool whole = audit_hash(row->leaf, hash) == 0 && memcmp(hash, row->hash, 32) == 0;
    const bool claim = claimed_by_tool(row->leaf);
    buffer_addf(out, "<tr%s>", whole ? "" : " class=\"bad\"");
    open_cell(v, out, T_WHO);
    buffer_add(out, SPAN("<b>"));
    html_escape(out, value(v, row->leaf, "\"actor\":"));
    buffer_add(out, SPAN("</b>"));
    if (claim && audit_member(row->leaf, "\"claimed\":").n) {
        add_part(v, out, row->leaf, "\"claimed\":", "<br><small>", "");
        buffer_addf(out, " (%s)</small>", v->t[T_CLAIMED]);
    }
    add_part(v, out, row->leaf, "\"role\":", "<br><small>", "</small>");
    buffer_add(out, SPAN("</td>"));
    open_cell(v, out, T_WHAT);
    add_action(v, audit_member(row->leaf, "\"action\":"), out);
    add_part(v, out, row->leaf, "\"outcome\":", ": ", "");
    if (!claim)
        add_part(v, out, row->leaf, "\"claimed\":", "<br><small>", "</small>");
    add_part(v, out, row->leaf, "\"channel\":", "<br><small>", "</small>");
    add_part(v, out, row->leaf, "\"route\":", " <small>", "</small>");
    buffer_add(out, SPAN("</td>"));
    open_cell(v, out, T_WHY);
    add_part(v, out, row->leaf, "\"purpose\":", "", "");
    if (!audit_member(row->leaf, "\"purpose\":").n)
        buffer_addf(out, "<small>%s</small>", v->t[T_NO_WHY]);
    add_part(v, out, row->leaf, "\"reference\":", "<br><small>", "</small>");
    add_part(v, out, row->leaf, "\"processing_activity\":", "<br><small>", "</small>");
    buffer_add(out, SPAN("</td>"));
    open_cell(v, out, T_WHEN);
    add_when(out, audit_member(row->leaf, "\"time\":"));
    buffer_add(out, SPAN("</td>"));
    open_cell(v, out, T_ABOUT);
    html_escape(out, audit_member(row->leaf, "\"subject\":"));
    buffer_add(out, SPAN("</td>"));
    open_cell(v, out, T_MORE);
    buffer_add(out, SPAN("<small>"));
    if (!whole)
        buffer_addf(out, "<b>%s</b> ", v->t[T_CHANGED]);
    buffer_addf(out, "#%llu", (unsigned long long)row->index);
    add_part(v, out, row->leaf, "\"object\":", " &middot; ", "");
    add_part(v, out, row->leaf, "\"object_last\":", "&ndash;", "");
    add_part(v, out, row->leaf, "\"count\":", " &times; ", "");
    add_part(v, out, row->leaf, "\"code\":", " &middot; ", "");
    add_part(v, out, row->leaf, "\"masked\":", " &middot; ", "");
    buffer_add(out, SPAN("</small></td></tr>\n"));
}

static const struct {
    const char *name;
    enum text label;
} fields[] = {{"since", T_SINCE},     {"until", T_UNTIL},   {"actor", T_ACTOR},    {"role", T_ROLE},
              {"subject", T_SUBJECT}, {"action", T_ACTION}, {"outcome", T_OUTCOME}};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static void add_form(struct view *v, struct buffer *out)
{
    buffer_addf(
        out, "<form class=\"filter\" method=\"get\" action=\"/log\"><fieldset><legend>%s</legend>",
        v->t[T_FILTER]);
    for (size_t i = 0; i < FIELDS; i++) {
        buffer_addf(out, "<label>%s <input name=\"%s\" size=\"%d\" value=\"", v->t[fields[i].label],
                    fields[i].name, i < 2 ? 20 : 12);
        html_escape(out, admin_query(v->r, fields[i].name));
        buffer_add(out, SPAN("\"></label>\n"));
    }
    buffer_addf(out,
                "<input type=\"hidden\" name=\"lang\" value=\"%s\"><button>%s</button></fieldset>"
                "</form>\n",
                v->english ? "en" : "nl", v->t[T_FILTER]);
}

static void add_encoded(struct buffer *out, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
            buffer_add_char(out, (char)c);
        } else {
            buffer_add_char(out, '%');
            buffer_add_char(out, digits[c >> 4]);
            buffer_add_char(out, digits[c & 15]);
        }
    }
}

/* The same page, in a language, from an index on (0: the newest). */
static void add_link(struct view *v, struct buffer *out, bool english, uint64_t before,
                     const char *label)
{
    buffer_addf(out, "<a href=\"/log?lang=%s", english ? "en" : "nl");
    for (size_t i = 0; i < FIELDS; i++) {
        struct span given = admin_query(v->r, fields[i].name);
        if (!given.n)
            continue;
        buffer_addf(out, "&amp;%s=", fields[i].name);
        add_encoded(out, given);
    }
    if (before)
        buffer_addf(out, "&amp;before=%llu", (unsigned long long)before);
    buffer_addf(out, "\">%s</a> ", label);
}

/* "verified up to checkpoint n": the tree of the log as it stands, signed. */
static void add_checkpoint(struct view *v, struct buffer *out)
{
    struct buffer note;
    struct checkpoint c;
    struct note_key key;
    buffer_init(&note, NOTE_MAX);
    audit_log_key(v->r->admin->deps.log, &key);
    int r = audit_log_checkpoint(v->r->admin->deps.log, &note);
    if (r == 0)
        r = checkpoint_open(buffer_span(&note), &key, &c);
    if (r == 0) {
        buffer_addf(out, "<p>%s <b>%llu</b> <small>(", v->t[T_VERIFIED],
                    (unsigned long long)c.size);
        html_escape(out, span_str(c.origin));
        buffer_addf(out, ", ");
        buffer_add_hex(out, span_of(c.root, 8));
        buffer_addf(out, "&hellip;)</small>. %s</p>\n", v->t[T_CSV]);
    } else {
        buffer_addf(out, "<p class=\"bad\"><b>%s</b></p>\n", v->t[T_NOT_VERIFIED]);
    }
    buffer_free(&note);
}

static void write_page(struct view *v, struct buffer *out)
{
    add_checkpoint(v, out);
    add_form(v, out);
    buffer_add(out, SPAN("<table class=\"log\"><thead><tr>"));
    for (enum text t = T_WHO; t <= T_MORE; t++)
        buffer_addf(out, "<th scope=\"col\">%s</th>", v->t[t]);
    buffer_add(out, SPAN("</tr></thead><tbody>\n"));
    for (unsigned i = 0; i < v->n; i++)
        add_row(v, &v->rows[i], out);
    buffer_add(out, SPAN("</tbody></table>\n"));
    if (v->n == 0)
        buffer_addf(out, "<p>%s</p>\n", v->t[T_NONE]);
    buffer_add(out, SPAN("<p>"));
    if (v->low > 0)
        add_link(v, out, v->english, v->low, v->t[T_OLDER]);
    add_link(v, out, v->english, 0, v->t[T_NEWEST]);
    add_link(v, out, !v->english, 0, v->t[T_OTHER]);
    buffer_addf(out, "<small>%llu %s</small></p>\n", (unsigned long long)v->looked, v->t[T_LOOKED]);
}

static int record(struct admin_request *r)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_READ_LOG,
                                      .actor = r->who.name,
                                      .role = r->decision.role[0] ? r->decision.role : NULL,
                                      .outcome = "page"};
    return admin_record(r->admin->deps.store, &event);
}

static void bounds(struct view *v)
{
    struct store_status status;
    uint64_t before = 0;
    store_status(v->r->admin->deps.store, &status);
    v->before = status.log_size;
    if (span_u64(admin_query(v->r, "before"), &before) == 0 && before && before < v->before)
        v->before = before;
}

void admin_page_log(struct admin_request *r)
{
    struct view *v = calloc(1, sizeof(*v));
    struct html h;
    if (!v) {
        admin_error(r, 503, "memory", "not now");
        return;
    }
    v->r = r;
    v->english = r->english;
    v->t = texts[v->english];
    v->filter = log_filter(r);
    arena_init(&v->arena, 32u * 1024 * 1024);
    if (log_filter_good(r, &v->filter)) {
        int result = record(r);
        bounds(v);
        if (result == 0)
            result = gather(v);
        if (result != 0) {
            admin_error(r, 503, error_word(result), "the log could not be read");
        } else {
            page_begin(r, &h, texts[0][T_TITLE], texts[1][T_TITLE]);
            write_page(v, &h.out);
            page_send(r, 200, &h);
        }
    }
    arena_free(&v->arena);
    free(v);
}
