#include "sluis/base/error.h"

const char *error_word(int error)
{
    switch (error) {
    case SLUIS_OK:
        return "ok";
    case SLUIS_EINVAL:
        return "invalid";
    case SLUIS_ENOMEM:
        return "memory";
    case SLUIS_ELIMIT:
        return "limit";
    case SLUIS_EAGAIN:
        return "again";
    case SLUIS_ENOENT:
        return "not_found";
    case SLUIS_EEXIST:
        return "exists";
    case SLUIS_EDENIED:
        return "denied";
    case SLUIS_EIO:
        return "io";
    case SLUIS_EFULL:
        return "full";
    case SLUIS_ECRYPTO:
        return "crypto";
    case SLUIS_ESEALED:
        return "sealed";
    case SLUIS_EEXPIRED:
        return "expired";
    case SLUIS_ECLOSED:
        return "closed";
    case SLUIS_ETIMEOUT:
        return "timeout";
    case SLUIS_ESYS:
        return "system";
    case SLUIS_EJUDGE:
        return "judge";
    case SLUIS_EMANY:
        return "several";
    default:
        return "unknown";
    }
}
