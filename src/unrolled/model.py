"""A task with its habits for people: train, fit, predict, evaluate, save, load.

`unrolled.Tagger`, `unrolled.Classifier`, … are such classes, one for each file in `tasks/`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch

from unrolled import bundle, card
from unrolled.data import parts, reading, splits
from unrolled.data.examples import Series
from unrolled.data.lines import suffix
from unrolled.data.long_text import LongText
from unrolled.errors import BadData, BadModel, BadOption, UnknownName
from unrolled.lookup import find
from unrolled.recipe import Recipe, build, deciding_options, reader_keywords, reading_options
from unrolled.state import State
from unrolled.tasks.base import Streamer, Task
from unrolled.training.events import Check, Planned, Replanned
from unrolled.training.fit import fit
from unrolled.training.history import FILE, History

SomeModel = TypeVar("SomeModel", bound="Model")


class Model:
    """A trained (or not yet trained) model of one task.

    Args:
        task: the network with its vocabularies; None until `fit`.
        reading: how its data files are read (columns, format), where not by default.
        beside: what is to be saved with it, name -> content: figures, recipe, card.
        options: of the task's network, for `fit`.
    """

    task_name: ClassVar[str] = ""

    def __init__(
        self,
        task: Task | None = None,
        *,
        reading: Mapping[str, Any] | None = None,
        beside: Mapping[str, bytes] | None = None,
        **options: Any,
    ) -> None:
        self._task, self.reading, self.options = task, dict(reading or {}), options
        self._beside = dict(beside or {})

    @property
    def task(self) -> Task:
        """The network. Raises `BadOption` before it is trained."""
        if self._task is None:
            raise BadOption(f"this {type(self).__name__} is not trained yet: call fit, train or from_pretrained")
        return self._task

    @property
    def verdict(self) -> str | None:
        """What its figures in training come to, in a sentence without its full stop, as `evaluate` says it of others;
        None: they speak for themselves, or there are none.
        """
        content = self._beside.get(card.METRICS)
        return None if content is None else card.verdict(self.task, _json_object(content, card.METRICS))

    @classmethod
    def train(
        cls: type[SomeModel],
        data: str | Path,
        *,
        output: str | Path | None = None,
        seed: int = 1,
        minutes: float | None = None,
        **options: Any,
    ) -> SomeModel:
        """Train on a folder or file, and give back the model with its best weights.

        Args:
            data: a folder with train, valid, test files, or one file, split by seed.
            output: where the model goes; None: nowhere.
            seed: of every random choice.
            minutes: a time budget.
            options: of the network, of the training (`training.settings.Settings`), or columns of the data.
        """
        from unrolled.api import Finished, train

        events = train(build(cls.task_name, data, options, output=output, seed=seed, minutes=minutes))
        (last,) = deque(events, maxlen=1)
        assert isinstance(last, Finished)
        assert isinstance(last.model, cls)
        return last.model

    def fit(
        self: SomeModel,
        examples: Sequence[Any],
        valid: Sequence[Any] | None = None,
        *,
        seed: int = 1,
        minutes: float | None = None,
        **settings: Any,
    ) -> SomeModel:
        """Train on examples at hand; a tenth is set apart for validation where none is given. Returns itself."""
        recipe = build(self.task_name, "", {**self.options, **settings}, seed=seed, minutes=minutes)
        examples = examples if isinstance(examples, LongText) else list(examples)
        if valid is None:
            examples, valid = splits.set_apart(examples, 0.1, seed=seed)
        if not examples:
            raise BadData("there are no training examples")
        torch.manual_seed(seed)
        task = recipe.prepared(examples)
        history, plan = History(), None
        for event in fit(task, examples, valid, settings=recipe.training, seed=seed, minutes=minutes):
            if isinstance(event, Planned):
                plan = event
            if isinstance(event, Replanned):
                plan = event.plan
            if isinstance(event, Check):
                history.add(event)
        self._task, self.reading = task, dict(recipe.reading)
        self._beside = card.beside(task, recipe, history, finished=True, plan=plan)
        return self

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Fill in the blank of one input, or of each of many.

        Args:
            inputs: raw text, an array (steps, features), a row of samples or an example; or a list of texts, of token
                lists, of arrays or of examples, or an array (rows, steps, features). Of a `Forecaster` a row of numbers
                is one series, an array (rows, steps) several. Of a `Captioner` a picture is an array, too, or one of
                Pillow's, or the path of its file, a `Path`.
            options: `batch_rows`, `batch_elements`, as `Task.predict`; and how to decide, where the task has a choice.

        Returns:
            The example, or the examples, with the blank filled in and the confidence beside it.
        """
        if self.task.is_one(inputs):
            return self.task.predict([inputs], **options)[0]
        return self.task.predict(list(inputs), **options)

    def generate(self, prompt: str = "", *, samples: int = 1, seed: int = 1, **how: Any) -> list[str]:
        """Texts that go on from a prompt, drawn from a language model.

        Args:
            prompt: raw text, of one line or several.
            samples: how many texts.
            seed: of the draws; each sample is the same whatever the others are.
            how: of the task's `generating`: `length`, `temperature`, `top_k`, `top_p`, `min_p`, `typical`,
                `repetition_penalty`, `stop`, `unknown`.

        Raises `BadOption` where the task generates nothing, or for values that cannot be.
        """
        return ["".join(pieces) for pieces in self.drawn(prompt, samples=samples, seed=seed, **how)]

    def drawn(self, prompt: str = "", *, samples: int = 1, seed: int = 1, **how: Any) -> Iterator[Iterator[str]]:
        """The same texts, each in pieces that come as they are drawn."""
        if self.task.generating is None:
            raise BadOption(f"a {self.task_name} writes no text; a language_model does")
        if samples < 1:
            raise BadOption(f"samples must be 1 or more, not {samples}")
        known = [field.name for field in fields(self.task.generating)]
        for name in how:
            if name not in known:
                raise UnknownName("option of generating", name, known)
        chosen = self.task.generating(**how)
        for sample in range(samples):
            yield self.task.generate(prompt, seed=seed, sample=sample, how=chosen)

    def compare(self, text: str, alternatives: Sequence[str]) -> list[dict[str, Any]]:
        """How probable a language model finds each of some fillings of a gap, `___`.

        Returns for each, in the order given: `alternative`, `bits` (-log2 of the whole text's probability),
        `probability` (among these alternatives).

        Raises `BadOption` where the task cannot, for a text without exactly one gap, and fewer than two alternatives.
        """
        return self.task.compare(text, alternatives)

    def stream(self, saved: State | None = None, **options: Any) -> Streamer:
        """What answers element by element while a text, or sound, comes in pieces, in constant memory.

        Args:
            saved: the `state` of another one, to go on from there (`unrolled.state.save` and `load` keep it in a file).
            options: how to decide, where the task has a choice.

        Raises `BadOption` where the task cannot, or what was saved is of another model.
        """
        how, others = deciding_options(self.task_name, options)
        for name in others:
            raise UnknownName("option of a stream", name, [])
        return self.task.stream(saved, **how)

    def evaluate(self, data: str | Path | Sequence[Any], *, unseen: str = "refuse", **given: Any) -> dict[str, Any]:
        """Figures on examples with their blanks filled in.

        Args:
            data: a file, a folder (its test split is taken), or examples.
            unseen: what a label that training never saw is: `refuse` it as a mistake in the data, or `count` it as
                one of the model.
            given: columns, format, where not as in training; and how to decide, where the task has a choice.

        Returns:
            `task`, `examples` (how many), `metrics` (name -> figure; rates as fractions); `signatures` and `verdict`,
            what the figures come to, of tasks that have them.
        """
        if unseen not in ("refuse", "count"):
            raise BadOption(f"unseen is 'refuse' or 'count', not {unseen!r}")
        how, reading = deciding_options(self.task_name, given)
        examples = self.examples(data, **reading) if isinstance(data, (str, Path)) else list(data)
        if not examples:
            raise BadData("there are no examples to evaluate on")
        if unseen == "refuse":
            for example in examples:
                self.task.encode(example)
        scores = self.task.measure(examples, **how)
        also = {"signatures": self.task.signatures(), "verdict": self.task.verdict(scores)}
        told = {name: one for name, one in also.items() if one}
        return {"task": self.task_name, "examples": len(examples), "metrics": scores, **told}

    def examples(self, data: str | Path, **given: Any) -> list[Any]:
        """The examples of a file, or of a folder's test split, read as the training data were. None is blank."""
        return list(self.stream_examples(self.file_of(data, **given), filled=True, **given))

    def stream_examples(self, path: str | Path, *, filled: bool = False, **given: Any) -> Iterator[Any]:
        """The examples of a file, one at a time; where a column tells of parts, those of the test, or of `part`.

        filled: whether each must have its blank filled in; given: columns, format, where not as in training.
        """
        options = {**self.reading, **reading_options(self.task_name, given)}
        split, part = options.get("split"), options.get("part")
        if part is not None and split is None:
            raise BadOption(f"part={part} is of a table with a column that tells the parts: give split=COLUMN")
        found: Iterable[Any] = reading.stream(path, self.task.example, **self.how(given, path), filled=filled)
        if self.task.example is Series:
            found = self._with_history(found, Path(path), given)
        yield from found if split is None else parts.of_part(found, split, part)

    def _with_history(self, later: Iterable[Any], path: Path, given: Mapping[str, Any]) -> Iterable[Any]:
        """Series of a folder's test or validation file behind what the files before it have of them."""
        how = self.how(given, path)
        try:
            files = splits.find(path.parent, format=how["format"], columns=how["columns"], example_type=Series)
        except BadData:  # a file that stands for itself
            return later
        before = [file for file in (files.train, files.valid) if file is not None]
        if path not in (files.valid, files.test):
            return later
        for file in reversed(before[: before.index(path)] if path in before else before):
            later = splits.continued(reading.read(file, Series, **self.how(given, file)), later)
        return later

    def file_of(self, data: str | Path, split: Literal["test", "valid"] = "test", **given: Any) -> Path:
        """A folder's test or validation file; a file itself. Raises `BadData` where the folder has none."""
        path = Path(data)
        if not path.is_dir():
            return path
        how = self.how(given, path)
        kind = self.task.example
        if reading.claiming(path, how["format"], columns=how["columns"], example_type=kind):
            return path
        files = splits.find(path, format=how["format"], columns=how["columns"], example_type=self.task.example)
        found = files.test if split == "test" else files.valid
        if found is not None:
            return found
        like = next((file.name for file in sorted(path.iterdir()) if file.name.startswith(split)), None)
        hint = "" if like is None else f", such as {like}"
        name = "test" if split == "test" else "validation"
        raise BadData(f"this folder has no {name} file; name a file{hint}", path)

    def predict_file(self, source: str | Path, target: str | Path | None = None, **given: Any) -> list[Any]:
        """Predict for a file; write the examples with their blanks filled in where `target` names a file."""
        deciding, reading_given = deciding_options(self.task_name, given)
        how = self.how(reading_given, source)
        # A mistake in the target's name is found before the work.
        written = None if target is None else self.format_for(target, how)
        examples = self.task.predict(reading.read(source, self.task.example, **how), **deciding)
        if target is not None:
            reading.write(target, examples, **{**how, "format": written})
        return examples

    def format_for(self, target: str | Path, how: Mapping[str, Any]) -> str:
        """The format in which to write to a path what was read so. Raises `UnknownName` where nothing tells it."""
        example_type = self.task.example
        return reading.format_name(target, before=how["format"], columns=how["columns"], example_type=example_type)

    def how(self, given: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
        """The keywords with which `data.reading` reads a path: as in training, but for what is given here.

        The format of the training files is taken only where the path's own suffix tells none, or is usual for it.
        """
        options = {**self.reading, **reading_options(self.task_name, given)}
        before = options.get("format")
        tells = str(path) == reading.STANDARD_STREAM or suffix(path) in reading.suffixes()
        if "format" not in given and tells and reading.format_name(path, before=before) != before:
            options["format"] = None
        return reader_keywords(options)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model into a folder, whole or not at all; a model in it is replaced."""
        beside = self._beside
        if not beside:
            recipe = Recipe(task=self.task_name, data="", reading=self.reading, model=self.options)
            beside = card.beside(self.task, recipe, History())
        bundle.save(self.task, folder, beside=beside)

    @classmethod
    def from_pretrained(cls: type[SomeModel], folder: str | Path) -> SomeModel:
        """Load a model from a folder, or, where there is no such folder, by name from the hub."""
        path = Path(folder)
        if not path.is_dir() and str(folder).count("/") == 1 and not path.parent.exists():
            from unrolled import hub

            path = hub.fetch(str(folder))
        loaded = load(path)
        if not isinstance(loaded, cls):
            raise BadModel(f"{folder} holds a {loaded.task_name}, not a {cls.task_name}")
        return loaded

    def push_to_hub(self, name: str, *, private: bool = False) -> str:
        """Publish the model on the hub as `name` (`user/model`); returns its address there."""
        from unrolled import hub

        return hub.publish(self.save_pretrained, name, private=private)

    save, load = save_pretrained, from_pretrained

    def __repr__(self) -> str:
        if self._task is None:
            return f"{type(self).__name__}(not trained)"
        weights = sum(p.numel() for p in self.task.parameters())
        return f"{type(self).__name__}({self.task.options.get('cell', 'rnn')}, {weights:,} weights)"


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
    names = (card.METRICS, card.READING, card.README, card.TRAINING, card.PICTURE, FILE)
    found = {name: bundle.read_beside(folder, name) for name in names}
    beside = {name: content for name, content in found.items() if content is not None}
    kind = model_class(bundle.read_config(folder)["task"])
    return kind(task, reading=read_json(folder, card.READING), beside=beside)


def read_json(folder: str | Path, name: str) -> dict[str, Any]:
    """A JSON object that was saved beside a model; empty where there is none. Raises `BadModel` for anything else."""
    content = bundle.read_beside(folder, name)
    return {} if content is None else _json_object(content, Path(folder) / name)


def _json_object(content: bytes, where: str | Path) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadModel(f"{where} is damaged: it is no JSON object")
    return value
