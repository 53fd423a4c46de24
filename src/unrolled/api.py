"""The few functions behind every face: what the command line, the server and Python do is done here.

for event in train(recipe): …        model = load(folder)
model.predict(…)                     model.evaluate(data)
"""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import torch

from unrolled import bundle, card, files
from unrolled.cells.base import Cell
from unrolled.data import splits
from unrolled.data.formats.base import Format
from unrolled.errors import BadData, BadOption, Busy, CannotWrite, UnknownName
from unrolled.files import write_whole
from unrolled.inspection import laws
from unrolled.inspection.attention import Attention
from unrolled.inspection.attention import attention as drawn
from unrolled.inspection.laws import Verdict
from unrolled.kernels import library
from unrolled.looking import REPORTS, examples_of
from unrolled.lookup import NameIn, find, names
from unrolled.model import Model, load, model_class, read_json
from unrolled.recipe import Recipe, from_toml
from unrolled.tasks.base import Task
from unrolled.training import resume
from unrolled.training.events import Check, Event, Planned, Replanned, Step
from unrolled.training.fit import fit
from unrolled.training.history import FILE, History

CHECKPOINTS, LOCK = "checkpoints", ".lock"
RECIPE = "recipe.toml"
"""In the checkpoints' folder: what an unfinished training is to do, so that it need not be said again to resume it."""

__all__ = [
    "Finished",
    "Model",
    "attention",
    "check",
    "described",
    "info",
    "listing",
    "load",
    "model_class",
    "train",
    "unfinished",
]


@dataclass(frozen=True)
class Finished:
    """The end of a training.

    Attributes:
        folder: where the model is; None: nothing was written.
        examples: of the training split.
        scores: its figures on the validation split.
        test: its figures on the tenth that a single data file was parted with for this; None for a folder, whose
            test split is not looked at.
        seconds: since the training began.
        model: with its best weights.
    """

    folder: str | None
    examples: int
    scores: Mapping[str, float]
    test: Mapping[str, float] | None
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
    folder = None if recipe.output is None else Path(recipe.output)
    if folder is not None:
        _can_be_written(folder, recipe, resumed=resumed, overwrite=overwrite)
    loaded = recipe.splits()
    torch.manual_seed(recipe.seed)
    # Before the folder is made: a mistake in the options or the data leaves nothing behind.
    task = recipe.prepared(loaded.train)
    if folder is None:
        yield from _train(recipe, task, loaded, None, resumed=False)
        return
    made = [part for part in folder.parents if not part.exists()]
    with _alone_in(folder):
        _must_be_free(folder, recipe, resumed=resumed, overwrite=overwrite)
        files.finish(folder)
        files.sweep(folder)
        if not resumed:
            resume.remove(folder / CHECKPOINTS)
            _make(folder / CHECKPOINTS)
            write_whole(folder / CHECKPOINTS / RECIPE, recipe.to_toml().encode())
        progressed = resumed
        try:
            for event in _train(recipe, task, loaded, folder, resumed=resumed):
                progressed = progressed or isinstance(event, Step)
                yield event
        except Exception as error:
            if not progressed or (isinstance(error, (BadData, BadOption)) and not resumed):
                _drop(folder, made)
            raise


def _train(
    recipe: Recipe, task: Task, loaded: splits.Splits, folder: Path | None, *, resumed: bool
) -> Iterator[Event | Finished]:
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
        plans=recipe.plans,
    )
    plan = None
    for event in events:
        if isinstance(event, Planned):
            plan = event
            history.forget_after(event.done)
        if isinstance(event, Replanned):
            plan = event.plan
        if isinstance(event, Check):
            history.add(event)
            if folder is not None:
                if event.best:
                    bundle.save(task, folder, beside=card.beside(task, recipe, history, plan=plan))
                write_whole(folder / FILE, history.to_csv())
        yield event
    model = model_class(recipe.task)(task, reading=recipe.reading)
    test = None
    if loaded.test:
        test = model.evaluate(loaded.test, unseen="count")["metrics"]
    model._beside = card.beside(task, recipe, history, finished=True, test=test, plan=plan)
    if folder is not None:
        model.save_pretrained(folder)
        resume.remove(folder / CHECKPOINTS)
    seconds = history.rows[-1]["seconds"] if history.rows else 0.0
    yield Finished(None if folder is None else str(folder), len(loaded.train), history.best, test, seconds, model)


def unfinished(folder: str | Path) -> Recipe | None:
    """The recipe of the training that was interrupted in a folder; None where there is none."""
    path = Path(folder) / CHECKPOINTS / RECIPE
    return from_toml(path) if path.exists() else None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go of when the process ends, however it ends."""
    _make(folder)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Busy(f"another run is writing into {folder}: wait for it, or choose another output") from None
    except OSError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _drop(folder: Path, made: Sequence[Path]) -> None:
    """Nothing stays of a new run that failed before its first step, or by a mistake that resuming cannot mend.

    made: folders above it that it made, the lowest first; one in which something else lies by now stays.
    """
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    if {path.name for path in folder.iterdir()} <= {LOCK}:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            for part in made:
                part.rmdir()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise CannotWrite(f"cannot write into {folder}: {_file_in(folder)} is a file, not a folder") from None
    except OSError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror or error}") from None


def _file_in(folder: Path) -> Path:
    """That part of a path which is a file where a folder must be."""
    return next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), folder)


def _can_be_written(folder: Path, recipe: Recipe, *, resumed: bool, overwrite: bool) -> None:
    """Find out before the data are read, and without making the folder, what would go wrong at the end."""
    if folder.is_dir():
        with _alone_in(folder):
            _must_be_free(folder, recipe, resumed=resumed, overwrite=overwrite)
        return
    above = next(part for part in (folder, *folder.parents) if part.exists())
    if not above.is_dir():
        raise CannotWrite(f"cannot write into {folder}: {above} is a file, not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise CannotWrite(f"cannot write into {folder}: no permission to write into {above}")


def _must_be_free(folder: Path, recipe: Recipe, *, resumed: bool, overwrite: bool) -> None:
    going_on = (folder / CHECKPOINTS).exists()
    holds_model = files.locate(folder, bundle.CONFIG).exists()
    if resumed and overwrite:
        raise BadOption("resume goes on with a training and overwrite drops it: choose one")
    if overwrite:
        return
    if resumed and holds_model and not going_on:
        raise CannotWrite(f"the training in {folder} is finished; there is nothing to resume (overwrite starts anew)")
    if resumed:
        _must_be_the_same(unfinished(folder), recipe)
    elif holds_model or going_on:
        what = "an unfinished training: resume it, " if going_on else "a model: "
        raise CannotWrite(f"{folder} already holds {what}choose another output, or overwrite it")


def _must_be_the_same(then: Recipe | None, now: Recipe) -> None:
    """Raise `BadOption`, naming each difference, where a run is resumed as another than it was."""
    if then is None:
        return
    pairs: dict[str, tuple[Any, Any]] = {"task": (then.task, now.task), "seed": (then.seed, now.seed)}
    for section in ("reading", "model"):
        a, b = getattr(then, section), getattr(now, section)
        pairs |= {name: (a.get(name), b.get(name)) for name in sorted({*a, *b})}
    differ = [f"{name} was {_said(a)}, is now {_said(b)}" for name, (a, b) in pairs.items() if a != b]
    if differ:
        raise BadOption("this run cannot be resumed with other options: " + "; ".join(differ))


def _said(value: Any) -> str:
    return "not given" if value is None else repr(value)


def check(model: Model, data: str | Path, most: int = 32, **given: Any) -> Iterator[Verdict]:
    """The laws on a model of the user's own, on the first examples of a file (`inspection.laws`), and one more:
    saved and loaded, it gives the same answers bit for bit.
    """
    examples = [model.task.asked(example) for example in model.examples(data, **given)[:most]]
    if not examples:
        raise BadData("there are no examples to check on", data)
    yield from laws.check(model.task, examples)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = load(folder).task
    yield laws.saved_equals_loaded(model.task, again, examples)


def attention(
    model: Model, data: str | Path | None, texts: Sequence[str] = (), most: int = 8, **given: Any
) -> Attention:
    """What each output word of a model looked at, in the first sentences of a file and in those given as text.

    A target that the file has is read as it is; where there is none the model's own prediction is.

    Raises `BadOption` where there is nothing to look at, or the task has no attention between two sequences.
    """
    examples = examples_of(model, data, texts, most, **given)
    facts = {"task": model.task_name, "weights": f"{sum(p.numel() for p in model.task.parameters()):,}"}
    return drawn(model.task, examples, title=f"What each word of the {model.task_name} looked at", facts=facts)


def info(folder: str | Path) -> dict[str, Any]:
    """What a model folder says of itself: task, options, sizes, figures."""
    config = bundle.read_config(folder)
    return {
        "folder": str(folder),
        "task": config["task"],
        "format": config["format"],
        "parameters": config["parameters"],
        "vocabularies": {name: len(v) for name, v in bundle.load(folder).vocabularies.items()},
        "options": config["options"],
        "metrics": read_json(folder, card.METRICS),
        "kernels": library.why(),
    }


LISTINGS: dict[str, NameIn] = {
    "cells": NameIn("unrolled.cells", Cell, "cell"),
    "tasks": NameIn("unrolled.tasks", Task, "task"),
    "formats": NameIn("unrolled.data.formats", Format, "format"),
}


def listing(what: str) -> tuple[str, ...]:
    """The names that exist of `cells`, `tasks`, `formats` or `reports`. Raises `UnknownName` for anything else."""
    return tuple(described(what))


def described(what: str) -> dict[str, str]:
    """The same names, each with the first sentence of its file."""
    if what == "reports":
        return dict(REPORTS)
    if what not in LISTINGS:
        raise UnknownName("listing", what, [*LISTINGS, "reports"])
    package, contract, kind = LISTINGS[what]
    return {name: _first_sentence(find(package, name, contract, kind)) for name in names(package, contract)}


def _first_sentence(kind: type) -> str:
    paragraph = (inspect.getdoc(inspect.getmodule(kind)) or "").split("\n\n")[0]
    return " ".join(paragraph.split())
