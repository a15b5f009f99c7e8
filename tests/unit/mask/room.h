/* Shared by the tests of mask: a policy, a webhook around one message, judge and render in one
 * call. */
#ifndef SLUIS_TEST_MASK_ROOM_H
#define SLUIS_TEST_MASK_ROOM_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sluis/mask.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define ROOM_MAX (8 * 1024 * 1024)
#define WAMID "wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA="

static const char room_policy[] =
    "policy: 1\n"
    "name: proef\n"
    "activity: proef\n"
    "controller: {name: Gemeente Voorbeeld, dpo: fg@gemeente.example}\n"
    "profiles:\n"
    "  strict:  {default: redact}\n"
    "  open:    {default: keep}\n"
    "  partly:  {default: redact, iban: {partial: {last: 4}}, pan: block, email: hash, phone: "
    "keep}\n"
    "  alias:   {default: redact, contact: alias}\n"
    "  hidden:  {default: redact, phone: keep, contact: alias}\n"
    "  token:   {default: token}\n"
    "  rules:   {default: redact, phone: keep, rules: [{when: {channel: nacht}, default: redact}, "
    "{when: {found: email, direction: out}, iban: keep}]}\n"
    "originals: [{keep: 24h, ground: AVG 6.1.e}]\n"
    "history: [{keep: 1y, ground: AVG 6.1.e}]\n"
    "routes: {webcare: {profile: strict}, audio: {profile: strict}}\n"
    "media: {unknown: withhold, document: withhold, audio: pass, video: pass}\n";

struct room {
    struct policy *policy;
    struct detect_scratch *scratch;
    struct arena arena;
    struct buffer text, out;
    struct json_doc doc;
    struct judged judged;
    enum mask_table table;
};

static inline void room_open(struct room *r)
{
    struct diag diag = {0};
    if (policy_load(span_str(room_policy), "proef.yaml", &r->policy, &diag) != 0)
        fail_msg("%u:%u %s", diag.line, diag.column, diag.text);
    assert_int_equal(detect_scratch_new(&r->scratch), 0);
    arena_init(&r->arena, ROOM_MAX);
    buffer_init(&r->text, ROOM_MAX);
    buffer_init(&r->out, ROOM_MAX);
    r->table = MASK_TABLE_WEBHOOK;
}

static inline void room_close(struct room *r)
{
    buffer_free(&r->out);
    buffer_free(&r->text);
    arena_free(&r->arena);
    detect_scratch_free(r->scratch);
    policy_unref(r->policy);
}

/* r->text becomes a webhook around one message; "$C" stands for `canary`. */
static inline void room_message(struct room *r, const char *message, const char *canary)
{
    static const char before[] =
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
        "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
        "\"metadata\":{\"display_phone_number\":\"15550783881\",\"phone_number_id\":"
        "\"106540352242922\"},\"contacts\":[{\"profile\":{\"name\":\"$C\"},\"wa_id\":"
        "\"16505551234\",\"user_id\":\"US.13491208655302741918\"}],\"messages\":[{\"from\":"
        "\"16505551234\",\"from_user_id\":\"US.13491208655302741918\",\"id\":\"" WAMID
        "\",\"timestamp\":\"1749416383\",";
    const char *const parts[] = {before, message, "}]}}]}]}"};
    buffer_clear(&r->text);
    for (size_t i = 0; i < N(parts); i++) {
        for (const char *p = parts[i]; *p; p++) {
            if (p[0] == '$' && p[1] == 'C') {
                buffer_add_str(&r->text, canary);
                p++;
            } else {
                buffer_add_char(&r->text, *p);
            }
        }
    }
    assert_int_equal(r->text.error, 0);
}

static inline void room_judge(struct room *r)
{
    arena_reset(&r->arena);
    if (json_scan(&r->doc, buffer_span(&r->text), &r->arena, NULL) != 0)
        fail_msg("%s at %u: %.*s", r->doc.error, r->doc.error_offset, (int)r->text.n, r->text.p);
    const struct judge_input input = {.doc = &r->doc,
                                      .table = r->table,
                                      .policy = r->policy,
                                      .scratch = r->scratch,
                                      .from_customer = true,
                                      .at_ms = 1749416383000};
    assert_int_equal(mask_judge(&input, &r->arena, &r->judged), 0);
}

static inline struct mask_reader room_reader(struct room *r, const char *profile)
{
    struct mask_reader reader = {.profile = policy_profile(r->policy, profile),
                                 .policy = r->policy,
                                 .media = MEDIA_WITHHOLD,
                                 .hash_key = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                 .alias_key = (const uint8_t *)"fedcba9876543210fedcba9876543210"};
    assert_non_null(reader.profile);
    return reader;
}

/* Renders into r->out, NUL-terminated; checks that it is pure ASCII and accepted JSON. */
static inline const char *room_render(struct room *r, const struct mask_reader *reader)
{
    struct json_doc doc;
    struct arena arena;
    buffer_clear(&r->out);
    assert_int_equal(mask_render(&r->doc, 0, r->table, &r->judged, reader, &r->arena, &r->out), 0);
    for (size_t i = 0; i < r->out.n; i++)
        assert_in_range((unsigned char)r->out.p[i], 0x09, 0x7e);
    arena_init(&arena, ROOM_MAX);
    if (json_scan(&doc, buffer_span(&r->out), &arena, NULL) != 0)
        fail_msg("%s at %u: %.*s", doc.error, doc.error_offset, (int)r->out.n, r->out.p);
    arena_free(&arena);
    buffer_add_char(&r->out, '\0');
    return r->out.p;
}

static inline unsigned occurrences(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
        n++;
    return n;
}

static inline unsigned room_count(const struct room *r, const char *what)
{
    unsigned n = 0;
    struct span text = buffer_span(&r->text);
    for (const char *p; (p = memmem(text.p, text.n, what, strlen(what))) != NULL; n++)
        text = span_from(text, (size_t)(p - text.p) + strlen(what));
    return n;
}

static inline void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("missing \"%s\" in %s", what, text);
}

static inline void assert_lacks(const char *text, const char *what)
{
    if (strstr(text, what))
        fail_msg("\"%s\" stands in %s", what, text);
}

#endif
