"""Forecasts worked by hand, and the published figures of theirs."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest

from unrolled.metrics.forecasts import mase, smape
from unrolled.metrics.naive_forecasts import drift, is_seasonal, naive, naive2, seasonal_index, seasonal_naive


def test_the_last_value_and_the_last_season_and_the_line() -> None:
    history = np.array([2.0, 4.0, 6.0, 3.0, 8.0])
    assert naive(history, 2).tolist() == [8, 8]
    assert seasonal_naive(history, 5, 2).tolist() == [3, 8, 3, 8, 3]
    assert drift(history, 2).tolist() == [9.5, 11]


def test_missing_values_are_passed_over() -> None:
    history = np.array([1.0, 2.0, 3.0, np.nan, 5.0, np.nan])
    assert naive(history, 1).tolist() == [5]
    assert seasonal_naive(history, 3, 3).tolist() == [1, 5, 3]
    assert seasonal_naive(np.array([np.nan, 7.0]), 2, 4).tolist() == [7, 7]
    assert drift(history, 1).tolist() == [7]  # one a step from the first to the fifth, and two steps on
    with pytest.raises(ValueError, match="no value of the history is known"):
        naive(np.array([np.nan]), 1)


def test_one_value_has_no_drift() -> None:
    assert drift(np.array([3.0]), 2).tolist() == [3, 3]


def test_a_season_that_multiplies_is_found_and_put_back() -> None:
    index = np.array([0.5, 1.0, 1.5])
    history = 10 * np.tile(index, 6)
    assert is_seasonal(history, 3)
    np.testing.assert_allclose(seasonal_index(history, 3), index)
    np.testing.assert_allclose(naive2(history, 4, 3), [5, 10, 15, 5])
    rising = (10 + np.arange(24.0)) * np.tile([0.8, 1.2], 12)
    np.testing.assert_allclose(seasonal_index(rising, 2), [0.8, 1.2], atol=0.01)


def test_noise_has_no_season() -> None:
    rng = np.random.default_rng(1)
    found = [is_seasonal(100 + rng.normal(size=60), 4) for _ in range(200)]
    assert np.mean(found) < 0.2
    assert not is_seasonal(np.ones(30), 4)
    assert not is_seasonal(np.arange(1.0, 9.0), 4)
    assert naive2(np.array([3.0, 5.0]), 2, 4).tolist() == [5, 5]


def test_the_reference_forecasts_of_m4_have_their_published_figures(shared_data) -> None:
    rows = {}
    for part in ("train", "test"):
        with gzip.open(shared_data / "ts_m4_hourly" / f"Hourly-{part}.csv.gz", "rt") as file:
            lines = list(csv.reader(file))[1:]
        rows[part] = [np.array([float(cell) for cell in line[1:] if cell]) for line in lines]
    assert len(rows["train"]) == 414
    pairs = list(zip(rows["train"], rows["test"], strict=True))

    def figures(forecast) -> list[float]:
        said = [forecast(history) for history, _ in pairs]
        return [
            float(np.mean([smape(actual, f) for (_, actual), f in zip(pairs, said, strict=True)])),
            float(np.mean([mase(actual, f, history, 24) for (history, actual), f in zip(pairs, said, strict=True)])),
        ]

    assert figures(lambda history: naive(history, 48)) == pytest.approx([43.003, 11.608], abs=1e-3)
    assert figures(lambda history: seasonal_naive(history, 48, 24)) == pytest.approx([13.912, 1.193], abs=1e-3)
    assert figures(lambda history: naive2(history, 48, 24)) == pytest.approx([18.383, 2.395], abs=2e-3)
