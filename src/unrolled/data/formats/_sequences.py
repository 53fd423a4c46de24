"""What formats of biological sequences share: the letters that may stand in one, and a label in a record's header.

A header is the text of a record's first line: an identifier and, behind a blank, a description. What is known of a
sequence stands in it as `key=value`, as in UniProt's headers, where a value goes on up to the next key:

    P12345 Aspartate aminotransferase OS=Oryctolagus cuniculus OX=9986 label=Mitochondrion

The label is that of the key `label`, of another key where the column says so (`--set label=OX`), or, where the column
is a number, that word of the header, words standing between blanks and `|`: 2 is `positive` in `chr1_77|positive|test`.
A prediction is put in its place, its `confidence`, or the elements `following` the sequence, behind it.
"""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, LabelledText, Origin, Passage
from unrolled.data.formats.base import TextFormat, likeliest
from unrolled.errors import BadData, BadOption

_ILLEGAL = re.compile(r"[^A-Za-z*.-]")
_WORD = re.compile(r"[^ \t|]+")
_KEY = re.compile(r"[^ \t=|]+")


class Record(NamedTuple):
    """What a record has besides its sequence.

    header: its first line, without the mark that begins it; width: of the lines into which its sequence is broken, None
    where it is not; quality: a character a letter, in FASTQ.
    """

    header: str
    width: int | None = None
    quality: str | None = None


class SequenceFormat(TextFormat):
    """One whose records are a header and a sequence of letters."""

    holds: ClassVar[tuple[type[Example], ...]] = (LabelledText, Passage)

    def _check(self) -> None:
        super()._check()
        if text := self.columns.get("text"):
            raise BadOption(f"text={text}: a file of sequences has no columns; keys of its headers can be named")
        for key in self.columns.values():
            if not _KEY.fullmatch(key) or (key.isdecimal() and int(key) == 0):
                raise BadOption(f"{key!r} can be no key in a header, nor the number of a word of it")

    def _column(self, field: str) -> str:
        return self.columns.get(field, field)

    def _label(self, header: str) -> str | tuple[str, ...] | None:
        found = read_value(header, self._column("label"))
        if found is None or self.label_separator is None:
            return found or None
        return tuple(found.split(self.label_separator)) if found else ()

    def _made(self, sequence: str, rest: Record, origin: Origin) -> Example:
        """The example of a record."""
        if self.example_type is Passage:
            return Passage(text=sequence, origin=origin, rest=rest)
        return LabelledText(text=sequence, label=self._label(rest.header), origin=origin, rest=rest)

    def _parts(self, example: Example, number: int) -> tuple[str, str]:
        """Header and sequence of an example; see `_header`. Raises `BadData` for what is no sequence."""
        assert isinstance(example, (LabelledText, Passage))
        header, sequence = self._header(example, number), legal(example.text)
        if not sequence:
            raise BadData(f"cannot write an empty sequence; its header is {header[:60]!r}")
        return header, sequence

    def _header(self, example: Example, number: int) -> str:
        """An example's header, its own or that number, with what a prediction filled in.

        Raises `BadData` for what could not be read again.
        """
        header = example.rest.header if isinstance(example.rest, Record) else str(number)
        if isinstance(example, Passage):
            if example.following is None:
                return header
            return put_value(header, self._column("following"), likeliest(example.following))
        assert isinstance(example, LabelledText)
        label, separator = example.label, self.label_separator
        if label is not None and isinstance(label, str) != (separator is None):
            several = "one label" if isinstance(label, str) else "a set of labels"
            raise BadData(f"{several} where label_separator is {separator!r}")
        labels = (label,) if isinstance(label, str) else label or ()
        header = put_value(header, self._column("label"), None if label is None else (separator or "").join(labels))
        if self._label(header) != label or "\n" in header or header.endswith("\r"):
            raise BadData(f"the label {label!r} could not be read again from a header")
        known = example.probabilities or {}
        figures = [f"{known[one]:.4f}" for one in labels if one in known]
        return put_value(header, self._column("confidence"), (separator or "").join(figures)) if figures else header


def legal(letters: str) -> str:
    """Letters of a sequence. Raises `BadData` for others than IUPAC's: A to Z, `*` for a stop, `-` and `.` for gaps."""
    if found := _ILLEGAL.search(letters):
        raise BadData(f"{found[0]!r} at position {found.start() + 1} where a letter of a sequence is expected")
    return letters


def read_value(header: str, key: str) -> str | None:
    """What a header says of a key, or its word of that number; None where it says nothing.

    >>> read_value("P1 OS=Homo sapiens OX=9606", "OS"), read_value("chr1|yes|test", "2")
    ('Homo sapiens', 'yes')
    """
    if key.isdecimal():
        words = _WORD.findall(header)
        return words[int(key) - 1] if int(key) <= len(words) else None
    match = _pair(key).search(header)
    return match[1] if match else None


def put_value(header: str, key: str, value: str | None) -> str:
    """The header with a value in place of the old one, or at its end; with None it says nothing of that key.

    A word that goes by its number is replaced, or comes behind the last one. Raises `BadData` where it has no place.

    >>> (
    ...     put_value("P1 label=in OX=9606", "label", "out"),
    ...     put_value("chr1|yes|test", "2", "no"),
    ...     put_value("a", "k", "v"),
    ... )
    ('P1 label=out OX=9606', 'chr1|no|test', 'a k=v')
    """
    if key.isdecimal():
        words = list(_WORD.finditer(header))
        place = int(key) - 1
        if place < len(words) and value is not None:
            return header[: words[place].start()] + value + header[words[place].end() :]
        if place < len(words) or (value is not None and place > len(words)):
            raise BadData(f"a header of {len(words)} words has no place for {value!r} as word {key}: {header[:60]!r}")
        return header if value is None else f"{header} {value}"
    match = _pair(key).search(header)
    if value is None:
        return header if match is None else (header[: match.start()] + header[match.end() :]).lstrip(" \t")
    if match is None:
        return f"{header} {key}={value}"
    return header[: match.start(1)] + value + header[match.end(1) :]


def _pair(key: str) -> re.Pattern[str]:
    """A key and, as group 1, its value."""
    return re.compile(rf"(?:^|[ \t]+){re.escape(key)}=(.*?)(?=[ \t]+[^ \t=]+=|[ \t]*$)")
