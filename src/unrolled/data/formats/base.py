"""The contract of every data format: examples from a file, and examples into a file of the same kind.

    read(path) -> examples        one at a time, in the file's order
    write(path, examples)         whole or not at all; `.gz` and `.xz` are compressed

A subclass is one file, and its file's name is the format's name. Of text (`TextFormat`) it says how lines become
examples (`parse`) and examples become text (`render`), of bytes how an open file does; opening, decoding, compression
and the checks that all share are here. What was read can be written again: what a format holds besides the example's
fields travels in `Example.rest`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

from unrolled.data.captions import Captioned
from unrolled.data.examples import Example, LabelledText, Pair, Passage, Question, Series, Signal, Speech, TaggedTokens
from unrolled.data.lines import compress, decode, encode, read_bytes, suffix
from unrolled.data.music import DIVISION, FINEST, Roll
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.files import write_whole

_FIELDS: Mapping[type[Example], tuple[str, ...]] = {
    LabelledText: ("text", "label", "confidence", "probabilities"),
    TaggedTokens: ("tokens", "tags", "confidence"),
    Pair: ("source", "target", "score", "alternatives"),
    Question: ("question", "context", "answer", "score", "alternatives"),
    Passage: ("text", "following", "surprisals"),
    Signal: ("values", "series", "label", "confidence", "probabilities"),
    TaggedSteps: ("values", "series", "tags", "confidence"),
    Series: ("values", "series", "time", "ahead", "observed", "static"),
    Speech: ("values", "transcript", "score", "alternatives"),
    Roll: ("notes", "following"),
    Captioned: ("image", "caption", "score", "alternatives"),
}


Spacing = Literal["blanks", "none"]


class Format(ABC):
    """One file format, told which examples to read and where in the file their fields stand.

    Attributes:
        suffixes: the file suffixes by which it is recognised.
        usual: further suffixes that its files often have, but that another format is recognised by.
        holds: the example types that it can hold.
        annotated: whether it can hold the blank filled in, to be read again; plain text cannot.
        streamed: whether examples come while a file is read; where the file is one document, that is read whole.
        binary: whether its files are none that people can read.
        gathered: whether a folder of its files is read as one file, in the order of their names.
        machine_readable: whether a prediction can be asked for in it by `--json`.
        spaced: whether several tokens stand in a cell or a line, with or without blanks between them.

    Args:
        example_type: what to read or write.
        columns: field of the example -> column of the file; a field not named has the format's own default.
        features: name -> column, of further values per token (only `TaggedTokens`).
        label_separator: in TSV and CSV, what stands between the labels of an example that may have several, or
            between the answers to a question of which any is right.
        spacing: what stands between the tokens of a cell or a line, and between their tags: `blanks`; or `none`, so
            that each character is one, as in the sequence of a protein (only `TaggedTokens`).
        division: steps of a quarter note, of music and of its events as a text (`Roll` and `Passage`).
        filled: whether an example whose blank is empty is a mistake, as in training and evaluation.
    """

    suffixes: ClassVar[tuple[str, ...]]
    usual: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[tuple[type[Example], ...]]
    annotated: ClassVar[bool] = True
    streamed: ClassVar[bool] = True
    binary: ClassVar[bool] = False
    gathered: ClassVar[bool] = False
    machine_readable: ClassVar[bool] = False
    spaced: ClassVar[bool] = False

    def __init__(
        self,
        example_type: type[Example],
        columns: Mapping[str, str] | None = None,
        features: Mapping[str, str] | None = None,
        *,
        label_separator: str | None = None,
        spacing: Spacing = "blanks",
        division: int = DIVISION,
        filled: bool = False,
    ) -> None:
        self.example_type = example_type
        self.columns = dict(columns or {})
        self.features = dict(features or {})
        self.label_separator = label_separator
        self.spacing = spacing
        self.division = division
        self.filled = filled and example_type.needs_answer
        self._check()

    def _check(self) -> None:
        mine = type(self).__module__.rpartition(".")[2]
        if self.example_type not in self.holds:
            held = " or ".join(kind.called for kind in self.holds)
            raise BadOption(f"the format {mine} holds {held}, not {self.example_type.called}")
        for field in self.columns:
            if field not in _FIELDS[self.example_type]:
                raise UnknownName("field", field, _FIELDS[self.example_type])
        if self.features and self.example_type is not TaggedTokens:
            raise BadOption(f"features are columns beside tokens; {self.example_type.called} have none")
        if self.spacing != "blanks" and (self.example_type is not TaggedTokens or not self.spaced):
            raise BadOption(f"spacing={self.spacing} is for tokens of a cell or a line, which are not here")
        if not 1 <= self.division <= FINEST:
            raise BadOption(f"division is steps of a quarter note, 1 to {FINEST}, not {self.division}")
        # Events may stand in any format of texts, and what a model writes of them may be music.
        if self.division != DIVISION and self.example_type not in (Roll, Passage):
            raise BadOption(f"division={self.division} is of music; {self.example_type.called} have no quarter notes")
        if self.label_separator == "":
            raise BadOption("label_separator must not be empty")
        if self.filled and not self.annotated:
            raise BadOption(
                f"the format {mine} holds no {self.example_type.blank}; use another format for training and evaluation"
            )

    @abstractmethod
    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        """Examples from an open binary stream, each as soon as it is complete."""

    @abstractmethod
    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        """The bytes to put on an open binary stream, in pieces."""

    @classmethod
    def claims(cls, path: Path, columns: Mapping[str, str]) -> bool:
        """Whether a path whose suffix tells no format is of this one, as the start of the names of its files may be, or
        a folder of them."""
        return cls.gathered and path.is_dir() and bool(cls._gather(path))

    @classmethod
    def tells(cls, path: Path, kinds: Sequence[type[Example]], columns: Mapping[str, str]) -> type[Example]:
        """Which of some example types a file of this format holds: the first one that it can."""
        return next((kind for kind in kinds if kind in cls.holds), kinds[0])

    def read(self, path: str | Path) -> Iterator[Example]:
        """The file's examples, one at a time. Raises `BadData` or `UnknownName`."""
        if self.gathered and Path(path).is_dir():
            return chain.from_iterable(map(self.read, self._gather(Path(path))))
        return self.read_stream(read_bytes(path), path)

    def write(self, path: str | Path, examples: Iterable[Example]) -> None:
        """Write a file, whole or not at all. Raises `BadData` or `CannotWrite`."""
        write_whole(path, compress(path, b"".join(self.write_stream(examples, path))))

    @classmethod
    def _gather(cls, folder: Path) -> list[Path]:
        """The files in a folder that are of this format."""
        return sorted(file for file in folder.iterdir() if suffix(file) in cls.suffixes and file.is_file())

    def _checked(self, examples: Iterable[Example], where: str | Path) -> Iterator[Example]:
        """The examples, of which there must be some, each filled in where that is asked for."""
        example = None
        for example in examples:
            if self.filled and getattr(example, example.blank) is None:
                raise example.problem(f"an example without {example.blank}, which training and evaluation need")
            yield example
        if example is None:
            raise BadData("the file holds no examples", where)


class TextFormat(Format):
    """One whose files are lines of UTF-8 text."""

    @abstractmethod
    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        """Examples from lines, which still have their line ends. Raises `BadData` with the line's number."""

    @abstractmethod
    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        """Examples as text, in pieces. Raises `BadData` for an example that could not be read again."""

    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        return self._examples(self._decode(stream, where), where)

    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        return encode(self.render(examples), where)

    def _decode(self, stream: Iterable[bytes], where: str | Path) -> Iterator[str]:
        return decode(stream, where)

    def _examples(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        first = next(lines, None)
        if first is None:
            raise BadData("the file is empty", where)
        yield from self._checked(self.parse(chain([first], lines), where), where)


def aligned(example: TaggedTokens) -> TaggedTokens:
    """The example, if it has tokens, none empty, and as many tags and feature values. Raises `BadData` if not."""
    count = len(example.tokens)
    if not count:
        raise BadData("an example without tokens")
    rows = {"tokens": example.tokens, **example.features} | ({"tags": example.tags} if example.tags is not None else {})
    for name, values in rows.items():
        if len(values) != count:
            raise BadData(f"{count} tokens but {len(values)} {name}")
        if "" in values:
            raise BadData(f"{name} {values.index('') + 1} of {count} is empty")
    return example


def together(parts: Sequence[str]) -> str:
    """Tokens, or tags, of one character each, with nothing between them. Raises `BadData` for a longer one."""
    for part in parts:
        if len(part) != 1:
            raise BadData(f"cannot write {part!r} with nothing between it and others: it is not one character")
    return "".join(parts)


def likeliest(following: Sequence[tuple[str, float]]) -> str:
    """What may come next, for people: each element as a JSON string, with its probability.

    >>> likeliest([("the", 0.25), ("a", 0.125)])
    '"the" 0.2500, "a" 0.1250'
    """
    return ", ".join(f"{json.dumps(element, ensure_ascii=False)} {figure:.4f}" for element, figure in following)
