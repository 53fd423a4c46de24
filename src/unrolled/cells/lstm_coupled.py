r"""The LSTM with coupled input and forget gates (CIFG), Greff et al. 2017, arXiv:1503.04069.

    f_t = sigmoid(W_f x_t + b_f + U_f h_{t-1} + d_f)        forget gate
    i_t = 1 - f_t                                           input gate: what is forgotten makes room for what is new
    g_t = tanh   (W_g x_t + b_g + U_g h_{t-1} + d_g)        candidate
    o_t = sigmoid(W_o x_t + b_o + U_o h_{t-1} + d_o)        output gate
    c_t = f_t * c_{t-1} + i_t * g_t                         cell state: a weighted mean of old and new
    h_t = o_t * tanh(c_t)                                   hidden state

Three quarters of an LSTM's weights, and a cell state that never leaves the range from -1 to 1. Deviations: Greff et al.
keep the weights of i and set f = 1 - i; since 1 - sigmoid(a) = sigmoid(-a) it is the same family of functions, and what
sets a forget gate's bias works here too. Theirs is a variant of the LSTM with peepholes; here there are none, so that
coupling is all that differs from `lstm`. The two biases b and d are torch's (cuDNN's) habit; only their sum matters.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_

LSTMCoupledState = tuple[Tensor, Tensor]


class LSTMCoupledGates(NamedTuple):
    """One tick of an LSTM with coupled gates; every field (batch, hidden)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTMCoupled(Cell):
    """The LSTM cell with coupled input and forget gates. State: (h, c), each (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h and of c.
        bias: whether the two biases exist.
    """

    blocks: ClassVar[tuple[str, ...]] = ("f", "g", "o")
    keeps: ClassVar[tuple[str, ...]] = ("f",)

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
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(3 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(3 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> LSTMCoupledState:
        zeros = self.weight_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: LSTMCoupledState) -> LSTMCoupledGates:
        h, c = state
        f, g, o = (px + nn.functional.linear(h, self.weight_hh, self.bias_hh)).chunk(3, dim=-1)
        f, g, o = f.sigmoid(), g.tanh(), o.sigmoid()
        i = 1 - f
        c = f * c + i * g
        return LSTMCoupledGates(i, f, g, o, c, o * c.tanh())

    def step(self, px: Tensor, state: LSTMCoupledState) -> tuple[Tensor, LSTMCoupledState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)
