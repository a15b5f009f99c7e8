/* Detectors: settings in, an immutable engine out; names of the types. */
#include <stdlib.h>

#include "room.h"

static const char *const type_words[DETECT_OWN] = {
    [DETECT_IBAN] = "iban",
    [DETECT_BSN] = "bsn",
    [DETECT_PAN] = "pan",
    [DETECT_EMAIL] = "email",
    [DETECT_PHONE] = "phone",
    [DETECT_ADDRESS] = "address",
    [DETECT_DOB] = "dob",
    [DETECT_LICENCE_PLATE] = "licence_plate",
    [DETECT_ID_DOCUMENT] = "id_document",
    [DETECT_SECRET] = "secret",
    [DETECT_LOCATION] = "location",
    [DETECT_NAME] = "name",
    [DETECT_SPECIAL] = "special",
};

#define FROM_DEFAULT 700
#define FROM_BSN 500
#define FROM_OFF 1001

const char *detect_type_word(enum detect_type type)
{
    return (unsigned)type < DETECT_OWN ? type_words[type] : NULL;
}

enum detect_type detect_type_of(struct span word)
{
    for (unsigned i = 0; i < DETECT_OWN; i++)
        if (span_is(word, type_words[i]))
            return (enum detect_type)i;
    return DETECT_TYPES_MAX;
}

void detect_settings_default(struct detect_settings *settings)
{
    *settings = (struct detect_settings){0};
    for (unsigned i = 0; i < DETECT_OWN; i++)
        settings->from[i] = FROM_DEFAULT;
    settings->from[DETECT_BSN] = FROM_BSN;
    settings->from[DETECT_NAME] = FROM_OFF;
    settings->from[DETECT_SPECIAL] = FROM_OFF;
}

int detector_new(const struct detect_settings *settings, struct detector **out, struct diag *diag)
{
    struct detector *d = calloc(1, sizeof *d);
    if (!d)
        return SLUIS_ENOMEM;
    memcpy(d->from, settings->from, sizeof d->from);
    d->strict = settings->strict;
    d->has_special = settings->special_count > 0;
    int error = word_table_new(settings, &d->words);
    if (error) {
        diag_set(diag, "", 0, 0, "too many special words");
        goto out;
    }
    error = own_set_new(settings, &d->own, diag);
    if (error)
        goto out;
    *out = d;
    return 0;
out:
    detector_free(d);
    return error;
}

void detector_free(struct detector *d)
{
    if (!d)
        return;
    word_table_free(d->words);
    own_set_free(d->own);
    free(d);
}

const char *detector_type_word(const struct detector *detector, unsigned type)
{
    return type < DETECT_OWN ? type_words[type] : own_set_name(detector->own, type - DETECT_OWN);
}
