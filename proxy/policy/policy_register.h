/* Inside of the register: what its parts share. Not a door. */
#ifndef SLUIS_POLICY_REGISTER_H
#define SLUIS_POLICY_REGISTER_H

#include "policy_room.h"

enum language { NL, EN };
struct writer {
    const struct policy *p;
    struct buffer *out;
    enum language lang;
};

void register_say(const struct writer *w, const char *nl, const char *en);
/* A text of the officer's in a table's cell: nothing in it is taken for Markdown or HTML. */
void register_type(const struct writer *w, unsigned type);
void register_cell(const struct writer *w, const char *text);
void register_keep(const struct writer *w, const struct retention_rule *rule);
/* policy_register_annex.c */
void register_people(const struct writer *w);
void register_contact(const struct writer *w);
void register_controls(const struct writer *w);

#endif
