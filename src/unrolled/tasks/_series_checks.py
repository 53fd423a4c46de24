"""What a series must be like: to be learnt from beside others, to be of counts, to be gone on with.

What must be raises `BadData` with the name of the series, and its file and line where they are known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from unrolled.data.examples import Series


def must_be_like(example: Series, first: Series) -> None:
    """Raise where it has no value, or where only one of the two has times."""
    if not example.known:
        raise example.problem(f"no value of {example.title} is known")
    if (example.time is None) != (first.time is None):
        raise example.problem("some series have times and some have none")


def must_be_counts(example: Series) -> None:
    """Raise where a value is no whole number from 0 on; one that is missing may be."""
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero((example.values < 0) | (example.values % 1 != 0) & ~np.isnan(example.values))
    if len(wrong):
        step = int(wrong[0])
        when = "" if example.time is None else f" ({example.time[step]})"
        what = f"{example.values[step]:g} at step {step + 1}{when} of {example.title}"
        raise example.problem_at(
            step, f"{what} is no count, and likelihood=negative_binomial is for counts: 0, 1, 2, …"
        )


def must_be_known_ahead(example: Series, horizon: int) -> None:
    """Raise where what is known beforehand is not there for all steps of a horizon behind the last value."""
    there = enumerate(_known_ahead(example, horizon), 1)
    short = [f"{count} are there for ahead column {k}" for k, count in there if count < horizon]
    if short and example.known:
        needed = f"of {example.title} {horizon} rows to come are needed, with what is known ahead"
        raise example.problem(f"{needed} and without a value: {', '.join(short)}")


def held_back(example: Series, horizon: int) -> Series:
    """As it is; where what is known beforehand does not reach far enough, without its last values, now to come."""
    if min(_known_ahead(example, horizon), default=horizon) >= horizon:
        return example
    values = example.values.copy()
    values[max(example.known - horizon, 1) :] = np.nan
    return replace(example, values=values)


def _known_ahead(example: Series, horizon: int) -> list[int]:
    """For each column that is known beforehand the steps of a horizon behind the last value for which it is there."""
    if example.ahead is None:
        return []
    to_come = example.ahead[example.known : example.known + horizon]
    return [int(count) for count in (~np.isnan(to_come)).sum(axis=0)]
