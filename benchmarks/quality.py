"""How good the models get in fifteen minutes, on real data: trains, evaluates once on the test split, prints a table.

    python benchmarks/quality.py --data FOLDER [--minutes 15] [--seed 1] [--threads 2] [NAME …]

FOLDER holds a folder for each data set (`ud_en_ewt`, `conll2000_chunking`, `sst2`, `trec_questions`, `imdb`), each with
its splits. Options that differ from the defaults were chosen on the validation split; where a data set has none, that
is a tenth of its training split, by the seed. The rows are printed as they are done.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

CHUNKING = ("features=pos:2", "hidden_size=200", "characters=cnn", "embedding_dropout=0.5")
TREC = ("characters=lstm", "dropout=0.5", "embedding_dropout=0.5", "label_smoothing=0.1", "batch_rows=16", "epochs=20")
RUNS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ud_en_ewt": ("tagger", "accuracy", ()),
    "conll2000_chunking": ("tagger", "f1", CHUNKING),
    "sst2": ("classifier", "accuracy", ("learning_rate=0.01", "epochs=4", "batch_rows=16")),
    "trec_questions": ("classifier", "accuracy", TREC),
    "imdb": ("classifier", "accuracy", ("batch_elements=16384",)),
}
"""Data set -> task, the figure that counts, options."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep the models in this folder")
    given = parser.parse_args()
    print("| data | figure | validation | test | epochs | minutes | sentences a second | options |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.names or RUNS:
            print(_row(name, given, (given.keep or Path(scratch)) / name), flush=True)


class Measured(NamedTuple):
    """A training's figure on its two splits, and what it took; speed: sentences a second, its checks included."""

    validation: float
    test: float
    epochs: float
    seconds: float
    speed: float


def measured(
    name: str, data: Path, output: Path, options: Sequence[str], words: Sequence[str], threads: int
) -> Measured:
    """Train with these options and further words of the command line, then evaluate on the test split."""
    task, figure, _ = RUNS[name]
    place, sets = ["--data", str(data / name)], [part for option in options for part in ("--set", option)]
    trained = _unrolled(threads, "train", task, *place, "--output", str(output), *words, *sets)
    tested = _unrolled(threads, "evaluate", str(output), *place, "--unseen", "count")
    with open(output / "history.csv", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    seconds, epochs = float(last["seconds"]), float(last["epoch"])
    speed = epochs * trained["examples"] / seconds
    return Measured(trained["validation"][figure], tested["metrics"][figure], epochs, seconds, speed)


def _row(name: str, given: argparse.Namespace, output: Path) -> str:
    _, figure, options = RUNS[name]
    budget = ["--minutes", str(given.minutes), "--seed", str(given.seed)]
    found = measured(name, given.data, output, options, budget, given.threads)
    cells = [
        name,
        figure,
        f"{found.validation:.4f}",
        f"{found.test:.4f}",
        f"{found.epochs:.1f}",
        f"{found.seconds / 60:.1f}",
        f"{found.speed:,.0f}",
        f"`{' '.join(options)}`" if options else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _unrolled(threads: int, *words: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "unrolled.cli", *words, "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
