r"""The minimal GRU, Feng et al. 2024, "Were RNNs All We Needed?", arXiv:2410.01201, section 3.1.

    z_t = sigmoid(W_z x_t + b_z)               update gate
    n_t =         W_n x_t + b_n                candidate, in the paper h~
    h_t = (1 - z_t) * h_{t-1} + z_t * n_t      hidden state

A GRU without a reset gate, whose gate and candidate do not look at the state: all that is done one step after the other
is a weighted mean. Here z near 1 takes the candidate, and z near 0 keeps what was held; in `gru` it is the other way
round. Nothing bounds the candidate, since its tanh is gone. Context comes in with a second layer, whose gates do see
what the first remembers.

This is the paper's plain form. Its form in logarithms, made for a parallel scan on GPUs, needs states above zero and
has g(n_t) in the place of n_t, g(a) = a + 1/2 from zero on, sigmoid(a) below: another model. Done one step after the
other the plain form loses nothing: a weighted mean does not overflow.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.elementwise import ElementwiseLinear
from unrolled.cells.initialise import uniform_


class MinGRUGates(NamedTuple):
    """One tick of a minimal GRU; every field (batch, hidden)."""

    z: Tensor
    n: Tensor
    h: Tensor


class MinGRU(ElementwiseLinear):
    """The minimal GRU. State: h, (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h.
        bias: whether the bias exists.
    """

    blocks: ClassVar[tuple[str, ...]] = ("z", "n")
    writes: ClassVar[tuple[str, ...]] = ("z",)

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
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(2 * hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def coefficients(self, px: Tensor) -> tuple[Tensor, Tensor]:
        z, n = px.chunk(2, dim=-1)
        z = z.sigmoid()
        return 1 - z, z * n

    def gates(self, px: Tensor, state: Tensor) -> MinGRUGates:
        z, n = px.chunk(2, dim=-1)
        return MinGRUGates(z.sigmoid(), n, self.step(px, state)[0])
