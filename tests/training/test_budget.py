"""The epochs that a time budget pays for. Clocks are replaced by one that each batch and each check moves on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import TaggedTokens
from unrolled.data.feeds import Feed
from unrolled.tasks.tagger import Tagger
from unrolled.training import budget
from unrolled.training.settings import Settings

STEP, CHECKED = 0.5, 0.01
"""Seconds that one step takes, and one example of a check, on the clock of these tests."""
STEPS = 2 + budget.SAMPLED * budget.TURNS
"""Of a plan: two before those that count."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    loss, predict = Tagger.loss, Tagger.predict

    def slow_loss(self: Tagger, batch: Any) -> Any:
        now[0] += STEP
        return loss(self, batch)

    def slow_predict(self: Tagger, examples: Any) -> Any:
        now[0] += CHECKED * len(examples)
        return predict(self, examples)

    monkeypatch.setattr(Tagger, "loss", slow_loss)
    monkeypatch.setattr(Tagger, "predict", slow_predict)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])


Planner = Callable[..., tuple[float, float]]


def feed_of(task: Tagger, examples: list[TaggedTokens]) -> Feed:
    return task.feed(examples, elements=4096, rows=4, seed=1)


@pytest.fixture
def plan(sentences: Callable[..., list[TaggedTokens]], tagger: Callable[..., Any]) -> Planner:
    """plan(seconds): of 40 examples in 10 batches, 20 or so to check on; 5 seconds an epoch, 0.2 a check of 20."""

    def planned(seconds: float, valid: int = 20, **settings: Any) -> tuple[float, float]:
        examples = sentences(40)
        task = tagger(examples)
        pieces = np.split(np.arange(40), 10)
        return budget.epochs_for(
            task, feed_of(task, examples), pieces, sentences(valid, 1), Settings(**settings), seconds
        )

    return planned


@pytest.mark.usefixtures("clock")
def test_a_long_budget_pays_for_epochs_with_a_check_after_each(plan: Planner) -> None:
    measuring = STEPS * STEP + 28 * CHECKED  # eight examples and then twenty
    epochs, seconds = plan(200.0, epochs=1000)
    assert epochs == pytest.approx((200 * 0.93 - measuring) / 5.2)
    assert seconds == pytest.approx(epochs * 5.2)
    assert seconds + measuring == pytest.approx(200 * 0.93)


@pytest.mark.usefixtures("clock")
def test_of_many_examples_to_check_on_some_are_measured(plan: Planner) -> None:
    measuring = STEPS * STEP + (8 + 300) * CHECKED  # every other one
    epochs, seconds = plan(500.0, valid=600, epochs=1000)
    assert epochs == pytest.approx((500 * 0.93 - measuring) / (5 + 600 * CHECKED))
    assert seconds == pytest.approx(epochs * 11)


@pytest.mark.usefixtures("clock")
def test_a_short_budget_pays_for_its_checks_first(plan: Planner) -> None:
    measuring = STEPS * STEP + 28 * CHECKED
    epochs, seconds = plan(40.0, epochs=1000, checks=10)
    assert epochs == pytest.approx((40 * 0.93 - measuring - 10 * 0.2) / 5)
    assert seconds + measuring == pytest.approx(40 * 0.93)


@pytest.mark.usefixtures("clock")
def test_more_minutes_are_more_epochs_up_to_those_of_the_settings(plan: Planner) -> None:
    epochs = [plan(seconds, epochs=20)[0] for seconds in (20.0, 40.0, 60.0, 120.0, 500.0, 5000.0)]
    assert epochs == sorted(epochs)
    assert epochs[3] > 2 * epochs[1]
    assert epochs[-2:] == [20, 20]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("seconds", [0.001, 1.0, -3.0])
def test_a_budget_too_small_for_anything_is_a_step_or_a_little_more(plan: Planner, seconds: float) -> None:
    epochs, _ = plan(seconds)
    assert epochs == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("planned", "took", "left", "expected"),
    [
        (10.0, 20.0, 80.0, 10.0),  # 2 of 10 epochs in a fifth of the time
        (10.0, 20.0, 78.0, 10.0),  # about
        (10.0, 40.0, 60.0, 5.0),  # half as fast
        (5.0, 20.0, 80.0, 10.0),  # as fast as ever again
        (5.0, 10.0, 90.0, 10.0),  # and faster: never more than the first plan
        (10.0, 20.0, 0.0, 2.0),
        (10.0, 20.0, -9.0, 2.0),
        (8.0, 0.0, 9.0, 10.0),
    ],
)
def test_the_pace_so_far_says_which_epochs_are_in_time(
    planned: float, took: float, left: float, expected: float
) -> None:
    found = budget.epochs_in_time(planned, first=10.0, done=2.0, took=took, left=left)
    assert found == pytest.approx(expected)


def test_measuring_leaves_the_task_and_the_random_stream_as_they_were(
    sentences: Callable[..., list[TaggedTokens]],
    tagger: Callable[..., Any],
    weights: Callable[..., Any],
    same: Callable[..., bool],
) -> None:
    examples = sentences(12)
    task = tagger(examples, dropout=0.5).eval()
    before, stream = weights(task), torch.get_rng_state()
    feed = feed_of(task, examples)
    epochs, seconds = budget.epochs_for(task, feed, [np.arange(12)], examples, Settings(averaging="exponential"), 5)
    assert 0 < epochs <= 20
    assert seconds > 0
    assert same(before, weights(task))
    assert torch.equal(stream, torch.get_rng_state())
    assert not task.training
    assert all(p.grad is None for p in task.parameters())
