/* Decoding: which decoder, JPEG and PNG. Dimensions are looked at before anything is decoded. */
#include "pixels.h"

#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>
#include <png.h>

#define SCANS_MAX 500      /* of a progressive JPEG: tens of thousands are a bomb */
#define PNG_CHUNKS_MAX 128 /* ancillary chunks that are kept */
#define PNG_CHUNK_BYTES_MAX (8 * 1024 * 1024) /* of one such chunk, unpacked */

struct jpeg_failure {
    struct jpeg_error_mgr manager;
    jmp_buf jump;
    int error;
};

static void jpeg_fail(j_common_ptr info)
{
    struct jpeg_failure *f = (struct jpeg_failure *)info->err;
    if (!f->error)
        f->error = info->err->msg_code == JERR_OUT_OF_MEMORY ? SLUIS_ENOMEM : SLUIS_EINVAL;
    longjmp(f->jump, 1);
}

/* Warnings: a truncated or damaged picture is not passed on as if it were whole. */
static void jpeg_message(j_common_ptr info, int level)
{
    if (level < 0)
        info->err->num_warnings++;
}

static void jpeg_quiet(j_common_ptr info)
{
    (void)info;
}

static void jpeg_progress(j_common_ptr info)
{
    struct jpeg_decompress_struct *d = (struct jpeg_decompress_struct *)(void *)info;
    if (d->input_scan_number <= SCANS_MAX)
        return;
    ((struct jpeg_failure *)info->err)->error = SLUIS_ELIMIT;
    jpeg_fail(info);
}

static void from_cmyk(uint8_t *row, uint32_t w, bool inverted)
{
    for (uint32_t x = 0; x < w; x++) {
        uint8_t *c = row + (size_t)x * 4;
        unsigned k = inverted ? c[3] : 255u - c[3];
        for (unsigned i = 0; i < 3; i++)
            c[i] = (uint8_t)((inverted ? c[i] : 255u - c[i]) * k / 255);
        c[3] = 255;
    }
}

static int jpeg_read(struct jpeg_decompress_struct *d, struct span bytes, struct pixels *out)
{
    jpeg_mem_src(d, (const unsigned char *)bytes.p, bytes.n);
    jpeg_read_header(d, TRUE);
    int error = pixels_new(d->image_width, d->image_height, out);
    if (error)
        return error;
    bool cmyk = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
    d->out_color_space = cmyk ? JCS_CMYK : JCS_EXT_RGBA;
    d->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(d);
    if (d->output_components != 4 || d->output_width != out->w || d->output_height != out->h)
        return SLUIS_EINVAL;
    while (d->output_scanline < d->output_height) {
        JSAMPROW row = out->p + (size_t)d->output_scanline * out->w * 4;
        if (jpeg_read_scanlines(d, &row, 1) != 1)
            return SLUIS_EINVAL;
        if (cmyk)
            from_cmyk(row, out->w, d->saw_Adobe_marker != FALSE);
    }
    jpeg_finish_decompress(d);
    return d->err->num_warnings ? SLUIS_EINVAL : 0;
}

int decode_jpeg(struct span bytes, struct pixels *out)
{
    struct jpeg_decompress_struct d;
    struct jpeg_failure failure = {.error = 0};
    struct jpeg_progress_mgr progress = {.progress_monitor = jpeg_progress};
    memset(out, 0, sizeof *out);
    d.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = jpeg_fail;
    failure.manager.emit_message = jpeg_message;
    failure.manager.output_message = jpeg_quiet;
    int error;
    if (setjmp(failure.jump)) {
        error = failure.error;
    } else {
        jpeg_create_decompress(&d);
        d.progress = &progress;
        error = jpeg_read(&d, bytes, out);
    }
    jpeg_destroy_decompress(&d);
    if (error)
        pixels_free(out);
    return error;
}

/* ---- PNG ---- */

struct png_source {
    struct span rest;
    jmp_buf jump;
};

static void png_fail(png_structp png, png_const_charp text)
{
    (void)text;
    struct png_source *s = png_get_error_ptr(png);
    longjmp(s->jump, 1);
}

static void png_ignore(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void png_take(png_structp png, png_bytep to, size_t n)
{
    struct png_source *s = png_get_io_ptr(png);
    if (s->rest.n < n)
        png_error(png, "short");
    if (n)
        memcpy(to, s->rest.p, n);
    s->rest = span_from(s->rest, n);
}

/* Nothing but the pixels: names of chunks that libpng would unpack or keep. */
static const png_byte unwanted[] = "iCCP\0iTXt\0tEXt\0zTXt\0sPLT\0eXIf\0hIST\0pCAL\0sCAL\0tIME";

static int png_rows(png_structp png, png_infop info, struct pixels *out)
{
    png_read_info(png, info);
    int error = pixels_new(png_get_image_width(png, info), png_get_image_height(png, info), out);
    if (error)
        return error;
    out->alpha = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) ||
                 png_get_valid(png, info, PNG_INFO_tRNS);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_filler(png, 0xff, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)out->w * 4)
        return SLUIS_EINVAL;
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < out->h; y++)
            png_read_row(png, out->p + (size_t)y * out->w * 4, NULL);
    png_read_end(png, NULL);
    return 0;
}

int decode_png(struct span bytes, struct pixels *out)
{
    struct png_source source = {.rest = bytes};
    memset(out, 0, sizeof *out);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, png_fail, png_ignore);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    volatile int error = info ? SLUIS_EINVAL : SLUIS_ENOMEM;
    if (info && setjmp(source.jump) == 0) {
        png_set_read_fn(png, &source, png_take);
        png_set_user_limits(png, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
        png_set_chunk_cache_max(png, PNG_CHUNKS_MAX);
        png_set_chunk_malloc_max(png, PNG_CHUNK_BYTES_MAX);
        for (size_t i = 0; i + 5 <= sizeof unwanted; i += 5)
            png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, unwanted + i, 1);
        error = png_rows(png, info, out);
    }
    png_destroy_read_struct(png ? &png : NULL, info ? &info : NULL, NULL);
    if (error)
        pixels_free(out);
    return error;
}

/* ---- by content ---- */

int picture_decode(struct span bytes, struct decoded *out)
{
    memset(out, 0, sizeof *out);
    out->kind = picture_kind_of(bytes);
    int error;
    switch (out->kind) {
    case PICTURE_JPEG:
        error = decode_jpeg(bytes, &out->pixels);
        break;
    case PICTURE_PNG:
        error = decode_png(bytes, &out->pixels);
        break;
    case PICTURE_WEBP:
        error = decode_webp(bytes, &out->pixels);
        break;
    case PICTURE_GIF:
        error = decode_gif(bytes, &out->pixels);
        break;
    default:
        out->reason = PICTURE_NOT_PICTURE;
        return SLUIS_EINVAL;
    }
    if (!error && (error = pixels_orient(&out->pixels, exif_orientation(bytes, out->kind))) != 0)
        pixels_free(&out->pixels);
    if (error)
        out->reason =
            error == SLUIS_ELIMIT || error == SLUIS_ENOMEM ? PICTURE_TOO_LARGE : PICTURE_BROKEN;
    return error;
}
