"""The likeliest words of rows of logits, by the compiled kernels, for decoding.

As in `recurrence`, everything that the compiled code takes on trust is looked at here.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from unrolled.kernels.library import Leading, load, needed

SMALL = 1 << 16
"""Logits below which a second thread costs more than it brings."""
MOST = 64
"""Words of a row that can be found: for many more than a beam's width a sort is quicker."""


def supports(logits: Tensor, count: int) -> bool:
    """Whether the kernels are there and take these: float32 on the CPU, a few words of each row."""
    fit = logits.dim() == 2 and logits.numel() > 0 and 1 <= count <= min(MOST, logits.shape[-1])
    return fit and logits.dtype is torch.float32 and logits.is_cpu and load() is not None


def find(logits: Tensor, count: int, barred: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Log-probabilities, of all words, of the few likeliest.

    Args:
        logits: (rows, words).
        count: how many are looked for.
        barred: (words,), uint8: not 0 for a word that may not be taken. It counts in the sum all the same.

    Returns:
        (rows, count), float64, the largest first, NaN in a row with a logit that is no number or with nothing but -inf;
        and whose they are, long. Of equals the first are taken. Where fewer words may be taken, the others are -inf.

    Raises:
        ValueError: something does not fit.
        RuntimeError: there are no compiled kernels.
    """
    logits, barred = checked(logits, count, barred)
    rows, words = logits.shape
    best, places = logits.new_empty(rows, count), torch.empty(rows, count, dtype=torch.long)
    norms = torch.empty(rows, 1, dtype=torch.float64)
    given = Leading(
        logits.data_ptr(), rows, words, logits.stride(0), None if barred is None else barred.data_ptr(), count,
        best.data_ptr(), places.data_ptr(), norms.data_ptr(),
    )  # fmt: skip
    needed().unrolled_leading(ctypes.byref(given), threads(logits))
    return best - norms, places


def checked(logits: Tensor, count: int, barred: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Both, with rows of neighbouring numbers. Raises `ValueError` where they do not fit."""
    if not supports(logits, count):
        found = f"{tuple(logits.shape)} in {logits.dtype} on {logits.device}"
        raise ValueError(f"{count} words cannot be looked for in {found}: wanted is float32 on the CPU")
    words = logits.shape[1]
    if barred is not None and (barred.shape != (words,) or barred.dtype is not torch.uint8 or not barred.is_cpu):
        raise ValueError(f"barred must be {words} numbers of uint8 on the CPU, not {tuple(barred.shape)}")
    return logits if logits.stride(1) == 1 else logits.contiguous(), None if barred is None else barred.contiguous()


def threads(logits: Tensor) -> int:
    """As many as torch may use, but one for a few logits."""
    return torch.get_num_threads() if logits.numel() > SMALL else 1
