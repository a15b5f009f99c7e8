/* `sluis person`: who may sign in. */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int show_enrolment(const struct cli_call *call, struct control_answer *a)
{
    char uri[300], password[64];
    if (!print_json(call, a)) {
        fprintf(stderr,
                "Shown this once. Put the address into an authenticator app (as QR code, or "
                "typed over), then sign in with the one-time password within %s hours.\n",
                print_member(a, 0, "valid_hours", password, sizeof(password)));
        printf("%s\n", print_member(a, 0, "uri", uri, sizeof(uri)));
        if (json_get(&a->json, 0, SPAN("password")) != JSON_NONE)
            printf("%s\n", print_member(a, 0, "password", password, sizeof(password)));
        if (print_member(a, 0, "to_be_confirmed", password, sizeof(password))[0] == 't')
            fprintf(stderr, "There are officers: this person has no rights until another than you "
                            "says so: sluis person confirm NAME --as OFFICER\n");
        sodium_memzero(uri, sizeof(uri));
        sodium_memzero(password, sizeof(password));
    }
    control_free(a);
    return CLI_DONE;
}

int cmd_person_add(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    char password[260] = "";
    if (call->word_count != 1)
        return cli_usage(call, "the NAME of the person is needed");
    if (cli_has(call, "--password") && !cli_ask("password", false, password, sizeof(password)))
        return cli_usage(call, "--password: a line on standard input was expected");
    buffer_init(&body, 4096);
    buffer_add(&body, SPAN("{\"name\":"));
    json_quote(&body, span_str(call->words[0]));
    if (password[0]) {
        buffer_add(&body, SPAN(",\"password\":"));
        json_quote(&body, span_str(password));
    }
    buffer_add_char(&body, '}');
    sodium_memzero(password, sizeof(password));
    int r = control_call(call, HTTP_POST, "/sluis/v1/persons", buffer_span(&body), &a);
    buffer_free(&body);
    return r ? r : show_enrolment(call, &a);
}

/* /sluis/v1/persons/NAME and what follows; names need no encoding. */
static int person_target(const struct cli_call *call, const char *rest, char *out, size_t size)
{
    if (call->word_count != 1)
        return cli_usage(call, "the NAME of the person is needed");
    for (const char *c = call->words[0]; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@", *c))
            return cli_usage(call, "a NAME has letters, digits, '.', '_', '-' and '@'");
    snprintf(out, size, "/sluis/v1/persons/%s%s", call->words[0], rest);
    return 0;
}

int cmd_person_reset(const struct cli_call *call)
{
    struct control_answer a;
    char target[256];
    int r = person_target(call, "/reset", target, sizeof(target));
    if (r == 0)
        r = control_call(call, HTTP_POST, target, SPAN("{}"), &a);
    return r ? r : show_enrolment(call, &a);
}

int cmd_person_confirm(const struct cli_call *call)
{
    struct control_answer a;
    char target[256];
    int r = person_target(call, "/confirm", target, sizeof(target));
    if (r == 0)
        r = control_call(call, HTTP_POST, target, SPAN("{}"), &a);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("%s is confirmed: the roles count from now on\n", call->words[0]);
    control_free(&a);
    return CLI_DONE;
}

int cmd_person_revoke(const struct cli_call *call)
{
    struct control_answer a;
    char target[256];
    int r = person_target(call, "", target, sizeof(target));
    if (r == 0 && cli_has(call, "--dry-run")) {
        printf("%s would be removed: sessions end, roles count no more\n", call->words[0]);
        return CLI_DONE;
    }
    if (r == 0)
        r = control_call(call, HTTP_DELETE, target, SPAN_EMPTY, &a);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("%s is removed\n", call->words[0]);
    control_free(&a);
    return CLI_DONE;
}

int cmd_person_password(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    char session[CLI_SESSION_SIZE], password[260];
    const char *name = cli_value(call, "--as", 0);
    if (!name)
        return cli_usage(call, "--as NAME is needed");
    int r = control_sign_in(call, name, session);
    if (r != 0)
        return r;
    if (!cli_ask("new password", false, password, sizeof(password)))
        return cli_usage(call, "the new password was expected, a line on standard input");
    buffer_init(&body, 4096);
    buffer_add(&body, SPAN("{\"password\":"));
    json_quote(&body, span_str(password));
    buffer_add_char(&body, '}');
    sodium_memzero(password, sizeof(password));
    r = control_call_as(call, HTTP_POST, "/sluis/v1/session/password", buffer_span(&body), session,
                        &a);
    buffer_free(&body);
    sodium_memzero(session, sizeof(session));
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("the password is changed\n");
    control_free(&a);
    return CLI_DONE;
}
