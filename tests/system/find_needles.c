/*
 * Looks for many values in large files at once. Usage: find-needles NEEDLES FILE...
 *
 * NEEDLES: lines "KIND HEX", values of 8 bytes or more. Each is looked for as it is, as UTF-16, in
 * hex (small and capital) and in base64 (all three alignments). Prints "KIND VALUES FOUND" a line
 * per kind, FOUND: places. Exit 0 nothing found, 1 something, 2 trouble.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAST 8 /* bytes: the part that is hashed */
#define KINDS_MAX 16
#define FILTER_BITS 26
#define TABLE_BITS 21

struct form {
    uint8_t *bytes;
    size_t n;
    unsigned kind;
    struct form *next;
};
struct search {
    struct form *table[1u << TABLE_BITS];
    uint8_t filter[1u << (FILTER_BITS - 3)];
    char kinds[KINDS_MAX][32];
    unsigned kind_count;
    unsigned long long values[KINDS_MAX], found[KINDS_MAX], bytes;
};

static uint64_t mix(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    v *= 0x9e3779b97f4a7c15ull;
    return v ^ v >> 29;
}

static void add_form(struct search *s, const uint8_t *bytes, size_t n, unsigned kind)
{
    if (n < LEAST)
        return;
    struct form *f = malloc(sizeof(*f));
    uint8_t *copy = malloc(n);
    if (!f || !copy)
        exit(2);
    memcpy(copy, bytes, n);
    uint64_t h = mix(copy);
    uint32_t slot = (uint32_t)(h >> (64 - TABLE_BITS)), bit = (uint32_t)(h >> (64 - FILTER_BITS));
    *f = (struct form){copy, n, kind, s->table[slot]};
    s->table[slot] = f;
    s->filter[bit / 8] |= (uint8_t)(1u << bit % 8);
}

static void add_base64(struct search *s, const uint8_t *v, size_t n, unsigned kind)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t out[4096];
    for (unsigned shift = 0; shift < 3;
         shift++) { /* bytes of the first group that are the neighbour's */
        size_t from = (3 - shift) % 3, k = 0;
        for (size_t i = from; i + 3 <= n && k + 4 <= sizeof(out); i += 3) {
            uint32_t g = (uint32_t)v[i] << 16 | (uint32_t)v[i + 1] << 8 | v[i + 2];
            for (int d = 18; d >= 0; d -= 6)
                out[k++] = (uint8_t)digits[g >> d & 63];
        }
        add_form(s, out, k, kind);
    }
}

static void add_value(struct search *s, const uint8_t *v, size_t n, unsigned kind)
{
    static const char *const hex[] = {"0123456789abcdef", "0123456789ABCDEF"};
    uint8_t out[4096];
    add_form(s, v, n, kind);
    for (unsigned c = 0; c < 2; c++) {
        for (size_t i = 0; i < n; i++) {
            out[2 * i] = (uint8_t)hex[c][v[i] >> 4];
            out[2 * i + 1] = (uint8_t)hex[c][v[i] & 15];
        }
        add_form(s, out, 2 * n, kind);
    }
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = v[i];
        out[2 * i + 1] = 0;
    }
    add_form(s, out, 2 * n, kind);
    add_base64(s, v, n, kind);
}

static int read_needles(struct search *s, const char *path)
{
    char line[4096], kind[32], hex[4000];
    uint8_t v[2000];
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    while (fgets(line, sizeof(line), f)) {
        size_t n = 0;
        unsigned k = 0, byte;
        if (sscanf(line, "%31s %3999s", kind, hex) != 2)
            continue;
        for (; n < sizeof(v) && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
            v[n] = (uint8_t)byte;
        while (k < s->kind_count && strcmp(s->kinds[k], kind) != 0)
            k++;
        if (k == KINDS_MAX || n < LEAST)
            return -1;
        if (k == s->kind_count)
            memcpy(s->kinds[s->kind_count++], kind, sizeof(kind));
        s->values[k]++;
        add_value(s, v, n, k);
    }
    fclose(f);
    return s->kind_count ? 0 : -1;
}

static int look_in(struct search *s, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    size_t size = (size_t)st.st_size;
    const uint8_t *p = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (p == MAP_FAILED)
        return -1;
    for (size_t at = 0; at + LEAST <= size; at++) {
        uint64_t h = mix(p + at);
        uint32_t bit = (uint32_t)(h >> (64 - FILTER_BITS));
        if (!(s->filter[bit / 8] >> bit % 8 & 1))
            continue;
        for (struct form *f = s->table[h >> (64 - TABLE_BITS)]; f; f = f->next)
            if (f->n <= size - at && memcmp(f->bytes, p + at, f->n) == 0)
                s->found[f->kind]++;
    }
    s->bytes += size;
    if (size)
        munmap((void *)p, size);
    return 0;
}

int main(int argc, char **argv)
{
    struct search *s = calloc(1, sizeof(*s));
    int result = 0;
    if (!s || argc < 3 || read_needles(s, argv[1]) != 0)
        return 2;
    for (int i = 2; i < argc; i++) {
        if (look_in(s, argv[i]) != 0) {
            fprintf(stderr, "find-needles: cannot read %s\n", argv[i]);
            return 2;
        }
    }
    for (unsigned k = 0; k < s->kind_count; k++) {
        printf("%s: %llu values, found %llu times in %llu MB\n", s->kinds[k], s->values[k],
               s->found[k], s->bytes >> 20);
        result |= s->found[k] != 0;
    }
    return result;
}
