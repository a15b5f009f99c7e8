/* What the two multipart files share. Pure functions. */
#ifndef SLUIS_NET_MULTIPART_INTERNAL_H
#define SLUIS_NET_MULTIPART_INTERNAL_H

#include "http_internal.h"
#include "sluis/net/multipart.h"

/* The next `; name=value` of *rest. 0, SLUIS_ENOENT at the end, SLUIS_EINVAL. */
SLUIS_MUST_CHECK int multipart_parameter(struct span *rest, struct span *name, struct span *value);
SLUIS_MUST_CHECK int multipart_boundary(struct span content_type, struct span *boundary);
/* A whole part head, its empty line included. */
enum multipart_reason multipart_head(struct span head, struct multipart_part *part);

#endif
