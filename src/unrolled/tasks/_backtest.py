"""Forecasts from rolling origins against what came, and the reference forecasts beside them.

`mase`, `smape` of the medians; `crps`, in units of the seasonal naive error as MASE is; `coverage` of each interval
between two levels that stand opposite; `owa` against naive 2; and MASE and sMAPE of the naive, the seasonal naive and
the drift forecast from the same origins. The first two of these have a CRPS, too: their quantiles are what they say and
the errors that they made before the origin (`metrics.past_errors`).

`skill` is 1 less MASE over the best of theirs: 0 is no better than the best, less is worse. `crps_skill` is the same of
CRPS; where theirs is not there, it is over the best MASE, the CRPS of a forecast that says one value. It decides which
weights are best, as the quantiles are to be good and not the median only: of prices, where the last value again is the
best median, a network that has learnt nothing yet would have the best `skill`.

Figures are means over a series' forecasts, then over series. One that is not defined is not there, as MASE is not where
no series had changed before, nor skills where the best of the others makes no error, nor the CRPS of a naive forecast
where one of the forecasts that have a `crps` has too few errors before it: it would be a mean over others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadData
from unrolled.metrics.forecasts import coverage, crps, mase, naive_error, owa, smape
from unrolled.metrics.naive_forecasts import drift, naive, naive2, seasonal_naive
from unrolled.metrics.past_errors import PastErrors
from unrolled.tasks._windows import Window

Real = NDArray[np.float64]
RIVALS = {
    "naive": "the naive forecast, the last value again",
    "seasonal_naive": "the seasonal naive forecast, the last season again",
    "drift": "the drift forecast, the line through the first and the last value",
}
"""What need not learn, and how it forecasts."""
HARDLY = 0.01
"""Up to such a skill a forecast is hardly better."""


def scores(found: Iterable[tuple[Window, Real, float]], levels: Sequence[float], season: int) -> dict[str, float]:
    """Figures by name. found: windows, their quantiles (horizon, levels) in the units of the series, and scales.

    Raises `BadData` where there is none with a value before its origin and one behind it.
    """
    middle = list(levels).index(0.5)
    by_series: dict[int, list[dict[str, float]]] = defaultdict(list)
    seasons = {"naive": 1, "seasonal_naive": season} if season > 1 else {"naive": 1}
    # What is known of a series' past errors grows from origin to origin: its windows stand together.
    for (place, horizon), windows in groupby(found, key=lambda one: (id(one[0].series), len(one[1]))):
        past: dict[str, PastErrors] = {}
        for window, said, _ in windows:
            values, origin = window.series.values, window.origin
            past = past or {name: PastErrors(values, horizon, steps) for name, steps in seasons.items()}
            history, actual = values[:origin], values[origin : origin + horizon]
            if np.isnan(actual).all() or np.isnan(history).all():
                continue
            by_series[place].append(_of_window(history, actual, said[: len(actual)], levels, middle, season, past))
    if not by_series:
        raise BadData("no series has a value behind its history: there is nothing to score")
    rows = [{name: _mean([row[name] for row in some]) for name in some[0]} for some in by_series.values()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    figures = {name: _mean([row.get(name, float("nan")) for row in rows]) for name in names}
    reference = figures.pop("naive2_smape"), figures.pop("naive2_mase")
    figures["owa"] = owa(figures["smape"], figures["mase"], *reference) if min(reference) > 0 else float("nan")
    scored = [row for some in by_series.values() for row in some if row["crps"] == row["crps"]]
    for name in (f"{rival}_crps" for rival in seasons):
        if any(row[name] != row[name] for row in scored):
            figures[name] = float("nan")
    best = min(figures[f"{name}_mase"] for name in RIVALS if f"{name}_mase" in figures)
    theirs = [figures[f"{name}_crps"] for name in seasons]
    figures["skill"] = _skill(figures["mase"], best)
    figures["crps_skill"] = _skill(figures["crps"], min((one for one in theirs if one == one), default=best))
    return {name: value for name, value in figures.items() if value == value}


def verdict(figures: Mapping[str, float]) -> str:
    """In words, whether a forecast is better than the best of the naive ones. figures: of `scores`."""
    rivals = {name: figures[f"{name}_mase"] for name in RIVALS if f"{name}_mase" in figures}
    if "mase" not in figures or not rivals:
        why = "MASE is not defined where a series never changed before, or has one season alone"
        return f"whether it beats the naive forecasts is not known: {why}"
    best = min(rivals, key=lambda name: rivals[name])
    error, least = figures["mase"], rivals[best]
    better = "no better" if error >= least else "hardly better" if error > (1 - HARDLY) * least else "better"
    return f"{better} than {RIVALS[best]}: MASE {error:.3f} against {least:.3f}"


def _skill(error: float, best: float) -> float:
    return 1 - error / best if best > 0 else float("nan")


def _of_window(
    history: Real,
    actual: Real,
    said: Real,
    levels: Sequence[float],
    middle: int,
    season: int,
    past: Mapping[str, PastErrors],
) -> dict[str, float]:
    """past: errors of the naive forecasts by their names, of which those in the history are asked for."""
    steps = len(actual)
    references = {
        "naive": naive(history, steps),
        "seasonal_naive": seasonal_naive(history, steps, season),
        "drift": drift(history, steps),
    }
    if season == 1:
        del references["seasonal_naive"]
    whole = history[~np.isnan(history)]
    references["naive2"] = naive2(whole, steps, season) if len(whole) == len(history) else references["naive"]
    scale = naive_error(history, season)
    row = {"mase": mase(actual, said[:, middle], history, season), "smape": smape(actual, said[:, middle])}
    row["crps"] = crps(actual, said, levels) / scale if scale > 0 else float("nan")
    for k, level in enumerate(levels[:middle]):
        other = [at for at, one in enumerate(levels) if abs(one - (1 - level)) < 1e-9]
        if other:
            row[f"coverage_{100 * (1 - 2 * level):.0f}"] = coverage(actual, said[:, k], said[:, other[0]])
    for name, forecast in references.items():
        row[f"{name}_mase"] = mase(actual, forecast, history, season)
        row[f"{name}_smape"] = smape(actual, forecast)
        if name in past:
            apart = past[name].quantiles(len(history), levels)
            row[f"{name}_crps"] = float("nan")
            if apart is not None and scale > 0:
                row[f"{name}_crps"] = crps(actual, forecast[:, None] + apart[:steps], levels) / scale
    return row


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
