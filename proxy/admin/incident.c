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

#define SLICE 8192u           /* leaves in one read transaction */
#define SUBJECTS_MAX 4194304u /* told apart; above it "at least" */
#define CLOCK_MS (72ll * 3600000)
#define TYPES 14
#define MEASURES_MAX 40

struct measure {
    uint64_t index;
    char time[CLOCK_RFC3339_SIZE], action[24], outcome[40];
};

struct incident_work {
    pthread_t thread;
    bool to_join;
    _Atomic bool running, stop;
    struct store *store;
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
    unsigned measure_count;
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
                                        "keys",  "queue",  "policy", "person",   "role"};
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

struct slice {
    struct incident_work *w;
    char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE];
    uint64_t next;
    unsigned n;
    bool past;
};

static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct slice *s = ctx;
    struct incident_work *w = s->w;
    struct span time = audit_member(leaf, "\"time\":"), action = audit_member(leaf, "\"action\":");
    char at[CLOCK_RFC3339_SIZE];
    (void)hash;
    if (s->n++ == SLICE)
        return 1;
    s->next = index + 1;
    copy(at, sizeof(at), time);
    if (strcmp(at, s->from) < 0)
        return 0;
    /* Measures are looked for up to now, the rest in the period. */
    if (is_measure(action) && w->measure_count < MEASURES_MAX) {
        struct measure *m = &w->measures[w->measure_count++];
        m->index = index;
        copy(m->time, sizeof(m->time), time);
        copy(m->action, sizeof(m->action), action);
        copy(m->outcome, sizeof(m->outcome), audit_member(leaf, "\"outcome\":"));
    }
    if (strcmp(at, s->to) >= 0 || !matches(w, leaf))
        return 0;
    w->leaves++;
    return take_disclosure(w, action, leaf);
}

static int walk(struct incident_work *w)
{
    struct slice s = {.w = w};
    int r = log_find(w->store, w->from_ms, &s.next);
    clock_rfc3339(w->from_ms, s.from);
    clock_rfc3339(w->to_ms, s.to);
    do {
        struct store_read *read;
        s.n = 0;
        r = r ? r : store_read_begin(w->store, &read);
        if (r != 0)
            return r;
        r = store_each_leaf(read, s.next, take_leaf, &s);
        store_read_end(read);
    } while (r >= 0 && s.n > SLICE && !atomic_load(&w->stop));
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
    for (unsigned i = 0; i < w->measure_count; i++)
        buffer_addf(out, "%s{\"index\":%llu,\"time\":\"%s\",\"action\":\"%s\",\"outcome\":\"%s\"}",
                    i ? "," : "", (unsigned long long)w->measures[i].index, w->measures[i].time,
                    w->measures[i].action, w->measures[i].outcome);
    buffer_add(out, SPAN("]}"));
}

static void row(struct buffer *out, const char *what, uint64_t n)
{
    buffer_addf(out, "| %s | %llu |\n", what, (unsigned long long)n);
}

static void write_markdown(const struct incident_work *w, struct buffer *out)
{
    char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE], known[CLOCK_RFC3339_SIZE],
        until[CLOCK_RFC3339_SIZE];
    time_text(w->from_ms, from);
    time_text(w->to_ms, to);
    time_text(w->known_ms, known);
    time_text(w->known_ms + CLOCK_MS, until);
    buffer_addf(
        out,
        "# Incidentpakket (art. 33 AVG)\n\nPeriode: %s tot %s. Route: %s. Token of persoon: %s.\n"
        "\n**Bekend sinds %s: melden bij de Autoriteit Persoonsgegevens v\xc3\xb3\xc3\xb3r %s** "
        "(nog %lld uur).\n\n## 1. Aard van de inbreuk\n\n_In te vullen: wat is er gebeurd, "
        "hoe is het ontdekt._\n\n",
        from, to, w->route[0] ? w->route : "alle", w->actor[0] ? w->actor : "alle", known, until,
        (long long)((w->known_ms + CLOCK_MS - clock_wall_ms()) / 3600000));
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
    for (unsigned i = 0; i < TYPES; i++)
        if (w->types[i])
            buffer_addf(out, "- %s: %llu\n", audit_type_word(i), (unsigned long long)w->types[i]);
    buffer_add(out,
               SPAN("\n## 3. Waarschijnlijke gevolgen\n\n_In te vullen._\n\n## 4. Maatregelen\n\n"
                    "Uit het toegangslog, sinds het begin van de periode:\n\n"));
    for (unsigned i = 0; i < w->measure_count; i++)
        buffer_addf(out, "- %s: %s, %s (log %llu)\n", w->measures[i].time, w->measures[i].action,
                    w->measures[i].outcome, (unsigned long long)w->measures[i].index);
    buffer_addf(
        out,
        "%s\n_In te vullen: wat nog wordt gedaan, en of betrokkenen worden ingelicht (art. 34)."
        "_\n\nBron: %llu regels van het toegangslog; bewijs: `sluis audit export`.\n",
        w->measure_count ? "" : "- geen\n", (unsigned long long)w->leaves);
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
        exchange_answer(ex, 503, SPAN("application/problem+json"),
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
