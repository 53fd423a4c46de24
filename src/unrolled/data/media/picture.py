"""Pictures: PNG, JPEG and what else Pillow reads, a step a row from the top, a feature a pixel (of colours three).

Grey pictures have one number a pixel, others red, green and blue, from 0 to 255; what is transparent stands on white.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.media.base import Medium, Recorded
from unrolled.errors import BadData, MissingExtra


class Picture(Medium):
    """One picture."""

    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")

    def read(self, path: Path) -> Recorded:
        values = pixels(path)
        return Recorded(values.reshape(len(values), -1))


def pixels(path: Path) -> NDArray[np.uint8]:
    """The picture in a file, (height, width, channels): 1 of grey, or 3. Raises as `Picture.read`."""
    library = pillow("reading pictures")
    try:
        with library.open(path) as picture:
            picture.load()
            return plain(picture)
    except library.UnidentifiedImageError:
        raise BadData(f"not a picture that can be read: {_begins(path)}", path) from None
    except (OSError, SyntaxError, ValueError, EOFError, library.DecompressionBombError) as error:
        raise BadData(f"not a picture that can be read: {_reason(error, path)}", path) from None


def plain(picture: Any) -> NDArray[np.uint8]:
    """A picture of Pillow's, (height, width, channels): 1 of grey, or 3; what is transparent stands on white, and what
    is a palette's number is its colour. Raises `ValueError` for a mode that Pillow does not turn into colours.
    """
    if picture.mode.startswith("I"):
        return _of_deep(np.asarray(picture), picture.info.get("transparency"))
    grey = picture.mode in ("1", "L", "F") and "transparency" not in picture.info
    if not grey:
        library, over = pillow("reading pictures"), picture.convert("RGBA")
        picture = library.alpha_composite(library.new("RGBA", over.size, "white"), over)
    values = np.asarray(picture.convert("L" if grey else "RGB"))
    return values.reshape(*values.shape[:2], -1)


def _of_deep(values: NDArray[Any], clear: Any) -> NDArray[np.uint8]:
    """Of grey in 16 bits, as X-rays and depths have it, the upper eight: Pillow's own conversion makes white of all
    above 255. clear: the one value that is transparent.
    """
    whole = values.astype(np.int64)
    if isinstance(clear, int):
        whole = np.where(whole == clear, 0xFFFF, whole)
    return (whole >> 8).clip(0, 255).astype(np.uint8)[..., None]


def pillow(need: str) -> Any:
    """Pillow's module of pictures. need: what it is needed for. Raises `MissingExtra` where it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("pillow", extra="pictures", need=need) from None
    return Image


def _begins(path: Path) -> str:
    """What there is in place of a picture."""
    with path.open("rb") as file:
        first = file.read(16)
    return f"its kind cannot be told, as it begins with {first!r}" if first else "the file is empty"


def _reason(error: BaseException, path: Path) -> str:
    """What Pillow says, without the path, which stands before it."""
    told = str(error).replace(repr(str(path)), "it")
    return told or type(error).__name__
