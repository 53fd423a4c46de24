"""A loss or a gradient that is not finite stops the step, names the examples, and never reaches the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.data.examples import LabelledText, Origin, TaggedTokens
from unrolled.errors import NotFinite
from unrolled.tasks.base import Loss
from unrolled.training import resume
from unrolled.training.events import Saved, Step
from unrolled.training.fit import fit
from unrolled.training.settings import Settings

Weights = Callable[[Any], dict[str, Tensor]]
Same = Callable[[dict[str, Tensor], dict[str, Tensor]], bool]

QUIET = {"dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0}


def stopped(task: Any, examples: list[Any], weights: Weights, **more: Any) -> tuple[str, dict[str, Tensor], int]:
    """What is said, the weights before the step that failed, and how many steps there were."""
    settings = Settings(**{"epochs": 3, "batch_rows": 4, "checks": 1, "averaging": "exponential", **more})
    before = [weights(task)]
    events = fit(task, examples, examples[:4], settings=settings)
    with pytest.raises(NotFinite) as error:
        before.extend(weights(task) for event in events if isinstance(event, Step))
    return str(error.value), before[-1], len(before) - 1


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_an_infinite_vector_of_one_word_is_caught_in_the_loss_of_the_tagger(
    decoder: str,
    optimizer: str,
    sentences: Callable[..., list[TaggedTokens]],
    tagger: Callable[..., Any],
    weights: Weights,
    same: Same,
) -> None:
    examples = [e for e in sentences(40) if "w3" not in e.tokens][:12]
    examples.insert(5, TaggedTokens(tokens=("w1", "w3"), tags=("B", "B"), origin=Origin("bad.conllu", 7)))
    task = tagger(examples, decoder=decoder, **QUIET)
    with torch.no_grad():
        # Not infinite: gates would saturate, and most losses stay finite.
        task.reader.words.weight[task.vocabularies["words"].encode(["w3"])[0]] = math.nan
    said, before, steps = stopped(task, examples, weights, optimizer=optimizer)
    assert steps < 4  # in the first epoch
    assert said.startswith(f"the loss is not finite at step {steps + 1}; the weights are those before the step; ")
    assert "examples do it alone: bad.conllu:7. Look at" in said
    assert "1 of the batch's" in said
    assert same(before, weights(task))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_caught_where_the_loss_is_finite(
    wrong: float,
    texts: Callable[..., list[LabelledText]],
    classifier: Callable[..., Any],
    weights: Weights,
    same: Same,
) -> None:
    examples = texts(12)
    task = classifier(examples, **QUIET)
    calls = [0]

    def poison(gradient: Tensor) -> Tensor:
        calls[0] += 1
        return gradient if calls[0] < 5 else torch.full_like(gradient, wrong)

    task.output.bias.register_hook(poison)
    said, before, steps = stopped(task, examples, weights)
    assert steps == 4
    assert said.startswith("the gradient is not finite at step 5; ")
    assert "4 of the batch's 4 examples do it alone: some.conllu:" in said
    assert same(before, weights(task))


def test_a_gradient_that_is_not_finite_for_the_batch_alone_names_the_batch(
    texts: Callable[..., list[LabelledText]], classifier: Callable[..., Any], weights: Weights, same: Same
) -> None:
    examples = texts(12)
    task = classifier(examples, **QUIET)
    calls = [0]

    def poison(gradient: Tensor) -> Tensor:
        calls[0] += 1
        return torch.full_like(gradient, math.nan) if calls[0] == 2 else gradient

    task.output.bias.register_hook(poison)
    said, before, steps = stopped(task, examples, weights)
    assert steps == 1
    assert "; the batch's examples: some.conllu:" in said
    assert same(before, weights(task))


def test_the_last_checkpoint_is_left_and_holds_finite_weights(
    texts: Callable[..., list[LabelledText]],
    classifier: Callable[..., Any],
    tmp_path: Path,
    weights: Weights,
    same: Same,
) -> None:
    examples = texts(12)
    task = classifier(examples, **QUIET)
    calls, at_save = [0], []

    def poison(gradient: Tensor) -> Tensor:
        calls[0] += 1
        return gradient if calls[0] < 5 else torch.full_like(gradient, math.nan)

    task.output.bias.register_hook(poison)
    settings = Settings(epochs=3, batch_rows=4, checks=1, checkpoint_seconds=0)
    events = fit(task, examples, examples, settings=settings, checkpoints=tmp_path)
    with pytest.raises(NotFinite):
        at_save.extend(weights(task) for event in events if isinstance(event, Saved))
    kept = resume.read(tmp_path)
    assert kept is not None
    assert kept.counters["step"] == 4
    assert same(kept.tensors["weights"], at_save[-1])
    assert all(torch.isfinite(value).all() for value in kept.tensors["weights"].values())


def test_an_infinite_loss_stops_the_step_even_where_its_gradient_is_finite(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, numbers = scripted([0.0] * 9)
    real = task.loss

    def plus_infinity(batch: Tensor) -> Loss:
        loss = real(batch)
        return Loss(loss.total + (math.inf if 3.0 in batch else 0.0), loss.count)

    monkeypatch.setattr(task, "loss", plus_infinity)
    with pytest.raises(
        NotFinite, match=r"^the loss is not finite at step 1; .*; 1 of the batch's 4 examples do it alone"
    ):
        list(fit(task, numbers, numbers, settings=Settings(epochs=1)))
    assert task.w.item() == 0.0
