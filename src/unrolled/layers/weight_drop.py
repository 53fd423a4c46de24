r"""DropConnect on the recurrent weights, Merity, Keskar & Socher 2018, arXiv:1708.02182, section 2 (Wan et al. 2013).

    U' = U * M        M_jk = 0 with probability p, else 1 / (1 - p)

drawn once for a whole unroll and used at all its time steps, so that a fast kernel can run the sequence unchanged.

The draw is kept nowhere: `for_unroll` returns a cell for one unroll that holds U' in the place of U and shares all
else, and every way to unroll asks for it first. Threads and nested calls therefore cannot see each other's draw, and a
copy or a saved state has only U. Whoever steps a cell by hand asks once for each sequence:

    cell = cell.for_unroll()
    for px in cell.project(x).split(sizes): output, state = cell.step(px, state)

A call of `step` on the wrapper itself is an unroll of its own, with its own draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

from torch import Tensor

from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.layers.dropout import checked, dropped
from unrolled.layers.wrapped import Wrapped


class WeightDrop(Wrapped):
    """A cell whose recurrent weights are dropped at random in training. Its state is the inner cell's.

    Args:
        cell: a recurrence that holds the named weights itself. To combine with zoneout: `Zoneout(WeightDrop(cell))`.
        p: the probability with which a weight is dropped.
        weights: the names of the parameters that are dropped.
    """

    def __init__(self, cell: Cell, p: float, weights: Sequence[str] = ("weight_hh",)) -> None:
        super().__init__(cell)
        own = dict(cell.named_parameters(recurse=False))
        for name in weights:
            if name not in own:
                raise BadOption(
                    f"{type(cell).__name__} has no weight {name!r} to drop; it has {', '.join(own) or 'none'}"
                )
        self.p = checked(p)
        self.weights = tuple(weights)

    def for_unroll(self) -> Cell:
        """The inner cell; in training a view of it whose weights are one draw. Gradients reach the true weights."""
        if not self.training or self.p == 0:
            return self.cell
        one = copy(self.cell)
        one._parameters = dict(self.cell._parameters)
        for name in self.weights:
            weight = getattr(self.cell, name)
            one._parameters.pop(name, None)
            # A plain attribute: it is a function of the parameter, and no parameter itself.
            vars(one)[name] = dropped(weight, self.p)
        return one

    def gates(self, px: Tensor, state: State) -> NamedTuple:
        return self.for_unroll().gates(px, state)

    def step(self, px: Tensor, state: State) -> tuple[Tensor, State]:
        return self.for_unroll().step(px, state)

    def extra_repr(self) -> str:
        return f"p={self.p}, weights={', '.join(self.weights)}"
