"""Plain text: one example a line, its blank to be filled in. Tokens stand between blanks.

Plain text has no place for labels, so it is read with the blank empty; a prediction is written where people look:

    label TAB text              a text's label before it (several, with `|` between them)
    The/DET dog/NOUN barks/VERB a token's tag after it, as in the Brown corpus and NLTK. A slash, since tags such as
                                `B-music_item` hold underscores; the tag is what follows a part's last slash
    CEEEC TAB MKTVR             tags before their tokens, where nothing stands between those
    text TAB next, next, …      the likeliest next elements behind a text that is to be read on
    target, answer              in place of the source or of the question: line for line the same, maybe an empty one

Blank lines are no examples; they are kept on writing, so that line numbers stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from unrolled.data.examples import Example, LabelledText, Origin, Pair, Passage, Question, TaggedTokens
from unrolled.data.formats.base import TextFormat, aligned, likeliest, together
from unrolled.data.lines import below_blanks, is_blank, one_line, split_blanks, without_end
from unrolled.errors import BadData

KIND = "plain text"


class BlankLines(NamedTuple):
    """So many blank lines stand before an example."""

    number: int


class PlainText(TextFormat):
    """One example a line."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".text", ".tokens")
    holds: ClassVar[tuple[type[Example], ...]] = (LabelledText, TaggedTokens, Pair, Question, Passage)
    annotated: ClassVar[bool] = False
    spaced: ClassVar[bool] = True

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        for number, above, line in below_blanks(lines):
            origin, rest = Origin(where, number), BlankLines(above) if above else None
            if self.example_type is Passage:
                yield Passage(text=without_end(line), above=above, origin=origin)
            elif self.example_type is LabelledText:
                yield LabelledText(text=without_end(line), origin=origin, rest=rest)
            elif self.example_type is Pair:
                yield Pair(source=without_end(line), origin=origin, rest=rest)
            elif self.example_type is Question:
                yield Question(question=without_end(line), origin=origin, rest=rest)
            else:
                tokens = split_blanks(line) if self.spacing == "blanks" else tuple(without_end(line))
                yield TaggedTokens(tokens=tokens, origin=origin, rest=rest)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        alike: bool | None = None
        for example in examples:
            filled = getattr(example, example.blank) is not None
            if filled != alike and alike is not None and isinstance(example, (Pair, Question)):
                raise BadData(f"some examples have no {example.blank}: plain text cannot tell which")
            alike = filled
            blank = example.rest.number if isinstance(example.rest, BlankLines) else getattr(example, "above", 0)
            yield "\n" * blank + (self._line(example) + "\n")

    def _line(self, example: Example) -> str:
        if isinstance(example, TaggedTokens):
            return self._tagged(example)
        if isinstance(example, Pair):
            return one_line("source", example.source, KIND) if example.target is None else answer_line(example)
        if isinstance(example, Question):
            if example.answer is not None:
                return answer_line(example)
            if example.context is not None:
                raise BadData("cannot write a question with its context as plain text; write jsonl instead")
            return one_line("question", example.question, KIND)
        if isinstance(example, Passage):
            return _passage(example)
        assert isinstance(example, LabelledText)
        text = one_line("text", example.text, KIND)
        if example.label is None:
            return text
        label = example.label if isinstance(example.label, str) else (self.label_separator or "|").join(example.label)
        return f"{label}\t{text}"

    def _tagged(self, example: TaggedTokens) -> str:
        tokens = aligned(example).tokens
        if self.spacing == "none":
            line = one_line("tokens", together(tokens), KIND)
            return line if example.tags is None else f"{together(example.tags)}\t{line}"
        for token in tokens:
            if split_blanks(token) != (token,):
                raise BadData(f"cannot write the token {token!r} as plain text: it holds a blank")
        return " ".join(tokens if example.tags is None else map("/".join, zip(tokens, example.tags, strict=True)))


def answer_line(example: Pair | Question) -> str:
    """What was found, as the line that stands for its source or question; empty where nothing was."""
    found = getattr(example, example.blank)
    if isinstance(found, tuple):
        raise BadData("cannot write several answers as plain text; write jsonl instead")
    # Readers count lines, so each example has one, were it empty.
    return "" if is_blank(found) else one_line(example.blank, found, KIND)


def _passage(example: Passage) -> str:
    text = one_line("text", example.text, KIND)
    if example.following is None:
        return text
    return f"{text}\t{likeliest(example.following)}"
