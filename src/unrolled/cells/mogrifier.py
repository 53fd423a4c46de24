r"""The Mogrifier LSTM, Melis, Kočiský & Blunsom 2020, arXiv:1909.01792, section 2.

    x^i = 2 sigmoid(Q^i h^{i-1}) * x^{i-2}        for odd  i <= rounds, from x^{-1} = x_t
    h^i = 2 sigmoid(R^i x^{i-1}) * h^{i-2}        for even i <= rounds, from h^0 = h_{t-1}

and then the LSTM of the last x and h, with c_{t-1}:

    i_t = sigmoid(W_i x + b_i + U_i h + d_i)      input gate
    f_t = sigmoid(W_f x + b_f + U_f h + d_f)      forget gate
    g_t = tanh   (W_g x + b_g + U_g h + d_g)      candidate
    o_t = sigmoid(W_o x + b_o + U_o h + d_o)      output gate
    c_t = f_t * c_{t-1} + i_t * g_t               cell state
    h_t = o_t * tanh(c_t)                         hidden state

Input and state modulate each other before they meet, so that the vector of a word depends on where it stands. The 2
makes a gate that knows nothing leave things as they are. As the first round needs the state, nothing of the input's
half can be done for all time steps at once. Where the paper has Q and R as products of two thin matrices, `rank` is the
width of these; at 0 they are whole.
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
    """One tick of a Mogrifier LSTM; every field (batch, hidden)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class Mogrifier(Cell):
    """The Mogrifier LSTM cell. State: (h, c), each (batch, hidden).

    Args:
        input_size: features of an input element.
        hidden_size: units of h and of c.
        rounds: how often input and state gate each other; 0: never, the plain LSTM.
        rank: of the matrices Q and R, where they are products; 0: they are whole.
        bias: whether the two biases exist.

    Raises `BadOption` for negative rounds and ranks.
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
        rank: int = 0,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        for name, value in (("rounds", rounds), ("rank", rank)):
            if value < 0:
                raise BadOption(f"{name} must be 0 or more, not {value}")
        self.rounds, self.rank = rounds, rank

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight_ih = weight(4 * hidden_size, input_size)
        self.weight_hh = weight(4 * hidden_size, hidden_size)
        self.bias_ih = weight(4 * hidden_size) if bias else None
        self.bias_hh = weight(4 * hidden_size) if bias else None
        odd, even = (rounds + 1) // 2, rounds // 2
        # Of the first factor, (…, features gated, inner), and of the second, (…, inner, features that gate).
        self.weight_q = weight(odd, input_size, rank or hidden_size)
        self.weight_r = weight(even, hidden_size, rank or input_size)
        self.weight_q_inner = weight(odd, rank, hidden_size) if rank else None
        self.weight_r_inner = weight(even, rank, input_size) if rank else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        uniform_(self)

    def initial_state(self, batch: int) -> MogrifierState:
        zeros = self.weight_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def project(self, x: Tensor) -> Tensor:
        return x  # it is gated by the state before anything else

    def gates(self, px: Tensor, state: MogrifierState) -> MogrifierGates:
        x, h, c = px, *state
        for i in range(self.rounds):
            if i % 2 == 0:
                x = _gated(x, h, self.weight_q, self.weight_q_inner, i // 2)
            else:
                h = _gated(h, x, self.weight_r, self.weight_r_inner, i // 2)
        met = nn.functional.linear(x, self.weight_ih, self.bias_ih)
        i_, f, g, o = (met + nn.functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        i_, f, g, o = i_.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i_ * g
        return MogrifierGates(i_, f, g, o, c, o * c.tanh())

    def step(self, px: Tensor, state: MogrifierState) -> tuple[Tensor, MogrifierState]:
        now = self.gates(px, state)
        return now.h, (now.h, now.c)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rounds={self.rounds}, rank={self.rank}"


def _gated(x: Tensor, by: Tensor, outer: Tensor, inner: Tensor | None, place: int) -> Tensor:
    """2 sigmoid(Q by) * x, with Q number `place`, or the product of two."""
    if inner is not None:
        by = nn.functional.linear(by, inner[place])
    return 2 * nn.functional.linear(by, outer[place]).sigmoid() * x
