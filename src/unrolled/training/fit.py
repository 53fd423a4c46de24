"""Training, as a generator that yields what happened. It prints nothing and calls nobody back.

    for event in fit(task, train, valid, minutes=5, checkpoints=folder):
        match event: Prepared | Planned | Replanned | Step | Check | Looked | Saved

Every random choice flows from `seed`: the order of the batches from (seed, epoch), dropout from a random stream of the
training's own. Torch's stream is left where it was, and what is drawn from it between two events changes nothing. Nor
does a `fused.precision` around it: steps have the settings', checks float32, and neither holds between two events.
Memory that is freed stays with the process until the training is over: see `heap`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unrolled import state as states
from unrolled.data.feeds import Piece
from unrolled.data.long_text import digest_of
from unrolled.errors import BadData
from unrolled.state import State
from unrolled.tasks.base import Loss, Task
from unrolled.training import averaging, budget, clip, heap, optimizer, resume, subnormals
from unrolled.training.events import Check, Event, Looked, Planned, Prepared, Replanned, Saved, Step
from unrolled.training.look import Look, Looks
from unrolled.training.precision import in_effect
from unrolled.training.schedule import Schedule
from unrolled.training.settings import Settings
from unrolled.unroll import fused


def fit(
    task: Task,
    train: Sequence[Any],
    valid: Sequence[Any],
    *,
    settings: Settings | None = None,
    seed: int = 1,
    minutes: float | None = None,
    checkpoints: Path | None = None,
    resumed: bool = False,
    look: Look | None = None,
    look_share: float = 0.03,
    plans: Mapping[int, float] | None = None,
) -> Iterator[Event]:
    """Train a task; afterwards it carries the best weights that a check has seen.

    Args:
        task: changed in place.
        train, valid: examples with their blanks filled in; the best weights are chosen on `valid`.
        settings: how to train; the defaults where None.
        seed: of the batches' order and of dropout.
        minutes: a budget. The epochs that it pays for, at most `settings.epochs`, are measured before the first step,
            and fewer are planned at a check where the machine turns out to be slower.
        checkpoints: a folder; without one nothing is written.
        resumed: go on from the folder's last checkpoint where there is one. The weights that come out are bit for
            bit those of the run that was never interrupted.
        look: is called with the task after some of the steps, the first among them; what it gives is yielded.
        look_share: of the training's time that looks may take, from the second on; they change nothing else.
        plans: to repeat a run whose time has changed its plan: step -> the epochs that were planned up to it; behind
            the last of these steps the settings' epochs hold. With `minutes` they mean nothing.

    Raises:
        BadData: no examples, or one without its blank filled in.
        NotFinite: a loss or gradient is not finite; the step was not taken.
        BadOption: the run is resumed with other settings or data.
        BadModel: the checkpoint is damaged.
        CannotWrite: a checkpoint cannot be written; the last one is unchanged.
    """
    run = _Run(
        task, train, valid, settings or Settings(), seed, minutes, checkpoints, Looks(look, look_share), plans or {}
    )
    with heap.kept():
        yield from _train(run, checkpoints, resumed)


def _train(run: _Run, checkpoints: Path | None, resumed: bool) -> Iterator[Event]:
    yield from run.make()
    kept = resume.read(checkpoints) if resumed and checkpoints is not None else None
    if kept is not None:
        run.restore(kept)
    else:
        run.plan()
    yield run.planned
    if kept is None and checkpoints is not None:
        yield run.save()
    try:
        yield from run.go()
    finally:
        run.thaw(1.0)
    run.carry_best()


class _Run:
    """A training under way. All that it depends on is in `counters` and in what `save` writes beside them."""

    def __init__(
        self,
        task: Task,
        train: Sequence[Any],
        valid: Sequence[Any],
        settings: Settings,
        seed: int,
        minutes: float | None,
        checkpoints: Path | None,
        looks: Looks,
        plans: Mapping[int, float],
    ) -> None:
        for name, examples in (("training", train), ("validation", valid)):
            if not len(examples):
                raise BadData(f"there are no {name} examples")
        self.task, self.train, self.valid, self.settings, self.seed = task, train, valid, settings, seed
        self.minutes, self.checkpoints, self.looks = minutes, checkpoints, looks
        self.plans = {} if minutes is not None else plans
        of = self.settings
        self.feed = task.feed(train, elements=of.batch_elements, rows=of.batch_rows, seed=seed)
        self.layers = task.layer_groups()
        self.parameters = [p for layer in self.layers for p in layer]
        self.precision = in_effect(task, settings)
        self.engine = optimizer.make(self.layers, settings)
        self.schedule = Schedule(settings)
        self.average = averaging.make(task, settings)
        self.best: dict[str, Tensor] = {}
        self.pieces: list[Piece] = []
        self.carried: State = None
        self.random = torch.Generator().manual_seed(seed).get_state()
        self.counters: dict[str, Any] = {
            "step": 0,
            "epoch": 0,
            "batch": 0,
            "checks": 0,
            "checked_at": 0,
            "without_better": 0,
            "best_figure": -math.inf,
            "loss_sum": 0.0,
            "decisions": 0,
            "seconds": 0.0,
        }
        self.since = self.last_saved = time.perf_counter()

    # ------------------------------------------------------------------ the plan

    def make(self) -> Iterator[Prepared]:
        """Wait for what the feed reads from. It is made once for many trainings: the clock starts behind it."""
        for done, total in self.feed.make():
            yield Prepared(done, total)
        self.since = self.last_saved = time.perf_counter()

    def plan(self) -> None:
        """Fix how many epochs there will be."""
        self.pieces = self.feed.plan(0)
        epochs, seconds = self.settings.epochs, None
        if self.minutes is not None:
            left = 60 * self.minutes - (time.perf_counter() - self.since)
            epochs, seconds = budget.epochs_for(self.task, self.feed, self.pieces, self.valid, self.settings, left)
        elif self.plans:
            epochs = self.plans[min(self.plans)]
        self.counters |= {"epochs": epochs, "expected": seconds, "before": [], "begun": self.seconds}

    @property
    def planned(self) -> Planned:
        c = self.counters
        steps = math.ceil(c["epochs"] * len(self.pieces))
        found = (c["epochs"], steps, len(self.train), self.feed.elements, c["expected"], c["step"])
        return Planned(*found, self.precision, tuple((step, epochs) for step, epochs in c["before"]))

    def replan(self) -> Iterator[Replanned]:
        """Another number of epochs, where those of the plan would not end in time, or some can be taken back."""
        c = self.counters
        epochs = c["epochs"]
        if self.minutes is not None and self.progress < 1:
            took, left = self.seconds - c["begun"], 60 * self.minutes - self.seconds
            first = c["before"][0][1] if c["before"] else epochs
            epochs = budget.epochs_in_time(epochs, first=first, done=self.epoch, took=took, left=left)
            if epochs != c["epochs"]:
                c["expected"] = took + max(left, 0.0)
        elif c["step"] in self.plans:
            later = [step for step in self.plans if step > c["step"]]
            epochs = self.plans[min(later)] if later else self.settings.epochs
        if epochs != c["epochs"]:
            c["before"].append([c["step"], c["epochs"]])
            c["epochs"] = epochs
            yield Replanned(c["step"], self.planned)

    # ------------------------------------------------------------------ the loop

    @property
    def epoch(self) -> float:
        return self.counters["epoch"] + self.counters["batch"] / len(self.pieces)

    @property
    def progress(self) -> float:
        return min(self.epoch / self.counters["epochs"], 1.0)

    @property
    def seconds(self) -> float:
        return self.counters["seconds"] + time.perf_counter() - self.since

    def go(self) -> Iterator[Event]:
        """Steps and checks until the plan is done, patience is lost, or the time is over."""
        while not self._over():
            self.looks.begin(self.task, self.seconds)
            step = self._step()
            yield step
            seen = self.looks.end(self.task, self.engine)
            if seen is not None:
                yield Looked(step.step, step.progress, *seen, self.seconds)
            out_of_time = self.minutes is not None and self.seconds > 60 * self.minutes
            passed = self._checks_passed()
            if passed > self.counters["checks"] or out_of_time or step.step in self.plans:
                self.counters["checks"] = passed
                yield from self.replan()
                yield from self._check()
            if self.checkpoints is not None and (
                self.counters["checked_at"] == self.counters["step"]
                or time.perf_counter() - self.last_saved > self.settings.checkpoint_seconds
            ):
                yield self.save()

    def _over(self) -> bool:
        patience = self.settings.patience
        lost = patience > 0 and self.counters["without_better"] >= patience
        return lost or self.progress >= 1.0

    def _checks_passed(self) -> int:
        """Checks that the progress so far asks for: one an epoch, or `settings.checks` in all where that is more."""
        wanted = max(math.ceil(self.counters["epochs"]), self.settings.checks)
        # A hair more than k / wanted: rounding must not put a check one step late.
        return math.floor(self.progress * wanted + 1e-9)

    def _step(self) -> Step:
        c = self.counters
        piece = self.pieces[c["batch"]]
        with subnormals.flushed():
            loss, mean, norm = self._gradient(piece)
            rate = self.settings.learning_rate * self.schedule(self.progress) * self.feed.share(piece)
            for group in self.engine.param_groups:
                group["lr"] = rate * group["factor"]
            self.engine.step()
            self.average.update()
        c["step"] += 1
        c["batch"] += 1
        c["loss_sum"] += float(loss.total.detach())
        c["decisions"] += loss.count
        self.carried = loss.state if self.feed.carries else None
        if c["batch"] == len(self.pieces):
            c["epoch"], c["batch"] = c["epoch"] + 1, 0
            self.pieces, self.carried = self.feed.plan(c["epoch"]), None
        now = (c["step"], self.epoch, self.progress)
        return Step(*now, float(mean.detach()), float(norm), rate, *self.feed.size(piece), self.seconds)

    def _gradient(self, piece: Piece) -> tuple[Loss, Tensor, Tensor]:
        """The loss of a batch, its mean per decision, and the norm of the gradient that now lies in the parameters."""
        encoded = self.feed.take(piece)
        self.task.train()
        self.task.progress = self.progress
        self.thaw(self.progress)
        self.engine.zero_grad()
        with fused.precision(self.precision), torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            batch = self.task.collate(encoded)
            loss = self.task.loss_after(batch, self.carried) if self.feed.carries else self.task.loss(batch)
            mean = loss.total / loss.count
            mean.backward()
            norm = clip.clip(self.parameters, self.settings.clip_norm)
            if not (torch.isfinite(mean) and torch.isfinite(norm)):
                what = "gradient" if torch.isfinite(mean) else "loss"
                step = self.counters["step"] + 1
                # A window of a long text is no example that could be named.
                named = ([], []) if self.feed.carries else (encoded, [self.train[row] for row in piece])
                error = clip.explain(self.task, *named, what, step)
                error.batch = encoded
                raise error
            self.random = torch.get_rng_state()
        return loss, mean, norm

    def thaw(self, progress: float) -> None:
        """Let those layers learn whose time has come: a function of progress alone, as all that a step depends on."""
        for depth, layer in enumerate(self.layers):
            learns = progress >= self.settings.unfreeze * depth / len(self.layers)
            for parameter in layer:
                parameter.requires_grad_(learns)

    def _check(self) -> Iterator[Event]:
        c = self.counters
        with self.average.swapped():
            with fused.precision("float32"):  # as it will predict; over before the event is out
                scores = self.task.check(self.valid)
            figure = scores.get(self.task.metric, math.nan)
            # The first weights are the best so far even where their figure is not a number, or not there.
            better = figure > c["best_figure"] or not self.best
            # Of equals the later have learnt more, at a lower rate; few validation examples have many equals. For
            # patience and the schedule they are no better.
            best = better or figure == c["best_figure"]
            c["without_better"] = 0 if better else c["without_better"] + 1
            if best:
                c["best_figure"] = -math.inf if math.isnan(figure) else figure
                self.best = {name: value.detach().clone() for name, value in self.task.distinct_weights().items()}
            c["checks"] = max(c["checks"], self._checks_passed())
            c["checked_at"] = c["step"]
            mean = c["loss_sum"] / max(c["decisions"], 1)
            c["loss_sum"], c["decisions"] = 0.0, 0
            yield Check(c["step"], self.epoch, self.progress, mean, scores, best, self.seconds)
        self.schedule.checked(better)
        self.average.checked(better, c["without_better"])

    def carry_best(self) -> None:
        """Put the best weights into the task."""
        if self.best:
            self.task.load_weights(self.best)
        self.task.eval()
        self.task.calibrate(self.valid)

    # ------------------------------------------------------------------ checkpoints

    @cached_property
    def _fingerprint(self) -> dict[str, Any]:
        """What a run must have in common with the one that it resumes."""
        found = {
            **getattr(self.task, "options", {}),
            **asdict(self.settings),
            "seed": self.seed,
            "minutes": self.minutes,
            "training data": digest_of(self.train),
            "validation data": digest_of(self.valid),
            **{f"shape of {name}": list(p.shape) for name, p in self.task.named_parameters()},
        }
        del found["checkpoint_seconds"]
        return json.loads(json.dumps(found))  # as it comes back from a checkpoint

    def _must_be_the_run(self, then: dict[str, Any], plans: Sequence[float]) -> None:
        now = dict(self._fingerprint)
        if now["epochs"] in plans and now["minutes"] is None:
            # It is asked for by its plan, as a recipe does that was stored with the model.
            now.update(epochs=then["epochs"], minutes=then["minutes"])
        resume.must_agree(then, now)

    def save(self) -> Saved:
        """Write a checkpoint."""
        assert self.checkpoints is not None
        self.counters["seconds"] = self.seconds
        self.since = self.last_saved = time.perf_counter()
        counters = {
            **self.counters,
            "schedule": self.schedule.state(),
            "averaged": self.average.count,
            "carried": None if self.carried is None else states.nesting(self.carried),
            "fingerprint": self._fingerprint,
        }
        tensors = {
            "weights": self.task.distinct_weights(),
            "average": self.average.values,
            "optimizer": optimizer.tensors(self.engine),
            "random": {"torch": self.random},
            "best": self.best,
            "carried": {str(place): leaf for place, leaf in enumerate(states.leaves(self.carried or ()))},
        }
        resume.write(self.checkpoints, tensors, counters)
        return Saved(self.counters["step"], str(self.checkpoints))

    def restore(self, kept: resume.Checkpoint) -> None:
        """Go on from a checkpoint."""
        counters = dict(kept.counters)
        plans = [*(epochs for _, epochs in counters["before"]), counters["epochs"]]
        self._must_be_the_run(counters.pop("fingerprint"), plans)
        self.schedule.restore(counters.pop("schedule"))
        self.average.count = counters.pop("averaged")
        carried = counters.pop("carried", None)
        averaged = kept.tensors["average"]
        self.average.values = {name: averaged[name] for name in self.average.parameters if name in averaged}
        self.counters.update(counters)
        self.task.load_weights(kept.tensors["weights"])
        optimizer.restore(self.engine, kept.tensors["optimizer"])
        self.best = kept.tensors["best"]
        self.pieces = self.feed.plan(self.counters["epoch"])
        leaves = kept.tensors["carried"]
        if carried is not None:
            self.carried = states.nested(carried, [leaves[str(place)] for place in range(len(leaves))])
        self.random = kept.tensors["random"]["torch"]
