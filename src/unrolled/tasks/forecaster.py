"""What comes next in a series: prices, loads, sales, temperatures; for each step to come not one number, but quantiles.

    context ──► recurrences ──► their last state ──► recurrences over the horizon ──► at each step a distribution
    values, calendar,                               calendar, what is known ahead,
    what was observed                               values one season before

What is said is how far the series will be from its seasonal naive forecast, so that a network that knows nothing says
that (`_windows.py`). `direct`: the steps of the horizon do not hear of each other's values, and are all said at once;
`recursive`: each hears the one before it, the true one in training, else one that is drawn, along many paths (Salinas
et al. 2020, arXiv:1704.04110). Quantiles are moved by how far they were off on validation data, so that an interval
holds as many values as it says (`_conformal.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.data.examples import Forecast, Series
from unrolled.data.feeds import Feed
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.distributions import distribution_of
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.stack import CellName, make_cell, make_stack
from unrolled.tasks import _backtest
from unrolled.tasks._conformal import ENOUGH, offsets, shifted
from unrolled.tasks._series_checks import held_back, must_be_counts, must_be_known_ahead, must_be_like
from unrolled.tasks._series_columns import SAID, scaled, scales
from unrolled.tasks._series_sizes import sizes
from unrolled.tasks._windows import Batch, Encoded, Sight, Window, Windows, clock_of
from unrolled.tasks.base import Loss, Task
from unrolled.unroll.packing import equal


class Forecaster(Task):
    """Quantiles of the steps to come.

    Args:
        vocabularies: `static`: the words of static columns.
        horizon: steps that are forecast; `prepare` takes two seasons, or 6 steps where there is none, and less of short
            series (`_series_sizes.py`).
        context: steps that are looked back at; `prepare` takes four seasons, or two horizons where that is more, and
            less of short series.
        season: steps after which the series comes back, as the times tell; 1: none.
        lags: of earlier values that stand beside each step; `prepare` takes the season.
        strategy: `direct`, or `recursive`.
        likelihood: what is said of a step: `quantiles`, or the parameters of a `gaussian`, of a `student` t or, of
            counts, of a `negative_binomial` distribution.
        levels: of the quantiles that are told, 0.5 among them.
        paths: `recursive`: that are drawn for a forecast.
        conformal: whether quantiles are moved by what validation data say: `yes`, where these are enough, or `no`.
        gaps: whether a time that is missing is `refused`, or is `kept` as a step that was longer. Each step then says
            how long it was; those to come do where columns are known ahead, else they are taken for usual ones.
        cell, hidden_size, layers, dropout, initialisation, forget_bias, cell_options: as in `Tagger`.
        static_size: features of a static word.
        statics: how many static columns there are; calendars: features of the calendar; ahead_means, ahead_deviations,
            observed_means, observed_deviations: of the further columns. The training examples say them.
        calibrated: on how many values quantiles were; 0: they are as the network says them. Validation says it.
    """

    example = Series
    offsets: Tensor
    metric = "crps_skill"
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 2e-3,
        "batch_rows": 64,
        "batch_elements": 32768,
        "epochs": 30.0,
        "averaging": "exponential",
    }

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        horizon: int = 6,
        context: int = 24,
        season: int = 1,
        lags: list[int] | None = None,
        strategy: Literal["direct", "recursive"] = "direct",
        likelihood: Literal["quantiles", "gaussian", "student", "negative_binomial"] = "quantiles",
        levels: list[float] | None = None,
        paths: int = 200,
        conformal: Literal["yes", "no"] = "yes",
        gaps: Literal["refused", "kept"] = "refused",
        cell: CellName = "lstm",
        hidden_size: int = 64,
        layers: int = 1,
        dropout: float = 0.1,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        cell_options: dict[str, Any] | None = None,
        static_size: int = 8,
        statics: int = 0,
        calendars: int = 0,
        ahead_means: list[float] | None = None,
        ahead_deviations: list[float] | None = None,
        observed_means: list[float] | None = None,
        observed_deviations: list[float] | None = None,
        calibrated: int = 0,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        if paths < 1:
            raise BadOption(f"paths must be 1 or more, not {paths}")
        self.levels = tuple(levels) if levels else (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
        if 0.5 not in self.levels or list(self.levels) != sorted(set(self.levels)):
            raise BadOption(f"levels must rise, with 0.5, the median, among them: {list(self.levels)}")
        if strategy == "recursive" and likelihood == "quantiles":
            raise BadOption("strategy=recursive draws values, and quantiles are not drawn from: likelihood=gaussian?")
        self.says_what = distribution_of(likelihood, self.levels)
        seen: dict[str, Any] = {"counts": likelihood == "negative_binomial", "elapsed": gaps == "kept"}
        self.sight = Sight(context=context, horizon=horizon, season=season, lags=tuple(lags or ()), **seen)
        known, still, lagged = calendars + len(ahead_means or ()), statics * static_size, len(self.sight.lags)
        self.words = Embedding(len(vocabularies["static"]), static_size) if statics else None
        read = 3 + lagged + known + len(observed_means or ()) + (gaps == "kept") + still
        told = 1 + lagged + known + bool(ahead_means and gaps == "kept") + still + (strategy == "recursive")

        def make(size: int) -> Any:
            return make_cell(
                cell, size, hidden_size, cell_options, initialisation=initialisation, forget_bias=forget_bias
            )

        how: dict[str, Any] = {"layers": layers, "directions": "forward", "connections": "plain", "dropout": dropout}
        self.encoder, self.decoder = make_stack(read, make, **how), make_stack(told, make, **how)
        self.dropout = LockedDropout(dropout)
        self.output = nn.Linear(self.decoder.output_size, self.says_what.size)
        with torch.no_grad():  # near the seasonal naive forecast
            self.output.weight.mul_(0.1)
            self.output.bias.copy_(torch.tensor(self.says_what.first()))
        self.register_buffer("offsets", torch.zeros(len(self.levels)))

    # ------------------------------------------------------------------ series to numbers

    @classmethod
    def prepare(cls, examples: Sequence[Series], **options: Any) -> Forecaster:
        """A forecaster for these training series.

        Raises:
            BadData: no series, one of no values, with a gap in its times, or with other columns than the first.
            BadOption: options that the series say.
        """
        if not examples:
            raise BadData("there are no series to learn from")
        for name in ("statics", "calendars", "calibrated", *SAID):
            if name in options:
                raise BadOption(f"{name} is not to be given: the training series say it")
        may_lack = options.get("gaps", "refused") == "kept"
        for example in examples:
            must_be_like(example, examples[0])
        clocks = [clock_of(example, may_lack=may_lack) for example in examples]
        first = clocks[0]
        step = None if first is None else (first.step.unit, first.step.size)
        options |= sizes(options, [example.known for example in examples], step)
        options["calendars"] = 0 if first is None else first.calendar().shape[1]
        options["statics"] = len(examples[0].static)
        options |= scales(examples)
        words = Vocabulary.build([example.static for example in examples])
        return cls({"static": words}, None, **options)

    def encode(self, example: Series) -> Encoded:
        o, horizon = self.options, self.sight.horizon
        known = example.known
        if not known:
            raise example.problem(f"no value of {example.title} is known")
        if self.sight.counts:
            must_be_counts(example)
        clock = clock_of(example, may_lack=o["gaps"] == "kept")
        steps = max(len(example.values), known + horizon)
        further = None if clock is None else clock.with_following(steps - len(example.values))
        calendar = np.zeros((steps, 0)) if further is None else further.calendar()
        if calendar.shape[1] != o["calendars"]:
            raise example.problem(f"the times of {example.title} have other steps than those of training")
        if len(example.static) != o["statics"]:
            raise example.problem(f"{len(example.static)} static columns where training had {o['statics']}")
        return Encoded(
            example.values.astype(np.float64),
            known,
            min(example.history, known),
            calendar,
            scaled(example, "ahead", o),
            scaled(example, "observed", o),
            self.vocabularies["static"].encode(example.static),
            None if further is None else further.times,
            self.sight.context + horizon,
            further if self.sight.elapsed else None,
        )

    def sequences(self, encoded: Encoded) -> list[tuple[str, ...]]:
        """The steps of the context and those of the horizon, by their times or their numbers."""
        steps = range(encoded.known - self.sight.context, encoded.known + self.sight.horizon)
        time = encoded.time
        names = tuple("" if k < 0 else str(k + 1) if time is None else time[k] for k in steps)
        return [names[: self.sight.context], names[self.sight.context :]]

    def feed(self, examples: Sequence[Any], *, elements: int, rows: int, seed: int) -> Feed:
        encoded = [self.encode(example) for example in examples]
        return Windows(encoded, self.sight, rows=rows, elements=elements, seed=seed)

    def collate(self, encoded: Sequence[Any]) -> Batch:
        """Windows; of a series as a whole the one behind its last value."""
        return self.sight.batch([one if isinstance(one, Window) else Window(one, one.known) for one in encoded])

    # ------------------------------------------------------------------ numbers to distributions

    def loss(self, batch: Batch) -> Loss:
        """Of steps whose values are known; of a series as a whole those of the last horizon that is."""
        if all(window.origin == window.series.known for window in batch.windows):
            horizon = self.sight.horizon
            batch = self.sight.batch([w._replace(origin=max(w.series.known - horizon, 1)) for w in batch.windows])
        there = ~batch.target.isnan()
        numbers = batch.target.nan_to_num(0.0)
        before = torch.cat([batch.last[:, None], numbers[:, :-1]], dim=1)
        raw = self._raw(batch, before if self.options["strategy"] == "recursive" else None)
        scale = torch.from_numpy(batch.scale).to(raw.dtype).repeat_interleave(self.sight.horizon)
        each = self.says_what.loss(raw.flatten(0, 1), numbers.flatten().to(raw.dtype), scale)
        return Loss(each.masked_fill(~there.flatten(), 0.0).sum(), max(int(there.sum()), 1))

    def _raw(self, batch: Batch, before: Tensor | None) -> Tensor:
        """(rows, horizon, size). before: (rows, horizon), the number before each, where it is heard."""
        future = batch.future if before is None else torch.cat([batch.future, before.unsqueeze(-1)], dim=-1)
        outputs, _ = self.decoder(_packed(self._with_words(future, batch.static)), self._state(batch))
        shown = self.dropout(outputs).data.unflatten(0, (self.sight.horizon, -1)).transpose(0, 1)
        return self.output(shown)

    def _state(self, batch: Batch) -> states.State:
        return self.encoder(_packed(self._with_words(batch.context, batch.static)))[1]

    def _with_words(self, x: Tensor, static: Tensor) -> Tensor:
        """x: (rows, steps, features) -> the same with the vectors of static words behind each step's."""
        x = x.to(self.output.weight.dtype)
        if self.words is None:
            return x
        words = self.words(static).flatten(1)
        return torch.cat([x, words.unsqueeze(1).expand(-1, x.shape[1], -1)], dim=-1)

    def quantiles(self, batch: Batch, *, moved: bool = True) -> NDArray[np.float64]:
        """In the units of the series, (rows, horizon, levels). moved: whether by what calibration found."""
        with torch.no_grad():
            found = self._drawn(batch) if self.options["strategy"] == "recursive" else self._said(batch)
        if moved:
            found = shifted(found, self.offsets.double().numpy(), self.levels.index(0.5))
        told = batch.base[..., None] + batch.scale[:, None, None] * found
        return np.maximum(told.round(), 0.0) if self.sight.counts else told

    def _said(self, batch: Batch) -> NDArray[np.float64]:
        raw = self._raw(batch, None).flatten(0, 1)
        scale = torch.from_numpy(batch.scale).to(raw.dtype).repeat_interleave(self.sight.horizon)
        said = self.says_what.quantiles(raw, self.levels, scale)
        return said.unflatten(0, (-1, self.sight.horizon)).double().numpy()

    def _drawn(self, batch: Batch) -> NDArray[np.float64]:
        """Along paths: at each step a value is drawn and heard at the next."""
        paths, rows = self.options["paths"], len(batch.windows)
        state = states.repeat(self._state(batch), paths)
        future = self._with_words(batch.future, batch.static)
        before = batch.last.to(future.dtype).repeat_interleave(paths)
        scale = torch.from_numpy(batch.scale).to(future.dtype).repeat_interleave(paths)
        drawn = []
        known = batch.future.shape[-1]
        # The same for all rows: a series has the same forecast whichever others are asked for beside it.
        levels = torch.rand(
            (self.sight.horizon, paths), generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        for step in range(self.sight.horizon):
            x = future[:, step].repeat_interleave(paths, 0)
            x = torch.cat([x[:, :known], before[:, None], x[:, known:]], dim=-1)
            output, state = self.decoder.step(x, state)
            uniform = levels[step].clamp(1e-6, 1 - 1e-6).repeat(rows).to(future.dtype)
            before = self.says_what.draw(self.output(output), uniform, scale)
            drawn.append(before.view(rows, paths))
        paths_of = torch.stack(drawn, dim=1).double().numpy()
        return np.moveaxis(np.quantile(paths_of, self.levels, axis=-1), 0, -1)

    def predict(
        self, examples: Sequence[Any], *, batch_rows: int = 32, batch_elements: int = 4096, **options: Any
    ) -> list[Series]:
        """As `Task.predict`. Raises `BadData` also where what is known ahead is not there for the steps to come."""
        read = [self.read(example) for example in examples]
        for example in read:  # at the mean, as what is missing of the past, it would be taken for a forecast that knew
            must_be_known_ahead(example, self.sight.horizon)
        return super().predict(read, batch_rows=batch_rows, batch_elements=batch_elements, **options)

    def asked(self, example: Series) -> Series:
        return held_back(example, self.sight.horizon)

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        middle, filled = self.levels.index(0.5), []
        for window, rows in zip(batch.windows, self.quantiles(batch), strict=True):
            time = None if window.series.time is None else window.series.time[window.origin : window.origin + len(rows)]
            filled.append({"forecast": Forecast(time, rows[:, middle], self.levels, rows)})
        return filled

    def calibrate(self, examples: Sequence[Any]) -> None:
        """Move each quantile by how far it was off on these series, behind their histories, if that is often enough."""
        if self.options["conformal"] == "no":
            return
        apart = []
        for window, said, scale in self._backtested([self.encode(example) for example in examples], moved=False):
            actual = window.series.values[window.origin : window.origin + len(said)]
            apart.append(((actual[:, None] - said[: len(actual)]) / scale)[~np.isnan(actual)])
        every = np.concatenate(apart) if apart else np.zeros((0, len(self.levels)))
        moved = offsets(every, self.levels)
        if moved is not None:
            self.offsets.copy_(torch.from_numpy(moved))
            self.options["calibrated"] = len(every)

    def _backtested(
        self, encoded: Sequence[Encoded], *, moved: bool
    ) -> list[tuple[Window, NDArray[np.float64], float]]:
        """A forecast from each origin, a horizon apart, the first behind the history: windows, quantiles, scales."""
        windows = [Window(one, origin) for one in encoded for origin in self.origins(one)]
        found: list[tuple[Window, NDArray[np.float64], float]] = []
        with self.evaluating():
            for at in range(0, len(windows), 256):
                batch = self.sight.batch(windows[at : at + 256])
                found += zip(batch.windows, self.quantiles(batch, moved=moved), batch.scale.tolist(), strict=True)
        return found

    def origins(self, encoded: Encoded) -> list[int]:
        """Where forecasts that are scored begin; without a history there is one, a horizon before the end."""
        first = encoded.history or max(encoded.known - self.sight.horizon, 1)
        return list(range(first, encoded.known, self.sight.horizon))

    # ------------------------------------------------------------------ figures

    def measure(self, examples: Sequence[Any], **options: Any) -> dict[str, float]:
        """Of forecasts from rolling origins, a horizon apart, behind each series' history; see `_backtest`."""
        found = self._backtested([self.encode(example) for example in examples], moved=True)
        return _backtest.scores(found, self.levels, self.sight.season)

    def score(self, predicted: Sequence[Series], gold: Sequence[Series]) -> dict[str, float]:
        """As `measure`, of forecasts at hand. gold: the same series, with the values that came."""
        found = []
        for said, came in zip(predicted, gold, strict=True):
            if said.forecast is None:
                raise BadData(f"{said.title} has no forecast to score")
            encoded = self.encode(replace(came, history=said.known))
            found.append((Window(encoded, said.known), said.forecast.quantiles, 1.0))
        return _backtest.scores(found, self.levels, self.sight.season)

    def verdict(self, figures: Mapping[str, float]) -> str:
        """Whether such forecasts beat the naive ones; and that intervals are not calibrated, where they are not."""
        said, o = _backtest.verdict(figures), self.options
        if o["conformal"] == "no" or o["calibrated"] or self.offsets.any():  # the last of older models
            return said
        return f"{said}; intervals are not calibrated, for which validation must have {ENOUGH} values"

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the encoder makes of its context at once, and read step by step."""
        for example in examples:
            batch = self.collate([self.encode(example)])
            steps = self._with_words(batch.context, batch.static)
            state, stepped = self.encoder.initial_state(1), []
            for x in steps[0].split(1):
                output, state = self.encoder.step(x, state)
                stepped.append(output)
            yield self.encoder(_packed(steps))[0].data, torch.cat(stepped)

    def is_one(self, raw: Any) -> bool:
        """A row of numbers is one series, in whatever it comes; a table of them has a series a row."""
        if isinstance(raw, (str, Series)):
            return True
        try:
            numbers = np.asarray(raw, dtype=np.float64)
        except (TypeError, ValueError):
            return False
        return numbers.ndim < 2 and numbers.size > 0

    def read(self, raw: Any) -> Series:
        if isinstance(raw, Series):
            return raw
        try:
            values = np.asarray(raw, dtype=np.float64)
        except (TypeError, ValueError):
            raise BadData("a series, or a row of numbers, is expected") from None
        if values.ndim != 1 or not len(values):
            raise BadData(f"numbers of shape {values.shape}: a row of them is expected")
        return Series(values=values)


def _packed(x: Tensor) -> PackedSequence:
    """(rows, steps, features) as a packed batch of rows of one length."""
    return PackedSequence(x.transpose(0, 1).flatten(0, 1), equal(x.shape[1], x.shape[0]))
