// What Python calls of the decoder that attends.
#pragma once

#include "api.h"
#include "attention_types.h"

EXPORT void unrolled_attend(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                            int64_t threads);
EXPORT void unrolled_attend_back(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                                 int64_t threads);
