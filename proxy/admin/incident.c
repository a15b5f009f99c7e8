/*
 * Incident pack (art. 33 and 34 AVG): what left for a route, a token or a person in a period, told
 * in categories and approximate numbers from the access log, with the measures that are on record
 * and the clock of 72 hours. On a thread of its own: a long log takes a while.
 */
#include "internal.h"

#include "sluis/history.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SUBJECTS_MAX 4194304u /* told apart; above it "at least" */
#define CLOCK_MS (72ll * 3600000)
#define TYPES 14
#define MEASURES_MAX 200 /* the newest; the pack says how many there were */

struct measure {
    uint64_t index;
    char time[CLOCK_RFC3339_SIZE], action[24], outcome[40];
};

struct incident_work {
    pthread_t thread;
    bool to_join;
    _Atomic bool running, stop;
    struct store *store;
    struct audit_log *log;
    struct loop *loop;
    struct mail mail;
    struct server *server;
    uint64_t exchange;
    /* what is asked */
    int64_t from_ms, to_ms, known_ms;
    char route[160], actor[160];
    bool markdown;
    /* what was found */
    uint64_t *seen; /* pseudonyms, a table with empty places 0 */
    size_t places, subjects;
    bool many;
    uint64_t records, delivered, shown, revealed, exported, searched, sent, media, refused, leaves;
    uint64_t types[TYPES];
    struct measure measures[MEASURES_MAX];
    uint64_t measure_count; /* of which the last MEASURES_MAX are kept, in a ring */
    int result;
};

static bool matches(const struct incident_work *w, struct span leaf)
{
    if (w->actor[0] && !span_is(audit_member(leaf, "\"actor\":"), w->actor))
        return false;
    if (!w->route[0])
        return true;
    struct span channel = audit_member(leaf, "\"channel\":");
    struct span route = audit_member(leaf, "\"route\":");
    char full[320];
    int n = memchr(route.p ? route.p : "", '/', route.n)
                ? snprintf(full, sizeof(full), "%.*s", (int)route.n, route.p)
                : snprintf(full, sizeof(full), "%.*s/%.*s", (int)channel.n, channel.p, (int)route.n,
                           route.p);
    return n > 0 && strcmp(full, w->route) == 0;
}

static int grow(struct incident_work *w)
{
    size_t places = w->places ? w->places * 2 : 4096;
    uint64_t *seen = calloc(places, sizeof(*seen));
    if (!seen)
        return SLUIS_ENOMEM;
    for (size_t i = 0; i < w->places; i++) {
        if (!w->seen[i])
            continue;
        size_t at = w->seen[i] % places;
        while (seen[at])
            at = (at + 1) % places;
        seen[at] = w->seen[i];
    }
    free(w->seen);
    w->seen = seen;
    w->places = places;
    return 0;
}

static int add_subject(struct incident_work *w, struct span hex)
{
    uint64_t v = 0;
    for (size_t i = 0; i < hex.n && i < 16; i++)
        v = v << 4 | (uint64_t)(hex.p[i] <= '9' ? hex.p[i] - '0' : hex.p[i] - 'a' + 10);
    if (v == 0)
        return 0;
    if (w->subjects >= SUBJECTS_MAX) {
        w->many = true;
        return 0;
    }
    if (w->subjects * 2 >= w->places) {
        int r = grow(w);
        if (r != 0)
            return r;
    }
    size_t at = v % w->places;
    while (w->seen[at] && w->seen[at] != v)
        at = (at + 1) % w->places;
    w->subjects += w->seen[at] == 0;
    w->seen[at] = v;
    return 0;
}

static void add_types(struct incident_work *w, struct span list)
{
    for (unsigned i = 0; i < TYPES; i++) {
        char quoted[40];
        int n = snprintf(quoted, sizeof(quoted), "\"%s\"", audit_type_word(i));
        if (list.n && memmem(list.p, list.n, quoted, (size_t)n))
            w->types[i]++;
    }
}

static bool is_measure(struct span action)
{
    static const char *const words[] = {"token", "reload", "erase",  "restrict", "hold",
                                        "keys",  "queue",  "policy", "access"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_is(action, words[i]))
            return true;
    return false;
}

static void copy(char *out, size_t size, struct span s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(out, s.p ? s.p : "", n);
    out[n] = '\0';
}

/* A leaf that says that something of somebody became known to who asks. */
static int take_disclosure(struct incident_work *w, struct span action, struct span leaf)
{
    uint64_t count = 1, *which = span_is(action, "deliver_intent") ? &w->records
                                 : span_is(action, "deliver")      ? &w->delivered
                                 : span_is(action, "history")      ? &w->shown
                                 : span_is(action, "reveal")       ? &w->revealed
                                 : span_is(action, "export")       ? &w->exported
                                 : span_is(action, "search")       ? &w->searched
                                 : span_is(action, "send")         ? &w->sent
                                 : span_is(action, "media")        ? &w->media
                                 : span_is(action, "refuse")       ? &w->refused
                                                                   : NULL;
    if (!which)
        return 0;
    if (span_u64(audit_member(leaf, "\"count\":"), &count) != 0)
        count = 1;
    if (which == &w->delivered && !span_is(audit_member(leaf, "\"outcome\":"), "delivered"))
        return 0;
    *which += count;
    if (which == &w->refused)
        return 0;
    add_types(w, audit_member(leaf, "\"masked\":"));
    return add_subject(w, audit_member(leaf, "\"subject\":"));
}

/* Signing in and using a right are no measures: they would drown them. */
static void add_measure(struct incident_work *w, uint64_t index, struct span leaf)
{
    struct span outcome = audit_member(leaf, "\"outcome\":");
    static const char *const daily[] = {"signed_in", "signed_out", "session_moved", "used",
                                        "break_glass"};
    for (size_t i = 0; i < sizeof(daily) / sizeof(daily[0]); i++)
        if (span_is(outcome, daily[i]))
            return;
    struct measure *m = &w->measures[w->measure_count++ % MEASURES_MAX];
    m->index = index;
    copy(m->time, sizeof(m->time), audit_member(leaf, "\"time\":"));
    copy(m->action, sizeof(m->action), audit_member(leaf, "\"action\":"));
    copy(m->outcome, sizeof(m->outcome), outcome);
}

static const struct measure *measure_at(const struct incident_work *w, uint64_t i)
{
    return &w->measures[i % MEASURES_MAX];
}

static uint64_t first_measure(const struct incident_work *w)
{
    return w->measure_count > MEASURES_MAX ? w->measure_count - MEASURES_MAX : 0;
}

struct slice {
    struct incident_work *w;
    char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE];
    uint64_t end;
};

static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct slice *s = ctx;
    struct incident_work *w = s->w;
    struct span time = audit_member(leaf, "\"time\":"), action = audit_member(leaf, "\"action\":");
    char at[CLOCK_RFC3339_SIZE];
    (void)hash;
    if (index >= s->end)
        return 1;
    copy(at, sizeof(at), time);
    if (strcmp(at, s->from) < 0)
        return 0;
    /* Measures are looked for up to now, the rest in the period. */
    if (is_measure(action))
        add_measure(w, index, leaf);
    if (strcmp(at, s->to) >= 0 || !matches(w, leaf))
        return 0;
    w->leaves++;
    return take_disclosure(w, action, leaf);
}

/* A block of the log in one read transaction; those without a leaf since the period began are
 * passed by. Leaves may stand hours behind their time: the whole log from there on is looked at. */
static int walk(struct incident_work *w)
{
    struct slice s = {.w = w};
    struct store_status status;
    int r = 0;
    clock_rfc3339(w->from_ms, s.from);
    clock_rfc3339(w->to_ms, s.to);
    const struct audit_filter filter = {.from = span_str(s.from)};
    store_status(w->store, &status);
    for (uint64_t at = 0; r >= 0 && !atomic_load(&w->stop); at = s.end) {
        struct store_read *read;
        at = audit_log_ahead(w->log, &filter, at);
        if (at >= status.log_size)
            break;
        s.end = (at / AUDIT_PAGE_LEAVES + 1) * AUDIT_PAGE_LEAVES;
        r = store_read_begin(w->store, &read);
        if (r != 0)
            return r;
        r = store_each_leaf(read, at, take_leaf, &s);
        store_read_end(read);
    }
    return r < 0 ? r : 0;
}

/* ---- the pack ---- */

static void add_number(struct buffer *out, const char *name, uint64_t n)
{
    buffer_addf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void time_text(int64_t ms, char out[CLOCK_RFC3339_SIZE])
{
    clock_rfc3339(ms, out);
}

static void write_json(const struct incident_work *w, struct buffer *out)
{
    char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE], known[CLOCK_RFC3339_SIZE],
        until[CLOCK_RFC3339_SIZE];
    time_text(w->from_ms, from);
    time_text(w->to_ms, to);
    time_text(w->known_ms, known);
    time_text(w->known_ms + CLOCK_MS, until);
    buffer_addf(out, "{\"from\":\"%s\",\"to\":\"%s\",\"known\":\"%s\",\"notify_before\":\"%s\"",
                from, to, known, until);
    buffer_addf(out, ",\"hours_left\":%lld,\"route\":",
                (long long)((w->known_ms + CLOCK_MS - clock_wall_ms()) / 3600000));
    json_quote(out, span_str(w->route));
    buffer_add(out, SPAN(",\"actor\":"));
    json_quote(out, span_str(w->actor));
    add_number(out, "subjects", w->subjects);
    buffer_addf(out, ",\"subjects_at_least\":%s", w->many ? "true" : "false");
    add_number(out, "records", w->records);
    add_number(out, "delivered", w->delivered);
    add_number(out, "shown", w->shown);
    add_number(out, "revealed", w->revealed);
    add_number(out, "exported", w->exported);
    add_number(out, "searched", w->searched);
    add_number(out, "sent", w->sent);
    add_number(out, "media", w->media);
    add_number(out, "refused", w->refused);
    add_number(out, "log_entries", w->leaves);
    buffer_add(out, SPAN(",\"categories\":{"));
    bool first = true;
    for (unsigned i = 0; i < TYPES; i++) {
        if (w->types[i])
            buffer_addf(out, "%s\"%s\":%llu", first ? "" : ",", audit_type_word(i),
                        (unsigned long long)w->types[i]);
        first = first && !w->types[i];
    }
    buffer_add(out, SPAN("},\"measures\":["));
    for (uint64_t i = first_measure(w); i < w->measure_count; i++) {
        const struct measure *m = measure_at(w, i);
        buffer_addf(out, "%s{\"index\":%llu,\"time\":\"%s\",\"action\":\"%s\",\"outcome\":\"%s\"}",
                    i > first_measure(w) ? "," : "", (unsigned long long)m->index, m->time,
                    m->action, m->outcome);
    }
    buffer_addf(out, "],\"measures_total\":%llu}", (unsigned long long)w->measure_count);
}

static void row(struct buffer *out, const char *what, uint64_t n)
{
    buffer_addf(out, "| %s | %llu |\n", what, (unsigned long long)n);
}

/* Whole hours, rounded to the careful side. */
static void write_clock(const struct incident_work *w, struct buffer *out)
{
    int64_t left = w->known_ms + CLOCK_MS - clock_wall_ms(), hour = 3600000;
    buffer_add(out, SPAN("**Bekend sinds "));
    log_local_time(out, w->known_ms);
    buffer_add(out, SPAN(": melden bij de Autoriteit Persoonsgegevens uiterlijk "));
    log_local_time(out, w->known_ms + CLOCK_MS);
    if (left > 0)
        buffer_addf(out, "** (nog %lld uur).\n\n", (long long)(left / hour));
    else
        buffer_addf(out,
                    "** (%lld uur geleden verstreken: meld alsnog, met de reden van de "
                    "vertraging, art. 33 lid 1).\n\n",
                    (long long)((hour - 1 - left) / hour));
}

static void write_head(const struct incident_work *w, struct buffer *out)
{
    buffer_add(out, SPAN("# Incidentpakket (art. 33 AVG)\n\nPeriode: "));
    log_local_time(out, w->from_ms);
    buffer_add(out, SPAN(" tot "));
    log_local_time(out, w->to_ms);
    buffer_addf(out, ". Route: %s. Token of persoon: %s.\n\n", w->route[0] ? w->route : "alle",
                w->actor[0] ? w->actor : "alle");
    write_clock(w, out);
    buffer_add(out, SPAN("## 1. Aard van de inbreuk\n\n_In te vullen: wat is er gebeurd, hoe is "
                         "het ontdekt._\n\n"));
}

static void write_numbers(const struct incident_work *w, struct buffer *out)
{
    buffer_addf(out,
                "## 2. Betrokkenen en gegevens, bij benadering\n\n| | aantal |\n|---|---|\n"
                "| betrokkenen%s | %llu |\n",
                w->many ? " (ten minste)" : "", (unsigned long long)w->subjects);
    row(out, "berichten aangeboden aan routes", w->records);
    row(out, "berichten afgeleverd", w->delivered);
    row(out, "berichten getoond", w->shown);
    row(out, "waarden onthuld", w->revealed);
    row(out, "berichten ge\xc3\xabxporteerd", w->exported);
    row(out, "berichten doorzocht", w->searched);
    row(out, "berichten verstuurd", w->sent);
    row(out, "mediabestanden", w->media);
    row(out, "geweigerde verzoeken", w->refused);
    buffer_add(
        out, SPAN("\nCategorie\xc3\xabn die in die berichten zijn gevonden (berichten; gemaskeerd "
                  "volgens het profiel, of onthuld):\n\n"));
    bool any = false;
    for (unsigned i = 0; i < TYPES; i++) {
        const char *word = log_type_dutch(span_str(audit_type_word(i)));
        if (w->types[i])
            buffer_addf(out, "- %s: %llu\n", word, (unsigned long long)w->types[i]);
        any = any || w->types[i];
    }
    buffer_add_str(out, any ? "" : "- geen\n");
}

static void write_measures(const struct incident_work *w, struct buffer *out)
{
    uint64_t first = first_measure(w);
    buffer_add(out,
               SPAN("\n## 3. Waarschijnlijke gevolgen\n\n_In te vullen._\n\n## 4. "
                    "Maatregelen\n\nUit het toegangslog, sinds het begin van de periode:\n\n"));
    if (first)
        buffer_addf(out, "- (%llu eerdere: zie het toegangslog)\n", (unsigned long long)first);
    for (uint64_t i = first; i < w->measure_count; i++) {
        const struct measure *m = measure_at(w, i);
        const char *word = log_action_dutch(span_str(m->action));
        const char *came = log_outcome_dutch(span_str(m->outcome));
        int64_t at_ms;
        buffer_add(out, SPAN("- "));
        if (history_time(span_str(m->time), &at_ms))
            log_local_time(out, at_ms);
        buffer_addf(out, ": %s, %s (log %llu)\n", word ? word : m->action, came ? came : m->outcome,
                    (unsigned long long)m->index);
    }
    buffer_add_str(out, w->measure_count ? "" : "- geen\n");
}

static void write_markdown(const struct incident_work *w, struct buffer *out)
{
    write_head(w, out);
    write_numbers(w, out);
    write_measures(w, out);
    buffer_addf(
        out,
        "\n_In te vullen: wat nog wordt gedaan, en of betrokkenen worden ingelicht (art. 34)."
        "_\n\nTijden in Nederlandse tijd. Bron: %llu regels van het toegangslog; bewijs: `sluis "
        "audit export`.\n",
        (unsigned long long)w->leaves);
}

static void on_made(struct mail *mail)
{
    struct incident_work *w =
        (struct incident_work *)((char *)mail - offsetof(struct incident_work, mail));
    struct exchange *ex = server_exchange(w->server, w->exchange);
    struct buffer out;
    buffer_init(&out, ADMIN_BODY_MAX * 4);
    if (w->markdown)
        write_markdown(w, &out);
    else
        write_json(w, &out);
    if (ex && (w->result || out.error))
        admin_answer(ex, 503, SPAN("application/problem+json"),
                     SPAN("{\"type\":\"urn:sluis:problem:log\",\"title\":\"log\",\"status\":503,"
                          "\"detail\":\"the log could not be read\",\"error\":{\"code\":\"log\","
                          "\"message\":\"the log could not be read\"}}\n"));
    else if (ex)
        exchange_answer(
            ex, 200, w->markdown ? SPAN("text/markdown; charset=utf-8") : SPAN("application/json"),
            buffer_span(&out));
    buffer_free(&out);
    free(w->seen);
    w->seen = NULL;
    atomic_store(&w->running, false);
}

static void *make(void *ctx)
{
    struct incident_work *w = ctx;
    w->result = walk(w);
    loop_post(w->loop, &w->mail, on_made);
    return NULL;
}

int incident_work_new(struct incident_work **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : SLUIS_ENOMEM;
}

void incident_work_stop(struct incident_work *w)
{
    if (!w || !w->to_join)
        return;
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
    w->to_join = false;
}

void incident_work_free(struct incident_work *w)
{
    incident_work_stop(w);
    if (w)
        free(w->seen);
    free(w);
}

static bool take_question(struct admin_request *r, struct incident_work *w)
{
    struct span from = admin_query(r, "from"), to = admin_query(r, "to");
    struct span known = admin_query(r, "known"), form = admin_query(r, "form");
    w->known_ms = clock_wall_ms();
    if (!history_time(from, &w->from_ms) || !history_time(to, &w->to_ms) ||
        w->from_ms >= w->to_ms || (known.n && !history_time(known, &w->known_ms))) {
        admin_error(r, 400, "period", "from, to, known: times as 2026-11-22T10:00:00Z, or days");
        return false;
    }
    if (form.n && !span_is(form, "json") && !span_is(form, "markdown")) {
        admin_error(r, 400, "form", "form: json or markdown");
        return false;
    }
    const struct audit_filter plain = {.actor = admin_query(r, "token"),
                                       .role = admin_query(r, "route")};
    if (!log_filter_plain(&plain) || plain.actor.n >= sizeof(w->actor) ||
        plain.role.n >= sizeof(w->route)) {
        admin_error(r, 400, "filter", "route, token: plain text was expected");
        return false;
    }
    w->markdown = span_is(form, "markdown");
    copy(w->actor, sizeof(w->actor), plain.actor);
    copy(w->route, sizeof(w->route), plain.role);
    return true;
}

void admin_incident(struct admin_request *r)
{
    struct incident_work *w = r->admin->incident;
    if (atomic_load(&w->running)) {
        admin_error(r, 503, "busy", "an incident pack is being made: come again");
        return;
    }
    incident_work_stop(w); /* the thread of the last one has ended */
    memset(w, 0, sizeof(*w));
    if (!take_question(r, w))
        return;
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_INCIDENT,
                                      .actor = r->who.name,
                                      .role = r->decision.role[0] ? r->decision.role : NULL,
                                      .outcome = "made"};
    int result = admin_record(r->admin->deps.store, &event);
    w->store = r->admin->deps.store;
    w->log = r->admin->deps.log;
    w->loop = r->admin->deps.loop;
    w->server = exchange_server(r->ex);
    w->exchange = exchange_id(r->ex);
    atomic_store(&w->running, true);
    w->to_join = result == 0 && pthread_create(&w->thread, NULL, make, w) == 0;
    if (!w->to_join) {
        atomic_store(&w->running, false);
        admin_error(r, 503, "log", "the log could not be read");
    }
}
