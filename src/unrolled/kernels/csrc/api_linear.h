// What Python calls for element-wise linear recurrences: `count` of them over one batch, such as both directions.
#pragma once

#include <stdint.h>

#include "api.h"
#include "linear_types.h"

EXPORT void unrolled_linear_forward(const Linear* linears, int64_t count, int64_t threads);
EXPORT void unrolled_linear_backward(const Linear* linears, int64_t count, int64_t threads);
