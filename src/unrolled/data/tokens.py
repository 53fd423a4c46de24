r"""Raw text to tokens, by rules with names: `words`, `blanks`, `characters`; of DNA and proteins `2-mers` to `6-mers`,
and, with their places, letters (`placed`) and `placed-2-mers`.

`words` is for running text in languages that write blanks between words. It follows the habits of the Penn Treebank
where they matter to a model ("don't" is `do` `n't`, "it's" is `it` `'s`), keeps inner hyphens and other inner
apostrophes ("well-made", "o'clock"), and makes every other character that is no white space a token of its own. The
line break `<br />` of web pages is dropped. Clitics that were split off before stay so: `does n't` is two tokens.

Why not a library: NLTK's and spaCy's tokenisers bring data or models of their own, and change with them; a trained
model must find the same tokens for ever. Subword vocabularies, which are learnt, are another matter, and have a
library.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Literal, get_args

from unrolled.errors import UnknownName

Rule = Literal[
    "words", "blanks", "characters", "placed", "placed-2-mers", "2-mers", "3-mers", "4-mers", "5-mers", "6-mers"
]

CLITIC = "(?:[sS]|[mM]|[dD]|[rR][eE]|[vV][eE]|[lL][lL])"
"""What follows the apostrophe of an English clitic, as a part of a regular expression."""
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def tokenise(text: str, rule: Rule = "words", *, lowercase: bool = False) -> list[str]:
    """The tokens of a text; none is empty.

    >>> tokenise("It's well-made, but I don't care.<br />7/10")
    ['It', "'s", 'well-made', ',', 'but', 'I', 'do', "n't", 'care', '.', '7', '/', '10']
    >>> tokenise("New  York\\n", "blanks", lowercase=True)
    ['new', 'york']
    """
    if rule not in get_args(Rule):
        raise UnknownName("tokenisation", rule, get_args(Rule))
    rules: dict[str, Callable[[str], list[str]]]
    rules = {"words": words, "blanks": blanks, "characters": characters}
    cut = rules.get(rule) or partial(placed if rule.startswith("placed") else mers, size=_size(rule))
    return cut(text.lower() if lowercase else text)


def _size(rule: Rule) -> int:
    """Letters of a k-mer; 1 of `placed`."""
    return 1 if rule == "placed" else int(rule.removeprefix("placed-").removesuffix("-mers"))


def words(text: str) -> list[str]:
    """Words, their clitics apart, and single other characters; see the top of the file."""
    if "<" in text:
        text = _LINE_BREAK.sub(" ", text)
    return _word_pattern(letters(text)).findall(text)


def letters(text: str) -> str:
    """What this text's words are made of, as a class of characters in a regular expression."""
    # Looking for marks in every letter costs four times the time, so only where there are some.
    if text.isascii() or not re.search(f"[{_marks()}]", text):
        return r"\w"
    return rf"[\w{_marks()}]"


def blanks(text: str) -> list[str]:
    """What stands between white space."""
    return text.split()


def characters(text: str) -> list[str]:
    """Every code point, white space too."""
    return list(text)


def placed(text: str, size: int = 1) -> list[str]:
    """The letters, or k-mers, of each sequence between white space, each with its place: the same one elsewhere is
    another token. For sequences that are aligned, as those around the beginning of a gene.

    >>> placed("GAT CA")
    ['G1', 'A2', 'T3', 'C1', 'A2']
    >>> placed("GAT C", 2)
    ['GA1', 'AT2', 'C1']
    """
    return [f"{mer}{place}" for piece in text.split() for place, mer in enumerate(mers(piece, size), 1)]


def mers(text: str, size: int) -> list[str]:
    """The k-mers of each sequence between white space: every run of `size` letters, which overlap; a shorter sequence
    is one.

    >>> mers("GATTACA", 3)
    ['GAT', 'ATT', 'TTA', 'TAC', 'ACA']
    """
    return [piece[at : at + size] for piece in text.split() for at in range(max(len(piece) - size, 0) + 1)]


def spans(text: str, tokens: Sequence[str], rule: Rule = "words") -> list[tuple[int, int]]:
    """Where each token begins in its text, and where it ends. tokens: what the rule makes of the text.

    >>> spans("It's  I.", words("It's  I."))
    [(0, 2), (2, 4), (6, 7), (7, 8)]
    >>> spans("GATTA CA", mers("GATTA CA", 3), "3-mers")
    [(0, 3), (1, 4), (2, 5), (6, 8)]
    >>> spans("GAT CA", placed("GAT CA"), "placed")
    [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6)]
    """
    if rule == "placed" or rule.endswith("-mers"):
        # They overlap, or are spelled otherwise than in the text, and so are counted, not sought.
        size = _size(rule)
        pieces = [match.span() for match in re.finditer(r"\S+", text)]
        return [(at, min(at + size, end)) for begin, end in pieces for at in range(begin, max(begin, end - size) + 1)]
    found, at = [], 0
    for token in tokens:
        begin = max(text.find(token, at), at)
        at = min(begin + len(token), len(text))
        found.append((begin, at))
    return found


@cache
def _word_pattern(letter: str) -> re.Pattern[str]:
    """The pattern of one token. letter: what a word is made of."""
    return re.compile(
        rf"""
          {letter}+(?!['’-]|{letter})                             # most words, soon found
        | {letter}+?(?=[nN]['’][tT]\b)                            # do|n't
        | [nN]['’][tT]\b
        | ['’]{CLITIC}\b                                          # it|'s
        | {letter}+(?:-{letter}+|['’](?!{CLITIC}\b){letter}+)*    # well-made, o'clock
        | \S
        """,
        re.VERBOSE,
    )


@cache
def _marks() -> str:
    """Ranges of the combining marks and joiners. Python's \\w lacks them, and would cut Hindi or Thai at each vowel."""
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):
        if code in (0x200C, 0x200D) or unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)
