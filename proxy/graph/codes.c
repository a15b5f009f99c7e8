/* The own error codes and how a refusal looks: Meta's shape, so that tools' libraries parse it. */
#include "internal.h"

static const struct graph_code codes[E_COUNT] = {
    [E_TOKEN] = {900001, 401, "token", "Het toegangstoken is niet geldig.",
                 "The access token is not valid.", false},
    [E_OBJECT] = {900002, 403, "object", "Dit object bestaat niet of hoort niet bij dit token.",
                  "This object does not exist or does not belong to this token.", false},
    [E_ENDPOINT] = {900003, 403, "endpoint", "Deze aanroep staat niet op de toegestane lijst.",
                    "This call is not on the allow-list.", false},
    [E_PARAMETER] = {900004, 400, "parameter", "Deze parameter is niet toegestaan.",
                     "This parameter is not allowed.", false},
    [E_BODY] = {900005, 400, "body", "De inhoud van de aanroep is niet leesbaar.",
                "The body of the call is not readable.", false},
    [E_CONTENT] = {900006, 403, "content",
                   "Het bericht bevat gegevens die volgens het beleid niet verstuurd mogen worden.",
                   "The message holds data that policy does not allow to be sent.", false},
    [E_MEDIA] = {900007, 403, "media", "Dit kanaal geeft geen bijlagen door.",
                 "This channel does not pass attachments.", false},
    [E_LINK] =
        {900008, 403, "link",
         "Een bijlage als link wordt niet verstuurd: WhatsApp zou haar zelf ophalen, buiten de "
         "controle om. Upload de bijlage.",
         "An attachment by link is not sent: WhatsApp would fetch it itself, uninspected. "
         "Upload the attachment.",
         false},
    [E_UNKNOWN_OUTCOME] =
        {900009, 504, "unknown_outcome",
         "Onbekend of WhatsApp dit heeft uitgevoerd: er kwam geen leesbaar antwoord. "
         "Niet vanzelf herhalen.",
         "Not known whether WhatsApp did this: no readable answer came. Do not repeat "
         "automatically.",
         false},
    [E_UNREACHABLE] = {900010, 502, "unreachable",
                       "WhatsApp is niet bereikbaar; er is niets verstuurd.",
                       "WhatsApp cannot be reached; nothing was sent.", true},
    [E_STORE] = {900011, 503, "store",
                 "De aanroep kan nu niet worden vastgelegd; er is niets verstuurd.",
                 "The call cannot be recorded now; nothing was sent.", true},
    [E_UNJUDGED] = {900012, 403, "unjudged",
                    "Het bericht kon niet worden gecontroleerd; er is niets verstuurd.",
                    "The message could not be inspected; nothing was sent.", false},
    [E_TOO_LARGE] = {900013, 413, "too_large", "De aanroep is te groot.", "The call is too large.",
                     false},
    [E_OAUTH] = {900014, 403, "oauth", "Aanmelden bij Meta gaat niet door Sluis.",
                 "Logging in at Meta does not go through Sluis.", false},
    [E_BUSY] = {900015, 503, "busy", "Te veel aanroepen tegelijk; probeer het zo weer.",
                "Too many calls at once; try again shortly.", true},
    [E_METHOD] = {900016, 405, "method", "Deze methode is hier niet toegestaan.",
                  "This method is not allowed here.", false},
    [E_RECIPIENT] = {900017, 400, "recipient", "De ontvanger ontbreekt of is niet leesbaar.",
                     "The recipient is missing or not readable.", false},
    [E_REPLY] = {900018, 502, "reply", "Het antwoord van WhatsApp is niet leesbaar.",
                 "WhatsApp's answer is not readable.", false},
    [E_ACTOR] = {900019, 400, "actor",
                 "X-Sluis-Actor: 1 tot 64 letters, cijfers, punt, streepje, apenstaart.",
                 "X-Sluis-Actor: 1 to 64 letters, digits, dot, dash, at sign.", false},
    [E_DOMAIN] = {900020, 403, "domain",
                  "Het bericht bevat een link naar een domein dat volgens het beleid niet mag.",
                  "The message holds a link to a domain that policy does not allow.", false},
    [E_TEMPLATE] = {900021, 403, "template", "Dit sjabloon staat niet op de lijst van het beleid.",
                    "This template is not on the policy's list.", false},
    [E_LOG] = {900022, 503, "log",
               "Het toegangslogboek neemt niets aan: er wordt niets getoond of verstuurd. "
               "Probeer het later.",
               "The access log takes no records: nothing is shown or sent. Try again later.", true},
    [E_TOKEN_TEXT] =
        {900060, 403, "token_text",
         "Een token in het bericht hoort niet bij deze ontvanger, is verlopen of is verzonnen.",
         "A token in the message does not belong to this recipient, has expired or is made up.",
         false},
    [E_ROLE] = {900040, 403, "role",
                "De rol van dit token geeft dit recht niet, of niet op dit tijdstip.",
                "The role of this token does not give this right, or not at this hour.", false},
    [E_SLOWED] = {900041, 429, "slowed",
                  "Te veel ongeldige tokens van dit adres; probeer het over een minuut weer.",
                  "Too many invalid tokens from this address; try again in a minute.", true},
    [E_WINDOW] =
        {900030, 403, "window",
         "Deze klant schreef langer dan 24 uur geleden. WhatsApp staat dan alleen een goedgekeurd "
         "sjabloon toe: stuur een sjabloon, of wacht tot de klant weer schrijft.",
         "This customer last wrote more than 24 hours ago. WhatsApp then takes an approved "
         "template only: send a template, or wait until the customer writes again.",
         false},
    [E_OPTED_OUT] =
        {900031, 403, "opted_out",
         "Deze klant wil geen berichten meer waar hij niet om vroeg (STOP). Antwoorden kan weer "
         "zodra de klant zelf schrijft.",
         "This customer wants no messages they did not ask for (STOP). You can answer as soon as "
         "the customer writes.",
         false},
    [E_BASIS] =
        {900032, 403, "basis",
         "Voor dit soort bericht is geen grondslag van deze klant vastgelegd. Leg eerst vast "
         "waarom "
         "het mag (toestemming, klant, overeenkomst of taak).",
         "No basis is on record of this customer for this kind of message. First record why it may "
         "be sent (consent, customer, contract or task).",
         false},
    [E_PACE] = {900033, 429, "pace",
                "Deze klant kreeg al zoveel berichten als in deze tijd mag; probeer het later.",
                "This customer was sent as many messages as are allowed in this time; try later.",
                true},
    [E_ATTACHMENT] = {900034, 403, "attachment",
                      "Dit soort bijlage mag volgens het beleid niet worden verstuurd.",
                      "Policy does not allow this kind of attachment to be sent.", false},
    [E_ENTRY] = {900035, 400, "entry", "Deze vastlegging klopt niet; er is niets vastgelegd.",
                 "This entry is not right; nothing was recorded.", false},
    [E_HTTP] = {900036, 400, "http", "De aanroep is geen geldig HTTP-verzoek of duurde te lang.",
                "The call is not a valid HTTP request, or took too long.", false},
    [E_OLD_ENTRY] = {900037, 409, "old_entry",
                     "Deze klant heeft zich na dit tijdstip afgemeld, of had het nummer toen nog "
                     "niet; er is niets veranderd.",
                     "This customer withdrew or opted out after this time, or did not have the "
                     "number yet; nothing was changed.",
                     false},
    [E_MEDIA_UNKNOWN] = {900050, 404, "media_unknown",
                         "Deze bijlage is hier niet bekend, of wordt niet meer bewaard.",
                         "This attachment is not known here, or is no longer kept.", false},
    [E_MEDIA_WAITING] = {900051, 503, "media_waiting",
                         "Deze bijlage wordt nog gecontroleerd; probeer het zo weer.",
                         "This attachment is still being inspected; try again shortly.", true},
    [E_MEDIA_WITHHELD] = {900052, 403, "media_withheld", "Deze bijlage wordt niet doorgegeven.",
                          "This attachment is not passed on.", false},
    [E_MEDIA_CONTENT] =
        {900053, 403, "media_content",
         "De afbeelding toont gegevens die volgens het beleid niet verstuurd mogen worden.",
         "The picture shows data that policy does not allow to be sent.", false},
    [E_MEDIA_UNCHECKED] = {900054, 403, "media_unchecked",
                           "De afbeelding kon niet worden gecontroleerd; er is niets verstuurd.",
                           "The picture could not be inspected; nothing was sent.", false},
    [E_MEDIA_KIND] = {900055, 400, "media_kind",
                      "De bijlage is iets anders dan wordt gezegd; er is niets verstuurd.",
                      "The attachment is something else than it is said to be; nothing was sent.",
                      false},
    [E_FETCH_HOST] =
        {900056, 403, "fetch_host",
         "Van deze host worden geen bijlagen opgehaald. Laat de beheerder haar opnemen, of upload "
         "de bijlage.",
         "Attachments are not fetched from this host. Have the operator list it, or upload the "
         "attachment.",
         false},
    [E_FETCH_FAILED] = {900057, 502, "fetch_failed",
                        "De bijlage kon niet worden opgehaald; er is niets verstuurd.",
                        "The attachment could not be fetched; nothing was sent.", true},
    [E_FETCH_LIMIT] = {900058, 400, "fetch_limit",
                       "Te veel bijlagen in een bericht, of een bijlage is te groot.",
                       "Too many attachments in one message, or an attachment is too large.",
                       false},
};

const struct graph_code *graph_codes(size_t *n)
{
    *n = E_COUNT;
    return codes;
}

uint32_t graph_code_of(enum graph_error error)
{
    return codes[error].code;
}

static void write_error(struct buffer *out, const struct graph_code *c, const char *detail)
{
    struct buffer text;
    buffer_init(&text, 4096);
    buffer_addf(&text, "(#%u) %s", c->code, c->nl);
    if (detail)
        buffer_addf(&text, " (%s)", detail);
    buffer_add(out, SPAN("{\"error\":{\"message\":"));
    json_quote(out, buffer_span(&text));
    buffer_addf(out, ",\"type\":\"OAuthException\",\"code\":%u", c->code);
    buffer_add(out, SPAN(",\"error_data\":{\"messaging_product\":\"whatsapp\",\"details\":"));
    json_quote(out, span_str(c->en));
    buffer_addf(out, "},\"is_transient\":%s,\"fbtrace_id\":\"sluis\"}}",
                c->retry ? "true" : "false");
    buffer_free(&text);
}

/* The server's own refusals: its words for what is wrong stand behind ours. */
const char *graph_refusal(unsigned status, const char *reason, struct buffer *out)
{
    enum graph_error error = status == 503   ? E_BUSY
                             : status == 413 ? E_TOO_LARGE
                             : status == 405 ? E_METHOD
                                             : E_HTTP;
    write_error(out, &codes[error], reason);
    return "application/json; charset=utf-8";
}

void refuse(struct graph *graph, struct exchange *ex, enum graph_error error, const char *detail)
{
    const struct graph_code *c = &codes[error];
    struct buffer out;
    buffer_init(&out, 16 * 1024);
    write_error(&out, c, detail);
    graph_count(graph, error == E_TOKEN ? G_TOKEN_REFUSED : G_REFUSED);
    exchange_answer_begin(ex, c->status);
    exchange_answer_field(ex, SPAN("Content-Type"), SPAN("application/json; charset=utf-8"));
    if (c->retry)
        exchange_answer_field(ex, SPAN("Retry-After"), SPAN("5"));
    if (error == E_TOKEN)
        exchange_answer_field(ex, SPAN("WWW-Authenticate"), SPAN("Bearer"));
    exchange_answer_end(ex, buffer_span(&out));
    buffer_free(&out);
}

void call_refuse(struct call *call, enum graph_error error, const char *detail)
{
    struct exchange *ex = call_exchange(call);
    if (ex)
        refuse(call->thread->graph, ex, error, detail);
    call_record(call, AUDIT_REFUSE, codes[error].word, codes[error].code, 0, 0, 0);
    call_free(call);
}
