/* The entry in the register of processing activities (AVG art. 30), made from the policy itself. */
#include "policy_register.h"

#include <stdio.h>

#define say register_say
#define cell register_cell
#define keep register_keep

void register_say(const struct writer *w, const char *nl, const char *en)
{
    buffer_add_str(w->out, w->lang == NL ? nl : en);
}

void register_cell(const struct writer *w, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (strchr("|\\`*_<>[]&#", *c))
            buffer_add_char(w->out, '\\');
        buffer_add_char(w->out, *c);
    }
}

static void row(const struct writer *w, const char *nl, const char *en, const char *value)
{
    buffer_add(w->out, SPAN("| "));
    say(w, nl, en);
    buffer_add(w->out, SPAN(" | "));
    if (value && *value)
        cell(w, value);
    else
        say(w, "*in te vullen: staat niet in het beleid*", "*to be filled in: not in the policy*");
    buffer_add(w->out, SPAN(" |\n"));
}

static const char *type_name(const struct writer *w, unsigned type)
{
    static const char *const names[DETECT_OWN][2] = {
        [DETECT_IBAN] = {"rekeningnummer (IBAN)", "account number (IBAN)"},
        [DETECT_BSN] = {"burgerservicenummer (nationaal identificatienummer, AVG art. 87)",
                        "citizen service number (national identification number, GDPR art. 87)"},
        [DETECT_PAN] = {"betaalkaartnummer", "payment card number"},
        [DETECT_EMAIL] = {"mailadres", "mail address"},
        [DETECT_PHONE] = {"telefoonnummer", "phone number"},
        [DETECT_ADDRESS] = {"adres", "address"},
        [DETECT_DOB] = {"geboortedatum", "date of birth"},
        [DETECT_LICENCE_PLATE] = {"kenteken", "licence plate"},
        [DETECT_ID_DOCUMENT] = {"nummer van een identiteitsbewijs", "identity document number"},
        [DETECT_SECRET] = {"wachtwoord, pincode, beveiligingscode", "password, PIN, security code"},
        [DETECT_LOCATION] = {"locatie", "location"},
        [DETECT_NAME] = {"naam", "name"},
        [DETECT_SPECIAL] = {"bijzondere gegevens (AVG art. 9), op woorden",
                            "special categories (GDPR art. 9), by words"}};
    return type < DETECT_OWN ? names[type][w->lang] : policy_type_word(w->p, type);
}

static bool looked_for(const struct policy *p, unsigned type)
{
    if (type >= DETECT_OWN)
        return type - DETECT_OWN < p->settings.own_count;
    return p->settings.from[type] <= 1000;
}

/* The same in a word, for lists. */
void register_type(const struct writer *w, unsigned type)
{
    static const char *const words[DETECT_OWN][2] = {
        [DETECT_IBAN] = {"IBAN", "IBAN"},
        [DETECT_BSN] = {"BSN", "BSN"},
        [DETECT_PAN] = {"betaalkaartnummer", "payment card number"},
        [DETECT_EMAIL] = {"mailadres", "mail address"},
        [DETECT_PHONE] = {"telefoonnummer", "phone number"},
        [DETECT_ADDRESS] = {"adres", "address"},
        [DETECT_DOB] = {"geboortedatum", "date of birth"},
        [DETECT_LICENCE_PLATE] = {"kenteken", "licence plate"},
        [DETECT_ID_DOCUMENT] = {"documentnummer", "identity document number"},
        [DETECT_SECRET] = {"wachtwoord of code", "password or code"},
        [DETECT_LOCATION] = {"locatie", "location"},
        [DETECT_NAME] = {"naam", "name"},
        [DETECT_SPECIAL] = {"bijzonder gegeven", "special category"}};
    if (type < DETECT_OWN)
        buffer_add_str(w->out, words[type][w->lang]);
    else
        cell(w, policy_type_word(w->p, type));
}

static void add_share(const struct writer *w, unsigned thousandths)
{
    buffer_addf(w->out, "%u%c%02u", thousandths / 1000, w->lang == NL ? ',' : '.',
                thousandths / 10 % 100);
}

static void categories(const struct writer *w)
{
    say(w,
        "\n## Categorieën van gegevens\n\nBetrokkenen: wie de organisatie over WhatsApp schrijft, "
        "wie in die berichten wordt genoemd, en medewerkers die antwoorden. Gegevens: "
        "telefoonnummer en WhatsApp-naam, de berichten, en wat daarin wordt herkend:\n\n"
        "| herkend | vanaf score |\n|---|---|\n",
        "\n## Categories of data\n\nData subjects: who writes to the organisation over WhatsApp, "
        "who "
        "is mentioned in those messages, and the staff that answers. Data: phone number and "
        "WhatsApp name, the messages, and what is recognised in them:\n\n"
        "| recognised | from score |\n|---|---|\n");
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        if (!looked_for(w->p, t))
            continue;
        buffer_add(w->out, SPAN("| "));
        if (t < DETECT_OWN)
            buffer_add_str(w->out, type_name(w, t));
        else
            cell(w, type_name(w, t));
        buffer_add(w->out, SPAN(" | "));
        add_share(w, t < DETECT_OWN ? w->p->settings.from[t] : 700);
        buffer_add(w->out, SPAN(" |\n"));
    }
    say(w, "\nNiet gezocht: ", "\nNot looked for: ");
    bool any = false;
    for (unsigned t = 0; t < DETECT_OWN; t++)
        if (!looked_for(w->p, t)) {
            buffer_addf(w->out, "%s%s", any ? "; " : "", type_name(w, t));
            any = true;
        }
    say(w, any ? ".\n" : "niets van de bekende soorten.\n",
        any ? ".\n" : "nothing of the known types.\n");
}

static void seen_as(const struct writer *w, const struct profile *profile, enum mask_action action,
                    const char *nl, const char *en)
{
    bool any = false;
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        if (!looked_for(w->p, t) || profile->rules[t].action != action)
            continue;
        if (!any)
            say(w, nl, en);
        buffer_add(w->out, any ? SPAN(", ") : SPAN(": "));
        register_type(w, t);
        any = true;
    }
    if (any)
        buffer_add(w->out, SPAN("; "));
}

/* What becomes of a picture, by what is seen in it. */
static void pictures(const struct writer *w, const struct policy_route *route)
{
    static const char *const seen[POLICY_PICTURES][2] = {
        [POLICY_PICTURE_UNKNOWN] = {"niet te beoordelen", "cannot be judged"},
        [POLICY_PICTURE_CLEAN] = {"niets gevonden", "nothing found"},
        [POLICY_PICTURE_CARD] = {"betaalkaart", "payment card"},
        [POLICY_PICTURE_ID_DOCUMENT] = {"identiteitsbewijs", "identity document"},
        [POLICY_PICTURE_MRZ] = {"machineleesbare zone", "machine-readable zone"},
        [POLICY_PICTURE_BSN] = {"BSN", "BSN"},
        [POLICY_PICTURE_IBAN] = {"IBAN", "IBAN"},
        [POLICY_PICTURE_PAYMENT_CODE] = {"betaalcode (QR)", "payment code (QR)"},
        [POLICY_PICTURE_OTHER] = {"andere bevinding", "another finding"}};
    static const struct {
        enum media_action action;
        const char *nl, *en;
    } rows[] = {{MEDIA_PASS, "doorgegeven", "passed"},
                {MEDIA_REDACT, "afgedekt", "covered"},
                {MEDIA_WITHHOLD, "achtergehouden", "withheld"}};
    say(w, "beelden: ", "pictures: ");
    for (size_t i = 0, n = 0; i < 3; i++) {
        unsigned any = 0, all = 0;
        for (unsigned c = 0; c < POLICY_PICTURES; c++)
            all += policy_picture(w->p, route, (enum policy_picture)c) == rows[i].action;
        if (!all)
            continue;
        buffer_add_str(w->out, n++ ? ", " : "");
        say(w, rows[i].nl, rows[i].en);
        if (all == POLICY_PICTURES)
            continue;
        for (unsigned c = 0; c < POLICY_PICTURES; c++)
            if (policy_picture(w->p, route, (enum policy_picture)c) == rows[i].action)
                buffer_addf(w->out, "%s%s", any++ ? ", " : " (", seen[c][w->lang]);
        buffer_add_char(w->out, ')');
    }
}

/* Files that nobody looks into. */
static void files(const struct writer *w, const struct policy_route *route)
{
    static const struct {
        enum policy_media_kind kind;
        const char *nl, *en;
    } rows[] = {{POLICY_MEDIA_DOCUMENT, "; documenten: ", "; documents: "},
                {POLICY_MEDIA_AUDIO, "; geluid: ", "; sound: "},
                {POLICY_MEDIA_VIDEO, "; video: ", "; video: "}};
    for (size_t i = 0; i < 3; i++) {
        bool passes = policy_route_media(w->p, route, rows[i].kind) == MEDIA_PASS;
        say(w, rows[i].nl, rows[i].en);
        say(w, passes ? "doorgegeven, niet van binnen bekeken" : "achtergehouden",
            passes ? "passed, not looked into" : "withheld");
    }
}

static void recipients(const struct writer *w)
{
    say(w, "\n## Ontvangers\n\n| ontvanger | wat hij ziet |\n|---|---|\n",
        "\n## Recipients\n\n| recipient | what it sees |\n|---|---|\n");
    for (size_t i = 0; i < w->p->route_count; i++) {
        const struct policy_route *r = &w->p->routes[i].door;
        buffer_addf(w->out, "| %s | ", r->name);
        seen_as(w, r->profile, MASK_KEEP, "leesbaar", "readable");
        seen_as(w, r->profile, MASK_PARTIAL, "deels", "in part");
        seen_as(w, r->profile, MASK_HASH, "als hash", "as a hash");
        seen_as(w, r->profile, MASK_TOKEN, "als token", "as a token");
        seen_as(w, r->profile, MASK_REDACT, "vervangen", "replaced");
        seen_as(w, r->profile, MASK_BLOCK, "het hele bericht verborgen", "whole message hidden");
        if (profile_has_conditions(r->profile))
            say(w, "onder voorwaarden anders; ", "otherwise under conditions; ");
        say(w,
            r->profile->hides_contact ? "nummer van de klant: alias; "
                                      : "nummer van de klant: ja; ",
            r->profile->hides_contact ? "customer's number: alias; " : "customer's number: yes; ");
        pictures(w, r);
        files(w, r);
        buffer_add(w->out, SPAN(" |\n"));
    }
}

static void processors(const struct writer *w)
{
    say(w, "\n## Verwerkers en doorgifte\n\n", "\n## Processors and transfers\n\n");
    if (!w->p->processor_count) {
        say(w,
            "*In te vullen: het beleid noemt geen verwerkers (`processors`). Meta, dat de WhatsApp "
            "Cloud API levert, is er altijd één.*\n",
            "*To be filled in: the policy names no processors (`processors`). Meta, which runs the "
            "WhatsApp Cloud API, always is one.*\n");
        return;
    }
    say(w, "| verwerker | overeenkomst | bewaart | doorgifte buiten de EER |\n|---|---|---|---|\n",
        "| processor | agreement | keeps | transfer outside the EEA |\n|---|---|---|---|\n");
    for (size_t i = 0; i < w->p->processor_count; i++) {
        const struct processor *p = &w->p->processors[i];
        const char *const texts[] = {p->name, p->agreement, p->keeps, p->transfer};
        for (size_t k = 0; k < 4; k++) {
            buffer_add(w->out, SPAN("| "));
            if (texts[k][0])
                cell(w, texts[k]);
            else if (k == 3)
                say(w, "niet genoemd", "not stated");
            else
                say(w, "*in te vullen*", "*to be filled in*");
            buffer_add_char(w->out, ' ');
        }
        buffer_add(w->out, SPAN("|\n"));
    }
}

void register_keep(const struct writer *w, const struct retention_rule *rule)
{
    static const struct {
        int64_t seconds;
        const char *nl, *en;
    } units[] = {{365 * 86400, "jaar", "years"},
                 {365 * 7200, "maanden", "months"},
                 {86400, "dagen", "days"},
                 {3600, "uur", "hours"},
                 {1, "seconden", "seconds"}};
    if (rule->never) {
        say(w, "niet opgeslagen", "not stored");
        return;
    }
    size_t u = 0;
    /* a day is written in hours, as policies do */
    while (rule->keep_s % units[u].seconds || rule->keep_s / units[u].seconds == (u == 2))
        u++;
    say(w, rule->minimum ? "ten minste " : "ten hoogste ",
        rule->minimum ? "at least " : "at most ");
    long long n = rule->keep_s / units[u].seconds;
    buffer_addf(w->out, "%lld ", n);
    say(w, n == 1 && u == 1 ? "maand" : units[u].nl, units[u].en);
    if (w->lang == EN && n == 1)
        w->out->n--; /* 1 year */
}

static void condition(const struct writer *w, const struct rule *rule)
{
    bool any = false;
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++)
        if (rule->when.found >> t & 1) {
            say(w, any ? " of " : "met ", any ? " or " : "with ");
            register_type(w, t);
            any = true;
        }
    if (rule->when.kind != RULE_ANY) {
        buffer_add_str(w->out, any ? ", " : "");
        say(w, rule->when.kind == RULE_MEDIA ? "bestand" : "tekst",
            rule->when.kind == RULE_MEDIA ? "file" : "text");
        any = true;
    }
    if (rule->when.direction != RULE_BOTH) {
        buffer_add_str(w->out, any ? ", " : "");
        say(w, rule->when.direction == RULE_IN ? "ontvangen" : "verstuurd",
            rule->when.direction == RULE_IN ? "received" : "sent");
        any = true;
    }
    for (unsigned t = 0, first = 1; t < DETECT_TYPES_MAX; t++)
        if (rule->when.not_found >> t & 1) {
            buffer_add_str(w->out, any && first ? ", " : "");
            say(w, first ? "zonder " : " of ", first ? "without " : " or ");
            register_type(w, t);
            any = true;
            first = 0;
        }
    if (rule->when.consent != RULE_CONSENT_ANY) {
        buffer_add_str(w->out, any ? ", " : "");
        say(w, rule->when.consent == RULE_CONSENT_GIVEN ? "met toestemming" : "zonder toestemming",
            rule->when.consent == RULE_CONSENT_GIVEN ? "with consent" : "without consent");
        any = true;
    }
    if (rule->when.hours.said) {
        const struct hours *h = &rule->when.hours;
        buffer_addf(w->out, "%s%02u:%02u-%02u:%02u", any ? ", " : "", h->open / 60u, h->open % 60u,
                    h->close / 60u, h->close % 60u);
        any = true;
    }
    for (size_t i = 0; i < rule->when.channel_count; i++) {
        buffer_addf(w->out, "%s%s", any ? ", " : "", rule->when.channels[i]);
        any = true;
    }
    if (!any)
        say(w, "al het overige", "everything else");
}

static void retention(const struct writer *w, enum retention_part part)
{
    const struct rules *rules = &w->p->rules[part];
    if (part == RETENTION_ORIGINAL)
        say(w, "\n### Oorspronkelijke tekst\n\n", "\n### Original text\n\n");
    else
        say(w, "\n### Afgeschermde tekst\n\n", "\n### Masked text\n\n");
    say(w, "| bericht | termijn | grondslag | selectielijst |\n|---|---|---|---|\n",
        "| message | term | ground | selection list |\n|---|---|---|---|\n");
    for (size_t i = 0; i < rules->n; i++) {
        const struct rule *rule = &rules->at[i];
        buffer_add(w->out, SPAN("| "));
        condition(w, rule);
        buffer_add(w->out, SPAN(" | "));
        keep(w, &rule->door);
        buffer_add(w->out, SPAN(" | "));
        if (rule->door.ground[0])
            cell(w, rule->door.ground);
        else
            say(w, "*in te vullen*", "*to be filled in*");
        buffer_add(w->out, SPAN(" | "));
        cell(w, rule->door.selection);
        buffer_add(w->out, SPAN(" |\n"));
    }
    if (!rules->n)
        say(w, "| alles | niet opgeslagen | | |\n", "| everything | not stored | | |\n");
}

static void outbound(const struct writer *w)
{
    static const char *const words[][2] = {[OUTBOUND_REFUSE] = {"geweigerd", "refused"},
                                           [OUTBOUND_MASK] = {"vervangen", "replaced"},
                                           [OUTBOUND_PASS] = {"doorgelaten", "passed"}};
    say(w, "\n## Wat medewerkers en programma's versturen\n\n",
        "\n## What staff and programs send\n\n");
    static const enum outbound_action order[] = {OUTBOUND_REFUSE, OUTBOUND_MASK, OUTBOUND_PASS};
    for (size_t i = 0; i < 3; i++) {
        bool any = false;
        for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
            if (!looked_for(w->p, t) || (enum outbound_action)w->p->outbound.actions[t] != order[i])
                continue;
            buffer_addf(w->out, "%s", any ? ", " : "- ");
            if (!any)
                buffer_addf(w->out, "%s: ", words[order[i]][w->lang]);
            register_type(w, t);
            any = true;
        }
        if (any)
            buffer_add_char(w->out, '\n');
    }
    if (w->p->outbound_case_count || w->p->outbound_role_count)
        say(w, "- onder voorwaarden of voor sommige rollen anders\n",
            "- otherwise under conditions or for some roles\n");
}

static void listed(const struct writer *w, const char *nl, const char *en, bool said,
                   const char *const *list, size_t n)
{
    buffer_add(w->out, SPAN("- "));
    say(w, nl, en);
    buffer_add(w->out, SPAN(": "));
    if (!said || !n)
        say(w, said ? "geen" : "alle", said ? "none" : "any");
    for (size_t i = 0; i < n; i++) {
        buffer_add_str(w->out, i ? ", " : "");
        cell(w, list[i]);
    }
    buffer_add_char(w->out, '\n');
}

static void templates(const struct writer *w)
{
    say(w, "- sjablonen: ", "- templates: ");
    if (!w->p->templates_said || !w->p->template_count)
        say(w, w->p->templates_said ? "geen" : "alle", w->p->templates_said ? "none" : "any");
    for (size_t i = 0; i < w->p->template_count; i++) {
        const struct policy_template *t = &w->p->templates[i];
        buffer_add_str(w->out, i ? ", " : "");
        cell(w, t->name);
        const char *category = policy_category_word(t->category);
        if (category || t->purpose[0])
            buffer_addf(w->out, " (%s%s%s)", category ? category : "",
                        category && t->purpose[0] ? ", " : "", t->purpose);
    }
    buffer_add_char(w->out, '\n');
}

static void measures(const struct writer *w)
{
    say(w,
        "\n## Maatregelen\n\n"
        "- Ontvangers krijgen berichten afgeschermd, zoals hierboven; wat niet kan worden "
        "gecontroleerd, wordt niet getoond.\n"
        "- Opslag is versleuteld (XChaCha20-Poly1305); verlopen en gewiste gegevens worden "
        "onleesbaar "
        "doordat hun sleutel wordt vernietigd.\n"
        "- Elke verstrekking staat in een toegangslogboek zonder inhoud, met handtekening; ",
        "\n## Measures\n\n"
        "- Recipients get messages masked as above; what cannot be inspected is not shown.\n"
        "- Storage is encrypted (XChaCha20-Poly1305); expired and erased data become unreadable by "
        "destruction of their key.\n"
        "- Every disclosure stands in a signed access log without content; ");
    if (w->p->log_keep_s) {
        const struct retention_rule log = {.keep_s = w->p->log_keep_s, .minimum = true};
        say(w, "bewaard ", "kept ");
        keep(w, &log);
        buffer_add(w->out, SPAN(".\n"));
    } else {
        say(w, "bewaard zonder termijn.\n", "kept without a term.\n");
    }
    say(w,
        "- Herkenning is niet volledig: wat zij mist, is leesbaar voor de ontvanger. Documenten, "
        "geluid en video worden niet van binnen bekeken.\n"
        "- Meta verwerkt de berichten buiten deze voorziening om; daarover gaat de overeenkomst "
        "met "
        "Meta.\n",
        "- Recognition is not complete: what it misses is readable for the recipient. Documents, "
        "sound and video are not looked into.\n"
        "- Meta handles the messages outside this gateway; the agreement with Meta is about "
        "that.\n");
}

int policy_register(const struct policy *policy, bool dutch, struct buffer *out)
{
    const struct writer writer = {policy, out, dutch ? NL : EN}, *w = &writer;
    say(w, "# Register van verwerkingsactiviteiten: ", "# Record of processing activities: ");
    cell(w, policy->activity);
    say(w, "\n\nAVG art. 30, gemaakt uit het beleid ", "\n\nGDPR art. 30, made from policy ");
    buffer_addf(out, "%s (%.16s).\n\n", policy->name, policy->hash);
    say(w, "| gegeven | inhoud |\n|---|---|\n", "| item | content |\n|---|---|\n");
    row(w, "verwerkingsactiviteit", "processing activity", policy->activity);
    row(w, "verwerkingsverantwoordelijke", "controller", policy->controller);
    row(w, "functionaris gegevensbescherming", "data protection officer", policy->dpo);
    row(w, "doel", "purpose", policy->purpose);
    categories(w);
    recipients(w);
    register_people(w);
    processors(w);
    say(w, "\n## Bewaartermijnen\n\nDe eerste regel die past, geldt.\n",
        "\n## Retention\n\nThe first rule that fits holds.\n");
    retention(w, RETENTION_ORIGINAL);
    retention(w, RETENTION_HISTORY);
    if (policy->on_revoke == ON_REVOKE_ERASE)
        say(w, "\nWat een klant terugtrekt, wordt vernietigd.\n",
            "\nWhat a customer takes back is destroyed.\n");
    else
        say(w, "\nWat een klant terugtrekt, wordt verborgen en blijft de termijn bewaard.\n",
            "\nWhat a customer takes back is hidden, and kept for its term.\n");
    outbound(w);
    listed(w, "links naar", "links to", policy->links_said, policy->links, policy->link_count);
    templates(w);
    register_contact(w);
    measures(w);
    register_controls(w);
    return out->error;
}
