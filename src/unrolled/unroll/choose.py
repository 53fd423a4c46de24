"""The one function that everything above calls to run a cell over time. It takes the fastest way that there is."""

from __future__ import annotations

from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.unroll import native, scan


def unroll(cell: Cell, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
    """Run a cell over a packed batch: torch's kernels where they compute exactly this cell, else the plain loop.

    Arguments and results are those of `scan.unroll`, and so, up to rounding, are the numbers.
    """
    cell = cell.for_unroll()
    way = native if native.supports(cell, x) else scan
    return way.unroll(cell, x, state)
