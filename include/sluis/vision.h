/*
 * Looking at pictures: decode, read, judge, cover, encode anew. For sluis-media, inside its
 * sandbox, and for tests; the gateway never links this room.
 *
 *     vision_new(models, &settings, &vision, problem);   // before the fork
 *     vision_warm(vision);                               // one blank picture: everything is loaded
 *     vision_inspect(vision, bytes, &policy, &verdict, &picture);
 *
 * Threads: one thread; the engine runs in the caller's. No file is opened after vision_warm.
 */
#ifndef SLUIS_VISION_H
#define SLUIS_VISION_H

#include "sluis/base/buffer.h"
#include "sluis/picture.h"

struct vision;

/* `models`: folder, NULL for none. Checks every pinned hash. `problem` says why the engine is not
 * the best one ("" when it is). SLUIS_ENOMEM, SLUIS_EINVAL (settings). */
SLUIS_MUST_CHECK int vision_new(const char *models, const struct detect_settings *settings,
                                struct vision **out, char problem[160]);
/* Further settings, by the key that picture_policy.detect names; those of vision_new have key 0. At
 * most PICTURE_DETECT_MAX. SLUIS_ENOMEM, SLUIS_EINVAL, SLUIS_ELIMIT. */
SLUIS_MUST_CHECK int vision_detect(struct vision *vision, uint64_t key,
                                   const struct detect_settings *settings);
void vision_free(struct vision *vision);
enum picture_engine vision_engine(const struct vision *vision);
void vision_versions(const struct vision *vision, char *out, size_t size);
SLUIS_MUST_CHECK int vision_warm(struct vision *vision);

/* Never fails: what goes wrong is a withheld verdict. `picture` gets the bytes of a clean or
 * redacted one (init with PICTURE_OUT_MAX). The verdict has no fd, n or sha256; free it. */
void vision_inspect(struct vision *vision, struct span bytes, const struct picture_policy *policy,
                    struct picture_verdict *verdict, struct buffer *picture);
/* For measuring: passes of reading at most (default 4, 1 for one). */
void vision_set_passes(struct vision *vision, unsigned passes);

/* A contact sheet for people, PNG: one row for each pair of `pairs` (picture_sheet), before beside
 * after. The verdict is clean when it was made. */
void vision_sheet(struct span pairs, struct picture_verdict *verdict, struct buffer *png);

/* Decoding alone, for tests and fuzzing: the reason and the size as shown. */
enum picture_reason vision_decode(struct span bytes, uint32_t *w, uint32_t *h);

#endif
