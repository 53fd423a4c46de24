"""A packed batch to one vector a row, in the caller's order. No padding enters, so lengths do not matter to a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.layers.attention import AdditiveScore, row_softmax
from unrolled.layers.packed import caller_order, last, lengths, rows, times


class LastState(nn.Module):
    """What has been read when each direction ends: forward features at the last element, backward ones at the first.

    Args:
        ahead: how many of the features, from the first on, were read forwards; the rest was read backwards. All,
            where None.
    """

    def __init__(self, ahead: int | None = None) -> None:
        super().__init__()
        self.ahead = ahead

    def forward(self, x: PackedSequence) -> Tensor:
        """x: data (elements, features) -> (batch, features)."""
        ends = last(x.batch_sizes).to(x.data.device)
        if self.ahead is None:
            return caller_order(x.data.index_select(0, ends), x)
        # In packed order the first elements of all rows are the first elements of the batch.
        backward = x.data[: len(ends), self.ahead :]
        return caller_order(torch.cat([x.data[:, : self.ahead].index_select(0, ends), backward], dim=1), x)


class Mean(nn.Module):
    """The mean of a row's elements."""

    def forward(self, x: PackedSequence) -> Tensor:
        """x: data (elements, features) -> (batch, features)."""
        counts = lengths(x.batch_sizes).to(x.data)
        return caller_order(_sum(x.data, x.batch_sizes) / counts.unsqueeze(1), x)


class Max(nn.Module):
    """The largest value of each feature over a row's elements (Collobert & Weston 2008)."""

    def forward(self, x: PackedSequence) -> Tensor:
        """x: data (elements, features) -> (batch, features)."""
        batch, steps = int(x.batch_sizes[0]), len(x.batch_sizes)
        place = (times(x.batch_sizes) * batch + rows(x.batch_sizes)).to(x.data.device)
        # Reductions by index are slow on a CPU, a reduction over an axis is not; -inf is never the largest.
        table = x.data.new_full((steps * batch, x.data.shape[1]), -torch.inf).index_copy(0, place, x.data)
        return caller_order(table.view(steps, batch, -1).amax(0), x)


class AdditiveAttention(nn.Module):
    """The elements of a row weighed by how much they matter, by an additive score without a query.

        a = softmax over the row of v . tanh(W x_j + b),    result = sum_j a_j x_j

    Args:
        input_size: features of an element.
        hidden_size: units of the scoring network; as many as `input_size` where None.
    """

    def __init__(self, input_size: int, hidden_size: int | None = None) -> None:
        super().__init__()
        self.score = AdditiveScore(input_size, input_size if hidden_size is None else hidden_size)

    def forward(self, x: PackedSequence) -> Tensor:
        """x: data (elements, features) -> (batch, features)."""
        return self.attend(x)[0]

    def attend(self, x: PackedSequence) -> tuple[Tensor, PackedSequence]:
        """The pooled vectors, (batch, features), and the weights, data (elements,), for inspection."""
        row = rows(x.batch_sizes).to(x.data.device)
        weights = row_softmax(self.score(x.data), row, int(x.batch_sizes[0]))
        pooled = _sum(x.data * weights.unsqueeze(1), x.batch_sizes)
        return caller_order(pooled, x), x._replace(data=weights)


def _sum(elements: Tensor, batch_sizes: Tensor) -> Tensor:
    row = rows(batch_sizes).to(elements.device)
    return elements.new_zeros(int(batch_sizes[0]), elements.shape[1]).index_add(0, row, elements)


POOLINGS: dict[str, tuple[type[nn.Module], ...]] = {
    "last": (LastState,),
    "mean": (Mean,),
    "max": (Max,),
    "mean_max": (Mean, Max),
    "attention": (AdditiveAttention,),
}
"""By the name that an option has -> what stands beside each other."""


def poolings_of(name: str, size: int, ahead: int) -> nn.ModuleList:
    """Those of a name in `POOLINGS`. size: features of an element; ahead: as `LastState` has it."""
    made = {LastState: lambda: LastState(ahead), AdditiveAttention: lambda: AdditiveAttention(size)}
    return nn.ModuleList(made.get(kind, kind)() for kind in POOLINGS[name])
