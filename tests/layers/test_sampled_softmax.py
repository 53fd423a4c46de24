"""The sampled softmax: right on average, and the full one where nothing is left out or nothing is trained."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.layers.sampled_softmax import SampledSoftmax, inclusion
from unrolled.layers.softmax import Softmax

HIDDEN, WORDS = 8, 60
COUNTS = [1000 // (k + 1) for k in range(WORDS)]


def layer_and_batch(samples: int, dtype: torch.dtype = torch.float32) -> tuple[SampledSoftmax, Tensor, Tensor]:
    torch.manual_seed(5)
    layer = SampledSoftmax(HIDDEN, WORDS, samples=samples, counts=COUNTS).to(dtype)
    return layer, torch.randn(6, HIDDEN, dtype=dtype), torch.tensor([0, 3, 3, 17, 59, 40])


def full(layer: SampledSoftmax) -> Softmax:
    found = Softmax(HIDDEN, WORDS).to(layer.weight.dtype)
    found.load_state_dict(layer.state_dict())
    return found


def test_the_estimate_of_the_denominator_is_right_on_average() -> None:
    layer, x, targets = layer_and_batch(12, torch.float64)
    with torch.no_grad():
        right = full(layer).losses(x[:1], targets[:1]).exp()  # Z over the target's own e^z
        drawn = torch.stack([layer.loss(x[:1], targets[:1]).exp() for _ in range(4000)])
    error = drawn.std() / len(drawn) ** 0.5
    assert drawn.std() > 0.01 * right
    assert (drawn.mean() - right).abs() < 4 * error


def test_with_as_many_samples_as_words_it_is_the_full_softmax() -> None:
    layer, x, targets = layer_and_batch(WORDS)
    assert torch.allclose(layer.loss(x, targets), full(layer).loss(x, targets), atol=1e-6)


def test_evaluation_is_the_full_softmax_whatever_was_sampled() -> None:
    layer, x, targets = layer_and_batch(3)
    whole = full(layer)
    assert torch.equal(layer.losses(x, targets), whole.losses(x, targets))
    assert torch.equal(layer(x), whole(x))
    assert torch.equal(layer.eval().loss(x, targets, label_smoothing=0.1), whole.loss(x, targets, label_smoothing=0.1))


def test_loss_and_gradients_are_those_of_the_formula_for_the_words_drawn() -> None:
    layer, x, targets = layer_and_batch(12, torch.float64)
    x.requires_grad_()
    torch.manual_seed(9)
    found = layer.loss(x, targets, reduction="sum")
    got = torch.autograd.grad(found, [x, layer.weight, layer.bias])  # type: ignore[list-item]
    torch.manual_seed(9)
    pi = inclusion(COUNTS, 12).double()
    kept = layer.inclusion.bernoulli().bool()  # type: ignore[operator]
    kept[targets] = True
    weight = torch.where(torch.zeros(WORDS).index_fill_(0, targets, 1.0).bool(), torch.ones_like(pi), 1 / pi)
    z = x @ layer.weight.t() + layer.bias
    total = (z.exp() * weight * kept).sum(-1)
    wanted = (total.log() - z.gather(1, targets.unsqueeze(1)).squeeze(1)).sum()
    assert torch.allclose(found, wanted)
    for a, b in zip(got, torch.autograd.grad(wanted, [x, layer.weight, layer.bias]), strict=True):  # type: ignore
        assert torch.allclose(a, b)


def test_words_that_are_neither_asked_for_nor_drawn_get_no_gradient() -> None:
    layer, x, targets = layer_and_batch(3)
    layer.loss(x, targets).backward()
    assert layer.weight.grad is not None
    touched = layer.weight.grad.any(1)
    assert touched[targets].all()
    assert touched.sum() < WORDS // 2


@pytest.mark.parametrize("samples", [1, 5, 30, 59])
def test_inclusion_sums_to_the_samples_and_goes_with_the_frequency(samples: int) -> None:
    found = inclusion(COUNTS, samples)
    assert float(found.sum()) == pytest.approx(samples, rel=1e-5)
    assert float(found.max()) <= 1
    assert (found.diff() <= 0).all()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadOption, match="samples must be 1 or more, not 0"):
        SampledSoftmax(HIDDEN, WORDS, samples=0, counts=COUNTS)
    with pytest.raises(BadOption, match="needs as many counts, not 3"):
        SampledSoftmax(HIDDEN, WORDS, samples=4, counts=[1, 2, 3])
    layer, x, targets = layer_and_batch(4)
    with pytest.raises(BadOption, match="a target must be at least 0 and below 60"):
        layer.loss(x, targets + 1)
    with pytest.raises(BadOption, match="no label smoothing"):
        layer.loss(x, targets, label_smoothing=0.1)
    with pytest.raises(BadOption, match="no label smoothing"):
        layer.loss(x, targets, reduction="none")
