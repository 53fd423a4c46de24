r"""A softmax that is trained on a sample of its words (Jean, Cho, Memisevic & Bengio 2015, arXiv:1412.2007).

The sum over all words in the softmax's denominator is estimated by complementary sum sampling (Botev, Zheng & Barber
2017, PMLR 54): the words that a step's elements ask for are all in it, with their full weight; each other word is in
it with probability pi_j of its own, and then counts 1 / pi_j:

    Z = sum over j in T of e^{z_j} + sum over j in S \ T of e^{z_j} / pi_j

so that Z is right on average. Dividing by pi_j is a bias of -log pi_j; the loss is that of a softmax over some words.
pi_j goes as a power of the word's frequency, at most 1: the frequent words, which make up most of Z, are always in.

In evaluation, and where there are no more words than samples, it is the full softmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.kernels.softmax import Given, check_targets
from unrolled.layers.softmax import Softmax, total

POWER = 0.75
"""Of the frequency; Mikolov et al. 2013, arXiv:1310.4546, section 2.2."""


class SampledSoftmax(Softmax):
    """Hidden states to words.

    Args:
        hidden: features of an element.
        vocabulary: how many words there are.
        samples: how many words are drawn for a step, on average; all, where there are no more.
        counts: how often each word was seen.
        weight: the table of an embedding, to be tied to it; None: a weight of its own.

    Raises `BadOption` for less than one sample, or counts of other words.
    """

    def __init__(
        self,
        hidden: int,
        vocabulary: int,
        *,
        samples: int,
        counts: Sequence[int],
        weight: nn.Parameter | None = None,
    ) -> None:
        super().__init__(hidden, vocabulary, weight=weight)
        if samples < 1:
            raise BadOption(f"samples must be 1 or more, not {samples}")
        if len(counts) != vocabulary:
            raise BadOption(f"a softmax over {vocabulary} words needs as many counts, not {len(counts)}")
        self.samples = samples
        self.register_buffer("inclusion", inclusion(counts, samples), persistent=False)

    def loss(self, x: Tensor, targets: Tensor, **options: Any) -> Tensor:
        """As `Softmax.loss`; in training an estimate of it, whose reduction is `mean` or `sum` and has no other option.

        x: (elements, hidden). targets: (elements,).
        """
        if not self.training or self.samples >= len(self.weight):
            return super().loss(x, targets, **options)
        reduction = options.pop("reduction", "mean")
        if options or reduction not in ("mean", "sum"):
            raise BadOption("a sampled loss has no label smoothing and no weights, and is a sum or a mean")
        given = self._given(x, targets, 0.0)
        check_targets(given.targets, len(self.weight))
        asked, places = given.targets.unique(return_inverse=True)
        found = total(self._among(given, asked, places), given.x.new_ones(len(places)), 0.0)
        return found if reduction == "sum" else found / max(len(places), 1)

    def _among(self, given: Given, asked: Tensor, places: Tensor) -> Given:
        """The same question asked of some words only. places: where each target is among those asked for."""
        inclusion: Tensor = self.inclusion  # type: ignore[assignment]
        drawn = inclusion.bernoulli().index_fill_(0, asked, 0)
        others = drawn.nonzero().squeeze(1)
        words = torch.cat([asked, others])
        rarity = torch.cat([inclusion.new_zeros(len(asked)), inclusion[others].log()])
        bias = -rarity if self.bias is None else self.bias.index_select(0, words) - rarity
        return Given(given.x, self.weight.index_select(0, words), bias, places)


def inclusion(counts: Sequence[int], samples: int) -> Tensor:
    """With which probability each word is in a sample of so many words on average; (words,).

    In proportion to the power of its count; what would be above 1 is 1, and the others share what is left.
    """
    share = torch.tensor([max(count, 1) for count in counts], dtype=torch.float64).pow(POWER)
    if samples >= len(share):
        return torch.ones(len(share))
    certain = torch.zeros(len(share), dtype=torch.bool)
    while True:
        scale = (samples - int(certain.sum())) / share[~certain].sum()
        above = (share * scale >= 1) & ~certain
        if not above.any():
            return torch.where(certain, 1.0, share * scale).float()
        certain |= above
