"""Kinds of elements, and elements inside what a regular expression matches: annotations that need no annotator.

>>> kind("."), kind("3.14"), kind("Paris"), kind("night"), kind("\\n")
('punctuation', 'number', 'capitalised', 'word', 'line end')
>>> inside(["he", "said", '"', "no", '"', "."], r'"[^"]*"')
[False, False, True, True, True, False]
>>> inside(list("a (b) c"), r"\\(.*?\\)")
[False, False, True, True, True, False, False]
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from unrolled.errors import BadOption


def kind(element: str) -> str:
    """What an element of a text is, by its characters: `line end`, `blank`, `number`, `punctuation`, `marked` (as
    unknown words and other symbols of a model's own are), `capitalised` or `word`.
    """
    if element == "\n":
        return "line end"
    if not element.strip():
        return "blank"
    if len(element) > 2 and element[0] == "<" and element[-1] == ">":
        return "marked"
    if any(c.isdigit() for c in element) and not any(c.isalpha() for c in element):
        return "number"
    if not any(c.isalnum() for c in element):
        return "punctuation"
    return "capitalised" if element[0].isupper() else "word"


def inside(elements: Sequence[str], pattern: str) -> list[bool]:
    """Which elements stand, with some of their characters, in what a regular expression matches in their text.

    Elements of one character each stand side by side in it, others with a blank between them.

    Raises `BadOption` for what is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadOption(f"{pattern!r} is no regular expression: {error}") from None
    between = "" if all(len(element) == 1 for element in elements) else " "
    text, ends, at = between.join(elements), [], 0
    for element in elements:
        ends.append((at, at + len(element)))
        at += len(element) + len(between)
    spans = [match.span() for match in compiled.finditer(text)]
    return [any(start < stop and begin < end for begin, stop in spans) for start, end in ends]
