/*
 * Inside of the detect room; the door is sluis/detect.h.
 *
 * One run: normalise (window and text into one buffer of one byte a character, with a map back) ->
 * atoms (runs of letters or digits, keywords looked up on the way) -> recognisers, each started at
 * the atoms that can begin its value -> hits -> overlaps resolved -> findings in bytes of the
 * original.
 *
 * Every recogniser looks at a bounded number of atoms and characters around its start, so a run is
 * linear in the length of the text.
 */
#ifndef SLUIS_DETECT_ROOM_H
#define SLUIS_DETECT_ROOM_H

#include "sluis/detect.h"

/* Bytes of the normal form beside ASCII. */
#define NORM_LETTER 0x80  /* a letter that no keyword has */
#define NORM_SYMBOL 0x81  /* emoji, punctuation without an ASCII look-alike */
#define NORM_MESSAGE 0x82 /* border between two messages of the window */
#define NORM_BAD 0x83     /* not UTF-8 */

/* What a keyword says about the values near it. Low half: evidence; high half: counter-evidence. */
#define CTX_BSN 0x1u
#define CTX_ACCOUNT 0x2u
#define CTX_CARD 0x4u
#define CTX_PHONE 0x8u
#define CTX_DOB 0x10u
#define CTX_PLATE 0x20u
#define CTX_DOCUMENT 0x40u
#define CTX_DRIVING 0x80u
#define CTX_PIN 0x100u
#define CTX_CVC 0x200u
#define CTX_PASSWORD 0x400u
#define CTX_CODE 0x800u /* one-time codes */
#define CTX_EXPIRY 0x1000u
#define CTX_ADDRESS 0x2000u
#define CTX_NAME 0x4000u
#define CTX_EMAIL 0x8000u
#define CTX_LOCATION 0x10000u
#define CNT_ORDER 0x20000u   /* order, invoice, customer, ticket, case number */
#define CNT_COMPANY 0x40000u /* RSIN, KvK, OIN, BIG, AGB, VAT */
#define CNT_TRACK 0x80000u
#define CNT_DEVICE 0x100000u /* IMEI, EAN, ISBN, serial, meter */
#define CNT_AMOUNT 0x200000u
#define CNT_NUMBER 0x400000u  /* any other ...nummer */
#define CNT_SERVICE 0x800000u /* customer service, opening hours: public numbers */
#define WORD_MONTH 0x1000000u
#define WORD_STREET 0x2000000u
#define WORD_PLACE 0x4000000u
#define WORD_SPECIAL 0x8000000u
#define WORD_PLAIN 0x10000000u /* a filler that is never a password, name or place */
#define WORD_HEAD 0x20000000u  /* may form a keyword with the next word */
#define CNT_DATE 0x40000000u   /* of another event than a birth */
#define WORD_AT 0x80000000u    /* "at" of a spoken e-mail address */
#define CTX_ANY 0x1ffffu
#define CNT_ANY (CNT_ORDER | CNT_COMPANY | CNT_TRACK | CNT_DEVICE | CNT_AMOUNT | CNT_NUMBER)
#define WORD_KEY                                                                                   \
    (CTX_ANY | CNT_ANY | CNT_SERVICE | CNT_DATE) /* what the context search walks over */

/* What stands between two atoms. 0: they are glued. */
#define GAP_SPACE 0x1u
#define GAP_DOT 0x2u
#define GAP_DASH 0x4u
#define GAP_SLASH 0x8u
#define GAP_COLON 0x10u
#define GAP_LINE 0x20u
#define GAP_COMMA 0x40u
#define GAP_AT 0x80u
#define GAP_PLUS 0x100u
#define GAP_PAREN 0x200u
#define GAP_SENTENCE 0x400u /* ? or !, or a full stop before a space */
#define GAP_MESSAGE 0x800u
#define GAP_EQUALS 0x1000u
#define GAP_UNDER 0x2000u
#define GAP_MONEY 0x4000u
#define GAP_OTHER 0x8000u
#define GAP_ANGLE 0x10000u /* '<', as in a machine readable zone */

enum atom_kind { ATOM_WORD, ATOM_NUMBER };
#define ATOM_URL 1     /* inside a URL */
#define ATOM_CAPITAL 2 /* a word that starts with a capital */

struct atom {
    uint32_t start, end; /* in the normal form */
    uint32_t ctx;        /* CTX_, CNT_, WORD_ */
    uint32_t before;     /* GAP_ flags between the atom before and this one */
    uint16_t gap;        /* characters between, saturated */
    uint8_t kind;
    uint8_t flags;
    uint32_t word; /* hash of a word, for own and special words */
};

struct hit {
    uint32_t start, end; /* in the normal form */
    uint16_t type, score;
    bool rest;     /* what sticks out of better ones that overlap it */
    bool guess;    /* fails its own check: of what another kind explains it says nothing */
    uint64_t also; /* types of others that it hides, in part at least */
    const char *evidence;
};

/* One message in the normal form. */
struct segment {
    uint32_t start, end; /* in the normal form */
    bool plain;          /* ASCII: offset in the message = offset in norm - start */
    bool customer;
    uint8_t back;
};

#define SEGMENTS_MAX (DETECT_WINDOW_MESSAGES + 1)
/* Hits before overlaps are resolved; a text with more is SLUIS_ELIMIT. */
#define HITS_MAX (4 * DETECT_FINDINGS_MAX)

struct detect_scratch {
    uint8_t *norm;
    uint32_t *from, *to; /* byte range in the message of each character of norm */
    size_t norm_n, norm_cap;
    struct atom *atoms;
    uint32_t *keys; /* indices of atoms with a keyword */
    size_t atom_n, atom_cap, key_n;
    struct hit *hits;
    size_t hit_n, hit_cap;
    struct hit *kept; /* the resolved ones; the two change places */
    size_t kept_cap;
    uint16_t *owner; /* of each character of a cluster */
    size_t owner_cap;
    struct segment segments[SEGMENTS_MAX];
    size_t segment_n;
    uint32_t text_atom;  /* first atom of the current message */
    uint32_t text_start; /* its first character */
    size_t number_n;     /* numbers read */
    uint32_t marks;      /* all gap flags read */
    uint32_t seen;       /* all ctx bits read */
    uint32_t seen_text;  /* those of the current message */
    size_t key_limit;    /* keywords the context search may use */
    int error;
    void *match; /* pcre2_match_data, made when the first own recogniser runs */
};

/* ---- normalise.c ---- */
/* Appends a message; 0 or an error. */
int norm_add(struct detect_scratch *s, struct span text, bool customer, uint8_t back);
int norm_reserve(struct detect_scratch *s, size_t characters);
/* fold.c: the normal form of a code point outside ASCII; 0: left out. */
uint8_t fold_code_point(uint32_t c);

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static inline bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool is_letter(uint8_t c)
{
    uint8_t l = c | 0x20;
    return (l >= 'a' && l <= 'z') || c == NORM_LETTER;
}
static inline uint8_t to_lower(uint8_t c)
{
    return is_upper(c) ? (uint8_t)(c | 0x20) : c;
}
static inline uint8_t to_upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c & ~0x20) : c;
}

/* ---- words.c ---- */
struct word_table;
int word_table_new(const struct detect_settings *settings, struct word_table **out);
void word_table_free(struct word_table *t);
#define WORD_HASH_START 2166136261u
static inline uint32_t word_hash_add(uint32_t h, uint8_t lower)
{
    return (h ^ lower) * 16777619u;
}
/* Bits of a word whose hash is `hash` and whose first six letters' is `stem`. With WORD_WHOLE for
 * the stem the whole word must be in the lists: no stems, no endings. */
#define WORD_WHOLE 1u
uint32_t word_lookup(const struct word_table *t, const uint8_t *word, size_t n, uint32_t hash,
                     uint32_t stem);
/* Bits of a keyword one typing error away (two for a long one), or 0. */
#define WORD_NEARLY_MIN 7
uint32_t word_nearly(const uint8_t *word, size_t n);

/* ---- atoms.c ---- */
/* Atoms of norm[segment start, end) appended. */
int atoms_add(struct detect_scratch *s, const struct word_table *words, const struct segment *g);

/* ---- context.c ---- */
struct context {
    uint32_t want;    /* distance of the nearest wanted keyword, CONTEXT_NONE when there is none */
    uint32_t counter; /* of the nearest counter-evidence */
    bool direct; /* the keyword stands right before the value, or the value answers a question */
    bool listed; /* wanted and counter keyword stand side by side: "bsn of klantnummer" */
};
#define CONTEXT_NONE UINT32_MAX
#define CONTEXT_REACH 300 /* characters before a value that are searched */
#define CONTEXT_AFTER 80  /* and behind it */
/* Keywords round the atoms [first, last]. */
struct context context_of(const struct detect_scratch *s, uint32_t first, uint32_t last,
                          uint32_t want, uint32_t counter);
static inline bool context_holds(const struct context *c)
{
    return c->want != CONTEXT_NONE && (c->want < c->counter || c->listed);
}
static inline bool context_denies(const struct context *c)
{
    return c->counter != CONTEXT_NONE && c->counter <= c->want && !c->listed;
}

/* ---- hits.c ---- */
struct detector;
void hit_add(const struct detector *d, struct detect_scratch *s, uint32_t start, uint32_t end,
             unsigned type, unsigned score, const char *evidence);
/* The same of a value that fails the check of its type, and is taken for it by what was said. */
void hit_guess(const struct detector *d, struct detect_scratch *s, uint32_t start, uint32_t end,
               unsigned type, unsigned score, const char *evidence);
/* No hit is longer (a street with a very long name is cut at its front). */
#define HIT_LENGTH_MAX 512
/* Overlaps: see detect.h. Leaves the hits sorted. 0 or SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int hits_resolve(struct detect_scratch *s);

/* ---- checks.c: over ASCII digits or upper-case letters ---- */
bool check_luhn(const uint8_t *digits, size_t n);
bool check_elfproef(const uint8_t *digits, size_t n); /* BSN: 8 or 9 digits, last weight -1 */
bool check_mod11(const uint8_t *digits, size_t n);    /* weights n..2 and 1: sum divisible by 11 */
bool check_mod97(const uint8_t *text, size_t n);      /* IBAN order, ISO 7064 */

struct detector {
    uint16_t from[DETECT_OWN];
    bool strict;
    struct word_table *words;
    struct own_set *own; /* NULL without own recognisers */
    bool has_special;
};
static inline bool detector_wants(const struct detector *d, unsigned type)
{
    return d->from[type] <= 1000;
}

/* ---- recognisers: each tries to begin a value at atom i ---- */
void find_iban(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_bsn(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_pan(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_phone(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_email(const struct detector *d, struct detect_scratch *s, uint32_t at);
void find_email_words(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_address(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_dob(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_plate(const struct detector *d, struct detect_scratch *s, uint32_t i);    /* any atom */
void find_document(const struct detector *d, struct detect_scratch *s, uint32_t i); /* any atom */
void find_mrz(const struct detector *d, struct detect_scratch *s);
void find_location(const struct detector *d, struct detect_scratch *s, uint32_t i);
void find_secret(const struct detector *d, struct detect_scratch *s, uint32_t i); /* a keyword */
void find_expiry(const struct detector *d, struct detect_scratch *s); /* beside cards found */
void find_name(const struct detector *d, struct detect_scratch *s, uint32_t i);    /* a word */
void find_special(const struct detector *d, struct detect_scratch *s, uint32_t i); /* a word */

/* ---- dates.c ---- */
/* A day, month and year that start at atom i; false when there is none. */
bool read_date(const struct detect_scratch *s, uint32_t i, uint32_t *last);

/* ---- own.c ---- */
struct own_set;
int own_set_new(const struct detect_settings *settings, struct own_set **out, struct diag *diag);
void own_set_free(struct own_set *set);
const char *own_set_name(const struct own_set *set, unsigned index);
/* 0, or SLUIS_EJUDGE when a pattern could not be judged within its limits. */
int find_own(const struct detector *d, struct detect_scratch *s);

static inline uint32_t atom_size(const struct atom *a)
{
    return a->end - a->start;
}
/* The value of a short number (at most nine digits). */
static inline uint32_t atom_number(const struct detect_scratch *s, const struct atom *a)
{
    uint32_t v = 0;
    for (uint32_t k = a->start; k < a->end && k - a->start < 9; k++)
        v = v * 10 + (uint32_t)(s->norm[k] - '0');
    return v;
}
/* True when the gap before atom i joins two parts of one value: 1-3 characters of space, dot, dash,
 * slash or line break. */
static inline bool gap_joins(const struct atom *a, uint32_t allowed)
{
    return a->gap > 0 && a->gap <= 3 && (a->before & ~allowed) == 0;
}

#endif
