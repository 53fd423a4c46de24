"""Scores of quantities: scikit-learn's.

    mean squared error = mean (y - ŷ)²,    mean absolute error = mean |y - ŷ|,    R² = 1 - Σ (y - ŷ)² / Σ (y - ȳ)²

scikit-learn takes a second to import, so it is imported when a figure is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.metrics.pairs import require_pairs


def regression_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """`r2`, `mean_squared_error`, `mean_absolute_error`. Where all gold quantities are one, R² is 1 or 0.

    >>> regression_scores([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])["r2"]
    0.5
    """
    require_pairs(gold, predicted, "quantities")
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    return {
        "r2": float(r2_score(gold, predicted)) if len(gold) > 1 else float(gold[0] == predicted[0]),
        "mean_squared_error": float(mean_squared_error(gold, predicted)),
        "mean_absolute_error": float(mean_absolute_error(gold, predicted)),
    }
