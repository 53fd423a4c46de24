// The kernels, for the instruction set that this file is compiled for. -DISA=name says its name.
#include "kernels.h"

#include "attention.h"
#include "dropping.h"
#include "feeding.h"
#include "gemm.h"
#include "leading.h"
#include "linear.h"
#include "recurrence.h"
#include "softmax_back.h"

namespace ISA {

template <class Cell, class W>
constexpr CellKernels cell = {
    Cell::gates, Cell::width, Cell::blocks, units_wide<Cell> * L, Cell::twice, Cell::peepholes,
    Cell::shares, sizeof Cell::shares / sizeof *Cell::shares,
    forward_size<Cell, W>, pack_forward<Cell, W>, room<Cell, W>, forward<Cell, W>, backward<Cell, W>,
};

template <class W>
static void pack(const float* from, Index stride, Index depth, Index columns, Index transposed, void* packed) {
  W* to = static_cast<W*>(packed);
  if (transposed) return pack_transposed(from, stride, depth, columns, to);
  pack_rows([&](Index k) { return from + k * stride; }, depth, columns, to);
}

template <class W>
static void product_of(const Product& p, Index from, Index to, void* scratch) {
  multiply(p, from, to, static_cast<W*>(scratch));
}

template <class W>
constexpr TypeKernels type = {
    {cell<LSTMs<false, false>, W>, cell<LSTMs<true, false>, W>, cell<LSTMCoupled, W>, cell<GRU, W>,
     cell<Elman<false>, W>, cell<Elman<true>, W>, cell<LSTMs<false, true>, W>, cell<GRUCho, W>},
    packed_size<W>, pack<W>, multiply_scratch<W>, product_of<W>, outer_scratch<W>, outer<W>,
};

constexpr LinearKernels linear = {linear_forward, linear_backward};

template <class W>
constexpr SoftmaxKernels softmax = {
    words::room<W>, words::scratch_size<W>, words::ahead<W>, words::whole_rows, words::back<W>,
};

template <class Cell, class W>
constexpr AttentionKernels attention = {attention_room<Cell, W>, attend<Cell, W>, attend_back<Cell, W>};

template <class Cell, class W>
constexpr FeedingKernels feeding = {feeding_room<Cell, W>, feed<Cell, W>, feed_back<Cell, W>};

// As many multiplications and additions as the processor can do, in registers alone; returns their number.
static Index spin(Index half, Index rounds) {
#if defined(AMX)
  if (half) return grid::spin(rounds);
#endif
  constexpr int count = ROWS * MOST;
  Vector total[count];
  _Pragma("GCC unroll 24") for (int k = 0; k < count; k++) total[k] = splat(1.0f + k);
  Vector a = splat(1e-8f), b = splat(1e-8f);
  for (Index round = 0; round < rounds; round++) {
    __asm__ volatile("" : "+m"(a), "+m"(b));  // what stands there is not known beforehand
    _Pragma("GCC unroll 24") for (int k = 0; k < count; k++) {
      if (half) add_products(total[k], (Pairs)a, (Pairs)b);
      else total[k] += a * b;
    }
  }
  Totals totals;
  _Pragma("GCC unroll 24") for (int k = 0; k < count; k++) store(totals.values + k * L, total[k]);
  __asm__ volatile("" : : "m"(totals));
  return 2 * count * L * (half ? 2 : 1) * rounds;
}

}  // namespace ISA

#define NAME(x) NAME_(x)
#define NAME_(x) #x
#define TABLE(x) TABLE_(x)
#define TABLE_(x) unrolled_kernels_##x

extern const Kernels TABLE(ISA);
const Kernels TABLE(ISA) = {
    NAME(ISA), ISA::MOST * ISA::L, {ISA::type<float>, ISA::type<ISA::Half>}, ISA::peepholes_back, ISA::spin,
    ISA::linear,
    {ISA::softmax<float>, ISA::softmax<ISA::Half>},
    {{ISA::attention<ISA::LSTMs<false, false>, float>, ISA::attention<ISA::GRU, float>},
     {ISA::attention<ISA::LSTMs<false, false>, ISA::Half>, ISA::attention<ISA::GRU, ISA::Half>}},
    {{ISA::feeding<ISA::LSTMs<false, false>, float>, ISA::feeding<ISA::GRU, float>},
     {ISA::feeding<ISA::LSTMs<false, false>, ISA::Half>, ISA::feeding<ISA::GRU, ISA::Half>}},
    {ISA::look_all, ISA::look_all_back},
    {ISA::words::leading_scratch, ISA::words::leading},
    {ISA::GROUP, ISA::drop},
};
