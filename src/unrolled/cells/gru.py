r"""The gated recurrent unit as cuDNN and torch compute it: the reset gate acts *after* the matrix product.

    r_t = sigmoid(W_r x_t + b_r + U_r h_{t-1} + d_r)            reset gate
    z_t = sigmoid(W_z x_t + b_z + U_z h_{t-1} + d_z)            update gate
    n_t = tanh   (W_n x_t + b_n + r_t * (U_n h_{t-1} + d_n))    candidate
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       hidden state

Here z near 1 keeps what was held, and z near 0 takes the candidate. Books differ: Cho et al. 2014 (arXiv:1406.1078)
write it as here; Chung et al. 2014 (arXiv:1412.3555) and Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473) write
h_t = (1 - z_t) * h_{t-1} + z_t * n_t, where z near 1 takes the candidate.

The reset gate of Cho et al. acts before the matrix product, U_n (r_t * h_{t-1}): another model, `gru_cho`. This one
lets all three products be one. Since d_n stands inside the product with r_t, the sum of b_n and d_n does not suffice:
the two are kept apart. Weights, names and order of the blocks (r, z, n) are those of `torch.nn.GRUCell`.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_


class GRUGates(NamedTuple):
    """One tick of a GRU; every field (batch, hidden)."""

    r: Tensor
    z: Tensor
    n: Tensor
    h: Tensor


class GRU(Cell):
    """The GRU cell of cuDNN and torch. State: h, (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h.
        bias: whether the two biases exist.
    """

    blocks: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    keeps: ClassVar[tuple[str, ...]] = ("z",)

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

    def initial_state(self, batch: int) -> Tensor:
        return self.weight_hh.new_zeros(batch, self.hidden_size)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: Tensor) -> GRUGates:
        sizes = (2 * self.hidden_size, self.hidden_size)
        x_rz, x_n = px.split(sizes, dim=-1)
        u_rz, u_n = nn.functional.linear(state, self.weight_hh, self.bias_hh).split(sizes, dim=-1)
        r, z = (x_rz + u_rz).sigmoid().chunk(2, dim=-1)
        n = (x_n + r * u_n).tanh()
        return GRUGates(r, z, n, (1 - z) * n + z * state)

    def step(self, px: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        now = self.gates(px, state)
        return now.h, now.h
