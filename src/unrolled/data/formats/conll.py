"""CoNLL columns: a token a line, its tag and other values beside it, a blank line between sentences.

Columns are numbered from 1, or from the end with a minus: by default the token is column 1 and the tag column -1, the
last; `features={"pos": "2"}` names others. They are separated by tabs where the file's first token line holds a tab,
else by blanks, and every token line has as many. Where column -1 is already the tokens' or a feature's, the
file has no tags: it is to be predicted, and the prediction appends a column.

`#` begins no comment: it is a token in news ("#") and in tweets ("#nfl"). Two kinds of line before a sentence's first
token are kept as they are and are no tokens: those that begin with `-DOCSTART-`, and those that begin with "# " and
either have another number of columns than the file or, separated by blanks, read `# key = value` or `# id …`.
Such lines after the last sentence are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, Origin, TaggedTokens
from unrolled.data.formats.base import TextFormat, aligned
from unrolled.data.lines import is_blank, split_blanks, without_end
from unrolled.errors import BadData, BadOption

DOCUMENT = "-DOCSTART-"
_METADATA = re.compile(r"# (id |[\w.-]+ ?= ?)")


class Columns(NamedTuple):
    """A sentence as it was read."""

    before: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    separator: str


class _Layout(NamedTuple):
    """How many columns a file has, and where the fields stand. tags: None where there are none."""

    separator: str
    width: int
    line: int
    tokens: int
    tags: int | None
    features: Mapping[str, int]

    def split(self, line: str) -> tuple[str, ...]:
        return tuple(line.split("\t")) if self.separator == "\t" else split_blanks(line)

    def is_before(self, line: str) -> bool:
        """Whether a line that stands before a sentence's first token is none itself."""
        if not line.startswith("# "):
            return line.startswith(DOCUMENT)
        other = len(self.split(line)) != self.width
        return other or (self.separator == " " and _METADATA.match(line) is not None)


class CoNLL(TextFormat):
    """Columns of tokens and tags."""

    suffixes: ClassVar[tuple[str, ...]] = (".conll", ".bio", ".iob", ".iob2")
    holds: ClassVar[tuple[type[Example], ...]] = (TaggedTokens,)

    def _check(self) -> None:
        super()._check()
        self._tokens = _number("tokens", self.columns.get("tokens", "1"))
        self._tags = _number("tags", self.columns.get("tags", "-1"))
        self._features = {name: _number(name, column) for name, column in self.features.items()}

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        layout, lines = self._layout(lines, where)
        before: list[str] = []
        rows: list[tuple[str, ...]] = []
        number = 0
        for number, line in enumerate(map(without_end, lines), 1):
            if is_blank(line):
                if rows:
                    yield _example(before, rows, layout, where, number - len(rows))
                    before, rows = [], []
                elif before and before[-1]:
                    before.append("")
            elif not rows and layout.is_before(line):
                before.append(line)
            else:
                rows.append(_row(line, layout, where, number))
        if rows:
            yield _example(before, rows, layout, where, number + 1 - len(rows))

    def _layout(self, lines: Iterator[str], where: str | Path) -> tuple[_Layout, Iterator[str]]:
        """The file's layout, from its first line that can only be a token's; and all of its lines again."""
        seen: list[str] = []
        for line in lines:
            seen.append(line)
            if not is_blank(line) and not line.startswith(("# ", DOCUMENT)):
                break
        else:
            # Only lines that could be metadata: then the first decides.
            tokens = [k for k, line in enumerate(seen, 1) if not is_blank(line)]
            return self._place(seen[tokens[0] - 1] if tokens else "", where, tokens[0] if tokens else 1), iter(seen)
        return self._place(seen[-1], where, len(seen)), chain(seen, lines)

    def _place(self, line: str, where: str | Path, number: int) -> _Layout:
        line = without_end(line)
        separator = "\t" if "\t" in line else " "
        width = len(line.split("\t") if separator == "\t" else split_blanks(line)) or 1
        tokens = _index("tokens", self._tokens, width, where, number)
        features = {name: _index(name, column, width, where, number) for name, column in self._features.items()}
        inputs = [tokens, *features.values()]
        tags = None
        if not (self._tags == -1 and width - 1 in inputs) and self._tags != width + 1:
            tags = _index("tags", self._tags, width, where, number)
        if len({*inputs, tags}) <= len(features) + 1 and tags is not None:
            raise BadData(f"two of the columns asked for are one, in a file of {width}", where, number)
        return _Layout(separator, width, number, tokens, tags, features)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        layout: _Layout | None = None
        for example in examples:
            assert isinstance(example, TaggedTokens)
            before, rows, separator = self._written(aligned(example))
            if layout is None:
                separator = "\t" if any(" " in cell for row in rows for cell in row) else separator
                # A file of one column holds no tab, so it is read as one separated by blanks.
                layout = _Layout(separator if len(rows[0]) > 1 else " ", len(rows[0]), 1, 0, None, {})
            if len(rows[0]) != layout.width:
                problem = f"examples of {layout.width} and of {len(rows[0])} columns cannot stand in one file"
                raise BadData(f"{problem} (are some without tags?)")
            lines = [layout.separator.join(row) for row in rows]
            for row, line in zip(rows, lines, strict=True):
                _check_line(row, line, layout, first=line is lines[0])
            yield "\n".join([*before, *lines]) + "\n\n"

    def _written(self, example: TaggedTokens) -> tuple[tuple[str, ...], list[tuple[str, ...]], str]:
        """What stands before the sentence, its rows with the example's fields put in, and the separator."""
        rest = example.rest
        if isinstance(rest, Columns) and len(rest.rows) == len(example.tokens):
            width = len(rest.rows[0])
            layout = self._place(rest.separator.join("x" * width), "", 0)
            if layout.tags is None or example.tags is not None:
                # Tags go into their column, or into a new one behind the others.
                tags = width if layout.tags is None else layout.tags
                separator = "\t" if width == 1 else rest.separator
                return rest.before, self._rows(example, rest.rows, layout.tokens, tags, layout.features), separator
        asked = [self._tokens, *self._features.values(), *([] if example.tags is None else [self._tags])]
        # Room for those numbered from the start, and behind them for those numbered from the end.
        width = max(0, *asked) + max(0, *(-column for column in asked))
        if len(set(asked)) < len(asked):
            raise BadData(f"two of the columns asked for are one, in a file of {width}")
        at = {name: _index(name, column, width, "", 0) for name, column in self._features.items()}
        tags = width if example.tags is None else _index("tags", self._tags, width, "", 0)
        empty = (("_",) * width,) * len(example.tokens)
        return (), self._rows(example, empty, _index("tokens", self._tokens, width, "", 0), tags, at), "\t"

    def _rows(
        self,
        example: TaggedTokens,
        rows: Iterable[tuple[str, ...]],
        tokens: int,
        tags: int,
        features: Mapping[str, int],
    ) -> list[tuple[str, ...]]:
        """Rows with the example's fields put in; one column more where the tags go behind the last."""
        places = {tokens: example.tokens}
        for name, column in features.items():
            if name not in example.features:
                raise BadData(f"an example without the feature {name!r}")
            places[column] = example.features[name]
        if example.tags is not None:
            places[tags] = example.tags
        filled = []
        for k, row in enumerate(rows):
            cells = dict(enumerate(row)) | {column: values[k] for column, values in places.items()}
            filled.append(tuple(cells.values()))
        return filled


def _number(field: str, column: str) -> int:
    if not re.fullmatch(r"-?[1-9][0-9]{0,5}", column):
        raise BadOption(f"the column of {field} is a number: 1 is the first, -1 the last, not {column!r}")
    return int(column)


def _index(field: str, column: int, width: int, where: str | Path, line: int) -> int:
    index = column - 1 if column > 0 else width + column
    if not 0 <= index < width:
        some = "1 column" if width == 1 else f"{width} columns"
        raise BadData(f"{some}, so there is no column {column} for {field}", where or None, line or None)
    return index


def _row(line: str, layout: _Layout, where: str | Path, number: int) -> tuple[str, ...]:
    cells = layout.split(line)
    if len(cells) != layout.width:
        if len(cells) == 1 and layout.tags is not None:
            raise BadData(f"a token without a tag ({cells[0]!r})", where, number)
        some = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        raise BadData(f"{some} where line {layout.line} has {layout.width}", where, number)
    if not cells[layout.tokens]:
        raise BadData("a line without a token", where, number)
    if layout.tags is not None and not cells[layout.tags]:
        raise BadData(f"a token without a tag ({cells[layout.tokens]!r})", where, number)
    return cells


def _example(before: list[str], rows: list[tuple[str, ...]], layout: _Layout, where: str | Path, line: int) -> Example:
    return TaggedTokens(
        tokens=tuple(row[layout.tokens] for row in rows),
        tags=None if layout.tags is None else tuple(row[layout.tags] for row in rows),
        features={name: tuple(row[k] for row in rows) for name, k in layout.features.items()},
        origin=Origin(where, line),
        rest=Columns(tuple(before), tuple(rows), layout.separator),
    )


def _check_line(row: tuple[str, ...], line: str, layout: _Layout, *, first: bool) -> None:
    """Raise `BadData` for a line that would be read as something else."""
    same = "\n" not in line and without_end(line + "\n") == line and not is_blank(line) and layout.split(line) == row
    if not same:
        raise BadData(f"cannot write the token {row[0]!r} as CoNLL columns: a cell holds a separator or a line break")
    if first and layout.is_before(line):
        raise BadData(f"cannot write a sentence that begins with the token {row[0]!r} as CoNLL columns")
