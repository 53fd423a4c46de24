// Threads that wait for work, so that a call forks and joins once and pays microseconds for it.
#pragma once

#include <atomic>
#include <thread>

#include "flush.h"

// Calls job(what, k, members) once in each member of a team, the first the calling thread, and comes back when all are
// done. A team has at most `most` members; it has fewer, down to one, where another thread of the program has the pool
// or the system gives no threads. All members run at the same time: they may wait for each other.
void in_team(int most, void (*job)(void* what, int k, int members), void* what);

// Take the threads of an OpenMP library that is in the process already, by its `GOMP_parallel`, `omp_get_thread_num`
// and `omp_get_num_threads`, in the place of threads of our own: its threads stay awake for a while after each of its
// own regions, and two such groups would wait for each other's processors. Null: threads of our own.
void take_threads(void* parallel, void* thread_num, void* num_threads);

template <class F>
void in_team(int most, F f) {
  auto member = [](void* what, int k, int members) {
    FlushToZero here;
    (*static_cast<F*>(what))(k, members);
  };
  in_team(most, member, &f);
}

// Calls f(k) for k = 0 … count - 1, shared out among a team.
template <class F>
void in_parallel(int count, F f) {
  in_team(count, [&](int k, int members) {
    for (; k < count; k += members) f(k);
  });
}

// Where the members of a team wait for each other. They do so many times in a layer, some microseconds apart, so that
// sleeping would take longer than waiting; where a processor is wanted by others it is given up for a turn.
class Barrier {
 public:
  void wait(int members) {
    if (members < 2) return;
    unsigned now = turn_.load();
    if (arrived_.fetch_add(1) + 1 == members) {
      arrived_.store(0);
      turn_.store(now + 1);
      return;
    }
    for (int spins = 0; turn_.load() == now; spins++) {
      if (spins < SPINS) pause();
      else std::this_thread::yield();
    }
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }

 private:
  static constexpr int SPINS = 2000;
  std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> turn_{0};
};
