/* EXIF orientation, the only thing of a picture's metadata that is read. TIFF 6.0, tag 0x0112. */
#include "pixels.h"

#define SEGMENTS_MAX 1000 /* segments or chunks looked at before we stop looking */
#define TAGS_MAX 512      /* entries of the first directory */

static uint32_t number(struct span s, size_t at, size_t n, bool little)
{
    uint32_t v = 0;
    if (at > s.n || s.n - at < n)
        return 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t byte = (unsigned char)s.p[at + i];
        v |= byte << 8 * (little ? i : n - 1 - i);
    }
    return v;
}

static unsigned of_tiff(struct span tiff)
{
    bool little = span_starts(tiff, SPAN("II*"));
    if (!little && !span_starts(tiff, span_of("MM\0*", 4)))
        return 1;
    size_t directory = number(tiff, 4, 4, little);
    if (directory > tiff.n)
        return 1;
    uint32_t tags = number(tiff, directory, 2, little);
    for (uint32_t i = 0; i < tags && i < TAGS_MAX; i++) {
        size_t entry = directory + 2 + (size_t)i * 12;
        if (number(tiff, entry, 2, little) != 0x0112)
            continue;
        uint32_t v = number(tiff, entry + 8, 2, little);
        return v >= 1 && v <= 8 ? v : 1;
    }
    return 1;
}

static unsigned of_exif(struct span s)
{
    struct span head = span_of("Exif\0\0", 6);
    return of_tiff(span_starts(s, head) ? span_from(s, head.n) : s);
}

static unsigned of_jpeg(struct span file)
{
    size_t at = 2;
    for (unsigned i = 0; i < SEGMENTS_MAX && at + 4 <= file.n; i++) {
        unsigned marker = (unsigned char)file.p[at + 1];
        if ((unsigned char)file.p[at] != 0xff || marker == 0xda || marker == 0xd9)
            break;
        if (marker == 0xff) { /* fill */
            at++;
            continue;
        }
        size_t n = number(file, at + 2, 2, false);
        if (n < 2)
            break;
        struct span body = span_sub(file, at + 4, at + 2 + n);
        if (marker == 0xe1 && span_starts(body, span_of("Exif\0\0", 6)))
            return of_exif(body);
        at += 2 + n;
    }
    return 1;
}

/* PNG: length, name, body, check; RIFF: name, length, body, padded. */
static unsigned of_chunks(struct span file, size_t at, bool png)
{
    for (unsigned i = 0; i < SEGMENTS_MAX && at + 8 <= file.n; i++) {
        size_t n = number(file, png ? at : at + 4, 4, !png);
        struct span name = span_sub(file, png ? at + 4 : at, (png ? at + 4 : at) + 4);
        if (span_is(name, png ? "eXIf" : "EXIF"))
            return of_exif(span_sub(file, at + 8, at + 8 + n));
        at += 8 + n + (png ? 4 : n % 2);
    }
    return 1;
}

unsigned exif_orientation(struct span file, enum picture_kind kind)
{
    switch (kind) {
    case PICTURE_JPEG:
        return of_jpeg(file);
    case PICTURE_PNG:
        return of_chunks(file, 8, true);
    case PICTURE_WEBP:
        return of_chunks(file, 12, false);
    default:
        return 1;
    }
}
