"""Weights laid out for the kernels once, and kept as long as they do not change: for inference.

A change is seen by the tensors' places, by torch's version counter and by the first and the last value of each. Who
writes through `.data`, past that counter, and leaves these values as they were, calls `forget`.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from unrolled.kernels import matrix, recurrence
from unrolled.kernels.recurrence import Packed, Weights

_kept: Any = WeakIdKeyDictionary()  # the recurrent weights -> _Entry
_panels: Any = WeakIdKeyDictionary()  # any other weight -> _Panels
_lock = threading.Lock()


class _Entry(NamedTuple):
    """kind, half: what was asked for; marks: of each tensor, by which a change is seen."""

    kind: str
    half: bool
    marks: tuple[_Mark | None, ...]
    packed: Packed


class _Mark(NamedTuple):
    place: int
    version: int
    last: int
    values: tuple[int, int]

    def fits(self, t: Tensor) -> bool:
        return t.data_ptr() == self.place and t._version == self.version and _values(*self[::2]) == self.values


def find(kind: str, w: Weights, half: bool) -> Packed | None:
    """These weights as they were laid out before, if they have not changed since."""
    with _lock:
        entry = _kept.get(w.hh)
    if entry is None or entry.kind != kind or entry.half != half:
        return None
    try:
        same = all(t is None if m is None else m.fits(t) for m, t in zip(entry.marks, _given(w), strict=True))
    except (AttributeError, RuntimeError):  # there is no tensor where there was one; or it has no version
        return None
    if not same:
        return None
    # These are read as they are.
    return entry.packed if w.vectors is None else replace(entry.packed, vectors=w.vectors.contiguous())


def packed(kind: str, w: Weights, half: bool) -> Packed:
    """These weights laid out, now or before."""
    found = find(kind, w, half)
    if found is not None:
        return found
    made = recurrence.pack(kind, w, half)
    try:
        marks = tuple(None if t is None else _mark(t) for t in _given(w))
    except RuntimeError:  # born in inference mode, a tensor has no version
        return made
    with _lock:
        _kept[w.hh] = _Entry(kind, half, marks, made)
    return made


class _Panels(NamedTuple):
    half: bool
    mark: _Mark
    panels: Tensor


def panels(weight: Tensor, half: bool, threads: int) -> Tensor:
    """The weight of a linear map, (output, input), laid out to be multiplied by; now or before."""
    with _lock:
        entry = _panels.get(weight)
    try:
        if entry is not None and entry.half == half and entry.mark.fits(weight):
            return entry.panels
        mark = _mark(weight)
    except RuntimeError:  # born in inference mode, a tensor has no version
        return matrix.panels(weight, half, transposed=True, threads=threads)
    made = matrix.panels(weight, half, transposed=True, threads=threads)
    with _lock:
        _panels[weight] = _Panels(half, mark, made)
    return made


def forget() -> None:
    """Lay all weights out anew when they are next used."""
    with _lock:
        _kept.clear()
        _panels.clear()


def _given(w: Weights) -> tuple[Tensor | None, ...]:
    """Those that are laid out."""
    return w.ih, w.hh, w.bias_ih, w.bias_hh, w.hr


def _mark(t: Tensor) -> _Mark:
    place = t.data_ptr()
    last = place + 4 * sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))
    return _Mark(place, t._version, last, _values(place, last))


def _values(first: int, last: int) -> tuple[int, int]:
    return ctypes.c_int32.from_address(first).value, ctypes.c_int32.from_address(last).value
