"""A text read in pieces side by side has the losses of the text read as one, where the state forgets in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import Passage
from unrolled.tasks._side_by_side import AHEAD, LEAST, PIECES, losses
from unrolled.tasks.language_model import LanguageModel

LINES = [Passage(text="a b c d e f g h"), Passage(text="c a d f")]


def model(**options: Any) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel.prepare(LINES, hidden_size=6, word_size=6, **options).eval()


@pytest.mark.parametrize(
    "size", [1, 7, 2 * LEAST * AHEAD - 1, 2 * LEAST * AHEAD, 3 * LEAST * AHEAD + 5, 33 * LEAST * AHEAD]
)
@pytest.mark.parametrize("cell", ["lstm", "elman"])
def test_the_losses_are_those_of_the_whole_in_the_order_of_the_text(size: int, cell: str) -> None:
    task = model(cell=cell, forget_bias=0.0, initialisation="uniform")
    ids = np.random.default_rng(1).integers(0, len(task.elements), size)
    found = losses(task.network, ids, task.line_end)
    with task.evaluating():
        whole = task.reader(task.deciding()).read(torch.from_numpy(ids))
    assert len(found) == size
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_many_pieces_are_read_at_once_and_never_more_than_there_are() -> None:
    rows = []
    task = model()
    read = task.network.read
    task.network.read = lambda x, state: rows.append(int(x.batch_sizes[0])) or read(x, state)  # type: ignore[method-assign]
    for size in (100 * LEAST * AHEAD, 5 * LEAST * AHEAD + 3, LEAST * AHEAD):
        losses(task.network, np.zeros(size, dtype=np.int64), task.line_end)
    assert set(rows[:-1]) >= {PIECES, 5}
    assert rows[-1] == 1


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_check_gives_the_figures_of_an_evaluation(direction: str) -> None:
    task = model(direction=direction)
    text = [Passage(text=" ".join(np.random.default_rng(k).choice(list("abcdefghz"), 9))) for k in range(300)]
    assert task.check(text) == pytest.approx(task.measure(text), rel=1e-5)
    apart = model(direction=direction, lines="apart")
    assert apart.check(text) == apart.measure(text)
