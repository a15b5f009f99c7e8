/*
 * The door: who asks (a cookie, a bearer text, the control socket), whether the row allows it, and
 * what is put on record of that. A handler behind it knows r->who.
 */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>

#define REASON_MIN 8 /* bytes of a reason for breaking the glass */

/* The one value of a cookie of this name; empty when there is none or more than one. */
static struct span cookie_value(const struct http_head *head, struct span name)
{
    struct span rest = http_field(head, SPAN("Cookie")), found = SPAN_EMPTY;
    if (http_field_count(head, SPAN("Cookie")) != 1)
        return SPAN_EMPTY;
    while (rest.n) {
        size_t end = span_find(rest, ';');
        struct span pair = span_sub(rest, 0, end);
        rest = span_from(rest, end + 1);
        while (pair.n && pair.p[0] == ' ')
            pair = span_from(pair, 1);
        size_t is = span_find(pair, '=');
        if (!span_eq(span_sub(pair, 0, is), name))
            continue;
        if (found.p)
            return SPAN_EMPTY; /* two: which one counts would be a guess */
        found = span_from(pair, is + 1);
    }
    return found;
}

struct span admin_cookie(const struct admin_request *r)
{
    return cookie_value(exchange_head(r->ex), SPAN(ADMIN_COOKIE));
}

static struct span bearer(const struct admin_request *r)
{
    const struct http_head *head = exchange_head(r->ex);
    const struct span word = SPAN("Bearer ");
    struct span value = http_field(head, SPAN("Authorization"));
    if (http_field_count(head, SPAN("Authorization")) != 1 || value.n <= word.n ||
        !span_eq_nocase(span_sub(value, 0, word.n), word))
        return SPAN_EMPTY;
    return span_from(value, word.n);
}

int admin_note(struct admin_request *r, enum audit_action action, const char *outcome,
               const char *about, const char *purpose)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = action,
                                      .actor = r->who.name[0] ? r->who.name : "unknown",
                                      .role = r->decision.role[0] ? r->decision.role : NULL,
                                      .claimed = about,
                                      .purpose = purpose,
                                      .outcome = outcome};
    return admin_record(r->admin->deps.store, &event);
}

/* A session that holds makes a person; one that was seen elsewhere is on record. */
static void take_session(struct admin_request *r, struct span text, enum access_session_kind kind)
{
    int result = access_session(r->admin->deps.access, text, kind, exchange_peer(r->ex),
                                clock_wall_ms(), &r->session);
    if (result == 0) {
        r->who = r->session.who;
        r->by_cookie = kind == ACCESS_COOKIE;
        return;
    }
    audit_refused(r->admin->deps.refusals, AUDIT_REFUSAL_SIGN_IN);
    if (result == SLUIS_EEXPIRED) {
        r->who = r->session.who;
        LOG(LOG_ALARM, "admin", "session_moved", log_u64("person", r->who.id));
        if (admin_note(r, AUDIT_ACCESS, "session_moved", NULL, NULL) != 0)
            LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "session_moved"));
    }
    memset(&r->who, 0, sizeof(r->who));
    memset(&r->session, 0, sizeof(r->session));
}

void admin_identify(struct admin_request *r)
{
    struct span text = bearer(r), cookie = r->control ? SPAN_EMPTY : admin_cookie(r);
    if (http_field_count(exchange_head(r->ex), SPAN("Authorization"))) {
        take_session(r, text, ACCESS_BEARER); /* never falls back to something else */
    } else if (cookie.n) {
        take_session(r, cookie, ACCESS_COOKIE);
    } else if (r->control) {
        const char *uid = strchr(exchange_peer(r->ex), ':');
        r->who.kind = PRINCIPAL_OPERATOR;
        snprintf(r->who.name, sizeof(r->who.name), "operator%.20s", uid ? uid : "");
        r->reason = http_field(exchange_head(r->ex), SPAN("X-Sluis-Break-Glass"));
        r->who.break_glass = r->reason.n >= REASON_MIN && r->reason.n <= AUDIT_NAME_MAX;
    }
}

bool admin_may(struct admin_request *r, uint16_t channel)
{
    const struct permission_row *row = permission_row(r->permission);
    if (r->who.kind == PRINCIPAL_OPERATOR)
        return true; /* what it may was decided at the door */
    return access_decide(r->admin->deps.access, &r->who, channel,
                         row->right & ~(PERMIT_SIGNED_IN | PERMIT_ANYONE), clock_wall_ms(),
                         &r->decision) == 0;
}

static void refuse(struct admin_request *r, const struct permission_row *row)
{
    bool stranger = r->who.kind == PRINCIPAL_NOBODY;
    if (!stranger && admin_note(r, AUDIT_REFUSE, access_why_word(r->decision.why), row->id, NULL))
        LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "refused"));
    if (row->flags & PERMISSION_PAGE)
        page_refused(r, stranger, access_why_text(r->decision.why));
    else if (stranger)
        admin_error(r, 401, "sign_in", "sign in first");
    else
        admin_error(r, 403, access_why_word(r->decision.why), access_why_text(r->decision.why));
}

/* What is told of it before it is done: glass that is broken, and what a person changes or reads
 * whose handler knows operators only. */
static int tell(struct admin_request *r, const struct permission_row *row, bool alarm)
{
    if (alarm) {
        char reason[AUDIT_NAME_MAX + 1];
        snprintf(reason, sizeof(reason), "%.*s", (int)r->reason.n, r->reason.p ? r->reason.p : "");
        LOG(LOG_ALARM, "admin", "break_glass", log_word("endpoint", row->id));
        return admin_note(r, AUDIT_ACCESS, "break_glass", row->id, reason[0] ? reason : NULL);
    }
    bool of_note = row->flags & PERMISSION_CHANGES || row->content >= CONTENT_LOG;
    if (r->who.kind == PRINCIPAL_PERSON && of_note && row->scope == PERMISSION_WHOLE &&
        !(row->right & (PERMIT_ANYONE | PERMIT_SIGNED_IN)))
        return admin_note(r, AUDIT_ACCESS, "used", row->id, NULL);
    return 0;
}

bool admin_let_in(struct admin_request *r)
{
    const struct permission_row *row = permission_row(r->permission);
    bool alarm;
    if (permission_may(r->admin->deps.access, r->permission, &r->who, r->control, clock_wall_ms(),
                       &r->decision, &alarm) != 0) {
        refuse(r, row);
        return false;
    }
    if (r->session.one_time && !(row->right & PERMIT_ANYONE) &&
        !(row->flags & PERMISSION_NEWCOMER)) {
        if (row->flags & PERMISSION_PAGE)
            page_redirect(r, "/password", SPAN_EMPTY);
        else
            admin_error(r, 403, "password", "choose a password of your own first");
        return false;
    }
    if (tell(r, row, alarm) != 0) {
        admin_error(r, 503, "log", "the access log refuses: nothing was done");
        return false;
    }
    return true;
}

/* ---- forms ---- */

/* https://HOST, nothing else: what a browser says of the page that a form stands on. */
static bool own_origin(const struct admin_request *r)
{
    const struct http_head *head = exchange_head(r->ex);
    struct span origin = http_field(head, SPAN("Origin"));
    const struct span scheme = SPAN("https://");
    return http_field_count(head, SPAN("Origin")) == 1 && span_starts(origin, scheme) &&
           span_eq_nocase(span_from(origin, scheme.n), head->host);
}

bool admin_same_site(struct admin_request *r)
{
    const struct permission_row *row = permission_row(r->permission);
    bool form = row->flags & PERMISSION_PAGE;
    if (!(row->flags & PERMISSION_CHANGES) || (!form && !r->by_cookie))
        return true; /* a bearer text is not sent by a browser of itself */
    bool good = own_origin(r);
    if (good && r->by_cookie) {
        struct span token =
            form ? admin_form(r, "t") : http_field(exchange_head(r->ex), SPAN("X-Sluis-Form"));
        good = span_eq_secret(token, span_str(r->session.form_token));
    }
    if (!good) {
        audit_refused(r->admin->deps.refusals, AUDIT_REFUSAL_SIGN_IN);
        admin_error(r, 403, "cross_site", "this did not come from a page of this gateway");
    }
    return good;
}
