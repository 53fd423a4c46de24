"""Whether training in bfloat16 costs quality, and what it gains: the same trainings in both precisions, some seeds.

    python benchmarks/precision.py --data FOLDER [--seeds 1 2 3] [--threads 1] [NAME …]

FOLDER holds a folder for each data set (`ud_en_ewt`, `sst2`, `trec_questions`). The number of epochs is fixed, the same
in both precisions, and so are all other options, which are those of `quality.py`. The precisions take turns. A row is
printed for each run as it is done, then the means with their standard deviations; checks and tests are in float32.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev

from quality import RUNS, Measured, measured

EPOCHS = {"ud_en_ewt": 6, "sst2": 4, "trec_questions": 20}
"""On one core minutes for the first, one or two for the others."""
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EPOCHS)}")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    found: dict[tuple[str, str], list[Measured]] = {}
    for name in given.names or EPOCHS:
        print(f"{command(name, given.threads)}\n")
    print("| data | seed | precision | validation | test | minutes | sentences a second |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in given.names or EPOCHS:
        for seed in given.seeds:
            for precision in PRECISIONS:
                run = trained(name, seed, precision, given)
                found.setdefault((name, precision), []).append(run)
                figures = f"{run.validation:.4f} | {run.test:.4f} | {run.seconds / 60:.1f} | {run.speed:,.0f}"
                print(f"| {name} | {seed} | {precision} | {figures} |", flush=True)
    print(f"\nMean and standard deviation over the seeds {', '.join(map(str, given.seeds))}:\n")
    print("| data | precision | validation | test | sentences a second |\n|---|---|---|---|---|")
    for (name, precision), runs in found.items():
        validation, test = spread([run.validation for run in runs]), spread([run.test for run in runs])
        print(f"| {name} | {precision} | {validation} | {test} | {mean(run.speed for run in runs):,.0f} |")
    print("\nbfloat16 less float32, seed by seed:\n")
    print("| data | validation | test | times as fast |\n|---|---|---|---|")
    for name in given.names or EPOCHS:
        pairs = list(zip(*(found[name, precision] for precision in PRECISIONS), strict=True))
        validation, test = (spread([getattr(b, f) - getattr(a, f) for a, b in pairs]) for f in ("validation", "test"))
        print(f"| {name} | {validation} | {test} | {mean(b.speed / a.speed for a, b in pairs):.2f} |")


def options(name: str, precision: str) -> list[str]:
    """Those of `quality.py`, but for the epochs."""
    kept = [option for option in RUNS[name][2] if not option.startswith("epochs=")]
    return [*kept, f"epochs={EPOCHS[name]}", f"precision={precision}"]


def command(name: str, threads: int) -> str:
    """What is run, for people."""
    sets = " ".join(f"--set {option}" for option in options(name, "PRECISION"))
    task = RUNS[name][0]
    return f"    OMP_NUM_THREADS={threads} unrolled train {task} --data DATA/{name} --seed SEED {sets}"


def trained(name: str, seed: int, precision: str, given: argparse.Namespace) -> Measured:
    """One training, and its figures."""
    words = ["--seed", str(seed)]
    with tempfile.TemporaryDirectory() as scratch:
        return measured(name, given.data, Path(scratch) / "model", options(name, precision), words, given.threads)


def spread(values: list[float]) -> str:
    """Mean ± standard deviation.

    >>> spread([1.0, 2.0, 3.0])
    '2.0000 ± 1.0000'
    """
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
