/* Pages for persons: the front, signing in and out, a new password. */
#include "internal.h"

#include "sluis/console.h"

#include <sodium.h>
#include <stdio.h>

/* "nl" and "en" by what the browser would rather have; Dutch when it does not say. */
bool page_english(const struct admin_request *r)
{
    struct span query = exchange_head(r->ex)->query, rest = query;
    while (rest.n) {
        size_t end = span_find(rest, '&');
        struct span pair = span_sub(rest, 0, end);
        if (span_is(pair, "lang=en") || span_is(pair, "lang=nl"))
            return span_is(pair, "lang=en");
        rest = span_from(rest, end + 1);
    }
    rest = http_field(exchange_head(r->ex), SPAN("Accept-Language"));
    while (rest.n) { /* the first of the two that is named: browsers list by wish */
        size_t end = span_find(rest, ',');
        struct span one = span_sub(rest, 0, end);
        while (one.n && one.p[0] == ' ')
            one = span_from(one, 1);
        if (span_starts(one, SPAN("nl")) || span_starts(one, SPAN("en")))
            return span_starts(one, SPAN("en"));
        rest = span_from(rest, end + 1);
    }
    return false;
}

static void fields(struct exchange *ex)
{
    exchange_answer_field(ex, SPAN("Content-Security-Policy"), SPAN(CONSOLE_SECURITY_POLICY));
    exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    exchange_answer_field(ex, SPAN("Referrer-Policy"), SPAN("same-origin"));
    exchange_answer_field(ex, SPAN("Cross-Origin-Opener-Policy"), SPAN("same-origin"));
    exchange_answer_field(ex, SPAN("Cross-Origin-Resource-Policy"), SPAN("same-origin"));
    exchange_answer_field(ex, SPAN("Strict-Transport-Security"), SPAN("max-age=31536000"));
}

void page_send(struct admin_request *r, unsigned status, struct html *h)
{
    html_end(h);
    if (h->out.error) {
        admin_error(r, 500, "too_large", "the page does not fit");
    } else {
        exchange_answer_begin(r->ex, status);
        fields(r->ex);
        exchange_answer_field(r->ex, SPAN("Content-Type"), SPAN("text/html; charset=utf-8"));
        exchange_answer_field(r->ex, SPAN("Cache-Control"), SPAN("no-store"));
        exchange_answer_end(r->ex, buffer_span(&h->out));
    }
    html_free(h);
}

void page_begin(struct admin_request *r, struct html *h, const char *nl, const char *en)
{
    bool person = r->who.kind == PRINCIPAL_PERSON && r->by_cookie;
    html_begin(h, r->english, nl, en, person ? r->who.name : NULL,
               person ? r->session.form_token : NULL);
}

void page_redirect(struct admin_request *r, const char *path, struct span cookie)
{
    char where[128];
    snprintf(where, sizeof(where), "%s?lang=%s", path, r->english ? "en" : "nl");
    exchange_answer_begin(r->ex, 303);
    fields(r->ex);
    exchange_answer_field(r->ex, SPAN("Location"), span_str(where));
    exchange_answer_field(r->ex, SPAN("Cache-Control"), SPAN("no-store"));
    if (cookie.n)
        exchange_answer_field(r->ex, SPAN("Set-Cookie"), cookie);
    exchange_answer_end(r->ex, SPAN_EMPTY);
}

void page_refused(struct admin_request *r, bool stranger, const char *why)
{
    struct html h;
    if (stranger && exchange_head(r->ex)->method == HTTP_GET) {
        page_redirect(r, "/sign-in", SPAN_EMPTY);
        return;
    }
    page_begin(r, &h, "Niet toegestaan", "Not allowed");
    html_alert(&h, "Uw rol geeft hier geen recht toe.", "Your role does not give this right.");
    if (!stranger) {
        html_p(&h, access_why_dutch(r->decision.why), why);
    }
    page_send(r, 403, &h);
}

void page_style(struct admin_request *r)
{
    exchange_answer_begin(r->ex, 200);
    fields(r->ex);
    exchange_answer_field(r->ex, SPAN("Content-Type"), SPAN("text/css; charset=utf-8"));
    exchange_answer_field(r->ex, SPAN("Cache-Control"), SPAN("max-age=300"));
    exchange_answer_end(r->ex, console_style());
}

/* ---- signing in ---- */

static void sign_in_page(struct admin_request *r, unsigned status, const char *nl, const char *en)
{
    struct html h;
    html_begin(&h, r->english, "Aanmelden", "Sign in", NULL, NULL);
    if (nl)
        html_alert(&h, nl, en);
    html_form(&h, "/sign-in");
    html_field(&h, "name", "text", "username", "Naam", "Name");
    html_field(&h, "password", "password", "current-password", "Wachtwoord", "Password");
    html_field(&h, "code", "text", "one-time-code", "Code uit de app (6 cijfers)",
               "Code from the app (6 digits)");
    html_button(&h, "Aanmelden", "Sign in");
    html_p(
        &h,
        "Aanmelden, mislukte pogingen en alles wat u inziet of verandert wordt vastgelegd in het "
        "toegangslogboek.",
        "Signing in, failed attempts and everything you view or change is recorded in the "
        "access log.");
    page_send(r, status, &h);
}

void page_sign_in(struct admin_request *r)
{
    sign_in_page(r, 200, NULL, NULL);
}

void page_sign_in_post(struct admin_request *r)
{
    admin_sign_in_begin(r, admin_form(r, "name"), admin_form(r, "password"), admin_form(r, "code"),
                        true);
}

void page_signed_in(struct admin_request *r, const struct access_sign_in *s)
{
    char cookie[160], nl[128], en[128];
    if (s->result == 0) {
        snprintf(cookie, sizeof(cookie),
                 ADMIN_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict", s->session);
        page_redirect(r, s->one_time ? "/password" : "/", span_str(cookie));
        sodium_memzero(cookie, sizeof(cookie));
        return;
    }
    snprintf(nl, sizeof(nl), "Te veel pogingen: wacht %u seconden.", s->wait_s);
    snprintf(en, sizeof(en), "Too many attempts: wait %u seconds.", s->wait_s);
    if (s->result == SLUIS_EAGAIN)
        sign_in_page(r, 429, nl, en);
    else
        sign_in_page(r, 403, "Naam, wachtwoord en code horen niet bij elkaar.",
                     "Name, password and code do not belong together.");
}

void page_sign_out(struct admin_request *r)
{
    access_session_close(r->admin->deps.access, admin_cookie(r));
    if (admin_note(r, AUDIT_ACCESS, "signed_out", NULL, NULL) != 0)
        LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "signed_out"));
    page_redirect(r, "/sign-in",
                  SPAN(ADMIN_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"));
}

/* ---- a password of one's own ---- */

static void password_page(struct admin_request *r, unsigned status, bool wrong)
{
    struct html h;
    page_begin(r, &h, "Wachtwoord kiezen", "Choose a password");
    if (wrong)
        html_alert(&h, "Niet goed: 12 tekens of meer, twee keer hetzelfde, en niet het oude.",
                   "Not right: 12 characters or more, twice the same, and not the old one.");
    html_p(&h, "Een zin van een paar woorden is goed te onthouden en moeilijk te raden.",
           "A sentence of a few words is easy to remember and hard to guess.");
    html_form(&h, "/password");
    html_field(&h, "password", "password", "new-password", "Nieuw wachtwoord", "New password");
    html_field(&h, "again", "password", "new-password", "Nog een keer", "Once more");
    html_button(&h, "Vastleggen", "Save");
    page_send(r, status, &h);
}

void page_password(struct admin_request *r)
{
    password_page(r, 200, false);
}

/* All sessions end with it, this one too: the next sign-in shows that the new one works. */
void page_password_post(struct admin_request *r)
{
    struct span password = admin_form(r, "password");
    if (!span_eq_secret(password, admin_form(r, "again")) || admin_password_set(r, password) != 0)
        password_page(r, 400, true);
    else
        page_redirect(r, "/sign-in", SPAN_EMPTY);
}

/* ---- the front ---- */

static const struct {
    enum permission permission;
    const char *path, *nl, *en;
} links[] = {
    {PERMISSION_TRY_PAGE, "/try", "Een bericht proberen", "Try a message"},
    {PERMISSION_PAGE_LOG, "/log", "Het toegangslog", "The access log"},
    {PERMISSION_PASSWORD_PAGE, "/password", "Wachtwoord veranderen", "Change the password"},
};

static void add_link(struct admin_request *r, struct html *h, size_t i)
{
    struct access_decision decision;
    bool alarm;
    if (permission_may(r->admin->deps.access, links[i].permission, &r->who, false, clock_wall_ms(),
                       &decision, &alarm) != 0)
        return;
    html_raw(h, "<li><a href=\"");
    html_raw(h, links[i].path);
    html_raw(h, h->english ? "?lang=en\">" : "?lang=nl\">");
    html_words(h, links[i].nl, links[i].en);
    html_raw(h, "</a></li>\n");
}

struct own {
    struct admin_request *r;
    struct html *h;
    const struct config *config;
    unsigned n;
};

static int add_own(void *ctx, const struct access_grant *g)
{
    struct own *own = ctx;
    struct html *h = own->h;
    if (g->person != own->r->who.id)
        return 0;
    if (own->n++ == 0) {
        html_raw(h, "<div class=\"scroll\"><table>\n<tr><th scope=\"col\">");
        html_words(h, "Rol", "Role");
        html_raw(h, "</th><th scope=\"col\">");
        html_words(h, "Kanalen", "Channels");
        html_raw(h, "</th><th scope=\"col\">");
        html_words(h, "Gegeven door", "Granted by");
        html_raw(h, "</th></tr>\n");
    }
    html_raw(h, "<tr><td>");
    html_text(h, span_str(g->role));
    html_raw(h, "</td><td>");
    if (g->all)
        html_words(h, "alle", "all");
    for (unsigned i = 0; i < g->channel_count; i++) {
        const struct config_channel *c = config_channel_by_id(own->config, g->channels[i]);
        html_raw(h, i ? ", " : "");
        html_text(h, span_str(c ? c->name : "?"));
    }
    html_raw(h, "</td><td>");
    html_text(h, span_str(g->granted_by));
    html_raw(h, "</td></tr>\n");
    return 0;
}

void page_front(struct admin_request *r)
{
    struct html h;
    struct own own = {.r = r, .h = &h, .config = config_acquire(r->admin->deps.config)};
    page_begin(r, &h, "Sluis", "Sluis");
    html_h2(&h, "Wat u kunt doen", "What you can do");
    html_raw(&h, "<ul>\n");
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        add_link(r, &h, i);
    html_raw(&h, "</ul>\n");
    html_h2(&h, "Uw rollen", "Your roles");
    int result = access_each_grant(r->admin->deps.access, add_own, &own);
    if (own.n)
        html_raw(&h, "</table></div>\n");
    else
        html_p(&h, "U heeft geen rol. Vraag wie rollen geeft.",
               "You have no role. Ask who gives roles.");
    config_unref((struct config *)own.config);
    if (result != 0)
        html_alert(&h, "Uw rollen konden niet worden gelezen.", "Your roles could not be read.");
    page_send(r, 200, &h);
}
