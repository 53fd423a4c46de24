// Runs cases under each instruction set that the machine has, for the programs that call the kernels.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "api.h"
#include "buffers.h"

// For `main`: the number of cases is the first argument. Each set begins with the same seed.
template <class F>
int in_each_set(int count, char** given, F run) {
  int64_t cases = count > 1 ? std::atoll(given[1]) : 1000;
  for (const char* isa : {"portable", "avx2", "avx512", "avx512bf16", "amx"}) {
    if (!unrolled_use(isa)) continue;
    source.seed(1);
    for (int64_t k = 0; k < cases; k++) run();
    std::printf("%s: %lld cases\n", unrolled_isa(), (long long)cases);
  }
  return 0;
}
