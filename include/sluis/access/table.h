/*
 * The permission table: what every endpoint and every command asks of who comes. One row each, and
 * the faces are made from the rows: admin's dispatch knows no other endpoints (a row names its
 * handler), Graph's table of endpoints too, by name; the commands are counted against theirs at compile time
 * and compared by name in tests/unit/access.
 *
 * Glossary
 *   doors     where the endpoint answers: the admin listener (TLS, persons), the control socket
 *             (Unix: the operator, or a person who says so).
 *   operator  what who opened the control socket without a person's name may do: see enum
 *             permission_operator.
 *   right     what a person's role must have: POLICY_MAY_* bits, all of them; or PERMIT_*.
 *   scope     PERMISSION_WHOLE: the role is granted on all channels and every channel's policy
 * gives the right. PERMISSION_CHANNEL: it is enough to have it on some channel, and the handler
 *             asks again for the channel at hand (admin_may).
 *   content   the most sensitive thing an answer can hold; separation of duties and the log go by
 * it.
 *
 * A new endpoint of the admin face: a row here and the handler's prototype in
 * proxy/admin/internal.h. A new command: a row in PERMISSION_COMMANDS beside the one in
 * proxy/cli/commands.c. And for each, the line by hand in tests/unit/access/permissions.tsv, which
 * says what is expected.
 */
#ifndef SLUIS_ACCESS_TABLE_H
#define SLUIS_ACCESS_TABLE_H

#include <stdint.h>

enum permission_method { PERMISSION_GET, PERMISSION_POST, PERMISSION_DELETE };

enum { DOOR_ADMIN = 1, DOOR_CONTROL = 2, DOOR_BOTH = 3 };

enum permission_operator {
    OPERATOR_NO,    /* a person only */
    OPERATOR_YES,   /* running the gateway, or making it stricter */
    OPERATOR_FIRST, /* until two officers can do it; then break-glass, see access.h */
    OPERATOR_ALARM, /* content: done, with an alarm and a leaf of its own that says who opened */
};

enum permission_scope { PERMISSION_WHOLE, PERMISSION_CHANNEL };

enum permission_content {
    CONTENT_NONE,       /* nothing of anybody */
    CONTENT_COUNTS,     /* numbers, states, names from the configuration */
    CONTENT_LOG,        /* who did what; pseudonyms */
    CONTENT_OWN,        /* what the same person typed, shown back */
    CONTENT_MASKED,     /* messages as a profile shows them */
    CONTENT_ORIGINAL,   /* messages as they were written */
    CONTENT_CREDENTIAL, /* a secret that was made just now, shown once */
    CONTENT_CLASSES
};

/* Beside the rights of policy.h, which stay below bit 24. */
#define PERMIT_ANYONE (UINT32_C(1) << 31)    /* no sign-in */
#define PERMIT_SIGNED_IN (UINT32_C(1) << 30) /* any person */

enum {
    PERMISSION_CHANGES = 1, /* changes state: never by GET; pages: with the form's token */
    PERMISSION_PAGE = 2,    /* answers HTML; who is not signed in is led to the sign-in page */
    PERMISSION_JOB = 4,     /* its answer may take long */
    PERMISSION_NEWCOMER = 8, /* also for who has yet to choose a password of his own */
};

/* X(id, method, path, handler, doors, operator, right, scope, content, flags)
 * A segment "{id}" of a path matches one segment of any kind. */
#define PERMISSION_ENDPOINTS(X)                                                                    \
    X(LIVEZ, GET, "livez", admin_livez, DOOR_BOTH, YES, PERMIT_ANYONE, WHOLE, NONE, 0)             \
    X(READYZ, GET, "readyz", admin_readyz, DOOR_BOTH, YES, PERMIT_ANYONE, WHOLE, NONE, 0)          \
    X(READYZ_META, GET, "readyz/meta", admin_readyz_meta, DOOR_BOTH, YES, PERMIT_ANYONE, WHOLE,    \
      NONE, 0)                                                                                     \
    X(READYZ_TOOLS, GET, "readyz/tools", admin_readyz_tools, DOOR_BOTH, YES, PERMIT_ANYONE, WHOLE, \
      NONE, 0)                                                                                     \
    X(METRICS, GET, "metrics", admin_metrics, DOOR_BOTH, YES, PERMIT_ANYONE, WHOLE, COUNTS, 0)     \
    X(FRONT, GET, "", page_front, DOOR_ADMIN, NO, PERMIT_SIGNED_IN, WHOLE, COUNTS,                 \
      PERMISSION_PAGE)                                                                             \
    X(STYLE, GET, "console.css", page_style, DOOR_ADMIN, NO, PERMIT_ANYONE, WHOLE, NONE, 0)        \
    X(SIGN_IN_PAGE, GET, "sign-in", page_sign_in, DOOR_ADMIN, NO, PERMIT_ANYONE, WHOLE, NONE,      \
      PERMISSION_PAGE)                                                                             \
    X(SIGN_IN_FORM, POST, "sign-in", page_sign_in_post, DOOR_ADMIN, NO, PERMIT_ANYONE, WHOLE,      \
      NONE, PERMISSION_PAGE | PERMISSION_CHANGES)                                                  \
    X(SIGN_OUT_FORM, POST, "sign-out", page_sign_out, DOOR_ADMIN, NO, PERMIT_SIGNED_IN, WHOLE,     \
      NONE, PERMISSION_PAGE | PERMISSION_CHANGES | PERMISSION_NEWCOMER)                            \
    X(PASSWORD_PAGE, GET, "password", page_password, DOOR_ADMIN, NO, PERMIT_SIGNED_IN, WHOLE,      \
      NONE, PERMISSION_PAGE | PERMISSION_NEWCOMER)                                                 \
    X(PASSWORD_FORM, POST, "password", page_password_post, DOOR_ADMIN, NO, PERMIT_SIGNED_IN,       \
      WHOLE, NONE, PERMISSION_PAGE | PERMISSION_CHANGES | PERMISSION_NEWCOMER)                     \
    X(TRY_PAGE, GET, "try", page_try, DOOR_ADMIN, NO, POLICY_MAY_POLICY, CHANNEL, COUNTS,          \
      PERMISSION_PAGE)                                                                             \
    X(TRY_FORM, POST, "try", page_try_post, DOOR_ADMIN, NO, POLICY_MAY_POLICY, CHANNEL, OWN,       \
      PERMISSION_PAGE | PERMISSION_CHANGES)                                                        \
    X(SESSION, POST, "sluis/v1/session", admin_session_open, DOOR_BOTH, YES, PERMIT_ANYONE, WHOLE, \
      NONE, PERMISSION_CHANGES)                                                                    \
    X(SESSION_END, DELETE, "sluis/v1/session", admin_session_close, DOOR_BOTH, NO,                 \
      PERMIT_SIGNED_IN, WHOLE, NONE, PERMISSION_CHANGES | PERMISSION_NEWCOMER)                     \
    X(SESSION_PASSWORD, POST, "sluis/v1/session/password", admin_session_password, DOOR_BOTH, NO,  \
      PERMIT_SIGNED_IN, WHOLE, NONE, PERMISSION_CHANGES | PERMISSION_NEWCOMER)                     \
    X(PERSONS_ADD, POST, "sluis/v1/persons", admin_persons_add, DOOR_BOTH, FIRST,                  \
      POLICY_MAY_ROLES, WHOLE, CREDENTIAL, PERMISSION_CHANGES)                                     \
    X(PERSONS_RESET, POST, "sluis/v1/persons/{id}/reset", admin_persons_reset, DOOR_BOTH, FIRST,   \
      POLICY_MAY_ROLES, WHOLE, CREDENTIAL, PERMISSION_CHANGES)                                     \
    X(PERSONS_REMOVE, DELETE, "sluis/v1/persons/{id}", admin_persons_remove, DOOR_BOTH, YES,       \
      POLICY_MAY_ROLES, WHOLE, COUNTS, PERMISSION_CHANGES)                                         \
    X(ROLES, GET, "sluis/v1/roles", admin_roles_list, DOOR_BOTH, YES, POLICY_MAY_ROLES, WHOLE,     \
      COUNTS, 0)                                                                                   \
    X(ROLES_ADD, POST, "sluis/v1/roles", admin_roles_add, DOOR_BOTH, FIRST, POLICY_MAY_ROLES,      \
      WHOLE, COUNTS, PERMISSION_CHANGES)                                                           \
    X(ROLES_REVOKE, DELETE, "sluis/v1/roles/{id}", admin_roles_revoke, DOOR_BOTH, YES,             \
      POLICY_MAY_ROLES, WHOLE, COUNTS, PERMISSION_CHANGES)                                         \
    X(TOKENS_ROTATE, POST, "sluis/v1/tokens/{id}/rotate", admin_tokens_rotate, DOOR_BOTH, FIRST,   \
      POLICY_MAY_ROLES, WHOLE, CREDENTIAL, PERMISSION_CHANGES)                                     \
    X(POLICIES, GET, "sluis/v1/policies", admin_policies_list, DOOR_BOTH, YES, POLICY_MAY_POLICY,  \
      WHOLE, COUNTS, 0)                                                                            \
    X(POLICIES_APPROVE, POST, "sluis/v1/policies/approve", admin_policies_approve, DOOR_BOTH,      \
      FIRST, POLICY_MAY_APPROVE, CHANNEL, COUNTS, PERMISSION_CHANGES)                              \
    X(STATUS, GET, "sluis/v1/status", admin_status, DOOR_BOTH, YES, POLICY_MAY_OPERATE, WHOLE,     \
      COUNTS, 0)                                                                                   \
    X(RELOAD, POST, "sluis/v1/reload", admin_reload, DOOR_BOTH, YES, POLICY_MAY_OPERATE, WHOLE,    \
      COUNTS, PERMISSION_CHANGES)                                                                  \
    X(TOKENS, GET, "sluis/v1/tokens", admin_tokens_list, DOOR_BOTH, YES, POLICY_MAY_ROLES, WHOLE,  \
      COUNTS, 0)                                                                                   \
    X(TOKENS_ADD, POST, "sluis/v1/tokens", admin_tokens_add, DOOR_BOTH, FIRST, POLICY_MAY_ROLES,   \
      WHOLE, CREDENTIAL, PERMISSION_CHANGES)                                                       \
    X(TOKENS_REVOKE, DELETE, "sluis/v1/tokens/{id}", admin_tokens_revoke, DOOR_BOTH, YES,          \
      POLICY_MAY_ROLES, WHOLE, COUNTS, PERMISSION_CHANGES)                                         \
    X(QUEUE, GET, "sluis/v1/queue", admin_queue_list, DOOR_BOTH, YES, POLICY_MAY_OPERATE, WHOLE,   \
      COUNTS, 0)                                                                                   \
    X(QUEUE_RETRY, POST, "sluis/v1/queue/retry", admin_queue_retry, DOOR_BOTH, YES,                \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(QUEUE_DROP, POST, "sluis/v1/queue/drop", admin_queue_drop, DOOR_BOTH, YES,                   \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(QUARANTINE, GET, "sluis/v1/quarantine", admin_quarantine_list, DOOR_BOTH, YES,               \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, 0)                                                        \
    X(LOG, GET, "sluis/v1/log", admin_log_list, DOOR_BOTH, YES, POLICY_MAY_LOG, WHOLE, LOG, 0)     \
    X(LOG_KEY, GET, "sluis/v1/log/key", admin_log_key, DOOR_BOTH, YES, POLICY_MAY_LOG, WHOLE,      \
      COUNTS, 0)                                                                                   \
    X(LOG_CHECKPOINT, POST, "sluis/v1/log/checkpoint", admin_log_checkpoint, DOOR_BOTH, YES,       \
      POLICY_MAY_LOG, WHOLE, COUNTS, PERMISSION_CHANGES)                                           \
    X(LOG_EXPORT, GET, "sluis/v1/log/export", admin_log_export, DOOR_BOTH, YES, POLICY_MAY_LOG,    \
      WHOLE, LOG, PERMISSION_JOB)                                                                  \
    X(LOG_DELIVERIES, GET, "sluis/v1/log/deliveries", admin_log_deliveries, DOOR_BOTH, YES,        \
      POLICY_MAY_LOG, WHOLE, LOG, PERMISSION_JOB)                                                  \
    X(DOCTOR_ROUTE, POST, "sluis/v1/doctor/route", admin_doctor_route, DOOR_CONTROL, YES,          \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(DOCTOR_META, POST, "sluis/v1/doctor/meta", admin_doctor_meta, DOOR_CONTROL, YES,             \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES | PERMISSION_JOB)                      \
    X(DOCTOR_STORE, POST, "sluis/v1/doctor/store", admin_doctor_store, DOOR_CONTROL, YES,          \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES | PERMISSION_JOB)                      \
    X(PURGE, POST, "sluis/v1/purge", admin_purge, DOOR_CONTROL, YES, POLICY_MAY_OPERATE, WHOLE,    \
      COUNTS, PERMISSION_CHANGES)                                                                  \
    X(PURGE_REPORT, GET, "sluis/v1/purge/report", admin_purge_report, DOOR_BOTH, YES,              \
      POLICY_MAY_LOG, WHOLE, LOG, 0)                                                               \
    X(SUBJECT_FIND, POST, "sluis/v1/subjects/find", admin_subject_find, DOOR_BOTH, YES,            \
      POLICY_MAY_SUBJECT, WHOLE, LOG, PERMISSION_CHANGES)                                          \
    X(SUBJECT_EXPORT, POST, "sluis/v1/subjects/export", admin_subject_export, DOOR_BOTH, ALARM,    \
      POLICY_MAY_SUBJECT | POLICY_MAY_EXPORT, WHOLE, ORIGINAL,                                     \
      PERMISSION_CHANGES | PERMISSION_JOB)                                                         \
    X(SUBJECT_ERASE, POST, "sluis/v1/subjects/erase", admin_subject_erase, DOOR_BOTH, YES,         \
      POLICY_MAY_SUBJECT, WHOLE, LOG, PERMISSION_CHANGES)                                          \
    X(SUBJECT_CERTIFICATE, POST, "sluis/v1/subjects/certificate", admin_subject_certificate,       \
      DOOR_BOTH, YES, POLICY_MAY_SUBJECT, WHOLE, LOG, 0)                                           \
    X(SUBJECT_REDACT, POST, "sluis/v1/subjects/redact", admin_subject_redact, DOOR_BOTH, YES,      \
      POLICY_MAY_SUBJECT, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(SUBJECT_UNLINK, POST, "sluis/v1/subjects/unlink", admin_subject_unlink, DOOR_BOTH, YES,      \
      POLICY_MAY_SUBJECT, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(SUBJECT_RESTRICT, POST, "sluis/v1/subjects/restrict", admin_subject_restrict, DOOR_BOTH,     \
      YES, POLICY_MAY_SUBJECT, WHOLE, LOG, PERMISSION_CHANGES)                                     \
    X(POLICY_REPLAY, POST, "sluis/v1/policy/replay", admin_policy_replay, DOOR_BOTH, YES,         \
      POLICY_MAY_POLICY, WHOLE, COUNTS, PERMISSION_CHANGES | PERMISSION_JOB)                       \
    X(SUBJECT_HOLD, POST, "sluis/v1/subjects/hold", admin_subject_hold, DOOR_BOTH, YES,            \
      POLICY_MAY_HOLD, WHOLE, LOG, PERMISSION_CHANGES)                                             \
    X(SUBJECT_RELEASE, POST, "sluis/v1/subjects/release", admin_subject_release, DOOR_BOTH, YES,   \
      POLICY_MAY_HOLD, WHOLE, LOG, PERMISSION_CHANGES)                                             \
    X(CONSENT, POST, "sluis/v1/consent", admin_consent, DOOR_BOTH, YES, POLICY_MAY_CONSENT,        \
      CHANNEL, COUNTS, PERMISSION_CHANGES)                                                         \
    X(CONSENT_LIST, POST, "sluis/v1/consent/list", admin_consent_list, DOOR_BOTH, YES,             \
      POLICY_MAY_CONSENT, CHANNEL, LOG, PERMISSION_CHANGES)                                        \
    X(CLOCK_ACCEPT, POST, "sluis/v1/keys/clock-accept", admin_clock_accept, DOOR_CONTROL, YES,     \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(BACKUP, GET, "sluis/v1/backup", admin_backup_state, DOOR_CONTROL, YES, POLICY_MAY_OPERATE,   \
      WHOLE, COUNTS, 0)                                                                            \
    X(BACKUP_MAKE, POST, "sluis/v1/backup", admin_backup_make, DOOR_CONTROL, YES,                  \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(BACKUP_VERIFY, POST, "sluis/v1/backup/verify", admin_backup_verify, DOOR_CONTROL, YES,       \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(BACKUP_REGISTER, GET, "sluis/v1/backup/register", admin_backup_register, DOOR_CONTROL, YES,  \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, 0)                                                        \
    X(BACKUP_GONE, POST, "sluis/v1/backup/gone", admin_backup_gone, DOOR_CONTROL, YES,             \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(KEYS, GET, "sluis/v1/keys", admin_keys_status, DOOR_CONTROL, YES, POLICY_MAY_OPERATE, WHOLE, \
      COUNTS, 0)                                                                                   \
    X(KEYS_ROTATE, POST, "sluis/v1/keys/rotate", admin_keys_rotate, DOOR_CONTROL, YES,             \
      POLICY_MAY_OPERATE, WHOLE, COUNTS, PERMISSION_CHANGES)                                       \
    X(HISTORY_CONVERSATIONS, POST, "sluis/v1/history/conversations", admin_history, DOOR_BOTH,     \
      ALARM, POLICY_MAY_HISTORY, CHANNEL, MASKED, PERMISSION_CHANGES)                              \
    X(HISTORY_MESSAGES, POST, "sluis/v1/history/messages", admin_history, DOOR_BOTH, ALARM,        \
      POLICY_MAY_HISTORY, CHANNEL, MASKED, PERMISSION_CHANGES)                                     \
    X(HISTORY_TAG, POST, "sluis/v1/history/tag", admin_history, DOOR_BOTH, YES,                    \
      POLICY_MAY_HISTORY, CHANNEL, NONE, PERMISSION_CHANGES)                                       \
    X(HISTORY_NOTE, POST, "sluis/v1/history/note", admin_history, DOOR_BOTH, YES,                  \
      POLICY_MAY_HISTORY, CHANNEL, NONE, PERMISSION_CHANGES)                                       \
    X(HISTORY_REVEAL, POST, "sluis/v1/history/reveal", admin_history, DOOR_ADMIN, NO,              \
      POLICY_MAY_REVEAL, CHANNEL, ORIGINAL, PERMISSION_CHANGES)                                    \
    X(HISTORY_SEARCH, POST, "sluis/v1/history/search", admin_history, DOOR_BOTH, ALARM,            \
      POLICY_MAY_SEARCH, CHANNEL, MASKED, PERMISSION_CHANGES | PERMISSION_JOB)                     \
    X(HISTORY_EXPORT, POST, "sluis/v1/history/export", admin_history, DOOR_BOTH, ALARM,            \
      POLICY_MAY_EXPORT, CHANNEL, MASKED, PERMISSION_CHANGES | PERMISSION_JOB)                     \
    X(HISTORY_EXPIRING, POST, "sluis/v1/history/expiring", admin_history, DOOR_BOTH, YES,          \
      POLICY_MAY_EXPORT, CHANNEL, LOG, PERMISSION_CHANGES)                                         \
    X(STATISTICS, GET, "sluis/v1/statistics", admin_statistics, DOOR_BOTH, YES, POLICY_MAY_STATS,  \
      CHANNEL, COUNTS, 0)                                                                          \
    X(LOG_INCIDENT, GET, "sluis/v1/log/incident", admin_incident, DOOR_BOTH, YES, POLICY_MAY_LOG,  \
      WHOLE, LOG, PERMISSION_JOB)                                                                  \
    X(PAGE_LOG, GET, "log", admin_page_log, DOOR_BOTH, YES, POLICY_MAY_LOG, WHOLE, LOG,            \
      PERMISSION_PAGE)                                                                             \
    X(OPENAPI, GET, "sluis/v1/openapi.json", admin_openapi, DOOR_BOTH, YES, PERMIT_SIGNED_IN,      \
      WHOLE, NONE, 0)                                                                              \
    X(PERSONS_CONFIRM, POST, "sluis/v1/persons/{id}/confirm", admin_persons_confirm, DOOR_BOTH,    \
      FIRST, POLICY_MAY_APPROVE, WHOLE, COUNTS, PERMISSION_CHANGES)

enum permission {
#define X(id, ...) PERMISSION_##id,
    PERMISSION_ENDPOINTS(X)
#undef X
        PERMISSION_COUNT
};

struct permission_row {
    const char *id; /* "TOKENS_ADD" */
    enum permission_method method;
    const char *path;
    uint8_t doors, operator_may, scope, content, flags;
    uint32_t right;
};
/* NULL past the last. */
const struct permission_row *permission_row(enum permission permission);

/* Endpoints of tools. X(id, method, object, edge, right, content). proxy/graph/endpoints.c makes its
 * table of these rows and adds what it does under the same id (ENDPOINT_id): an endpoint without a row
 * cannot be reached, a row without an endpoint does not build, and neither can stand beside another's.
 * A right of 0: any tool with a token for the channel. */
#define PERMISSION_TOOLS(X)                                                                        \
    X(PHONE_MESSAGES_POST, POST, phone, "messages", 0, NONE)                                       \
    X(PHONE_MEDIA_POST, POST, phone, "media", 0, NONE)                                             \
    X(PHONE_ITSELF_GET, GET, phone, "", 0, COUNTS)                                                 \
    X(PHONE_WHATSAPP_BUSINESS_PROFILE_GET, GET, phone, "whatsapp_business_profile", 0, COUNTS)     \
    X(WABA_ITSELF_GET, GET, waba, "", 0, COUNTS)                                                   \
    X(WABA_MESSAGE_TEMPLATES_GET, GET, waba, "message_templates", 0, COUNTS)                       \
    X(WABA_PHONE_NUMBERS_GET, GET, waba, "phone_numbers", 0, COUNTS)                               \
    X(MEDIA_ITSELF_GET, GET, media, "", 0, COUNTS)                                                 \
    X(MEDIA_BYTES_GET, GET, media, "bytes", 0, MASKED)                                             \
    X(MEDIA_ITSELF_DELETE, DELETE, media, "", 0, NONE)                                             \
    X(WABA_SUBSCRIBED_APPS_GET, GET, waba, "subscribed_apps", 0, COUNTS)                           \
    X(WABA_SUBSCRIBED_APPS_POST, POST, waba, "subscribed_apps", 0, NONE)                           \
    X(WABA_SUBSCRIBED_APPS_DELETE, DELETE, waba, "subscribed_apps", 0, NONE)                       \
    X(PHONE_REGISTER_POST, POST, phone, "register", 0, NONE)                                       \
    X(PHONE_DEREGISTER_POST, POST, phone, "deregister", 0, NONE)                                   \
    X(PHONE_ITSELF_POST, POST, phone, "", 0, NONE)                                                 \
    X(HISTORY_CONVERSATIONS_POST, POST, history, "conversations", POLICY_MAY_HISTORY, MASKED)      \
    X(HISTORY_MESSAGES_POST, POST, history, "messages", POLICY_MAY_HISTORY, MASKED)                \
    X(HISTORY_TAG_POST, POST, history, "tag", POLICY_MAY_HISTORY, NONE)                            \
    X(HISTORY_NOTE_POST, POST, history, "note", POLICY_MAY_HISTORY, NONE)                          \
    X(CONTACT_CONSENT_POST, POST, contact, "consent", POLICY_MAY_CONSENT, NONE)                    \
    X(CONTACT_LIST_POST, POST, contact, "list", POLICY_MAY_CONSENT, LOG)

struct permission_tool {
    enum permission_method method;
    const char *object, *edge;
    uint32_t right;
    uint8_t content;
};
enum {
#define X(id, ...) PERMISSION_TOOL_##id,
    PERMISSION_TOOLS(X)
#undef X
        PERMISSION_TOOL_COUNT
};
const struct permission_tool *permission_tool(unsigned index);

/* Commands. X(name, where): the endpoint that decides (of several: the one that asks most), or
 * LOCAL: files of who runs it and no gateway, the operating system decides. In the order of
 * commands.c. */
#define PERMISSION_COMMANDS(X)                                                                     \
    X("serve", LOCAL)                                                                              \
    X("check", LOCAL)                                                                              \
    X("scan", LOCAL)                                                                               \
    X("status", STATUS)                                                                            \
    X("reload", RELOAD)                                                                            \
    X("doctor", DOCTOR_ROUTE)                                                                      \
    X("token add", TOKENS_ADD)                                                                     \
    X("token rotate", TOKENS_ROTATE)                                                               \
    X("token list", TOKENS)                                                                        \
    X("token revoke", TOKENS_REVOKE)                                                               \
    X("person add", PERSONS_ADD)                                                                   \
    X("person reset", PERSONS_RESET)                                                               \
    X("person confirm", PERSONS_CONFIRM)                                                           \
    X("person revoke", PERSONS_REMOVE)                                                             \
    X("person password", SESSION_PASSWORD)                                                         \
    X("person list", ROLES)                                                                        \
    X("role add", ROLES_ADD)                                                                       \
    X("role list", ROLES)                                                                          \
    X("role revoke", ROLES_REVOKE)                                                                 \
    X("queue list", QUEUE)                                                                         \
    X("queue retry", QUEUE_RETRY)                                                                  \
    X("queue drop", QUEUE_DROP)                                                                    \
    X("audit list", LOG)                                                                           \
    X("audit export", LOG_EXPORT)                                                                  \
    X("audit bundle", LOG_EXPORT)                                                                  \
    X("audit reconcile", LOG_DELIVERIES)                                                           \
    X("audit checkpoint", LOG_CHECKPOINT)                                                          \
    X("audit incident", LOG_INCIDENT)                                                              \
    X("stats", STATISTICS)                                                                         \
    X("history list", HISTORY_CONVERSATIONS)                                                       \
    X("history show", HISTORY_MESSAGES)                                                            \
    X("history search", HISTORY_SEARCH)                                                            \
    X("history export", HISTORY_EXPORT)                                                            \
    X("history expiring", HISTORY_EXPIRING)                                                        \
    X("image", LOCAL)                                                                              \
    X("policy check", LOCAL)                                                                       \
    X("policy explain", LOCAL)                                                                     \
    X("policy test", LOCAL)                                                                        \
    X("policy diff", POLICY_REPLAY)                                                                        \
    X("policy approve", POLICIES_APPROVE)                                                          \
    X("policy versions", POLICIES)                                                                 \
    X("policy register", LOCAL)                                                                    \
    X("policy report", LOG)                                                                    \
    X("keys init", LOCAL)                                                                          \
    X("keys clock-accept", CLOCK_ACCEPT)                                                           \
    X("purge", PURGE)                                                                              \
    X("subject find", SUBJECT_FIND)                                                                \
    X("subject export", SUBJECT_EXPORT)                                                            \
    X("subject erase", SUBJECT_ERASE)                                                              \
    X("subject certificate", SUBJECT_CERTIFICATE)                                                  \
    X("subject redact", SUBJECT_REDACT)                                                            \
    X("subject correct", SUBJECT_REDACT)                                                           \
    X("subject unlink", SUBJECT_UNLINK)                                                            \
    X("subject restrict", SUBJECT_RESTRICT)                                                        \
    X("subject hold", SUBJECT_HOLD)                                                                \
    X("subject release", SUBJECT_RELEASE)                                                          \
    X("consent add", CONSENT)                                                                      \
    X("consent list", CONSENT_LIST)                                                                \
    X("consent withdraw", CONSENT)                                                                 \
    X("consent import", CONSENT)                                                                   \
    X("keys status", KEYS)                                                                         \
    X("keys rotate", KEYS_ROTATE)                                                                  \
    X("keys unseal", LOCAL)                                                                        \
    X("keys recovery", LOCAL)                                                                      \
    X("backup list", BACKUP_REGISTER)                                                              \
    X("backup confirm", BACKUP_GONE)                                                               \
    X("backup verify", BACKUP_VERIFY)                                                              \
    X("backup", BACKUP_MAKE)                                                                       \
    X("restore", LOCAL)

#define PERMISSION_LOCAL PERMISSION_COUNT
struct permission_command {
    const char *name;
    enum permission where; /* or PERMISSION_LOCAL */
};
enum {
#define X(name, where) +1
    PERMISSION_COMMAND_COUNT = 0 PERMISSION_COMMANDS(X)
#undef X
};
const struct permission_command *permission_command(unsigned index);

#endif
