"""How far quantiles are to be moved, so that as many values lie below them as they say, whatever the network says.

    moved by, above the median    the k-th smallest of n residuals, k = ⌈level (n + 1)⌉, at most the largest
    below                         its mirror, k = ⌊level (n + 1)⌋, at least the smallest

A residual is how far a value that came was above the quantile. The n + 1, and not n, is what makes it hold for the
next value, too, which is one more beside those n (split conformal prediction; of quantiles: Romano, Patterson & Candès
2019, arXiv:1905.03222, eq. 8). It holds where the next values are like those: with series that is hoped, not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
ENOUGH = 20
"""Residuals, at least: of fewer nothing can be said of a twentieth."""


def offsets(apart: Real, levels: Sequence[float]) -> Real | None:
    """By how much to move each quantile, (levels,); None: there are too few residuals, and nothing is moved.

    The median is not moved: it is the forecast, which was chosen to be near the values, not between them.

    apart: (residuals, levels), all known.

    >>> offsets(np.arange(1.0, 40.0)[:, None] * np.ones(3), [0.05, 0.5, 0.95])
    array([ 2.,  0., 38.])
    """
    if len(apart) < ENOUGH:
        return None
    return np.array([_offset(column, level) for column, level in zip(apart.T, levels, strict=True)])


def shifted(found: Real, by: Real, median: int) -> Real:
    """Quantiles, each moved by its offset; one that has crossed a quantile nearer to the median is drawn back to it.

    Sorting would do as much for the others, but puts a quantile that has crossed the median in its place.

    found: (…, levels), rising; by: (levels,); median: which of them it is.

    >>> shifted(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.0, -1.5, -1.5]), 1)
    array([1. , 2. , 2. , 2.5])
    """
    off = found + by
    above = np.maximum.accumulate(off[..., median:], axis=-1)
    below = np.minimum.accumulate(off[..., median::-1], axis=-1)[..., :0:-1]
    return np.concatenate([below, above], axis=-1)


def _offset(apart: Real, level: float) -> float:
    if level == 0.5:
        return 0.0
    if level < 0.5:
        return -_offset(-apart, 1 - level)
    place = math.ceil(level * (len(apart) + 1) - 1e-9)  # 0.95 of 40 is not to be 39 because of its last digit
    return float(np.sort(apart)[min(place, len(apart)) - 1])
