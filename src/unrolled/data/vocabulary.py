"""Symbols and their numbers: words, characters, tags or labels.

No symbol stands for padding: nothing is padded inside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import UnknownName

UNKNOWN = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """Symbols in order; a symbol's place is its number. It never changes.

    Attributes:
        symbols: all symbols, each once. Where there is an unknown symbol it is the first.
        unknown: the symbol that stands for every other, number 0; None where an unseen symbol is an error.
        kind: what the symbols are, for messages: "word", "tag", "label".
        counts: how often each was seen, where that is known; the unknown symbol's is that of all that were dropped.

    >>> words = Vocabulary.build([["to", "be", "or", "not", "to", "be"]], most=2)
    >>> words.symbols, words.encode(["to", "see"]).tolist(), words.counts
    (('<unk>', 'be', 'to'), [2, 0], (2, 2, 2))
    """

    symbols: tuple[str, ...]
    unknown: str | None = None
    kind: str = "word"
    counts: tuple[int, ...] | None = None
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        object.__setattr__(self, "_numbers", numbers)
        if len(numbers) != len(self.symbols):
            twice = next(symbol for number, symbol in enumerate(self.symbols) if numbers[symbol] != number)
            raise ValueError(f"the {self.kind} {twice!r} stands twice in the vocabulary")
        if self.unknown is not None and self.symbols[:1] != (self.unknown,):
            raise ValueError(f"the unknown symbol {self.unknown!r} must be the first of the vocabulary")
        if self.counts is not None:
            object.__setattr__(self, "counts", tuple(self.counts))
            if len(self.counts) != len(self.symbols):
                raise ValueError(f"{len(self.counts)} counts for {len(self.symbols)} symbols")

    @classmethod
    def build(
        cls,
        sequences: Iterable[Iterable[str]],
        *,
        minimum_count: int = 1,
        most: int | None = None,
        unknown: str | None = UNKNOWN,
        kind: str = "word",
    ) -> Vocabulary:
        """Count symbols, most frequent first, equals in the order of their code points.

        Args:
            sequences: of symbols.
            minimum_count: rarer symbols are dropped.
            most: only so many symbols, the unknown one not counted.
            unknown: the symbol for what was dropped; None for none. Where it stands in the data it is itself.
            kind: what the symbols are, for messages.
        """
        counter: Counter[str] = Counter()
        for sequence in sequences:
            counter.update(sequence)
        total, named = counter.total(), counter.pop(unknown, 0) if unknown is not None else 0
        ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        kept = [(symbol, count) for symbol, count in ranked if count >= minimum_count][:most]
        if unknown is not None:
            dropped = total - named - sum(count for _, count in kept)
            kept.insert(0, (unknown, named + dropped))
        return cls(tuple(symbol for symbol, _ in kept), unknown, kind, tuple(count for _, count in kept))

    def including(self, symbols: Iterable[str]) -> Vocabulary:
        """The same, with those of these symbols that it has not, behind all others and never seen."""
        more = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self]
        counts = None if self.counts is None else (*self.counts, *(0 for _ in more))
        return Vocabulary((*self.symbols, *more), self.unknown, self.kind, counts)

    def __len__(self) -> int:
        return len(self.symbols)

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._numbers

    def index(self, symbol: str) -> int:
        """A symbol's number. Raises `UnknownName` for an unseen one where there is no unknown symbol."""
        number = self._numbers.get(symbol, -1 if self.unknown is None else 0)
        if number < 0:
            raise UnknownName(self.kind, symbol, self.symbols)
        return number

    def encode(self, symbols: Iterable[str]) -> NDArray[np.int64]:
        """The symbols' numbers. Raises `UnknownName` as `index` does."""
        get = self._numbers.get
        if self.unknown is not None:
            return np.array([get(symbol, 0) for symbol in symbols], dtype=np.int64)
        return np.array([self.index(symbol) for symbol in symbols], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The symbols of numbers (a sequence, array or tensor). Raises `IndexError` for one that is none's."""
        found = []
        for number in map(int, numbers):
            if not 0 <= number < len(self.symbols):
                raise IndexError(f"there is no {self.kind} number {number}: the vocabulary has {len(self.symbols)}")
            found.append(self.symbols[number])
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """A plain value that `from_json` turns back."""
        counts = None if self.counts is None else list(self.counts)
        return {"kind": self.kind, "unknown": self.unknown, "symbols": list(self.symbols), "counts": counts}

    @classmethod
    def from_json(cls, value: Any) -> Vocabulary:
        """The vocabulary of such a value. Raises `ValueError` that says what is wrong with any other."""
        if not isinstance(value, Mapping):
            raise ValueError(f"a vocabulary is a JSON object, not {type(value).__name__}")
        if set(value) != {"kind", "unknown", "symbols", "counts"}:
            raise ValueError(f"a vocabulary has kind, unknown, symbols and counts, not {', '.join(map(str, value))}")
        kind, unknown, symbols, counts = (value[key] for key in ("kind", "unknown", "symbols", "counts"))
        if not isinstance(kind, str) or not (unknown is None or isinstance(unknown, str)):
            raise ValueError("a vocabulary's kind and unknown symbol are strings")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise ValueError("a vocabulary's symbols are a list of strings")
        whole = isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts)
        if counts is not None and not whole:
            raise ValueError("a vocabulary's counts are a list of whole numbers")
        return cls(tuple(symbols), unknown, kind, None if counts is None else tuple(counts))
