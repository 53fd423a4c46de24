// What Python calls of decoders that attend.
#pragma once

#include "api.h"
#include "attention_types.h"

EXPORT void unrolled_attend(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                            int64_t threads);
EXPORT void unrolled_attend_back(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                                 int64_t threads);
EXPORT void unrolled_feed(int64_t cell, int64_t half, const Layer* layer, const Feeding* feeding, int64_t threads);
EXPORT void unrolled_feed_back(int64_t cell, int64_t half, const Layer* layer, const Feeding* feeding,
                               int64_t threads);
EXPORT void unrolled_look(const Layer* layer, const Attention* attention, int64_t threads);
EXPORT void unrolled_look_back(const Layer* layer, const Attention* attention, int64_t threads);
