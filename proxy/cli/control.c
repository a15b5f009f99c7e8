/* One request to the running gateway over its Unix socket, through the same codec as everything. */
#include "internal.h"

#include "sluis/config.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_TIMEOUT_S 120 /* a reload or a check of Meta may take its time */

static int socket_path(const struct cli_call *call, char *out, size_t size)
{
    const char *given = cli_value(call, "--socket", 0);
    if (given) {
        snprintf(out, size, "%s", given);
        return 0;
    }
    const char *file = cli_value(call, "--config", 0);
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    if (config_control_path(file ? file : CLI_CONFIG, out, size, &diag) == 0)
        return 0;
    fprintf(stderr,
            "sluis: %s\nThe file says where the control socket is; a gateway that runs can be "
            "asked without it: --socket PATH\n",
            diag_line(&diag, line, sizeof(line)));
    return CLI_FAILED;
}

/* Why nobody answers there, and what to do. */
static void tell_no_gateway(const char *path, int error)
{
    fprintf(stderr, "sluis: %s: %s\n", path, strerror(error));
    if (error == EACCES || error == EPERM)
        fprintf(stderr, "Only root and the gateway's own user may ask it: sudo, or runuser -u "
                        "sluis.\n");
    else
        fprintf(stderr, "Is the gateway running? Start it: systemctl start sluis, or sluis serve. "
                        "Why it stopped: journalctl -u sluis.\n");
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = CONTROL_TIMEOUT_S};
    if (strlen(path) >= sizeof(address.sun_path)) {
        fprintf(stderr, "sluis: %s: too long for a socket\n", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        return fd;
    }
    tell_no_gateway(path, errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int send_all(int fd, struct span text)
{
    while (text.n) {
        ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return CLI_FAILED;
        text = span_from(text, (size_t)n);
    }
    return 0;
}

static void write_request(const struct cli_call *call, const char *session, struct buffer *out,
                          enum http_method method, const char *target, struct span body)
{
    const char *glass = cli_value(call, "--break-glass", 0);
    http_write_request_line(out, method, span_str(target));
    http_write_field(out, SPAN("Host"), SPAN("sluis"));
    http_write_field(out, SPAN("Connection"), SPAN("close"));
    if (session[0]) {
        struct buffer bearer;
        buffer_init(&bearer, 256);
        buffer_addf(&bearer, "Bearer %s", session);
        http_write_field(out, SPAN("Authorization"), buffer_span(&bearer));
        buffer_free(&bearer);
    } else if (glass) {
        http_write_field(out, SPAN("X-Sluis-Break-Glass"), span_str(glass));
    }
    if (method != HTTP_GET) {
        http_write_field(out, SPAN("Content-Type"), SPAN("application/json"));
        http_write_field_u64(out, SPAN("Content-Length"), body.n);
    }
    http_write_end(out);
    buffer_add(out, body);
}

/* Reads to the end of the connection: the gateway was asked to close it. */
static int read_all(int fd, struct buffer *in)
{
    for (;;) {
        char *at = buffer_reserve(in, 16 * 1024);
        ssize_t n = at ? recv(fd, at, 16 * 1024, 0) : -1;
        if (n < 0 && at && errno == EINTR)
            continue;
        if (n < 0)
            return CLI_FAILED;
        if (n == 0)
            return 0;
        in->n += (size_t)n;
    }
}

static int parse_answer(struct buffer *in, struct control_answer *out)
{
    struct http_answer_machine m;
    struct http_body_machine body;
    size_t skip = 0, used;
    http_answer_machine_init(&m, false, true);
    if (http_answer_head(&m, buffer_span(in), &skip) != HTTP_DONE)
        return CLI_FAILED;
    out->status = m.head.status;
    struct span rest = span_from(buffer_span(in), m.head_len), data;
    http_body_init(&body, &m.head, CLI_ANSWER_MAX);
    enum http_result r = m.head.framing == HTTP_NO_BODY ? HTTP_DONE : HTTP_NEED_MORE;
    while (r == HTTP_NEED_MORE && rest.n) {
        r = http_body_feed(&body, rest, &data, &used);
        buffer_add(&out->text, data);
        rest = span_from(rest, used);
    }
    if (r == HTTP_NEED_MORE)
        r = http_body_closed(&body);
    return r == HTTP_DONE && !out->text.error ? 0 : CLI_FAILED;
}

void control_free(struct control_answer *a)
{
    buffer_free(&a->text);
    arena_free(&a->arena);
}

/* The gateway's refusals carry {"error":{"message":...}}. */
static int tell_refusal(const struct cli_call *call, struct control_answer *a)
{
    struct span text = SPAN("refused");
    uint32_t node = json_path(&a->json, 0, "error.message");
    if (a->json.count && node != JSON_NONE && json_string(&a->json, node, &a->arena, &text) != 0)
        text = SPAN("refused");
    fprintf(stderr, "sluis %s: %.*s\n", call->command->name, (int)text.n, text.p);
    return CLI_FAILED;
}

static int ask(const struct cli_call *call, enum http_method method, const char *target,
               struct span body, const char *session, struct control_answer *out)
{
    char path[512];
    struct buffer wire;
    memset(out, 0, sizeof(*out));
    buffer_init(&out->text, CLI_ANSWER_MAX);
    arena_init(&out->arena, 4 * CLI_ANSWER_MAX);
    buffer_init(&wire, CLI_ANSWER_MAX + HTTP_ANSWER_HEAD_MAX);
    int r = socket_path(call, path, sizeof(path));
    int fd = r == 0 ? connect_to(path) : -1;
    if (fd < 0) {
        control_free(out);
        return CLI_FAILED;
    }
    write_request(call, session, &wire, method, target, body);
    r = send_all(fd, buffer_span(&wire));
    buffer_clear(&wire);
    if (r == 0)
        r = read_all(fd, &wire);
    if (r == 0)
        r = parse_answer(&wire, out);
    close(fd);
    buffer_free(&wire);
    if (r != 0) {
        fprintf(stderr, "sluis: the gateway gave no whole answer\n");
    } else {
        if (json_scan(&out->json, buffer_span(&out->text), &out->arena, NULL) != 0)
            out->json.count = 0;
    }
    if (r != 0)
        control_free(out);
    return r;
}

int control_ask(const struct cli_call *call, enum http_method method, const char *target,
                struct span body, struct control_answer *out)
{
    const char *name = cli_value(call, "--as", 0);
    int r = name && !call->session[0] ? control_sign_in(call, name, call->session) : 0;
    return r ? r : ask(call, method, target, body, call->session, out);
}

void control_sign_out(const struct cli_call *call)
{
    struct control_answer end;
    if (call->session[0] &&
        ask(call, HTTP_DELETE, "/sluis/v1/session", SPAN_EMPTY, call->session, &end) == 0)
        control_free(&end);
    sodium_memzero(call->session, CLI_SESSION_SIZE);
}

int control_call_as(const struct cli_call *call, enum http_method method, const char *target,
                    struct span body, const char *session, struct control_answer *out)
{
    int r = ask(call, method, target, body, session, out);
    if (r == 0 && out->status >= 300) {
        r = tell_refusal(call, out);
        control_free(out);
    }
    return r;
}

int control_call(const struct cli_call *call, enum http_method method, const char *target,
                 struct span body, struct control_answer *out)
{
    int r = control_ask(call, method, target, body, out);
    if (r == 0 && out->status >= 300) {
        r = tell_refusal(call, out);
        control_free(out);
    }
    return r;
}

int control_get(const struct cli_call *call, struct buffer *target, struct control_answer *out)
{
    buffer_add_char(target, '\0');
    return target->error ? CLI_FAILED : control_call(call, HTTP_GET, target->p, SPAN_EMPTY, out);
}

/* Appends "&name=value" to a target. */
static void add_query(struct buffer *out, const char *name, struct span value)
{
    static const char digits[] = "0123456789ABCDEF";
    buffer_addf(out, "&%s=", name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
            buffer_add_char(out, (char)c);
        } else {
            buffer_add_char(out, '%');
            buffer_add_char(out, digits[c >> 4]);
            buffer_add_char(out, digits[c & 15]);
        }
    }
}

const char *control_option(const struct cli_call *call, const char *name)
{
    char option[32];
    snprintf(option, sizeof(option), "--%s", name);
    return cli_value(call, option, 0);
}

unsigned control_add_options(const struct cli_call *call, const char *const *names,
                             struct buffer *target)
{
    unsigned n = 0;
    for (; *names; names++) {
        const char *value = control_option(call, *names);
        if (!value)
            continue;
        add_query(target, *names, span_str(value));
        n++;
    }
    return n;
}
