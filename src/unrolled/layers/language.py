r"""The network of a language model: what stands before an element, to what may follow it.

    ids ──► vectors ──► dropout ──► recurrences ──► dropout ──► softmax over the vocabulary

The dropouts are those of Merity, Keskar & Socher 2018, arXiv:1708.02182 (AWD-LSTM): of whole word types, of the
vectors, between layers and behind the last one, each with one draw for all times of a row; and of the recurrent
weights. So are the two penalties on what the last layer gives: on its size where it was dropped (activation
regularisation), on its change from one time to the next (temporal; Merity, McCann & Socher 2017, arXiv:1708.01009).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.errors import BadOption
from unrolled.layers.dropout import EmbeddingDropout, LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.packed import before
from unrolled.layers.recurrent import Recurrent, Stack
from unrolled.layers.softmax import Softmax
from unrolled.state import State


class Rates(NamedTuple):
    """How much is dropped of word types, of vectors, between layers, behind the last one."""

    types: float
    vectors: float
    between: float
    outputs: float


class LanguageNetwork(nn.Module):
    """Elements to the distribution of those that follow.

    Args:
        vocabulary: how many elements there are.
        features: of an element's vector.
        make: a cell that reads so many features and has so many units.
        hidden: units of a layer; the last one has as many as a vector has features where the softmax is tied.
        layers: how many.
        tied: whether the softmax multiplies the table of vectors.
        rates: what is dropped.
        activation, change: weights of the penalties.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        make: Callable[[int, int], Cell],
        *,
        hidden: int,
        layers: int,
        tied: bool,
        rates: Rates,
        activation: float,
        change: float,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise BadOption(f"layers must be 1 or more, not {layers}")
        for name, weight in (("activation", activation), ("change", change)):
            if not weight >= 0:
                raise BadOption(f"{name}_penalty must be 0 or more, not {weight}")
        self.embedding = Embedding(vocabulary, features)
        sizes = [features, *([hidden] * (layers - 1)), features if tied else hidden]
        cells = [make(size, units) for size, units in pairwise(sizes)]
        self.stack = Stack([Recurrent(cell) for cell in cells], between=LockedDropout(rates.between))
        given = self.stack.output_size
        # Some cells show fewer features than they have units.
        self.projection = nn.Linear(given, features) if tied and given != features else nn.Identity()
        table = self.embedding.weight if tied else None
        self.softmax = Softmax(features if tied else given, vocabulary, weight=table)
        self.types, self.vectors = EmbeddingDropout(rates.types), LockedDropout(rates.vectors)
        self.outputs = LockedDropout(rates.outputs)
        self.activation, self.change = activation, change

    def initial_state(self, rows: int) -> State:
        return self.stack.initial_state(rows)

    def read(self, ids: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        """What the last layer gives, data (elements, features), nothing dropped behind it, and the state after."""
        vectors = self.types(self.embedding(ids.data), ids.data)
        return self.stack(self.vectors(ids._replace(data=vectors)), state)

    def loss(self, ids: PackedSequence, due: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The sum over all elements, penalties included in training, and the state after, without a graph.

        ids, due: (elements,), what is read and what follows it, in packed order.
        """
        x, after = self.read(ids, state)
        shown = self.outputs(x)
        total = self.softmax.loss(self.projection(shown.data), due, reduction="sum")
        if self.training and self.activation:
            total = total + self.activation * len(due) * shown.data.square().mean()
        if self.training and self.change and len(x.batch_sizes) > 1:
            changes = x.data[int(x.batch_sizes[0]) :] - x.data[before(x.batch_sizes)]
            total = total + self.change * len(due) * changes.square().mean()
        return total, states.detach(after)

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """One element of each row, for streaming and generation. ids: (rows,) -> logits (rows, vocabulary), state."""
        x, after = self.stack.step(self.embedding(ids), state)
        return self.logits(x), after

    def logits(self, x: Tensor) -> Tensor:
        """Of what the last layer gives, (elements, features) -> (elements, vocabulary)."""
        return self.softmax(self.projection(x))

    @torch.no_grad()
    def losses(self, ids: PackedSequence, due: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The cross-entropy of each element in nats, (elements,), and the state after."""
        x, after = self.read(ids, state)
        return self.softmax.losses(self.projection(x.data), due), after
