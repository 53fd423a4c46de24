"""Make the data set of `protein_secondary_structure` one that a tagger reads: states that were not resolved are `-`.

    python benchmarks/secondary_structure.py --data FOLDER --output FOLDER

Says how right the simplest answer is: of each residue the state that its kind had most often in training.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from unrolled.data import splits
from unrolled.data.lines import read_lines
from unrolled.files import write_whole

UNKNOWN = "-"


def proteins(file: Path) -> Iterator[tuple[str, str, str]]:
    """Name, sequence and states of each."""
    for row in csv.DictReader(read_lines(file)):
        states = (s if r == "1" else UNKNOWN for s, r in zip(row["ss3"], row["resolved"], strict=True))
        yield row["id"], row["sequence"], "".join(states)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True)
    files = splits.find(given.data)._asdict()
    every = {name: list(proteins(file)) for name, file in files.items()}
    for name, rows in every.items():
        lines = ["id\tsequence\tss3\n", *("\t".join(row) + "\n" for row in rows)]
        write_whole(given.output / f"{name}.tsv", "".join(lines).encode())
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for _, sequence, states in every["train"]:
        for residue, state in zip(sequence, states, strict=True):
            if state != UNKNOWN:
                seen[residue][state] += 1
    pairs = [pair for _, sequence, states in every["test"] for pair in zip(sequence, states, strict=True)]
    known = [(residue, state) for residue, state in pairs if state != UNKNOWN]
    usual = {residue: counts.most_common(1)[0][0] for residue, counts in seen.items()}
    right = sum(usual.get(residue) == state for residue, state in known)
    print(f"the usual state of each residue: right {right / len(known):.4f} of {len(known):,} in the test")


if __name__ == "__main__":
    main()
