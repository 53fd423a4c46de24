"""What each step of a training reads, and in which order: examples in batches of near-equal length, or long text in
parallel streams whose state goes on from one step to the next.

    make() -> (done, of how many)    where that takes long: what is read from, made before the first plan
    plan(epoch) -> pieces            the steps of an epoch; a piece is a plain value
    take(piece) -> [Encoded, …]      what a task's `collate` is given for it
    size(piece) -> (examples, elements)

All is a function of the examples, the seed and the epoch alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.batching import bucketed
from unrolled.data.token_file import TokenFile
from unrolled.errors import BadData, BadOption

Piece = Any


class Feed(ABC):
    """The contract.

    Attributes:
        elements: of all examples.
        carries: whether the state after a step is the one before the next, within an epoch.
    """

    carries: ClassVar[bool] = False
    elements: int

    def make(self) -> Iterator[tuple[int, int]]:
        """Make what it reads from, where that is more than to encode examples: before it is first asked for a plan.

        Yields how many examples are done, and of how many, from time to time.
        """
        return iter(())

    @abstractmethod
    def plan(self, epoch: int) -> list[Piece]:
        """What the steps of an epoch read, one piece a step."""

    @abstractmethod
    def take(self, piece: Piece) -> list[Any]:
        """The encoded examples of a piece."""

    @abstractmethod
    def size(self, piece: Piece) -> tuple[int, int]:
        """How many examples and elements a piece has."""

    def cost(self, piece: Piece) -> float:
        """What is in proportion to the time that a piece takes."""
        return self.size(piece)[1]

    def share(self, piece: Piece) -> float:
        """By how much the learning rate of its step is to be multiplied."""
        return 1.0


class Shuffled(Feed):
    """Examples that know nothing of each other, each once an epoch, in batches of near-equal length.

    Args:
        encoded: with a `length` each.
        elements: rows times the longest row's elements of a batch, at most.
        rows: of a batch, at most.
        seed: of the order.
    """

    def __init__(self, encoded: Sequence[Any], *, elements: int, rows: int, seed: int) -> None:
        self._encoded = encoded
        self._lengths = np.array([e.length for e in encoded])
        self._elements, self._rows, self._seed = elements, rows, seed
        self.elements = int(self._lengths.sum())

    def plan(self, epoch: int) -> list[Piece]:
        return bucketed(self._lengths, elements=self._elements, rows=self._rows, seed=self._seed, epoch=epoch)

    def take(self, piece: Piece) -> list[Any]:
        return [self._encoded[row] for row in piece]

    def size(self, piece: Piece) -> tuple[int, int]:
        return len(piece), int(self._lengths[piece].sum())

    def cost(self, piece: Piece) -> float:
        return int(self._lengths[piece].max()) * len(piece)


class Window(NamedTuple):
    """A stretch of all streams. read, due: (time, streams), the elements and those that follow them."""

    read: NDArray[np.int64]
    due: NDArray[np.int64]


class Streams(Feed):
    """One long text, cut into streams of equal length that are read side by side, a window at a time.

    Stream k begins where stream k - 1 ends, and reads nothing of it; the first element of each is read and not asked
    for, and what is left over at the end, fewer elements than there are streams, is not read. Each epoch begins
    elsewhere in the text, so that over the epochs all borders move.

    With `vary`, windows are of random length, as Merity, Keskar & Socher 2018 (arXiv:1708.02182, section 4.1) have it:
    around `window` in 19 of 20 cases, else around its half, normally distributed with a deviation of 5; the learning
    rate of a step is multiplied by its window's length over `window`.

    Args:
        ids: the text, (elements,), whole numbers of any size.
        streams: how many.
        window: elements of each stream in a step.
        vary: whether windows differ.
        seed: of where an epoch begins, and of the windows' lengths.

    Raises:
        BadOption: fewer than 1 stream, or windows of fewer than 1 element.
        BadData: the text is too short for so many streams.
    """

    carries = True

    def __init__(self, ids: NDArray[Any], *, streams: int, window: int, vary: bool, seed: int) -> None:
        _can_be(streams, window)
        self._each = len(ids) // streams
        if self._each < 2:
            raise BadData(f"a text of {len(ids)} elements is too short for {streams} streams")
        self._ids, self._streams, self._window, self._vary, self._seed = ids, streams, window, vary, seed
        self.elements = (self._each - 1) * streams

    def plan(self, epoch: int) -> list[Piece]:
        random = np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
        begin = int(random.random_raw()) % len(self._ids) if epoch else 0
        pieces, at = [], 0
        while at < self._each - 1:
            length = min(self._length(random), self._each - 1 - at)
            pieces.append((begin, at, length))
            at += length
        return pieces

    def _length(self, random: np.random.PCG64) -> int:
        """Of the next window. NumPy promises the raw numbers of a bit generator for ever, those of its distributions
        not: the sum of twelve, less six, is near enough to normal.
        """
        if not self._vary:
            return self._window
        drawn = (random.random_raw(13) >> np.uint64(11)) * 2.0**-53
        middle = self._window if drawn[0] < 0.95 else self._window / 2
        return max(min(5, self._window), round(middle + 5 * (float(drawn[1:].sum()) - 6)))

    def take(self, piece: Piece) -> list[Any]:
        return [_window(self._ids[self.places(piece)])]

    def places(self, piece: Piece) -> NDArray[np.int64]:
        """Where in the text the elements of a piece stand, and behind them those that are due last:
        (time + 1, streams).
        """
        begin, at, length = piece
        firsts = begin + np.arange(self._streams) * self._each + at
        found: NDArray[np.int64] = (firsts + np.arange(length + 1)[:, None]) % len(self._ids)
        return found

    def size(self, piece: Piece) -> tuple[int, int]:
        return self._streams, self._streams * piece[2]

    def share(self, piece: Piece) -> float:
        return piece[2] / self._window if self._vary else 1.0


SHARD = 1 << 20
"""Elements of a long text that stay together when it is shuffled."""


class ShardedStreams(Feed):
    """A text larger than memory in streams, as `Streams` reads it, from a text that is put together anew each epoch.

    The text is cut into shards of equal length, the last one shorter; each epoch has them all, once, in an order of
    its own. A text of a single shard is read as `Streams` reads one in memory, bit for bit.

    Args:
        tokens: the text.
        shard: elements of a shard.
        backward: whether an epoch's text is read from its end, a line's end before the line.
        streams, window, vary, seed: as `Streams`, the seed also of the shards' order.

    Raises as `Streams`; that the text is too short when it is made.
    """

    carries = True

    def __init__(
        self,
        tokens: TokenFile,
        *,
        streams: int,
        window: int,
        vary: bool,
        seed: int,
        shard: int = SHARD,
        backward: bool = False,
    ) -> None:
        _can_be(streams, window)
        self._tokens, self._shard, self._seed, self._backward = tokens, shard, seed, backward
        self._how: dict[str, Any] = {"streams": streams, "window": window, "vary": vary, "seed": seed}

    def make(self) -> Iterator[tuple[int, int]]:
        return self._tokens.make()

    @cached_property
    def _ids(self) -> NDArray[Any]:
        return self._tokens.ids()

    @cached_property
    def _streams(self) -> Streams:
        return Streams(self._ids, **self._how)

    @property
    def elements(self) -> int:  # type: ignore[override]
        return self._streams.elements

    def plan(self, epoch: int) -> list[Piece]:
        return [(epoch, piece) for piece in self._streams.plan(epoch)]

    def take(self, piece: Piece) -> list[Any]:
        epoch, inner = piece
        places = self._streams.places(inner)
        if self._backward:  # the last element, a line end, comes first
            places = (len(self._ids) - 2 - places) % len(self._ids)
        return [_window(self._ids[self._shuffled(places, epoch)])]

    def size(self, piece: Piece) -> tuple[int, int]:
        return self._streams.size(piece[1])

    def share(self, piece: Piece) -> float:
        return self._streams.share(piece[1])

    def _shuffled(self, places: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Where in the file those places of an epoch's text are."""
        firsts = np.arange(0, len(self._ids), self._shard)
        # A third number, so that this is another stream than that of the windows' lengths.
        random = np.random.PCG64(np.random.SeedSequence([self._seed, epoch, 1]))
        order = firsts[np.argsort(random.random_raw(len(firsts)), kind="stable")]
        lengths = np.minimum(self._shard, len(self._ids) - order)
        begins = np.cumsum(lengths) - lengths
        shards = np.searchsorted(begins, places, side="right") - 1
        found: NDArray[np.int64] = order[shards] + places - begins[shards]
        return found


def _window(found: NDArray[Any]) -> Window:
    """found: (time + 1, streams)."""
    found = np.asarray(found, dtype=np.int64)
    return Window(found[:-1], found[1:])


def _can_be(streams: int, window: int) -> None:
    if streams < 1 or window < 1:
        raise BadOption(f"text needs 1 stream and a window of 1 element or more, not {streams} and {window}")
