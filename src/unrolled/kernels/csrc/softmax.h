// The softmax over a large vocabulary with its loss and all gradients, without the whole matrix of logits.
//
// For a chunk of rows, the columns are gone through twice. First the logits of a panel are made in registers, and what
// is kept of them is e^(z - the row's largest in this panel), with that largest and the sum: so the exponential is
// taken once, and in bfloat16 what is kept takes half the room. When the largest and the sum of the whole row are
// known, one factor for each row and panel makes probabilities of them. The second time, a block of columns becomes the
// gradient of the logits and is multiplied at once with the weights, for x, and with x, for the weights, while it is
// still in the second-level cache.
//
// Weights are laid out panel by panel as they are needed, and asked for while the panel before is multiplied: in a
// chunk of hundreds of rows that costs some hundredths, and there are no further copies of a large matrix.
//
// Threads share the columns. What a thread makes depends on no other, but for the gradient of x: of that each part of
// the columns has its own sum.
#pragma once

#include "panel.h"
#include "softmax_types.h"

namespace ISA {
namespace words {

constexpr Index SPAN = 128;        // columns of a block: it, its weights and x are in the second-level cache
constexpr Index PANEL = MOST * L;  // columns of a panel; 64, or a part of that
constexpr float LOWEST = -__builtin_inff();

INLINE Index whole(Index n, Index unit) { return (n + unit - 1) / unit * unit; }

INLINE float largest(Vector x) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)x);
#else
  float most = x[0];
  for (Index k = 1; k < L; k++) most = x[k] > most ? x[k] : most;
  return most;
#endif
}

INLINE float added(Vector x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x);
#else
  return sum(x);
#endif
}

// ------------------------------------------------------------------------------------------------ room to work in

// Takes rooms one after the other from `start` on, in floats; where that is null it only counts.
struct Taken {
  float* start;
  Index floats;
  INLINE float* take(Taken& taken, Index count) {
    float* place = taken.start ? taken.start + taken.floats : nullptr;
    taken.floats += whole(count, 16);
    return place;
  }
};

// Where a chunk works. Returns the floats that this takes.
template <class W>
static Index room(const Softmax& s, Index start, Index parts, Chunk& c) {
  c.of = &s, c.start = start, c.rows = lesser(s.chunk, s.rows - start), c.stride = whole(s.chunk, 16);
  Index panels = (s.words + PANEL - 1) / PANEL;
  Taken taken = {s.room, 0};
  if (s.factors) c.powers = Taken::take(taken, s.chunk * whole(s.words, 64) * static_cast<Index>(sizeof(W)) / 4);
  float** of_panels[] = {&c.tops, &c.sums, &c.plain};
  float** of_rows[] = {&c.target, &c.top, &c.scale, &c.hit};
  for (float** place : of_panels) *place = Taken::take(taken, panels * c.stride);
  for (float** place : of_rows) *place = Taken::take(taken, c.stride);
  if (s.dx) c.partial = Taken::take(taken, parts * s.chunk * s.hidden);
  return taken.floats;
}

// Numbers of scratch of one thread, either time.
template <class W>
static Index scratch_size(Index rows, Index hidden) {
  Index ahead = (rows + PANEL) * padded<W>(hidden);
  Index floats = 4 / static_cast<Index>(sizeof(W)) * whole(rows, 16), pairs = sizeof(W) == sizeof(Half);
  Index back = whole(packed_size<W>(rows, hidden), 16) + packed_size<W>(SPAN, hidden);
  back += pairs * whole(rows, 2 * L) * SPAN;
  return greater(ahead, floats + back);
}

// A block of columns: where in `powers` it is, (rows, stride).
struct Block {
  Index first, columns, stride;
  void* powers;
};

template <class W, class F>
INLINE void in_blocks(const Chunk& c, Index from, Index to, F visit) {
  for (Index first = from; first < to; first += SPAN) {
    Index columns = lesser(SPAN, to - first);
    W* powers = c.powers ? static_cast<W*>(c.powers) + first * c.rows : nullptr;
    visit(Block{first, columns, whole(columns, 64), powers});
  }
}

// Where column `column` of the target of a row is in a panel; beyond it, or below 0, where it is not in it.
INLINE Index target_in(const Chunk& c, Index row, Index column) { return c.of->targets[c.start + row] - column; }

// ------------------------------------------------------------------------------------------------ logits

template <class W>
struct Elements {
  const W* first;
  Index stride;
};

static Elements<float> rows_of(const Chunk& c, float*) {
  return {c.of->x + c.start * c.of->x_stride, c.of->x_stride};
}

static Elements<Half> rows_of(const Chunk& c, Half* scratch) {
  Index hidden = c.of->hidden, stride = even(hidden);
  for (Index row = 0; row < c.rows; row++) {
    const float* from = c.of->x + (c.start + row) * c.of->x_stride;
    Half* to = scratch + row * stride;
    to[stride - 1] = 0;
    for (Index k = 0; k < hidden; k += L) store_halves(to + k, load(from + k, hidden - k), hidden - k);
  }
  return {scratch, stride};
}

INLINE void keep(float* to, Vector x) { store(to, x); }
INLINE void keep(Half* to, Vector x) { store_halves(to, x, L); }

// L zeros and L times -inf: what is added to the last logits, so that there are no words beyond the last one.
struct Beyond {
  float values[2 * L] = {};
  constexpr Beyond() {
    for (Index k = L; k < 2 * L; k++) values[k] = LOWEST;
  }
};
constexpr Beyond beyond;

// A row of a panel: `totals` are its products, `powers` its place in the block, or null.
template <class W, int V>
static void look_at(const Chunk& c, Index row, Index column, const float* totals, W* powers) {
  const Softmax& s = *c.of;
  Index lanes = s.words - column - (V - 1) * L, place = column / PANEL * c.stride + row;
  Vector z[V];
  UNROLL for (int v = 0; v < V; v++) {
    z[v] = load(totals + v * L);
    if (s.bias) z[v] += load(s.bias + column + v * L, v + 1 < V ? L : lanes);
  }
  Index at = target_in(c, row, column);
  if (at >= 0 && at < V * L) c.target[row] = totals[at] + (s.bias ? s.bias[column + at] : 0.0f);
  if (s.smoothing > 0) {
    Vector plain = z[0];  // what lies beyond the last word is zero
    UNROLL for (int v = 1; v < V; v++) plain += z[v];
    c.plain[place] = added(plain);
  }
  if (lanes < L) z[V - 1] += load(beyond.values + L - lanes);
  Vector most = z[0], total{};
  UNROLL for (int v = 1; v < V; v++) most = z[v] > most ? z[v] : most;
  // Words can be ruled out by a bias of -inf, and a whole panel of them.
  float top = largest(most), shift = top > LOWEST ? top : 0.0f;
  UNROLL for (int v = 0; v < V; v++) {
    Vector power = exponential(z[v] - shift);
    total += power;
    if (powers) keep(powers + v * L, power);
  }
  c.tops[place] = top, c.sums[place] = added(total);
}

// Ask for the weights that will be laid out next while a tile is multiplied: share `row` of `rows` of `count` words.
INLINE void ask_for(const Softmax& s, Index word, Index count, Index row, Index height, Index rows) {
  for (Index k = word + count * row / rows; k < word + count * (row + height) / rows; k++) {
    const float* weight = s.weight + k * s.weight_stride;
    for (Index j = 0; j < s.hidden; j += 16) __builtin_prefetch(weight + j, 0, 2);
  }
}

// The first time through columns `from` to `to`.
template <class W>
static void ahead(const Chunk& c, Index from, Index to, void* scratch) {
  constexpr decltype(&look_at<W, 1>) look[] = {look_at<W, 1>, look_at<W, 2>, look_at<W, 3>, look_at<W, 4>};
  const Softmax& s = *c.of;
  W* panel = static_cast<W*>(scratch);
  Elements<W> x = rows_of(c, panel + padded<W>(s.hidden) * PANEL);
  in_blocks<W>(c, from, to, [&](const Block& block) {
    in_panels(block.columns, [&](Index place, Index width) {
      Index column = block.first + place;
      const float* weight = s.weight + column * s.weight_stride;
      pack_transposed(weight, s.weight_stride, s.hidden, lesser(PANEL, s.words - column), panel);
      in_tiles<W>(0, c.rows, [&](Index row, Index height) {
        const W* rows[TALLEST<W>];
        Totals totals;
        ask_for(s, column + PANEL, lesser(PANEL, to - column - PANEL), row, height, c.rows);
        for (Index m = 0; m < height; m++) rows[m] = x.first + (row + m) * x.stride;
        product(height, width, rows, panel, s.hidden, totals);
        for (Index m = 0; m < height; m++) {
          W* powers = c.powers ? static_cast<W*>(block.powers) + (row + m) * block.stride + place : nullptr;
          look[width - 1](c, row + m, column, totals.values + m * width * L, powers);
        }
      });
    });
  });
}

// ------------------------------------------------------------------------------------------------ whole rows

constexpr Index GROUP = 32;  // panels whose sums are added one to the other

// Of L rows from `row` on: the largest logit, the sum of e^(z - that), the sum of z.
INLINE void gather(const Chunk& c, Index row, Vector& top, Vector& total, Vector& plain) {
  Index panels = (c.of->words + PANEL - 1) / PANEL;
  top = splat(LOWEST), total = Vector{}, plain = Vector{};
  for (Index p = 0; p < panels; p++) {
    Vector other = load(c.tops + p * c.stride + row);
    top = other > top ? other : top;
  }
  for (Index start = 0; start < panels; start += GROUP) {
    Vector part{}, plain_part{};
    for (Index p = start; p < lesser(panels, start + GROUP); p++) {
      Index place = p * c.stride + row;
      part += load(c.sums + place) * exponential(load(c.tops + place) - top);
      if (c.of->smoothing > 0) plain_part += load(c.plain + place);
    }
    total += part, plain += plain_part;
  }
}

// Between the two: the loss of each row, and what makes gradients of the powers.
static void whole_rows(const Chunk& c) {
  const Softmax& s = *c.of;
  double hit = 1 - s.smoothing;
  for (Index row = 0; row < c.rows; row += L) {
    Index lanes = lesser(L, c.rows - row), at = c.start + row;
    Vector top, total, plain, target = load(c.target + row, lanes);
    gather(c, row, top, total, plain);
    Vector power = exponential(target - top);
    for (Index k = 0; k < lanes; k++) {
      double log = __builtin_log(static_cast<double>(total[k]));
      double loss = hit * (log + (static_cast<double>(top[k]) - target[k]));
      if (s.smoothing > 0) loss += s.smoothing * (log + (top[k] - static_cast<double>(plain[k]) / s.words));
      s.losses[at + k] = static_cast<float>(loss);
      if (!s.factors) continue;
      double probability = static_cast<double>(power[k]) / total[k];
      c.hit[row + k] = static_cast<float>(s.factors[at + k] * (probability - hit - s.smoothing / s.words));
      c.scale[row + k] = s.factors[at + k] / total[k];
    }
    store(c.top + row, top);
  }
}

}  // namespace words
}  // namespace ISA
