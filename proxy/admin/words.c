/* Words of the access log as people in the Netherlands read them. */
#include "internal.h"

#include "sluis/history.h"

static const struct log_word actions[] = {
    {"start", "gestart"},
    {"stop", "gestopt"},
    {"reload", "herladen"},
    {"deliver_intent", "bericht aangeboden"},
    {"deliver", "bezorgd"},
    {"send_intent", "verzending aangevraagd"},
    {"send", "verstuurd"},
    {"refuse", "geweigerd"},
    {"media", "media bekeken"},
    {"token", "token"},
    {"quarantine", "quarantaine"},
    {"queue", "wachtrij"},
    {"read_log", "log gelezen"},
    {"remask", "opnieuw gemaskeerd"},
    {"setup", "instelling beantwoord"},
    {"purge", "verlopen vernietigd"},
    {"erase", "gewist"},
    {"subject", "persoon opgezocht"},
    {"restrict", "beperking"},
    {"hold", "bewaarplicht"},
    {"clock", "klok"},
    {"keys", "sleutels"},
    {"backup", "back-up"},
    {"consent", "toestemming"},
    {"history", "gesprek bekeken"},
    {"reveal", "waarde onthuld"},
    {"search", "gezocht"},
    {"export", "ge\xc3\xabxporteerd"},
    {"incident", "incidentpakket"},
    {"access", "toegang"},
    {"policy", "beleid"},
};
_Static_assert(sizeof(actions) / sizeof(actions[0]) == AUDIT_ACTION_COUNT,
               "each action has its word");

static const struct log_word types[] = {
    {"iban", "rekeningnummer (IBAN)"},
    {"bsn", "burgerservicenummer (BSN)"},
    {"pan", "betaalkaartnummer"},
    {"email", "e-mailadres"},
    {"phone", "telefoonnummer"},
    {"address", "adres"},
    {"dob", "geboortedatum"},
    {"licence_plate", "kenteken"},
    {"id_document", "identiteitsbewijs"},
    {"secret", "wachtwoord of toegangscode"},
    {"location", "locatie"},
    {"name", "naam"},
    {"special", "bijzonder persoonsgegeven (art. 9)"},
    {"own", "gegeven volgens eigen beleid"},
};
_Static_assert(sizeof(types) / sizeof(types[0]) == AUDIT_TYPES + 1, "each type has its word");

const char *log_word_find(const struct log_word *words, size_t n, struct span word)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(word, words[i].word))
            return words[i].nl;
    return NULL;
}

const char *log_action_dutch(struct span action)
{
    return log_word_find(actions, sizeof(actions) / sizeof(actions[0]), action);
}

const char *log_type_dutch(struct span type)
{
    return log_word_find(types, sizeof(types) / sizeof(types[0]), type);
}

void log_local_time(struct buffer *out, int64_t at_ms)
{
    char local[CLOCK_RFC3339_SIZE];
    int64_t offset = policy_local_offset_s(at_ms / 1000);
    clock_rfc3339(at_ms + offset * 1000, local);
    buffer_addf(out, "%.10s %.8s (%s)", local, local + 11, offset == 7200 ? "CEST" : "CET");
}

static bool digits(struct span s, const char *shape)
{
    for (size_t i = 0; i < s.n; i++)
        if (shape[i] == '0' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != shape[i])
            return false;
    return true;
}

bool log_local_read(struct span text, bool end, int64_t *utc_ms)
{
    static const char shape[] = "0000-00-00 00:00:00";
    static const int64_t summer = 7200, winter = 3600;
    char utc[] = "0000-00-00T00:00:00Z";
    int64_t local, first, second;
    size_t zone = span_find(text, '(');
    struct span name = span_from(text, zone);
    text = span_sub(text, 0, zone);
    if (name.n && text.n && text.p[text.n - 1] == ' ')
        text.n--;
    if ((text.n != 16 && text.n != 19) || !digits(text, shape) ||
        (name.n && !span_is(name, "(CET)") && !span_is(name, "(CEST)")))
        return false;
    memcpy(utc, text.p, text.n);
    utc[10] = 'T';
    if (!history_time(span_of(utc, sizeof(utc) - 1), &local))
        return false;
    first = local / 1000 - summer;
    second = local / 1000 - winter;
    bool is_first = policy_local_offset_s(first) == summer;
    bool is_second = policy_local_offset_s(second) == winter;
    if (name.n)
        is_first = span_is(name, "(CEST)"), is_second = !is_first;
    else if (!is_first)
        is_second = true;
    *utc_ms = (is_first && (!is_second || !end) ? first : second) * 1000;
    return true;
}
