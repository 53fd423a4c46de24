"""Room for what is laid out once and read again and again: in large pages, where the system has them.

A step of a few rows reads each weight once, so that it takes as long as they take to come from the shared cache or from
memory. Processors fetch ahead within a page: with pages of 2 MiB, not of 4 KiB, that is a tenth to a fifth quicker.
"""

from __future__ import annotations

import mmap

import torch
from torch import Tensor

LARGE = 2 << 20
"""Bytes of a large page."""


def lasting(size: int) -> Tensor:
    """So many bytes, (size,), uint8, which hold anything."""
    if size < LARGE // 2 or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8)
    whole = (size + LARGE - 1) // LARGE * LARGE
    pages = mmap.mmap(-1, whole + LARGE)  # what is in front of the first large page is never touched
    room = torch.frombuffer(pages, dtype=torch.uint8)  # keeps the pages as long as it lives
    start = -room.data_ptr() % LARGE
    try:
        pages.madvise(mmap.MADV_HUGEPAGE, start, whole)
    except OSError:  # a system without them
        return torch.empty(size, dtype=torch.uint8)
    return room[start : start + size]
