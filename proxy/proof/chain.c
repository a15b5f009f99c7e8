/* The chain of a log's keys: each was vouched for by the one before it. */
#include "room.h"

#include <stdlib.h>

#define CHANGE_LINE "sluis/log-key-change/v1"

static void add_line(struct buffer *out, struct span line)
{
    buffer_add(out, line);
    buffer_add_char(out, '\n');
}

static void add_key(struct buffer *out, const struct note_key *key)
{
    note_key_write(key, out);
    buffer_add_char(out, '\n');
}

int key_change_sign(const struct key_change *change, const uint8_t old_seed[NOTE_SEED],
                    const uint8_t new_seed[NOTE_SEED], struct buffer *note)
{
    struct buffer text;
    buffer_init(&text, NOTE_MAX);
    add_line(&text, SPAN(CHANGE_LINE));
    buffer_add_u64(&text, change->size);
    buffer_add_char(&text, '\n');
    proof_base64_write(change->root, MERKLE_HASH, &text);
    buffer_add_char(&text, '\n');
    add_key(&text, &change->old_key);
    add_key(&text, &change->new_key);
    int r = text.error;
    if (r == 0)
        r = note_sign(&change->old_key, old_seed, buffer_span(&text), note);
    if (r == 0)
        r = note_cosign(&change->new_key, new_seed, buffer_span(&text), note);
    buffer_free(&text);
    return r;
}

bool key_change_is(struct span note)
{
    return span_starts(note, SPAN(CHANGE_LINE "\n"));
}

static int take_line(struct span *rest, struct span *line)
{
    size_t end = span_find(*rest, '\n');
    if (end == rest->n)
        return SLUIS_EINVAL;
    *line = span_sub(*rest, 0, end);
    *rest = span_from(*rest, end + 1);
    return 0;
}

int key_change_read(struct span note, struct key_change *out)
{
    struct span rest = note, line[5], text;
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < 5; i++)
        if (take_line(&rest, &line[i]) != 0)
            return SLUIS_EINVAL;
    if (!span_is(line[0], CHANGE_LINE) || proof_number(&line[1], &out->size) != 0 || line[1].n ||
        proof_base64_read(line[2], out->root, MERKLE_HASH) != 0 ||
        note_key_read(line[3], &out->old_key) != 0 || note_key_read(line[4], &out->new_key) != 0 ||
        strcmp(out->old_key.name, out->new_key.name) != 0 || !span_starts(rest, SPAN("\n")))
        return SLUIS_EINVAL;
    /* both, or it vouches for nothing */
    int r = note_open(note, &out->old_key, &text);
    return r ? r : note_open(note, &out->new_key, &text);
}

static bool same_key(const struct note_key *a, const struct note_key *b)
{
    return strcmp(a->name, b->name) == 0 && memcmp(a->public_key, b->public_key, 32) == 0;
}

void key_chain_init(struct key_chain *chain, const struct note_key *key)
{
    *chain = (struct key_chain){.count = 1};
    chain->link[0].key = *key;
    chain->link[0].until = UINT64_MAX;
}

int key_chain_add(struct key_chain *chain, const struct key_change *change)
{
    struct key_link *last = &chain->link[chain->count - 1];
    for (unsigned i = 0; i < chain->count; i++) {
        struct key_link *l = &chain->link[i];
        if (i + 1 < chain->count && same_key(&l->key, &change->old_key))
            return same_key(&chain->link[i + 1].key, &change->new_key) &&
                           l->until == change->size &&
                           memcmp(l->root, change->root, MERKLE_HASH) == 0
                       ? 0
                       : SLUIS_ECRYPTO; /* two successors of one key */
    }
    if (same_key(&chain->link[0].key, &change->new_key)) { /* before the key that is held */
        if (chain->from_known && (chain->from != change->size ||
                                  memcmp(chain->from_root, change->root, MERKLE_HASH) != 0))
            return SLUIS_ECRYPTO;
        chain->from_known = true;
        chain->from = change->size;
        memcpy(chain->from_root, change->root, MERKLE_HASH);
        return 0;
    }
    if (!same_key(&last->key, &change->old_key))
        return chain->from_known || chain->count == 1 ? SLUIS_ENOENT : SLUIS_ECRYPTO;
    if (chain->count == KEY_CHAIN_MAX)
        return SLUIS_ELIMIT;
    if (chain->count > 1 && change->size <= chain->link[chain->count - 2].until)
        return SLUIS_ECRYPTO;
    last->until = change->size;
    memcpy(last->root, change->root, MERKLE_HASH);
    chain->link[chain->count].key = change->new_key;
    chain->link[chain->count].until = UINT64_MAX;
    chain->count++;
    return 0;
}

const struct note_key *key_chain_last(const struct key_chain *chain)
{
    return &chain->link[chain->count - 1].key;
}

int key_chain_open(const struct key_chain *chain, struct span note, struct checkpoint *out)
{
    for (unsigned i = 0; i < chain->count; i++) {
        int r = checkpoint_open(note, &chain->link[i].key, out);
        if (r == SLUIS_ENOENT)
            continue;
        if (r != 0)
            return r;
        /* A key speaks for the sizes between its change and the next, and for no others: who holds
         * a later key cannot sign the past anew. */
        uint64_t after = i ? chain->link[i - 1].until : chain->from_known ? chain->from : 0;
        bool first = i == 0 && !chain->from_known;
        return (first || out->size > after) && out->size <= chain->link[i].until ? 0
                                                                                 : SLUIS_EDENIED;
    }
    return SLUIS_ENOENT;
}
