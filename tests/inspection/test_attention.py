"""The report of attention: what it says, and where it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import BadOption, CannotWrite
from unrolled.inspection.attention import Attention, attention, of

WEIGHTS = [[1, 0, 0], [0.25, 0.5, 0.25], [0, 0.04, 0.96]]


@pytest.fixture
def report() -> Attention:
    one = (["the", "dog", "</s>"], ["der", "hund", "</s>"], WEIGHTS)
    other = (["a", "b"], [], [])
    return of([one, other], title="Here", facts={"model": "runs/one"})


class Writer:
    """A task that writes a word's letters, looking at each."""

    def align(self, examples: list[str]) -> list[tuple[list[str], list[str], np.ndarray]]:
        return [(list(word), list(word.upper()), np.eye(len(word))) for word in examples]


def test_a_task_that_aligns_is_reported_on() -> None:
    found = attention(Writer(), ["ab", "c"], title="Letters", facts={"model": "none"})
    assert [(one.source_tokens, one.target_tokens) for one in found.alignments] == [
        (("a", "b"), ("A", "B")),
        (("c",), ("C",)),
    ]
    assert (found.title, found.facts) == ("Letters", {"model": "none"})


def test_a_task_without_attention_is_refused() -> None:
    class Tagger:
        pass

    with pytest.raises(BadOption, match=r"^a tagger has no attention to draw: it does not write one sequence while"):
        attention(Tagger(), ["a"])


def test_no_sentence_is_refused_and_a_wrong_one_is_named() -> None:
    with pytest.raises(BadOption, match="there is no sentence to draw the attention of"):
        of([])
    with pytest.raises(ValueError, match=r"^sentence 2: the weights have shape \(1, 1\)"):
        of([("a", "x", [[1]]), ("ab", "x", [[1]])])


def test_the_summary_by_hand(report: Attention) -> None:
    # Entropies: 0; 1/4 * 2 + 1/2 * 1 + 1/4 * 2 = 1.5; and of 0.04 and 0.96. Coverage: 1.25, 0.54, 1.21, 0, 0.
    last = -(0.04 * np.log2(0.04) + 0.96 * np.log2(0.96))
    found = report.summary()
    assert found.pop("entropy") == pytest.approx((0 + 1.5 + last) / 3, abs=1e-6)
    assert found == {"sentences": 2, "source_tokens": 5, "target_tokens": 3, "overlooked": 0.4}
    assert of([("ab", "", [])]).summary()["entropy"] is None


def test_it_prints_what_each_token_looked_at_most(report: Attention) -> None:
    assert str(report).splitlines() == [
        "the dog </s>  →  der hund </s>",
        "  der   0.00 bits  the 1.00",
        "  hund  1.50 bits  dog 0.50, the 0.25, </s> 0.25",
        "  </s>  0.24 bits  </s> 0.96",
        "",
        "a b  →  ",
        "",
        "2 sentences; 5 → 3 tokens read and written; 0.58 bits entropy: a look as wide as 1.5 tokens; "
        "40% of the source overlooked: coverage under 0.5",
    ]


def test_a_token_cannot_command_the_terminal() -> None:
    assert "\x1b" not in str(of([(["\x1b[2J"], ["\x1b]0;mine\x07"], [[1]])]))


def test_json_has_the_data_again(report: Attention) -> None:
    told = json.loads(json.dumps(report.to_json()))
    assert (told["title"], told["facts"], told["summary"]) == ("Here", {"model": "runs/one"}, report.summary())
    first, second = told["sentences"]
    assert (first["source"], first["target"]) == (["the", "dog", "</s>"], ["der", "hund", "</s>"])
    assert first["weights"] == WEIGHTS
    assert first["coverage"] == [1.25, 0.54, 1.21]
    assert first["entropy"][:2] == [0, 1.5]
    assert second == {"source": ["a", "b"], "target": [], "weights": [], "entropy": [], "coverage": [0, 0]}


def test_the_suffix_says_what_is_written(report: Attention, tmp_path: Path) -> None:
    for name in ("a.html", "a.png", "a.json"):
        report.save(tmp_path / name)
    assert (tmp_path / "a.html").read_text() == report.to_html()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert json.loads((tmp_path / "a.json").read_text()) == report.to_json()
    assert report._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(BadOption, match=r"a\.txt: attention is written as \.html, \.png or \.json, not as '\.txt'$"):
        report.save(tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json", "a.png"]


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    odd = of([(["\ud800"], ["\udfff"], [[1]])], title="\ud801", facts={"\ud802": "\ud803"})
    for suffix in ("html", "png", "json"):
        odd.save(tmp_path / f"a.{suffix}")
    assert json.loads((tmp_path / "a.json").read_text())["sentences"][0]["source"] == ["\ud800"]


def test_a_failed_writing_leaves_what_was_there(
    report: Attention, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.html"
    path.write_text("mine")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CannotWrite, match=r"cannot write .*a\.html: No space left on device; what was there is unch"):
        report.save(path)
    assert path.read_text() == "mine"
    with pytest.raises(CannotWrite, match="No such file or directory"):
        report.save(tmp_path / "nowhere" / "a.html")
