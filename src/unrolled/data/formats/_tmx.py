"""Units of a translation memory from XML, one at a time, with their lines and with every byte they were made of.

expat reads the file piece by piece, behind defusedxml's guards against entities, and nothing is kept of what was
passed. Its byte index says where a unit stands, and in it each text, so that a text can be replaced and all else stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from unrolled.data.lines import is_blank
from unrolled.errors import BadData

MARKUP = frozenset(["bpt", "ept", "ph", "it", "ut"])
"""Inline elements that hold codes of the document, and no text of its language. `hi` is the one that holds text."""
_PIECE = 1 << 16
_LANGUAGE = "http://www.w3.org/XML/1998/namespace}lang"


@dataclass
class Variant:
    """A unit's text in one language.

    Attributes:
        language: as the file spells it.
        line: where its text begins.
        start: of the whole element, a byte of the unit.
        text: without markup; None where there is no `seg`.
        span: the first byte of `seg` in the unit, and the one behind its content.
    """

    language: str
    line: int
    start: int
    text: str | None = None
    span: tuple[int, int] = (0, 0)


@dataclass
class Unit:
    """A translation unit as it was read.

    Attributes:
        line: where it begins.
        language: of the source, where the unit or the file says it.
        variants: in their order.
        header: the file up to its first unit.
        gap: what stands between the unit before and this one.
        content: its bytes.
    """

    line: int
    language: str | None
    variants: list[Variant] = field(default_factory=list)
    header: str = ""
    gap: str = ""
    content: bytes = b""


class Reader:
    """The units of one file. where: its name, for messages.

    Attributes:
        languages: all that were met.
    """

    def __init__(self, where: str | Path) -> None:
        from defusedxml.ElementTree import DefusedXMLParser

        # What lines.decode gave is text, and is UTF-8 whatever encoding the file claims to be in.
        self._guarded = DefusedXMLParser(encoding="utf-8")
        self._expat = self._guarded.parser
        self._expat.ordered_attributes = False
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._data
        self._where = where
        self.languages: dict[str, None] = {}
        self._header: str | None = None
        self._srclang: str | None = None
        self._bytes, self._offset, self._open = bytearray(), 0, 0
        self._unit: Unit | None = None
        self._variant: Variant | None = None
        self._text: list[str] | None = None
        self._hidden = 0
        self._complete: list[Unit] = []

    def units(self, lines: Iterable[str]) -> Iterator[Unit]:
        """Each as soon as it is complete. Raises `BadData` for what is no XML, or no TMX."""
        empty = True
        for line in lines:
            empty = empty and is_blank(line)
            content = (line[:-2] + "\n" if line.endswith("\r\n") else line).encode("utf-8")
            for start in range(0, len(content), _PIECE):  # a file may well be one line
                self._feed(content[start : start + _PIECE], last=False)
                yield from self._complete
                self._complete.clear()
        if not empty:
            self._feed(b"", last=True)

    def _feed(self, content: bytes, *, last: bool) -> None:
        from defusedxml.common import DefusedXmlException

        self._bytes += content
        try:
            self._expat.Parse(content, last)
        except expat.ExpatError as error:
            problem = str(error).partition(": line ")[0]
            raise BadData(f"not XML: {problem}", self._where, error.lineno) from None
        except DefusedXmlException:
            problem = "it defines an entity, which is not safe to read and which TMX has no need of"
            raise BadData(problem, self._where, self._expat.CurrentLineNumber) from None

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag, line, position = name.rpartition("}")[2], self._expat.CurrentLineNumber, self._position()
        if self._text is not None:
            self._hidden += 1 if self._hidden or tag in MARKUP else 0
        elif tag == "tu":
            before = self._cut(position)
            if self._header is None:
                self._header = before.rstrip()
                before = before[len(self._header) :]
            self._unit = Unit(line, attributes.get("srclang", self._srclang), header=self._header, gap=before)
        elif tag == "tuv" and self._unit is not None:
            language = attributes.get(_LANGUAGE, attributes.get("lang"))
            if language is None:
                raise BadData("a tuv without a language (xml:lang)", self._where, line)
            self.languages[language] = None
            self._variant = Variant(language, line, position)
        elif tag == "seg" and self._variant is not None:
            self._text, self._variant.line, self._variant.span = [], line, (position, position)
        elif tag == "header":
            self._srclang = attributes.get("srclang")
        elif not self._open and tag != "tmx":
            raise BadData(f"<{tag}> where <tmx> is expected", self._where, line)
        self._open += 1

    def _end(self, name: str) -> None:
        tag, position = name.rpartition("}")[2], self._position()
        self._open -= 1
        if self._text is not None and tag != "seg":
            self._hidden -= 1 if self._hidden else 0
        elif self._text is not None and self._variant is not None:
            self._variant.text, self._variant.span = "".join(self._text), (self._variant.span[0], position)
            self._text = None
        elif tag == "tuv" and self._unit is not None and self._variant is not None:
            self._unit.variants.append(self._variant)
            self._variant = None
        elif tag == "tu" and self._unit is not None:
            # Behind the end tag, or behind an element that is empty, whose end is where it is told.
            closed = self._bytes.startswith(b"</", position)
            end = self._bytes.index(b">", position) + 1 if closed else position
            self._unit.content = self._cut(end).encode("utf-8")
            self._complete.append(self._unit)
            self._unit = None

    def _data(self, text: str) -> None:
        if self._text is not None and not self._hidden:
            self._text.append(text)

    def _position(self) -> int:
        """Of what is told now, counted from the last cut."""
        return int(self._expat.CurrentByteIndex) - self._offset

    def _cut(self, position: int) -> str:
        """What stands before a position, which is then the start."""
        text = self._bytes[:position].decode("utf-8")
        del self._bytes[:position]
        self._offset += position
        return text
