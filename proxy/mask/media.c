#include "media.h"

static const struct span hosts[] = {{"fbsbx.com", 9}, {"fbcdn.net", 9}, {"whatsapp.net", 12}};

/* host is `domain` or ends with "." domain, without regard to case. */
static bool in_domain(struct span host, struct span domain)
{
    if (host.n < domain.n || !span_eq_nocase(span_sub(host, host.n - domain.n, host.n), domain))
        return false;
    return host.n == domain.n || host.p[host.n - domain.n - 1] == '.';
}

static size_t find_any(struct span text, const char *set)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] && strchr(set, text.p[i]))
            return i;
    return text.n;
}

bool media_is_url(struct span text)
{
    while (text.n && (unsigned char)text.p[0] <= ' ')
        text = span_from(text, 1);
    size_t colon = find_any(text, ": /\\?#"); /* a scheme holds none of these */
    if (colon < text.n && text.p[colon] == ':')
        text = span_from(text, colon + 1);
    /* readers of addresses take a backslash for a slash, and any number of them */
    size_t slashes = 0;
    while (slashes < text.n && (text.p[slashes] == '/' || text.p[slashes] == '\\'))
        slashes++;
    if (slashes < 2)
        return false;
    text = span_from(text, slashes);
    struct span authority = span_sub(text, 0, find_any(text, "/\\?#"));
    for (size_t at; (at = span_find(authority, '@')) < authority.n;)
        authority = span_from(authority, at + 1);
    struct span host = span_sub(authority, 0, span_find(authority, ':'));
    while (host.n && (host.p[host.n - 1] == '.' || (unsigned char)host.p[host.n - 1] <= ' '))
        host.n--;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (in_domain(host, hosts[i]))
            return true;
    return false;
}

/* ---- the lines: everything that a reader is told about media, in one place ---- */

/* What a media object is called. */
static const char *noun(struct span name, bool voice, bool picture)
{
    if (span_is(name, "image"))
        return "foto";
    if (span_is(name, "video"))
        return "video";
    if (span_is(name, "audio") || span_is(name, "voice"))
        return voice ? "spraakbericht" : "audio";
    if (span_is(name, "document"))
        return picture ? "foto" : "document"; /* a picture sent as a file */
    return span_is(name, "sticker") ? "sticker" : "bestand";
}

/* What was seen in a picture, by enum policy_picture; of several the first of this list. */
static const struct {
    unsigned class;
    const char *word;
} seen[] = {
    {POLICY_PICTURE_ID_DOCUMENT, "identiteitsbewijs"},
    {POLICY_PICTURE_MRZ, "identiteitsbewijs"},
    {POLICY_PICTURE_CARD, "bankpas"},
    {POLICY_PICTURE_BSN, "burgerservicenummer"},
    {POLICY_PICTURE_IBAN, "rekeningnummer"},
    {POLICY_PICTURE_PAYMENT_CODE, "betaalcode"},
    {POLICY_PICTURE_OTHER, "persoonsgegevens"},
};

static const char *seen_word(uint32_t classes)
{
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        if (classes >> seen[i].class & 1)
            return seen[i].word;
    return NULL;
}

void media_line(struct span name, bool voice, const struct mask_media *media, struct buffer *out)
{
    static const char *const verbs[] = {
        [MASK_MEDIA_WITHHELD] = "niet doorgegeven",
        [MASK_MEDIA_WAITING] = "wordt gecontroleerd",
        [MASK_MEDIA_COVERED] = "afgeschermd",
        [MASK_MEDIA_PASSED] = "doorgegeven",
    };
    const char *what = media->state == MASK_MEDIA_WAITING ? NULL : seen_word(media->classes);
    buffer_addf(out, "[%s: %s%s%s]", noun(name, voice, media->picture), what ? what : "",
                what ? " " : "", verbs[media->state]);
}

bool media_id_safe(struct span id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '_'))
            return false;
    }
    return id.n > 0 && id.n <= 128; /* Meta's are 15 to 20 digits */
}
