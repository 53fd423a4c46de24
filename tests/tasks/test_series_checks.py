"""Series of which nothing can be said as they are: what is known ahead is not there, or counts are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Forecaster as Model
from unrolled import api
from unrolled.data.examples import Origin, Series
from unrolled.errors import BadData
from unrolled.tasks.forecaster import Forecaster

NAN = float("nan")
STEPS = 40


def sales(to_come: int = 0, **more: Any) -> Series:
    """With two columns that are known ahead, and so many rows to come."""
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=STEPS), np.full(to_come, NAN)])
    ahead = np.stack([np.arange(STEPS + to_come) % 2, np.arange(STEPS + to_come) % 3], axis=1).astype(float)
    return Series(values=values, series="a", ahead=ahead, origin=Origin("a.csv", 2), **more)


def made(example: Series, **options: Any) -> Forecaster:
    torch.manual_seed(1)
    return Forecaster.prepare([example], hidden_size=4, horizon=3, context=6, **options).eval()


def test_what_is_known_ahead_must_be_there_for_all_steps_to_come() -> None:
    task = made(sales())
    needed = r"^a\.csv:2: of the series 'a' 3 rows to come are needed, with what is known ahead and without a value: "
    with pytest.raises(BadData, match=f"{needed}0 are there for ahead column 1, 0 are there for ahead column 2$"):
        task.predict([sales()])
    given = sales(4)
    given.ahead[STEPS + 1, 1] = NAN
    with pytest.raises(BadData, match=r"without a value: 2 are there for ahead column 2$"):
        task.predict([sales(3), given])
    with pytest.raises(BadData, match="without a value: 2 are there for ahead column 1, 2 are there for"):
        Model(task).predict(sales(2))
    given.ahead[STEPS + 1, 1], given.ahead[STEPS + 3] = 0.0, NAN  # behind the horizon
    assert len(task.predict([given])[0].forecast.median) == 3


def test_what_is_known_ahead_may_be_missing_in_the_past() -> None:
    given = sales(3)
    given.ahead[STEPS - 2, 0] = NAN
    task = made(given)
    at_mean = replace(given, ahead=np.where(np.isnan(given.ahead), np.nanmean(given.ahead, axis=0), given.ahead))
    (one,), (other,) = task.predict([given]), task.predict([at_mean])
    assert one.forecast.quantiles == pytest.approx(other.forecast.quantiles, rel=1e-5)


def test_series_that_are_known_to_their_end_are_learnt_from_and_scored() -> None:
    whole = sales(history=30)
    model = Model(made(whole))
    assert model.evaluate([whole])["metrics"]["mase"] > 0
    trained = Model(horizon=3, context=6, hidden_size=4).fit([sales()], [whole], epochs=1)
    assert trained.verdict is not None


def test_the_laws_are_checked_on_series_that_are_known_to_their_end(tmp_path: Path) -> None:
    rows = [f"{value},{k % 2}" for k, value in enumerate(sales().values.tolist())]
    (tmp_path / "a.csv").write_text("\n".join(["value,bargain", *rows]) + "\n")
    task = made(replace(sales(), ahead=sales().ahead[:, :1]))
    model = Model(task, reading={"ahead": "bargain"})
    with pytest.raises(BadData, match="3 rows to come are needed"):
        model.predict_file(tmp_path / "a.csv")
    verdicts = list(api.check(model, tmp_path / "a.csv"))
    assert len(verdicts) == 6
    assert all(verdict.holds is not False for verdict in verdicts)
    assert task.asked(sales(3)) == sales(3)
    assert task.asked(sales(2)).known == STEPS - 3


@pytest.mark.parametrize(("wrong", "spelled"), [(-1.0, "-1"), (2.5, "2.5"), (float("inf"), "inf")])
def test_what_is_no_count_is_refused_with_its_step(wrong: float, spelled: str) -> None:
    values = np.array([NAN, 0.0, 3.0, 1e6, wrong, 2.0, -5.0])
    one = Series(values=values, series="a", time=tuple(f"2024-01-0{k}" for k in range(1, 8)), origin=Origin("a.csv", 2))
    good = replace(one, values=np.array([NAN, 0.0, 3.0, 1e6, NAN, 2.0, 5.0]))
    task = made(good, likelihood="negative_binomial", season=1)
    told = (
        rf"^a\.csv:2: {spelled} at step 5 \(2024-01-05\) of the series 'a' is no count, and likelihood=negative_binom"
    )
    with pytest.raises(BadData, match=told):
        task.predict([one])
    with pytest.raises(BadData, match=rf"^{spelled} at step 5 of the series 'a' is no count"):
        made(replace(good, time=None), likelihood="negative_binomial").encode(replace(one, time=None, origin=None))
    with pytest.raises(BadData, match=told):
        Model(likelihood="negative_binomial", season=1, hidden_size=4).fit([one], [good], epochs=1)
    assert (task.predict([good])[0].forecast.median >= 0).all()
    assert made(one if np.isfinite(wrong) else good, season=1).encode(one).known == 7
