"""Finding the format, reading and writing files and streams."""

from __future__ import annotations

import io

import pytest

from unrolled.data.examples import LabelledText, Pair, Question, TaggedTokens
from unrolled.data.formats.conllu import CoNLLU
from unrolled.data.formats.tsv import TSV
from unrolled.data.reading import (
    claiming,
    format_name,
    format_of,
    read,
    read_stream,
    stream,
    suffixes,
    write,
    write_stream,
)
from unrolled.errors import BadData, UnknownName


def test_the_format_is_the_named_one_or_that_of_the_suffix():
    assert format_of("a.conllu.xz") is CoNLLU
    assert format_of("a/b.TSV") is TSV
    assert format_of("a.conllu", "tsv") is TSV
    assert [format_name(f"a.{ending}") for ending in ("txt", "jsonl", "ndjson", "bio", "csv.gz")] == [
        "text",
        "jsonl",
        "jsonl",
        "conll",
        "csv",
    ]
    assert format_name("-") == "text"


def test_an_unknown_format_or_suffix_is_named_with_those_that_exist():
    with pytest.raises(UnknownName) as caught:
        format_of("a.tsv", "tvs")
    assert str(caught.value) == "unknown format 'tvs'; did you mean 'tsv'?"
    with pytest.raises(UnknownName) as caught:
        format_of("data/a.conlu.gz")
    assert (
        str(caught.value)
        == "data/a.conlu.gz: no format is named: unknown file suffix '.conlu'; did you mean '.conllu'?"
    )
    with pytest.raises(UnknownName, match=r"unknown file suffix ''; there are: \.aif, .*\.csv, .*…$"):
        format_of("data/a")


def test_parallel_text_is_recognised_by_its_languages(tmp_path):
    for name in ("a.en", "a.de.gz", "b.en", "c.tsv", "c.csv", "d.x.en", "d.y.de"):
        (tmp_path / name).touch()
    columns = {"source": "en", "target": "de"}
    assert [format_name(tmp_path / name, columns=columns) for name in ("a", "b", "new.de", "x.EN.de.xz", "b.tsv")] == [
        *["parallel"] * 4,
        "tsv",
    ]
    assert claiming(tmp_path / "a") == claiming(tmp_path / "a.source") == ["parallel"]
    assert claiming(tmp_path / "a", example_type=Pair) == ["parallel"]
    assert claiming(tmp_path / "a", example_type=Question) == []
    (tmp_path / "a").touch()
    assert claiming(tmp_path / "a") == [], "a file is itself, whatever lies beside it"
    assert claiming(tmp_path / "a", "tsv") == claiming(tmp_path / "b") == claiming(tmp_path / "d") == []
    with pytest.raises(UnknownName, match=r"b: no format is named"):
        format_name(tmp_path / "b")


def test_the_format_before_goes_on_where_the_suffix_is_usual_for_it():
    assert [format_name(name, before="babi") for name in ("a.txt.gz", "a.tsv", "-")] == ["babi", "tsv", "text"]
    assert format_name("a.txt", before="tsv") == "text"
    assert "babi" not in suffixes().values()


def test_a_file_that_is_not_there_is_a_mistake_whatever_its_name(tmp_path):
    for name in ("a", "a.tvs", "a.en"):
        with pytest.raises(BadData, match=rf"{name}: there is no such file$"):
            read(tmp_path / name, Pair, columns={"source": "en", "target": "de"})
    (tmp_path / "a.tvs").touch()
    with pytest.raises(UnknownName, match=r"unknown file suffix '\.tvs'; did you mean '\.tsv'\?"):
        read(tmp_path / "a.tvs", Pair)


def test_a_file_is_read_and_written_with_the_same_options(file, tmp_path):
    path = file("a.tsv", "review\tid\nfine\t7\n")
    examples = read(path, LabelledText, columns={"text": "review"})
    assert examples == [LabelledText(text="fine")] == list(stream(path, LabelledText, columns={"text": "review"}))
    write(tmp_path / "b.tsv.gz", examples, columns={"text": "review"})
    assert read(tmp_path / "b.tsv.gz", LabelledText, columns={"text": "review"}) == examples
    write(tmp_path / "c.dat", examples, format="jsonl", columns={"text": "review"})
    assert (tmp_path / "c.dat").read_text() == '{"review": "fine", "id": "7"}\n'


def test_streams_may_be_text_or_binary():
    expected = [LabelledText(text="été")]
    assert read_stream(io.StringIO("été\n"), LabelledText) == expected
    assert read_stream(io.BytesIO("été\n".encode()), LabelledText) == expected
    latin = io.TextIOWrapper(io.BytesIO("été\n".encode()), encoding="latin-1")
    assert read_stream(latin, LabelledText) == expected
    assert read_stream(io.StringIO("a b\n"), TaggedTokens) == [TaggedTokens(tokens=("a", "b"))]
    assert read_stream(io.StringIO('{"text": "a"}\n'), LabelledText, format="jsonl") == [LabelledText(text="a")]
    for target in (io.StringIO(), io.BytesIO()):
        write_stream(target, expected)
        assert target.getvalue() in ("été\n", "été\n".encode())
    below = io.BytesIO()
    latin = io.TextIOWrapper(below, encoding="ascii")
    write_stream(latin, [TaggedTokens(tokens=("é",), tags=("X",))], format="conll")
    assert below.getvalue() == "é\tX\n\n".encode()


def test_mistakes_on_a_stream_are_those_of_standard_input():
    with pytest.raises(BadData, match=r"^standard input: the file is empty$"):
        read_stream(io.StringIO(""), LabelledText)
    with pytest.raises(BadData, match=r"^standard input:2: not UTF-8: byte 0xff at position 1$"):
        read_stream(io.BytesIO(b"a\n\xff\n"), LabelledText)


def test_lines_that_a_text_stream_could_not_decode_are_named():
    half = io.TextIOWrapper(io.BytesIO(b"a\n\xff\n"), encoding="utf-8", errors="surrogateescape").readlines()
    with pytest.raises(BadData, match=r"^standard input:2: not UTF-8: byte 0xff at position 1$"):
        read_stream(half, LabelledText)


def test_nothing_cannot_be_written(tmp_path):
    with pytest.raises(BadData, match=r"a\.tsv: there are no examples to write"):
        write(tmp_path / "a.tsv", [])
    with pytest.raises(BadData, match=r"standard output: there are no examples to write"):
        write_stream(io.StringIO(), [])
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_written_as_it_comes():
    target = io.BytesIO()

    def examples():
        yield LabelledText(text="one")
        yield LabelledText(text="two")
        assert target.getvalue() == b"one\ntwo\n"
        yield LabelledText(text="three")

    write_stream(target, examples())
    assert target.getvalue() == b"one\ntwo\nthree\n"
