"""The adaptive softmax: torch's own is the reference where it has no table that is tied."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from unrolled.errors import BadOption
from unrolled.layers.adaptive_softmax import AdaptiveSoftmax, cutoffs_for

HIDDEN, WORDS, CUTOFFS = 16, 50, (10, 25)


def theirs(ours: AdaptiveSoftmax) -> nn.AdaptiveLogSoftmaxWithLoss:
    """Torch's module with the same weights; it has no biases in its tails."""
    found = nn.AdaptiveLogSoftmaxWithLoss(HIDDEN, WORDS, list(CUTOFFS), div_value=4, head_bias=True)
    with torch.no_grad():
        found.head.weight.copy_(torch.cat([ours.parts[0], ours.tails]))
        found.head.bias.copy_(torch.cat([ours.bias[: CUTOFFS[0]], ours.tails_bias]))
        for k, (down, up) in enumerate(found.tail):  # type: ignore[misc]
            down.weight.copy_(ours.projections[k])
            up.weight.copy_(ours.parts[k + 1])
    return found


@pytest.fixture
def own() -> AdaptiveSoftmax:
    torch.manual_seed(3)
    made = AdaptiveSoftmax(HIDDEN, WORDS, CUTOFFS)
    nn.init.normal_(made.bias[: CUTOFFS[0]])
    nn.init.normal_(made.tails_bias)
    return made


def tied() -> AdaptiveSoftmax:
    torch.manual_seed(4)
    made = AdaptiveSoftmax(HIDDEN, WORDS, CUTOFFS, weight=nn.Parameter(torch.randn(WORDS, HIDDEN)))
    nn.init.normal_(made.bias)
    return made


def test_it_is_that_of_torch(own: AdaptiveSoftmax) -> None:
    x, targets = torch.randn(40, HIDDEN), torch.randint(0, WORDS, (40,))
    right = theirs(own)
    ours_x, theirs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, (hit, mean) = own.loss(ours_x, targets), right(theirs_x, targets)
    assert torch.allclose(own.losses(x, targets), -hit, atol=1e-5)
    assert torch.allclose(ours, mean, atol=1e-5)
    assert torch.allclose(own(x), right.log_prob(x), atol=1e-5)
    ours.backward()
    mean.backward()
    assert torch.allclose(ours_x.grad, theirs_x.grad, atol=1e-6)  # type: ignore[arg-type]
    assert torch.allclose(own.parts[1].grad, right.tail[0][1].weight.grad, atol=1e-6)  # type: ignore
    assert torch.allclose(own.projections[1].grad, right.tail[1][0].weight.grad, atol=1e-6)  # type: ignore


@pytest.mark.parametrize("kind", ["own", "tied"])
def test_its_losses_are_of_probabilities_that_sum_to_one(kind: str, own: AdaptiveSoftmax) -> None:
    layer = own if kind == "own" else tied()
    x = torch.randn(7, HIDDEN)
    logs = layer(x)
    assert torch.allclose(logs.exp().sum(-1), torch.ones(7), atol=1e-5)
    for word in range(WORDS):
        targets = torch.full((7,), word)
        assert torch.allclose(layer.losses(x, targets), -logs[:, word], atol=1e-5)


def test_a_head_and_a_tail_by_hand() -> None:
    """Two words in the head, two in one tail, one feature: all logits are x times a number."""
    table = nn.Parameter(torch.tensor([[1.0], [0.0], [2.0], [1.0]]))
    layer = AdaptiveSoftmax(1, 4, (2,), weight=table)
    nn.init.constant_(layer.tails, 3.0)
    head = math.exp(1) + math.exp(0) + math.exp(3)
    tail = math.exp(2) + math.exp(1)
    wanted = [math.exp(1) / head, 1 / head, math.exp(3) / head * math.exp(2) / tail, math.exp(3 + 1) / head / tail]
    found = layer.losses(torch.ones(4, 1), torch.arange(4)).neg().exp()
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


def test_gradients_are_right_where_the_table_is_tied() -> None:
    layer = tied().double()
    x, targets = torch.randn(9, HIDDEN, dtype=torch.float64, requires_grad=True), torch.randint(0, WORDS, (9,))
    parameters = [layer.weight, layer.bias, layer.tails, layer.tails_bias]

    def loss(*_: torch.Tensor) -> torch.Tensor:
        return layer.loss(x, targets, reduction="sum")

    assert torch.autograd.gradcheck(loss, [x, *parameters], fast_mode=True)


def test_a_batch_without_a_word_of_a_tail_is_learnt_from() -> None:
    layer = tied()
    loss = layer.loss(torch.randn(5, HIDDEN), torch.zeros(5, dtype=torch.long))
    loss.backward()
    assert layer.weight is not None
    assert layer.weight.grad is not None
    assert not layer.weight.grad[CUTOFFS[0] :].any()


def test_cutoffs_take_the_fewest_products_that_are_to_be_expected() -> None:
    counts = [1000 // (k + 1) for k in range(1000)]
    (cut,) = cutoffs_for(counts, tails=1)
    total = sum(max(c, 1) for c in counts)

    def cost(at: int) -> float:
        return at + 100 + sum(max(c, 1) for c in counts[at:]) / total * (1000 - at)

    assert cost(cut) <= min(cost(at) for at in range(1, 1000)) * 1.02
    assert len(cutoffs_for(counts)) in (1, 2)
    assert cutoffs_for([1, 1]) == [1]


@pytest.mark.parametrize("cutoffs", [(), (0,), (50,), (20, 10), (10, 10)])
def test_cutoffs_must_rise_within_the_vocabulary(cutoffs: tuple[int, ...]) -> None:
    with pytest.raises(BadOption, match="cutoffs must rise from 1 to 49"):
        AdaptiveSoftmax(HIDDEN, WORDS, cutoffs)


def test_a_word_that_is_none_is_refused(own: AdaptiveSoftmax) -> None:
    with pytest.raises(BadOption, match="a target must be at least 0 and below 50, not 50"):
        own.loss(torch.randn(2, HIDDEN), torch.tensor([1, 50]))


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(BadOption, match="the weight to be tied must be"):
        AdaptiveSoftmax(HIDDEN, WORDS, CUTOFFS, weight=nn.Parameter(torch.zeros(WORDS, 3)))
