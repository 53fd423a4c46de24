"""The products with the input's weights: ours, or torch's on a processor where these are clearly the faster ones.

Which it is, is measured, once, when a layer is first trained for which it matters; `UNROLLED_PRODUCTS` in the
environment chooses, `ours` or `torch`. Where torch's are ahead by no more than a noisy machine may show, ours are
taken, so that the same command gives the same numbers. In bfloat16 they are always ours: torch's round their results.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.kernels.library import load

VARIABLE = "UNROLLED_PRODUCTS"

CLEARLY = 1.25
"""By so much torch's must be faster to be taken."""

MATTERS = 1 << 26
"""Multiplications of a product below which nothing is measured."""

_SHAPE = (256, 256, 512)
"""Rows, depth, columns of what is measured: half a millisecond a round."""

Inputs = Sequence[tuple[int, int, int]]
"""(first block of the weights, how many, first block of the gates), each a product of its own."""


def are_torchs(half: bool, multiplications: int) -> bool:
    """Whether torch's products are to be taken for a layer of so many.

    Raises `BadOption` where the environment asks for something else than ours or torch's.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "ours", "torch"):
        raise BadOption(f"{VARIABLE}={wanted}: it is 'ours' or 'torch'")
    if half or wanted == "ours":
        return False
    return wanted == "torch" or (multiplications >= MATTERS and ratio() > CLEARLY)


@cache
def ratio() -> float:
    """The time of our product over that of torch's, of one thread; it takes some hundredths of a second to find out."""
    library = load()
    assert library is not None
    rows, depth, columns = _SHAPE
    a, b, c = torch.ones(rows, depth), torch.ones(depth, columns), torch.empty(rows, columns)
    rivals: tuple[Callable[[], object], ...] = (
        lambda: library.unrolled_try(0, rows, depth, columns, 1),
        lambda: torch.mm(a, b, out=c),
    )
    best, before = [float("inf")] * 2, torch.get_num_threads()
    torch.set_num_threads(1)  # two threads that wait for a busy processor would be all that is measured
    try:
        with torch.no_grad():
            for _ in range(20):
                for place, run in enumerate(rivals):
                    begun = time.perf_counter()
                    run()
                    best[place] = min(best[place], time.perf_counter() - begun)
    finally:
        torch.set_num_threads(before)
    return best[0] / best[1]


def read(inputs: Inputs, x: Tensor, ih: Tensor, biases: Sequence[Tensor | None], gates: Tensor, hidden: int) -> None:
    """The input's share of the gates, (elements, width * hidden), by torch; biases: what is added to each block."""
    for (first, count, at), bias in zip(inputs, biases, strict=True):
        block = ih[first * hidden : (first + count) * hidden]
        out = gates[:, at * hidden : (at + count) * hidden]
        torch.mm(x, block.T, out=out)
        if bias is not None:
            out += bias


def back(inputs: Inputs, x: Tensor, ih: Tensor, dgates: Tensor, hidden: int, dih: Tensor, dx: Tensor | None) -> None:
    """Put the gradient of the weights into `dih`, and add that of the input to `dx`, by torch."""
    for first, count, at in inputs:
        here = slice(first * hidden, (first + count) * hidden)
        part = dgates[:, at * hidden : (at + count) * hidden]
        torch.mm(part.T, x, out=dih[here])
        if dx is not None:
            dx.addmm_(part, ih[here])
