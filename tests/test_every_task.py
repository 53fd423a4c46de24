"""The laws of every task, on each file of `unrolled.tasks` unasked.

A task's own test, `tests/tasks/test_NAME.py`, offers `examples()`: a handful of small ones with their blanks filled in,
of different lengths, no two of the same content. Where a task reads examples of several types, further tests beside it
offer those of the others, and say as `TASK` which task it is.
"""

from __future__ import annotations

import copy
import importlib.util
import pickle
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import bundle, recipe
from unrolled.cells.base import Cell
from unrolled.data.captions import Captioned
from unrolled.data.examples import Passage, Series, Signal, Speech
from unrolled.data.music import Roll
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.inspection import laws
from unrolled.lookup import find, names
from unrolled.tasks._numbers import OF_TEXT
from unrolled.tasks.base import Task
from unrolled.tasks.composer import Composer
from unrolled.tasks.language_model import LanguageModel

OF_TASKS = Path(__file__).parent / "tasks"
TASKS = names("unrolled.tasks", Task)
FURTHER = [p.stem.removeprefix("test_") for p in sorted(OF_TASKS.glob("test_*.py")) if "\nTASK = " in p.read_text()]
NAMES = (*TASKS, *FURTHER)
CELLS = names("unrolled.cells", Cell)
SMALL = {
    "hidden_size": 6,
    "word_size": 5,
    "character_size": 3,
    "character_hidden": 4,
    "feature_size": 3,
    "layers": 1,
    "encoder_hidden": 5,
    "attention_size": 4,
    "average_decay": 0.5,
}
UP_TO = {
    "r2": 1.0,
    "bleu": 100.0,
    "chrf": 100.0,
    "perplexity": float("inf"),
    "bits": float("inf"),
    "log_probability": 0.0,
    "log_likelihood": 0.0,
}
"""Figures that are no rates, and what they can be at most."""


@cache
def own_tests(name: str) -> Any:
    path = OF_TASKS / f"test_{name}.py"
    assert path.exists(), f"tasks/{name}.py has no test: write tests/tasks/test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"tests_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def examples_of(name: str) -> list[Any]:
    found: list[Any] = own_tests(name).examples()
    return found


def sizes_of(name: str) -> dict[str, Any]:
    """Of a tiny network; a task's own test may have other ones."""
    return {**SMALL, **getattr(own_tests(name), "SIZES", {})}


def task_of(name: str) -> str:
    return str(getattr(own_tests(name), "TASK", name))


def known_options(name: str) -> set[str]:
    """Of the task, for such examples."""
    known = set(recipe.option_table(task_of(name))["model"])
    return known - {*OF_TEXT} if isinstance(examples_of(name)[0], (Signal, TaggedSteps)) else known


def made(name: str, **options: Any) -> Task:
    """A tiny task of that name for its examples; of the options those that it has."""
    torch.manual_seed(0)
    known = known_options(name)
    asked = {key: value for key, value in {**sizes_of(name), **options}.items() if key in known}
    task: Task = find("unrolled.tasks", task_of(name), Task, "task").prepare(examples_of(name), **asked)
    return task.eval()


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answers(examples: Sequence[Any]) -> list[Any]:
    """All that predictions filled in."""
    beside = ("probabilities", "confidence", "score", "alternatives", "surprisals")
    return [(getattr(e, e.blank), *(getattr(e, name, None) for name in beside)) for e in examples]


def must_hold(verdict: laws.Verdict) -> None:
    assert verdict.holds, f"{verdict.law}: {verdict.found}"


def test_there_are_tasks_and_examples_of_different_lengths(name: str) -> None:
    assert {"classifier", "tagger"} <= set(TASKS)
    assert {"classifier_numbers", "regressor_numbers", "tagger_numbers"} <= set(FURTHER)
    task, given = made(name), examples_of(name)
    assert len({example.content for example in given}) == len(given) >= 4
    assert len({task.encode(example).length for example in given}) > 1 or isinstance(given[0], Series)


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("cell", CELLS)
def test_every_law_holds_with_every_cell(name: str, cell: str, law: Any) -> None:
    directions = "forward" if law is laws.streaming_equals_the_whole else "both"
    must_hold(law(made(name, cell=cell, directions=directions), examples_of(name)))


def test_a_check_leaves_the_task_as_it_was(name: str) -> None:
    task = made(name).train()
    before = copy.deepcopy(task.state_dict())
    options = dict(task.options)
    for verdict in laws.check(task, examples_of(name)):
        assert verdict.holds is not False
    assert task.training
    assert task.options == options
    for key, value in task.state_dict().items():
        assert torch.equal(value, before[key])


TABLES = (
    ("words", "reader.words.weight"),
    ("source", "network.encoder.embedding.weight"),
    ("ids", "network.embedding.weight"),
)
"""Where an encoded example has its numbers, and the table in which they are looked up."""


def test_a_row_of_nan_poisons_no_other_row(name: str) -> None:
    """What is not a number in one row would spread through any sum that mixes rows, a masked one too."""
    task, given = made(name), examples_of(name)
    if isinstance(given[0], Series):
        pytest.skip("in a series such a number is a missing value, and is read")
    encoded = [task.encode(example) for example in given]
    before = rows_read(task, encoded)
    if isinstance(
        given[0], (Roll, Signal, TaggedSteps, Speech, Captioned)
    ):  # refused where it is read; but who knows of a kernel
        if isinstance(given[0], Captioned):
            encoded[1] = encoded[1]._replace(source=np.full_like(encoded[1].source, np.nan, dtype=np.float32))
        else:
            getattr(encoded[1], "notes" if isinstance(given[0], Roll) else "values")[1] = float("nan")
        after = rows_read(task, encoded)
        for place, (a, b) in enumerate(zip(before, after, strict=True)):
            assert torch.isnan(b).any() if place == 1 else torch.equal(a, b)
        return
    field, table = next(where for where in TABLES if hasattr(encoded[0], where[0]))
    words = [getattr(one, field).tolist() for one in encoded]
    holders = {word: [k for k, one in enumerate(words) if word in one] for word in words[0]}
    word, guilty = next((word, rows) for word, rows in holders.items() if len(rows) < len(given))
    with torch.no_grad():
        task.get_parameter(table)[word] = float("nan")
    after = rows_read(task, encoded)
    for place, (a, b) in enumerate(zip(before, after, strict=True)):
        assert torch.isnan(b).any() if place in guilty else torch.equal(a, b)


@torch.no_grad()
def rows_read(task: Task, encoded: Sequence[Any]) -> list[torch.Tensor]:
    batch = task.collate(encoded)
    if isinstance(task, Composer):
        return torch.nn.utils.rnn.unpack_sequence(task._read(batch.read)[0])
    if isinstance(task, LanguageModel):
        return torch.nn.utils.rnn.unpack_sequence(task.network.read(batch.read)[0])
    if not hasattr(task, "reader"):
        memory = task.network.encode(batch.sources, batch.copied)  # type: ignore[operator, union-attr]
        return [row[: len(one.tokens)] for row, one in zip(memory.source.memory, encoded, strict=True)]
    packed = task.get_submodule("reader")(batch)
    rows: list[torch.Tensor] = torch.nn.utils.rnn.unpack_sequence(packed)
    return rows


def test_a_prediction_does_not_look_at_the_blank(name: str) -> None:
    task, given = made(name), examples_of(name)
    blank = given[0].blank
    blind = task.predict([replace(example, **{blank: None}) for example in given])
    shuffled = [replace(a, **{blank: getattr(b, blank)}) for a, b in zip(given, given[1:] + given[:1], strict=True)]
    assert answers(task.predict(given)) == answers(task.predict(shuffled)) == answers(blind)


def test_a_prediction_keeps_what_was_given_and_fills_in_what_was_not(name: str) -> None:
    task, given = made(name), examples_of(name)
    for before, after in zip(given, task.predict(given), strict=True):
        assert type(after) is type(before)
        assert after.content == before.content
        assert (after.origin, after.rest) == (before.origin, before.rest)
        assert getattr(after, after.blank) is not None


def test_nothing_to_predict_gives_nothing(name: str) -> None:
    assert made(name).predict([]) == []


@pytest.mark.parametrize("training", [True, False])
def test_predicting_leaves_the_mode_and_the_random_stream_alone(name: str, training: bool) -> None:
    task = made(name).train(training)
    state = torch.get_rng_state()
    first = answers(task.predict(examples_of(name)))
    assert task.training is training
    assert all(module.training is training for module in task.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert answers(task.predict(examples_of(name))) == first


def test_a_failed_prediction_leaves_the_mode_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(name).train()
    monkeypatch.setattr(type(task), "decide", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        task.predict(examples_of(name))
    assert task.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_equals_loaded_bit_for_bit(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    task = made(name).to(dtype)
    bundle.save(task, tmp_path / "model")
    again = bundle.load(tmp_path / "model")
    assert again.options == task.options
    assert again.vocabularies == task.vocabularies
    assert not again.training
    assert {value.dtype for value in again.state_dict().values()} == {dtype}
    must_hold(laws.saved_equals_loaded(task, again, examples_of(name)))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))], ids=["copy", "pickle"])
def test_a_copy_answers_alike_and_is_independent(name: str, how: Any) -> None:
    task = made(name)
    before = answers(task.predict(examples_of(name)))
    again = how(task)
    assert answers(again.predict(examples_of(name))) == before
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.add_(1.0)
    assert answers(again.predict(examples_of(name))) != before
    assert answers(task.predict(examples_of(name))) == before


def test_it_works_in_float64_and_agrees_with_float32(name: str) -> None:
    single = made(name)
    double = copy.deepcopy(single).double()
    batch = double.collate([double.encode(example) for example in examples_of(name)])
    loss = double.loss(batch)
    assert loss.total.dtype == torch.float64
    loss.total.backward()
    assert all(p.grad is None or p.grad.dtype == torch.float64 for p in double.parameters())
    single_loss = single.loss(single.collate([single.encode(example) for example in examples_of(name)]))
    torch.testing.assert_close(single_loss.total.double(), loss.total, rtol=1e-5, atol=1e-5)
    for a, b in zip(single.predict(examples_of(name)), double.predict(examples_of(name)), strict=True):
        assert chosen(a) == chosen(b) if not isinstance(a, Series) else same(a.forecast.median, b.forecast.median)


def same(one: Any, other: Any) -> bool:
    """Of numbers of single precision."""
    return bool(other == pytest.approx(one, rel=1e-4))


def chosen(example: Any) -> Any:
    """What a prediction chose, without its probability."""
    found = getattr(example, example.blank)
    return [element for element, _ in found] if isinstance(example, Passage) else found


def test_every_weight_gets_a_gradient(name: str) -> None:
    task = made(name).train()
    task.loss(task.collate([task.encode(example) for example in examples_of(name)])).total.backward()
    for key, parameter in task.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_the_same_seed_gives_the_same_task(name: str) -> None:
    a, b = made(name).state_dict(), made(name).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_perfect_predictions_have_perfect_figures(name: str) -> None:
    task, given = made(name), examples_of(name)
    perfect = getattr(own_tests(name), "perfect", lambda examples: examples)(given)
    scores = task.score(perfect, given)
    assert scores[task.metric] == pytest.approx(UP_TO.get(task.metric, 1.0))
    most = {**UP_TO, **getattr(own_tests(name), "UP_TO", {})}
    assert all(0.0 <= value <= most.get(key, 1.0) + 1e-9 for key, value in scores.items())


def test_the_options_are_those_of_the_constructor_and_survive_json(name: str) -> None:
    task = made(name)
    assert set(task.options) <= set(recipe.option_table(task_of(name))["model"])
    for key, value in sizes_of(name).items():
        if key not in known_options(name):
            continue
        assert task.options.get(key, value) == value


def has(task: Task, place: str) -> bool:
    return place in dict(task.named_modules())


PLACES = ("output", "network.encoder.dropout", "network.heard", "network.vectors")
"""Where what was read is given on: a layer, the first that a task has, that all its answers and its loss go through."""


def test_laws_catch_a_task_whose_batch_mates_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(name)
    places = [place for place in PLACES if has(task, place)]
    last = task.get_submodule(places[0])
    honest = last.forward

    def mixed(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return honest(x - 9 * x.mean(0))
        return honest(x._replace(data=x.data - 9 * x.data.mean(0)))

    monkeypatch.setattr(last, "forward", mixed)
    assert not laws.batch_mates_change_nothing(task, examples_of(name)).holds
    assert not laws.loss_is_the_sum_of_its_rows(task, examples_of(name)).holds


def test_laws_catch_a_task_that_forgets_its_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(name)
    honest = type(task).decide
    monkeypatch.setattr(type(task), "decide", lambda self, batch, **how: honest(self, batch, **how)[::-1])
    given = examples_of(name)
    same_length = [e for e in given if task.encode(e).length == task.encode(given[0]).length]
    assert len(same_length) > 1, "two of the examples must be of one length"
    holds = [law(task, same_length).holds for law in (laws.batch_mates_change_nothing, laws.order_changes_nothing)]
    assert False in holds


def test_laws_catch_a_task_that_does_not_learn(name: str) -> None:
    task = made(name)
    last = task.get_submodule("output" if hasattr(task, "output") else "network.softmax")
    for parameter in last.parameters():
        parameter.requires_grad_(False).zero_()
    for parameter in task.parameters():
        parameter.register_hook(torch.zeros_like) if parameter.requires_grad else None
    assert not laws.one_batch_can_be_overfitted(task, examples_of(name)).holds
