/* Decoding WebP and GIF: the first frame on its canvas. */
#include "pixels.h"

#include <gif_lib.h>
#include <stdlib.h>
#include <webp/decode.h>
#include <webp/demux.h>

#define GIF_RECORDS_MAX 1000 /* extensions before the first picture */
#define GIF_BLOCKS_MAX 65536 /* blocks of one extension */

/* Copies a frame of w by h onto the canvas at (x, y). */
static void place(struct pixels *canvas, const uint8_t *frame, uint32_t w, uint32_t h, uint32_t x,
                  uint32_t y)
{
    for (uint32_t row = 0; row < h && y + row < canvas->h && x < canvas->w; row++) {
        uint32_t n = w < canvas->w - x ? w : canvas->w - x;
        memcpy(canvas->p + ((size_t)(y + row) * canvas->w + x) * 4, frame + (size_t)row * w * 4,
               (size_t)n * 4);
    }
}

static int webp_frame(const WebPIterator *frame, struct pixels *out)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &f) != VP8_STATUS_OK ||
        f.width <= 0 || f.height <= 0)
        return SLUIS_EINVAL;
    if ((uint64_t)f.width * (uint64_t)f.height > PICTURE_PIXELS_MAX || frame->x_offset < 0 ||
        frame->y_offset < 0)
        return SLUIS_ELIMIT;
    size_t n = (size_t)f.width * (size_t)f.height * 4;
    uint8_t *rgba = malloc(n);
    if (!rgba)
        return SLUIS_ENOMEM;
    int error =
        WebPDecodeRGBAInto(frame->fragment.bytes, frame->fragment.size, rgba, n, f.width * 4)
            ? 0
            : SLUIS_EINVAL;
    if (!error)
        place(out, rgba, (uint32_t)f.width, (uint32_t)f.height, (uint32_t)frame->x_offset,
              (uint32_t)frame->y_offset);
    free(rgba);
    return error;
}

int decode_webp(struct span bytes, struct pixels *out)
{
    WebPData data = {(const uint8_t *)bytes.p, bytes.n};
    memset(out, 0, sizeof *out);
    WebPDemuxer *demux = WebPDemux(&data); /* NULL when it is not whole */
    if (!demux)
        return SLUIS_EINVAL;
    int error = pixels_new(WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH),
                           WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT), out);
    WebPIterator frame;
    if (!error) {
        out->alpha = true;
        if (WebPDemuxGetFrame(demux, 1, &frame)) {
            error = webp_frame(&frame, out);
            WebPDemuxReleaseIterator(&frame);
        } else {
            error = SLUIS_EINVAL;
        }
    }
    WebPDemuxDelete(demux);
    if (error)
        pixels_free(out);
    return error;
}

/* ---- GIF ---- */

static int gif_take(GifFileType *gif, GifByteType *to, int n)
{
    struct span *rest = gif->UserData;
    size_t most = n < 0 ? 0 : (size_t)n;
    most = most < rest->n ? most : rest->n;
    if (most)
        memcpy(to, rest->p, most);
    *rest = span_from(*rest, most);
    return (int)most;
}

/* The extension that is under the cursor; a graphics control block tells the transparent colour. */
static int gif_extension(GifFileType *gif, int *transparent)
{
    int code;
    GifByteType *block;
    if (DGifGetExtension(gif, &code, &block) != GIF_OK)
        return SLUIS_EINVAL;
    for (unsigned i = 0; block; i++) {
        if (code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4)
            *transparent = block[1] & 1 ? block[4] : -1;
        if (i > GIF_BLOCKS_MAX)
            return SLUIS_ELIMIT;
        if (DGifGetExtensionNext(gif, &block) != GIF_OK)
            return SLUIS_EINVAL;
    }
    return 0;
}

static int gif_picture(GifFileType *gif, int transparent, struct pixels *out)
{
    if (DGifGetImageDesc(gif) != GIF_OK)
        return SLUIS_EINVAL;
    const GifImageDesc *d = &gif->Image;
    const ColorMapObject *map = d->ColorMap ? d->ColorMap : gif->SColorMap;
    if (!map || d->Width <= 0 || d->Height <= 0 || d->Left < 0 || d->Top < 0)
        return SLUIS_EINVAL;
    if ((uint64_t)d->Width * (uint64_t)d->Height > PICTURE_PIXELS_MAX)
        return SLUIS_ELIMIT;
    GifPixelType *line = malloc((size_t)d->Width);
    if (!line)
        return SLUIS_ENOMEM;
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2}; /* interlacing */
    int error = 0;
    for (int pass = d->Interlace ? 0 : 3; pass < 4 && !error; pass++)
        for (int y = d->Interlace ? first[pass] : 0; y < d->Height && !error;
             y += d->Interlace ? step[pass] : 1) {
            if (DGifGetLine(gif, line, d->Width) != GIF_OK) {
                error = SLUIS_EINVAL;
                break;
            }
            for (int x = 0; x < d->Width; x++) {
                uint32_t cx = (uint32_t)(d->Left + x), cy = (uint32_t)(d->Top + y);
                if (line[x] == transparent || line[x] >= map->ColorCount || cx >= out->w ||
                    cy >= out->h)
                    continue;
                const GifColorType *c = &map->Colors[line[x]];
                uint8_t *to = out->p + ((size_t)cy * out->w + cx) * 4;
                to[0] = c->Red;
                to[1] = c->Green;
                to[2] = c->Blue;
                to[3] = 255;
            }
        }
    free(line);
    return error;
}

int decode_gif(struct span bytes, struct pixels *out)
{
    int code, transparent = -1;
    memset(out, 0, sizeof *out);
    GifFileType *gif = DGifOpen(&bytes, gif_take, &code);
    if (!gif)
        return SLUIS_EINVAL;
    int error = gif->SWidth > 0 && gif->SHeight > 0
                    ? pixels_new((uint32_t)gif->SWidth, (uint32_t)gif->SHeight, out)
                    : SLUIS_EINVAL;
    bool done = false;
    for (unsigned i = 0; !error && !done; i++) {
        GifRecordType type;
        if (i > GIF_RECORDS_MAX)
            error = SLUIS_ELIMIT;
        else if (DGifGetRecordType(gif, &type) != GIF_OK)
            error = SLUIS_EINVAL;
        else if (type == EXTENSION_RECORD_TYPE)
            error = gif_extension(gif, &transparent);
        else if (type == IMAGE_DESC_RECORD_TYPE) {
            error = gif_picture(gif, transparent, out);
            done = true;
        } else {
            error = SLUIS_EINVAL; /* it ends without a picture */
        }
    }
    out->alpha = true;
    DGifCloseFile(gif, &code);
    if (error)
        pixels_free(out);
    return error;
}
