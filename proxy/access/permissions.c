/* The permission table as data. */
#include "room.h"

static const struct permission_row rows[PERMISSION_COUNT] = {
#define X(id, method, path, handler, doors, operator_may, right, scope, content, flags)            \
    [PERMISSION_##id] = {#id,                                                                      \
                         PERMISSION_##method,                                                      \
                         path,                                                                     \
                         doors,                                                                    \
                         OPERATOR_##operator_may,                                                  \
                         PERMISSION_##scope,                                                       \
                         CONTENT_##content,                                                        \
                         flags,                                                                    \
                         right},
    PERMISSION_ENDPOINTS(X)
#undef X
};

static const struct permission_tool tools[PERMISSION_TOOL_COUNT] = {
#define X(id, method, object, edge, right, content)                                                \
    {PERMISSION_##method, #object, edge, right, CONTENT_##content},
    PERMISSION_TOOLS(X)
#undef X
};

static const struct permission_command commands[PERMISSION_COMMAND_COUNT] = {
#define X(name, where) {name, PERMISSION_##where},
    PERMISSION_COMMANDS(X)
#undef X
};

/* What a row may not say, whoever writes it. */
#define X(id, method, path, handler, doors, operator_may, right, scope, content, flags)            \
    _Static_assert((right) != 0, #id ": a right, PERMIT_SIGNED_IN or PERMIT_ANYONE");              \
    _Static_assert(!((flags)&PERMISSION_CHANGES) || PERMISSION_##method != PERMISSION_GET,         \
                   #id ": GET changes nothing");                                                   \
    _Static_assert(!((right)&PERMIT_ANYONE) || CONTENT_##content <= CONTENT_COUNTS,                \
                   #id ": without sign-in nothing of anybody");                                    \
    _Static_assert(CONTENT_##content < CONTENT_MASKED || CONTENT_##content > CONTENT_ORIGINAL ||   \
                       OPERATOR_##operator_may != OPERATOR_YES,                                    \
                   #id ": content is for persons, or an alarm");
PERMISSION_ENDPOINTS(X)
#undef X

const struct permission_row *permission_row(enum permission permission)
{
    return (unsigned)permission < PERMISSION_COUNT ? &rows[permission] : NULL;
}

const struct permission_tool *permission_tool(unsigned index)
{
    return index < PERMISSION_TOOL_COUNT ? &tools[index] : NULL;
}

const struct permission_command *permission_command(unsigned index)
{
    return index < PERMISSION_COMMAND_COUNT ? &commands[index] : NULL;
}
