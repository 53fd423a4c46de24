r"""The adaptive softmax, Grave, Joulin, Cissé, Grangier & Jégou 2017, arXiv:1609.04309, section 4.

Words stand in the order of their frequency and are cut into a head and tails. The head's softmax is over its words and
one symbol for each tail; a word of a tail has the probability of its tail times its own within it:

    p(j) = p_head(j)                    j in the head
    p(j) = p_head(tail k) p_k(j)        j in tail k

Each is a softmax of `layers.softmax`, so its loss and gradients come together and no logits are kept. A tail is
computed for those elements alone whose word is in it: with most elements in the head, that is most of the work saved.
It is a distribution of its own, not an approximation of the full softmax.

Where the table is tied, all words have their full vectors. Else the tails have smaller ones, as the paper has it:
tail k = 1, 2, … reads x through a projection to hidden / shrink^k features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.kernels.softmax import Given, check_targets
from unrolled.layers import softmax

PRICE = 100
"""What a further tail costs beside its words, counted in words of the head."""


class AdaptiveSoftmax(nn.Module):
    """Hidden states to words, the frequent ones first.

    Args:
        hidden: features of an element.
        vocabulary: how many words there are.
        cutoffs: the first word of each tail, rising.
        weight: the table of an embedding, (vocabulary, hidden), to be tied to it; None: weights of its own.
        shrink: without a table, how much smaller the vectors of each tail are than those of the one before.

    Raises `BadOption` for cutoffs that do not rise within the vocabulary, and a table of another shape.
    """

    def __init__(
        self,
        hidden: int,
        vocabulary: int,
        cutoffs: Sequence[int],
        *,
        weight: nn.Parameter | None = None,
        shrink: int = 4,
    ) -> None:
        super().__init__()
        edges = [0, *cutoffs, vocabulary]
        if len(edges) < 3 or any(a >= b for a, b in pairwise(edges)):
            raise BadOption(f"cutoffs must rise from 1 to {vocabulary - 1}, not {list(cutoffs)}")
        if weight is not None and weight.shape != (vocabulary, hidden):
            raise BadOption(f"the weight to be tied must be {(vocabulary, hidden)}, not {tuple(weight.shape)}")
        if shrink < 1:
            raise BadOption(f"shrink must be 1 or more, not {shrink}")
        self.edges, self.sizes = edges, [b - a for a, b in pairwise(edges)]
        tails = len(cutoffs)
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.tails = nn.Parameter(torch.empty(tails, hidden))
        self.tails_bias = nn.Parameter(torch.zeros(tails))
        features = [max(hidden // shrink**k, 1) for k in range(tails + 1)]
        own = weight is None
        sizes = zip(self.sizes, features, strict=True)
        self.parts = nn.ParameterList(nn.Parameter(torch.empty(size, f)) for size, f in sizes if own)
        self.projections = nn.ParameterList(nn.Parameter(torch.empty(f, hidden)) for f in features[1:] if own)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(features), as `torch.nn.Linear`; a weight that is tied is left as it is."""
        for matrix in (self.tails, *self.parts, *self.projections):
            bound = 1 / math.sqrt(matrix.shape[1])
            nn.init.uniform_(matrix, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x: (…, hidden) -> the logarithms of all probabilities, (…, vocabulary)."""
        weights, biases = self._weights()
        head = (x @ weights[0].t() + biases[0]).log_softmax(-1)
        found = [head[..., : self.sizes[0]]]
        for k in range(1, len(self.sizes)):
            within = (self._projected(x, k) @ weights[k].t() + biases[k]).log_softmax(-1)
            found.append(head[..., self.sizes[0] + k - 1, None] + within)
        return torch.cat(found, -1)

    def loss(self, x: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
        """The cross-entropy of all elements, a scalar.

        Args:
            x: (elements, hidden). targets: (elements,), long, each at least 0 and below the vocabulary.
            reduction: `sum` or `mean`.
        """
        parts = [softmax.total(given, given.x.new_ones(len(given.x)), 0.0) for given, _ in self._given(x, targets)]
        whole = torch.stack(parts).sum()
        return whole if reduction == "sum" else whole / len(targets)

    @torch.no_grad()
    def losses(self, x: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of each element, (elements,), without gradients. Arguments as `loss`."""
        found = x.new_zeros(len(targets))
        for given, rows in self._given(x, targets):
            found.index_add_(0, rows, softmax.losses(given, 0.0))
        return found

    def _given(self, x: Tensor, targets: Tensor) -> list[tuple[Given, Tensor]]:
        """What the head, and each tail that a word is in, are to learn, and of which elements."""
        check_targets(targets, self.edges[-1])
        weights, biases = self._weights()
        tail = torch.bucketize(targets, targets.new_tensor(self.edges[1:-1]), right=True)
        everywhere = torch.arange(len(targets), device=targets.device)
        first = torch.where(tail == 0, targets, self.sizes[0] - 1 + tail)
        found = [(Given(x, weights[0], biases[0], first), everywhere)]
        for k in range(1, len(self.sizes)):
            rows = (tail == k).nonzero().squeeze(1)
            if len(rows):
                inside = targets[rows] - self.edges[k]
                found.append((Given(self._projected(x[rows], k), weights[k], biases[k], inside), rows))
        return found

    def _weights(self) -> tuple[list[Tensor], list[Tensor]]:
        """Of the head, its words and the tails', and of each tail."""
        weights = list(self.parts) if self.weight is None else list(self.weight.split(self.sizes))
        biases = list(self.bias.split(self.sizes))
        return (
            [torch.cat([weights[0], self.tails]), *weights[1:]],
            [torch.cat([biases[0], self.tails_bias]), *biases[1:]],
        )

    def _projected(self, x: Tensor, tail: int) -> Tensor:
        return x @ self.projections[tail - 1].t() if len(self.projections) else x

    def extra_repr(self) -> str:
        return f"cutoffs={self.edges[1:-1]}, tied={self.weight is not None}"


def cutoffs_for(counts: Sequence[int], tails: int = 2) -> list[int]:
    """The cutoffs with which the fewest products are to be expected, with at most so many tails.

    counts: how often each word was seen, the most frequent first; at least 2.
    """
    words = len(counts)
    seen = np.cumsum(np.maximum(np.asarray(counts, dtype=np.float64), 1.0))
    seen /= seen[-1]
    places = sorted({min(max(round(words * share), 1), words - 1) for share in np.geomspace(0.01, 1, 60)})

    def cost(cuts: tuple[int, ...]) -> float:
        edges = [*cuts, words]
        inside = sum((seen[b - 1] - seen[a - 1]) * (b - a) for a, b in pairwise(edges))
        return cuts[0] + PRICE * len(cuts) + inside

    several: list[tuple[int, ...]] = []
    for count in range(1, tails + 1):
        several += combinations(places, count)
    best = min(several, key=cost)
    return list(best)
