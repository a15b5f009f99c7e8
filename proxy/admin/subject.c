/* One person: what operators do for art. 15 to 18 AVG and for a legal hold. */
#include "internal.h"

#include "sluis/purge.h"

static void refuse(struct admin_request *r, int result)
{
    if (result == SLUIS_ENOENT)
        admin_error(r, 404, "not_found", "nobody is known by that identifier, or nothing is held");
    else if (result == SLUIS_EINVAL)
        admin_error(r, 400, "subject",
                    "identifier, or reason and author (1 to 200 bytes), missing");
    else if (result == SLUIS_EDENIED)
        admin_error(r, 409, "held", "the person is under a legal hold: release it first");
    else if (result == SLUIS_EEXIST)
        admin_error(r, 409, "held", "the person is under a legal hold already");
    else if (result == SLUIS_EMANY)
        admin_error(r, 409, "several",
                    "several persons had this number: find lists them; #SERIAL, or NUMBER@DAY (who "
                    "had it that day), says which. Nothing was done");
    else if (result == SLUIS_ELIMIT)
        admin_error(r, 413, "limit", "more is kept of this person than one answer holds");
    else
        admin_error(r, 503, error_word(result),
                    "it was not finished; what was begun is tried again");
}

static bool member_true(struct admin_request *r, const char *member)
{
    return r->body.count != 0 &&
           json_is(&r->body, json_get(&r->body, 0, span_str(member)), JSON_TRUE);
}

static void add_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    buffer_addf(out, ",\"%s\":%s%s%s", name, ms ? "\"" : "", ms ? text : "null", ms ? "\"" : "");
}

/* As the access log spells it: what `audit export --subject` takes. */
static void add_pseudonym(struct admin_request *r, struct buffer *out, uint64_t subject)
{
    struct keyring_cache *keys;
    uint64_t pseudonym = 0;
    if (keyring_cache_new(r->admin->deps.keyring, &keys) != 0)
        return;
    if (keyring_pseudonym(keys, subject, &pseudonym) == 0)
        buffer_addf(out, ",\"pseudonym\":\"%016llx\"", (unsigned long long)pseudonym);
    keyring_cache_free(keys);
}

void admin_subject_find(struct admin_request *r)
{
    struct purge_person person;
    struct buffer out;
    int result = purge_person_find(r->admin->deps.purge, admin_text(r, "identifier"), &person);
    if (result != 0) {
        refuse(r, result);
        return;
    }
    buffer_init(&out, 16384); /* PURGE_OWNERS_MAX owners of some 100 bytes */
    buffer_addf(&out, "{\"subject\":%llu", (unsigned long long)person.subject);
    add_pseudonym(r, &out, person.subject);
    buffer_addf(&out, ",\"messages\":%llu", (unsigned long long)person.messages);
    add_time(&out, "first", person.first_ms);
    add_time(&out, "last", person.last_ms);
    buffer_add(&out, SPAN(",\"linked\":["));
    for (unsigned i = 0; i < person.linked_count; i++)
        buffer_addf(&out, "%s\"#%llu\"", i ? "," : "", (unsigned long long)person.linked[i]);
    buffer_add(&out, SPAN("],\"owners\":["));
    for (unsigned i = 0; i < person.owner_count; i++) {
        const struct purge_owner *o = &person.owners[i];
        buffer_addf(&out, "%s{\"subject\":\"#%llu\"", i ? "," : "", (unsigned long long)o->subject);
        add_time(&out, "since", o->since_ms);
        add_time(&out, "until", o->until_ms);
        buffer_add_char(&out, '}');
    }
    buffer_add_char(&out, ']');
    buffer_addf(&out, ",\"restricted\":%s,\"held\":%s", person.restricted ? "true" : "false",
                person.held ? "true" : "false");
    if (person.held) {
        buffer_addf(&out, ",\"hold\":%u,\"reason\":", person.hold);
        json_quote(&out, span_str(person.reason));
        buffer_add(&out, SPAN(",\"author\":"));
        json_quote(&out, span_str(person.author));
        add_time(&out, "until", person.held_until_ms);
    }
    buffer_add_char(&out, '}');
    admin_json(r, 200, &out);
    buffer_free(&out);
}

/* Who may be the same person: named in the answer, looked up before it is done. */
struct linked {
    uint64_t at[16];
    unsigned n;
};

static void find_linked(struct admin_request *r, struct linked *out)
{
    if (purge_person_linked(r->admin->deps.purge, admin_text(r, "identifier"), out->at, &out->n) !=
        0)
        out->n = 0; /* the act itself says why */
}

static void add_linked(const struct linked *linked, struct buffer *out)
{
    buffer_add(out, SPAN("\"linked\":["));
    for (unsigned i = 0; i < linked->n; i++)
        buffer_addf(out, "%s\"#%llu\"", i ? "," : "", (unsigned long long)linked->at[i]);
    buffer_add_char(out, ']');
}

/* One more member of the object in `out`. */
static void append_linked(const struct linked *linked, struct buffer *out)
{
    if (out->error || out->n < 2 || out->p[out->n - 1] != '}')
        return;
    out->n--;
    buffer_add_char(out, ',');
    add_linked(linked, out);
    buffer_add_char(out, '}');
}

void admin_subject_export(struct admin_request *r)
{
    struct linked linked;
    struct buffer out;
    find_linked(r, &linked);
    buffer_init(&out, SUBJECT_EXPORT_MAX);
    int result = purge_person_export(r->admin->deps.purge, admin_text(r, "identifier"), &out);
    if (result == 0)
        result = subject_add_media(r, &out);
    if (result == 0) {
        append_linked(&linked, &out);
        result = out.error;
    }
    if (result != 0)
        refuse(r, result);
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_subject_erase(struct admin_request *r)
{
    struct linked linked;
    struct buffer out;
    find_linked(r, &linked);
    buffer_init(&out, 32768);
    int result = purge_person_erase(r->admin->deps.purge, admin_text(r, "identifier"),
                                    member_true(r, "dry_run"), &out);
    if (result == 0)
        append_linked(&linked, &out);
    if (result != 0)
        refuse(r, result);
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_subject_certificate(struct admin_request *r)
{
    struct buffer out;
    uint64_t number = 0;
    uint32_t at = r->body.count ? json_get(&r->body, 0, SPAN("number")) : JSON_NONE;
    buffer_init(&out, 32768);
    if (at == JSON_NONE || json_u64(&r->body, at, &number) != 0)
        admin_error(r, 400, "number", "the number of a certificate is needed");
    else if (number == 0 || purge_certificate(r->admin->deps.purge, number, &out) != 0)
        admin_error(r, 404, "not_found", "no certificate has that number");
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

static void answer(struct admin_request *r, int result, const char *word,
                   const struct linked *linked)
{
    struct buffer out;
    if (result != 0) {
        refuse(r, result);
        return;
    }
    buffer_init(&out, 1024);
    buffer_addf(&out, "{\"done\":\"%s\",", word);
    add_linked(linked, &out);
    buffer_add_char(&out, '}');
    admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_subject_redact(struct admin_request *r)
{
    struct purge_redaction asked = {.identifier = admin_text(r, "identifier"),
                                    .text = admin_text(r, "text"),
                                    .instead = admin_text(r, "instead"),
                                    .dry_run = member_true(r, "dry_run")};
    struct purge_redacted done;
    struct buffer out;
    uint32_t at = r->body.count ? json_get(&r->body, 0, SPAN("message")) : JSON_NONE;
    if (at != JSON_NONE && (json_u64(&r->body, at, &asked.message) != 0 || !asked.message)) {
        admin_error(r, 400, "message", "the serial of a message, as export gives it, is needed");
        return;
    }
    int result = purge_redact(r->admin->deps.purge, &asked, &done);
    if (result == SLUIS_ENOENT) {
        admin_error(r, 404, "not_found", "no such message or person, or the text stands nowhere");
        return;
    }
    if (result == SLUIS_EINVAL) {
        admin_error(r, 400, "redact", "a message, or a person and a text (1 to 200 bytes)");
        return;
    }
    if (result != 0) {
        refuse(r, result);
        return;
    }
    buffer_init(&out, 512);
    buffer_addf(&out, "{\"messages\":%llu,\"places\":%llu,\"told\":%llu,\"dry_run\":%s}",
                (unsigned long long)done.messages, (unsigned long long)done.places,
                (unsigned long long)done.number, asked.dry_run ? "true" : "false");
    admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_subject_unlink(struct admin_request *r)
{
    struct linked linked; /* who was */
    find_linked(r, &linked);
    answer(r, purge_person_unlink(r->admin->deps.purge, admin_text(r, "identifier")), "unlinked",
           &linked);
}

void admin_subject_restrict(struct admin_request *r)
{
    bool lift = member_true(r, "lift");
    struct linked linked;
    find_linked(r, &linked);
    answer(r, purge_person_restrict(r->admin->deps.purge, admin_text(r, "identifier"), !lift),
           lift ? "lifted" : "restricted", &linked);
}

void admin_subject_hold(struct admin_request *r)
{
    uint64_t until = 0;
    uint32_t at = r->body.count ? json_get(&r->body, 0, SPAN("until_ms")) : JSON_NONE;
    int result = SLUIS_EINVAL;
    struct linked linked;
    find_linked(r, &linked);
    if (at == JSON_NONE || (json_u64(&r->body, at, &until) == 0 && until <= INT64_MAX))
        result =
            purge_person_hold(r->admin->deps.purge, admin_text(r, "identifier"),
                              admin_text(r, "reason"), admin_text(r, "author"), (int64_t)until);
    answer(r, result, "held", &linked);
}

void admin_subject_release(struct admin_request *r)
{
    struct linked linked;
    find_linked(r, &linked);
    answer(r, purge_person_release(r->admin->deps.purge, admin_text(r, "identifier")), "released",
           &linked);
}
