/* The admin room's own shapes: a request with its parsed body, and the handlers of the table. */
#ifndef SLUIS_ADMIN_INTERNAL_H
#define SLUIS_ADMIN_INTERNAL_H

#include "sluis/access/person.h"
#include "sluis/admin.h"
#include "sluis/backup.h"
#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"

#define SUBJECT_EXPORT_MAX (28u * 1024 * 1024) /* bytes of media as far as they fit; the CLI takes 32 MiB */
#define ADMIN_ANSWER_MAX (16u * 1024 * 1024) /* bytes of one answer */
#define ADMIN_LOG_PAGE 1000u                 /* leaves in one page */
#define ADMIN_RECOVERY_FILE "recovery.pub"   /* in the keyring's folder, 64 hex digits */
#define ADMIN_BODY_MAX (64u * 1024)

struct admin_side {
    struct admin *admin;
    bool control;
};

struct admin {
    struct admin_deps deps;
    struct admin_side open, control;
    struct doctor *doctor;
    struct backup_work *backup;
    struct incident_work *incident;
    struct loop_timer *flush;
};

struct admin_request {
    struct admin *admin;
    struct exchange *ex;
    bool control;               /* came by the control socket */
    enum permission permission; /* the row that let it in */
    struct principal who;       /* who.name for the log */
    bool by_cookie;                  /* a person, by a browser */
    bool english;                    /* pages; else Dutch */
    struct access_session session;   /* of a person */
    struct span reason;              /* of an operator who breaks the glass */
    struct http_parameter form[HTTP_PARAMETERS_MAX]; /* of a page */
    unsigned form_count;
    struct access_decision decision; /* the role that gave it, and what that gives */
    struct span id;                  /* the {id} of the path, or empty */
    struct json_doc body;            /* count 0 when there is none */
    struct arena *arena;
    struct http_parameter query[HTTP_PARAMETERS_MAX];
    unsigned query_count;
};

/* For rows of scope PERMISSION_CHANNEL: may who asks use the row's right on this channel? Then
 * r->decision tells the role and what it gives there. Nothing is answered. */
bool admin_may(struct admin_request *r, uint16_t channel);

/* Answers: a JSON document, or problem+json (RFC 9457) with {"error":{"code":word,"message":text}}
 * besides. */
void admin_json(struct admin_request *r, unsigned status, struct buffer *body);
/* What every answer that is not a page says: to be kept by nobody, and to be read as what it is. */
void admin_answer(struct exchange *ex, unsigned status, struct span type, struct span body);
void admin_error(struct admin_request *r, unsigned status, const char *code, const char *text);
/* The text of a member of the body; empty when absent or not a string. */
struct span admin_text(struct admin_request *r, const char *member);
struct span admin_query(const struct admin_request *r, const char *name);
/* "channel/route" of a route number, or "" */
void admin_route_name(const struct config *config, uint16_t id, char out[2 * CONFIG_NAME_MAX + 2]);
/* The number of "channel/route" (or of a route name that only one channel has); 0 when unknown. */
uint16_t admin_route_id(const struct config *config, struct span name);

/* ---- door.c ---- */
#define ADMIN_COOKIE "__Host-sluis"
void admin_identify(struct admin_request *r);
bool admin_same_site(struct admin_request *r); /* else it was answered; so too admin_let_in */
bool admin_let_in(struct admin_request *r);
struct span admin_cookie(const struct admin_request *r);
struct span admin_form(const struct admin_request *r, const char *name); /* admin.c */
/* One leaf by who asks. `about`: a name or the id of a row, or NULL. */
SLUIS_MUST_CHECK int admin_note(struct admin_request *r, enum audit_action action,
                                const char *outcome, const char *about, const char *purpose);

/* ---- session.c ---- */
void admin_session_open(struct admin_request *r);
void admin_session_close(struct admin_request *r);
void admin_session_password(struct admin_request *r);
/* Answers later, as a page or as JSON. */
void admin_sign_in_begin(struct admin_request *r, struct span name, struct span password,
                         struct span code, bool page);
SLUIS_MUST_CHECK int admin_password_set(struct admin_request *r, struct span password);

/* ---- persons.c ---- */
void admin_persons_add(struct admin_request *r);
void admin_persons_reset(struct admin_request *r);
void admin_persons_confirm(struct admin_request *r);
void admin_persons_remove(struct admin_request *r);
void admin_roles_add(struct admin_request *r);
void admin_roles_revoke(struct admin_request *r);
void admin_roles_list(struct admin_request *r);
void admin_add_channels(struct buffer *out, const struct config *config, bool all,
                        const uint16_t *channels, unsigned count);

/* ---- policies.c ---- */
void admin_policies_list(struct admin_request *r);
void admin_policies_approve(struct admin_request *r);

/* ---- pages.c ---- */
bool page_english(const struct admin_request *r); /* ?lang=, else Accept-Language */
/* 403, or for a stranger the way to the sign-in page. */
void page_refused(struct admin_request *r, bool stranger, const char *why);
/* 303; with `cookie` a Set-Cookie. */
void page_redirect(struct admin_request *r, const char *path, struct span cookie);
void page_signed_in(struct admin_request *r, const struct access_sign_in *s);
struct html;
/* A page: begin, html_... (sluis/console.h), send, which ends and frees it. */
void page_begin(struct admin_request *r, struct html *h, const char *nl, const char *en);
void page_send(struct admin_request *r, unsigned status, struct html *h);
void page_try(struct admin_request *r); /* try.c */
void page_try_post(struct admin_request *r);
void page_front(struct admin_request *r);
void page_style(struct admin_request *r);
void page_sign_in(struct admin_request *r);
void page_sign_in_post(struct admin_request *r);
void page_sign_out(struct admin_request *r);
void page_password(struct admin_request *r);
void page_password_post(struct admin_request *r);

void admin_livez(struct admin_request *r);
void admin_readyz(struct admin_request *r);
void admin_readyz_meta(struct admin_request *r);
void admin_readyz_tools(struct admin_request *r);
void admin_metrics(struct admin_request *r);
void admin_status(struct admin_request *r);
/* reload.c */
void admin_reload(struct admin_request *r);
/* Asks for a reload in this name (NULL: nobody's) and answers later, on a request of its own that
 * knows the exchange and no more: `answer` with what came of it and `text`, whose content is taken
 * and which the caller frees all the same. Where nothing waits for it at once, `answer` is called
 * within. */
typedef void admin_reloaded(struct admin_request *r, const struct reload_outcome *outcome,
                            struct buffer *text);
void admin_reload_begin(struct admin_request *r, const char *author, struct buffer *text,
                        admin_reloaded *answer);
/* Why it is not in force, for a person; `out`, of DIAG_FILE_MAX + DIAG_TEXT_MAX + 32 bytes. */
const char *admin_reload_why(const struct reload_outcome *outcome, char *out, size_t size);
void admin_tokens_list(struct admin_request *r);
void admin_tokens_add(struct admin_request *r);
void admin_tokens_rotate(struct admin_request *r);
void admin_tokens_revoke(struct admin_request *r);
void admin_queue_list(struct admin_request *r);
void admin_queue_retry(struct admin_request *r);
void admin_queue_drop(struct admin_request *r);
void admin_quarantine_list(struct admin_request *r);
void admin_log_list(struct admin_request *r);
void admin_log_key(struct admin_request *r);
void admin_log_checkpoint(struct admin_request *r);
void admin_log_export(struct admin_request *r);
void admin_log_deliveries(struct admin_request *r);
void admin_doctor_route(struct admin_request *r);
void admin_doctor_meta(struct admin_request *r);
void admin_policy_replay(struct admin_request *r);
void admin_purge(struct admin_request *r);
void admin_subject_find(struct admin_request *r);
void admin_subject_export(struct admin_request *r);
void admin_subject_erase(struct admin_request *r);
void admin_subject_certificate(struct admin_request *r);
void admin_subject_redact(struct admin_request *r);
void admin_subject_unlink(struct admin_request *r);
void admin_subject_restrict(struct admin_request *r);
void admin_subject_hold(struct admin_request *r);
void admin_subject_release(struct admin_request *r);
void admin_consent(struct admin_request *r);
void admin_consent_list(struct admin_request *r);
void admin_purge_report(struct admin_request *r);
void admin_clock_accept(struct admin_request *r);
/* stats.c, incident.c, page_log.c, openapi.c */
void admin_statistics(struct admin_request *r);
void admin_incident(struct admin_request *r);
int incident_work_new(struct incident_work **out);
void incident_work_stop(struct incident_work *work);
void incident_work_free(struct incident_work *work);
void admin_page_log(struct admin_request *r);
void admin_openapi(struct admin_request *r);
/* log_find.c */
struct audit_filter log_filter(struct admin_request *r); /* since, until, actor, ... */
/* False: answered. Brings times into the form in which they compare. */
bool log_filter_good(struct admin_request *r, struct audit_filter *filter);
bool log_filter_plain(const struct audit_filter *filter);
/* words.c, words_outcome.c: in Dutch, NULL when there is no word */
struct log_word {
    const char *word, *nl;
};
const char *log_word_find(const struct log_word *words, size_t n, struct span word);
const char *log_action_dutch(struct span action);
const char *log_outcome_dutch(struct span outcome);
const char *log_type_dutch(struct span type);
/* As in Europe/Amsterdam: "2026-11-22 06:00:00 (CET)". */
void log_local_time(struct buffer *out, int64_t at_ms);
/* "2026-10-25 02:30" as clocks in the Netherlands show it, seconds and "(CET)" or "(CEST)" at will,
 * as UTC. An hour that comes twice begins with its first and ends with its second; one that a clock
 * skips is the hour after. */
bool log_local_read(struct span text, bool end, int64_t *utc_ms);
/* history.c */
void admin_history(struct admin_request *r);

/* backup.c */
void admin_backup_state(struct admin_request *r);
void admin_backup_make(struct admin_request *r);
void admin_backup_verify(struct admin_request *r);
void admin_backup_register(struct admin_request *r);
void admin_backup_gone(struct admin_request *r);
int backup_work_new(struct admin *admin, struct backup_work **out);
void backup_work_stop(struct backup_work *work);
void backup_work_free(struct backup_work *work);
/* scrub.c */
void admin_add_counts(struct buffer *out, const struct backup_counts *counts);
/* Appends to the buffer `ctx`, which begins with "[", and raises the alarm. */
void admin_add_finding(void *ctx, const struct backup_finding *finding);
void admin_doctor_store(struct admin_request *r);
/* keys.c */
void admin_keys_status(struct admin_request *r);
void admin_keys_rotate(struct admin_request *r);

int doctor_new(struct admin *admin, struct doctor **out);
void doctor_free(struct doctor *doctor);

/* subject_media.c: "media" of an export's messages, appended to it. */
SLUIS_MUST_CHECK int subject_add_media(struct admin_request *r, struct buffer *export);

#endif
