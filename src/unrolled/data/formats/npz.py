"""NumPy archives: numbers at each step, `.npz`, several arrays in one file. Nothing in them is unpickled.

    values    (examples, steps, features), or (examples, steps) of one feature each; NaN where a number is missing
    label     (examples,): strings, whole numbers, or quantities. Not there: no label is known
    lengths   (examples,): where examples have different lengths. Then `values` is (all steps, features): the examples
              one after the other
    tags      where each step has a label of its own: as `values`, without the features, (examples, steps), or, with
              `lengths`, (all steps,)

Columns name the arrays, where they are called something else: `--set values=x --set label=y`. The numbers stay of the
type that they have, bytes of a picture as bytes. Other arrays that have a value for each example are kept, and written
again.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example, Origin, Signal
from unrolled.data.formats._signal_rows import STEPS
from unrolled.data.formats.base import Format
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, UnknownName

LENGTHS = "lengths"
NUMBERS = "fiub"
"""Kinds of types whose values are real numbers: floats, signed and unsigned whole numbers, true or false."""
WRITTEN: Mapping[type[Example], tuple[str, ...]] = {Signal: ("classes", "probabilities"), TaggedSteps: ("confidence",)}
"""Arrays that a prediction adds: the labels, and how probable each of them is for each example; or that of each tag."""
BROKEN = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, NotImplementedError, zipfile.BadZipFile,
    zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What reading an archive raises that is damaged, or was made to do harm."""
Array = NDArray[Any]


class Others(NamedTuple):
    """What further arrays have for an example: their names, and a value for each."""

    names: tuple[str, ...]
    values: tuple[Any, ...]


class NPZ(Format):
    """All examples in one file."""

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)
    holds: ClassVar[tuple[type[Example], ...]] = STEPS
    streamed: ClassVar[bool] = False
    binary: ClassVar[bool] = True

    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        return self._checked(self._signals(b"".join(stream), where), where)

    def _signals(self, content: bytes, where: str | Path) -> Iterator[Example]:
        name, labelled = (self.columns.get(field, field) for field in ("values", self.example_type.blank))
        arrays, others = _arrays(content, (name, labelled, LENGTHS), where)
        if name not in arrays:
            raise UnknownName("array", name, [*arrays, *others], str(where))
        rows = _rows(name, arrays[name], arrays.get(LENGTHS), where)
        written = WRITTEN[self.example_type]
        kept = {n: a for n, a in others.items() if a.ndim and len(a) == len(rows) and n not in written}
        tagged = self.example_type is TaggedSteps
        steps = (arrays[name].shape[:1] if LENGTHS in arrays else arrays[name].shape[:2]) if tagged else (len(rows),)
        labels = self._labels(arrays, others, steps, where)
        tags = None if labels is None or not tagged else _tags(labels, [len(row) for row in rows])
        for number, values in enumerate(rows):
            rest = Others(tuple(kept), tuple(a[number] for a in kept.values())) if kept else None
            origin = Origin(where, number + 1)
            if tagged:
                said = None if tags is None else tags[number]
                yield TaggedSteps(values=values, tags=said, origin=origin, rest=rest).checked()
            else:
                label = None if labels is None or labels[number] != labels[number] else str(labels[number])
                yield Signal(values=values, label=label, origin=origin, rest=rest)

    def _labels(
        self, arrays: Mapping[str, Array], others: Mapping[str, Array], shape: tuple[int, ...], where: str | Path
    ) -> Array | None:
        """What stands in the blank. shape: that the array must have."""
        blank = self.example_type.blank
        name = self.columns.get(blank, blank)
        if name not in arrays:
            if self.filled or blank in self.columns:
                raise UnknownName("array", name, [*arrays, *others], str(where))
            return None
        labels = arrays[name]
        if labels.shape != shape:
            wanted = "(" + ", ".join(f"{size:,}" for size in shape) + ")"
            each = "an example" if self.example_type is Signal else "a step"
            raise BadData(f"the array {name!r} is {_shape(labels)} where {wanted} is expected, one {each}", where)
        if labels.dtype.kind not in f"{NUMBERS}U":
            raise BadData(f"the array {name!r} is of {labels.dtype}: strings or numbers are expected", where)
        return labels

    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        signals = [example for example in examples if isinstance(example, STEPS)]
        kept = [_two(example) for example in signals]
        if len({values.shape[1] for values in kept}) > 1:
            raise BadData("some examples have more features than others, which an array cannot hold", where)
        lengths = [len(values) for values in kept]
        even = len(set(lengths)) == 1
        arrays = _carried(signals)
        arrays[self.columns.get("values", "values")] = np.stack(kept) if even else np.concatenate(kept)
        arrays.pop(LENGTHS, None)
        if not even:
            arrays[LENGTHS] = np.array(lengths)
        blank = self.columns.get(self.example_type.blank, self.example_type.blank)
        if self.example_type is TaggedSteps:
            arrays |= _tagged(
                [e for e in signals if isinstance(e, TaggedSteps)], blank, lengths if even else None, where
            )
        else:
            arrays |= _labelled([e for e in signals if isinstance(e, Signal)], blank, where)
        yield _archive(arrays)


def _labelled(signals: list[Signal], name: str, where: str | Path) -> dict[str, Array]:
    """What a prediction fills in, or a file has: the labels, under that name, and how probable each is."""
    arrays: dict[str, Array] = {}
    labels = [example.label for example in signals]
    if any(label is not None for label in labels):
        arrays[name] = np.array([_label(label, where) for label in labels])
    if all(example.probabilities is not None for example in signals):
        classes = list(signals[0].probabilities or {})
        arrays["classes"] = np.array(classes)
        arrays["probabilities"] = np.array([[(e.probabilities or {})[c] for c in classes] for e in signals])
    return arrays


def _tagged(signals: list[TaggedSteps], name: str, even: list[int] | None, where: str | Path) -> dict[str, Array]:
    """As `_labelled`, of each step. even: the lengths, where all are the same."""
    arrays: dict[str, Array] = {}
    shape = (-1,) if even is None else (len(even), even[0])
    if any(example.tags is not None for example in signals):
        each = [_label(tag, where) for e in signals for tag in e.checked().tags or (None,)]
        arrays[name] = np.array(each).reshape(shape)
    if all(example.confidence is not None for example in signals):
        arrays["confidence"] = np.array([one for e in signals for one in e.confidence or ()]).reshape(shape)
    return arrays


def _tags(labels: Array, lengths: list[int]) -> list[tuple[str, ...]]:
    """Those of each example. labels: of the steps of all, one example after the other; NaN is an empty tag."""
    each = ["" if label != label else str(label) for label in labels.reshape(-1)]
    ends = np.cumsum(lengths).tolist()
    return [tuple(each[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def _carried(signals: Sequence[Signal | TaggedSteps]) -> dict[str, Array]:
    """The further arrays that all examples have a value for."""
    every = [example.rest for example in signals]
    if not every or not all(isinstance(rest, Others) and rest.names == every[0].names for rest in every):
        return {}
    return {name: np.array([rest.values[k] for rest in every]) for k, name in enumerate(every[0].names)}


def _archive(arrays: Mapping[str, Array]) -> bytes:
    """As `numpy.savez_compressed` writes it, under any name, and the same bytes each time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return content.getvalue()


def _arrays(content: bytes, wanted: Iterable[str], where: str | Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Those that are wanted, and the others, of which it does not matter if they cannot be read."""
    if not content:
        raise BadData("the file is empty", where)
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        raise BadData("a single array where an archive of several, .npz, is expected", where)
    if not content.startswith(b"PK"):
        raise BadData("not a NumPy archive that can be read: it does not begin like one", where)
    found: dict[str, Array] = {}
    others: dict[str, Array] = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for name in wanted:
                if name in archive.files:
                    found[name] = archive[name]
            for name in archive.files:
                if name not in found:
                    others |= _other(archive, name)
    except BROKEN as error:
        if "allow_pickle" in str(error):
            raise BadData("it holds Python objects, which are not unpickled; numbers are expected", where) from None
        raise BadData(f"not a NumPy archive that can be read: {error or type(error).__name__}", where) from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise BadData(f"{name!r} is no array", where)
    return found, others


def _other(archive: Any, name: str) -> dict[str, Array]:
    try:
        array = archive[name]
    except BROKEN:
        return {}
    return {name: array} if isinstance(array, np.ndarray) and array.dtype.kind in f"{NUMBERS}U" else {}


def _rows(name: str, values: Array, lengths: Array | None, where: str | Path) -> list[Array]:
    """Each example's (steps, features)."""
    if values.dtype.kind not in NUMBERS:
        raise BadData(f"the array {name!r} is of {values.dtype}: real numbers are expected", where)
    if lengths is None:
        if values.ndim == 2:
            values = values[..., None]
        if values.ndim != 3:
            wanted = "(examples, steps, features), or an array `lengths` beside it"
            raise BadData(f"the array {name!r} is {_shape(values)} where {wanted} is expected", where)
        return list(values)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise BadData(
            f"the array {name!r} is {_shape(values)} where, by `lengths`, (steps, features) is expected", where
        )
    each = lengths.tolist() if lengths.ndim == 1 and lengths.dtype.kind in "iu" else None
    if each is None or any(length < 0 for length in each) or sum(each) != len(values):
        found = f"{_shape(lengths)} of {lengths.dtype}" + ("" if each is None else f", in all {sum(each):,}")
        raise BadData(f"`lengths` must be whole numbers that sum to {len(values):,}; it is {found}", where)
    return np.split(values, np.cumsum(each)[:-1]) if each else []


def _two(example: Signal | TaggedSteps) -> Array:
    if example.values.ndim != 2 or example.values.dtype.kind not in NUMBERS:
        raise example.problem(f"numbers of {_shape(example.values)}: (steps, features) is expected")
    return example.values


def _label(label: str | tuple[str, ...] | None, where: str | Path) -> str:
    if label is None:
        raise BadData("some examples have labels and some have none, which an array cannot tell apart", where)
    if not isinstance(label, str):
        raise BadData("cannot write several labels of an example in an array; write jsonl instead", where)
    if label.endswith("\0"):
        raise BadData(f"the label {label!r} could not be read again", where)
    return label


def _shape(array: Array) -> str:
    return "(" + ", ".join(f"{size:,}" for size in array.shape) + ")"
