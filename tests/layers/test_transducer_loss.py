"""The loss of a transducer: against the sum over all ways through its lattice, published figures, and its gradient."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.layers.transducer_loss import transducer_loss

BLANK = 3
STEPS = (4, 1, 3, 2)
TARGETS = ((1, 2, 2), (), (0,), (1, 0))


def drawn(dtype: torch.dtype = torch.float64, spread: float = 2.0) -> Tensor:
    places = sum(T * (len(target) + 1) for T, target in zip(STEPS, TARGETS, strict=True))
    generator = torch.Generator().manual_seed(3)
    return (torch.randn(places, BLANK + 1, generator=generator, dtype=torch.float64) * spread).to(dtype)


def tensors(targets: tuple[tuple[int, ...], ...] = TARGETS) -> list[Tensor]:
    return [torch.tensor(target, dtype=torch.long) for target in targets]


def rows_of(logits: Tensor) -> list[Tensor]:
    """(times, symbols + 1, choices) of each row."""
    sizes = [T * (len(target) + 1) for T, target in zip(STEPS, TARGETS, strict=True)]
    return [
        part.view(T, len(target) + 1, -1) for part, T, target in zip(logits.split(sizes), STEPS, TARGETS, strict=True)
    ]


def by_enumeration(log_p: Tensor, target: tuple[int, ...]) -> Tensor:
    """-log P, from each way: of its moves but the last, which is a blank, some are symbols."""
    times, count = log_p.shape[0], len(target)
    ways = []
    for places in combinations(range(times - 1 + count), count):
        t, u, total = 0, 0, log_p.new_zeros(())
        for move in range(times - 1 + count):
            if move in places:
                total, u = total + log_p[t, u, target[u]], u + 1
            else:
                total, t = total + log_p[t, u, BLANK], t + 1
        assert (t, u) == (times - 1, count)
        ways.append(total + log_p[t, u, BLANK])
    assert len(ways) == comb(times - 1 + count, count)
    return -torch.stack(ways).logsumexp(0)


def test_it_is_the_sum_over_all_ways_and_so_is_its_gradient() -> None:
    logits = drawn().requires_grad_()
    found = transducer_loss(logits, tensors(), STEPS, BLANK)
    rows = rows_of(logits.log_softmax(-1))
    expected = torch.stack([by_enumeration(row, target) for row, target in zip(rows, TARGETS, strict=True)])
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(found @ weights, logits)
    (wanted,) = torch.autograd.grad(expected @ weights, logits)
    torch.testing.assert_close(gradient, wanted)


def test_the_gradient_is_that_of_small_differences() -> None:
    logits = drawn().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: transducer_loss(z, tensors(), STEPS, BLANK), logits)


def test_published_figures() -> None:
    """Those of the first test of warp-transducer, https://github.com/HawkAaron/warp-transducer, which others repeat."""
    logits = torch.tensor(
        [
            [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]],
            [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1], [0.7, 0.1, 0.2, 0.1, 0.1]],
        ]
    ).view(6, 5)
    logits.requires_grad_()
    loss = transducer_loss(logits, tensors(((1, 2),)), [2], 0)
    assert loss.item() == pytest.approx(4.495666, abs=1e-5)
    loss.sum().backward()
    expected = [
        [-0.13116688, -0.3999269, 0.17703125, 0.17703125, 0.17703125],
        [-0.18572757, 0.12247056, -0.18168412, 0.12247056, 0.12247056],
        [-0.32091254, 0.06269141, 0.06928472, 0.12624499, 0.06269141],
        [0.05456069, -0.21824276, 0.05456069, 0.05456069, 0.05456069],
        [0.12073959, 0.12073959, -0.48295835, 0.12073959, 0.12073959],
        [-0.6925882, 0.16871116, 0.18645467, 0.16871116, 0.16871116],
    ]
    torch.testing.assert_close(logits.grad, torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_where_all_is_equally_likely_the_ways_are_counted() -> None:
    for times, count in ((1, 0), (5, 3), (40, 25)):
        target = torch.arange(count) % 2
        loss = transducer_loss(torch.zeros(times * (count + 1), 3), [target], [times], 2)
        moves = times + count
        expected = moves * torch.tensor(3.0).log() - torch.tensor(float(comb(moves - 1, count))).log()
        torch.testing.assert_close(loss[0], expected)


def test_rows_do_not_see_each_other() -> None:
    logits = drawn()
    whole = transducer_loss(logits, tensors(), STEPS, BLANK)
    sizes = [T * (len(target) + 1) for T, target in zip(STEPS, TARGETS, strict=True)]
    for k, part in enumerate(logits.split(sizes)):
        assert torch.equal(transducer_loss(part, [tensors()[k]], [STEPS[k]], BLANK)[0], whole[k])
    poisoned = logits.clone()
    poisoned[: sizes[0]] = torch.nan
    poisoned.requires_grad_()
    found = transducer_loss(poisoned, tensors(), STEPS, BLANK)
    assert found[0].isnan()
    assert torch.equal(found[1:], whole[1:])
    found.sum().backward()
    assert poisoned.grad is not None
    assert poisoned.grad[: sizes[0]].isnan().all()
    assert poisoned.grad[sizes[0] :].isfinite().all()


def test_single_precision_is_close_to_double_for_long_recordings_and_unlikely_symbols() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(300 * 41, 6, generator=generator) * 30
    target = [torch.arange(40) % 5]
    found, gradients = [], []
    for dtype in (torch.float32, torch.float64):
        z = logits.to(dtype, copy=True).requires_grad_()
        loss = transducer_loss(z, target, [300], 5)
        assert loss.dtype == dtype
        loss.sum().backward()
        assert z.grad is not None
        found.append(loss.item())
        gradients.append(z.grad.double())
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert (gradients[0] - gradients[1]).abs().max() < 1e-3
    # Each place's logits have a sum that no loss depends on.
    assert gradients[1].sum(1).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("places", "targets", "steps", "message"),
    [
        (6, ((1, 2),), (2, 3), r"^1 transcripts for 2 recordings$"),
        (0, (), (), r"^0 transcripts for 0 recordings$"),
        (0, ((1,),), (0,), r"^a recording of 0 steps: a transducer needs 1 or more$"),
        (5, ((1, 2),), (2,), r"^logits of shape \(5, 4\) where \(6, symbols and the blank\) is due$"),
        (6, ((1, 4),), (2,), r"^there are symbols that none of 4 logits stands for$"),
        (6, ((-1, 1),), (2,), r"^there are symbols that none of 4 logits stands for$"),
        (6, ((1, 3),), (2,), r"^the blank is no symbol of a transcript$"),
    ],
)
def test_what_does_not_fit_is_refused(places, targets, steps, message) -> None:
    with pytest.raises(BadOption, match=message):
        transducer_loss(torch.zeros(places, 4), tensors(targets), steps, BLANK)
