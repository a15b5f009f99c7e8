/* The register: people, what customers are told and sent, the table to ISO 27002 and BIO2, the
 * annex for a data protection impact assessment. */
#include "policy_register.h"

#include <stdio.h>

#define say register_say
#define cell register_cell

/* ---- people ---- */

static void types(const struct writer *w, uint64_t set)
{
    bool any = false;
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++)
        if (set >> t & 1) {
            buffer_add_str(w->out, any ? ", " : "");
            register_type(w, t);
            any = true;
        }
    if (!any)
        say(w, "niets", "nothing");
}

/* By bit of enum policy_right. */
static const char *const rights[POLICY_RIGHTS][2] = {
    {"afgeschermd gesprekken lezen", "read conversations masked"},
    {"afgeschermde gegevens tonen", "reveal masked data"},
    {"zoeken in gesprekken", "search conversations"},
    {"gesprekken uitvoeren", "export conversations"},
    {"toegangslogboek lezen", "read the access log"},
    {"beleid voorstellen en aanscherpen", "propose and tighten policy"},
    {"versoepeling van beleid goedkeuren", "approve loosened policy"},
    {"personen, tokens en rollen beheren", "manage persons, tokens and roles"},
    {"verzoeken van betrokkenen uitvoeren", "handle requests of data subjects"},
    {"gegevens vasthouden (bewaarplicht)", "legal holds"},
    {"toestemmingen vastleggen", "keep the consent registry"},
    {"tellingen zonder inhoud zien", "see counts without content"},
    {"de voorziening beheren", "operate the gateway"},
};

/* What a notice answers. */
static void occasion(const struct writer *w, const struct policy_notice *n)
{
    switch (n->on) {
    case POLICY_NOTICE_FIRST:
        say(w, "eerste bericht, of na lange stilte", "first message, or after long silence");
        break;
    case POLICY_NOTICE_CLOSED:
        say(w, "bericht buiten openingstijden", "message outside opening hours");
        break;
    case POLICY_NOTICE_STOP:
        say(w, "afmelding", "opting out");
        break;
    case POLICY_NOTICE_PICTURE:
        say(w, "beeld: ", "picture: ");
        if (n->picture == POLICY_PICTURE_CARD)
            say(w, "betaalkaart", "payment card");
        else
            cell(w, n->name);
        break;
    case POLICY_NOTICE_FOUND:
        say(w, "gevonden: ", "found: ");
        register_type(w, n->type);
        break;
    }
}

void register_people(const struct writer *w)
{
    if (!w->p->role_count)
        return;
    say(w,
        "\n## Medewerkers\n\n| rol | mag | ziet berichten als | kan tonen |\n|---|---|---|---|\n",
        "\n## Staff\n\n| role | may | sees messages as | may reveal |\n|---|---|---|---|\n");
    for (size_t i = 0; i < w->p->role_count; i++) {
        const struct policy_role *role = &w->p->roles[i].door;
        buffer_addf(w->out, "| %s | ", role->name);
        for (unsigned r = 0, any = 0; r < POLICY_RIGHTS; r++)
            if (role->may >> r & 1)
                buffer_addf(w->out, "%s%s", any++ ? ", " : "", rights[r][w->lang]);
        buffer_add(w->out, SPAN(" | "));
        if (role->profile)
            cell(w, profile_name(role->profile));
        else
            say(w, "geen inhoud", "no content");
        buffer_add(w->out, SPAN(" | "));
        types(w, role->reveal);
        if (role->reveal && role->reason_required)
            say(w, "; met reden", "; with a reason");
        if (role->reveal && role->reference_required)
            say(w, "; met zaaknummer", "; with the number of a case");
        if (w->p->roles[i].hours.said)
            say(w, "; op vaste uren", "; in fixed hours");
        buffer_add(w->out, SPAN(" |\n"));
    }
}

/* ---- what the contact is sent and told ---- */

void register_contact(const struct writer *w)
{
    /* by bit of enum policy_basis */
    static const char *const bases[POLICY_BASES][2] = {{"toestemming", "consent"},
                                                       {"klantrelatie", "customer relationship"},
                                                       {"overeenkomst", "contract"},
                                                       {"publieke taak", "public task"}};
    bool any = false;
    for (unsigned c = POLICY_CATEGORY_MARKETING; c < POLICY_CATEGORIES; c++) {
        unsigned needed = policy_consent_needed(w->p, (enum policy_category)c);
        if (!needed)
            continue;
        if (!any)
            say(w, "- eerst schrijven vraagt een grondslag die is vastgelegd: ",
                "- writing first needs a ground on record: ");
        buffer_addf(w->out, "%s%s (", any ? "; " : "",
                    policy_category_word((enum policy_category)c));
        for (unsigned i = 0, n = 0; i < POLICY_BASES; i++)
            if (needed >> i & 1)
                buffer_addf(w->out, "%s%s", n++ ? (w->lang == NL ? " of " : " or ") : "",
                            bases[i][w->lang]);
        buffer_add_char(w->out, ')');
        any = true;
    }
    buffer_add_str(w->out, any ? "\n" : "");
    if (w->p->pace.messages) {
        long long minutes = (long long)w->p->pace.per_s / 60;
        bool hours = minutes % 60 == 0;
        buffer_addf(w->out, "- %u ", w->p->pace.messages);
        say(w, "berichten aan één contact in ", "messages to one contact in ");
        buffer_addf(w->out, "%lld ", hours ? minutes / 60 : minutes);
        say(w, hours ? "uur" : "minuten", hours ? "hours" : "minutes");
        buffer_add_char(w->out, '\n');
    }
    if (!w->p->notice_count)
        return;
    say(w, "\n## Wat de klant te horen krijgt\n\n| aanleiding | tekst |\n|---|---|\n",
        "\n## What the customer is told\n\n| occasion | text |\n|---|---|\n");
    for (size_t i = 0; i < w->p->notice_count; i++) {
        const struct policy_notice *n = &w->p->notices[i].door;
        buffer_add(w->out, SPAN("| "));
        occasion(w, n);
        buffer_add(w->out, SPAN(" | "));
        cell(w, w->lang == EN && n->en[0] ? n->en : n->nl);
        if (n->safe[0]) {
            buffer_add_char(w->out, ' ');
            cell(w, n->safe);
        }
        buffer_add(w->out, SPAN(" |\n"));
    }
}

/* ---- standards ---- */

void register_controls(const struct writer *w)
{
    static const struct {
        const char *number;
        const char *name[2], *how[2], *proof;
    } rows[] = {
        {"5.34",
         {"privacy en bescherming van persoonsgegevens", "privacy and protection of PII"},
         {"dit register, maskering per ontvanger, rechten van betrokkenen, wissen met certificaat",
          "this register, masking per recipient, rights of data subjects, erasure with "
          "certificate"},
         "sluis policy register; sluis subject"},
        {"8.3",
         {"beperking van toegang tot informatie", "information access restriction"},
         {"rollen en tokens per kanaal, uren, scheiding van taken, herziening van toegang",
          "roles and tokens per channel, hours, separation of duties, access review"},
         "sluis role list --review"},
        {"8.10",
         {"verwijderen van informatie", "information deletion"},
         {"termijnen hierboven; vernietiging van sleutels, ondertekende verklaring",
          "the terms above; destruction of keys, signed statement"},
         "sluis purge --report"},
        {"8.11",
         {"maskeren van gegevens", "data masking"},
         {"profielen hierboven; wat niet beoordeeld kan worden, wordt niet getoond",
          "the profiles above; what cannot be judged is not shown"},
         "sluis policy test"},
        {"8.12",
         {"voorkomen van gegevenslekken", "data leakage prevention"},
         {"regels voor wat uitgaat: bevindingen, links, sjablonen, bijlagen, tempo",
          "rules for what goes out: findings, links, templates, attachments, pace"},
         "sluis policy explain --from agent"},
        {"8.15",
         {"logging", "logging"},
         {"toegangslogboek zonder inhoud, Merkle-boom, ondertekende controlepunten buiten de "
          "machine",
          "access log without content, Merkle tree, signed checkpoints outside the machine"},
         "sluis audit; sluis-verify"},
        {"8.24",
         {"gebruik van cryptografie", "use of cryptography"},
         {"XChaCha20-Poly1305 per record, sleutels buiten de database, TLS, Ed25519",
          "XChaCha20-Poly1305 per record, keys outside the database, TLS, Ed25519"},
         "sluis keys status"}};
    say(w,
        "\n## Normen\n\nISO/IEC 27002:2022; de BIO2 neemt de nummers over.\n\n"
        "| maatregel | waarmee | na te gaan met |\n|---|---|---|\n",
        "\n## Standards\n\nISO/IEC 27002:2022; the Dutch BIO2 has the same numbers.\n\n"
        "| control | by what | check with |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        buffer_addf(w->out, "| %s %s | %s | %s |\n", rows[i].number, rows[i].name[w->lang],
                    rows[i].how[w->lang], rows[i].proof);
}

/* ---- the annex for an impact assessment (AVG art. 35) ---- */

static const struct {
    const char *risk[2], *measure[2], *rest[2];
} risks[] = {
    {{"Een klant stuurt ongevraagd een BSN, pas of wachtwoord; meer mensen zien het dan nodig.",
      "A customer sends a BSN, card or password unasked; more people see it than need to."},
     {"Herkenning in elk veld en in beelden; elke ontvanger een eigen profiel; de klant wordt "
      "gewaarschuwd.",
      "Recognition in every field and in pictures; a profile for each recipient; the customer is "
      "told."},
     {"Wat herkenning mist, is leesbaar. Meet het met eigen voorbeelden.",
      "What recognition misses is readable. Measure it with examples of your own."}},
    {{"Een medewerker kijkt zonder reden.", "A member of staff looks without a reason."},
     {"Rollen per kanaal en uur; tonen met reden, op naam; elk zien staat vooraf in het logboek.",
      "Roles per channel and hour; revealing with a reason, by name; each look stands in the log "
      "before it happens."},
     {"Wie mag kijken en een valse reden geeft, valt pas bij controle op.",
      "Who may look and gives a false reason is noticed by review only."}},
    {{"Een hulpmiddel (webcare, chatbot) lekt of bewaart te lang.",
      "A tool (webcare, chatbot) leaks or keeps too long."},
     {"Het krijgt nooit meer dan zijn profiel, zonder sleutel van Meta; tokens gelden voor "
      "\u00e9\u00e9n "
      "contact.",
      "It never gets more than its profile, and no key of Meta's; tokens hold for one contact."},
     {"Wat het heeft gekregen, ligt daar: de termijn van dat hulpmiddel is een eigen afspraak.",
      "What it has received lies there: that tool's own term is a separate agreement."}},
    {{"Gegevens blijven leesbaar na hun termijn of na een verzoek tot wissen.",
      "Data stay readable after their term or after a request for erasure."},
     {"Sleutels worden vernietigd door overschrijven; verklaring met twee data; wettelijke "
      "bewaarplicht houdt vast.",
      "Keys are destroyed by overwriting; a statement with two dates; a legal hold holds."},
     {"Tot de geregistreerde back-ups van de sleutelring zijn vernietigd, kan wie ze heeft lezen.",
      "Until the registered backups of the keyring are destroyed, who has them can read."}},
    {{"Diefstal van schijf of back-up.", "Theft of a disk or a backup."},
     {"Alles verzegeld; geen sleutel in database of gegevensback-up; indexsleutel wisselt elke 30 "
      "dagen.",
      "All of it sealed; no key in database or data backup; the index key changes every 30 days."},
     {"Wie de draaiende machine beheerst, leest wat leeft.",
      "Who controls the running machine reads what lives."}},
    {{"Het logboek wordt aangepast of onvolledig.", "The log is altered or incomplete."},
     {"Merkle-boom, controlepunten elke minuut buiten de machine; geen inzage zonder regel.",
      "Merkle tree, checkpoints outside the machine every minute; no look without a record."},
     {"Wat een beheerder tussen twee controlepunten doet, is niet vast te stellen.",
      "What root does between two checkpoints cannot be detected."}},
    {{"Een vijandig beeld of bericht neemt de voorziening over.",
      "A hostile picture or message takes over the gateway."},
     {"Beelden in een afgesloten proces, opnieuw opgebouwd uit beeldpunten; berichten opnieuw "
      "opgebouwd, nooit doorgegeven.",
      "Pictures in a sandboxed process, rebuilt from pixels; messages rebuilt, never relayed."},
     {"Documenten en video worden niet van binnen bekeken: laten passeren is een keuze van dit "
      "beleid.",
      "Documents and video are not looked into: passing them is a choice of this policy."}},
    {{"Berichten raken kwijt bij storing of drukte.", "Messages are lost in failure or rush."},
     {"Meta krijgt 200 als het op schijf staat; anders biedt Meta opnieuw aan.",
      "Meta gets 200 when it is on disk; else Meta offers it again."},
     {"Zonder opslag bij Meta (No Storage) duurt dat een uur.",
      "Without storage at Meta (No Storage) that lasts an hour."}},
    {{"Mensen worden benaderd die dat niet willen.", "People are written to who do not want it."},
     {"Grondslag op record, STOP-woorden, tempo, sjablonen van de lijst.",
      "A ground on record, words to opt out, pace, templates of the list."},
     {"Berichten buiten deze voorziening om worden niet gezien.",
      "Messages that do not pass this gateway are not seen."}},
    {{"Meta leest en bewaart de berichten, ook buiten de EER.",
      "Meta reads and keeps the messages, outside the EEA too."},
     {"Geen: versleuteling loopt van de telefoon tot Meta. Zie verwerkers en doorgifte.",
      "None: encryption runs from the phone to Meta. See processors and transfers."},
     {"Valt buiten deze voorziening; weeg het zelf, met de overeenkomst en de keuze voor opslag.",
      "Not covered by this gateway; weigh it, with the agreement and the choice of storage."}},
};

int policy_register_dpia(const struct policy *policy, bool dutch, struct buffer *out)
{
    const struct writer writer = {policy, out, dutch ? NL : EN}, *w = &writer;
    char until[16];
    say(w,
        "\n## Bijlage: risico's (AVG art. 35)\n\nUit het dreigingsmodel van de voorziening. Kans "
        "en "
        "gevolg schat de organisatie zelf; deze bijlage vervangt de DPIA niet.\n\n"
        "| risico | maatregel | wat overblijft | kans × gevolg |\n|---|---|---|---|\n",
        "\n## Annex: risks (GDPR art. 35)\n\nFrom the threat model of the gateway. The "
        "organisation "
        "estimates likelihood and impact; this annex does not replace the DPIA.\n\n"
        "| risk | measure | what remains | likelihood × impact |\n|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(risks) / sizeof(risks[0]); i++)
        buffer_addf(out, "| %s | %s | %s | *%s* |\n", risks[i].risk[w->lang],
                    risks[i].measure[w->lang], risks[i].rest[w->lang],
                    w->lang == NL ? "in te vullen" : "to be filled in");
    if (policy->until_ms) {
        policy_day_text(policy->until_ms - 1, until);
        say(w, "\n**Dit beleid kijkt mee en schermt niets af, behalve geheimen, tot en met ",
            "\n**This policy observes and masks nothing but secrets, up to and including ");
        buffer_addf(out, "%s.**\n", until);
    }
    say(w,
        "\n### Wat niet gedekt is\n\n- wat Meta met berichten doet, en wat op de telefoon van de "
        "klant staat;\n- wat een hulpmiddel doet met wat het mocht zien;\n- gegevens die "
        "herkenning "
        "mist, en de inhoud van documenten, geluid en video;\n- een beheerder van de machine die "
        "kwaad wil, binnen een minuut;\n- of de grondslagen die hier staan juist zijn.\n",
        "\n### What is not covered\n\n- what Meta does with messages, and what stands on the "
        "customer's phone;\n- what a tool does with what it was allowed to see;\n- data that "
        "recognition misses, and the content of documents, sound and video;\n- an administrator of "
        "the machine with bad intent, within a minute;\n- whether the grounds named here are "
        "right.\n");
    return out->error;
}
