"""What is seen inside a model, as values that print themselves: the functions behind `unrolled inspect`.

Each takes a model and examples of a file, or texts, and gives a report with `__str__` and `to_json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from unrolled.errors import BadOption, NoElement
from unrolled.inspection.annotations import inside, kind
from unrolled.inspection.gates import Gates, Saturation, Unit, gates
from unrolled.inspection.gradient_flow import GradientFlow, gradient_flow
from unrolled.inspection.predicted_picture import predicted_png
from unrolled.inspection.saliency import FELT, Memory, Saliency, memory, saliency
from unrolled.model import Model
from unrolled.recipe import deciding_options

REPORTS: Mapping[str, str] = {
    "attention": "What each output word looked at.",
    "gradients": "How the gradient fares on its way back through time.",
    "gates": "What every gate and state does, by kind of element.",
    "saliency": "Which elements an answer rests on.",
    "memory": "How far back an answer looks.",
    "predictions": "Music and forecasts as a picture.",
    "report": "All of it on one page.",
}
"""The reports on the inside of a model, by the name that `unrolled inspect` has for each."""


def examples_of(
    model: Model, data: str | Path | None, texts: Sequence[str] = (), most: int | None = None, **given: Any
) -> list[Any]:
    """Texts, then the first examples of a file, or of a folder's test file. given: of how it is read.

    Raises `BadOption` where there are none.
    """
    _, how = deciding_options(model.task_name, given)
    found: list[Any] = [model.task.read(text) for text in texts]
    if data is not None:
        path = model.file_of(data, **how)
        found += islice(model.stream_examples(path, **how), most)
    if not found:
        raise BadOption("there is nothing to look at: give a file or a text")
    return found


def gradients(model: Model, data: str | Path, most: int | None = None, **given: Any) -> GradientFlow:
    """How the gradient of the loss on a file's examples fares on its way back through time."""
    return gradient_flow(model.task, examples_of(model, data, most=most, **given))


def predictions(model: Model, data: str | Path, most: int | None = None, **given: Any) -> bytes:
    """A PNG of the first examples with what is predicted of them. Errors as `inspection.predicted_picture.draw`."""
    how, _ = deciding_options(model.task_name, given)
    return predicted_png(model.task, examples_of(model, data, most=most, **given), **how)


@dataclass(frozen=True)
class Mean:
    """Of a gate or a state of one cell: the mean, by the kind of element too, and how much of it is saturated."""

    layer: str
    name: str
    mean: float
    kinds: Mapping[str, tuple[float, int]]
    saturation: Saturation | None


@dataclass(frozen=True)
class GateReport:
    """What all gates and states of a model do on some examples; where a pattern was given, the units that tell it."""

    means: tuple[Mean, ...]
    pattern: str | None = None
    units: tuple[tuple[str, str, Unit], ...] = ()

    def __str__(self) -> str:
        kinds = sorted({name for mean in self.means for name in mean.kinds})
        counts = {name: max(mean.kinds.get(name, (0, 0))[1] for mean in self.means) for name in kinds}
        heads = [f"{name} ({counts[name]:,})" for name in kinds]
        lines = [f"{'cell':40}  {'':8}  {'mean':>7}  {'shut':>5}  {'open':>5}  " + "  ".join(heads)]
        for mean in self.means:
            of = mean.saturation
            shares = f"{'':5}  {'':5}" if of is None else f"{of.shut:5.0%}  {of.open:5.0%}"
            each = [
                f"{mean.kinds[name][0]:{len(head)}.3f}" if name in mean.kinds else " " * len(head)
                for name, head in zip(kinds, heads, strict=True)
            ]
            lines.append(f"{mean.layer:40}  {mean.name:8}  {mean.mean:7.3f}  {shares}  " + "  ".join(each))
        if self.pattern is not None:
            lines += ["", f"units that tell elements inside {self.pattern} from the others, the best first:"]
            for layer, name, unit in self.units:
                means = f"mean {unit.inside:.3f} inside, {unit.outside:.3f} outside"
                lines.append(f"  {layer} {name} unit {unit.unit}: area {unit.area:.3f}, {means}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        means = [
            {
                "layer": mean.layer,
                "name": mean.name,
                "mean": mean.mean,
                "kinds": {name: {"mean": value, "elements": count} for name, (value, count) in mean.kinds.items()},
                "saturation": None if mean.saturation is None else mean.saturation._asdict(),
            }
            for mean in self.means
        ]
        units = [{"layer": layer, "name": name, **unit._asdict()} for layer, name, unit in self.units]
        return {"means": means, "pattern": self.pattern, "units": units}


def gate_report(
    model: Model,
    data: str | Path | None,
    texts: Sequence[str] = (),
    most: int | None = None,
    pattern: str | None = None,
    **given: Any,
) -> GateReport:
    """Every gate and state, by kind of element. pattern: a regular expression; units that tell what it matches.

    Raises `BadOption` where nothing, or everything, is matched.
    """
    found = gates(model.task, examples_of(model, data, texts, most, **given))
    units = [] if pattern is None else _telling(found, pattern)
    return GateReport(tuple(means_of(found)), pattern, tuple(units[:10]))


def _telling(found: Gates, pattern: str) -> list[tuple[str, str, Unit]]:
    """The units that tell what is matched, the best first, of the cells whose elements hold some of it: a translator's
    target, or what a language model below reads, may hold none.
    """
    units: list[tuple[str, str, Unit]] = []
    refused: BadOption | None = None
    for layer in found.layers:
        flags = [inside(elements, pattern) for elements, _ in found.of(layer, "h")]
        try:
            for name in _names(found, layer):
                units += [(layer, name, unit) for unit in found.units(layer, name, flags, most=3)]
        except BadOption as error:
            refused = error
    if not units and refused is not None:
        raise refused
    return sorted(units, key=lambda one: -abs(one[2].area - 0.5))


def means_of(found: Gates) -> Iterator[Mean]:
    """Of every gate and state, by kind of element. Raises `BadOption` where there is none."""
    if not found.layers:
        raise BadOption("no cell of this model reads the examples element by element: it has no gates to show")
    for layer in found.layers:
        for name in _names(found, layer):
            by_kind = found.mean(layer, name, by=kind)
            whole = sum(mean * count for mean, count in by_kind.values()) / sum(count for _, count in by_kind.values())
            yield Mean(layer, name, whole, by_kind, found.saturation(layer, name))


def _names(found: Gates, layer: str) -> list[str]:
    """Of the values of a cell those that are the state's or a gate's: one number a unit."""
    (values, *_) = [v for example in found.examples for v in example if v.layer == layer]
    units = values.of["h"].shape[1]
    return [name for name, rows in values.of.items() if rows.shape[1] == units]


@dataclass(frozen=True)
class SaliencyReport:
    """What the answers about some examples rest on; how many were too short for the place, and are left out."""

    answers: tuple[Saliency, ...]
    left_out: int = 0

    def __str__(self) -> str:
        short = [f"too short for that place, and left out: {self.left_out:,}"] if self.left_out else []
        return "\n\n".join([*map(str, self.answers), *short])

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "answers": [
                {**one._asdict(), "gradients": one.gradients.tolist(), "occlusion": one.occlusion.tolist()}
                for one in self.answers
            ],
            "left_out": self.left_out,
        }


def saliency_report(
    model: Model,
    data: str | Path | None,
    texts: Sequence[str] = (),
    most: int | None = None,
    answer: str | None = None,
    place: int = -1,
    **given: Any,
) -> SaliencyReport:
    """What an answer rests on, in each example that has such a place. answer, place: as `inspection.saliency.saliency`
    has them.

    Raises `NoElement` where no example has such a place.
    """
    found: list[Saliency] = []
    short: list[NoElement] = []
    for example in examples_of(model, data, texts, most, **given):
        try:
            found.append(saliency(model.task, example, answer=answer, place=place))
        except NoElement as error:
            short.append(error)
    if not found:
        raise max(short, key=lambda error: error.count)
    return SaliencyReport(tuple(found), len(short))


@dataclass(frozen=True)
class MemoryReport:
    """How far back the answers about the last elements look."""

    found: Memory

    def __str__(self) -> str:
        lags = [lag for lag in range(len(self.found.moved)) if self.found.examples[lag]]
        shown = [lag for lag in lags if lag < 10 or lag % 10 == 0]
        lines = [f"{'back':>6}  {'moved':>7}  {'examples':>8}"]
        lines += [f"{lag:6}  {self.found.moved[lag]:7.4f}  {self.found.examples[lag]:8,}" for lag in shown]
        end = self.found.horizon
        far = "no change of an element is felt" if end < 0 else f"a change is felt up to {end} elements before the last"
        return "\n".join([*lines, f"{far} (in {FELT:.0%} of the distribution or more)"])

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        moved = [float(m) if n else None for m, n in zip(self.found.moved, self.found.examples, strict=True)]
        return {"moved": moved, "examples": self.found.examples.tolist(), "horizon": self.found.horizon}


def memory_report(
    model: Model, data: str | Path | None, texts: Sequence[str] = (), most: int | None = None, **given: Any
) -> MemoryReport:
    """How far back a change of an element still changes the answer about the last one."""
    return MemoryReport(memory(model.task, examples_of(model, data, texts, most, **given)))
