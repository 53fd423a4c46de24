// Runs the decoder that is fed what it shows, and attention alone, on random sizes and lengths, in buffers of exactly the
// size that they say they need, filled with NaN where they are to write, and with NaN in the padding of the memory and of
// the keys. Compiled with sanitizers, it ends with an error for any access beyond a buffer; by itself it looks that
// nothing is left unwritten, read before it was written, or read or written in the padding.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "api_attention.h"
#include "api_matrix.h"
#include "buffers.h"
#include "in_each_set.h"

namespace {

void fail(const char* what, const char* how) {
  std::fprintf(stderr, "%s: %s\n", what, how);
  std::exit(1);
}

void must_be_equal(const Buffer& a, const Buffer& b, const char* what) {
  for (int64_t k = 0; k < a.size; k++) {
    if (a[k] != b[k]) fail(what, "inference is not training");
  }
}

struct Case {
  bool lstm = draw(0, 1), additive = draw(0, 1);
  int64_t half = draw(0, 1), hidden = draw(0, 5) ? draw(1, 30) : draw(60, 100), shown = draw(1, 40);
  int64_t features = draw(0, 3) ? draw(1, 40) : draw(120, 180), units = additive ? draw(1, 40) : hidden;
  int64_t places = draw(1, 6), batch = draw(1, 13), threads = draw(1, 4), elements = 0, input = draw(1, 30);
  std::vector<int64_t> sizes, starts, first, lengths;

  Case() {
    for (int64_t alive = batch; alive > 0 && sizes.size() < 5; alive -= draw(0, 3) ? 0 : draw(0, alive)) {
      sizes.push_back(alive), starts.push_back(elements), elements += alive;
    }
    for (int64_t row = 0; row < batch; row++) first.push_back(row * places), lengths.push_back(draw(1, places));
  }
  int64_t cell() const { return lstm ? 0 : 3; }
  int64_t blocks() const { return lstm ? 4 : 3; }
  // Of the rows' own places; NaN in the padding.
  Buffer in_places(int64_t width) const {
    Buffer made(batch * places * width), all = Buffer::random(made.size);
    for (int64_t row = 0; row < batch; row++) {
      int64_t from = first[row] * width;
      for (int64_t k = from; k < from + lengths[row] * width; k++) made.data[k] = all[k];
    }
    return made;
  }
  void must_be_in_places(const Buffer& buffer, int64_t width, const char* what) const {
    for (int64_t k = 0; k < buffer.size; k++) {
      bool own = k / width % places < lengths[k / width / places];
      if (own != (std::isfinite(buffer[k]) != 0)) fail(what, own ? "a number is not there" : "padding is written");
    }
  }
};

// Weights (columns, depth), packed to be multiplied by from the left (forwards), or as they are (back).
Buffer panels(const Case& c, const Buffer& weights, int64_t columns, int64_t depth, bool forwards) {
  int64_t from = forwards ? depth : columns, to = forwards ? columns : depth;
  int64_t numbers = unrolled_matrix_size(c.half, from, to);
  Buffer made(c.half ? (numbers + 1) / 2 : numbers);
  unrolled_matrix_pack(c.half, weights, depth, from, to, forwards, made, c.threads);
  return made;
}

struct Weights {
  Buffer input, input_bias, recurrent, recurrent_bias, query, value, bias, of_state, of_context;
  std::vector<Buffer> fed;
  std::vector<int64_t> at, columns;

  explicit Weights(const Case& c)
      : input(Buffer::random(c.blocks() * c.hidden * c.input)), input_bias(Buffer::random(c.blocks() * c.hidden)),
        recurrent(Buffer::random(c.blocks() * c.hidden * c.hidden)), recurrent_bias(Buffer::random(input_bias.size)),
        query(Buffer::random(c.units * c.hidden)), value(Buffer::random(c.units)), bias(Buffer::random(c.units)),
        of_state(Buffer::random(c.shown * c.hidden)), of_context(Buffer::random(c.shown * c.features)) {
    if (c.lstm) at = {0}, columns = {4 * c.hidden};
    else at = {0, 3 * c.hidden}, columns = {2 * c.hidden, c.hidden};
    for (int64_t n : columns) fed.push_back(Buffer::random(n * c.shown));
  }
};

// Points the attention and the feeding at the weights, packed for one pass; what comes back must be kept.
std::vector<Buffer> lay_out(const Case& c, const Weights& w, Attention& a, Feeding& f, bool forwards) {
  std::vector<Buffer> made;
  made.push_back(panels(c, w.of_state, c.shown, c.hidden, forwards));
  made.push_back(panels(c, w.of_context, c.shown, c.features, forwards));
  made.push_back(panels(c, w.query, c.units, c.hidden, forwards));
  f.of_state = made[0].data.get(), f.of_context = made[1].data.get();
  a.query = c.additive ? made[2].data.get() : nullptr, a.blocks = static_cast<int64_t>(w.fed.size());
  for (int64_t k = 0; k < a.blocks; k++) {
    made.push_back(panels(c, w.fed[k], w.columns[k], c.shown, forwards));
    a.context[k] = made.back().data.get(), a.at[k] = w.at[k], a.columns[k] = w.columns[k];
  }
  return made;
}

// What both passes of attention alone get, and the first of a decoder.
Attention attention(const Case& c, const Weights& w, const Buffer& memory, const Buffer& keys) {
  Attention a = {};
  a.units = c.units, a.features = c.features, a.source = c.places, a.first = c.first.data();
  a.lengths = c.lengths.data(), a.memory = memory, a.keys = keys;
  a.value = c.additive ? w.value.data.get() : nullptr, a.bias = c.additive ? w.bias.data.get() : nullptr;
  return a;
}

void look(const Case& c) {
  if (!c.additive) return;
  Weights w(c);
  Buffer memory = c.in_places(c.features), keys = c.in_places(c.units), queries = Buffer::random(c.elements * c.units);
  Buffer weights(c.elements * c.places), contexts(c.elements * c.features);
  Attention a = attention(c, w, memory, keys);
  a.queries = queries, a.weights = weights, a.contexts = contexts;
  Layer layer = {};
  layer.steps = c.sizes.size(), layer.batch = c.batch, layer.sizes = c.sizes.data(), layer.starts = c.starts.data();
  unrolled_look(&layer, &a, c.threads);
  must_be_written(weights, "weights alone"), must_be_written(contexts, "contexts alone");
  Buffer dweights = Buffer::random(weights.size), dcontexts = Buffer::random(contexts.size), dqueries(queries.size);
  Buffer dkeys(keys.size), dmemory(memory.size), dvalue(c.units);
  a.dweights = dweights, a.dcontexts = dcontexts, a.dqueries = dqueries, a.dkeys = dkeys, a.dmemory = dmemory;
  a.dvalue = dvalue;
  unrolled_look_back(&layer, &a, c.threads);
  must_be_written(dqueries, "gradient of queries alone"), must_be_written(dvalue, "gradient of the value alone");
  c.must_be_in_places(dkeys, c.units, "gradient of the keys alone");
  c.must_be_in_places(dmemory, c.features, "gradient of the memory alone");
}

void run() {
  Case c;
  look(c);
  Weights w(c);
  int64_t n = c.elements, h = c.hidden, rows = c.batch * h;
  Buffer memory = c.in_places(c.features), keys = c.in_places(c.units), queries(n * c.units);
  Buffer weights(n * c.places), contexts(n * c.features), said = Buffer::random(n * c.shown), shows(said.size);
  Buffer x = Buffer::random(n * c.input), gates(n * 4 * h), cells(n * h), out(n * h), again(n * h), other(said.size);
  Buffer h0 = Buffer::random(rows), c0 = Buffer::random(rows), state(rows), first = Buffer::random(c.batch * c.shown);
  state.copy(c0), shows.copy(said), other.copy(said);
  Attention a = attention(c, w, memory, keys);
  a.queries = c.additive ? queries.data.get() : again.data.get(), a.weights = weights, a.contexts = contexts;
  Feeding f = {};
  f.attention = &a, f.shown = c.shown, f.first = first, f.shows = other;
  std::vector<Buffer> kept = lay_out(c, w, a, f, true);
  Buffer room((unrolled_packed_size(c.cell(), c.half, c.input, h, h, 0) + 3) / 4);
  Layer layer = {};
  layer.steps = c.sizes.size(), layer.batch = c.batch, layer.hidden = layer.output = h, layer.input = c.input;
  layer.sizes = c.sizes.data(), layer.starts = c.starts.data(), layer.x = x, layer.x_stride = c.input;
  layer.ih = w.input, layer.ih_stride = c.input, layer.hh = w.recurrent, layer.hh_stride = h;
  layer.bias_ih = w.input_bias, layer.bias_hh = w.recurrent_bias, layer.packed = room;
  layer.gates = gates, layer.gates_stride = 4 * h, layer.h0 = h0, layer.h = again, layer.h_stride = h;
  layer.c = c.lstm ? state.data.get() : nullptr;
  unrolled_before(c.cell(), c.half, &layer, 0, c.threads);
  unrolled_feed(c.cell(), c.half, &layer, &f, c.threads);
  must_be_written(again, "inference");
  state.copy(c0);
  layer.keep = 1, layer.h = out, layer.cells = c.lstm ? cells.data.get() : nullptr;
  a.queries = c.additive ? queries.data.get() : out.data.get(), f.shows = shows;
  unrolled_before(c.cell(), c.half, &layer, 0, c.threads);
  unrolled_feed(c.cell(), c.half, &layer, &f, c.threads);
  must_be_written(out, "outputs"), must_be_written(contexts, "contexts"), must_be_written(weights, "weights");
  must_be_written(shows, "what is shown"), must_be_written(gates, "gates"), must_be_written(state, "state");
  if (c.additive) must_be_written(queries, "queries");
  must_be_equal(out, again, "outputs"), must_be_equal(shows, other, "what is shown");

  Buffer back((unrolled_packed_size(c.cell(), c.half, c.input, h, h, 1) + 3) / 4), dgates(gates.size), dvalue(c.units);
  Buffer dx(x.size), dih(w.input.size), dhh(w.recurrent.size), dbias(4 * h), dqueries(queries.size);
  Buffer dh = Buffer::random(n * h), carried = Buffer::random(rows), memories = Buffer::random(rows);
  Buffer dweights = Buffer::random(weights.size), dcontexts = Buffer::random(contexts.size), dfirst(first.size);
  Buffer dshows = Buffer::random(shows.size), dkeys(keys.size), dmemory(memory.size);
  kept = lay_out(c, w, a, f, false);
  layer.packed = back, layer.c0 = c0, layer.dh = dh, layer.dh_stride = h, layer.dgates = dgates;
  layer.dh_carry = carried, layer.dc_carry = c.lstm ? memories.data.get() : nullptr;
  a.dweights = dweights, a.dcontexts = dcontexts, a.dh = dh, a.dqueries = dqueries, a.dkeys = dkeys;
  a.dmemory = dmemory, a.dvalue = c.additive ? dvalue.data.get() : nullptr, f.dshows = dshows, f.dfirst = dfirst;
  layer.dx = dx, layer.dx_stride = c.input, layer.dih = dih, layer.dih_stride = c.input, layer.dhh = dhh;
  layer.dbias = dbias;
  unrolled_before(c.cell(), c.half, &layer, 1, c.threads);
  unrolled_feed_back(c.cell(), c.half, &layer, &f, c.threads);
  unrolled_after(c.cell(), c.half, &layer, c.threads);
  must_be_written(dx, "gradient of the input"), must_be_written(dih, "gradient of the input weights");
  must_be_written(dhh, "gradient of the recurrent weights"), must_be_written(dbias, "sums");
  must_be_written(dgates, "gradient of the gates"), must_be_written(carried, "gradient of the state");
  must_be_written(memories, "gradient of the cell state"), must_be_written(dqueries, "gradient of the queries");
  must_be_written(dshows, "gradient of what is shown"), must_be_written(dfirst, "gradient of what was first read");
  if (c.additive) must_be_written(dvalue, "gradient of the value");
  c.must_be_in_places(dkeys, c.units, "gradient of the keys");
  c.must_be_in_places(dmemory, c.features, "gradient of the memory");
}

}  // namespace

int main(int count, char** given) { return in_each_set(count, given, run); }
