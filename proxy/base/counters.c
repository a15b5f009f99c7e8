#include "sluis/base/counters.h"

#include <pthread.h>

struct entry {
    struct counter *table;
    size_t n;
};

/* The one list of the process: a metrics page has to see every room's table. */
static struct entry entries[COUNTER_TABLES_MAX];
static size_t entry_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int counters_register(struct counter *table, size_t n)
{
    int result = 0;
    pthread_mutex_lock(&lock);
    size_t at = 0;
    while (at < entry_count && entries[at].table != table)
        at++;
    if (at == COUNTER_TABLES_MAX) {
        result = SLUIS_ELIMIT;
    } else {
        entries[at] = (struct entry){table, n};
        if (at == entry_count)
            entry_count++;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

void counters_unregister(struct counter *table)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < entry_count; i++) {
        if (entries[i].table == table) {
            entries[i] = entries[--entry_count];
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

static bool first_of_name(size_t table, size_t row)
{
    const char *name = entries[table].table[row].name;
    for (size_t t = 0; t <= table; t++) {
        size_t end = t == table ? row : entries[t].n;
        for (size_t i = 0; i < end; i++)
            if (strcmp(entries[t].table[i].name, name) == 0)
                return false;
    }
    return true;
}

/* All rows of one name stand together, as the text format asks. */
static void write_name(struct buffer *out, const struct counter *c)
{
    buffer_addf(out, "# HELP %s %s\n# TYPE %s %s\n", c->name, c->help, c->name,
                c->kind == COUNTER_GAUGE ? "gauge" : "counter");
    for (size_t t = 0; t < entry_count; t++) {
        for (size_t i = 0; i < entries[t].n; i++) {
            const struct counter *row = &entries[t].table[i];
            if (strcmp(row->name, c->name) != 0)
                continue;
            if (row->labels)
                buffer_addf(out, "%s{%s} ", row->name, row->labels);
            else
                buffer_addf(out, "%s ", row->name);
            buffer_add_i64(out, counter_get(row));
            buffer_add_char(out, '\n');
        }
    }
}

void counters_write(struct buffer *out)
{
    pthread_mutex_lock(&lock);
    for (size_t t = 0; t < entry_count; t++)
        for (size_t i = 0; i < entries[t].n; i++)
            if (first_of_name(t, i))
                write_name(out, &entries[t].table[i]);
    pthread_mutex_unlock(&lock);
}
