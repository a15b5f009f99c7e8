/*
 * The log for operators: one line per event, key=value or JSON, on standard error. Free of
 * personal data by construction: a field is a number, a constant from our own code, or a name
 * from the operator's configuration. There is no field for text from outside, and none is to be
 * added; what a message, a header or a peer says never reaches this log.
 *
 *     LOG(LOG_WARN, "http", "refused", log_u64("conn", id), log_word("reason", "host_twice"));
 *     -> ts=2026-11-21T22:30:05.123Z level=warn room=http event=refused conn=17 reason=host_twice
 *
 * Threads: any; one write(2) per line. Lines are cut at LOG_LINE_MAX.
 */
#ifndef SLUIS_BASE_LOG_H
#define SLUIS_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 2048

enum log_level { LOG_ALARM, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_form { LOG_KEY_VALUE, LOG_JSON };
enum log_kind { LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_WORD };

struct log_field {
    const char *key;
    enum log_kind kind;
    uint64_t number;
    const char *word;
};

static inline struct log_field log_u64(const char *key, uint64_t v)
{
    return (struct log_field){key, LOG_KIND_U64, v, NULL};
}
static inline struct log_field log_i64(const char *key, int64_t v)
{
    return (struct log_field){key, LOG_KIND_I64, (uint64_t)v, NULL};
}
/* `word`: a constant of ours or a name from the configuration. Escaped. */
static inline struct log_field log_word(const char *key, const char *word)
{
    return (struct log_field){key, LOG_KIND_WORD, 0, word};
}
struct log_field log_error(int error); /* error=word */
struct log_field log_errno(void);      /* errno=ENOSPC: the name, of the errno at the call */

void log_configure(enum log_level least, enum log_form form, int fd);
void log_write(enum log_level level, const char *room, const char *event,
               const struct log_field *fields, size_t n);

#define LOG(level, room, event, ...)                                                               \
    do {                                                                                           \
        const struct log_field log_fields_[] = {__VA_ARGS__};                                      \
        log_write((level), (room), (event), log_fields_,                                           \
                  sizeof(log_fields_) / sizeof(log_fields_[0]));                                   \
    } while (0)

#endif
