// What a step of a beam search picks from. See `api_picking.cpp`.
#pragma once

#include <stdint.h>

struct Picking {
  int64_t sources, width, end;  // end: the end mark
  const int64_t* starts;        // (sources + 1,): the first row of each source, and the number of rows
  int64_t count;                // candidates of a row
  double* best;                 // (rows, count): their log-probabilities, the largest first
  const int64_t* tokens;        // (rows, count)
  const double* log_p;          // (rows,): of the hypotheses; -inf: the row is empty
  const int64_t* room;          // (sources,): how many are wanted, at most `width`
  // What is picked, (sources, width), the best first; -inf: none is left.
  int64_t *picked_rows, *picked_tokens;
  double* picked_log_p;
  // The rows of the next step, where they stay whose they are and none of the picked ends.
  int64_t *next_rows, *next_tokens;  // (rows,)
  double* next_log_p;
};
