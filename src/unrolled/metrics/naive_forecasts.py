"""Forecasts that look at nothing but the last values: what every forecast has to beat, and often does not.

    naive            y_n                                  the last value: of prices, a random walk's best forecast
    seasonal naive   y_{n + h - m k}                      the same place in the last season of m steps
    drift            y_n + h (y_n - y_1) / (n - 1)        the line through the first and the last value
    naive 2          the naive one of what is seasonally adjusted, where a test finds a season, with the season put back
                     (Makridakis, Spiliotis & Assimakopoulos 2020, doi:10.1016/j.ijforecast.2019.04.014: the M4
                     competition's reference)

Hyndman & Athanasopoulos, "Forecasting: principles and practice", section 5.2, for the first three. Missing values (NaN)
are passed over: the last value is the last that is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


def naive(history: Real, horizon: int) -> Real:
    """(horizon,). history: (steps,), one value known at least.

    >>> naive(np.array([1.0, 3.0, np.nan]), 2).tolist()
    [3.0, 3.0]
    """
    return np.full(horizon, _known(history)[-1])


def seasonal_naive(history: Real, horizon: int, season: int) -> Real:
    """(horizon,); where the last season is not known at a place an earlier one is, and at last the last value.

    >>> seasonal_naive(np.array([9.0, 1.0, 2.0, 3.0]), 4, 3).tolist()
    [1.0, 2.0, 3.0, 1.0]
    """
    last = _known(history)[-1]
    found = np.empty(horizon)
    for step in range(horizon):
        places = np.arange(len(history) + step % season - season, -1, -season)
        there = history[places] if len(places) else np.array([])
        there = there[~np.isnan(there)]
        found[step] = there[0] if len(there) else last
    return found


def drift(history: Real, horizon: int) -> Real:
    """(horizon,).

    >>> drift(np.array([1.0, 5.0, 4.0]), 2).tolist()
    [5.5, 7.0]
    """
    places = np.flatnonzero(~np.isnan(history))
    first, last = places[0], places[-1]
    slope = (history[last] - history[first]) / (last - first) if last > first else 0.0
    found: Real = history[last] + slope * (len(history) - 1 - last + np.arange(1, horizon + 1))
    return found


def naive2(history: Real, horizon: int, season: int) -> Real:
    """(horizon,). history: nothing missing, all positive where it is to have a season."""
    index = seasonal_index(history, season) if is_seasonal(history, season) else np.ones(season)
    adjusted = history[-1] / index[(len(history) - 1) % season]
    found: Real = adjusted * index[(len(history) + np.arange(horizon)) % season]
    return found


def is_seasonal(history: Real, season: int) -> bool:
    """Whether the autocorrelation at a season's distance is more than chance, at 90 %, as the M4 competition tests it:

    |r_m| > 1.645 sqrt((1 + 2 (r_1^2 + … + r_{m-1}^2)) / n)
    """
    if season < 2 or len(history) < 3 * season or not (history > 0).all():
        return False
    apart = history - history.mean()
    total = float(apart @ apart)
    if total == 0:
        return False
    r = np.array([float(apart[lag:] @ apart[:-lag]) / total for lag in range(1, season + 1)])
    limit = 1.645 * np.sqrt((1 + 2 * float(r[:-1] @ r[:-1])) / len(history))
    return bool(abs(r[-1]) > limit)


def seasonal_index(history: Real, season: int) -> Real:
    """By what each place of a season is multiplied: the mean ratio to a centred moving average, in all 1 on average
    (classical decomposition). history: two seasons at least, all positive.
    """
    width = season + 1 - season % 2
    weights = np.ones(width) / season
    if season % 2 == 0:
        weights[[0, -1]] /= 2
    trend = np.convolve(history, weights, mode="valid")
    edge = width // 2
    ratio = history[edge : len(history) - edge] / trend
    place = (np.arange(len(ratio)) + edge) % season
    index = np.array([ratio[place == k].mean() for k in range(season)])
    found: Real = index / index.mean()
    return found


def _known(history: Real) -> Real:
    known: Real = history[~np.isnan(history)]
    if not len(known):
        raise ValueError("no value of the history is known")
    return known
