// Behind the C interface of the recurrences: a layer's pass in phases, which a team of threads goes through together.
// Nothing is checked: `recurrence.py` has looked at every size before a pointer gets here.
#include "api.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "chosen.h"
#include "gemm_types.h"
#include "split.h"

namespace {

constexpr int64_t LINE = 64;    // bytes
constexpr int64_t STRIPE = 12;  // rows of a product that the parts of a team are multiples of

// Where the parts of the packed weights begin, in bytes.
struct Places {
  int64_t inputs[3] = {}, recurrent = 0, second = 0, bias = 0, added = 0, size = 0;

  int64_t take(int64_t bytes) {
    int64_t at = size;
    size += (bytes + LINE - 1) / LINE * LINE;
    return at;
  }
};

// One cell in one type of weights.
struct Call {
  const TypeKernels& type;
  const CellKernels& cell;
  int64_t half, bytes;  // bytes: of a weight

  Call(int64_t cell, int64_t half)
      : type(kernels->of[half]), cell(type.cells[cell]), half(half), bytes(half ? 2 : 4) {}

  Places places(int64_t input, int64_t hidden, int64_t output, bool backwards) const {
    Places at;
    auto panels = [&](int64_t depth, int64_t columns) { return at.take(type.packed_size(depth, columns) * bytes); };
    for (int64_t k = 0; k < cell.share_count; k++) {
      int64_t rows = cell.shares[k].count * hidden;
      if (cell.shares[k].ih >= 0) at.inputs[k] = backwards ? panels(rows, input) : panels(input, rows);
    }
    if (backwards) at.recurrent = panels(cell.gates * hidden, output);
    else at.recurrent = at.take(cell.forward_size(hidden, output) * bytes);
    if (cell.twice) at.second = backwards ? panels(output, hidden) : panels(hidden, output);
    at.bias = at.take(cell.blocks * hidden * 4), at.added = at.take(hidden * 4);
    return at;
  }

  Places places(const Layer& l, bool backwards) const { return places(l.input, l.hidden, l.output, backwards); }

  // The second product's weights, (output, hidden): a projection, or the last block of the recurrent ones.
  const float* second(const Layer& l) const { return l.hr ? l.hr : l.hh + cell.gates * l.hidden * l.hh_stride; }
  int64_t second_stride(const Layer& l) const { return l.hr ? l.hr_stride : l.hh_stride; }
};

// A thread of a team.
struct Member {
  int64_t k, members;
  Part part(int64_t count, int64_t unit) const { return Part::of(count, unit, k, members); }

  // Calls f(part) for this member's part of `blocks` times `width` columns. Who shares units works on the same units in
  // every block, where panels end with blocks: what a processor has written it reads again from its own cache.
  template <class F>
  void columns(int64_t blocks, int64_t width, F f) const {
    bool apart = width % kernels->panel == 0;
    for (int64_t block = 0; block < (apart ? blocks : 1); block++) {
      Part mine = part(apart ? width : blocks * width, kernels->panel);
      if (mine.size()) f(Part{mine.from + block * width, mine.to + block * width});
    }
  }

  // Whether parts of so many columns are near-equal.
  bool share_columns(int64_t blocks, int64_t width) const {
    int64_t panels = ((width % kernels->panel ? blocks * width : width) + kernels->panel - 1) / kernels->panel;
    return 7 * ((panels + members - 1) / members * members) <= 8 * panels;
  }
};

// Lay a matrix (depth, blocks * width) out, or where `turned` (blocks * width, depth): this member's panels.
void pack(const Call& call, const Member& me, const float* weights, int64_t stride, int64_t depth, int64_t blocks,
          int64_t width, bool turned, char* packed) {
  me.columns(blocks, width, [&](Part mine) {
    char* place = packed + call.type.packed_size(depth, mine.from) * call.bytes;
    call.type.pack(weights + (turned ? mine.from * stride : mine.from), stride, depth, mine.size(), turned, place);
  });
}

// The sums of the biases, and what a tick adds itself: the bias of a product that is kept apart from the input's share.
void add_biases(const Call& call, const Layer& l, float* bias, float* added) {
  int64_t hidden = l.hidden;
  auto of = [](const float* from, int64_t k) { return from ? from[k] : 0.0f; };
  for (int64_t unit = 0; unit < hidden; unit++) added[unit] = 0;
  for (const Share* s = call.cell.shares; s < call.cell.shares + call.cell.share_count; s++) {
    for (int64_t k = 0; k < s->count * hidden; k++) {
      float recurrent = s->hh >= 0 ? of(l.bias_hh, s->hh * hidden + k) : 0.0f;
      if (s->ih < 0) added[k] = recurrent;
      else bias[s->ih * hidden + k] = of(l.bias_ih, s->ih * hidden + k) + recurrent;
    }
  }
}

void pack_forward(const Call& call, const Member& me, const Layer& l) {
  Places at = call.places(l, false);
  char* packed = static_cast<char*>(l.packed);
  for (int64_t k = 0; !l.given && k < call.cell.share_count; k++) {
    const Share& s = call.cell.shares[k];
    if (s.ih < 0) continue;
    const float* weights = l.ih + s.ih * l.hidden * l.ih_stride;
    pack(call, me, weights, l.ih_stride, l.input, s.count, l.hidden, true, packed + at.inputs[k]);
  }
  Part mine = me.part(l.hidden, call.cell.wide);
  call.cell.pack_forward(l.hh, l.hh_stride, l.hidden, l.output, mine.from, mine.to, packed + at.recurrent);
  if (call.cell.twice) {
    pack(call, me, call.second(l), call.second_stride(l), l.hidden, 1, l.output, true, packed + at.second);
  }
  if (me.k == 0) {
    add_biases(call, l, reinterpret_cast<float*>(packed + at.bias), reinterpret_cast<float*>(packed + at.added));
  }
}

void pack_backward(const Call& call, const Member& me, const Layer& l) {
  Places at = call.places(l, true);
  char* packed = static_cast<char*>(l.packed);
  pack(call, me, l.hh, l.hh_stride, call.cell.gates * l.hidden, 1, l.output, false, packed + at.recurrent);
  if (call.cell.twice) {
    pack(call, me, call.second(l), call.second_stride(l), l.output, 1, l.hidden, false, packed + at.second);
  }
  for (int64_t k = 0; l.dx && k < call.cell.share_count; k++) {
    const Share& s = call.cell.shares[k];
    if (s.ih < 0) continue;
    const float* weights = l.ih + s.ih * l.hidden * l.ih_stride;
    pack(call, me, weights, l.ih_stride, s.count * l.hidden, 1, l.input, false, packed + at.inputs[k]);
  }
}

// Tell a layer where its weights are.
void place(const Call& call, Layer& l, bool backwards) {
  Places at = call.places(l, backwards);
  const char* packed = static_cast<const char*>(l.packed);
  l.weights = packed + at.recurrent, l.second = packed + at.second;
  l.added = call.cell.peepholes ? l.vectors : reinterpret_cast<const float*>(packed + at.added);
}

// A member's part of a product of `blocks` times `width` columns: the columns that it has laid out, or some of the rows
// where the columns cannot be shared out evenly.
void multiply(const Call& call, const Member& me, const Product& p, int64_t blocks, int64_t width) {
  auto some = [&](const Product& p, Part rows) {
    int64_t numbers = call.type.multiply_scratch(p.depth, rows.size());
    if (rows.size()) call.type.multiply(p, rows.from, rows.to, scratch(numbers, call.half));
  };
  if (p.rows >= me.members * STRIPE && !me.share_columns(blocks, width)) return some(p, me.part(p.rows, STRIPE));
  me.columns(blocks, width, [&](Part mine) {
    const char* b = static_cast<const char*>(p.b) + call.type.packed_size(p.depth, mine.from) * call.bytes;
    const float* bias = p.bias ? p.bias + mine.from : nullptr;
    some({p.a, p.a_stride, p.rows, p.depth, mine.size(), b, bias, p.c + mine.from, p.c_stride, p.add}, {0, p.rows});
  });
}

// The input's share of the gates.
void read_input(const Call& call, const Member& me, const Layer& l, int64_t rows) {
  Places at = call.places(l, false);
  const char* packed = static_cast<const char*>(l.packed);
  const float* bias = l.bias_ih || l.bias_hh ? reinterpret_cast<const float*>(packed + at.bias) : nullptr;
  for (int64_t k = 0; !l.given && k < call.cell.share_count; k++) {
    const Share& s = call.cell.shares[k];
    if (s.ih < 0) continue;
    Product p = {l.x, l.x_stride, rows, l.input, s.count * l.hidden, packed + at.inputs[k],
                 bias ? bias + s.ih * l.hidden : nullptr, l.gates + s.gate * l.hidden, l.gates_stride, 0};
    multiply(call, me, p, s.count, l.hidden);
  }
}

struct Group {
  Barrier* barrier;
  int members;
};

// A member's part of the recurrences: one direction of several, or of each direction its rows or its units.
void recur(const Call& call, const Member& me, const Layer* layers, int64_t count, bool backwards, Barrier* barriers,
           uint16_t* halves) {
  bool apart = me.members % count == 0;
  int64_t together = apart ? me.members / count : me.members, k = me.k % together;
  for (int64_t d = 0; d < count; d++) {
    const Layer& l = layers[d];
    int64_t wide = backwards ? kernels->panel : call.cell.wide, panels = (l.output + wide - 1) / wide;
    if (!apart || d == me.k / together) {
      Group group = {&barriers[d], static_cast<int>(together)};
      Slice slice = rows_of(l, k, together);
      if (share_units(l, together, panels, call.cell.gates)) {
        slice = {&l, 0, l.batch, k, together, nullptr, &group, nullptr};
      }
      slice.halves = halves + call.cell.room(l, slice.from, backwards);
      slice.wait = [](void* team) { static_cast<Group*>(team)->barrier->wait(static_cast<Group*>(team)->members); };
      if (slice.to > slice.from) (backwards ? call.cell.backward : call.cell.forward)(slice);
    }
    halves += call.cell.room(l, l.batch, backwards);
  }
}

uint16_t* room_for(const Call& call, const Layer* layers, int64_t count, bool backwards) {
  int64_t halves = 0;
  for (int64_t d = 0; d < count; d++) halves += call.cell.room(layers[d], layers[d].batch, backwards);
  return static_cast<uint16_t*>(scratch(halves, 1, 1));
}

// The last hidden states of a member's rows.
void last(const Member& me, const Layer& l) {
  Part mine = me.part(l.batch, 1);
  for (int64_t t = 0; t < l.steps; t++) {
    int64_t longer = !l.reverse && t + 1 < l.steps ? l.sizes[t + 1] : 0;
    int64_t from = longer > mine.from ? longer : mine.from, to = l.sizes[t] < mine.to ? l.sizes[t] : mine.to;
    for (int64_t row = from; row < to; row++) {
      std::memcpy(l.last + row * l.output, l.h + (l.starts[t] + row) * l.h_stride, l.output * sizeof(float));
    }
    if (l.reverse) break;
  }
}

// What the gates' gradients are multiplied with, for each element: the input, the state before, the middle.
struct Pointers {
  std::vector<const float*> x, before, middle;

  explicit Pointers(const Layer& l) {
    int64_t elements = l.starts[l.steps - 1] + l.sizes[l.steps - 1];
    x.reserve(elements), before.reserve(elements), middle.reserve(l.middle ? elements : 0);
    for (int64_t t = 0; t < l.steps; t++) {
      int64_t other = l.reverse ? t + 1 : t - 1;
      int64_t alive = other < 0 || other >= l.steps ? 0 : l.sizes[other];
      for (int64_t row = 0; row < l.sizes[t]; row++) {
        before.push_back(row < alive ? l.h + (l.starts[other] + row) * l.h_stride : l.h0 + row * l.output);
        x.push_back(l.x + (l.starts[t] + row) * l.x_stride);
        if (l.middle) middle.push_back(l.middle + (l.starts[t] + row) * l.hidden);
      }
    }
  }
};

void outer(const Call& call, const Outer& p, Part mine) {
  call.type.outer(p, mine.from, mine.to, scratch(call.type.outer_scratch(p.columns, p.more_columns), call.half));
}

// A member's part of the weights' gradients: some rows of the gates.
void weights_back(const Call& call, const Member& me, const Layer& l, const Pointers& of) {
  int64_t elements = static_cast<int64_t>(of.x.size());
  for (const Share* s = call.cell.shares; s < call.cell.shares + call.cell.share_count; s++) {
    int64_t first = s->gate * l.hidden, rows = s->count * l.hidden;
    Part mine = me.part(rows, STRIPE);
    if (!mine.size()) continue;
    Outer p = {l.dgates + first, l.gates_stride, rows, elements, 0, nullptr, nullptr, 0, 0, 0, nullptr, nullptr, 0,
               l.dbias + first};
    if (s->ih >= 0 && l.dih) {
      p.columns = l.input, p.b = of.x.data(), p.c = l.dih + s->ih * l.hidden * l.dih_stride, p.c_stride = l.dih_stride;
    }
    if (s->hh >= 0) {
      p.more_columns = l.output, p.more_b = s->middle ? of.middle.data() : of.before.data();
      p.more_c = l.dhh + s->hh * l.hidden * l.output, p.more_stride = l.output;
    }
    outer(call, p, mine);
  }
  if (l.dhr) {
    Outer p = {l.dtotal, l.output, l.output, elements, l.hidden, of.middle.data(), l.dhr, l.hidden, 0, 0, nullptr,
               nullptr, 0, nullptr};
    Part mine = me.part(l.output, STRIPE);
    if (mine.size()) outer(call, p, mine);
  }
  if (call.cell.peepholes) {
    Part mine = me.part(l.hidden, 16);
    kernels->peepholes_back(l, mine.from, mine.to);
  }
}

// A member's part of the input's gradient, to which all directions add.
void input_back(const Call& call, const Member& me, const Layer* layers, int64_t count, int64_t elements) {
  for (int64_t d = 0, add = 0; d < count; d++) {
    const Layer& l = layers[d];
    Places at = call.places(l, true);
    for (int64_t k = 0; l.dx && k < call.cell.share_count; k++) {
      const Share& s = call.cell.shares[k];
      if (s.ih < 0) continue;
      const char* panels = static_cast<const char*>(l.packed) + at.inputs[k];
      Product p = {l.dgates + s.gate * l.hidden, l.gates_stride, elements, s.count * l.hidden, l.input, panels,
                   nullptr, l.dx, l.dx_stride, add};
      multiply(call, me, p, 1, l.input);
      add = 1;
    }
  }
}

}  // namespace

EXPORT const char* unrolled_isa() { return kernels->name; }

// Take the kernels of another instruction set. 0 where this machine cannot run it.
EXPORT int64_t unrolled_use(const char* name) {
  const Kernels* found = find_kernels(name);
  if (found) kernels = found;
  return found != nullptr;
}

EXPORT void unrolled_threads(void* parallel, void* thread_num, void* num_threads) {
  take_threads(parallel, thread_num, num_threads);
}

// Keep the processor's multipliers busy for some rounds; returns the operations done, for measuring its peak.
EXPORT int64_t unrolled_spin(int64_t half, int64_t rounds) { return kernels->spin(half, rounds); }

// Whether the rows alive never grow, are never none, begin where those before end, and are `elements` in all.
EXPORT int64_t unrolled_adds_up(const int64_t* sizes, const int64_t* starts, int64_t steps, int64_t elements) {
  int64_t all = 0;
  for (int64_t t = 0; t < steps; all += sizes[t++]) {
    if (sizes[t] < 1 || starts[t] != all || (t && sizes[t] > sizes[t - 1]) || sizes[t] > elements - all) return 0;
  }
  return steps > 0 && all == elements;
}

// Multiply matrices of these sizes for some rounds; returns the operations done, for measuring.
EXPORT int64_t unrolled_try(int64_t half, int64_t rows, int64_t depth, int64_t columns, int64_t rounds) {
  Call call(LSTM, half);
  thread_local std::vector<float> a, c, b;
  int64_t floats = (call.type.packed_size(depth, columns) * call.bytes + 3) / 4;
  a.resize(rows * depth), c.resize(rows * columns), b.resize(floats + LINE / 4);
  auto start = (reinterpret_cast<std::uintptr_t>(b.data()) + LINE - 1) / LINE * LINE;  // where tensors begin, too
  for (int64_t round = 0; round < rounds; round++) {
    Product p = {a.data(), depth, rows, depth, columns, reinterpret_cast<void*>(start), nullptr, c.data(), columns, 0};
    multiply(call, {0, 1}, p, 1, columns);
  }
  return 2 * rows * depth * columns * rounds;
}

// Bytes of `Layer::packed`.
EXPORT int64_t unrolled_packed_size(int64_t cell, int64_t half, int64_t input, int64_t hidden, int64_t output,
                                    int64_t backwards) {
  return Call(cell, half).places(input, hidden, output, backwards).size;
}

// Lay the weights out for the pass forwards.
EXPORT void unrolled_pack(int64_t cell, int64_t half, Layer* layer, int64_t threads) {
  Call call(cell, half);
  in_team(static_cast<int>(threads), [&](int k, int members) { pack_forward(call, {k, members}, *layer); });
}

EXPORT void unrolled_forward(int64_t cell, int64_t half, Layer* layers, int64_t count, int64_t threads) {
  Call call(cell, half);
  for (int64_t d = 0; d < count; d++) place(call, layers[d], false);
  uint16_t* halves = room_for(call, layers, count, false);
  int64_t elements = layers->starts[layers->steps - 1] + layers->sizes[layers->steps - 1];
  Barrier all, each[2];
  in_team(static_cast<int>(threads), [&](int k, int members) {
    Member me = {k, members};
    for (int64_t d = 0; d < count; d++) {
      if (layers[d].ih) pack_forward(call, me, layers[d]);
    }
    all.wait(members);
    for (int64_t d = 0; d < count; d++) read_input(call, me, layers[d], elements);
    all.wait(members);
    recur(call, me, layers, count, false, each, halves);
    all.wait(members);
    for (int64_t d = 0; d < count; d++) last(me, layers[d]);
  });
}

EXPORT void unrolled_backward(int64_t cell, int64_t half, Layer* layers, int64_t count, int64_t threads) {
  Call call(cell, half);
  std::vector<Pointers> pointers;
  for (int64_t d = 0; d < count; d++) place(call, layers[d], true), pointers.emplace_back(layers[d]);
  uint16_t* halves = room_for(call, layers, count, true);
  int64_t elements = static_cast<int64_t>(pointers[0].x.size());
  Barrier all, each[2];
  in_team(static_cast<int>(threads), [&](int k, int members) {
    Member me = {k, members};
    for (int64_t d = 0; d < count; d++) pack_backward(call, me, layers[d]);
    all.wait(members);
    recur(call, me, layers, count, true, each, halves);
    all.wait(members);
    input_back(call, me, layers, count, elements);
    for (int64_t d = 0; d < count; d++) weights_back(call, me, layers[d], pointers[d]);
  });
}

// The phases of a pass forwards before the recurrence, and of one back before it and after it, for loops that have more
// in each step than the recurrence.
EXPORT void unrolled_before(int64_t cell, int64_t half, Layer* layer, int64_t backwards, int64_t threads) {
  Call call(cell, half);
  place(call, *layer, backwards);
  int64_t elements = layer->starts[layer->steps - 1] + layer->sizes[layer->steps - 1];
  Barrier all;
  in_team(static_cast<int>(threads), [&](int k, int members) {
    Member me = {k, members};
    if (backwards) return pack_backward(call, me, *layer);
    pack_forward(call, me, *layer);
    all.wait(members);
    read_input(call, me, *layer, elements);
  });
}

EXPORT void unrolled_after(int64_t cell, int64_t half, Layer* layer, int64_t threads) {
  Call call(cell, half);
  Pointers pointers(*layer);
  in_team(static_cast<int>(threads), [&](int k, int members) {
    input_back(call, {k, members}, layer, 1, static_cast<int64_t>(pointers.x.size()));
    weights_back(call, {k, members}, *layer, pointers);
  });
}

// The last hidden state of each row.
EXPORT void unrolled_last(const Layer* layer) { last({0, 1}, *layer); }

// One tick. The hidden state goes from layer->h0 to layer->h, and the two change places, so that the next call goes on
// from here.
EXPORT void unrolled_step(int64_t cell, int64_t half, Layer* layer, const float* x, int64_t threads) {
  Call call(cell, half);
  layer->x = x;
  if (!layer->weights) place(call, *layer, false);
  uint16_t* halves = half ? room_for(call, layer, 1, false) : nullptr;
  if (threads > 1) {
    Barrier all, each[1];
    in_team(static_cast<int>(threads), [&](int k, int members) {
      Member me = {k, members};
      read_input(call, me, *layer, layer->batch);
      all.wait(members);
      recur(call, me, layer, 1, false, each, halves);
    });
  } else {  // of a single row of few units even this much counts
    FlushToZero here;
    read_input(call, {0, 1}, *layer, layer->batch);
    call.cell.forward({layer, 0, layer->batch, 0, 1, halves, nullptr, nullptr});
  }
  float* now = layer->h;
  layer->h = const_cast<float*>(layer->h0);
  layer->h0 = now;
}

// The same of a stream, of which only x changes from call to call: each argument of a call from Python takes time.
EXPORT void unrolled_tick(const Tick* tick, const float* x) {
  unrolled_step(tick->cell, tick->half, tick->layer, x, tick->threads);
}
