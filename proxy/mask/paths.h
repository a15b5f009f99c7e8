/*
 * Private to mask: the table of paths (whatsapp 0.8). A row names one member of an object and says
 * what stands there; arrays are transparent for rows with members of their own. What has no row is
 * content, its name included.
 */
#ifndef SLUIS_MASK_PATHS_H
#define SLUIS_MASK_PATHS_H

#include "sluis/mask.h"

enum path_flag {
    PATH_NAMED = 1,        /* judged together with its member name ("birthday: 1990-04-01") */
    PATH_MEDIA = 2,        /* an object that describes media */
    PATH_MESSAGE = 4,      /* a message: its texts are judged with the conversation's window */
    PATH_CONTACT_NAME = 8, /* who the contact is: hidden where the profile hides the contact */
    PATH_VCARD = 32,       /* folded lines, pictures */
    PATH_PHONES = 16,      /* every run of digits as long as a phone number is one */
};

struct path_list;
struct path_row {
    const char *name;
    uint8_t length;
    uint8_t kind;   /* enum mask_kind, of a value without members */
    uint8_t flags;  /* enum path_flag */
    uint8_t forces; /* 0, or 1 + the detect type that the whole value is, whatever it looks like */
    const struct path_list *members;
};
struct path_list {
    const struct path_row *rows;
    size_t n;
};

const struct path_list *paths_of(enum mask_table table);
/* The row of the member `node` of an object whose members are `list` (NULL: none known). */
const struct path_row *paths_find(const struct path_list *list, const struct json_doc *doc,
                                  uint32_t node);

/* What is done with a value that is neither object nor array. */
static inline enum mask_kind path_leaf_kind(const struct path_row *row)
{
    return row && !row->members ? (enum mask_kind)row->kind : MASK_CONTENT;
}
/* The rows for what an object or array at `row` holds. */
static inline const struct path_list *path_members(const struct path_row *row)
{
    return row ? row->members : NULL;
}

#endif
