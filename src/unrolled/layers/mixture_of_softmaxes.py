r"""A mixture of softmaxes, Yang, Dai, Salakhutdinov & Cohen 2018, arXiv:1711.03953, eq. 1.

    p(j) = sum_k pi_k softmax_j(h_k W^T + b),    pi = softmax(V x),    h_k = tanh(U_k x + c_k)

One softmax of d features makes a matrix of logits of rank d at most; the logarithm of a mixture of some has no such
bound. The components share the words' vectors. Each is a softmax of `layers.softmax`, all of them one call: elements
times components are its rows, and no logits are kept in training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.layers.softmax import Softmax


class MixtureOfSoftmaxes(nn.Module):
    """Hidden states to words.

    Args:
        given: features of an element.
        features: of a word's vector.
        vocabulary: how many words there are.
        components: K.
        weight: the table of an embedding, (vocabulary, features), to be tied to it; None: a weight of its own.

    Raises `BadOption` for less than one component.
    """

    def __init__(
        self, given: int, features: int, vocabulary: int, *, components: int, weight: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        if components < 1:
            raise BadOption(f"components must be 1 or more, not {components}")
        self.components = components
        self.prior = nn.Linear(given, components, bias=False)
        self.latent = nn.Linear(given, components * features)
        self.softmax = Softmax(features, vocabulary, weight=weight)

    def forward(self, x: Tensor) -> Tensor:
        """x: (…, given) -> the logarithms of all probabilities, (…, vocabulary)."""
        logs = self.softmax(self._latent(x)).log_softmax(-1)
        return (self.prior(x).log_softmax(-1).unsqueeze(-1) + logs).logsumexp(-2)

    def loss(self, x: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
        """The cross-entropy of all elements, a scalar.

        Args:
            x: (elements, given). targets: (elements,), long, each at least 0 and below the vocabulary.
            reduction: `sum` or `mean`.
        """
        each = self.softmax.loss(self._latent(x), self._repeated(targets), reduction="none")
        found = self._mixed(x, each)
        return found.sum() if reduction == "sum" else found.mean()

    @torch.no_grad()
    def losses(self, x: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of each element, (elements,), without gradients. Arguments as `loss`."""
        return self._mixed(x, self.softmax.losses(self._latent(x), self._repeated(targets)))

    def _latent(self, x: Tensor) -> Tensor:
        """What each component reads, (…, components, features)."""
        return self.latent(x).tanh().unflatten(-1, (self.components, -1))

    def _repeated(self, targets: Tensor) -> Tensor:
        return targets.unsqueeze(-1).expand(*targets.shape, self.components)

    def _mixed(self, x: Tensor, each: Tensor) -> Tensor:
        """each: the components' losses, (elements, components) -> the mixture's, (elements,)."""
        return -(self.prior(x).log_softmax(-1) - each).logsumexp(-1)

    def extra_repr(self) -> str:
        return f"components={self.components}"
