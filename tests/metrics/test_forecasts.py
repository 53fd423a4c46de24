"""Figures of forecasts worked by hand, and from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unrolled.metrics.forecasts import coverage, crps, crps_of_samples, mase, naive_error, owa, pinball, smape

numbers = st.floats(-100, 100)


def test_smape_by_hand() -> None:
    assert smape(np.array([10.0, 20.0]), np.array([20.0, 20.0])) == pytest.approx((200 * 10 / 30 + 0) / 2)
    assert smape(np.array([1.0]), np.array([-1.0])) == 100 * 2
    assert smape(np.zeros(2), np.zeros(2)) == 0


def test_mase_by_hand() -> None:
    history = np.array([1.0, 3.0, 2.0, 6.0])  # changes 2, 1, 4; over two steps 1, 3
    assert mase(np.array([5.0]), np.array([7.0]), history) == pytest.approx(2 / (7 / 3))
    assert mase(np.array([5.0]), np.array([7.0]), history, 2) == pytest.approx(2 / 2)
    assert np.isnan(mase(np.array([5.0]), np.array([7.0]), np.ones(4)))
    assert np.isnan(naive_error(np.array([1.0, 2.0]), 2))


def test_missing_values_count_nowhere() -> None:
    actual, forecast = np.array([1.0, np.nan, 4.0]), np.array([2.0, 9.0, 4.0])
    kept = actual[[0, 2]], forecast[[0, 2]]
    assert smape(actual, forecast) == smape(*kept)
    assert mase(actual, forecast, np.array([1.0, np.nan, 2.0, 4.0])) == pytest.approx(0.5 / 2)
    with pytest.raises(ValueError, match="no value that came is known"):
        smape(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="2 values, 1 forecasts"):
        smape(np.zeros(2), np.zeros(1))


def test_owa_of_the_reference_is_one() -> None:
    assert owa(18.4, 2.4, 18.4, 2.4) == 1


@settings(max_examples=50, deadline=None)
@given(arrays(float, 9, elements=numbers), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_least_pinball_loss_is_that_of_the_quantile(values: np.ndarray, level: float) -> None:
    at = np.quantile(values, level, method="inverted_cdf")
    least = pinball(values, np.full((9, 1), at), [level]).mean()
    for other in values:
        assert least <= pinball(values, np.full((9, 1), other), [level]).mean() + 1e-9


def test_crps_of_a_normal_distribution_is_its_formula() -> None:
    from scipy.stats import norm

    actual, mean, deviation = 1.3, 0.4, 0.8
    z = (actual - mean) / deviation
    expected = deviation * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = norm.ppf(levels, mean, deviation)[None]
    assert crps(np.array([actual]), quantiles, levels) == pytest.approx(expected, rel=1e-3)
    drawn = np.random.default_rng(1).normal(mean, deviation, (1, 20_000))
    assert crps_of_samples(np.array([actual]), drawn) == pytest.approx(expected, rel=2e-2)


@settings(max_examples=30, deadline=None)
@given(arrays(float, 6, elements=numbers), numbers)
def test_crps_of_samples_is_its_definition(drawn: np.ndarray, actual: float) -> None:
    expected = np.abs(drawn - actual).mean() - np.abs(drawn[:, None] - drawn).mean() / 2
    assert crps_of_samples(np.array([actual]), drawn[None]) == pytest.approx(expected, abs=1e-6)


def test_crps_of_a_median_alone_is_the_absolute_error() -> None:
    assert crps(np.array([3.0, 1.0]), np.array([[5.0], [1.0]]), [0.5]) == 1.0


def test_coverage_counts_both_ends() -> None:
    assert coverage(np.array([0.0, 4.0, 4.1]), np.zeros(3), np.full(3, 4.0)) == pytest.approx(2 / 3)
