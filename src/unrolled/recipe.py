"""What to train, on what, and how: checked as a whole before anything is read.

There is no list of options. What a task's constructor and `prepare` take by keyword are the model's options; the
fields of `Settings` are the training's; the fields of the task's example type, which may be given another column's
name, and the reader's keywords are the reading's. All problems are reported at once, each with the nearest valid name.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, get_type_hints

import tomlkit
from pydantic import ConfigDict, TypeAdapter, ValidationError
from tomlkit.exceptions import TOMLKitError

from unrolled import bundle
from unrolled.data import splits
from unrolled.data.examples import Example
from unrolled.data.formats.base import Spacing
from unrolled.data.music import DIVISION
from unrolled.errors import BadOption, UnknownName
from unrolled.lookup import NameIn, Trained, find
from unrolled.tasks.base import Task
from unrolled.training.settings import Settings

READING: dict[str, Any] = {
    "format": str | None,
    "features": dict[str, str],
    "label_separator": str | None,
    "spacing": Spacing,
    "division": int,
    "similarity": float | None,
    "split": str | None,
    "part": str | None,
}
"""Keywords of the reader that every task has; the last three are of the parting of what it read."""
SECTIONS = ("reading", "model", "training")
"""Of a recipe in TOML: where its options stand."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training, said completely. Written as `training.toml` beside the model, and read back from there.

    Attributes:
        task: name of a file in `tasks/`.
        data: a folder with train, valid and test files, or one file.
        output: the model's folder.
        seed: of every random choice.
        minutes: a time budget; None: the epochs of the settings.
        reading: columns and format of the data files.
        model: the task's options.
        training: the settings.
        plans: of a training whose time has changed its plan, as `fit` takes them.
    """

    task: str
    data: str
    output: str | None = None
    seed: int = 1
    minutes: float | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Settings = field(default_factory=Settings)
    plans: Mapping[int, float] = field(default_factory=dict)

    @property
    def task_class(self) -> type[Task]:
        return find("unrolled.tasks", self.task, Task, "task")

    def example_type(self) -> type[Example]:
        """What its data files hold, of the example types that the task reads. Raises `BadData` and `UnknownName`."""
        kind = self.task_class
        columns, form = self.columns(), self.reading.get("format")
        return splits.example_type(self.data, kind.reads or (kind.example,), format=form, columns=columns)

    def splits(self, how: Mapping[str, Any] | None = None) -> splits.Splits:
        """Its examples, parted as it says. how: keywords of the reader, where not its own.

        Raises `BadData`, `BadOption` and `UnknownName`.
        """
        read = reader_keywords(self.reading) if how is None else how
        parted: dict[str, Any] = {name: self.reading.get(name) for name in ("similarity", "split")}
        return splits.load(self.data, self.example_type(), seed=self.seed, **parted, **read)

    def prepared(self, examples: Sequence[Any]) -> Task:
        """The task for these training examples; models that it is to begin with are loaded. Raises as `prepare` does,
        and `BadModel`.
        """
        kind, options = self.task_class, dict(self.model)
        for name, annotation in _sections(kind)["model"].items():
            if name in options and _is_trained(annotation):
                options[name] = [bundle.load(folder) for folder in options[name]]
        return kind.prepare(examples, **options)

    def columns(self) -> dict[str, str]:
        """The example's fields that are read from a column of another name."""
        return {name: value for name, value in self.reading.items() if name not in READING}

    def to_toml(self) -> str:
        """As a TOML document; what is None is left out."""
        whole = {
            "task": self.task,
            "data": self.data,
            "output": self.output,
            "seed": self.seed,
            "minutes": self.minutes,
            "reading": dict(self.reading),
            "model": dict(self.model),
            "training": asdict(self.training),
            "plans": {str(step): epochs for step, epochs in self.plans.items()} or None,
        }
        return tomlkit.dumps(_without_none(whole))


def reader_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the reading as keywords of `data.reading`: what is no keyword of the reader is a column.

    `similarity`, `split` and `part` are left out, which are of the parting of what was read.
    """
    return {
        "columns": {name: value for name, value in options.items() if name not in READING},
        "features": options.get("features") or {},
        "format": options.get("format"),
        "label_separator": options.get("label_separator"),
        "spacing": options.get("spacing", "blanks"),
        "division": options.get("division", DIVISION),
    }


def build(
    task: str,
    data: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    output: str | Path | None = None,
    seed: int = 1,
    minutes: float | None = None,
    plans: Mapping[int, float] | None = None,
) -> Recipe:
    """A recipe from names and values, the values as strings or as they are.

    Raises:
        UnknownName: no such task.
        BadOption: unknown options, or values of the wrong type; all of them in one message.
    """
    kind = find("unrolled.tasks", task, Task, "task")
    sections = _sections(kind)
    found: dict[str, dict[str, Any]] = {name: {} for name in sections}
    problems = []
    for name, value in (options or {}).items():
        section = next((s for s, known in sections.items() if name in known), None)
        if section is None:
            known = [key for names in sections.values() for key in names]
            problems.append(str(UnknownName("option", name, known)))
            continue
        try:
            found[section][name] = coerce(name, value, sections[section][name])
        except (BadOption, UnknownName) as error:
            problems.append(str(error))
    if minutes is not None and not (minutes > 0 and isfinite(minutes)):
        problems.append(f"minutes must be more than 0, not {minutes:g}")
    if found["reading"].get("part") is not None:
        problems.append("part is of an evaluation; a training takes the parts that the column of split tells")
    if seed < 0 or seed >= 2**63:
        problems.append(f"seed must be 0 or more, and less than 2^63, not {seed}")
    if not all(step > 0 and epochs > 0 for step, epochs in (plans or {}).items()):
        problems.append("plans has steps and epochs, which must be more than 0")
    try:
        training = Settings(**{**kind.settings, **found["training"]})
    except BadOption as error:
        problems.append(str(error))
    if problems:
        raise BadOption("\n".join(problems))
    return Recipe(
        task=task,
        data=str(data),
        output=None if output is None else str(output),
        seed=seed,
        minutes=minutes,
        reading=found["reading"],
        model=found["model"],
        training=training,
        plans=dict(plans or {}),
    )


def from_toml(path: str | Path) -> Recipe:
    """Read a recipe. Raises `BadOption` naming the file where it is no TOML, or holds unknown names or wrong values."""
    try:
        whole = tomlkit.parse(Path(path).read_text(encoding="utf-8")).unwrap()
    except OSError as error:
        raise BadOption(f"cannot read the recipe {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, TOMLKitError) as error:
        raise BadOption(f"{path} is not a recipe in TOML: {error}") from None
    entries = get_type_hints(Recipe) | dict.fromkeys(SECTIONS, dict[str, Any]) | {"plans": dict[int, float]}
    problems = [f"{name!r} is missing" for name in ("task", "data") if name not in whole]
    values: dict[str, Any] = {}
    for name, value in whole.items():
        try:
            if name not in entries:
                raise UnknownName("entry", name, entries)
            values[name] = coerce(name, value, entries[name])
        except (BadOption, UnknownName) as error:
            problems.append(str(error))
    if not problems:
        options = {key: value for name in SECTIONS for key, value in values.pop(name, {}).items()}
        try:
            return build(values.pop("task"), values.pop("data"), options, **values)
        except (BadOption, UnknownName) as error:
            problems = str(error).splitlines()
    raise BadOption("\n".join(f"{path}: {problem}" for problem in problems))


def reading_options(task: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The reader's options among a recipe's, checked as `build` does. Raises `BadOption` for any other name."""
    known = _sections(find("unrolled.tasks", task, Task, "task"))["reading"]
    found, problems = {}, []
    for name, value in given.items():
        try:
            if name not in known:
                raise UnknownName("option of reading", name, known)
            found[name] = coerce(name, value, known[name])
        except (BadOption, UnknownName) as error:
            problems.append(str(error))
    if problems:
        raise BadOption("\n".join(problems))
    return found


def deciding_options(task: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a prediction, parted: how to decide, as their types, and all the others as they were. Models that are
    named by their folders are loaded.

    Raises `BadOption` for values of another type, `BadModel` for what is no model.
    """
    deciding = find("unrolled.tasks", task, Task, "task").deciding
    known = {} if deciding is None else get_type_hints(deciding, include_extras=True)
    found, problems = {}, []
    for name in known.keys() & given.keys():
        try:
            found[name] = coerce(name, given[name], known[name])
        except (BadOption, UnknownName) as error:
            problems.append(str(error))
        if _is_trained(known[name]) and isinstance(found.get(name), str):
            found[name] = bundle.load(found[name])
    if problems:
        raise BadOption("\n".join(sorted(problems)))
    return found, {name: value for name, value in given.items() if name not in known}


def option_table(task: str) -> dict[str, dict[str, tuple[str, Any]]]:
    """For documentation: section -> option -> (type, default)."""
    kind = find("unrolled.tasks", task, Task, "task")
    defaults = {**{f.name: f.default for f in fields(Settings)}, **kind.settings}
    for function in (kind.prepare, kind.__init__):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                defaults[name] = parameter.default
    return {
        section: {name: (_spelled(annotation), defaults.get(name)) for name, annotation in known.items()}
        for section, known in _sections(kind).items()
    }


def _is_trained(annotation: Any) -> bool:
    return any(isinstance(rule, Trained) for rule in getattr(annotation, "__metadata__", ()))


def coerce(name: str, value: Any, annotation: Any) -> Any:
    """A value as an option's type. Strings are read as a command line means them: `none`, `a,b`, `key:value,…`.

    Raises:
        BadOption: it is not of the type.
        UnknownName: it should name a thing, and there is none of that name.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    for candidate in _readings(value) if isinstance(value, str) else [value]:
        try:
            found = adapter.validate_python(candidate)
        except ValidationError:
            continue
        for rule in getattr(annotation, "__metadata__", ()):
            if isinstance(rule, NameIn):
                find(rule.package, found, rule.contract, rule.kind)
        return found
    raise BadOption(f"option {name!r} takes {_spelled(annotation)}, not {value!r}")


def _readings(text: str) -> Iterator[Any]:
    """What a string on a command line may mean, the likeliest first."""
    if text.lower() == "none":
        yield None
    yield text
    if text[:1] in ("{", "["):
        yield _plain(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parts and all(":" in part for part in parts):
        pairs = {key.strip(): side.strip() for key, _, side in (part.partition(":") for part in parts)}
        # `proj_size:4` is a number where any value will do; a column's name stays the string that it is.
        yield {key: _plain(side) for key, side in pairs.items()}
        yield pairs
    yield parts
    yield _plain(text)


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _sections(kind: type[Task]) -> dict[str, dict[str, Any]]:
    model: dict[str, Any] = {}
    for function in (kind.__init__, kind.prepare):
        hints = get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                model[name] = hints[name]
    common = {f.name for f in fields(Example)}
    read = [f for example in (kind.reads or (kind.example,)) for f in fields(example)]
    columns: dict[str, Any] = {f.name: str for f in read if f.name not in common and _is_column(f)}
    return {"model": model, "training": get_type_hints(Settings), "reading": {**columns, **READING}}


def _is_column(of: Any) -> bool:
    # What a prediction fills in beside the blank (confidences) is not compared, and is no column to choose.
    return of.compare and of.default_factory is MISSING


def _spelled(annotation: Any) -> str:
    """A type in words.

    >>> from typing import Literal
    >>> _spelled(int), _spelled(float | None), _spelled(Literal["a", "b"])
    ('int', 'float or none', 'a or b')
    """
    import types
    import typing

    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        named = [rule for rule in parts if isinstance(rule, NameIn)]
        return f"a name in `unrolled list {named[0].package.rpartition('.')[2]}`" if named else _spelled(parts[0])
    if origin is typing.Literal:
        return " or ".join(str(part) for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_spelled(part) for part in parts)
    if annotation is type(None):
        return "none"
    if origin is dict:
        return "key:value,…"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return value
