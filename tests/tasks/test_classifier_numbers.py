"""A label for numbers at each step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import LabelledText, Origin, Signal
from unrolled.errors import BadData, BadOption
from unrolled.tasks.classifier import Classifier

TASK = "classifier"


def examples() -> list[Signal]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    rng = np.random.default_rng(3)
    lengths, labels = (3, 3, 1, 9, 3, 6), ("up", "down", "up", "down", "up", "down")
    return [Signal(values=rng.normal(5, 2, (n, 2)), label=label) for n, label in zip(lengths, labels, strict=True)]


def made(given: list[Signal] | None = None, **options: Any) -> Classifier:
    small = {"hidden_size": 5, "dropout": 0.0, **options}
    return Classifier.prepare(examples() if given is None else given, **small).eval()


def scaled(task: Classifier, given: list[Signal]) -> torch.Tensor:
    found = [task.reader._vectors(task.collate([task.encode(e)])) for e in given]  # type: ignore[union-attr]
    return torch.cat(found)


def test_each_feature_is_scaled_by_what_it_was_in_training() -> None:
    given = scaled(made(), examples())
    torch.testing.assert_close(given.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(given.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_numbers_may_be_left_as_they_are() -> None:
    raw = np.concatenate([e.values for e in examples()]).astype(np.float32)
    assert torch.equal(scaled(made(scaling="none"), examples()), torch.from_numpy(raw))


def test_the_scale_and_the_unit_of_a_feature_change_nothing() -> None:
    moved = [replace(e, values=e.values * np.array([1000.0, 0.01]) - 7) for e in examples()]
    torch.manual_seed(0)
    a = made()
    torch.manual_seed(0)
    b = made(moved)
    for one, other in zip(a.predict(examples()), b.predict(moved), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_a_feature_that_never_changes_is_not_blown_up() -> None:
    given = [replace(e, values=np.concatenate([e.values, np.full((len(e.values), 1), 0.1)], 1)) for e in examples()]
    assert scaled(made(given), given)[:, 2].abs().max() < 1e-6


def with_gap() -> list[Signal]:
    values = examples()[0].values.copy()
    values[1, 0] = np.nan
    return [replace(examples()[0], values=values), *examples()[1:]]


def test_that_a_number_is_missing_is_told_beside_its_mean() -> None:
    task = made(with_gap())
    assert task.options["missing"] == "told"
    seen = scaled(task, with_gap()[:1])
    assert seen.shape == (3, 4)
    assert seen[1].tolist()[0] == 0.0
    assert seen[:, 2:].tolist() == [[0, 0], [1, 0], [0, 0]]
    assert all(abs(sum((e.probabilities or {}).values()) - 1) < 1e-6 for e in task.predict(with_gap()))


def test_a_gap_changes_no_scale() -> None:
    task, known = made(with_gap()), np.concatenate([e.values for e in with_gap()])
    np.testing.assert_allclose(task.options["means"], np.nanmean(known, 0), rtol=1e-12)
    np.testing.assert_allclose(task.options["deviations"], np.nanstd(known, 0), rtol=1e-12)


def test_seconds_since_1970_are_told_apart() -> None:
    given = [replace(e, values=1.7e9 + np.arange(2.0 * len(e.values)).reshape(-1, 2)) for e in examples()]
    seen = scaled(made(given), given)
    assert len(set(seen[:, 0].tolist())) == 9  # the longest has nine steps


def test_gaps_may_be_prepared_for_or_refused() -> None:
    told = made(missing="told")
    assert told.predict([with_gap()[0]])[0].label in ("up", "down")
    with pytest.raises(BadData, match="a missing number at step 2"):
        made(with_gap(), missing="refused")


BAD: dict[str, tuple[np.ndarray, str]] = {
    "missing": (with_gap()[0].values, "a missing number at step 2; in training there was none"),
    "infinite": (np.array([[1.0, 2.0], [3.0, np.inf]]), "an infinite number at step 2"),
    "far": (np.array([[1.0, 2.0], [1e300, 2.0]]), "a number at step 2 is too far from all that training had"),
    "wide": (np.zeros((3, 4)), "4 numbers a step where training had 2"),
    "empty": (np.zeros((0, 2)), "no numbers: 0 steps of 2"),
    "flat": (np.zeros(3), r"shape \(3,\): numbers of \(steps, features\) expected"),
    "words": (np.array([["a", "b"]]), "an array of <U1"),
}


@pytest.mark.parametrize("case", BAD)
def test_numbers_that_it_does_not_read_are_named_with_their_place(case: str) -> None:
    values, message = BAD[case]
    example = Signal(values=values, label="up", origin=Origin("a.npz", 7))
    with pytest.raises(BadData, match=rf"a\.npz:7: .*{message}"):
        made().encode(example)
    if case not in ("missing", "far"):
        with pytest.raises(BadData, match=r"a\.npz:7: "):
            made([*examples(), example])


def test_arrays_and_lists_are_read_as_numbers() -> None:
    task, values = made(), examples()[0].values
    every = task.predict([values, values.tolist(), Signal(values=values)])
    assert len({str(e.probabilities) for e in every}) == 1
    for raw in ("a text", LabelledText(text="a text"), [["a", "b"]], [[1.0], [2.0, 3.0]]):
        with pytest.raises(BadData, match=r"numbers|expected"):
            task.predict([raw])


def test_a_model_of_texts_reads_no_numbers() -> None:
    texts = [LabelledText(text="a b", label="x"), LabelledText(text="c d", label="y")]
    with pytest.raises(BadData, match="numbers, where this model reads texts"):
        Classifier.prepare(texts, hidden_size=4, word_size=4).predict([examples()[0]])


@pytest.mark.parametrize(
    "option",
    [
        {"vectors": "a.vec"},
        {"minimum_count": 2},
        {"encoder": ("m",)},
        {"word_size": 7},
        {"tokens": "blanks"},
        {"characters": "lstm"},
    ],
)
def test_options_of_texts_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="is an option for texts; numbers have none"):
        made(**option)


@pytest.mark.parametrize("option", [{"inputs": -3}, {"means": [0.0, 1.0]}])
def test_what_the_examples_say_is_not_to_be_given(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="the training examples say it"):
        made(**option)


def test_layers_are_needed_and_a_stream_is_none() -> None:
    with pytest.raises(BadOption, match="layers and word_size must be 1 or more"):
        made(layers=0)
    with pytest.raises(BadOption, match="numbers are not streamed"):
        made(directions="forward").stream()


def test_several_labels_may_hold() -> None:
    several = [replace(e, label=("a",) if k % 2 else ("a", "b")) for k, e in enumerate(examples())]
    assert all(isinstance(e.label, tuple) for e in made(several).predict(several))
