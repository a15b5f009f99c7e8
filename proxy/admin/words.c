/* Words of the access log as people in the Netherlands read them. */
#include "internal.h"

struct word {
    const char *word, *nl;
};

static const struct word actions[] = {
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

static const struct word types[] = {
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

static const char *find(const struct word *words, size_t n, struct span word)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(word, words[i].word))
            return words[i].nl;
    return NULL;
}

const char *log_action_dutch(struct span action)
{
    return find(actions, sizeof(actions) / sizeof(actions[0]), action);
}

const char *log_type_dutch(struct span type)
{
    return find(types, sizeof(types) / sizeof(types[0]), type);
}

void log_local_time(struct buffer *out, int64_t at_ms)
{
    char local[CLOCK_RFC3339_SIZE];
    int64_t offset = policy_local_offset_s(at_ms / 1000);
    clock_rfc3339(at_ms + offset * 1000, local);
    buffer_addf(out, "%.10s %.8s (%s)", local, local + 11, offset == 7200 ? "CEST" : "CET");
}
