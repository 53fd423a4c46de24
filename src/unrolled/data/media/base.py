"""The contract of every kind of recording: numbers at each step from a file of its own, to which a table points.

A subclass is one file. A table (CSV, TSV, JSON lines) has the path in the column of the values, from the table's own
folder on; see `data.recordings`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from numpy.typing import NDArray


class Recorded(NamedTuple):
    """What a file holds.

    values: (steps, features), real numbers; rate: steps a second, where the file says it.
    """

    values: NDArray[Any]
    rate: float | None = None


class Medium(ABC):
    """One kind of file.

    Attributes:
        suffixes: by which it is recognised.
    """

    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def read(self, path: Path) -> Recorded:
        """Raises `BadData` for what is wrong with the file, `MissingExtra` where the library that reads it is not
        installed.
        """
