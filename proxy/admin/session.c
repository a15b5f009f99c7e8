/* Signing in and out: for the API (JSON, a bearer text) and for the pages (a form, a cookie). */
#include "internal.h"

#include "sluis/access/person.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct pending {
    struct access_sign_in sign_in;
    struct mail mail;
    struct admin *admin;
    struct server *server;
    uint64_t exchange;
    bool page, english;
};

static bool take_text(struct span in, char *out, size_t size)
{
    if (in.n >= size || memchr(in.p ? in.p : "", 0, in.n))
        return false;
    memcpy(out, in.p ? in.p : "", in.n);
    out[in.n] = '\0';
    return true;
}

static void record(struct admin_request *r)
{
    if (admin_note(r, AUDIT_ACCESS, "signed_in", NULL, NULL) != 0)
        LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "signed_in"));
}

static void answer_json(struct admin_request *r, const struct access_sign_in *s)
{
    struct buffer out;
    if (s->result == SLUIS_EAGAIN) {
        char text[96];
        snprintf(text, sizeof(text), "too many failures: wait %u seconds", s->wait_s);
        admin_error(r, 429, "slowed", text);
        return;
    }
    if (s->result != 0) {
        admin_error(r, 403, "sign_in", "name, password and code do not belong together");
        return;
    }
    buffer_init(&out, 1024);
    buffer_addf(&out, "{\"person\":\"%s\",\"session\":\"%s\",\"idle_s\":%d,\"password_due\":%s}",
                s->who.name, s->session, (int)(ACCESS_IDLE_MS / 1000),
                s->one_time ? "true" : "false");
    admin_json(r, 200, &out);
    buffer_free(&out);
}

/* On admin's loop. */
static void on_answer(struct mail *mail)
{
    struct pending *p = (struct pending *)((char *)mail - offsetof(struct pending, mail));
    struct exchange *ex = server_exchange(p->server, p->exchange);
    struct admin_request r = {.admin = p->admin, .ex = ex, .english = p->english};
    r.who = p->sign_in.who;
    if (p->sign_in.result == 0)
        record(&r);
    else
        audit_refused(p->admin->deps.refusals, AUDIT_REFUSAL_SIGN_IN);
    if (ex) {
        r.arena = exchange_arena(ex);
        if (p->page)
            page_signed_in(&r, &p->sign_in);
        else
            answer_json(&r, &p->sign_in);
    } else if (p->sign_in.result == 0) { /* nobody got it */
        access_session_close(p->admin->deps.access, span_str(p->sign_in.session));
    }
    sodium_memzero(p, sizeof(*p));
    free(p);
}

/* On access's thread. */
static void on_done(struct access_sign_in *s)
{
    struct pending *p = s->ctx;
    loop_post(p->admin->deps.loop, &p->mail, on_answer);
}

void admin_sign_in_begin(struct admin_request *r, struct span name, struct span password,
                         struct span code, bool page)
{
    struct pending *p = calloc(1, sizeof(*p));
    if (!p) {
        admin_error(r, 503, "memory", "not now");
        return;
    }
    struct access_sign_in *s = &p->sign_in;
    p->admin = r->admin;
    p->server = exchange_server(r->ex);
    p->exchange = exchange_id(r->ex);
    p->page = page;
    p->english = r->english;
    s->kind = page ? ACCESS_COOKIE : ACCESS_BEARER;
    s->at_ms = clock_wall_ms();
    s->done = on_done;
    s->ctx = p;
    /* What does not fit is wrong, and is answered as slowly as what is. */
    bool fits = take_text(name, s->name, sizeof(s->name)) &&
                take_text(password, s->password, sizeof(s->password)) &&
                take_text(code, s->code, sizeof(s->code));
    if (!fits)
        s->code[0] = s->password[0] = '\0';
    snprintf(s->peer, sizeof(s->peer), "%s", exchange_peer(r->ex));
    if (access_sign_in(r->admin->deps.access, s) == 0)
        return;
    s->result = SLUIS_EAGAIN;
    s->wait_s = 5;
    audit_refused(r->admin->deps.refusals, AUDIT_REFUSAL_SIGN_IN);
    if (page)
        page_signed_in(r, s);
    else
        answer_json(r, s);
    sodium_memzero(p, sizeof(*p));
    free(p);
}

void admin_session_open(struct admin_request *r)
{
    admin_sign_in_begin(r, admin_text(r, "name"), admin_text(r, "password"), admin_text(r, "code"),
                        false);
}

void admin_session_close(struct admin_request *r)
{
    struct span value = http_field(exchange_head(r->ex), SPAN("Authorization"));
    const size_t word = sizeof("Bearer ") - 1;
    access_session_close(r->admin->deps.access,
                         r->by_cookie ? admin_cookie(r) : span_from(value, word));
    if (admin_note(r, AUDIT_ACCESS, "signed_out", NULL, NULL) != 0)
        LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "signed_out"));
    admin_answer(r->ex, 200, SPAN("application/json"), SPAN("{\"signed_out\":true}\n"));
}

int admin_password_set(struct admin_request *r, struct span password)
{
    int result = access_person_password(r->admin->deps.access, r->who.id, password);
    if (result == 0 && admin_note(r, AUDIT_ACCESS, "password_changed", NULL, NULL) != 0)
        LOG(LOG_ALARM, "admin", "not_recorded", log_word("what", "password_changed"));
    return result;
}

void admin_session_password(struct admin_request *r)
{
    int result = admin_password_set(r, admin_text(r, "password"));
    if (result == SLUIS_EINVAL)
        admin_error(r, 400, "password", "12 to 256 bytes, and not the one you have");
    else if (result != 0)
        admin_error(r, 503, error_word(result), "the password could not be stored");
    else
        admin_answer(r->ex, 200, SPAN("application/json"), SPAN("{\"changed\":true}\n"));
}
