"""Predictions that people would rather see than read: music as a roll, and forecasts beside what they have to beat.

One row an example. Which examples have a picture, and how it is drawn, is said by `PICTURES`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.data.examples import Example, Series
from unrolled.data.music import Roll, called
from unrolled.errors import BadData, BadOption
from unrolled.metrics.naive_forecasts import drift, naive, seasonal_naive
from unrolled.tasks.base import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 2.8
"""Of an example, in inches."""
MOST = 12
"""Examples in a picture."""
GIVEN, MADE = "#4b5563", "#d97706"
LOOKED_BACK = 3
"""Horizons of the past that are shown beside a forecast."""


def predicted_png(task: Task, examples: Sequence[Example], **options: Any) -> bytes:
    """The picture, 120 dots an inch. Arguments and errors as `draw`."""
    picture = io.BytesIO()
    draw(task, examples, **options).savefig(picture, format="png")
    return picture.getvalue()


def draw(task: Task, examples: Sequence[Example], **options: Any) -> Figure:
    """The examples with what the task predicts of them: one axes each.

    Args:
        task: that reads them.
        examples: 12 at most.
        options: of how to decide.

    Raises:
        BadOption: for examples that have no picture.
        BadData: for none, and for more than fit.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not 0 < len(examples) <= MOST:
        raise BadData(f"a picture holds 1 to {MOST} examples, not {len(examples)}")
    if type(examples[0]) not in PICTURES:
        drawn = " and ".join(kind.called for kind in PICTURES)
        raise BadOption(f"{examples[0].called} are read, not seen: there are pictures of {drawn}")
    figure = Figure(figsize=(WIDTH, HEIGHT * len(examples)), dpi=120)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    for axes, example in zip(figure.subplots(len(examples), 1, squeeze=False)[:, 0], examples, strict=True):
        PICTURES[type(example)](axes, task, example, options)
    return figure


def _roll(axes: Axes, task: Task, example: Any, options: Mapping[str, Any]) -> None:
    """Time across, pitches up; what was given in grey, what was made up in colour."""
    (piece,) = task.predict([example], **options)
    notes, given = piece.whole, len(piece.notes)
    sounding = np.flatnonzero(notes.any(0))
    low, high = (int(sounding[0]), int(sounding[-1])) if len(sounding) else (60, 60)
    for begin, end, colour in ((0, given, GIVEN), (given, len(notes), MADE)):
        for step, pitch in np.argwhere(notes[begin:end]):
            axes.barh(pitch, 1, left=(begin + step) / piece.division, height=0.9, color=colour, align="center")
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0] or [low]
    axes.set_yticks(octaves, list(map(called, octaves)))
    axes.axvline(given / piece.division, color=MADE, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, len(notes) / piece.division)
    axes.set_ylim(low - 1, high + 1)
    axes.set_xlabel("quarter notes")
    _title(axes, f"{piece.name or 'a piece'}: given, and what follows")
    axes.grid(axis="y", linewidth=0.3)


def _series(axes: Axes, task: Any, example: Any, options: Mapping[str, Any]) -> None:
    """The last values, the forecast with its intervals, what came where that is known, and the naive forecasts."""
    origin = example.history or task.asked(example).known
    # What is known ahead stays: the steps to come are those whose values are taken away.
    past = np.where(np.arange(len(example.values)) < origin, example.values, np.nan)
    (said,) = task.predict([replace(example, values=past, history=0)], **options)
    forecast, season = said.forecast, task.sight.season
    steps = len(forecast.median)
    begin = max(0, origin - LOOKED_BACK * max(steps, season))
    after = np.arange(origin, origin + steps)
    outer = list(zip(forecast.levels, forecast.levels[::-1], strict=True))[: len(forecast.levels) // 2]
    for k, (low, high) in enumerate(outer):
        band = (forecast.quantiles[:, forecast.levels.index(level)] for level in (low, high))
        axes.fill_between(after, *band, color=MADE, alpha=0.15 + 0.1 * k, linewidth=0, label=f"{high - low:.0%}")
    axes.plot(after, forecast.median, color=MADE, label="forecast")
    axes.plot(np.arange(begin, origin), example.values[begin:origin], color=GIVEN)
    came = example.values[origin : origin + steps]
    if (~np.isnan(came)).any():
        axes.plot(after[: len(came)], came, color=GIVEN, linestyle="--", label="what came")
    past = past[:origin]
    rivals = {"naive": naive(past, steps), "drift": drift(past, steps)}
    if season > 1:
        rivals["seasonal naive"] = seasonal_naive(past, steps, season)
    for (name, values), style in zip(rivals.items(), (":", "-.", (0, (5, 1))), strict=False):
        axes.plot(after, values, color="#2563eb", linewidth=0.8, linestyle=style, label=name)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    if example.time is not None:
        times = (*example.time[:origin], *(forecast.time or ()))
        places = np.unique(np.linspace(begin, len(times) - 1, 5).astype(int))
        axes.set_xticks(places, [times[place] for place in places], fontsize=7)
    _title(axes, example.series or "a series")


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, parse_math=False)


PICTURES: dict[type[Example], Callable[[Any, Any, Any, Mapping[str, Any]], None]] = {Roll: _roll, Series: _series}
