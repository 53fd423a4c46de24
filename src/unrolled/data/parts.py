"""The parts of a data set, and a column of a table that says of each row to which of them it belongs.

A part is called `train`, `valid` (or `dev`, `val`, `validation`) or `test`. A table may have several tests, each called
by a word that begins so, such as `test_new`: together they are the test part, and each is one by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from unrolled.data.examples import Example
from unrolled.errors import BadOption, UnknownName

NAMES = {"train": "train", "test": "test"} | dict.fromkeys(("valid", "dev", "val", "validation"), "valid")
TEST = "test"


def told(example: Example, column: str) -> str | None:
    """What another column than those of the example says of it; None where its file has no such column."""
    names = getattr(example.rest, "names", ())
    if column not in names:
        return None
    values = example.rest.rows[0] if hasattr(example.rest, "rows") else example.rest.values
    return str(values[names.index(column)])


def part(example: Example, column: str) -> str | None:
    """The part to which that column says that it belongs, a value of `NAMES`; None where there is no such column.

    Raises `BadData` for any other word in it.
    """
    word = told(example, column)
    if word is None:
        return None
    if word.lower() not in NAMES and not word.lower().startswith(TEST):
        raise example.problem(f"{word!r} in the column {column!r} where one of {', '.join(NAMES)} is expected")
    return NAMES.get(word.lower(), TEST)


def of_part(examples: Iterable[Any], column: str, name: str | None = None) -> Iterator[Any]:
    """The examples of one part.

    Args:
        examples: of a table.
        column: that says of each to which part it belongs.
        name: of the part, or of one of several tests; None: all tests, and of a table without such a column all.

    Raises:
        BadData: another word in the column.
        BadOption: a part is asked for, and there is no such column.
        UnknownName: no example is of that part.
    """
    words: set[str] = set()
    found = False
    wanted = TEST if name is None else name.lower()
    for example in examples:
        belongs, word = part(example, column), told(example, column)
        if word is None:
            if name is not None:
                raise BadOption(f"part={name}: there is no column {column!r} that tells the parts")
            yield example
            continue
        words.add(word)
        if word.lower() == wanted or belongs == NAMES.get(wanted):
            found = True
            yield example
    if name is not None and not found:
        raise UnknownName(f"part in the column {column!r}", name, words)
