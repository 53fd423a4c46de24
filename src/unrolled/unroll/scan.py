"""The reference: a cell run over time, one step after the other. Slow and plain; every other unroll must equal it.

A batch travels packed, as `torch.nn.utils.rnn.PackedSequence`: rows sorted longest first, time-major, no padding.
`batch_sizes[t]` rows are alive at time t; a row that has ended leaves the batch, and its state is kept as it was.
"""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell, State


def unroll(cell: Cell, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
    """Run a cell over a packed batch.

    Args:
        cell: any recurrence.
        x: data of shape (elements, input), with B = batch_sizes[0] rows.
        state: B rows in *packed* order (longest first); `cell.initial_state(B)` where None.

    Returns:
        The outputs, packed as x is, data of shape (elements, output); and each row's state after its own last
        element, B rows in packed order.
    """
    cell = cell.for_unroll()
    sizes = x.batch_sizes.tolist()
    if state is None:
        state = cell.initial_state(sizes[0])
    outputs, ended = [], []
    for px in cell.project(x.data).split(sizes):
        alive = states.rows(state)
        if len(px) < alive:
            state, done = states.split(state, [len(px), alive - len(px)])
            ended.append(done)
        output, state = cell.step(px, state)
        outputs.append(output)
    # The shortest rows ended first and stand last in packed order.
    final = states.concat([state, *reversed(ended)])
    return x._replace(data=torch.cat(outputs)), final
