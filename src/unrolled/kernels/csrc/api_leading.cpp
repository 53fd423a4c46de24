// Behind the C interface of the likeliest words: rows split among threads.
#include "api_leading.h"

#include "chosen.h"

EXPORT void unrolled_leading(const Leading* p, int64_t threads) {
  in_parts(p->rows, 1, threads, [&](int64_t, int64_t from, int64_t to) {
    kernels->leading.find(*p, from, to, static_cast<float*>(scratch(kernels->leading.scratch(p->words), 0)));
  });
}
