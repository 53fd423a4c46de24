"""Series that are not regular in time: with `gaps=kept` a forecaster reads how long each step took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Forecaster as Model
from unrolled.data.examples import Series
from unrolled.tasks._windows import Window
from unrolled.tasks.forecaster import Forecaster

SIZES: dict[str, Any] = {"horizon": 2, "context": 6, "season": 1, "hidden_size": 8, "conformal": "no", "dropout": 0.0}


def at(*ticks: int, **columns: Any) -> Series:
    values = np.random.default_rng(0).normal(size=len(ticks))
    return Series(values=values, series="a", time=tuple(map(str, ticks)), **columns)


def made(given: list[Series], **options: Any) -> Forecaster:
    torch.manual_seed(1)
    return Forecaster.prepare(given, **{**SIZES, **options}).eval()


def said(task: Forecaster, example: Series) -> list[list[float]]:
    (found,) = task.predict([example])
    return found.forecast.quantiles.tolist()


IRREGULAR = (0, 1, 2, 5, 6, 7, 17, 18, 19, 20, 21, 22)


def test_what_is_read_beside_each_value_is_the_logarithm_of_how_much_longer_its_step_took() -> None:
    given = at(*IRREGULAR, observed=np.arange(12.0)[:, None])
    task = made([given], gaps="kept")
    batch = task.collate([task.encode(given)])
    logs = [0.0, 0, 0, np.log(3), 0, 0, np.log(10), 0, 0, 0, 0, 0]
    assert batch.context[0, :, -1].tolist() == pytest.approx(logs[-6:])
    assert batch.future.shape[-1] == 1  # how long steps to come take is not known
    assert made([at(*range(12))], gaps="kept").encode(at(*range(12))).observed.tolist() == [[0.0]] * 12
    untimed = Series(values=np.arange(12.0))
    assert made([untimed], gaps="kept").encode(untimed).observed.tolist() == [[0.0]] * 12


def test_a_series_whose_times_must_be_regular_reads_no_such_number() -> None:
    given = at(*range(12))
    assert made([given]).encode(given).observed.shape == (12, 0)


def test_a_longer_step_is_another_forecast_and_its_unit_is_not() -> None:
    task = made([at(*IRREGULAR)], gaps="kept")
    assert said(task, at(*IRREGULAR)) != said(task, at(*range(12)))
    assert said(task, at(*IRREGULAR)) == said(task, at(*(60 * tick for tick in IRREGULAR)))


def test_dates_are_as_numbers_are() -> None:
    days = tuple(str(np.datetime64("2024-01-01") + tick) for tick in IRREGULAR)
    given = replace(at(*IRREGULAR), time=days)
    numbers = made([at(*IRREGULAR)], gaps="kept").encode(at(*IRREGULAR))
    assert np.array_equal(made([given], gaps="kept").encode(given).observed, numbers.observed)


def test_when_the_values_behind_the_origin_came_changes_no_forecast_from_it() -> None:
    task = made([at(*IRREGULAR)], gaps="kept")
    windows = []
    for later in ((20, 21, 22), (31, 32, 90)):
        encoded = task.encode(at(*IRREGULAR[:9], *later))
        windows.append(task.sight.batch([Window(encoded, 9)]))
    assert np.array_equal(task.quantiles(windows[0]), task.quantiles(windows[1]))


def decays(seed: int, steps: int = 120) -> Series:
    """What is left of 1 after a time that differs from step to step, and is filled up again behind each."""
    rng = np.random.default_rng(seed)
    took = rng.choice([1, 1, 1, 2, 4], size=steps)
    values = np.exp(-0.5 * (took - 1.0)) + 0.01 * rng.normal(size=steps)
    # The value that follows tells how long the step before it was.
    values[1:] = values[:-1].copy()
    return Series(values=values, series=str(seed), time=tuple(map(str, np.cumsum(took).tolist())))


def test_what_hangs_on_the_length_of_steps_is_learnt(tmp_path: Path) -> None:
    given = [decays(seed) for seed in range(6)]
    model = Model(gaps="kept", horizon=1, context=6, season=1, hidden_size=16, dropout=0.0)
    model.fit(given[:5], given[5:], epochs=12, checks=1, learning_rate=1e-2)
    figures = model.evaluate([replace(decays(9), history=60)])["metrics"]
    assert figures["mase"] < 0.5 * figures["naive_mase"]
    model.save_pretrained(tmp_path / "model")
    again = Model.from_pretrained(tmp_path / "model")
    assert again.evaluate([replace(decays(9), history=60)])["metrics"] == figures
