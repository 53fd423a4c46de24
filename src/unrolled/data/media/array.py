"""A NumPy array in a file of its own, `.npy`: (steps, features), or (steps,) of one feature. Nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.media.base import Medium, Recorded
from unrolled.errors import BadData


class Array(Medium):
    """One array."""

    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def read(self, path: Path) -> Recorded:
        values = array(path)
        if values.dtype.kind not in "fiub" or values.ndim not in (1, 2):
            raise BadData(
                f"an array of {values.dtype}, shape {values.shape}: numbers of (steps, features) expected", path
            )
        return Recorded(values[:, None] if values.ndim == 1 else values)


def array(path: Path) -> NDArray[Any]:
    """The array in a file, of any shape and type but objects. Raises `BadData`."""
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        if "allow_pickle" in str(error):
            raise BadData("it holds Python objects, which are not unpickled; numbers are expected", path) from None
        raise BadData(f"not a NumPy array that can be read: {error or type(error).__name__}", path) from None
    if not isinstance(values, np.ndarray):
        raise BadData("an archive of several arrays where a single one, .npy, is expected", path)
    return values
