"""A loop over a packed batch for what waits, at each time, for what came out at the time before.

`scan` runs a cell; this runs anything: a decoder whose input holds what it has just shown, or whose attention looks at
what it attended to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unrolled import state as states
from unrolled.cells.base import State

Tick = Callable[[tuple[Tensor, ...], State, State], "tuple[tuple[Tensor, ...], State]"]
"""(elements of one time, state, memory) -> (what comes out, next state); all with a row for each that is alive."""


def run(tick: Tick, given: Sequence[Tensor], sizes: list[int], state: State, memory: State) -> tuple[Tensor, ...]:
    """Run over all times.

    Args:
        tick: what is done at one time.
        given: packed tensors, each (elements, …).
        sizes: rows alive at each time.
        state: before the first time. memory: what does not change. Rows of both in packed order.

    Returns:
        What came out, packed: each (elements, …).
    """
    alive, came = sizes[0], []
    for parts in zip(*(t.split(sizes) for t in given), strict=True):
        if len(parts[0]) < alive:
            alive = len(parts[0])
            state, memory = (_first(s, alive) for s in (state, memory))
        out, state = tick(parts, state, memory)
        came.append(out)
    return tuple(torch.cat(each) for each in zip(*came, strict=True))


def _first(state: State, count: int) -> State:
    return states.tree_map(lambda leaf: leaf[:count], state)
