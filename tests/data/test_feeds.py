"""Text in streams: what every window reads, and that all of it is read once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.feeds import Shuffled, Streams
from unrolled.errors import BadData, BadOption


def streams(count: int, streams: int = 2, window: int = 3, *, vary: bool = False, seed: int = 1) -> Streams:
    return Streams(np.arange(count), streams=streams, window=window, vary=vary, seed=seed)


def test_windows_by_hand() -> None:
    feed = streams(11)
    windows = [one for piece in feed.plan(0) for one in feed.take(piece)]
    assert [w.read.T.tolist() for w in windows] == [[[0, 1, 2], [5, 6, 7]], [[3], [8]]]
    assert [w.due.T.tolist() for w in windows] == [[[1, 2, 3], [6, 7, 8]], [[4], [9]]]
    assert [feed.size(piece) for piece in feed.plan(0)] == [(2, 6), (2, 2)]
    assert feed.elements == 8


@given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 40), st.booleans(), st.integers(0, 5), st.integers(0, 3))
def test_each_stream_is_a_stretch_of_the_text_read_once_in_order(
    count: int, rows: int, window: int, vary: bool, seed: int, epoch: int
) -> None:
    if count // rows < 2:
        with pytest.raises(BadData, match="too short"):
            streams(count, rows, window)
        return
    feed = streams(count, rows, window, vary=vary, seed=seed)
    plan = feed.plan(epoch)
    windows = [one for piece in plan for one in feed.take(piece)]
    read, due = (np.concatenate([getattr(w, name) for w in windows]) for name in ("read", "due"))
    assert read.shape == (count // rows - 1, rows)
    assert ((read + 1) % count == due).all()
    assert (read[1:] == due[:-1]).all()
    seen = np.concatenate([read[:1], due])
    assert len(np.unique(seen)) == seen.size  # no stream reads what is another's
    assert sum(feed.size(piece)[1] for piece in plan) == feed.elements
    assert all(feed.share(piece) > 0 for piece in plan)
    assert plan == feed.plan(epoch)


def test_every_epoch_has_borders_of_its_own() -> None:
    feed = streams(1000)
    assert len({feed.plan(epoch)[0][0] for epoch in range(6)}) == 6
    assert feed.plan(0)[0][0] == 0


def test_random_windows_are_around_their_length_and_rates_in_proportion() -> None:
    feed = streams(200_000, 1, 70, vary=True)
    lengths = np.array([length for _, _, length in feed.plan(0)][:-1])
    long = lengths[lengths > 52]
    assert 0.92 < len(long) / len(lengths) < 0.98
    assert abs(long.mean() - 70) < 0.5
    assert 4.5 < long.std() < 5.5
    assert abs(lengths[lengths <= 52].mean() - 35) < 2
    assert feed.share((0, 0, 35)) == 0.5


def test_examples_come_once_an_epoch() -> None:
    class One:
        def __init__(self, length: int) -> None:
            self.length = length

    given = [One(length) for length in (3, 1, 4, 1, 5)]
    feed = Shuffled(given, elements=8, rows=2, seed=1)
    taken = [one for piece in feed.plan(0) for one in feed.take(piece)]
    assert sorted(map(id, taken)) == sorted(map(id, given))
    assert feed.elements == 14
    assert sum(feed.size(piece)[1] for piece in feed.plan(1)) == 14


def test_what_streams_refuse() -> None:
    with pytest.raises(BadOption, match="not 0 and 3"):
        streams(10, 0)
    with pytest.raises(BadOption, match="not 2 and 0"):
        streams(10, 2, 0)
