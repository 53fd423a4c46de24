"""Parquet: rows as JSON lines has them."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from unrolled.data import reading, splits
from unrolled.data.examples import LabelledText, Pair, Passage, Question, Signal, Speech, TaggedTokens
from unrolled.data.formats.jsonl import JSONLines
from unrolled.data.formats.parquet import Parquet
from unrolled.errors import BadData, UnknownName


def file(columns: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), content)
    return content.getvalue()


def read(content: bytes, held: Any, columns: dict[str, str] | None = None, **options: Any) -> list[Any]:
    return list(Parquet(held, columns, **options).read_stream([content], "a.parquet"))


def test_numbers_at_each_step_are_lists_of_lists_and_null_is_missing() -> None:
    given_rows = [[[1.0, 2.0], [None, 4.0]], [[5.0, 6.0]]]
    first, second = read(file({"values": given_rows, "label": ["up", "down"]}), Signal, filled=True)
    assert np.array_equal(first.values, [[1.0, 2.0], [np.nan, 4.0]], equal_nan=True)
    assert second.values.shape == (1, 2)
    assert (first.label, second.label) == ("up", "down")
    assert str(second.origin) == "a.parquet:2"


def test_fixed_lists_and_lists_of_single_numbers_are_numbers_at_each_step() -> None:
    fixed = pyarrow.array([[1.0, 2.0], [3.0, 4.0]], type=pyarrow.list_(pyarrow.float32(), 2))
    for column in (fixed, [[1.0, 2.0], [3.0, 4.0]]):
        first, second = read(file({"x": column, "y": [1, 2]}), Signal, {"values": "x", "label": "y"})
        assert first.values.tolist() == [[1.0], [2.0]]
        assert (first.label, second.label) == ("1", "2")


def test_text_and_tokens_are_read_as_from_json_lines() -> None:
    texts = read(file({"text": ["a", "b"], "label": ["x", None]}), LabelledText)
    assert texts == [LabelledText(text="a", label="x"), LabelledText(text="b")]
    (tagged,) = read(file({"tokens": [["the", "dog"]], "tags": [["D", "N"]]}), TaggedTokens)
    assert tagged == TaggedTokens(tokens=("the", "dog"), tags=("D", "N"))


EXAMPLES = {
    LabelledText: [LabelledText(text='a\t"b"\n', label="x"), LabelledText(text="né", label="")],
    TaggedTokens: [TaggedTokens(tokens=("a", "b c"), tags=("D", "N")), TaggedTokens(tokens=("d",))],
    Pair: [Pair(source="a", target="b"), Pair(source="c")],
    Question: [Question(question="who?", context="he", answer="he"), Question(question="what?", answer="that")],
    Passage: [Passage(text="a line"), Passage(text="another")],
    Speech: [Speech(values=np.ones((2, 3)), transcript="yes"), Speech(values=np.zeros((1, 3)))],
}


@pytest.mark.parametrize("held", EXAMPLES)
def test_what_is_written_is_read_again_and_is_what_json_lines_hold(held: Any) -> None:
    examples = EXAMPLES[held]
    (content,) = Parquet(held).write_stream(examples)
    assert read(content, held) == examples
    lines = b"".join(JSONLines(held).write_stream(examples)).splitlines()
    rows = parquet.read_table(io.BytesIO(content)).to_pylist()
    for row, line in zip(rows, lines, strict=True):
        assert {k: v for k, v in row.items() if v is not None} == {
            k: v for k, v in json.loads(line).items() if v is not None
        }


def test_other_columns_are_written_again_with_what_was_predicted() -> None:
    day = datetime(2024, 2, 29, 12)
    content = file({"id": [7], "text": ["a"], "label": [None], "day": [day]})
    (example,) = read(content, LabelledText)
    said = replace(example, label="x", probabilities={"x": 0.75, "y": 0.25})
    (written,) = Parquet(LabelledText).write_stream([said])
    (row,) = parquet.read_table(io.BytesIO(written)).to_pylist()
    assert (row["id"], row["text"], row["label"], row["day"], row["confidence"]) == (7, "a", "x", day, 0.75)
    assert read(written, LabelledText) == [LabelledText(text="a", label="x")]


def test_splits_are_found_by_the_suffix(tmp_path: Path) -> None:
    for name in ("train", "valid"):
        reading.write(tmp_path / f"{name}.parquet", [Signal(values=np.ones((3, 2)), label=name)])
    found = splits.load(tmp_path, Signal, seed=1)
    assert [one.label for one in (*found.train, *found.valid)] == ["train", "valid"]


GOOD = file({"values": [[[1.0, 2.0]]], "label": ["a"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"text,label\n", "not a Parquet file that can be read"),
        (GOOD[:-9], "not a Parquet file that can be read"),
        (GOOD[:40], "not a Parquet file that can be read"),
        (file({"values": pyarrow.array([], pyarrow.list_(pyarrow.float32())), "label": []}), "no examples"),
        (file({"values": [[[1.0], [1.0, 2.0]]], "label": ["a"]}), "step 2 of the values has 2 numbers where the first"),
        (file({"values": [[["1"]]], "label": ["a"]}), "step 1 of the values holds a string where a number or null is"),
        (file({"values": ["no.npy"], "label": ["a"]}), "there is no such file"),
        (file({"values": [[[1.0]]], "label": [b"a"]}), "the label is bytes where a string"),
        (file({"values": [[[1.0]]], "label": [date(2020, 1, 1)]}), "the label is a date where a string"),
    ],
)
def test_what_is_no_file_of_numbers_is_named(content: bytes, message: str) -> None:
    with pytest.raises(BadData, match=message) as found:
        read(content, Signal)
    assert "a.parquet" in str(found.value) or "no.npy" in str(found.value)


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match="unknown column 'x'; there are: label, values"):
        read(GOOD, Signal, {"values": "x"})


def test_a_column_of_several_types_is_not_written() -> None:
    rows = [LabelledText(text="a", label=("x", "y")), LabelledText(text="b", label="x")]
    with pytest.raises(BadData, match="a column would hold values of several types"):
        list(Parquet(LabelledText).write_stream(rows))


@given(st.binary(min_size=1, max_size=8), st.integers(0, len(GOOD) - 1))
@settings(max_examples=60, deadline=None)
def test_bytes_that_harm_a_file_are_an_error_or_other_numbers_and_nothing_else(put: bytes, place: int) -> None:
    harmed = GOOD[:place] + put + GOOD[place + len(put) :]
    with contextlib.suppress(BadData, UnknownName):
        assert isinstance(read(harmed, Signal), list)
