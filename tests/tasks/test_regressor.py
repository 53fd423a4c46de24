"""Many to one: a quantity of a text; what its options mean, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import LabelledText, Signal
from unrolled.errors import BadData, BadOption
from unrolled.tasks.regressor import Regressor

TINY: dict[str, Any] = {"hidden_size": 5, "word_size": 4, "embedding_dropout": 0.0, "dropout": 0.0, "word_dropout": 0.0}


def examples() -> list[LabelledText]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    given = {
        "a fine film": "4.5",
        "a dull film": "1",
        "warm": "4",
        "what a long and really awful story , was it not ?": "0.5",
        "it was great": "5",
        "the plot was old and tired": "-1.25",
    }
    return [LabelledText(text=text, label=label) for text, label in given.items()]


def made(given: list[LabelledText] | None = None, **options: Any) -> Regressor:
    return Regressor.prepare(examples() if given is None else given, **{"tokens": "blanks", **TINY, **options}).eval()


def test_quantities_are_scaled_as_they_were_in_training_and_back() -> None:
    task = made()
    amounts = torch.tensor([float(e.label or "") for e in examples()], dtype=torch.float64)
    assert task.centre == pytest.approx(float(amounts.mean()), rel=1e-12)
    assert task.spread == pytest.approx(float(amounts.std(correction=0)), rel=1e-12)
    with torch.no_grad():
        task.output.weight.zero_()
        task.output.bias.fill_(2.0)
    (found,) = task.predict(["a film"])
    assert float(found.label) == pytest.approx(float(amounts.mean() + 2 * amounts.std(correction=0)), rel=1e-5)


def test_the_loss_is_the_squared_error_of_scaled_quantities() -> None:
    task = made()
    loss = task.loss(task.collate([task.encode(e) for e in examples()]))
    predicted = torch.tensor([float(e.label) for e in task.predict(examples())])
    wanted = torch.tensor([float(e.label or "") for e in examples()])
    assert loss.count == len(examples())
    assert float(loss.total.detach()) == pytest.approx(
        float(((predicted - wanted) / task.spread).square().sum()), rel=1e-3
    )


def test_a_quantity_that_never_changes_is_learnt() -> None:
    task = made([replace(e, label="3") for e in examples()])
    assert task.spread == 1.0
    with torch.no_grad():
        task.output.weight.zero_()
        task.output.bias.zero_()
    assert {e.label for e in task.predict(examples())} == {"3.0"}


@pytest.mark.parametrize("label", ["good", "", "nan", "inf", None, ("1", "2")])
def test_a_label_that_is_no_number_is_named(label: Any) -> None:
    given = [*examples()[:2], replace(examples()[2], label=label)]
    with pytest.raises(BadData, match="where a number is expected"):
        made(given)


def test_quantities_that_differ_in_their_last_digits_are_told_apart() -> None:
    given = [replace(e, label=repr(1e9 + k / 4)) for k, e in enumerate(examples())]
    task = made(given)
    targets = [task.encode(e).target for e in given]
    assert targets == pytest.approx([(k - 2.5) / np.std(range(6)) for k in range(6)], abs=1e-6)
    assert task.score(given, given)["r2"] == 1.0
    with torch.no_grad():
        task.output.weight.zero_()
        task.output.bias.fill_(targets[4])
    assert {float(e.label) for e in task.predict(examples())} == {1e9 + 1}


def test_what_the_examples_say_is_not_to_be_given() -> None:
    for option in ({"centre": 1.0}, {"spread": 2.0}):
        with pytest.raises(BadOption, match="the training examples say it"):
            made(**option)
    for texts in ({"missing": "told"}, {"inputs": 3}, {"scaling": "none"}):
        with pytest.raises(BadOption, match="is an option for numbers; texts have none"):
            made(**texts)
    with pytest.raises(BadData, match="numbers among texts"):
        made([*examples(), Signal(values=np.zeros((2, 1)), label="1")])  # type: ignore[list-item]


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(BadData, match="no examples to learn from"):
        made([])
    task = made()
    with pytest.raises(BadData, match="without a quantity"):
        task.loss(task.collate([task.encode(replace(examples()[0], label=None))]))


def test_it_learns_the_length_of_a_text() -> None:
    torch.manual_seed(0)
    given = [LabelledText(text=" ".join(["a"] * n), label=str(n)) for n in range(1, 9)]
    task = made(given, hidden_size=16, pooling="mean_max").train()
    optimizer = torch.optim.Adam(task.parameters(), lr=0.02)
    batch = task.collate([task.encode(e) for e in given])
    for _ in range(300):
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        optimizer.step()
    assert task.eval().measure(given)["r2"] > 0.98
