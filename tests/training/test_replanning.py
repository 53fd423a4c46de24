"""A time budget on a machine whose pace changes: what is planned on the way, and that the run can be repeated."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unrolled.training.events import Check, Event, Planned, Replanned, Saved, Step
from unrolled.training.fit import fit
from unrolled.training.settings import Settings

Made = Callable[..., Any]


def of(kind: type, events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def paced(scripted: Made, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Event]]:
    """Train for a minute, by a plan of 50 epochs of a step each that was made in no time; a step takes `pace(step)`."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("unrolled.training.budget.epochs_for", lambda *_: (50.0, 55.0))

    def run(pace: Callable[[int], float], until: int | None = None, **given: Any) -> list[Event]:
        task, numbers = scripted([0.1 * k for k in range(1, 99)])
        settings = Settings(epochs=99, checks=1, checkpoint_seconds=0)
        found = []
        now[0] += 10_000.0  # a pause between two runs does not count
        for event in fit(task, numbers, numbers, settings=settings, minutes=1, **given):
            found.append(event)
            if isinstance(event, Step):
                now[0] += pace(event.step)
            elif isinstance(event, Saved) and event.step == until:
                break
        return found

    return run


def test_on_a_slower_machine_the_schedule_still_ends_with_the_time(paced: Callable[..., list[Event]]) -> None:
    events = paced(lambda step: 10.0)
    assert events[0] == Planned(epochs=50.0, steps=50, examples=4, elements=4, seconds=55.0)
    (again,) = of(Replanned, events)
    assert again == Replanned(1, Planned(6.0, 6, 4, 4, seconds=60.0, done=1, before=((1, 50.0),)))
    steps = of(Step, events)
    assert [step.progress for step in steps] == pytest.approx([1 / 50, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    rates = [step.learning_rate for step in steps]
    assert rates[-1] < 0.1 * max(rates)
    assert isinstance(events[-1], Check)
    assert (events[-1].step, events[-1].progress, events[-1].seconds) == (6, 1.0, 60.0)
    assert events.index(again) + 1 == events.index(of(Check, events)[0])


def test_epochs_that_were_taken_back_are_planned_again_but_no_more_than_at_first(
    paced: Callable[..., list[Event]],
) -> None:
    events = paced(lambda step: 6.0 if step < 3 else 1.1)
    plans = [again.plan for again in of(Replanned, events)]
    assert plans[0].epochs == 10.0
    assert all(earlier.epochs < later.epochs for earlier, later in itertools.pairwise(plans))
    assert plans[-1].epochs <= 50.0
    assert [epochs for _, epochs in plans[-1].before] == [50.0, *(plan.epochs for plan in plans[:-1])]
    assert of(Step, events)[-1].progress == 1.0
    assert 40 < len(of(Step, events)) < 50
    assert 58 < events[-1].seconds < 62
    assert not of(Replanned, paced(lambda step: 1.0))
    assert not of(Replanned, paced(lambda step: 0.1))


def test_the_time_limit_ends_it_with_a_check(paced: Callable[..., list[Event]]) -> None:
    # All at once, behind the last plan.
    events = paced(lambda step: 1.0 if step < 9 else 100.0)
    assert len(of(Step, events)) == 9
    assert isinstance(events[-1], Check)
    assert (events[-1].step, events[-1].progress, events[-1].seconds) == (9, 1.0, 108.0)
    assert of(Replanned, events) == [Replanned(9, Planned(9.0, 9, 4, 4, 108.0, done=9, before=((9, 50.0),)))]


@pytest.mark.parametrize(
    "pace", [lambda step: 10.0, lambda step: 6.0 if step < 3 else 1.1, lambda step: 1.0 if step < 9 else 100.0]
)
def test_by_its_plans_a_run_is_repeated_wherever_the_time_has_changed_them(
    paced: Callable[..., list[Event]], scripted: Made, pace: Callable[[int], float]
) -> None:
    events = paced(pace)
    last = of(Replanned, events)[-1].plan
    task, numbers = scripted([0.1 * k for k in range(1, 99)])
    settings = Settings(epochs=last.epochs, checks=1, checkpoint_seconds=0)
    again = list(fit(task, numbers, numbers, settings=settings, plans=dict(last.before)))
    assert again[0].epochs == 50.0

    def timeless(kind: type, events: list[Event]) -> list[Event]:
        return [replace(event, seconds=0.0) for event in of(kind, events)]

    assert timeless(Step, again) == timeless(Step, events)
    assert timeless(Check, again) == timeless(Check, events)
    assert [event.step for event in of(Replanned, again)] == [event.step for event in of(Replanned, events)]


def test_a_time_limit_and_its_plans_are_kept_across_a_resume(paced: Callable[..., list[Event]], tmp_path: Path) -> None:
    whole = paced(lambda step: 10.0)
    first = paced(lambda step: 10.0, until=4, checkpoints=tmp_path)
    again = paced(lambda step: 10.0, checkpoints=tmp_path, resumed=True)
    assert of(Step, first)[-1].step == 4
    assert again[0] == Planned(6.0, 6, 4, 4, seconds=60.0, done=4, before=((1, 50.0),))
    assert of(Step, first) + of(Step, again) == of(Step, whole)


def test_a_plan_that_stands_is_the_same_after_a_resume(paced: Callable[..., list[Event]], tmp_path: Path) -> None:
    paced(lambda step: 1.0, until=4, checkpoints=tmp_path)
    again = paced(lambda step: 1.0, checkpoints=tmp_path, resumed=True)
    assert again[0] == Planned(50.0, 50, 4, 4, seconds=55.0, done=4)
