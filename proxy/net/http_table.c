/* The constant tables of HTTP: reasons of refusal, methods, status texts, classes of bytes. */
#include "http_internal.h"

static const struct reason_row {
    const char *word;
    unsigned status;
} reason_rows[HTTP_REASON_COUNT] = {
#define X(name, word, status) [HTTP_BAD_##name] = {word, status},
    HTTP_REASONS(X)
#undef X
};

const char *http_reason_word(enum http_reason reason)
{
    return (unsigned)reason < HTTP_REASON_COUNT ? reason_rows[reason].word : "unknown";
}

unsigned http_reason_status(enum http_reason reason)
{
    return (unsigned)reason < HTTP_REASON_COUNT ? reason_rows[reason].status : 400;
}

/* CONNECT and TRACE are absent on purpose: an unknown method is answered 501. */
static const char *const method_words[] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_DELETE] = "DELETE", [HTTP_PATCH] = "PATCH",
    [HTTP_OPTIONS] = "OPTIONS",
};
#define METHOD_COUNT (sizeof(method_words) / sizeof(method_words[0]))

const char *http_method_word(enum http_method method)
{
    return (unsigned)method < METHOD_COUNT ? method_words[method] : "GET";
}

bool http_method_find(struct span word, enum http_method *method)
{
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        if (span_is(word, method_words[i])) {
            *method = (enum http_method)i;
            return true;
        }
    }
    return false;
}

static const struct status_row {
    unsigned status;
    const char *text;
} status_rows[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(unsigned status)
{
    for (size_t i = 0; i < sizeof(status_rows) / sizeof(status_rows[0]); i++)
        if (status_rows[i].status == status)
            return status_rows[i].text;
    return "Status"; /* a reason phrase means nothing (RFC 9110 section 15), but one is customary */
}

/*
 * Class of each byte, from the ABNF:
 *   token  tchar (RFC 9110 section 5.6.2)
 *   value  field-vchar, SP, HTAB: 0x20-0x7e, 0x09, 0x80-0xff (RFC 9110 section 5.5)
 *   path   pchar and "/" and the "%" of an escape (RFC 3986 section 3.3)
 *   query  0x21-0x7e but "#": more than RFC 3986 allows, real clients send it, and it is kept as
 *          spelled
 *   host   letters, digits, "-", "." and "_": less than reg-name allows, as no name in use has more
 *   unreserved, hex  RFC 3986 sections 2.3 and 2.1
 */
const uint8_t http_class[256] = {
#define T HTTP_IS_TOKEN
#define V HTTP_IS_VALUE
#define P HTTP_IS_PATH
#define Q HTTP_IS_QUERY
#define H HTTP_IS_HOST
#define U HTTP_IS_UNRESERVED
#define X HTTP_IS_HEX
#define D HTTP_IS_DIGIT
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | P | Q,
    ['"'] = V | Q,
    ['#'] = T | V,
    ['$'] = T | V | P | Q,
    ['%'] = T | V | P | Q,
    ['&'] = T | V | P | Q,
    ['\''] = T | V | P | Q,
    ['('] = V | P | Q,
    [')'] = V | P | Q,
    ['*'] = T | V | P | Q,
    ['+'] = T | V | P | Q,
    [','] = V | P | Q,
    ['-'] = T | V | P | Q | H | U,
    ['.'] = T | V | P | Q | H | U,
    ['/'] = V | P | Q,
    ['0' ... '9'] = T | V | P | Q | H | U | X | D,
    [':'] = V | P | Q,
    [';'] = V | P | Q,
    ['<'] = V | Q,
    ['='] = V | P | Q,
    ['>'] = V | Q,
    ['?'] = V | Q,
    ['@'] = V | P | Q,
    ['A' ... 'F'] = T | V | P | Q | H | U | X,
    ['G' ... 'Z'] = T | V | P | Q | H | U,
    ['['] = V | Q,
    ['\\'] = V | Q,
    [']'] = V | Q,
    ['^'] = T | V | Q,
    ['_'] = T | V | P | Q | H | U,
    ['`'] = T | V | Q,
    ['a' ... 'f'] = T | V | P | Q | H | U | X,
    ['g' ... 'z'] = T | V | P | Q | H | U,
    ['{'] = V | Q,
    ['|'] = T | V | Q,
    ['}'] = V | Q,
    ['~'] = T | V | P | Q | U,
    [0x80 ... 0xff] = V,
};
