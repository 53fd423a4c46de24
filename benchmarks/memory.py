"""The memory tasks at the sizes of Bai, Kolter & Koltun 2018 (arXiv:1803.01271, table 1), beside its columns.

    python benchmarks/memory.py --images FOLDER [--tasks adding copy pixels permuted] [--minutes N] [--seed 1]
        [--precision bfloat16] [--output FOLDER]

FOLDER holds the four files of MNIST. Each task's data are made, a model of at most 70,000 weights is trained for so
many minutes at most, what is chosen is chosen by the validation split, and the test split is looked at once. All
trainings are the command `unrolled train`; the settings stand below. `--precision` is that of the GRUs' products:
without the instructions of AMX float32 is the faster one. Data and models stay in `--output`, where it is given.

adding and copy: the mean squared error, and the mean cross-entropy in nats of an element; pixels: the share of right
answers. The paper's figures are of its test split at the end of a training of unstated length.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from speed import machine, row, table

from unrolled import api
from unrolled.data import splits
from unrolled.recipe import build

MOST = 70_000
"""Weights of a model, at most."""


class Entry(NamedTuple):
    """A task. make: the words of `unrolled make`; task, settings: of `unrolled train`; minutes: where none are given;
    published: the paper's columns."""

    make: tuple[str, ...]
    task: str
    settings: tuple[str, ...]
    minutes: float
    published: dict[str, str]


COMMON = ("directions=forward", "epochs=500", "dropout=0", "averaging=none")
PIXELS = (*COMMON, "pooling=last", "cell=gru", "hidden_size=149", "chrono=784")
PIXELS += ("batch_rows=64", "batch_elements=60000", "learning_rate=3e-3", "checks=12")
ENTRIES = {
    "adding": Entry(
        ("adding", "--length", "600"),
        "regressor",
        (*COMMON, "pooling=last", "scaling=none", "cell=gru", "hidden_size=128", "chrono=600",
         "batch_rows=32", "batch_elements=20000", "checks=10"),
        15,
        {"LSTM": "0.164", "GRU": "5.3e-5", "RNN": "0.177", "TCN": "5.8e-5"},
    ),
    "copy": Entry(
        ("copy", "--length", "1000"),
        "tagger",
        (*COMMON, "characters=none", "label_smoothing=0", "embedding_dropout=0", "word_dropout=0", "word_size=10",
         "cell=mingru", "layers=2", "hidden_size=170", "chrono=1020", "batch_rows=32", "batch_elements=33000",
         "learning_rate=5e-3", "checks=10"),
        20,
        {"LSTM": "0.0204", "GRU": "0.0197", "RNN": "0.0202", "TCN": "3.5e-5"},
    ),
    "pixels": Entry(
        ("pixels",), "classifier", PIXELS, 60, {"LSTM": "87.2", "GRU": "96.2", "RNN": "21.5", "TCN": "99.0"}
    ),
    "permuted": Entry(
        ("pixels", "--permuted"), "classifier", PIXELS, 60,
        {"LSTM": "85.7", "GRU": "87.3", "RNN": "25.3", "TCN": "97.2"},
    ),
}  # fmt: skip


def unrolled(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "unrolled", *words], check=True)


@torch.no_grad()
def cross_entropy(model: api.Model, data: Path) -> float:
    """In nats, of an element."""
    total, count = 0.0, 0
    with model.task.evaluating():
        for example in model.examples(data):
            loss = model.task.loss(model.task.collate([model.task.encode(example)]))
            total, count = total + float(loss.total), count + loss.count
    return total / count


def figure(name: str, folder: Path, data: Path) -> str:
    """On the test split."""
    model = api.load(folder)
    if name == "copy":
        return f"{cross_entropy(model, data):.2g}"
    found = model.evaluate(data)["metrics"]
    return f"{found['mean_squared_error']:.2g}" if name == "adding" else f"{100 * found['accuracy']:.1f}"


def weights(task: str, data: Path, settings: dict[str, Any]) -> int:
    recipe = build(task, data, settings)
    loaded = splits.load(data, recipe.example_type(), seed=recipe.seed)
    return sum(parameter.numel() for parameter in recipe.prepared(loaded.train).parameters())


def run(name: str, given: argparse.Namespace, place: Path) -> tuple[str, int, float, Any]:
    """The figure, the weights, the minutes that it took, and what the settings say of the cell."""
    entry = ENTRIES[name]
    data, folder = place / "data", place / "model"
    images = ("--images", str(given.images)) if entry.make[0] == "pixels" else ()
    place.mkdir(parents=True, exist_ok=True)
    unrolled("make", *entry.make, *images, "--output", str(data), "--seed", str(given.seed))
    minutes = entry.minutes if given.minutes is None else given.minutes
    precision = f"precision={'float32' if name == 'copy' else given.precision}"
    chosen = [*entry.settings, precision]
    count = weights(entry.task, data, dict(setting.split("=", 1) for setting in chosen))
    if count > MOST:
        raise SystemExit(f"{name}: {count:,} weights are more than {MOST:,}")
    settings = [word for setting in chosen for word in ("--set", setting)]
    begun = time.monotonic()
    unrolled("train", entry.task, "--data", str(data), "--output", str(folder), "--seed", str(given.seed),
             "--minutes", str(minutes), *settings)  # fmt: skip
    took = (time.monotonic() - begun) / 60
    config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    return figure(name, folder, data), count, took, config["options"]["cell"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=ENTRIES, default=list(ENTRIES))
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    given = parser.parse_args()
    if given.images is None and {"pixels", "permuted"} & set(given.tasks):
        parser.error("--images: where are the images?")
    found = {}
    for name in given.tasks:
        with tempfile.TemporaryDirectory() as temporary:
            found[name] = run(name, given, (given.output or Path(temporary)) / name)
    print(f"\n{machine()}; seed {given.seed}.\n")
    table(["task", "cell", "weights", "minutes", "here", *ENTRIES["adding"].published])
    for name, (value, weights, took, cell) in found.items():
        row([name, cell, f"{weights:,}", f"{took:.0f}", value, *ENTRIES[name].published.values()])


if __name__ == "__main__":
    main()
