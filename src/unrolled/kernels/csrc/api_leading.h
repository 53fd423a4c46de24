// What Python calls for the likeliest words of a step of decoding.
#pragma once

#include "api.h"
#include "leading_types.h"

EXPORT void unrolled_leading(const Leading* p, int64_t threads);
