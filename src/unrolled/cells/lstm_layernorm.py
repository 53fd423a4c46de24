r"""The LSTM with layer normalisation, Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material.

    (i_t, f_t, g_t, o_t) = LN(W x_t; a, b) + LN(U h_{t-1}; s, d)    one LN over all four gates together, each of the two
    i_t, f_t, o_t        = sigmoid of these, g_t = tanh of it       input gate, forget gate, output gate; candidate
    c_t                  = f_t * c_{t-1} + i_t * g_t                cell state: itself not normalised
    h_t                  = o_t * tanh(LN(c_t; e, q))                hidden state

    LN(v; gain, shift)   = gain * (v - mean(v)) / sqrt(mean((v - mean(v))^2) + 0.00001) + shift

Which variant this is: W x and U h are normalised apart, each as one vector of 4 * hidden values (not gate by gate), and
the cell state is normalised where it is shown, not where it is carried: so the paper's equations have it. Gains begin
at 1 and shifts at 0, as in the paper. Deviations: the paper adds a bias to the sum of the two shifts b and d, which
would change nothing; the 0.00001 (torch's) keeps the division safe where all values are equal, as in the first step,
where h and c are zeros. The shifts are `bias_ih`, `bias_hh` and `bias_c`, so that what sets a gate's bias works here
too.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_

LSTMLayerNormState = tuple[Tensor, Tensor]


class LSTMLayerNormGates(NamedTuple):
    """One tick of an LSTM with layer normalisation; every field (batch, hidden)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTMLayerNorm(Cell):
    """The LSTM cell with layer normalisation. State: (h, c), each (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h and of c.
        bias: whether the three shifts exist.
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
        self.gain_ih = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype))
        self.gain_hh = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype))
        self.gain_c = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_c = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)
        for gain in (self.gain_ih, self.gain_hh, self.gain_c):
            nn.init.ones_(gain)
        for shift in (self.bias_ih, self.bias_hh, self.bias_c):
            if shift is not None:
                nn.init.zeros_(shift)

    def initial_state(self, batch: int) -> LSTMLayerNormState:
        zeros = self.weight_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def project(self, x: Tensor) -> Tensor:
        return _normalise(nn.functional.linear(x, self.weight_ih), self.gain_ih, self.bias_ih)

    def gates(self, px: Tensor, state: LSTMLayerNormState) -> LSTMLayerNormGates:
        h, c = state
        uh = _normalise(nn.functional.linear(h, self.weight_hh), self.gain_hh, self.bias_hh)
        i, f, g, o = (px + uh).chunk(4, dim=-1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return LSTMLayerNormGates(i, f, g, o, c, o * _normalise(c, self.gain_c, self.bias_c).tanh())

    def step(self, px: Tensor, state: LSTMLayerNormState) -> tuple[Tensor, LSTMLayerNormState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)


def _normalise(values: Tensor, gain: Tensor, shift: Tensor | None) -> Tensor:
    return nn.functional.layer_norm(values, gain.shape, gain, shift, eps=1e-5)
