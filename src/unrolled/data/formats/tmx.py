"""Translation Memory eXchange, TMX 1.4b: an XML file of units, each a text in several languages.

https://www.gala-global.org/tmx-14b. `columns={"source": "en", "target": "de"}` chooses the languages; `en` is also
`en-US` where there is no `en` itself. Where the source is not named it is the language that the file says its units
were translated from (`srclang`); where the target is not named it is the only other one. What is inside `bpt`, `ept`,
`ph` and `it` is markup and no text; what is inside `hi` is text.

Few memories have every unit in every language. A unit without a text in the source language is passed over; one without
a text in the target language is to be predicted, and in training is passed over too. A file may also be UTF-16; it is
written as UTF-8. Units are written with all that they hold, and only the texts that are not as they were read are
replaced, or put behind the others; a replaced text has no markup.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, Origin, Pair
from unrolled.data.formats._tmx import Reader, Unit, Variant
from unrolled.data.formats.base import TextFormat
from unrolled.data.lines import decode
from unrolled.errors import BadData, UnknownName

_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Half characters are left to the encoding, which has its own message.
_NO_XML = re.compile("[^\t\n\r\x20-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\bencoding\s*=\s*[\"'](?!utf-8[\"'])[^>]*\?>", re.IGNORECASE)


class Memory(NamedTuple):
    """Where a pair was read: the unit, and the texts that are the pair's."""

    unit: Unit
    source: Variant
    target: Variant | None


class TMX(TextFormat):
    """Units of a translation memory."""

    suffixes: ClassVar[tuple[str, ...]] = (".tmx",)
    holds: ClassVar[tuple[type[Example], ...]] = (Pair,)

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        reader, some = Reader(where), False
        for unit in reader.units(lines):
            memory = self._memory(unit, where)
            if memory is not None:
                some = True
                source, target = memory.source.text or "", memory.target.text or None if memory.target else None
                yield Pair(source=source, target=target, origin=Origin(where, memory.source.line), rest=memory)
        if not some and reader.languages:
            raise self._nothing(list(reader.languages), where)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        first = True
        for example in examples:
            assert isinstance(example, Pair)
            if not example.source:
                raise BadData("cannot write an empty source as TMX: it would be passed over")
            memory = example.rest if isinstance(example.rest, Memory) else None
            if first:
                yield self._header() if memory is None else _as_utf8(memory.unit.header)
            first = False
            yield self._made(example) if memory is None else memory.unit.gap + self._replaced(example, memory)
        yield "\n  </body>\n</tmx>\n"

    def _decode(self, stream: Iterable[bytes], where: str | Path) -> Iterator[str]:
        lines = iter(stream)
        start = next(lines, b"")
        every = chain([start], lines) if start else lines
        return _decode_utf16(every, where) if start.startswith(_MARKS) else decode(every, where)

    def _memory(self, unit: Unit, where: str | Path) -> Memory | None:
        """The unit as a pair; None where it is none, or has no target and that is needed."""
        texts = [variant for variant in unit.variants if variant.text is not None]
        named, wanted = self.columns.get("source"), self.columns.get("target")
        target = None if wanted is None else _of(wanted, texts)
        others = [variant for variant in texts if variant is not target]
        if named is None and unit.language in (None, "*all*"):
            raise BadData(f"{_told(texts)}: say which is the source, --set source=…", where, unit.line)
        source = _of(named or unit.language or "", others)
        if source is None and named is None:
            source = _of(_folded(unit.language or "").partition("-")[0], others)  # files are careless of the region
        if source is None or not source.text:
            return None
        if wanted is None:
            others = [variant for variant in texts if variant is not source]
            if len(others) > 1:
                raise BadData(f"{_told(texts)}: say which is the target, --set target=…", where, unit.line)
            target = next(iter(others), None)
        if self.filled and (target is None or not target.text):
            return None
        return Memory(unit, source, target)

    def _nothing(self, there: list[str], where: str | Path) -> Exception:
        """Why no unit is a pair."""
        variants = [Variant(language, 0, 0) for language in there]
        for side in ("source", "target"):
            language = self.columns.get(side)
            if language is not None and _of(language, variants) is None:
                return UnknownName("language", language, there, str(where))
        return BadData(f"no unit has a source and a target; its languages are {', '.join(there)}", where)

    def _languages(self) -> tuple[str, str]:
        # Private use, RFC 5646, where there is no name.
        return self.columns.get("source", "x-source"), self.columns.get("target", "x-target")

    def _header(self) -> str:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n'
            f'  <header creationtool="unrolled" creationtoolversion="{version("unrolled")}" '
            'segtype="sentence" o-tmf="plain" adminlang="en" datatype="plaintext" '
            f'srclang="{escape(self._languages()[0])}"/>\n  <body>'
        )

    def _made(self, example: Pair) -> str:
        """A new unit."""
        source, target = self._languages()
        lines = ["<tu>", f"  {_variant('xml:lang', source, example.source)}"]
        if example.target is not None:
            lines.append(f"  {_variant('xml:lang', target, example.target)}")
        return "".join(f"\n    {line}" for line in [*lines, "</tu>"])

    def _replaced(self, example: Pair, memory: Memory) -> str:
        """The unit as it was read, but for the texts that have changed since."""
        content = memory.unit.content
        texts = {memory.source.span: (memory.source.text or "", example.source)}
        if memory.target is not None:
            texts[memory.target.span] = (memory.target.text or "", example.target or "")
        elif example.target is not None:
            content = _with_another(memory, self._languages()[1], example.target)
        # From the back, so that the places before stay where they are.
        for (start, end), (before, now) in sorted(texts.items(), reverse=True):
            if now != before:
                tail = content[end:] if content.startswith(b"</seg", end) else b"</seg>" + content[end:]
                content = content[:start] + f"<seg>{_escaped(now)}".encode("utf-8", "surrogatepass") + tail
        return content.decode("utf-8", "surrogatepass")


def _of(language: str, variants: list[Variant]) -> Variant | None:
    """The variant of a language; where there is none, the first of it in some region: `en-US` for `en`."""
    wanted = _folded(language)
    exact = (variant for variant in variants if _folded(variant.language) == wanted)
    near = (variant for variant in variants if _folded(variant.language).startswith(wanted + "-"))
    return next(chain(exact, near), None)


def _folded(language: str) -> str:
    return language.replace("_", "-").casefold()


def _told(variants: list[Variant]) -> str:
    return f"a unit in {', '.join(variant.language for variant in variants) or 'no language'}"


def _with_another(memory: Memory, language: str, text: str) -> bytes:
    """The unit's content with one language more, behind the last, indented as the source is."""
    content, start = memory.unit.content, memory.source.start
    indent = content[len(content[:start].rstrip()) : start]
    attribute = "xml:lang" if b"xml:lang" in content[start : memory.source.span[0]] else "lang"
    end = len(content[: content.rindex(b"</")].rstrip())
    return content[:end] + indent + _variant(attribute, language, text).encode("utf-8", "surrogatepass") + content[end:]


def _variant(attribute: str, language: str, text: str) -> str:
    return f'<tuv {attribute}="{escape(language)}"><seg>{_escaped(text)}</seg></tuv>'


def _escaped(text: str) -> str:
    if odd := _NO_XML.search(text):
        raise BadData(f"cannot write {text[:40]!r} as TMX: XML has no way to write U+{ord(odd[0]):04X}")
    return escape(text, quote=False).replace("\r", "&#13;")


def _as_utf8(header: str) -> str:
    """A header that claims no other encoding than the one that it is written in."""
    return _DECLARATION.sub('<?xml version="1.0" encoding="UTF-8"?>', header, count=1)


def _decode_utf16(stream: Iterable[bytes], where: str | Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-16")()
    try:
        for piece in stream:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise BadData(f"not UTF-16, as which it begins: {error.reason}", where) from None
