r"""Zoneout, Krueger et al. 2017, arXiv:1606.01305: in training some units of the state keep their previous value.

    s_t = d_t * s_{t-1} + (1 - d_t) * s'_t        d_t = 1 with probability p, drawn anew at every step and unit
    s_t = p   * s_{t-1} + (1 - p)   * s'_t        in evaluation: the expectation

where s'_t is the state that the cell itself computes. Unlike dropout it sets nothing to zero, so information and
gradient pass the step unharmed. In the paper an LSTM's c and h have probabilities of their own (0.5 and 0.05).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

from torch import Tensor

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.layers.wrapped import Wrapped


class Zoneout(Wrapped):
    """A cell whose state units keep their previous value with probability p. Its state is the inner cell's.

    Where the cell's output is a tensor of its state (h), the output is what zoneout made of it, as in the paper;
    another output is left as it is. `gates` are the inner cell's.

    Args:
        cell: any recurrence.
        p: one probability for every tensor of the state, or one for each in the state's order: for an LSTM (h, c).
    """

    def __init__(self, cell: Cell, p: float | Sequence[float]) -> None:
        super().__init__(cell)
        tensors = len(states.leaves(cell.initial_state(1)))
        probabilities = tuple(float(q) for q in p) if isinstance(p, Sequence) else (float(p),) * tensors
        if len(probabilities) != tensors:
            kind = type(cell).__name__
            raise BadOption(f"{len(probabilities)} zoneout probabilities for the {tensors} state tensors of {kind}")
        for q in probabilities:
            if not 0 <= q <= 1:
                raise BadOption(f"a zoneout probability must be from 0 to 1, not {q}")
        self.p = probabilities

    def step(self, px: Tensor, state: State) -> tuple[Tensor, State]:
        output, new = self.cell.step(px, state)
        probabilities: Iterator[float] = iter(self.p)
        shown = output

        def mix(now: Tensor, before: Tensor) -> Tensor:
            nonlocal shown
            mixed = self._mix(now, before, next(probabilities))
            if now is output:
                shown = mixed
            return mixed

        zoned = states.tree_map(mix, new, state)
        return shown, zoned

    def _mix(self, now: Tensor, before: Tensor, p: float) -> Tensor:
        if not self.training:
            return now.lerp(before, p)
        kept = now.new_empty(now.shape).bernoulli_(p).bool()
        return before.where(kept, now)

    def for_unroll(self) -> Cell:
        inner = self.cell.for_unroll()
        if inner is self.cell:
            return self
        one = copy(self)
        one._modules = {**self._modules, "cell": inner}
        return one

    def extra_repr(self) -> str:
        return f"p={self.p}"
