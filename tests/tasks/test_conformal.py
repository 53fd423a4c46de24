"""How far quantiles are moved: by hand, and what it is for, by leaving out each value in turn."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.tasks._conformal import ENOUGH, offsets, shifted

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


def alike(values: np.ndarray) -> np.ndarray:
    """The same residuals at each level."""
    return np.repeat(values[:, None], len(LEVELS), axis=1)


def test_offsets_by_hand() -> None:
    drawn = np.random.default_rng(1).permutation(np.arange(1.0, 40.0))
    # 0.05, 0.1, 0.9 and 0.95 of 39 + 1: the 2nd, 4th, 36th and 38th smallest. The median stays.
    found = offsets(alike(drawn), LEVELS)
    assert found is not None
    assert found.tolist() == [2, 4, 0, 36, 38]


def test_each_quantile_has_its_own_residuals() -> None:
    apart = alike(np.arange(1.0, 40.0)) * np.array([1, 10, 100, 1000, 10000])
    found = offsets(apart, LEVELS)
    assert found is not None
    assert found.tolist() == [2, 40, 0, 36_000, 380_000]


@pytest.mark.parametrize("count", [20, 21, 33, 39, 59, 100])
def test_of_values_alike_the_next_one_lies_below_as_often_as_the_level_says_at_least(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count + 1)
    below = np.zeros(len(LEVELS))
    for place, following in enumerate(values):
        found = offsets(alike(np.delete(values, place)), LEVELS)
        assert found is not None
        below += following <= found
    share = below / (count + 1)
    assert share[0] <= 0.05
    assert share[1] <= 0.1
    assert share[3] >= 0.9
    assert share[4] >= 0.95
    assert (np.abs(share - LEVELS)[[0, 1, 3, 4]] <= 1 / count).all(), "and no oftener than need be"


def test_of_too_few_residuals_nothing_is_said() -> None:
    assert offsets(alike(np.arange(ENOUGH - 1.0)), LEVELS) is None
    assert offsets(np.zeros((0, len(LEVELS))), LEVELS) is None
    assert offsets(alike(np.arange(float(ENOUGH))), LEVELS) is not None


def test_quantiles_that_cross_when_they_are_moved_leave_the_median_where_it_is() -> None:
    found = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.9, 3.0, 3.1, 9.0]])
    by = np.array([0.0, 0.5, 0.0, -0.5, -3.0])
    assert shifted(found, by, 2).tolist() == [[1.0, 2.5, 3.0, 3.5, 3.5], [1.0, 3.0, 3.0, 3.0, 6.0]]
    assert np.array_equal(shifted(found, np.zeros(5), 2), found)
