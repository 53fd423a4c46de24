"""Forecasts against what came, and against those that need not learn: figures by hand, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.errors import BadData
from unrolled.tasks._backtest import scores, verdict
from unrolled.tasks._windows import Encoded, Window

LEVELS = (0.05, 0.5, 0.95)


def window(values: list[float], origin: int) -> Window:
    array, none = np.array(values, dtype=np.float64), np.zeros((len(values), 0))
    return Window(Encoded(array, len(values), origin, none, none, none, np.zeros(0, dtype=np.int64), None, 1), origin)


def figures(values: list[float], origin: int, median: float) -> dict[str, float]:
    """Of a forecast that says the same of each step to come, and is sure of it within 1."""
    said = np.repeat([[median - 1, median, median + 1]], len(values) - origin, axis=0)
    return scores([(window(values, origin), said, 1.0)], LEVELS, 1)


def test_skill_by_hand() -> None:
    # The changes before were 2, 1 and 2, their mean 5/3. The last value is 2 and 1 off; the line, 5 and 6, 1 and 1.
    found = figures([1, 3, 2, 4, 6, 5], 4, 5)
    assert found["mase"] == pytest.approx((1 + 0) / 2 / (5 / 3))
    assert found["naive_mase"] == pytest.approx((2 + 1) / 2 / (5 / 3))
    assert found["drift_mase"] == pytest.approx((1 + 1) / 2 / (5 / 3))
    assert found["skill"] == pytest.approx(0.5)
    # At 6 the quantiles cost 0.05 * 2, 0.5 * 1 and 0, at 5 they cost 0.05, 0 and 0.05: twice the mean of all six.
    assert found["crps_skill"] == pytest.approx(1 - 2 * 0.7 / 6)
    assert found["coverage_90"] == 1
    assert verdict(found) == (
        "better than the drift forecast, the line through the first and the last value: MASE 0.300 against 0.600"
    )


def test_the_crps_of_a_naive_forecast_by_hand() -> None:
    # 0 and 1 in turn: a step ahead the naive forecast was 1 too low as often as 1 too high, two steps ahead right.
    values = [float(k % 2) for k in range(60)] + [0.0, 0.0]
    found = figures(values, 60, 0)
    # Its last value is 1. Of 59 errors before 30 were 1: at levels of 0.05, 0.5 and 0.95 it says 0, 2 and 2, and then 1
    # each time. What came was 0.
    first, second = 2 * np.mean([0.0, 0.5 * 2, 0.05 * 2]), 2 * np.mean([0.95, 0.5, 0.05])
    assert found["naive_crps"] == pytest.approx((first + second) / 2)
    assert "seasonal_naive_crps" not in found


def test_the_crps_of_a_naive_forecast_is_the_mean_over_the_same_forecasts_as_ours_or_not_there() -> None:
    values = np.random.default_rng(1).normal(size=60).cumsum()
    said = np.repeat([[-1.0, 0.0, 1.0]], 4, axis=0)
    long, short = window(values.tolist(), 50), window(values[:30].tolist(), 23)
    assert {"crps", "naive_crps", "seasonal_naive_crps"} <= scores([(long, said, 1.0)], LEVELS, 3).keys()
    # 20 errors it takes: of the seasonal one, 2 seasons ahead at the fourth step, a history of 23 has 17.
    both = scores([(long, said, 1.0), (short, said, 1.0)], LEVELS, 3)
    assert "crps" in both
    assert not {"naive_crps", "seasonal_naive_crps"} & both.keys()
    never_changed = window([2.0] * 30, 25)  # has no CRPS of ours either
    assert "naive_crps" in scores([(long, said, 1.0), (never_changed, said, 1.0)], LEVELS, 1)
    skilled = scores([(long, said, 1.0)], LEVELS, 3)
    best = min(skilled["naive_crps"], skilled["seasonal_naive_crps"])
    assert skilled["crps_skill"] == pytest.approx(1 - skilled["crps"] / best)


def test_skill_is_not_there_where_it_is_not_defined() -> None:
    never_changed = figures([2, 2, 2, 3], 3, 3)
    assert not {"mase", "naive_mase", "skill", "crps_skill"} & never_changed.keys()
    assert never_changed["smape"] == 0
    assert verdict(never_changed).startswith("whether it beats the naive forecasts is not known: MASE is not defined")
    naive_is_right = figures([1, 2, 2, 2], 3, 3)
    assert not {"skill", "crps_skill"} & naive_is_right.keys()
    assert verdict(naive_is_right) == (
        "no better than the naive forecast, the last value again: MASE 2.000 against 0.000"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (0.653, "better than"),
        (0.933, "better than"),
        (0.934, "hardly better than"),
        (0.942, "hardly better than"),
        (0.943, "no better than"),
        (1.020, "no better than"),
    ],
)
def test_a_verdict_is_against_the_best_of_those_that_need_not_learn(error: float, said: str) -> None:
    rivals = {"naive_mase": 0.943, "seasonal_naive_mase": 1.08, "drift_mase": 0.987}
    found = verdict({"mase": error, "crps": 0.1, "skill": 0.9, **rivals})
    assert found == f"{said} the naive forecast, the last value again: MASE {error:.3f} against 0.943"
    others = {**rivals, "seasonal_naive_mase": 0.5}
    assert verdict({"mase": 0.6, **others}) == (
        "no better than the seasonal naive forecast, the last season again: MASE 0.600 against 0.500"
    )


def test_nothing_to_score_is_said() -> None:
    nan = float("nan")
    for found in ([], [(window([nan, nan, 5.0], 1), np.zeros((2, 3)), 1.0)]):
        with pytest.raises(BadData, match="no series has a value behind its history: there is nothing to score"):
            scores(found, LEVELS, 1)
