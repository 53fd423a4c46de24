// What Python calls for the softmax over a vocabulary.
#pragma once

#include "api.h"
#include "softmax_types.h"

// Floats of `room`; of `s` the sizes are read, and which of the pointers are there.
EXPORT int64_t unrolled_softmax_room(int64_t half, const Softmax* s, int64_t threads);
EXPORT void unrolled_softmax(int64_t half, const Softmax* s, int64_t threads);
