"""Training, validation and test examples: from a folder that has them apart, or by lot from a single file.

A folder holds `train.*`, `valid.*` (or `dev`, `val`, `validation`) and `test.*`, each a known format, with or without
a prefix (`ptb.train.txt.xz`, `en_ewt-ud-train.conllu`); a path `folder/ptb` takes those of that prefix alone. Names
such as `qa1_train.txt` count where no others do. Parallel text has two files a split, `train.en` and `train.de`; what
has a file for each example, as music, a folder a split. Where there is no validation split a tenth of the training
examples is taken; a single file is split 80/10/10. Who goes where depends on the examples and the seed alone, and
examples of the same content stay on one side: nothing is tested that was trained on. Where it is asked for
(`similarity`), near relatives stay on one side, too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from unrolled.data.examples import Example, Series
from unrolled.data.formats.base import Spacing
from unrolled.data.lines import bare, suffix
from unrolled.data.long_text import LongText, is_long
from unrolled.data.music import DIVISION
from unrolled.data.parts import NAMES, part
from unrolled.data.reading import claiming, format_of, read, suffixes
from unrolled.data.similarity import families
from unrolled.errors import BadData, BadOption

SomeExample = TypeVar("SomeExample", bound=Example)

APART = 50_000
"""Examples, at most, that are set apart of a text larger than memory: they are held in it, and looked at often."""


class Paths(NamedTuple):
    """The files of a data set."""

    train: Path
    valid: Path | None
    test: Path | None


class Splits(NamedTuple):
    """The examples that training needs. test: what was set apart of a single file; None for a folder, whose test file
    need not have answers, and is not read before the evaluation.
    """

    train: Sequence[Any]
    valid: Sequence[Any]
    test: Sequence[Any] | None


def find(
    path: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    example_type: type[Example] | None = None,
) -> Paths:
    """The split files of a folder, or of a prefix in a folder; of parallel text, how the names of two files begin.

    Args:
        path: the folder, or `folder/prefix`.
        format: the format's name; then files of any suffix count, but those of its own before others.
        columns: see `Format`.
        example_type: what is to be read; where it is known, formats that cannot hold it claim no files.

    Raises `BadData` where two files could be one split, or none is the training split.
    """
    folder, prefix = Path(path), None
    if not folder.is_dir():
        folder, prefix = folder.parent, folder.name
    try:
        there = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise BadData(f"it cannot be read: {error.strerror or error}", path) from None

    def claimed(stem: str) -> bool:
        return bool(claiming(folder / stem, format, columns=columns, example_type=example_type))

    files = sorted(one.name for one in there if one.is_file() or (one.name.lower() in NAMES and claimed(one.name)))

    any_split, found = False, dict[str, list[str]]()
    for splits in _tries(files, prefix, format, claimed):
        any_split = any_split or bool(splits)
        if "train" in splits:
            found = splits
            break
    for split, several in found.items():
        if len(several) > 1:
            hint = "name a prefix or keep one" if prefix is None else "keep one"
            raise BadData(f"both {several[0]} and {several[1]} could be the {split} split; {hint}", path)
    if not found:
        if prefix is not None and not any_split:
            raise BadData("there is no such file or folder", path)
        raise BadData(f"no training split (train.tsv, train.conllu, …); there are: {_listed(files)}", path)
    named = {split: folder / name for split, (name,) in found.items()}
    return Paths(named["train"], named.get("valid"), named.get("test"))


def _tries(
    files: Sequence[str], prefix: str | None, format: str | None, claimed: Callable[[str], bool]
) -> Iterator[dict[str, list[str]]]:
    """Split -> the names that could be its, as looked for more and more widely."""
    stems = {name: bare(name).rpartition(".")[0] or name for name in files}
    kind = None if format is None else format_of("", format)
    own = set(suffixes()) if kind is None else {*kind.suffixes, *kind.usual}
    near = {name: stem for name, stem in stems.items() if suffix(name) in own}
    for separators in (".-", "._-"):
        found = _splits(near, prefix, separators)
        if kind is not None and "train" in found:
            # Files of another suffix, but only for splits that those of the format's own have not.
            found = _splits(stems, prefix, separators) | found
        yield found
    several = _splits({stem: stem for stem in sorted(set(stems.values()))}, prefix, ".-")
    # Asked of those alone that could be a split, since the answer takes a look at the whole folder.
    kept = {split: [stem for stem in known if claimed(stem)] for split, known in several.items()}
    yield {split: known for split, known in kept.items() if known}
    if kind is not None:
        yield from (_splits(stems, prefix, separators) for separators in (".-", "._-"))


def example_type(
    path: str | Path,
    kinds: Sequence[type[Example]],
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> type[Example]:
    """Which of some example types a file, or a folder's training split, holds by its format; the first one, where that
    holds none of them. Other arguments as `find`. Raises `BadData` and `UnknownName`.
    """
    if len(kinds) == 1:
        return kinds[0]
    file = Path(path) if Path(path).is_file() else find(path, format=format, columns=columns).train
    return format_of(file, format, columns=columns).tells(file, kinds, columns or {})


def load(
    path: str | Path,
    example_type: type[SomeExample],
    *,
    seed: int,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    spacing: Spacing = "blanks",
    division: int = DIVISION,
    similarity: float | None = None,
    split: str | None = None,
) -> Splits:
    """The examples of a folder with splits, or of a single file. Each has its blank filled in, where it needs that.

    What runs on from one example to the next is parted where it stands: the last parts are those set apart. Where it is
    larger than `long_text.LONG` the training examples are a `LongText`, which is not held in memory, and what is set
    apart of it is no more than `APART` examples each.

    Args:
        path: a folder, a prefix in a folder, or a file (of parallel text, how the names of the two begin).
        example_type: which examples to read.
        seed: of the lot, where a split must be made.
        format, columns, features, label_separator, spacing, division: see `read`.
        similarity: share of their words from which on sequences stay on one side; see `data.similarity`.
        split: the column of a single file that says of each row to which part it belongs; see `data.parts`.

    Raises also `BadOption` for a split column where there is none, and for a folder; and for a similarity where the
    parts are given, since relatives stay where they are.
    """
    how: dict[str, Any] = {
        "format": format,
        "columns": columns,
        "features": features,
        "label_separator": label_separator,
        "spacing": spacing,
        "division": division,
        "filled": True,
    }

    def examples(file: Path) -> Sequence[Any]:
        if is_long(file, example_type, format=format, columns=columns):
            return LongText(file, **how)
        return read(file, example_type, **how)

    if Path(path).is_file() or claiming(path, format, columns=columns, example_type=example_type):
        return _of_file(examples(Path(path)), split, seed, path, similarity)
    if split is not None:
        raise BadOption(f"split={split} is the column of a single file; {path} has a file for each part")
    files = find(path, format=format, columns=columns, example_type=example_type)
    train = examples(files.train)
    if files.valid is None:
        train, valid = _parted(train, [0.1], seed, files.train, similarity)
    else:
        _must_part(similarity, files.valid)
        valid = read(files.valid, example_type, **how)
        if example_type is Series:
            valid = continued(train, valid)
    return Splits(train, valid, None)


def in_time(series: Sequence[Any], shares: Sequence[float], where: str | Path | None = None) -> Sequence[Sequence[Any]]:
    """Series parted in time: what is left of each, and for each share its next steps, with all before them as their
    history. A series that is too short is left as it is.

    Raises `BadData` where all are.
    """
    parts: list[list[Any]] = [[] for _ in range(len(shares) + 1)]
    for one in series:
        sizes = [max(1, round(share * one.known)) for share in shares]
        edges = [one.known - sum(sizes[k:]) for k in range(len(sizes))]
        if edges[0] < 2 * max(sizes):
            parts[0].append(one)
            continue
        parts[0].append(one.upto(edges[0]))
        for later, begin, end in zip(parts[1:], edges, [*edges[1:], len(one.values)], strict=True):
            later.append(one.upto(end, history=begin))
    if not all(parts):
        raise BadData(f"series of {max(one.known for one in series)} steps at most are too short to be parted", where)
    return parts


def continued(earlier: Iterable[Any], later: Iterable[Any]) -> list[Any]:
    """Later parts of series behind the earlier ones of the same name, which are their history. A later part that begins
    with the earlier one stays as it is.
    """
    known = {one.series: one for one in earlier}
    return [one if one.series not in known else known[one.series].followed_by(one) for one in later]


def _of_file(
    examples: Sequence[Any], split: str | None, seed: int, where: str | Path, similarity: float | None
) -> Splits:
    """Of a single file: parted as a column says, or by lot."""
    if split is not None:
        return _as_told(examples, split, seed, where, similarity)
    train, valid, test = _parted(examples, [0.1, 0.1], seed, where, similarity)
    return Splits(train, valid, test)


def _as_told(examples: Sequence[Any], column: str, seed: int, where: str | Path, similarity: float | None) -> Splits:
    """Parted as a column says; where it tells no validation examples they are a tenth of the training examples."""
    parts: dict[str | None, list[Any]] = {"train": [], "valid": [], "test": []}
    for example in examples:
        parts.setdefault(part(example, column), []).append(example)
    if parts.get(None):
        raise BadOption(f"{where}: there is no column {column!r} that tells the parts, or its format keeps none")
    if not parts["train"]:
        raise BadData(f"no row has 'train' in the column {column!r}", where)
    train, valid = parts["train"], parts["valid"]
    if valid:
        _must_part(similarity, where)
    else:
        train, valid = map(list, _parted(train, [0.1], seed, where, similarity))
    return Splits(train, valid, None)  # as of a folder, the test part is not looked at before the evaluation


def _must_part(similarity: float | None, where: str | Path) -> None:
    """Raises `BadOption` for a similarity where nothing is parted by it."""
    if similarity is not None:
        raise BadOption(
            f"similarity={similarity:g} is for parting examples, and these are parted already ({where}): leave it out"
        )


def set_apart(
    examples: Sequence[SomeExample], share: float, *, seed: int
) -> tuple[Sequence[SomeExample], Sequence[SomeExample]]:
    """What is left, and about that share of the examples, by lot; see `by_lot`."""
    left, apart = _parted(examples, [share], seed, None)
    return left, apart


def _parted(
    examples: Sequence[SomeExample],
    shares: Sequence[float],
    seed: int,
    where: str | Path | None,
    similarity: float | None = None,
) -> Sequence[Sequence[SomeExample]]:
    """By lot; of what runs on, one piece after the other; of series the last steps."""
    if examples and isinstance(examples[0], Series):
        return in_time(examples, shares, where)
    if not (examples and examples[0].runs_on):
        return by_lot(examples, shares, seed=seed, where=where, similarity=similarity)
    if similarity is not None:
        raise BadOption(
            "similarity is of sequences that stand for themselves; a running text is parted where it stands"
        )
    if len(examples) <= len(shares):
        raise BadData(f"{len(examples)} lines cannot be split in {len(shares) + 1}", where)
    most = APART if isinstance(examples, LongText) else len(examples)
    sizes = [min(max(1, round(share * len(examples))), most) for share in shares]
    edges = np.cumsum([0, *sizes]).tolist()
    left = len(examples) - edges[-1]
    apart = list(examples[left:])  # of a long text, by going through it once
    return [examples[:left], *(apart[a:b] for a, b in itertools.pairwise(edges))]


def by_lot(
    examples: Sequence[SomeExample],
    shares: Sequence[float],
    *,
    seed: int,
    where: str | Path | None = None,
    similarity: float | None = None,
) -> list[list[SomeExample]]:
    """What is left, then one list a share: about that share of the examples, at least one, in their old order.

    Examples of the same content stay together, and similar ones; see `load`. Raises `BadData` where there are too few
    different ones, `BadOption` where examples of that type are not similar or not.
    """
    groups: dict[Any, list[int]] = {}
    kin = [e.content for e in examples] if similarity is None else families_of(examples, similarity)
    for index, key in enumerate(kin):
        groups.setdefault(key, []).append(index)
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


def families_of(examples: Sequence[Example], similarity: float) -> list[int]:
    """The family of each example by what is read of it. Raises `BadOption` where that is no text."""
    texts = []
    for example in examples:
        content = example.content
        if isinstance(content, tuple) and all(isinstance(part, str) for part in content):
            content = "".join(content) if all(len(part) == 1 for part in content) else " ".join(content)
        if not isinstance(content, str):
            raise BadOption(f"similarity is of sequences of letters, not of {example.called}")
        texts.append(content)
    return families(texts, similarity).tolist() if texts else []


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


def _splits(stems: Mapping[str, str], prefix: str | None, separators: str) -> dict[str, list[str]]:
    """Split -> those of the names that could stand for it. stems: name -> what it is before its suffix."""
    found: dict[str, list[str]] = {}
    for name, stem in stems.items():
        match = re.fullmatch(rf"(?:(.+)[{separators}])?([a-z]+)", stem, re.IGNORECASE)
        if match and match[2].lower() in NAMES and (prefix is None or match[1] == prefix):
            found.setdefault(NAMES[match[2].lower()], []).append(name)
    return found


def _listed(files: Sequence[str]) -> str:
    return (", ".join(files[:20]) + (", …" if len(files) > 20 else "")) or "no files"
