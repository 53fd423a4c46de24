"""A label per step of numbers: the phases of a gesture, the states of a sensor, the frames of a film."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example

UNTAGGED = "where none is known, write one that says so, and name it: `--set ignored_tag=…`"
"""What to do where a tag is empty."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TaggedSteps(Example):
    """Numbers at each step, and a tag for each step. The blank is `tags`.

    Two are equal where their numbers and their tags are, whatever the type that holds the numbers.

    Attributes:
        values: (steps, features), real numbers; NaN where one is missing.
        tags: as many as steps, never empty strings; None where they are not known.
        series: what it is called in its file, where it is one of several series.
        confidence: filled in by a prediction: the probability of each chosen tag.
    """

    blank: ClassVar[str] = "tags"
    called: ClassVar[str] = "numbers with a tag a step"

    values: NDArray[Any]
    tags: tuple[str, ...] | None = None
    series: str | None = None
    confidence: tuple[float, ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.values.shape, np.ascontiguousarray(self.values).tobytes()

    def checked(self) -> TaggedSteps:
        """The example itself. Raises `BadData` where tags are too few or too many, or one of them is empty."""
        if self.tags is not None:
            if len(self.tags) != len(self.values):
                raise self.problem(f"{len(self.tags)} tags where {len(self.values)} are expected, one a step")
            if "" in self.tags:
                raise self.problem(f"the tag of step {self.tags.index('') + 1} is empty: {UNTAGGED}")
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaggedSteps):
            return NotImplemented
        same = np.array_equal(self.values, other.values, equal_nan=self.values.dtype.kind == "f")
        return bool(same) and self.tags == other.tags

    def __hash__(self) -> int:
        return hash((self.values.shape, self.tags))
