"""How the command line shows a training as it goes: a bar, its pace and time left, a line for each check."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from unrolled.api import Finished
from unrolled.kernels import library
from unrolled.recipe import Recipe
from unrolled.training.events import Check, Planned, Prepared, Replanned, Step

err = Console(stderr=True, highlight=False)
Thing = TypeVar("Thing")


def show_training(events: Iterator[Any], recipe: Recipe) -> Finished:
    """Draw the events of a training as they come; returns the last one."""
    with Drawn(recipe) as drawn:
        for event in events:
            if isinstance(event, Finished):
                return event
            drawn.show(event)
    raise AssertionError("a training ends with Finished")


class Drawn:
    """A training being drawn: within `with`, `show` takes its events.

    Args:
        recipe: of the training.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.bar = _bar()
        self.pace = _Pace()

    def __enter__(self) -> Drawn:
        self.bar.__enter__()
        self.line = self.bar.add_task("reading the data", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, error, trace)

    def print(self, text: str) -> None:
        """A line or several, on standard error, above the bar."""
        err.print(text, soft_wrap=True, markup=False)

    def show(self, event: Any) -> None:
        """One event; others than a training's are passed over."""
        if isinstance(event, Prepared):
            words = f"preparing {event.done:,} of {count(event.total, 'example')}"
            self.bar.update(self.line, completed=event.done / event.total, description=words)
        elif isinstance(event, Planned):
            err.print(_planned(event, self.recipe), soft_wrap=True)
            self.pace = _Pace()
            self.bar.update(self.line, completed=0.0, description="training")
        elif isinstance(event, Replanned):
            err.print(_replanned(event.plan), soft_wrap=True)
            self.pace.first = None
        elif isinstance(event, Step):
            self.bar.update(self.line, completed=event.progress, description=self.pace.words(event))
        elif isinstance(event, Check):
            err.print(_check(event), soft_wrap=True)


def _bar(**more: Any) -> Progress:
    """On standard error, where that is a terminal. more: as for `Progress`."""
    return Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        console=err,
        transient=True,
        disable=not err.is_terminal,
        refresh_per_second=4,
        **more,
    )


def counted(things: Iterable[Thing], total: int, what: str) -> Iterator[Thing]:
    """Things as they come; how many have, and in what time the others will at that pace, is said on standard error.

    On a terminal by a bar, above which may be printed meanwhile; else by a line for each tenth of them, or each one
    where they are few.

    Args:
        things: that take their time.
        total: how many there will be.
        what: they are called, in the singular.
    """
    begun, told = time.monotonic(), 0
    # What is printed to another place than this terminal, into a file, must not be drawn above the bar.
    with _bar(redirect_stdout=sys.stdout.isatty()) as bar:
        line = bar.add_task(f"0 of {count(total, what)}", total=total)
        for done, thing in enumerate(things, 1):
            left = (time.monotonic() - begun) * (total - done) / done
            words = f"{done:,} of {count(total, what)} · {_clock(left)} left"
            bar.update(line, completed=done, description=words)
            if not err.is_terminal and 10 * done // total > told:
                told = 10 * done // total
                err.print(words, soft_wrap=True)
            yield thing


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


def _planned(plan: Planned, recipe: Recipe) -> str:
    time = "" if plan.seconds is None else f", about {_clock(plan.seconds)}"
    again = f"; {plan.done:,} steps are done already" if plan.done else ""
    return (
        f"training a {recipe.task} on {count(plan.examples, 'example')} of {count(plan.elements, 'element')}: "
        f"{plan.epochs:.1f} epochs, {count(plan.steps, 'step')}{time}{again}{_precision(plan, recipe)}"
    )


def _replanned(plan: Planned) -> str:
    if plan.steps == plan.done:
        return f"the time is over after {plan.epochs:.1f} epochs"
    now = "slower" if plan.epochs < plan.before[-1][1] else "quicker"
    return f"it has become {now}: {plan.epochs:.1f} epochs are planned now, {count(plan.steps, 'step')} in all"


def _precision(plan: Planned, recipe: Recipe) -> str:
    wanted = recipe.training.precision
    if plan.precision != wanted:
        return f"; in {plan.precision}: precision={wanted} is for kernels that gain by it; here: {library.why()}"
    return "" if wanted == "float32" else f"; in {wanted}"


def _check(check: Check) -> str:
    figures = "  ".join(f"{name} {value:.4f}" for name, value in check.scores.items())
    mark = "  [green]best[/green]" if check.best else ""
    return f"{_clock(check.seconds):>7}  epoch {check.epoch:5.1f}  loss {check.train_loss:.3f}  {figures}{mark}"


def count(number: int, what: str) -> str:
    """A number of things in words.

    >>> count(1, "example"), count(1200, "step")
    ('1 example', '1,200 steps')
    """
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
