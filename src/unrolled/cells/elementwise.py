"""The contract of cells whose state does not meet a matrix, nor a nonlinearity: h_t = a_t * h_{t-1} + b_t.

What an element leaves of the state before it, a_t, and what it adds, b_t, follow from the input alone. So they are
worked out for all time steps at once, and what is left to do one step after the other is a multiplication and an
addition for each unit: `unrolled.unroll.elementwise` has a kernel for that.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import final

from torch import Tensor, nn

from unrolled.cells.base import Cell


class ElementwiseLinear(Cell):
    """A recurrence that is linear in its state, unit by unit. State and output: h, (batch, hidden).

    Attributes:
        weight_ih: (blocks * hidden, input). There is no `weight_hh`.
    """

    weight_ih: nn.Parameter

    @abstractmethod
    def coefficients(self, px: Tensor) -> tuple[Tensor, Tensor]:
        """a and b of each element. px: (elements, gates) -> each (elements, hidden)."""

    @final
    def initial_state(self, batch: int) -> Tensor:
        return self.weight_ih.new_zeros(batch, self.hidden_size)

    @final
    def step(self, px: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.coefficients(px)
        h = a * state + b
        return h, h
