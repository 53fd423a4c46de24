"""Forecasts: what they look at and what not, against what comes, by hand where that can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Forecaster as Model
from unrolled import bundle
from unrolled.data.examples import Forecast, Origin, Series
from unrolled.data.splits import in_time, load
from unrolled.data.step_lines import StepLines
from unrolled.errors import BadData, BadOption
from unrolled.metrics.forecasts import coverage
from unrolled.metrics.naive_forecasts import seasonal_naive
from unrolled.tasks._windows import Sight, Window, Windows
from unrolled.tasks.forecaster import Forecaster

SIZES = {"horizon": 4, "context": 8, "season": 3, "conformal": "no", "hidden_size": 48, "layers": 2, "dropout": 0.0}
UP_TO = dict.fromkeys(
    [f"{name}_{figure}" for name in ("naive", "seasonal_naive") for figure in ("mase", "smape", "crps")]
    + ["drift_mase", "drift_smape", "crps"],
    float("inf"),
)


def wave(steps: int, seed: int, size: float = 1.0, season: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    found: np.ndarray = size * (5 + np.sin(2 * np.pi * time / season + seed) + 0.1 * rng.normal(size=steps))
    return found


def examples() -> list[Series]:
    """For the laws of `test_every_task`."""
    found = [Series(values=wave(20 + 5 * k, k, 10.0**k), series=f"s{k}") for k in range(4)]
    found[1] = replace(found[1], values=np.where(np.arange(25) == 9, np.nan, found[1].values))
    return found


def perfect(given: list[Series]) -> list[Series]:
    """Each without its last four steps, and a forecast of what came."""
    said = []
    for one in given:
        rest = one.values[-4:]
        quantiles = np.repeat(rest[:, None], 7, axis=1)
        forecast = Forecast(None, rest, (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95), quantiles)
        said.append(replace(one.upto(len(one.values) - 4), forecast=forecast))
    return said


def counts() -> list[Series]:
    """Ten times as much, in whole numbers."""
    return [replace(one, values=(10 * one.values).round()) for one in examples()]


def examples_for(kind: dict[str, Any]) -> list[Series]:
    return counts() if kind.get("likelihood") == "negative_binomial" else examples()


def made(given: list[Series] | None = None, **options: Any) -> Forecaster:
    torch.manual_seed(1)
    return Forecaster.prepare(examples() if given is None else given, **{**SIZES, **options}).eval()


def drawn(task: Forecaster) -> Forecaster:
    """With weights that say something."""
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.uniform_(-0.5, 0.5)
    return task


KINDS: list[dict[str, Any]] = [
    {},
    {"likelihood": "gaussian"},
    {"likelihood": "student"},
    {"likelihood": "negative_binomial"},
    {"likelihood": "gaussian", "strategy": "recursive"},
    {"likelihood": "negative_binomial", "strategy": "recursive"},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_future_never_changes_a_forecast(kind: dict[str, Any]) -> None:
    task, given = drawn(made(**kind)), examples_for(kind)
    for example in given:
        encoded = task.encode(example)
        origin = encoded.known - 4
        changed = encoded.values.copy()
        changed[origin:] = 1e6
        other = encoded._replace(values=changed)
        cut = task.encode(example.upto(origin))
        said = [
            task.quantiles(task.sight.batch([Window(one, origin)]))
            for one in (encoded, other, cut._replace(known=origin))
        ]
        assert np.array_equal(said[0], said[1])
        assert np.array_equal(said[0], said[2])
    figures = task.measure([replace(given[0], history=12)])
    later = np.concatenate([given[0].values, np.full(8, 1e3)])
    one = task._backtested([task.encode(replace(given[0], values=later, history=12))], moved=True)[0]
    same = task._backtested([task.encode(replace(given[0], history=12))], moved=True)[0]
    np.testing.assert_allclose(one[1], same[1], rtol=1e-5)
    assert figures["mase"] > 0


def test_what_was_observed_is_not_looked_at_ahead_and_what_is_known_ahead_is() -> None:
    def given(observed: float, ahead: float) -> Series:
        columns = {name: np.zeros((20, 1)) for name in ("observed", "ahead")}
        columns["observed"][16:], columns["ahead"][16:] = observed, ahead
        columns["observed"][3], columns["ahead"][3] = 1.0, 1.0
        return replace(examples()[0], **columns)

    task = drawn(made([given(0, 0)]))

    def said(observed: float, ahead: float) -> np.ndarray:
        return task.quantiles(task.sight.batch([Window(task.encode(given(observed, ahead)), 16)]))

    assert np.array_equal(said(0, 0), said(5, 0))
    assert not np.allclose(said(0, 0), said(0, 5))


def test_a_network_that_knows_nothing_says_the_seasonal_naive_forecast() -> None:
    for season in (3, 1):
        task = made(season=season)
        torch.nn.init.zeros_(task.output.weight)
        for example, said in zip(examples(), task.predict(examples()), strict=True):
            expected = seasonal_naive(example.values, 4, 3) if season == 3 else np.full(4, example.values[-1])
            assert said.forecast.median == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
def test_size_and_unit_of_a_series_change_nothing(kind: dict[str, Any]) -> None:
    task = drawn(made(**kind))
    (one,) = task.predict([examples()[0]])
    (other,) = task.predict([replace(examples()[0], values=1000 * examples()[0].values - 7)])
    assert other.forecast.quantiles == pytest.approx(1000 * one.forecast.quantiles - 7, rel=1e-4)


def test_the_numbers_of_a_window_by_hand() -> None:
    sight = Sight(context=4, horizon=3, season=2, lags=(2,))
    task = made(season=2, horizon=3, context=4, lags=[2])
    values = np.array([1.0, 4.0, 2.0, np.nan, 3.0, 8.0, 9.0])
    batch = sight.batch([Window(task.encode(Series(values=values)), 5)])
    # The context is 4, 2, -, 3: mean 3, deviation sqrt(2/3). Seasonal errors of the past: |2-1|, |3-2|: 1.
    spread = np.sqrt(2 / 3)
    assert batch.scale.tolist() == [1]
    assert batch.base[0].tolist() == [4, 3, 4]  # place 5: place 3 is missing, so place 1; place 6: place 4
    assert batch.context[0, :, 0].tolist() == pytest.approx([1 / spread, -1 / spread, 0, 0])
    assert batch.context[0, :, 1].tolist() == [1, 1, 0, 1]
    assert batch.context[0, :, 2].tolist() == pytest.approx([np.log(1 / spread)] * 4)
    assert batch.context[0, :, 3].tolist() == pytest.approx([0, -2 / spread, 1 / spread, -1 / spread])
    assert batch.future[0, :, 1].tolist() == pytest.approx([1 / spread, 0, 1 / spread])
    assert batch.target[0, :2].tolist() == [8 - 4, 9 - 3]
    assert batch.target[0, 2].isnan()


def test_windows_cover_every_place_and_are_a_function_of_seed_and_epoch() -> None:
    task = made()
    encoded = [task.encode(example) for example in examples()]
    feed = Windows(encoded, task.sight, rows=3, elements=10**6, seed=1)
    assert feed.plan(0) == Windows(encoded, task.sight, rows=3, elements=10**6, seed=1).plan(0)
    assert feed.plan(0) != feed.plan(1)
    assert {len(piece) for piece in feed.plan(0)} <= {1, 2, 3}
    drawn_places = {place for epoch in range(200) for piece in feed.plan(epoch) for place in piece}
    longest = {origin for row, origin in drawn_places if row == 3}
    assert longest == set(range(8, 32))
    with pytest.raises(BadData, match="no series has two values"):
        Windows([task.encode(Series(values=np.array([1.0])))], task.sight, rows=3, elements=99, seed=1)


def test_it_learns_what_the_seasonal_naive_forecast_does_not_know(tmp_path: Path) -> None:
    """Two seasons in turn: the one before says nothing, the one before that all."""
    rng = np.random.default_rng(3)
    pattern = np.array([1.0, 5.0, 2.0, 8.0, 3.0, 1.0])
    given = [
        Series(values=10 * k + np.tile(pattern, 20) + 0.1 * rng.normal(size=120), series=f"{k}") for k in range(1, 7)
    ]
    train, valid, test = in_time(given, [0.15, 0.15])
    model = Model(season=3, horizon=6, context=12, hidden_size=16)
    model.fit(train, valid, epochs=150, learning_rate=1e-2)
    figures = model.evaluate(test)["metrics"]
    assert figures["mase"] < 0.3 * figures["seasonal_naive_mase"]
    assert figures["skill"] > 0.5
    model.save(tmp_path / "m")
    assert bundle.load(tmp_path / "m").predict(test) == model.predict(test)


def test_weights_are_chosen_by_all_quantiles_where_the_median_has_nothing_to_learn() -> None:
    """Of a random walk the last value is the best forecast: by its median alone a network's first weights are kept."""
    walks = np.cumsum(np.random.default_rng(0).normal(size=(6, 300)), axis=1)
    given = [Series(values=values, series=f"{k}") for k, values in enumerate(walks)]
    train, valid = [one.upto(200) for one in given], [one.upto(300, history=200) for one in given]
    model = Model(horizon=6, context=12, hidden_size=8, conformal="no")
    model.fit(train, valid, epochs=12, checks=1, learning_rate=1e-2)
    assert model.evaluate(valid)["metrics"]["coverage_90"] > 0.8  # 0.76 where MASE chooses


def test_calibration_makes_intervals_hold_what_they_say() -> None:
    rng = np.random.default_rng(5)
    given = [Series(values=rng.normal(size=400), series=f"{k}", history=100) for k in range(3)]
    task = made(given, season=1, conformal="yes")

    def held() -> float:
        found = task._backtested([task.encode(one) for one in given], moved=True)
        came = [window.series.values[window.origin : window.origin + 4] for window, _, _ in found]
        return float(
            np.mean([coverage(c, q[: len(c), 0], q[: len(c), -1]) for c, (_, q, _) in zip(came, found, strict=True)])
        )

    with torch.no_grad():
        task.output.bias.mul_(0.2)  # far too sure
    assert held() < 0.6
    task.calibrate(given)
    assert held() == pytest.approx(0.9, abs=0.02)
    assert task.offsets[3] == 0
    assert task.options["calibrated"] == 900
    fixed = made(given, season=1)
    fixed.calibrate(given)
    assert not fixed.offsets.any()


def test_a_verdict_says_where_intervals_could_not_be_calibrated() -> None:
    given = [Series(values=np.random.default_rng(1).normal(size=60), history=41)]
    figures = {"mase": 1.0, "naive_mase": 2.0}
    said = "better than the naive forecast, the last value again: MASE 1.000 against 2.000"
    task = made(given, season=1, conformal="yes")
    task.calibrate(given)
    assert (task.offsets.any(), task.options["calibrated"]) == (False, 0), "19 values are too few"
    assert task.verdict(figures) == f"{said}; intervals are not calibrated, for which validation must have 20 values"
    assert made(given, season=1, conformal="no").verdict(figures) == said
    task.calibrate([replace(given[0], history=40)])
    assert task.verdict(figures) == said
    task.offsets.zero_()  # as of counts it may be
    assert task.verdict(figures) == said
    task.options["calibrated"] = 0  # as of a model that was saved before this was kept
    task.offsets[0] = -0.5
    assert task.verdict(figures) == said


def test_static_words_and_the_calendar_are_read() -> None:
    time = tuple(f"2024-01-{day:02}" for day in range(1, 21))
    given = [replace(one.upto(20), time=time, static=(word,)) for one, word in zip(examples(), "abab", strict=True)]
    task = drawn(made(given))
    assert (task.options["statics"], task.options["calendars"]) == (1, 4)
    (one,), (other,) = task.predict([given[0]]), task.predict([replace(given[0], static=("b",))])
    assert not np.allclose(one.forecast.quantiles, other.forecast.quantiles)
    assert one.forecast.time == ("2024-01-21", "2024-01-22", "2024-01-23", "2024-01-24")
    later = tuple(f"2024-02-{day:02}" for day in range(1, 21))
    (moved,) = task.predict([replace(given[0], time=later)])
    assert not np.allclose(one.forecast.quantiles, moved.forecast.quantiles)


def test_what_nothing_is_said_of_follows_the_times() -> None:
    hours = tuple(f"2024-01-{1 + k // 24:02} {k % 24:02}:00" for k in range(400))
    task = Forecaster.prepare([Series(values=wave(400, 1, season=24), time=hours)], hidden_size=4)
    assert [task.options[name] for name in ("season", "horizon", "context", "lags")] == [24, 48, 96, [24]]
    plain = Forecaster.prepare([Series(values=wave(50, 1))], hidden_size=4)
    assert [plain.options[name] for name in ("season", "horizon", "context", "lags")] == [1, 6, 12, []]


def test_series_are_parted_in_time(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("value\n" + "".join(f"{k}\n" for k in range(100)))
    train, valid, test = load(tmp_path / "all.csv", Series, seed=1)
    assert train[0].values.tolist() == list(range(80))
    assert (valid[0].values.tolist(), valid[0].history) == (list(range(90)), 80)
    assert test is not None
    assert (test[0].values.tolist(), test[0].history) == (list(range(100)), 90)
    with pytest.raises(BadData, match="series of 3 steps at most are too short to be parted"):
        in_time([Series(values=np.arange(3.0))], [0.1, 0.1])


def test_a_folder_s_test_file_goes_on_where_its_training_file_ends(tmp_path: Path) -> None:
    values = wave(60, 1)
    for name, part in (("train", values[:48]), ("test", values[48:])):
        (tmp_path / f"{name}.csv").write_text("series,value\n" + "".join(f"a,{value!r}\n" for value in part.tolist()))
    model = Model.train(tmp_path, season=3, horizon=4, context=8, hidden_size=4, epochs=1)
    (whole,) = model.examples(tmp_path)
    assert (whole.values.tolist(), whole.history) == (values.tolist(), 48)
    assert model.evaluate(tmp_path)["metrics"] == model.evaluate([Series(values=values, history=48)])["metrics"]


DAYS = ("2024-01-01", "2024-01-02", "2024-01-05")


@pytest.mark.parametrize(
    ("values", "time", "message"),
    [
        ([np.nan] * 3, None, r"^a\.csv:2: no value of the series 'a' is known$"),
        (
            [0.0] * 3,
            DAYS,
            r"^a\.csv:4: a gap in the series 'a': 2024-01-05 follows 2024-01-02, where a step is a day; give",
        ),
        ([0.0] * 2, ("2024-01-01", "soon"), r"^a\.csv:3: 'soon' is no time$"),
    ],
)
def test_what_is_no_series_is_named_with_its_line(values: list[float], time: Any, message: str) -> None:
    lines = (StepLines("a.csv", np.arange(2, 2 + len(values))),)
    with pytest.raises(BadData, match=message):
        made([Series(values=np.array(values), series="a", time=time, origin=Origin("a.csv", 2), lines=lines)])


def test_a_gap_may_be_kept() -> None:
    time = tuple(f"2024-01-{day:02}" for day in (*range(1, 11), *range(13, 23)))
    given = [replace(examples()[0], time=time)]
    with pytest.raises(BadData, match="a gap in the series"):
        made(given)
    assert made(given, gaps="kept").predict(given)[0].forecast.time[0] == "2024-01-23"


def test_other_columns_than_in_training_are_refused() -> None:
    task = made()
    with pytest.raises(BadData, match="1 static columns where training had 0"):
        task.encode(replace(examples()[0], static=("x",)))
    with pytest.raises(BadData, match="1 columns that are ahead where training had 0"):
        task.encode(replace(examples()[0], ahead=np.zeros((20, 1))))
    with pytest.raises(BadData, match="the times of the series 's0' have other steps than those of training"):
        task.encode(replace(examples()[0], time=tuple(f"2024-01-{k:02}" for k in range(1, 21))))
    with pytest.raises(BadData, match="some series have times and some have none"):
        made([examples()[0], replace(examples()[1].upto(2), time=("2024", "2025"))])
    with pytest.raises(BadData, match=r"numbers of shape \(2, 2\): a row of them is expected"):
        task.predict([np.zeros((2, 2))])


def test_a_row_of_numbers_is_one_series_and_a_table_has_one_a_row() -> None:
    model = Model(made())
    row = examples()[0].values
    wanted = model.task.predict([examples()[0]])[0].forecast
    for raw in (row, row.tolist(), tuple(row.tolist()), list(row)):
        found = model.predict(raw)
        assert found.forecast.quantiles == pytest.approx(wanted.quantiles, rel=1e-4)
    assert model.predict([1, None, 3]).values[0] == 1
    for raw in (np.stack([row, row]), [row, row], [row.tolist()] * 2, [examples()[0]] * 2, iter([row, row])):
        one, other = (found.forecast.quantiles for found in model.predict(raw))
        assert one == pytest.approx(wanted.quantiles, rel=1e-4)
        assert other == pytest.approx(one)
    assert len(model.predict([row, row[:9]])) == 2
    assert model.predict([]) == []
    with pytest.raises(BadData, match="a series, or a row of numbers, is expected"):
        model.predict("soon")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon must be 1 or more, not 0"),
        ({"lags": [0]}, "lags must be 1 or more"),
        ({"levels": [0.1, 0.9]}, "levels must rise, with 0.5, the median, among them"),
        ({"strategy": "recursive"}, "strategy=recursive draws values, and quantiles are not drawn from"),
        ({"calendars": 2}, "calendars is not to be given: the training series say it"),
        ({"calibrated": 2}, "calibrated is not to be given"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        made(**options)
