// Behind the C interface of dropping: groups split among threads.
#include "api_dropping.h"

#include "chosen.h"

EXPORT void unrolled_drop(const Dropping* p, int64_t threads) {
  int64_t group = kernels->dropping.group;
  in_parts((p->count + group - 1) / group, 1, threads, [&](int64_t, int64_t from, int64_t to) {
    kernels->dropping.drop(*p, from, to);
  });
}
