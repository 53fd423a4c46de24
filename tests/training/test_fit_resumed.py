"""A run that is interrupted anywhere and resumed is, bit for bit, the run that was never interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.data.examples import LabelledText, TaggedTokens
from unrolled.errors import BadModel, BadOption
from unrolled.training import resume
from unrolled.training.events import Check, Event, Planned, Saved, Step
from unrolled.training.fit import fit
from unrolled.training.settings import Settings

Sentences = Callable[..., list[TaggedTokens]]
Same = Callable[[dict[str, Tensor], dict[str, Tensor]], bool]

COMMON: dict[str, Any] = {"epochs": 2.5, "batch_rows": 4, "learning_rate": 0.02, "checkpoint_seconds": 0}
VARIANTS: list[dict[str, Any]] = [
    {"optimizer": "adamw", "schedule": "cosine", "averaging": "none"},
    {"optimizer": "adam", "schedule": "one_cycle", "averaging": "exponential", "checkpoint_seconds": 1000},
    {"optimizer": "sgd", "schedule": "plateau", "averaging": "triggered", "plateau_patience": 1, "checks": 9},
    {"optimizer": "sgd", "momentum": 0.9, "schedule": "linear", "averaging": "exponential", "checks": 1},
    {"optimizer": "adamw", "schedule": "constant", "averaging": "triggered", "checks": 9, "warmup": 0.5},
    {"optimizer": "adam", "schedule": "plateau", "averaging": "none", "patience": 3, "checkpoint_seconds": 1000},
]


class Runner:
    """Trains a small model with dropout; every call begins with the same weights."""

    def __init__(self, make: Callable[..., Any], examples: list[Any], settings: Settings, folder: Path | None) -> None:
        self.make, self.examples, self.settings, self.folder = make, examples, settings, folder
        self.options: dict[str, Any] = {}

    def __call__(self, events: int | None = None, resumed: bool = False, **more: Any) -> tuple[list[Event], Any]:
        """The events, at most so many, and the task as it was then left."""
        task = self.make(self.examples, dropout=0.3, embedding_dropout=0.3, **self.options)
        given = {"settings": self.settings, "checkpoints": self.folder, "resumed": resumed, **more}
        under_way = fit(task, self.examples[:12], self.examples[12:], **given)
        seen = []
        for event in under_way:
            seen.append(event)
            if events is not None and len(seen) == events:
                break
        under_way.close()
        return seen, task


def timeless(events: list[Event]) -> dict[tuple[str, int], Event]:
    return {
        (type(event).__name__, event.step): replace(event, seconds=0.0)
        for event in events
        if isinstance(event, (Step, Check))
    }


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(str(value) for value in v.values()))
def test_interrupted_anywhere_and_resumed_is_the_undisturbed_run(
    variant: dict[str, Any], sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path, same: Same
) -> None:
    settings = Settings(**{**COMMON, **variant})
    undisturbed, task = Runner(tagger, sentences(18), settings, None)()
    expected, expected_events = task.state_dict(), timeless(undisturbed)
    run = Runner(tagger, sentences(18), settings, tmp_path / "never")
    whole, task = run()
    assert same(expected, task.state_dict())  # writing checkpoints changes nothing
    if variant["averaging"] == "triggered":
        kept = resume.read(tmp_path / "never")
        assert kept is not None
        assert kept.counters["averaged"] > 0  # there was something to resume
    for events in range(1, len(whole) + 1):
        run.folder = tmp_path / str(events)
        run(events)
        again, task = run(resumed=True)
        assert same(expected, task.state_dict()), f"interrupted after {events} events"
        found = timeless(again)
        assert found == {key: expected_events[key] for key in found}
        assert isinstance(again[0], Planned)


def test_all_that_is_drawn_at_random_goes_on_where_it_was(
    sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path, same: Same
) -> None:
    run = Runner(tagger, sentences(18), Settings(**COMMON), tmp_path)
    run.options = {"zoneout": 0.1, "weight_drop": 0.2, "word_dropout": 0.5, "decoder": "crf"}
    _, expected = run()
    run(9)
    _, task = run(resumed=True)
    assert same(expected.state_dict(), task.state_dict())


def test_interrupted_again_and_again_it_still_gets_there(
    texts: Callable[..., list[LabelledText]], classifier: Callable[..., Any], tmp_path: Path, same: Same
) -> None:
    settings = Settings(**COMMON, averaging="exponential")
    _, task = Runner(classifier, texts(18), settings, None)()
    run = Runner(classifier, texts(18), settings, tmp_path)
    expected = task.state_dict()
    run(1)
    for _ in range(50):
        events, task = run(4, resumed=True)
        if len(events) < 4:
            break
    assert len(events) < 4
    assert same(expected, task.state_dict())


def test_a_finished_run_that_is_resumed_gives_its_best_weights(
    sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path, same: Same
) -> None:
    run = Runner(tagger, sentences(18), Settings(**COMMON), tmp_path)
    whole, task = run()
    again, other = run(resumed=True)
    last = whole[-1]
    assert isinstance(last, Saved)
    assert [type(event) for event in again] == [Planned]
    assert again[0].done == last.step
    assert same(task.state_dict(), other.state_dict())


def test_without_a_checkpoint_a_resumed_run_begins_at_the_beginning(
    sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path, same: Same
) -> None:
    _, task = Runner(tagger, sentences(18), Settings(**COMMON), None)()
    events, other = Runner(tagger, sentences(18), Settings(**COMMON), tmp_path)(resumed=True)
    assert events[0].done == 0
    assert same(task.state_dict(), other.state_dict())


def test_not_resumed_a_run_begins_anew_where_there_is_a_checkpoint(
    sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path
) -> None:
    run = Runner(tagger, sentences(18), Settings(**COMMON), tmp_path)
    run(8)
    events, _ = run(3)
    assert events[0].done == 0


def test_two_threads_give_the_same_weights_each_time(
    sentences: Sentences, tagger: Callable[..., Any], same: Same
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = (Runner(tagger, sentences(40), Settings(epochs=2), None)()[1].state_dict() for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert same(first, second)


# ---------------------------------------------------------------------- what cannot be resumed


@pytest.fixture
def begun(sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path) -> Runner:
    run = Runner(tagger, sentences(18), Settings(**COMMON), tmp_path)
    run(6)
    return run


START = "this run cannot be resumed with other settings or data: "


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 0.1}, "learning_rate was 0.02, is now 0.1"),
        ({"optimizer": "sgd", "batch_rows": 2}, "optimizer was 'adamw', is now 'sgd'; batch_rows was 4, is now 2"),
        ({"epochs": 3.0}, "epochs was 2.5, is now 3.0"),
    ],
)
def test_other_settings_are_named(begun: Runner, changes: dict[str, Any], said: str) -> None:
    begun.settings = replace(begun.settings, **changes)
    with pytest.raises(BadOption) as error:
        begun(resumed=True)
    assert str(error.value) == START + said


@pytest.mark.parametrize(
    ("more", "said"),
    [({"seed": 2}, "seed was 1, is now 2"), ({"minutes": 5}, "minutes was None, is now 5")],
)
def test_another_seed_and_another_budget_are_named(begun: Runner, more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadOption) as error:
        begun(resumed=True, **more)
    assert str(error.value) == START + said


def test_how_often_checkpoints_are_written_may_change(begun: Runner) -> None:
    begun.settings = replace(begun.settings, checkpoint_seconds=1000.0)
    begun(resumed=True)


def test_another_model_is_named(begun: Runner, tagger: Callable[..., Any]) -> None:
    begun.make = lambda examples, **options: tagger(examples, **{**options, "hidden_size": 5, "dropout": 0.1})
    with pytest.raises(BadOption) as error:
        begun(resumed=True)
    assert str(error.value).startswith(START + "hidden_size was 3, is now 5; dropout was 0.3, is now 0.1; shape of ")


def test_other_data_are_noticed_even_where_there_is_as_much_of_them(begun: Runner) -> None:
    last = begun.examples[11]
    begun.examples[11] = replace(last, tags=tuple("BA"[tag == "B"] for tag in last.tags))
    with pytest.raises(BadOption) as error:
        begun(resumed=True)
    assert re.fullmatch(
        START + "training data was '12 examples, sha256 (.{16})', is now '12 examples, sha256 (?!\\1).{16}'",
        str(error.value),
    )


def test_other_validation_data_are_noticed(begun: Runner) -> None:
    del begun.examples[-1]
    with pytest.raises(BadOption, match=r"validation data was '6 examples, sha256 .*', is now '5 examples, sha256 "):
        begun(resumed=True)


def test_a_damaged_checkpoint_is_refused_and_the_task_left_alone(begun: Runner, tmp_path: Path) -> None:
    path = tmp_path / resume.NOW
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BadModel, match=r"^the checkpoint .* is damaged \(.*\); remove it to start anew$"):
        begun(resumed=True)


def test_a_run_that_was_planned_for_minutes_goes_on_with_its_plan(
    sentences: Sentences, tagger: Callable[..., Any], tmp_path: Path, same: Same
) -> None:
    settings = Settings(epochs=3, batch_rows=4, checkpoint_seconds=0)
    run = Runner(tagger, sentences(18), settings, tmp_path / "a")
    first, task = run(minutes=1)
    plan = first[0]
    assert plan.epochs == 3
    assert plan.seconds is not None
    run.folder = tmp_path / "b"
    run(6, minutes=1)
    with pytest.raises(BadOption, match="minutes was 1, is now 2"):
        run(resumed=True, minutes=2)
    with pytest.raises(BadOption, match="epochs was 3, is now 4; minutes was 1, is now None"):
        Runner(tagger, sentences(18), replace(settings, epochs=4), run.folder)(resumed=True)
    # By the plan alone, as the recipe says that is stored with the model.
    again, other = Runner(tagger, sentences(18), replace(settings, epochs=plan.epochs), run.folder)(resumed=True)
    assert again[0].epochs == plan.epochs
    assert again[0].done > 0
    assert same(task.state_dict(), other.state_dict())
