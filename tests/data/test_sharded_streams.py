"""A text from the disk in streams: in each epoch every shard once, and within a shard the text as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data import cache
from unrolled.data.feeds import ShardedStreams, Streams
from unrolled.data.long_text import LongText
from unrolled.data.token_file import TokenFile
from unrolled.errors import BadData, BadOption

Feeds = Callable[..., ShardedStreams]


@pytest.fixture
def sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feeds:
    """sharded(count, **options): of the text 0, 1, …, count - 1."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))

    def make(count: int, **options: Any) -> ShardedStreams:
        path = tmp_path / f"{count}.txt"
        if not path.exists():
            path.write_text("\n".join(map(str, range(count))))
        tokens = TokenFile(LongText(path), lambda line: np.array([int(line.text)]), symbols=70_000, of={})
        return ShardedStreams(tokens, **{"streams": 2, "window": 3, "vary": False, "seed": 1, **options})

    return make


def taken(feed: Streams | ShardedStreams, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """All that an epoch reads and asks for, (time, streams) each."""
    windows = [window for piece in feed.plan(epoch) for window in feed.take(piece)]
    assert all(part.dtype == np.int64 for window in windows for part in window)
    return np.concatenate([w.read for w in windows]), np.concatenate([w.due for w in windows])


def text(feed: ShardedStreams, epoch: int) -> list[int]:
    """An epoch's whole text, as a feed of a single stream reads it."""
    read, due = taken(feed, epoch)
    return [int(read[0, 0]), *due[:, 0].tolist()]


@pytest.mark.parametrize("vary", [False, True])
def test_a_text_of_one_shard_is_read_as_one_in_memory(sharded: Feeds, vary: bool) -> None:
    how: dict[str, Any] = {"streams": 3, "window": 7, "vary": vary, "seed": 5}
    in_memory, from_disk = Streams(np.arange(100), **how), sharded(100, shard=100, **how)
    assert from_disk.elements == in_memory.elements
    for epoch in range(4):
        for one, other in zip(taken(in_memory, epoch), taken(from_disk, epoch), strict=True):
            assert np.array_equal(one, other)
        pieces, others = in_memory.plan(epoch), from_disk.plan(epoch)
        for measure in ("size", "share", "cost"):
            assert list(map(getattr(in_memory, measure), pieces)) == list(map(getattr(from_disk, measure), others))


@pytest.mark.parametrize(("count", "shard"), [(100, 10), (103, 10), (101, 10), (99, 50), (23, 1), (7, 100)])
def test_every_shard_is_in_every_epoch_once_and_whole(sharded: Feeds, count: int, shard: int) -> None:
    feed = sharded(count, streams=1, shard=shard)
    shards = [list(range(first, min(first + shard, count))) for first in range(0, count, shard)]
    for epoch in range(5):
        found = text(feed, epoch)
        assert sorted(found) == list(range(count))
        # The epoch's text is a ring, cut somewhere: turned until it begins with a shard, it is made of them.
        turn = next(k for k in range(count) if found[k] % shard == 0 and _made_of(found[k:] + found[:k], shards))
        assert turn == 0 or epoch > 0


def _made_of(numbers: list[int], shards: list[list[int]]) -> bool:
    while numbers:
        whole = next(shard for shard in shards if numbers[0] in shard)
        if numbers[: len(whole)] != whole:
            return False
        numbers = numbers[len(whole) :]
    return True


def test_each_epoch_has_an_order_of_its_own_that_the_seed_tells(sharded: Feeds) -> None:
    feed = sharded(200, streams=1, shard=10)
    texts = [text(feed, epoch) for epoch in range(4)]
    assert len(set(map(tuple, texts))) == 4
    assert texts[0] != list(range(200))
    again = sharded(200, streams=1, shard=10)
    assert [text(again, epoch) for epoch in reversed(range(4))] == texts[::-1]  # whatever was asked for before
    assert text(sharded(200, streams=1, shard=10, seed=2), 0) != texts[0]


def test_streams_part_the_epoch_s_text_among_them(sharded: Feeds) -> None:
    whole = text(sharded(103, streams=1, shard=10), 2)
    read, due = taken(sharded(103, streams=4, shard=10), 2)
    streams = np.concatenate([read[:1], due])
    assert streams.T.reshape(-1).tolist() == whole[: 4 * (103 // 4)]


def test_what_it_refuses(sharded: Feeds) -> None:
    with pytest.raises(BadOption, match="not 0 and 3"):
        sharded(10, streams=0)  # before anything is made
    with pytest.raises(BadOption, match="not 2 and 0"):
        sharded(10, window=0)
    with pytest.raises(BadData, match="a text of 10 elements is too short for 6 streams"):
        sharded(10, streams=6).plan(0)
