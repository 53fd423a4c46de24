"""An encoder: ids to annotations, one vector for each element of the source that knows its context.

    ids ──► embedding ──► dropout ──► stack of recurrences, in one direction or in both ──► annotations, final states

Packed in, packed out. What attention looks at is padded, batch first and in the caller's order: `padded`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import State
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.packed import caller_order, lengths, rows, times, to_padded
from unrolled.layers.recurrent import Bidirectional, Residual, Stack


class Encoded(NamedTuple):
    """outputs: data (elements, features), packed as the source is; final: of each layer its directions' last states,
    bottom first, rows in the caller's order."""

    outputs: PackedSequence
    final: tuple[tuple[State, ...], ...]


class SourceEncoder(nn.Module, ABC):
    """What reads a source, of whatever kind: the contract for a bridge and a decoder.

    Attributes:
        output_size: features of an annotation.
        dropout: what all that it reads passes through, as a packed batch.
    """

    output_size: int
    dropout: LockedDropout

    @abstractmethod
    def forward(self, sources: Any) -> Encoded:
        """Annotations and final states of a batch of sources."""

    @abstractmethod
    def state_sizes(self) -> list[list[list[int]]]:
        """Of each layer, of each direction, the features of each tensor of its state."""


class Encoder(SourceEncoder):
    """Ids to annotations and final states.

    Args:
        embedding: of the source's words.
        stack: of `stack.make_stack`.
        embedding_dropout: the probability with which a feature of the embedding is dropped, for a whole row.
    """

    def __init__(self, embedding: Embedding, stack: Stack, embedding_dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding, self.stack = embedding, stack
        self.dropout = LockedDropout(embedding_dropout)
        self.output_size = stack.output_size

    def forward(self, sources: PackedSequence) -> Encoded:
        """sources: data (elements,), long."""
        outputs, final = self.stack(self.dropout(sources._replace(data=self.embedding(sources.data))))
        return Encoded(outputs, tuple(self._directions(state) for state in final))

    def state_sizes(self) -> list[list[list[int]]]:
        final = self.stack.initial_state(1)
        return [[[t.shape[1] for t in states.leaves(s)] for s in self._directions(state)] for state in final]

    def _directions(self, state: State) -> tuple[State, ...]:
        first = self.stack.layers[0]
        layer = first.layer if isinstance(first, Residual) else first
        return tuple(state) if isinstance(layer, Bidirectional) else (state,)


class Heard(SourceEncoder):
    """In the place of an `Encoder`, where what attention looks at is made elsewhere, of sound for one, not of ids.

    It has no final states: a decoder begins at 0, or from the mean of all annotations.

    Args:
        size: features of an annotation.
        dropout: the probability with which a feature of the annotations is dropped, for a whole row.
    """

    def __init__(self, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = LockedDropout(dropout)
        self.output_size = size

    def forward(self, annotations: PackedSequence) -> Encoded:
        """annotations: data (elements, features)."""
        return Encoded(self.dropout(annotations), ())

    def state_sizes(self) -> list[list[list[int]]]:
        """There are none."""
        return []


def vector(final: tuple[tuple[State, ...], ...]) -> Tensor:
    """The encoder vector: the hidden state in which each direction of the topmost layer ends, (batch, features)."""
    return torch.cat([states.leaves(state)[0] for state in final[-1]], dim=1)


def padded(x: PackedSequence, fill: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A packed batch, batch first, rows in the caller's order.

    Returns:
        (batch, time, …), `fill` behind a row's last element; which places are none of these, (batch, time), bool; and
        each row's length, (batch,), long.
    """
    batch, steps, device = int(x.batch_sizes[0]), len(x.batch_sizes), x.data.device
    long = caller_order(lengths(x.batch_sizes).to(device), x)
    if batch * steps == len(x.data):  # all of one length
        whole = caller_order(to_padded(x.data, x.batch_sizes), x).contiguous()
        return whole, torch.ones(batch, steps, dtype=torch.bool, device=device), long
    row = rows(x.batch_sizes).to(device)
    if x.sorted_indices is not None:
        row = x.sorted_indices.index_select(0, row)
    place = row * steps + times(x.batch_sizes).to(device)
    flat = x.data.new_full((batch * steps, *x.data.shape[1:]), fill).index_copy(0, place, x.data)
    mask = torch.arange(steps, device=device) < long.unsqueeze(1)
    return flat.unflatten(0, (batch, steps)), mask, long
