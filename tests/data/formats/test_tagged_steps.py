"""The laws of every format that holds numbers with a tag for each step, which the folder lists itself; and what each of
them says of tags that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import parquet

from unrolled.data import reading
from unrolled.data.examples import Signal, TaggedTokens
from unrolled.data.formats.base import Format
from unrolled.data.reading import format_of
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, UnknownName
from unrolled.lookup import find, names

PACKAGE = "unrolled.data.formats"
FORMATS = {name: find(PACKAGE, name, Format, "format") for name in names(PACKAGE, Format)}
HOLDERS = [name for name, kind in FORMATS.items() if TaggedSteps in kind.holds and kind.annotated]
TABLES = {"csv", "tsv"}
"""Whose rows are steps."""
TAG = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=4)


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)


def sample() -> list[TaggedSteps]:
    values = np.array([[0.5, -1.0], [2.0, np.nan], [1e-3, 7.0]])
    first = TaggedSteps(values=values, tags=("up", "up", "at rest"))
    return [first, TaggedSteps(values=values[:2] * 3, tags=("down", "up"))]


@st.composite
def tagged(draw: Any) -> list[TaggedSteps]:
    width, kind = draw(st.integers(1, 3)), draw(st.sampled_from(["float64", "float32", "int64"]))
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    elements = {"allow_infinity": False} if kind.startswith("float") else None
    rows = [draw(arrays(kind, (length, width), elements=elements)) for length in lengths]
    known = draw(st.booleans())
    return [TaggedSteps(values=row, tags=tuple(draw(TAG) for _ in range(len(row))) if known else None) for row in rows]


def read(name: str, path: Path, **options: Any) -> list[Any]:
    return list(FORMATS[name](TaggedSteps, **options).read(path))


def test_some_formats_hold_them() -> None:
    assert {"csv", "jsonl", "npz", "parquet", "tsv"} == set(HOLDERS)


@pytest.mark.parametrize("name", HOLDERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_they_are_read_as_they_were_written(name: str, data: Any) -> None:
    given = data.draw(tagged())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.data"
        FORMATS[name](TaggedSteps).write(path, given)
        again = read(name, path)
        assert again == given
        content = path.read_bytes()
        FORMATS[name](TaggedSteps).write(path, again)
        assert path.read_bytes() == content


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("rows", [sample(), sample()[:1] * 2], ids=["ragged", "even"])
def test_a_prediction_is_written_beside_them(name: str, rows: list[TaggedSteps], tmp_path: Path) -> None:
    path = tmp_path / "a.data"
    FORMATS[name](TaggedSteps).write(path, [replace(e, tags=None) for e in rows])
    for figure in (0.25, 0.75):  # a prediction is predicted again
        predicted = [
            replace(e, tags=("down",) * len(e.values), confidence=(figure,) * len(e.values)) for e in read(name, path)
        ]
        FORMATS[name](TaggedSteps).write(path, predicted)
        assert read(name, path) == predicted
    if name == "npz":
        with np.load(path) as archive:
            assert archive["confidence"].shape == archive["tags"].shape
            assert set(archive["confidence"].reshape(-1)) == {0.75}
    elif name != "parquet":
        assert b"confidence" in path.read_bytes()
        assert b"0.75" in path.read_bytes()
        assert b"0.25" not in path.read_bytes()


@pytest.mark.parametrize("name", HOLDERS)
def test_training_on_them_needs_tags(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.data"
    FORMATS[name](TaggedSteps).write(path, [replace(e, tags=None) for e in sample()])
    with pytest.raises((BadData, UnknownName), match="tags"):
        read(name, path, filled=True)
    FORMATS[name](TaggedSteps).write(path, sample())
    assert read(name, path, filled=True) == sample()


def test_the_rows_of_a_table_are_steps_with_a_tag_each(tmp_path: Path) -> None:
    path, columns = tmp_path / "a.csv", {"series": "run", "values": "x", "tags": "phase"}
    path.write_text("run,at,x1,x2,phase\n7,0,0.5,1,up\n7,1,,2,down\n8,0,3,4,up\n")
    kinds = (TaggedTokens, TaggedSteps)
    assert format_of(path, columns=columns).tells(path, kinds, columns) is TaggedSteps
    first, second = reading.read(path, TaggedSteps, columns=columns, filled=True)
    assert np.array_equal(first.values, [[0.5, 1.0], [np.nan, 2.0]], equal_nan=True)
    assert (first.tags, second.tags) == (("up", "down"), ("up",))
    assert (first.series, str(second.origin)) == ("7", f"{path}:4")
    reading.write(tmp_path / "b.csv", [first, replace(second, tags=("down",), confidence=(0.5,))], columns=columns)
    assert (tmp_path / "b.csv").read_text() == (
        "run,at,x1,x2,phase,confidence\n7,0,0.5,1,up,\n7,1,,2,down,\n8,0,3,4,down,0.5000\n"
    )


def test_a_step_without_a_tag_among_others_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("series,x,tags\na,1,up\nb,2,\nb,3,\nc,4,up\nc,5,\n")
    with pytest.raises(BadData, match=r"a\.csv:6: an empty cell in the column 'tags'.*ignored_tag"):
        reading.read(path, TaggedSteps)
    path.write_text("series,x,tags\na,1,up\nb,2,\nb,3,\n")
    assert [e.tags for e in reading.read(path, TaggedSteps)] == [("up",), None]
    with pytest.raises(BadData, match=r"a\.csv:3: an example without tags"):
        reading.read(path, TaggedSteps, filled=True)
    with pytest.raises(UnknownName, match="phase"):
        reading.read(path, TaggedSteps, columns={"tags": "phase"}, filled=True)
    path.write_text("series,x\na,1\n")  # who asks for tags has none
    assert [e.tags for e in reading.read(path, TaggedSteps, columns={"tags": "phase"})] == [None]


def test_a_row_may_name_a_file_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(3, 2))
    path, columns = tmp_path / "a.csv", {"values": "path"}
    path.write_text("path,tags\na.npy,up up down\n")
    (found,) = reading.read(path, TaggedSteps, columns=columns)
    assert found == TaggedSteps(values=np.arange(6.0).reshape(3, 2), tags=("up", "up", "down"))
    reading.write(tmp_path / "b.csv", [replace(found, tags=("down",) * 3)], columns=columns)
    assert (tmp_path / "b.csv").read_text() == "path,tags\na.npy,down down down\n"
    path.write_text("path,tags\na.npy,up up down\na.npy,up down\n")
    with pytest.raises(BadData, match=r"a\.csv:3: 2 tags where 3 are expected, one a step"):
        reading.read(path, TaggedSteps, columns=columns)
    (alone,) = reading.read(tmp_path / "a.npy", TaggedSteps)
    assert alone.tags is None
    assert alone.values.shape == (3, 2)


def test_json_lines_have_lists_and_numbers_stay_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "values": [[1, 2], [3, null]], "tags": [0, 1]}\n')
    kinds = (TaggedTokens, TaggedSteps)
    assert format_of(path).tells(path, kinds, {}) is TaggedSteps
    assert format_of(path).tells(path, (TaggedTokens,), {}) is TaggedTokens
    (found,) = reading.read(path, TaggedSteps)
    assert found.tags == ("0", "1")
    reading.write(path, [replace(found, tags=("1", "1"))])
    assert json.loads(path.read_text())["tags"] == [1, 1]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ('["a"]', "1 tags where 2 are expected, one a step"),
        ('["a", ""]', "the tag of step 2 is empty"),
        ('"ab"', "the tags are a string where a list is expected, a tag a step"),
        ('["a", null]', "a tag is null where a string or a number is expected"),
    ],
)
def test_tags_of_json_that_do_not_fit_are_named_with_their_line(tags: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"values": [[1]], "tags": ["a"]}}\n{{"values": [[1], [2]], "tags": {tags}}}\n')
    with pytest.raises(BadData, match=rf"a\.jsonl:2: {message}"):
        reading.read(path, TaggedSteps)


def test_a_row_of_parquet_has_its_tags_in_a_list(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"values": [[1.0, 2.0], [3.0]], "tags": [["a", "b"], ["a", "b"]]}), path)
    with pytest.raises(BadData, match=r"a\.parquet:2: 2 tags where 1 are expected"):
        reading.read(path, TaggedSteps)
    parquet.write_table(pyarrow.table({"values": [[1.0, 2.0], [3.0]], "tags": [["a", "b"], None]}), path)
    first, second = reading.read(path, TaggedSteps)
    assert first == TaggedSteps(values=np.array([[1.0], [2.0]]), tags=("a", "b"))
    assert second.tags is None


def test_an_archive_has_its_tags_beside_the_steps(tmp_path: Path) -> None:
    path, columns = tmp_path / "a.npz", {"values": "x", "tags": "y"}
    np.savez(path, x=np.zeros((2, 3, 4)), y=np.array([[0, 1, 1], [1, 0, 0]]), who=np.array(["Ann", "Bo"]))
    assert [e.tags for e in reading.read(path, TaggedSteps, columns=columns)] == [("0", "1", "1"), ("1", "0", "0")]
    np.savez(path, x=np.zeros((3, 4)), y=np.array(["a", "b", "a"]), lengths=np.array([1, 2]))
    found = reading.read(path, TaggedSteps, columns=columns)
    assert [(len(e.values), e.tags) for e in found] == [(1, ("a",)), (2, ("b", "a"))]


@pytest.mark.parametrize(
    ("arrays_of", "message"),
    [
        ({"tags": np.zeros((2, 2))}, r"the array 'tags' is \(2, 2\) where \(2, 3\) is expected, one a step"),
        ({"tags": np.zeros(2)}, r"the array 'tags' is \(2\) where \(2, 3\) is expected, one a step"),
        ({"tags": np.array([[1, 1, 1], [1, np.nan, 1]])}, "a.npz:2: the tag of step 2 is empty"),
        ({"tags": np.zeros((2, 3), dtype=complex)}, "the array 'tags' is of complex128"),
        ({"values": np.zeros((3, 4)), "lengths": np.array([1, 2]), "tags": np.zeros(2)}, r"is \(2\) where \(3\)"),
    ],
)
def test_arrays_of_tags_that_do_not_fit_are_named(arrays_of: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"values": np.zeros((2, 3, 4)), **arrays_of})
    with pytest.raises(BadData, match=message):
        reading.read(tmp_path / "a.npz", TaggedSteps)


def test_two_are_equal_where_their_numbers_and_tags_are() -> None:
    first = sample()[0]
    assert first == replace(first, values=first.values.copy(), confidence=(0.5,) * 3)
    assert hash(first) == hash(replace(first, values=first.values.copy()))
    assert first != replace(first, tags=("up", "up", "up"))
    assert first != Signal(values=first.values)
    assert first.content == replace(first, tags=None).content


@pytest.mark.parametrize("name", HOLDERS)
def test_too_many_tags_are_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="4 tags where 3 are expected"):
        FORMATS[name](TaggedSteps).write(tmp_path / "a.data", [replace(sample()[0], tags=("up",) * 4)])
