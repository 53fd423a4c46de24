"""Pictures that are never twice the same: shifted a little and mirrored, anew in each epoch of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.feeds import Piece, Shuffled
from unrolled.errors import BadOption


class Moved(Shuffled):
    """Encoded pictures, `source` (height, width, channels), each moved as seed, epoch and its own number say.

    Args:
        encoded: the pictures.
        shifted: pixels, at most, up or down, and to either side; what comes in is what its edge has.
        mirrored: the probability with which left and right change places.
        elements, rows, seed: as `Shuffled`.

    Raises `BadOption` for values that cannot be.
    """

    def __init__(
        self, encoded: Sequence[Any], *, shifted: int, mirrored: float, elements: int, rows: int, seed: int
    ) -> None:
        super().__init__(encoded, elements=elements, rows=rows, seed=seed)
        self._shifted, self._mirrored = shifted, mirrored

    def plan(self, epoch: int) -> list[Piece]:
        return [(epoch, piece) for piece in super().plan(epoch)]

    def take(self, piece: Piece) -> list[Any]:
        epoch, rows = piece
        found = super().take(rows)
        if not (self._shifted or self._mirrored):
            return found
        return [
            one._replace(source=self._moved(one.source, epoch, int(row))) for row, one in zip(rows, found, strict=True)
        ]

    def _moved(self, image: NDArray[Any], epoch: int, row: int) -> NDArray[Any]:
        # A fourth number, so that this is another stream than that of the order.
        raw = np.random.PCG64(np.random.SeedSequence([self._seed, epoch, row, 3])).random_raw(3)
        down, right = ((raw[:2] % np.uint64(2 * self._shifted + 1)).astype(np.int64) - self._shifted).tolist()
        drawn = float(raw[2] >> np.uint64(11)) * 2.0**-53
        return moved(image, down, right, mirror=drawn < self._mirrored)

    def size(self, piece: Piece) -> tuple[int, int]:
        return super().size(piece[1])

    def cost(self, piece: Piece) -> float:
        return super().cost(piece[1])


def moved(image: NDArray[Any], down: int, right: int, *, mirror: bool = False) -> NDArray[Any]:
    """A picture moved by so many pixels, negative ones up and to the left; what comes in is its edge, repeated.

    >>> moved(np.arange(4).reshape(2, 2, 1), 1, 0)[:, :, 0].tolist()
    [[0, 1], [0, 1]]
    """
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return image[rows[:, None], columns[::-1] if mirror else columns]


def checked(shifted: int, mirrored: float) -> None:
    """Raise `BadOption` where they cannot be."""
    if shifted < 0:
        raise BadOption(f"shifted must be 0 or more, not {shifted}")
    if not 0 <= mirrored <= 1:
        raise BadOption(f"mirrored must be a share from 0 to 1, not {mirrored}")
