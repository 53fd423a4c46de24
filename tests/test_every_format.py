"""The laws of every format in `data/formats/`, which the folder lists itself.

They hold for files, of which a format may have several: what is written to a path is a set of files, name -> content.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.examples import Example, LabelledText, Pair, Passage, Question, TaggedTokens
from unrolled.data.formats.base import Format
from unrolled.errors import BadData, BadOption, CannotWrite
from unrolled.lookup import find, names

PACKAGE = "unrolled.data.formats"
FORMATS = {name: find(PACKAGE, name, Format, "format") for name in names(PACKAGE, Format)}
INPUT = {LabelledText: "text", TaggedTokens: "tokens", Pair: "source", Question: "question", Passage: "text"}
# Numbers have their laws in `data/formats/test_signals.py`; what is no text, and the letters of GenBank, their own.
OWN = {"genbank"} | {name for name, kind in FORMATS.items() if kind.binary}
HELD = [(n, held) for n, kind in FORMATS.items() for held in kind.holds if held in INPUT and n not in OWN]
Files = dict[str, bytes]
PLACE = "a.data"

# Characters that no format may stumble over: quotation marks, commas, separators of others, marks, a no-break space.
CHARACTERS = "aZé9#'\",.;:|/\\_-=<>{}[]–’निन和\u00a0\u2028\x85\x0c\ufeff"
# A form feed is none of the characters that XML 1.0 has.
LACKING = {"tmx": "\x0c", "fasta": "=", "fastq": "="}
SEQUENCES = {"fasta": ">", "fastq": "@"}  # whose texts are letters alone; what begins a header there
LETTERS = st.text("ACGTacgtN*-.", min_size=1, max_size=130)
TAG = st.text("ABIO-=|_.", min_size=1, max_size=4).filter(lambda tag: tag != "_")
ODD = st.text(st.characters(codec=None) | st.sampled_from("\t\n\r \0#_?\ufeff\ud800-|"), max_size=4)

CONTEXT = {"squad": "always", "text": "never"}
"""Of a question; every other format holds it, and need not."""
SEVERAL_ANSWERS = {"jsonl", "squad"}
UTF16 = {"tmx"}  # whose files may be so
EMPTY_IS_NONE = {"babi", "csv", "tmx", "tsv"}
"""An empty text besides the one to read stands for none there."""


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk: nobody pulls the plug here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def ordinary(name: str) -> Any:
    return st.text([c for c in CHARACTERS if c not in LACKING.get(name, "")], min_size=1, max_size=6)


def lines(name: str) -> Any:
    return st.lists(ordinary(name), min_size=1, max_size=4).map(" ".join)


@st.composite
def sentences(draw: Any, token: Any, tag: Any, *, filled: bool) -> TaggedTokens:
    tokens = draw(st.lists(token, min_size=1, max_size=4))
    tags = tuple(draw(tag) for _ in tokens) if filled else None
    return TaggedTokens(tokens=tuple(tokens), tags=tags)


def examples_of(name: str, held: type[Example], text: Any, token: Any, tag: Any, *, filled: bool) -> Any:
    """Lists of examples, as one file would hold them. Of any other type: nothing is known, and it fails."""
    blank = text if filled else st.none()
    if name in SEQUENCES:
        text = LETTERS if text is not ODD else ODD | LETTERS
    if held is TaggedTokens:
        one = sentences(token, tag, filled=filled)
    elif held is LabelledText:
        one = st.builds(LabelledText, text=text, label=blank)
    elif held is Pair:
        one = st.builds(Pair, source=text, target=blank)
    elif held is Passage:  # what follows is written and not read again
        one = st.builds(Passage, text=text)
    else:
        assert held is Question
        context = {"always": text, "never": st.none()}.get(CONTEXT.get(name, ""), st.none() | text)
        several = st.lists(text, min_size=2, max_size=3, unique=True).map(tuple)
        answer = blank | several if filled and name in SEVERAL_ANSWERS else blank
        one = st.builds(Question, question=text, context=context, answer=answer)
    return st.lists(one, min_size=1, max_size=3)


def sample(name: str, held: type[Example]) -> list[Example]:
    """Two examples, filled in where the format can hold that."""
    filled = FORMATS[name].annotated
    if held is TaggedTokens:
        return [
            TaggedTokens(tokens=("The", "dog", "barks"), tags=("DET", "NOUN", "VERB") if filled else None),
            TaggedTokens(tokens=("Été", "!"), tags=("NOUN", "PUNCT") if filled else None),
        ]
    texts = ("ACGT" * 20, "ACGN") if name in SEQUENCES else ("a fine film", "été, fini")
    blank = "good" if filled else None
    if held is LabelledText:
        return [LabelledText(text=text, label=blank) for text in texts]
    if held is Pair:
        return [Pair(source=text, target=blank) for text in texts]
    if held is Passage:
        return [Passage(text=text) for text in texts]
    story = None if CONTEXT.get(name) == "never" else "Once upon a time."
    return [Question(question=text, context=story, answer=blank) for text in texts]


def without(examples: list[Example]) -> list[Example]:
    return [replace(example, **{example.blank: None}) for example in examples]


def to_files(name: str, examples: list[Example]) -> Files:
    with TemporaryDirectory() as folder:
        FORMATS[name](type(examples[0])).write(Path(folder) / PLACE, examples)
        return files_in(Path(folder))


def from_files(name: str, held: type[Example], files: Mapping[str, bytes]) -> list[Example]:
    with TemporaryDirectory() as folder:
        return list(FORMATS[name](held).read(put(Path(folder), files)))


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put the files there; their common name."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / PLACE


def files_in(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def each(files: Files, change: Callable[[bytes], bytes]) -> Files:
    return {name: change(content) for name, content in files.items()}


def as_read(name: str, example: Example) -> Example:
    if name not in EMPTY_IS_NONE or not isinstance(example, (Pair, Question)):
        return example
    fields = [example.blank, *(["context"] if isinstance(example, Question) else [])]
    return replace(example, **{field: None for field in fields if getattr(example, field) == ""})


def test_the_folder_holds_the_formats_of_the_documentation():
    assert {"babi", "conll", "conllu", "csv", "fasta", "fastq", "jsonl", "npz", "parallel"} <= set(FORMATS)
    assert {"squad", "text", "tmx", "tsv"} <= set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_test_file_of_its_own(name):
    assert (Path(__file__).parent / "data" / "formats" / f"test_{name}.py").is_file()


def test_no_suffix_belongs_to_two_formats():
    every = [ending for kind in FORMATS.values() for ending in kind.suffixes]
    assert len(every) == len(set(every))
    usual = [ending for kind in FORMATS.values() for ending in kind.usual]
    assert set(usual) <= set(every)
    assert all(ending.startswith(".") and ending == ending.lower() for ending in every)


@pytest.mark.parametrize(("name", "held"), HELD)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_ordinary_examples_are_read_as_they_were_written(name, held, data):
    filled = FORMATS[name].annotated and data.draw(st.booleans(), label="filled")
    examples = data.draw(examples_of(name, held, lines(name), ordinary(name), TAG, filled=filled))
    files = to_files(name, examples)
    again = from_files(name, held, files)
    assert again == examples
    assert to_files(name, again) == files


@pytest.mark.parametrize(("name", "held"), HELD)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_example_is_either_refused_or_read_as_it_was_written(name, held, data):
    filled = FORMATS[name].annotated and data.draw(st.booleans(), label="filled")
    examples = data.draw(examples_of(name, held, ODD, ODD, ODD, filled=filled))
    try:
        files = to_files(name, examples)
    except BadData:
        return
    assert from_files(name, held, files) == [as_read(name, example) for example in examples]


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_stream_of_what_is_to_be_predicted_is_that_of_a_file(name, held):
    examples = without(sample(name, held))
    content = b"".join(FORMATS[name](held).write_stream(examples))
    assert list(to_files(name, examples).values()) == [content]
    assert list(FORMATS[name](held).read_stream(io.BytesIO(content))) == examples


@pytest.mark.parametrize(("name", "held"), HELD)
@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_files_may_be_compressed_and_are_the_same_bytes_each_time(name, held, ending, tmp_path):
    kind, examples = FORMATS[name], sample(name, held)
    plain = to_files(name, examples)
    twins = tmp_path / "one", tmp_path / "other"
    for folder in twins:
        folder.mkdir()
        kind(held).write(folder / f"{PLACE}{ending}", examples)
    one, other = map(files_in, twins)
    assert one == other
    assert ending != ".gz" or all(content[4:8] == bytes(4) for content in one.values())  # the time, RFC 1952
    opened = {"": bytes, ".gz": gzip.decompress, ".xz": lzma.decompress}[ending]
    assert {file.removesuffix(ending): opened(content) for file, content in one.items()} == plain
    assert list(kind(held).read(twins[0] / f"{PLACE}{ending}")) == examples


@pytest.mark.parametrize(("name", "held"), HELD)
@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_truncated_compressed_file_is_named(name, held, ending, tmp_path):
    path = tmp_path / f"{PLACE}{ending}"
    FORMATS[name](held).write(path, sample(name, held) * 1000)
    for file, content in files_in(tmp_path).items():
        (tmp_path / file).write_bytes(content[:-12])
        with pytest.raises(BadData, match=f"{file}: the {ending} file is truncated or damaged"):
            list(FORMATS[name](held).read(path))
        (tmp_path / file).write_bytes(b"this is no such thing")
        with pytest.raises(BadData, match=f"{file}: the {ending} file is truncated or damaged after line 0"):
            list(FORMATS[name](held).read(path))
        (tmp_path / file).write_bytes(content)


@pytest.mark.parametrize(("name", "held"), HELD)
def test_an_empty_file_is_a_mistake(name, held, tmp_path):
    files = to_files(name, sample(name, held))
    with pytest.raises(BadData, match=r"a\.data[a-z.]*: the file is empty"):
        list(FORMATS[name](held).read(put(tmp_path, each(files, lambda _: b""))))
    with pytest.raises(BadData, match=r"a\.data: the file holds no examples"):
        list(FORMATS[name](held).read(put(tmp_path, each(files, lambda _: b"\n\n\n"))))


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_missing_file_and_a_folder_are_mistakes(name, held, tmp_path):
    with pytest.raises(BadData, match=r"nothing: there is no such file"):
        list(FORMATS[name](held).read(tmp_path / "nothing"))
    with pytest.raises(BadData, match=r"a folder where a file is expected"):
        list(FORMATS[name](held).read(tmp_path))


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_byte_that_is_not_utf8_is_named_with_its_line_and_position(name, held, tmp_path):
    files = to_files(name, sample(name, held))
    for file, good in files.items():
        rows = good.splitlines(keepends=True)
        last = max(number for number, line in enumerate(rows, 1) if line.strip())
        row = rows[last - 1].replace("é".encode(), b"\xe9", 1).replace("É".encode(), b"\xe9", 1)
        rows[last - 1] = row if row != rows[last - 1] else b"ab\xe9" + row
        position = rows[last - 1].index(b"\xe9") + 1
        path = put(tmp_path, {**files, file: b"".join(rows)})
        with pytest.raises(BadData, match=rf"{file}:{last}: not UTF-8: byte 0xe9 at position {position}$"):
            list(FORMATS[name](held).read(path))


@pytest.mark.parametrize(("name", "held"), HELD)
def test_utf16_is_read_where_the_format_has_it_and_else_guessed(name, held, tmp_path):
    files = to_files(name, sample(name, held))
    for file, content in files.items():
        path = put(tmp_path, {**files, file: content.decode().encode("utf-16")})
        if name in UTF16:
            assert list(FORMATS[name](held).read(path)) == sample(name, held)
        else:
            with pytest.raises(
                BadData, match=rf"{file}:1: not UTF-8: byte 0xff at position 1 \(is the file UTF-16\?\)"
            ):
                list(FORMATS[name](held).read(path))
        put(tmp_path, {file: content.decode().encode("utf-16-le")})
        with pytest.raises(BadData, match=rf"{file}:1: .*UTF-16"):
            list(FORMATS[name](held).read(path))


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_byte_order_mark_and_carriage_returns_change_nothing(name, held):
    examples = sample(name, held)
    files = to_files(name, examples)
    foreign = each(files, lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    again = from_files(name, held, foreign)
    assert again == examples
    assert to_files(name, again) == files


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_last_line_without_its_end_is_a_line(name, held):
    examples = sample(name, held)
    assert from_files(name, held, each(to_files(name, examples), lambda content: content.rstrip(b"\n"))) == examples


@pytest.mark.parametrize(("name", "held"), HELD)
def test_reading_is_lazy_where_a_file_is_not_one_document(name, held):
    examples = without(sample(name, held))
    every = io.BytesIO(b"".join(FORMATS[name](held).write_stream(examples * 200))).readlines()
    taken: list[bytes] = []

    def rows():
        for line in every:
            taken.append(line)
            yield line

    first = next(FORMATS[name](held).read_stream(rows()))
    assert first == examples[0]
    assert len(taken) < 10 < len(every) if FORMATS[name].streamed else len(taken) == len(every)


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_prediction_is_written_beside_what_was_read(name, held):
    predicted = []
    for example in from_files(name, held, to_files(name, without(sample(name, held)))):
        if held is TaggedTokens:
            tags = tuple("XYZ"[: len(example.tokens)])
            predicted.append(replace(example, tags=tags, confidence=tuple(0.5 for _ in tags)))
        elif held is Passage:
            predicted.append(replace(example, following=(("bad", 0.5),)))
        elif held is LabelledText:
            predicted.append(replace(example, label="bad", probabilities={"bad": 0.75, "good": 0.25}))
        else:
            found = {example.blank: "bad", "score": -0.5, "alternatives": (("good", -1.5),)}
            predicted.append(replace(example, **found))
    files = to_files(name, predicted)
    assert any(b"bad" in content or b"X" in content for content in files.values())
    if FORMATS[name].annotated:
        again = from_files(name, held, files)
        assert again == (predicted if held.needs_answer else without(predicted))
        assert to_files(name, again) == files


@pytest.mark.parametrize(("name", "held"), HELD)
def test_training_needs_the_blank_filled_in(name, held, tmp_path):
    kind = FORMATS[name]
    if not held.needs_answer:
        path = put(tmp_path, to_files(name, sample(name, held)))
        assert list(kind(held, filled=True).read(path)) == sample(name, held)
        return
    if not kind.annotated:
        with pytest.raises(BadOption, match=rf"holds no {held.blank}"):
            kind(held, filled=True)
        return
    path = put(tmp_path, to_files(name, without(sample(name, held))))
    assert [getattr(example, held.blank) for example in kind(held).read(path)] == [None, None]
    told = (
        f"without {held.blank}, which",
        f"unknown column '{held.blank}'",
        "no counterpart",
        "no unit has .* a target",
    )
    with pytest.raises(Exception, match="|".join(told)):
        list(kind(held, filled=True).read(path))
    put(tmp_path, to_files(name, sample(name, held)))
    assert list(kind(held, filled=True).read(path)) == sample(name, held)


@pytest.mark.parametrize(("name", "held"), HELD)
def test_a_failed_writing_leaves_what_was_there(name, held, tmp_path):
    before = to_files(name, sample(name, held))
    path = put(tmp_path, before)
    half = ("a\ud800b",) if held is TaggedTokens else "a\ud800b"
    bad = replace(sample(name, held)[0], **{held.blank: None, INPUT[held]: half})
    if name in SEQUENCES:  # whose input can be no such thing
        half = {LabelledText: "a\ud800b", Passage: (("a\ud800b", 0.5),)}[held]
        bad = replace(sample(name, held)[0], **{held.blank: half})
    good = without(sample(name, held))[0]
    with pytest.raises(BadData, match=r"U\+D800 is half a character"):
        FORMATS[name](held).write(path, [good, bad])
    assert files_in(tmp_path) == before
    with pytest.raises(CannotWrite, match="cannot write"):
        FORMATS[name](held).write(tmp_path / "no" / PLACE, [good])
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(("name", "held"), HELD)
def test_examples_know_their_lines(name, held, tmp_path):
    examples = sample(name, held)
    path = put(tmp_path, to_files(name, examples))
    texts = ["a fine", "été"] if name not in SEQUENCES else [f"{SEQUENCES[name]}{k}" for k in (1, 2)]
    starts = ["The", "Été"] if held is TaggedTokens else texts
    for example, start in zip(FORMATS[name](held).read(path), starts, strict=True):
        assert example.origin is not None
        rows = Path(example.origin.path).read_text(encoding="utf-8").split("\n")
        assert start in rows[example.origin.line - 1]


@pytest.mark.parametrize("name", FORMATS)
def test_an_example_type_that_it_cannot_hold_is_refused(name):
    class Other(Example):
        pass

    with pytest.raises(BadOption, match=rf"the format {name} holds .*, not other examples"):
        FORMATS[name](Other)
