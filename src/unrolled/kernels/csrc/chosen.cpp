// The instruction set is chosen when the library is loaded.
#include "chosen.h"

#include <cstdlib>
#include <cstring>
#include <vector>

extern const Kernels unrolled_kernels_portable;
#if defined(__x86_64__)
extern const Kernels unrolled_kernels_avx512bf16, unrolled_kernels_avx512, unrolled_kernels_avx2;
#endif

namespace {

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool has_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

}  // namespace

const Kernels* find_kernels(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_bf16() && (!name || !std::strcmp(name, "avx512bf16"))) return &unrolled_kernels_avx512bf16;
  if (has_avx512() && (!name || !std::strcmp(name, "avx512"))) return &unrolled_kernels_avx512;
  if (has_avx2() && (!name || !std::strcmp(name, "avx2"))) return &unrolled_kernels_avx2;
#endif
  return !name || !std::strcmp(name, "portable") ? &unrolled_kernels_portable : nullptr;
}

const Kernels* kernels = find_kernels(nullptr);

void* scratch(int64_t numbers, int64_t half, int use) {
  thread_local std::vector<char> rooms[2];
  std::vector<char>& room = rooms[use];
  constexpr std::size_t line = 64;
  std::size_t bytes = static_cast<std::size_t>(numbers) * (half ? 2 : 4) + line;
  if (room.size() < bytes) room = std::vector<char>(bytes);
  std::uintptr_t start = reinterpret_cast<std::uintptr_t>(room.data());
  return reinterpret_cast<void*>((start + line - 1) / line * line);
}
