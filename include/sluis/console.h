/*
 * The console: what the pages for persons are made of. Plain HTML, one style sheet, no script at
 * all; Dutch unless English is asked for. Everything that is not in this source is escaped.
 *
 *     struct html h;
 *     html_begin(&h, english, "Aanmelden", "Sign in", NULL, NULL);
 *     html_p(&h, "Vul in:", "Fill in:");
 *     html_end(&h);                           // then h.out; html_free
 *
 * Threads: pure.
 */
#ifndef SLUIS_CONSOLE_H
#define SLUIS_CONSOLE_H

#include "sluis/base/buffer.h"

#define CONSOLE_PAGE_MAX (4u * 1024 * 1024)
/* The policy that browsers are to enforce: nothing but our own style and forms. */
#define CONSOLE_SECURITY_POLICY                                                                    \
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "                  \
    "frame-ancestors 'none'"

struct html {
    struct buffer out;
    bool english;
    const char *form_token; /* of the session, or NULL */
};

/* Head, title and the bar on top: with the person's name and a way out when somebody is signed in
 * (person and form_token not NULL). */
void html_begin(struct html *h, bool english, const char *nl, const char *en, const char *person,
                const char *form_token);
void html_end(struct html *h);
void html_free(struct html *h);

void html_raw(struct html *h, const char *markup);               /* a constant of the source */
void html_text(struct html *h, struct span text);                /* escaped */
void html_words(struct html *h, const char *nl, const char *en); /* escaped, in the language */
void html_p(struct html *h, const char *nl, const char *en);
void html_h2(struct html *h, const char *nl, const char *en);
/* Something that went wrong, told to a screen reader at once. */
void html_alert(struct html *h, const char *nl, const char *en);
/* <form method=post action=...> with the session's token. */
void html_form(struct html *h, const char *action);
void html_button(struct html *h, const char *nl, const char *en); /* and the form's end */
/* A labelled field; `kind` "text", "password"; `complete` for the autocomplete attribute. */
void html_field(struct html *h, const char *name, const char *kind, const char *complete,
                const char *nl, const char *en);

struct span console_style(void); /* text/css */

#endif
