/* What bytes are, by their first ones: what the sender calls them counts for nothing. */
#include "internal.h"

struct magic {
    unsigned at;
    const char *bytes;
    size_t n;
    enum media_kind kind;
    const char *mime_type;
};
#define M(at, bytes, kind, type)                                                                   \
    {                                                                                              \
        at, bytes, sizeof(bytes) - 1, kind, type                                                   \
    }

static const struct magic magics[] = {
    M(0, "\xff\xd8\xff", MEDIA_PICTURE, "image/jpeg"),
    M(0, "\x89PNG\r\n\x1a\n", MEDIA_PICTURE, "image/png"),
    M(0, "GIF87a", MEDIA_PICTURE, "image/gif"),
    M(0, "GIF89a", MEDIA_PICTURE, "image/gif"),
    /* Pictures that the inspector does not read are pictures all the same: withheld, and never
     * passed as some document. */
    M(0, "BM", MEDIA_PICTURE, "image/bmp"),
    M(0, "II*\0", MEDIA_PICTURE, "image/tiff"),
    M(0, "MM\0*", MEDIA_PICTURE, "image/tiff"),
    M(4, "ftypheic", MEDIA_PICTURE, "image/heic"),
    M(4, "ftypheix", MEDIA_PICTURE, "image/heic"),
    M(4, "ftyphev", MEDIA_PICTURE, "image/heic-sequence"),
    M(4, "ftyphei", MEDIA_PICTURE, "image/heic"),
    M(4, "ftypmif", MEDIA_PICTURE, "image/heif"),
    M(4, "ftypmsf", MEDIA_PICTURE, "image/heif-sequence"),
    M(4, "ftypavis", MEDIA_PICTURE, "image/avif-sequence"),
    M(4, "ftypavif", MEDIA_PICTURE, "image/avif"),
    M(0, "\xff\x0a", MEDIA_PICTURE, "image/jxl"),
    M(0, "\0\0\0\x0cJXL ", MEDIA_PICTURE, "image/jxl"),
    M(0, "\0\0\0\x0cjP  ", MEDIA_PICTURE, "image/jp2"),
    M(0, "\0\0\1\0", MEDIA_PICTURE, "image/x-icon"),
    M(0, "OggS", MEDIA_AUDIO, "audio/ogg"),
    M(0, "ID3", MEDIA_AUDIO, "audio/mpeg"),
    M(0, "\xff\xfb", MEDIA_AUDIO, "audio/mpeg"),
    M(0, "\xff\xf3", MEDIA_AUDIO, "audio/mpeg"),
    M(0, "\xff\xf1", MEDIA_AUDIO, "audio/aac"),
    M(0, "\xff\xf9", MEDIA_AUDIO, "audio/aac"),
    M(0, "#!AMR", MEDIA_AUDIO, "audio/amr"),
    M(4, "ftypM4A", MEDIA_AUDIO, "audio/mp4"),
    M(4, "ftyp3g", MEDIA_VIDEO, "video/3gpp"),
    M(4, "ftyp", MEDIA_VIDEO, "video/mp4"),
    M(0, "\x1a\x45\xdf\xa3", MEDIA_VIDEO, "video/webm"),
    M(0, "%PDF-", MEDIA_DOCUMENT, "application/pdf"),
    M(0, "PK\3\4", MEDIA_DOCUMENT, "application/zip"),
};

static bool has(struct span bytes, size_t at, const char *what, size_t n)
{
    return bytes.n >= at + n && memcmp(bytes.p + at, what, n) == 0;
}

#define MARK_BYTES 16 /* of a track's "hdlr" with what it says of its kind */

/* An MP4 without a track of pictures is sound, whatever its brand: voice notes come as such. */
static bool has_video_track(struct span bytes)
{
    const char *at = bytes.p, *end = bytes.p + bytes.n;
    while (end - at >= MARK_BYTES && (at = memmem(at, (size_t)(end - at), "hdlr", 4)) != NULL) {
        if (end - at >= MARK_BYTES && memcmp(at + 12, "vide", 4) == 0)
            return true;
        at += 4;
    }
    return false;
}

enum media_kind media_kind_of(struct span bytes, const char **mime_type)
{
    if (has(bytes, 0, "RIFF", 4) && has(bytes, 8, "WEBP", 4)) {
        *mime_type = "image/webp";
        return MEDIA_PICTURE;
    }
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const struct magic *m = &magics[i];
        if (!has(bytes, m->at, m->bytes, m->n))
            continue;
        *mime_type = m->mime_type;
        if (m->kind == MEDIA_PICTURE || !has(bytes, 4, "ftyp", 4))
            return m->kind;
        bool video = has_video_track(bytes);
        if (video == (m->kind == MEDIA_VIDEO))
            return m->kind;
        *mime_type = video ? "video/mp4" : "audio/mp4";
        return video ? MEDIA_VIDEO : MEDIA_AUDIO;
    }
    *mime_type = "application/octet-stream";
    return MEDIA_DOCUMENT;
}

void media_kind_scan(struct media_kind_scan *scan, struct span bytes)
{
    char joint[2 * sizeof(scan->tail)];
    if (!scan->begun) {
        scan->begun = true;
        scan->kind = media_kind_of(bytes, &scan->mime_type);
        scan->may_be_video = scan->kind == MEDIA_AUDIO && has(bytes, 4, "ftyp", 4);
        scan->as_video = has(bytes, 4, "ftyp3g", 6) ? "video/3gpp" : "video/mp4";
    }
    if (!scan->may_be_video)
        return;
    /* A mark over the seam: the last bytes of before and the first ones of now. */
    size_t n = bytes.n < MARK_BYTES ? bytes.n : MARK_BYTES;
    memcpy(joint, scan->tail, scan->tail_n);
    memcpy(joint + scan->tail_n, bytes.p, n);
    n += scan->tail_n;
    if (has_video_track(span_of(joint, n)) || has_video_track(bytes)) {
        scan->kind = MEDIA_VIDEO;
        scan->mime_type = scan->as_video;
        scan->may_be_video = false;
        return;
    }
    struct span last = bytes.n >= MARK_BYTES ? bytes : span_of(joint, n);
    scan->tail_n = last.n < MARK_BYTES - 1 ? last.n : MARK_BYTES - 1;
    memcpy(scan->tail, last.p + last.n - scan->tail_n, scan->tail_n);
}

/* whatsapp section 4; megabytes of 1,048,576 bytes. Meta counts again. */
uint64_t media_send_max(enum media_kind kind, const char *mime_type)
{
    const uint64_t kb = 1024, mb = 1024 * kb;
    switch (kind) {
    case MEDIA_PICTURE:
        return strcmp(mime_type, "image/webp") == 0 ? 500 * kb : 5 * mb;
    case MEDIA_AUDIO:
    case MEDIA_VIDEO:
        return 16 * mb;
    default:
        return 100 * mb;
    }
}
