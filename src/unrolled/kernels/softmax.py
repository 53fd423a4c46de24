"""The softmax over a vocabulary with its loss and gradients, by the compiled kernels.

Everything that the compiled code takes on trust is looked at here: shapes, types, devices, strides, that every target
is a word. The tensors that it writes are made here, so that nothing overlaps.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.kernels.library import Softmax, load
from unrolled.kernels.matrix import rows
from unrolled.kernels.recurrence import _pointer, _threads

ROOM = 16 << 20
"""Bytes of a chunk's logits: what a third-level cache holds beside the weights. With fewer rows the weights and their
gradient, which every chunk goes through once, are gone through more often."""

FEWEST, MOST = 128, 512
"""Rows of a chunk. From 256 on there is little to be gained; for very large vocabularies 128 take more than `ROOM`."""


class Given(NamedTuple):
    """x: (rows, hidden); weight: (words, hidden); bias: (words,) or None; targets: (rows,), long."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor


class Gradients(NamedTuple):
    """Of `Given`'s tensors; None: it was not asked for."""

    x: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def supports(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernels can run these: they are there, all is float32 on the CPU, and the shapes fit each other."""
    plain = all(t is None or (t.dtype is torch.float32 and t.is_cpu) for t in (x, weight, bias))
    return plain and _fit(x, weight, bias) and load() is not None


def _fit(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    both = x.dim() == 2 and weight.dim() == 2 and x.shape[1] == weight.shape[1] and weight.numel() > 0
    return both and (bias is None or bias.shape == weight.shape[:1])


def losses(given: Given, smoothing: float, half: bool = False) -> Tensor:
    """The loss of each row, (rows,). smoothing: of labels, in [0, 1); half: whether products are of bfloat16."""
    found, _ = _run(given, smoothing, half, None, (False, False, False))
    return found


def losses_and_gradients(
    given: Given, smoothing: float, factors: Tensor, need: tuple[bool, bool, bool], half: bool = False
) -> tuple[Tensor, Gradients]:
    """The loss of each row, the same as `losses` gives bit for bit, and the gradients of their weighted sum.

    Args:
        given, smoothing, half: as there.
        factors: (rows,) how much each row's loss counts.
        need: which gradients are wanted, of x, weight, bias.
    """
    return _run(given, smoothing, half, factors, need)


def _run(
    given: Given, smoothing: float, half: bool, factors: Tensor | None, need: tuple[bool, bool, bool]
) -> tuple[Tensor, Gradients]:
    _look_at(given, smoothing, factors)
    library, (x, weight, bias) = load(), (given.x, given.weight, given.bias)
    assert library is not None
    x, weight, bias = rows(x), rows(weight), None if bias is None else bias.contiguous()
    targets, factors = given.targets.contiguous(), None if factors is None else factors.contiguous()
    found = x.new_empty(len(x))
    dx = x.new_empty(x.shape) if need[0] else None
    dweight = weight.new_empty(weight.shape) if need[1] else None
    dbias = bias.new_empty(bias.shape) if need[2] and bias is not None else None
    if not len(x):
        return found, Gradients(dx, *(None if t is None else t.zero_() for t in (dweight, dbias)))
    threads = _threads(len(x) * weight.numel())
    call = Softmax(
        x=x.data_ptr(), x_stride=x.stride(0), rows=len(x), hidden=x.shape[1], words=len(weight),
        weight=weight.data_ptr(), weight_stride=weight.stride(0), bias=_pointer(bias), targets=targets.data_ptr(),
        factors=_pointer(factors), smoothing=smoothing, losses=found.data_ptr(), dx=_pointer(dx),
        dweight=_pointer(dweight), dbias=_pointer(dbias), chunk=chunk(len(x), len(weight), half),
    )  # fmt: skip
    room = torch.empty(library.unrolled_softmax_room(half, ctypes.byref(call), threads))
    call.room = room.data_ptr()
    library.unrolled_softmax(half, ctypes.byref(call), threads)
    return found, Gradients(dx, dweight, dbias)


def chunk(rows: int, words: int, half: bool) -> int:
    """How many rows are gone through together."""
    most = min(max(ROOM // (words * (2 if half else 4)), FEWEST), MOST)
    count = max(-(-rows // most), 1)
    return max(-(-rows // count), 1)


def _look_at(given: Given, smoothing: float, factors: Tensor | None) -> None:
    x, weight, bias, targets = given
    if not supports(x, weight, bias):
        raise ValueError("there are no compiled kernels for these: ask `supports` first")
    rows = (len(x),)
    if targets.shape != rows or targets.dtype is not torch.int64 or not targets.is_cpu:
        raise ValueError(f"targets must be {rows}, long, on the CPU, not {tuple(targets.shape)}, {targets.dtype}")
    if factors is not None and (factors.shape != rows or factors.dtype is not torch.float32 or not factors.is_cpu):
        raise ValueError(f"factors must be {rows}, float32, on the CPU, not {tuple(factors.shape)}, {factors.dtype}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing must be at least 0 and below 1, not {smoothing}")
    check_targets(targets, len(weight))


def check_targets(targets: Tensor, words: int) -> None:
    """Raises `BadOption` where a target is none of the words."""
    if targets.numel():
        low, high = (int(t) for t in torch.aminmax(targets))
        if low < 0 or high >= words:
            raise BadOption(f"a target must be at least 0 and below {words}, not {low if low < 0 else high}")
