"""Numbers in tables of text: a row a step, or a row a recording.

    series,time,x,y,label      a row a step: the rows of one series stand together, in the order of time
    7,0,0.5,-1.0,up
    7,1,0.7,-0.9,up

    path,label                 a row an example: `values` names the column of the file with its numbers (`--set
    a/7.wav,up                 values=path`), a path from the table's own folder on

Of rows that are steps, `series` names the column that tells series apart. `values` names the columns of numbers: some
names with commas between them, each also for those that have a number behind it (`lpc` is `lpc1`, `lpc2`, …); where
nothing is said, they are all but those of series, label and confidence. An empty cell, `NaN`, `NA` or `?` is a missing
number. The label is that of the series' first row, and the same in all of them. Where each step has a label of its own,
they are the cells of the column `tags` (`--set tags=phase`): either all of a series' are empty, or none is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example, Origin, Signal
from unrolled.data.tagged_steps import UNTAGGED, TaggedSteps
from unrolled.errors import BadData, UnknownName

STEPS = (Signal, TaggedSteps)
"""The types of examples that are numbers at each step."""
MISSING = frozenset({"", "nan", "na", "?"})
_WHOLE = re.compile(r"[+-]?\d{1,18}")


class Steps(NamedTuple):
    """The rows of a series as they were read: the table's column names, and each row's cells."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Columns(NamedTuple):
    """Where what stands: of the series, of the label or the tags (None where there are none), of the numbers."""

    series: int
    label: int | None
    numbers: tuple[int, ...]


def columns_of(
    header: Sequence[str], columns: Mapping[str, str], where: str | Path, blank: str, *, filled: bool
) -> Columns:
    """blank: `label` or `tags`; filled: whether its column must be there where it was named: who asks for a prediction
    has none.

    Raises `UnknownName` for a column that is not there, `BadData` where no numbers are.
    """
    series, label = columns.get("series", "series"), columns.get(blank, blank)
    if series not in header:
        raise UnknownName("column", series, header, f"{where} (series)")
    if filled and blank in columns and label not in header:
        raise UnknownName("column", label, header, str(where))
    found: list[int] = []
    for name in columns.get("values", "").split(",") if "values" in columns else ():
        pattern = re.compile(rf"{re.escape(name.strip())}\d*")
        named = [k for k, column in enumerate(header) if pattern.fullmatch(column)]
        if not named:
            raise UnknownName("column", name.strip(), header, f"{where} (values)")
        found += named
    if "values" not in columns:
        others = (series, label, columns.get("confidence", "confidence"))
        found = [k for k, column in enumerate(header) if column not in others]
    if not found:
        raise BadData(f"no column of values beside {series!r} and {label!r}", where, 1)
    return Columns(header.index(series), header.index(label) if label in header else None, tuple(found))


def signals(
    rows: Iterator[tuple[int, tuple[str, ...]]],
    header: tuple[str, ...],
    columns: Mapping[str, str],
    where: str | Path,
    kind: type[Example],
    *,
    filled: bool = False,
) -> Iterator[Signal | TaggedSteps]:
    """The series of a table, each as soon as its last row was read.

    Args:
        rows: with their line numbers, without the header.
        header: the names of the columns.
        columns: of the fields, where they are called otherwise.
        where: the table.
        kind: one of `STEPS`.
        filled: whether labels, or tags, must be there where their column was named.

    Raises `BadData` for a series that begins again, a cell that is no number, a label that changes within a series, a
    tag that is empty where others of its series are not.
    """
    places = columns_of(header, columns, where, kind.blank, filled=filled)
    seen: set[str] = set()
    for name, group in groupby(rows, key=lambda row: row[1][places.series]):
        steps = list(group)
        first = steps[0][0]
        if name in seen:
            raise BadData(f"the series {name!r} begins again: the rows of one series must stand together", where, first)
        seen.add(name)
        values = _numbers(steps, header, places.numbers, where)
        origin, rest = Origin(where, first), Steps(header, tuple(cells for _, cells in steps))
        if kind is TaggedSteps:
            tags = None if places.label is None else _tags(steps, header, places.label, where)
            yield TaggedSteps(values=values, tags=tags, series=name, origin=origin, rest=rest)
        else:
            label = None if places.label is None else _label(steps, places.label, where)
            yield Signal(values=values, label=label, series=name, origin=origin, rest=rest)


def _label(steps: Sequence[tuple[int, tuple[str, ...]]], place: int, where: str | Path) -> str | None:
    """The one of all steps."""
    label = steps[0][1][place] or None
    for number, cells in steps:
        if (cells[place] or None) != label:
            told = f"{cells[place]!r} in a series that began with {label!r}"
            raise BadData(f"the label is {told}: it has one", where, number)
    return label


def _tags(
    steps: Sequence[tuple[int, tuple[str, ...]]], header: Sequence[str], place: int, where: str | Path
) -> tuple[str, ...] | None:
    """One of each step, or none at all."""
    tags = tuple(cells[place] for _, cells in steps)
    if not any(tags):
        return None
    if "" in tags:
        raise BadData(
            f"an empty cell in the column {header[place]!r}, where other steps of the series have tags: {UNTAGGED}",
            where,
            steps[tags.index("")][0],
        )
    return tags


def value_of(text: str) -> float:
    """What a cell says, NaN where that is missing. Raises `ValueError` for what is no number."""
    text = text.strip()
    return float("nan") if text.lower() in MISSING else float(text)


def _numbers(
    steps: Sequence[tuple[int, tuple[str, ...]]], header: Sequence[str], places: Sequence[int], where: str | Path
) -> NDArray[Any]:
    texts = [[cells[k].strip() for k in places] for _, cells in steps]
    if all(_WHOLE.fullmatch(text) for row in texts for text in row):
        return np.array([[int(text) for text in row] for row in texts], dtype=np.int64)
    values = np.empty((len(texts), len(places)))
    for at, row in enumerate(texts):
        for k, text in enumerate(row):
            try:
                values[at, k] = value_of(text)
            except ValueError:
                column = header[places[k]]
                raise BadData(
                    f"{text!r} in the column {column!r} where a number is expected", where, steps[at][0]
                ) from None
    return values


def cells_of(example: Signal | TaggedSteps, number: int, columns: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows of a series, as they were read or anew, with the label, or each step's tag, in its place, and what a
    prediction knows besides.

    number: of the example, for one that has no name.
    """
    series, blank = columns.get("series", "series"), columns.get(example.blank, example.blank)
    confidence = columns.get("confidence", "confidence")
    if isinstance(example.rest, Steps):
        rows = [dict(zip(example.rest.names, cells, strict=True)) for cells in example.rest.rows]
    else:
        base = columns.get("values", "value").split(",")[0].strip()
        values = example.values.astype(np.int64) if example.values.dtype.kind == "b" else example.values
        name = str(number) if example.series is None else example.series
        rows = [
            {series: name, **{f"{base}{k}": "" if one != one else repr(one) for k, one in enumerate(step, 1)}}
            for step in values.tolist()
        ]
    if isinstance(example, TaggedSteps):
        tags = example.checked().tags
        if tags is not None or any(blank in row for row in rows):
            rows = [{**row, blank: tag} for row, tag in zip(rows, tags or ("",) * len(rows), strict=True)]
        if example.confidence is not None:
            figures = [f"{figure:.4f}" for figure in example.confidence]
            rows = [{**row, confidence: figure} for row, figure in zip(rows, figures, strict=True)]
        return rows
    if isinstance(example.label, tuple):
        raise BadData("cannot write several labels of a series in a table; write jsonl instead")
    if example.label is not None or any(blank in row for row in rows):
        rows = [{**row, blank: example.label or ""} for row in rows]
    sure = None if example.label is None else (example.probabilities or {}).get(example.label)
    if sure is not None:
        rows = [{**row, confidence: f"{sure:.4f}"} for row in rows]
    return rows
