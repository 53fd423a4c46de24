"""Times as they stand in a file: the ways to read a column of them, each with how it is spelled.

A column is read as a whole, since one cell does not tell what it means. `01/02/2020` is in January or in February:
that stands in other rows, in which a number is above 12, or in which way the steps are of one length. Times are

    0.5, 17                       numbers, 20240131 and 202401 too where they cannot be dates
    1949, 1949-01, 1949-01-31     years, months and days, also with `/` or `.` between them, or with nothing: 19490131
    1/31/1949, 31.1.1949, 1/31/49 with the year behind; years of two digits lie between 1969 and 2068
    2014-07-01T00:30:00.250Z      any of these days, a blank or T, and a time of day, to a millionth of a second; then
                                  Z or an offset from UTC, the same in all rows

and else what dateutil makes of them, which is spelled as ISO 8601 has it. Where a column can be read in several ways,
the caller takes one: the order in which they come is that in which they are likely.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

MICRO = 1_000_000
"""Ticks of a second."""
EPOCH = datetime(1970, 1, 1)
DIGITS = 12
"""Behind the point of a number, at most."""

_WHOLE = re.compile(r"[+-]?\d+")
_YEAR = re.compile(r"[12]\d{3}")
_COMPACT = re.compile(r"((?:1[89]|2[01])\d\d)(\d\d)(\d\d)?")
_DATE = re.compile(
    r"(?P<one>\d{1,4})(?:(?P<between>[-/.])(?P<two>\d{1,2})(?:(?P=between)(?P<three>\d{1,4}))?)?"
    r"(?:(?P<gap>[Tt]| +)(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:(?P<mark>[.,])(?P<part>\d+))?)?)?"
    r"(?P<zone> ?(?:[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?))?)?"
)
_PLAIN = re.compile(r"[1-9]\d{3}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_ORDERS = {"mdy": "month/day/year", "dmy": "day/month/year", "ymd": "year-month-day"}


class NoTime(ValueError):  # noqa: N818  (a sentence about what happened, as those in `errors`)
    """place: of the step whose time is wrong, counted from 0; problem: what is."""

    def __init__(self, place: int, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"step {place + 1}: {problem}")


class Reading(NamedTuple):
    """A way to read a column of times.

    Attributes:
        kind: `number`; or `date`, `month` or `year`, by what is told of a date.
        ticks: (steps,), each time as a whole number: of dates millionths of a second since 1970, where they stand.
        per: ticks of 1, or of a second.
        blur: ticks by which a time may be off, having been rounded to so many digits; 0 where there are none.
        spell: ticks -> the time as the others are spelled.
    """

    kind: Literal["number", "date", "month", "year"]
    ticks: NDArray[np.int64]
    per: int
    blur: int
    spell: Callable[[int], str]


def readings(times: Sequence[str]) -> Iterator[Reading]:
    """The ways to read times, the likeliest first; one at least. times: one at least.

    Raises `NoTime` for the first that is none, or that is at another offset from UTC than the ones before.
    """
    texts = [text.strip() for text in times]
    numbers = None if all(map(_YEAR.fullmatch, texts)) else _numbers(texts)
    if numbers is not None:
        yield from _compact(texts)
        yield numbers
        return
    plain = _plain(texts)
    if plain is not None:
        yield plain
        return
    found = [_DATE.fullmatch(text) for text in texts]
    matches = [match for match in found if match is not None and _is_whole(match)]
    years = {len(match["one"]) == 4 for match in matches}
    if len(matches) == len(texts) and len(years) == 1:
        yield from _in_order(texts, matches, ("ymd",) if years.pop() else ("mdy", "dmy", "ymd"))
    else:
        for day_first in (False, True):
            yield _freely(texts, day_first=day_first)


def _is_whole(match: re.Match[str]) -> bool:
    """Whether what looks like a date has a year in it, and a day before a time of day."""
    one, three = len(match["one"]), len(match["three"] or "")
    if not three:
        return one == 4 and match["hour"] is None
    return (one == 4 and three <= 2) or (one <= 2 and three in (2, 4))


# ---------------------------------------------------------------------- numbers


def _numbers(texts: Sequence[str]) -> Reading | None:
    """The times as numbers, where they are some."""
    if all(map(_WHOLE.fullmatch, texts)):
        try:
            ticks = np.array([int(text) for text in texts], dtype=np.int64)
        except OverflowError:
            return None
        # 08, 09 are followed by 10, and 098, 099 by 100.
        width = len(texts[0]) if len({*map(len, texts)}) == 1 and any(text[0] == "0" for text in texts) else 0
        return Reading("number", ticks, 1, 0, lambda tick: str(tick).zfill(width))
    try:
        found = np.array([float(text) for text in texts])
    except ValueError:
        return None
    if not np.isfinite(found).all() or np.abs(found).max() >= 2.0**62:
        return None
    digits = _digits(found)
    shown = {len(text.partition(".")[2]) if text[-1].isdigit() and "e" not in text.lower() else 0 for text in texts}
    fixed = shown.pop() if len(shown) == 1 and max(shown) <= DIGITS else 0
    ticks = np.rint(found * 10.0**digits).astype(np.int64)
    return Reading("number", ticks, 10**digits, 1 if digits else 0, partial(_decimal, digits=digits, fixed=fixed))


def _digits(found: NDArray[np.float64]) -> int:
    """How many digits behind the point numbers have, but for what computing has added: of 0.30000000000000004 one."""
    apart = np.abs(np.diff(found))
    least = float(apart[apart > 0].min()) if apart.any() else 0.0
    off = max(1e-6 * least, 4e-16 * float(np.abs(found).max()))
    for digits in range(DIGITS):
        if np.abs(np.round(found, digits) - found).max() <= off:
            return digits
    return DIGITS


def _decimal(tick: int, digits: int, fixed: int) -> str:
    """A number of so many digits behind the point; fixed: that are shown in any case."""
    whole, part = divmod(abs(tick), 10**digits)
    decimals = (f"{part:0{digits}d}" if digits else "").rstrip("0").ljust(fixed, "0")
    return ("-" if tick < 0 else "") + str(whole) + (f".{decimals}" if decimals else "")


def _compact(texts: Sequence[str]) -> Iterator[Reading]:
    """20240131 and 202401 as dates, where all are valid ones."""
    matches = [match for match in map(_COMPACT.fullmatch, texts) if match is not None]
    if len(matches) < len(texts) or len({*map(len, texts)}) > 1:
        return
    try:
        dates = [datetime(int(match[1]), int(match[2]), int(match[3] or 1)) for match in matches]
    except ValueError:
        return
    form = Form("ymd" if matches[0][3] else "ym")
    yield Reading("date" if matches[0][3] else "month", _ticks(dates), MICRO, 0, form.spell)


# ---------------------------------------------------------------------- dates


class Form(NamedTuple):
    """How dates are spelled.

    Attributes:
        order: of year, month and day, each by its letter.
        between: what stands between them.
        short: whether a year has two digits.
        padded: whether a day has two, also below 10; padded_hour: whether an hour has.
        gap: between the date and the time of day.
        shown: of hour, minute and second, from the first on.
        digits: of a second's fraction; mark: before them.
        zone: the offset from UTC.
    """

    order: str
    between: str = ""
    short: bool = False
    padded: bool = True
    padded_hour: bool = True
    gap: str = " "
    shown: int = 0
    digits: int = 0
    mark: str = "."
    zone: str = ""

    def spell(self, tick: int) -> str:
        unit = 10 ** (6 - self.digits)
        if self.digits:
            tick = (tick + unit // 2) // unit * unit
        date = EPOCH + timedelta(microseconds=tick)
        width = 2 if self.padded else 1
        parts = {
            "y": f"{date.year % 100:02}" if self.short else f"{date.year:04}",
            "m": f"{date.month:0{width}}",
            "d": f"{date.day:0{width}}",
        }
        text = self.between.join(parts[letter] for letter in self.order)
        if not self.shown:
            return text
        hour = f"{date.hour:02}" if self.padded_hour else str(date.hour)
        text += self.gap + ":".join([hour, f"{date.minute:02}", f"{date.second:02}"][: self.shown])
        return text + (f"{self.mark}{date.microsecond // unit:0{self.digits}}" if self.digits else "") + self.zone


def _plain(texts: Sequence[str]) -> Reading | None:
    """Dates that are all spelled as in 2014-07-01 or 2014-07-01 00:30, which NumPy reads at once: there may be many."""
    if len({*map(len, texts)}) > 1 or not all(map(_PLAIN.fullmatch, texts)):
        return None
    try:
        ticks = np.array(texts, dtype="datetime64[us]").astype(np.int64)
    except ValueError:
        return None  # which of them is none is said where they are read one by one
    last = texts[-1]
    form = Form("ymd", "-", gap=last[10:11], shown=last.count(":") + 1 if last[10:] else 0)
    return Reading("date", ticks, MICRO, 0, form.spell)


def _in_order(texts: Sequence[str], matches: Sequence[re.Match[str]], orders: Sequence[str]) -> Iterator[Reading]:
    """Dates in each order of year, month and day in which all are valid."""
    zone = _one_zone(texts, [match["zone"] or "" for match in matches])
    failed: list[NoTime] = []
    for order in orders:
        try:
            dates = [_date(place, match, order) for place, match in enumerate(matches)]
        except NoTime as error:
            failed.append(error)
            continue
        form = _form(matches, order, zone)
        kind: Literal["date", "month", "year"] = "date" if len(form.order) == 3 else "month"
        blur = 10 ** (6 - form.digits) if form.digits else 0
        yield Reading("year" if form.order == "y" else kind, _ticks(dates), MICRO, blur, form.spell)
    if len(failed) == len(orders):
        raise max(failed, key=lambda error: error.place)  # of the order in which the most of them are


def _date(place: int, match: re.Match[str], order: str) -> datetime:
    text = match[0]
    parts = dict(zip(order, match.group("one", "two", "three"), strict=True))
    year = int(parts["y"])
    if len(parts["y"]) <= 2:
        year += 1900 if year >= 69 else 2000  # as POSIX has it
    fraction = match["part"] or ""
    if fraction[6:].strip("0"):
        raise NoTime(place, f"{text!r} is told to less than a millionth of a second: give it fewer digits")
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    micro = int(fraction[:6].ljust(6, "0"))
    try:
        return datetime(year, int(parts["m"] or 1), int(parts["d"] or 1), hour, minute, second, micro)
    except ValueError:
        how = f" as {_ORDERS[order]}, as those before it are" if order != "ymd" and place else ""
        raise NoTime(place, f"{text!r} is no time{how}") from None


def _form(matches: Sequence[re.Match[str]], order: str, zone: str) -> Form:
    """How dates are spelled, by the last of them; what one shows all show."""
    last = matches[-1]
    numbers = [
        part for match in matches for part, letter in zip(match.group("one", "two", "three"), order, strict=True)
        if part and letter != "y"
    ]  # fmt: skip
    single = any(len(part) == 1 for part in numbers)
    zero = any(part[0] == "0" for part in numbers)
    shown = max(sum(match[name] is not None for name in ("hour", "minute", "second")) for match in matches)
    count = max(sum(match[name] is not None for name in ("one", "two", "three")) for match in matches)
    return Form(
        order=order[:count],
        between=next((match["between"] for match in reversed(matches) if match["between"]), "-"),
        short=len(dict(zip(order, last.group("one", "two", "three"), strict=True))["y"]) <= 2,
        # ISO 8601 has two digits; 12/31/1981 may be followed by 1/1/1982, unless another one says 01.
        padded=not single and (zero or order == "ymd"),
        padded_hour=all(len(match["hour"] or "00") == 2 for match in matches),
        gap=next((match["gap"] for match in reversed(matches) if match["gap"]), " "),
        shown=shown,
        digits=min(max(len(match["part"] or "") for match in matches), 6),
        mark=next((match["mark"] for match in matches if match["mark"]), "."),
        zone=zone,
    )


def _freely(texts: Sequence[str], *, day_first: bool) -> Reading:
    """Dates as dateutil reads them, where they are not all in one of the forms above."""
    from dateutil import parser

    dates = []
    for place, text in enumerate(texts):
        match = _DATE.fullmatch(text)
        try:
            if match is not None and _is_whole(match) and len(match["one"]) == 4:
                # dateutil takes the day of 2020-02-01 to be the second where days come first.
                zone = (match["zone"] or "").strip()
                dates.append((_date(place, match, "ymd"), zone))
            else:
                date = parser.parse(text, default=EPOCH, dayfirst=day_first)
                zone = date.strftime("%z")
                dates.append((date.replace(tzinfo=None), f"{zone[:3]}:{zone[3:5]}" if zone else ""))
        except NoTime:
            raise
        except (ValueError, OverflowError):
            raise NoTime(place, f"{text!r} is no time") from None
    zone = _one_zone(texts, [zone for _, zone in dates])
    days = all(date.time() == EPOCH.time() for date, _ in dates) and not any(":" in text for text in texts)
    digits = 6 if any(date.microsecond for date, _ in dates) else 0
    seconds = digits > 0 or any(date.second for date, _ in dates) or any(text.count(":") > 1 for text in texts)
    form = Form("ymd", "-", shown=0 if days else 3 if seconds else 2, digits=digits, zone=zone)
    return Reading("date", _ticks([date for date, _ in dates]), MICRO, 0, form.spell)


def _one_zone(texts: Sequence[str], zones: Sequence[str]) -> str:
    """The offset from UTC that all times have."""
    for place, zone in enumerate(zones):
        if zone != zones[0]:
            told = f"{texts[place]} has another offset from UTC than {texts[place - 1]}"
            raise NoTime(place, f"{told}: write all times of a series with the same, that of UTC for example")
    return zones[0]


def _ticks(dates: Sequence[datetime]) -> NDArray[np.int64]:
    return np.array(dates, dtype="datetime64[us]").astype(np.int64)
