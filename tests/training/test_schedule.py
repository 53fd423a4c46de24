"""The schedules against their formulas, and against torch's own schedulers as slow twins."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR

from unrolled.training.schedule import LOWEST, Schedule
from unrolled.training.settings import Settings

NAMES = ("constant", "linear", "cosine", "one_cycle", "plateau")


def of(name: str, **settings: Any) -> Schedule:
    return Schedule(Settings(**{"schedule": name, "warmup": 0.0, **settings}))


def torchs(kind: Any, steps: int, **options: Any) -> list[float]:
    """The factors of a scheduler of torch's, one a step, for a highest rate of 1."""
    engine = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = kind(engine, **options)
    found = []
    for _ in range(steps):
        found.append(engine.param_groups[0]["lr"])
        engine.step()
        scheduler.step()
    return found


def test_linear_falls_in_a_straight_line_as_torchs() -> None:
    expected = torchs(LinearLR, 20, start_factor=1.0, end_factor=LOWEST, total_iters=20)
    assert [of("linear")(k / 20) for k in range(20)] == pytest.approx(expected, abs=1e-12)
    assert of("linear")(0.0) == 1.0
    assert of("linear")(0.5) == pytest.approx(0.505)
    assert of("linear")(1.0) == pytest.approx(0.01)


def test_cosine_falls_along_half_a_cosine_as_torchs() -> None:
    expected = torchs(CosineAnnealingLR, 20, T_max=20, eta_min=LOWEST)
    assert [of("cosine")(k / 20) for k in range(20)] == pytest.approx(expected, abs=1e-12)
    assert of("cosine")(0.0) == 1.0
    assert of("cosine")(0.5) == pytest.approx(0.505)
    assert of("cosine")(1.0) == pytest.approx(0.01)


def test_one_cycle_climbs_and_falls_as_torchs() -> None:
    # torch counts the last step as progress 1, so 101 steps are 100 intervals; its lowest rate is start / divisor.
    options = {"max_lr": 1.0, "total_steps": 101, "pct_start": 31 / 101, "div_factor": 25, "final_div_factor": 400}
    expected = torchs(OneCycleLR, 100, **options, cycle_momentum=False)
    assert [of("one_cycle")(k / 100) for k in range(100)] == pytest.approx(expected, abs=1e-12)
    assert of("one_cycle")(0.0) == pytest.approx(1 / 25)
    assert of("one_cycle")(0.15) == pytest.approx((1 / 25 + 1) / 2)
    assert of("one_cycle")(0.3) == pytest.approx(1.0)
    assert of("one_cycle")(1.0) == pytest.approx(1e-4)


def test_one_cycle_knows_no_further_warm_up() -> None:
    assert of("one_cycle", warmup=0.5)(0.2) == of("one_cycle")(0.2)


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "plateau"])
def test_a_warm_up_climbs_in_a_straight_line_and_then_the_schedule_begins(name: str) -> None:
    schedule = of(name, warmup=0.2)
    assert schedule(0.0) == 0.01  # a first step of size zero would be lost
    assert schedule(0.05) == pytest.approx(0.25)
    assert schedule(0.1) == pytest.approx(0.5)
    assert schedule(0.2) == pytest.approx(1.0)
    assert schedule(0.6) == pytest.approx(of(name)(0.5))
    assert schedule(1.0) == pytest.approx(of(name)(1.0))


def test_constant_stays() -> None:
    schedule = of("constant")
    for _ in range(9):
        schedule.checked(better=False)
    assert [schedule(k / 7) for k in range(8)] == [1.0] * 8


def test_plateau_halves_the_rate_after_so_many_checks_without_a_better_figure() -> None:
    schedule = of("plateau", plateau_patience=2)
    rates = []
    for better in (True, False, True, False, False, False, False, True, False, False):
        schedule.checked(better)
        rates.append(schedule(0.5))
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_plateau_goes_on_from_its_state() -> None:
    schedule = of("plateau", plateau_patience=2)
    for better in (False, False, False):
        schedule.checked(better)
    resumed = of("plateau", plateau_patience=2)
    resumed.restore(schedule.state())
    assert resumed(0.5) == 0.5
    resumed.checked(better=False)
    assert resumed(0.5) == 0.25


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.floats(0, 1), st.floats(0, 0.99))
def test_every_factor_is_above_zero_and_at_most_one(name: str, progress: float, warmup: float) -> None:
    factor = of(name, warmup=warmup)(progress)
    assert 0 < factor <= 1 + 1e-12
    assert not math.isnan(factor)
