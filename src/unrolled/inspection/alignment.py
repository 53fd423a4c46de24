"""What each target token looked at: the attention of one sentence as plain data, and what can be measured of it.

    entropy     H_t = - sum_s a_ts log2 a_ts     bits; 0: one source token; log2 S: all of them alike
    coverage    c_s = sum_t a_ts                 how often a source token was looked at, in all

a_ts is the share of target token t's attention that went to source token s, of S. Coverage: See et al. 2017,
arXiv:1704.04368, eq. 10, after the last step.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

TOLERANCE = 0.02
"""On a row's sum. Weights that were rounded to bfloat16 (8 bits) are apart from 1 by about half of it."""

_BLANK = "\u2423"
_NOT_TO_BE_SHOWN = "\ufffd"


class Alignment(NamedTuple):
    """One sentence: its tokens, and weights (target, source): each row a distribution over the source tokens."""

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: np.ndarray

    def entropy(self) -> np.ndarray:
        """How widely each target token looked: (target,), in bits."""
        logs = np.log2(self.weights, where=self.weights > 0, out=np.zeros_like(self.weights))
        # Adding 0 makes -0 a 0: what looked at one token only.
        return -(self.weights * logs).sum(axis=1) + 0.0

    def coverage(self) -> np.ndarray:
        """How often each source token was looked at: (source,); they sum to the number of target tokens."""
        return self.weights.sum(axis=0)


def checked(source_tokens: Sequence[str], target_tokens: Sequence[str], weights: Any) -> Alignment:
    """An alignment of tokens and weights (target, source), its rows scaled to sum to 1 exactly.

    weights: an array, a tensor on the CPU, or nested sequences. Raises `ValueError` where the shapes do not fit, or a
    row is no distribution.
    """
    source, target = tuple(source_tokens), tuple(target_tokens)
    found = np.asarray(weights, dtype=np.float64)
    if not source:
        raise ValueError("there are no source tokens to look at")
    if not target and not found.size:
        found = found.reshape(0, len(source))
    if found.shape != (len(target), len(source)):
        wanted = f"({len(target)} target tokens, {len(source)} source tokens)"
        raise ValueError(f"the weights have shape {found.shape}; they must be {wanted}")
    for token, row in zip(target, found, strict=True):
        total = row.sum()
        if not (np.isfinite(total) and row.min() >= 0 and abs(total - 1) <= TOLERANCE):
            raise ValueError(f"the weights of {token!r} are no distribution: least {row.min():.4g}, sum {total:.4g}")
    return Alignment(source, target, found / found.sum(axis=1, keepdims=True))


def legible(token: str) -> str:
    """A token as it can be shown anywhere: blanks at its ends and what controls a screen become visible.

    >>> legible(" der"), legible("a\\nb"), legible(""), legible("\\x1b[2J")
    ('␣der', 'a␊b', '∅', '␛[2J')
    """
    if not token:
        return "\u2205"
    inner = token.strip()
    start = token.index(inner) if inner else len(token)
    ends = len(token) - start - len(inner)
    return "".join([*map(_blank, token[:start]), *map(_sign, inner), *map(_blank, token[len(token) - ends :])])


def _blank(sign: str) -> str:
    shown = _sign(sign)
    return _BLANK if shown.isspace() else shown


def _sign(sign: str) -> str:
    kind = unicodedata.category(sign)
    if kind == "Cc":
        return chr(0x2400 + ord(sign)) if ord(sign) < 0x20 else "\u2421" if sign == "\x7f" else _NOT_TO_BE_SHOWN
    if kind in ("Zl", "Zp"):
        return "\u2424"
    # Half a surrogate pair is no text, and what turns the direction of writing would turn what stands beside it.
    turns = unicodedata.bidirectional(sign) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return _NOT_TO_BE_SHOWN if kind == "Cs" or turns else sign


def direction(tokens: Sequence[str]) -> str:
    """`rtl` where the first letter that has a direction is written from right to left, else `ltr`.

    >>> direction(["«", "שלום"]), direction(["3", "Hunde"])
    ('rtl', 'ltr')
    """
    for sign in "".join(tokens):
        kind = unicodedata.bidirectional(sign)
        if kind in ("L", "R", "AL"):
            return "ltr" if kind == "L" else "rtl"
    return "ltr"
