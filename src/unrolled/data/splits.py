"""Training, validation and test examples: from a folder that has them apart, or by lot from a single file.

A folder holds `train.*`, `valid.*` (or `dev`, `val`, `validation`) and `test.*`, each a known format, with or without
a prefix (`ptb.train.txt.xz`, `en_ewt-ud-train.conllu`); a path `folder/ptb` takes those of that prefix alone. Where
there is no validation split a tenth of the training examples is taken; a single file is split 80/10/10. Who goes where
depends on the examples and the seed alone, and examples of the same content stay on one side: nothing is tested that
was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from unrolled.data.examples import Example
from unrolled.data.lines import COMPRESSED
from unrolled.data.reading import read, suffixes
from unrolled.errors import BadData

SomeExample = TypeVar("SomeExample", bound=Example)

NAMES = {"train": "train", "test": "test"} | dict.fromkeys(("valid", "dev", "val", "validation"), "valid")


class Paths(NamedTuple):
    """The files of a data set."""

    train: Path
    valid: Path | None
    test: Path | None


class Splits(NamedTuple):
    """The examples that training needs. test: what was set apart of a single file; None for a folder, whose test file
    need not have answers, and is not read before the evaluation.
    """

    train: list[Any]
    valid: list[Any]
    test: list[Any] | None


def find(path: str | Path, *, format: str | None = None) -> Paths:
    """The split files of a folder, or of a prefix in a folder.

    Args:
        path: the folder, or `folder/prefix`.
        format: the format's name; then files of any suffix count.

    Raises `BadData` where two files could be one split, or none is the training split.
    """
    folder, prefix = Path(path), None
    if not folder.is_dir():
        folder, prefix = folder.parent, folder.name
    try:
        files = sorted(file.name for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise BadData(f"it cannot be read: {error.strerror or error}", path) from None
    found: dict[str, str] = {}
    for name in files:
        split = _split_of(name, prefix, None if format else suffixes())
        if split in found:
            hint = "name a prefix or keep one" if prefix is None else "keep one"
            raise BadData(f"both {found[split]} and {name} could be the {split} split; {hint}", path)
        if split:
            found[split] = name
    if "train" not in found:
        if prefix is not None and not found:
            raise BadData("there is no such file or folder", path)
        raise BadData(f"no training split (train.tsv, train.conllu, …); there are: {_listed(files)}", path)
    there = {split: folder / name for split, name in found.items()}
    return Paths(there["train"], there.get("valid"), there.get("test"))


def load(
    path: str | Path,
    example_type: type[SomeExample],
    *,
    seed: int,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    label_separator: str | None = None,
) -> Splits:
    """The examples of a folder with splits, or of a single file. Each has its blank filled in.

    Args:
        path: a folder, a prefix in a folder, or a file.
        example_type: which examples to read.
        seed: of the lot, where a split must be made.
        format, columns, features, label_separator: see `read`.
    """

    def examples(file: Path) -> list[SomeExample]:
        return read(
            file,
            example_type,
            format=format,
            columns=columns,
            features=features,
            label_separator=label_separator,
            filled=True,
        )

    if Path(path).is_file():
        train, valid, test = by_lot(examples(Path(path)), [0.1, 0.1], seed=seed, where=path)
        return Splits(train, valid, test)
    files = find(path, format=format)
    train = examples(files.train)
    if files.valid is None:
        train, valid = by_lot(train, [0.1], seed=seed, where=files.train)
    else:
        valid = examples(files.valid)
    return Splits(train, valid, None)


def set_apart(
    examples: Sequence[SomeExample], share: float, *, seed: int
) -> tuple[list[SomeExample], list[SomeExample]]:
    """What is left, and about that share of the examples, by lot; see `by_lot`."""
    left, apart = by_lot(examples, [share], seed=seed)
    return left, apart


def by_lot(
    examples: Sequence[SomeExample], shares: Sequence[float], *, seed: int, where: str | Path | None = None
) -> list[list[SomeExample]]:
    """What is left, then one list a share: about that share of the examples, at least one, in their old order.

    Examples of the same content stay together. Raises `BadData` where there are too few different ones.
    """
    groups: dict[Any, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.content, []).append(index)
    if len(groups) <= len(shares):
        several = f"{len(groups)} different example" + ("" if len(groups) == 1 else "s")
        raise BadData(f"{several} cannot be split in {len(shares) + 1}", where)
    # NumPy promises the raw numbers of a bit generator for ever, those of its distributions not.
    raw = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(len(groups))
    members = list(groups.values())
    left = [members[k] for k in np.argsort(raw, kind="stable")]
    parts = []
    for number, share in enumerate(shares):
        taken, left = _take(left, max(1, round(share * len(examples))), len(shares) - number)
        parts.append(taken)
    return [[examples[k] for k in sorted(part)] for part in (_flat(left), *parts)]


def _take(groups: list[list[int]], target: int, keep: int) -> tuple[list[int], list[list[int]]]:
    """Members of groups, `target` of them at most, and the groups left, `keep` at least.

    A group that does not fit is passed over; where none fits, the smallest is taken.
    """
    taken: list[int] = []
    left: list[list[int]] = []
    for position, group in enumerate(groups):
        remaining = len(left) + len(groups) - position - 1
        if len(taken) + len(group) <= target and remaining >= keep:
            taken += group
        else:
            left.append(group)
    if not taken:
        smallest = min(range(len(left)), key=lambda k: len(left[k]))
        taken = left.pop(smallest)
    return taken, left


def _flat(groups: Iterable[list[int]]) -> list[int]:
    return [index for group in groups for index in group]


def _split_of(name: str, prefix: str | None, known: Mapping[str, str] | None) -> str | None:
    """Which split a file name stands for: train, valid, test or None."""
    stem = name
    for ending in COMPRESSED:
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
    stem, dot, ending = stem.rpartition(".")
    if not dot or (known is not None and f".{ending.lower()}" not in known):
        return None
    match = re.fullmatch(r"(?:(.+)[.-])?([a-z]+)", stem, re.IGNORECASE)
    if match is None or (prefix is not None and match[1] != prefix):
        return None
    return NAMES.get(match[2].lower())


def _listed(files: Sequence[str]) -> str:
    return (", ".join(files[:20]) + (", …" if len(files) > 20 else "")) or "no files"
