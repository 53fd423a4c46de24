"""How far naive forecasts were off in the past: with that they say how sure they are of what they say now.

    quantile of the step h     naive forecast + that quantile of its errors h steps ahead, from all earlier origins
                               whose step h lies before this one

The quantile for a level p is the p (n + 1)-th smallest of n errors, between two of them on the line through both: of
another error like those, p is the chance that it is no larger. Nothing is assumed of how errors are distributed, so
there must be so many that the outermost quantile lies among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


class PastErrors:
    """Errors of the seasonal naive forecast of a series, at each step of its horizon, up to one origin after another.

    An error counts where the place in an earlier season is known: what the forecast says otherwise is not seasonal.

    Args:
        values: (steps,), NaN where one is missing. Those at an origin and behind it are not looked at.
        horizon: steps.
        season: steps; 1: of the naive forecast, which says the last value again.
    """

    def __init__(self, values: Real, horizon: int, season: int) -> None:
        self._values, self._last = values, last_known(values, season)
        # Steps of one season ahead have the same errors: the value less that one season before, or two, and so on.
        self._rows = np.arange(horizon) // season
        self._lags = season * np.arange(1, self._rows[-1] + 2)[:, None]
        self._begin()

    def _begin(self) -> None:
        self._origin = 0
        self._sorted: Real = np.empty((len(self._lags), len(self._values)))
        self._counts = np.zeros(len(self._lags), dtype=np.int64)

    def quantiles(self, origin: int, levels: Sequence[float]) -> Real | None:
        """(horizon, levels), in the units of the values, to be added to the forecast; None where errors are too few.

        Quickest where origins rise from call to call. levels: in (0, 1).
        """
        if origin < self._origin:
            self._begin()
        new = self._between(self._origin, origin)
        self._sorted[:, self._origin : origin] = new
        self._counts += (~np.isnan(new)).sum(axis=1)
        # What is sorted but for its end is sorted anew in little time by what merges sorted parts. NaN come last.
        self._sorted[:, :origin].sort(axis=1, kind="stable" if self._origin else "quicksort")
        self._origin = origin
        if self._counts.min() < enough(levels):
            return None
        place = np.asarray(levels) * (self._counts[:, None] + 1) - 1
        low = np.clip(np.floor(place).astype(np.int64), 0, self._counts[:, None] - 2)
        below, above = (np.take_along_axis(self._sorted, low + more, axis=1) for more in (0, 1))
        found: Real = (below + (place - low) * (above - below))[self._rows]
        return found

    def _between(self, start: int, stop: int) -> Real:
        """(lags, steps): errors at those places, NaN where there is none."""
        places = np.arange(start, stop) - self._lags
        before = np.where(places >= 0, self._last[np.maximum(places, 0)], np.nan)
        found: Real = self._values[start:stop] - before
        return found


def enough(levels: Sequence[float]) -> int:
    """Errors that such quantiles take, two at least.

    >>> enough([0.05, 0.5, 0.95]), enough([0.5])
    (20, 2)
    """
    return math.ceil(1 / min(*levels, *(1 - level for level in levels)) - 1e-9)


def last_known(values: Real, season: int) -> Real:
    """(steps,): of each place the value there or, where it is missing, the last that is known whole seasons before.

    >>> last_known(np.array([1.0, 2.0, np.nan, 4.0, np.nan, np.nan]), 2)
    array([1., 2., 1., 4., 1., 4.])
    """
    there = ~np.isnan(values)
    if there.all():
        return values
    places = np.where(there, np.arange(len(values)), -1)
    by_season = np.pad(places, (0, -len(places) % season), constant_values=-1).reshape(-1, season)
    last = np.maximum.accumulate(by_season, axis=0).reshape(-1)[: len(values)]
    return np.where(last >= 0, values[last], np.nan)
