"""Cells made into layers: one direction, both directions, several on top of each other.

Between layers a batch travels packed; states are in the caller's row order, which is the packed batch's original
order (`sorted_indices` undone), so that a state can be selected, kept and given back without knowing how a batch
was sorted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.unroll import choose


class Layer(nn.Module, ABC):
    """What reads a packed batch and gives one back, with the state after each row's last element.

    Attributes:
        input_size, output_size: features of an element before and after.
    """

    input_size: int
    output_size: int

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """The state before the first element, for `batch` rows."""

    @abstractmethod
    def forward(self, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        """x: data (elements, input); state: rows in the caller's order -> outputs: data (elements, output), state."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One tick, for streaming. x: (batch, input) -> output: (batch, output), next state.

        Raises `BadOption` where the layer reads backwards: then the first output needs the last element.
        """


class Recurrent(Layer):
    """One cell, run over time from the first element to the last.

    Args:
        cell: any recurrence; how it is unrolled is chosen by `unrolled.unroll.choose`.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell
        self.input_size, self.output_size = cell.input_size, cell.output_size

    def initial_state(self, batch: int) -> State:
        return self.cell.initial_state(batch)

    def forward(self, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        if state is not None and x.sorted_indices is not None:
            state = states.select(state, x.sorted_indices)
        outputs, final = choose.unroll(self.cell, x, state)
        if x.unsorted_indices is not None:
            final = states.select(final, x.unsorted_indices)
        return outputs, final

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return choose.step(self.cell.for_unroll(), x, state)


class Bidirectional(Layer):
    """Two cells, one reading from the first element on, one from the last back (Schuster & Paliwal 1997).

    An element's output is the forward cell's beside the backward cell's; the state is the pair of both.

    Args:
        forward, backward: cells of the same input size.
    """

    def __init__(self, forward: Cell, backward: Cell) -> None:
        super().__init__()
        if forward.input_size != backward.input_size:
            raise BadOption(f"both directions must read the same: {forward.input_size} and {backward.input_size}")
        self.ahead, self.back = Recurrent(forward), Recurrent(backward)
        self.input_size = forward.input_size
        self.output_size = forward.output_size + backward.output_size

    def initial_state(self, batch: int) -> State:
        return self.ahead.initial_state(batch), self.back.initial_state(batch)

    def forward(self, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        given = (None, None) if state is None else state
        if state is not None and x.sorted_indices is not None:
            given = states.select(state, x.sorted_indices)
        outputs, final = choose.unroll_both(self.ahead.cell, self.back.cell, x, given)
        if x.unsorted_indices is not None:
            final = states.select(final, x.unsorted_indices)
        return outputs, final

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise BadOption("a bidirectional layer cannot stream: its first output needs the last element")


class Residual(Layer):
    """A layer whose input is added to its output, so that the gradient has a way past it.

    He et al. 2016; for stacked recurrences Wu et al. 2016, arXiv:1609.08144, eq. 6.

    Args:
        layer: gives as many features as it reads; `BadOption` otherwise.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        if layer.input_size != layer.output_size:
            raise BadOption(f"a residual layer gives what it reads: {layer.output_size} is not {layer.input_size}")
        self.layer = layer
        self.input_size = self.output_size = layer.input_size

    def initial_state(self, batch: int) -> State:
        return self.layer.initial_state(batch)

    def forward(self, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        y, final = self.layer(x, state)
        return y._replace(data=y.data + x.data), final

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = self.layer.step(x, state)
        return y + x, after


class Stack(Layer):
    """Layers on top of each other, each reading what the one below gives.

    Args:
        layers: bottom first.
        between: applied to the packed data between two layers (locked dropout, say); a module PackedSequence ->
            PackedSequence, or None.
    """

    def __init__(self, layers: Sequence[Layer], *, between: nn.Module | None = None) -> None:
        super().__init__()
        if not layers:
            raise BadOption("a stack needs at least one layer")
        for below, above in pairwise(layers):
            if below.output_size != above.input_size:
                raise BadOption(f"a layer that reads {above.input_size} stands on one that gives {below.output_size}")
        self.layers = nn.ModuleList(layers)
        self.between = between
        self.input_size, self.output_size = layers[0].input_size, layers[-1].output_size

    def initial_state(self, batch: int) -> State:
        return tuple(layer.initial_state(batch) for layer in self._each())

    def forward(self, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        before = [None] * len(self.layers) if state is None else state
        after = []
        for place, (layer, given) in enumerate(zip(self._each(), before, strict=True)):
            if place and self.between is not None:
                x = self.between(x)
            x, final = layer(x, given)
            after.append(final)
        return x, tuple(after)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.between is not None and self.training:
            raise BadOption("a stack with dropout between its layers streams in evaluation mode only: call eval()")
        after = []
        for layer, given in zip(self._each(), state, strict=True):
            x, final = layer.step(x, given)
            after.append(final)
        return x, tuple(after)

    def _each(self) -> list[Layer]:
        return list(self.layers)  # type: ignore[arg-type]
