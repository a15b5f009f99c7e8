/* Runs the multipart reader over bytes in pieces and writes down what it gave, so that two runs can
 * be compared. Shared by the test and the fuzz target. */
#ifndef SLUIS_TESTS_MULTIPART_RUN_H
#define SLUIS_TESTS_MULTIPART_RUN_H

#include "http_run.h"
#include "sluis/net/multipart.h"

struct multipart_run {
    bool init_refused;
    enum multipart_event end; /* MULTIPART_END or MULTIPART_REFUSED */
    enum multipart_reason reason;
    struct buffer parts; /* name|filename|type|content, "\x1f" behind each finished part */
};

void multipart_run(struct multipart_run *run, struct span content_type, struct span bytes,
                   struct http_cut cut);
void multipart_run_free(struct multipart_run *run);
bool multipart_run_equal(const struct multipart_run *a, const struct multipart_run *b);

#endif
