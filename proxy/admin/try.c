/*
 * Try a message: what each role and route of a channel's policy would see of a text, and which rule
 * and line say so. Nothing is stored and nothing of the text is logged; the leaf says that somebody
 * tried on this channel.
 */
#include "internal.h"

#include "sluis/console.h"
#include "sluis/detect.h"
#include "sluis/mask.h"

#include <stdio.h>
#include <stdlib.h>

#define TRY_TEXT_MAX (16u * 1024) /* WhatsApp's longest text has 4,096 characters */

struct trial {
    struct admin_request *r;
    struct html h;
    const struct config *config;
    const struct config_channel *channel;
    const struct policy *policy;
    struct span text;
    bool from_agent;
    struct finding *found; /* DETECT_FINDINGS_MAX */
    size_t count;
    struct retention_facts facts;
};

static void add_channels(struct trial *t)
{
    struct html *h = &t->h;
    html_raw(h, "<p><label for=\"channel\">");
    html_words(h, "Kanaal", "Channel");
    html_raw(h, "</label>\n<select id=\"channel\" name=\"channel\">\n");
    for (size_t i = 0; i < t->config->channel_count; i++) {
        const struct config_channel *c = &t->config->channels[i];
        if (!admin_may(t->r, c->id))
            continue;
        html_raw(h, c == t->channel ? "<option selected value=\"" : "<option value=\"");
        html_text(h, span_str(c->name));
        html_raw(h, "\">");
        html_text(h, span_str(c->name));
        html_raw(h, " (");
        html_text(h, span_str(policy_name(c->policy)));
        html_raw(h, ")</option>\n");
    }
    html_raw(h, "</select></p>\n");
}

static void add_form(struct trial *t)
{
    struct html *h = &t->h;
    html_p(h,
           "Plak een verzonnen bericht en zie wat elke rol en elk systeem ervan te zien krijgt. Er "
           "wordt niets van bewaard.",
           "Paste an invented message and see what each role and each system would be shown of it. "
           "Nothing of it is kept.");
    html_form(h, "/try");
    add_channels(t);
    html_raw(h, "<p><label for=\"from\">");
    html_words(h, "Geschreven door", "Written by");
    html_raw(h, "</label>\n<select id=\"from\" name=\"from\">\n<option value=\"customer\">");
    html_words(h, "de klant", "the customer");
    html_raw(h, t->from_agent ? "</option>\n<option selected value=\"agent\">"
                              : "</option>\n<option value=\"agent\">");
    html_words(h, "een medewerker", "an agent");
    html_raw(h, "</option>\n</select></p>\n<p><label for=\"text\">");
    html_words(h, "Bericht", "Message");
    html_raw(h, "</label>\n<textarea id=\"text\" name=\"text\" required>\n");
    html_text(h, t->text);
    html_raw(h, "</textarea></p>\n");
    html_button(h, "Proberen", "Try");
}

static void add_heads(struct html *h, const char *const words[][2], unsigned n)
{
    html_raw(h, "<div class=\"scroll\"><table>\n<tr>");
    for (unsigned i = 0; i < n; i++) {
        html_raw(h, "<th scope=\"col\">");
        html_words(h, words[i][0], words[i][1]);
        html_raw(h, "</th>");
    }
    html_raw(h, "</tr>\n");
}

static void add_findings(struct trial *t)
{
    static const char *const heads[][2] = {{"Soort", "Type"},
                                           {"Waar (bytes)", "Where (bytes)"},
                                           {"Score", "Score"},
                                           {"Bewijs", "Evidence"}};
    struct html *h = &t->h;
    html_h2(h, "Gevonden", "Found");
    if (t->count == 0) {
        html_p(h, "Niets gevoeligs gevonden.", "Nothing sensitive was found.");
        return;
    }
    add_heads(h, heads, 4);
    for (size_t i = 0; i < t->count; i++) {
        const struct finding *f = &t->found[i];
        char text[64];
        html_raw(h, "<tr><td>");
        html_text(h, span_str(policy_type_word(t->policy, f->type)));
        snprintf(text, sizeof(text), "</td><td>%u-%u</td><td>%u.%02u</td><td>", f->start, f->end,
                 f->score / 1000u, f->score / 10u % 100u);
        html_raw(h, text);
        html_text(h, span_str(f->evidence ? f->evidence : ""));
        for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) {
            if (!(f->also >> type & 1))
                continue;
            html_words(h, "; op die plaats ook ", "; at that place also ");
            html_text(h, span_str(policy_type_word(t->policy, type)));
            html_words(h, ": de strengste regel geldt", ": the strictest rule holds");
        }
        html_raw(h, "</td></tr>\n");
    }
    html_raw(h, "</table></div>\n");
}

static const char *action_word(const struct html *h, enum mask_action action)
{
    static const char *const nl[] = {"vervangen", "deels",   "gehasht",
                                     "token",     "getoond", "geblokkeerd"};
    static const char *const en[] = {"replaced", "partial", "hashed", "token", "shown", "blocked"};
    return h->english ? en[action] : nl[action];
}

/* Each type that was found: what this profile does with it, and the rule and line that say so. */
static void add_reasons(struct trial *t, const struct profile *profile)
{
    struct html *h = &t->h;
    html_raw(h, "<ul>\n");
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) {
        char line[32] = "";
        if (!(t->facts.found >> type & 1))
            continue;
        struct policy_reason why = policy_why_profile_for(profile, &t->facts, type);
        html_raw(h, "<li>");
        html_text(h, span_str(policy_type_word(t->policy, type)));
        html_raw(h, ": ");
        html_text(h, span_str(action_word(h, profile_rule_for(profile, &t->facts, type).action)));
        html_raw(h, " (");
        html_text(h, span_str(why.line ? why.rule : h->english ? "built in" : "ingebouwd"));
        if (why.line)
            snprintf(line, sizeof(line), h->english ? ", line %u" : ", regel %u", why.line);
        html_text(h, span_str(line));
        html_raw(h, ")</li>\n");
    }
    html_raw(h, "</ul>\n");
}

static void add_reader(struct trial *t, const char *kind_nl, const char *kind_en, const char *name,
                       const struct profile *profile)
{
    struct html *h = &t->h;
    struct buffer text;
    html_raw(h, "<h3>");
    html_words(h, kind_nl, kind_en);
    html_text(h, span_str(name));
    html_raw(h, "</h3>\n");
    if (!profile) {
        html_p(h, "Ziet geen inhoud.", "Sees no content.");
        return;
    }
    buffer_init(&text, 8 * TRY_TEXT_MAX);
    int error = mask_text_for(t->text, t->found, t->count, t->policy, profile, &t->facts, &text);
    html_raw(h, "<p class=\"sees\">");
    html_text(h, error || text.error ? SPAN(MASK_UNJUDGED_TEXT) : buffer_span(&text));
    html_raw(h, "</p>\n");
    buffer_free(&text);
    add_reasons(t, profile);
}

static void add_readers(struct trial *t)
{
    const struct policy_role *role;
    const struct policy_route *route;
    html_h2(&t->h, "Wat elke rol ziet", "What each role sees");
    for (size_t i = 0; (role = policy_role_at(t->policy, i)) != NULL; i++)
        add_reader(t, "Rol ", "Role ", role->name, role->profile);
    html_h2(&t->h, "Wat elk systeem ontvangt", "What each system receives");
    for (size_t i = 0; (route = policy_route_at(t->policy, i)) != NULL; i++)
        add_reader(t, "Systeem ", "System ", route->name, route->profile);
}

static int judge(struct trial *t)
{
    struct detect_scratch *scratch = NULL;
    const struct detect_input input = {.text = t->text, .from_customer = !t->from_agent};
    int n = detect_scratch_new(&scratch);
    t->found = n ? NULL : calloc(DETECT_FINDINGS_MAX, sizeof(*t->found));
    if (t->found)
        n = detect_run(policy_detector(t->policy), scratch, &input, t->found, DETECT_FINDINGS_MAX);
    else
        n = SLUIS_ENOMEM;
    detect_scratch_free(scratch);
    t->count = n < 0 ? 0 : (size_t)n;
    t->facts = (struct retention_facts){
        .out = t->from_agent, .channel = t->channel->name, .at_ms = clock_wall_ms()};
    for (size_t i = 0; i < t->count; i++)
        t->facts.found |= t->found[i].also | UINT64_C(1) << t->found[i].type;
    return n < 0 ? n : 0;
}

static void show(struct admin_request *r, bool posted)
{
    struct trial t = {.r = r, .config = config_acquire(r->admin->deps.config)};
    char name[CONFIG_NAME_MAX + 1] = "";
    struct span channel = admin_form(r, "channel");
    unsigned status = 200;
    if (channel.n <= CONFIG_NAME_MAX && channel.n)
        memcpy(name, channel.p, channel.n);
    t.channel = posted ? config_channel(t.config, name) : NULL;
    if (t.channel && !admin_may(r, t.channel->id))
        t.channel = NULL; /* another department's: as if it did not exist */
    t.text = admin_form(r, "text");
    t.from_agent = span_is(admin_form(r, "from"), "agent");
    page_begin(r, &t.h, "Een bericht proberen", "Try a message");
    if (posted && (!t.channel || t.text.n == 0 || t.text.n > TRY_TEXT_MAX)) {
        html_alert(&t.h, "Kies een kanaal en geef een bericht van 1 tot 16.384 bytes.",
                   "Choose a channel and give a message of 1 to 16,384 bytes.");
        status = 400;
        t.channel = NULL;
    }
    add_form(&t);
    if (t.channel) {
        t.policy = t.channel->policy;
        if (admin_note(r, AUDIT_POLICY, "tried", t.channel->name, NULL) != 0 || judge(&t) != 0) {
            html_alert(&t.h, "Het bericht kon niet worden gecontroleerd.",
                       "The message could not be judged.");
            status = 503;
        } else {
            add_findings(&t);
            add_readers(&t);
        }
    }
    free(t.found);
    config_unref((struct config *)t.config);
    page_send(r, status, &t.h);
}

void page_try(struct admin_request *r)
{
    show(r, false);
}

void page_try_post(struct admin_request *r)
{
    show(r, true);
}
