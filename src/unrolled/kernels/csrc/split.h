// How the members of a team share a layer's recurrence.
//
// Rows do not see each other, so each member could take some of them and never wait. But one long row keeps its member
// busy while the others are done, and with a few rows each the weights are fetched by every member for little work. Or
// each member takes some of the units of all rows; then all wait for each other at every step, and each needs only its
// own part of the weights, which may fit into its processor's cache, and reads there what it wrote before: its part of
// the input's share of the gates. What is quicker is reckoned beforehand.
#pragma once

#include <cstdint>

#include "layer.h"

// The rows of member k of `members`, of near-equal elements. The first rows are the longest.
inline Slice rows_of(const Layer& l, int64_t k, int64_t members) {
  int64_t all = 0;
  for (int64_t t = 0; t < l.steps; t++) all += l.sizes[t];
  int64_t last = l.steps, done = 0, row = 0, border[2] = {0, l.batch};
  for (int64_t edge = 0; edge < 2; edge++) {
    int64_t part = k + edge;
    if (part == members) break;
    for (; row < l.batch && done * members < all * part; row++) {
      while (last > 0 && l.sizes[last - 1] <= row) last--;  // row `row` has as many elements
      done += last;
    }
    border[edge] = row;
  }
  return {&l, border[0], border[1], 0, 1, nullptr, nullptr, nullptr};
}

// What a part of the rows costs, in rows. A single row takes as long as two: reading the weights takes the time.
inline double cost_of(const Layer& l, int64_t from, int64_t to) {
  double total = 0;
  for (int64_t t = 0; t < l.steps; t++) {
    int64_t alive = (l.sizes[t] < to ? l.sizes[t] : to) - from;
    if (alive > 0) total += alive < 2 ? 2 : static_cast<double>(alive);
  }
  return total;
}

// Whether the members share units and not rows. panels: of units; gates: blocks that a unit has.
inline bool share_units(const Layer& l, int64_t members, int64_t panels, int64_t gates) {
  if (members < 2 || panels < 2) return false;
  constexpr double WAIT = 3e4;    // multiplications in the time that waiting for each other takes
  constexpr double FETCH = 1.25;  // times as long for a row that another member made a part of
  double longest = 0;
  for (int64_t k = 0; k < members; k++) {
    Slice s = rows_of(l, k, members);
    double cost = cost_of(l, s.from, s.to);
    longest = cost > longest ? cost : longest;
  }
  double share = static_cast<double>((panels + members - 1) / members) / static_cast<double>(panels);
  double wait = WAIT / static_cast<double>(l.hidden * l.output * gates);
  return cost_of(l, 0, l.batch) * share + wait * static_cast<double>(l.steps) < FETCH * longest;
}
