"""What lies in a model folder beside the weights, for people: the recipe, the figures, the curve, the model card."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from unrolled.recipe import Recipe
from unrolled.tasks.base import Task
from unrolled.training.history import FILE, History

METRICS, TRAINING, PICTURE, README, READING = "metrics.json", "training.toml", "training.png", "README.md", "reading.json"


def beside(task: Task, recipe: Recipe, history: History, *, finished: bool = False) -> dict[str, bytes]:
    """The files that go with a model, name -> content. The picture is drawn once, when the training is `finished`."""
    files = {
        METRICS: _json({"validation": history.best, "finished": finished}),
        READING: _json(dict(recipe.reading)),
        README: _readme(task, recipe, history).encode(),
    }
    if history.rows:
        files[TRAINING] = _resolved(recipe).encode()
        files[FILE] = history.to_csv()
    if history.rows and finished:
        files[PICTURE] = history.to_png(task.metric)
    return files


def _resolved(recipe: Recipe) -> str:
    head = "# The recipe with its plan: trained again from here, the same machine gives the same weights.\n"
    budget = "" if recipe.minutes is None else f"# The epochs were planned for {recipe.minutes:g} minutes.\n"
    from dataclasses import replace

    return head + budget + replace(recipe, minutes=None, output=None).to_toml()


def _readme(task: Task, recipe: Recipe, history: History) -> str:
    name = Path(recipe.data).name or "your data"
    kind = type(task).__name__
    figures = "\n".join(f"| {key} | {value:.4f} |" for key, value in history.best.items()) or "| – | – |"
    options = "\n".join(f"| {key} | {value} |" for key, value in task.options.items() if value is not None)
    sizes = ", ".join(f"{len(v):,} {key}" for key, v in task.vocabularies.items())
    return f"""---
library_name: unrolled
tags: [{recipe.task}, recurrent, {task.options.get("cell", "rnn")}]
---

# {kind} trained on {name}

A {recipe.task} made with unrolled {version("unrolled")}: {sum(p.numel() for p in task.parameters()):,} weights; {sizes}.

```python
from unrolled import {kind}

model = {kind}.from_pretrained("this folder")
print(model.predict("…"))
```

Or from a command line: `unrolled predict THIS_FOLDER FILE`, `unrolled info THIS_FOLDER`.

| on the validation split | |
|---|---|
{figures}

The weights are those with the best validation {task.metric}; a test split was not looked at.
`training.toml` holds the whole recipe: `unrolled train --recipe training.toml` trains the model again.

| option | value |
|---|---|
{options}
"""


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
