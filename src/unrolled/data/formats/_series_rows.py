"""Series in tables of text, in one of three layouts.

    series,time,value        long: a row a step; the rows of one series stand together, in the order of time. `series`
    H1,2015-07-01 12:00,605  and `time` need not be there: then it is one series, or its steps have no times

    date,GOOG,AAPL           wide: a column a series; the first one is the time, as said below

    series,V1,V2,V3          rows: a row a series, as in the M4 competition; empty cells at a row's end are no steps. So
    H1,605,586,              it is where `values` names columns with numbers behind the name, and `series` the first one

`--set series=…`, `time=…`, `values=…` name the columns where they are called otherwise. In the long layout `ahead`,
`observed` and `static` name further ones, some with commas between them: what is known beforehand, what is known when a
step has passed, and words that do not change. An empty cell, `NaN`, `NA` or `?` is a missing value; rows without one at
the end of a series are steps to come.

The first column of the wide layout is the time where `time` names it, where a cell of it is no number, where it is
called `time`, `date`, `year` or another word of `TIMES`, or where its numbers rise by the same each time, three rows at
least. Else, and where `values` names it, it is a series: the steps have no times. In a long table without a column
`series`, which is as well a wide one of one series, the first column is the time where it is called so.

A forecast is written in the long layout: what was read in that as it was, further columns too, then the rows that come
behind it, with the words that do not change, and in the columns `forecast`, `q0.05` and so on what is forecast. Of the
other layouts the values and their times are written, a row a step. What was written can be read again; forecasts in it
are kept like other columns, until there are new ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Origin, Series
from unrolled.data.formats._signal_rows import MISSING, value_of
from unrolled.data.step_lines import StepLines
from unrolled.errors import BadData, UnknownName

Rows = Iterator[tuple[int, tuple[str, ...]]]
Real = NDArray[np.float64]

TIMES = frozenset(
    [
        "time",
        "date",
        "datetime",
        "timestamp",
        "year",
        "quarter",
        "month",
        "week",
        "day",
        "hour",
        "step",
        "index",
        "t",
        "",
    ]
)
"""What the column of times may be called in the wide layout, whatever the case; pandas gives its index no name."""
_FORECAST = re.compile(r"forecast|q0\.\d+|q\d(\.\d+)?e-\d+")


class Columns(NamedTuple):
    """Places of the long layout's columns; none where there is no such column."""

    series: int | None
    time: int | None
    values: int
    ahead: tuple[int, ...]
    observed: tuple[int, ...]
    static: tuple[int, ...]


def series(rows: Rows, header: tuple[str, ...], columns: Mapping[str, str], where: str | Path) -> Iterator[Series]:
    """The series of a table. rows: with their line numbers, without the header.

    Raises `UnknownName` for a column that is not there, `BadData` for what is no series.
    """
    value = columns.get("values", "value")
    if value in header:
        yield from _long(even(rows, len(header), where), header, columns, where)
    elif "values" in columns and (places := _numbered(header, value)):
        yield from _in_rows(rows, header, columns, places, where)
    elif "values" in columns and "," not in value:
        raise UnknownName("column", value, header, f"{where} (values)")
    else:
        yield from _wide(list(even(rows, len(header), where)), header, columns, where)


def even(rows: Rows, width: int, where: str | Path) -> Rows:
    """The rows, each of as many cells as the header has."""
    for number, cells in rows:
        if len(cells) != width:
            some = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
            raise BadData(f"{some} where the header has {width}", where, number)
        yield number, cells


def _numbered(header: Sequence[str], base: str) -> list[int]:
    return [k for k, name in enumerate(header) if re.fullmatch(rf"{re.escape(base)}\d+", name)]


def _long(rows: Rows, header: tuple[str, ...], columns: Mapping[str, str], where: str | Path) -> Iterator[Series]:
    at = _long_columns(header, columns, where)
    seen: set[str] = set()
    alone = columns.get("values", "")

    def name_of(row: tuple[int, tuple[str, ...]]) -> str:
        return alone if at.series is None else row[1][at.series]

    for name, group in groupby(rows, key=name_of):
        steps = list(group)
        first = steps[0][0]
        if name in seen:
            raise BadData(f"the series {name!r} begins again: the rows of one series must stand together", where, first)
        seen.add(name)
        words = tuple(steps[0][1][k] for k in at.static)
        for number, cells in steps:
            if tuple(cells[k] for k in at.static) != words:
                raise BadData(f"what is static changes within the series {name!r}", where, number)
        yield Series(
            values=_numbers(steps, header, (at.values,), where)[:, 0],
            series=name,
            time=None if at.time is None else tuple(cells[at.time] for _, cells in steps),
            ahead=_numbers(steps, header, at.ahead, where) if at.ahead else None,
            observed=_numbers(steps, header, at.observed, where) if at.observed else None,
            static=words,
            origin=Origin(where, first),
            lines=_lines(steps, where),
            rest={column: tuple(cells[k] for _, cells in steps) for k, column in enumerate(header)},
        )


def _long_columns(header: tuple[str, ...], columns: Mapping[str, str], where: str | Path) -> Columns:
    def one(field: str) -> int | None:
        name = columns.get(field, field)
        if field in columns and name not in header:
            raise UnknownName("column", name, header, f"{where} ({field})")
        return header.index(name) if name in header else None

    def some(field: str) -> tuple[int, ...]:
        names = [name.strip() for name in columns.get(field, "").split(",") if name.strip()]
        for name in names:
            if name not in header:
                raise UnknownName("column", name, header, f"{where} ({field})")
        return tuple(header.index(name) for name in names)

    one("time")  # which must be there where it was named
    time, values = _time_of(header, columns), header.index(columns.get("values", "value"))
    timed = header.index(time) if time in header else None
    return Columns(one("series"), timed, values, some("ahead"), some("observed"), some("static"))


def _time_of(header: Sequence[str], columns: Mapping[str, str]) -> str:
    """What the column of times is called in the long layout, whether it is there or not."""
    name = columns.get("time", "time")
    if "time" in columns or not header or {name, columns.get("series", "series")} & set(header):
        return name
    named = {columns.get("values", "value")}
    for field in ("ahead", "observed", "static"):
        named |= {column.strip() for column in columns.get(field, "").split(",")}
    first = header[0]
    return first if first.strip().lower() in TIMES - {""} and first not in named else name


def _in_rows(
    rows: Rows, header: tuple[str, ...], columns: Mapping[str, str], places: Sequence[int], where: str | Path
) -> Iterator[Series]:
    name = columns.get("series", header[0])
    if name not in header:
        raise UnknownName("column", name, header, f"{where} (series)")
    named = header.index(name)
    steps = [k for k in places if k != named]
    for number, cells in rows:
        if len(cells) > len(header):
            raise BadData(f"{len(cells)} columns where the header has {len(header)}", where, number)
        texts = [cells[k].strip() for k in steps if k < len(cells)]
        while texts and texts[-1] == "":
            texts.pop()
        values = [_number(text, header[k], where, number) for text, k in zip(texts, steps, strict=False)]
        yield Series(values=np.array(values), series=cells[named], origin=Origin(where, number))


def _wide(
    rows: list[tuple[int, tuple[str, ...]]], header: tuple[str, ...], columns: Mapping[str, str], where: str | Path
) -> Iterator[Series]:
    if not rows:
        return
    asked = [name.strip() for name in columns["values"].split(",")] if "values" in columns else None
    for name in asked or ():
        if name not in header:
            raise UnknownName("column", name, header, f"{where} (values)")
    if "time" in columns:
        if columns["time"] not in header:
            raise UnknownName("column", columns["time"], header, f"{where} (time)")
        timed: int | None = header.index(columns["time"])
    elif len(header) > 1 and header[0] not in (asked or ()) and _is_time(header[0], [cells[0] for _, cells in rows]):
        timed = 0
    else:
        timed = None
    time = None if timed is None else tuple(cells[timed] for _, cells in rows)
    lines = _lines(rows, where)
    for k, name in enumerate(header):
        if k != timed and (asked is None or name in asked):
            values = _numbers(rows, header, (k,), where)[:, 0]
            yield Series(values=values, series=name, time=time, origin=Origin(where, rows[0][0]), lines=lines)


def _lines(steps: Sequence[tuple[int, tuple[str, ...]]], where: str | Path) -> tuple[StepLines]:
    return (StepLines(where, np.array([number for number, _ in steps])),)


def _is_time(name: str, cells: Sequence[str]) -> bool:
    """Whether the first column of the wide layout is the time: it is called so, is no number, or counts the rows."""
    if name.strip().lower() in TIMES or not all(map(_is_number, cells)):
        return True
    numbers = np.array([value_of(cell) for cell in cells])
    if len(numbers) < 3 or not np.isfinite(numbers).all():
        return False
    apart = np.diff(numbers)
    return bool(apart.min() > 0 and np.ptp(apart) <= 1e-6 * apart.max())


def _numbers(
    steps: Sequence[tuple[int, tuple[str, ...]]], header: Sequence[str], places: Sequence[int], where: str | Path
) -> Real:
    return np.array([[_number(cells[k], header[k], where, number) for k in places] for number, cells in steps])


def _number(text: str, column: str, where: str | Path, line: int) -> float:
    if text.strip().lower() in MISSING:
        return float("nan")
    try:
        found = float(text)
    except ValueError:
        found = float("inf")
    if not np.isfinite(found):
        raise BadData(f"{text!r} in the column {column!r} where a number is expected", where, line)
    return found


def _is_number(text: str) -> bool:
    try:
        value_of(text)
    except ValueError:
        return False
    return True


def cells_of(example: Series, number: int, columns: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows of a series in the long layout, as they were read or anew, and those of its forecast.

    number: of one that has no name.
    """
    kept = _kept(example)
    name, value = columns.get("series", "series"), columns.get("values", "value")
    time = _time_of(tuple(kept), columns)
    given: dict[str, str] = {}
    # A table of one series need not have a column for its name.
    if name in kept:
        given[name] = example.series
    elif not kept or number > 1:
        given[name] = example.series or str(number)
    static = dict(zip(_names(columns, "static", example.static or None), example.static, strict=True))
    rows: list[dict[str, str]] = []
    for k in range(len(example.values)):
        row = {column: cells[k] if k < len(cells) else "" for column, cells in kept.items()} | given
        if example.time is not None:
            row[time] = example.time[k]
        _put(row, value, example.values[k])
        for field in ("ahead", "observed"):
            beside = getattr(example, field)
            for column, cell in zip(_names(columns, field, beside), [] if beside is None else beside[k], strict=True):
                _put(row, column, cell)
        rows.append(row | static)
    if example.forecast is None:
        return rows
    said, first = example.forecast, example.known
    for k, median in enumerate(said.median.tolist()):
        if first + k >= len(rows):
            rows.append({**given, value: "", **static})
            if said.time is not None:
                rows[-1][time] = said.time[k]
        row = rows[first + k]
        row["forecast"] = f"{median:.7g}"
        row |= {f"q{level:g}": f"{one:.7g}" for level, one in zip(said.levels, said.quantiles[k].tolist(), strict=True)}
    return rows


def _kept(example: Series) -> Mapping[str, Sequence[str]]:
    """The cells as they were read, without those of an earlier forecast where there is another one."""
    if not isinstance(example.rest, Mapping):
        return {}
    if example.forecast is None:
        return example.rest
    return {column: cells for column, cells in example.rest.items() if not _FORECAST.fullmatch(column)}


def _put(row: dict[str, str], column: str, number: float) -> None:
    """A number in its column; a cell that says it already stays as it is spelled."""
    there = row.get(column)
    if there is None or not _is_number(there) or not _same(value_of(there), number):
        row[column] = "" if number != number else repr(float(number))


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def _names(columns: Mapping[str, str], field: str, given: NDArray[np.float64] | Sequence[str] | None) -> list[str]:
    """What the columns of a field are called."""
    if given is None:
        return []
    count = len(given) if isinstance(given, tuple) else np.asarray(given).shape[1]
    named = [name.strip() for name in columns.get(field, "").split(",") if name.strip()]
    return named if len(named) == count else [f"{field}{k + 1}" for k in range(count)]
