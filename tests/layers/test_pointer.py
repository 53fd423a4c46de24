"""Copying: what it adds up to, how it is smoothed, and that nothing of it is NaN."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.layers.memory import Copies
from unrolled.layers.pointer import Pointer, copies
from unrolled.layers.softmax import Softmax

IDS = torch.tensor([[1, 5, 1, 6], [2, 3, -1, -1]])
"""Of a vocabulary of 5 words, which has not 5 and 6."""


def data() -> tuple[Pointer, Softmax, Tensor, Tensor, Tensor]:
    """A pointer, a softmax, gates, weights and readouts of two elements."""
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.6, 0.4, 0.0, 0.0]], dtype=torch.float64)
    return (
        Pointer(2, 3, 4).double(),
        Softmax(3, 5).double(),
        torch.randn(2, dtype=torch.float64),
        weights,
        torch.randn(2, 3, dtype=torch.float64),
    )


def wanted(softmax: Softmax, gates: Tensor, weights: Tensor, shown: Tensor) -> list[list[float]]:
    """P of each word, by hand."""
    found = []
    for gate, row, ids, logits in zip(
        gates.tolist(), weights.tolist(), IDS.tolist(), softmax(shown).tolist(), strict=True
    ):
        p, total = 1 / (1 + math.exp(-gate)), sum(math.exp(z) for z in logits)
        each = [p * math.exp(z) / total for z in logits] + [0.0, 0.0]
        for a, word in zip(row, ids, strict=True):
            if word >= 0:
                each[word] += (1 - p) * a
        found.append(each)
    return found


def test_words_of_vocabulary_and_source_share_the_probability() -> None:
    pointer, softmax, gates, weights, shown = data()
    right = wanted(softmax, gates, weights, shown)
    with torch.no_grad():
        logits = pointer.logits(gates, weights, copies(IDS, 5), softmax(shown))
        assert logits.exp()[0].tolist() == pytest.approx(right[0])
        assert logits.exp()[1].tolist() == pytest.approx(right[1], abs=1e-15)
        assert logits[1, 5:].tolist() == [-math.inf, -math.inf]
        for targets in ([1, 2], [5, 3], [6, 4], [0, 0]):
            found = pointer.losses(gates, weights, IDS, shown, torch.tensor(targets), softmax, 0.0)
            assert found.tolist() == pytest.approx([-math.log(right[k][t]) for k, t in enumerate(targets)])


def test_smoothing_shares_among_what_the_vocabulary_can_say() -> None:
    pointer, softmax, gates, weights, shown = data()
    right = wanted(softmax, gates, weights, shown)
    with torch.no_grad():
        found = pointer.losses(gates, weights, IDS, shown, torch.tensor([6, 2]), softmax, 0.3)
        logs = softmax(shown).log_softmax(1)
    for k, target in enumerate((6, 2)):
        p = 1 / (1 + math.exp(-gates[k]))
        shared = sum(-math.log(p) - float(logs[k, word]) for word in range(5)) / 5
        assert found[k].item() == pytest.approx(0.7 * -math.log(right[k][target]) + 0.3 * shared)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_derivatives_are_right(smoothing: float) -> None:
    pointer, softmax, gates, _, shown = data()
    scores = torch.randn(2, 4, dtype=torch.float64)

    def loss(gates: Tensor, scores: Tensor, shown: Tensor, *_: Tensor) -> Tensor:
        weights = scores.masked_fill(IDS < 0, -torch.inf).softmax(1)
        return pointer.losses(gates, weights, IDS, shown, torch.tensor([6, 2]), softmax, smoothing)

    given = (gates, scores, shown, softmax.weight, softmax.bias)
    given = tuple(t.requires_grad_() for t in given)
    assert torch.autograd.gradcheck(loss, given)
    assert torch.autograd.gradgradcheck(loss, given, fast_mode=True)


def test_where_nothing_can_be_copied_and_where_all_is_sure_gradients_are_finite() -> None:
    pointer, softmax = Pointer(2, 3, 4), Softmax(3, 5)
    for gate in (-200.0, 0.0, 200.0):
        for weights in ([0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]):
            for target in (0, 1, 5):
                given = torch.tensor([gate], requires_grad=True), torch.tensor([weights], requires_grad=True)
                shown = torch.randn(1, 3, requires_grad=True)
                found = pointer.losses(*given, IDS[:1], shown, torch.tensor([target]), softmax, 0.1)
                logits = pointer.logits(*given, copies(IDS[:1], 5), softmax(shown))
                (found.sum() + logits[logits > -math.inf].sum()).backward()
                assert all(t.grad is not None and t.grad.isfinite().all() for t in (*given, shown))


def test_which_words_beyond_the_vocabulary_a_row_has() -> None:
    made = copies(IDS, 5)
    assert made.beyond.tolist() == [[True, True], [False, False]]
    assert copies(IDS.clamp(max=4), 5).beyond.shape == (2, 0)
    assert copies(torch.tensor([[4], [7]]), 5).beyond.tolist() == [[False, False, False], [False, False, True]]
    assert isinstance(made, Copies)


def test_smoothing_that_cannot_be_is_refused() -> None:
    pointer, softmax, gates, weights, shown = data()
    with pytest.raises(BadOption, match="label smoothing must be at least 0 and below 1, not 1"):
        pointer.losses(gates, weights, IDS, shown, torch.tensor([6, 2]), softmax, 1)
