/*
 * Detection: findings of personal data in one text, with the conversation's window. Pure: no I/O,
 * no clock, no globals. Observes only; policy decides what is done with a finding.
 *
 *     detector_new(&settings, &detector, diag);            // once per policy, immutable, shared
 *     detect_scratch_new(&scratch);                        // one per thread, serves any detector
 *     n = detect_run(detector, scratch, &input, findings, DETECT_FINDINGS_MAX);
 *
 * Text is UTF-8 (what is not is judged as U+FFFD). Offsets are bytes of that text, end exclusive.
 * Findings come in order: those of the text by start, then those in the message before it, and so
 * on; those of one message never overlap. Where recognisers disagree, what lies wholly inside a
 * longer finding goes; of the rest the higher score stays, then the longer, then the earlier, then
 * the lower type. What goes is not forgotten: its type stands in `also` of the findings that have
 * its characters, and characters that none of them has are a finding of their own (`rest`), so that
 * who masks can take the strictest rule of all that were found at a place. A number that fails the
 * elfproef and is taken for a BSN by what was asked leaves no type behind: a card is no BSN.
 *
 * The text is judged in a normal form: digits of every script, full-width and look-alike letters
 * made plain, invisible characters left out, JSON escapes that were left in it read. A value that
 * was found is found wherever it stands free in the same text ("repeated").
 *
 * The window. Earlier messages give context (a question, a keyword) and may hold the first part of
 * a value that goes on in this text; only messages of one sender are joined. A finding with back >
 * 0 is a part, or a value that this text has explained ("that was my BSN"): what an earlier
 * message's own run has found is not told again. Looked at: DETECT_WINDOW_MESSAGES messages, as
 * long as they are not older than DETECT_WINDOW_MINUTES and fit DETECT_WINDOW_BYTES, newest first.
 *
 * Threads: a detector is immutable and shared; a scratch serves one thread at a time. Cost: linear
 * in the text, about 1 us for a chat message, at most 0.1 us a byte (bench_detect's worst texts).
 */
#ifndef SLUIS_DETECT_H
#define SLUIS_DETECT_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"

#define DETECT_TEXT_MAX (1024 * 1024)   /* longer texts are SLUIS_ELIMIT: unjudged */
#define DETECT_FINDINGS_MAX 4096        /* per text; more is SLUIS_ELIMIT */
#define DETECT_WINDOW_MESSAGES 8        /* earlier messages looked at */
#define DETECT_WINDOW_BYTES 4096        /* of earlier text in all */
#define DETECT_WINDOW_MINUTES 30
#define DETECT_OWN_MAX 32               /* a policy's own recognisers */

enum detect_type {
    DETECT_IBAN, DETECT_BSN, DETECT_PAN, DETECT_EMAIL, DETECT_PHONE, DETECT_ADDRESS, DETECT_DOB,
    DETECT_LICENCE_PLATE, DETECT_ID_DOCUMENT, DETECT_SECRET, DETECT_LOCATION, DETECT_NAME,
    DETECT_SPECIAL,
    DETECT_OWN, /* first of a policy's own recognisers: DETECT_OWN + index */
    DETECT_TYPES_MAX = DETECT_OWN + DETECT_OWN_MAX
};
/* "iban", "bsn", ...; for own types the name in the detector. NULL when unknown. */
const char *detect_type_word(enum detect_type type);
/* DETECT_TYPES_MAX when unknown. */
enum detect_type detect_type_of(struct span word);

struct finding {
    uint32_t start, end;
    uint16_t type;     /* enum detect_type */
    uint16_t score;    /* 0..1000 */
    uint8_t back;      /* 0: in this text; k: in the k-th message before it (window) */
    bool rest;         /* what sticks out of findings that overlap a better one */
    uint64_t also;     /* bit set of types: others that were found here, in part at least */
    const char *evidence; /* constant words joined by '+': "mod97+context" */
};

struct detector;
struct detect_scratch;

struct detect_own { /* a policy's own recogniser */
    const char *name;
    const char *const *patterns; /* PCRE2 */
    size_t pattern_count;
    const char *validator;       /* luhn, mod97, elfproef, mod11, none */
    const char *const *context;  /* words that raise the score by 300, within 80 characters */
    size_t context_count;
    const char *const *counter;  /* words that lower it by 400; findings count from 700 */
    size_t counter_count;
    uint16_t score;              /* without context, 0..1000 */
};
struct detect_settings {
    uint16_t from[DETECT_OWN];   /* threshold per type, 0..1000; above 1000: off */
    bool strict;                 /* bare nine digits that pass the elfproef are a BSN */
    const struct detect_own *own;
    size_t own_count;
    const char *const *special_words; /* art. 9 words owned by policy: single words */
    size_t special_count;
};
/* Thresholds of the shipped default policy: 700 for all, 500 for bsn, name and special off. */
void detect_settings_default(struct detect_settings *settings);

/* The settings are copied. SLUIS_EINVAL with a diagnosis when an own recogniser is refused. */
SLUIS_MUST_CHECK int detector_new(const struct detect_settings *settings, struct detector **out,
                                  struct diag *diag);
void detector_free(struct detector *detector);
/* Name of a type, the policy's own ones included. */
const char *detector_type_word(const struct detector *detector, unsigned type);

SLUIS_MUST_CHECK int detect_scratch_new(struct detect_scratch **out); /* serves any detector */
void detect_scratch_free(struct detect_scratch *scratch);             /* wipes */

struct detect_message {
    struct span text; /* UTF-8 */
    bool from_customer;
    int64_t at_ms;
};
struct detect_input {
    struct span text;
    bool from_customer;
    int64_t at_ms;
    const struct detect_message *earlier; /* newest first, at most DETECT_WINDOW_MESSAGES used */
    size_t earlier_count;
};
/* The number of findings at or above their thresholds, or an error: SLUIS_ELIMIT, SLUIS_EJUDGE (an
 * engine error: show nothing), SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int detect_run(const struct detector *detector, struct detect_scratch *scratch,
                                const struct detect_input *input, struct finding *out, size_t most);

#endif
