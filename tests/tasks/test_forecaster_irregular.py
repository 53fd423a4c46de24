"""Series whose steps are of several lengths: what a forecaster reads of that, by hand, and what it makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Forecaster as Model
from unrolled import bundle
from unrolled.data.examples import Series
from unrolled.tasks._windows import Batch, Window
from unrolled.tasks.forecaster import Forecaster

SIZES: dict[str, Any] = {
    "horizon": 2, "context": 4, "season": 1, "conformal": "no", "hidden_size": 8, "dropout": 0.0, "gaps": "kept",
}  # fmt: skip
NUMBERS = (0, 1, 2, 4, 5, 6, 506, 507, 508)
DATES = [f"2024-01-{day:02}" for day in (1, 2, 3, 5, 8, 9, 10, 11, 12)]  # working days, and a gap


def series(times: Any, *, ahead: bool = False, **columns: Any) -> Series:
    """A value for each time; ahead: beside a column that says nothing."""
    values = np.random.default_rng(0).normal(size=len(times))
    known = np.zeros((len(times), 1)) if ahead else None
    return Series(values=values, time=tuple(map(str, times)), ahead=known, **columns)


def made(given: list[Series], **options: Any) -> Forecaster:
    """With weights so large that whatever is read changes what is said."""
    torch.manual_seed(1)
    task = Forecaster.prepare(given, **{**SIZES, **options}).eval()
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.uniform_(-0.5, 0.5)
    return task


def quantiles(task: Any, one: Series) -> np.ndarray:
    (said,) = task.predict([one])
    return said.forecast.quantiles


def window(task: Forecaster, one: Series, origin: int) -> Batch:
    return task.collate([Window(task.encode(one), origin)])


def read(task: Forecaster, one: Series, origin: int) -> tuple[list[float], list[float]]:
    """The last number of each step of the context and of the horizon."""
    batch = window(task, one, origin)
    return batch.context[0, :, -1].tolist(), batch.future[0, :, -1].tolist()


# ---------------------------------------------------------------------- what is read


def test_the_numbers_that_are_read_by_hand() -> None:
    one = series(NUMBERS, ahead=True)
    task = made([one])
    assert read(task, one, 3) == ([0, 0, 0, 0], [pytest.approx(np.log(2)), 0])
    assert read(task, one, 5) == ([0, 0, pytest.approx(np.log(2)), 0], [0, pytest.approx(np.log(500))])
    assert read(task, one, 1) == ([0] * 4, [0, 0])  # one time tells no usual step


def test_without_columns_known_ahead_no_step_to_come_says_how_long_it_is() -> None:
    one = series(NUMBERS, observed=np.ones((9, 1)))
    batch = window(made([one]), one, 5)
    assert batch.context[0, :, -1].tolist() == [0, 0, pytest.approx(np.log(2)), 0]
    assert batch.future.shape[-1] == 1


def test_behind_the_rows_that_are_there_steps_are_usual() -> None:
    one = series(NUMBERS, ahead=True)
    assert read(made([one]), one, len(NUMBERS)) == ([0, pytest.approx(np.log(500)), 0, 0], [0, 0])


def test_series_of_different_usual_steps() -> None:
    slow, fast = series([1000 * k for k in NUMBERS]), series([k / 100 for k in NUMBERS])
    task = made([slow, fast])
    assert read(task, slow, 9)[0] == read(task, fast, 9)[0] == [0, pytest.approx(np.log(500)), 0, 0]
    assert np.array_equal(quantiles(task, slow), quantiles(task, fast))


def test_dates_are_as_numbers_are() -> None:
    days = series([np.datetime64("2024-01-01") + k for k in NUMBERS])
    numbers = series(NUMBERS)
    for origin in range(1, 10):
        assert read(made([days]), days, origin)[0] == read(made([numbers]), numbers, origin)[0]


@pytest.mark.parametrize(
    "times",
    [
        range(12),
        [f"{k / 3:.2f}" for k in range(12)],
        [f"2024-{month:02}" for month in range(1, 13)],
        [f"2024-01-{day:02}" for day in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16)],
        range(2000, 2012),
    ],
)
def test_regular_series_and_those_without_times_say_nothing(times: Any) -> None:
    for one in (series(times, ahead=True), replace(series(times, ahead=True), time=None)):
        assert read(made([one]), one, 10) == ([0] * 4, [0, 0])
    untimed = replace(series(times), time=None)
    assert read(made([untimed]), untimed, 10)[0] == [0] * 4


def test_other_models_read_no_more_than_before() -> None:
    one = series(range(12), ahead=True)
    kept, refused = (window(made([one], gaps=gaps), one, 8) for gaps in ("kept", "refused"))
    assert torch.equal(kept.context[..., :-1], refused.context)
    assert torch.equal(kept.future[..., :-1], refused.future)


# ---------------------------------------------------------------------- what it changes, and what it does not


@pytest.mark.parametrize("more", [{}, {"strategy": "recursive", "likelihood": "gaussian", "paths": 20}])
def test_a_jump_in_time_changes_the_forecast(more: dict[str, Any]) -> None:
    even, jump = series(range(10)), series((*range(8), 507, 508))
    task = made([even], **more)
    assert np.abs(quantiles(task, even) - quantiles(task, jump)).max() > 1e-3
    soon, late = (series((*range(10), *later), ahead=True) for later in ((10, 11), (500, 501)))
    soon.values[10:], late.values[10:] = np.nan, np.nan
    task = made([series(range(10), ahead=True)], **more)
    assert np.abs(quantiles(task, soon) - quantiles(task, late)).max() > 1e-3


@pytest.mark.parametrize(
    ("times", "others"),
    [
        (NUMBERS, (*NUMBERS[:6], 16, 26, 36)),
        (NUMBERS, (*NUMBERS[:6], 7.25, 7.5, 7.75)),
        ((0, 1, 2, 5, 6, 9, 10, 11, 12), (0, 1, 2, 5, 6, 9, 12, 15, 18)),  # and what is frequent
        (DATES, [*DATES[:6], "2024-01-13", "2024-01-14", "2024-01-20"]),
        (DATES, [*DATES[:6], "2024-02-01", "2024-03-01", "2024-04-01"]),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_what_lies_behind_the_origin_changes_no_forecast(times: Any, others: Any, missing: bool) -> None:
    """missing: only rows are there, as of values that are to be filled in."""
    one, other = (series(given, observed=np.ones((9, 1))) for given in (times, others))
    other.values[6:], other.observed[6:] = (9.0, 8.0, 7.0), np.nan
    if missing:
        one.values[6:], other.values[6:] = np.nan, np.nan
    task = made([one])
    here, there = window(task, one, 6), window(task, other, 6)
    assert torch.equal(here.context, there.context)
    assert torch.equal(here.future, there.future)
    assert (task.quantiles(here) == task.quantiles(there)).all()


@pytest.mark.parametrize("times", [NUMBERS, DATES, [np.datetime64("2024-01-01") + k for k in NUMBERS]])
@pytest.mark.parametrize("gaps", ["kept", "refused"])
def test_from_an_origin_is_said_what_is_said_where_the_series_ends(times: Any, gaps: str) -> None:
    one = series(times if gaps == "kept" else range(9))
    task = made([one], gaps=gaps)
    for origin in range(2, len(one.values) + 1):
        assert quantiles(task, one.upto(origin)) == pytest.approx(task.quantiles(window(task, one, origin))[0])


def test_times_that_are_given_change_nothing_of_the_past() -> None:
    one, other = (series((*NUMBERS[:6], *later), ahead=True) for later in ((7, 8, 9), (16, 26, 36)))
    task = made([one])
    here, there = window(task, one, 6), window(task, other, 6)
    assert torch.equal(here.context, there.context)
    assert not torch.equal(here.future, there.future)


def test_the_calendar_to_come_is_of_times_that_are_given_with_what_is_known_ahead() -> None:
    one, untold = series(DATES, ahead=True), series(DATES)
    told = window(made([one]), one, 3)
    assert torch.equal(told.future[0, :, 1:5], window(made([one]), one, 6).context[0, 1:3, 3:7])
    usual = window(made([untold]), untold, 3).future[0, :, 1:5]
    weekday = [np.sin(2 * np.pi * day / 7) for day in (3, 4)]  # 2024-01-04, a Thursday, and the day after
    assert usual[:, 0].tolist() == pytest.approx(weekday, abs=1e-6)
    assert not torch.equal(told.future[0, :, 1:5], usual)


@pytest.mark.parametrize("ahead", [False, True])
def test_saved_and_loaded_it_says_the_same(tmp_path: Path, ahead: bool) -> None:
    one = series(NUMBERS, ahead=ahead)
    one.values[7:] = np.nan
    task = made([one])
    bundle.save(task, tmp_path / "model")
    loaded = bundle.load(tmp_path / "model")
    assert np.array_equal(quantiles(loaded, one), quantiles(task, one))


# ---------------------------------------------------------------------- what is learnt


def decaying(count: int, seed: int) -> list[Series]:
    """Each value is the one before, times exp(-0.3 elapsed), and back at one when it has fallen under a tenth."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        apart = rng.choice([1, 2, 4, 6], p=[0.4, 0.2, 0.2, 0.2], size=39)
        values = [1.0]
        for elapsed in apart:
            values.append(values[-1] * np.exp(-0.3 * elapsed) if values[-1] >= 0.1 else 1.0)
        times = np.concatenate([[0], np.cumsum(apart)])
        found.append(Series(values=np.array(values), time=tuple(map(str, times)), ahead=np.zeros((40, 1))))
    return found


def learnt(times: bool) -> float:
    """Error of the medians over that of the last value, on series that were not trained on. times: whether told."""
    given, asked = (
        [one if times else replace(one, time=None) for one in decaying(count, seed)]
        for count, seed in ((24, 0), (8, 1))
    )
    torch.manual_seed(1)
    task = Forecaster.prepare(given, **{**SIZES, "horizon": 1, "hidden_size": 24}).train()
    encoded = [task.encode(one) for one in given]
    windows = [Window(one, origin) for one in encoded for origin in range(4, 40)]
    optimiser, random = torch.optim.Adam(task.parameters(), 1e-2), np.random.default_rng(0)
    for _ in range(120):
        loss = task.loss(task.collate([windows[k] for k in random.integers(len(windows), size=96)]))
        optimiser.zero_grad()
        (loss.total / loss.count).backward()
        optimiser.step()
    task.eval()
    others = [Window(task.encode(one), origin) for one in asked for origin in range(4, 40)]
    said = task.quantiles(task.collate(others))[:, 0, 3]
    came = np.array([one.series.values[one.origin] for one in others])
    last = np.array([one.series.values[one.origin - 1] for one in others])
    return float(np.abs(said - came).mean() / np.abs(last - came).mean())


def test_a_decay_is_learnt_from_how_long_steps_were() -> None:
    told, untold = learnt(True), learnt(False)
    assert told < 0.5
    assert told < 0.7 * untold


def decays(seed: int, steps: int = 120) -> Series:
    """What is left of 1 after a time that differs from step to step, and is filled up again behind each."""
    rng = np.random.default_rng(seed)
    took = rng.choice([1, 1, 1, 2, 4], size=steps)
    values = np.exp(-0.5 * (took - 1.0)) + 0.01 * rng.normal(size=steps)
    # The value that follows tells how long the step before it was.
    values[1:] = values[:-1].copy()
    return Series(values=values, series=str(seed), time=tuple(map(str, np.cumsum(took).tolist())))


def test_what_hangs_on_the_length_of_the_last_step_is_learnt(tmp_path: Path) -> None:
    given = [decays(seed) for seed in range(6)]
    model = Model(gaps="kept", horizon=1, context=6, season=1, hidden_size=16, dropout=0.0)
    model.fit(given[:5], given[5:], epochs=12, checks=1, learning_rate=1e-2)
    figures = model.evaluate([replace(decays(9), history=60)])["metrics"]
    assert figures["mase"] < 0.5 * figures["naive_mase"]
    model.save_pretrained(tmp_path / "model")
    again = Model.from_pretrained(tmp_path / "model")
    assert again.evaluate([replace(decays(9), history=60)])["metrics"] == figures
