#include "window.h"

uint32_t window_message(const struct json_doc *doc, uint32_t unit_root)
{
    static const char *const places[] = {"messages.0", "message_echoes.0",
                                         "history.0.threads.0.messages.0"};
    uint32_t value = json_path(doc, unit_root, "entry.0.changes.0.value");
    uint32_t found = JSON_NONE;
    for (size_t i = 0; i < sizeof places / sizeof *places && found == JSON_NONE; i++)
        found = json_path(doc, value, places[i]);
    return found;
}

uint32_t window_text(const struct json_doc *doc, uint32_t message)
{
    static const char *const places[] = {
        "text.body",     "image.caption",
        "video.caption", "document.caption",
        "button.text",   "interactive.button_reply.title",
        "order.text",    "interactive.list_reply.title",
        "system.body",
    };
    if (!json_is(doc, message, JSON_OBJECT))
        return JSON_NONE;
    uint32_t edited = json_path(doc, message, "edit.message");
    if (edited != JSON_NONE)
        message = edited; /* one level: an edit of an edit is content like any other */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint32_t found = json_path(doc, message, places[i]);
        if (json_is(doc, found, JSON_STRING))
            return found;
    }
    return JSON_NONE;
}

int mask_window_text(const struct json_doc *doc, uint32_t unit_root, struct arena *arena,
                     struct span *out)
{
    uint32_t node = window_text(doc, window_message(doc, unit_root));
    *out = SPAN_EMPTY;
    return node == JSON_NONE ? 0 : json_string(doc, node, arena, out);
}
