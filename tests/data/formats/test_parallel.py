"""Two files, line by line."""

from __future__ import annotations

import io
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from unrolled.data.examples import LabelledText, Origin, Pair
from unrolled.data.formats.parallel import Parallel
from unrolled.data.reading import read as read_file
from unrolled.data.reading import read_stream, stream, write, write_stream
from unrolled.errors import BadData, BadOption, CannotWrite, UnknownName
from unrolled.files import STAGED

LANGUAGES = {"source": "en", "target": "de"}
THERE = Pair(source="A dog.", target="Ein Hund."), Pair(source="Two cats.", target="Zwei Katzen.")


def fill(folder: Path, **texts: str) -> Path:
    """Files `a.NAME` in a folder; their common name."""
    for name, text in texts.items():
        (folder / f"a.{name}").write_text(text, encoding="utf-8")
    return folder / "a"


def read(path: Path, **options) -> list[Pair]:
    return read_file(path, Pair, **{"columns": LANGUAGES, **options})


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return fill(tmp_path, en="A dog.\nTwo cats.\n", de="Ein Hund.\nZwei Katzen.\n")


def test_line_n_of_one_file_belongs_to_line_n_of_the_other(corpus):
    examples = read(corpus)
    assert examples == [*THERE]
    assert [example.origin for example in examples] == [Origin(corpus.with_name("a.en"), k) for k in (1, 2)]


def test_languages_may_be_exchanged(corpus):
    examples = read(corpus, columns={"source": "de", "target": "en"})
    assert examples == [Pair(source=pair.target, target=pair.source) for pair in THERE]


def test_a_sentence_keeps_its_blanks_and_whatever_is_no_line_feed(tmp_path):
    odd = " a\tb\x0b\x0c\x1c\x85\u2028\rc  "
    assert read(fill(tmp_path, en=f"{odd}\n", de="x")) == [Pair(source=odd, target="x")]


def test_each_file_may_be_compressed(corpus):
    german = corpus.with_name("a.de")
    (corpus.parent / "a.de.xz").write_bytes(lzma.compress(german.read_bytes()))
    with pytest.raises(BadData, match=r"a: both a\.de and a\.de\.xz are there; keep one$"):
        read(corpus)
    german.unlink()
    assert read(corpus) == [*THERE]


def test_a_named_file_of_sources_is_read_alone_where_it_is_to_be_predicted(corpus):
    sources = [Pair(source=pair.source) for pair in THERE]
    assert read(corpus.with_name("a.en")) == sources
    assert read(corpus.with_name("a.en"), filled=True) == [*THERE]
    assert read(corpus.with_name("a.de"), filled=True) == [*THERE]
    with pytest.raises(BadData, match=r"a\.de: a file of targets; name that of the sources, a\.en$"):
        read(corpus.with_name("a.de"))
    corpus.with_name("a.de").unlink()
    assert read(corpus) == sources


def test_a_stream_holds_sources(corpus):
    content = io.StringIO("A dog.\n\nTwo cats.\n")
    examples = read_stream(content, Pair, format="parallel", columns=LANGUAGES)
    assert examples == [Pair(source=pair.source) for pair in THERE]


def test_lines_that_are_empty_in_both_files_are_no_examples_and_stay(tmp_path):
    texts = {"en": "\n\nA dog.\n \nTwo cats.\n\n", "de": "\n\t\nEin Hund.\n\nZwei Katzen.\n\n"}
    examples = read(fill(tmp_path, **texts))
    assert examples == [*THERE]
    assert [example.origin.line for example in examples] == [3, 5]
    write(tmp_path / "b", examples, format="parallel", columns=LANGUAGES)
    assert (tmp_path / "b.de").read_text() == "\n\nEin Hund.\n\nZwei Katzen.\n"
    assert (tmp_path / "b.en").read_text() == "\n\nA dog.\n\nTwo cats.\n"


@pytest.mark.parametrize(
    ("en", "de", "message"),
    [
        ("a\nb\nc\n", "x\ny\n", "a.de:2: the file ends here, and a.en has a line 3: both must have as many"),
        ("a\n", "x\ny\nz\n", "a.en:1: the file ends here, and a.de has a line 2: both must have as many"),
        ("a\n", "x\n\n", "a.en:1: the file ends here, and a.de has a line 2: both must have as many"),
        ("", "x\n", "a.en: the file is empty"),
        ("a\n", "", "a.de: the file is empty"),
        ("", "", "a.en: the file is empty"),
        ("\n", "\n", "a: the file holds no examples"),
        ("a\n\nc\n", "x\ny\nz\n", "a.en:2: an empty line, where a.de has a sentence"),
        ("a\nb\n", "x\n \t\n", "a.de:2: an empty line, where a.en has a sentence"),
        ("a\n", "\ufeff", "a.de:1: an empty line, where a.en has a sentence"),
    ],
)
def test_files_that_do_not_go_together_are_named_with_the_line(tmp_path, en, de, message):
    path = fill(tmp_path, en=en, de=de)
    for filled in (True, False):
        with pytest.raises(BadData) as caught:
            read(path, filled=filled)
        assert str(caught.value) == f"{tmp_path}/{message}"


def test_nothing_is_read_ahead(tmp_path):
    path = fill(tmp_path, en="a\n" * 50_000, de="x\n" * 49_999)
    examples = stream(path, Pair, columns=LANGUAGES)
    assert next(examples) == Pair(source="a", target="x")
    with pytest.raises(BadData, match=r"a\.de:49999: the file ends here"):
        list(examples)


def test_a_language_that_is_not_there_is_named_with_those_that_are(tmp_path):
    path = fill(tmp_path, en="a\n", deu="x\n", fr="y\n")
    with pytest.raises(UnknownName) as caught:
        read(path, filled=True)
    assert str(caught.value) == f"{path}: unknown language 'de'; did you mean 'deu'?"
    with pytest.raises(UnknownName, match=r"a: unknown language 'xx'; there are: deu, en, fr$"):
        read(path, columns={"source": "xx", "target": "en"})
    with pytest.raises(UnknownName, match=r"a: unknown language 'target'; there are: deu, en, fr$"):
        read(path, columns={"source": "en"}, filled=True)


def test_languages_that_are_not_named_are_asked_for(corpus):
    with pytest.raises(BadData) as caught:
        read(corpus, columns=None)
    assert str(caught.value) == (
        f"{corpus}: parallel text in de, en: say which is the source and which the target, as in "
        "--set source=de --set target=en"
    )


def test_a_missing_counterpart_is_named(tmp_path):
    path = fill(tmp_path, en="a\n")
    for name in ("a", "a.en"):
        with pytest.raises(BadData, match=r"a\.en: it has no counterpart: there is no a\.de$"):
            read(tmp_path / name, filled=True)
    (tmp_path / "a.en").unlink()
    with pytest.raises(BadData, match=r"a: there is no such file$"):
        read(path)
    with pytest.raises(BadData, match=r"a: there is no such file, nor a\.en$"):
        read(path, format="parallel")
    with pytest.raises(BadData, match=r"a\.en: there is no such file$"):
        read(tmp_path / "a.en")


def test_a_file_of_another_name_is_no_parallel_text(tmp_path):
    (tmp_path / "lines").write_text("a\n")
    with pytest.raises(BadData, match=r"lines: the name ends in no language, and there is no lines\.en$"):
        read(tmp_path / "lines", format="parallel")


def test_one_language_cannot_be_both():
    with pytest.raises(BadOption, match=r"^source and target are both 'en'$"):
        Parallel(Pair, {"source": "en", "target": "en"})


def test_only_pairs_are_parallel(corpus):
    with pytest.raises(BadData, match=r"a: there is no such file$"):
        read_file(corpus, LabelledText)
    with pytest.raises(BadOption, match=r"holds pairs of source and target, not texts with labels$"):
        read_file(corpus, LabelledText, format="parallel")


def test_a_common_name_is_written_as_two_files_and_a_file_as_one(corpus, tmp_path):
    write(tmp_path / "b.xz", THERE, format="parallel", columns=LANGUAGES)
    assert lzma.decompress((tmp_path / "b.en.xz").read_bytes()) == corpus.with_name("a.en").read_bytes()
    assert lzma.decompress((tmp_path / "b.de.xz").read_bytes()) == corpus.with_name("a.de").read_bytes()
    write(tmp_path / "c.de", THERE, columns=LANGUAGES)
    assert (tmp_path / "c.de").read_bytes() == corpus.with_name("a.de").read_bytes()
    write(tmp_path / "d.en", THERE, columns=LANGUAGES)
    assert (tmp_path / "d.en").read_bytes() == corpus.with_name("a.en").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.de", "a.en", "b.de.xz", "b.en.xz", "c.de", "d.en"]


def test_a_prediction_has_a_line_for_each_line(tmp_path):
    (tmp_path / "a.en").write_text("one\n\ntwo\nthree\n")
    examples = read(tmp_path / "a.en")
    predicted = [replace(e, target=target) for e, target in zip(examples, ("eins", "", "drei"), strict=True)]
    write(tmp_path / "b.de", predicted, columns=LANGUAGES)
    assert (tmp_path / "b.de").read_text() == "eins\n\n\ndrei\n"
    out = io.BytesIO()
    write_stream(out, predicted, format="parallel", columns=LANGUAGES)
    assert out.getvalue() == b"eins\n\n\ndrei\n"
    with pytest.raises(BadData, match=r"cannot write the target '' as parallel text: it holds nothing to read again"):
        write(tmp_path / "c", predicted, format="parallel", columns=LANGUAGES)


@pytest.mark.parametrize(
    ("name", "examples", "message"),
    [
        ("b", [Pair(source="a\nb", target="x")], r"cannot write the source 'a\\nb' as parallel text: it holds a line"),
        ("b", [Pair(source=" ", target="x")], "cannot write the source ' ' as parallel text: it holds nothing to read"),
        ("b", [Pair(source="a", target="x\r")], r"cannot write the target 'x\\r' as parallel text: it holds a line br"),
        ("b", [*THERE, Pair(source="a")], "a pair without target, which a file of targets has no line for"),
        ("b.de", [*THERE, Pair(source="a")], "a pair without target, which a file of targets has no line for"),
        ("b.de", [Pair(source="a", target="x\ny")], r"cannot write the target 'x\\ny' as plain text: it holds a line"),
    ],
)
def test_what_lines_cannot_hold_is_refused(tmp_path, name, examples, message):
    with pytest.raises(BadData, match=message):
        write(tmp_path / name, examples, format="parallel", columns=LANGUAGES)
    assert list(tmp_path.iterdir()) == []


def test_pairs_with_and_without_targets_cannot_share_a_stream():
    with pytest.raises(BadData, match=r"^some examples have no target: plain text cannot tell which$"):
        write_stream(io.BytesIO(), [*THERE, Pair(source="a")], format="parallel")


def test_two_files_are_written_both_or_none(corpus):
    (corpus.parent / "a.de").unlink()
    (corpus.parent / "a.de").mkdir()
    with pytest.raises(CannotWrite, match=r"a\.de is a folder|Is a directory"):
        write(corpus, [Pair(source="new", target="neu")], format="parallel", columns=LANGUAGES)
    assert (corpus.parent / "a.en").read_text() == "A dog.\nTwo cats.\n"
    assert sorted(path.name for path in corpus.parent.iterdir()) == ["a.de", "a.en"]


def test_a_set_whose_writer_was_killed_between_its_files_is_read_as_a_whole(corpus):
    staged = corpus.parent / STAGED
    staged.mkdir()
    for name, text in {"a.en": "new\n", "a.de": "neu\n", "complete": ""}.items():
        (staged / name).write_text(text)
    assert read(corpus) == [Pair(source="new", target="neu")]


@pytest.mark.parametrize(
    ("path", "source", "target", "pairs", "words"),
    [
        ("multi30k/train", "en", "de", 29_000, (345_020, 322_383)),
        ("multi30k/val", "de", "fr", 1_014, (11_568, 12_698)),
        ("multi30k/test_2016_flickr", "en", "de", 1_000, (11_877, 10_905)),
        ("tatoeba_en_fr/dev", "en", "fr", 2_775, (17_164, 18_458)),
    ],
)
def test_real_pairs_are_as_many_as_published(shared_data, tmp_path, path, source, target, pairs, words):
    columns = {"source": source, "target": target}
    found = read_file(shared_data / path, Pair, columns=columns, filled=True)
    assert len(found) == pairs
    assert (sum(len(e.source.split()) for e in found), sum(len((e.target or "").split()) for e in found)) == words
    write(tmp_path / "again", found, format="parallel", columns=columns)
    for language in (source, target):
        raw = next((shared_data / path).parent.glob(f"{Path(path).name}.{language}*"))
        content = raw.read_bytes()
        expected = lzma.decompress(content) if raw.suffix == ".xz" else content
        assert (tmp_path / f"again.{language}").read_bytes() == expected
