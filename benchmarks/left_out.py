"""How good is a model on what was left out? Each example once, or each group of them, in turn.

    python benchmarks/left_out.py TASK --data FILE [--by COLUMN | --folds N] [--seeds 1 2 3] [--jobs 1]
        [--set NAME=VALUE …]

FILE holds all examples. With `--by` all examples of one value of a column are left out together, as all recordings of a
speaker; with `--folds` a share of them, by lot; else one at a time. What is left out is looked at once, by a model that
was trained on all others for so many `epochs` as `--set` says; of its weights those are kept that do best by what it
was trained on, the last of equals, so that nothing that was left out chooses anything. With several seeds
as many models are trained, and a classifier's answer is that of the mean of their probabilities. How far it is, and the
time left, is said on standard error.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from speed import machine, row, table

from unrolled.cli_options import pairs
from unrolled.console_training import counted
from unrolled.data import reading
from unrolled.data.parts import told
from unrolled.model import model_class
from unrolled.recipe import build, reader_keywords


class Fold(NamedTuple):
    """name: of what is left out; apart: the numbers of its examples."""

    name: str
    apart: list[int]


class Work(NamedTuple):
    """All that a fold's training needs."""

    task: str
    examples: Sequence[Any]
    fold: Fold
    seeds: Sequence[int]
    options: Mapping[str, Any]


def folds(examples: Sequence[Any], by: str | None, count: int | None) -> list[Fold]:
    if by is not None:
        named: dict[str, list[int]] = {}
        for number, example in enumerate(examples):
            named.setdefault(str(told(example, by)), []).append(number)
        return [Fold(name, apart) for name, apart in named.items()]
    order = np.random.default_rng(0).permutation(len(examples))
    parts = np.array_split(order, count or len(examples))
    return [Fold(str(number), sorted(part.tolist())) for number, part in enumerate(parts, 1)]


def predicted(work: Work) -> list[Any]:
    """What was left out, as models that never saw it say."""
    torch.set_num_threads(1)
    out = set(work.fold.apart)
    others = [example for number, example in enumerate(work.examples) if number not in out]
    apart = [work.examples[number] for number in work.fold.apart]
    every = []
    for seed in work.seeds:
        model = model_class(work.task)(**work.options)
        # Checked by what it is trained on, so that what was left out chooses nothing.
        model.fit(others, others, seed=seed)
        every.append(model.task.predict(apart))
    return every[0] if len(every) == 1 else [together(each) for each in zip(*every, strict=True)]


def together(said: Sequence[Any]) -> Any:
    """The answer of several models about one example: that of the mean of their probabilities."""
    labels = list(said[0].probabilities)
    mean = {label: float(np.mean([one.probabilities[label] for one in said])) for label in labels}
    return replace(said[0], label=max(mean, key=mean.__getitem__), probabilities=mean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--data", required=True)
    parser.add_argument("--by")
    parser.add_argument("--folds", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[])
    given = parser.parse_args()
    options = {"checks": "1", **pairs(given.set)}
    recipe = build(given.task, given.data, options)
    examples = reading.read(given.data, recipe.example_type(), filled=True, **reader_keywords(recipe.reading))
    own = {name: value for name, value in options.items() if name not in recipe.reading}
    parts = folds(examples, given.by, given.folds)
    works = [Work(given.task, examples, fold, given.seeds, own) for fold in parts]
    print(f"\n{machine()}; seeds {' '.join(map(str, given.seeds))}.\n")
    judge = recipe.prepared(examples)  # knows all labels
    table(["left out", "examples", judge.metric])
    every, gold = [], []
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        answers = counted(pool.imap(predicted, works), len(works), "fold")
        for work, said in zip(works, answers, strict=True):
            came = [examples[number] for number in work.fold.apart]
            every, gold = every + said, gold + came
            if len(parts) <= 20:
                row([work.fold.name, len(came), f"{judge.score(said, came)[judge.metric]:.4f}"])
    figures = judge.score(every, gold)
    row(["all", len(gold), f"{figures[judge.metric]:.4f}"])
    wrong = sum(a.label != b.label for a, b in zip(every, gold, strict=True)) if hasattr(gold[0], "label") else None
    print("\n" + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()), end="")
    print("" if wrong is None else f"; wrong answers: {wrong} of {len(gold)}")


if __name__ == "__main__":
    main()
