"""Training on a text that is read from the disk: the model that the same text in memory gives, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled import api
from unrolled.data import cache, long_text, splits
from unrolled.data.examples import Passage
from unrolled.data.feeds import ShardedStreams, Shuffled
from unrolled.data.long_text import LongText
from unrolled.errors import BadData, BadOption
from unrolled.model import model_class
from unrolled.recipe import build
from unrolled.tasks import _text, language_model
from unrolled.tasks.language_model import LanguageModel
from unrolled.training.events import Check, Event, Planned, Prepared, Step
from unrolled.training.fit import fit
from unrolled.training.settings import Settings

TINY: dict[str, Any] = {"hidden_size": 6, "word_size": 6, "layers": 1, "window": 5}
SETTINGS = Settings(epochs=3, batch_rows=3, checks=3, checkpoint_seconds=0.0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of sixty lines, some of them empty, and a cache of its own."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    drawn, words = random.Random(1), ["the", "dog's", "cat,", "sees", "a", "walking", "bird", "(and)", "wakes", "her"]
    lines = [" ".join(drawn.choices(words, k=drawn.randint(0, 9))) for _ in range(60)]
    path = tmp_path / "novel.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """long(): from now on every text is read from the disk."""
    return lambda: monkeypatch.setattr(long_text, "LONG", 0)


def trained(data: Path, **how: Any) -> tuple[LanguageModel, list[Event]]:
    """how: options of the task, and of `fit`; stop: after so many events."""
    told = {name: how.pop(name) for name in ("checkpoints", "resumed") if name in how}
    stop, loaded = how.pop("stop", None), splits.load(data, Passage, seed=1)
    torch.manual_seed(0)
    task = LanguageModel.prepare(loaded.train, **{**TINY, **how})
    events: list[Event] = []
    for event in fit(task, loaded.train, loaded.valid, settings=SETTINGS, **told):
        events.append(event)
        if len(events) == stop:
            break
    return task, events


def scores(events: list[Event]) -> list[Any]:
    return [event.scores for event in events if isinstance(event, Check)]


@pytest.mark.parametrize(
    "options",
    [
        {"tokens": "blanks"},
        {"tokens": "words", "case": "lower", "minimum_count": 10},
        {"tokens": "characters", "most": 8},
        {"tokens": "bpe", "pieces": 60},
        {"tokens": "unigram", "pieces": 60, "windows": "random"},
        {"lines": "apart"},
        {"direction": "backward"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_the_model_is_that_of_the_text_in_memory(
    options: dict[str, Any], data: Path, long: Callable[[], None], weights: Any, same: Any
) -> None:
    expected, seen = trained(data, **options)
    long()
    found, events = trained(data, **options)
    assert [task.vocabularies for task in (found, expected)] == [expected.vocabularies] * 2
    assert found.tokenisers == expected.tokenisers
    assert same(weights(found), weights(expected))
    assert scores(events) == scores(seen)
    assert len(scores(events)) == 3
    steps = [[e.loss for e in each if isinstance(e, Step)] for each in (events, seen)]
    assert steps[0] == steps[1]
    assert any(isinstance(event, Prepared) for event in events) == (options.get("lines") != "apart")


def test_elements_are_counted_and_numbers_made_once_and_before_there_is_a_plan(
    data: Path, long: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    long()
    _, events = trained(data)
    lines = len(splits.load(data, Passage, seed=1).train)
    assert [type(event) for event in events[:3]] == [Prepared, Planned, Step]
    assert events[0] == Prepared(lines, lines)
    with monkeypatch.context() as patch:
        patch.setattr(_text, "_learnt", lambda *given: pytest.fail("the elements were counted again"))
        _, events = trained(data)
    assert not any(isinstance(event, Prepared) for event in events)
    _, events = trained(data, most=5)  # another vocabulary
    assert isinstance(events[0], Prepared)


@pytest.mark.parametrize("stop", [1, 3, 9, 30])
def test_interrupted_and_resumed_in_several_shards_it_is_the_run_that_never_was(
    stop: int,
    data: Path,
    long: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: Any,
    same: Any,
) -> None:
    whole_in_memory, _ = trained(data)
    long()
    monkeypatch.setattr(language_model, "ShardedStreams", partial(ShardedStreams, shard=40))
    expected, _ = trained(data)
    assert not same(weights(expected), weights(whole_in_memory))  # it was shuffled
    trained(data, checkpoints=tmp_path / "run", stop=stop)
    found, events = trained(data, checkpoints=tmp_path / "run", resumed=True)
    assert same(weights(found), weights(expected))
    assert stop < 9 or next(e for e in events if isinstance(e, Planned)).done > 0


def test_a_run_is_not_resumed_on_another_text(data: Path, long: Callable[[], None], tmp_path: Path) -> None:
    long()
    trained(data, checkpoints=tmp_path / "run", stop=6)
    text = data.read_text()
    data.write_text(text.replace("dog's", "dogs'"))  # as many lines, elements and kinds of them
    with pytest.raises(BadOption, match=r"training data was '(.*), sha256 .*', is now '\1, sha256"):
        trained(data, checkpoints=tmp_path / "run", resumed=True)


def test_trained_by_a_recipe_and_in_python_it_stays_on_the_disk(
    data: Path, long: Callable[[], None], monkeypatch: pytest.MonkeyPatch, weights: Any, same: Any
) -> None:
    options = {**TINY, "epochs": 1, "batch_rows": 3}
    (*_, expected) = api.train(build("language_model", data, options))
    long()
    (*_, found) = api.train(build("language_model", data, options))
    assert isinstance(found, api.Finished)
    assert isinstance(expected, api.Finished)
    assert (found.examples, found.scores, found.test) == (expected.examples, expected.scores, expected.test)
    assert same(weights(found.model.task), weights(expected.model.task))

    seen: list[Any] = []
    prepare = LanguageModel.prepare
    monkeypatch.setattr(
        LanguageModel, "prepare", lambda examples, **more: seen.append(examples) or prepare(examples, **more)
    )
    model_class("language_model")(**TINY).fit(LongText(data), epochs=1, batch_rows=3)
    assert isinstance(seen[0], LongText)


def test_a_bad_line_is_named_before_anything_is_made(data: Path, long: Callable[[], None], tmp_path: Path) -> None:
    long()
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "valid.txt").write_text("a dog\n")
    (folder / "train.txt").write_bytes(b"a dog\n" * 20 + b"\xff\n" + b"a dog\n")
    with pytest.raises(BadData, match=r"train\.txt:21: not UTF-8: byte 0xff at position 1$"):
        list(api.train(build("language_model", folder, TINY, output=tmp_path / "out")))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cache").exists()


def test_what_takes_long_to_make_takes_none_of_the_training_s_time(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    class Slow(Shuffled):
        def make(self) -> Iterator[tuple[int, int]]:
            for done in (1, 4):
                now[0] += 100.0
                yield done, 4

    task, numbers = scripted([1.0] * 99)
    monkeypatch.setattr(task, "feed", lambda examples, **how: Slow(examples, **how))
    events = list(fit(task, numbers, numbers, settings=Settings(epochs=1, checks=1)))
    assert events[:2] == [Prepared(1, 4), Prepared(4, 4)]
    assert [event.seconds for event in events if isinstance(event, Step)] == [0.0]
