"""Tables whose rows are steps of a series, or name a file with the numbers of an example."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data import splits
from unrolled.data.examples import LabelledText, Signal
from unrolled.data.formats.csv import CSV
from unrolled.data.formats.jsonl import JSONLines
from unrolled.data.formats.tsv import TSV
from unrolled.data.reading import read as read_file
from unrolled.errors import BadData, UnknownName

STEPS = "series,t,lpc1,lpc2,speaker\na,0,0.5,1,9\na,1,,2,9\nb,0,1e-3,-3,7\n"
COLUMNS = {"series": "series", "values": "lpc", "label": "speaker"}


def read(content: str, columns: Any = COLUMNS, **options: Any) -> list[Any]:
    return list(CSV(Signal, columns, **options).read_stream(io.BytesIO(content.encode()), "a.csv"))


def written(examples: list[Any], columns: Any = COLUMNS) -> str:
    return b"".join(CSV(Signal, columns).write_stream(examples)).decode()


def test_rows_of_one_series_are_its_steps() -> None:
    first, second = read(STEPS)
    assert first == Signal(values=np.array([[0.5, 1.0], [np.nan, 2.0]]), label="9")
    assert second == Signal(values=np.array([[1e-3, -3.0]]), label="7")
    assert (first.series, second.series) == ("a", "b")
    assert [str(example.origin) for example in (first, second)] == ["a.csv:2", "a.csv:4"]
    assert written([first, second]) == STEPS


@pytest.mark.parametrize(
    ("values", "expected"),
    [("lpc", [0.5, 1]), ("lpc2", [1]), ("lpc2, t", [1, 0]), (None, [0, 0.5, 1])],
)
def test_columns_of_numbers_are_named_or_are_all_the_others(values: str | None, expected: list[float]) -> None:
    columns = {name: column for name, column in {**COLUMNS, "values": values}.items() if column}
    assert read(STEPS, columns)[0].values[0].tolist() == expected


def test_whole_numbers_stay_whole_and_missing_ones_have_several_spellings() -> None:
    assert read("series,x\n1,7\n1,-2\n", {})[0].values.dtype == np.int64
    (example,) = read("series,x\n1,7\n1,NaN\n1,NA\n1,?\n1,\n", {})
    assert np.isnan(example.values[1:]).all()


def test_a_predicted_label_stands_in_each_row() -> None:
    (example,) = read("series,x\n1,7\n1,8\n", {})
    predicted = replace(example, label="up", probabilities={"up": 0.75})
    assert written([predicted], {}) == "series,x,label,confidence\n1,7,up,0.7500\n1,8,up,0.7500\n"
    again = read(written([predicted], {}), {"values": "x", "series": "series"})
    assert again == [predicted]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("series,x\na,1\nb,2\na,3\n", BadData, r"a\.csv:4: the series 'a' begins again: the rows of one series must"),
        ("series,x\na,1\na,one\n", BadData, r"a\.csv:3: 'one' in the column 'x' where a number is expected$"),
        ("series,x\na,1\na\n", BadData, r"a\.csv:3: 1 column where the header has 2$"),
        ("series,x,x\na,1,2\n", BadData, r"a\.csv:1: two columns are called 'x'$"),
        ("series,label\na,1\n", BadData, r"a\.csv:1: no column of values beside 'series' and 'label'$"),
        (
            "series,x,label\na,1,up\na,2,down\n",
            BadData,
            r"a\.csv:3: the label is 'down' in a series that began with 'up'",
        ),
        ("serie,x\na,1\n", UnknownName, r"a\.csv \(series\): unknown column 'series'; did you mean 'serie'\?$"),
    ],
)
def test_what_is_no_series_is_named_with_its_line(content: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        read(content, {})


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownName, match=r"a\.csv \(values\): unknown column 'lpcs'; did you mean 'lpc[12]'"):
        read(STEPS, {**COLUMNS, "values": "lpcs"})
    with pytest.raises(UnknownName, match=r"unknown column 'speakr'; did you mean 'speaker'"):
        read(STEPS, {**COLUMNS, "label": "speakr"}, filled=True)
    with pytest.raises(UnknownName, match="unknown column 'label'"):
        read("series,x\na,1\n", {}, filled=True)


def test_who_asks_for_labels_need_not_have_their_column() -> None:
    columns = {"series": "series", "values": "x", "label": "kind"}
    (found,) = read("series,x\na,1\na,2\n", columns)
    assert found.label is None
    assert written([replace(found, label="up")], columns) == "series,x,kind\na,1,up\na,2,up\n"


# ---------------------------------------------------------------------------------------------- files of their own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    for k in (1, 2):
        np.save(tmp_path / "a" / f"{k}.npy", np.full((k, 2), k, dtype=np.float32))
    (tmp_path / "all.csv").write_text("path,label,split\na/1.npy,up,train\na/2.npy,down,test\n")
    (tmp_path / "all.jsonl").write_text('{"path": "a/1.npy", "label": "up"}\n{"path": "a/2.npy", "label": "down"}\n')
    return tmp_path


def test_a_row_may_name_the_file_with_its_numbers(folder: Path) -> None:
    for kind, name in ((CSV, "all.csv"), (JSONLines, "all.jsonl")):
        examples = list(kind(Signal, {"values": "path"}).read(folder / name))
        assert [example.values.tolist() for example in examples] == [[[1, 1]], [[2, 2], [2, 2]]]
        assert [example.label for example in examples] == ["up", "down"]
        predicted = [replace(example, label="up", probabilities={"up": 0.75}) for example in examples]
        kind(Signal, {"values": "path"}).write(folder / f"new.{name}", predicted)
        assert list(kind(Signal, {"values": "path"}).read(folder / f"new.{name}")) == predicted
    assert (folder / "new.all.csv").read_text().splitlines()[2] == "a/2.npy,up,test,0.7500"
    assert '"path": "a/2.npy"' in (folder / "new.all.jsonl").read_text()


def test_the_columns_say_whether_a_table_holds_numbers(folder: Path) -> None:
    kinds = (LabelledText, Signal)
    assert CSV.tells(folder / "all.csv", kinds, {}) is LabelledText
    assert CSV.tells(folder / "all.csv", kinds, {"values": "path"}) is Signal
    assert TSV.tells(folder / "all.csv", kinds, {"series": "id"}) is Signal
    assert JSONLines.tells(folder / "all.jsonl", kinds, {"values": "path"}) is Signal
    assert splits.example_type(folder / "all.csv", kinds, columns={"values": "path"}) is Signal


def test_a_file_that_is_not_there_or_no_recording_is_named_with_the_line_of_its_table(folder: Path) -> None:
    for given, message in (
        ("a/3.npy", r"all\.csv:2: .*a/3\.npy: there is no such file$"),
        ("a/1.txt", r"all\.csv:2: .*a/1\.txt: unknown suffix of a recording '\.txt'; "),
        ("", r"all\.csv:2: .*unknown suffix of a recording ''"),
    ):
        (folder / "all.csv").write_text(f"path,label\n{given},up\n")
        with pytest.raises(BadData, match=message):
            read_file(folder / "all.csv", Signal, columns={"values": "path"})


def test_numbers_of_no_file_are_not_written_as_a_path(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="numbers of no file of their own have no path to write; write npz or jsonl"):
        CSV(Signal, {"values": "path"}).write(tmp_path / "a.csv", [Signal(values=np.zeros((1, 1)))])


@pytest.mark.parametrize(("name", "series", "frames"), [("train", 270, 4274), ("test", 370, 5687)])
def test_the_vowels_are_as_many_as_published(shared_data: Path, name: str, series: int, frames: int) -> None:
    path = shared_data / "ts_japanese_vowels" / f"{name}.csv.gz"
    found = read_file(path, Signal, columns=COLUMNS, filled=True)
    assert (len(found), sum(len(example.values) for example in found)) == (series, frames)
    assert {example.values.shape[1] for example in found} == {12}
