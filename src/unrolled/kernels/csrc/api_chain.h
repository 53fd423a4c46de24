// What Python calls for several kernels one after the other.
#pragma once

#include "api.h"
#include "chain_types.h"

EXPORT int64_t unrolled_run(const Call* const* calls, int64_t count);
