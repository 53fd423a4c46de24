"""Pictures and features with captions: from files, from tables, into tables, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data import reading
from unrolled.data.captions import Captioned, as_image, of_pillow, seen, sized
from unrolled.errors import BadData, MissingExtra, UnknownName

Image = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "grey.png")
    np.save(tmp_path / "whole.npy", np.arange(3.0))
    np.save(tmp_path / "places.npy", np.arange(6, dtype=np.float64).reshape(2, 3))
    return tmp_path


def test_pixels_keep_their_rows_and_features_their_places(folder: Path) -> None:
    assert np.array_equal(seen(folder / "a.png"), PIXELS)
    assert np.array_equal(seen(folder / "grey.png"), PIXELS[:, :, :1])
    assert seen("whole.npy", beside=folder / "all.csv").tolist() == [[0, 1, 2]]
    places = seen(folder / "places.npy")
    assert places.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert places.dtype == np.float32


def test_what_is_at_hand_may_be_a_picture_or_features() -> None:
    assert np.array_equal(as_image(PIXELS.tolist()), PIXELS)
    assert np.array_equal(as_image(Image.fromarray(PIXELS)), PIXELS)
    assert as_image(PIXELS[:, :, 0]).shape == (5, 4, 1)
    assert as_image([[0.5, 1], [2, 3]]).tolist() == [[0.5, 1], [2, 3]]
    assert as_image([1, 2]).tolist() == [[1, 2]]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "LA", "P", "CMYK"])
def test_a_picture_at_hand_is_what_its_file_is(mode: str, tmp_path: Path) -> None:
    clear = np.random.default_rng(1).integers(0, 256, (5, 4, 1), dtype=np.uint8)
    picture = Image.fromarray(np.concatenate([PIXELS, clear], axis=2))
    picture = picture.convert("L" if mode == "1" else picture.mode).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path)
    with Image.open(path) as opened:
        at_hand = opened if mode == "CMYK" else picture
        assert at_hand.mode == mode
        assert of_pillow(at_hand)
        assert np.array_equal(as_image(at_hand), seen(path))
    assert not of_pillow(PIXELS)


def test_grey_in_sixteen_bits_at_hand_is_what_its_file_is(tmp_path: Path) -> None:
    deep = Image.fromarray(np.array([[0, 255, 256], [0x1234, 0x8000, 0xFFFF]], dtype=np.uint16))
    deep.save(tmp_path / "a.png")
    assert np.array_equal(as_image(deep), seen(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([[[0, 300, 0]]], "a picture of numbers from 0 to 300 where 0 to 255 is expected"),
        ([[1, 2], [3]], "lists of different lengths where a picture is expected"),
        (np.zeros((2, 2, 4), dtype=np.uint8), r"an array of uint8, shape \(2, 2, 4\), where a picture is expected"),
        (np.zeros((2, 2, 3)), r"an array of float64, shape \(2, 2, 3\), where a picture is expected"),
        ([1.0, float("nan")], "features that are not finite, or too large"),
        ([1e300], "features that are not finite, or too large"),
        ([], r"an array of float64, shape \(0,\)"),
        (None, r"an array of object, shape \(\)"),
    ],
)
def test_what_is_neither_is_named(raw: Any, message: str) -> None:
    with pytest.raises(BadData, match=f"^{message}"):
        as_image(raw)


def test_a_picture_is_made_another_size_and_gets_colours() -> None:
    flat = np.full((6, 8, 1), 77, dtype=np.uint8)
    assert np.array_equal(sized(flat, 3, 5), np.full((3, 5, 3), 77))
    assert sized(PIXELS, 5, 4) is PIXELS
    halves = np.repeat(np.repeat(np.array([[[0, 0, 0], [200, 100, 50]]], dtype=np.uint8), 8, axis=0), 4, axis=1)
    small = sized(halves, 4, 4)
    assert small[:, 0].max() == 0
    assert np.array_equal(small[:, 3], np.full((4, 3), [200, 100, 50]))


def test_two_are_equal_where_pictures_and_captions_are_and_duplicates_where_pictures_are() -> None:
    one, other = Captioned(image=PIXELS, caption="a"), Captioned(image=PIXELS.copy(), caption="b")
    assert one != other
    assert one == replace(other, caption="a")
    assert hash(one) == hash(replace(other, caption="a"))
    assert one.content == other.content
    assert one.content != Captioned(image=PIXELS.transpose(1, 0, 2)).content
    assert one != "a"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_a_table_names_pictures_and_keeps_their_paths(folder: Path, ending: str) -> None:
    columns = {"image": "path", "caption": "says"}
    rows = [("a.png", "one"), ("a.png", "two"), ("places.npy", "")]
    if ending == "jsonl":
        lines = [f'{{"path": "{path}", "says": {f""""{says}" """ if says else "null"}}}' for path, says in rows]
    else:
        tab = {"csv": ",", "tsv": "\t"}[ending]
        lines = [f"path{tab}says", *(f"{path}{tab}{says}" for path, says in rows)]
    (folder / f"all.{ending}").write_text("\n".join(lines) + "\n")
    found = reading.read(folder / f"all.{ending}", Captioned, columns=columns)
    assert [example.caption for example in found] == ["one", "two", None]
    assert np.array_equal(found[0].image, PIXELS)
    assert found[0].image is found[1].image, "read once"
    predicted = [replace(e, caption="new", score=-0.25) for e in found]
    reading.write(folder / f"out.{ending}", predicted, columns=columns)
    assert reading.read(folder / f"out.{ending}", Captioned, columns=columns) == predicted
    assert "-0.25" in (folder / f"out.{ending}").read_text()
    assert "a.png" in (folder / f"out.{ending}").read_text()


def test_json_lines_hold_pictures_and_features_themselves(folder: Path) -> None:
    given = [
        Captioned(image=PIXELS, caption="x"),
        Captioned(image=as_image([[0.1, 0.7]]), caption="y", score=-1.0, alternatives=(("z", -2.0),)),
    ]
    reading.write(folder / "out.jsonl", given)
    assert reading.read(folder / "out.jsonl", Captioned) == given
    assert '"alternatives": [{"caption": "z", "score": -2.0}]' in (folder / "out.jsonl").read_text()
    with pytest.raises(BadData, match="a picture of no file of its own has no path to write; write jsonl instead"):
        reading.write(folder / "out.csv", given)


def test_a_file_by_itself_is_an_example(folder: Path) -> None:
    for name in ("a.png", "whole.npy"):
        (one,) = reading.read(folder / name, Captioned, columns={"image": "path"})
        assert np.array_equal(one.image, seen(folder / name))
        assert one.caption is None
        reading.write(folder / "out.csv", [replace(one, caption="c")], columns={"image": "path"})
        assert (folder / "out.csv").read_text() == f"path,caption\n{folder / name},c\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.png", b"no picture", r"all\.csv:2: .*text\.png: not a picture that .* its kind cannot be told"),
        ("cut.png", None, r"all\.csv:2: .*cut\.png: not a picture that can be read"),
        ("gone.png", b"", r"all\.csv:2: .*gone\.png: there is no such file"),
        ("a.txt", b"x", r"all\.csv:2: .*a\.txt: unknown suffix of a picture '\.txt'; there are: \.bmp, \.gif"),
        ("", b"", r"all\.csv:2: .*unknown suffix of a picture ''"),
    ],
)
def test_what_is_no_picture_is_named_with_file_and_line(
    folder: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is None:
        noise = np.random.default_rng(1).integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
        content = (folder / name).read_bytes()[:200]
    if name and name != "gone.png":
        (folder / name).write_bytes(content)
    (folder / "all.csv").write_text(f"image,caption\n{name},x\n")
    with pytest.raises(BadData, match=message):
        reading.read(folder / "all.csv", Captioned)


def test_arrays_that_are_no_features_and_columns_that_are_not_there_are_named(folder: Path) -> None:
    np.save(folder / "four.npy", np.zeros((2, 2, 2, 2)))
    with pytest.raises(BadData, match=r"four\.npy: an array of float64, shape \(2, 2, 2, 2\), where a picture is exp"):
        seen(folder / "four.npy")
    np.save(folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(BadData, match=r"objects\.npy: it holds Python objects, which are not unpickled"):
        seen(folder / "objects.npy")
    (folder / "all.csv").write_text("image,says\na.png,x\n")
    with pytest.raises(UnknownName, match=r"all\.csv: unknown column 'caption'; there are: image, says"):
        reading.read(folder / "all.csv", Captioned, filled=True)
    (folder / "all.csv").write_text("image,caption\na.png,\n")
    with pytest.raises(BadData, match=r"all\.csv:2: an example without caption, which training and evaluation need"):
        reading.read(folder / "all.csv", Captioned, filled=True)
    (folder / "all.jsonl").write_text('{"image": 3, "caption": "x"}\n')
    with pytest.raises(BadData, match=r"all\.jsonl:1: an array of int64, shape \(\), where a picture is expected"):
        reading.read(folder / "all.jsonl", Captioned)


def test_without_pillow_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        MissingExtra, match=r"^reading pictures needs the package pillow: pip install 'unrolled\[pictur"
    ):
        seen(folder / "a.png")
    with pytest.raises(MissingExtra, match=r"^resizing pictures needs the package pillow"):
        sized(PIXELS, 2, 2)
    assert sized(PIXELS, 5, 4) is PIXELS
    assert seen(folder / "whole.npy").shape == (1, 3)
