/* Persons and grants: added, enrolled anew, removed; roles given and taken; the access review. */
#include "internal.h"

#include "sluis/access/person.h"

#include <sodium.h>
#include <stdio.h>

static void add_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    buffer_addf(out, ",\"%s\":%s%s%s", name, ms ? "\"" : "", ms ? text : "null", ms ? "\"" : "");
}

static void add_text(struct buffer *out, const char *name, const char *text)
{
    buffer_addf(out, ",\"%s\":", name);
    json_quote(out, span_str(text));
}

static bool take_name(struct span in, char out[ACCESS_NAME_SIZE])
{
    if (in.n == 0 || in.n >= ACCESS_NAME_SIZE || memchr(in.p, 0, in.n))
        return false;
    memcpy(out, in.p, in.n);
    out[in.n] = '\0';
    return true;
}

static void answer_enrolment(struct admin_request *r, const char *name,
                             const struct access_enrolment *e)
{
    struct person p = {.waits = false};
    (void)access_person_find(r->admin->deps.access, name, &p);
    struct buffer out;
    buffer_init(&out, 4096);
    buffer_addf(&out, "{\"id\":%llu", (unsigned long long)e->id);
    add_text(&out, "name", name);
    add_text(&out, "uri", e->uri);
    if (e->password[0])
        add_text(&out, "password", e->password);
    buffer_addf(&out, ",\"valid_hours\":%d,\"to_be_confirmed\":%s}",
                (int)(ACCESS_ENROL_MS / 3600000), p.waits ? "true" : "false");
    admin_json(r, 201, &out);
    buffer_free(&out);
}

static void refuse(struct admin_request *r, int result)
{
    if (result == SLUIS_EINVAL)
        admin_error(r, 400, "person",
                    "name: letters, digits, '.', '_', '-', '@' (1 to 63); password: 12 to 256 "
                    "bytes");
    else if (result == SLUIS_EEXIST)
        admin_error(r, 409, "name", "there is a person of this name");
    else if (result == SLUIS_ELIMIT)
        admin_error(r, 409, "limit", "too many persons or grants");
    else if (result == SLUIS_ENOENT)
        admin_error(r, 404, "not_found", "no such person or grant");
    else
        admin_error(r, 503, error_word(result), "it could not be stored");
}

void admin_persons_add(struct admin_request *r)
{
    char name[ACCESS_NAME_SIZE];
    struct access_enrolment e;
    if (!take_name(admin_text(r, "name"), name)) {
        refuse(r, SLUIS_EINVAL);
        return;
    }
    int result =
        access_person_add(r->admin->deps.access, name, r->who.name, admin_text(r, "password"), &e);
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "person_added", name, NULL);
    if (result != 0)
        refuse(r, result);
    else
        answer_enrolment(r, name, &e);
    sodium_memzero(&e, sizeof(e));
}

/* The person that {id} names, by number or by name. */
static int find_person(struct admin_request *r, struct person *out)
{
    char name[ACCESS_NAME_SIZE];
    return take_name(r->id, name) ? access_person_find(r->admin->deps.access, name, out)
                                  : SLUIS_ENOENT;
}

void admin_persons_reset(struct admin_request *r)
{
    struct person p;
    struct access_enrolment e = {.id = 0};
    int result = find_person(r, &p);
    if (result == 0 && r->who.kind == PRINCIPAL_PERSON && r->who.id == p.id)
        result = SLUIS_ENOENT; /* nobody enrols himself anew: somebody else looks who it is */
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "person_reset", p.name, NULL);
    if (result == 0)
        result = access_person_reset(r->admin->deps.access, p.id, r->who.name, &e);
    if (result != 0)
        refuse(r, result);
    else
        answer_enrolment(r, p.name, &e);
    sodium_memzero(&e, sizeof(e));
}

static const char *why_not_confirmed(int result)
{
    switch (result) {
    case SLUIS_EEXIST:
        return "nobody has to confirm this person: nothing waits";
    case SLUIS_EAGAIN:
        return "this person has not chosen a password yet: first that, then ask whether it was "
               "they who did";
    default:
        return "who enrolled this person saw the secret and cannot confirm it: another officer "
               "has to";
    }
}

/* A second officer vouches that it is this person who holds the password and the app. */
void admin_persons_confirm(struct admin_request *r)
{
    struct person p;
    int result = find_person(r, &p);
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "person_confirming", p.name, NULL);
    if (result == 0)
        result = access_person_confirm(r->admin->deps.access, p.id, r->who.name,
                                       r->who.kind == PRINCIPAL_OPERATOR);
    if (result == SLUIS_EEXIST || result == SLUIS_EAGAIN || result == SLUIS_EDENIED) {
        if (admin_note(r, AUDIT_REFUSE, "not_confirmed", p.name, NULL) != 0)
            LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "refused"));
        admin_error(r, 409, "not_confirmed", why_not_confirmed(result));
        return;
    }
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "person_confirmed", p.name, NULL);
    if (result != 0)
        refuse(r, result);
    else
        admin_answer(r->ex, 200, SPAN("application/json"), SPAN("{\"confirmed\":true}\n"));
}

void admin_persons_remove(struct admin_request *r)
{
    struct person p;
    int result = find_person(r, &p);
    if (result == 0)
        result = access_person_remove(r->admin->deps.access, p.id);
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "person_removed", p.name, NULL);
    if (result != 0)
        refuse(r, result);
    else
        admin_answer(r->ex, 200, SPAN("application/json"), SPAN("{\"removed\":true}\n"));
}

/* ---- grants ---- */

static const char *take_channels(struct admin_request *r, const struct config *config,
                                 struct access_grant *g)
{
    uint32_t list = json_get(&r->body, 0, SPAN("channels"));
    if (json_string_is(&r->body, list, SPAN("all"))) {
        g->all = true;
        return NULL;
    }
    for (uint32_t i = json_first(&r->body, list); i != JSON_NONE; i = json_next(&r->body, i)) {
        struct span text;
        char name[CONFIG_NAME_MAX + 1] = "";
        if (g->channel_count == ACCESS_CHANNELS_MAX)
            return "channels: too many: grant all, or a second time";
        if (json_string(&r->body, i, r->arena, &text) != 0 || text.n > CONFIG_NAME_MAX)
            return "channels: \"all\" or a list of names was expected";
        memcpy(name, text.p, text.n);
        const struct config_channel *channel = config_channel(config, name);
        if (!channel)
            return "channels: no such channel in the configuration";
        g->channels[g->channel_count++] = channel->id;
    }
    return g->channel_count ? NULL : "channels: \"all\", or at least one";
}

static const char *why_not(enum access_why why)
{
    switch (why) {
    case ACCESS_CONFLICT:
        return "separation of duties: who changes or approves policy or gives roles cannot reveal, "
               "and who reads the log sees no content; this person would do both";
    case ACCESS_NO_RIGHT:
        return "nobody gives himself a role";
    default:
        return "no policy in force on these channels has this role, or it may nothing";
    }
}

void admin_roles_add(struct admin_request *r)
{
    struct access_grant g = {.id = 0};
    struct person p = {.id = 0};
    char name[ACCESS_NAME_SIZE];
    uint64_t id = 0;
    enum access_why why = ACCESS_GRANTED;
    struct config *config = config_acquire(r->admin->deps.config);
    const char *wrong = take_name(admin_text(r, "role"), g.role) ? take_channels(r, config, &g)
                                                                 : "role: a name was expected";
    config_unref(config);
    if (!wrong && (!take_name(admin_text(r, "person"), name) ||
                   access_person_find(r->admin->deps.access, name, &p) != 0))
        wrong = "person: no such person";
    if (wrong) {
        admin_error(r, 400, "role", wrong);
        return;
    }
    g.person = p.id;
    snprintf(g.granted_by, sizeof(g.granted_by), "%s", r->who.name);
    int result = admin_note(r, AUDIT_ACCESS, "grant_asked", p.name, g.role);
    if (result == 0)
        result = access_grant_add(r->admin->deps.access, &g, clock_wall_ms(), &id, &why);
    if (result == SLUIS_EDENIED) {
        if (admin_note(r, AUDIT_REFUSE, access_why_word(why), p.name, g.role) != 0)
            LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "refused"));
        admin_error(r, 409, access_why_word(why), why_not(why));
        return;
    }
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "granted", p.name, g.role);
    if (result != 0) {
        refuse(r, result);
        return;
    }
    struct buffer out;
    buffer_init(&out, 256);
    buffer_addf(&out, "{\"id\":%llu}", (unsigned long long)id);
    admin_json(r, 201, &out);
    buffer_free(&out);
}

void admin_roles_revoke(struct admin_request *r)
{
    uint64_t id = 0;
    char about[32];
    if (span_u64(r->id, &id) != 0) {
        admin_error(r, 400, "role", "the id of a grant is a number: see `sluis role list`");
        return;
    }
    snprintf(about, sizeof(about), "grant-%llu", (unsigned long long)id);
    int result = access_grant_revoke(r->admin->deps.access, id);
    if (result == 0)
        result = admin_note(r, AUDIT_ACCESS, "grant_revoked", about, NULL);
    if (result != 0)
        refuse(r, result);
    else
        admin_answer(r->ex, 200, SPAN("application/json"), SPAN("{\"revoked\":true}\n"));
}

/* ---- the access review ---- */

struct review {
    struct buffer out;
    struct access *access;
    const struct config *config;
    uint64_t person;
    unsigned n, grants;
};

void admin_add_channels(struct buffer *out, const struct config *config, bool all,
                        const uint16_t *channels, unsigned count)
{
    if (all) {
        buffer_add(out, SPAN("\"all\""));
        return;
    }
    buffer_add_char(out, '[');
    for (unsigned i = 0; i < count; i++) {
        const struct config_channel *c = config_channel_by_id(config, channels[i]);
        buffer_addf(out, "%s\"%s\"", i ? "," : "", c ? c->name : "?");
    }
    buffer_add_char(out, ']');
}

static int add_grant(void *ctx, const struct access_grant *g)
{
    struct review *v = ctx;
    if (g->person != v->person)
        return 0;
    buffer_addf(&v->out, "%s{\"id\":%llu", v->grants++ ? "," : "", (unsigned long long)g->id);
    add_text(&v->out, "role", g->role);
    buffer_add(&v->out, SPAN(",\"channels\":"));
    admin_add_channels(&v->out, v->config, g->all, g->channels, g->channel_count);
    add_text(&v->out, "granted_by", g->granted_by);
    add_time(&v->out, "granted", g->granted_ms);
    buffer_add_char(&v->out, '}');
    return 0;
}

static int add_person(void *ctx, const struct person *p)
{
    struct review *v = ctx;
    if (p->removed)
        return 0;
    v->person = p->id;
    v->grants = 0;
    buffer_addf(&v->out, "%s{\"id\":%llu", v->n++ ? "," : "", (unsigned long long)p->id);
    add_text(&v->out, "name", p->name);
    add_text(&v->out, "added_by", p->added_by);
    add_time(&v->out, "added", p->created_ms);
    add_time(&v->out, "last_use", p->last_use_ms);
    buffer_addf(&v->out, ",\"enrolled\":%s", p->one_time_until_ms ? "false" : "true");
    add_text(&v->out, "enrolled_by", p->enrolled_by);
    add_text(&v->out, "confirmed_by", p->confirmed_by);
    add_time(&v->out, "confirmed", p->confirmed_ms);
    buffer_addf(&v->out, ",\"waits\":%s,\"grants\":[", p->waits ? "true" : "false");
    int result = access_each_grant(v->access, add_grant, v);
    buffer_add(&v->out, SPAN("]}"));
    return result;
}

static int add_token(void *ctx, const struct principal *p)
{
    struct review *v = ctx;
    if (p->revoked)
        return 0;
    buffer_addf(&v->out, "%s{\"id\":%llu", v->n++ ? "," : "", (unsigned long long)p->id);
    add_text(&v->out, "name", p->name);
    add_text(&v->out, "role", p->role);
    buffer_add(&v->out, SPAN(",\"channels\":"));
    admin_add_channels(&v->out, v->config, false, p->channels, p->channel_count);
    add_text(&v->out, "granted_by", p->granted_by);
    add_time(&v->out, "granted", p->created_ms);
    add_time(&v->out, "expires", p->expires_ms);
    add_time(&v->out, "last_use", p->last_use_ms);
    buffer_add_char(&v->out, '}');
    return 0;
}

void admin_roles_list(struct admin_request *r)
{
    struct review v = {.access = r->admin->deps.access,
                       .config = config_acquire(r->admin->deps.config)};
    buffer_init(&v.out, ADMIN_ANSWER_MAX);
    buffer_add(&v.out, SPAN("{\"persons\":["));
    int result = access_each_person(v.access, add_person, &v);
    buffer_add(&v.out, SPAN("],\"tokens\":["));
    v.n = 0;
    if (result == 0)
        result = access_each(v.access, add_token, &v);
    buffer_add(&v.out, SPAN("]}"));
    config_unref((struct config *)v.config);
    if (result < 0)
        admin_error(r, 503, error_word(result), "the review could not be made");
    else
        admin_json(r, 200, &v.out);
    buffer_free(&v.out);
}
