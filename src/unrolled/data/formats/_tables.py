"""What the table formats share: an example's fields as the columns of a row.

A field stands in the column that `columns` names for it, else in the column of its own name. All other columns travel
in `Example.rest` and are written back in the file's own order. The context of a question need not have a column.

A prediction adds a column: `confidence` (the probability of the chosen label or, one each, of the chosen tags) or
`score`; and, in JSON lines, `probabilities` or `alternatives`. These are written, and kept, but not read into an
example; a column of that name is overwritten by the next prediction.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from unrolled.data.captions import Captioned
from unrolled.data.examples import (
    Example,
    LabelledText,
    Origin,
    Pair,
    Passage,
    Question,
    Series,
    Signal,
    Speech,
    TaggedTokens,
)
from unrolled.data.formats import _series_rows
from unrolled.data.formats._beside import BESIDE, Beside, without_path
from unrolled.data.formats._series_rows import even, series
from unrolled.data.formats._signal_rows import STEPS, cells_of, signals
from unrolled.data.formats.base import TextFormat, aligned, likeliest, together
from unrolled.data.lines import split_blanks
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, BadOption, UnknownName

Label = str | tuple[str, ...] | None

_INPUTS: Mapping[type[Example], tuple[str, ...]] = {
    LabelledText: ("text",),
    TaggedTokens: ("tokens",),
    Pair: ("source",),
    Question: ("question", "context"),
    Passage: ("text",),
    Signal: ("values",),
    TaggedSteps: ("values",),
    Speech: ("values",),
    Series: ("values",),
    Captioned: ("image",),
}


class Row(NamedTuple):
    """A row as it was read: column names, and a value for each; empty ones where all are in the example's fields."""

    names: tuple[str, ...]
    values: tuple[Any, ...]


class Table(TextFormat):
    """Rows of named values; a subclass says what a list and a label look like in a value."""

    holds: ClassVar[tuple[type[Example], ...]] = (LabelledText, TaggedTokens, Pair, Question, Passage, *BESIDE)
    spaced: ClassVar[bool] = True

    def _check(self) -> None:
        super()._check()
        fields = (*_INPUTS[self.example_type], self.example_type.blank)
        self._blank = self._column(self.example_type.blank)
        self._inputs = tuple(self._column(field) for field in fields[:-1])
        taken = [*map(self._column, fields), *self.features.values()]
        for name in taken:
            if taken.count(name) > 1:
                raise BadOption(f"the column {name!r} is asked for twice")
        self._must = [column for field, column in zip(fields, taken, strict=False) if self._is_needed(field)]
        self._must += self.features.values()
        self._beside = Beside()

    def _is_needed(self, field: str) -> bool:
        if field == self.example_type.blank:
            return self.filled
        return field != "context" or field in self.columns

    @abstractmethod
    def _get_text(self, value: Any, field: str) -> str: ...

    @abstractmethod
    def _get_optional(self, value: Any, field: str) -> str | None: ...

    @abstractmethod
    def _get_list(self, value: Any) -> tuple[str, ...] | None: ...

    @abstractmethod
    def _get_label(self, value: Any) -> Label: ...

    @abstractmethod
    def _get_answer(self, value: Any) -> Label: ...

    @abstractmethod
    def _put_optional(self, text: str | None) -> Any: ...

    @abstractmethod
    def _put_list(self, parts: tuple[str, ...] | None) -> Any: ...

    @abstractmethod
    def _put_label(self, label: Label, before: Any) -> Any: ...

    @abstractmethod
    def _put_answer(self, answer: Label, before: Any) -> Any: ...

    @abstractmethod
    def _put_following(self, following: Sequence[tuple[str, float]]) -> Any:
        """The likeliest next elements and their probabilities, which are written and not read again."""

    @abstractmethod
    def _put_prediction(self, example: Example) -> dict[str, Any]:
        """Field -> value, of what a prediction knows besides the blank."""

    def _get_tags(self, value: Any) -> tuple[str, ...] | None:
        """Of the steps of numbers."""
        return self._get_list(value)

    def _put_tags(self, tags: tuple[str, ...] | None, before: Any) -> Any:
        return self._put_list(tags)

    def _column(self, field: str) -> str:
        return self.columns.get(field, field)

    def _find(self, names: Iterable[str], where: str) -> None:
        """Raise `UnknownName` for the first column that must be there and is not."""
        known = tuple(names)
        for name in self._must:
            if name not in known:
                raise UnknownName("column", name, known, where)

    def _example(self, cells: Mapping[str, Any], row: Row, where: str | Path, line: int) -> Example:
        """The example of a row whose columns are known to be there. row: what is kept of it."""
        origin, blank = Origin(where, line), cells.get(self._blank)
        try:
            given = cells[self._inputs[0]]
            if self.example_type is Pair:
                source, target = self._get_text(given, "source"), self._get_optional(blank, "target")
                return Pair(source=source, target=target, origin=origin, rest=row)
            if self.example_type is Passage:
                return Passage(text=self._get_text(given, "text"), origin=origin, rest=row)
            if self.example_type is LabelledText:
                label = None if blank is None else self._get_label(blank)
                return LabelledText(text=self._get_text(given, "text"), label=label, origin=origin, rest=row)
            if self.example_type is Question:
                context = self._get_optional(cells.get(self._inputs[1]), "context")
                answer = None if blank is None else self._get_answer(blank)
                question = self._get_text(given, "question")
                return Question(question=question, context=context, answer=answer, origin=origin, rest=row)
            if self.example_type in BESIDE:
                path, kind = self._get_text(given, _INPUTS[self.example_type][0]), self.example_type
                if kind is Signal:
                    blank = None if blank is None else self._get_label(blank)
                elif kind is TaggedSteps:
                    blank = None if blank is None else self._get_tags(blank)
                else:
                    blank = self._get_optional(blank, kind.blank)
                return self._beside.example(kind, path, where, blank, origin=origin, rest=row)
            tags = None if blank is None else self._get_list(blank)
            features = {name: self._get_list(cells[column]) or () for name, column in self.features.items()}
            tokens = self._get_list(given) or ()
            return aligned(TaggedTokens(tokens=tokens, tags=tags, features=features, origin=origin, rest=row))
        except BadData as error:
            raise BadData(error.problem, where, line) from None

    def _cells(self, example: Example) -> dict[str, Any]:
        """The example's row: its old cells in their order, with the fields put in."""
        cells: dict[str, Any] = {}
        if isinstance(example.rest, Row):
            cells = dict(zip(example.rest.names, example.rest.values, strict=True))
        blank, given = self._blank, self._inputs[0]
        empty = getattr(example, example.blank) is None and blank not in cells
        if isinstance(example, Passage):
            cells[given] = example.text
            if example.following is not None:
                cells[blank] = self._put_following(example.following)
        elif isinstance(example, LabelledText):
            cells[given] = example.text
            if not empty:
                cells[blank] = self._put_label(example.label, cells.get(blank))
        elif isinstance(example, Pair):
            cells[given] = example.source
            if not empty:
                cells[blank] = self._put_optional(example.target)
        elif isinstance(example, Question):
            cells[given] = example.question
            if example.context is not None or self._inputs[1] in cells:
                cells[self._inputs[1]] = self._put_optional(example.context)
            if not empty:
                cells[blank] = self._put_answer(example.answer, cells.get(blank))
        elif isinstance(example, BESIDE):
            if given not in cells:
                raise without_path(example)
            if not empty and isinstance(example, Signal):
                cells[blank] = self._put_label(example.label, cells.get(blank))
            elif not empty and isinstance(example, TaggedSteps):
                cells[blank] = self._put_tags(example.checked().tags, cells.get(blank))
            elif not empty:
                cells[blank] = self._put_optional(getattr(example, example.blank))
        elif isinstance(example, TaggedTokens):
            aligned(example)
            cells[given] = self._put_list(example.tokens)
            for name, column in self.features.items():
                if name not in example.features:
                    raise BadData(f"an example without the feature {name!r}")
                cells[column] = self._put_list(example.features[name])
            if not empty:
                cells[blank] = self._put_list(example.tags)
        return cells | {self._column(field): value for field, value in self._put_prediction(example).items()}


class TextTable(Table):
    """A header and rows of strings. An empty cell is an empty blank."""

    holds: ClassVar[tuple[type[Example], ...]] = (*Table.holds, Series)

    @abstractmethod
    def _rows(self, lines: Iterator[str], where: str | Path) -> Iterator[tuple[int, Sequence[str]]]:
        """Line number and cells of each row, the header's too; none of a blank line."""

    @abstractmethod
    def _line(self, cells: Sequence[str]) -> str:
        """A row as text, with its line end. Raises `BadData` for cells that could not be read again."""

    @classmethod
    def tells(cls, path: Path, kinds: Sequence[type[Example]], columns: Mapping[str, str]) -> type[Example]:
        """Numbers, where it is said which rows are the steps of a series, or in which column files are named."""
        numbers = [kind for kind in kinds if kind in STEPS]
        return numbers[0] if numbers and {"series", "values"} & set(columns) else super().tells(path, kinds, columns)

    @property
    def _rows_are_steps(self) -> bool:
        if self.example_type is Series:
            return True
        return self.example_type in STEPS and ("series" in self.columns or "values" not in self.columns)

    def _is_needed(self, field: str) -> bool:
        return super()._is_needed(field) and not (field == "values" and self._rows_are_steps)

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        if self._rows_are_steps:
            yield from self._series(lines, where)
            return
        header: tuple[str, ...] = ()
        shared: Row | None = None
        for number, cells in self._rows(lines, where):
            if not header:
                header = tuple(cells)
                read = {
                    *self._inputs,
                    *([self._blank] if self.example_type.needs_answer else []),
                    *self.features.values(),
                }
                if not {*header} - read and self.example_type not in BESIDE:  # whose path is kept
                    # One for all rows, which would else be half of the memory: nothing has to be kept but the order.
                    shared = Row(header, ("",) * len(header))
                if twice := [name for name in header if header.count(name) > 1]:
                    raise BadData(f"two columns are called {twice[0]!r}", where, number)
                self._find(header, str(where))
            elif len(cells) != len(header):
                some = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
                raise BadData(f"{some} where the header has {len(header)}", where, number)
            else:
                row = Row(header, tuple(cells)) if shared is None else shared
                yield self._example(dict(zip(header, cells, strict=True)), row, where, number)

    def _series(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        rows = self._rows(lines, where)
        number, first = next(rows, (0, ()))
        header = tuple(first)
        if twice := [name for name in header if header.count(name) > 1]:
            raise BadData(f"two columns are called {twice[0]!r}", where, number)
        if header:
            self._find(header, str(where))
            tuples = ((number, tuple(cells)) for number, cells in rows)
            if self.example_type is Series:
                yield from series(tuples, header, self.columns, where)
            else:
                whole = even(tuples, len(header), where)
                yield from signals(whole, header, self.columns, where, self.example_type, filled=self.filled)

    def _steps(self, example: Example, number: int) -> list[dict[str, str]]:
        """The rows of a series."""
        if isinstance(example, Series):
            return _series_rows.cells_of(example, number, self.columns)
        assert isinstance(example, STEPS)
        return cells_of(example, number, self.columns)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        examples = list(examples)
        if self._rows_are_steps:
            rows = [row for k, e in enumerate(examples, 1) for row in self._steps(e, k)]
        else:
            rows = [self._cells(example) for example in examples]
        blanks = {getattr(example, example.blank) is None for example in examples}
        if self.example_type is LabelledText and self.label_separator is not None and len(blanks) == 2:
            raise BadData("some examples have labels and some are not labelled, which a column cannot tell apart")
        header = list(dict.fromkeys(name for row in rows for name in row))
        yield self._line(header)
        for row in rows:
            yield self._line([_string(row.get(name, "")) for name in header])

    def _get_text(self, value: str, field: str) -> str:
        return value

    def _get_optional(self, value: str | None, field: str) -> str | None:
        return value or None

    def _get_list(self, value: str) -> tuple[str, ...] | None:
        return (split_blanks(value) if self.spacing == "blanks" else tuple(value)) or None

    def _get_label(self, value: str) -> Label:
        if self.label_separator is None:
            return value or None
        return tuple(value.split(self.label_separator)) if value else ()

    def _get_answer(self, value: str) -> Label:
        if not value or self.label_separator is None:
            return value or None
        return one_or_several(value.split(self.label_separator))

    def _put_optional(self, text: str | None) -> str:
        # A model may well find that there is nothing to say; that this reads as None is better than no file at all.
        return text or ""

    def _put_list(self, parts: tuple[str, ...] | None) -> str:
        if self.spacing == "none":
            return together(parts or ())
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

    def _put_answer(self, answer: Label, before: Any) -> str:
        if not isinstance(answer, tuple):
            answer = (answer,) if answer else ()
        elif self.label_separator is None:
            raise BadData("several answers to a question: say label_separator, or write jsonl instead")
        for one in answer:
            if not one or (self.label_separator is not None and self.label_separator in one):
                raise BadData(f"the answer {one!r} could not be read again")
        return (self.label_separator or "").join(answer)

    def _put_following(self, following: Sequence[tuple[str, float]]) -> str:
        return likeliest(following)

    def _put_prediction(self, example: Example) -> dict[str, str]:
        if (
            isinstance(example, (LabelledText, Signal))
            and example.probabilities is not None
            and example.label is not None
        ):
            labels = (example.label,) if isinstance(example.label, str) else example.label
            figures = [f"{example.probabilities[label]:.4f}" for label in labels if label in example.probabilities]
            return {"confidence": (self.label_separator or " ").join(figures)}
        if isinstance(example, (TaggedTokens, TaggedSteps)) and example.confidence is not None:
            return {"confidence": " ".join(f"{figure:.4f}" for figure in example.confidence)}
        if isinstance(example, (Pair, Question, Speech, Captioned)) and example.score is not None:
            return {"score": f"{example.score:.4f}"}
        return {}


def one_or_several(answers: Sequence[str]) -> Label:
    """The answers to a question as an example has them: None for none, a tuple only for several."""
    return tuple(answers) if len(answers) > 1 else answers[0] if answers else None


def _string(value: Any) -> str:
    # A value that is no string was read from JSON lines, and is written as JSON.
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
