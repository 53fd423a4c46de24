"""In which line of which file each step of a series stands: for messages, also where parts of several files are one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class StepLines(NamedTuple):
    """Of consecutive steps. numbers: (steps,), of their lines."""

    path: str | Path
    numbers: NDArray[np.int64]


def first_of(parts: Sequence[StepLines], steps: int) -> tuple[StepLines, ...]:
    """Those of the first steps alone."""
    kept = []
    for path, numbers in parts:
        kept.append(StepLines(path, numbers[: max(steps, 0)]))
        steps -= len(numbers)
    return tuple(kept)


def line_of(parts: Sequence[StepLines], step: int) -> tuple[str | Path, int] | None:
    """File and line of a step; None where they are not known."""
    for path, numbers in parts:
        if step < len(numbers):
            return path, int(numbers[step])
        step -= len(numbers)
    return None
