#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluis/base/encode.h"

FILE *record_open(const char *file)
{
    FILE *f = fopen(file, "ae");
    if (!f)
        fprintf(stderr, "sluis-sim: cannot write %s\n", file);
    return f;
}

/* One write(2) for one line: whoever reads along sees no half ones. */
void record_line(FILE *file, json_t *object)
{
    char *text = file && object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (text) {
        size_t n = strlen(text);
        text[n] = '\n'; /* in the place of its end */
        if (write(fileno(file), text, n + 1) != (ssize_t)(n + 1))
            perror("sluis-sim: the recording");
    }
    free(text);
    json_decref(object);
}

json_t *record_bytes(struct span bytes)
{
    json_t *text = json_stringn(bytes.n ? bytes.p : "", bytes.n);
    if (text)
        return text;
    char *encoded = malloc(BASE64_LEN(bytes.n) + 1);
    if (!encoded)
        return json_null();
    base64_encode((const uint8_t *)bytes.p, bytes.n, encoded);
    json_t *out = json_pack("{ss}", "base64", encoded);
    free(encoded);
    return out;
}

json_t *record_text(struct span text)
{
    json_t *out = json_stringn(text.n ? text.p : "", text.n);
    return out ? out : json_string("");
}
