/* Words, lines and kinds: constant tables. */
#include "wire.h"

static const char *const class_words[PICTURE_CLASSES] = {
    "unknown", "clean", "card", "id_document", "mrz", "bsn", "iban", "payment_code", "other",
};
static const char *const reason_words[PICTURE_REASONS] = {
    "ok",   "policy", "no-worker", "no-engine", "not-a-picture", "too-large", "broken",
    "late", "died",   "busy",      "stopped",   "readable",      "failed",    "no-policy",
};
static const char *const found_words[] = {"card", "name", "cvc", "mrz", "code"};

const char *picture_class_word(enum picture_class class)
{
    return (unsigned)class < PICTURE_CLASSES ? class_words[class] : "unknown";
}

const char *picture_reason_word(enum picture_reason reason)
{
    return (unsigned)reason < PICTURE_REASONS ? reason_words[reason] : "failed";
}

const char *picture_outcome_word(enum picture_outcome outcome)
{
    return outcome == PICTURE_CLEAN      ? "clean"
           : outcome == PICTURE_REDACTED ? "redacted"
                                         : "withheld";
}

const char *picture_engine_word(enum picture_engine engine)
{
    return engine == PICTURE_ENGINE_PPOCR       ? "pp-ocrv4"
           : engine == PICTURE_ENGINE_TESSERACT ? "tesseract"
                                                : "none";
}

const char *picture_engine_cost(enum picture_engine engine)
{
    return engine == PICTURE_ENGINE_TESSERACT
               ? ", which misses 7 payment cards of 10 where pp-ocrv4 misses 1"
               : "";
}

const char *picture_found_word(unsigned type)
{
    if (type >= PICTURE_FOUND_CARD && type < PICTURE_FOUND_END)
        return found_words[type - PICTURE_FOUND_CARD];
    if (type < DETECT_OWN)
        return detect_type_word((enum detect_type)type);
    return "own";
}

const char *picture_kind_mime(enum picture_kind kind)
{
    static const char *const mimes[] = {"", "image/jpeg", "image/png", "image/webp", "image/gif"};
    return (unsigned)kind < sizeof mimes / sizeof *mimes ? mimes[kind] : "";
}

enum picture_kind picture_kind_of(struct span first)
{
    if (span_starts(first, SPAN("\xff\xd8\xff")))
        return PICTURE_JPEG;
    if (span_starts(first, SPAN("\x89PNG\r\n\x1a\n")))
        return PICTURE_PNG;
    if (span_starts(first, SPAN("RIFF")) && span_starts(span_from(first, 8), SPAN("WEBP")))
        return PICTURE_WEBP;
    if (span_starts(first, SPAN("GIF87a")) || span_starts(first, SPAN("GIF89a")))
        return PICTURE_GIF;
    return PICTURE_KIND_NONE;
}

void picture_policy_default(struct picture_policy *policy)
{
    memset(policy, 0, sizeof *policy);
    for (unsigned c = 0; c < PICTURE_CLASSES; c++)
        policy->action[c] = PICTURE_REDACT;
    policy->action[PICTURE_CLASS_UNKNOWN] = PICTURE_WITHHOLD;
    policy->action[PICTURE_CLASS_CLEAN] = PICTURE_PASS;
    policy->types = ~(UINT64_C(1) << DETECT_NAME);
}

/* Which of several classes a person is told about, most telling first. */
static const struct {
    enum picture_class class;
    const char *covered, *withheld;
} lines[] = {
    {PICTURE_CLASS_CARD, "[foto: bankpas afgeschermd]", "[foto: bankpas niet doorgegeven]"},
    {PICTURE_CLASS_MRZ, "[foto: identiteitsbewijs afgeschermd]",
     "[foto: identiteitsbewijs niet doorgegeven]"},
    {PICTURE_CLASS_ID_DOCUMENT, "[foto: identiteitsbewijs afgeschermd]",
     "[foto: identiteitsbewijs niet doorgegeven]"},
    {PICTURE_CLASS_BSN, "[foto: BSN afgeschermd]", "[foto: BSN niet doorgegeven]"},
    {PICTURE_CLASS_PAYMENT_CODE, "[foto: betaalcode afgeschermd]",
     "[foto: betaalcode niet doorgegeven]"},
    {PICTURE_CLASS_IBAN, "[foto: IBAN afgeschermd]", "[foto: IBAN niet doorgegeven]"},
    {PICTURE_CLASS_OTHER, "[foto: persoonsgegevens afgeschermd]",
     "[foto: persoonsgegevens niet doorgegeven]"},
};

struct span picture_line(enum picture_outcome outcome, uint32_t classes)
{
    if (outcome == PICTURE_CLEAN)
        return SPAN_EMPTY;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (classes & 1u << lines[i].class)
            return span_str(outcome == PICTURE_REDACTED ? lines[i].covered : lines[i].withheld);
    if (outcome == PICTURE_REDACTED)
        return SPAN("[foto: afgeschermd]");
    return classes & 1u << PICTURE_CLASS_UNKNOWN ? SPAN("[foto: kon niet worden gecontroleerd]")
                                                 : SPAN("[foto: niet doorgegeven]");
}
