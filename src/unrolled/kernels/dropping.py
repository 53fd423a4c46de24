"""Elements dropped at random, by the compiled kernels: the mask is computed from a key wherever it is needed, and kept
nowhere.

As in `recurrence`, everything that the compiled code takes on trust is looked at here.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from unrolled.kernels.library import Dropping, load, needed

SMALL = 1 << 15
"""Elements below which a second thread costs more than it brings."""


def supports(x: Tensor) -> bool:
    """Whether the kernels are there and take this: float32 on the CPU."""
    return x.dtype is torch.float32 and x.is_cpu and load() is not None


def drop(x: Tensor, p: float, key: int) -> Tensor:
    """x with elements at 0, the others divided by 1 - p.

    Element k, in the order of x read row by row, goes where its word is below p * 2^32: word k // 16 % 4 of what Philox
    4x32-10 makes of this key and of the counter k // 64 * 16 + k % 16 // 2 + k % 2 * 8.

    Args:
        x: any shape.
        p: the probability with which an element goes, at least 0 and below 1; taken to a whole number of 2^-32.
        key: at least 0 and below 2^64. The same key drops the same places.

    Raises:
        ValueError: something does not fit.
        RuntimeError: there are no compiled kernels.
    """
    if x.dtype is not torch.float32 or not x.is_cpu:
        raise ValueError(f"what is dropped must be float32 on the CPU, not {x.dtype} on {x.device}")
    if not (0 <= p < 1 and 0 <= key < 1 << 64):
        raise ValueError(f"a probability of {p} or a key of {key} cannot be: wanted are 0 <= p < 1, 0 <= key < 2^64")
    x = x.contiguous()
    to = torch.empty_like(x)
    below = min(round(p * 2**32), 2**32 - 1)
    given = Dropping(x.data_ptr(), to.data_ptr(), x.numel(), key, below, 1 / (1 - p))
    needed().unrolled_drop(ctypes.byref(given), torch.get_num_threads() if x.numel() > SMALL else 1)
    return to
