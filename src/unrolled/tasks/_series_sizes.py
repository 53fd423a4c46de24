"""How far a forecaster says and looks back, where nothing is said of it: as far as the training series have room for.

A season is what the times tell. Forecast are two seasons, or 6 steps where there is none; looked back at are four. Of
shorter series it is less: the tenth of a file that is set apart for validation is an eighth of what is left to learn
from, and should hold a horizon, or nothing can be scored but its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SEASONS = {
    ("seconds", 1800.0): 48, ("seconds", 3600.0): 24, ("seconds", 86400.0): 7, ("seconds", 604800.0): 52,
    ("workdays", 1.0): 5, ("months", 1.0): 12, ("months", 3.0): 4,
}  # fmt: skip
"""Steps of a season, where nothing is said: a day of half hours or hours, a week of days, a year."""
STEPS = 6
"""That are forecast without a season."""
SET_APART = 8
"""What is set apart of a series, as a part of what is left: 10 of 80 in a hundred."""


def sizes(given: Mapping[str, Any], lengths: Sequence[int], step: tuple[str, float] | None) -> dict[str, Any]:
    """Horizon, context, season and lags: those that were given, and the others to go with them.

    Args:
        given: options, of which these count.
        lengths: of the training series, in steps; the middle one decides.
        step: between two times, unit and size; None: there are no times.

    >>> sizes({}, [116], ("months", 1.0))  # of 144 months
    {'season': 12, 'horizon': 12, 'context': 48, 'lags': [12]}
    """
    season = given.get("season", 1 if step is None else SEASONS.get(step, 1))
    steps = int(np.median(lengths))
    horizon = given.get("horizon", _horizon(season, max(steps // SET_APART, 1)))
    # At least half of a series is left to draw windows from.
    room = max((steps - horizon) // 2, season, 2)
    context = given.get("context", min(max(4 * season, 2 * horizon), room))
    lags = given.get("lags", [season] if season > 1 else [])
    return {"season": season, "horizon": horizon, "context": context, "lags": lags}


def _horizon(season: int, room: int) -> int:
    """Whole seasons where one fits."""
    if season < 2:
        return min(STEPS, room)
    return next((steps for steps in (2 * season, season) if steps <= room), room)
