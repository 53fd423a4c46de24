"""When the steps of a series are: read from its times, checked for gaps, and gone on with into the future.

Times are numbers, or dates as NumPy reads ISO 8601 (`1949`, `1949-01`, `1949-01-31`, `2014-07-01 00:30`), else as
dateutil does (`1/31/1981`). A step is a number, a span of seconds, or some months, which are not of one length; working
days step over weekends.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Unit = Literal["number", "seconds", "months", "workdays"]
DAY = 86_400
_YEAR = re.compile(r"[12]\d{3}")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


class NoTime(ValueError):  # noqa: N818  (a sentence about what happened, as those in `errors`)
    """place: of the step whose time is wrong, counted from 0; problem: what is."""

    def __init__(self, place: int, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"step {place + 1}: {problem}")


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
        at: a number for each step: seconds since 1970, or the numbers themselves.
        step: the most frequent distance of neighbours.

    Raises `NoTime` for what is no time, or not later than the one before.
    """

    def __init__(self, times: Sequence[str]) -> None:
        self.times = tuple(times)
        self.dates: NDArray[Any] | None = None
        numbers = _numbers(times)
        if numbers is not None:
            self.at = numbers
        else:
            self.dates = np.array([_date(place, text) for place, text in enumerate(times)], dtype="datetime64[s]")
            self.at = self.dates.astype(np.int64).astype(np.float64)
        early = np.flatnonzero(np.diff(self.at) <= 0)
        if len(early):
            place = int(early[0]) + 1
            raise NoTime(
                place, f"{times[place]} follows {times[place - 1]}: each time must be later than the one before"
            )
        self.step = self._step()

    def _step(self) -> Step:
        apart = np.diff(self.at)
        if self.dates is None:
            return Step("number", _most(apart) if len(apart) else 1.0)
        if all(_YEAR.fullmatch(text) for text in self.times):
            return Step(
                "months", 12 * _most(np.diff(self.dates.astype("datetime64[Y]").astype(int))) if len(apart) else 12
            )
        if not len(apart):
            return Step("seconds", DAY)
        month = self.dates.astype("datetime64[M]")
        inside = self.dates - month.astype("datetime64[s]")
        ends = (month + 1).astype("datetime64[s]") - self.dates <= np.timedelta64(DAY, "s")
        if apart.min() >= 28 * DAY and ((inside == inside[0]).all() or ends.all()):
            return Step("months", _most(np.diff(month.astype(int))))
        most = _most(apart)
        days = (self.dates.astype("datetime64[D]").astype(int) + 3) % 7  # Monday is 0
        if most == DAY and days.max() < 5 and ((apart == 3 * DAY) & (days[:-1] == 4)).any():
            return Step("workdays", 1)
        return Step("seconds", most)

    def gap(self) -> NoTime | None:
        """The first step that does not come one step after the one before; None where all do."""
        for place in range(1, len(self.times)):
            if self._after(place - 1, 1) != self.at[place]:
                told = f"{self.times[place]} follows {self.times[place - 1]}, where a step is {self.step}"
                return NoTime(place, told)
        return None

    def following(self, count: int) -> tuple[str, ...]:
        """The times of the steps that come, in the form of the last one."""
        return tuple(self._spelled(self._after(len(self.times) - 1, k)) for k in range(1, count + 1))

    def with_following(self, count: int) -> Clock:
        """The same series with so many further steps."""
        return Clock((*self.times, *self.following(count)))

    def calendar(self) -> NDArray[np.float64]:
        """Where in the day, the week and the year each step is, as sine and cosine, (steps, features): only what can
        change from step to step, so nothing of numbers and of years, and no time of day of days.
        """
        if self.dates is None:
            return np.zeros((len(self.times), 0))
        seconds = self.at
        length = self.step.size if self.step.unit == "seconds" else DAY if self.step.unit == "workdays" else 31 * DAY
        parts = []
        if length < DAY:
            parts.append(seconds % DAY / DAY)
        if length <= DAY:
            parts.append((seconds / DAY + 3) % 7 // 1 / 7)
        if not (self.step.unit == "months" and self.step.size % 12 == 0):
            year = self.dates.astype("datetime64[Y]")
            parts.append((self.dates - year.astype("datetime64[s]")).astype(np.int64) / (365.25 * DAY))
        turns = [2 * np.pi * part for part in parts]
        waves = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
        return np.stack(waves, axis=1) if waves else np.zeros((len(self.times), 0))

    def _after(self, place: int, count: int) -> float:
        """So many steps after a step of the series."""
        if self.step.unit in ("number", "seconds"):
            return float(self.at[place] + count * self.step.size)
        assert self.dates is not None
        if self.step.unit == "workdays":
            day = np.busday_offset(self.dates[place].astype("datetime64[D]"), count)
            return float(day.astype("datetime64[s]").astype(np.int64))
        month = self.dates[place].astype("datetime64[M]")
        inside = self.dates[place] - month.astype("datetime64[s]")
        last = (month + 1).astype("datetime64[s]") - np.timedelta64(1, "D")
        later = month + int(count * self.step.size)
        if self.dates[place].astype("datetime64[D]") == last.astype("datetime64[D]") and inside > np.timedelta64(
            1, "D"
        ):
            # The last day of a month is followed by that of the next one.
            ends = (later + 1).astype("datetime64[s]") - np.timedelta64(1, "D")
            return float(ends.astype("datetime64[s]").astype(np.int64))
        return float((later.astype("datetime64[s]") + inside).astype(np.int64))

    def _spelled(self, at: float) -> str:
        last = self.times[-1]
        if self.dates is None:
            return f"{at:g}" if at % 1 else str(int(at))
        date = np.datetime64(int(at), "s")
        if _YEAR.fullmatch(last):
            return str(date.astype("datetime64[Y]"))
        if re.fullmatch(r"\d{4}-\d{2}", last):
            return str(date.astype("datetime64[M]"))
        if _SLASHED.fullmatch(last):
            year, month, day = str(date.astype("datetime64[D]")).split("-")
            return f"{int(month)}/{int(day)}/{year}"
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", last):
            return str(date.astype("datetime64[D]"))
        text = str(date).replace("T", "T" if "T" in last else " ")
        return text[:-3] if last.count(":") == 1 else text


def _numbers(times: Sequence[str]) -> NDArray[np.float64] | None:
    """The times as numbers, where they are some and not all years."""
    try:
        found = np.array([float(text) for text in times])
    except ValueError:
        return None
    if not np.isfinite(found).all() or all(_YEAR.fullmatch(text) for text in times):
        return None
    return found


def _date(place: int, text: str) -> np.datetime64:
    text = text.strip()
    try:
        found = np.datetime64(text, "s")
    except ValueError:
        from dateutil import parser

        try:
            found = np.datetime64(parser.parse(text), "s")
        except (ValueError, OverflowError):
            raise NoTime(place, f"{text!r} is no time") from None
    if np.isnat(found):
        raise NoTime(place, f"{text!r} is no time")
    return found


def _most(apart: NDArray[Any]) -> float:
    """The most frequent distance, of equally frequent ones the shortest."""
    counts = Counter(apart.tolist())
    return float(min(counts, key=lambda value: (-counts[value], value)))
