"""The functions that everything above calls to run cells over time. They take the fastest way that there is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.unroll import elementwise, fused, native, scan
from unrolled.unroll.packing import reverse


def unroll(cell: Cell, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
    """Run a cell over a packed batch: our kernels, torch's, where they compute exactly this cell, or the plain loop.

    Arguments and results are those of `scan.unroll`, and so, up to rounding, are the numbers.
    """
    _must_read(cell, x)
    cell = cell.for_unroll()
    if fused.is_transformed():  # for `torch.func` torch's kernels are closed, too
        return scan.unroll(cell, x, state)
    if elementwise.supports(cell):
        return elementwise.unroll(cell, x, state)
    done = fused.attempt([cell], x, [state])
    if done is not None:
        return done[0], done[1][0]
    way = native if native.supports(cell, x) else scan
    return way.unroll(cell, x, state)


def unroll_both(
    ahead: Cell, back: Cell, x: PackedSequence, states: tuple[State | None, State | None] = (None, None)
) -> tuple[PackedSequence, tuple[State, State]]:
    """Run one cell from the first element on, and one from the last back.

    Args:
        ahead, back: of the same input size.
        x: data of shape (elements, input).
        states: of each, rows in packed order; zeros where None.

    Returns:
        The outputs, packed as x is: an element's of `ahead` beside its of `back`; and the final state of each.
    """
    _must_read(ahead, x)
    _must_read(back, x)
    ahead, back = ahead.for_unroll(), back.for_unroll()
    if elementwise.supports(ahead) and elementwise.supports(back):
        return elementwise.unroll_both(ahead, back, x, states)
    done = fused.attempt([ahead, back], x, states)
    if done is not None:
        return done[0], (done[1][0], done[1][1])
    forwards, first = unroll(ahead, x, states[0])
    backwards, second = unroll(back, reverse(x), states[1])
    outputs = torch.cat([forwards.data, reverse(backwards).data], dim=-1)
    return x._replace(data=outputs), (first, second)


def step(cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State]:
    """One tick: without gradients as one call of our kernels, where these know the cell.

    Args:
        cell: any recurrence.
        x: (batch, input). state: of `batch` rows.

    Returns:
        The output, (batch, output), and the next state.
    """
    if type(cell) in fused.KINDS and not torch.is_grad_enabled() and x.shape[0]:
        is_pair = isinstance(state, tuple)
        after = fused.tick(fused.kind_of(cell), fused._weights(cell), x, state if is_pair else (state,))
        if after is not None:
            return after[0], after if is_pair else after[0]
    return cell.step(cell.project(x), state)


def _must_read(cell: Cell, x: PackedSequence) -> None:
    # Torch's fused kernel looks at no sizes; its module does before it calls it, in these words.
    if x.data.shape[-1] != cell.input_size:
        raise RuntimeError(
            f"input.size(-1) must be equal to input_size. Expected {cell.input_size}, got {x.data.shape[-1]}"
        )
