// Threads that wait for work, so that a call forks and joins once and pays microseconds for it.
#pragma once

// Calls job(what, k) for k = 0 … count - 1, the first in the calling thread, and comes back when all are done. Where
// another thread of the program has the pool, or the system gives no threads, they are called one after the other.
void in_parallel(int count, void (*job)(void* what, int k), void* what);

template <class F>
void in_parallel(int count, F f) {
  in_parallel(count, [](void* what, int k) { (*static_cast<F*>(what))(k); }, &f);
}
