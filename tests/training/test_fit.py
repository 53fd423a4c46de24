"""The training as a whole: what it yields, what the task carries afterwards, and when it ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled.data.examples import LabelledText, TaggedTokens
from unrolled.errors import BadData, BadOption, CannotWrite
from unrolled.training import resume
from unrolled.training.events import Check, Event, Planned, Saved, Step
from unrolled.training.fit import fit
from unrolled.training.schedule import Schedule
from unrolled.training.settings import Settings

Sentences = Callable[..., list[TaggedTokens]]
SomeTask = Callable[..., Any]
Made = Callable[..., Any]


def of(kind: type, events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# ---------------------------------------------------------------------- the random stream


def trained(sentences: Sentences, tagger: SomeTask, seed: int, **options: Any) -> Any:
    examples = sentences(16)
    task = tagger(examples, dropout=0.3)
    list(fit(task, examples, examples[:8], settings=Settings(epochs=2, batch_rows=4, **options), seed=seed))
    return task


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    sentences: Sentences, tagger: SomeTask, weights: Made, same: Callable[..., bool]
) -> None:
    first, second, other = (weights(trained(sentences, tagger, seed)) for seed in (1, 1, 2))
    assert same(first, second)
    assert not same(first, other)


def test_what_is_drawn_between_two_events_changes_nothing(
    sentences: Sentences, tagger: SomeTask, weights: Made, same: Callable[..., bool]
) -> None:
    expected = weights(trained(sentences, tagger, 1))
    examples = sentences(16)
    task = tagger(examples, dropout=0.3)
    for _ in fit(task, examples, examples[:8], settings=Settings(epochs=2, batch_rows=4), seed=1):
        torch.rand(3)
    assert same(expected, weights(task))


def test_torchs_random_stream_is_left_where_it_was(sentences: Sentences, tagger: SomeTask) -> None:
    examples = sentences(8)
    task = tagger(examples, dropout=0.3)
    before = torch.get_rng_state()
    list(fit(task, examples, examples, settings=Settings(epochs=1, batch_rows=4), minutes=1))
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_draws_anew_at_every_step(sentences: Sentences, tagger: SomeTask) -> None:
    # One batch with the rate at zero as good as: the losses differ by what was dropped alone.
    examples = sentences(8)
    task = tagger(examples, dropout=0.5)
    settings = Settings(epochs=5, batch_rows=8, learning_rate=1e-30, optimizer="sgd")
    losses = [step.loss for step in of(Step, list(fit(task, examples, examples, settings=settings)))]
    assert len(set(losses)) == 5


# ---------------------------------------------------------------------- steps by hand


def test_steps_by_hand(scripted: Made) -> None:
    task, numbers = scripted([0.0] * 9)
    settings = Settings(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.0, schedule="linear", warmup=0, epochs=2, checks=1
    )
    events = list(fit(task, numbers, numbers, settings=settings))
    # w falls towards the mean 2.5 of 1, 2, 3, 4: the gradient of the mean of (w - x)^2 is 2 (w - 2.5).
    schedule = Schedule(settings)
    w = 0.0
    for step, progress in zip(of(Step, events), (0.0, 0.5), strict=True):
        loss = sum((w - x) ** 2 for x in (1, 2, 3, 4)) / 4
        rate = 0.1 * schedule(progress)
        assert (step.loss, step.gradient_norm, step.learning_rate) == pytest.approx(
            (loss, abs(2 * (w - 2.5)), rate), rel=1e-5
        )
        w -= rate * 2 * (w - 2.5)
    assert task.seen[-1] == pytest.approx(w, rel=1e-6)


def test_the_plan_and_the_steps_count_examples_elements_and_epochs(sentences: Sentences, tagger: SomeTask) -> None:
    examples = sentences(10)
    events = list(fit(tagger(examples), examples, examples, settings=Settings(epochs=1.5, batch_rows=3)))
    elements = sum(len(e.tokens) for e in examples)
    assert events[0] == Planned(epochs=1.5, steps=6, examples=10, elements=elements, seconds=None)
    steps = of(Step, events)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.epoch for step in steps] == pytest.approx([k / 4 for k in range(1, 7)])
    assert [step.progress for step in steps] == pytest.approx([k / 6 for k in range(1, 7)])
    assert sum(step.examples for step in steps[:4]) == 10
    assert sum(step.elements for step in steps[:4]) == elements
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(steps))


def test_a_long_gradient_is_clipped_before_the_step(scripted: Made) -> None:
    task, numbers = scripted([0.0] * 9)
    settings = Settings(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.0, schedule="constant", warmup=0, epochs=1, clip_norm=2.0
    )
    (step,) = of(Step, list(fit(task, numbers, numbers, settings=settings)))
    assert step.gradient_norm == pytest.approx(5.0)
    assert task.seen[-1] == pytest.approx(0.1 * 2.0)


def test_the_train_loss_of_a_check_is_the_mean_since_the_last_one(sentences: Sentences, tagger: SomeTask) -> None:
    examples = sentences(12)
    events = list(fit(tagger(examples), examples, examples, settings=Settings(epochs=2, batch_rows=4, checks=2)))
    checks, steps = of(Check, events), of(Step, events)
    for check, since in zip(checks, (steps[:3], steps[3:]), strict=True):
        mean = sum(s.loss * s.elements for s in since) / sum(s.elements for s in since)
        assert check.train_loss == pytest.approx(mean, rel=1e-6)


# ---------------------------------------------------------------------- checks, and which weights are kept


@pytest.mark.parametrize(
    ("epochs", "checks", "steps_checked"),
    [
        (3, 1, [4, 8, 12]),  # one an epoch
        (3, 6, [2, 4, 6, 8, 10, 12]),  # so many in all where that is more
        (1, 3, [2, 3, 4]),  # at 1/3, 2/3 and the end, each at the first step past it
        (0.5, 10, [1, 2]),  # never more than one a step
        (1.5, 1, [3, 6]),
    ],
)
def test_checks_come_once_an_epoch_or_so_often_in_all(
    sentences: Sentences, tagger: SomeTask, epochs: float, checks: int, steps_checked: list[int]
) -> None:
    examples = sentences(16)
    settings = Settings(epochs=epochs, checks=checks, batch_rows=4)
    events = list(fit(tagger(examples), examples, examples[:4], settings=settings))
    assert [check.step for check in of(Check, events)] == steps_checked


def test_rounding_puts_no_check_a_step_late(scripted: Made) -> None:
    # (1 / 49) * 49 is a hair less than 1 in floating point.
    task, numbers = scripted([0.0] * 49)
    events = list(fit(task, numbers, numbers, settings=Settings(epochs=49, checks=1)))
    assert [check.step for check in of(Check, events)] == list(range(1, 50))


def test_the_best_weights_are_those_of_the_best_check_and_the_latest_of_equals(scripted: Made) -> None:
    task, numbers = scripted([0.3, 0.7, 0.5, 0.7, 0.1])
    events = list(fit(task, numbers, numbers, settings=Settings(epochs=5, checks=5)))
    assert [check.best for check in of(Check, events)] == [True, True, False, True, False]
    assert len(set(task.seen)) == 5
    assert task.w.item() == task.seen[3]
    assert not task.training


def test_the_weights_at_the_best_check_are_carried_at_the_end(
    sentences: Sentences, tagger: SomeTask, weights: Made, same: Callable[..., bool]
) -> None:
    examples = sentences(16)
    task = tagger(examples)
    at_checks = []
    settings = Settings(epochs=6, batch_rows=4, learning_rate=0.05, averaging="exponential", average_decay=0.5)
    for event in fit(task, examples, examples[:8], settings=settings):
        if isinstance(event, Check):
            at_checks.append((event.scores["accuracy"], weights(task)))
    best = max(reversed(at_checks), key=lambda pair: pair[0])  # the latest of equals
    assert at_checks[-1][0] != at_checks[0][0]
    assert same(best[1], weights(task))
    assert task.score(task.predict(examples[:8]), examples[:8])["accuracy"] == best[0]


def test_a_figure_that_is_not_a_number_is_worse_than_any(scripted: Made) -> None:
    task, numbers = scripted([math.nan, 0.2, math.nan])
    events = list(fit(task, numbers, numbers, settings=Settings(epochs=3, checks=3)))
    assert [check.best for check in of(Check, events)] == [True, True, False]
    assert task.w.item() == task.seen[1]


def test_a_figure_that_is_left_out_is_worse_than_any(scripted: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    task, numbers = scripted([math.nan, 0.2, math.nan])
    score = task.score
    known = lambda *given: {name: one for name, one in score(*given).items() if not math.isnan(one)}  # noqa: E731
    monkeypatch.setattr(task, "score", known)
    events = list(fit(task, numbers, numbers, settings=Settings(epochs=3, checks=3)))
    assert [check.scores for check in of(Check, events)] == [{}, {"figure": 0.2}, {}]
    assert [check.best for check in of(Check, events)] == [True, True, False]
    assert task.w.item() == task.seen[1]


def test_while_a_check_is_out_the_task_carries_the_average(scripted: Made) -> None:
    task, numbers = scripted([0.1, 0.2, 0.3, 0.4])
    settings = Settings(epochs=4, checks=4, averaging="exponential", average_decay=0.9)
    own, carried = [], []
    for event in fit(task, numbers, numbers, settings=settings):
        if isinstance(event, Step):
            own.append(task.w.item())
        elif isinstance(event, Check):
            carried.append(task.w.item())
    by_hand, expected = own[0], []
    for n, w in enumerate(own, start=1):
        d = min(0.9, (1 + n) / (10 + n))
        by_hand = d * by_hand + (1 - d) * w
        expected.append(by_hand)
    assert carried == pytest.approx(expected, rel=1e-6)
    assert carried == task.seen  # it is what was looked at
    assert task.w.item() == carried[-1]  # the last was best, and is kept


def test_a_training_that_is_dropped_during_a_check_leaves_the_tasks_own_weights(scripted: Made) -> None:
    task, numbers = scripted([0.1] * 9)
    events = fit(task, numbers, numbers, settings=Settings(epochs=4, checks=4, averaging="exponential"))
    own = None
    for event in events:
        if isinstance(event, Step):
            own = task.w.item()
        if isinstance(event, Check) and event.step == 3:
            assert task.w.item() != own
            break
    events.close()
    assert task.w.item() == own


# ---------------------------------------------------------------------- when it ends


def test_patience_ends_it_after_so_many_checks_without_a_better_figure(scripted: Made) -> None:
    task, numbers = scripted([0.5, 0.4, 0.6, 0.6, 0.1, 0.2, 0.9, 0.9])
    events = list(fit(task, numbers, numbers, settings=Settings(epochs=8, checks=8, patience=3)))
    assert len(of(Check, events)) == 6
    assert events[-1].step == 6
    assert task.w.item() == task.seen[3]  # an equal figure is kept, and is no better


def test_without_patience_it_goes_on_to_the_end(scripted: Made) -> None:
    task, numbers = scripted([0.5] + [0.1] * 7)
    assert len(of(Check, list(fit(task, numbers, numbers, settings=Settings(epochs=8, checks=8))))) == 8


def test_a_minute_budget_plans_and_ends_in_time(sentences: Sentences, tagger: SomeTask) -> None:
    examples = sentences(8)
    events = list(fit(tagger(examples), examples, examples, settings=Settings(epochs=1e6, batch_rows=4), minutes=0.02))
    planned = events[0]
    assert 0 < planned.seconds < 1.2
    assert events[-1].progress >= 1 or events[-1].seconds > 1.2
    assert isinstance(events[-1], Check)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("train", "valid", "name"), [(0, 1, "training"), (1, 0, "validation")])
def test_no_examples_are_refused(scripted: Made, train: int, valid: int, name: str) -> None:
    task, numbers = scripted([])
    with pytest.raises(BadData, match=f"^there are no {name} examples$"):
        list(fit(task, numbers[:train], numbers[:valid]))


def test_an_example_without_its_blank_filled_in_is_refused(sentences: Sentences, tagger: SomeTask) -> None:
    examples = sentences(4)
    with pytest.raises(BadData, match="without tags"):
        list(fit(tagger(examples), [TaggedTokens(tokens=("a",))], examples))


def test_a_negative_seed_is_refused(scripted: Made) -> None:
    task, numbers = scripted([])
    with pytest.raises(BadOption, match="seed"):
        list(fit(task, numbers, numbers, seed=-1))


# ---------------------------------------------------------------------- checkpoints


def test_checkpoints_are_written_at_the_start_after_checks_and_when_time_has_passed(
    scripted: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task, numbers = scripted([0.1, 0.2])
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    settings = Settings(epochs=2, checks=2, batch_rows=1, checkpoint_seconds=25)
    saved = []
    for event in fit(task, numbers, numbers, settings=settings, checkpoints=tmp_path):
        if isinstance(event, Step):
            now[0] += 10.0
        elif isinstance(event, Saved):
            saved.append(event.step)
            kept = resume.read(Path(event.path))
            assert kept is not None
            assert kept.counters["step"] == event.step
    # Checks after steps 4 and 8; besides, whenever three steps, 30 seconds, have passed.
    assert saved == [0, 3, 4, 7, 8]


def test_a_full_disk_stops_the_training_and_leaves_the_last_checkpoint(
    sentences: Sentences, tagger: SomeTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = sentences(8)
    settings = Settings(epochs=2, batch_rows=4, checkpoint_seconds=0)
    events = fit(tagger(examples), examples, examples, settings=settings, checkpoints=tmp_path)
    while not (isinstance(event := next(events), Saved) and event.step == 2):
        pass

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr("unrolled.files._write_through", full)
        with pytest.raises(CannotWrite, match="No space left on device"):
            list(events)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = list(fit(tagger(examples), examples, examples, settings=settings, checkpoints=tmp_path, resumed=True))
    assert again[0].done == 2
    assert of(Step, again)[-1].step == 4


def test_an_older_runs_best_weights_do_not_survive_in_the_folder(scripted: Made, tmp_path: Path) -> None:
    first, numbers = scripted([0.9])
    list(fit(first, numbers, numbers, settings=Settings(epochs=1, checks=1), checkpoints=tmp_path))
    second, numbers = scripted([0.1])
    events = fit(second, numbers, numbers, settings=Settings(epochs=1, checks=1), checkpoints=tmp_path)
    assert isinstance(next(events), Planned)
    assert isinstance(next(events), Saved)
    kept = resume.read(tmp_path)
    assert kept is not None
    assert kept.tensors["best"] == {}


def test_a_classifier_learns_what_can_be_learnt(texts: Callable[..., list[LabelledText]], classifier: SomeTask) -> None:
    examples = texts(24)
    task = classifier(examples, pooling="last", dropout=0.0, embedding_dropout=0.0, word_dropout=0.0, hidden_size=8)
    events = list(
        fit(task, examples, examples, settings=Settings(epochs=30, batch_rows=8, learning_rate=0.05, checks=3))
    )
    assert max(check.scores["accuracy"] for check in of(Check, events)) > 0.95
    assert of(Check, events)[-1].train_loss < 0.2 < of(Check, events)[0].train_loss
