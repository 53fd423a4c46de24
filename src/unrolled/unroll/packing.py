"""Where things are in a packed batch: index arithmetic, no padding, no loop over elements.

A packed batch holds the elements of time 0 of all rows, then those of time 1 of the rows that are still alive, and so
on; rows are sorted longest first. All follows from `batch_sizes`, which says how many rows are alive at each time.

    batch_sizes 3 2 1        row 0:  0 3 5
                             row 1:  1 4
                             row 2:  2

The tensors that come back are shared between callers, since layers and directions of a network ask for the same ones
again and again: read them, never write into them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """As `torch.compiler.disable`, but that imports the compiler at once, which takes seconds and few ever use it."""
    disabled: Callable[P, R] | None = None

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        nonlocal disabled
        if "torch._dynamo" not in sys.modules:
            return function(*args, **options)
        if disabled is None:
            disabled = torch.compiler.disable(function)
        return disabled(*args, **options)

    return call


class Layout(NamedTuple):
    """Places in a packed batch; long, on the CPU, rows in packed order (longest first).

    Attributes:
        lengths: (batch,), how many elements each row has.
        starts: (time,), the index of the first element of each time; row r of time t is at starts[t] + r.
        times: (elements,), the time of each element, from 0.
        rows: (elements,), the row of each element.
        last: (batch,), the index of each row's last element.
        reversal: (elements,), the permutation that turns every row round in its own place; it is its own inverse.
        padded: (elements,), where each element stands in a flat time-major padded batch: time * batch + row.
    """

    lengths: Tensor
    starts: Tensor
    times: Tensor
    rows: Tensor
    last: Tensor
    reversal: Tensor
    padded: Tensor


class Segment(NamedTuple):
    """A rectangle of a staircase: the times from `start` up to `stop`, the first `width` rows."""

    start: int
    stop: int
    width: int


class Staircase(NamedTuple):
    """A packed batch laid out as a few rectangles one after the other, each time-major, with a little padding.

    Attributes:
        segments: the rectangles, from the first time to the last.
        source: (places,), the element whose data stands at each place; in padding the row's own last element.
        padding: (places,), bool, where the padding is.
        place: (elements,), the place of each element.
    """

    segments: tuple[Segment, ...]
    source: Tensor
    padding: Tensor
    place: Tensor


@eager
def layout(batch_sizes: Tensor) -> Layout:
    """Where the elements of a packed batch are.

    >>> layout(torch.tensor([3, 2, 1])).reversal.tolist()
    [5, 4, 2, 3, 1, 0]
    """
    return _layout(_key(batch_sizes))


@eager
def starts(batch_sizes: Tensor) -> Tensor:
    """The first element of each time, (time,): what is wanted of a layout most often, without the rest of it."""
    return _starts(_key(batch_sizes))


@lru_cache(maxsize=8)
def equal(time: int, batch: int) -> Tensor:
    """The `batch_sizes` of rows of one length, (time,)."""
    return _shared(np.full(time, batch))


@eager
def lengths(batch_sizes: Tensor) -> Tensor:
    """How many elements each row has, (batch,), in packed order; without the rest of a layout."""
    return _known_lengths(_key(batch_sizes))


@eager
def reverse(x: PackedSequence) -> PackedSequence:
    """Every row read from its last element to its first; of the same layout. Applied twice it gives x back."""
    order = layout(x.batch_sizes).reversal.to(x.data.device)
    return x._replace(data=x.data.index_select(0, order))


@eager
def staircase(batch_sizes: Tensor, overhead: int) -> Staircase:
    """Cut the time so that a segment's padding costs no more than another segment would.

    Args:
        batch_sizes: (time,).
        overhead: what a segment costs, in elements. 0 means no padding at all, however many segments that takes.

    >>> staircase(torch.tensor([3, 2, 1]), overhead=1).segments
    (Segment(start=0, stop=2, width=3), Segment(start=2, stop=3, width=1))
    """
    return _staircase(_key(batch_sizes), overhead)


def _key(batch_sizes: Tensor) -> bytes:
    try:
        return batch_sizes.numpy().tobytes()
    except RuntimeError:  # inside `torch.func` no tensor is an array
        return np.array(batch_sizes.tolist(), dtype=np.int64).tobytes()


def _shared(values: np.ndarray) -> Tensor:
    # A tensor that is born in inference mode could never take part in training.
    with torch.inference_mode(False):
        return torch.from_numpy(values)


@lru_cache(maxsize=8)
def _known_lengths(key: bytes) -> Tensor:
    return _shared(_lengths(np.frombuffer(key, dtype=np.int64)))


@lru_cache(maxsize=8)
def _starts(key: bytes) -> Tensor:
    sizes = np.frombuffer(key, dtype=np.int64)
    return _shared(np.cumsum(sizes) - sizes)


# A few batches, since an index takes 8 bytes an element; within one batch all layers and directions find it.
@lru_cache(maxsize=8)
def _layout(key: bytes) -> Layout:
    sizes = np.frombuffer(key, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    lengths = _lengths(sizes)
    times = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(times)) - starts[times]
    last = starts[lengths - 1] + np.arange(sizes[0])
    reversal = starts[lengths[rows] - 1 - times] + rows
    return Layout(*map(_shared, (lengths, starts, times, rows, last, reversal, times * sizes[0] + rows)))


@lru_cache(maxsize=8)
def _staircase(key: bytes, overhead: int) -> Staircase:
    sizes = np.frombuffer(key, dtype=np.int64)
    segments = _cut(sizes.tolist(), overhead)
    widths = np.repeat([s.width for s in segments], [s.stop - s.start for s in segments])
    firsts = np.cumsum(widths) - widths
    times = np.repeat(np.arange(len(sizes)), widths)
    rows = np.arange(len(times)) - firsts[times]
    ends = _lengths(sizes)[rows] - 1
    source = (np.cumsum(sizes) - sizes)[np.minimum(times, ends)] + rows
    padding = times > ends
    return Staircase(segments, _shared(source), _shared(padding), _shared(np.flatnonzero(~padding)))


def _lengths(sizes: np.ndarray) -> np.ndarray:
    # Row r is alive at the times with more than r rows; sizes never grow.
    return len(sizes) - np.searchsorted(sizes[::-1], np.arange(sizes[0]), side="right")


def _cut(sizes: list[int], overhead: int) -> tuple[Segment, ...]:
    """Greedy: where a segment's padding would exceed the overhead it ends, at the last time that rows had ended."""
    segments, start, padding, dropped = [], 0, 0, 0
    for time, size in enumerate(sizes):
        if size < sizes[dropped]:
            dropped = time
        padding += sizes[start] - size
        if padding > overhead:
            segments.append(Segment(start, dropped, sizes[start]))
            start, padding = dropped, 0
    return (*segments, Segment(start, len(sizes), sizes[start]))
