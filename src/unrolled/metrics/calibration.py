r"""Whether a confidence can be believed: of the answers given with confidence 0.8, are 80 % right?

Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599. The n answers are put into M bins by confidence, bin m holding
those in ((m-1)/M, m/M] (and a confidence of 0 with the first); then, eq. 3,

    ECE = sum_m |B_m| / n * |accuracy(B_m) - confidence(B_m)|

Temperature scaling (section 4.2) divides the logits z by one number T, fitted on data that were not trained on, by the
mean negative log-likelihood; the answers stay what they are, and

    q_i = softmax(z / T)_i,   which is the same of log-probabilities in the place of z
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadOption
from unrolled.metrics.pairs import require_pairs

COLDEST, HOTTEST = 0.05, 20.0
"""Between which a temperature is looked for."""
ROUNDING = 1e-4
"""A sum of float32 exponentials, as a CRF's marginal is, may exceed 1 by about this much."""


class Bin(NamedTuple):
    """The `size` answers with a confidence above `lower` and up to `upper`, and their mean accuracy and confidence."""

    lower: float
    upper: float
    size: int
    accuracy: float
    confidence: float


def reliability(confidence: Sequence[float], correct: Sequence[bool], bins: int = 15) -> list[Bin]:
    """The reliability diagram as numbers; bins without an answer are left out.

    Args:
        confidence: the probability that each answer was given with.
        correct: whether it was right.
        bins: M, of equal width; 15 in the paper.
    """
    require_pairs(correct, confidence, "answers")
    if bins < 1:
        raise BadOption(f"bins must be 1 or more, not {bins}")
    edges = [m / bins for m in range(bins + 1)]
    members: dict[int, list[int]] = {}
    for answer, value in enumerate(confidence):
        if not 0 <= value <= 1 + ROUNDING:
            raise ValueError(f"answer {answer}: a confidence is between 0 and 1, not {value}")
        upper = bisect_left(edges, min(value, 1.0))
        members.setdefault(max(upper - 1, 0), []).append(answer)
    return [
        Bin(
            lower=edges[m],
            upper=edges[m + 1],
            size=len(members[m]),
            accuracy=sum(correct[k] for k in members[m]) / len(members[m]),
            confidence=math.fsum(confidence[k] for k in members[m]) / len(members[m]),
        )
        for m in sorted(members)
    ]


def expected_calibration_error(confidence: Sequence[float], correct: Sequence[bool], bins: int = 15) -> float:
    """The mean distance of confidence and accuracy: 0 where every confidence can be believed.

    >>> round(expected_calibration_error([0.9, 0.9, 0.6], [True, False, True]), 6)
    0.4
    """
    filled = reliability(confidence, correct, bins)
    return math.fsum(b.size * abs(b.accuracy - b.confidence) for b in filled) / len(confidence)


def at_temperature(log_p: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Log-probabilities at another temperature. log_p: (answers, choices)."""
    scaled = np.asarray(log_p, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return found


def fitted_temperature(log_p: NDArray[Any], gold: NDArray[np.int64]) -> float:
    """The temperature at which the right answers are the likeliest, between 0.05 and 20.

    Args:
        log_p: (answers, choices), log-probabilities, or logits.
        gold: (answers,), the number of the right choice.

    The mean negative log-likelihood is convex in 1/T, in which the minimum is looked for.
    """
    from scipy.optimize import minimize_scalar

    if len(log_p) != len(gold) or not len(gold):
        raise ValueError(f"{len(log_p)} answers but {len(gold)} right choices")
    rows = np.arange(len(gold))
    bounds = (1 / HOTTEST, 1 / COLDEST)
    found = minimize_scalar(lambda b: -at_temperature(log_p, 1 / b)[rows, gold].mean(), bounds=bounds, method="bounded")
    return float(1 / found.x)
