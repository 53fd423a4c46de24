"""What the table formats share: an example's fields as the columns of a row.

A field stands in the column that `columns` names for it, else in the column of its own name. All other columns travel
in `Example.rest` and are written back in the file's own order. A prediction adds a column `confidence` (the
probability of the chosen label or, one each, of the chosen tags) and, in JSON lines, `probabilities`. These are
written, and kept, but not read into an example; a column of that name is overwritten by the next prediction.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from unrolled.data.examples import Example, LabelledText, Origin, TaggedTokens
from unrolled.data.formats.base import Format, aligned
from unrolled.data.lines import split_blanks
from unrolled.errors import BadData, BadOption, UnknownName

Label = str | tuple[str, ...] | None


class Row(NamedTuple):
    """A row as it was read: column names, and a value for each."""

    names: tuple[str, ...]
    values: tuple[Any, ...]


class Table(Format):
    """Rows of named values; a subclass says what a list and a label look like in a value."""

    holds: ClassVar[tuple[type[Example], ...]] = (LabelledText, TaggedTokens)

    def _check(self) -> None:
        super()._check()
        fields = ("text", "label") if self.example_type is LabelledText else ("tokens", "tags")
        taken = [self._column(field) for field in fields] + list(self.features.values())
        for name in taken:
            if taken.count(name) > 1:
                raise BadOption(f"the column {name!r} is asked for twice")

    @abstractmethod
    def _get_text(self, value: Any) -> str: ...

    @abstractmethod
    def _get_list(self, value: Any) -> tuple[str, ...] | None: ...

    @abstractmethod
    def _get_label(self, value: Any) -> Label: ...

    @abstractmethod
    def _put_list(self, parts: tuple[str, ...] | None) -> Any: ...

    @abstractmethod
    def _put_label(self, label: Label, before: Any) -> Any: ...

    @abstractmethod
    def _put_prediction(self, example: Example) -> dict[str, Any]:
        """Field -> value, of what a prediction knows besides the blank."""

    def _column(self, field: str) -> str:
        return self.columns.get(field, field)

    def _find(self, names: Iterable[str], where: str) -> None:
        """Raise `UnknownName` for the first column that must be there and is not."""
        known = tuple(names)
        must = ["text"] if self.example_type is LabelledText else ["tokens"]
        must += [self.example_type.blank] if self.filled else []
        for name in [*map(self._column, must), *self.features.values()]:
            if name not in known:
                raise UnknownName("column", name, known, where)

    def _example(self, row: Row, where: str | Path, line: int) -> Example:
        """The example of a row whose columns are known to be there."""
        cells, origin = dict(zip(row.names, row.values, strict=True)), Origin(where, line)
        blank = cells.get(self._column(self.example_type.blank))
        try:
            if self.example_type is LabelledText:
                text = self._get_text(cells[self._column("text")])
                label = None if blank is None else self._get_label(blank)
                return LabelledText(text=text, label=label, origin=origin, rest=row)
            tokens = self._get_list(cells[self._column("tokens")]) or ()
            tags = None if blank is None else self._get_list(blank)
            features = {name: self._get_list(cells[column]) or () for name, column in self.features.items()}
            return aligned(TaggedTokens(tokens=tokens, tags=tags, features=features, origin=origin, rest=row))
        except BadData as error:
            raise BadData(error.problem, where, line) from None

    def _cells(self, example: Example) -> dict[str, Any]:
        """The example's row: its old cells in their order, with the fields put in."""
        cells: dict[str, Any] = {}
        if isinstance(example.rest, Row):
            cells = dict(zip(example.rest.names, example.rest.values, strict=True))
        blank = self._column(example.blank)
        empty = getattr(example, example.blank) is None and blank not in cells
        if isinstance(example, LabelledText):
            cells[self._column("text")] = example.text
            if not empty:
                cells[blank] = self._put_label(example.label, cells.get(blank))
        elif isinstance(example, TaggedTokens):
            aligned(example)
            cells[self._column("tokens")] = self._put_list(example.tokens)
            for name, column in self.features.items():
                if name not in example.features:
                    raise BadData(f"an example without the feature {name!r}")
                cells[column] = self._put_list(example.features[name])
            if not empty:
                cells[blank] = self._put_list(example.tags)
        return cells | {self._column(field): value for field, value in self._put_prediction(example).items()}


class TextTable(Table):
    """A header and rows of strings. An empty cell is an empty blank."""

    @abstractmethod
    def _rows(self, lines: Iterator[str], where: str | Path) -> Iterator[tuple[int, Sequence[str]]]:
        """Line number and cells of each row, the header's too; none of a blank line."""

    @abstractmethod
    def _line(self, cells: Sequence[str]) -> str:
        """A row as text, with its line end. Raises `BadData` for cells that could not be read again."""

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        header: tuple[str, ...] = ()
        for number, cells in self._rows(lines, where):
            if not header:
                header = tuple(cells)
                if twice := [name for name in header if header.count(name) > 1]:
                    raise BadData(f"two columns are called {twice[0]!r}", where, number)
                self._find(header, str(where))
            elif len(cells) != len(header):
                some = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
                raise BadData(f"{some} where the header has {len(header)}", where, number)
            else:
                yield self._example(Row(header, tuple(cells)), where, number)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        examples = list(examples)
        rows = [self._cells(example) for example in examples]
        blanks = {getattr(example, example.blank) is None for example in examples}
        if self.label_separator is not None and len(blanks) == 2:
            raise BadData("some examples have labels and some are not labelled, which a column cannot tell apart")
        header = list(dict.fromkeys(name for row in rows for name in row))
        yield self._line(header)
        for row in rows:
            yield self._line([_string(row.get(name, "")) for name in header])

    def _get_text(self, value: str) -> str:
        return value

    def _get_list(self, value: str) -> tuple[str, ...] | None:
        return split_blanks(value) or None

    def _get_label(self, value: str) -> Label:
        if self.label_separator is None:
            return value or None
        return tuple(value.split(self.label_separator)) if value else ()

    def _put_list(self, parts: tuple[str, ...] | None) -> str:
        for part in parts or ():
            if split_blanks(part) != (part,):
                raise BadData(f"cannot write {part!r} between blanks, since it holds one; write jsonl instead")
        return " ".join(parts or ())

    def _put_label(self, label: Label, before: Any) -> str:
        separator = self.label_separator
        if label is None:
            return ""
        if isinstance(label, str) != (separator is None):
            several = "one label" if isinstance(label, str) else "a set of labels"
            raise BadData(f"{several} where label_separator is {separator!r}")
        labels = (label,) if isinstance(label, str) else label
        for one in labels:
            if not one or (separator is not None and separator in one):
                raise BadData(f"the label {one!r} could not be read again")
        return (separator or "").join(labels)

    def _put_prediction(self, example: Example) -> dict[str, str]:
        if isinstance(example, LabelledText) and example.probabilities is not None and example.label is not None:
            labels = (example.label,) if isinstance(example.label, str) else example.label
            figures = [f"{example.probabilities[label]:.4f}" for label in labels if label in example.probabilities]
            return {"confidence": (self.label_separator or " ").join(figures)}
        if isinstance(example, TaggedTokens) and example.confidence is not None:
            return {"confidence": " ".join(f"{figure:.4f}" for figure in example.confidence)}
        return {}


def _string(value: Any) -> str:
    # A value that is no string was read from JSON lines, and is written as JSON.
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
