r"""Long short-term memory, Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000.

    i_t = sigmoid(W_i x_t + b_i + U_i h_{t-1} + d_i)        input gate
    f_t = sigmoid(W_f x_t + b_f + U_f h_{t-1} + d_f)        forget gate
    g_t = tanh   (W_g x_t + b_g + U_g h_{t-1} + d_g)        candidate
    o_t = sigmoid(W_o x_t + b_o + U_o h_{t-1} + d_o)        output gate
    c_t = f_t * c_{t-1} + i_t * g_t                         cell state: what is remembered
    h_t = o_t * tanh(c_t)                                   hidden state: what is shown

The cell state is kept apart from the hidden state, and changes only by a product and a sum: where f_t is near 1 the
gradient dL/dc passes many steps unharmed. The two biases b and d are torch's (cuDNN's) habit; only their sum matters.
Weights, names and order of the blocks (i, f, g, o) are those of `torch.nn.LSTMCell`.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_

LSTMState = tuple[Tensor, Tensor]


class LSTMGates(NamedTuple):
    """One tick of an LSTM; every field (batch, hidden)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTM(Cell):
    """The LSTM cell. State: (h, c), each (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h and of c.
        bias: whether the two biases exist.
    """

    blocks: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    keeps: ClassVar[tuple[str, ...]] = ("f",)
    writes: ClassVar[tuple[str, ...]] = ("i",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> LSTMState:
        zeros = self.weight_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: LSTMState) -> LSTMGates:
        h, c = state
        i, f, g, o = (px + nn.functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return LSTMGates(i, f, g, o, c, o * c.tanh())

    def step(self, px: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)
