"""Numbers below 1e-38, of which a vanishing gradient is made before it is zero: taken for zero while a step is made.

A processor takes some hundred cycles for each instruction that meets one. The compiled kernels see to it themselves, in
each of their threads; this is for what torch computes of cells without a kernel, and for the optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SUBNORMAL = 1e-40


def are_zero() -> bool:
    """Whether torch takes them for zero in this thread."""
    return bool((torch.tensor(SUBNORMAL, device="cpu") * 1) == 0)


@contextmanager
def flushed() -> Iterator[None]:
    """Within it they are zero in this thread; afterwards what they were before. Changes nothing on other processors."""
    before = are_zero()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
