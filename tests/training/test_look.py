"""Looks while a task is trained: they see the model as it is, change nothing, and take no more than their share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from unrolled.data.examples import TaggedTokens
from unrolled.training import optimizer
from unrolled.training.events import Event, Looked, Step
from unrolled.training.fit import fit
from unrolled.training.look import Looks
from unrolled.training.settings import Settings

Sentences = Callable[..., list[TaggedTokens]]


def run(sentences: Sentences, tagger: Callable[..., Any], **options: Any) -> tuple[Any, list[Event]]:
    examples = sentences(16)
    task = tagger(examples, dropout=0.3)
    settings = Settings(epochs=2, batch_rows=4)
    return task, list(fit(task, examples, examples[:8], settings=settings, seed=1, **options))


def test_looks_change_nothing(
    sentences: Sentences, tagger: Callable[..., Any], weights: Callable[..., Any], same: Callable[..., bool]
) -> None:
    plain, _ = run(sentences, tagger)
    looked, events = run(sentences, tagger, look=lambda task: None, look_share=1.0)
    assert same(weights(plain), weights(looked))
    assert any(isinstance(event, Looked) for event in events)


def test_what_is_seen_is_the_model_after_the_step(sentences: Sentences, tagger: Callable[..., Any]) -> None:
    def first_weight(task: Any) -> float:
        return float(next(task.parameters()).detach().sum())

    examples, seen = sentences(16), []
    task = tagger(examples)
    before = {name: p.detach().clone() for name, p in task.named_parameters()}
    for event in fit(task, examples, examples[:8], settings=Settings(epochs=1, batch_rows=4), look=first_weight):
        if isinstance(event, Looked):
            seen.append((event, first_weight(task), dict(task.named_parameters())))
            break
    ((event, weight, after),) = seen
    assert event.step == 1
    assert event.found == weight
    for name, moved in event.updates.items():
        expected = (after[name].detach() - before[name]).norm() / before[name].norm().clamp(min=1e-12)
        assert moved == pytest.approx(float(expected))
    assert set(event.updates) == set(event.faint) == set(before)


def test_without_a_look_there_is_none(sentences: Sentences, tagger: Callable[..., Any]) -> None:
    _, events = run(sentences, tagger)
    assert not [event for event in events if isinstance(event, Looked)]


def test_a_look_follows_its_step(sentences: Sentences, tagger: Callable[..., Any]) -> None:
    _, events = run(sentences, tagger, look=lambda task: 1, look_share=1.0)
    for place, event in enumerate(events):
        if isinstance(event, Looked):
            before = events[place - 1]
            assert isinstance(before, Step)
            assert (before.step, before.progress) == (event.step, event.progress)


def test_no_more_than_the_share_of_the_time_is_taken(
    sentences: Sentences, tagger: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("unrolled.training.look.time.perf_counter", lambda: clock[0])

    def look(task: Any) -> None:
        clock[0] += 2

    task, looks, taken = tagger(sentences(4)), Looks(look, 0.1), []
    engine = optimizer.make([list(task.parameters())], Settings())
    for step in range(200):
        looks.begin(task, clock[0])
        taken += [step] * (looks.end(task, engine) is not None)
        clock[0] += 1
        # The first look is always taken; from then on one is where what it is expected to cost still fits in.
        assert looks.spent <= max(0.1 * clock[0], 2)
    assert taken[0] == 0
    assert 8 <= len(taken) <= 11
