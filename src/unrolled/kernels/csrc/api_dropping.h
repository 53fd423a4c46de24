// What Python calls to drop elements at random.
#pragma once

#include "api.h"
#include "dropping_types.h"

EXPORT void unrolled_drop(const Dropping* p, int64_t threads);
