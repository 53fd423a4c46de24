"""Where the elements of a packed batch are: which row each belongs to, where a row begins and where it ends.

A `PackedSequence` holds its elements time-major, longest row first: time 0 of every row, then time 1 of the rows that
are still alive, and so on. Rows are counted in *packed* order here; `caller_order` puts one value per row back into
the order that the caller gave.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def starts(batch_sizes: Tensor) -> Tensor:
    """The index of the first element of each time step. batch_sizes: (time,) -> (time,)."""
    return batch_sizes.cumsum(0) - batch_sizes


def times(batch_sizes: Tensor) -> Tensor:
    """The time step of each element, counted from 0. (time,) -> (elements,)."""
    return torch.arange(len(batch_sizes)).repeat_interleave(batch_sizes)


def rows(batch_sizes: Tensor) -> Tensor:
    """The row of each element. (time,) -> (elements,)."""
    return torch.arange(int(batch_sizes.sum())) - starts(batch_sizes).repeat_interleave(batch_sizes)


def lengths(batch_sizes: Tensor) -> Tensor:
    """How many elements each row has. (time,) -> (batch,)."""
    # Row b is alive at the times with more than b rows; sizes only fall, so those come first.
    return torch.searchsorted(-batch_sizes, -torch.arange(int(batch_sizes[0])), right=False)


def last(batch_sizes: Tensor) -> Tensor:
    """The index of each row's last element; its first is the row's own number. (time,) -> (batch,)."""
    return starts(batch_sizes)[lengths(batch_sizes) - 1] + torch.arange(int(batch_sizes[0]))


def before(batch_sizes: Tensor) -> Tensor:
    """The index of the element before each one that is not its row's first; those are all but the first `batch`."""
    return torch.arange(int(batch_sizes[0]), int(batch_sizes.sum())) - batch_sizes[:-1].repeat_interleave(
        batch_sizes[1:]
    )


def caller_order(values: Tensor, x: PackedSequence) -> Tensor:
    """One value per row, from packed order into the order that the batch was packed from. (batch, …) -> (batch, …)."""
    return values if x.unsorted_indices is None else values.index_select(0, x.unsorted_indices)
