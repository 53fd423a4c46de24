"""Do language models of the same texts help a classifier? Equal time for both, pre-training included.

    python benchmarks/pretraining.py --data FOLDER [--pretrain 20] [--tune 18] [--seeds 1 2 3] [--threads 2]
        [--directions forward backward] [--runs tuned same scratch] [--language NAME=VALUE …] [--tuned NAME=VALUE …]
        [--scratch NAME=VALUE …]

FOLDER holds the train, valid (if there is one) and test files of a data set of labelled texts. With each seed: language
models, one that reads forwards and one that reads back, or one of them, are trained at the same time, sharing the
threads, on the texts of the training split, without their labels, for `--pretrain` minutes; a classifier that begins
with them is trained for `--tune` minutes; and the same data get, for the sum of both and in as many threads, the
classifier as it is by default (`scratch`), and one of the very same network as the tuned one whose layers begin anew
(`same`).
Whatever is chosen is chosen by the validation split, a tenth of the training split where there is none; the test split
is looked at once by each. All runs are the commands of `unrolled`, in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed import machine, row, table

from unrolled.data import splits
from unrolled.data.examples import LabelledText

DIRECTIONS = ("forward", "backward")
LANGUAGE = ("tokens=words", "case=lower", "most=30000", "lines=running", "window=70", "batch_rows=64")
LANGUAGE += ("hidden_size=384", "word_size=384", "type_dropout=0.05", "embedding_dropout=0.2", "dropout=0.2")
LANGUAGE += ("output_dropout=0.3", "weight_drop=0.1", "learning_rate=3e-3", "epochs=500", "checks=3")
LANGUAGE += ("precision=bfloat16",)
VALIDATING = 100
"""Texts that the language model is validated on, at most: over 30,000 words a look takes long."""
RUNS = ("tuned", "same", "scratch")
TUNED = ("encoder_rates=1", "learning_rate=2e-3")
CLASSIFIER = ("tokens=words", "epochs=500", "checks=4", "precision=bfloat16")


def begin(*words: str, threads: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen([sys.executable, "-m", "unrolled", *words], env=environment)


def end(*processes: subprocess.Popen[bytes]) -> None:
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit("a run failed")


def settings(given: Sequence[str]) -> list[str]:
    return [word for one in given for word in ("--set", one)]


def texts(data: Path, folder: Path, seed: int) -> None:
    """The training texts as those of a language model, a line each, the last ones to validate."""
    loaded = splits.load(data, LabelledText, seed=seed)
    lines = [" ".join(example.text.split()) + "\n" for example in loaded.train]
    edge = len(lines) - min(len(lines) // 20, VALIDATING)
    folder.mkdir(parents=True)
    for name, part in (("train", lines[:edge]), ("valid", lines[edge:])):
        (folder / f"{name}.txt").write_text("".join(part), encoding="utf-8")


def figures(model: Path, data: Path, threads: int) -> tuple[float, float]:
    """Accuracy in validation, as the training saw it, and on the test split."""
    found = json.loads((model / "metrics.json").read_bytes())["validation"]["accuracy"]
    told = subprocess.run(
        [sys.executable, "-m", "unrolled", "evaluate", str(model), "--data", str(data), "--json"],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    return found, json.loads(told.stdout)["metrics"]["accuracy"]


def untrained(language: Path, place: Path, seed: int) -> None:
    """A language model as that one is made, with the weights that it began with."""
    import torch

    from unrolled import bundle

    task: Any = bundle.load(language)
    torch.manual_seed(seed)
    fresh = type(task)(task.vocabularies, task.tokenisers, **task.options)
    bundle.save(fresh, place)


def compare(given: argparse.Namespace, seed: int, place: Path) -> dict[str, tuple[float, float]]:
    both = given.pretrain + given.tune
    texts(given.data, place / "texts", seed)
    common = ("--seed", str(seed), "--overwrite")
    trained, fresh = ([place / f"{kind}-{way}" for way in given.directions] for kind in ("trained", "fresh"))
    if {"tuned", "same"} & set(given.runs):
        # Where the trained one is not asked for, the network of the other is still made as that is.
        minutes = given.pretrain if "tuned" in given.runs else 0.1
        how = ("--minutes", str(minutes), *settings([*LANGUAGE, *given.language]))
        threads = max(1, given.threads // len(given.directions))
        end(*(begin("train", "language_model", "--data", str(place / "texts"), "--output", str(model), *common,
                    *how, "--set", f"direction={way}", threads=threads)
              for way, model in zip(given.directions, trained, strict=True)))  # fmt: skip
        for model, new in zip(trained, fresh, strict=True):
            untrained(model, new, seed)
    tuned = [*TUNED, *given.tuned]
    runs = {
        "tuned": (given.tune, [f"encoder={','.join(map(str, trained))}", *tuned]),
        "same": (both, [f"encoder={','.join(map(str, fresh))}", "layer_decay=1", "unfreeze=0", *tuned]),
        "scratch": (both, given.scratch),
    }
    found = {}
    for name in given.runs:
        minutes, options = runs[name]
        end(begin("train", "classifier", "--data", str(given.data), "--output", str(place / name), *common,
                  "--minutes", str(minutes), *settings([*CLASSIFIER, *options]), threads=given.threads))  # fmt: skip
        found[name] = figures(place / name, given.data, given.threads)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pretrain", type=float, default=20.0)
    parser.add_argument("--tune", type=float, default=18.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=DIRECTIONS)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=RUNS)
    for name in ("language", "tuned", "scratch"):
        parser.add_argument(f"--{name}", nargs="+", default=[])
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in given.seeds:
        place = Path(tempfile.mkdtemp())
        for name, pair in compare(given, seed, place).items():
            found.setdefault(name, []).append(pair)
        shutil.rmtree(place)
    print(f"\n{machine()}; seeds {' '.join(map(str, given.seeds))}.\n")
    table(["classifier", "minutes", "validation", "test"])
    for name, pairs in found.items():
        minutes = f"{given.pretrain:g} + {given.tune:g}" if name == "tuned" else f"{given.pretrain + given.tune:g}"
        row([name, minutes, *(f"{statistics.mean(part):.4f}" for part in zip(*pairs, strict=True))])


if __name__ == "__main__":
    main()
