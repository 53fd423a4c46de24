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
from pathlib import Path
from typing import Any

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


def _row(name: str, given: argparse.Namespace, output: Path) -> str:
    task, figure, options = RUNS[name]
    data = str(given.data / name)
    sets = [part for option in options for part in ("--set", option)]
    budget = ["--minutes", str(given.minutes), "--seed", str(given.seed)]
    trained = _unrolled(given, "train", task, "--data", data, "--output", str(output), *budget, *sets)
    tested = _unrolled(given, "evaluate", str(output), "--data", data, "--unseen", "count")
    with open(output / "history.csv", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    seconds, epochs = float(last["seconds"]), float(last["epoch"])
    speed = epochs * trained["examples"] / seconds
    cells = [
        name,
        figure,
        f"{trained['validation'][figure]:.4f}",
        f"{tested['metrics'][figure]:.4f}",
        f"{epochs:.1f}",
        f"{seconds / 60:.1f}",
        f"{speed:,.0f}",
        f"`{' '.join(options)}`" if options else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _unrolled(given: argparse.Namespace, *words: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    command = [sys.executable, "-m", "unrolled.cli", *words, "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
