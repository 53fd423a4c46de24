"""DNA read as the two strands that it is: a sequence and its reverse complement, by the same network.

What is made of both is their mean, so that both strands get one answer, exactly: of a label it is the same (it is
invariant), of a tag for each base it is the same at the same base (equivariant). A network that is shown either strand
by lot gives two answers still (Shrikumar, Greenside & Kundaje 2017, doi:10.1101/103663; one network for both and the
mean of what it makes of them, in training too, is the "conjoined" model of Zhou, Shrikumar & Kundaje 2022, PMLR 165).
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import BadData

Strands = Literal["given", "both"]

_DNA = "ACGTRYSWKMBDHVN"
_COMPLEMENT = str.maketrans(_DNA + _DNA.lower() + "Uu", "TGCAYRSWMKVHDBN" + "tgcayrswmkvhdbn" + "Aa")
_NO_BASE = re.compile(r"[^ACGTURYSWKMBDHVN.\s-]", re.IGNORECASE)


class TwoStrands(NamedTuple):
    """One example in numbers, as it was given and as the other strand has it."""

    given: Any
    other: Any

    @property
    def length(self) -> int:
        """Elements that the example costs."""
        return int(self.given.length + self.other.length)

    @property
    def tokens(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.given.tokens
        return found

    @property
    def contexts(self) -> Any:
        """What encoders read of the given one."""
        return self.given.contexts


class TwoBatches(NamedTuple):
    """The given strands of some examples, and the other ones: two batches of as many rows in the same order."""

    given: Any
    other: Any

    @property
    def targets(self) -> list[Any]:
        found: list[Any] = self.given.targets
        return found

    @property
    def place(self) -> np.ndarray:
        found: np.ndarray = self.given.place
        return found


def reverse_complement(sequence: str) -> str:
    """The other strand, read in its own direction. Case and gaps stay; what has U, as RNA has, gets U where A stood.

    Raises `BadData` for what is no base, nor IUPAC's letter for several.

    >>> reverse_complement("GATTACA"), reverse_complement("acgN"), reverse_complement("GGAU")
    ('TGTAATC', 'Ncgt', 'AUCC')
    """
    if found := _NO_BASE.search(sequence):
        raise BadData(f"{found[0]!r} at position {found.start() + 1} is no base: strands=both is for DNA and RNA")
    other = sequence[::-1].translate(_COMPLEMENT)
    if "U" in sequence.upper():
        other = other.replace("T", "U").replace("t", "u")
    return other


def turned(data: Tensor, place: np.ndarray, lengths: np.ndarray) -> Tensor:
    """A packed batch's elements with each row from its end.

    Args:
        data: (elements, features), in packed order.
        place: where each of them stands in the rows laid end to end, in the caller's order.
        lengths: of these rows.
    """
    ends = np.cumsum(lengths)
    row = np.repeat(np.arange(len(lengths)), lengths)
    mirrored = ends[row] - 1 - (np.arange(len(row)) - (ends - lengths)[row])
    packed_at = np.empty(len(place), dtype=np.int64)
    packed_at[place] = np.arange(len(place))
    return data.index_select(0, torch.from_numpy(packed_at[mirrored[place]]))
