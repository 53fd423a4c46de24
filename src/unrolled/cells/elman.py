r"""The simple recurrent network, Elman 1990, "Finding structure in time", Cognitive Science 14(2).

    h_t = tanh(W x_t + b + U h_{t-1} + d)        nonlinearity="tanh"
    h_t = max(0, W x_t + b + U h_{t-1} + d)      nonlinearity="relu"

Elman's own units are logistic; tanh, its rescaled form, is what the field uses since. Rectified units are those of Le,
Jaitly & Hinton 2015, arXiv:1504.00941. All of the state passes through U and the nonlinearity at each step, so that
the gradient is a product of as many matrices as there are steps: it vanishes or explodes, which is what gates are for.
The two biases b and d are torch's (cuDNN's) habit; only their sum matters. Weights and names are those of
`torch.nn.RNNCell`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_
from unrolled.errors import BadOption


class ElmanGates(NamedTuple):
    """One tick of a simple recurrent network, which has no gates; the field is (batch, hidden)."""

    h: Tensor


class Elman(Cell):
    """The simple recurrent cell. State: h, (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h.
        nonlinearity: "tanh" or "relu".
        bias: whether the two biases exist.
    """

    blocks: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if nonlinearity not in ("tanh", "relu"):
            raise BadOption(f"nonlinearity must be 'tanh' or 'relu', not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size, device=device, dtype=dtype))
        self.bias_ih = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> Tensor:
        return self.weight_hh.new_zeros(batch, self.hidden_size)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: Tensor) -> ElmanGates:
        a = px + nn.functional.linear(state, self.weight_hh, self.bias_hh)
        return ElmanGates(a.tanh() if self.nonlinearity == "tanh" else a.relu())

    def step(self, px: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        now = self.gates(px, state)
        return now.h, now.h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity}"
