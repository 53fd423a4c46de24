"""How far is said and looked back where nothing is said of it: by the times, and by what there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.data.examples import Series
from unrolled.data.splits import in_time
from unrolled.tasks._series_sizes import sizes
from unrolled.tasks._windows import Windows
from unrolled.tasks.forecaster import Forecaster

MONTHS = ("months", 1.0)


@pytest.mark.parametrize(
    ("lengths", "step", "expected"),
    [
        ([192], MONTHS, [12, 24, 48]),  # of 240 months: two seasons, and four
        ([5000], ("seconds", 3600.0), [24, 48, 96]),
        ([116], MONTHS, [12, 12, 48]),  # of 144: one season
        ([80], MONTHS, [12, 10, 35]),  # of 100: an eighth, and half of what is left
        ([28], MONTHS, [12, 3, 12]),  # of 36
        ([5000], None, [1, 6, 12]),
        ([48], None, [1, 6, 12]),
        ([20], None, [1, 2, 4]),
        ([1], None, [1, 1, 2]),
        ([5, 116, 5000], MONTHS, [12, 12, 48]),  # the middle one
        ([5000], ("months", 12.0), [1, 6, 12]),
    ],
)
def test_a_horizon_has_whole_seasons_where_they_fit(lengths: list[int], step: Any, expected: list[int]) -> None:
    found = sizes({}, lengths, step)
    assert [found["season"], found["horizon"], found["context"]] == expected
    assert found["lags"] == ([found["season"]] if found["season"] > 1 else [])


def test_what_is_given_stays_and_the_others_go_with_it() -> None:
    assert sizes({"horizon": 20}, [28], MONTHS) == {"season": 12, "horizon": 20, "context": 12, "lags": [12]}
    assert sizes({"season": 1, "layers": 3}, [28], MONTHS) == {"season": 1, "horizon": 3, "context": 6, "lags": []}
    all_given = {"season": 2, "horizon": 3, "context": 99, "lags": [1, 2]}
    assert sizes(all_given, [10], MONTHS) == all_given


@pytest.mark.parametrize(("months", "origins"), [(36, 2), (144, 2), (600, 3)])
def test_short_series_are_learnt_from_in_several_windows_and_scored_from_several_origins(
    months: int, origins: int
) -> None:
    time = tuple(f"{1950 + k // 12}-{1 + k % 12:02}" for k in range(months))
    whole = Series(values=np.random.default_rng(1).normal(size=months), time=time)
    train, valid, test = in_time([whole], [0.1, 0.1])
    task = Forecaster.prepare(train, hidden_size=2)
    for part in (valid, test):
        assert len(task.origins(task.encode(part[0]))) == origins
    feed = Windows([task.encode(train[0])], task.sight, rows=64, elements=10**6, seed=1)
    drawn = {window for epoch in range(100) for piece in feed.plan(epoch) for window in piece}
    assert len(drawn) >= 10
