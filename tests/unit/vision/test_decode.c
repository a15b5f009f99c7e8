/*
 * Every form of the four formats, made here by the formats' own libraries, decoded and compared
 * pixel by pixel: CMYK, palettes, sixteen bits, interlacing, transparency, orientation, animation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>
#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#include "pixels.h"
#include "sluis/vision.h"

#define W 64u
#define H 48u

static struct decoded decode(const struct buffer *file)
{
    struct decoded d;
    if (picture_decode(buffer_span(file), &d) != 0)
        fail_msg("not decoded: %s", picture_reason_word(d.reason));
    return d;
}

static void expect_near(const struct decoded *d, uint32_t x, uint32_t y, const int rgba[4])
{
    const uint8_t *c = d->pixels.p + ((size_t)y * d->pixels.w + x) * 4;
    for (int i = 0; i < 4; i++)
        if (abs(c[i] - rgba[i]) > 3)
            fail_msg("at %u,%u: %d %d %d %d, not %d %d %d %d", x, y, c[0], c[1], c[2], c[3],
                     rgba[0], rgba[1], rgba[2], rgba[3]);
}

/* ---- JPEG ---- */

enum cmyk { PLAIN, ADOBE, ADOBE_YCCK };

/* One colour all over, as inks 0..255 (255: full); Adobe writes them inverted. */
static void jpeg_cmyk(const uint8_t ink[4], enum cmyk how, struct buffer *out)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL, row[W * 4];
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = W;
    c.image_height = H;
    c.input_components = 4;
    c.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, how == ADOBE_YCCK ? JCS_YCCK : JCS_CMYK);
    jpeg_set_quality(&c, 98, TRUE);
    c.write_Adobe_marker = how != PLAIN;
    for (unsigned i = 0; i < sizeof row; i++)
        row[i] = how == PLAIN ? ink[i % 4] : (uint8_t)(255 - ink[i % 4]);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < H) {
        JSAMPROW at = row;
        jpeg_write_scanlines(&c, &at, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    buffer_init(out, PICTURE_IN_MAX);
    buffer_add(out, span_of(bytes, n));
    free(bytes);
}

static void cmyk(void **state)
{
    (void)state;
    static const struct {
        uint8_t ink[4];
        int rgba[4];
    } rows[] = {{{0, 0, 0, 0}, {255, 255, 255, 255}},
                {{0, 0, 0, 255}, {0, 0, 0, 255}},
                {{255, 0, 0, 0}, {0, 255, 255, 255}},
                {{0, 255, 255, 0}, {255, 0, 0, 255}},
                {{0, 0, 255, 127}, {128, 128, 0, 255}}};
    for (unsigned how = PLAIN; how <= ADOBE_YCCK; how++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct buffer file;
            jpeg_cmyk(rows[i].ink, (enum cmyk)how, &file);
            struct decoded d = decode(&file);
            expect_near(&d, 0, 0, rows[i].rgba);
            expect_near(&d, W - 1, H - 1, rows[i].rgba);
            pixels_free(&d.pixels);
            buffer_free(&file);
        }
}

/* ---- PNG ---- */

struct png_form {
    int kind, depth;
    bool interlaced, key; /* key: a colour, or an entry of the palette, is transparent */
    int dark[4], light[4];
};

static void put(png_structp png, png_bytep p, size_t n)
{
    buffer_add(png_get_io_ptr(png), span_of(p, n));
}

/* The left half holds sample 0 of `form`, the right half its greatest one. */
static void png_make(const struct png_form *form, struct buffer *out)
{
    static png_color palette[2] = {{10, 20, 30}, {200, 210, 220}};
    static png_byte faint[1] = {0};
    png_color_16 none = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    buffer_init(out, PICTURE_IN_MAX);
    png_set_write_fn(png, out, put, NULL);
    png_set_IHDR(png, info, W, H, form->depth, form->kind,
                 form->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    if (form->kind == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 2);
    if (form->key && form->kind == PNG_COLOR_TYPE_PALETTE)
        png_set_tRNS(png, info, faint, 1, NULL);
    else if (form->key)
        png_set_tRNS(png, info, NULL, 0, &none); /* black */
    png_write_info(png, info);
    size_t n = png_get_rowbytes(png, info);
    uint8_t row[W * 8];
    memset(row, 0, sizeof row);
    memset(row + n / 2, form->kind == PNG_COLOR_TYPE_PALETTE && form->depth == 8 ? 1 : 255,
           n - n / 2);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (unsigned y = 0; y < H; y++)
            png_write_row(png, row);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
}

static void png_forms(void **state)
{
    (void)state;
#define BLACK                                                                                      \
    {                                                                                              \
        0, 0, 0, 255                                                                               \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        0, 0, 0, 0                                                                                 \
    }
#define WHITE                                                                                      \
    {                                                                                              \
        255, 255, 255, 255                                                                         \
    }
    static const struct png_form forms[] = {
        {PNG_COLOR_TYPE_GRAY, 1, false, false, BLACK, WHITE},
        {PNG_COLOR_TYPE_GRAY, 4, true, false, BLACK, WHITE},
        {PNG_COLOR_TYPE_GRAY, 16, false, false, BLACK, WHITE},
        {PNG_COLOR_TYPE_GRAY, 8, false, true, NOTHING, WHITE},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 8, false, false, NOTHING, WHITE},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 16, true, false, NOTHING, WHITE},
        {PNG_COLOR_TYPE_RGB, 8, true, false, BLACK, WHITE},
        {PNG_COLOR_TYPE_RGB, 16, false, true, NOTHING, WHITE},
        {PNG_COLOR_TYPE_RGBA, 16, true, false, NOTHING, WHITE},
        {PNG_COLOR_TYPE_PALETTE, 1, false, false, {10, 20, 30, 255}, {200, 210, 220, 255}},
        {PNG_COLOR_TYPE_PALETTE, 8, true, true, {10, 20, 30, 0}, {200, 210, 220, 255}},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct buffer file;
        png_make(&forms[i], &file);
        struct decoded d = decode(&file);
        assert_int_equal(d.pixels.w, W);
        for (unsigned y = 0; y < H; y++)
            for (unsigned x = 0; x < W; x++)
                expect_near(&d, x, y, x < W / 2 ? forms[i].dark : forms[i].light);
        pixels_free(&d.pixels);
        buffer_free(&file);
    }
}

/* ---- orientation, in each file format that has it ---- */

static struct pixels corners(void) /* each corner its own colour */
{
    struct pixels p;
    assert_int_equal(pixels_new(W, H, &p), 0);
    for (uint32_t y = 0; y < H; y++)
        for (uint32_t x = 0; x < W; x++) {
            uint8_t *c = p.p + ((size_t)y * W + x) * 4;
            memset(c, 128, 3);
            c[3] = 255;
            if ((x < 16 || x >= W - 16) && (y < 16 || y >= H - 16)) {
                memset(c, 0, 3);
                unsigned which = (x >= 16) + 2u * (y >= 16);
                if (which < 3)
                    c[which] = 255; /* red, green at the right, blue below; black opposite */
            }
        }
    return p;
}

static void tiff(unsigned orientation, bool little, char out[26])
{
    static const char big[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    static const char small[] = "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0";
    memcpy(out, little ? small : big, 26);
    out[little ? 18 : 19] = (char)orientation;
}

static void be32_add(struct buffer *b, uint32_t v)
{
    buffer_add_be32(b, v);
}

static void with_orientation(enum picture_kind kind, const struct pixels *p, unsigned orientation,
                             bool little, struct buffer *out)
{
    char exif[26];
    struct buffer plain;
    enum picture_kind as = kind;
    tiff(orientation, little, exif);
    buffer_init(&plain, PICTURE_OUT_MAX);
    buffer_init(out, PICTURE_OUT_MAX);
    assert_int_equal(picture_encode(p, &as, &plain), 0);
    assert_int_equal(as, kind);
    if (kind == PICTURE_JPEG) {
        buffer_add(out, span_of(plain.p, 2));
        buffer_add(out, span_of("\xff\xe1\0\x22"
                                "Exif\0\0",
                                10));
        buffer_add(out, span_of(exif, 26));
        buffer_add(out, span_from(buffer_span(&plain), 2));
    } else if (kind == PICTURE_PNG) {
        buffer_add(out, span_of(plain.p, 33)); /* signature and IHDR */
        be32_add(out, 26);
        struct span body = {out->p + out->n, 0};
        buffer_add(out, span_of("eXIf", 4));
        buffer_add(out, span_of(exif, 26));
        body = span_of(out->p + out->n - 30, 30);
        uint32_t crc = 0xffffffff;
        for (size_t i = 0; i < body.n; i++) {
            crc ^= (unsigned char)body.p[i];
            for (int k = 0; k < 8; k++)
                crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
        be32_add(out, ~crc);
        buffer_add(out, span_from(buffer_span(&plain), 33));
    } else { /* RIFF: VP8X first, EXIF last */
        buffer_add(out, span_of(plain.p, 12));
        buffer_add(out, span_of("VP8X\x0a\0\0\0\x08\0\0\0", 12)); /* has EXIF */
        buffer_add(out, span_of((char[]){W - 1, 0, 0, H - 1, 0, 0}, 6));
        buffer_add(out, span_from(buffer_span(&plain), 12));
        buffer_add(out, span_of("EXIF\x1a\0\0\0", 8));
        buffer_add(out, span_of(exif, 26));
        uint32_t n = (uint32_t)out->n - 8;
        for (int i = 0; i < 4; i++)
            out->p[4 + i] = (char)(n >> 8 * i);
    }
    buffer_free(&plain);
}

static void orientations(void **state)
{
    (void)state;
    /* EXIF 2.3: the file's first row is shown at the ..., its first column at the ... */
    static const char shown[9][5] = {"",     "RGBK", "GRKB", "KBGR", "BKRG", /* corners as shown: */
                                     "RBGK", "BRKG", "KGBR", "GKRB"};        /* tl, tr, bl, br */
    static const enum picture_kind kinds[] = {PICTURE_JPEG, PICTURE_PNG, PICTURE_WEBP};
    struct pixels p = corners();
    for (unsigned k = 0; k < 3; k++)
        for (unsigned o = 1; o <= 8; o++) {
            struct buffer file;
            with_orientation(kinds[k], &p, o, o % 2, &file);
            struct decoded d = decode(&file);
            assert_int_equal(d.pixels.w, o < 5 ? W : H);
            for (unsigned c = 0; c < 4; c++) {
                uint32_t x = c % 2 ? d.pixels.w - 5 : 4, y = c / 2 ? d.pixels.h - 5 : 4;
                const uint8_t *at = d.pixels.p + ((size_t)y * d.pixels.w + x) * 4;
                char seen = at[0] > 200 ? 'R' : at[1] > 200 ? 'G' : at[2] > 200 ? 'B' : 'K';
                if (seen != shown[o][c])
                    fail_msg("kind %u, orientation %u, corner %u: %c, not %c", kinds[k], o, c, seen,
                             shown[o][c]);
            }
            struct buffer out; /* and the copy is upright without saying so */
            enum picture_kind as = kinds[k];
            buffer_init(&out, PICTURE_OUT_MAX);
            assert_int_equal(picture_encode(&d.pixels, &as, &out), 0);
            assert_int_equal(exif_orientation(buffer_span(&out), as), 1);
            assert_null(memmem(out.p, out.n, k == 1 ? "eXIf" : "EXIF", 4));
            buffer_free(&out);
            pixels_free(&d.pixels);
            buffer_free(&file);
        }
    pixels_free(&p);
}

/* ---- animations: what was looked at is what goes out ---- */

static int gif_put(GifFileType *gif, const GifByteType *p, int n)
{
    buffer_add(gif->UserData, span_of(p, (size_t)n));
    return n;
}

/* Two frames: white, then black. */
static void gif_two(struct buffer *out)
{
    static const GifColorType colours[2] = {{255, 255, 255}, {0, 0, 0}};
    int code;
    GifPixelType row[W];
    buffer_init(out, PICTURE_IN_MAX);
    GifFileType *gif = EGifOpen(out, gif_put, &code);
    ColorMapObject *map = GifMakeMapObject(2, colours);
    EGifSetGifVersion(gif, true);
    assert_int_equal(EGifPutScreenDesc(gif, W, H, 1, 0, map), GIF_OK);
    for (int frame = 0; frame < 2; frame++) {
        assert_int_equal(EGifPutImageDesc(gif, 0, 0, W, H, false, NULL), GIF_OK);
        for (unsigned y = 0; y < H; y++) {
            memset(row, frame, sizeof row);
            assert_int_equal(EGifPutLine(gif, row, W), GIF_OK);
        }
    }
    GifFreeMapObject(map);
    assert_int_equal(EGifCloseFile(gif, &code), GIF_OK);
}

static void le(struct buffer *b, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buffer_add_char(b, (char)(v >> 8 * i));
}

static void webp_two(struct buffer *out)
{
    uint8_t rgba[W * H * 4];
    buffer_init(out, PICTURE_IN_MAX);
    buffer_add(out, span_of("RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0", 24)); /* animated */
    buffer_add(out, span_of((char[]){W - 1, 0, 0, H - 1, 0, 0}, 6));
    buffer_add(out, span_of("ANIM\x06\0\0\0\0\0\0\0\0\0", 14));
    for (int frame = 0; frame < 2; frame++) {
        uint8_t *webp;
        memset(rgba, frame ? 0 : 255, sizeof rgba);
        for (unsigned i = 3; i < sizeof rgba; i += 4)
            rgba[i] = 255;
        size_t n = WebPEncodeLosslessRGBA(rgba, W, H, W * 4, &webp);
        assert_true(n > 12);
        buffer_add(out, SPAN("ANMF"));
        le(out, (uint32_t)(16 + n - 12), 4);
        le(out, 0, 6 / 2), le(out, 0, 6 / 2);
        le(out, W - 1, 3), le(out, H - 1, 3), le(out, 100, 3), le(out, 0, 1);
        buffer_add(out, span_of(webp + 12, n - 12));
        WebPFree(webp);
    }
    for (int i = 0; i < 4; i++)
        out->p[4 + i] = (char)((out->n - 8) >> 8 * i);
}

static void animations(void **state)
{
    (void)state;
    static const int white[4] = {255, 255, 255, 255};
    for (int i = 0; i < 2; i++) {
        struct buffer file, out;
        if (i == 0)
            gif_two(&file);
        else
            webp_two(&file);
        struct decoded d = decode(&file);
        for (unsigned at = 0; at < W * H; at++)
            expect_near(&d, at % W, at / W, white);
        enum picture_kind kind = d.kind;
        buffer_init(&out, PICTURE_OUT_MAX);
        assert_int_equal(picture_encode(&d.pixels, &kind, &out), 0);
        pixels_free(&d.pixels);
        assert_int_equal(kind, i == 0 ? PICTURE_PNG : PICTURE_WEBP);
        static const char *const animated[] = {"acTL", "ANIM", "ANMF", "NETSCAPE"};
        for (unsigned k = 0; k < 4; k++)
            assert_null(memmem(out.p, out.n, animated[k], 4));
        d = decode(&out);
        expect_near(&d, W / 2, H / 2, white);
        pixels_free(&d.pixels);
        buffer_free(&out);
        buffer_free(&file);
    }
}

/* ---- by content ---- */

static void other_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } files[] = {
        {"BM\x36\0\0\0\0\0\0\0\x36\0\0\0", 14}, /* BMP */
        {"II*\0\x08\0\0\0", 8},                 /* TIFF */
        {"MM\0*\0\0\0\x08", 8},                 /* TIFF */
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0mif1heic",
         24}, /* HEIC */
        {"\0\0\0\x1c"
         "ftypavif\0\0\0\0avifmif1",
         24},                             /* AVIF */
        {"\0\0\0\x0cJXL \r\n\x87\n", 12}, /* JPEG XL */
        {"\xff\x0a\0\0", 4},              /* JPEG XL, bare */
        {"\0\0\0\x0cjP  \r\n\x87\n", 12}, /* JPEG 2000 */
        {"<svg xmlns='http://www.w3.org/2000/svg'/>", 41},
        {"8BPS\0\x01", 6},        /* Photoshop */
        {" \xff\xd8\xff\xe0", 5}, /* a JPEG, but not from byte one */
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint32_t w, h;
        assert_int_equal(vision_decode(span_of(files[i].bytes, files[i].n), &w, &h),
                         PICTURE_NOT_PICTURE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cmyk),       cmocka_unit_test(png_forms),   cmocka_unit_test(orientations),
        cmocka_unit_test(animations), cmocka_unit_test(other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
