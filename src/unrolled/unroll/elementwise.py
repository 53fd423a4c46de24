"""Cells whose recurrence is element-wise and linear, h_t = a_t * h_{t-1} + b_t: one product for all, then a kernel.

Same signature and, up to rounding, same result as `scan`: outputs, state, every gradient. What looks at the input
alone, the cell's `coefficients`, is done by torch for all elements at once. What remains goes to our kernel in float32
on a CPU, in one direction or in both, without turning rows round; elsewhere it is a loop over time in plain torch.

The gradient of such a recurrence is another one, that runs the other way, with g the gradient of h by all ways:

    g_t = dh_t + a_{t+1} * g_{t+1}        db_t = g_t        da_t = g_t * h_{t-1}

So second derivatives need no slower way: the backward pass, asked for a graph, is itself such a recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell
from unrolled.cells.elementwise import ElementwiseLinear
from unrolled.kernels import linear
from unrolled.kernels.linear import Terms
from unrolled.unroll import fused
from unrolled.unroll.packing import eager, layout, starts


def supports(cell: Cell) -> bool:
    """Whether the cell is such a recurrence."""
    return isinstance(cell, ElementwiseLinear)


def unroll(cell: Cell, x: PackedSequence, state: Tensor | None = None) -> tuple[PackedSequence, Tensor]:
    """Run a cell that `supports` says yes to over a packed batch. Arguments and results as `scan.unroll`."""
    outputs, (final,) = _unroll([cell], x, [state])
    return x._replace(data=outputs), final


def unroll_both(
    ahead: Cell, back: Cell, x: PackedSequence, states: tuple[Tensor | None, Tensor | None] = (None, None)
) -> tuple[PackedSequence, tuple[Tensor, Tensor]]:
    """Two such cells, the second from the last element back. Arguments and results as `choose.unroll_both`."""
    outputs, (first, last) = _unroll([ahead, back], x, states)
    return x._replace(data=outputs), (first, last)


@eager
def _unroll(
    cells: Sequence[Cell], x: PackedSequence, states: Sequence[Tensor | None]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    directions = []
    for cell, state in zip(cells, states, strict=True):
        assert isinstance(cell, ElementwiseLinear)
        h0 = cell.initial_state(int(x.batch_sizes[0])) if state is None else state
        directions.append(Terms(*_coefficients(cell, x.data), h0))
    return run(x.batch_sizes, directions)


def _coefficients(cell: ElementwiseLinear, data: Tensor) -> tuple[Tensor, Tensor]:
    if not (data.dtype is torch.float32 and data.is_cpu and fused.is_half()):
        return cell.coefficients(cell.project(data))
    # What is multiplied is bfloat16; gates and states are not. Without torch's store of what it has rounded, since the
    # gradients of all that reads x would be summed in bfloat16 there.
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        px = cell.project(data)
    with torch.autocast("cpu", enabled=False):
        return cell.coefficients(px.float())


def run(sizes: Tensor, directions: Sequence[Terms]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The recurrences alone.

    Args:
        sizes: (time,), rows alive at each time.
        directions: the terms of one that reads ahead, and, where there is a second, of one that reads back.

    Returns:
        The states side by side, (elements, hidden of all), and each direction's after each row's last element.
    """
    tensors = [t for terms in directions for t in terms]
    plain = all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors)
    if not (plain and linear.supports(*tensors)) or fused.is_transformed():
        found = [_loop(sizes.tolist(), terms, back=place > 0) for place, terms in enumerate(directions)]
        return torch.cat([outputs for outputs, _ in found], dim=1), tuple(last for _, last in found)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        outputs, *last = _Recurrence.apply(sizes, starts(sizes), *tensors)
    else:
        outputs, last = linear.forward(sizes, starts(sizes), directions)
    return outputs, tuple(last)


def _loop(sizes: list[int], terms: Terms, *, back: bool) -> tuple[Tensor, Tensor]:
    """One direction by operations that torch can derive as often as one likes."""
    a, b, h0 = terms.a.split(sizes), terms.b.split(sizes), terms.h0
    outputs: list[Tensor] = []
    h, ended = h0[: sizes[-1]] if back else h0, []
    for t in reversed(range(len(sizes))) if back else range(len(sizes)):
        if len(h) < sizes[t]:  # reading back, the shorter rows begin later
            h = torch.cat([h, h0[len(h) : sizes[t]]])
        elif len(h) > sizes[t]:
            ended.append(h[sizes[t] :])
            h = h[: sizes[t]]
        h = a[t] * h + b[t]
        outputs.append(h)
    return torch.cat(outputs[::-1] if back else outputs), torch.cat([h, *reversed(ended)])


class _Recurrence(torch.autograd.Function):
    """Recurrences as one step of the graph. The tensors are, of each direction, a, b and h0."""

    @staticmethod
    def forward(ctx: Any, sizes: Tensor, starts: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        directions = [Terms(*tensors[k : k + 3]) for k in range(0, len(tensors), 3)]
        outputs, last = linear.forward(sizes, starts, directions)
        ctx.save_for_backward(sizes, starts, outputs, *(t for terms in directions for t in (terms.a, terms.h0)))
        return outputs, *last

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *last: Tensor) -> tuple[Tensor | None, ...]:
        sizes, starts, outputs, *rest = ctx.saved_tensors
        directions = [(rest[k], rest[k + 1]) for k in range(0, len(rest), 2)]
        wanted = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            found = _derived(sizes, directions, outputs, gradient, last)
        else:
            each = linear.backward(sizes, starts, directions, outputs, gradient, last, wanted[::3])
            found = [t for one in each for t in one]
        return None, None, *(t if want else None for t, want in zip(found, wanted, strict=True))


def _derived(
    sizes: Tensor, directions: list[tuple[Tensor, Tensor]], outputs: Tensor, gradient: Tensor, last: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients, with a graph of their own, by the same recurrence the other way."""
    hidden = [a.shape[1] for a, _ in directions]
    found: list[Tensor | None] = []
    given = zip(directions, outputs.split(hidden, dim=1), gradient.split(hidden, dim=1), last, strict=True)
    for place, ((a, h0), h, dh, dlast) in enumerate(given):
        before, first, after = _neighbours(sizes, back=place > 0)
        # What follows a row's last element takes the whole of its state.
        following = torch.cat([a, torch.ones_like(h0)]).index_select(0, after)
        g = _one_way(sizes, Terms(following, dh, dlast), back=place == 0)
        da = g * torch.cat([h, h0]).index_select(0, before)
        found += [da, g, (a * g).index_select(0, first)]
    return found


def _one_way(sizes: Tensor, terms: Terms, *, back: bool) -> Tensor:
    if not back:
        return run(sizes, [terms])[0]
    order = layout(sizes).reversal
    turned = Terms(terms.a.index_select(0, order), terms.b.index_select(0, order), terms.h0)
    return run(sizes, [turned])[0].index_select(0, order)


def _neighbours(sizes: Tensor, *, back: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Of each element the one read before it, of each row the one read first, of each element the one read after it.

    Where there is none, the number of elements plus the row.
    """
    where = layout(sizes)
    count, ends = len(where.times), where.lengths[where.rows] - 1
    earlier = torch.where(where.times > 0, where.starts[where.times - 1] + where.rows, count + where.rows)
    following = where.starts[(where.times + 1).clamp(max=len(sizes) - 1)] + where.rows
    later = torch.where(where.times < ends, following, count + where.rows)
    if back:
        return later, where.last, earlier
    return earlier, torch.arange(int(sizes[0])), later
