/* THE table of paths: every known path of webhooks, of what tools send and of Graph's replies, with
 * its kind. A new field of Meta's gets a row here and nowhere else; until then it is content. */
#include "paths.h"

#define S(text) .name = (text), .length = sizeof(text) - 1
#define STRUCTURE(text)                                                                            \
    {                                                                                              \
        S(text), .kind = MASK_STRUCTURE                                                            \
    }
#define IDENTIFIER(text)                                                                           \
    {                                                                                              \
        S(text), .kind = MASK_IDENTIFIER                                                           \
    }
#define CONTENT(text)                                                                              \
    {                                                                                              \
        S(text), .kind = MASK_CONTENT                                                              \
    }
#define NAMED(text)                                                                                \
    {                                                                                              \
        S(text), .kind = MASK_CONTENT, .flags = PATH_NAMED                                         \
    }
#define FORCED(text, type)                                                                         \
    {                                                                                              \
        S(text), .kind = MASK_CONTENT, .forces = 1 + (type)                                        \
    }
#define KIND(text, what)                                                                           \
    {                                                                                              \
        S(text), .kind = (what)                                                                    \
    }
#define FLAGGED(text, flag)                                                                        \
    {                                                                                              \
        S(text), .kind = MASK_CONTENT, .flags = (flag)                                             \
    }
#define MEMBERS(text, list)                                                                        \
    {                                                                                              \
        S(text), .kind = MASK_STRUCTURE, .members = &(list)                                        \
    }
#define MEDIA(text)                                                                                \
    {                                                                                              \
        S(text), .kind = MASK_STRUCTURE, .flags = PATH_MEDIA, .members = &media                    \
    }
#define MESSAGE(text)                                                                              \
    {                                                                                              \
        S(text), .kind = MASK_STRUCTURE, .flags = PATH_MESSAGE, .members = &message                \
    }
#define LIST(name, ...)                                                                            \
    static const struct path_row name##_rows[] = {__VA_ARGS__};                                    \
    static const struct path_list name = {name##_rows, sizeof name##_rows / sizeof *name##_rows}

/* ---- shared ---- */

LIST(message_text, CONTENT("body"), STRUCTURE("preview_url"));
LIST(media, CONTENT("mime_type"), STRUCTURE("sha256"), KIND("id", MASK_MEDIA_ID),
     KIND("url", MASK_MEDIA_URL), CONTENT("caption"), CONTENT("filename"), STRUCTURE("voice"),
     STRUCTURE("animated"), STRUCTURE("file_size"), CONTENT("link"), STRUCTURE("provider"));
LIST(location, FORCED("latitude", DETECT_LOCATION), FORCED("longitude", DETECT_LOCATION),
     NAMED("name"), NAMED("address"), CONTENT("url"));
LIST(reaction, IDENTIFIER("message_id"), CONTENT("emoji"));

LIST(card_name, NAMED("formatted_name"), NAMED("first_name"), NAMED("last_name"),
     NAMED("middle_name"), NAMED("suffix"), NAMED("prefix"));
LIST(card_phone, FORCED("phone", DETECT_PHONE), FORCED("wa_id", DETECT_PHONE),
     IDENTIFIER("user_id"), CONTENT("type"));
LIST(card_email, FORCED("email", DETECT_EMAIL), CONTENT("type"));
LIST(card_address, NAMED("street"), NAMED("city"), NAMED("state"), NAMED("zip"), NAMED("country"),
     CONTENT("country_code"), CONTENT("type"));
LIST(card_org, NAMED("company"), NAMED("department"), NAMED("title"));
LIST(card_url, CONTENT("url"), CONTENT("type"));
LIST(card, MEMBERS("name", card_name), NAMED("birthday"), MEMBERS("phones", card_phone),
     MEMBERS("emails", card_email), MEMBERS("addresses", card_address), MEMBERS("org", card_org),
     MEMBERS("urls", card_url), FLAGGED("vcard", PATH_VCARD), CONTENT("origin"));

LIST(error_data, CONTENT("details"), STRUCTURE("messaging_product"));
LIST(error, STRUCTURE("code"), CONTENT("title"), CONTENT("message"),
     MEMBERS("error_data", error_data), STRUCTURE("href"), STRUCTURE("type"),
     STRUCTURE("error_subcode"), STRUCTURE("fbtrace_id"), STRUCTURE("is_transient"),
     CONTENT("error_user_title"), CONTENT("error_user_msg"));

/* ---- webhooks: messages ---- */

LIST(referred_product, STRUCTURE("catalog_id"), STRUCTURE("product_retailer_id"));
LIST(context, IDENTIFIER("from"), IDENTIFIER("id"), STRUCTURE("forwarded"),
     STRUCTURE("frequently_forwarded"), MEMBERS("referred_product", referred_product),
     IDENTIFIER("from_user_id"), IDENTIFIER("group_id"), IDENTIFIER("message_id"));
LIST(welcome_message, CONTENT("text"));
LIST(referral, CONTENT("source_url"), STRUCTURE("source_id"), STRUCTURE("source_type"),
     CONTENT("headline"), CONTENT("body"), STRUCTURE("media_type"),
     KIND("image_url", MASK_MEDIA_URL), KIND("video_url", MASK_MEDIA_URL),
     KIND("thumbnail_url", MASK_MEDIA_URL), STRUCTURE("ctwa_clid"),
     MEMBERS("welcome_message", welcome_message));
/* What a tool put in a button comes back from the customer's phone: judged, not trusted. */
LIST(button_reply, CONTENT("id"), CONTENT("title"));
LIST(list_reply, CONTENT("id"), CONTENT("title"), CONTENT("description"));
LIST(nfm_reply, CONTENT("name"), CONTENT("body"), KIND("response_json", MASK_CONTENT_JSON));
LIST(call_permission_reply, STRUCTURE("response"), STRUCTURE("is_permanent"),
     STRUCTURE("expiration_timestamp"), STRUCTURE("response_source"));
LIST(interactive, STRUCTURE("type"), MEMBERS("button_reply", button_reply),
     MEMBERS("list_reply", list_reply), MEMBERS("nfm_reply", nfm_reply),
     MEMBERS("call_permission_reply", call_permission_reply));
LIST(button, CONTENT("payload"), CONTENT("text"));
LIST(product_item, STRUCTURE("product_retailer_id"), STRUCTURE("quantity"), STRUCTURE("item_price"),
     STRUCTURE("currency"));
LIST(order, STRUCTURE("catalog_id"), CONTENT("text"), MEMBERS("product_items", product_item));
LIST(system_message, FLAGGED("body", PATH_PHONES), STRUCTURE("type"), IDENTIFIER("wa_id"),
     IDENTIFIER("new_wa_id"), IDENTIFIER("user_id"), IDENTIFIER("previous_user_id"),
     IDENTIFIER("parent_user_id"), IDENTIFIER("previous_parent_user_id"), IDENTIFIER("identity"),
     IDENTIFIER("customer"));
LIST(identity, STRUCTURE("acknowledged"), STRUCTURE("created_timestamp"), IDENTIFIER("hash"));
LIST(unsupported, STRUCTURE("type"));
LIST(revoke, IDENTIFIER("original_message_id"));
LIST(history_context, STRUCTURE("status"), STRUCTURE("from_me"));
static const struct path_list message; /* an edit holds a message */
LIST(edit, IDENTIFIER("original_message_id"), MESSAGE("message"));
LIST(message, IDENTIFIER("from"), IDENTIFIER("id"), STRUCTURE("timestamp"), STRUCTURE("type"),
     MEMBERS("text", message_text), IDENTIFIER("from_user_id"), IDENTIFIER("from_parent_user_id"),
     IDENTIFIER("group_id"), IDENTIFIER("to"), IDENTIFIER("to_user_id"),
     IDENTIFIER("to_parent_user_id"), MEMBERS("context", context), MEDIA("image"), MEDIA("video"),
     MEDIA("audio"), MEDIA("document"), MEDIA("sticker"), MEMBERS("location", location),
     MEMBERS("contacts", card), MEMBERS("interactive", interactive), MEMBERS("button", button),
     MEMBERS("reaction", reaction), MEMBERS("order", order), MEMBERS("system", system_message),
     MEMBERS("errors", error), MEMBERS("unsupported", unsupported), MEMBERS("edit", edit),
     MEMBERS("revoke", revoke), MEMBERS("referral", referral), MEMBERS("identity", identity),
     MEMBERS("history_context", history_context), STRUCTURE("recipient_type"));

/* ---- webhooks: the rest ---- */

LIST(origin, STRUCTURE("type"));
LIST(conversation, STRUCTURE("id"), STRUCTURE("expiration_timestamp"), MEMBERS("origin", origin));
LIST(pricing, STRUCTURE("billable"), STRUCTURE("pricing_model"), STRUCTURE("type"),
     STRUCTURE("category"));
LIST(status, IDENTIFIER("id"), STRUCTURE("status"), STRUCTURE("timestamp"),
     IDENTIFIER("recipient_id"), IDENTIFIER("recipient_user_id"),
     IDENTIFIER("parent_recipient_user_id"), STRUCTURE("recipient_type"),
     IDENTIFIER("recipient_participant_id"), IDENTIFIER("recipient_participant_user_id"),
     IDENTIFIER("recipient_identity_key_hash"), KIND("biz_opaque_callback_data", MASK_TOOL_DATA),
     MEMBERS("conversation", conversation), MEMBERS("pricing", pricing), MEMBERS("errors", error),
     STRUCTURE("type"));
LIST(metadata, STRUCTURE("display_phone_number"), STRUCTURE("phone_number_id"));
LIST(profile, FLAGGED("name", PATH_CONTACT_NAME), FLAGGED("username", PATH_CONTACT_NAME));
LIST(contact, MEMBERS("profile", profile), IDENTIFIER("wa_id"), IDENTIFIER("user_id"),
     IDENTIFIER("parent_user_id"), IDENTIFIER("identity_key_hash"));
LIST(history_metadata, STRUCTURE("phase"), STRUCTURE("chunk_order"), STRUCTURE("progress"));
LIST(thread, IDENTIFIER("id"), IDENTIFIER("user_id"), MESSAGE("messages"));
LIST(history, MEMBERS("metadata", history_metadata), MEMBERS("threads", thread),
     MEMBERS("errors", error));
LIST(sync_contact, NAMED("full_name"), NAMED("first_name"), FORCED("phone_number", DETECT_PHONE),
     CONTENT("username"), IDENTIFIER("user_id"));
LIST(sync_metadata, STRUCTURE("timestamp"));
LIST(state_sync, STRUCTURE("type"), STRUCTURE("action"), MEMBERS("contact", sync_contact),
     MEMBERS("metadata", sync_metadata));
LIST(user_preference, IDENTIFIER("wa_id"), IDENTIFIER("user_id"), STRUCTURE("value"),
     STRUCTURE("category"), CONTENT("detail"), STRUCTURE("timestamp"));
LIST(call_session, STRUCTURE("sdp_type"), CONTENT("sdp"));
LIST(call, IDENTIFIER("id"), IDENTIFIER("from"), IDENTIFIER("to"), IDENTIFIER("from_user_id"),
     IDENTIFIER("to_user_id"), STRUCTURE("event"), STRUCTURE("direction"), STRUCTURE("timestamp"),
     STRUCTURE("status"), STRUCTURE("duration"), STRUCTURE("start_time"), STRUCTURE("end_time"),
     MEMBERS("session", call_session), KIND("biz_opaque_callback_data", MASK_TOOL_DATA),
     MEMBERS("errors", error));

LIST(ban_info, STRUCTURE("waba_ban_state"), STRUCTURE("waba_ban_date"));
LIST(violation_info, STRUCTURE("violation_type"));
LIST(restriction_info, STRUCTURE("restriction_type"), STRUCTURE("expiration"));
LIST(waba_info, STRUCTURE("waba_id"), STRUCTURE("owner_business_id"), STRUCTURE("partner_app_id"));
LIST(value, STRUCTURE("messaging_product"), MEMBERS("metadata", metadata),
     MEMBERS("contacts", contact), MESSAGE("messages"), MEMBERS("statuses", status),
     MEMBERS("errors", error), MESSAGE("message_echoes"), MEMBERS("history", history),
     MEMBERS("state_sync", state_sync), MEMBERS("user_preferences", user_preference),
     MEMBERS("calls", call),
     /* account-level fields; phone numbers here are the business's own */
     STRUCTURE("event"), STRUCTURE("decision"), STRUCTURE("phone_number"),
     STRUCTURE("display_phone_number"), STRUCTURE("current_limit"), STRUCTURE("old_limit"),
     STRUCTURE("max_daily_conversation_per_phone"),
     STRUCTURE("max_daily_conversations_per_business"), STRUCTURE("max_phone_numbers_per_business"),
     STRUCTURE("max_phone_numbers_per_waba"), STRUCTURE("message_template_id"),
     STRUCTURE("message_template_name"), STRUCTURE("message_template_language"),
     STRUCTURE("message_template_category"), STRUCTURE("previous_category"),
     STRUCTURE("new_category"), STRUCTURE("correct_category"), STRUCTURE("previous_quality_score"),
     STRUCTURE("new_quality_score"), STRUCTURE("reason"), STRUCTURE("requested_verified_name"),
     STRUCTURE("rejection_reason"), STRUCTURE("entity_type"), STRUCTURE("entity_id"),
     STRUCTURE("alert_severity"), STRUCTURE("alert_status"), STRUCTURE("alert_type"),
     CONTENT("alert_description"), MEMBERS("ban_info", ban_info),
     MEMBERS("violation_info", violation_info), MEMBERS("restriction_info", restriction_info),
     MEMBERS("waba_info", waba_info), STRUCTURE("requester"));
LIST(change, STRUCTURE("field"), MEMBERS("value", value));
LIST(entry, STRUCTURE("id"), STRUCTURE("time"), MEMBERS("changes", change),
     STRUCTURE("messaging_account_id"));
LIST(webhook, STRUCTURE("object"), MEMBERS("entry", entry));

/* ---- what tools send ---- */

LIST(send_context, IDENTIFIER("message_id"));
LIST(language, STRUCTURE("policy"), STRUCTURE("code"));
LIST(currency, CONTENT("fallback_value"), STRUCTURE("code"), STRUCTURE("amount_1000"));
LIST(date_time, CONTENT("fallback_value"));
LIST(send_action_data, CONTENT("flow_token"), CONTENT("thumbnail_product_retailer_id"));
LIST(parameter, STRUCTURE("type"), STRUCTURE("parameter_name"), CONTENT("text"), CONTENT("payload"),
     CONTENT("coupon_code"), MEDIA("image"), MEDIA("video"), MEDIA("document"),
     MEMBERS("currency", currency), MEMBERS("date_time", date_time), MEMBERS("location", location),
     MEMBERS("action", send_action_data));
static const struct path_list component;
LIST(template_card, STRUCTURE("card_index"), MEMBERS("components", component));
LIST(component, STRUCTURE("type"), STRUCTURE("sub_type"), STRUCTURE("index"),
     MEMBERS("parameters", parameter), MEMBERS("cards", template_card));
LIST(template, STRUCTURE("name"), STRUCTURE("namespace"), MEMBERS("language", language),
     MEMBERS("components", component));
LIST(send_header, STRUCTURE("type"), CONTENT("text"), MEDIA("image"), MEDIA("video"),
     MEDIA("document"));
LIST(send_body, CONTENT("text"));
LIST(reply, CONTENT("id"), CONTENT("title"));
LIST(send_button, STRUCTURE("type"), MEMBERS("reply", reply));
LIST(section_row, CONTENT("id"), CONTENT("title"), CONTENT("description"));
LIST(section_product, STRUCTURE("product_retailer_id"));
LIST(section, CONTENT("title"), MEMBERS("rows", section_row),
     MEMBERS("product_items", section_product));
LIST(action_parameters, CONTENT("display_text"), CONTENT("url"), STRUCTURE("flow_message_version"),
     STRUCTURE("flow_id"), STRUCTURE("flow_name"), STRUCTURE("mode"), STRUCTURE("flow_action"),
     CONTENT("flow_cta"), CONTENT("flow_token"), STRUCTURE("country"),
     STRUCTURE("thumbnail_product_retailer_id"));
static const struct path_list action;
LIST(send_card, STRUCTURE("card_index"), STRUCTURE("type"), MEMBERS("header", send_header),
     MEMBERS("body", send_body), MEMBERS("action", action));
LIST(action, CONTENT("button"), MEMBERS("buttons", send_button), MEMBERS("sections", section),
     STRUCTURE("name"), MEMBERS("parameters", action_parameters), STRUCTURE("catalog_id"),
     STRUCTURE("product_retailer_id"), MEMBERS("cards", send_card));
LIST(send_interactive, STRUCTURE("type"), MEMBERS("header", send_header),
     MEMBERS("body", send_body), MEMBERS("footer", send_body), MEMBERS("action", action));
LIST(typing_indicator, STRUCTURE("type"));
LIST(send, STRUCTURE("messaging_product"), STRUCTURE("recipient_type"), IDENTIFIER("to"),
     IDENTIFIER("recipient"), STRUCTURE("type"), MEMBERS("text", message_text),
     MEMBERS("context", send_context), KIND("biz_opaque_callback_data", MASK_TOOL_DATA),
     IDENTIFIER("recipient_identity_key_hash"), STRUCTURE("status"), IDENTIFIER("message_id"),
     MEMBERS("typing_indicator", typing_indicator), MEDIA("image"), MEDIA("video"), MEDIA("audio"),
     MEDIA("document"), MEDIA("sticker"), MEMBERS("template", template),
     MEMBERS("interactive", send_interactive), MEMBERS("reaction", reaction),
     MEMBERS("location", location), MEMBERS("contacts", card));

/* ---- what Graph replies ---- */

LIST(reply_contact, IDENTIFIER("input"), IDENTIFIER("wa_id"), IDENTIFIER("user_id"));
LIST(reply_message, IDENTIFIER("id"), IDENTIFIER("group_id"), STRUCTURE("message_status"));
LIST(cursors, STRUCTURE("before"), STRUCTURE("after"));
LIST(paging, MEMBERS("cursors", cursors), STRUCTURE("next"), STRUCTURE("previous"));
/* What the organisation itself wrote and Meta approved or shows to everybody: not judged, or a sync
 * of templates would lose its own phone numbers. Example values are content. */
LIST(template_button, STRUCTURE("type"), STRUCTURE("text"), STRUCTURE("url"),
     STRUCTURE("phone_number"), STRUCTURE("flow_id"), STRUCTURE("flow_action"),
     STRUCTURE("navigate_screen"), STRUCTURE("otp_type"), STRUCTURE("autofill_text"));
LIST(template_component, STRUCTURE("type"), STRUCTURE("format"), STRUCTURE("text"),
     MEMBERS("buttons", template_button), STRUCTURE("add_security_recommendation"),
     STRUCTURE("code_expiration_minutes"));
LIST(quality_score, STRUCTURE("score"), STRUCTURE("date"));
LIST(throughput, STRUCTURE("level"));
#define GRAPH_OBJECT                                                                               \
    STRUCTURE("id"), STRUCTURE("name"), STRUCTURE("status"), STRUCTURE("category"),                \
        STRUCTURE("previous_category"), STRUCTURE("language"), STRUCTURE("verified_name"),         \
        STRUCTURE("display_phone_number"), STRUCTURE("quality_rating"),                            \
        STRUCTURE("code_verification_status"), STRUCTURE("platform_type"),                         \
        STRUCTURE("parameter_format"), STRUCTURE("rejected_reason"), STRUCTURE("name_status"),     \
        STRUCTURE("account_mode"), STRUCTURE("messaging_limit_tier"),                              \
        STRUCTURE("last_onboarded_time"), STRUCTURE("is_official_business_account"),               \
        STRUCTURE("message_send_ttl_seconds"), MEMBERS("quality_score", quality_score),            \
        MEMBERS("throughput", throughput), MEMBERS("components", template_component),              \
        STRUCTURE("about"), STRUCTURE("address"), STRUCTURE("description"), STRUCTURE("email"),    \
        STRUCTURE("vertical"), STRUCTURE("messaging_product")
LIST(graph_object, GRAPH_OBJECT);
LIST(graph_reply, GRAPH_OBJECT, MEMBERS("contacts", reply_contact),
     MEMBERS("messages", reply_message), MEMBERS("error", error), STRUCTURE("success"),
     KIND("url", MASK_MEDIA_URL), STRUCTURE("mime_type"), STRUCTURE("sha256"),
     STRUCTURE("file_size"), MEMBERS("data", graph_object), MEMBERS("paging", paging));

const struct path_list *paths_of(enum mask_table table)
{
    switch (table) {
    case MASK_TABLE_WEBHOOK:
        return &webhook;
    case MASK_TABLE_SEND:
        return &send;
    case MASK_TABLE_REPLY:
        return &graph_reply;
    case MASK_TABLES:
        break;
    }
    return NULL;
}

static const struct path_row *find_span(const struct path_list *list, struct span name)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->rows[i].length == name.n && memcmp(list->rows[i].name, name.p, name.n) == 0)
            return &list->rows[i];
    return NULL;
}

const struct path_row *paths_find(const struct path_list *list, const struct json_doc *doc,
                                  uint32_t node)
{
    const struct json_node *v = &doc->nodes[node];
    /* Meta never escapes a known name; one that is escaped is judged as unknown. */
    if (!list || v->name_flags & JSON_ESCAPED || v->name_end == v->name_start)
        return NULL;
    return find_span(list, span_sub(doc->text, v->name_start, v->name_end));
}

static enum mask_kind walk(const struct path_list *list, struct span path)
{
    const struct path_row *row = NULL;
    while (path.n) {
        size_t dot = span_find(path, '.');
        struct span part = span_sub(path, 0, dot);
        uint64_t index;
        path = span_from(path, dot + 1);
        if (span_is(part, "*") || span_u64(part, &index) == 0)
            continue;
        row = list ? find_span(list, part) : NULL;
        list = path_members(row);
    }
    return row && row->members ? MASK_STRUCTURE : path_leaf_kind(row);
}

enum mask_kind mask_path_kind(enum mask_table table, const char *path)
{
    const struct path_list *list = paths_of(table);
    struct span text = span_str(path), first = span_sub(text, 0, span_find(text, '.'));
    if (table == MASK_TABLE_WEBHOOK && !find_span(list, first))
        list = &value; /* the short form starts inside entry.*.changes.*.value */
    return walk(list, text);
}
