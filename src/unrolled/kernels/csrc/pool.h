// Threads that wait for work, so that a call forks and joins once and pays microseconds for it.
#pragma once

// Calls job(what, k) for k = 0 … count - 1, the first in the calling thread, and comes back when all are done. Where
// another thread of the program has the pool, or the system gives no threads, they are called one after the other.
void in_parallel(int count, void (*job)(void* what, int k), void* what);

// Take the threads of an OpenMP library that is in the process already, by its `GOMP_parallel`, `omp_get_thread_num` and
// `omp_get_num_threads`, in the place of threads of our own: its threads stay awake for a while after each of its own
// regions, and two such groups would wait for each other's processors. Null: threads of our own.
void take_threads(void* parallel, void* thread_num, void* num_threads);

template <class F>
void in_parallel(int count, F f) {
  in_parallel(count, [](void* what, int k) { (*static_cast<F*>(what))(k); }, &f);
}
