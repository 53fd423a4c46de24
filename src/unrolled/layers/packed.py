"""Where the elements of a packed batch are: which row each belongs to, where a row begins and where it ends.

A `PackedSequence` holds its elements time-major, longest row first: time 0 of every row, then time 1 of the rows that
are still alive, and so on. Rows are counted in *packed* order here; `caller_order` puts one value per row back into
the order that the caller gave. What `unroll.packing.layout` knows is taken from there, where it is cached: read it,
never write into it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.errors import NoElement
from unrolled.unroll import packing
from unrolled.unroll.packing import layout


def starts(batch_sizes: Tensor) -> Tensor:
    """The index of the first element of each time step. batch_sizes: (time,) -> (time,)."""
    return packing.starts(batch_sizes)


def times(batch_sizes: Tensor) -> Tensor:
    """The time step of each element, counted from 0. (time,) -> (elements,)."""
    return layout(batch_sizes).times


def rows(batch_sizes: Tensor) -> Tensor:
    """The row of each element. (time,) -> (elements,)."""
    return layout(batch_sizes).rows


def lengths(batch_sizes: Tensor) -> Tensor:
    """How many elements each row has. (time,) -> (batch,)."""
    return packing.lengths(batch_sizes)


def last(batch_sizes: Tensor) -> Tensor:
    """The index of each row's last element; its first is the row's own number. (time,) -> (batch,)."""
    return layout(batch_sizes).last


def before(batch_sizes: Tensor) -> Tensor:
    """The index of the element before each one that is not its row's first; those are all but the first `batch`."""
    return torch.arange(int(batch_sizes[0]), int(batch_sizes.sum())) - batch_sizes[:-1].repeat_interleave(
        batch_sizes[1:]
    )


def caller_order(values: Tensor, x: PackedSequence) -> Tensor:
    """One value per row, from packed order into the order that the batch was packed from. (batch, …) -> (batch, …)."""
    return values if x.unsorted_indices is None else values.index_select(0, x.unsorted_indices)


def at(x: PackedSequence, place: int) -> Tensor:
    """One element of each row, in the caller's order. place: negative from the row's end. (elements, …) -> (batch, …).

    Raises `NoElement` where a row has no such element.

    >>> from torch.nn.utils.rnn import pack_sequence
    >>> x = pack_sequence([torch.tensor([1]), torch.tensor([2, 3, 4])], enforce_sorted=False)
    >>> at(x, 0).tolist(), at(x, -1).tolist()
    ([1, 2], [1, 4])
    """
    sizes = lengths(x.batch_sizes)
    index = sizes + place if place < 0 else torch.full_like(sizes, place)
    if bool((index < 0).any()) or bool((index >= sizes).any()):
        raise NoElement(place, int(sizes.min()))
    row = torch.arange(len(sizes))
    return caller_order(x.data[starts(x.batch_sizes)[index] + row], x)


def to_padded(values: Tensor, batch_sizes: Tensor) -> Tensor:
    """Elements into a padded batch, zeros behind a row's last. (elements, …) -> (batch, time, …), rows in packed order.

    >>> to_padded(torch.tensor([1, 2, 3, 4]), torch.tensor([2, 1, 1])).tolist()
    [[1, 3, 4], [2, 0, 0]]
    """
    batch, steps = int(batch_sizes[0]), len(batch_sizes)
    if batch * steps == len(values):  # all of one length
        return values.unflatten(0, (steps, batch)).transpose(0, 1)
    places = _padded_places(batch_sizes).to(values.device)
    flat = values.new_zeros(batch * steps, *values.shape[1:]).index_copy(0, places, values)
    return flat.unflatten(0, (batch, steps))


def from_padded(values: Tensor, batch_sizes: Tensor) -> Tensor:
    """The elements of a padded batch, without the padding: the inverse. (batch, time, …) -> (elements, …)."""
    batch, steps = int(batch_sizes[0]), len(batch_sizes)
    if batch * steps == int(batch_sizes.sum()):
        return values.transpose(0, 1).flatten(0, 1)
    return values.flatten(0, 1).index_select(0, _padded_places(batch_sizes).to(values.device))


def _padded_places(batch_sizes: Tensor) -> Tensor:
    """Where each element stands in a flat padded batch, (elements,): row * time + time."""
    return rows(batch_sizes) * len(batch_sizes) + times(batch_sizes)
