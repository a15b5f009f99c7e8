#include "sluis/base/diag.h"

#include <stdarg.h>
#include <stdio.h>

void diag_set(struct diag *d, const char *file, unsigned line, unsigned column, const char *format,
              ...)
{
    if (!d)
        return;
    snprintf(d->file, sizeof(d->file), "%s", file ? file : "");
    d->line = line;
    d->column = column;
    va_list args;
    va_start(args, format);
    vsnprintf(d->text, sizeof(d->text), format, args);
    va_end(args);
}

char *diag_line(const struct diag *d, char *out, unsigned long size)
{
    if (!d->file[0])
        snprintf(out, size, "%s", d->text);
    else if (!d->line)
        snprintf(out, size, "%s: %s", d->file, d->text);
    else
        snprintf(out, size, "%s:%u:%u: %s", d->file, d->line, d->column, d->text);
    return out;
}
