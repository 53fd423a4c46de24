"""Pictures and what is said of them: an example, and how a picture, or what another network made of it, is read.

A picture is bytes, (height, width, channels): one channel of grey, or red, green and blue. In its place may stand
features that another network has made, (places, features), or (features,) of the whole.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example
from unrolled.data.media.array import Array
from unrolled.data.media.array import array as read_array
from unrolled.data.media.picture import Picture, pillow, pixels, plain
from unrolled.data.recordings import located
from unrolled.errors import BadData

SUFFIXES = (*Picture.suffixes, *Array.suffixes)
"""Of the files that hold a picture, or the features of one."""
EXPECTED = "(height, width, 1 or 3) of whole numbers from 0 to 255, or features, (features,) or (places, features)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Captioned(Example):
    """A picture and what is said of it. The blank is `caption`.

    Several examples of one picture with different captions are normal. Two are equal where their pictures and their
    captions are.

    Attributes:
        image: (height, width, channels), bytes, 1 or 3 channels; or (places, features), real numbers.
        caption: None where it is not known.
        score: filled in by a prediction: how good it takes the caption to be, as a log-probability.
        alternatives: filled in by a prediction: further captions, the best first, each with its score.
    """

    blank: ClassVar[str] = "caption"
    called: ClassVar[str] = "pictures with captions"

    image: NDArray[Any]
    caption: str | None = None
    score: float | None = field(default=None, compare=False)
    alternatives: tuple[tuple[str, float], ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        # A digest: the bytes themselves, as keys, would be there a second time.
        return self.image.shape, hashlib.blake2b(np.ascontiguousarray(self.image).tobytes(), digest_size=16).digest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Captioned):
            return NotImplemented
        return np.array_equal(self.image, other.image) and self.caption == other.caption

    def __hash__(self) -> int:
        return hash((self.image.shape, self.caption))


def seen(given: str | Path, beside: str | Path | None = None) -> NDArray[Any]:
    """The picture, or the features, that a file holds.

    Args:
        given: its path.
        beside: of a table that names it, from whose folder on a relative path goes.

    Raises:
        BadData: there is no such file, or it is no picture.
        UnknownName: its suffix is none of a picture.
        MissingExtra: the library that reads it is not installed.
    """
    path = located(given, beside, SUFFIXES, "suffix of a picture")
    if path.suffix.lower() in Picture.suffixes:
        return pixels(path)
    try:
        return as_image(read_array(path))
    except BadData as error:
        raise BadData(error.problem, path) from None


def as_image(raw: Any) -> NDArray[Any]:
    """A picture or features of what is at hand: an array, nested lists, a picture of Pillow's.

    Raises `BadData` for all else.
    """
    if of_pillow(raw):
        try:
            return plain(raw)
        except ValueError as error:
            raise BadData(f"a picture of Pillow's in the mode {raw.mode}: {error}") from None
    try:
        found = np.asarray(raw)
    except ValueError:  # lists of different lengths
        raise BadData(f"lists of different lengths where a picture is expected: {EXPECTED}") from None
    if found.ndim == 2 and found.dtype == np.uint8:  # features are no bytes
        found = found[:, :, None]
    if found.ndim == 3 and found.shape[2] in (1, 3) and found.size and found.dtype.kind in "iu":
        if found.min() < 0 or found.max() > 255:
            raise BadData(f"a picture of numbers from {found.min()} to {found.max()} where 0 to 255 is expected")
        return found.astype(np.uint8, copy=False)
    if found.ndim in (1, 2) and found.size and found.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            features = found.reshape(-1, found.shape[-1]).astype(np.float32)
        if not np.isfinite(features).all():
            raise BadData("features that are not finite, or too large")
        return features
    raise BadData(f"an array of {found.dtype}, shape {found.shape}, where a picture is expected: {EXPECTED}")


def of_pillow(raw: Any) -> bool:
    """Whether it is a picture of Pillow's, which need not be installed."""
    library = sys.modules.get("PIL.Image")  # where there is such a picture it has been imported
    return library is not None and isinstance(raw, library.Image)


def sized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture in that size and in colours, (height, width, 3); its proportions are not kept.

    Raises `MissingExtra` where it has to be resized and the library for it is not installed.
    """
    if image.shape[:2] != (height, width):
        library = pillow("resizing pictures")
        whole = library.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        # Pillow looks at all pixels of the larger picture, so that nothing of it is left out.
        image = np.asarray(whole.resize((width, height), library.Resampling.BILINEAR)).reshape(height, width, -1)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
