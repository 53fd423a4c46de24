"""A text larger than memory: the lines of one file as a sequence that is read from the disk each time.

What is read is what `data.reading` reads, by the same code, with the same errors. Of the file no more than a line is
held at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

from unrolled.data import cache, reading
from unrolled.data.examples import Example, Passage
from unrolled.data.lines import COMPRESSED
from unrolled.errors import BadData

LONG = 64 << 20
"""Bytes from which on a text is read from the disk and not into memory, where a line takes ten times its bytes."""
PACKED = 4
"""About so many times its size on the disk is a compressed text."""
SAMPLED = 64 << 20
"""Bytes of a long text, at most, from which pieces of words are learnt."""
BLOCK = 1 << 20


class LongText(Sequence[Passage]):
    """Lines of a file, without holding them. To go through them reads the file from its start; to ask for one by its
    number reads all before it.

    Args:
        path: the file, plain, `.gz` or `.xz`.
        start, stop: which of its examples, from number `start` on, counted from 0, to before number `stop`; None: all
            that follow.
        options: of `reading.stream`.

    Raises `BadData` where the file is not there; when it is read, also for what is wrong with it, and where it is
    another than it was at first.
    """

    def __init__(self, path: str | Path, *, start: int = 0, stop: int | None = None, **options: Any) -> None:
        self.path, self.start, self.stop, self.options = Path(path), start, stop, options
        self._known: int | None = None
        self._was = self._stamp()

    def __iter__(self) -> Iterator[Passage]:
        self._must_be_the_same()
        number = 0
        for passage in islice(reading.stream(self.path, Passage, **self.options), self.start, self.stop):
            number += 1
            yield passage
        self._must_be_the_same()
        self._known = number

    def __len__(self) -> int:
        """Known when they have been gone through once, be it in another process; else that is done now."""
        if self._known is None:
            self._known = int(cache.remembered("lengths", self.fingerprint, lambda: sum(1 for _ in self)))
        return self._known

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    @overload
    def __getitem__(self, place: int) -> Passage: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Passage]: ...
    def __getitem__(self, place: int | slice) -> Passage | Sequence[Passage]:
        """A line; or some that follow each other, which are a long text again; or, with a step, a list of them."""
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            if step != 1:
                return list(islice(self, start, stop, step))
            stop = max(start, stop)
            part = LongText(self.path, start=self.start + start, stop=self.start + stop, **self.options)
            part._known = stop - start
            return part
        place = place if place >= 0 else place + len(self)
        found = next(islice(self, place, None), None) if place >= 0 else None
        if found is None:
            raise IndexError(f"there is no line {place}")
        return found

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What the lines depend on, as plain values: the file's content, which of it, and how it is read."""
        self._must_be_the_same()
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        except OSError as error:
            raise BadData(f"it cannot be read: {error.strerror or error}", self.path) from None
        self._must_be_the_same()
        kind = reading.format_name(self.path, self.options.get("format"))
        given = {name: value for name, value in self.options.items() if value and name != "format"}
        lines = [self.start, self.stop]
        return {"sha256": digest.hexdigest(), "format": kind, "reading": given, "lines": lines}

    @property
    def digest(self) -> str:
        """The same in short; see `digest_of`."""
        return hashlib.sha256(json.dumps(self.fingerprint, sort_keys=True).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the whole file, where it is compressed about."""
        return self._was[0] * (PACKED if self.path.suffix.lower() in COMPRESSED else 1)

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise BadData("there is no such file", self.path) from None
        except OSError as error:
            raise BadData(f"it cannot be read: {error.strerror or error}", self.path) from None
        return found.st_size, found.st_mtime_ns

    def _must_be_the_same(self) -> None:
        if self._stamp() != self._was:
            raise BadData("the file was changed while it was in use; begin again", self.path)

    def __repr__(self) -> str:
        return f"LongText({str(self.path)!r}, start={self.start}, stop={self.stop})"


def is_long(path: str | Path, example_type: type[Example], **options: Any) -> bool:
    """Whether examples of that type are to be read from this file as a `LongText`: they run on, the file is larger
    than `LONG`, and its format is read line by line. options: of `reading.stream`.
    """
    path = Path(path)
    if example_type is not Passage or not path.is_file() or LongText(path).size <= LONG:
        return False
    return reading.format_of(path, options.get("format"), example_type=example_type).streamed


def sampled(examples: Sequence[Passage]) -> Iterable[Passage]:
    """What is enough to learn pieces of words from: all that are in memory; of a long text every k-th line, so that
    they have `SAMPLED` bytes at most, about.
    """
    if not isinstance(examples, LongText):
        return examples
    return islice(examples, 0, None, max(1, -(-examples.size // SAMPLED)))


def digest_of(examples: Sequence[Any]) -> str:
    """What tells whether two trainings have the same examples: a hash of all that they are, or, of what knows a
    cheaper one, its `digest`.
    """
    known = getattr(examples, "digest", None)
    if known is None:
        digest = hashlib.sha256()
        for example in examples:
            digest.update(repr(example).encode())
        known = digest.hexdigest()
    return f"{len(examples)} examples, sha256 {known[:16]}"
