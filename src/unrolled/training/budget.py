"""How many epochs fit into a time budget, measured on this machine before the first step.

The plan is fixed before training begins and stored with it. So the learning-rate schedule follows the budget, and yet
a run is repeatable: the stored plan, trained again, gives the same weights bit for bit.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from unrolled.data.feeds import Feed, Piece
from unrolled.tasks.base import Task
from unrolled.training import averaging, clip, optimizer, subnormals
from unrolled.training.precision import in_effect
from unrolled.training.settings import Settings
from unrolled.unroll import fused

SAMPLED = 8
"""Batches that are timed, spread evenly from the shortest to the longest, each `TURNS` times."""
TURNS = 2
"""The quickest counts: what else the machine does in a moment is not what it will do all the time."""
KEPT_BACK = 0.07
"""The share of the budget kept back for what was not timed: saving, a machine that gets slower."""

CLOSE = 0.03
"""Plans that differ by less are the same one."""


def epochs_for(
    task: Task,
    feed: Feed,
    pieces: Sequence[Piece],
    valid: Sequence[Any],
    settings: Settings,
    seconds: float,
) -> tuple[float, float]:
    """The epochs (at most `settings.epochs`) that take `seconds` seconds, and the seconds that they are to take.

    Works on a copy, and leaves torch's random stream where it was.
    """
    began = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        trial = copy.deepcopy(task)
        with subnormals.flushed(), fused.precision(in_effect(task, settings)):
            per_epoch = _seconds_an_epoch(trial, feed, pieces, settings)
        with fused.precision("float32"):
            per_check = _seconds_a_check(trial, valid)
    left = seconds * (1 - KEPT_BACK) - (time.perf_counter() - began)
    few = max(left - settings.checks * per_check, seconds * 0.1) / per_epoch
    many = left / (per_epoch + per_check)
    # Long trainings are checked once an epoch, short ones `settings.checks` times in all.
    epochs = min(many if many > settings.checks else min(few, settings.checks), settings.epochs)
    epochs = max(epochs, 1 / len(pieces))
    return epochs, epochs * per_epoch + max(epochs, settings.checks) * per_check


def epochs_in_time(epochs: float, *, first: float, done: float, took: float, left: float) -> float:
    """The epochs of the whole training that its time pays for at the pace so far; `epochs` where they are about right.

    Args:
        epochs: that are planned now.
        first: that were planned before the first step: never more than these.
        done: so far; took: in so many seconds.
        left: seconds of the budget.
    """
    if left <= 0:
        return done
    planned = min(done + left * done / took, first) if took > 0 else first
    return epochs if abs(planned - epochs) < CLOSE * epochs else planned


def _seconds_an_epoch(trial: Task, feed: Feed, pieces: Sequence[Piece], settings: Settings) -> float:
    by_cost = sorted(pieces, key=feed.cost)
    places = np.linspace(0, len(by_cost) - 1, min(SAMPLED, len(by_cost))).round().astype(int)
    sampled = [by_cost[place] for place in places]
    engine = optimizer.make(trial.layer_groups(), settings)
    average = averaging.make(trial, settings)
    parameters = list(trial.parameters())
    trial.train()

    def step(piece: Piece) -> float:
        start = time.perf_counter()
        loss = trial.loss(trial.collate(feed.take(piece)))
        engine.zero_grad()
        (loss.total / loss.count).backward()
        clip.clip(parameters, settings.clip_norm)
        engine.step()
        average.update()
        return time.perf_counter() - start

    step(sampled[0])  # the first step also pays for allocations
    step(sampled[-1])
    return float(np.mean([min(step(piece) for _ in range(TURNS)) for piece in sampled])) * len(pieces)


def _seconds_a_check(trial: Task, valid: Sequence[Any]) -> float:
    if not valid:
        return 0.0
    sample = valid[:: max(1, len(valid) // 256)]
    trial.rehearse(sample[:8])  # the first also pays for loading the metrics
    start = time.perf_counter()
    trial.rehearse(sample)
    return (time.perf_counter() - start) * len(valid) / len(sample)
