"""The decoder that attends, with a GRU or an LSTM, as one compiled loop. Same result, up to rounding, as `attending`.

The loop reads each row's own places of the memory and no padding. What is saved for the gradients is the gates' values,
the queries, the keys and the weights; the tanh of every element, place and unit is computed again. Second derivatives
go through `attending.unroll`, whose graph torch records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.kernels import attention
from unrolled.kernels.attention import Batch, Came, Made, Memory, Scorer
from unrolled.kernels.recurrence import Weights
from unrolled.unroll import attending, fused, second
from unrolled.unroll.attending import Attended
from unrolled.unroll.packing import eager, starts

GIVEN = 4
"""Arguments of the graph's step before its tensors."""

Slow = Callable[..., "tuple[Tensor, ...]"]
"""The same from the same tensors by operations that torch can derive twice."""


class Places(NamedTuple):
    """Where each row's places are. taken: their indices in the padded memory, or None where there is no padding.

    first, lengths: (batch,); padded: (batch, source).
    """

    taken: Tensor | None
    first: Tensor
    lengths: Tensor
    padded: tuple[int, int]


def places(lengths: Tensor, source: int) -> Places:
    """Of rows of these lengths, padded to `source`."""
    first, padded = lengths.cumsum(0) - lengths, (len(lengths), source)
    if int(lengths.min()) == source:
        return Places(None, first, lengths, padded)
    mask = torch.arange(source) < lengths.unsqueeze(1)
    return Places(mask.flatten().nonzero().squeeze(1), first, lengths, padded)


def supports(cell: Cell, scorer: Scorer, x: PackedSequence, memory: Tensor, lengths: Tensor) -> bool:
    """Whether the compiled loop takes exactly this cell, these types and this way of calling."""
    if type(cell) not in fused.KINDS or fused.kind_of(cell) not in attention.KNOWN or not lengths.is_cpu:
        return False
    kind, w = fused.kind_of(cell), fused._weights(cell)
    alone = w._replace(ih=w.ih[:, : x.data.shape[1]])
    plain = all(type(t) in (Tensor, torch.nn.Parameter) for t in (memory, *scorer) if t is not None)
    return plain and fused.runs(kind, x.data, alone) and attention.supports(kind, x.data, memory[0], scorer, w)


@eager
def attempt(
    cell: Cell, scorer: Scorer, x: PackedSequence, memory: Tensor, lengths: Tensor, state: State | None = None
) -> Attended | None:
    """Arguments and results as `attending.unroll`; None where the kernels do not run this."""
    attending.must_read(cell, scorer, x, memory, state)
    attending.must_fit(scorer, memory, lengths)
    if not supports(cell, scorer, x, memory, lengths):
        return None
    given = cell.initial_state(len(memory)) if state is None else state
    is_pair = isinstance(given, tuple)
    where = places(lengths.contiguous(), memory.shape[1])
    half = fused.is_half()

    def slow(data: Tensor, memory: Tensor, scorer: Scorer, w: Weights, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        read = x._replace(data=data), memory, lengths, state if is_pair else state[0]
        found = attending.unroll(fused._with(cell, w), scorer, *read)
        last = found.state if is_pair else (found.state,)
        return found.outputs.data, found.contexts.data, found.weights.data, *last

    kind, batch = fused.kind_of(cell), Batch(x.data, x.batch_sizes, starts(x.batch_sizes))
    tensors = (x.data, memory, *scorer, *fused._weights(cell), *(given if is_pair else (given,)))
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        outputs, contexts, weights, *final = _Attending.apply(slow, (kind, half), batch[1:], where, *tensors)
    else:
        _, padded, scorer, w, before = _parted(tensors)
        made = attention.forward(
            kind, batch, _memory(_taken(padded, where), where), scorer, w, before, keep=False, half=half
        )
        outputs, contexts, weights, final = made.outputs, made.contexts, made.weights, list(made.final)
    outputs, contexts, weights = (x._replace(data=data) for data in (outputs, contexts, weights))
    return Attended(outputs, contexts, weights, tuple(final) if is_pair else final[0])


class _Attending(torch.autograd.Function):
    """The whole loop as one step of the graph."""

    @staticmethod
    def forward(
        ctx: Any, slow: Slow, how: tuple[str, bool], order: tuple[Tensor, Tensor], where: Places, *tensors: Any
    ) -> tuple[Tensor, ...]:
        x, padded, scorer, w, state = _parted(tensors)
        memory = _memory(_taken(padded, where), where)
        made = attention.forward(how[0], Batch(x, *order), memory, scorer, w, state, keep=True, half=how[1])
        ctx.slow, ctx.how, ctx.order, ctx.where, ctx.count = slow, how, order, where, len(tensors)
        kept = made.gates, made.cells, made.queries, made.keys
        ctx.save_for_backward(*tensors, memory.places, made.outputs, made.contexts, made.weights, *kept)
        return made.outputs, made.contexts, made.weights, *made.final

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (places, *kept) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        wanted = ctx.needs_input_grad[GIVEN:]
        if torch.is_grad_enabled():
            found = second.gradients(lambda: ctx.slow(*_parted(tensors)), tensors, wanted, gradients)
            return *[None] * GIVEN, *found
        outputs, contexts, weights, gates, cells, queries, keys = kept
        made = Made(outputs, contexts, weights, (), gates, cells, queries, keys)
        came = Came(gradients[0], gradients[1], gradients[2], gradients[3:])
        x, _, scorer, w, state = _parted(tensors)
        memory = _memory(places, ctx.where)
        batch, (kind, half) = Batch(x, *ctx.order), ctx.how
        given = attention.backward(kind, batch, memory, scorer, w, state, made, came, half, wanted[0], wanted[1])
        flat = (given.x, _padded(given.memory, ctx.where), *given.scorer, *given.weights, *given.state)
        return *[None] * GIVEN, *(t if want else None for t, want in zip(flat, wanted, strict=True))


def _parted(tensors: tuple[Any, ...]) -> tuple[Tensor, Tensor, Scorer, Weights, tuple[Tensor, ...]]:
    x, memory, *rest = tensors
    middle, end = len(Scorer._fields), len(Scorer._fields) + len(Weights._fields)
    return x, memory, Scorer(*rest[:middle]), Weights(*rest[middle:end]), tuple(rest[end:])


def _taken(padded: Tensor, where: Places) -> Tensor:
    """The places of all rows, without padding."""
    flat = padded.flatten(0, 1)
    return flat if where.taken is None else flat.index_select(0, where.taken)


def _memory(taken: Tensor, where: Places) -> Memory:
    return Memory(taken, where.first, where.lengths, where.padded[1])


def _padded(gradient: Tensor | None, where: Places) -> Tensor | None:
    if gradient is None:
        return None
    if where.taken is not None:
        gradient = gradient.new_zeros(where.padded[0] * where.padded[1], gradient.shape[1]).index_copy_(
            0, where.taken, gradient
        )
    return gradient.unflatten(0, where.padded)
