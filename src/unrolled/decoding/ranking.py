r"""What ranks hypotheses: their log-probability, set against their length and what of the source they have covered.

    score(Y) = log P(Y) / divisor(l) + beta * sum_i log(min(sum_j p_ij, 1))

l counts what was summed: the tokens and, where the hypothesis finished, the end mark; at least 1. p_ij is how much
the j-th of them attended to the i-th place of the source. With alpha and beta, both 0 or more,

    none      divisor(l) = 1
    length    divisor(l) = l^alpha
    gnmt      divisor(l) = ((5 + l) / 6)^alpha        Wu et al. 2016, arXiv:1609.08144, eq. 14; so is the second sum

A place that was never looked at counts as if it had got the least positive float32, since log 0 would hide all else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from unrolled.errors import BadOption, UnknownName

Normalisation = Literal["none", "length", "gnmt"]

_LEAST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Ranking:
    """A way to score.

    Args:
        normalisation: which divisor.
        length_penalty: alpha; 0 is as "none".
        coverage_penalty: beta; 0: the source is not looked at.

    Raises `UnknownName` or `BadOption` for what is none of these.
    """

    normalisation: Normalisation = "length"
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.normalisation not in get_args(Normalisation):
            raise UnknownName("normalisation", self.normalisation, get_args(Normalisation))
        # Below 0 shorter would be better yet than without it, and the bound that stops a search would not hold.
        for name in ("length_penalty", "coverage_penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise BadOption(f"{name} must be 0 or more, not {getattr(self, name)}")

    def divisor(self, length: int) -> float:
        """Never less for a longer one."""
        if self.normalisation == "none":
            return 1.0
        length = max(length, 1)
        return float(length if self.normalisation == "length" else (5 + length) / 6) ** self.length_penalty

    def score(self, log_probability: float, length: int, coverage: Sequence[float] = ()) -> float:
        """The equation above; coverage: what each place of the source got in all."""
        # fsum is exact: however much padding stands behind a source, its sum is the same to the last bit.
        missing = math.fsum(math.log(min(max(each, _LEAST), 1.0)) for each in coverage)
        return log_probability / self.divisor(length) + self.coverage_penalty * missing
