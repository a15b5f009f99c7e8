/*
 * sluis-sim check: conservation. Every message that got its 200 must have reached the inbox
 * (answered 200 there), and messages of one contact in the order of acceptance: when A had its 200
 * before B was first sent, A is delivered before B.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "options.h"

struct sent {
    char id[96], contact[24];
    unsigned long long first_us, ok_us;
    unsigned status;
    unsigned deliveries;
};
struct newest {
    char contact[24];
    unsigned long long first_us; /* the latest first_us delivered so far */
};
struct table {
    struct sent *rows;
    size_t count, size;
    size_t *slots; /* open addressing over ids, 0: empty, else index + 1 */
    struct newest *newest;
    size_t mask;
};

static uint64_t hash(const char *s)
{
    uint64_t h = 1469598103934665603u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

static int read_sent(struct table *t, const char *file)
{
    FILE *f = fopen(file, "re");
    struct sent row = {.deliveries = 0};
    if (!f) {
        fprintf(stderr, "sluis-sim: cannot read %s\n", file);
        return -1;
    }
    while (fscanf(f, "%95s %23s %llu %llu %u %*u", row.id, row.contact, &row.first_us, &row.ok_us,
                  &row.status) == 5) {
        if (t->count == t->size) {
            t->size = t->size ? t->size * 2 : 4096;
            struct sent *grown = realloc(t->rows, t->size * sizeof *grown);
            if (!grown)
                break;
            t->rows = grown;
        }
        t->rows[t->count++] = row;
    }
    fclose(f);
    return t->count ? 0 : -1;
}

static int build_index(struct table *t)
{
    size_t size = 1024;
    while (size < t->count * 2)
        size *= 2;
    t->mask = size - 1;
    t->slots = calloc(size, sizeof *t->slots);
    t->newest = calloc(size, sizeof *t->newest);
    if (!t->slots || !t->newest)
        return -1;
    for (size_t i = 0; i < t->count; i++) {
        size_t at = hash(t->rows[i].id) & t->mask;
        while (t->slots[at])
            at = (at + 1) & t->mask;
        t->slots[at] = i + 1;
    }
    return 0;
}

static struct sent *find(struct table *t, const char *id)
{
    for (size_t at = hash(id) & t->mask; t->slots[at]; at = (at + 1) & t->mask)
        if (strcmp(t->rows[t->slots[at] - 1].id, id) == 0)
            return &t->rows[t->slots[at] - 1];
    return NULL;
}

static struct newest *newest_of(struct table *t, const char *contact)
{
    size_t at = hash(contact) & t->mask;
    while (t->newest[at].contact[0] && strcmp(t->newest[at].contact, contact) != 0)
        at = (at + 1) & t->mask;
    memcpy(t->newest[at].contact, contact, sizeof t->newest[at].contact);
    return &t->newest[at];
}

struct tally {
    size_t accepted, delivered, duplicates, missing, misordered, unknown, strangers, bad_signatures;
};

static void take_line(struct table *t, json_t *line, struct tally *tally)
{
    size_t i;
    json_t *id;
    if (!json_is_true(json_object_get(line, "signature")))
        tally->bad_signatures++;
    if (json_integer_value(json_object_get(line, "status")) != 200)
        return;
    json_array_foreach(json_object_get(line, "ids"), i, id)
    {
        struct sent *row = find(t, json_string_value(id) ? json_string_value(id) : "");
        if (!row) {
            tally->strangers++;
            continue;
        }
        if (row->deliveries++) {
            tally->duplicates++;
            continue;
        }
        struct newest *newest = newest_of(t, row->contact);
        if (row->ok_us && row->ok_us < newest->first_us)
            tally->misordered++;
        if (row->first_us > newest->first_us)
            newest->first_us = row->first_us;
    }
}

static int read_inbox(struct table *t, const char *file, struct tally *tally)
{
    FILE *f = fopen(file, "re");
    char *line = NULL;
    size_t size = 0;
    if (!f) {
        fprintf(stderr, "sluis-sim: cannot read %s\n", file);
        return -1;
    }
    while (getline(&line, &size, f) > 0) {
        json_t *object = json_loads(line, 0, NULL);
        take_line(t, object, tally);
        json_decref(object);
    }
    free(line);
    fclose(f);
    return 0;
}

static int run(int argc, char **argv)
{
    const char *sent = NULL;
    double elsewhere = 0;
    const struct option_row rows[] = {
        {"--sent", "FILE", "written by sluis-sim load", &sent, NULL, NULL},
        {"--elsewhere", "N", "accepted messages known to be parked or expired", NULL, &elsewhere,
         NULL},
    };
    int at = options_parse(&command_check, rows, sizeof rows / sizeof *rows, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;
    if (!sent || at == argc) {
        fprintf(stderr, "sluis-sim check: --sent FILE and an inbox.jsonl are needed\n");
        return EXIT_USAGE;
    }
    struct table t = {.rows = NULL};
    struct tally tally = {.accepted = 0};
    int code = 1;
    if (read_sent(&t, sent) < 0 || build_index(&t) < 0)
        goto out;
    for (; at < argc; at++)
        if (read_inbox(&t, argv[at], &tally) < 0)
            goto out;
    for (size_t i = 0; i < t.count; i++) {
        bool accepted = t.rows[i].ok_us != 0;
        tally.accepted += accepted;
        tally.delivered += t.rows[i].deliveries > 0;
        tally.missing += accepted && t.rows[i].deliveries == 0;
        tally.unknown += !accepted && t.rows[i].deliveries > 0;
    }
    printf("{\"sent\": %zu, \"accepted\": %zu, \"delivered\": %zu, \"duplicates\": %zu, "
           "\"missing\": %zu, \"misordered\": %zu, \"delivered_without_200\": %zu, "
           "\"strangers\": %zu, \"bad_signatures\": %zu}\n",
           t.count, tally.accepted, tally.delivered, tally.duplicates, tally.missing,
           tally.misordered, tally.unknown, tally.strangers, tally.bad_signatures);
    code = tally.missing > (size_t)elsewhere || tally.misordered || tally.bad_signatures ||
                   tally.accepted == 0
               ? 1
               : 0;
out:
    free(t.rows);
    free(t.slots);
    free(t.newest);
    return code;
}

const struct command command_check = {
    "check", "INBOX.jsonl…",
    "every accepted message delivered, in order per contact, well signed\n\n"
    "Exit 1 when a message is missing (beyond --elsewhere), out of order or badly signed.\n",
    run};
