// The kernels, for the instruction set that this file is compiled for. -DISA=name says its name.
#include "kernels.h"

#include "gemm.h"
#include "recurrence.h"

namespace ISA {

template <class Cell>
constexpr CellKernels of = {
    forward_size<Cell>,   backward_size<Cell>,  pack_forward<Cell>, pack_backward<Cell>,
    forward<Cell, false>, forward<Cell, true>, backward<Cell>,
};

static void pack(const float* weights, Index stride, Index depth, Index columns, Index transposed, float* packed) {
  if (transposed) return pack_transposed(weights, stride, depth, columns, packed);
  pack_rows([&](Index k) { return weights + k * stride; }, depth, columns, packed);
}

}  // namespace ISA

#define NAME(x) NAME_(x)
#define NAME_(x) #x
#define TABLE(x) TABLE_(x)
#define TABLE_(x) unrolled_kernels_##x

extern const Kernels TABLE(ISA);
const Kernels TABLE(ISA) = {
    NAME(ISA),
    {ISA::of<ISA::LSTMs<false>>, ISA::of<ISA::LSTMs<true>>, ISA::of<ISA::LSTMCoupled>, ISA::of<ISA::GRU>,
     ISA::of<ISA::Elman<false>>, ISA::of<ISA::Elman<true>>},
    ISA::packed_size, ISA::pack, ISA::multiply, ISA::outer_scratch, ISA::outer, ISA::sums,
};
