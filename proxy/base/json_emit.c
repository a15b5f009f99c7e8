#include "sluis/base/json.h"
