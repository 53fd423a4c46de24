"""Exponents of recurrences that are known, and of others by following a change of the state itself."""

from __future__ import annotations

import math

import pytest
import torch
from tests.inspection.linear_cell import Linear, scaled_orthogonal

from unrolled.cells.elman import Elman
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.inspection.lyapunov import lyapunov_exponents, spectral_radius


def inputs(steps: int, rows: int = 1) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(steps, rows, 3, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.2])
def test_a_scaled_orthogonal_recurrence_has_the_logarithm_of_its_scale_alone(scale: float) -> None:
    found = lyapunov_exponents(scaled_orthogonal(6, scale), inputs(40, 2), count=6)
    torch.testing.assert_close(found, torch.full((2, 6), math.log(scale), dtype=torch.float64), rtol=0, atol=1e-6)


def test_a_diagonal_recurrence_has_the_logarithms_of_its_entries() -> None:
    cell = Linear(3, 3).double()
    with torch.no_grad():
        cell.weight_hh.copy_(torch.diag(torch.tensor([0.9, 1.1, 0.5], dtype=torch.float64)))
    found = lyapunov_exponents(cell, inputs(500), count=3, settle=200)
    expected = torch.tensor([1.1, 0.9, 0.5], dtype=torch.float64).log()
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gain", [0.5, 1.8])
def test_the_largest_one_is_how_fast_two_neighbouring_states_part(gain: float) -> None:
    torch.manual_seed(7)
    cell = Elman(3, 20).double()
    with torch.no_grad():
        cell.weight_hh.normal_().mul_(gain / math.sqrt(20))
        cell.weight_ih.mul_(0.5)
    x = inputs(1000)
    found = float(lyapunov_exponents(cell, x, count=1, settle=200)[0, 0])
    with torch.no_grad():
        px = cell.project(x.flatten(0, 1))
        h = torch.zeros(1, 20, dtype=torch.float64)
        other, total = h + 1e-7 / math.sqrt(20), 0.0
        for time, given in enumerate(px):
            (h, _), (other, _) = (cell.step(given.unsqueeze(0), s) for s in (h, other))
            apart = (other - h).norm()
            total += float((apart / 1e-7).log()) if time >= 200 else 0.0
            other = h + (other - h) * (1e-7 / apart)
    assert found == pytest.approx(total / 800, abs=2e-3)


def test_all_exponents_add_up_to_the_mean_logarithm_of_the_volume() -> None:
    torch.manual_seed(8)
    cell, x = LSTM(3, 2).double(), inputs(30)
    found = lyapunov_exponents(cell, x, count=4)
    state, total = cell.initial_state(1), 0.0
    for px in cell.project(x.flatten(0, 1)):

        def tick(flat: torch.Tensor, px: torch.Tensor = px) -> torch.Tensor:
            _, after = cell.step(px.unsqueeze(0), (flat[:2].unsqueeze(0), flat[2:].unsqueeze(0)))
            return torch.cat(after, dim=1)[0]

        jacobian = torch.autograd.functional.jacobian(tick, torch.cat(state, dim=1)[0])
        total += float(jacobian.det().abs().log())
        _, state = cell.step(px.unsqueeze(0), state)
    assert float(found.sum()) == pytest.approx(total / 30, rel=1e-6)


def test_the_same_seed_gives_the_same_numbers_and_torchs_stream_is_not_touched() -> None:
    cell, x = Elman(3, 5), inputs(9).float()
    before = torch.get_rng_state()
    assert torch.equal(lyapunov_exponents(cell, x, seed=3), lyapunov_exponents(cell, x, seed=3))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(BadOption, match="settle must be from 0 to 8"):
        lyapunov_exponents(Elman(3, 5), inputs(9).float(), settle=9)
    with pytest.raises(BadOption, match="count must be from 1 to 5, the units of the state, not 6"):
        lyapunov_exponents(Elman(3, 5), inputs(9).float(), count=6)


def test_the_spectral_radius_is_that_of_each_block() -> None:
    weight = torch.cat([2 * torch.eye(3), torch.diag(torch.tensor([0.1, -0.7, 0.2]))])
    assert spectral_radius(weight, ("a", "b")) == pytest.approx({"a": 2.0, "b": 0.7})
    with pytest.raises(BadOption, match="2 square blocks of 4 columns are 8 rows, not 6"):
        spectral_radius(torch.zeros(6, 4), ("a", "b"))
