/*
 * What sluis-sim saw, one JSON object a line, for people and for the checks. Holds specimen data in
 * the clear: that is its purpose.
 */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

#include <jansson.h>
#include <stdio.h>

#include "sluis/base/span.h"

/* Appends to `file`; NULL on failure (printed). */
FILE *record_open(const char *file);
/* Writes one line, whole and at once, and releases the object. A NULL file only releases. */
void record_line(FILE *file, json_t *object);
/* A JSON string of any bytes: as they are when UTF-8, else {"base64": "..."}. */
json_t *record_bytes(struct span bytes);
/* A JSON string of text known to be UTF-8 or ASCII; broken text becomes "". */
json_t *record_text(struct span text);

#endif
