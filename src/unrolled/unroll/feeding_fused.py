"""The decoder that reads what it has just shown, with a GRU or an LSTM, as one compiled loop.

Same result, up to rounding, as `feeding`. As in `attending_fused` the loop reads each row's own places and no padding;
second derivatives go through `feeding.unroll`, whose graph torch records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.kernels import feeding as kernels
from unrolled.kernels.attention import Batch
from unrolled.kernels.feeding import Came, Made, Reads
from unrolled.kernels.recurrence import Weights
from unrolled.unroll import attending_fused, feeding, fused, second
from unrolled.unroll.attending_fused import _memory, _padded, _taken
from unrolled.unroll.feeding import Places, Shown
from unrolled.unroll.packing import eager, starts

GIVEN = 4
"""Arguments of the graph's step before its tensors."""

Slow = Callable[..., "tuple[Tensor, ...]"]
"""The same from the same tensors by operations that torch can derive twice."""


class _Tensors(NamedTuple):
    """All that has a gradient. state: (h0,) or (h0, c0)."""

    x: Tensor
    said: Tensor
    memory: Tensor
    keys: Tensor
    first: Tensor
    reads: Reads
    weights: Weights
    state: tuple[Tensor, ...]

    def flat(self) -> tuple[Tensor | None, ...]:
        return (*self[:5], *self.reads, *self.weights, *self.state)

    @classmethod
    def of(cls, flat: tuple[Any, ...]) -> _Tensors:
        middle = 5 + len(Reads._fields)
        end = middle + len(Weights._fields)
        x, said, memory, keys, first = flat[:5]
        reads, weights = Reads(*flat[5:middle]), Weights(*flat[middle:end])
        return cls(x, said, memory, keys, first, reads, weights, tuple(flat[end:]))


def supports(cell: Cell, reads: Reads, x: Tensor, places: Places) -> bool:
    """Whether the compiled loop takes exactly this cell, these types and this way of calling."""
    if type(cell) not in fused.KINDS:
        return False
    kind, w = fused.kind_of(cell), fused._weights(cell)
    alone = w._replace(ih=w.ih[:, : x.shape[1]])
    plain = all(type(t) in fused.PLAIN for t in (places.memory, places.keys, *reads) if t is not None)
    return plain and fused.runs(kind, x, alone) and kernels.supports(kind, x, places.memory, places.keys, reads, w)


@eager
def attempt(
    cell: Cell, reads: Reads, x: PackedSequence, said: Tensor, places: Places, state: State, first: Tensor
) -> Shown | None:
    """Arguments and results as `feeding.unroll`; None where the kernels do not run this."""
    if not supports(cell, reads, x.data, places):
        return None
    is_pair, sizes = isinstance(state, tuple), x.batch_sizes
    where = attending_fused.places(places.mask.sum(dim=1), places.mask.shape[1])

    def slow(*flat: Tensor) -> tuple[Tensor, ...]:
        t = _Tensors.of(flat)
        there, before = Places(t.memory, t.keys, places.mask), t.state if is_pair else t.state[0]
        words = PackedSequence(t.x, sizes)
        return feeding.unroll(fused._with(cell, t.weights), t.reads, words, t.said, there, before, t.first)

    whole = state if is_pair else (state,)
    tensors = _Tensors(x.data, said, places.memory, places.keys, first, reads, fused._weights(cell), whole).flat()
    how = (fused.kind_of(cell), fused.is_half())
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return Shown(*_Feeding.apply(slow, how, (sizes, starts(sizes)), where, *tensors))
    given, t = _given(tensors, (sizes, starts(sizes)), where)
    return Shown(*kernels.forward(how[0], given, t.reads, t.weights, keep=False, half=how[1])[:4])


class _Feeding(torch.autograd.Function):
    """The whole loop as one step of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        slow: Slow,
        how: tuple[str, bool],
        order: tuple[Tensor, Tensor],
        where: attending_fused.Places,
        *tensors: Any,
    ) -> tuple[Tensor, ...]:
        given, t = _given(tensors, order, where)
        made = kernels.forward(how[0], given, t.reads, t.weights, keep=True, half=how[1])
        ctx.slow, ctx.how, ctx.order, ctx.where, ctx.count = slow, how, order, where, len(tensors)
        ctx.save_for_backward(*tensors, given.places.places, given.keys, *made)
        return made[:4]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (places, keys, *made) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        wanted = ctx.needs_input_grad[GIVEN:]
        if torch.is_grad_enabled():
            return *[None] * GIVEN, *second.gradients(lambda: ctx.slow(*tensors), tensors, wanted, gradients)
        given, t = _given(tensors, ctx.order, ctx.where, (places, keys))
        kind, half = ctx.how
        d = kernels.backward(kind, given, t.reads, t.weights, Made(*made), Came(*gradients), half, wanted[0])
        memory, keys = _padded(d.places, ctx.where), _padded(d.keys, ctx.where)
        flat = (d.x, d.said, memory, keys, d.first, *d.reads, *d.weights, *d.state)
        return *[None] * GIVEN, *(t if want else None for t, want in zip(flat, wanted, strict=True))


def _given(
    flat: tuple[Any, ...],
    order: tuple[Tensor, Tensor],
    where: attending_fused.Places,
    taken: tuple[Tensor, Tensor] | None = None,
) -> tuple[kernels.Given, _Tensors]:
    """As the kernels take it; taken: memory and keys without padding, where they are there already."""
    t = _Tensors.of(flat)
    memory, keys = taken or (_taken(t.memory, where), _taken(t.keys, where))
    return kernels.Given(Batch(t.x, *order), _memory(memory, where), keys, t.said, t.state, t.first), t
