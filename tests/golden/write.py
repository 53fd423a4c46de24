"""Write the golden folder of a task in the format version that it is saved in: python tests/golden/write.py TASK.

A folder that is there is never written over: it stands for the models that people saved with that version.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch

from unrolled import bundle, recipe
from unrolled.lookup import find
from unrolled.tasks.base import Task

HERE = Path(__file__).parent
SMALL = {"hidden_size": 4, "word_size": 4, "character_size": 3, "character_hidden": 3, "feature_size": 2, "layers": 1}
SMALL |= {"encoder_hidden": 4, "attention_size": 4, "longest_said": 6, "chord_size": 3}


def write(name: str) -> None:
    spec = importlib.util.spec_from_file_location("own", HERE.parent / "tasks" / f"test_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    examples = own.examples()
    known = recipe.option_table(name)["model"]
    options: dict[str, Any] = {key: value for key, value in SMALL.items() if key in known}
    options |= {key: value for key, value in getattr(own, "SIZES", {}).items() if key in known and key not in options}
    if "characters" in known:
        options["characters"] = "lstm"
    torch.manual_seed(1)
    task = find("unrolled.tasks", name, Task, "task").prepare(examples, **options)
    folder = HERE / f"format-{bundle.version_of(task)}" / name
    if folder.exists():
        sys.exit(f"{folder} is there, and golden")
    # Weights that are far from the first ones, which are near zero: so that the answers depend on every part.
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.uniform_(-1, 1)
    bundle.save(task, folder)
    inputs = [_input(e) for e in examples]
    told = [_told(i, e) for i, e in zip(inputs, task.predict(inputs), strict=True)]
    (folder / "expected.json").write_text(json.dumps(told, indent=1) + "\n")


def _input(example: Any) -> Any:
    """What `Task.read` takes for it."""
    for name in ("text", "source"):
        if hasattr(example, name):
            return getattr(example, name)
    if hasattr(example, "notes"):
        return [step.nonzero()[0].tolist() for step in example.notes]
    if hasattr(example, "image"):
        return example.image.tolist()
    if hasattr(example, "values"):
        return (
            [None if one != one else one for one in example.values.tolist()]
            if example.values.ndim == 1
            else example.values.tolist()
        )
    return [example.question, example.context] if hasattr(example, "question") else list(example.tokens)


def _told(given: Any, predicted: Any) -> dict[str, Any]:
    if hasattr(predicted, "forecast"):
        return {"input": given, "quantiles": predicted.forecast.quantiles.tolist()}
    if hasattr(predicted, "notes"):
        return {"input": given, "following": predicted.following}
    if hasattr(predicted, "following"):
        elements, probabilities = zip(*predicted.following, strict=True)
        bits = [bits for _, bits in predicted.surprisals]
        return {"input": given, "answer": elements, "confidence": [*probabilities, *bits]}
    sides = ("probabilities", "confidence", "score")
    sure = next((found for name in sides if (found := getattr(predicted, name, None)) is not None), None)
    if sure is None:  # a quantity, which is right up to rounding
        return {"input": given, "quantity": float(predicted.label)}
    return {"input": given, "answer": getattr(predicted, predicted.blank), "confidence": sure}


if __name__ == "__main__":
    write(sys.argv[1])
