/* Pages: skeleton, escaping, forms. */
#include "sluis/console.h"

#include "style.h"

void html_raw(struct html *h, const char *markup)
{
    buffer_add_str(&h->out, markup);
}

void html_text(struct html *h, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '&')
            html_raw(h, "&amp;");
        else if (c == '<')
            html_raw(h, "&lt;");
        else if (c == '>')
            html_raw(h, "&gt;");
        else if (c == '"')
            html_raw(h, "&quot;");
        else if (c == '\'')
            html_raw(h, "&#39;");
        else if (c >= 0x20 || c == '\n' || c == '\t')
            buffer_add_char(&h->out, (char)c);
        else if (c != '\r')
            html_raw(h, "\xef\xbf\xbd"); /* control characters do not belong in HTML */
    }
}

void html_words(struct html *h, const char *nl, const char *en)
{
    html_text(h, span_str(h->english ? en : nl));
}

static void element(struct html *h, const char *open, const char *close, const char *nl,
                    const char *en)
{
    html_raw(h, open);
    html_words(h, nl, en);
    html_raw(h, close);
}

void html_p(struct html *h, const char *nl, const char *en)
{
    element(h, "<p>", "</p>\n", nl, en);
}

void html_h2(struct html *h, const char *nl, const char *en)
{
    element(h, "<h2>", "</h2>\n", nl, en);
}

void html_alert(struct html *h, const char *nl, const char *en)
{
    element(h, "<p class=\"alert\" role=\"alert\">", "</p>\n", nl, en);
}

void html_form(struct html *h, const char *action)
{
    html_raw(h, "<form method=\"post\" action=\"");
    html_text(h, span_str(action));
    html_raw(h, h->english ? "?lang=en\">\n" : "?lang=nl\">\n");
    if (h->form_token) {
        html_raw(h, "<input type=\"hidden\" name=\"t\" value=\"");
        html_text(h, span_str(h->form_token));
        html_raw(h, "\">\n");
    }
}

void html_button(struct html *h, const char *nl, const char *en)
{
    element(h, "<p><button type=\"submit\">", "</button></p>\n</form>\n", nl, en);
}

void html_field(struct html *h, const char *name, const char *kind, const char *complete,
                const char *nl, const char *en)
{
    html_raw(h, "<p><label for=\"");
    html_text(h, span_str(name));
    html_raw(h, "\">");
    html_words(h, nl, en);
    html_raw(h, "</label>\n<input id=\"");
    html_text(h, span_str(name));
    html_raw(h, "\" name=\"");
    html_text(h, span_str(name));
    html_raw(h, "\" type=\"");
    html_raw(h, kind);
    html_raw(h, "\" autocomplete=\"");
    html_raw(h, complete);
    html_raw(h, "\" autocapitalize=\"off\" spellcheck=\"false\" maxlength=\"256\" required></p>\n");
}

void html_begin(struct html *h, bool english, const char *nl, const char *en, const char *person,
                const char *form_token)
{
    buffer_init(&h->out, CONSOLE_PAGE_MAX);
    h->english = english;
    h->form_token = form_token;
    html_raw(h, english ? "<!DOCTYPE html>\n<html lang=\"en\">\n"
                        : "<!DOCTYPE html>\n<html "
                          "lang=\"nl\">\n");
    html_raw(h, "<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                "content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" "
                "content=\"noindex\">\n<title>");
    html_words(h, nl, en);
    html_raw(h,
             " - Sluis</title>\n<link rel=\"stylesheet\" href=\"/console.css\">\n</head>\n<body>\n"
             "<a class=\"skip\" href=\"#main\">");
    html_words(h, "Naar de inhoud", "Skip to content");
    html_raw(h, "</a>\n<header><nav><a class=\"brand\" href=\"/\">Sluis</a>\n<a hreflang=\"");
    html_raw(h, english ? "nl\" lang=\"nl\" href=\"?lang=nl\">Nederlands</a>\n"
                        : "en\" lang=\"en\" href=\"?lang=en\">English</a>\n");
    if (person) {
        html_raw(h, "<span class=\"who\">");
        html_text(h, span_str(person));
        html_raw(h, "</span>\n");
        html_form(h, "/sign-out");
        element(h, "<button type=\"submit\">", "</button></form>\n", "Afmelden", "Sign out");
    }
    html_raw(h, "</nav></header>\n<main id=\"main\">\n");
    element(h, "<h1>", "</h1>\n", nl, en);
}

void html_end(struct html *h)
{
    html_raw(h, "</main>\n</body>\n</html>\n");
}

void html_free(struct html *h)
{
    buffer_free(&h->out);
}

struct span console_style(void)
{
    return span_of(style_bytes, sizeof(style_bytes));
}
