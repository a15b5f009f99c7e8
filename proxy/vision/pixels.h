/* Private to vision: a picture in memory, RGBA, eight bits each, rows without gaps, top left first.
 */
#ifndef SLUIS_VISION_PIXELS_H
#define SLUIS_VISION_PIXELS_H

#include "sluis/base/error.h"
#include "sluis/base/buffer.h"
#include "sluis/picture.h"

struct pixels {
    uint32_t w, h;
    bool alpha; /* some pixel is not opaque */
    uint8_t *p; /* w * h * 4 bytes */
};

/* SLUIS_ELIMIT past PICTURE_SIDE_MAX or PICTURE_PIXELS_MAX, SLUIS_EINVAL for nothing, SLUIS_ENOMEM.
 */
SLUIS_MUST_CHECK int pixels_new(uint32_t w, uint32_t h, struct pixels *out);
void pixels_free(struct pixels *p); /* wipes */
/* Turns the picture as EXIF orientation 1..8 says; anything else leaves it. */
SLUIS_MUST_CHECK int pixels_orient(struct pixels *p, unsigned orientation);
/* A copy of another size: mean over the area when it shrinks, linear when it grows. */
SLUIS_MUST_CHECK int pixels_resize(const struct pixels *from, uint32_t w, uint32_t h,
                                   struct pixels *out);
/* Puts the picture on an opaque ground of one grey. */
void pixels_flatten(struct pixels *p, uint8_t grey);
/* Makes every pixel opaque in its own colour: what is seen once the transparency is taken away. */
void pixels_bare(struct pixels *p);
/* Colours under full transparency can be seen by whoever takes the transparency away: gone. */
void pixels_scrub_alpha(struct pixels *p);
/* Sets p->alpha to whether some pixel is not opaque; true when one is neither opaque nor gone. */
bool pixels_see_through(struct pixels *p);
/* Root-mean-square error over R, G, B (and A) as PSNR in dB, 99 when equal; the sizes are equal. */
double pixels_psnr(const struct pixels *a, const struct pixels *b);

struct point {
    float x, y;
};
/* A rectangle that may be turned: centre, unit vector along the text, its length and its height. */
struct quad {
    struct point centre, along;
    float w, h;
};
/* The pixels of a turned rectangle, upright, `w` by `h` of its own size (at least 1). */
SLUIS_MUST_CHECK int pixels_crop(const struct pixels *from, const struct quad *quad,
                                 struct pixels *out);
/* Half a turn, and a quarter turn against the clock. */
void pixels_half_turn(struct pixels *p);
SLUIS_MUST_CHECK int pixels_quarter_turn(struct pixels *p);
/* Covers a turned rectangle, solid black and opaque. */
void pixels_cover(struct pixels *p, const struct quad *quad);
/* The box around a turned rectangle, inside the picture. */
void quad_box(const struct quad *quad, uint32_t w, uint32_t h, int32_t box[4]);

/* ---- decode.c, decode_more.c, exif.c ---- */

struct decoded {
    struct pixels pixels; /* orientation applied */
    enum picture_kind kind;
    enum picture_reason reason; /* when it failed */
};
/* By content; limits of the door. 0 or an error with out->reason. */
SLUIS_MUST_CHECK int picture_decode(struct span bytes, struct decoded *out);
SLUIS_MUST_CHECK int decode_jpeg(struct span bytes, struct pixels *out);
SLUIS_MUST_CHECK int decode_png(struct span bytes, struct pixels *out);
SLUIS_MUST_CHECK int decode_webp(struct span bytes, struct pixels *out);
SLUIS_MUST_CHECK int decode_gif(struct span bytes, struct pixels *out);
/* EXIF orientation 1..8 of a whole file; 1 when it says nothing. */
unsigned exif_orientation(struct span file, enum picture_kind kind);

/* ---- encode.c ---- */

/* Encodes anew, PSNR >= 40 dB against `p`: JPEG to JPEG, PNG and GIF to PNG, WebP to WebP. `kind`
 * says what came and becomes what was written. */
SLUIS_MUST_CHECK int picture_encode(const struct pixels *p, enum picture_kind *kind,
                                    struct buffer *out);
SLUIS_MUST_CHECK int encode_png(const struct pixels *p, struct buffer *out);
SLUIS_MUST_CHECK int encode_jpeg(const struct pixels *p, int quality, struct buffer *out);

#endif
