#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace {

constexpr unsigned long MOST = 1024;  // threads
constexpr int SPINS = 4000;  // looks before a thread goes to sleep: some microseconds, as long as waking takes

using Job = void (*)(void* what, int k, int members);

class Pool {
 public:
  bool run(int count, Job job, void* what) {
    std::unique_lock<std::mutex> one_at_a_time(busy_, std::try_to_lock);
    if (!one_at_a_time || count >= static_cast<int>(MOST) || !grow(count - 1)) return false;
    job_ = job, what_ = what;
    left_.store(count - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round_.store((round_.load() / MOST + 1) * MOST + static_cast<unsigned long>(count));
    }
    wake_.notify_all();
    job(what, 0, count);
    for (int spins = 0; left_.load() > 0; spins++) {
      if (spins < SPINS) {
        Barrier::pause();
        continue;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      done_.wait(lock, [&] { return left_.load() == 0; });
    }
    return true;
  }

 private:
  bool grow(int wanted) {
    try {
      while (static_cast<int>(threads_.size()) < wanted) {
        int place = static_cast<int>(threads_.size()) + 1;
        threads_.emplace_back([this, place, round = round_.load()] { work(place, round); });
        threads_.back().detach();
      }
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }

  void work(int place, unsigned long seen) {
    for (;;) {
      for (int spins = 0; round_.load() == seen && spins < SPINS; spins++) Barrier::pause();
      if (round_.load() == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_.load() != seen; });
      }
      seen = round_.load();
      // The round and its count are one number, and who has no part in a round looks at nothing else of it: by then it
      // may be over, and the next one begun.
      int members = static_cast<int>(seen % MOST);
      if (place >= members) continue;
      job_.load()(what_.load(), place, members);
      if (left_.fetch_sub(1) == 1) {
        std::lock_guard<std::mutex> lock(mutex_);
        done_.notify_all();
      }
    }
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<unsigned long> round_{0};  // how many there were, times MOST, plus the threads of the last one
  std::atomic<int> left_{0};
  std::atomic<Job> job_{nullptr};
  std::atomic<void*> what_{nullptr};
  std::vector<std::thread> threads_;
};

using Parallel = void (*)(void (*part)(void*), void* data, unsigned threads, unsigned flags);
using Number = int (*)();

struct Team {
  Parallel parallel = nullptr;
  Number thread_num = nullptr, num_threads = nullptr;
} team;

struct Work {
  Job job;
  void* what;
};

// One thread's part. Inside another parallel region the team may be smaller than was asked for.
void part(void* data) {
  const Work& work = *static_cast<const Work*>(data);
  work.job(work.what, team.thread_num(), team.num_threads());
}

// Never destroyed: its threads may outlive every destructor. After a fork the child has none of them, and begins anew.
std::atomic<Pool*> pool{new Pool};

}  // namespace

void take_threads(void* parallel, void* thread_num, void* num_threads) {
  bool whole = parallel && thread_num && num_threads;
  team.thread_num = reinterpret_cast<Number>(thread_num), team.num_threads = reinterpret_cast<Number>(num_threads);
  team.parallel = whole ? reinterpret_cast<Parallel>(parallel) : nullptr;
}

void in_team(int most, Job job, void* what) {
  if (most > 1 && team.parallel) {
    Work work = {job, what};
    return team.parallel(part, &work, static_cast<unsigned>(most), 0);
  }
#if defined(__unix__) || defined(__APPLE__)
  static const int once = pthread_atfork(nullptr, nullptr, [] { pool.store(new Pool); });
  (void)once;
#endif
  if (most > 1 && pool.load()->run(most, job, what)) return;
  job(what, 0, 1);
}
