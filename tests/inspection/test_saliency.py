"""What an answer rests on, by completeness, by taking elements away, and by models that look back just so far."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.test_every_task import NAMES, examples_of, made

from unrolled.data.examples import LabelledText, Passage, TaggedTokens
from unrolled.errors import BadOption, NoElement
from unrolled.inspection.saliency import memory, saliency
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.tagger import Tagger

TEXTS = [LabelledText(text="a b c d e", label="x"), LabelledText(text="f g h", label="y")]
PLAIN = {
    "characters": "none",
    "directions": "forward",
    "pooling": "last",
    "layers": 1,
    "word_size": 5,
    "hidden_size": 6,
}


def classifier(**options: Any) -> Any:
    torch.manual_seed(0)
    return Classifier.prepare(TEXTS, **{**PLAIN, **options}).eval()


def log_probability(task: Any, text: str, label: str) -> float:
    (predicted,) = task.predict([text])
    return float(np.log(predicted.probabilities[label]))


@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients_add_up_to_what_all_vectors_together_do(name: str) -> None:
    task = made(name)
    if task.name in ("regressor", "forecaster", "composer"):
        with pytest.raises(BadOption, match=f"a {task.name} does not say what it chooses from"):
            saliency(task, examples_of(name)[0])
        return
    for example in examples_of(name)[:3]:
        found = saliency(task, example, steps=200)
        assert len(found.elements) == len(found.gradients) == len(found.occlusion)
        assert np.abs(found.gradients).max() > 0
        assert abs(found.gap) < 0.02 * max(1, np.abs(found.gradients).sum())


def test_the_answer_is_the_tasks_own_or_the_one_that_is_asked_about() -> None:
    task = classifier()
    found = saliency(task, "a b c")
    assert found.answer == task.predict(["a b c"])[0].label
    for label in ("x", "y"):
        found = saliency(task, "a b c", answer=label)
        assert found.log_probability == pytest.approx(log_probability(task, "a b c", label), abs=1e-5)
    with pytest.raises(BadOption, match="'z' is none of the answers: x, y"):
        saliency(task, "a b c", answer="z")


def test_an_element_whose_vector_is_nothing_has_no_part() -> None:
    task = classifier()
    with torch.no_grad():
        task.reader.words.weight[task.vocabularies["words"].index("b")] = 0
    found = saliency(task, "a b c")
    assert found.elements == ("a", "b", "c")
    assert found.gradients[1] == 0
    assert found.occlusion[1] == pytest.approx(0, abs=1e-6)
    assert abs(found.gradients[2]) > 1e-4


def test_occlusion_is_what_the_answer_loses_without_the_vector() -> None:
    task = classifier()
    found = saliency(task, "a b c", answer="x")
    whole = log_probability(task, "a b c", "x")
    for place, word in enumerate("abc"):
        row = task.vocabularies["words"].index(word)
        kept = task.reader.words.weight[row].detach().clone()
        with torch.no_grad():
            task.reader.words.weight[row] = 0
            assert found.occlusion[place] == pytest.approx(whole - log_probability(task, "a b c", "x"), abs=1e-5)
            task.reader.words.weight[row] = kept


def test_memory_ends_where_the_model_looks_no_further() -> None:
    task = classifier(cell="elman")
    with torch.no_grad():
        task.reader.stack.layers[0].cell.weight_hh.zero_()
    found = memory(task, ["a b c d e", "f g h a b c"])
    assert found.moved[0] > 0.01
    np.testing.assert_allclose(found.moved[1:6], 0, atol=1e-7)
    assert found.horizon == 0
    assert found.examples[:7].tolist() == [2, 2, 2, 2, 2, 1, 0]


def test_memory_goes_as_far_as_the_state_keeps() -> None:
    short, long = (memory(classifier(forget_bias=bias), ["a b c d e f g h a c e g b d"]) for bias in (-4.0, 4.0))
    assert long.moved[10] > 20 * short.moved[10]
    again = memory(classifier(forget_bias=4.0), ["a b c d e f g h a c e g b d"])
    np.testing.assert_array_equal(long.moved, again.moved)


def test_the_task_is_left_as_it_was() -> None:
    task = classifier().train()
    saliency(task, "a b c")
    memory(task, ["a b c"])
    assert task.training
    assert not task.vectors()._forward_hooks
    assert all(p.grad is None for p in task.parameters())


def test_it_prints_a_line_an_element() -> None:
    lines = str(saliency(classifier(), "a b c")).splitlines()
    assert len(lines) == 4
    assert lines[1].lstrip().startswith("a  gradients")


@pytest.mark.parametrize("name", ["tagger", "language_model", "translator", "transcriber", "captioner"])
def test_a_place_that_an_example_has_not_is_refused_with_how_many_there_are(name: str) -> None:
    task, (example, *_) = made(name), examples_of(name)
    with torch.no_grad():
        count = next(n for n in range(1, 1000) if not has(task, example, n))
    for place in (0, count - 1, -1, -count):
        saliency(task, example, place=place, steps=1)
    for place in (count, -count - 1):
        with pytest.raises(BadOption, match=f"there is no element {place} among {count}: they are 0 to {count - 1}"):
            saliency(task, example, place=place, steps=1)


def has(task: Any, example: Any, place: int) -> bool:
    try:
        task.says(task.collate([task.encode(example)]), place)
    except NoElement:
        return False
    return True


def test_where_one_answer_is_about_the_whole_its_place_is_of_no_importance() -> None:
    task = classifier()
    assert saliency(task, "a b c", place=9).log_probability == saliency(task, "a b c").log_probability


@pytest.mark.parametrize("layers", [0, 1])
def test_what_a_language_model_below_made_of_the_text_is_not_taken_for_its_elements(layers: int) -> None:
    language = LanguageModel.prepare([Passage(text=one.text) for one in TEXTS], hidden_size=4, word_size=3)
    tagged = [TaggedTokens(tokens=("a", "b", "c"), tags=("x", "y", "x"))]
    for task in (
        Classifier.prepare(TEXTS, encoder=[language], layers=layers, hidden_size=4),
        Tagger.prepare(tagged, encoder=[language], layers=layers, hidden_size=4),
    ):
        for look in (lambda task=task: saliency(task, "a b c"), lambda task=task: memory(task, ["a b c"])):
            with pytest.raises(BadOption, match=r"reads a language model's vectors.*`inspect gates` shows"):
                look()
