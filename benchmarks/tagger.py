"""How fast a tagger trains and tags, and where its time goes.

    python benchmarks/tagger.py --data FOLDER [--set name=value …] [--batches 40] [--threads 1]

Trains a fresh tagger for some batches, tags part of the training sentences in batches of 32 and one by one, and prints
a Markdown row for each. Seconds are wall time; run it on an idle machine. The share of torch's kernels is that of the
recurrent and matrix kernels in the profile of further training batches.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from unrolled.data import splits
from unrolled.data.batching import bucketed
from unrolled.recipe import build
from unrolled.tasks.base import Task
from unrolled.training import clip, optimizer

KERNELS = ("aten::mkldnn_rnn_layer", "aten::lstm", "aten::mm", "aten::addmm", "aten::lstm_cell")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    recipe = build("tagger", given.data, dict(option.split("=", 1) for option in given.set), seed=given.seed)
    examples = splits.load(given.data, recipe.task_class.example, seed=given.seed, columns=recipe.columns()).train
    task = recipe.task_class.prepare(examples, **recipe.model)
    print(f"{platform.processor() or platform.machine()}, {given.threads} thread(s), torch {torch.__version__}")
    print(f"{sum(p.numel() for p in task.parameters()):,} weights, {given.data}, {' '.join(given.set) or 'defaults'}\n")
    print("| what | figure |\n|---|---|")
    step, batches = _training(task, examples, recipe.training, given.seed)
    _report_training(step, batches[: given.batches + 8], examples)
    _report_tagging(task, examples)


def _training(
    task: Task, examples: Sequence[Any], settings: Any, seed: int
) -> tuple[Callable[[np.ndarray], None], list[np.ndarray]]:
    encoded = [task.encode(example) for example in examples]
    lengths = [e.length for e in encoded]
    batches = bucketed(lengths, elements=settings.batch_elements, rows=settings.batch_rows, seed=seed, epoch=0)
    engine = optimizer.make(task.parameters(), settings)
    parameters = list(task.parameters())

    def step(rows: np.ndarray) -> None:
        task.train()
        loss = task.loss(task.collate([encoded[row] for row in rows]))
        engine.zero_grad()
        (loss.total / loss.count).backward()
        clip.clip(parameters, settings.clip_norm)
        engine.step()

    return step, batches


def _report_training(step: Callable[[np.ndarray], None], batches: list[np.ndarray], examples: Sequence[Any]) -> None:
    for rows in batches[:8]:  # kernels are made for each new shape once
        step(rows)
    start = time.perf_counter()
    for rows in batches[8:]:
        step(rows)
    seconds = time.perf_counter() - start
    sentences = sum(len(rows) for rows in batches[8:])
    words = sum(len(examples[row].tokens) for rows in batches[8:] for row in rows)
    print(f"| training, sentences a second | {sentences / seconds:,.0f} |")
    print(f"| training, words a second | {words / seconds:,.0f} |")
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for rows in batches[8:18]:
            step(rows)
    events = seen.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    kernels = sum(event.self_cpu_time_total for event in events if event.key.startswith(KERNELS))
    print(f"| share of torch's recurrent and matrix kernels in training | {kernels / whole:.0%} |")


def _report_tagging(task: Task, examples: Sequence[Any]) -> None:
    some = list(examples[::7][:2000])
    task.predict(some[:320])
    start = time.perf_counter()
    task.predict(some, batch_rows=32)
    seconds = time.perf_counter() - start
    print(f"| tagging in batches of 32, words a second | {sum(len(e.tokens) for e in some) / seconds:,.0f} |")
    alone = [example for example in some if 5 <= len(example.tokens) <= 40][:500]
    for example in alone:  # each length once, for its kernels
        task.predict([example])
    took = []
    for example in alone:
        start = time.perf_counter()
        task.predict([example])
        took.append(time.perf_counter() - start)
    mean = np.mean([len(example.tokens) for example in alone])
    print(f"| one sentence (mean {mean:.0f} words), median milliseconds | {1e3 * np.median(took):.2f} |")


if __name__ == "__main__":
    main()
