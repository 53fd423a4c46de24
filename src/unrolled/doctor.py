"""Why does it not learn? Data, model and training looked at before, while and after; what would help; and with it.

    for event in doctor(recipe, treat=True):
        match event: Diagnosis | Step | Check | … | Report

Each course is one training: as it was asked for, and, where there is something to treat and it was asked for, another
one that differs from it by the remedies alone, with the same seed, data and time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Literal

import torch

from unrolled import recipe as recipes
from unrolled.errors import BadOption, NotFinite, UserMistake
from unrolled.inspection.diagnosis import OF_GRADIENT, Finding, diagnose, needed, summary
from unrolled.inspection.everyday import everyday, rate_too_high
from unrolled.inspection.examination import Examination, examine_task
from unrolled.inspection.not_finite import first_not_finite
from unrolled.inspection.remedies import Given, Remedy, remedies, suggested_clip
from unrolled.model import Model
from unrolled.recipe import Recipe
from unrolled.tasks.base import Task
from unrolled.training import optimizer
from unrolled.training.events import Check, Event, Looked, Step
from unrolled.training.fit import fit

When = Literal["data", "before", "while", "after"]
FAST = 0.1
"""Of a parameter's own size: steps that move it further, in the median, are too long."""
FAINT = 0.5
"""Where more than this share of a cell's gradients is outweighed by the optimizer's epsilon, it holds them up."""
SMALL_ROWS = 8
"""Of a batch that is looked at while training goes on."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found at one time.

    Attributes:
        when: in the `data`; of the model `before`, `while` or `after` it was trained.
        findings: each cell's verdict first.
        examination: what they were made from; None of data.
        step: of the training, 0 before.
    """

    when: When
    findings: tuple[Finding, ...]
    examination: Examination | None = None
    step: int = 0

    @property
    def verdict(self) -> str:
        """The worst of the findings, in a word."""
        return summary(self.findings)


@dataclass
class Course:
    """One training, and what was found in it.

    Attributes:
        recipe: that was followed.
        diagnoses: in the order of time.
        norms: of the gradient at each step, before clipping.
        updates: the median over looks of how far a step moves a parameter, of its own size, by the parameter's name.
        faint: of each parameter of a recurrence by name, the median over looks of the share of its gradients that the
            optimizer's epsilon outweighs.
        scores: the task's figures at the best check; losses: the training loss at each check.
        broke: what ended it, where a loss or a gradient was not finite.
    """

    recipe: Recipe
    diagnoses: list[Diagnosis] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    updates: dict[str, float] = field(default_factory=dict)
    faint: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    broke: str | None = None

    @property
    def findings(self) -> list[Finding]:
        """Those that tell of illness, of all times, each once."""
        found: dict[tuple[str, str], Finding] = {}
        for diagnosis in self.diagnoses:
            for finding in diagnosis.findings:
                if finding.is_ill:
                    found.setdefault((finding.where, finding.kind), finding)
        return list(found.values())

    @property
    def clip_rate(self) -> float | None:
        """The share of steps whose gradient was shortened; None without steps."""
        most = self.recipe.training.clip_norm
        if not self.norms or not most:
            return 0.0 if self.norms else None
        return sum(norm > most for norm in self.norms) / len(self.norms)


@dataclass(frozen=True)
class Report:
    """The end: of the model as it was asked for, what would help it, and of the one with that help, where it was tried.

    Attributes:
        plain: the course as it was asked for.
        remedies: what would help, the likeliest first.
        treated: the course with it; None where there was nothing to treat, or it was not asked for.
    """

    plain: Course
    remedies: tuple[Remedy, ...]
    treated: Course | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found, in the last course."""
        return not (self.treated or self.plain).findings

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "verdict": summary(self.plain.findings),
            "plain": _course_json(self.plain),
            "remedies": [{"name": r.name, "what": r.what, "options": dict(r.options)} for r in self.remedies],
            "treated": None if self.treated is None else _course_json(self.treated),
        }


def doctor(recipe: Recipe, *, distance: int | None = None, treat: bool = False) -> Iterator[Event | Diagnosis | Report]:
    """Look at a training from before its first step on; the last event is `Report`. Nothing is written.

    Args:
        recipe: of the training; the time that it gives is that of each course.
        distance: over which something is to be remembered, in elements; None: what the loss asks for.
        treat: train once more, with the remedies that can be taken as options.

    Raises as a training does, but for `NotFinite`, which is told of.
    """
    loaded = recipe.splits()
    plain = Course(recipe)
    yield from _follow(plain, loaded.train, loaded.valid, distance)
    found = _remedies(plain, distance)
    options = _options_of(found)
    if not treat or not options:
        yield Report(plain, tuple(found))
        return
    treated = Course(_with(recipe, options))
    try:
        yield from _follow(treated, loaded.train, loaded.valid, distance)
    except UserMistake as error:  # remedies that cannot be taken together; what was found before is not lost for it
        treated.broke = str(error)
    yield Report(plain, tuple(found), treated)


def examine_model(model: Model, data: Any, *, distance: int | None = None, **given: Any) -> Diagnosis:
    """A trained model's recurrences, on the examples of a file. given: of how the file is read."""
    examples = model.examples(data, **given)
    if not examples:
        raise BadOption(f"{data} has no examples to look at")
    found = examine_task(model.task, examples)
    return Diagnosis("after", tuple(diagnose(found, distance)), found)


def small_look(examples: Sequence[Any]) -> Callable[[Task], Examination]:
    """What is looked at while a training goes on: a small batch of these examples, without exponents."""
    return partial(examine_task, examples=examples, rows=SMALL_ROWS, elements=SMALL_ROWS * 128, exponents=0)


def _follow(
    course: Course, train: Sequence[Any], valid: Sequence[Any], distance: int | None
) -> Iterator[Event | Diagnosis]:
    recipe = course.recipe
    torch.manual_seed(recipe.seed)
    task = recipe.prepared(train)
    amiss = everyday(task, train, valid)
    if not any(finding.kind == "unreadable" for finding in amiss):
        how, batch = recipe.training, list(islice(train, recipe.training.batch_rows))
        too_high = rate_too_high(
            task,
            batch,
            how.learning_rate,
            lambda copy: optimizer.make(copy.layer_groups(), how),
            clip_norm=how.clip_norm,
        )
        amiss += [] if too_high is None else [too_high]
    yield _noted(course, Diagnosis("data", tuple(amiss)))
    if any(finding.kind == "unreadable" for finding in amiss):
        return
    yield _noted(course, _looked_at(task, valid, "before", distance))

    looks: list[Looked] = []
    given: dict[str, Any] = {"settings": recipe.training, "seed": recipe.seed, "minutes": recipe.minutes}
    training = fit(task, train, valid, look=small_look(valid), **given)
    try:
        for event in training:
            if isinstance(event, Step):
                course.norms.append(event.gradient_norm)
            elif isinstance(event, Check):
                course.losses.append(event.train_loss)
                if event.best:
                    course.scores = dict(event.scores)
            elif isinstance(event, Looked):
                findings = tuple(diagnose(event.found, distance))
                yield _noted(course, Diagnosis("while", findings, event.found, event.step))
                looks.append(event)
            yield event
    except NotFinite as error:
        course.broke = str(error)
        origin = first_not_finite(task, error.batch)
        because = str(error) if origin is None else f"{origin}. {error}"
        finding = Finding("training", "not finite", because, ("replay", "clip", "rate"))
        yield _noted(course, Diagnosis("while", (finding,), step=len(course.norms) + 1))
        return
    cells = tuple(f"{facts.layer}." for look in looks for facts in look.found.cells)
    course.updates = _medians([look.updates for look in looks])
    course.faint = {k: v for k, v in _medians([look.faint for look in looks]).items() if k.startswith(cells)}
    yield _noted(course, _looked_at(task, valid, "after", distance, _of_training(course)))


def _medians(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Over the looks, by name; a name may be absent from some, as of a layer that is not learning yet."""
    names = dict.fromkeys(name for look in seen for name in look)
    return {name: statistics.median(look[name] for look in seen if name in look) for name in names}


def _noted(course: Course, diagnosis: Diagnosis) -> Diagnosis:
    course.diagnoses.append(diagnosis)
    return diagnosis


def _looked_at(
    task: Task, examples: Sequence[Any], when: When, distance: int | None, further: Sequence[Finding] = ()
) -> Diagnosis:
    found = examine_task(task, examples)
    return Diagnosis(when, (*diagnose(found, distance), *further), found)


def _of_training(course: Course) -> list[Finding]:
    """What the steps tell."""
    found = []
    shares = list(course.updates.values())
    if shares and statistics.median(shares) > FAST:
        because = f"a step moves a parameter by {statistics.median(shares):.0%} of its own size, in the median"
        found.append(Finding("training", "rate", because, ("rate",)))
    name, most = max(course.faint.items(), key=lambda item: item[1], default=("", 0.0))
    if most > FAINT:
        epsilon = course.recipe.training.epsilon
        because = f"{most:.0%} of the gradients of {name} are smaller than {epsilon:g}, the epsilon of the optimizer"
        found.append(Finding("training", "faint", because, ("epsilon",)))
    return found


def _remedies(course: Course, distance: int | None) -> list[Remedy]:
    recipe = course.recipe
    known = recipes.option_table(recipe.task)
    options = {name: default for section in ("model", "training") for name, (_, default) in known[section].items()}
    options.update({**recipe.model, **asdict(recipe.training)})
    ways = [needed(facts, distance) for d in course.diagnoses if d.examination for facts in d.examination.cells]
    given = Given(options, distance or max(ways, default=0), course.norms)
    return remedies(_causes(course), given)


def _causes(course: Course) -> list[Finding]:
    """The findings, without the gates that saturated where no gradient came: that followed from what was ill before."""
    before = next((d.findings for d in course.diagnoses if d.when == "before"), ())
    ill = {finding.where for finding in before if finding.kind in OF_GRADIENT}
    shut = {finding.where for finding in before if finding.kind == "saturated"}
    return [f for f in course.findings if f.kind != "saturated" or f.where in shut or f.where not in ill]


def _options_of(found: Sequence[Remedy]) -> dict[str, Any]:
    """What all remedies set together; of two that set the same, or the same gates' biases, the first."""
    options: dict[str, Any] = {}
    for remedy in found:
        if remedy.name == "forget" and "chrono" in options:
            continue
        for name, value in remedy.options.items():
            options.setdefault(name, value)
    return options


def _with(recipe: Recipe, options: Mapping[str, Any]) -> Recipe:
    settings = {name: value for name, value in options.items() if name in asdict(recipe.training)}
    model = {name: value for name, value in options.items() if name not in settings}
    kept = {name: value for name, value in recipe.model.items() if name != "cell_options" or "cell" not in model}
    return replace(recipe, model={**kept, **model}, training=replace(recipe.training, **settings))


def _course_json(course: Course) -> dict[str, Any]:
    return {
        "findings": [{"where": f.where, "kind": f.kind, "because": f.because} for f in course.findings],
        "diagnoses": [
            {"when": d.when, "step": d.step, "verdict": d.verdict, "findings": [f._asdict() for f in d.findings]}
            for d in course.diagnoses
        ],
        "clip_rate": course.clip_rate,
        "suggested_clip_norm": suggested_clip(course.norms),
        "updates": course.updates,
        "faint": course.faint,
        "losses": course.losses,
        "scores": course.scores,
        "broke": course.broke,
    }
