// What Python calls for the bookkeeping of a step of a beam search.
#pragma once

#include "api.h"
#include "picking_types.h"

EXPORT int64_t unrolled_pick(const Picking* p);
