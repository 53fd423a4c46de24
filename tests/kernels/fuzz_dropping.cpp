// Drops elements of random counts, in buffers of exactly the size that is asked for.
#include <cstdio>
#include <cstdlib>

#include "api_dropping.h"
#include "buffers.h"
#include "in_each_set.h"

static void run() {
  int64_t count = draw(0, 3) ? draw(1, 200) : draw(200, 5000);
  Buffer from = Buffer::random(count, 3), to(count);
  Dropping p = {from, to, count, (uint64_t)draw(0, 1 << 30) << 33 | 1, (uint32_t)draw(0, 1 << 30) << 1, 1.25f};
  unrolled_drop(&p, draw(1, 4));
  for (int64_t k = 0; k < count; k++) {
    if (to[k] == 0 || to[k] == from[k] * p.scale) continue;
    std::fprintf(stderr, "an element is neither dropped nor kept\n");
    std::exit(1);
  }
}

int main(int count, char** given) { return in_each_set(count, given, run); }
