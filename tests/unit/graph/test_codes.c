/* Lint: proxy/man/sluis-codes.7.md holds every row of graph_codes(), as it is, and no other.
 * `test_graph_codes print` writes the rows. */
#include "sluis/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANUAL SLUIS_SOURCE_DIR "/proxy/man/sluis-codes.7.md"
#define MANUAL_MAX (64 * 1024)

static void row(const struct graph_code *c, char *out, size_t size)
{
    snprintf(out, size, "| %u | %u | %s | %s | %s | %s |\n", c->code, c->status,
             c->retry ? "yes" : "no", c->word, c->nl, c->en);
}

static int wrong(const char *what, const char *line)
{
    fprintf(stderr, "%s: %s", what, line);
    return 1;
}

/* Codes are Meta's shape's own: in range, rising, each with an HTTP status of a refusal. */
static int check_code(const struct graph_code *c, unsigned before)
{
    char line[1024];
    row(c, line, sizeof(line));
    if (c->code < 900001 || c->code > 900099 || c->code <= before)
        return wrong("code out of range or order", line);
    if (c->status < 400 || c->status > 599 || !c->word[0] || !c->nl[0] || !c->en[0])
        return wrong("status or texts", line);
    if (c->retry && c->status < 500 && c->status != 429)
        return wrong("a refusal that may be repeated is a 429 or no 4xx", line);
    /* whatsapp 0.12: Chatwoot takes a 401 for a broken inbox. */
    if (c->status == 401 && strcmp(c->word, "token") != 0)
        return wrong("401 is for tokens", line);
    return 0;
}

int main(int argc, char **argv)
{
    size_t n, rows = 0;
    const struct graph_code *codes = graph_codes(&n);
    char line[1024], *text = calloc(1, MANUAL_MAX);
    FILE *f = fopen(MANUAL, "re");
    bool print = argc > 1 && strcmp(argv[1], "print") == 0;
    int bad = 0;
    if (f && text)
        text[fread(text, 1, MANUAL_MAX - 1, f)] = '\0';
    for (size_t i = 0; i < n; i++) {
        row(&codes[i], line, sizeof(line));
        if (print)
            fputs(line, stdout);
        else if (!text || !strstr(text, line))
            bad += wrong(MANUAL " lacks", line);
        bad += check_code(&codes[i], i ? codes[i - 1].code : 0);
    }
    for (const char *at = text; at && (at = strstr(at, "\n| 900")); at++)
        rows++;
    if (!print && rows != n)
        bad += wrong("the manual has other rows, too", "\n");
    if (f)
        fclose(f);
    free(text);
    return bad != 0;
}
