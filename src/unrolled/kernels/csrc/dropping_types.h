// What is dropped at random. See `dropping.h`.
#pragma once

#include <stdint.h>

struct Dropping {
  const float* source;  // (count,)
  float* target;        // (count,)
  int64_t count;
  uint64_t key;         // of the draw: the same one drops the same elements
  uint32_t below;       // an element goes whose word is below this, of 2^32
  float scale;          // what the others are multiplied by
};
