// What Python calls for the bookkeeping of a step of a beam search.
#pragma once

#include "api.h"
#include "leading_types.h"
#include "picking_types.h"

EXPORT int64_t unrolled_pick(const Picking* p);
EXPORT int64_t unrolled_pick_of(const Leading* logits, const Picking* p, int64_t threads);
