/* Every key a policy may have: loading, diagnoses and the manual come from these rows. */
#include "policy_room.h"

#include <stdarg.h>
#include <stdio.h>

#define WANT(w) YAML_WANT_##w, false, false
#define MUST(w) YAML_WANT_##w, true, false

static const struct yaml_key top[] = {
    {"policy", MUST(NUMBER), "version of this language: 1"},
    {"name", MUST(TEXT), "the policy's name, the same as its file's without .yaml"},
    {"activity", WANT(TEXT),
     "entry in the register of processing activities (AVG art. 30), in every log line; the "
     "policy's name when left out"},
    {"purpose", WANT(TEXT), "what the processing is for, for the register"},
    {"controller", WANT(MAP), "who is responsible"},
    {"processors", WANT(LIST), "who processes on the controller's behalf, for the register"},
    {"detect", WANT(MAP), "what is looked for, and how sure a finding must be"},
    {"recognisers", WANT(LIST), "the policy's own types of finding"},
    {"profiles", WANT(MAP), "masking profiles by name: what a reader gets of each type of finding"},
    {"originals", WANT(LIST), "how long the original text is kept; first match; without: never"},
    {"history", WANT(LIST), "how long the masked text is kept; first match; without: never"},
    {"on_revoke", WANT(TEXT),
     "erase or hide (kept, and shown to nobody): what becomes of a message that the customer takes "
     "back; without: erase"},
    {"selection", WANT(TEXT),
     "required: every rule of `history` that keeps anything names its selection list"},
    {"roles", WANT(MAP), "who may do what, by name"},
    {"routes", WANT(MAP), "tools by name, each with its profile"},
    {"media", WANT(MAP), "what is done with files by kind; without: withhold"},
    {"outbound", WANT(MAP), "what may go out to customers"},
    {"notices", WANT(MAP), "texts to customers, by what they answer"},
    {"hours", WANT(ANY), "opening hours: 09:00-17:30, or open, days and holidays; without: always"},
    {"log", WANT(MAP), "the access log"},
    {"until", WANT(TEXT),
     "makes this an observing policy, which changes nothing for tools: its last day, at most 30 "
     "days "
     "ahead"},
    {"then", WANT(TEXT), "the policy that holds after `until`"},
};

static const struct yaml_key controller[] = {
    {"name", MUST(TEXT), "the organisation's name"},
    {"dpo", WANT(TEXT), "mail address of the data protection officer"},
};

static const struct yaml_key processor[] = {
    {"name", MUST(TEXT), "the processor's name"},
    {"agreement", WANT(TEXT), "the processing agreement"},
    {"keeps", WANT(DURATION), "how long it keeps what it gets"},
    {"transfer", WANT(TEXT), "ground of a transfer outside the EEA"},
};

static const struct yaml_key detect[] = {
    {"default", WANT(MAP),
     "threshold of every type not named here; without: 0.70, bsn 0.50, name and special off"},
};

static const struct yaml_key detect_type[] = {
    {"from", WANT(ANY), "lowest score that counts as a finding, 0 to 1"},
    {"strict", WANT(BOOL),
     "bsn only: any nine digits that pass the elfproef are a BSN, context or not; default false"},
    {"words", WANT(LIST), "special only, and required there: single words that count (AVG art. 9)"},
};

static const struct yaml_key recogniser[] = {
    {"name", MUST(TEXT), "name of the type"},
    {"patterns", MUST(LIST), "regular expressions (PCRE2)"},
    {"validator", WANT(TEXT), "luhn, mod97, elfproef, mod11 or none; default none"},
    {"context", WANT(LIST), "words nearby that raise the score"},
    {"counter", WANT(LIST), "words nearby that lower the score"},
    {"score", WANT(ANY), "score without context, 0 to 1; default 0.70"},
};

static const struct yaml_key profile[] = {
    {"default", WANT(ANY), "action for every type not named here; default redact"},
    {"contact", WANT(TEXT),
     "keep or alias: with alias the contact's number and every identifier that holds it are "
     "replaced; default keep"},
    {"rules", WANT(LIST), "rules with conditions, before the rows of the profile; first match"},
};

static const struct yaml_key profile_case[] = {
    {"when", MUST(MAP), "the conditions; all of them hold"},
    {"default", WANT(ANY), "action for every type that this rule does not name"},
};

#define WHEN_KEYS                                                                                  \
    {"found", WANT(ANY), "a type or a list of types: messages with one of these; without: any"},   \
        {"not_found", WANT(ANY), "a type or a list of types: messages with none of these"},        \
        {"kind", WANT(TEXT), "media or text; without: both"},                                      \
        {"direction", WANT(TEXT),                                                                  \
         "in (customers) or out (the organisation, echoes of its app too); without: both"},        \
        {"channel", WANT(ANY), "a channel of sluis.yaml, or a list of them; without: any"},        \
        {"hour", WANT(TEXT), "when the message was sent: 18:00-08:00; without: any"},              \
        {"days", WANT(ANY), "ma di wo do vr za zo, or mon ... sun: one or a list; without: any"},  \
    {                                                                                              \
        "consent", WANT(TEXT), "given (the contact opted in) or missing; without: both"            \
    }

static const struct yaml_key when[] = {WHEN_KEYS};

static const struct yaml_key outbound_when[] = {
    WHEN_KEYS,
    {"role", WANT(TEXT), "the sender's role; without: any, and who has none"},
};

static const struct yaml_key role[] = {
    {"profile", WANT(TEXT), "the masking profile of what it reads; without: it sees no content"},
    {"may", WANT(LIST),
     "rights: history, reveal, search, export, log, policy, approve, roles, subject, hold, "
     "consent, "
     "stats, operate"},
    {"reveal", WANT(LIST), "types that it may reveal; with the right to reveal"},
    {"reason", WANT(TEXT), "required or optional: a reason for each reveal; default required"},
    {"reference", WANT(TEXT), "required or optional: the number of a case; default optional"},
    {"hours", WANT(ANY), "when the role holds: 08:00-18:00, or open, days and holidays"},
};

static const struct yaml_key action[] = {
    {"partial", MUST(MAP), "shows some characters, the rest becomes dots"},
};

static const struct yaml_key partial[] = {
    {"first", WANT(NUMBER), "characters shown at the start; default 0"},
    {"last", WANT(NUMBER), "characters shown at the end; default 0; 10 in all at most"},
};

static const struct yaml_key rule[] = {
    WHEN_KEYS,
    {"keep", MUST(TEXT), "a duration of at least 1h, or never: not written at all"},
    {"ground", WANT(TEXT), "legal ground, for the register"},
    {"selection", WANT(TEXT),
     "selection list (Archiefwet); makes the term a minimum, else it is a maximum"},
};

static const struct yaml_key route[] = {
    {"profile", MUST(TEXT), "the masking profile of this tool"},
    {"media", WANT(TEXT), "withhold or pass, whatever `media` says"},
};

static const struct yaml_key media[] = {
    {"card", WANT(TEXT), "pictures of payment cards: redact, withhold or pass"},
    {"id_document", WANT(TEXT), "pictures of identity documents: redact, withhold or pass"},
    {"mrz", WANT(TEXT), "pictures with a machine-readable zone: redact, withhold or pass"},
    {"bsn", WANT(TEXT), "pictures with a BSN: redact, withhold or pass"},
    {"iban", WANT(TEXT), "pictures with an account number: redact, withhold or pass"},
    {"payment_code", WANT(TEXT), "QR codes with an account: redact, withhold or pass"},
    {"other", WANT(TEXT), "pictures with any other finding: redact, withhold or pass"},
    {"clean", WANT(TEXT), "pictures in which nothing was found: pass or withhold; default pass"},
    {"unknown", WANT(TEXT),
     "pictures that could not be inspected, and whatever else: withhold or pass"},
    {"document", WANT(TEXT), "documents: withhold or pass"},
    {"audio", WANT(TEXT), "voice messages and sound: withhold or pass"},
    {"video", WANT(TEXT), "videos: withhold or pass; default as unknown"},
};

static const struct yaml_key outbound[] = {
    {"found", WANT(MAP), "what is done with findings in a text that goes out, by type"},
    {"roles", WANT(MAP), "the same by role, before `found`"},
    {"rules", WANT(LIST), "rules with conditions, before `roles` and `found`; first match"},
    {"links", WANT(LIST), "domains that may be linked to, others are refused; without: any"},
    {"templates", WANT(LIST), "templates that may be sent, others are refused; without: any"},
    {"purposes", WANT(LIST), "each of the templates has one of these purposes"},
    {"attachments", WANT(LIST),
     "kinds of attachment that may be sent: image, document, audio, video, sticker, location, "
     "contacts; without: any"},
    {"window", WANT(BOOL),
     "free messages outside WhatsApp's 24-hour window are refused here; default true"},
    {"consent", WANT(MAP), "what must be on record before a template goes out, by category"},
    {"pace", WANT(MAP), "how many messages one contact is sent"},
    {"stop", WANT(LIST), "words by which a contact opts out; without: stop, afmelden and the like"},
};

static const struct yaml_key outbound_rule[] = {
    {"when", MUST(MAP), "the conditions; all of them hold; here also `role`"},
    {"found", MUST(MAP), "what is done with findings, by type"},
};

static const struct yaml_key outbound_role[] = {
    {"found", WANT(MAP), "what is done with findings in what this role sends, by type"},
    {"attachments", WANT(LIST), "kinds of attachment that this role may send"},
};

static const struct yaml_key template[] = {
    {"name", MUST(TEXT), "the template's name at Meta"},
    {"category", WANT(TEXT), "marketing, utility or authentication"},
    {"purpose", WANT(TEXT), "what it is for: one word, as in `purposes`"},
};

static const struct yaml_key consent[] = {
    {"marketing", WANT(ANY), "templates that advertise"},
    {"utility", WANT(ANY), "templates about something the contact asked for or has with us"},
    {"authentication", WANT(ANY), "templates with a code"},
    {"service", WANT(ANY), "messages that are no template"},
};

static const struct yaml_key pace[] = {
    {"messages", MUST(NUMBER), "how many, at least 1"},
    {"per", MUST(DURATION), "in what time, at least 1min"},
};

static const struct yaml_key notice[] = {
    {"nl", MUST(TEXT), "the text in Dutch"},
    {"en", WANT(TEXT), "the text in English; without: the Dutch one for everybody"},
    {"safe", WANT(TEXT), "address of the safe channel, https://; stands below the text"},
    {"every", WANT(DURATION), "at most once in this time for one contact, at least 1h; default 7d"},
    {"after", WANT(DURATION), "first only: silence after which it is sent again; default 180d"},
};

static const struct yaml_key hours[] = {
    {"open", MUST(TEXT), "from when till when: 09:00-17:30, Europe/Amsterdam"},
    {"days", WANT(ANY), "ma di wo do vr za zo, or mon ... sun: one or a list; default ma to vr"},
    {"holidays", WANT(LIST), "days on which it is closed: 2026-12-25"},
};

static const struct yaml_key found[] = {
    {"default", WANT(TEXT), "mask, refuse or pass, for every type not named here; default mask"},
};

static const struct yaml_key log_keys[] = {
    {"keep", MUST(DURATION), "how long the access log is kept, at least 1d"},
};

#define TABLE(heading, keys)                                                                       \
    {                                                                                              \
        heading, keys, sizeof(keys) / sizeof((keys)[0])                                            \
    }
const struct policy_table policy_tables[POLICY_KEYS_TABLES] = {
    [POLICY_KEYS_TOP] = TABLE("Top level", top),
    [POLICY_KEYS_CONTROLLER] = TABLE("controller", controller),
    [POLICY_KEYS_PROCESSOR] = TABLE("processors[]", processor),
    [POLICY_KEYS_DETECT] = TABLE("detect", detect),
    [POLICY_KEYS_DETECT_TYPE] = TABLE("detect.TYPE", detect_type),
    [POLICY_KEYS_RECOGNISER] = TABLE("recognisers[]", recogniser),
    [POLICY_KEYS_PROFILE] = TABLE("profiles.NAME", profile),
    [POLICY_KEYS_ACTION] = TABLE("Actions", action),
    [POLICY_KEYS_PARTIAL] = TABLE("partial", partial),
    [POLICY_KEYS_RULE] = TABLE("originals[] and history[]", rule),
    [POLICY_KEYS_ROUTE] = TABLE("routes.NAME", route),
    [POLICY_KEYS_MEDIA] = TABLE("media", media),
    [POLICY_KEYS_OUTBOUND] = TABLE("outbound", outbound),
    [POLICY_KEYS_FOUND] = TABLE("outbound.found", found),
    [POLICY_KEYS_LOG] = TABLE("log", log_keys),
    [POLICY_KEYS_WHEN] = TABLE("when", when),
    [POLICY_KEYS_CASE] = TABLE("profiles.NAME.rules[]", profile_case),
    [POLICY_KEYS_ROLE] = TABLE("roles.NAME", role),
    [POLICY_KEYS_OUTBOUND_RULE] = TABLE("outbound.rules[]", outbound_rule),
    [POLICY_KEYS_OUTBOUND_WHEN] = TABLE("outbound.rules[].when", outbound_when),
    [POLICY_KEYS_OUTBOUND_ROLE] = TABLE("outbound.roles.NAME", outbound_role),
    [POLICY_KEYS_TEMPLATE] = TABLE("outbound.templates[]", template),
    [POLICY_KEYS_CONSENT] = TABLE("outbound.consent", consent),
    [POLICY_KEYS_PACE] = TABLE("outbound.pace", pace),
    [POLICY_KEYS_NOTICE] = TABLE("notices.NAME", notice),
    [POLICY_KEYS_HOURS] = TABLE("hours", hours),
};

int policy_check(const struct loader *l, const struct yaml_node *map, enum policy_table_index table)
{
    return yaml_check_map(l->doc, map, policy_tables[table].keys, policy_tables[table].n, l->diag);
}

int policy_check_types(const struct loader *l, const struct yaml_node *map,
                       enum policy_table_index table)
{
    int error = yaml_expect(l->doc, map, YAML_WANT_MAP, l->diag);
    for (const struct yaml_node *n = map->child; n && !error; n = n->next) {
        const struct yaml_key *key = policy_tables[table].keys;
        const struct yaml_key *end = key + policy_tables[table].n;
        while (key < end && strcmp(key->name, n->key) != 0)
            key++;
        if (key < end)
            error = yaml_expect(l->doc, n, key->want, l->diag);
        else if (policy_type(l->policy, n->key) == DETECT_TYPES_MAX)
            error = policy_unknown_type(l, n, n->key, table);
    }
    return error;
}

int policy_no_memory(const struct loader *l)
{
    diag_set(l->diag, yaml_file(l->doc), 0, 0, "out of memory");
    return SLUIS_ENOMEM;
}

int policy_take_reason(const struct loader *l, const struct yaml_node *node,
                       struct policy_reason *out, const char *format, ...)
{
    char name[3 * (POLICY_NAME_MAX + 1)];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    out->rule = arena_try_str(&l->policy->arena, span_str(name));
    out->line = node->key ? node->key_line : node->line;
    return out->rule ? 0 : policy_no_memory(l);
}

unsigned policy_type(const struct policy *policy, const char *word)
{
    enum detect_type type = detect_type_of(span_str(word));
    if (type < DETECT_OWN)
        return type;
    for (size_t i = 0; i < policy->settings.own_count; i++)
        if (strcmp(policy->own[i].name, word) == 0)
            return DETECT_OWN + (unsigned)i;
    return DETECT_TYPES_MAX;
}

int policy_unknown_type(const struct loader *l, const struct yaml_node *node, const char *word,
                        enum policy_table_index table)
{
    const char *words[TYPE_WORDS_MAX];
    size_t n = 0;
    for (unsigned t = 0; t < DETECT_OWN; t++)
        words[n++] = detect_type_word((enum detect_type)t);
    for (size_t i = 0; i < l->policy->settings.own_count; i++)
        words[n++] = l->policy->own[i].name;
    if (node->key)
        for (size_t i = 0; i < policy_tables[table].n && n < TYPE_WORDS_MAX; i++)
            words[n++] = policy_tables[table].keys[i].name;
    const char *near = yaml_nearest(word, words, n);
    struct yaml_quote quote;
    return yaml_error_key(l->doc, node, l->diag, "unknown type %s%s%s%s", yaml_quote(&quote, word),
                          near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

int policy_take_name(const struct loader *l, const struct yaml_node *node, const char *text,
                     const char **out)
{
    size_t n = strlen(text);
    bool good = n > 0 && n <= POLICY_NAME_MAX && text[0] >= 'a' && text[0] <= 'z' &&
                strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
    struct yaml_quote quote;
    if (!good)
        return yaml_error_key(l->doc, node, l->diag,
                              "%s is not a name: lower-case letters, digits, - and _, a letter "
                              "first, at most %d",
                              yaml_quote(&quote, text), POLICY_NAME_MAX);
    *out = arena_try_str(&l->policy->arena, span_str(text));
    return *out ? 0 : policy_no_memory(l);
}

int policy_take_text(const struct loader *l, const struct yaml_node *node, const char **out)
{
    int error = yaml_expect(l->doc, node, YAML_WANT_TEXT, l->diag);
    if (error)
        return error;
    size_t n = strlen(node->text);
    bool good = n > 0 && n <= POLICY_TEXT_TEXT_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = (unsigned char)node->text[i] >= 0x20;
    if (!good)
        return yaml_error(l->doc, node, l->diag, "expected one line of 1 to %d bytes",
                          POLICY_TEXT_TEXT_MAX);
    *out = arena_try_str(&l->policy->arena, span_str(node->text));
    return *out ? 0 : policy_no_memory(l);
}
