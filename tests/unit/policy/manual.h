/*
 * Compares tables of keys with a manual page: under the heading of each table stands one line per
 * row, made from the row, and no other. SLUIS_MANUAL_PRINT=1 prints the lines that are expected.
 */
#ifndef SLUIS_TEST_MANUAL_H
#define SLUIS_TEST_MANUAL_H

#include "sluis/base/yaml.h"

#include <stdio.h>
#include <stdlib.h>

static inline void manual_line(const struct yaml_key *key, char *out, size_t size)
{
    if (key->later)
        snprintf(out, size, "- `%s` *(not available in this version)*: %s.\n", key->name,
                 key->help);
    else
        snprintf(out, size, "- `%s`%s: %s.\n", key->name, key->required ? " (required)" : "",
                 key->help);
}

/* The number of lines that differ between one table and its section. */
static inline int manual_check(const char *manual, const char *heading, const struct yaml_key *keys,
                               size_t n)
{
    char title[100], line[512];
    int wrong = 0;
    size_t rows = 0;
    snprintf(title, sizeof(title), "\n### %s\n", heading);
    const char *start = strstr(manual, title);
    if (getenv("SLUIS_MANUAL_PRINT"))
        printf("\n### %s\n\n", heading);
    const char *end = start ? strstr(start + strlen(title), "\n#") : NULL;
    if (start && !end)
        end = manual + strlen(manual);
    for (size_t i = 0; i < n; i++) {
        manual_line(&keys[i], line, sizeof(line));
        if (getenv("SLUIS_MANUAL_PRINT"))
            printf("%s", line);
        const char *at = start ? strstr(start, line) : NULL;
        if (!at || at > end) {
            fprintf(stderr, "under \"%s\" missing: %s", heading, line);
            wrong++;
        }
    }
    for (const char *p = start; p && p < end && (p = strstr(p, "\n- `")) && p < end; p++)
        rows++;
    if (start && rows != n) {
        fprintf(stderr, "under \"%s\": %zu keys described, %zu known\n", heading, rows, n);
        wrong++;
    }
    return wrong;
}

/* The whole file; the caller frees it. NULL when it cannot be read. */
static inline char *manual_read(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t size = 256 * 1024;
    char *text = f ? calloc(1, size) : NULL;
    size_t got = text ? fread(text, 1, size - 1, f) : 0;
    if (f)
        fclose(f);
    if (!got) {
        free(text);
        return NULL;
    }
    return text;
}

#endif
