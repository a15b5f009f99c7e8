/* Encoding from pixels: nothing of the file that came is left. */
#include "pixels.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#define PSNR_MIN 40.5               /* dB against the pixels that were decoded; the promise is 40 */
#define LOSSLESS_PIXELS_MAX 1000000 /* WebP stickers are 512 by 512 */

struct jpeg_end {
    struct jpeg_error_mgr manager;
    jmp_buf jump;
};

static void encode_fail(j_common_ptr info)
{
    longjmp(((struct jpeg_end *)info->err)->jump, 1);
}

int encode_jpeg(const struct pixels *p, int quality, struct buffer *out)
{
    struct jpeg_compress_struct c;
    struct jpeg_end end;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&end.manager);
    end.manager.error_exit = encode_fail;
    if (setjmp(end.jump)) {
        jpeg_destroy_compress(&c);
        free(bytes);
        return SLUIS_ENOMEM;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = p->w;
    c.image_height = p->h;
    c.input_components = 4;
    c.in_color_space = JCS_EXT_RGBA;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    if (quality > 90) /* colour at full size: thin coloured text stays */
        c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = p->p + (size_t)c.next_scanline * p->w * 4;
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    buffer_add(out, span_of(bytes, n));
    free(bytes);
    return out->error;
}

/* The lowest quality that keeps the promise. */
static int encode_jpeg_near(const struct pixels *p, struct buffer *out)
{
    static const int qualities[] = {90, 94, 97, 100};
    int error = 0;
    for (size_t i = 0; i < sizeof qualities / sizeof *qualities; i++) {
        struct pixels back;
        buffer_clear(out);
        error = encode_jpeg(p, qualities[i], out);
        if (error || i + 1 == sizeof qualities / sizeof *qualities)
            break;
        error = decode_jpeg(buffer_span(out), &back);
        if (error)
            break;
        double psnr = pixels_psnr(p, &back);
        pixels_free(&back);
        if (psnr >= PSNR_MIN)
            break;
    }
    return error;
}

struct png_sink {
    struct buffer *out;
    jmp_buf jump;
};

static void png_sink_fail(png_structp png, png_const_charp text)
{
    (void)text;
    struct png_sink *s = png_get_error_ptr(png);
    longjmp(s->jump, 1);
}

static void png_put(png_structp png, png_bytep from, size_t n)
{
    struct png_sink *s = png_get_io_ptr(png);
    buffer_add(s->out, span_of(from, n));
    if (s->out->error)
        png_error(png, "full");
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

int encode_png(const struct pixels *p, struct buffer *out)
{
    struct png_sink sink = {.out = out};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink, png_sink_fail, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    volatile int error = SLUIS_ENOMEM;
    if (info && setjmp(sink.jump) == 0) {
        png_set_write_fn(png, &sink, png_put, png_flush_nothing);
        png_set_compression_level(png, 4);
        png_set_IHDR(png, info, p->w, p->h, 8, p->alpha ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_RGB,
                     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        if (!p->alpha)
            png_set_filler(png, 0, PNG_FILLER_AFTER);
        for (uint32_t y = 0; y < p->h; y++)
            png_write_row(png, p->p + (size_t)y * p->w * 4);
        png_write_end(png, NULL);
        error = out->error;
    }
    png_destroy_write_struct(png ? &png : NULL, info ? &info : NULL);
    return error;
}

static int encode_webp(const struct pixels *p, struct buffer *out)
{
    uint8_t *bytes = NULL;
    size_t n = (size_t)p->w * p->h <= LOSSLESS_PIXELS_MAX
                   ? WebPEncodeLosslessRGBA(p->p, (int)p->w, (int)p->h, (int)p->w * 4, &bytes)
                   : 0;
    if (!n)
        return SLUIS_ENOMEM;
    buffer_add(out, span_of(bytes, n));
    WebPFree(bytes);
    return out->error;
}

int picture_encode(const struct pixels *p, enum picture_kind *kind, struct buffer *out)
{
    if (*kind == PICTURE_WEBP && (size_t)p->w * p->h <= LOSSLESS_PIXELS_MAX)
        return encode_webp(p, out);
    if (*kind == PICTURE_JPEG || (*kind == PICTURE_WEBP && !p->alpha)) {
        *kind = PICTURE_JPEG;
        return encode_jpeg_near(p, out);
    }
    *kind = PICTURE_PNG;
    return encode_png(p, out);
}
