"""The laws of every format that holds numbers at each step, which the folder lists itself."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unrolled.data.examples import Signal
from unrolled.data.formats.base import Format
from unrolled.errors import BadData, CannotWrite
from unrolled.lookup import find, names

PACKAGE = "unrolled.data.formats"
FORMATS = {name: find(PACKAGE, name, Format, "format") for name in names(PACKAGE, Format)}
HOLDERS = [name for name, kind in FORMATS.items() if Signal in kind.holds and kind.annotated]
TABLES = {"csv", "tsv"}
"""Whose rows are steps."""
TYPES = ("float64", "float32", "int64", "uint8", "bool")
LABEL = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=4)


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)


def sample() -> list[Signal]:
    values = np.array([[0.5, -1.0], [2.0, np.nan], [1e-3, 7.0]])
    return [Signal(values=values, label="up"), Signal(values=values[:2] * 3, label="down")]


@st.composite
def signals(draw: Any, types: tuple[str, ...]) -> list[Signal]:
    width, kind = draw(st.integers(1, 3)), draw(st.sampled_from(types))
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    elements = {"allow_infinity": False} if kind.startswith("float") else None
    rows = [draw(arrays(kind, (length, width), elements=elements)) for length in lengths]
    labelled = draw(st.booleans())
    return [Signal(values=values, label=draw(LABEL) if labelled else None) for values in rows]


def read(name: str, path: Path, **options: Any) -> list[Any]:
    return list(FORMATS[name](Signal, **options).read(path))


def test_some_formats_hold_numbers() -> None:
    assert {"csv", "jsonl", "npz", "tsv"} <= set(HOLDERS)


@pytest.mark.parametrize("name", HOLDERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_numbers_are_read_as_they_were_written(name: str, data: Any) -> None:
    given = data.draw(signals(TYPES if name == "npz" else TYPES[:3]))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.data"
        FORMATS[name](Signal).write(path, given)
        again = read(name, path)
        assert again == given
        if name == "npz":
            assert [e.values.dtype for e in again] == [e.values.dtype for e in given]
        content = path.read_bytes()
        FORMATS[name](Signal).write(path, again)
        assert path.read_bytes() == content


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_files_of_numbers_may_be_compressed_and_are_the_same_bytes_each_time(
    name: str, ending: str, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{k}.data{ending}" for k in (1, 2)]
    for path in paths:
        FORMATS[name](Signal).write(path, sample())
        assert read(name, path) == sample()
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", HOLDERS)
def test_a_prediction_of_numbers_is_written_beside_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.data"
    FORMATS[name](Signal).write(path, [replace(e, label=None) for e in sample()])
    predicted = [replace(e, label="up", probabilities={"up": 0.75, "down": 0.25}) for e in read(name, path)]
    FORMATS[name](Signal).write(path, predicted)
    assert read(name, path) == predicted
    assert (b"confidence" if name in TABLES else b"probabilities") in path.read_bytes()


@pytest.mark.parametrize("name", HOLDERS)
def test_training_on_numbers_needs_labels(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.data"
    FORMATS[name](Signal).write(path, [replace(e, label=None) for e in sample()])
    with pytest.raises(Exception, match="label"):
        read(name, path, filled=True)
    FORMATS[name](Signal).write(path, sample())
    assert read(name, path, filled=True) == sample()


@pytest.mark.parametrize("name", [name for name in HOLDERS if name not in TABLES])
def test_arrays_have_the_names_that_columns_say(name: str, tmp_path: Path) -> None:
    path, columns = tmp_path / "a.data", {"values": "x", "label": "y"}
    FORMATS[name](Signal, columns).write(path, sample())
    assert read(name, path, columns=columns) == sample()
    with pytest.raises(Exception, match="values"):
        read(name, path)


@pytest.mark.parametrize("name", HOLDERS)
def test_no_file_and_an_empty_one_of_numbers_are_mistakes(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(b"")
    with pytest.raises(BadData, match=r"a\.data: the file is empty"):
        read(name, tmp_path / "a.data")
    with pytest.raises(BadData, match="no such file"):
        read(name, tmp_path / "b.data")
    with pytest.raises(CannotWrite):
        FORMATS[name](Signal).write(tmp_path / "no" / "a.data", sample())


@pytest.mark.parametrize("name", HOLDERS)
def test_a_stream_of_numbers_is_that_of_a_file(name: str, tmp_path: Path) -> None:
    content = b"".join(FORMATS[name](Signal).write_stream(sample()))
    assert list(FORMATS[name](Signal).read_stream(io.BytesIO(content))) == sample()


@pytest.mark.parametrize("name", HOLDERS)
def test_examples_of_numbers_know_their_place(name: str, tmp_path: Path) -> None:
    FORMATS[name](Signal).write(tmp_path / "a.data", sample())
    places = [example.origin.line for example in read(name, tmp_path / "a.data")]
    assert places == ([2, 5] if name in TABLES else [1, 2])
