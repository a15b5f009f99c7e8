/*
 * A diagnosis for a person: what is wrong, where, and what was expected. Filled by loaders of
 * files (policy, configuration) and by start-up checks; printed as "file:line:column: text".
 *
 * The text must never hold a secret or personal data; a quoted word from the file is allowed.
 */
#ifndef SLUIS_BASE_DIAG_H
#define SLUIS_BASE_DIAG_H

#define DIAG_FILE_MAX 256
#define DIAG_TEXT_MAX 512

struct diag {
    char file[DIAG_FILE_MAX]; /* "" when no file is meant */
    unsigned line, column;    /* from 1; 0 when unknown */
    char text[DIAG_TEXT_MAX];
};

/* Sets file, place and text (printf-like, cut at DIAG_TEXT_MAX - 1). `d` may be NULL. */
void diag_set(struct diag *d, const char *file, unsigned line, unsigned column, const char *format,
              ...) __attribute__((format(printf, 5, 6)));

/* Writes "file:line:column: text" (parts that are absent left out) to `out`; returns `out`. */
char *diag_line(const struct diag *d, char *out, unsigned long size);

#endif
