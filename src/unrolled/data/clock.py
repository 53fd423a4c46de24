"""When the steps of a series are: read from its times, checked for gaps, and gone on with into the future.

Times are numbers, or dates in one of many forms (`times.py`). A step is a number, a span of seconds, or some months,
which are not of one length; working days step over weekends. Where a column of times can be read in several ways it is
read in the first whose steps are all of one length; where there is none, in the first in which each time is later than
the one before. So `01/02/2020` is the first of February where `13/02/2020` stands in the same column, or where steps
are of one length only so; where nothing tells, the month comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.times import MICRO, NoTime, Reading, readings

Unit = Literal["number", "seconds", "months", "workdays"]
DAY = 86_400
COARSE = 5
"""Steps of fewer ticks than these must be of one length to the tick: what is rounded would look like a gap."""


class Step(NamedTuple):
    """How far one step is from the next."""

    unit: Unit
    size: float

    def __str__(self) -> str:
        if self.unit == "number":
            return f"{self.size:g}"
        if self.unit == "workdays":
            return "a working day"
        if self.unit == "months":
            return "a month" if self.size == 1 else "a year" if self.size == 12 else f"{self.size:g} months"
        for name, seconds in (("week", 7 * DAY), ("day", DAY), ("hour", 3600), ("minute", 60), ("second", 1)):
            if self.size % seconds == 0:
                count = self.size / seconds
                return f"{'an' if name == 'hour' else 'a'} {name}" if count == 1 else f"{count:g} {name}s"
        return f"{self.size:g} seconds"


class Clock:
    """The times of a series.

    Args:
        times: of its steps, one at least, as they stand in the file.

    Attributes:
        at: a number for each step: seconds since 1970, where the series is, or the numbers themselves.
        step: the most frequent distance of neighbours.

    Raises `NoTime` for what is no time, or not later than the one before.
    """

    def __init__(self, times: Sequence[str]) -> None:
        self.times = tuple(times)
        self._read = _likeliest(readings(self.times))
        early = np.flatnonzero(np.diff(self._read.ticks) <= 0)
        if len(early):
            place = int(early[0]) + 1
            raise NoTime(
                place, f"{times[place]} follows {times[place - 1]}: each time must be later than the one before"
            )
        self.at = self._read.ticks / self._read.per
        self.step = _step(self._read)

    def gap(self) -> NoTime | None:
        """The first step that does not come one step after the one before; None where all do."""
        places = _gaps(self._read, self.step)
        if not len(places):
            return None
        place = int(places[0])
        return NoTime(place, f"{self.times[place]} follows {self.times[place - 1]}, where a step is {self.step}")

    def elapsed(self) -> NDArray[np.float64]:
        """How much longer than usual each step took, (steps,): ln(time since the one before / length of a step); 0 for
        the first and wherever there is no gap.
        """
        usual = _after(self._read, self.step, self._read.ticks[:-1], np.array(1)) - self._read.ticks[:-1]
        places, found = _gaps(self._read, self.step), np.zeros(len(self.times))
        found[places] = np.log(np.diff(self._read.ticks)[places - 1] / usual[places - 1])
        return found

    def following(self, count: int) -> tuple[str, ...]:
        """The times of the steps that come, in the form of those that are there."""
        ticks = _after(self._read, self.step, self._read.ticks[-1:], np.arange(1, count + 1))
        return tuple(self._read.spell(tick) for tick in ticks.tolist())

    def with_following(self, count: int) -> Clock:
        """The same series with so many further steps."""
        return Clock((*self.times, *self.following(count)))

    def calendar(self) -> NDArray[np.float64]:
        """Where in the day, the week and the year each step is, as sine and cosine, (steps, features): only what can
        change from step to step, so nothing of numbers and of years, and no time of day of days.
        """
        if self._read.kind == "number":
            return np.zeros((len(self.times), 0))
        seconds = self.at
        length = self.step.size if self.step.unit == "seconds" else DAY if self.step.unit == "workdays" else 31 * DAY
        parts = []
        if length < DAY:
            parts.append(seconds % DAY / DAY)
        if length <= DAY:
            parts.append((seconds / DAY + 3) % 7 // 1 / 7)
        if not (self.step.unit == "months" and self.step.size % 12 == 0):
            dates = _dates(self._read.ticks)
            begun = dates.astype("datetime64[Y]").astype("datetime64[us]")
            parts.append((dates - begun).astype(np.int64) / (365.25 * DAY * MICRO))
        turns = [2 * np.pi * part for part in parts]
        waves = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
        return np.stack(waves, axis=1) if waves else np.zeros((len(self.times), 0))


def _likeliest(ways: Iterable[Reading]) -> Reading:
    """The first whose steps are all of one length; where there is none the first whose times rise, else the first."""
    others: list[tuple[bool, Reading]] = []
    for way in ways:
        falls = bool((np.diff(way.ticks) <= 0).any())
        if not falls and not len(_gaps(way, _step(way))):
            return way
        others.append((falls, way))
    return min(others, key=lambda other: other[0])[1]


def _step(read: Reading) -> Step:
    """The most frequent distance of neighbours."""
    apart = np.diff(read.ticks)
    if read.kind == "number":
        return Step("number", _length(apart, read.blur) / read.per if len(apart) else 1.0)
    dates = _dates(read.ticks)
    if read.kind == "year":
        return Step("months", 12 * (_most(np.diff(dates.astype("datetime64[Y]").astype(int))) if len(apart) else 1))
    if not len(apart):
        return Step("months", 1) if read.kind == "month" else Step("seconds", DAY)
    hours = dates - dates.astype("datetime64[D]")
    if apart.min() >= 28 * DAY * MICRO and (hours == hours[0]).all() and _day_of_month(dates):
        return Step("months", _most(np.diff(dates.astype("datetime64[M]").astype(int))))
    most = _length(apart, read.blur) / read.per
    days = (dates.astype("datetime64[D]").astype(int) + 3) % 7  # Monday is 0
    if most == DAY and days.max() < 5 and ((apart == 3 * DAY * MICRO) & (days[:-1] == 4)).any():
        return Step("workdays", 1)
    return Step("seconds", most)


def _gaps(read: Reading, step: Step) -> NDArray[np.int64]:
    """The places of all steps that do not come one step after the one before."""
    expected = _after(read, step, read.ticks[:-1], np.array(1))
    # Two neighbours may each be off by a tick.
    off = 2 * read.blur if step.size * read.per >= COARSE * read.blur else 0
    return 1 + np.flatnonzero(np.abs(read.ticks[1:] - expected) > off)


def _after(read: Reading, step: Step, ticks: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """So many steps after some of the series' times, in ticks; either of them may be a single one."""
    if step.unit in ("number", "seconds"):
        return ticks + np.rint(count * (step.size * read.per)).astype(np.int64)
    dates = _dates(ticks)
    days = dates.astype("datetime64[D]")
    hour = dates - days
    if step.unit == "workdays":
        later = np.busday_offset(days, count)
        return (later.astype("datetime64[us]") + hour).astype(np.int64)
    month = dates.astype("datetime64[M]") + (count * int(step.size)).astype("timedelta64[M]")
    first, next_first = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
    later = np.minimum(first + _day_of_month(_dates(read.ticks)), next_first) - 1
    return (later.astype("datetime64[us]") + hour).astype(np.int64)


def _dates(ticks: NDArray[np.int64]) -> NDArray[Any]:
    return ticks.astype("datetime64[us]")


def _day_of_month(dates: NDArray[Any]) -> int:
    """The day on which all are, in shorter months the last; 31 where all are the last ones; 0 where there is none."""
    month = dates.astype("datetime64[M]")
    first = month.astype("datetime64[D]")
    days = (dates.astype("datetime64[D]") - first).astype(int) + 1
    last = ((month + 1).astype("datetime64[D]") - first).astype(int)
    day = 31 if (days == last).all() else int(days.max())
    return day if (days == np.minimum(day, last)).all() else 0


def _length(apart: NDArray[np.int64], blur: int) -> float:
    """The most frequent distance; of times that were rounded the mean one, in which that is no more to be seen: thirds
    that are written 0.33, 0.67, 1.00 are not 0.33 apart.
    """
    most = _most(apart)
    if most >= COARSE * blur > 0:
        steps = np.rint(apart / most)
        if steps.min() >= 1 and np.abs(apart - steps * most).max() <= blur:
            return float(apart.sum() / steps.sum())
    return most


def _most(apart: NDArray[Any]) -> float:
    """The most frequent distance, of equally frequent ones the shortest."""
    counts = Counter(apart.tolist())
    return float(min(counts, key=lambda value: (-counts[value], value)))
