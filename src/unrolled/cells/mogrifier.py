r"""The Mogrifier LSTM, Melis, Kočiský & Blunsom 2020, arXiv:1909.01792, section 2: x and h gate each other first.

    x^{-1} = x_t,  h^0 = h_{t-1}
    x^i = 2 sigmoid(Q^i h^{i-1}) * x^{i-2}                     for odd i from 1 to rounds
    h^i = 2 sigmoid(R^i x^{i-1}) * h^{i-2}                     for even i from 2 to rounds

then an LSTM whose x and h are those with the highest index, x' and h':

    i_t = sigmoid(W_i x' + b_i + U_i h' + d_i)                 input gate
    f_t = sigmoid(W_f x' + b_f + U_f h' + d_f)                 forget gate
    g_t = tanh   (W_g x' + b_g + U_g h' + d_g)                 candidate, j in the paper
    o_t = sigmoid(W_o x' + b_o + U_o h' + d_o)                 output gate
    c_t = f_t * c_{t-1} + i_t * g_t                            cell state
    h_t = o_t * tanh(c_t)                                      hidden state

What a word's vector is thus depends on what came before it. The 2 makes a gate whose weights are 0 do nothing: the
cell begins near the LSTM. Q^i is (input, hidden) and R^i (hidden, input); with a rank k, each is a product of two thin
matrices, (., k) and (k, .), as in the paper, whose k was 40 to 90. With no rounds this is `lstm`. Since x' needs
h_{t-1}, the input's product cannot be made beforehand for all time steps. The two biases b and d are torch's (cuDNN's)
habit; only their sum matters. Q and R have no biases, in the paper and here.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.initialise import uniform_
from unrolled.errors import BadOption

MogrifierState = tuple[Tensor, Tensor]


class MogrifierGates(NamedTuple):
    """One tick of a Mogrifier LSTM; every field (batch, hidden), `x_gated`, which is x', (batch, input)."""

    x_gated: Tensor
    h_gated: Tensor
    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class Mogrifier(Cell):
    """The Mogrifier LSTM cell. State: (h, c), each (batch, hidden).

    Its weights are the LSTM's, then one of each round: `weight_q1`, `weight_r2`, `weight_q3`, …; with a rank each of
    these is two, `weight_q1_left` and `weight_q1_right`.

    Args:
        input_size: features of an input element.
        hidden_size: units of h and of c.
        rounds: how often x and h gate each other; 0 for the plain LSTM.
        rank: of Q and R, each then a product of two matrices; None or 0 for full ones.
        bias: whether the two biases exist.

    Raises `BadOption` for rounds below 0, and for a rank that is more than input or hidden size.
    """

    blocks: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    keeps: ClassVar[tuple[str, ...]] = ("f",)
    writes: ClassVar[tuple[str, ...]] = ("i",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rounds: int = 5,
        rank: int | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if rounds < 0:
            raise BadOption(f"rounds must be 0 or more, not {rounds}")
        if not 0 <= (rank or 0) <= min(input_size, hidden_size):
            raise BadOption(
                f"rank must be from 0 to the smaller of input_size ({input_size}) and hidden_size ({hidden_size}), "
                f"not {rank}"
            )
        self.rounds, self.rank = rounds, rank or None

        def new(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight_ih = new(4 * hidden_size, input_size)
        self.weight_hh = new(4 * hidden_size, hidden_size)
        self.bias_ih = new(4 * hidden_size) if bias else None
        self.bias_hh = new(4 * hidden_size) if bias else None
        for i in range(1, rounds + 1):
            name, rows, columns = _gating(i, input_size, hidden_size)
            if self.rank is None:
                self.register_parameter(name, new(rows, columns))
            else:
                self.register_parameter(f"{name}_left", new(rows, self.rank))
                self.register_parameter(f"{name}_right", new(self.rank, columns))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> MogrifierState:
        zeros = self.weight_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def project(self, x: Tensor) -> Tensor:
        # The gated x is known in its tick only, and so is its product.
        return x if self.rounds else nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def gates(self, px: Tensor, state: MogrifierState) -> MogrifierGates:
        h, c = state
        x, h = self._gated(px, h)
        if self.rounds:
            px = nn.functional.linear(x, self.weight_ih, self.bias_ih)
        i, f, g, o = (px + nn.functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return MogrifierGates(x, h, i, f, g, o, c, o * c.tanh())

    def step(self, px: Tensor, state: MogrifierState) -> tuple[Tensor, MogrifierState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)

    def _gated(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x' and h'."""
        for i in range(1, self.rounds + 1):
            if i % 2:
                x = 2 * self._product(i, h).sigmoid() * x
            else:
                h = 2 * self._product(i, x).sigmoid() * h
        return x, h

    def _product(self, i: int, values: Tensor) -> Tensor:
        name, _, _ = _gating(i, self.input_size, self.hidden_size)
        if self.rank is None:
            return nn.functional.linear(values, getattr(self, name))
        thin = nn.functional.linear(values, getattr(self, f"{name}_right"))
        return nn.functional.linear(thin, getattr(self, f"{name}_left"))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rounds={self.rounds}, rank={self.rank}"


def _gating(i: int, inputs: int, hidden: int) -> tuple[str, int, int]:
    """The weight of round i: its name and its shape."""
    return (f"weight_q{i}", inputs, hidden) if i % 2 else (f"weight_r{i}", hidden, inputs)
