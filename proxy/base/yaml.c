#include "sluis/base/yaml.h"
