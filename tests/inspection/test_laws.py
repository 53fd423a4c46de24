"""What counts as the same answer, and what a law says when it fails. That tasks obey them is in `test_every_task`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unrolled.data.examples import LabelledText, TaggedTokens
from unrolled.inspection import laws
from unrolled.tasks.classifier import Classifier


def text(label: Any, **probabilities: float) -> LabelledText:
    return LabelledText(text="x", label=label, probabilities=probabilities)


def tags(*pairs: tuple[str, float]) -> TaggedTokens:
    names, confidence = zip(*pairs, strict=True)
    return TaggedTokens(tokens=names, tags=names, confidence=confidence)


def same(first: list[Any], second: list[Any]) -> bool:
    return bool(laws._compare("law", first, second).holds)


def test_confidences_agree_up_to_rounding() -> None:
    assert same([text("a", a=0.9, b=0.1)], [text("a", a=0.90005, b=0.09995)])
    assert not same([text("a", a=0.9, b=0.1)], [text("a", a=0.901, b=0.099)])
    assert not same([tags(("N", 0.9), ("V", 0.8))], [tags(("N", 0.9), ("V", 0.801))])


def test_another_answer_is_the_same_only_where_it_is_as_likely() -> None:
    assert same([text("a", a=0.50001, b=0.49999)], [text("b", a=0.49999, b=0.50001)])
    assert same([tags(("N", 0.4), ("V", 0.8))], [tags(("X", 0.4), ("V", 0.8))])
    assert not same([tags(("N", 0.8))], [tags(("V", 0.8))])
    assert not same([text("a", a=0.8, b=0.2)], [text("b", a=0.8, b=0.2)])


def test_many_ties_are_none() -> None:
    one, other = [tags(("N", 0.4), ("N", 0.4))], [tags(("V", 0.4), ("V", 0.4))]
    assert not same(one, other)
    fill = [tags(*[("N", 0.9)] * 198)]
    assert same(one + fill, other + fill)


def test_several_labels_are_compared_one_by_one() -> None:
    assert same([text(("a",), a=0.500001, b=0.2)], [text((), a=0.499999, b=0.2)])
    assert not same([text(("a", "b"), a=0.9, b=0.9)], [text(("a",), a=0.9, b=0.9)])


def test_what_is_not_a_number_is_no_agreement() -> None:
    nan = float("nan")
    assert not same([text("a", a=nan, b=0.1)], [text("a", a=nan, b=0.1)])
    assert not same([text("a", a=0.9, b=nan)], [text("a", a=0.9, b=nan)])


@pytest.fixture
def task() -> Classifier:
    return Classifier.prepare(examples(), hidden_size=3, word_size=3).eval()


def examples() -> list[LabelledText]:
    return [LabelledText(text=text, label=label) for text, label in (("a fine film", "p"), ("dull", "n"), ("ok", "p"))]


def test_every_law_says_in_words_what_it_found(task: Classifier) -> None:
    for verdict in laws.check(task, examples()):
        assert verdict.law
        assert verdict.found
        assert verdict._asdict().keys() == {"law", "holds", "found"}


def test_weights_that_are_not_what_was_saved_are_counted(task: Classifier) -> None:
    other = Classifier.prepare(examples(), hidden_size=3, word_size=3).eval()
    assert laws.saved_equals_loaded(task, task, examples()).holds
    verdict = laws.saved_equals_loaded(task, other, examples())
    assert not verdict.holds
    assert "3 answers differ" in verdict.found


@pytest.mark.parametrize("drift", [0.1, float("nan")])
def test_a_stream_that_drifts_fails(task: Classifier, monkeypatch: pytest.MonkeyPatch, drift: float) -> None:
    zeros = torch.zeros(2, 3)
    monkeypatch.setattr(task, "stream_outputs", lambda _: iter([(zeros, zeros), (zeros, zeros + drift)]))
    assert laws.streaming_equals_the_whole(task, examples()).holds is False
