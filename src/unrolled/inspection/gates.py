"""Every value of every cell at every element that it read: gates, cell state, hidden state; and what they tell.

    found = gates(task, examples)
    found.mean("reader.stack.layers.0.ahead.cell", "f", by=kind)     # does it forget more at a full stop?
    found.units("…", "h", inside_quotes)                             # which units tell quotes from the rest
    found.alike("…", "h", unit, example, place)                      # where else a unit does what it does here

A value is named as its paper names it (`cells/`); `saturation` tells how many of a gate's are as good as shut or open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.errors import BadOption
from unrolled.inspection.tape import Reading, Watched, watch
from unrolled.tasks.base import Task

SHUT, OPEN = 0.1, 0.9
"""A gate below the first, or above the second, is saturated (Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078,
section 4.2); of a value in [-1, 1], as a candidate is, what counts is how far it is from 0."""


class Values(NamedTuple):
    """What one cell did while it read one example.

    layer: the cell's path; elements: what it read, in their order (also where it reads backwards); of: name -> values,
    (elements, units).
    """

    layer: str
    elements: tuple[str, ...]
    of: Mapping[str, NDArray[np.float32]]


class Saturation(NamedTuple):
    """Of a gate: which share of its values is as good as shut, and as good as open; low, high: the extremes seen."""

    shut: float
    open: float
    low: float
    high: float


class Unit(NamedTuple):
    """How well a unit tells elements from the rest.

    unit: its number; area: under the ROC curve of telling by its value, the probability that it is higher where the
    annotation says yes than where it says no: 1 and 0 tell all, 0.5 nothing; inside, outside: its mean values.
    """

    unit: int
    area: float
    inside: float
    outside: float


class Place(NamedTuple):
    """An element of an example, and what a unit's value is there. likeness: 1 for the same course around it."""

    example: int
    place: int
    value: float
    likeness: float


class Gates(NamedTuple):
    """What all cells did, example by example."""

    examples: tuple[tuple[Values, ...], ...]

    @property
    def layers(self) -> list[str]:
        """The cells that read elements of the examples, in their order."""
        return list(dict.fromkeys(values.layer for example in self.examples for values in example))

    def of(self, layer: str, name: str) -> list[tuple[tuple[str, ...], NDArray[np.float32]]]:
        """Of each example the elements that a cell read and the values so named, (elements, units).

        Raises `BadOption` where there is no such cell, or it has no such value.
        """
        found = [values for example in self.examples for values in example if values.layer == layer]
        if not found:
            raise BadOption(f"no cell {layer!r} was watched; there are {', '.join(self.layers) or 'none'}")
        if name not in found[0].of:
            raise BadOption(f"{layer} has no {name!r}; it has {', '.join(found[0].of)}")
        return [(values.elements, values.of[name]) for values in found]

    def saturation(self, layer: str, name: str) -> Saturation | None:
        """None where the values are not bounded by -1 and 1."""
        return saturation(np.concatenate([values for _, values in self.of(layer, name)]))

    def mean(self, layer: str, name: str, *, by: Callable[[str], str]) -> dict[str, tuple[float, int]]:
        """The mean over all units, and how many elements, of each kind of element. by: gives the kind."""
        sums: dict[str, list[float]] = defaultdict(list)
        for elements, values in self.of(layer, name):
            for element, mean in zip(elements, values.mean(axis=1), strict=True):
                sums[by(element)].append(float(mean))
        return {kind: (float(np.mean(means)), len(means)) for kind, means in sorted(sums.items())}

    def units(self, layer: str, name: str, annotation: Sequence[Sequence[bool]], *, most: int = 10) -> list[Unit]:
        """The units that tell annotated elements from the others best, the best first.

        Args:
            layer, name: of which values.
            annotation: of each example, for each element that the cell read, whether it is one of them.
            most: so many units, at most.

        Raises `BadOption` where the annotation does not fit, or says the same of all elements.
        """
        given = self.of(layer, name)
        sizes, told = [len(elements) for elements, _ in given], [len(flags) for flags in annotation]
        if sizes != told:
            raise BadOption(f"the annotation has {told} elements, the cell read {sizes}")
        flags = np.array([flag for row in annotation for flag in row], dtype=bool)
        values = np.concatenate([values for _, values in given])
        if flags.all() or not flags.any():
            raise BadOption("the annotation says the same of every element: there is nothing to tell apart")
        areas = _areas(values, flags)
        order = np.argsort(-np.abs(areas - 0.5), kind="stable")[:most]
        inside, outside = values[flags].mean(axis=0), values[~flags].mean(axis=0)
        return [Unit(int(u), float(areas[u]), float(inside[u]), float(outside[u])) for u in order]

    def alike(
        self, layer: str, name: str, unit: int, example: int, place: int, *, around: int = 3, most: int = 10
    ) -> list[Place]:
        """Where else a unit's value takes a course like that around one element, the likest first.

        Args:
            layer, name, unit: whose values.
            example, place: the element.
            around: so many elements before and behind it are compared; places nearer to an end are left out.
            most: so many places, at most.

        Raises `BadOption` for a unit or an element that is not there, or is too near to an end.
        """
        courses = [values[:, unit] for _, values in self.of(layer, name) if unit < values.shape[1]]
        if not courses or not 0 <= example < len(courses):
            raise BadOption(f"there is no unit {unit} of an example {example}")
        if not around <= place < len(courses[example]) - around:
            raise BadOption(f"place {place} of {len(courses[example])} has no {around} elements before and behind it")
        wanted = courses[example][place - around : place + around + 1]
        found = []
        for number, course in enumerate(courses):
            if len(course) > 2 * around:
                windows = np.lib.stride_tricks.sliding_window_view(course, 2 * around + 1)
                apart = np.sqrt(((windows - wanted) ** 2).mean(axis=1))
                at = np.arange(len(windows)) + around
                found += [
                    Place(number, int(p), float(course[p]), float(1 / (1 + d)))
                    for p, d in zip(at, apart, strict=True)
                    if (number, p) != (example, place)
                ]
        return sorted(found, key=lambda one: -one.likeness)[:most]


def gates(task: Task, examples: Sequence[Any]) -> Gates:
    """Of a task that reads examples, nothing dropped. The task is left as it is.

    What a cell read that reads no elements of the example (the characters of a word, say) is left out. What a language
    model below the task's own layers read stands beside its values, in the order in which it did. Raises `BadData` for
    an example that cannot be read.
    """
    copy, tape = watch(task)
    copy.eval()
    found = []
    for example in examples:
        for cell in tape.values():
            cell.forget()
        encoded = copy.encode(copy.read(example))
        with torch.no_grad():
            copy.see(copy.collate([encoded]))
        sequences, below = copy.sequences(encoded), copy.sequences_below(encoded)
        shown = []
        for layer, cell in tape.items():
            own = [elements for path, elements in below.items() if layer.startswith(f"{path}.")]
            if _fits(cell, own or sequences):
                shown.append(_values(layer, cell, own or sequences))
        found.append(tuple(shown))
    return Gates(tuple(found))


def saturation(values: NDArray[np.float32]) -> Saturation | None:
    """Of any values; None where they are not bounded by -1 and 1."""
    low, high = float(values.min()), float(values.max())
    if low < -1 or high > 1:
        return None
    if low < 0:  # in [-1, 1]: far from 0 is saturated, on either side
        return Saturation(float((values < -OPEN).mean()), float((values > OPEN).mean()), low, high)
    return Saturation(float((values < SHUT).mean()), float((values > OPEN).mean()), low, high)


def of_reading(cell: Watched, reading: Reading) -> dict[str, list[torch.Tensor]]:
    """Name -> the values at each tick, (rows, units), in the order of reading."""
    found: dict[str, list[torch.Tensor]] = defaultdict(list)
    with torch.no_grad():
        for tick in reading:
            now = cell.gates(tick.px, tick.entered)
            for name, value in zip(now._fields, now, strict=True):
                found[name].append(value)
    return dict(found)


def _fits(cell: Watched, sequences: Sequence[Sequence[str]]) -> bool:
    """Whether the cell's one reading was of one of the sequences, a tick an element."""
    if len(cell.readings) != 1 or cell.readings[0][0].rows != 1:
        return False
    return any(len(sequence) == len(cell.readings[0]) for sequence in sequences)


def _values(layer: str, cell: Watched, sequences: Sequence[Sequence[str]]) -> Values:
    (reading,) = cell.readings
    fitting = [sequence for sequence in sequences if len(sequence) == len(reading)]
    # A decoder reads the last of them, if two are of one length.
    elements = fitting[-1 if "decoder" in layer else 0]
    of = {name: torch.cat(ticks).float().numpy() for name, ticks in of_reading(cell, reading).items()}
    if "back" in layer.split("."):
        of = {name: values[::-1] for name, values in of.items()}
    return Values(layer, tuple(elements), of)


def _areas(values: NDArray[np.float32], flags: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Under the ROC curve of each column: Mann and Whitney's U by ranks, ties sharing theirs."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    inside = int(flags.sum())
    u = ranks[flags].sum(axis=0) - inside * (inside + 1) / 2
    return u / (inside * (len(flags) - inside))
