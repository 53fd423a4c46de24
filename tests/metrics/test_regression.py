"""Scores of quantities, worked by hand."""

from __future__ import annotations

import pytest

from unrolled.metrics.regression import regression_scores


def test_figures_are_those_worked_by_hand() -> None:
    scores = regression_scores([1.0, 2.0, 6.0], [2.0, 2.0, 4.0])
    assert scores["mean_squared_error"] == pytest.approx(5 / 3)
    assert scores["mean_absolute_error"] == pytest.approx(1.0)
    assert scores["r2"] == pytest.approx(1 - 5 / 14)


def test_one_quantity_is_right_or_wrong() -> None:
    assert regression_scores([2.0], [2.0])["r2"] == 1.0
    assert regression_scores([2.0], [3.0])["r2"] == 0.0


def test_as_many_predictions_as_quantities_are_needed() -> None:
    with pytest.raises(ValueError, match="quantities"):
        regression_scores([1.0], [1.0, 2.0])
