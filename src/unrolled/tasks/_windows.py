"""Stretches of series in numbers: what a forecast looks back at, what is known of the steps to come, and what came.

A window has an origin: the steps before it are its context, those from it on its horizon. Nothing of a window depends
on a value at its origin or behind it but its target. Values are seen in deviations from the context's mean; what is to
be said is how far the series will be from its base, the seasonal naive forecast (without a season the last value), in
units of that forecast's mean error in the past. So series of any size and unit are alike to the network.

Where steps may be of other lengths (`gaps=kept`), each also says how long it was (`Clock.elapsed`). When a step to come
will be is known where columns are known ahead, whose rows hold it, and it says so; else a forecast goes on by usual
steps, in training as in use, whenever the steps then came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.clock import Clock, NoTime
from unrolled.data.examples import Series
from unrolled.data.feeds import Feed, Piece
from unrolled.errors import BadData, BadOption
from unrolled.metrics.forecasts import naive_error

Real = NDArray[np.float64]
LOOK_BACK = 8
"""Seasons, or lags, in which the last value that is known is looked for."""


class Encoded(NamedTuple):
    """A series in numbers.

    values: (steps,), NaN where one is missing; known: steps up to the last value; history: as `Series` has it;
    calendar: (steps and the horizon behind `known` at least, features); ahead, observed: (steps, features); static:
    (words,) numbers of words; time: of the steps, and of those to come; cost: elements of a window; clock: of `time`,
    where a step may be longer than another; None: every step is a usual one.
    """

    values: Real
    known: int
    history: int
    calendar: Real
    ahead: Real
    observed: Real
    static: NDArray[np.int64]
    time: tuple[str, ...] | None
    cost: int
    clock: Clock | None = None

    @property
    def length(self) -> int:
        """Elements that it costs."""
        return self.cost


class Window(NamedTuple):
    """Of an encoded series, with its origin."""

    series: Encoded
    origin: int

    @property
    def length(self) -> int:
        return self.series.cost


class Batch(NamedTuple):
    """context: (rows, steps, features); future: (rows, horizon, features); last: (rows,) how far the last value was
    from its base; base: (rows, horizon); scale: (rows,); target: (rows, horizon), scaled, NaN where it is not known;
    static: (rows, words); windows: which they are.
    """

    context: Tensor
    future: Tensor
    last: Tensor
    base: Real
    scale: Real
    target: Tensor
    static: Tensor
    windows: list[Window]


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a window sees.

    Attributes:
        context, horizon: steps.
        season: steps after which the series comes back; 1: none.
        lags: of earlier values that stand beside each step.
        counts: whether values are counts, which are no distances from a base.
        elapsed: whether each step says how long it was, of those to come where columns are known ahead.
    """

    context: int
    horizon: int
    season: int
    lags: tuple[int, ...] = ()
    counts: bool = False
    elapsed: bool = False

    def __post_init__(self) -> None:
        for name in ("horizon", "context", "season"):
            if getattr(self, name) < 1:
                raise BadOption(f"{name} must be 1 or more, not {getattr(self, name)}")
        if any(lag < 1 for lag in self.lags):
            raise BadOption(f"lags must be 1 or more, not {list(self.lags)}")

    def batch(self, windows: Sequence[Window]) -> Batch:
        """All windows have the features of the first."""
        parts = [self._numbers(window) for window in windows]
        context, future, last, base, scale, target = (
            np.stack([np.asarray(part[k], dtype=np.float64) for part in parts]) for k in range(6)
        )
        return Batch(
            torch.from_numpy(context).float(),
            torch.from_numpy(future).float(),
            torch.from_numpy(last).float(),
            base,
            scale,
            torch.from_numpy(target).float(),
            torch.from_numpy(np.stack([window.series.static for window in windows])),
            list(windows),
        )

    def _numbers(self, window: Window) -> tuple[Real, Real, float, Real, float, Real]:
        series, origin = window
        past = series.values[:origin]
        seen = past[-self.context :]
        known = seen[~np.isnan(seen)]
        if not len(known):
            known = past[~np.isnan(past)][-1:]
        mean = float(known.mean()) if len(known) else 0.0
        spread = float(known.std()) or max(abs(mean), 1.0)
        error = naive_error(past[-4 * self.context :], self.season)
        scale = error if error > 1e-6 * spread else spread
        base = self._base(past)
        if self.counts:
            scale, base = mean + 1.0, np.zeros(self.horizon)
        start = origin - self.context
        context = [
            _filled(_between(series.values, start, origin, mean) - mean) / spread,
            (~np.isnan(_between(series.values, start, origin, np.nan))).astype(float),
            np.full(self.context, np.log(scale / spread)),
        ]
        context += [_filled(_between(past, start - lag, origin - lag, mean) - mean) / spread for lag in self.lags]
        future = [np.full(self.horizon, np.log(scale / spread))]
        future += [_filled(self._lagged(past, lag, mean) - mean) / spread for lag in self.lags]
        for of in (series.calendar, series.ahead, series.observed):
            context += list(_between(of, start, origin, 0.0).T)
        future += [*self._to_come(window).T, *_between(series.ahead, origin, origin + self.horizon, 0.0).T]
        if self.elapsed:
            long = self._long(window)
            context.append(long[: self.context])
            future += [long[self.context :]] if series.ahead.shape[1] else []
        actual = _between(series.values, origin, origin + self.horizon, np.nan)
        before = self._base(past[:-1])[0] if len(past) > 1 and not self.counts else 0.0
        last = (past[-1] - before) / scale if len(past) > 1 and past[-1] == past[-1] else 0.0
        return np.stack(context, 1), np.stack(future, 1), last, base, scale, (actual - base) / scale

    def _to_come(self, window: Window) -> Real:
        """The calendar of the horizon, (horizon, features): of times that are known, or one usual step on and on."""
        series, origin = window
        if series.clock is None or series.ahead.shape[1]:
            return _between(series.calendar, origin, origin + self.horizon, 0.0)
        return series.clock.calendar_after(origin, self.horizon)

    def _long(self, window: Window) -> Real:
        """How long each step was, (context + horizon,); 0 before the series, and where a time is not known."""
        series, origin = window
        start, told = origin - self.context, np.zeros(self.context + self.horizon)
        if series.clock is not None:
            stop = min(origin + self.horizon, len(series.values)) if series.ahead.shape[1] else origin
            told[: stop - start] = series.clock.elapsed(start, origin, stop)
        return told

    def _base(self, past: Real) -> Real:
        """The seasonal naive forecast, or the last value."""
        recent = past[-LOOK_BACK * self.context :]
        there = np.flatnonzero(~np.isnan(recent))
        if not len(there):
            return np.zeros(self.horizon)
        last = recent[there[-1]]
        if self.season == 1:
            return np.full(self.horizon, last)
        found = self._lagged(recent, self.season, np.nan)
        return np.where(np.isnan(found), last, found)

    def _lagged(self, past: Real, lag: int, fill: float) -> Real:
        """For each step of the horizon the value a whole number of lags before it, the latest that is known."""
        places = len(past) + np.arange(self.horizon)[:, None] % lag - lag * np.arange(1, LOOK_BACK + 1)
        there = np.where(places >= 0, past[np.maximum(places, 0)], np.nan)
        found = there[np.arange(self.horizon), (~np.isnan(there)).argmax(axis=1)]
        return np.where(np.isnan(found), fill, found)


class Windows(Feed):
    """Windows of series, drawn anew each epoch: of each series as many as it has room for horizons, one at least.

    Args:
        series: encoded.
        sight: what a window sees.
        rows: of a batch, at most.
        elements: of a batch, at most.
        seed: of the draw.

    Raises `BadData` where no series has two values.
    """

    def __init__(self, series: Sequence[Encoded], sight: Sight, *, rows: int, elements: int, seed: int) -> None:
        self._series = [one for one in series if one.known >= 2]
        if not self._series:
            raise BadData("no series has two values: there is nothing to learn from")
        self._sight, self._seed = sight, seed
        self._each = sight.context + sight.horizon
        self._rows = max(1, min(rows, elements // self._each))
        self._counts = [max(1, one.known // sight.horizon) for one in self._series]
        self.elements = sum(self._counts) * self._each

    def plan(self, epoch: int) -> list[Piece]:
        random = np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
        drawn = []
        for row, (one, count) in enumerate(zip(self._series, self._counts, strict=True)):
            # The context should be there, and the horizon; of a short series neither need be whole.
            last = max(one.known - self._sight.horizon, 1)
            first = min(max(self._sight.season + 1, min(self._sight.context, last // 2)), last)
            raw = random.random_raw(count)
            drawn += [(row, first + int(number % np.uint64(last - first + 1))) for number in np.atleast_1d(raw)]
        order = np.argsort(random.random_raw(len(drawn)), kind="stable") if len(drawn) > 1 else np.zeros(1, dtype=int)
        shuffled = [drawn[k] for k in order]
        return [shuffled[k : k + self._rows] for k in range(0, len(shuffled), self._rows)]

    def take(self, piece: Piece) -> list[Any]:
        return [Window(self._series[row], origin) for row, origin in piece]

    def size(self, piece: Piece) -> tuple[int, int]:
        return len(piece), len(piece) * self._each


def clock_of(example: Series, *, may_lack: bool) -> Clock | None:
    """The times of a series. Raises `BadData` for what is no time, and for a gap, unless some may be there."""
    if example.time is None:
        return None
    try:
        clock = Clock(example.time)
    except NoTime as error:
        raise _at(example, error) from None
    wrong = None if may_lack else clock.gap()
    if wrong is not None:
        hint = "give the missing steps rows without a value, or --set gaps=kept"
        raise _at(example, NoTime(wrong.place, f"a gap in {example.title}: {wrong.problem}; {hint}"))
    return clock


def _at(example: Series, error: NoTime) -> BadData:
    """The error with the line of its step."""
    if example.origin is None:
        return BadData(f"step {error.place + 1}: {error.problem}")
    return example.problem_at(error.place, error.problem)


def _between(values: NDArray[Any], start: int, stop: int, fill: float) -> Real:
    """values[start:stop], whichever places there are; elsewhere `fill`."""
    found = np.full((stop - start, *values.shape[1:]), fill)
    low, high = max(start, 0), min(stop, len(values))
    if low < high:
        found[low - start : high - start] = values[low:high]
    return found


def _filled(values: Real) -> Real:
    return np.nan_to_num(values, nan=0.0)
