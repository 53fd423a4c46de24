"""A NaN that was planted is found where it was planted: the example, the part, the step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.cells.lstm import LSTM
from unrolled.data.examples import LabelledText, Pair, TaggedTokens
from unrolled.inspection.not_finite import Origin, first_not_finite
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.tagger import Tagger
from unrolled.tasks.translator import Translator

TEXTS = [
    LabelledText(text="a b c d", label="x"),
    LabelledText(text="b c a e f b", label="y"),
    LabelledText(text="c", label="x"),
]


def classifier(**options: Any) -> Any:
    torch.manual_seed(0)
    return Classifier.prepare(TEXTS, hidden_size=4, word_size=3, layers=1, directions="forward", **options)


def encoded(task: Any, examples: Any = TEXTS) -> list[Any]:
    return [task.encode(example) for example in examples]


def test_a_healthy_batch_has_no_such_place() -> None:
    task = classifier()
    assert first_not_finite(task, encoded(task)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("word", "example", "step"), [("d", 0, 3), ("e", 1, 3), ("b", 0, 1)])
def test_a_word_whose_vector_is_not_finite(word: str, example: int, step: int, value: float) -> None:
    task = classifier()
    with torch.no_grad():
        task.reader.words.weight[task.vocabularies["words"].index(word), 1] = value
    found = first_not_finite(task, encoded(task))
    assert found == Origin(example, "reader.words", step, "output", by_weights=True)
    assert str(found) == (
        f"the output of reader.words is the first that is not finite, at step {step + 1}; its weights are not, either"
    )


def test_a_cells_weight_that_is_not_finite_is_found_at_the_first_step() -> None:
    task = classifier()
    with torch.no_grad():
        task.reader.stack.layers[0].cell.weight_hh[2, 2] = math.nan
    found = first_not_finite(task, encoded(task))
    assert found == Origin(0, "reader.stack.layers.0.cell", 0, "output", by_weights=True)


@pytest.mark.parametrize("step", [0, 2, 5])
def test_a_cell_that_breaks_at_a_step(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    task, calls = classifier(), [0]
    original = LSTM.gates

    def broken(self: LSTM, px: Tensor, state: Any) -> Any:
        now = original(self, px, state)
        calls[0] += 1
        at = calls[0] - 1 - 4  # the first example has four elements
        return now._replace(h=now.h / 0) if at == step else now

    monkeypatch.setattr(LSTM, "gates", broken)
    found = first_not_finite(task, encoded(task))
    assert found == Origin(1, "reader.stack.layers.0.cell", step, "output")


class BadBack(torch.autograd.Function):
    """Finite ahead, NaN back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad * math.nan


def test_a_gradient_that_breaks_on_its_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    task, calls = classifier(), [0]
    original = LSTM.gates

    def broken(self: LSTM, px: Tensor, state: Any) -> Any:
        calls[0] += 1
        if calls[0] - 1 == 2:  # the third element's step: the gradient is NaN of all before it
            state = tuple(BadBack.apply(leaf) for leaf in state)
        return original(self, px, state)

    monkeypatch.setattr(LSTM, "gates", broken)
    found = first_not_finite(task, encoded(task))
    assert found == Origin(0, "reader.stack.layers.0.cell", 1, "gradient")
    assert str(found) == "the gradient of reader.stack.layers.0.cell is the first that is not finite, at step 2"


def test_where_only_the_loss_is_not_finite_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    task = classifier()
    whole = type(task).loss

    def broken(self: Any, batch: Any) -> Any:
        found = whole(self, batch)
        return type(found)(found.total * math.inf, found.count)

    monkeypatch.setattr(type(task), "loss", broken)
    found = first_not_finite(task, encoded(task))
    assert found == Origin(0, "", None, "loss")
    assert str(found) == "the loss is the first that is not finite"


def test_decoders_and_taggers_are_looked_through_as_well() -> None:
    torch.manual_seed(0)
    pairs = [Pair(source="ab", target="xyz"), Pair(source="b", target="z")]
    translator = Translator.prepare(pairs, source_tokens="characters", target_tokens="characters", hidden_size=4)
    name, weight = next((n, p) for n, p in translator.named_parameters() if "decoder" in n and n.endswith("weight_hh"))
    with torch.no_grad():
        weight[0, 0] = math.nan
    found = first_not_finite(translator, encoded(translator, pairs))
    assert found is not None
    assert name.startswith(found.layer)
    assert (found.example, found.step, found.by_weights) == (0, 0, True)
    sentences = [
        TaggedTokens(tokens=("a", "b"), tags=("N", "V")),
        TaggedTokens(tokens=("b", "c", "a"), tags=("V", "N", "N")),
    ]
    tagger = Tagger.prepare(sentences, hidden_size=4, word_size=3, layers=1)
    with torch.no_grad():
        tagger.reader.words.weight[tagger.vocabularies["words"].index("c")] = math.nan
    found = first_not_finite(tagger, encoded(tagger, sentences))
    assert found is not None
    assert (found.example, found.layer, found.step) == (1, "reader.words", 1)


def test_the_task_is_left_as_it_was() -> None:
    task = classifier().train()
    first_not_finite(task, encoded(task))
    assert task.training
    assert not any(part._forward_hooks for part in task.modules())
    assert all(p.grad is None for p in task.parameters())
