r"""The minimal LSTM, Feng et al. 2024, "Were RNNs All We Needed?", arXiv:2410.01201, section 3.2.

    f_t = sigmoid(W_f x_t + b_f)                     forget gate
    i_t = sigmoid(W_i x_t + b_i)                     input gate
    n_t =         W_n x_t + b_n                      candidate, in the paper h~
    f'_t = f_t / (f_t + i_t)                         the share of what was held
    i'_t = i_t / (f_t + i_t)                         the share of what is new
    h_t = f'_t * h_{t-1} + i'_t * n_t                hidden state

An LSTM without an output gate, whose gates and candidate do not look at the state: there is one state, h, and all that
is done one step after the other is a weighted mean. The shares add up to 1, so that the state's scale does not depend
on how long a sequence is. Nothing bounds the candidate, since its tanh is gone.

This is the paper's plain form; that in logarithms has g(n_t) in the place of n_t, as `mingru` says. The share is
computed as f' = sigmoid(log f - log i), the same number, since where both gates are shut 0 / 0 would be left.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.elementwise import ElementwiseLinear
from unrolled.cells.initialise import uniform_


class MinLSTMGates(NamedTuple):
    """One tick of a minimal LSTM; every field (batch, hidden). held and new: f' and i', the shares."""

    f: Tensor
    i: Tensor
    n: Tensor
    held: Tensor
    new: Tensor
    h: Tensor


class MinLSTM(ElementwiseLinear):
    """The minimal LSTM. State: h, (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h.
        bias: whether the bias exists.
    """

    blocks: ClassVar[tuple[str, ...]] = ("f", "i", "n")
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
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(3 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def coefficients(self, px: Tensor) -> tuple[Tensor, Tensor]:
        f, i, n = px.chunk(3, dim=-1)
        held = (nn.functional.logsigmoid(f) - nn.functional.logsigmoid(i)).sigmoid()
        return held, (1 - held) * n

    def gates(self, px: Tensor, state: Tensor) -> MinLSTMGates:
        f, i, n = px.chunk(3, dim=-1)
        held, _ = self.coefficients(px)
        return MinLSTMGates(f.sigmoid(), i.sigmoid(), n, held, 1 - held, self.step(px, state)[0])
