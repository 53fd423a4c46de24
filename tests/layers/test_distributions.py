"""What is said of a number to come: against SciPy's distributions, and by drawing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from unrolled.errors import BadOption
from unrolled.layers.distributions import SMALLEST, Distribution, Quantiles, distribution_of

LEVELS = (0.05, 0.25, 0.5, 0.9)
NAMES = ("gaussian", "student", "negative_binomial")
SCALE = torch.tensor([1.0, 4.0, 25.0], dtype=torch.float64)


def raw(kind: Distribution, rows: int = 3) -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(rows, kind.size, dtype=torch.float64)


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x))) + SMALLEST


def frozen(name: str, row: list[float], scale: float):
    """SciPy's distribution of the values (of counts: unscaled)."""
    if name == "gaussian":
        return stats.norm(row[0], softplus(row[1]))
    if name == "student":
        return stats.t(2 + softplus(row[2]) - SMALLEST, row[0], softplus(row[1]))
    mean, shape = scale * softplus(row[0]), softplus(row[1]) / scale**0.5
    return stats.nbinom(1 / shape, 1 / (1 + mean * shape))


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_quantiles_are_those_of_the_distribution(name: str) -> None:
    kind = distribution_of(name, LEVELS)
    given, values = raw(kind), torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    if name == "negative_binomial":
        values = torch.tensor([3.0, 8.0, 50.0], dtype=torch.float64) / SCALE
    loss, quantiles = kind.loss(given, values, SCALE), kind.quantiles(given, LEVELS, SCALE)
    for k, row in enumerate(given.tolist()):
        scale = float(SCALE[k])
        of = frozen(name, row, scale)
        counts = name == "negative_binomial"
        expected = of.logpmf(round(float(values[k]) * scale)) if counts else of.logpdf(float(values[k]))
        assert float(loss[k]) == pytest.approx(-expected, rel=1e-6)
        right = of.ppf(LEVELS) / (scale if counts else 1)
        assert quantiles[k].tolist() == pytest.approx(right.tolist(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_is_of_the_distribution(name: str) -> None:
    kind = distribution_of(name, LEVELS)
    given = raw(kind, 1).repeat(4000, 1)
    scale = torch.full((4000,), 9.0, dtype=torch.float64)
    torch.manual_seed(1)
    drawn = kind.draw(given, torch.rand(4000, dtype=torch.float64), scale)
    for level, quantile in zip(LEVELS, kind.quantiles(given[:1], LEVELS, scale[:1])[0].tolist(), strict=True):
        below, upto = (
            float((drawn < quantile - 1e-9).double().mean()),
            float((drawn <= quantile + 1e-9).double().mean()),
        )
        assert below - 0.03 < level < upto + 0.03


@pytest.mark.parametrize("name", ["quantiles", *NAMES])
def test_the_gradient_of_the_loss_is_right(name: str) -> None:
    kind = distribution_of(name, LEVELS)
    given = raw(kind).requires_grad_()
    values = torch.tensor([3.0, 8.0, 50.0], dtype=torch.float64) / SCALE
    assert torch.autograd.gradcheck(lambda x: kind.loss(x, values, SCALE), (given,))


def test_the_loss_of_quantiles_by_hand() -> None:
    kind = Quantiles([0.1, 0.5])
    loss = kind.loss(torch.tensor([[1.0, 4.0]]), torch.tensor([3.0]), torch.ones(1))
    assert loss.item() == pytest.approx(2 * (0.1 * 2 + 0.5 * 1) / 2)


def test_quantiles_that_cross_are_put_in_order_and_levels_between_them_are_on_the_line() -> None:
    kind = Quantiles([0.25, 0.5, 0.75])
    found = kind.quantiles(torch.tensor([[3.0, 1.0, 2.0]]), [0.1, 0.25, 0.375, 0.75, 0.99], torch.ones(1))
    assert found[0].tolist() == pytest.approx([1, 1, 1.5, 3, 3])
    with pytest.raises(BadOption, match="quantiles are not drawn from"):
        kind.draw(torch.zeros(1, 3), torch.rand(1), torch.ones(1))


def test_before_training_all_are_about_as_uncertain_as_one_unit() -> None:
    for name in ("quantiles", "gaussian", "student"):
        kind = distribution_of(name, LEVELS)
        found = kind.quantiles(torch.tensor([kind.first()]), LEVELS, torch.ones(1))[0]
        assert found[2].item() == pytest.approx(0, abs=1e-6)
        assert -4 < found[0].item() < -0.5 < 0.5 < found[3].item() < 3


def test_levels_and_names_that_cannot_be_are_refused() -> None:
    for levels in ([], [0.5, 0.5], [0.9, 0.1], [0.0, 0.5], [0.5, 1.0]):
        with pytest.raises(BadOption, match="levels of quantiles must rise, and lie between 0 and 1"):
            Quantiles(levels)
    with pytest.raises(BadOption, match="likelihood must be one of quantiles, gaussian, student, negative_binomial"):
        distribution_of("poisson", LEVELS)


def test_a_series_that_never_changes_has_a_finite_likelihood() -> None:
    for name in NAMES:
        kind = distribution_of(name, LEVELS)
        given = torch.full((1, kind.size), -1000.0)
        given[:, 0] = 0.0
        assert kind.loss(given, torch.zeros(1), torch.ones(1)).isfinite().all()
