"""The few functions behind every face: what the command line, the server and Python do is done here.

    for event in train(recipe): …        trained = Model.load(folder)
    trained.predict(…)                   trained.evaluate(data)
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import filelock
import torch

from unrolled import bundle, card
from unrolled.data import reading, splits
from unrolled.errors import BadData, BadModel, BadOption, Busy, CannotWrite, UnknownName
from unrolled.files import write_whole
from unrolled.inspection import laws
from unrolled.inspection.laws import Verdict
from unrolled.lookup import find, names
from unrolled.recipe import READING, Recipe, build
from unrolled.tasks.base import Task
from unrolled.training.events import Check, Event, Planned
from unrolled.training.fit import fit
from unrolled.training.history import History

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Finished:
    """The end of a training: the model is in `folder` (None: nothing was written), and these are its figures."""

    folder: str | None
    scores: Mapping[str, float]
    seconds: float
    model: Model


def train(recipe: Recipe, *, resumed: bool = False, overwrite: bool = False) -> Iterator[Event | Finished]:
    """Train what a recipe says; the last event is `Finished`.

    Args:
        recipe: what, on what, how; its `output` folder gets the model and, on the way, checkpoints.
        resumed: go on where an earlier run of the same recipe was interrupted.
        overwrite: put the model where another one is.

    Raises:
        UserMistake: unknown names, bad data, an output folder that holds another model or is in use.
        NotFinite: the training diverged; the last checkpoint is intact.
    """
    loaded = splits.load(recipe.data, recipe.task_class.example, seed=recipe.seed, **_reading(recipe))
    if recipe.output is None:
        yield from _train(recipe, loaded, None, resumed=False)
        return
    folder = Path(recipe.output)
    with _alone_in(folder):
        _make_room(folder, resumed=resumed, overwrite=overwrite)
        yield from _train(recipe, loaded, folder, resumed=resumed)


def _train(recipe: Recipe, loaded: splits.Splits, folder: Path | None, *, resumed: bool) -> Iterator[Event | Finished]:
    torch.manual_seed(recipe.seed)
    task = recipe.task_class.prepare(loaded.train, **recipe.model)
    history = History() if folder is None or not resumed else History.read(folder)
    events = fit(
        task,
        loaded.train,
        loaded.valid,
        settings=recipe.training,
        seed=recipe.seed,
        minutes=recipe.minutes,
        checkpoints=None if folder is None else folder / CHECKPOINTS,
        resumed=resumed,
    )
    for event in events:
        if isinstance(event, Planned):
            recipe = replace(recipe, training=replace(recipe.training, epochs=event.epochs))
            history.forget_after(event.done)
        if isinstance(event, Check):
            history.add(event)
            if folder is not None:
                if event.best:
                    bundle.save(task, folder, beside=card.beside(task, recipe, history))
                write_whole(folder / "history.csv", history.to_csv())
        yield event
    if folder is not None:
        bundle.save(task, folder, beside=card.beside(task, recipe, history, finished=True))
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    best = history.best
    seconds = history.rows[-1]["seconds"] if history.rows else 0.0
    model = model_class(recipe.task)(task, reading=recipe.reading)
    yield Finished(None if folder is None else str(folder), best, seconds, model)


def _reading(recipe: Recipe) -> dict[str, Any]:
    return _reading_of(recipe.reading, recipe.columns())


def _reading_of(given: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    return {
        "columns": columns,
        "features": given.get("features") or {},
        "format": given.get("format"),
        "label_separator": given.get("label_separator"),
    }


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go of when the process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock", timeout=0)
        with lock:
            yield
    except filelock.Timeout:
        raise Busy(f"another run is writing into {folder}: wait for it, or choose another output") from None
    except PermissionError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror}") from None
    except (FileExistsError, NotADirectoryError):
        raise CannotWrite(f"cannot write into {folder}: it is a file, not a folder") from None
    except OSError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror or error}") from None


def _make_room(folder: Path, *, resumed: bool, overwrite: bool) -> None:
    unfinished = (folder / CHECKPOINTS).exists()
    holds_model = (folder / bundle.CONFIG).exists()
    if overwrite:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    elif resumed and holds_model and not unfinished:
        raise CannotWrite(f"the training in {folder} is finished; there is nothing to resume (overwrite starts anew)")
    elif not resumed and (holds_model or unfinished):
        what = "an unfinished training: resume it" if unfinished else "a model"
        raise CannotWrite(f"{folder} already holds {what}; choose another output, or overwrite it")


class Model:
    """A trained (or not yet trained) model of one task. `unrolled.Tagger`, `unrolled.Classifier`, … are such classes.

    Args:
        task: the network with its vocabularies; None until `fit`.
        reading: how its data files are read (columns, format), where not by default.
        options: of the task's network, for `fit`.
    """

    task_name: ClassVar[str] = ""

    def __init__(self, task: Task | None = None, *, reading: Mapping[str, Any] | None = None, **options: Any) -> None:
        self._task, self.reading, self.options = task, dict(reading or {}), options

    @property
    def task(self) -> Task:
        """The network. Raises `BadOption` before it is trained."""
        if self._task is None:
            raise BadOption(f"this {type(self).__name__} is not trained yet: call fit, train or from_pretrained")
        return self._task

    @classmethod
    def train(
        cls,
        data: str | Path,
        *,
        output: str | Path | None = None,
        seed: int = 1,
        minutes: float | None = None,
        **options: Any,
    ) -> Model:
        """Train on a folder or file, and give back the model with its best weights.

        Args:
            data: a folder with train, valid, test files, or one file, split by seed.
            output: where the model goes; None: nowhere.
            seed: of every random choice.
            minutes: a time budget.
            options: of the network, of the training (`training.settings.Settings`), or columns of the data.
        """
        recipe = build(cls.task_name, data, options, output=output, seed=seed, minutes=minutes)
        last = None
        for last in train(recipe):
            pass
        assert isinstance(last, Finished)
        return last.model

    def fit(
        self,
        examples: Sequence[Any],
        valid: Sequence[Any] | None = None,
        *,
        seed: int = 1,
        minutes: float | None = None,
        **settings: Any,
    ) -> Model:
        """Train on examples at hand; a tenth is set apart for validation where none is given. Returns itself."""
        recipe = build(self.task_name, "", {**self.options, **settings}, seed=seed, minutes=minutes)
        if valid is None:
            examples, valid = splits.set_apart(list(examples), 0.1, seed=seed)
        torch.manual_seed(seed)
        self._task = recipe.task_class.prepare(examples, **recipe.model)
        for _ in fit(self.task, examples, valid, settings=recipe.training, seed=seed, minutes=minutes):
            pass
        return self

    def predict(self, inputs: Any, **batching: Any) -> Any:
        """Fill in the blank of one input, or of each of many.

        Args:
            inputs: raw text or an example, or a list of texts, of token lists or of examples.
            batching: `batch_rows`, `batch_elements`, as `Task.predict`.

        Returns:
            The example, or the examples, with the blank filled in and the confidence beside it.
        """
        if isinstance(inputs, (str, self.task.example)):
            return self.task.predict([inputs], **batching)[0]
        return self.task.predict(list(inputs), **batching)

    def evaluate(self, data: str | Path | Sequence[Any], *, unseen: str = "refuse", **reading: Any) -> dict[str, Any]:
        """Figures on examples with their blanks filled in.

        Args:
            data: a file, a folder (its test split is taken), or examples.
            unseen: what a label that training never saw is: `refuse` it as a mistake in the data, or `count` it as
                one of the model.
            reading: columns, format, where not as in training.

        Returns:
            `task`, `examples` (how many), `metrics` (name -> figure; rates as fractions).
        """
        examples = self.examples(data, **reading) if isinstance(data, (str, Path)) else list(data)
        if not examples:
            raise BadData("there are no examples to evaluate on")
        if unseen == "refuse":
            for example in examples:
                self.task.encode(example)
        scores = self.task.score(self.task.predict(examples), examples)
        return {"task": self.task_name, "examples": len(examples), "metrics": scores}

    def examples(self, data: str | Path, **given: Any) -> list[Any]:
        """The examples of a file, or of a folder's test split, read as the training data were."""
        path = Path(data)
        if path.is_dir():
            found = splits.find(path).test
            if found is None:
                raise BadData("this folder has no test file; name a file", path)
            path = found
        return reading.read(path, self.task.example, **self.how(given))

    def predict_file(self, source: str | Path, target: str | Path | None = None, **given: Any) -> list[Any]:
        """Predict for a file; write the examples with their blanks filled in where `target` names a file."""
        how = self.how(given)
        examples = self.task.predict(reading.read(source, self.task.example, **how))
        if target is not None:
            reading.write(target, examples, **how)
        return examples

    def how(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The reader's keywords: as in training, but for what is given here."""
        merged = {**self.reading, **given}
        return _reading_of(merged, {name: value for name, value in merged.items() if name not in READING})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model into a folder, whole or not at all; a model in it is replaced."""
        recipe = Recipe(task=self.task_name, data="", reading=self.reading, model=self.options)
        bundle.save(self.task, folder, beside=card.beside(self.task, recipe, History()))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Model:
        """Load a model from a folder, or, where there is no such folder, by name from the hub."""
        path = Path(folder)
        if not path.is_dir() and str(folder).count("/") == 1 and not path.parent.exists():
            from unrolled import hub

            path = hub.fetch(str(folder))
        loaded = load(path)
        if cls.task_name and loaded.task_name != cls.task_name:
            raise BadModel(f"{folder} holds a {loaded.task_name}, not a {cls.task_name}")
        return loaded

    def push_to_hub(self, name: str, *, private: bool = False) -> str:
        """Publish the model on the hub as `name` (`user/model`); returns its address there."""
        from unrolled import hub

        return hub.publish(self.save_pretrained, name, private=private)

    save, load = save_pretrained, from_pretrained


def model_class(task: str) -> type[Model]:
    """The class of a task's models, such as `Tagger`."""
    if task not in _MODEL_CLASSES:
        kind = find("unrolled.tasks", task, Task, "task")
        described = {"task_name": task, "__doc__": f"{kind.__doc__}\n\n{Model.__doc__}", "__module__": "unrolled"}
        _MODEL_CLASSES[task] = type(kind.__name__, (Model,), described)
    return _MODEL_CLASSES[task]


_MODEL_CLASSES: dict[str, type[Model]] = {}


def load(folder: str | Path) -> Model:
    """The model that a folder holds. Raises `BadModel`."""
    task = bundle.load(folder)
    stored = bundle.read_beside(folder, card.READING)
    return model_class(bundle.read_config(folder)["task"])(task, reading=json.loads(stored) if stored else {})


def check(model: Model, data: str | Path, most: int = 32, **given: Any) -> Iterator[Verdict]:
    """The laws on a model of the user's own, on the first examples of a file (`inspection.laws`), and one more:
    saved and loaded, it gives the same answers bit for bit.
    """
    examples = model.examples(data, **given)[:most]
    if not examples:
        raise BadData("there are no examples to check on", data)
    yield from laws.check(model.task, examples)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = load(folder).task
        same = all(torch.equal(value, again.state_dict()[name]) for name, value in model.task.state_dict().items())
        agree, words = laws.same_answers(model.task, model.task.predict(examples), again.predict(examples))
    yield Verdict("saved equals loaded", same and agree, f"weights {'identical' if same else 'differ'}; {words}")


def info(folder: str | Path) -> dict[str, Any]:
    """What a model folder says of itself: task, options, sizes, figures."""
    config = bundle.read_config(folder)
    metrics = bundle.read_beside(folder, card.METRICS)
    return {
        "folder": str(folder),
        "task": config["task"],
        "format": config["format"],
        "parameters": config["parameters"],
        "vocabularies": {name: len(v) for name, v in bundle.load(folder).vocabularies.items()},
        "options": config["options"],
        "metrics": json.loads(metrics) if metrics else {},
    }


def listing(what: str) -> tuple[str, ...]:
    """The names that exist of `cells`, `tasks` or `formats`. Raises `UnknownName` for anything else."""
    from unrolled.cells.base import Cell
    from unrolled.data.formats.base import Format

    contracts: dict[str, tuple[str, type]] = {
        "cells": ("unrolled.cells", Cell),
        "tasks": ("unrolled.tasks", Task),
        "formats": ("unrolled.data.formats", Format),
    }
    if what not in contracts:
        raise UnknownName("listing", what, contracts)
    return names(*contracts[what])
