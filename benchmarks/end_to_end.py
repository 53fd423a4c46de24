"""How fast the trainings of `quality.py` go: with torch's kernels, with ours, and with ours in bfloat16.

    python benchmarks/end_to_end.py --data FOLDER [--steps 60] [--rounds 3] [--threads 1] [NAME …]

The same steps of the same training, with all that `fit` does in a step. Each figure is the median of some processes, in
which the three take turns. On an idle machine take the wall's clock; `--clock process` counts the processor's time of
one thread, which others at work do not change as much.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from quality import RUNS

from unrolled.data import splits
from unrolled.kernels import library
from unrolled.model import reader_keywords
from unrolled.recipe import build
from unrolled.training.events import Step
from unrolled.training.fit import fit

CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
WAYS: dict[str, tuple[dict[str, str], str]] = {
    "torch's kernels": ({library.VARIABLE: "none"}, "float32"),
    "ours": ({}, "float32"),
    "ours, bfloat16": ({}, "bfloat16"),
}
"""What is compared -> what a process finds in its environment, and the training's precision."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=60, help="that are timed")
    parser.add_argument("--warm-up", type=int, default=10, help="steps before them")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--measure", metavar="PRECISION", help="be one of the processes")
    given = parser.parse_args()
    if given.measure:
        print(sentences_a_second(given.names[0], given))
        return
    print(f"{platform.machine()}, {given.threads} thread(s), torch {torch.__version__}, kernels {library.why()}")
    print(f"Sentences a second in training, {given.steps} steps, median of {given.rounds}, {given.clock} time.\n")
    print(f"| data | {' | '.join(WAYS)} | ours × | bfloat16 × |")
    print(f"|---|{'---|' * len(WAYS)}---|---|", flush=True)
    for name in given.names or RUNS:
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way, (environment, precision) in WAYS.items():
                found[way].append(_in_a_process(name, environment, precision, given))
        before, ours, half = (median(values) for values in found.values())
        figures = f"{before:,.0f} | {ours:,.0f} | {half:,.0f} | {ours / before:.2f} | {half / before:.2f}"
        print(f"| {name} | {figures} |", flush=True)


def _in_a_process(name: str, environment: dict[str, str], precision: str, given: argparse.Namespace) -> float:
    whole = {**os.environ, **environment, "OMP_NUM_THREADS": str(given.threads)}
    numbers = ["--steps", str(given.steps), "--warm-up", str(given.warm_up), "--threads", str(given.threads)]
    command = [sys.executable, __file__, name, "--data", str(given.data), *numbers, "--clock", given.clock]
    command += ["--measure", precision]
    return float(subprocess.run(command, env=whole, stdout=subprocess.PIPE, check=True).stdout)


def sentences_a_second(name: str, given: argparse.Namespace) -> float:
    """Of the steps after the warm-up, in this process."""
    torch.set_num_threads(given.threads)
    task, _, words = RUNS[name]
    options = dict(option.split("=", 1) for option in [*words, f"precision={given.measure}"])
    recipe = build(task, given.data / name, options)
    keywords = reader_keywords(recipe.reading)
    loaded = splits.load(recipe.data, recipe.task_class.example, seed=recipe.seed, **keywords)
    torch.manual_seed(recipe.seed)
    trained = recipe.task_class.prepare(loaded.train, **recipe.model)
    clock, steps, examples, since = CLOCKS[given.clock], 0, 0, 0.0
    # A look at two sentences, should one fall into these steps, is as good as none.
    for event in fit(trained, loaded.train, loaded.valid[:2], settings=recipe.training, seed=recipe.seed):
        if not isinstance(event, Step):
            continue
        steps += 1
        examples += event.examples
        if steps == given.warm_up:
            examples, since = 0, clock()
        if steps == given.warm_up + given.steps:
            break
    return examples / (clock() - since)


if __name__ == "__main__":
    main()
