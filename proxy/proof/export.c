/* The lines of an export: read and written byte for byte in one spelling. */
#include "room.h"

#define HASH_TEXT BASE64_LEN(MERKLE_HASH)

static int literal(struct span *rest, struct span text)
{
    if (!span_starts(*rest, text))
        return SLUIS_EINVAL;
    *rest = span_from(*rest, text.n);
    return 0;
}

static int number(struct span *rest, struct span before, uint64_t *out)
{
    int r = literal(rest, before);
    return r ? r : proof_number(rest, out);
}

static int hash(struct span *rest, uint8_t out[MERKLE_HASH])
{
    int r = literal(rest, SPAN(",\"hash\":\""));
    if (r == 0)
        r = proof_base64_read(span_sub(*rest, 0, HASH_TEXT), out, MERKLE_HASH);
    *rest = span_from(*rest, HASH_TEXT);
    return r;
}

/* What stands between here and `end`, which ends the line. */
static int tail(struct span *rest, struct span end, struct span *out)
{
    if (!span_ends(*rest, end))
        return SLUIS_EINVAL;
    *out = span_sub(*rest, 0, rest->n - end.n);
    *rest = SPAN_EMPTY;
    return 0;
}

static int object(struct span text)
{
    return text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}' ? 0 : SLUIS_EINVAL;
}

static int read_leaf(struct span rest, struct export_line *out)
{
    int r = number(&rest, SPAN("{\"index\":"), &out->index);
    if (r == 0)
        r = hash(&rest, out->hash);
    if (r == 0)
        r = literal(&rest, SPAN("\",\"leaf\":"));
    if (r == 0)
        r = tail(&rest, SPAN("}"), &out->text);
    return r ? r : object(out->text);
}

static int read_skip(struct span rest, struct span before, struct export_line *out)
{
    uint64_t level = 0;
    int r = number(&rest, before, &out->index);
    if (r == 0)
        r = number(&rest, SPAN(",\"level\":"), &level);
    if (r == 0)
        r = hash(&rest, out->hash);
    if (r == 0 && (!span_is(rest, "\"}") || level >= MERKLE_LEVELS))
        r = SLUIS_EINVAL;
    out->level = (unsigned)level;
    return r;
}

static int read_page(struct span rest, struct export_line *out)
{
    int r = number(&rest, SPAN("{\"page\":"), &out->index);
    if (r == 0)
        r = number(&rest, SPAN(",\"to\":"), &out->to);
    if (r == 0)
        r = number(&rest, SPAN(",\"size\":"), &out->size);
    if (r == 0)
        r = literal(&rest, SPAN(",\"filter\":"));
    if (r == 0)
        r = tail(&rest, SPAN("}"), &out->text);
    if (r == 0 && (out->index >= out->to || out->to > out->size || out->text.n > EXPORT_FILTER_MAX))
        r = SLUIS_EINVAL;
    return r ? r : object(out->text);
}

static int read_note(struct span rest, struct span before, struct export_line *out)
{
    int r = literal(&rest, before);
    return r ? r : tail(&rest, SPAN("\"}"), &out->text);
}

int export_line_read(struct span line, struct export_line *out)
{
    memset(out, 0, sizeof(*out));
    switch (line.n > 3 ? line.p[2] : 0) {
    case 'i':
        out->kind = EXPORT_LEAF;
        return read_leaf(line, out);
    case 'p':
        if (line.p[3] == 'r') {
            out->kind = EXPORT_PRUNED;
            return read_skip(line, SPAN("{\"pruned\":"), out);
        }
        out->kind = EXPORT_PAGE;
        return read_page(line, out);
    case 'k':
        out->kind = EXPORT_KEY_CHANGE;
        return read_note(line, SPAN("{\"key_change\":\""), out);
    case 'c':
        out->kind = EXPORT_CHECKPOINT;
        return read_note(line, SPAN("{\"checkpoint\":\""), out);
    case 's':
        out->kind = line.p[3] == 'k' ? EXPORT_SKIP : EXPORT_SIGNED;
        return out->kind == EXPORT_SKIP ? read_skip(line, SPAN("{\"skip\":"), out)
                                        : read_note(line, SPAN("{\"signed\":\""), out);
    default:
        return SLUIS_EINVAL;
    }
}

static void write_number(struct buffer *out, const char *before, uint64_t v)
{
    buffer_add_str(out, before);
    buffer_add_u64(out, v);
}

void export_line_write(const struct export_line *line, struct buffer *out)
{
    switch (line->kind) {
    case EXPORT_CHECKPOINT:
    case EXPORT_SIGNED:
    case EXPORT_KEY_CHANGE:
        buffer_add_str(out, line->kind == EXPORT_SIGNED       ? "{\"signed\":\""
                            : line->kind == EXPORT_CHECKPOINT ? "{\"checkpoint\":\""
                                                              : "{\"key_change\":\"");
        buffer_add(out, line->text);
        buffer_add_str(out, "\"");
        break;
    case EXPORT_PAGE:
        write_number(out, "{\"page\":", line->index);
        write_number(out, ",\"to\":", line->to);
        write_number(out, ",\"size\":", line->size);
        buffer_add_str(out, ",\"filter\":");
        buffer_add(out, line->text);
        break;
    case EXPORT_LEAF:
        write_number(out, "{\"index\":", line->index);
        buffer_add_str(out, ",\"hash\":\"");
        proof_base64_write(line->hash, MERKLE_HASH, out);
        buffer_add_str(out, "\",\"leaf\":");
        buffer_add(out, line->text);
        break;
    case EXPORT_SKIP:
    case EXPORT_PRUNED:
        write_number(out, line->kind == EXPORT_SKIP ? "{\"skip\":" : "{\"pruned\":", line->index);
        write_number(out, ",\"level\":", line->level);
        buffer_add_str(out, ",\"hash\":\"");
        proof_base64_write(line->hash, MERKLE_HASH, out);
        buffer_add_str(out, "\"");
        break;
    }
    buffer_add_str(out, "}\n");
}

int export_note_read(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || (unsigned char)text.p[i] < 0x20)
            return SLUIS_EINVAL;
        if (text.p[i] != '\\') {
            buffer_add_char(out, text.p[i]);
            continue;
        }
        if (++i == text.n || text.p[i] != 'n')
            return SLUIS_EINVAL;
        buffer_add_char(out, '\n');
    }
    return out->error;
}

void export_note_write(struct span note, struct buffer *out)
{
    for (size_t i = 0; i < note.n; i++) {
        if (note.p[i] == '\n')
            buffer_add_str(out, "\\n");
        else
            buffer_add_char(out, note.p[i]);
    }
}

void export_page_text(const char *origin, const uint8_t sha256[32], struct buffer *out)
{
    buffer_add_str(out, origin);
    buffer_add_str(out, "/export\n");
    proof_base64_write(sha256, 32, out);
    buffer_add_char(out, '\n');
}

int export_page_sign(const struct note_key *key, const uint8_t seed[NOTE_SEED], struct span page,
                     struct buffer *out)
{
    struct buffer text, note, escaped;
    uint8_t hash[32];
    buffer_init(&text, NOTE_MAX);
    buffer_init(&note, NOTE_MAX);
    buffer_init(&escaped, 2 * NOTE_MAX);
    proof_sha256(page, hash);
    export_page_text(key->name, hash, &text);
    int r = text.error ? text.error : note_sign(key, seed, buffer_span(&text), &note);
    export_note_write(buffer_span(&note), &escaped);
    const struct export_line line = {.kind = EXPORT_SIGNED, .text = buffer_span(&escaped)};
    if (r == 0)
        r = escaped.error;
    if (r == 0)
        export_line_write(&line, out);
    buffer_free(&text);
    buffer_free(&note);
    buffer_free(&escaped);
    return r ? r : out->error;
}

/* ---- gaps ---- */

void export_gap_init(struct export_gap *gap, uint64_t from)
{
    gap->from = from;
    gap->n = 0;
    gap->count = 0;
    gap->pruned = false;
}

void export_gap_add(struct export_gap *gap, const uint8_t leaf[MERKLE_HASH])
{
    unsigned level = 0, i = gap->count;
    memcpy(gap->node[i], leaf, MERKLE_HASH);
    gap->n++;
    uint64_t end = gap->from + gap->n;
    /* Two neighbours of one size are one subtree when the left one begins at a multiple of both. */
    while (i > 0 && gap->level[i - 1] == level && (end & ((UINT64_C(2) << level) - 1)) == 0) {
        merkle_node(gap->node[i - 1], gap->node[i], gap->node[i - 1]);
        i--;
        level++;
    }
    gap->level[i] = (uint8_t)level;
    gap->count = i + 1;
}

void export_gap_flush(struct export_gap *gap, struct buffer *out)
{
    struct export_line line = {.kind = gap->pruned ? EXPORT_PRUNED : EXPORT_SKIP,
                               .index = gap->from};
    for (unsigned i = 0; i < gap->count; i++) {
        line.level = gap->level[i];
        memcpy(line.hash, gap->node[i], MERKLE_HASH);
        export_line_write(&line, out);
        line.index += UINT64_C(1) << line.level;
    }
    export_gap_init(gap, gap->from + gap->n);
}

/* ---- pages ---- */

void export_page_begin(struct export_writer *w, struct buffer *out, uint64_t from, uint64_t to,
                       uint64_t size, struct span filter)
{
    const struct export_line line = {
        .kind = EXPORT_PAGE, .index = from, .to = to, .size = size, .text = filter};
    w->out = out;
    w->start = out->n;
    export_gap_init(&w->gap, from);
    export_line_write(&line, out);
}

void export_page_leaf(struct export_writer *w, struct span leaf, const uint8_t hash[MERKLE_HASH])
{
    struct export_line line = {.kind = EXPORT_LEAF, .text = leaf};
    export_gap_flush(&w->gap, w->out);
    line.index = w->gap.from++;
    memcpy(line.hash, hash, MERKLE_HASH);
    export_line_write(&line, w->out);
}

static void add_gap(struct export_writer *w, bool pruned, const uint8_t hash[MERKLE_HASH])
{
    /* Pruned ones one by one: an export without a filter compares with any checkpoint. */
    if (w->gap.pruned != pruned || pruned)
        export_gap_flush(&w->gap, w->out);
    w->gap.pruned = pruned;
    export_gap_add(&w->gap, hash);
}

void export_page_skip(struct export_writer *w, const uint8_t hash[MERKLE_HASH])
{
    add_gap(w, false, hash);
}

void export_page_pruned(struct export_writer *w, const uint8_t hash[MERKLE_HASH])
{
    add_gap(w, true, hash);
}

void export_page_cut(struct export_writer *w)
{
    export_gap_flush(&w->gap, w->out);
}

int export_page_end(struct export_writer *w, const struct note_key *key,
                    const uint8_t seed[NOTE_SEED])
{
    export_gap_flush(&w->gap, w->out);
    if (w->out->error)
        return w->out->error;
    return export_page_sign(key, seed, span_from(buffer_span(w->out), w->start), w->out);
}
