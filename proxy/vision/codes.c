/* QR codes, through zbar, dark on light and light on dark. */
#include "read.h"

#include <iconv.h>
#include <math.h>
#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>
#include <zbar.h>

#define CODE_TEXT_MAX 7089 /* digits of the largest QR code; 4,296 capitals, 2,953 bytes */
#define MARGIN 0.06f       /* the code's own, of its size, on each side */

/* The box around the corners zbar gives, square enough for any turn of the code. */
static struct quad around(const zbar_symbol_t *symbol)
{
    float x0 = INFINITY, y0 = INFINITY, x1 = 0, y1 = 0;
    unsigned n = zbar_symbol_get_loc_size(symbol);
    for (unsigned i = 0; i < n; i++) {
        float x = (float)zbar_symbol_get_loc_x(symbol, i),
              y = (float)zbar_symbol_get_loc_y(symbol, i);
        x0 = fminf(x0, x), x1 = fmaxf(x1, x);
        y0 = fminf(y0, y), y1 = fmaxf(y1, y);
    }
    if (!n)
        x0 = y0 = 0;
    float w = (x1 - x0) * (1 + 2 * MARGIN), h = (y1 - y0) * (1 + 2 * MARGIN);
    return (struct quad){{(x0 + x1) / 2, (y0 + y1) / 2}, {1, 0}, w, h};
}

/* Looks once. What was found and cannot be judged or covered is an error: nothing may pass. */
static int scan(zbar_image_scanner_t *scanner, zbar_image_t *image, struct codes *out)
{
    int n = zbar_scan_image(scanner, image);
    if (n <= 0)
        return n < 0 ? SLUIS_ENOMEM : 0;
    for (const zbar_symbol_t *s = zbar_image_first_symbol(image); s; s = zbar_symbol_next(s)) {
        size_t length = zbar_symbol_get_data_length(s);
        if (length == 0)
            continue;
        if (length > CODE_TEXT_MAX ||
            out->n == CODES_MAX) /* several codes that are one text, too */
            return SLUIS_ELIMIT;
        struct code *code = &out->at[out->n];
        code->text = malloc(length + 1);
        if (!code->text)
            return SLUIS_ENOMEM;
        memcpy(code->text, zbar_symbol_get_data(s), length);
        code->text[length] = 0;
        code->n = length;
        code->quad = around(s);
        out->n++;
        if (!(code->quad.w > 0 && code->quad.h > 0)) /* it could not be covered */
            return SLUIS_EINVAL;
    }
    return 0;
}

/* zbar converts a code's text through iconv, which loads a module for each character set: all that
 * a QR code may name are loaded now, and stay, since nothing can be opened later. */
void codes_warm(void)
{
    static const char *const sets[] = {"SJIS", "BIG5", "CP437", "UTF-8", "GB18030", "EUC-KR"};
    char name[16];
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        (void)iconv_open("UTF-8", sets[i]);
    for (int part = 1; part <= 16; part++) {
        snprintf(name, sizeof name, "ISO8859-%d", part);
        (void)iconv_open("UTF-8", name);
    }
}

int codes_read(const struct pixels *p, struct codes *out)
{
    size_t n = (size_t)p->w * p->h;
    memset(out, 0, sizeof *out);
    uint8_t *grey = malloc(n);
    zbar_image_scanner_t *scanner = zbar_image_scanner_create();
    zbar_image_t *image = zbar_image_create();
    int error = grey && scanner && image ? 0 : SLUIS_ENOMEM;
    if (!error) {
        for (size_t i = 0; i < n; i++) {
            const uint8_t *c = p->p + i * 4;
            grey[i] = (uint8_t)((c[0] * 77u + c[1] * 150u + c[2] * 29u) >> 8);
        }
        /* On every picture: a look for finder patterns before it kept codes from zbar. */
        zbar_image_scanner_set_config(scanner, ZBAR_NONE, ZBAR_CFG_ENABLE, 0);
        zbar_image_scanner_set_config(scanner, ZBAR_QRCODE, ZBAR_CFG_ENABLE, 1);
        /* Every row and column, however large: at every second one turned codes are missed. */
        zbar_image_scanner_set_config(scanner, ZBAR_NONE, ZBAR_CFG_X_DENSITY, 1);
        zbar_image_scanner_set_config(scanner, ZBAR_NONE, ZBAR_CFG_Y_DENSITY, 1);
        zbar_image_set_format(image, zbar_fourcc('Y', '8', '0', '0'));
        zbar_image_set_size(image, p->w, p->h);
        zbar_image_set_data(image, grey, n, NULL);
        error = scan(scanner, image, out);
        /* zbar's own setting looks at the inverted picture only when the plain one shows nothing */
        for (size_t i = 0; i < n; i++)
            grey[i] = (uint8_t)~grey[i];
        if (!error)
            error = scan(scanner, image, out);
    }
    if (image)
        zbar_image_destroy(image);
    if (scanner)
        zbar_image_scanner_destroy(scanner);
    free(grey);
    if (error)
        codes_free(out);
    return error;
}

void codes_free(struct codes *codes)
{
    for (size_t i = 0; i < codes->n; i++) {
        sodium_memzero(codes->at[i].text, codes->at[i].n);
        free(codes->at[i].text);
    }
    memset(codes, 0, sizeof *codes);
}
