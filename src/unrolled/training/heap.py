"""Freed memory is kept while a network trains: each step asks for the same large pieces again, which the system would
have to fill with zeros anew, page by page. That takes up to a quarter of a step.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

TRIM, TOP_PAD, LARGE = -1, -2, -3
"""What `mallopt` of the GNU C library calls M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD."""

KEEP = 1 << 30
"""Bytes: pieces up to this size are kept when they are freed, and as much in all."""

AFTER = {LARGE: 32 << 20, TRIM: 64 << 20, TOP_PAD: 128 << 10}
"""What it goes on with: where the library's own rule has come to in a process that has freed large pieces."""


@contextmanager
def kept() -> Iterator[None]:
    """Within this, freed memory stays with the process; at its end what is free goes back.

    Does nothing with another C library than GNU's, nor where the environment says how memory is to be kept.
    """
    library = _library()
    if library is None:
        yield
        return
    for name, value in ((LARGE, KEEP), (TRIM, KEEP), (TOP_PAD, KEEP >> 4)):
        library.mallopt(name, value)
    try:
        yield
    finally:
        for name, value in AFTER.items():
            library.mallopt(name, value)
        library.malloc_trim(0)


def _library() -> ctypes.CDLL | None:
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018 - whether they are there
    except (OSError, AttributeError, TypeError):
        return None
    return library
