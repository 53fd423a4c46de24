// Runs a search's steps on random numbers of rows and words: the likeliest words, what is picked of them, and the rows
// that a chain takes, copies, adds and multiplies, in buffers of exactly the size that is asked for.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "api_chain.h"
#include "api_leading.h"
#include "api_matrix.h"
#include "api_picking.h"
#include "buffers.h"
#include "in_each_set.h"

namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

template <class T>
std::unique_ptr<T[]> room(int64_t size) { return std::unique_ptr<T[]>(new T[size]); }

// Words of random logits, then hypotheses of random sources.
void search() {
  int64_t words = draw(0, 3) ? draw(1, 60) : draw(200, 700), width = draw(1, 6), sources = draw(1, 5);
  int64_t count = std::min(width, words), end = draw(0, words - 1);
  auto starts = room<int64_t>(sources + 1), wanted = room<int64_t>(sources);
  starts[0] = 0;
  for (int64_t k = 0; k < sources; k++) starts[k + 1] = starts[k] + draw(1, width), wanted[k] = draw(0, width);
  int64_t rows = starts[sources], stride = words + draw(0, 4), picks = sources * width;
  Buffer logits = Buffer::random((rows - 1) * stride + words, 3), best(rows * count);
  auto barred = room<uint8_t>(words);
  for (int64_t k = 0; k < words; k++) barred[k] = !draw(0, 4);
  auto places = room<int64_t>(rows * count);
  auto norms = room<double>(rows), log_p = room<double>(rows), found = room<double>(rows * count);
  Leading leading = {logits, rows, words, stride, draw(0, 2) ? barred.get() : nullptr, count, best, places.get(),
                     norms.get()};
  bool at_once = draw(0, 1);
  if (!at_once) unrolled_leading(&leading, draw(1, 4));
  for (int64_t row = 0; row < rows; row++) {
    log_p[row] = draw(0, 3) ? -static_cast<double>(draw(0, 9)) : -INFINITY;
    for (int64_t k = row * count; !at_once && k < (row + 1) * count; k++) found[k] = best[k] - norms[row];
  }
  auto picked = room<int64_t>(2 * picks), next = room<int64_t>(2 * rows);
  auto sums = room<double>(picks), after = room<double>(rows);
  Picking picking = {sources, width, end, starts.get(), count, found.get(), places.get(), log_p.get(), wanted.get(),
                     picked.get(), picked.get() + picks, sums.get(), next.get(), next.get() + rows, after.get()};
  int64_t going = at_once ? unrolled_pick_of(&leading, &picking, draw(1, 4)) : unrolled_pick(&picking);
  for (int64_t row = 0; row < rows; row++) must(std::isfinite(norms[row]), "a norm is not a number");
  for (int64_t k = 0; k < rows * count; k++) must(places[k] >= 0 && places[k] < words, "a place is not a word");
  for (int64_t k = 0; k < picks; k++) must(picked[k] >= 0 && picked[k] < rows && sums[k] <= 0, "a pick is none");
  int64_t live = 0;
  for (int64_t row = 0; going >= 0 && row < rows; row++) {
    must(next[row] >= 0 && next[row] < rows && next[rows + row] >= 0 && next[rows + row] < words, "no row goes there");
    live += after[row] > -INFINITY;
  }
  must(going < 0 || live == going, "not so many rows go on");
}

// Rows of a table beside other rows, added to themselves and multiplied by a matrix.
void chain() {
  int64_t rows = draw(1, 20), table_rows = draw(1, 9), taken = draw(1, 40), beside = draw(1, 20), half = draw(0, 1);
  int64_t depth = taken + beside, columns = draw(1, 70), threads = draw(1, 3);
  Buffer table = Buffer::random(table_rows * taken), other = Buffer::random(rows * beside);
  Buffer read(rows * depth), twice(rows * depth), weights = Buffer::random(columns * depth), made(rows * columns);
  auto packed = room<char>(unrolled_matrix_size(half, depth, columns) * (half ? 2 : 4));
  unrolled_matrix_pack(half, weights, depth, depth, columns, 1, packed.get(), threads);
  auto index = room<int64_t>(rows);
  bool fits = true;
  for (int64_t row = 0; row < rows; row++) {
    index[row] = draw(0, 60) ? draw(0, table_rows - 1) : (draw(0, 1) ? -1 : table_rows);
    fits = fits && index[row] >= 0 && index[row] < table_rows;
  }
  Product product = {twice, depth, rows, depth, columns, packed.get(), nullptr, made, columns, 0};
  Call take = {}, copy = {}, add = {}, multiply = {};
  take.kind = TAKE, take.rows = copy.rows = add.rows = rows;
  take.columns = taken, take.source = table, take.source_stride = taken, take.target = read;
  take.target_stride = copy.target_stride = depth, take.index = index.get(), take.limit = table_rows;
  copy.kind = COPY, copy.columns = beside, copy.source = other, copy.source_stride = beside, copy.target = read + taken;
  add.kind = ADD, add.columns = add.source_stride = add.other_stride = add.target_stride = depth;
  add.source = add.other = read, add.target = twice;
  multiply.kind = MULTIPLY, multiply.half = half, multiply.threads = threads, multiply.first = &product;
  const Call* calls[] = {&take, &copy, &add, &multiply};
  must(unrolled_run(calls, 4) == fits, "an index out of its table is not seen");
  if (fits) must_be_written(made, "products");
}

}  // namespace

int main(int count, char** given) { return in_each_set(count, given, [] { search(), chain(); }); }
