/*
 * Real JPEGs of mixed sizes for tests/bench/media: screens with lines of text, photos of noise, and
 * every fifth a bank card. Usage: picture_make FOLDER COUNT   (writes FOLDER/80000, 80001, ...)
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#define COUNT_MAX 9999

/* Letters of five by seven, a row of five bits each. */
static const struct {
    char letter;
    unsigned char rows[7];
} font[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 2, 4, 8, 31}},     {'3', {31, 2, 4, 2, 1, 17, 14}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'A', {14, 17, 17, 31, 17, 17, 17}}, {'B', {30, 17, 17, 30, 17, 17, 30}},
    {'D', {30, 17, 17, 17, 17, 17, 30}}, {'E', {31, 16, 16, 30, 16, 16, 31}},
    {'I', {14, 4, 4, 4, 4, 4, 14}},      {'K', {17, 18, 20, 24, 20, 18, 17}},
    {'L', {16, 16, 16, 16, 16, 16, 31}}, {'N', {17, 25, 21, 19, 17, 17, 17}},
    {'R', {30, 17, 17, 30, 20, 18, 17}}, {'S', {15, 16, 16, 14, 1, 1, 30}},
    {'T', {31, 4, 4, 4, 4, 4, 4}},       {'V', {17, 17, 17, 17, 17, 10, 4}},
};

struct canvas {
    unsigned width, height;
    unsigned char *p; /* three bytes a point */
};

static void write_text(struct canvas *c, const char *text, unsigned left, unsigned top,
                       unsigned scale)
{
    for (; *text; text++, left += 6 * scale)
        for (size_t f = 0; f < sizeof(font) / sizeof(font[0]); f++)
            for (unsigned y = 0; font[f].letter == *text && y < 7 * scale; y++)
                for (unsigned x = 0; x < 5 * scale; x++)
                    if (font[f].rows[y / scale] >> (4 - x / scale) & 1 && left + x < c->width &&
                        top + y < c->height)
                        memset(c->p + 3 * ((size_t)(top + y) * c->width + left + x), 25, 3);
}

static void paint(struct canvas *c, unsigned kind)
{
    bool photo = kind % 5 == 2;
    for (size_t i = 0; i < (size_t)c->width * c->height; i++) {
        unsigned noise = photo ? (unsigned)rand() % 60 : (unsigned)rand() % 4;
        for (unsigned k = 0; k < 3; k++)
            c->p[3 * i + k] =
                (unsigned char)((photo ? 80 + i / c->width * 90 / c->height : 225) + noise);
    }
    unsigned s = c->width / 260;
    if (kind % 5 == 0) {
        write_text(c, "BANK  DEBIT", s * 20, s * 20, 3 * s);
        write_text(c, "4111 1111 1111 1111", s * 15, s * 80, 2 * s);
        write_text(c, "VALID T 12 25", s * 20, s * 110, s);
    } else if (!photo) {
        for (unsigned line = 0; line < 8; line++)
            write_text(c, line % 2 ? "DIT IS EEN TEKST IN BEELD" : "STORING 502 BIJ INLEVEREN",
                       s * 8, s * (10 + line * 18), line % 3 ? s : 3 * s / 2);
    }
}

static int write_jpeg(const struct canvas *c, const char *path)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(path, "wb");
    if (!f)
        return 1;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, f);
    jpeg.image_width = c->width;
    jpeg.image_height = c->height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 75, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = c->p + 3 * (size_t)jpeg.next_scanline * c->width;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return fclose(f) != 0;
}

int main(int argc, char **argv)
{
    static const unsigned widths[] = {600, 1080, 1200, 1600};
    char path[512];
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (count < 1 || count > COUNT_MAX) {
        fprintf(stderr, "usage: picture_make FOLDER COUNT\n");
        return 2;
    }
    srand(4711); /* the same ones every time */
    for (long k = 0; k < count; k++) {
        struct canvas c = {.width = widths[k % 4]};
        c.height = c.width * 3 / 4;
        c.p = malloc((size_t)c.width * c.height * 3);
        if (!c.p)
            return 1;
        paint(&c, (unsigned)k);
        snprintf(path, sizeof(path), "%s/8%04ld", argv[1], k);
        int r = write_jpeg(&c, path);
        free(c.p);
        if (r)
            return 1;
    }
    return 0;
}
