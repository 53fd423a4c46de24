"""Pictures as rows of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.data.recordings import recorded
from unrolled.errors import BadData

Image = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")


def test_a_row_of_grey_pixels_is_a_step(tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = recorded(tmp_path / "a.png").values
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)


def test_a_coloured_pixel_is_three_numbers(tmp_path: Path) -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(recorded(tmp_path / "a.png").values, pixels.reshape(2, 9))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_stands_on_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 255))
    more = {"transparency": 0} if mode == "P" else {}
    converted = picture.convert("RGBA").quantize(2) if mode == "P" else picture.convert(mode)
    if mode == "P":
        converted = Image.new("P", (2, 1))
        converted.putpalette([9, 9, 9, 0, 0, 0])
        converted.putpixel((1, 0), 1)
    converted.save(tmp_path / "a.png", **more)
    assert recorded(tmp_path / "a.png").values.tolist() == [[255, 255, 255, 0, 0, 0]]


def test_of_grey_in_sixteen_bits_the_upper_eight_are_read(tmp_path: Path) -> None:
    pixels = np.array([[0, 255, 256], [0x1234, 0x8000, 0xFFFF]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = recorded(tmp_path / "a.png").values
    assert (found.dtype, found.tolist()) == (np.uint8, [[0, 0, 1], [0x12, 0x80, 0xFF]])


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    begins = r"its kind cannot be told, as it begins with b'no picture'$"
    with pytest.raises(BadData, match=rf"a\.png: not a picture that can be read: {begins}"):
        recorded(path)
    path.write_bytes(b"")
    with pytest.raises(BadData, match=r"a\.png: not a picture that can be read: the file is empty$"):
        recorded(path)
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadData, match=r"a\.png: not a picture that can be read: "):
        recorded(path)
