"""The laws of every format in `data/formats/`, which the folder lists itself."""

from __future__ import annotations

import gzip
import io
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.examples import Example, LabelledText, TaggedTokens
from unrolled.data.formats.base import Format
from unrolled.errors import BadData, BadOption, CannotWrite
from unrolled.lookup import find, names

PACKAGE = "unrolled.data.formats"
FORMATS = {name: find(PACKAGE, name, Format, "format") for name in names(PACKAGE, Format)}
PAIRS = [(name, held) for name, kind in FORMATS.items() for held in kind.holds]

# Characters that no format may stumble over: quotation marks, commas, separators of others, marks, a no-break space.
ORDINARY = st.text("aZé9#'\",.;:|/\\_-=<>{}[]–’निन和\u00a0\u2028\x85\x0c\ufeff", min_size=1, max_size=6)
TAG = st.text("ABIO-=|_.", min_size=1, max_size=4).filter(lambda tag: tag != "_")
LINE = st.lists(ORDINARY, min_size=1, max_size=4).map(" ".join)


def texts(text: Any, label: Any) -> Any:
    return st.builds(LabelledText, text=text, label=label)


@st.composite
def sentences(draw: Any, token: Any, tag: Any, *, tagged: bool) -> TaggedTokens:
    tokens = draw(st.lists(token, min_size=1, max_size=4))
    tags = tuple(draw(tag) for _ in tokens) if tagged else None
    return TaggedTokens(tokens=tuple(tokens), tags=tags)


def files_of(held: type[Example], token: Any, text: Any, *, filled: bool) -> Any:
    """Lists of examples, as one file would hold them."""
    if held is TaggedTokens:
        return st.lists(sentences(token, TAG if token is ORDINARY else token, tagged=filled), min_size=1, max_size=3)
    return st.lists(texts(text, (LINE if text is LINE else text) if filled else st.none()), min_size=1, max_size=3)


def sample(name: str, held: type[Example]) -> list[Example]:
    """Two examples, filled in where the format can hold that."""
    filled = FORMATS[name].annotated
    if held is TaggedTokens:
        return [
            TaggedTokens(tokens=("The", "dog", "barks"), tags=("DET", "NOUN", "VERB") if filled else None),
            TaggedTokens(tokens=("Été", "!"), tags=("NOUN", "PUNCT") if filled else None),
        ]
    return [LabelledText(text=text, label="good" if filled else None) for text in ("a fine film", "été, fini")]


def to_bytes(name: str, examples: list[Example]) -> bytes:
    return b"".join(FORMATS[name](type(examples[0])).write_stream(examples))


def from_bytes(name: str, held: type[Example], content: bytes) -> list[Example]:
    return list(FORMATS[name](held).read_stream(io.BytesIO(content)))


def test_the_folder_holds_the_formats_of_the_documentation():
    assert {"conll", "conllu", "csv", "jsonl", "text", "tsv"} <= set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_test_file_of_its_own(name):
    assert (Path(__file__).parent / "data" / "formats" / f"test_{name}.py").is_file()


def test_no_suffix_belongs_to_two_formats():
    every = [ending for kind in FORMATS.values() for ending in kind.suffixes]
    assert len(every) == len(set(every))
    assert all(ending.startswith(".") and ending == ending.lower() for ending in every)


@pytest.mark.parametrize(("name", "held"), PAIRS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_ordinary_examples_are_read_as_they_were_written(name, held, data):
    filled = FORMATS[name].annotated and data.draw(st.booleans(), label="filled")
    examples = data.draw(files_of(held, ORDINARY, LINE, filled=filled))
    content = to_bytes(name, examples)
    again = from_bytes(name, held, content)
    assert again == examples
    assert to_bytes(name, again) == content


@pytest.mark.parametrize(("name", "held"), PAIRS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_example_is_either_refused_or_read_as_it_was_written(name, held, data):
    odd = st.text(st.characters(codec=None) | st.sampled_from("\t\n\r \0#_\ufeff\ud800-|"), max_size=4)
    filled = FORMATS[name].annotated and data.draw(st.booleans(), label="filled")
    examples = data.draw(files_of(held, odd, odd, filled=filled))
    try:
        content = to_bytes(name, examples)
    except BadData:
        return
    assert from_bytes(name, held, content) == examples


@pytest.mark.parametrize(("name", "held"), PAIRS)
@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_files_may_be_compressed_and_are_the_same_bytes_each_time(name, held, ending, tmp_path):
    kind, examples = FORMATS[name], sample(name, held)
    path, twin = tmp_path / f"a{kind.suffixes[0]}{ending}", tmp_path / f"b{kind.suffixes[0]}{ending}"
    kind(held).write(path, examples)
    kind(held).write(twin, examples)
    assert path.read_bytes() == twin.read_bytes()
    assert ending != ".gz" or path.read_bytes()[4:8] == bytes(4)  # the time, RFC 1952
    opened = {"": lambda raw: raw, ".gz": gzip.decompress, ".xz": lzma.decompress}[ending](path.read_bytes())
    assert opened == to_bytes(name, examples)
    assert list(kind(held).read(path)) == examples


@pytest.mark.parametrize(("name", "held"), PAIRS)
@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_truncated_compressed_file_is_named(name, held, ending, tmp_path):
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}{ending}"
    FORMATS[name](held).write(path, sample(name, held) * 1000)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(BadData, match=f"{path.name}: the {ending} file is truncated or damaged"):
        list(FORMATS[name](held).read(path))
    path.write_bytes(b"this is no such thing")
    with pytest.raises(BadData, match=f"the {ending} file is truncated or damaged after line 0"):
        list(FORMATS[name](held).read(path))


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_an_empty_file_is_a_mistake(name, held, tmp_path):
    path = tmp_path / "a.data"
    path.write_bytes(b"")
    with pytest.raises(BadData, match=r"a\.data: the file is empty"):
        list(FORMATS[name](held).read(path))
    path.write_bytes(b"\n\n\n")
    with pytest.raises(BadData, match=r"a\.data: the file holds no examples"):
        list(FORMATS[name](held).read(path))


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_a_missing_file_and_a_folder_are_mistakes(name, held, tmp_path):
    with pytest.raises(BadData, match=r"nothing: there is no such file"):
        list(FORMATS[name](held).read(tmp_path / "nothing"))
    with pytest.raises(BadData, match=r"a folder where a file is expected"):
        list(FORMATS[name](held).read(tmp_path))


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_a_byte_that_is_not_utf8_is_named_with_its_line_and_position(name, held, tmp_path):
    path = tmp_path / "a.data"
    good = to_bytes(name, sample(name, held))
    lines = good.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines, 1) if line.strip())
    lines[last - 1] = lines[last - 1].replace("é".encode(), b"\xe9", 1).replace("É".encode(), b"\xe9", 1)
    if b"\xe9" not in lines[last - 1].replace("é".encode(), b""):
        lines[last - 1] = b"ab\xe9" + lines[last - 1]
    position = lines[last - 1].index(b"\xe9") + 1
    path.write_bytes(b"".join(lines))
    with pytest.raises(BadData, match=rf"a\.data:{last}: not UTF-8: byte 0xe9 at position {position}$"):
        list(FORMATS[name](held).read(path))


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_utf16_is_guessed(name, held, tmp_path):
    path = tmp_path / "a.data"
    text = to_bytes(name, sample(name, held)).decode()
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(BadData, match=r"a\.data:1: not UTF-8: byte 0xff at position 1 \(is the file UTF-16\?\)"):
        list(FORMATS[name](held).read(path))
    path.write_bytes(text.encode("utf-16-le"))
    with pytest.raises(BadData, match=r"a\.data:1: .*UTF-16"):
        list(FORMATS[name](held).read(path))


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_a_byte_order_mark_and_carriage_returns_change_nothing(name, held):
    examples = sample(name, held)
    content = to_bytes(name, examples)
    foreign = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
    again = from_bytes(name, held, foreign)
    assert again == examples
    assert to_bytes(name, again) == content


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_a_last_line_without_its_end_is_a_line(name, held):
    examples = sample(name, held)
    assert from_bytes(name, held, to_bytes(name, examples).rstrip(b"\n")) == examples


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_reading_is_lazy(name, held):
    examples = sample(name, held)
    every = io.BytesIO(to_bytes(name, examples * 200)).readlines()
    taken: list[bytes] = []

    def lines():
        for line in every:
            taken.append(line)
            yield line

    first = next(FORMATS[name](held).read_stream(lines()))
    assert first == examples[0]
    assert len(taken) < 10 < len(every)


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_a_prediction_is_written_beside_what_was_read(name, held):
    kind = FORMATS[name]
    given = [replace(example, **{example.blank: None}) for example in sample(name, held)]
    predicted = []
    for example in from_bytes(name, held, to_bytes(name, given)):
        if held is TaggedTokens:
            tags = tuple("XYZ"[: len(example.tokens)])
            predicted.append(replace(example, tags=tags, confidence=tuple(0.5 for _ in tags)))
        else:
            predicted.append(replace(example, label="bad", probabilities={"bad": 0.75, "good": 0.25}))
    content = to_bytes(name, predicted)
    assert b"bad" in content or b"X" in content
    if kind.annotated:
        again = from_bytes(name, held, content)
        assert again == predicted
        assert to_bytes(name, again) == content


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_training_needs_the_blank_filled_in(name, held):
    kind = FORMATS[name]
    if not kind.annotated:
        with pytest.raises(BadOption, match=rf"holds no {held.blank}"):
            kind(held, filled=True)
        return
    content = to_bytes(name, [replace(example, **{held.blank: None}) for example in sample(name, held)])
    assert [getattr(e, held.blank) for e in kind(held).read_stream(io.BytesIO(content))] == [None, None]
    with pytest.raises(Exception, match=rf"without {held.blank}, which|unknown column '{held.blank}'"):
        list(kind(held, filled=True).read_stream(io.BytesIO(content)))
    content = to_bytes(name, sample(name, held))
    assert list(kind(held, filled=True).read_stream(io.BytesIO(content))) == sample(name, held)


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_a_failed_writing_leaves_what_was_there(name, held, tmp_path):
    path = tmp_path / "a.data"
    path.write_text("before")
    field = "tokens" if held is TaggedTokens else "text"
    half = ("a\ud800b",) if held is TaggedTokens else "a\ud800b"
    bad = replace(sample(name, held)[0], **{held.blank: None, field: half})
    good = replace(sample(name, held)[0], **{held.blank: None})
    with pytest.raises(BadData, match=r"U\+D800 is half a character"):
        FORMATS[name](held).write(path, [good, bad])
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.data"]
    with pytest.raises(CannotWrite, match="cannot write"):
        FORMATS[name](held).write(tmp_path / "no" / "a.data", [good])


@pytest.mark.parametrize(("name", "held"), PAIRS)
def test_examples_know_their_lines(name, held):
    examples = sample(name, held)
    content = to_bytes(name, examples)
    starts = [e.text.split()[0] if isinstance(e, LabelledText) else e.tokens[0] for e in examples]
    lines = content.decode().split("\n")
    for example, start in zip(from_bytes(name, held, content), starts, strict=True):
        assert example.origin is not None
        assert start in lines[example.origin.line - 1]


@pytest.mark.parametrize("name", FORMATS)
def test_an_example_type_that_it_cannot_hold_is_refused(name):
    class Other(Example):
        pass

    with pytest.raises(BadOption, match=rf"the format {name} holds .*, not other examples"):
        FORMATS[name](Other)
