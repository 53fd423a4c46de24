"""What it costs a training to be looked at by the doctor, at its default interval.

    python benchmarks/doctor.py --data FOLDER [--task classifier] [--seconds 60] [--rounds 5] [--set NAME=VALUE …]

The same training, from the same seed, is run for so many seconds with looks and without, turn about, in one process;
what counts is how many steps each took in that time (checks and the plan are left out), and the ratio in a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from speed import machine, row, table

from unrolled import recipe
from unrolled.data import splits
from unrolled.doctor import small_look
from unrolled.training.events import Looked, Step
from unrolled.training.fit import fit


def run(asked: recipe.Recipe, loaded: Any, seconds: float, look: Callable[[Any], Any] | None) -> tuple[int, int]:
    """Steps and looks in that time."""
    torch.manual_seed(asked.seed)
    task = asked.prepared(loaded.train)
    steps = looks = 0
    began = time.perf_counter()
    for event in fit(task, loaded.train, loaded.valid[:200], settings=asked.training, seed=asked.seed, look=look):
        if isinstance(event, Step):
            steps += 1
            began = time.perf_counter() if steps == 1 else began
            if time.perf_counter() - began > seconds:
                break
        looks += isinstance(event, Looked)
    return steps, looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="classifier")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="options")
    given = parser.parse_args()
    options = {"epochs": "1000", "checks": "1", **dict(option.split("=", 1) for option in given.options)}
    asked = recipe.build(given.task, given.data, options)
    loaded = splits.load(asked.data, asked.example_type(), seed=1)

    look = small_look(loaded.valid)
    ratios = []
    print(f"\n{machine()}\n")
    table(["round", "steps without", "steps with", "looks", "cost"])
    for number in range(1, given.rounds + 1):
        plain, _ = run(asked, loaded, given.seconds, None)
        seen, looks = run(asked, loaded, given.seconds, look)
        ratios.append(plain / seen - 1)
        row([str(number), f"{plain:,}", f"{seen:,}", str(looks), f"{ratios[-1]:.1%}"])
    print(f"\nmedian cost {statistics.median(ratios):.1%}")


if __name__ == "__main__":
    main()
