/*
 * The cli room's own shapes: a command is a row (commands.c), its options are rows, `--help` is
 * made of both. Data goes to standard output, talk to standard error.
 */
#ifndef SLUIS_CLI_INTERNAL_H
#define SLUIS_CLI_INTERNAL_H

#include <stdio.h>

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/json.h"
#include "sluis/net/http.h"

#define CLI_CONFIG "/etc/sluis/sluis.yaml"
#define CLI_OPTIONS_MAX 12
#define CLI_WORDS_MAX 32
#define CLI_ANSWER_MAX (32u * 1024 * 1024) /* bytes of an answer from the gateway */

enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_OLDER = 3 /* done; keys opened more than they ought to */
};

struct cli_option {
    const char *name;  /* "--channel" */
    char letter;       /* 'c' for -c, 0 when none */
    const char *value; /* "NAME" when it takes one, NULL for a switch */
    bool repeated;
    const char *help;
};

struct cli_command;
struct cli_call { /* a parsed command line */
    const struct cli_command *command;
    const char *words[CLI_WORDS_MAX]; /* what is not an option, after the command's own words */
    unsigned word_count;
    struct {
        const struct cli_option *option;
        const char *value;
    } given[CLI_OPTIONS_MAX * 4];
    unsigned given_count;
    char *session; /* of --as, for every request of the command: CLI_SESSION_SIZE bytes, "" none yet
                    */
};

struct cli_command {
    const char *name;  /* "token add" */
    const char *usage; /* words after the name: "ID" */
    const char *help;
    const char *example;
    int (*run)(const struct cli_call *call);
    struct cli_option options[CLI_OPTIONS_MAX];
};

/* The value of an option, or NULL; with `nth` for repeated ones (0 first). */
const char *cli_value(const struct cli_call *call, const char *name, unsigned nth);
bool cli_has(const struct cli_call *call, const char *name);
int cli_usage(const struct cli_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The number that is the command's one word, of what the command `list` lists; CLI_USAGE, told,
 * when it is missing or none. */
int cli_id(const struct cli_call *call, const char *list, uint64_t *id);

/* ---- control.c: the running gateway ---- */
struct control_answer {
    unsigned status;
    struct buffer text;
    struct arena arena;
    struct json_doc json; /* count 0 when the answer is not JSON */
};
/* Sends one request over the control socket and reads the answer. Errors are told on standard
 * error: CLI_FAILED (no gateway, refused: the gateway's own message) or 0. */
int control_call(const struct cli_call *call, enum http_method method, const char *target,
                 struct span body, struct control_answer *out);
/* The same, whatever the status is. */
int control_ask(const struct cli_call *call, enum http_method method, const char *target,
                struct span body, struct control_answer *out);
/* GET of a target that was put together in a buffer, which is ended here. */
int control_get(const struct cli_call *call, struct buffer *target, struct control_answer *out);
/* The value of the option "--name", or NULL. */
const char *control_option(const struct cli_call *call, const char *name);
/* Appends "&name=value" for each of these options that was given; how many. `names`, without their
 * dashes, end in NULL. */
unsigned control_add_options(const struct cli_call *call, const char *const *names,
                             struct buffer *target);
void control_free(struct control_answer *answer);
/* With --as NAME both sign in at the first request (a code is good once); control_sign_out ends
 * that session when the command is over. `session`: of a person, or "" for nobody (the operator).
 */
void control_sign_out(const struct cli_call *call);
int control_call_as(const struct cli_call *call, enum http_method method, const char *target,
                    struct span body, const char *session, struct control_answer *out);

/* ---- as.c ---- */
#define CLI_SESSION_SIZE 80
/* A line from the terminal (without echo unless said) or from standard input; wipe it. */
bool cli_ask(const char *prompt, bool echo, char *out, size_t size);
int control_sign_in(const struct cli_call *call, const char *name, char session[CLI_SESSION_SIZE]);

/* ---- print.c ---- */
/* The decoded text of a member (numbers, true, null as spelled) into out; returns out. */
const char *print_member(const struct control_answer *a, uint32_t object, const char *member,
                         char *out, size_t size);
/* With --json: the answer as it is; true when that was done. */
bool print_json(const struct cli_call *call, const struct control_answer *answer);

int cmd_serve(const struct cli_call *call);
int cmd_check(const struct cli_call *call);
int cmd_status(const struct cli_call *call);
int cmd_reload(const struct cli_call *call);
int cmd_token_add(const struct cli_call *call);
int cmd_token_list(const struct cli_call *call);
int cmd_token_rotate(const struct cli_call *call);
int cmd_person_add(const struct cli_call *call);
int cmd_person_reset(const struct cli_call *call);
int cmd_person_confirm(const struct cli_call *call);
int cmd_person_revoke(const struct cli_call *call);
int cmd_person_password(const struct cli_call *call);
int cmd_person_list(const struct cli_call *call);
int cmd_role_add(const struct cli_call *call);
int cmd_role_list(const struct cli_call *call);
int cmd_role_revoke(const struct cli_call *call);
int cmd_token_revoke(const struct cli_call *call);
int cmd_queue_list(const struct cli_call *call);
int cmd_queue_retry(const struct cli_call *call);
int cmd_queue_drop(const struct cli_call *call);
int cmd_audit_list(const struct cli_call *call);
extern const char *const audit_filters[]; /* cmd_audit.c: options, for control_add_options */
int cmd_audit_reconcile(const struct cli_call *call);
int cmd_audit_bundle(const struct cli_call *call);
/* The export that the call's filters ask for; an exit code. */
int audit_export_write(const struct cli_call *call, FILE *out);
int cmd_audit_incident(const struct cli_call *call);
int cmd_stats(const struct cli_call *call);
int cmd_history_list(const struct cli_call *call);
int cmd_history_show(const struct cli_call *call);
int cmd_history_search(const struct cli_call *call);
int cmd_history_export(const struct cli_call *call);
int cmd_history_expiring(const struct cli_call *call);
int cmd_audit_checkpoint(const struct cli_call *call);
int cmd_audit_export(const struct cli_call *call);
int cmd_doctor(const struct cli_call *call);
int cmd_keys_init(const struct cli_call *call);
int cmd_keys_status(const struct cli_call *call);
int cmd_keys_rotate(const struct cli_call *call);
int cmd_keys_unseal(const struct cli_call *call);
int cmd_keys_recovery(const struct cli_call *call);
int cmd_backup(const struct cli_call *call);
int cmd_backup_list(const struct cli_call *call);
int cmd_backup_verify(const struct cli_call *call);
int cmd_backup_confirm(const struct cli_call *call);
int cmd_restore(const struct cli_call *call);

/* cmd_keyring.c */
int doctor_store(const struct cli_call *call);
/* Makes the recovery key pair unless there is one: the public half beside the keyring, the secret
 * as 64 hex digits in `secret` (wipe it). */
int keys_recovery_make(const char *keys_path, char secret[65], bool *made);
void keys_recovery_tell(const char *keys_path);
/* The public half of this secret beside the keyring, unless one stands there. */
int keys_recovery_put(const char *keys_path, const uint8_t secret[32]);
/* Reads the passphrase that --passphrase names (a file, or - for standard input; without the option
 * standard input) into out[1024], its line end dropped; CLI_FAILED, told, when there is none. */
int keys_passphrase_read(const struct cli_call *call, char out[1024], size_t *n);
/* Appends {"passphrase":...} as --passphrase says, or {}; CLI_FAILED when it cannot be read. */
int keys_passphrase_body(const struct cli_call *call, struct buffer *out);

/* cmd_backup.c */
void print_damaged(const struct control_answer *a, uint32_t list);
int cmd_policy_check(const struct cli_call *call);
int cmd_policy_explain(const struct cli_call *call);
int cmd_policy_test(const struct cli_call *call);
int cmd_policy_diff(const struct cli_call *call);
int cmd_policy_approve(const struct cli_call *call);
int cmd_policy_versions(const struct cli_call *call);
int cmd_policy_register(const struct cli_call *call);
int cmd_policy_report(const struct cli_call *call);
int cmd_keys_clock_accept(const struct cli_call *call);
int cmd_purge(const struct cli_call *call);
int cmd_subject_find(const struct cli_call *call);
int cmd_subject_export(const struct cli_call *call);
int cmd_subject_erase(const struct cli_call *call);
int cmd_subject_certificate(const struct cli_call *call);
int cmd_subject_redact(const struct cli_call *call);
int cmd_subject_unlink(const struct cli_call *call);
int cmd_subject_correct(const struct cli_call *call);
int cmd_subject_restrict(const struct cli_call *call);
int cmd_subject_hold(const struct cli_call *call);
int cmd_subject_release(const struct cli_call *call);
int cmd_consent_add(const struct cli_call *call);
int cmd_consent_list(const struct cli_call *call);
int cmd_consent_withdraw(const struct cli_call *call);
int cmd_consent_import(const struct cli_call *call);

/* cmd_image.c */
int cmd_image(const struct cli_call *call);

/* cmd_scan.c */
int cmd_scan(int argc, char **argv);

#endif
