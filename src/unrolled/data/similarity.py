"""Which sequences are relatives, so that none is tested on whose near relative was trained on.

Proteins and genes come in families: parted by lot, most test sequences have a relative in training, and a figure tells
how well relatives are recognised, not what the model knows of others. So relatives stay together, as after clustering
with CD-HIT (Li & Godzik 2006, doi:10.1093/bioinformatics/btl158). Two sequences are relatives where they share so many
of their words of k letters, of the shorter one's, and relatives of relatives are relatives. k is as long as it takes
for strangers to share hardly any: for proteins 4, for DNA 7 or more. Of DNA a word and its reverse complement are one,
since either strand may be given.

Where each letter stays with probability p a word stays with p^k: of proteins that agree in 70 % of their residues 0.24
of the words, of those that agree in 50 % 0.06.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadOption

RARE = 100
"""So many times as many different words as a sequence has there should be."""
_BASES = frozenset("ACGTUN")
_OTHER = str.maketrans("ACGTU", "TGCAA")
_BLOCK = 512
"""Sequences whose words are compared with all others at a time, so that memory does not grow with their square."""


def families(sequences: Sequence[str], share: float) -> NDArray[np.int64]:
    """The family of each sequence, by number. Case does not matter.

    Args:
        sequences: none is empty.
        share: of the shorter one's different words, from which on two are relatives: in (0, 1].

    Raises `BadOption` for another share.

    >>> families(["ACDEFGHIKLMNPQRSTVWY", "ACDEFGHIKLMNPQRSTVWW", "YWVTSRQPNMLKIHGFEDCA"], 0.5).tolist()
    [0, 0, 1]
    """
    if not 0 < share <= 1:
        raise BadOption(f"similarity must be more than 0, and 1 at most, not {share:g}")
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    upper = [sequence.upper() for sequence in sequences]
    size = word_length(upper)
    numbers: dict[str, int] = {}
    rows, columns = [], []
    for row, sequence in enumerate(upper):
        for word in _words(sequence, size):
            rows.append(row)
            columns.append(numbers.setdefault(word, len(numbers)))
    has = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), (len(upper), len(numbers)))
    counts = np.diff(has.indptr)
    beside, of = [], []
    transposed = has.T.tocsc()
    for start in range(0, len(upper), _BLOCK):
        shared = (has[start : start + _BLOCK] @ transposed).tocoo()
        one, other = shared.row + start, shared.col
        near = shared.data >= share * np.minimum(counts[one], counts[other])
        beside.append(one[near])
        of.append(other[near])
    one, other = np.concatenate(beside), np.concatenate(of)
    graph = csr_matrix((np.ones(len(one), dtype=np.int8), (one, other)), (len(upper), len(upper)))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def word_length(sequences: Sequence[str]) -> int:
    """How long words must be for there to be `RARE` times as many as a sequence has letters."""
    letters = max(len(set().union(*sequences)), 2)
    mean = sum(map(len, sequences)) / len(sequences)
    return max(2, math.ceil(math.log(RARE * mean) / math.log(letters)))


def _words(sequence: str, size: int) -> set[str]:
    """A sequence's different words; a shorter one is a single one."""
    words = {sequence[at : at + size] for at in range(max(len(sequence) - size, 0) + 1)}
    if not _BASES.issuperset(sequence):
        return words
    return {min(word, word[::-1].translate(_OTHER)) for word in words}
