/* The page of the access log: what it shows. */
#ifndef SLUIS_ADMIN_PAGE_LOG_H
#define SLUIS_ADMIN_PAGE_LOG_H

#include "internal.h"

#define LOG_PAGE_ROWS 100u

enum log_text {
    T_TITLE,
    T_WHO,
    T_WHAT,
    T_WHY,
    T_WHEN,
    T_ABOUT,
    T_MORE,
    T_VERIFIED,
    T_IN_TREE,
    T_INSIDE,
    T_LOOKED_AT,
    T_NOT_LOOKED_AT,
    T_NOT_VERIFIED,
    T_WAITS,
    T_BAD_LOG,
    T_BAD_HASHES,
    T_BAD_NODES,
    T_BAD_FILE,
    T_BAD_ROWS,
    T_FILTER,
    T_SINCE,
    T_UNTIL,
    T_ACTOR,
    T_ROLE,
    T_SUBJECT,
    T_ACTION,
    T_OUTCOME,
    T_OLDER,
    T_NEWEST,
    T_NONE,
    T_LOOKED,
    T_CLAIMED,
    T_NO_WHY,
    T_ROW_TEXT,
    T_ROW_HASH,
    T_ROW_TREE,
    T_ROW_NOT_YET,
    T_ROW_DAMAGED,
    T_ROW_GONE,
    T_OTHER,
    T_RECORDED,
    T_COUNT
};
struct log_row {
    uint64_t index, last; /* last: of leaves that have no text */
    enum store_leaf_state state;
    struct span leaf;
    const struct audit_row *proof; /* of one that has */
};
struct log_view {
    struct admin_request *r;
    struct audit_filter filter;
    bool all; /* no filter */
    const char *const *t;
    bool english;
    struct log_row rows[LOG_PAGE_ROWS];
    unsigned n;
    struct audit_row proofs[LOG_PAGE_ROWS];
    struct audit_proof proof;
    uint64_t before; /* leaves from here on are not shown */
    uint64_t looked, low;
    struct arena arena;
    int error;
};

/* page_log_rows.c */
void log_row_write(struct log_view *v, const struct log_row *row, struct buffer *out);

#endif
