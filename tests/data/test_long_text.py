"""A text that is read from the disk: the lines that a list of them has, whatever is asked of it."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data import cache, long_text, splits
from unrolled.data.examples import LabelledText, Passage
from unrolled.data.long_text import LongText, digest_of, is_long, sampled
from unrolled.data.reading import read
from unrolled.errors import BadData

TEXT = "\n".join(
    ["", "the first", "the second\t", "", " ", "ｄｒｉｔｔｅ", "", *(f"line {k}" for k in range(9)), "", "end"]
)


def everything(passages) -> list[tuple[object, ...]]:
    """With what is not compared, too."""
    return [(p.text, p.above, str(p.origin)) for p in passages]


@pytest.fixture(autouse=True)
def _nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "train.txt"
    found.write_text(TEXT, encoding="utf-8")
    return found


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_it_has_the_lines_that_reading_has(tmp_path: Path, suffix: str, pack) -> None:
    path = tmp_path / f"train.txt{suffix}"
    path.write_bytes(pack(TEXT.encode()))
    lines = read(path, Passage)
    text = LongText(path)
    assert bool(text)
    assert everything(text) == everything(lines) == everything(text)
    assert len(text) == len(lines) == len(LongText(path))


def test_other_formats_are_read_line_by_line_as_well(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"said": "one"}\n{"said": "two"}\n')
    assert [p.text for p in LongText(path, columns={"text": "said"})] == ["one", "two"]


def test_how_many_there_are_is_counted_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(LongText(path)), len(LongText(path, start=4))
    with monkeypatch.context() as patch:
        patch.setattr(LongText, "__iter__", lambda self: pytest.fail("it was counted again"))
        assert (len(LongText(path)), len(LongText(path, start=4))) == before == (13, 9)
    path.write_text(TEXT + "\nmore", encoding="utf-8")
    assert len(LongText(path)) == 14
    assert len(LongText(path, start=12, stop=99)) == 2


def test_parts_and_places_are_those_of_a_list(path: Path) -> None:
    @given(st.slices(14), st.slices(14))
    def agree(first: slice, second: slice) -> None:
        lines, text = read(path, Passage), LongText(path)
        if (first.step or 1) > 0 and (second.step or 1) > 0:
            assert everything(text[first]) == everything(lines[first])
            assert everything(text[first][second]) == everything(lines[first][second])
            assert len(text[first]) == len(lines[first])

    agree()
    lines, text = read(path, Passage), LongText(path)
    assert all(text[k] == lines[k] for k in range(-len(lines), len(lines)))
    for place in (len(lines), -len(lines) - 1):
        with pytest.raises(IndexError):
            text[place]


def test_no_more_of_it_is_read_than_is_asked_for(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n\xff\n")
    assert LongText(path)[0].text == "the first"
    assert LongText(path, start=1, stop=3)[-1].text == "ｄｒｉｔｔｅ"


def test_a_line_that_is_not_utf_8_is_named(path: Path) -> None:
    path.write_bytes(b"good\n\nbad \xff\ngood\n")
    with pytest.raises(BadData, match=r"train\.txt:3: not UTF-8: byte 0xff at position 5$"):
        len(LongText(path))


@pytest.mark.parametrize(("content", "message"), [("", "the file is empty$"), ("\n \n", "the file holds no examples$")])
def test_what_has_no_lines_is_refused_as_reading_refuses_it(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    for wanted in (list, len, bool):
        with pytest.raises(BadData, match=message):
            wanted(LongText(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"none\.txt: there is no such file$"):
        LongText(tmp_path / "none.txt")


def test_a_file_that_changes_is_not_used_on(path: Path) -> None:
    text = LongText(path)
    lines = iter(text)
    next(lines)
    path.write_text(TEXT + "\nmore")
    for use in (lambda: list(lines), lambda: list(text), lambda: text.digest):
        with pytest.raises(BadData, match=r"train\.txt: the file was changed while it was in use; begin again$"):
            use()


def test_a_digest_tells_texts_and_parts_apart_and_not_when_they_were_written(path: Path) -> None:
    found = {LongText(path).digest, LongText(path, stop=3).digest, LongText(path, start=1, stop=3).digest}
    found.add(LongText(path, format="jsonl").digest)
    path.write_text(TEXT + "x", encoding="utf-8")
    found.add(LongText(path).digest)
    assert len(found) == 5
    before = digest_of(LongText(path))
    os.utime(path, (1, 1))
    assert digest_of(LongText(path)) == before
    assert digest_of(LongText(path)).startswith("13 examples, sha256 ")
    lines = read(path, Passage)
    assert digest_of(lines) == digest_of(list(lines)) != digest_of(lines[1:])


def test_only_what_runs_on_is_long_and_only_above_the_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_long(path, Passage)
    monkeypatch.setattr(long_text, "LONG", path.stat().st_size)
    assert not is_long(path, Passage)
    monkeypatch.setattr(long_text, "LONG", path.stat().st_size - 1)
    assert is_long(path, Passage)
    assert not is_long(path, LabelledText)
    assert not is_long(path.parent, Passage)


def test_pieces_are_learnt_from_all_lines_of_a_list_and_of_a_long_text_from_some(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, text = read(path, Passage), LongText(path)
    assert list(sampled(text)) == lines
    monkeypatch.setattr(long_text, "SAMPLED", -(-path.stat().st_size // 3))
    assert list(sampled(text)) == lines[::3]
    assert list(sampled(lines)) == lines


@pytest.mark.parametrize("splitting", ["folder", "no validation", "file"])
def test_a_long_text_is_split_where_a_list_is(
    splitting: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path
    if splitting == "folder":
        (tmp_path / "valid.txt").write_text("some\nmore\n")
    if splitting == "file":
        data = path.rename(tmp_path / "text.txt")
    whole = splits.load(data, Passage, seed=1)
    monkeypatch.setattr(long_text, "LONG", 0)
    parted = splits.load(data, Passage, seed=1)
    assert isinstance(parted.train, LongText)
    assert not isinstance(parted.valid, LongText)
    for one, other in zip(whole, parted, strict=True):
        assert (one is None) == (other is None)
        assert everything(one or ()) == everything(other or ())
    assert [len(part or ()) for part in parted] == {
        "folder": [13, 2, 0],
        "no validation": [12, 1, 0],
        "file": [11, 1, 1],
    }[splitting]


def test_of_a_long_text_no_more_is_set_apart_than_can_be_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("".join(f"line {k}\n" for k in range(100)))
    monkeypatch.setattr(long_text, "LONG", 0)
    monkeypatch.setattr(splits, "APART", 3)
    train, valid, test = splits.load(path, Passage, seed=1)
    assert [p.text for p in valid] + [p.text for p in test or ()] == [f"line {k}" for k in range(94, 100)]
    assert len(train) == 94
