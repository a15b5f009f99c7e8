/*
 * Who gives a command: the operator, or with --as NAME a person, who signs in with password and
 * code (typed without echo, or two lines on standard input; never an argument) for this one
 * command.
 */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_BYTES 260

/* A line of standard input without its end. */
static bool read_line(char *out, size_t size)
{
    size_t n = 0;
    char c;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
        if (n + 1 == size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0 || got == 1;
}

bool cli_ask(const char *prompt, bool echo, char *out, size_t size)
{
    struct termios before, quiet;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fprintf(stderr, "%s: ", prompt);
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        if (!echo)
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    bool good = read_line(out, size);
    if (terminal && !echo) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return good;
}

int control_sign_in(const struct cli_call *call, const char *name, char session[CLI_SESSION_SIZE])
{
    char password[LINE_MAX_BYTES], code[16];
    struct control_answer a;
    struct buffer body;
    if (!cli_ask("password", false, password, sizeof(password)) ||
        !cli_ask("code", true, code, sizeof(code))) {
        fprintf(stderr, "sluis: --as: a password and a code were expected, a line each\n");
        sodium_memzero(password, sizeof(password));
        return CLI_FAILED;
    }
    buffer_init(&body, 8192);
    buffer_add(&body, SPAN("{\"name\":"));
    json_quote(&body, span_str(name));
    buffer_add(&body, SPAN(",\"password\":"));
    json_quote(&body, span_str(password));
    buffer_add(&body, SPAN(",\"code\":"));
    json_quote(&body, span_str(code));
    buffer_add_char(&body, '}');
    sodium_memzero(password, sizeof(password));
    int r = control_call_as(call, HTTP_POST, "/sluis/v1/session", buffer_span(&body), "", &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    print_member(&a, 0, "session", session, CLI_SESSION_SIZE);
    if (print_member(&a, 0, "password_due", code, sizeof(code))[0] == 't')
        fprintf(stderr, "A password of your own is still to be chosen: sluis person password\n");
    control_free(&a);
    return 0;
}
