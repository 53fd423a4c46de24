"""The contract of every recurrence: what a cell must say about itself, and nothing more.

A cell reads one element at a time. Its work is split in two, because half of it need not wait for the state:

    px_t      = project(x_t)              the half that looks only at the input: done once, for all time steps
    o_t, s_t  = step(px_t, s_{t-1})       the half that needs the state: one tick

A state is any nesting (tuple, list, dict) of tensors whose first axis is the batch; see `unrolled.state`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from unrolled.errors import BadOption

State = Any
"""A tensor whose first axis is the batch, or a tuple, list or dict of states."""


class Cell(nn.Module, ABC):
    """One recurrence. A subclass is one file, one paper; it is final, and takes `(input_size, hidden_size, *, …)`.

    Attributes:
        input_size: features of an input element.
        hidden_size: units of the hidden state.
        blocks: the names, in the paper's letters, of the row blocks of `weight_ih` and `weight_hh`, first to last.
        keeps: those of the blocks that are gates which, fully open, keep what the state held.
        writes: those of the blocks that are gates which, fully open, take in what is new, and, shut, shut it out.

    Initialisation reads `keeps` and `writes`, since a letter does not say it: the `f` of an LSTM keeps, that of the
    minimal gated unit writes, and papers disagree about the `z` of a GRU.
    """

    blocks: ClassVar[tuple[str, ...]]
    keeps: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise BadOption(f"{name} must be 1 or more, not {size}")
        self.input_size = input_size
        self.hidden_size = hidden_size

    @property
    def output_size(self) -> int:
        """Features of an output; the hidden size, unless the cell projects it."""
        return self.hidden_size

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """The state before the first element, for `batch` rows: zeros, on the weights' device and dtype."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The half that looks only at the input. x: (elements, input) -> (elements, gates)."""

    @abstractmethod
    def gates(self, px: Tensor, state: State) -> NamedTuple:
        """All values of one tick, named as in the paper. px: (batch, gates); each field: (batch, hidden).

        The output is among them, as `h`: (batch, output).
        """

    @abstractmethod
    def step(self, px: Tensor, state: State) -> tuple[Tensor, State]:
        """One tick. px: (batch, gates), state: of `batch` rows -> output: (batch, output), next state."""

    def for_unroll(self) -> Cell:
        """The cell that runs one unroll: itself, but where weights are drawn at random once for all time steps.

        Every way to unroll asks for it first, and so does who steps a cell by hand through a sequence.
        """
        return self

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw the weights anew, as the constructor does."""

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"
