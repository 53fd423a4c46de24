r"""The LSTM with peepholes, Gers & Schmidhuber 2000, "Recurrent nets that time and count", as Graves 2013 writes it.

    i_t = sigmoid(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i * c_{t-1})    input gate
    f_t = sigmoid(W_f x_t + b_f + U_f h_{t-1} + d_f + p_f * c_{t-1})    forget gate
    g_t = tanh   (W_g x_t + b_g + U_g h_{t-1} + d_g)                    candidate
    c_t = f_t * c_{t-1} + i_t * g_t                                     cell state
    o_t = sigmoid(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o * c_t)        output gate: it sees the new cell state
    h_t = o_t * tanh(c_t)                                               hidden state

A gate sees the cell state of its own unit even where the output gate hides it, and so can measure time and count.
The peephole weights p are vectors (each a diagonal matrix, W_ci, W_cf and W_co in Graves 2013, arXiv:1308.0850,
eq. 7-11), not full matrices. The two biases b and d are torch's (cuDNN's) habit; only their sum matters.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_

LSTMPeepholeState = tuple[Tensor, Tensor]


class LSTMPeepholeGates(NamedTuple):
    """One tick of an LSTM with peepholes; every field (batch, hidden)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTMPeephole(Cell):
    """The LSTM cell with peepholes. State: (h, c), each (batch, hidden).

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
        self.weight_ci = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype))
        self.weight_cf = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype))
        self.weight_co = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> LSTMPeepholeState:
        zeros = self.weight_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: LSTMPeepholeState) -> LSTMPeepholeGates:
        h, c = state
        i, f, g, o = (px + nn.functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        i, f, g = (i + self.weight_ci * c).sigmoid(), (f + self.weight_cf * c).sigmoid(), g.tanh()
        c = f * c + i * g
        o = (o + self.weight_co * c).sigmoid()
        return LSTMPeepholeGates(i, f, g, o, c, o * c.tanh())

    def step(self, px: Tensor, state: LSTMPeepholeState) -> tuple[Tensor, LSTMPeepholeState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)
