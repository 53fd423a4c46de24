"""What a network says of a number that is to come: not one number, but how probable each is.

    quantiles           a number for each level, by the pinball loss (Koenker & Bassett 1978; for recurrent networks
                        Wen et al. 2017, arXiv:1711.11053)
    gaussian            mean and deviation, by the likelihood (Salinas et al. 2020, arXiv:1704.04110, section 3.1)
    student             Student's t: mean, deviation and degrees of freedom, for series with outliers
    negative_binomial   for counts: mean and shape (ibid., equation 3)

A network gives `size` raw numbers for each element, in units in which a series is of about 1: a value is
centre + scale * number. Counts are no such numbers, so their distribution is told the scale, and the centre is 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributions as known
from torch.nn.functional import softplus

from unrolled.errors import BadOption

SMALLEST = 1e-4
"""Deviation, in scaled units: a likelihood has no bound where all values are one."""


class Distribution(ABC):
    """The contract.

    Attributes:
        size: raw numbers of an element.
    """

    size: int

    def first(self) -> list[float]:
        """Raw numbers to begin with: 0, as uncertain as one unit."""
        return [0.0] * self.size

    @abstractmethod
    def loss(self, raw: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        """Of each element, (elements,). raw: (elements, size); values: (elements,), scaled; scale: (elements,)."""

    @abstractmethod
    def quantiles(self, raw: Tensor, levels: Sequence[float], scale: Tensor) -> Tensor:
        """(elements, levels), scaled, not falling from level to level where these do not."""

    @abstractmethod
    def draw(self, raw: Tensor, uniform: Tensor, scale: Tensor) -> Tensor:
        """The quantile of each element at a level of its own, (elements,), scaled. Where the levels are drawn evenly
        from (0, 1), the values are drawn from the distribution. May raise `BadOption`.
        """


class Quantiles(Distribution):
    """A number for each level.

    Args:
        levels: rising, in (0, 1).

    Raises `BadOption` for others.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        if not levels or any(not 0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)):
            raise BadOption(f"levels of quantiles must rise, and lie between 0 and 1: {list(levels)}")
        self.levels, self.size = tuple(levels), len(levels)

    def first(self) -> list[float]:
        """Those of a normal distribution."""
        return [NormalDist().inv_cdf(level) for level in self.levels]

    def loss(self, raw: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        apart = values.unsqueeze(-1) - raw
        levels = torch.tensor(self.levels, dtype=raw.dtype)
        return 2 * torch.maximum(levels * apart, (levels - 1) * apart).mean(-1)

    def quantiles(self, raw: Tensor, levels: Sequence[float], scale: Tensor) -> Tensor:
        """Between those that it has by the line through its neighbours; beyond them the outermost. Those that cross are
        put in order (Chernozhukov, Fernández-Val & Galichon 2010)."""
        own = raw.sort(-1).values.double().numpy()
        found = np.stack([np.interp(levels, self.levels, row) for row in own]) if len(own) else own[:, :0]
        return torch.from_numpy(found).to(raw.dtype)

    def draw(self, raw: Tensor, uniform: Tensor, scale: Tensor) -> Tensor:
        raise BadOption("quantiles are not drawn from: strategy=direct, or another likelihood")


class Gaussian(Distribution):
    """Mean and deviation."""

    size = 2

    def loss(self, raw: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        return -self._of(raw).log_prob(values)

    def quantiles(self, raw: Tensor, levels: Sequence[float], scale: Tensor) -> Tensor:
        found = self._of(raw.unsqueeze(1))
        return found.icdf(torch.tensor(levels, dtype=raw.dtype))

    def draw(self, raw: Tensor, uniform: Tensor, scale: Tensor) -> Tensor:
        return self._of(raw).icdf(uniform)

    def _of(self, raw: Tensor) -> known.Normal:
        return known.Normal(raw[..., 0], softplus(raw[..., 1]) + SMALLEST)


class StudentT(Distribution):
    """Mean, deviation and degrees of freedom, more than 2."""

    size = 3

    def loss(self, raw: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        return -self._of(raw).log_prob(values)

    def quantiles(self, raw: Tensor, levels: Sequence[float], scale: Tensor) -> Tensor:
        return self._at(raw.unsqueeze(1), np.asarray(levels)[None])

    def draw(self, raw: Tensor, uniform: Tensor, scale: Tensor) -> Tensor:
        return self._at(raw, uniform.double().numpy())

    def _at(self, raw: Tensor, levels: NDArray[np.float64]) -> Tensor:
        from scipy.stats import t

        of = self._of(raw.double())
        return (of.loc + of.scale * torch.from_numpy(t.ppf(levels, of.df.numpy()))).to(raw.dtype)

    def _of(self, raw: Tensor) -> known.StudentT:
        return known.StudentT(2 + softplus(raw[..., 2]), raw[..., 0], softplus(raw[..., 1]) + SMALLEST)


class NegativeBinomial(Distribution):
    """Of counts: their mean, and how much more they vary than it (the variance is mean + shape * mean²)."""

    size = 2

    def loss(self, raw: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        return -self._of(raw, scale).log_prob((values * scale).round())

    def quantiles(self, raw: Tensor, levels: Sequence[float], scale: Tensor) -> Tensor:
        return self._at(raw.unsqueeze(1), np.asarray(levels)[None], scale[:, None])

    def draw(self, raw: Tensor, uniform: Tensor, scale: Tensor) -> Tensor:
        return self._at(raw, uniform.double().numpy(), scale)

    def _at(self, raw: Tensor, levels: NDArray[np.float64], scale: Tensor) -> Tensor:
        from scipy.stats import nbinom

        mean, shape = (part.double().numpy() for part in self._parts(raw, scale))
        counts: NDArray[np.float64] = nbinom.ppf(levels, 1 / shape, 1 / (1 + mean * shape))
        return torch.from_numpy(counts).to(raw.dtype) / scale

    def _parts(self, raw: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and shape of the counts themselves."""
        return scale * (softplus(raw[..., 0]) + SMALLEST), (softplus(raw[..., 1]) + SMALLEST) / scale.sqrt()

    def _of(self, raw: Tensor, scale: Tensor) -> known.NegativeBinomial:
        mean, shape = self._parts(raw, scale)
        return known.NegativeBinomial(1 / shape, logits=(mean * shape).log())


def distribution_of(name: str, levels: Sequence[float]) -> Distribution:
    """By name. levels: of quantiles. Raises `BadOption` for another name."""
    if name == "quantiles":
        return Quantiles(levels)
    kinds: dict[str, type[Distribution]] = {
        "gaussian": Gaussian,
        "student": StudentT,
        "negative_binomial": NegativeBinomial,
    }
    if name not in kinds:
        raise BadOption(f"likelihood must be one of quantiles, {', '.join(kinds)}, not {name}")
    return kinds[name]()
