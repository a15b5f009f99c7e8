/* Destruction records: the ground of a class, the signature, the sealed rows, the walk over them.
 */
#include "room.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/encode.h"

_Static_assert(crypto_sign_SEEDBYTES == KEYRING_KEY_BYTES, "a derived key is a seed");

int keys_open(struct purge *p)
{
    uint8_t seed[KEYRING_KEY_BYTES];
    p->keys = sodium_malloc(sizeof(*p->keys));
    if (!p->keys)
        return SLUIS_ENOMEM;
    keyring_derive(p->deps.keyring, "destruction-sign", seed);
    crypto_sign_seed_keypair(p->keys->public_key, p->keys->secret, seed);
    sodium_memzero(seed, sizeof(seed));
    return 0;
}

void keys_close(struct purge *p)
{
    sodium_free(p->keys);
}

void purge_public_key(struct purge *p, uint8_t out[RETENTION_SIGN_PUBLIC])
{
    memcpy(out, p->keys->public_key, RETENTION_SIGN_PUBLIC);
}

/* ---- the rule behind a class ---- */

struct rule_search {
    const char *part;
    long long keep_s;
    bool minimum;
    struct rule_facts *out;
    bool found;
};

/* "AVG 6.1.e; Wabb art. 10": what is not there yet and fits. */
static void add_words(char *out, size_t size, const char *words)
{
    size_t n = strlen(out);
    if (*words && !strstr(out, words) && n + strlen(words) + 3 <= size)
        snprintf(out + n, size - n, "%s%s", n ? "; " : "", words);
}

static int search_policy(void *ctx, const struct policy *policy)
{
    static const char *const parts[] = {"original", "history"};
    struct rule_search *s = ctx;
    struct retention_rule rule;
    if (!s->out->policy_hash[0])
        snprintf(s->out->policy_hash, POLICY_HASH_HEX, "%s", policy_hash(policy));
    for (unsigned part = 0; part < 2; part++) {
        if (strcmp(s->part, parts[part]) != 0)
            continue;
        for (size_t i = 0; policy_retention_at(policy, (enum retention_part)part, i, &rule) == 0;
             i++) {
            if (rule.never || rule.keep_s != s->keep_s || rule.minimum != s->minimum)
                continue;
            /* rules that keep alike share a class: all their grounds are its grounds */
            add_words(s->out->ground, sizeof(s->out->ground), rule.ground);
            add_words(s->out->category, sizeof(s->out->category), rule.selection);
            if (!s->found)
                snprintf(s->out->policy_hash, POLICY_HASH_HEX, "%s", policy_hash(policy));
            s->found = true;
        }
    }
    return 0;
}

/* A class outlives the rule that made it: then only the policy in force is named. */
void rule_find(struct purge *p, const char *class_name, struct rule_facts *out)
{
    char part[16] = "", bound[8] = "";
    struct rule_search s = {.part = part, .out = out};
    memset(out, 0, sizeof(*out));
    if (sscanf(class_name, "%15[a-z]/%lld/%7[a-z]/", part, &s.keep_s, bound) != 3)
        part[0] = '\0';
    s.minimum = strcmp(bound, "min") == 0;
    if (p->deps.each_policy)
        p->deps.each_policy(p->deps.ctx, search_policy, &s);
    if (!out->policy_hash[0])
        memset(out->policy_hash, '0', POLICY_HASH_HEX - 1);
}

/* ---- rows ---- */

#define PREFIX_BYTES 7
static const struct span prefix = {"purge.d", PREFIX_BYTES};

static uint64_t serial_of(int64_t at_ms, uint64_t number)
{
    return (uint64_t)at_ms << 16 | (number & 0xffff);
}

int destruction_seal(struct purge *p, const struct retention_destruction *d,
                     uint8_t key[DESTRUCTION_KEY_BYTES], struct buffer *sealed)
{
    struct buffer line;
    uint64_t number = ++p->destruction_number;
    memcpy(key, prefix.p, PREFIX_BYTES);
    be64_put(key + PREFIX_BYTES, (uint64_t)d->at_ms);
    be64_put(key + PREFIX_BYTES + 8, number);
    buffer_init(&line, 2 * RETENTION_DESTRUCTION_MAX);
    int r = retention_destruction_write(d, p->keys->secret, &line);
    if (r == 0)
        r = row_seal(p, STORE_TABLE_SETTING, PART_DESTRUCTION, serial_of(d->at_ms, number),
                     buffer_span(&line), sealed);
    buffer_free(&line);
    return r;
}

/* Rows are copied out of a read transaction a page at a time, then opened and checked. */
#define PAGE_ROWS 32
struct page {
    struct {
        uint8_t key[DESTRUCTION_KEY_BYTES];
        uint8_t value[STORE_VALUE_MAX];
        size_t n;
    } row[PAGE_ROWS];
    unsigned n;
    uint64_t to_ms;
};

static int take_row(void *ctx, struct span key, struct span value)
{
    struct page *page = ctx;
    if (page->n == PAGE_ROWS || !span_starts(key, prefix))
        return 1;
    if (key.n != DESTRUCTION_KEY_BYTES || value.n > STORE_VALUE_MAX)
        return SLUIS_ECRYPTO;
    if (be64_get((const uint8_t *)key.p + PREFIX_BYTES) > page->to_ms)
        return 1;
    memcpy(page->row[page->n].key, key.p, key.n);
    memcpy(page->row[page->n].value, value.p, value.n);
    page->row[page->n++].n = value.n;
    return 0;
}

static int open_row(struct purge *p, struct page *page, unsigned i, struct buffer *plain)
{
    const uint8_t *key = page->row[i].key + PREFIX_BYTES;
    uint64_t serial = serial_of((int64_t)be64_get(key), be64_get(key + 8));
    struct span record;
    buffer_clear(plain);
    pthread_mutex_lock(&p->lock);
    int r = row_open(p, STORE_TABLE_SETTING, PART_DESTRUCTION, serial,
                     span_of(page->row[i].value, page->row[i].n), plain);
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        r = retention_destruction_verify(buffer_span(plain), p->keys->public_key, &record);
    return r ? SLUIS_ECRYPTO : 0;
}

int purge_records(struct purge *p, int64_t from_ms, int64_t to_ms,
                  int (*each)(void *ctx, struct span line), void *ctx)
{
    uint8_t from[DESTRUCTION_KEY_BYTES + 1] = {0};
    struct page *page = malloc(sizeof(*page));
    struct store_read *read;
    struct buffer plain;
    size_t from_n = DESTRUCTION_KEY_BYTES;
    int r = page && from_ms >= 0 && to_ms >= 0 ? 0 : page ? SLUIS_EINVAL : SLUIS_ENOMEM;
    memcpy(from, prefix.p, PREFIX_BYTES);
    be64_put(from + PREFIX_BYTES, (uint64_t)from_ms);
    buffer_init(&plain, 2 * RETENTION_DESTRUCTION_MAX);
    bool more = true;
    while (r == 0 && more) {
        page->n = 0;
        page->to_ms = (uint64_t)to_ms;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_row(read, STORE_TABLE_SETTING, span_of(from, from_n), take_row, page);
        store_read_end(read);
        more = page->n == PAGE_ROWS;
        if (more) { /* the key that follows the last one */
            memcpy(from, page->row[page->n - 1].key, DESTRUCTION_KEY_BYTES);
            from[DESTRUCTION_KEY_BYTES] = 0;
            from_n = sizeof(from);
        }
        for (unsigned i = 0; r == 0 && i < page->n; i++) {
            r = open_row(p, page, i, &plain);
            int said = r == 0 ? each(ctx, buffer_span(&plain)) : 0;
            if (said) {
                r = said < 0 ? said : 0;
                more = false;
                break;
            }
        }
    }
    buffer_free(&plain);
    free(page);
    return r;
}
