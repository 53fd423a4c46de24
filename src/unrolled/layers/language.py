r"""The network of a language model: what stands before an element, to what may follow it.

    ids ──► vectors ──► dropout ──► recurrences ──► dropout ──► softmax over the vocabulary

The dropouts are those of Merity, Keskar & Socher 2018, arXiv:1708.02182 (AWD-LSTM): of whole word types, of the
vectors, between layers and behind the last one, each with one draw for all times of a row; and of the recurrent
weights. So are the two penalties on what the last layer gives: on its size where it was dropped (activation
regularisation), on its change from one time to the next (temporal; Merity, McCann & Socher 2017, arXiv:1708.01009).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.errors import BadOption
from unrolled.layers.adaptive_softmax import AdaptiveSoftmax
from unrolled.layers.dropout import EmbeddingDropout, LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.mixture_of_softmaxes import MixtureOfSoftmaxes
from unrolled.layers.packed import before
from unrolled.layers.recurrent import Recurrent, Stack
from unrolled.layers.sampled_softmax import SampledSoftmax
from unrolled.layers.softmax import Softmax
from unrolled.state import State


class Rates(NamedTuple):
    """How much is dropped of word types, of vectors, between layers, behind the last one."""

    types: float
    vectors: float
    between: float
    outputs: float


Kind = Literal["full", "adaptive", "sampled", "mixture"]


class Outputs(NamedTuple):
    """How the softmax is made.

    kind: over all words at once, or as the files beside `layers.softmax` have it; tied: whether it multiplies the table
    of vectors; counts: of the words; cutoffs: of an adaptive one; samples: of a sampled one; components: of a mixture.
    """

    kind: Kind
    tied: bool
    counts: Sequence[int]
    cutoffs: Sequence[int] = ()
    samples: int = 0
    components: int = 0


class LanguageReader(nn.Module):
    """Elements to what the last recurrent layer makes of them: all of a language model but its softmax.

    Args:
        vocabulary: how many elements there are.
        features: of an element's vector.
        make: a cell that reads so many features and has so many units.
        units: of each layer, the lowest first.
        rates: what is dropped.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        make: Callable[[int, int], Cell],
        *,
        units: Sequence[int],
        rates: Rates,
    ) -> None:
        super().__init__()
        if not units:
            raise BadOption("layers must be 1 or more, not 0")
        self.embedding = Embedding(vocabulary, features)
        cells = [make(size, given) for size, given in pairwise([features, *units])]
        self.stack = Stack([Recurrent(cell) for cell in cells], between=LockedDropout(rates.between))
        self.types, self.vectors = EmbeddingDropout(rates.types), LockedDropout(rates.vectors)

    def initial_state(self, rows: int) -> State:
        return self.stack.initial_state(rows)

    def read(self, ids: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
        """What the last layer gives, data (elements, features), nothing dropped behind it, and the state after."""
        vectors = self.types(self.embedding(ids.data), ids.data)
        return self.stack(self.vectors(ids._replace(data=vectors)), state)


class LanguageNetwork(LanguageReader):
    """Elements to the distribution of those that follow.

    Args:
        vocabulary, features, make, units, rates: as the reader has them; the last layer has as many units as a vector
            has features where the softmax is tied.
        outputs: how the softmax is made.
        activation, change: weights of the penalties.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        make: Callable[[int, int], Cell],
        *,
        units: Sequence[int],
        rates: Rates,
        outputs: Outputs,
        activation: float,
        change: float,
    ) -> None:
        for name, weight in (("activation", activation), ("change", change)):
            if not weight >= 0:
                raise BadOption(f"{name}_penalty must be 0 or more, not {weight}")
        super().__init__(vocabulary, features, make, units=units, rates=rates)
        given = self.stack.output_size
        table = self.embedding.weight if outputs.tied else None
        # Some cells show fewer features than they have units. (A mixture projects by itself.)
        fits = table is None or given == features or outputs.kind == "mixture"
        self.projection = nn.Identity() if fits else nn.Linear(given, features)
        self.softmax = _softmax(outputs, given if table is None else features, given, vocabulary, table)
        self.outputs = LockedDropout(rates.outputs)
        self.activation, self.change = activation, change

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

    def losses(self, x: Tensor, due: Tensor) -> Tensor:
        """The cross-entropy of each element in nats, (elements,), without gradients.

        x: (elements, features), what the last layer gives; due: (elements,), what follows.
        """
        with torch.no_grad():
            return self.softmax.losses(self.projection(x), due)


def _softmax(
    outputs: Outputs, features: int, given: int, vocabulary: int, table: nn.Parameter | None
) -> Softmax | AdaptiveSoftmax | MixtureOfSoftmaxes:
    """features: of a word's vector; given: of what the last layer gives."""
    if outputs.kind == "adaptive":
        return AdaptiveSoftmax(features, vocabulary, outputs.cutoffs, weight=table)
    if outputs.kind == "sampled":
        return SampledSoftmax(features, vocabulary, samples=outputs.samples, counts=outputs.counts, weight=table)
    if outputs.kind == "mixture":
        return MixtureOfSoftmaxes(given, features, vocabulary, components=outputs.components, weight=table)
    return Softmax(features, vocabulary, weight=table)
