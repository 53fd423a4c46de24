"""The elements of a long text as numbers on the disk: made once, read through a memory map.

    <cache>/tokens/<key>.ids     the numbers, 16 bits each where all fit, else 32; little-endian, nothing else
    <cache>/tokens/<key>.json    how far it is: lines and elements that are in it, and a checksum of these

The key is a hash of all that the numbers depend on: the text, the tokeniser, the vocabulary. So another text or
vocabulary has another file, and a file that is there is the right one for every training that asks for it. The folder
is that of `data/cache.py`.

A file is made in stretches. Each is written through to the disk before the index says so; what stands behind the
recorded end was being written when the maker was killed, and is cut off. A file that does not agree with its index is
made anew.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import filelock
import numpy as np
from numpy.typing import NDArray

from unrolled.data import cache
from unrolled.data.examples import Passage
from unrolled.data.long_text import BLOCK, LongText
from unrolled.errors import CannotWrite
from unrolled.files import write_whole

STRETCH = 1 << 20
"""Elements, at least, that are made before they are recorded."""
LAYOUT = 1
"""Of the file and its index; a part of the key."""
PATIENCE = 1.0
"""Seconds between two looks at how far another process is that makes the same file."""


class Made(NamedTuple):
    """How far a file is: lines and elements that are in it, the CRC-32 of its bytes so far, and whether it is all."""

    lines: int = 0
    elements: int = 0
    checksum: int = 0
    whole: bool = False


class TokenFile:
    """A long text's numbers.

    Args:
        text: the lines.
        encode: the numbers of a line, (elements,).
        symbols: how many different numbers there are, from 0 on.
        of: what `encode` depends on, as plain values.
        stretch: elements, at least, that are made before they are recorded.
    """

    def __init__(
        self,
        text: LongText,
        encode: Callable[[Passage], NDArray[np.int64]],
        *,
        symbols: int,
        of: Mapping[str, Any],
        stretch: int = STRETCH,
    ) -> None:
        self._text, self._encode, self._stretch, self._ready = text, encode, stretch, False
        self.type = np.dtype("<u2" if symbols <= 1 << 16 else "<u4")
        whole = {"layout": LAYOUT, "type": self.type.str, "text": text.fingerprint, "of": of}
        self.path = cache.folder() / "tokens" / f"{cache.key(whole)}.ids"
        self._index = self.path.with_suffix(".json")

    def ids(self) -> NDArray[Any]:
        """The numbers, (elements,), as a memory map of the file; it is made where it is not there."""
        if not self._ready:
            deque(self.make(), maxlen=0)
        return np.memmap(self.path, dtype=self.type, mode="r", shape=(self._made().elements,))

    def make(self) -> Iterator[tuple[int, int]]:
        """Make it, or what is missing of it; where another process is at it, wait for that.

        Yields how many lines are done, and of how many, from time to time.

        Raises:
            BadData: the text cannot be read, or was changed in between.
            CannotWrite: with the system's reason.
        """
        if self._made().whole and self._intact(self._made()):
            self._ready = True
            return
        self._do(lambda: self.path.parent.mkdir(parents=True, exist_ok=True))
        lock = filelock.FileLock(self.path.with_suffix(".lock"))
        while not lock.is_locked:
            try:
                self._do(lambda: lock.acquire(timeout=PATIENCE, poll_interval=PATIENCE / 10))
            except filelock.Timeout:
                yield self._made().lines, len(self._text)
        try:
            made = self._made()
            if not self._intact(made):
                made = Made()
            if not made.whole:
                yield from self._go_on(made)
            self._ready = True
        finally:
            lock.release()

    def _go_on(self, made: Made) -> Iterator[tuple[int, int]]:
        self._do(lambda: self._cut(made))
        total, waiting, count = len(self._text), list[NDArray[np.int64]](), 0
        for number, passage in enumerate(islice(self._text, made.lines, None), made.lines + 1):
            waiting.append(self._encode(passage))
            count += len(waiting[-1])
            if count >= self._stretch and number < total:
                made = self._append(made, number, waiting)
                waiting, count = [], 0
                yield made.lines, total
        self._append(made, total, waiting, whole=True)
        yield total, total

    def _append(self, made: Made, lines: int, waiting: list[NDArray[np.int64]], *, whole: bool = False) -> Made:
        content = np.concatenate([np.zeros(0, np.int64), *waiting]).astype(self.type).tobytes()

        def write() -> None:
            with self.path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

        self._do(write)
        elements = made.elements + len(content) // self.type.itemsize
        made = Made(lines, elements, zlib.crc32(content, made.checksum), whole)
        write_whole(self._index, json.dumps(made._asdict()).encode())
        return made

    def _cut(self, made: Made) -> None:
        """Leave what is recorded."""
        with self.path.open("ab") as file:
            file.truncate(made.elements * self.type.itemsize)

    def _made(self) -> Made:
        """What the index says; nothing where it is not there or is none."""
        try:
            value = json.loads(self._index.read_bytes())
            made = Made(**value)
        except (OSError, ValueError, TypeError, RecursionError):
            return Made()
        counted = all(type(count) is int and count >= 0 for count in made[:3])
        return made if counted and type(made.whole) is bool else Made()

    def _intact(self, made: Made) -> bool:
        """Whether the file begins with what is recorded, and is no more than that where it is whole."""
        left, checksum = made.elements * self.type.itemsize, 0
        try:
            if made.whole and self.path.stat().st_size != left:
                return False
            with self.path.open("rb") as file:
                while left and (block := file.read(min(BLOCK, left))):
                    left, checksum = left - len(block), zlib.crc32(block, checksum)
        except OSError:
            return False
        return left == 0 and checksum == made.checksum

    def _do(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except filelock.Timeout:
            raise
        except OSError as error:
            reason = error.strerror or error
            hint = f"{cache.VARIABLE} in the environment names another folder for it"
            raise CannotWrite(f"cannot write {self.path}: {reason}; {hint}") from None
