"""Everyday causes that were planted are found, and in data that is in order nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import LabelledText, Passage, Signal, TaggedTokens
from unrolled.inspection.diagnosis import Finding
from unrolled.inspection.everyday import everyday, rate_too_high
from unrolled.inspection.remedies import MAKERS
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.regressor import Regressor
from unrolled.tasks.tagger import Tagger

WORDS = ["the", "a", "film", "plot", "was", "is", "not", "very", "so", "dull", "fine", "warm", "cold", "long", "short"]


def texts(count: int, first: int = 0) -> list[LabelledText]:
    draw = torch.Generator().manual_seed(first)
    rows = torch.randint(len(WORDS), (count, 9), generator=draw).tolist()
    return [LabelledText(text=" ".join(WORDS[w] for w in row), label="xy"[k % 2]) for k, row in enumerate(rows)]


TRAIN, VALID = texts(120), texts(40, 7)


def found(train: Sequence[Any] = TRAIN, valid: Sequence[Any] = VALID) -> list[Finding]:
    torch.manual_seed(0)
    task = Classifier.prepare([e for e in train if e.text.strip()], hidden_size=4, word_size=3, layers=1)
    return everyday(task, train, valid)


def one(findings: list[Finding]) -> Finding:
    (finding,) = findings
    assert set(finding.remedies) <= set(MAKERS)
    return finding


def test_in_data_that_is_in_order_nothing_is_found() -> None:
    assert found() == []


def test_an_empty_sequence_is_named() -> None:
    finding = one(found([*TRAIN, LabelledText(text=" ", label="x")]))
    assert finding.kind == "unreadable"
    assert finding.because.startswith("1 of the training examples cannot be read: an empty text")


def test_a_label_that_training_never_sees() -> None:
    finding = one(found(valid=[*VALID, LabelledText(text="so so", label="z")]))
    assert (finding.kind, finding.because) == ("labels", "labels of the validation data that training never sees: z")


def test_a_single_label_and_one_that_is_nearly_all() -> None:
    alike = [LabelledText(text=e.text, label="x") for e in TRAIN]
    assert (
        one(found(alike, alike[:0])).because
        == "every training example has the same label, x: there is nothing to tell apart"
    )
    nearly = [*alike, LabelledText(text="so so", label="y")]
    assert one(found(nearly, nearly[:0])).because == "99.2% of all labels are x: saying it always is right as often"


def test_examples_that_are_in_both_splits() -> None:
    finding = one(found(valid=[*VALID[:30], *TRAIN[:10]]))
    assert finding.kind == "leak"
    assert finding.because == "10 of the 40 validation examples are in the training data as well: figures flatter"


def test_a_word_that_gives_the_label_away() -> None:
    leaking = [LabelledText(text=e.text + (" zap" if e.label == "x" else ""), label=e.label) for e in TRAIN]
    finding = one(found(leaking, []))
    assert finding.kind == "leak"
    assert finding.because == (
        "'zap' stands in 100% of the examples that are x, and in 0 others: does it give the answer away?"
    )


def test_tags_and_running_text_are_looked_at_as_well() -> None:
    sentences = [TaggedTokens(tokens=(word, "a"), tags=("N", "D")) for word in WORDS]
    task = Tagger.prepare(sentences, hidden_size=4, word_size=3, layers=1)
    other = TaggedTokens(tokens=("zap",), tags=("V",))
    assert one(everyday(task, sentences, [other])).because.endswith("never sees: V")
    lines = [Passage(text="a b c")] * 5
    assert everyday(LanguageModel.prepare(lines, hidden_size=4, word_size=4), lines, lines) == []


@pytest.mark.parametrize(("rate", "is_ill"), [(1e-3, False), (30.0, True), (1e30, True)])
def test_a_learning_rate_that_is_too_high_makes_one_batch_worse(rate: float, is_ill: bool) -> None:
    torch.manual_seed(0)
    task = Classifier.prepare(TRAIN, hidden_size=8, word_size=6, layers=1)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    finding = rate_too_high(task, TRAIN[:16], rate, lambda copy: torch.optim.Adam(copy.parameters(), lr=rate))
    assert (finding is not None) == is_ill
    if finding is not None:
        assert (finding.kind, finding.remedies) == ("rate", ("rate",))
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


def test_a_rate_is_judged_by_the_optimizer_and_the_clipping_that_it_is_meant_for() -> None:
    torch.manual_seed(0)
    task = Classifier.prepare(TRAIN, hidden_size=8, word_size=6, layers=1)

    def ill(kind: Any, rate: float, **how: float) -> bool:
        return rate_too_high(task, TRAIN[:16], rate, lambda copy: kind(copy.parameters(), lr=rate), **how) is not None

    assert not ill(torch.optim.SGD, 2.0)
    assert ill(torch.optim.Adam, 2.0)
    assert ill(torch.optim.SGD, 1e4)
    assert not ill(torch.optim.SGD, 1e4, clip_norm=1e-5)


def signals(labels: list[str]) -> list[Signal]:
    rng = np.random.default_rng(0)
    return [Signal(values=rng.random((3 + k % 2, 1)), label=label) for k, label in enumerate(labels)]


def test_a_quantity_is_no_label_that_training_never_saw() -> None:
    train, valid = signals([f"{k}.5" for k in range(20)]), signals([f"{k}.25" for k in range(8)])[5:]
    findings = everyday(Regressor.prepare(train, hidden_size=4), train, valid)
    assert [finding for finding in findings if finding.kind == "labels"] == []


def test_labels_of_numbers_are_looked_at_and_numbers_that_come_again_give_nothing_away() -> None:
    values = np.ones((4, 1))
    train = [Signal(values=values * (k % 2), label="ab"[k % 2]) for k in range(40)]
    unseen = [Signal(values=values * 3, label="c")]
    finding = one(everyday(Classifier.prepare(train, hidden_size=4), train, unseen))
    assert (finding.kind, finding.because) == ("labels", "labels of the validation data that training never sees: c")
