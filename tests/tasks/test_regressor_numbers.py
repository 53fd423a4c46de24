"""A quantity for numbers at each step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled.data import memory_tasks
from unrolled.data.examples import Signal
from unrolled.data.memory_tasks import Sizes
from unrolled.errors import BadData
from unrolled.tasks.regressor import Regressor

TASK = "regressor"


def examples() -> list[Signal]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    rng = np.random.default_rng(5)
    amounts = ("0.5", "-2", "17", "3.25", "1e-2", "4")
    return [
        Signal(values=rng.normal(0, 1, (n, 3)), label=amount)
        for n, amount in zip((3, 3, 1, 9, 3, 6), amounts, strict=True)
    ]


def test_the_sum_of_two_marked_numbers_is_learnt_from_a_folder(tmp_path: Path) -> None:
    memory_tasks.write_adding(tmp_path, length=6, sizes=Sizes(600, 100, 100))
    options: dict[str, Any] = {"hidden_size": 24, "epochs": 20, "directions": "forward", "pooling": "last"}
    model = unrolled.Regressor.train(tmp_path, scaling="none", **options)  # type: ignore[attr-defined]
    found = model.evaluate(tmp_path)["metrics"]
    assert found["mean_squared_error"] < 0.02
    assert found["r2"] > 0.9
    values = model.examples(tmp_path)[0].values
    assert model.predict(values).label == model.predict([values])[0].label


def test_numbers_of_another_width_are_refused() -> None:
    with pytest.raises(BadData, match="2 numbers a step where training had 3"):
        Regressor.prepare([*examples(), replace(examples()[0], values=np.zeros((4, 2)))], hidden_size=4)
