r"""The LSTM with a projected hidden state, Sak, Senior & Beaufays 2014, arXiv:1402.1128, as torch's `proj_size` has it.

    i_t = sigmoid(W_i x_t + b_i + U_i h_{t-1} + d_i)        input gate
    f_t = sigmoid(W_f x_t + b_f + U_f h_{t-1} + d_f)        forget gate
    g_t = tanh   (W_g x_t + b_g + U_g h_{t-1} + d_g)        candidate
    o_t = sigmoid(W_o x_t + b_o + U_o h_{t-1} + d_o)        output gate
    c_t = f_t * c_{t-1} + i_t * g_t                         cell state,   (batch, hidden)
    h_t = V (o_t * tanh(c_t))                               hidden state, (batch, projection): r_t in the paper

The recurrent weight U sees the short h, so that a large cell state costs little. Deviations, all of them torch's: no
peepholes, and no further output beside h (the paper's p_t). The two biases b and d are torch's (cuDNN's) habit; only
their sum matters. V is `weight_hr`; weights, names and order of the blocks are those of `torch.nn.LSTM(proj_size=…)`.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_
from unrolled.errors import BadOption

LSTMProjectedState = tuple[Tensor, Tensor]


class LSTMProjectedGates(NamedTuple):
    """One tick of an LSTM with projection; every field (batch, hidden), h: (batch, projection)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTMProjected(Cell):
    """The LSTM cell with projection. State: (h, c), of shapes (batch, projection) and (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of c.
        proj_size: units of h; half of hidden_size where None.
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
        proj_size: int | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.proj_size = max(1, hidden_size // 2) if proj_size is None else proj_size
        if not 1 <= self.proj_size <= hidden_size:
            raise BadOption(f"proj_size must be from 1 to hidden_size ({hidden_size}), not {proj_size}")
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, self.proj_size, device=device, dtype=dtype))
        self.weight_hr = nn.Parameter(torch.empty(self.proj_size, hidden_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        return self.proj_size

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> LSTMProjectedState:
        new = self.weight_hh.new_zeros
        return new(batch, self.proj_size), new(batch, self.hidden_size)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: LSTMProjectedState) -> LSTMProjectedGates:
        h, c = state
        i, f, g, o = (px + nn.functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return LSTMProjectedGates(i, f, g, o, c, nn.functional.linear(o * c.tanh(), self.weight_hr))

    def step(self, px: Tensor, state: LSTMProjectedState) -> tuple[Tensor, LSTMProjectedState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, proj_size={self.proj_size}"
