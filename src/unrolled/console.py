"""How the command line shows things: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from unrolled import recipe as recipes
from unrolled.api import Finished, Model
from unrolled.data import reading
from unrolled.demos import Shown
from unrolled.errors import BadOption
from unrolled.inspection.laws import Verdict
from unrolled.recipe import Recipe
from unrolled.training.events import Check, Event, Planned, Step

err = Console(stderr=True, highlight=False)
out = Console(highlight=False, soft_wrap=True)


def recipe_of(
    task: str | None,
    data: str | None,
    output: Path | None,
    options: Mapping[str, Any],
    minutes: float | None,
    seed: int | None,
    path: Path | None,
) -> Recipe:
    """The recipe that `train`'s arguments mean."""
    if path is not None:
        if task or options:
            raise BadOption("--recipe says the task and its options; give either it, or TASK and --set")
        read = recipes.from_toml(path)
        task, options = read.task, {**read.reading, **read.model, **vars(read.training)}
        data, output = data or read.data, output or (Path(read.output) if read.output else None)
        minutes, seed = minutes or read.minutes, read.seed if seed is None else seed
    if task is None or data is None:
        raise BadOption("train what, on what? unrolled train TASK --data PATH, or --recipe FILE")
    place = output or Path("runs") / f"{task}-{Path(data).name.split('.')[0]}"
    return recipes.build(task, data, options, output=place, seed=1 if seed is None else seed, minutes=minutes)


def show_training(events: Iterator[Any], recipe: Recipe) -> Finished:
    """Draw the events of a training as they come; returns the last one."""
    metric = "accuracy"
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}"),
        console=err,
        transient=True,
        disable=not err.is_terminal,
        refresh_per_second=4,
    )
    with bar:
        line = bar.add_task(f"training the {recipe.task}", total=1.0, figures="reading the data")
        pace = _Pace()
        for event in events:
            if isinstance(event, Planned):
                err.print(_planned(event))
            elif isinstance(event, Step):
                bar.update(line, completed=event.progress, figures=pace.words(event))
            elif isinstance(event, Check):
                metric = next(iter(event.scores)) if metric not in event.scores else metric
                err.print(_check(event))
            elif isinstance(event, Finished):
                return event
    raise AssertionError("a training ends with Finished")


class _Pace:
    """Loss, speed and time left, smoothed over the last steps."""

    def __init__(self) -> None:
        self.loss: float | None = None
        self.first: Step | None = None
        self.examples = 0

    def words(self, step: Step) -> str:
        self.loss = step.loss if self.loss is None else 0.95 * self.loss + 0.05 * step.loss
        if self.first is None:
            self.first = step
            return f"loss {step.loss:.3f}"
        self.examples += step.examples
        passed = max(step.seconds - self.first.seconds, 1e-6)
        gone = max(step.progress - self.first.progress, 1e-9)
        left = passed * (1 - step.progress) / gone
        speed = f"{self.examples / passed:,.0f} examples/s"
        return f"loss {self.loss:.3f} · {speed} · {_clock(left)} left"


def _planned(plan: Planned) -> str:
    time = "" if plan.seconds is None else f", about {_clock(plan.seconds)}"
    again = f"; {plan.done:,} steps are done already" if plan.done else ""
    return (
        f"{plan.examples:,} examples of {plan.elements:,} elements: "
        f"{plan.epochs:.1f} epochs, {plan.steps:,} steps{time}{again}"
    )


def _check(check: Check) -> str:
    figures = "  ".join(f"{name} {value:.4f}" for name, value in check.scores.items())
    mark = " [green]best[/green]" if check.best else ""
    return f"{_clock(check.seconds)}  epoch {check.epoch:.1f}  loss {check.train_loss:.3f}  {figures}{mark}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_finished(finished: Finished, recipe: Recipe, *, as_json: bool) -> None:
    """Where the model is, how good it is, and what to type next."""
    if as_json:
        print(json.dumps({"folder": finished.folder, "validation": finished.scores, "seconds": finished.seconds}))
        return
    figures = ", ".join(f"{name} {value:.4f}" for name, value in finished.scores.items())
    out.print(f"model    {finished.folder}  (validation: {figures})")
    out.print(f"next     unrolled evaluate {finished.folder} --data {recipe.data}")
    out.print(f"         unrolled predict {finished.folder} FILE")


def print_evaluation(found: Mapping[str, Any], *, as_json: bool) -> None:
    """The figures of `evaluate`."""
    if as_json:
        print(json.dumps(found))
        return
    table = Table(title=f"{found['task']}, {found['examples']:,} examples", show_header=False)
    for name, value in found["metrics"].items():
        table.add_row(name, f"{value:.4f}")
    out.print(table)


def predict(model: Model, source: str, output: Path | None, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Predictions of a file or of standard input, to a file or to standard output."""
    fmt = {"format": "jsonl"} if as_json else {}
    if source == "-":
        examples = reading.read_stream(sys.stdin, model.task.example, **model.how(options))
        predicted = model.task.predict(examples)
    else:
        predicted = model.predict_file(source, **options)
        fmt = fmt or {"format": reading.format_name(source, options.get("format"))}
    if output is not None:
        reading.write(output, predicted, **{**model.how(options), **({"format": None} if not as_json else fmt)})
        err.print(f"{len(predicted):,} predictions written to {output}")
    else:
        reading.write_stream(sys.stdout, predicted, **{**model.how(options), **fmt})


def print_info(found: Mapping[str, Any], *, as_json: bool) -> None:
    """What a model is."""
    if as_json:
        print(json.dumps(found))
        return
    for name in ("folder", "task", "format"):
        out.print(f"{name:12} {found[name]}")
    out.print(f"{'parameters':12} {found['parameters']:,}")
    for section in ("vocabularies", "options", "metrics"):
        out.print(section)
        for name, value in found[section].items():
            out.print(f"  {name:20} {value}")


def print_options(task: str, table: Mapping[str, Mapping[str, tuple[str, Any]]], *, as_json: bool) -> None:
    """The options of a task, by section."""
    if as_json:
        print(json.dumps(table, default=str))
        return
    for section, options in table.items():
        out.print(f"{section} (--set NAME=VALUE)")
        for name, (kind, default) in options.items():
            out.print(f"  {name:20} {default!s:12} {kind}")


def print_verdicts(verdicts: Iterator[Verdict], *, as_json: bool) -> bool:
    """The laws as they are checked; returns whether all hold."""
    seen = []
    for verdict in verdicts:
        seen.append(verdict)
        if not as_json:
            word = "–" if verdict.holds is None else "holds" if verdict.holds else "FAILS"
            out.print(f"{word:6} {verdict.law}: {verdict.found}")
    if as_json:
        print(json.dumps([verdict._asdict() for verdict in seen]))
    return all(verdict.holds is not False for verdict in seen)


def demo(events: Iterator[Event | Finished | Shown], *, as_json: bool) -> None:
    """The demo, from its plan to what to type next."""
    from unrolled.recipe import build

    if not as_json:
        err.print("8,530 sentences of film reviews; the model learns which are positive. A tenth is held out.")
    show_training(events, build("classifier", ""))
    shown = next(event for event in events if isinstance(event, Shown))
    if as_json:
        told = {e.text: {"label": e.label, "probabilities": e.probabilities} for e in shown.predictions}
        print(json.dumps({"folder": shown.folder, **shown.evaluation, "predictions": told}))
        return
    metrics = shown.evaluation["metrics"]
    out.print(f"held out {shown.evaluation['examples']:,} sentences it never saw: accuracy {metrics['accuracy']:.4f}")
    for example in shown.predictions:
        assert example.probabilities is not None
        sure = example.probabilities[str(example.label)]
        out.print(f"         {example.label:8} {sure:4.0%}  {example.text}")
    out.print(f"model    {shown.folder}")
    out.print(f"next     unrolled evaluate {shown.folder} --data {shown.held_out}")
    out.print(f"         echo 'Your own sentence.' | unrolled predict {shown.folder} -")
    out.print(f"         unrolled check {shown.folder} --data {shown.held_out}")
