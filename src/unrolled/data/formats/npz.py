"""NumPy archives: numbers at each step, `.npz`, several arrays in one file. Nothing in them is unpickled.

    values    (examples, steps, features), or (examples, steps) of one feature each; NaN where a number is missing
    label     (examples,): strings, whole numbers, or quantities. Not there: no label is known
    lengths   (examples,): where examples have different lengths. Then `values` is (all steps, features): the examples
              one after the other

Columns name the arrays, where they are called something else: `--set values=x --set label=y`. The numbers stay of the
type that they have, bytes of a picture as bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example, Origin, Signal
from unrolled.data.formats.base import Format
from unrolled.errors import BadData, UnknownName

LENGTHS = "lengths"
NUMBERS = "fiub"
"""Kinds of types whose values are real numbers: floats, signed and unsigned whole numbers, true or false."""
Array = NDArray[Any]


class NPZ(Format):
    """All examples in one file."""

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)
    holds: ClassVar[tuple[type[Example], ...]] = (Signal,)
    streamed: ClassVar[bool] = False
    binary: ClassVar[bool] = True

    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        return self._checked(self._signals(b"".join(stream), where), where)

    def _signals(self, content: bytes, where: str | Path) -> Iterator[Example]:
        arrays = _arrays(content, where)
        name = self.columns.get("values", "values")
        if name not in arrays:
            raise UnknownName("array", name, arrays, str(where))
        rows = _rows(name, arrays[name], arrays.get(LENGTHS), where)
        labels = self._labels(arrays, len(rows), where)
        for number, values in enumerate(rows, 1):
            label = None if labels is None else str(labels[number - 1])
            yield Signal(values=values, label=label, origin=Origin(where, number))

    def _labels(self, arrays: Mapping[str, Array], count: int, where: str | Path) -> Array | None:
        name = self.columns.get("label", "label")
        if name not in arrays:
            if self.filled or "label" in self.columns:
                raise UnknownName("array", name, arrays, str(where))
            return None
        labels = arrays[name]
        if labels.shape != (count,):
            raise BadData(
                f"the array {name!r} is {_shape(labels)} where ({count:,}) is expected, one an example", where
            )
        if labels.dtype.kind not in f"{NUMBERS}U":
            raise BadData(f"the array {name!r} is of {labels.dtype}: strings or numbers are expected", where)
        return labels

    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        signals = [example for example in examples if isinstance(example, Signal)]
        kept = [_two(example) for example in signals]
        if len({values.shape[1] for values in kept}) > 1:
            raise BadData("some examples have more features than others, which an array cannot hold", where)
        lengths = [len(values) for values in kept]
        even = len(set(lengths)) == 1
        arrays: dict[str, Array] = {
            self.columns.get("values", "values"): np.stack(kept) if even else np.concatenate(kept)
        }
        if not even:
            arrays[LENGTHS] = np.array(lengths)
        labels = [example.label for example in signals]
        if any(label is not None for label in labels):
            arrays[self.columns.get("label", "label")] = np.array([_label(label, where) for label in labels])
        if all(example.probabilities is not None for example in signals):
            classes = list(signals[0].probabilities or {})
            arrays["classes"] = np.array(classes)
            arrays["probabilities"] = np.array([[(e.probabilities or {})[c] for c in classes] for e in signals])
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **arrays)
        yield content.getvalue()


def _arrays(content: bytes, where: str | Path) -> dict[str, Array]:
    if not content:
        raise BadData("the file is empty", where)
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        raise BadData("a single array where an archive of several, .npz, is expected", where)
    if not content.startswith(b"PK"):
        raise BadData("not a NumPy archive that can be read: it does not begin like one", where)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        if "allow_pickle" in str(error):
            raise BadData("it holds Python objects, which are not unpickled; numbers are expected", where) from None
        raise BadData(f"not a NumPy archive that can be read: {error}", where) from None


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
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any() or lengths.sum() != len(values):
        found = f"{_shape(lengths)} of {lengths.dtype}, in all {lengths.sum() if lengths.dtype.kind in 'iu' else '?'}"
        raise BadData(f"`lengths` must be whole numbers that sum to {len(values):,}; it is {found}", where)
    return np.split(values, np.cumsum(lengths.astype(np.int64))[:-1]) if len(lengths) else []


def _two(example: Signal) -> Array:
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
