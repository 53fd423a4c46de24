"""How far forecasts are from what came, in the units that forecasters compare.

    sMAPE    mean of 200 |y - f| / (|y| + |f|), in percent; 0 where both are 0
    MASE     mean |y - f| / mean |y_t - y_{t-m}| of the history, with a season of m steps: 1 is as good as the seasonal
             naive forecast was, one step ahead, in the history (Hyndman & Koehler 2006,
             doi:10.1016/j.ijforecast.2006.03.001)
    OWA      the mean of sMAPE and MASE, each as a share of that of a reference (M4: naive 2)
    CRPS     how far a whole distribution is from the value that came (Gneiting & Raftery 2007), from quantiles:
             2 mean over levels of the pinball loss; for a single quantile, the median, it is the absolute error
    coverage the share of values that came within an interval

Values that are missing (NaN) count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


def smape(actual: Real, forecast: Real) -> float:
    """In percent. actual, forecast: (steps,).

    >>> smape(np.array([100.0, 0.0]), np.array([300.0, 0.0]))
    50.0
    """
    actual, forecast = _both(actual, forecast)
    size = np.abs(actual) + np.abs(forecast)
    apart = np.abs(actual - forecast)
    return float(np.mean(200 * np.divide(apart, size, out=np.zeros_like(apart), where=size > 0)))


def mase(actual: Real, forecast: Real, history: Real, season: int = 1) -> float:
    """actual, forecast: (steps,); history: (earlier steps,). NaN where the history never changes, or has one season.

    >>> mase(np.array([3.0, 5.0]), np.array([4.0, 4.0]), np.array([1.0, 2.0, 4.0, 3.0]))
    0.75
    """
    actual, forecast = _both(actual, forecast)
    scale = naive_error(history, season)
    return float(np.mean(np.abs(actual - forecast)) / scale) if scale > 0 else float("nan")


def naive_error(history: Real, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast, one step ahead, in a history; NaN where it has none."""
    apart = np.abs(history[season:] - history[:-season])
    apart = apart[~np.isnan(apart)]
    return float(apart.mean()) if len(apart) else float("nan")


def owa(smape: float, mase: float, reference_smape: float, reference_mase: float) -> float:
    """The overall weighted average of the M4 competition.

    >>> owa(9.0, 0.9, 18.0, 1.0)
    0.7
    """
    return (smape / reference_smape + mase / reference_mase) / 2


def pinball(actual: Real, quantiles: Real, levels: Sequence[float]) -> Real:
    """The loss whose least mean a quantile has, (steps, levels). quantiles: (steps, levels); levels: in (0, 1).

    >>> pinball(np.array([3.0]), np.array([[1.0, 4.0]]), [0.5, 0.9]).tolist()
    [[1.0, 0.09999999999999998]]
    """
    apart = actual[:, None] - quantiles
    level = np.asarray(levels)
    found: Real = np.maximum(level * apart, (level - 1) * apart)
    return found


def crps(actual: Real, quantiles: Real, levels: Sequence[float]) -> float:
    """In the units of the values. The more levels, evenly in (0, 1), the nearer it is to the integral over all."""
    known = ~np.isnan(actual)
    _some(known)
    return float(2 * pinball(actual[known], quantiles[known], levels).mean())


def crps_of_samples(actual: Real, samples: Real) -> float:
    """E|X - y| - E|X - X'| / 2 of drawn values, in the units of the values. samples: (steps, draws)."""
    known = ~np.isnan(actual)
    _some(known)
    drawn = np.sort(samples[known], axis=1)
    count = drawn.shape[1]
    near = np.abs(drawn - actual[known, None]).mean(axis=1)
    # The sum of all differences of sorted numbers, without the table of all of them.
    apart = (drawn * (2 * np.arange(1, count + 1) - count - 1)).sum(axis=1) * 2 / count**2
    return float((near - apart / 2).mean())


def coverage(actual: Real, lower: Real, upper: Real) -> float:
    """actual, lower, upper: (steps,).

    >>> coverage(np.array([1.0, 5.0, np.nan]), np.zeros(3), np.full(3, 4.0))
    0.5
    """
    known = ~np.isnan(actual)
    _some(known)
    return float(((actual >= lower) & (actual <= upper))[known].mean())


def _both(actual: Real, forecast: Real) -> tuple[Real, Real]:
    if actual.shape != forecast.shape:
        raise ValueError(f"{len(actual)} values, {len(forecast)} forecasts: they must stand side by side")
    known = ~np.isnan(actual)
    _some(known)
    return actual[known], forecast[known]


def _some(known: NDArray[np.bool_]) -> None:
    if not known.any():
        raise ValueError("no value that came is known")
