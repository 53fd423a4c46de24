"""What lies in a model folder beside the weights, for people: the recipe, the figures, the curve, the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unrolled.recipe import Recipe
from unrolled.tasks.base import Task
from unrolled.training.events import Planned
from unrolled.training.history import FILE, History

METRICS, TRAINING, PICTURE, README, READING = (
    "metrics.json",
    "training.toml",
    "training.png",
    "README.md",
    "reading.json",
)


def beside(
    task: Task,
    recipe: Recipe,
    history: History,
    *,
    finished: bool = False,
    test: Mapping[str, float] | None = None,
    plan: Planned | None = None,
) -> dict[str, bytes]:
    """The files that go with a model, name -> content.

    Args:
        task: the model.
        recipe: what it was trained with.
        history: its checks; the picture and the recipe in TOML are of a training that had some.
        finished: whether the training is over; the picture is drawn then, once.
        test: figures on a part of the data that was held out, where there is one.
        plan: of a training that had one: its epochs, and what its steps multiplied, which the recipe only wishes.
    """
    figures: dict[str, Any] = {"validation": history.best, "finished": finished}
    figures["steps_in"] = plan.precision if plan else "float32"
    if test is not None:
        figures["test"] = dict(test)
    said = verdict(task, figures)
    if said is not None:
        figures["verdict"] = said
    files = {
        METRICS: _json(figures),
        READING: _json(dict(recipe.reading)),
        README: _readme(task, recipe, history.best, test, said).encode(),
    }
    if history.rows:
        files[FILE] = history.to_csv()
    if history.rows and recipe.data:
        files[TRAINING] = _resolved(recipe, plan).encode()
    if history.rows and finished:
        files[PICTURE] = history.to_png(task.metric)
    return files


def verdict(task: Task, kept: Mapping[str, Any]) -> str | None:
    """What the figures that are kept with a model come to: those on a part that was held out, where there are some.

    None: there are none, or the task leaves them to themselves. kept: as `metrics.json` has them.
    """
    figures = kept.get("test") or kept.get("validation")
    return task.verdict(figures) if figures else None


def _resolved(recipe: Recipe, plan: Planned | None) -> str:
    head = "# The recipe with its plan: trained again from here, the same machine gives the same weights.\n"
    budget = "" if recipe.minutes is None else f"# The epochs were planned for {recipe.minutes:g} minutes.\n"
    training, plans = recipe.training, recipe.plans
    if plan is not None:
        training, plans = replace(training, epochs=plan.epochs), dict(plan.before)
        budget += "# It was slower: up to the steps under [plans] other epochs were planned.\n" if plans else ""
    return head + budget + replace(recipe, minutes=None, output=None, training=training, plans=plans).to_toml()


def _readme(
    task: Task, recipe: Recipe, best: Mapping[str, float], test: Mapping[str, float] | None, said: str | None
) -> str:
    kind = type(task).__name__
    name = Path(recipe.data).name or "examples"
    sizes = ", ".join(f"{len(v):,} {key}" for key, v in task.vocabularies.items())
    weights = sum(p.numel() for p in task.parameters())
    lines = [
        "---",
        "library_name: unrolled",
        f"tags: {json.dumps([recipe.task, 'recurrent', str(task.options.get('cell', 'rnn'))])}",
        "---",
        "",
        f"# {kind} trained on {name}",
        "",
        f"A {recipe.task} made with unrolled {version('unrolled')}: {weights:,} weights; {sizes}.",
        "",
        "```python",
        f"from unrolled import {kind}",
        "",
        f'model = {kind}.from_pretrained("this folder")',
        'print(model.predict("…"))',
        "```",
        "",
        "Or from a command line: `unrolled predict THIS_FOLDER FILE`, `unrolled info THIS_FOLDER`.",
    ]
    if best:
        lines += ["", *_table("on the validation split", best)]
        lines += ["", f"The weights are those with the best validation {task.metric}."]
    if test:
        lines += ["", *_table("on a part held out from training and choice", test)]
    elif best:
        lines += ["A test split was not looked at."]
    if said is not None:
        lines += ["", f"Verdict: {said}."]
    if recipe.data:
        lines += [
            "",
            "`training.toml` holds the whole recipe: `unrolled train --recipe training.toml` trains it again.",
        ]
    options = {key: "none" if value is None else value for key, value in task.options.items()}
    return "\n".join([*lines, "", *_table("option", options, "value"), ""])


def _table(left: str, rows: Mapping[str, Any], right: str = "") -> list[str]:
    shown = {key: f"{value:.4f}" if right == "" else str(value) for key, value in rows.items()}
    return [f"| {left} | {right} |", "|---|---|", *(f"| {key} | {value} |" for key, value in shown.items())]


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
