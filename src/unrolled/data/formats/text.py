"""Plain text: one example a line, its blank to be filled in. Tokens stand between blanks.

Plain text has no place for labels, so it is read with the blank empty; a prediction is written where people look:

    label TAB text              a text's label before it (several, with `|` between them)
    The/DET dog/NOUN barks/VERB a token's tag after it, as in the Brown corpus and NLTK. A slash, since tags such as
                                `B-music_item` hold underscores; the tag is what follows a part's last slash

Blank lines are no examples; they are kept on writing, so that line numbers stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, LabelledText, Origin, TaggedTokens
from unrolled.data.formats.base import Format, aligned
from unrolled.data.lines import fits_a_line, is_blank, split_blanks, without_end
from unrolled.errors import BadData


class BlankLines(NamedTuple):
    """So many blank lines stand before an example."""

    number: int


class PlainText(Format):
    """One example a line."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".text", ".tokens")
    holds: ClassVar[tuple[type[Example], ...]] = (LabelledText, TaggedTokens)
    annotated: ClassVar[bool] = False

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        blank = 0
        for number, line in enumerate(lines, 1):
            if is_blank(line):
                blank += 1
                continue
            origin, rest, blank = Origin(where, number), BlankLines(blank) if blank else None, 0
            if self.example_type is LabelledText:
                yield LabelledText(text=without_end(line), origin=origin, rest=rest)
            else:
                yield TaggedTokens(tokens=split_blanks(line), origin=origin, rest=rest)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        for example in examples:
            blank = example.rest.number if isinstance(example.rest, BlankLines) else 0
            yield "\n" * blank + (self._line(example) + "\n")

    def _line(self, example: Example) -> str:
        if isinstance(example, TaggedTokens):
            tokens = aligned(example).tokens
            for token in tokens:
                if split_blanks(token) != (token,):
                    raise BadData(f"cannot write the token {token!r} as plain text: it holds a blank")
            return " ".join(tokens if example.tags is None else map("/".join, zip(tokens, example.tags, strict=True)))
        assert isinstance(example, LabelledText)
        if not fits_a_line(example.text):
            what = "a line break" if example.text.strip(" \t\r\n") else "nothing to read again"
            raise BadData(f"cannot write the text {example.text[:40]!r} as plain text: it holds {what}")
        if example.label is None:
            return example.text
        label = example.label if isinstance(example.label, str) else (self.label_separator or "|").join(example.label)
        return f"{label}\t{example.text}"
