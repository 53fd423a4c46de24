"""When the steps of a series are: read from its times, checked for gaps, and gone on with into the future.

Times are numbers, or dates in one of many forms (`times.py`). A step is a number, a span of seconds, or some months,
which are not of one length; working days step over weekends. Where a column of times can be read in several ways it is
read in the first whose steps are all of one length; where there is none, in the first in which each time is later than
the one before. So `01/02/2020` is the first of February where `13/02/2020` stands in the same column, or where steps
are of one length only so; where nothing tells, the month comes first.

Where a step may be longer or shorter than others (`Clock.elapsed`), what is a usual one changes along the series. It is
found for all places at once: what holds of the times before each of them, never what came behind it.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.times import MICRO, NoTime, Reading, readings

Unit = Literal["number", "seconds", "months", "workdays"]
DAY = 86_400
COARSE = 5
"""Steps of fewer ticks than these must be of one length to the tick: what is rounded would look like a gap."""
FREQUENT = 10
"""The most frequent distance is a usual one where it is every tenth at least; of exact times any two may differ."""
LONGEST = 10.0
"""Bound of the logarithm of a step in usual ones: what is more than 22,000 times as long is no longer told apart."""
ROUNDED = 0.05
"""Up to such a logarithm a step is a usual one, off by what times were rounded. It does not hang on how many digits
they have, which a later one may change."""


class Step(NamedTuple):
    """How far one step is from the next; day: of months, the day on which all steps are, in shorter ones the last."""

    unit: Unit
    size: float
    day: int = 1

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

    def elapsed(self, start: int, origin: int, stop: int) -> NDArray[np.float64]:
        """How long after the one before each of the steps start to stop is, (stop - start,): the logarithm of the time
        in usual steps, from -10 to 10; 0 for a usual one, for the first and those before it, and for a month or a
        weekend where such are the step.

        Usual is the most frequent of the distances before `origin`; where none comes twice, and is every tenth, the
        middle one; where there is none, any. What comes later is not looked at.

        Args:
            start: may be below 0.
            stop: up to the number of times.
        """
        found, first = np.zeros(stop - start), max(start, 1)
        if origin >= 2 and first < stop:
            step, usual = self._steps[origin], self._running[1][origin - 2]
            found[first - start :] = _long(self._read, step, usual, self._read.ticks[first - 1 : stop])
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
        return self._calendar(self._read.ticks)

    def calendar_after(self, origin: int, count: int) -> NDArray[np.float64]:
        """As `calendar`, (count, features), of the steps that come where the times before `origin`, one at least, are
        all that is known.
        """
        last = self._read.ticks[origin - 1 : origin]
        return self._calendar(_after(self._read, self._steps[origin], last, np.arange(1, count + 1)))

    def _calendar(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._read.kind == "number":
            return np.zeros((len(ticks), 0))
        seconds = ticks / self._read.per
        length = self.step.size if self.step.unit == "seconds" else DAY if self.step.unit == "workdays" else 31 * DAY
        parts = []
        if length < DAY:
            parts.append(seconds % DAY / DAY)
        if length <= DAY:
            parts.append((seconds / DAY + 3) % 7 // 1 / 7)
        if not (self.step.unit == "months" and self.step.size % 12 == 0):
            dates = _dates(ticks)
            begun = dates.astype("datetime64[Y]").astype("datetime64[us]")
            parts.append((dates - begun).astype(np.int64) / (365.25 * DAY * MICRO))
        turns = [2 * np.pi * part for part in parts]
        waves = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
        return np.stack(waves, axis=1) if waves else np.zeros((len(ticks), 0))

    @cached_property
    def _running(self) -> tuple[list[int], list[int]]:
        """The most frequent and the usual one of the distances before each place from the third on."""
        return _running(np.diff(self._read.ticks))

    @cached_property
    def _steps(self) -> list[Step]:
        """The step of the times before each place, and of all."""
        return _steps(self._read, self._running[0])


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
    day, works = (one[-1] for one in _regular(dates))
    if day:
        return Step("months", _most(np.diff(dates.astype("datetime64[M]").astype(int))), int(day))
    most = _length(apart, read.blur) / read.per
    return Step("workdays", 1) if works and most == DAY else Step("seconds", most)


def _steps(read: Reading, most: Sequence[int]) -> list[Step]:
    """For each place the step of the times before it, as `_step` finds it of these where nothing was rounded, (1 +
    steps,). most: frequent one of the distances up to each, in ticks.
    """
    single = _step(read._replace(ticks=read.ticks[:1]))
    if read.kind == "number":
        return [single, single, *(Step("number", size / read.per) for size in most)]
    dates = _dates(read.ticks)
    if read.kind == "year":
        years = _running(np.diff(dates.astype("datetime64[Y]").astype(int)))[0]
        return [single, single, *(Step("months", 12 * float(count)) for count in years)]
    days, works = (one[1:] for one in _regular(dates))
    months = _running(np.diff(dates.astype("datetime64[M]").astype(int)))[0] if days.any() else most
    found = [single, single]
    for size, count, day, work in zip(most, months, days.tolist(), works.tolist(), strict=True):
        if day:
            found.append(Step("months", float(count), day))
        else:
            found.append(Step("workdays", 1) if work and size == DAY * MICRO else Step("seconds", size / read.per))
    return found


def _regular(dates: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What holds of the dates up to each, (steps,) both: the day of the month on which all are where they are months
    apart, else 0; and whether all are working days, with a weekend between two.
    """
    days = dates.astype("datetime64[D]")
    hours, apart = (dates - days).astype(np.int64), np.diff(dates).astype(np.int64)
    months_apart = np.logical_and.accumulate((hours == hours[0]) & np.append(True, apart >= 28 * DAY * MICRO))
    weekday = (days.astype(int) + 3) % 7  # Monday is 0
    weekend = np.append(False, (apart == 3 * DAY * MICRO) & (weekday[:-1] == 4))
    works = np.logical_and.accumulate(weekday < 5) & np.logical_or.accumulate(weekend)
    return np.where(months_apart, _days_of_month(dates), 0), works


def _gaps(read: Reading, step: Step) -> NDArray[np.int64]:
    """The places of all steps that do not come one step after the one before."""
    expected = _after(read, step, read.ticks[:-1], np.array(1))
    # Two neighbours may each be off by a tick.
    off = 2 * read.blur if step.size * read.per >= COARSE * read.blur else 0
    return 1 + np.flatnonzero(np.abs(read.ticks[1:] - expected) > off)


def _long(read: Reading, step: Step, usual: int, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """The logarithm of each distance of two neighbours among the ticks, in usual steps. usual: distance of these,
    where they are neither months nor working days.
    """
    if step.unit == "workdays":
        days = _dates(ticks).astype("datetime64[D]")
        # Of times that are given some may be no working days: from Saturday to Sunday is less than one.
        long = np.maximum(np.busday_count(days[:-1], days[1:]), 0.5)
    else:
        one = _after(read, step, ticks[:-1], np.array(1)) - ticks[:-1] if step.unit == "months" else usual
        long = np.diff(ticks) / one
    found = np.clip(np.log(long), -LONGEST, LONGEST)
    return np.where(np.abs(found) < ROUNDED, 0.0, found)


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
    later = np.minimum(first + step.day, next_first) - 1
    return (later.astype("datetime64[us]") + hour).astype(np.int64)


def _dates(ticks: NDArray[np.int64]) -> NDArray[Any]:
    return ticks.astype("datetime64[us]")


def _days_of_month(dates: NDArray[Any]) -> NDArray[np.int64]:
    """The day on which all dates up to each are, in shorter months the last; 31 where all are the last ones; 0 where
    there is none; (steps,).
    """
    month = dates.astype("datetime64[M]")
    first = month.astype("datetime64[D]")
    days = (dates.astype("datetime64[D]") - first).astype(int) + 1
    ends = days == ((month + 1).astype("datetime64[D]") - first).astype(int)
    latest = np.maximum.accumulate(days)
    # Those that are not the last of their months must all be on one day, and none may be on a later one.
    least, most = (of.accumulate(np.where(ends, none, days)) for of, none in ((np.minimum, 32), (np.maximum, 0)))
    return np.where(np.logical_and.accumulate(ends), 31, np.where((least == most) & (most == latest), latest, 0))


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


def _running(apart: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Of the distances up to each the most frequent one, as `_most` has it, and the usual one: the same, or if that is
    a rare one the middle one, of two the shorter.
    """
    counts: Counter[int] = Counter()
    ordered: list[int] = []
    found: tuple[list[int], list[int]] = [], []
    most = 0
    for one in apart.tolist():
        counts[one] += 1
        insort(ordered, one)
        if (counts[one], -one) > (counts[most], -most):
            most = one
        found[0].append(most)
        frequent = counts[most] >= 2 and counts[most] * FREQUENT >= len(ordered)
        found[1].append(most if frequent else ordered[(len(ordered) - 1) // 2])
    return found
