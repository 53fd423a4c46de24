"""Series in tables of text, in one of three layouts.

    series,time,value        long: a row a step; the rows of one series stand together, in the order of time. `series`
    H1,2015-07-01 12:00,605  and `time` need not be there: then it is one series, or its steps have no times

    date,GOOG,AAPL           wide: a column a series; the first column is the time, unless all its cells are values

    series,V1,V2,V3          rows: a row a series, as in the M4 competition; empty cells at a row's end are no steps. So
    H1,605,586,              it is where `values` names columns with numbers behind the name, and `series` the first one

`--set series=…`, `time=…`, `values=…` name the columns where they are called otherwise. In the long layout `ahead`,
`observed` and `static` name further ones, some with commas between them: what is known beforehand, what is known when a
step has passed, and words that do not change. An empty cell, `NaN`, `NA` or `?` is a missing value; rows without one at
the end of a series are steps to come.

A forecast is written in the long layout: the rows as they were, those that come behind them, the columns `forecast` and
`q0.05` and so on filled in.
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
from unrolled.data.formats._signal_rows import MISSING
from unrolled.errors import BadData, UnknownName

Rows = Iterator[tuple[int, tuple[str, ...]]]
Real = NDArray[np.float64]


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

    values = header.index(columns.get("values", "value"))
    return Columns(one("series"), one("time"), values, some("ahead"), some("observed"), some("static"))


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
    timed: int | None = None
    if "time" in columns:
        if columns["time"] not in header:
            raise UnknownName("column", columns["time"], header, f"{where} (time)")
        timed = header.index(columns["time"])
    elif not all(_is_number(cells[0]) for _, cells in rows):
        timed = 0
    asked = [name.strip() for name in columns["values"].split(",")] if "values" in columns else None
    for name in asked or ():
        if name not in header:
            raise UnknownName("column", name, header, f"{where} (values)")
    time = None if timed is None else tuple(cells[timed] for _, cells in rows)
    for k, name in enumerate(header):
        if k != timed and (asked is None or name in asked):
            values = _numbers(rows, header, (k,), where)[:, 0]
            yield Series(values=values, series=name, time=time, origin=Origin(where, rows[0][0]))


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
        float(text)
    except ValueError:
        return text.strip().lower() in MISSING
    return True


def cells_of(example: Series, number: int, columns: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows of a series in the long layout, and those of its forecast. number: of one that has no name."""
    names = {field: columns.get(field, field) for field in ("series", "time")}
    value = columns.get("values", "value")
    steps = range(len(example.values))
    rows: list[dict[str, str]] = [{names["series"]: example.series or str(number)} for _ in steps]
    for k, row in enumerate(rows):
        if example.time is not None:
            row[names["time"]] = example.time[k]
        row[value] = _spelled(example.values[k])
        for field in ("ahead", "observed"):
            given = getattr(example, field)
            for column, cell in zip(_names(columns, field, given), [] if given is None else given[k], strict=True):
                row[column] = _spelled(cell)
        for column, word in zip(_names(columns, "static", example.static or None), example.static, strict=True):
            row[column] = word
    if example.forecast is None:
        return rows
    said, first = example.forecast, example.known
    for k, median in enumerate(said.median.tolist()):
        if first + k >= len(rows):
            rows.append({names["series"]: example.series or str(number), value: ""})
            if said.time is not None:
                rows[-1][names["time"]] = said.time[k]
        row = rows[first + k]
        row["forecast"] = f"{median:.7g}"
        row |= {f"q{level:g}": f"{one:.7g}" for level, one in zip(said.levels, said.quantiles[k].tolist(), strict=True)}
    return rows


def _names(columns: Mapping[str, str], field: str, given: NDArray[np.float64] | Sequence[str] | None) -> list[str]:
    """What the columns of a field are called."""
    if given is None:
        return []
    count = len(given) if isinstance(given, tuple) else np.asarray(given).shape[1]
    named = [name.strip() for name in columns.get(field, "").split(",") if name.strip()]
    return named if len(named) == count else [f"{field}{k + 1}" for k in range(count)]


def _spelled(value: float) -> str:
    return "" if value != value else repr(float(value))
