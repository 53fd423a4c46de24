"""A mixture of softmaxes: the probabilities are mixed, not the logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unrolled.errors import BadOption
from unrolled.layers.mixture_of_softmaxes import MixtureOfSoftmaxes

GIVEN, FEATURES, WORDS = 6, 5, 30


def layer(components: int = 3) -> MixtureOfSoftmaxes:
    torch.manual_seed(2)
    table = nn.Parameter(torch.randn(WORDS, FEATURES))
    return MixtureOfSoftmaxes(GIVEN, FEATURES, WORDS, components=components, weight=table).double()


def mixed(mixture: MixtureOfSoftmaxes, x: torch.Tensor) -> torch.Tensor:
    """The probabilities as the paper's equation has them, component by component."""
    prior = (x @ mixture.prior.weight.t()).softmax(-1)
    found = torch.zeros(len(x), WORDS, dtype=x.dtype)
    for k in range(mixture.components):
        part = slice(k * FEATURES, (k + 1) * FEATURES)
        h = (x @ mixture.latent.weight[part].t() + mixture.latent.bias[part]).tanh()
        logits = h @ mixture.softmax.weight.t() + mixture.softmax.bias
        found = found + prior[:, k, None] * logits.softmax(-1)
    return found


def test_it_is_the_equation_of_the_paper() -> None:
    mixture, x, targets = layer(), torch.randn(8, GIVEN, dtype=torch.float64), torch.randint(0, WORDS, (8,))
    right = mixed(mixture, x)
    assert torch.allclose(mixture(x).exp(), right)
    hit = right.gather(1, targets.unsqueeze(1)).squeeze(1)
    assert torch.allclose(mixture.losses(x, targets), -hit.log())
    assert torch.allclose(mixture.loss(x, targets, reduction="sum"), -hit.log().sum())
    assert torch.allclose(mixture.loss(x, targets), -hit.log().mean())


def test_its_matrix_of_log_probabilities_has_a_higher_rank_than_one_softmax_can_make() -> None:
    x = 3 * torch.randn(40, GIVEN, dtype=torch.float64)
    ranks = [int(torch.linalg.matrix_rank(layer(k)(x), rtol=1e-6)) for k in (1, 3)]
    assert ranks[0] <= FEATURES + 2  # the biases and the denominators add one each
    assert ranks[1] > FEATURES + 2


def test_gradients_are_right() -> None:
    mixture, targets = layer(), torch.randint(0, WORDS, (4,))
    x = torch.randn(4, GIVEN, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *_: mixture.loss(x, targets, reduction="sum"), [x, *mixture.parameters()], fast_mode=True
    )


def test_in_float32_loss_and_gradient_are_those_of_float64() -> None:
    exact, single = layer(), layer().float()
    x, targets = torch.randn(50, GIVEN), torch.randint(0, WORDS, (50,))
    for mixture, given in ((exact, x.double()), (single, x)):
        mixture.loss(given, targets).backward()
    assert torch.allclose(single.softmax.weight.grad.double(), exact.softmax.weight.grad, atol=1e-6)  # type: ignore


def test_less_than_one_component_is_refused() -> None:
    with pytest.raises(BadOption, match="components must be 1 or more, not 0"):
        layer(0)
