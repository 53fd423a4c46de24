"""Pictures of predictions: what is drawn is what was given and what was predicted."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from unrolled.data.examples import LabelledText, Series
from unrolled.data.music import Roll, roll
from unrolled.errors import BadData, BadOption
from unrolled.inspection.predicted_picture import draw, predicted_png
from unrolled.metrics.naive_forecasts import drift, naive, seasonal_naive
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.composer import Composer
from unrolled.tasks.forecaster import Forecaster

TUNE = Roll(notes=roll([[60, 64], [62], [], [64, 67]]), name="tune")
DAYS = np.datetime64("2024-01-01") + np.arange(40)


def composer() -> Composer:
    torch.manual_seed(1)
    return Composer.prepare([TUNE], hidden_size=4, word_size=4, chord_size=3).eval()


def series(steps: int = 40, **more: Any) -> Series:
    values = 5 + np.sin(2 * np.pi * np.arange(40) / 4) + 0.01 * np.arange(40)
    return Series(values=values[:steps], series="s", time=tuple(map(str, DAYS[:steps])), **more)


def forecaster() -> Forecaster:
    torch.manual_seed(1)
    return Forecaster.prepare([series()], season=4, horizon=4, context=8, hidden_size=4, conformal="no").eval()


def test_each_note_that_was_given_or_made_up_is_a_bar_at_its_place() -> None:
    task = composer()
    (axes,) = draw(task, [TUNE], steps=3, seed=2).axes
    (said,) = task.predict([TUNE], steps=3, seed=2)
    bars = {(round(2 * bar.get_x()), round(bar.get_y() + bar.get_height() / 2)) for bar in axes.patches}
    assert bars == {(int(step), int(pitch)) for step, pitch in np.argwhere(said.whole)}
    colours = {bar.get_x() < 2: bar.get_facecolor() for bar in axes.patches}
    assert colours[True] != colours[False], "what was made up is told apart"
    assert "tune" in axes.get_title()


@pytest.mark.parametrize("held_back", [True, False])
def test_a_forecast_stands_beside_the_naive_ones_and_what_came(held_back: bool) -> None:
    task = forecaster()
    given = series(history=36) if held_back else series(36)
    (axes,) = draw(task, [given]).axes
    (said,) = task.predict([series(36)])
    lines = {line.get_label(): line for line in axes.lines}
    past, after = series(36).values, np.arange(36, 40)
    expected = {
        "forecast": said.forecast.median,
        "naive": naive(past, 4),
        "drift": drift(past, 4),
        "seasonal naive": seasonal_naive(past, 4, 4),
    }
    if held_back:
        expected["what came"] = series().values[36:]
    assert expected.keys() <= lines.keys()
    assert ("what came" in lines) == held_back
    for name, values in expected.items():
        assert np.array_equal(lines[name].get_xdata(), after)
        assert np.allclose(lines[name].get_ydata(), values)
    assert [band.get_label() for band in axes.collections] == ["90%", "80%", "50%"]
    assert axes.get_xticklabels()[-1].get_text() == "2024-02-09"


def test_a_forecast_that_is_held_back_knows_what_is_known_ahead() -> None:
    bargains = np.arange(40.0)[:, None] % 3
    torch.manual_seed(1)
    task = Forecaster.prepare([series(ahead=bargains)], season=4, horizon=4, context=8, hidden_size=4).eval()
    to_come = np.where(np.arange(40) < 36, series().values, np.nan)
    (said,) = task.predict([replace(series(ahead=bargains), values=to_come)])
    for history in (36, 0):  # behind the last value there is nothing known ahead: so the last horizon is held back
        (axes,) = draw(task, [series(history=history, ahead=bargains)]).axes
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        assert np.allclose(lines["forecast"], said.forecast.median)
        assert np.allclose(lines["what came"], series().values[36:])


def test_the_picture_is_a_png_of_a_row_an_example() -> None:
    one, two = (
        Image.open(io.BytesIO(predicted_png(composer(), [replace(TUNE, name=str(k)) for k in range(n)])))
        for n in (1, 2)
    )
    assert one.format == "PNG"
    assert two.size == (one.size[0], 2 * one.size[1])


def test_silence_is_drawn_too() -> None:
    (axes,) = draw(composer(), [Roll(notes=roll([[], []]))], steps=1, temperature=1e-6).axes
    assert "a piece" in axes.get_title()


def test_what_has_no_picture_is_refused() -> None:
    text = LabelledText(text="a", label="b")
    with pytest.raises(BadOption, match="texts with labels are read, not seen: there are pictures of music and series"):
        draw(Classifier.prepare([text, LabelledText(text="b", label="a")]), [text])


@pytest.mark.parametrize("count", [0, 13])
def test_a_picture_holds_twelve_examples_at_most(count: int) -> None:
    with pytest.raises(BadData, match=f"a picture holds 1 to 12 examples, not {count}"):
        draw(composer(), [TUNE] * count)
