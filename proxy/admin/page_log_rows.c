/* The rows of the access log's page. */
#include "page_log.h"

#include "sluis/base/encode.h"
#include "sluis/console.h"
#include "sluis/history.h"

static struct span value(struct log_view *v, struct span leaf, const char *name)
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
static void open_cell(const struct log_view *v, struct buffer *out, enum log_text column)
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

static void add_part(struct log_view *v, struct buffer *out, struct span leaf, const char *name,
                     const char *before, const char *after)
{
    struct span text = value(v, leaf, name);
    if (!text.n)
        return;
    buffer_add_str(out, before);
    html_escape(out, text);
    buffer_add_str(out, after);
}

/* In Dutch first; the words that filters take stand behind it. */
static void add_what(struct log_view *v, struct span leaf, struct buffer *out)
{
    struct span action = audit_member(leaf, "\"action\":");
    struct span outcome = audit_member(leaf, "\"outcome\":");
    const char *did = v->english ? NULL : log_action_dutch(action);
    const char *came = v->english ? NULL : log_outcome_dutch(outcome);
    if (did)
        buffer_add_str(out, did);
    else
        html_escape(out, action);
    if (outcome.n && !(did && came && strcmp(did, came) == 0)) { /* "bezorgd: bezorgd" */
        buffer_add(out, SPAN(": "));
        if (came)
            buffer_add_str(out, came);
        else if (v->english)
            html_escape(out, outcome);
        else
            buffer_addf(out, "<span lang=\"en\">%.*s</span>", (int)outcome.n, outcome.p);
    }
    if (v->english)
        return;
    buffer_add(out, SPAN(" <small>("));
    html_escape(out, action);
    if (outcome.n) {
        buffer_add(out, SPAN(": "));
        html_escape(out, outcome);
    }
    buffer_add(out, SPAN(")</small>"));
}

static const char *verdict(const struct log_view *v, const struct log_row *row)
{
    static const enum log_text texts[] = {[AUDIT_ROW_PROVEN] = T_COUNT,
                                          [AUDIT_ROW_NOT_YET] = T_ROW_NOT_YET,
                                          [AUDIT_ROW_HASH] = T_ROW_HASH,
                                          [AUDIT_ROW_TEXT] = T_ROW_TEXT,
                                          [AUDIT_ROW_TREE] = T_ROW_TREE};
    enum log_text text = texts[row->proof->state];
    if (text == T_ROW_NOT_YET && v->proof.waits) /* said above: none of them is */
        return NULL;
    return text == T_COUNT ? NULL : v->t[text];
}

/* Leaves that are not there to be shown. */
static void write_gone(const struct log_view *v, const struct log_row *row, struct buffer *out)
{
    bool bad = row->state == STORE_LEAF_DAMAGED;
    buffer_addf(out, "<tr%s><td colspan=\"6\">#%llu", bad ? " class=\"bad\"" : "",
                (unsigned long long)row->index);
    if (row->last != row->index)
        buffer_addf(out, " &ndash; #%llu", (unsigned long long)row->last);
    buffer_addf(out, ": %s%s%s</td></tr>\n", bad ? "<b>" : "",
                v->t[bad ? T_ROW_DAMAGED : T_ROW_GONE], bad ? "</b>" : "");
}

void log_row_write(struct log_view *v, const struct log_row *row, struct buffer *out)
{
    if (row->state != STORE_LEAF_THERE) {
        write_gone(v, row, out);
        return;
    }
    const char *why = verdict(v, row);
    const bool claim = claimed_by_tool(row->leaf);
    const bool whole = row->proof->state <= AUDIT_ROW_NOT_YET;
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
    add_what(v, row->leaf, out);
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
    if (why)
        buffer_addf(out, whole ? "%s " : "<b>%s</b> ", why);
    buffer_addf(out, "#%llu", (unsigned long long)row->index);
    add_part(v, out, row->leaf, "\"object\":", " &middot; ", "");
    add_part(v, out, row->leaf, "\"object_last\":", "&ndash;", "");
    add_part(v, out, row->leaf, "\"count\":", " &times; ", "");
    add_part(v, out, row->leaf, "\"code\":", " &middot; ", "");
    add_part(v, out, row->leaf, "\"masked\":", " &middot; ", "");
    buffer_add(out, SPAN("</small></td></tr>\n"));
}
