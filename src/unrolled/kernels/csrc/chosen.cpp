// The instruction set is chosen when the library is loaded.
#include "chosen.h"

#include <cstdlib>
#include <cstring>
#include <vector>

extern const Kernels unrolled_kernels_portable;
#if defined(__x86_64__)
extern const Kernels unrolled_kernels_avx512bf16, unrolled_kernels_avx512, unrolled_kernels_avx2;
#endif
#if defined(__x86_64__) && defined(__linux__) && !defined(NO_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define WITH_AMX
extern const Kernels unrolled_kernels_amx;
#endif

namespace {

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool has_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
// Intel's processors multiply by VDPBF16PS half as many numbers a second as in float32, AMD's twice as many.
bool gains_by_bf16() { return has_bf16() && !__builtin_cpu_is("intel"); }
#if defined(WITH_AMX)
// The processor has it, the system saves its registers, and gives this process leave to use them, once and for all.
bool has_amx() {
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24, os_saves = 1u << 27, tiles = 3u << 17;
  constexpr long ask_for_leave = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a, b, c, d;
  if (!has_bf16() || !__get_cpuid(1, &a, &b, &c, &d) || !(c & os_saves)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (amx_bf16 | amx_tile)) != (amx_bf16 | amx_tile)) return false;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (a & tiles) == tiles && syscall(SYS_arch_prctl, ask_for_leave, tile_data) == 0;
}
#endif
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

}  // namespace

const Kernels* find_kernels(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(WITH_AMX)
  static const bool amx = has_amx();
  if (amx && (!name || !std::strcmp(name, "amx"))) return &unrolled_kernels_amx;
#endif
  if (name ? has_bf16() && !std::strcmp(name, "avx512bf16") : gains_by_bf16()) return &unrolled_kernels_avx512bf16;
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
