"""Errors of naive forecasts before an origin: as the forecasts themselves make them, and none of what comes later."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.metrics.naive_forecasts import naive, seasonal_naive
from unrolled.metrics.past_errors import PastErrors, enough

LEVELS = (0.1, 0.5, 0.9)


def walk(steps: int, seed: int = 0, *, missing: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.cumsum(rng.normal(size=steps)) + 3 * np.sin(np.arange(steps))
    return np.where(rng.random(steps) < 0.2, np.nan, found) if missing else found


def by_hand(values: np.ndarray, origin: int, step: int, season: int) -> np.ndarray:
    """All errors at a step of the horizon, sorted, by a forecast from each earlier origin."""
    found = []
    for start in range(1, origin - step):
        before = values[:start]
        there = before[start + step % season - season :: -season] if start + step % season >= season else before[:0]
        if np.isnan(there).all():  # the forecast would not be the seasonal one, or none at all
            continue
        said = naive(before, step + 1) if season == 1 else seasonal_naive(before, step + 1, season)
        found.append(values[start + step] - said[step])
    return np.sort([error for error in found if error == error])


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("season", [1, 3, 5])
def test_they_are_those_of_the_forecasts_from_all_earlier_origins(season: int, missing: bool) -> None:
    values = walk(90, seed=season, missing=missing)
    errors = PastErrors(values, 7, season)
    for origin in (60, 61, 75, 90, 70):  # not all in order
        found = errors.quantiles(origin, LEVELS)
        assert found is not None
        for step in range(7):
            expected = np.quantile(by_hand(values, origin, step, season), LEVELS, method="weibull")
            np.testing.assert_allclose(found[step], expected, rtol=1e-12)


def test_what_comes_at_the_origin_and_behind_it_changes_nothing() -> None:
    values = walk(80)
    other = np.where(np.arange(80) < 50, values, 1e6)
    for season in (1, 4):
        one, two = (PastErrors(given, 6, season).quantiles(50, LEVELS) for given in (values, other))
        np.testing.assert_array_equal(one, two)
        (cut,) = (PastErrors(values[:50], 6, season).quantiles(50, LEVELS),)
        np.testing.assert_array_equal(one, cut)


def test_too_few_are_none() -> None:
    # Of the last of 3 steps a history of n has n - 3 errors; 10 are taken.
    assert enough(LEVELS) == 10
    errors = PastErrors(walk(40), 3, 1)
    assert errors.quantiles(12, LEVELS) is None
    assert errors.quantiles(13, LEVELS) is not None
    assert PastErrors(np.full(40, np.nan), 3, 1).quantiles(40, LEVELS) is None


def test_another_error_like_those_is_as_often_below_a_quantile_as_its_level_says() -> None:
    drawn = np.random.default_rng(5).normal(size=(2000, 26))
    below = np.zeros(len(LEVELS))
    for values in np.cumsum(drawn, axis=1):
        found = PastErrors(values, 1, 1).quantiles(25, LEVELS)
        assert found is not None
        below += values[25] <= values[24] + found[0]
    np.testing.assert_allclose(below / len(drawn), LEVELS, atol=0.025)
