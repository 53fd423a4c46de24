"""Pre-trained word vectors from text files: GloVe (Pennington, Socher & Manning 2014), word2vec and fastText `.vec`.

Each line is a word and its values, separated by single blanks. word2vec and fastText put a line "count features"
before them; GloVe does not. A few of GloVe's words have blanks inside ("at name@domain.com"): a line's last values are
its values, what is before them is its word.
"""

from __future__ import annotations

import gzip
import lzma
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import BadData

LONGEST_LINE = 1 << 20
"""Bytes. A longer line is no vector; without a limit a wrong file would be read into memory whole."""


class Vectors(NamedTuple):
    """What a file knew of a vocabulary. rows: (symbols, features) float32, zeros where not found; found: (symbols,)."""

    rows: Tensor
    found: Tensor


def load_vectors(path: str | Path, symbols: Sequence[str], *, features: int | None = None) -> Vectors:
    """The vectors of these symbols.

    The file is streamed: memory is that of the result. A symbol that is not in the file takes the vector of its lower
    case, where that is. Of two lines with one word the first counts. Values are read, and can be found wrong, only on
    the lines of the symbols; the number of values is checked on every line.

    Args:
        path: a text file, maybe compressed (`.gz`, `.xz`).
        symbols: the vocabulary, in the order of the rows wanted.
        features: how many values a vector must have; whatever the file has, where None.

    Raises:
        BadData: with the line, where the file is not such a file, is damaged, or has another number of features.
    """
    reading = _Reading(path, symbols, features)
    number = 0
    for number, line in enumerate(_lines(path), start=1):
        reading.take(number, line)
    if reading.read == 0:
        raise BadData("no vectors: the file is empty" if number == 0 else "no vectors after the first line", path)
    if reading.announced is not None and reading.read != reading.announced:
        problem = f"{reading.read} vectors where the first line announces {reading.announced}"
        raise BadData(f"{problem} (cut off? else correct the first line)", path)
    return reading.result()


class _Reading:
    """What is known while a file is read line by line."""

    def __init__(self, path: str | Path, symbols: Sequence[str], features: int | None) -> None:
        self.path, self.features = path, features
        self.size = len(symbols)
        self.exact = {symbol: row for row, symbol in enumerate(symbols)}
        self.lower: dict[str, list[int]] = {}
        for row, symbol in enumerate(symbols):
            if symbol.lower() != symbol:
                self.lower.setdefault(symbol.lower(), []).append(row)
        self.announced: int | None = None
        self.read = 0
        self.rows: Tensor | None = None
        self.found = [""] * self.size
        """For each row how it was found: "", "lower" or "exact"."""

    def take(self, number: int, line: bytes) -> None:
        fields = line.rstrip(b" \r\n").split(b" ")
        if number == 1 and len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():
            self.announced = int(fields[0])
            self._fix_features(int(fields[1]), number)
            return
        if fields == [b""]:
            return
        if self.rows is None:
            self._fix_features(len(fields) - 1, number)
        assert self.rows is not None
        size = self.rows.shape[1]
        surplus = len(fields) - 1 - size
        if surplus < 0 or (surplus > 0 and all(_is_value(field) for field in fields[1 : 1 + surplus])):
            raise BadData(f"{len(fields) - 1} values where {size} are expected", self.path, number)
        self.read += 1
        word = self._decode(b" ".join(fields[: 1 + surplus]), number)
        places = self._places(word)
        if places:
            values = self._values(fields[1 + surplus :], number)
            for row in places:
                self.rows[row] = values

    def result(self) -> Vectors:
        assert self.rows is not None
        return Vectors(self.rows, torch.tensor([how != "" for how in self.found], dtype=torch.bool))

    def _fix_features(self, features: int, number: int) -> None:
        if features < 1:
            raise BadData("a word without values", self.path, number)
        if self.features is not None and features != self.features:
            problem = f"vectors of {features} values where {self.features} are wanted"
            raise BadData(problem, self.path, number)
        self.rows = torch.zeros(self.size, features)

    def _decode(self, word: bytes, number: int) -> str:
        try:
            return word.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadData(
                f"the word is not valid UTF-8 (byte {error.start + 1} of the line)", self.path, number
            ) from None

    def _places(self, word: str) -> list[int]:
        places = []
        row = self.exact.get(word)
        if row is not None and self.found[row] != "exact":
            self.found[row] = "exact"
            places.append(row)
        for row in self.lower.get(word, ()):
            if not self.found[row]:
                self.found[row] = "lower"
                places.append(row)
        return places

    def _values(self, fields: list[bytes], number: int) -> Tensor:
        values = []
        for place, field in enumerate(fields, start=1):
            try:
                values.append(float(field))
            except ValueError:
                shown = field.decode("utf-8", "replace")[:40]
                raise BadData(f"value {place} is {shown!r}, not a number", self.path, number) from None
        row = torch.tensor(values)
        if not row.isfinite().all():
            place = int((~row.isfinite()).nonzero()[0]) + 1
            raise BadData(f"value {place} is {values[place - 1]}, not a finite number", self.path, number)
        return row


def _is_value(field: bytes) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _open(path: str | Path) -> IO[bytes]:
    kind = Path(path).suffix
    if kind == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return lzma.open(path, "rb") if kind == ".xz" else open(path, "rb")


def _lines(path: str | Path) -> Iterator[bytes]:
    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    raise BadData(f"a line of more than {LONGEST_LINE} bytes is no vector", path, number)
                yield line
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise BadData(f"damaged or cut off ({error})", path, number + 1) from None
    except OSError as error:
        raise BadData(f"cannot be read: {error.strerror or error}", path) from None
