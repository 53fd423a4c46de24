"""How many edits lie between what is right and what was predicted (Levenshtein 1966), counted by rapidfuzz.

    rate = sum of edits / sum of the references' lengths

An edit replaces, inserts or deletes one element. Where several references are right, the one with the fewest edits
counts, and among equals the longest, so that their order does not matter. A rate can exceed 1. rapidfuzz is imported
when a function is called.

What a field calls an error rate depends on what its sequences are. For text, `word_error_rate` is what speech
recognition reports. For pronunciations, phones with blanks between them, `word_error_rate` is the rate per phone, and
what the literature calls the word error rate is `sequence_error_rate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from unrolled.metrics.references import References, require_references


class Edit(NamedTuple):
    """One step from gold to predicted. gold is None for `insert`, predicted for `delete`."""

    operation: Literal["same", "replace", "insert", "delete"]
    gold: str | None
    predicted: str | None


def distance(gold: Sequence[str], predicted: Sequence[str]) -> int:
    """The fewest edits that turn one sequence of strings (a string is one of characters) into the other.

    >>> distance("kitten", "sitting"), distance("B AE1 T".split(), "B AE0 T S".split())
    (3, 2)
    """
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(gold, predicted))


def alignment(gold: Sequence[str], predicted: Sequence[str]) -> list[Edit]:
    """The fewest edits one by one, with what stays the same between them, first to last; one way where there are more.

    >>> for edit in alignment("a b c d".split(), "a c d e".split()):
    ...     print(*edit)
    same a a
    delete b None
    same c c
    same d d
    insert None e
    """
    from rapidfuzz.distance import Levenshtein

    found: list[Edit] = []
    for block in Levenshtein.opcodes(gold, predicted):
        before, after = gold[block.src_start : block.src_end], predicted[block.dest_start : block.dest_end]
        if block.tag == "delete":
            found += [Edit("delete", symbol, None) for symbol in before]
        elif block.tag == "insert":
            found += [Edit("insert", None, symbol) for symbol in after]
        else:
            operation: Any = "same" if block.tag == "equal" else "replace"
            found += [Edit(operation, *pair) for pair in zip(before, after, strict=True)]
    return found


def word_error_rate(gold: Sequence[References], predicted: Sequence[str]) -> float:
    """Edits of what stands between blanks, for each such element of the references.

    Args:
        gold: of each predicted text its reference or references.
        predicted: texts.

    Raises:
        ValueError: they differ in number, there are none, one has no reference, or all references are empty.

    >>> word_error_rate(["a b c", ["d", "e f"]], ["a c", "e f g"])
    0.4
    """
    return _rate([[text.split() for text in several] for several in _checked(gold, predicted)], _split(predicted))


def symbol_error_rate(gold: Sequence[References], predicted: Sequence[str]) -> float:
    """Edits of characters for each character of the references; a run of white space is one blank. See above.

    >>> symbol_error_rate(["Haus"], [" Hause"])
    0.25
    """
    squeezed = [[" ".join(text.split()) for text in several] for several in _checked(gold, predicted)]
    return _rate(squeezed, [" ".join(words) for words in _split(predicted)])


def sequence_error_rate(gold: Sequence[References], predicted: Sequence[str]) -> float:
    """The fraction of texts that equal none of their references, up to runs of white space. Raises `ValueError`.

    >>> sequence_error_rate([["R IY1 D", "R EH1 D"], "AH0"], ["R EH1 D", "AH1"])
    0.5
    """
    references = [[text.split() for text in several] for several in _checked(gold, predicted)]
    wrong = sum(guess not in several for several, guess in zip(references, _split(predicted), strict=True))
    return wrong / len(references)


def _checked(gold: Sequence[References], predicted: Sequence[str]) -> list[tuple[str, ...]]:
    return require_references(gold, predicted, "texts")


def _split(texts: Sequence[str]) -> list[list[str]]:
    return [text.split() for text in texts]


def _rate(references: Sequence[Sequence[Sequence[str]]], predicted: Sequence[Sequence[str]]) -> float:
    from rapidfuzz.distance import Levenshtein

    edits = length = 0
    for several, guess in zip(references, predicted, strict=True):
        fewest, negative = min((Levenshtein.distance(one, guess), -len(one)) for one in several)
        edits += fewest
        length -= negative
    if not length:
        raise ValueError("the references are all empty: there is nothing to count errors by")
    return edits / length
