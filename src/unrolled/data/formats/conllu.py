"""CoNLL-U, the format of Universal Dependencies: ten tab-separated columns, a blank line after each sentence.

https://universaldependencies.org/format.html. The parser is our own, and small, since two things are needed that
a tree of parsed values cannot give: the number of the line in every message, and writing that leaves every byte alone
that a prediction does not touch. Comments, multiword tokens (`1-2`), empty nodes (`1.1`) and all other columns are
kept as they stand. Any column can be the tags, UPOS by default: `columns={"tags": "xpos"}`.

`_` means that a word has no tag; a sentence has tags for all of its words, or for none. In FEATS `_` is itself a
value: the word has no features. A prediction's probability is written into MISC as `Confidence=0.9812`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, Origin, TaggedTokens
from unrolled.data.formats.base import TextFormat, aligned
from unrolled.data.lines import is_blank, without_end
from unrolled.errors import BadData, BadOption, UnknownName

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UPOS = frozenset(["ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT"])
UPOS |= {"SCONJ", "SYM", "VERB", "X", "_"}
NONE = "_"

_WORD = re.compile(r"[0-9]{1,9}")
_OTHER = re.compile(r"[0-9]{1,9}[-.][0-9]{1,9}")
_CONFIDENCE = re.compile(r"Confidence=[0-9.]*")


class Sentence(NamedTuple):
    """The lines of a sentence as they were read, comments and all."""

    lines: tuple[str, ...]


class CoNLLU(TextFormat):
    """Sentences of Universal Dependencies; the words are FORM, the tags any other column."""

    suffixes: ClassVar[tuple[str, ...]] = (".conllu",)
    holds: ClassVar[tuple[type[Example], ...]] = (TaggedTokens,)

    def _check(self) -> None:
        super()._check()
        self._tokens = _number(self.columns.get("tokens", "form"))
        self._tags = _number(self.columns.get("tags", "upos"))
        self._features = {name: _number(column) for name, column in self.features.items()}
        if self._tags in (self._tokens, *self._features.values()):
            raise BadOption(f"the tags' column, {COLUMNS[self._tags].upper()}, is asked for as input too")
        # Elsewhere an underscore says that the value is not known; in FEATS that there is nothing to say.
        self._none = None if COLUMNS[self._tags] == "feats" else NONE

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        block: list[str] = []
        number = 0
        for number, line in enumerate(lines, 1):
            if not is_blank(line):
                block.append(without_end(line))
            elif block:
                yield self._example(block, where, number - len(block))
                block = []
        if block:
            yield self._example(block, where, number + 1 - len(block))

    def _example(self, block: list[str], where: str | Path, start: int) -> Example:
        rows: list[list[str]] = []
        numbers: list[int] = []
        for number, line in enumerate(block, start):
            cells = _cells(line, len(rows) + 1, where, number)
            if cells is not None:
                rows.append(cells)
                numbers.append(number)
        if not rows:
            raise BadData("a sentence without words", where, start)
        tags = tuple(cells[self._tags] for cells in rows)
        missing = [number for number, tag in zip(numbers, tags, strict=True) if tag == self._none]
        if missing and len(missing) < len(tags):
            column = COLUMNS[self._tags].upper()
            problem = f"a token without a tag: {column} is '_' here, and given for other words of the sentence"
            raise BadData(problem, where, missing[0])
        return TaggedTokens(
            tokens=tuple(cells[self._tokens] for cells in rows),
            tags=None if missing else tags,
            features={name: tuple(cells[k] for cells in rows) for name, k in self._features.items()},
            origin=Origin(where, numbers[0]),
            rest=Sentence(tuple(block)),
        )

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        for example in examples:
            assert isinstance(example, TaggedTokens)
            aligned(example)
            rows = iter(self._rows(example))
            lines = [self._line(next(rows)) if _is_word(line) else line for line in _lines(example)]
            yield "\n".join(lines) + "\n\n"

    def _rows(self, example: TaggedTokens) -> Iterator[list[str]]:
        """The word lines' cells, with the example's fields put in."""
        columns: dict[int, tuple[str, ...]] = {self._tokens: example.tokens}
        for name, k in self._features.items():
            if name not in example.features:
                raise BadData(f"an example without the feature {name!r}")
            columns[k] = example.features[name]
        columns[self._tags] = example.tags or (NONE,) * len(example.tokens)
        if example.tags is not None and self._none in example.tags:
            raise BadData("the tag '_' means in CoNLL-U that there is none")
        for index, line in enumerate(line for line in _lines(example) if _is_word(line)):
            cells = line.split("\t")
            for k, values in columns.items():
                cells[k] = values[index]
            if example.confidence is not None:
                cells[-1] = _with_confidence(cells[-1], example.confidence[index])
            yield cells

    def _line(self, cells: list[str]) -> str:
        line = "\t".join(cells)
        if len(line.split("\t")) != len(COLUMNS) or "\n" in line or line.endswith("\r"):
            raise BadData(f"cannot write {cells[self._tokens]!r} as CoNLL-U: a cell holds a tab or a line break")
        return line


def _number(name: str) -> int:
    if name.lower() not in COLUMNS[1:]:
        raise UnknownName("CoNLL-U column", name, COLUMNS[1:])
    return COLUMNS.index(name.lower())


def _is_word(line: str) -> bool:
    return not line.startswith("#") and _WORD.fullmatch(line.split("\t", 1)[0]) is not None


def _cells(line: str, expected: int, where: str | Path, number: int) -> list[str] | None:
    """The cells of a word's line, None for a comment, a multiword token or an empty node."""
    if line.startswith("#"):
        return None
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        some = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        raise BadData(f"{some} where CoNLL-U has {len(COLUMNS)} ({_guess(cells)})", where, number)
    if "" in cells:
        raise BadData(f"{COLUMNS[cells.index('')].upper()} is empty; '_' stands for nothing", where, number)
    if not _WORD.fullmatch(cells[0]):
        if _OTHER.fullmatch(cells[0]):
            return None
        raise BadData(f"ID {cells[0]!r} is no word (1), multiword token (1-2) or empty node (1.1)", where, number)
    if int(cells[0]) != expected:
        raise BadData(f"ID {cells[0]} where {expected} is expected (is a blank line missing before it?)", where, number)
    return cells


def _guess(cells: list[str]) -> str:
    """Where a tab may be missing: before the first column that holds what its right neighbour should."""
    if len(cells) > len(COLUMNS):
        return "is there a tab too many?"
    if len(cells) == 1:
        return "are the columns separated by blanks instead of tabs?"
    if not (_WORD.fullmatch(cells[0]) or _OTHER.fullmatch(cells[0])):
        return "a tab is missing after 'ID'?"
    if len(cells) < 4 or cells[3] not in UPOS or (cells[2] in UPOS and cells[2] != NONE):
        return "a tab is missing after 'FORM'?"
    if len(cells) < 7 or not (_WORD.fullmatch(cells[6]) or cells[6] == NONE):
        return "a tab is missing after 'UPOS'?"
    return "a tab is missing after 'HEAD'?"


def _lines(example: TaggedTokens) -> Iterable[str]:
    """The sentence's lines as they were read, where they still have a line for each token; else new ones."""
    if isinstance(example.rest, Sentence) and sum(map(_is_word, example.rest.lines)) == len(example.tokens):
        return example.rest.lines
    return ["\t".join([str(number + 1), *[NONE] * 9]) for number in range(len(example.tokens))]


def _with_confidence(misc: str, figure: float) -> str:
    kept = [part for part in misc.split("|") if part != NONE and not _CONFIDENCE.fullmatch(part)]
    return "|".join([*kept, f"Confidence={figure:.4f}"])
