"""The files of the bAbI tasks, Weston et al. 2015, arXiv:1502.05698: stories with questions in between.

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary?<TAB>bathroom<TAB>1

Lines are numbered, and number 1 begins a new story. A line with a tab is a question, its answer, and the numbers of the
statements that say so; without a tab, a line that ends in a question mark is one whose answer is not known. Each is an
example whose context is the statements of its story so far. The files are called `.txt`, so the format is to be named:
`format=babi`.

All lines are kept as they are, supporting numbers too, and are written so where the examples still stand in their
order; else a question is written with a story of its own. Statements after a file's last question are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, Origin, Question
from unrolled.data.formats.base import TextFormat
from unrolled.data.lines import is_blank, without_end
from unrolled.errors import BadData

_LINE = re.compile(r"([0-9]{1,9}) (.*)", re.DOTALL)


class Story(NamedTuple):
    """Where a question was read.

    Attributes:
        lines: as they stand, from behind the question before to this one.
        statements: of the whole story.
        known: so many of them stand before the question.
    """

    lines: tuple[str, ...]
    statements: list[str]
    known: int


class BAbI(TextFormat):
    """Numbered lines: statements, and questions about them."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    usual: ClassVar[tuple[str, ...]] = (".txt",)
    holds: ClassVar[tuple[type[Example], ...]] = (Question,)

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        reader, since = _Reader(), list[str]()
        for number, line in enumerate(map(without_end, lines), 1):
            since.append(line)
            try:
                cells = reader.take(line)
            except BadData as error:
                raise BadData(error.problem, where, number) from None
            if cells is not None:
                rest = Story(tuple(since), reader.statements, len(reader.statements))
                yield reader.example(cells, Origin(where, number), rest)
                since = []

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        reader = _Reader()
        for example in examples:
            assert isinstance(example, Question)
            if isinstance(example.answer, tuple):
                raise BadData("cannot write several answers to a question as bAbI; write jsonl instead")
            lines = _as_read(example, reader) or _alone(example)
            for line in lines:
                reader.take(line)
            yield "".join(line + "\n" for line in lines)


class _Reader:
    """What is known of a story, line by line."""

    def __init__(self, number: int = 0, statements: Sequence[str] = ()) -> None:
        self.number, self.statements = number, list(statements)

    def take(self, line: str) -> list[str] | None:
        """The cells of a question; None of any other line. Raises `BadData` without its place."""
        if is_blank(line):
            return None
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadData(f"{line[:40]!r} where a number, a blank and a sentence are expected")
        number, text = int(match[1]), match[2]
        if number == 1:
            # A new list, since examples of the story before still hold theirs.
            self.number, self.statements = 0, []
        if number != self.number + 1:
            expected = f"{self.number + 1}, or 1 for a new story," if self.number else "1"
            raise BadData(f"line number {number} where {expected} is expected")
        self.number = number
        cells = [cell.strip(" ") for cell in text.split("\t")]
        if len(cells) > 1 or cells[0].endswith("?"):
            return cells
        self.statements.append(cells[0])
        return None

    def example(self, cells: list[str], origin: Origin | None = None, rest: Story | None = None) -> Question:
        answer = (cells[1] or None) if len(cells) > 1 else None
        context = " ".join(self.statements) or None
        return Question(question=cells[0], context=context, answer=answer, origin=origin, rest=rest)


def _as_read(example: Question, reader: _Reader) -> list[str] | None:
    """The lines that were read, the answer put in; None where, behind what is written, they would say another thing."""
    if not isinstance(example.rest, Story):
        return None
    *before, last = example.rest.lines
    cells = last.split("\t")
    answer = example.answers[0] if example.answers else ""
    if (cells[1].strip(" ") if len(cells) > 1 else "") != answer:
        cells[1:2] = [answer]
    lines = [*before, "\t".join(cells)]
    return lines if _reads_as(lines, example, _Reader(reader.number, reader.statements)) else None


def _alone(example: Question) -> list[str]:
    """The question in a story of its own. Raises `BadData` where that could not be read again."""
    statements = [example.context] if example.context else []
    if isinstance(example.rest, Story) and " ".join(example.rest.statements[: example.rest.known]) == example.context:
        statements = example.rest.statements[: example.rest.known]
    texts = [*statements, f"{example.question}\t{example.answer or ''}"]
    lines = [f"{number} {text}" for number, text in enumerate(texts, 1)]
    if not _reads_as(lines, example, _Reader()):
        raise BadData(f"cannot write {example.question[:40]!r} as bAbI: it could not be read again")
    return lines


def _reads_as(lines: list[str], example: Question, reader: _Reader) -> bool:
    """Whether the last of the lines is read as the example."""
    if any("\n" in line or line.endswith("\r") for line in lines):
        return False
    try:
        cells = [reader.take(line) for line in lines][-1]
    except BadData:
        return False
    if cells is None:
        return False
    found = reader.example(cells)
    return found.content == example.content and (found.answer or "") == (example.answer or "")
