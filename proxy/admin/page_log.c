/*
 * The access log as a page without script: filters in the URL, newest first; who, what and why
 * before the rest; times in Europe/Amsterdam and in UTC. Every leaf that is shown is hashed again
 * and proven to be in the tree of the last checkpoint that left the machine (audit_log_prove).
 */
#include "page_log.h"

#include "sluis/base/encode.h"
#include "sluis/console.h"

#include <stdlib.h>

#include <stdio.h>

#define WINDOW 2048u /* leaves in one read transaction */
#define LOOK_MAX                                                                                   \
    65536u /* leaves looked at for one page: a filter that fits little goes on by link */

static const char *const texts[2][T_COUNT] = {
    {"Toegangslog",
     "Wie",
     "Wat",
     "Waarom",
     "Wanneer (Nederland \xc2\xb7 UTC)",
     "Over wie",
     "Bijzonderheden",
     "Gecontroleerd tot en met controlepunt",
     "De getoonde regels staan in de boom van dat controlepunt, dat deze machine heeft verlaten.",
     "De getoonde regels staan in de boom van dat controlepunt. Het heeft deze machine nog niet "
     "verlaten (log_checkpoints): tegen wie deze machine beheert, bewijst dat niets.",
     "Alle opgeslagen controlegetallen zijn nagerekend op",
     "Niet alle opgeslagen controlegetallen zijn al nagerekend sinds de start.",
     "Nog geen controlepunt: het log is niet gecontroleerd",
     "Na de start wordt het log nog nagerekend; de regels zijn nog niet gecontroleerd tegen "
     "controlepunt",
     "HET LOG IS GEWIJZIGD. Er wordt niets meer ondertekend, getoond of bezorgd. "
     "Laatste controlepunt dat de machine verliet:",
     "De opgeslagen controlegetallen passen niet meer in de boom; het verschil ligt tussen regel",
     "GEWIJZIGD: de knopen van de boom in de opslag zijn niet die van het log.",
     "GEWIJZIGD: het bestand met controlepunten is van een ander of een langer log.",
     "GEWIJZIGD: niet alle regels hieronder passen bij controlepunt",
     "Filteren",
     "vanaf",
     "tot",
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
     "GEWIJZIGD: deze tekst past niet bij haar controlegetal",
     "GEWIJZIGD: het opgeslagen controlegetal van deze regel",
     "GEWIJZIGD: deze regel of een naburige past niet in de boom",
     "nog niet onder een controlepunt",
     "GEWIJZIGD: niet meer te openen",
     "voorbij de termijn van het log zelf: alleen hun controlegetal is er nog",
     "English",
     "Dit lezen staat zelf ook in het log."},
    {"Access log",
     "Who",
     "What",
     "Why",
     "When (Netherlands \xc2\xb7 UTC)",
     "About whom",
     "Details",
     "Verified up to checkpoint",
     "The entries shown are in the tree of that checkpoint, which has left this machine.",
     "The entries shown are in the tree of that checkpoint. It has not left this machine yet "
     "(log_checkpoints): against who administers this machine that proves nothing.",
     "All stored hashes were last gone through at",
     "Not all stored hashes have been gone through since the start.",
     "No checkpoint yet: the log is not verified",
     "After the start the log is still being hashed; the entries are not yet verified against "
     "checkpoint",
     "THE LOG WAS CHANGED. Nothing is signed, shown or delivered any more. "
     "Last checkpoint that left the machine:",
     "The stored hashes do not make the tree any more; the difference is between entry",
     "CHANGED: the nodes of the tree in the store are not those of the log.",
     "CHANGED: the file of checkpoints is of another or of a longer log.",
     "CHANGED: not all entries below fit checkpoint",
     "Filter",
     "from",
     "to",
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
     "CHANGED: this text does not fit its hash",
     "CHANGED: the stored hash of this entry",
     "CHANGED: this entry or a neighbour is not in the tree",
     "under no checkpoint yet",
     "CHANGED: cannot be opened any more",
     "past the log's own term: only their hashes are left",
     "Nederlands",
     "Reading this is itself in the log."},
};

struct window {
    struct log_view *v;
    uint64_t end;
    struct log_row found[WINDOW];
    unsigned n;
};

/* Leaves without a text, one after another, are one row. */
static void take_gone(struct window *w, uint64_t index, enum store_leaf_state state)
{
    struct log_row *last = w->n ? &w->found[w->n - 1] : NULL;
    if (state == STORE_LEAF_GONE && !w->v->all)
        return;
    if (last && last->state == state && last->last + 1 == index)
        last->last = index;
    else
        w->found[w->n++] = (struct log_row){.index = index, .last = index, .state = state};
}

static int take_leaf(void *ctx, uint64_t index, enum store_leaf_state state, struct span leaf,
                     const uint8_t hash[32])
{
    struct window *w = ctx;
    (void)hash; /* the proof has it again */
    if (index >= w->end || w->n == WINDOW)
        return 1;
    w->v->looked++;
    if (state != STORE_LEAF_THERE) {
        take_gone(w, index, state);
        return 0;
    }
    if (!audit_filter_match(&w->v->filter, leaf))
        return 0;
    struct log_row *row = &w->found[w->n];
    *row = (struct log_row){.index = index, .last = index};
    w->v->error = arena_try_copy(&w->v->arena, leaf, &row->leaf);
    w->n += w->v->error == 0;
    return w->v->error != 0;
}

/* False: the page is full. What goes on from the window before is one row with it. */
static bool take_row(struct log_view *v, const struct log_row *row)
{
    struct log_row *last = v->n ? &v->rows[v->n - 1] : NULL;
    if (last && row->state != STORE_LEAF_THERE && last->state == row->state &&
        row->last + 1 == last->index) {
        last->index = row->index;
        return true;
    }
    if (v->n == LOG_PAGE_ROWS)
        return false;
    v->rows[v->n++] = *row;
    return true;
}

/* Backwards, a window at a time, newest first, past what holds nothing of the period. */
static int gather(struct log_view *v)
{
    struct store *store = v->r->admin->deps.store;
    struct audit_log *log = v->r->admin->deps.log;
    struct window *w = malloc(sizeof(*w));
    int r = w ? 0 : SLUIS_ENOMEM;
    v->low = audit_log_behind(log, &v->filter, v->before);
    while (r == 0 && v->low > 0 && v->n < LOG_PAGE_ROWS && v->looked < LOOK_MAX) {
        struct store_read *read;
        uint64_t from = (v->low - 1) / WINDOW * WINDOW;
        w->v = v;
        w->end = v->low;
        w->n = 0;
        r = store_read_begin(store, &read);
        if (r != 0)
            break;
        r = store_each_leaf_state(read, from, take_leaf, w);
        store_read_end(read);
        r = r < 0 ? r : v->error;
        v->low = from;
        for (unsigned i = w->n; r == 0 && i-- > 0;)
            if (!take_row(v, &w->found[i])) {
                v->low = w->found[i].last + 1;
                break;
            }
        v->low = audit_log_behind(log, &v->filter, v->low);
    }
    free(w);
    return r;
}

/* Of each text that is shown: that it is in the tree. After a checkpoint, which takes them in. */
static int prove(struct log_view *v)
{
    struct audit_log *log = v->r->admin->deps.log;
    size_t n = 0;
    int r = audit_log_checkpoint(log, NULL); /* failed: it is proven as far as one has left */
    if (r == SLUIS_ENOMEM)
        return r;
    r = 0;
    for (unsigned i = 0; r == 0 && i < v->n; i++) {
        if (v->rows[i].state != STORE_LEAF_THERE)
            continue;
        v->proofs[n].index = v->rows[i].index;
        r = audit_hash(v->rows[i].leaf, v->proofs[n].hash);
        v->rows[i].proof = &v->proofs[n++];
    }
    return r ? r : audit_log_prove(log, v->proofs, n, &v->proof);
}

static const struct {
    const char *name;
    enum log_text label;
} fields[] = {{"since", T_SINCE},     {"until", T_UNTIL},   {"actor", T_ACTOR},    {"role", T_ROLE},
              {"subject", T_SUBJECT}, {"action", T_ACTION}, {"outcome", T_OUTCOME}};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static void add_form(struct log_view *v, struct buffer *out)
{
    buffer_addf(
        out, "<form class=\"filter\" method=\"get\" action=\"/log\"><fieldset><legend>%s</legend>",
        v->t[T_FILTER]);
    for (size_t i = 0; i < FIELDS; i++) {
        buffer_addf(out, "<label>%s <input name=\"%s\" size=\"%d\" value=\"", v->t[fields[i].label],
                    fields[i].name, i < 2 ? 20 : 12);
        html_escape(out, admin_query(v->r, fields[i].name));
        buffer_addf(out, "\"%s></label>\n", i < 2 ? " placeholder=\"2026-11-22 14:30\"" : "");
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
static void add_link(struct log_view *v, struct buffer *out, bool english, uint64_t before,
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

static void add_number(struct log_view *v, struct buffer *out, enum log_text text)
{
    const struct audit_proof *p = &v->proof;
    buffer_addf(out, "%s <b>%llu</b> <small>(", v->t[text], (unsigned long long)p->size);
    html_escape(out, span_str(p->origin));
    buffer_addf(out, ", ");
    buffer_add_hex(out, span_of(p->root, 8));
    buffer_add(out, SPAN("&hellip;)</small>"));
}

static bool all_fit(const struct log_view *v)
{
    bool fit = true;
    for (unsigned i = 0; i < v->n; i++)
        fit = fit && v->rows[i].state != STORE_LEAF_DAMAGED &&
              (!v->rows[i].proof || v->rows[i].proof->state == AUDIT_ROW_PROVEN ||
               v->rows[i].proof->state == AUDIT_ROW_NOT_YET);
    return fit;
}

/* In red what is wrong, the gravest first. False: nothing is. */
static bool add_damage(struct log_view *v, struct buffer *out)
{
    const struct audit_proof *p = &v->proof;
    bool rows = all_fit(v);
    if (!p->changed && p->damage == AUDIT_WHOLE && rows)
        return false;
    buffer_add(out, SPAN("<p class=\"alert\" role=\"alert\">"));
    if (p->changed)
        add_number(v, out, T_BAD_LOG);
    else if (!rows)
        add_number(v, out, T_BAD_ROWS);
    if (p->damage == AUDIT_DAMAGE_HASHES)
        buffer_addf(out, ". %s <b>%llu</b> &ndash; <b>%llu</b>.", v->t[T_BAD_HASHES],
                    (unsigned long long)p->from, (unsigned long long)p->to - 1);
    if (p->damage == AUDIT_DAMAGE_NODES || p->damage == AUDIT_DAMAGE_FILE)
        buffer_addf(out, " %s", v->t[p->damage == AUDIT_DAMAGE_NODES ? T_BAD_NODES : T_BAD_FILE]);
    buffer_add(out, SPAN("</p>\n"));
    return true;
}

/* "verified up to checkpoint n", and what that says. */
static void add_claim(struct log_view *v, struct buffer *out)
{
    const struct audit_proof *p = &v->proof;
    if (add_damage(v, out))
        return;
    if (p->size == 0 || p->waits) {
        buffer_add(out, SPAN("<p class=\"bad\">"));
        if (p->size)
            add_number(v, out, T_WAITS);
        else
            buffer_addf(out, "<b>%s</b>", v->t[T_NOT_VERIFIED]);
        buffer_addf(out, ". %s</p>\n", v->t[T_RECORDED]);
        return;
    }
    buffer_add(out, SPAN("<p>"));
    add_number(v, out, T_VERIFIED);
    buffer_addf(out, ". %s ", v->t[p->outside ? T_IN_TREE : T_INSIDE]);
    if (p->looked_size) {
        buffer_addf(out, "%s ", v->t[T_LOOKED_AT]);
        log_local_time(out, p->looked_ms);
        buffer_addf(out, " (%llu %s).", (unsigned long long)p->looked_size,
                    v->english ? "entries" : "regels");
    } else {
        buffer_addf(out, "%s", v->t[T_NOT_LOOKED_AT]);
    }
    buffer_addf(out, " %s</p>\n", v->t[T_RECORDED]);
}

static void write_page(struct log_view *v, struct buffer *out)
{
    add_claim(v, out);
    add_form(v, out);
    buffer_add(out, SPAN("<table class=\"log\"><thead><tr>"));
    for (enum log_text t = T_WHO; t <= T_MORE; t++)
        buffer_addf(out, "<th scope=\"col\">%s</th>", v->t[t]);
    buffer_add(out, SPAN("</tr></thead><tbody>\n"));
    for (unsigned i = 0; i < v->n; i++)
        log_row_write(v, &v->rows[i], out);
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

/* False: answered. */
static bool read_before(struct log_view *v)
{
    struct span text = admin_query(v->r, "before");
    if (text.n && (span_u64(text, &v->before) != 0 || v->before == 0)) {
        admin_error(v->r, 400, "before", "before: the index of a leaf was expected");
        return false;
    }
    return true;
}

/* With the leaf of this reading, unless an older page was asked for. */
static void bounds(struct log_view *v)
{
    struct store_status status;
    store_status(v->r->admin->deps.store, &status);
    if (v->before == 0 || v->before > status.log_size)
        v->before = status.log_size;
}

void admin_page_log(struct admin_request *r)
{
    struct log_view *v = calloc(1, sizeof(*v));
    struct html h;
    if (!v) {
        admin_error(r, 503, "memory", "not now");
        return;
    }
    v->r = r;
    v->english = r->english;
    v->t = texts[v->english];
    v->filter = log_filter(r);
    v->all = audit_filter_any(&v->filter);
    arena_init(&v->arena, 32u * 1024 * 1024);
    if (log_filter_good(r, &v->filter) && read_before(v)) {
        int result = record(r);
        bounds(v);
        if (result == 0)
            result = gather(v);
        if (result == 0)
            result = prove(v);
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
