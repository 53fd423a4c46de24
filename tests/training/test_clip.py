"""Clipping by hand, and what is said of a batch whose loss or gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from unrolled.data.examples import LabelledText, TaggedTokens
from unrolled.training.clip import clip, explain


def parameters(*gradients: list[float] | None) -> list[nn.Parameter]:
    found = []
    for gradient in gradients:
        p = nn.Parameter(torch.zeros(len(gradient or [0.0])))
        p.grad = None if gradient is None else torch.tensor(gradient)
        found.append(p)
    return found


def test_a_long_gradient_is_shortened_and_keeps_its_direction() -> None:
    first, second, unused = parameters([3.0, 0.0], [4.0], None)
    assert clip([first, second, unused], 1.0).item() == pytest.approx(5.0)
    assert first.grad.tolist() == pytest.approx([0.6, 0.0])
    assert second.grad.tolist() == pytest.approx([0.8])
    assert unused.grad is None


@pytest.mark.parametrize("longest", [5.0, 7.0, 0.0])
def test_a_gradient_that_is_short_enough_is_left_as_it_is(longest: float) -> None:
    first, second = parameters([3.0, 0.0], [4.0])
    assert clip([first, second], longest).item() == pytest.approx(5.0)
    assert first.grad.tolist() == [3.0, 0.0]
    assert second.grad.tolist() == [4.0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_the_norm_of_a_gradient_that_is_not_finite_is_not_finite(wrong: float) -> None:
    assert not math.isfinite(clip(parameters([1.0, 2.0], [wrong]), 1.0).item())


def test_no_gradient_at_all_has_norm_zero() -> None:
    assert clip(parameters(None), 1.0).item() == 0.0


def poisoned(task: Any, word: str) -> Any:
    """The task with an infinite vector for one word: every example that holds it has no finite loss."""
    with torch.no_grad():
        place = task.vocabularies["words"].encode([word])[0]
        task.reader.words.weight[place] = math.inf
    return task


def test_the_examples_that_do_it_alone_are_named_by_their_origin(
    sentences: Callable[..., list[TaggedTokens]], tagger: Callable[..., Any]
) -> None:
    examples = sentences(12)
    task = poisoned(tagger(examples, word_dropout=0.0), "w3")
    guilty = [e for e in examples if "w3" in e.tokens]
    assert 0 < len(guilty) < 12
    error = explain(task, [task.encode(e) for e in examples], examples, "loss", 17)
    assert str(error) == (
        f"the loss is not finite at step 17; the weights are those before the step; {len(guilty)} of the batch's 12 "
        f"examples do it alone: {'; '.join(str(e.origin) for e in guilty)}. Look at these examples; if nothing is "
        "wrong with them, train anew with a lower learning_rate or clip_norm."
    )


def test_examples_without_an_origin_are_named_by_their_text(
    texts: Callable[..., list[LabelledText]], classifier: Callable[..., Any]
) -> None:
    long = LabelledText(text="w3 " * 40, label="B")
    examples = [LabelledText(text="w3 w1", label="B"), LabelledText(text="w1", label="B"), long]
    task = poisoned(classifier([*texts(8), *examples], word_dropout=0.0), "w3")
    error = str(explain(task, [task.encode(e) for e in examples], examples, "gradient", 1))
    assert "the gradient is not finite at step 1;" in error
    shown = repr(long.text)[:59] + "…"
    assert f"2 of the batch's 3 examples do it alone: 'w3 w1'; {shown}. " in error


def test_where_none_does_it_alone_the_whole_batch_is_named(
    sentences: Callable[..., list[TaggedTokens]], tagger: Callable[..., Any]
) -> None:
    examples = sentences(25)
    task = tagger(examples)
    error = str(explain(task, [task.encode(e) for e in examples], examples, "loss", 1))
    named = "; ".join(f"some.conllu:{line}" for line in range(1, 21))
    assert f"; the batch's examples: {named}; …. " in error
