/* Whom a tool's message is for. */
#include "internal.h"

#include <string.h>

/* A number as people write it: then it is a person's, whatever else the call says. */
bool recipient_is_number(struct span to)
{
    bool digit = false;
    for (size_t i = 0; i < to.n; i++) {
        bool is = to.p[i] >= '0' && to.p[i] <= '9';
        if (!is && !memchr("+ -().", to.p[i], 6))
            return false;
        digit |= is;
    }
    return digit;
}

/* Absent and null are empty. What is no string might be read as one by Meta, and not here. */
static int text_at(struct call *call, const char *name, struct span *out)
{
    uint32_t node = json_get(&call->doc, 0, span_str(name));
    *out = SPAN_EMPTY;
    if (node == JSON_NONE || json_is(&call->doc, node, JSON_NULL))
        return 0;
    if (!json_is(&call->doc, node, JSON_STRING))
        return SLUIS_EINVAL;
    return json_string(&call->doc, node, &call->arena, out);
}

/* As Meta's webhooks write it: the same person, however a tool spells it. */
static int normalise(struct call *call, struct span *contact)
{
    char *room = arena_try(&call->arena, SUBJECT_WRITTEN_MAX + 2);
    if (!room)
        return SLUIS_ENOMEM;
    if (recipient_is_number(*contact))
        *contact = subject_normalise(*contact, room);
    else if (!json_string_is(&call->doc, json_get(&call->doc, 0, SPAN("recipient_type")),
                             SPAN("group")))
        return SLUIS_EINVAL;
    return contact->n ? 0 : SLUIS_EINVAL;
}

/* A user id beside the number, of another person: SLUIS_EDENIED. */
static int same_person(struct call *call, struct span contact, struct span user_id)
{
    struct keyring *keyring = call->thread->graph->deps.keyring;
    struct store_read *read;
    uint64_t by_user, by_number;
    int r = store_read_begin(call->thread->graph->deps.store, &read);
    if (r != 0)
        return r;
    r = subject_find(read, keyring, user_id, &by_user);
    if (r == 0)
        r = subject_find(read, keyring, contact, &by_number);
    else if (r == SLUIS_ENOENT) {
        store_read_end(read);
        return 0;
    }
    store_read_end(read);
    if (r == SLUIS_ENOENT)
        return SLUIS_EDENIED;
    return r == 0 && by_user != by_number ? SLUIS_EDENIED : r;
}

/* With a number and a user id Meta sends to the number: so opting out, window and tokens are the
 * number's, and a tool's word that a user id is of the same person is taken for nothing. */
int recipient_read(struct call *call, struct span *contact, struct span *user_id)
{
    int r = text_at(call, "to", contact);
    if (r == 0)
        r = text_at(call, "recipient", user_id);
    if (r == 0 && contact->n)
        r = normalise(call, contact);
    if (r == 0 && contact->n && user_id->n) {
        r = same_person(call, *contact, *user_id);
        *user_id = SPAN_EMPTY;
    }
    return r ? r : contact->n || user_id->n ? 0 : SLUIS_EINVAL;
}
