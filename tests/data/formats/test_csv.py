"""Comma-separated values: what quoting adds to a table."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.examples import LabelledText, TaggedTokens
from unrolled.data.formats.csv import CSV
from unrolled.errors import BadData


def read(content: str, held=LabelledText, **options):
    return list(CSV(held, **options).read_stream(io.BytesIO(content.encode()), "a.csv"))


def written(examples, **options) -> str:
    return b"".join(CSV(type(examples[0]), **options).write_stream(examples)).decode()


def test_quoted_cells_hold_commas_marks_and_line_breaks():
    content = 'label,text\ngood,"one, ""two""\nthree"\nbad,plain\n'
    examples = read(content)
    assert examples == [LabelledText(text='one, "two"\nthree', label="good"), LabelledText(text="plain", label="bad")]
    assert [e.origin.line for e in examples] == [2, 4]
    assert written(examples) == content


@given(st.lists(st.text(st.sampled_from('ab,"\n\r\t ')), min_size=2, max_size=2))
def test_any_cells_are_read_as_the_csv_module_wrote_them(cells):
    out = io.StringIO()
    csv.writer(out).writerows([["text", "label"], cells])
    (example,) = read(out.getvalue())
    assert [example.text, example.label or ""] == cells


def test_a_cell_may_be_longer_than_python_s_limit():
    text = "word, " * 100_000
    assert read(f'label,text\ngood,"{text}"\n')[0].text == text


def test_a_quotation_mark_that_is_not_closed_is_named_with_the_line_where_its_row_begins():
    with pytest.raises(BadData) as caught:
        read('label,text\ngood,fine\nbad,"dull\ngood,nice\ngood,nice\n')
    assert str(caught.value).startswith("a.csv:3: not CSV: unexpected end of data (the row that begins here ends in")


def test_text_behind_a_closing_mark_is_refused():
    with pytest.raises(BadData, match=r"^a\.csv:2: not CSV: ',' expected after '\"'$"):
        read('label,text\ngood,"fine"ly\n')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label,text\ngood\n", "a.csv:2: 1 column where the header has 2"),
        ('label,text\ngood,"a\nb"\nbad,x,y\n', "a.csv:4: 3 columns where the header has 2"),
    ],
)
def test_a_row_of_another_width_is_named_with_its_line(content, message):
    with pytest.raises(BadData) as caught:
        read(content)
    assert str(caught.value) == message


def test_carriage_returns_inside_a_cell_are_kept():
    for text in ("a\rb\r\nc", "a\rb", "a\r"):
        assert read(written([LabelledText(text=text)])) == [LabelledText(text=text)]


def test_an_empty_text_is_kept():
    assert read(written([LabelledText(text="")])) == [LabelledText(text="")]


def test_several_labels_and_tokens_are_as_in_tsv():
    assert read("text,label\nfine,good|short\n", label_separator="|")[0].label == ("good", "short")
    assert read("tokens,tags\na b,X Y\n", TaggedTokens) == [TaggedTokens(tokens=("a", "b"), tags=("X", "Y"))]
