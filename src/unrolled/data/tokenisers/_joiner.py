r"""A text cut into words and other characters, with marks that say where no blank stood.

    »Das T-Shirt (l'été) isn't new.«
     ▼
    »￭  Das  T  ￭-￭  Shirt  (￭  l'￭  été  ￭)  is  ￭n't  new  ￭.  ￭«

The joiner, U+FFED, is that of OpenNMT's tokeniser: a token that has it on one side stands next to its neighbour there.
Everything else is joined by one blank, so that any tokens in any order make a text.

- Punctuation carries the marks, so that a word is the same token whatever stands beside it.
- Hyphens cut. Of Multi30k's validation tokens, 4 to 5 % fewer are then such as training shows less than twice, in
  German and in English, for 1 to 2 % more tokens.
- Clitics of English and elided words of French and Italian are tokens: `man` `￭'s`, `do` `￭n't`, `l'￭` `homme`.
- Every other character is a token of its own.

Where the text itself holds the joiner, its token is that character with a mark before it at most.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Literal, NamedTuple, cast

from unrolled.data.tokens import CLITIC, letters

JOINER = "￭"
CACHED = 1 << 16
"""How many different chunks a cache holds."""
LONGEST_CACHED = 100
"""Characters of the longest chunk that is kept in a cache, so that no text can fill the memory."""


Kind = Literal["word", "clitic", "elided", "other"]


class Cut(NamedTuple):
    """What stands together in the text. left, right: the joiner where it carries that mark, else nothing."""

    surface: str
    kind: Kind
    left: str = ""
    right: str = ""


def cut(chunk: str) -> list[Cut]:
    """The pieces of what stands between white space; their surfaces laid end to end are the chunk.

    >>> [c.left + c.surface + c.right for c in cut("(T-Shirt's)!")]
    ['(￭', 'T', '￭-￭', 'Shirt', "￭'s", '￭)', '￭!']
    """
    if chunk.isalnum():
        return [Cut(chunk, "word")]  # most of them
    matches = _pattern(letters(chunk)).finditer(chunk)
    found = [Cut(match.group(), cast("Kind", match.lastgroup)) for match in matches]
    for place in range(1, len(found)):
        before, after = found[place - 1], found[place]
        if _carries_right(before, after):
            found[place - 1] = before._replace(right=JOINER)
        else:
            found[place] = after._replace(left=JOINER)
    return found


def joined(tokens: Iterable[str]) -> str:
    """The text of tokens with marks.

    >>> joined(["￭,", "(￭", "so", "￭-￭", "￭-", "￭)", "<unk>", "(￭"])
    ', (so--) <unk> ('
    """
    parts: list[str] = []
    glued = True  # nothing stands before the first
    for token in tokens:
        surface, left, right = parsed(token)
        if surface:
            if not (glued or left):
                parts.append(" ")
            parts.append(surface)
            glued = right
    return "".join(parts)


def parsed(token: str) -> tuple[str, bool, bool]:
    """A token without its marks, and whether it has one on its left and right. A joiner alone is no mark."""
    left = len(token) > 1 and token[0] == JOINER
    if left:
        token = token[1:]
    right = len(token) > 1 and token[-1] == JOINER
    return (token[:-1] if right else token), left, right


def _carries_right(before: Cut, after: Cut) -> bool:
    """Whether the mark between two neighbours stands on the first of them."""
    if before.surface == JOINER:
        return False  # it could not be told from two joiners
    if before.kind == "elided":
        return True
    # In German “ closes, so what a mark on the left ties to a word does not open.
    opens = not before.left and unicodedata.category(before.surface[0]) in ("Ps", "Pi")
    return before.kind == "other" and (after.kind in ("word", "elided") or opens)


@cache
def _pattern(letter: str) -> re.Pattern[str]:
    """The pattern of one piece, its kind as the name of a group. letter: what a word is made of."""
    vowel = "[aeiouyhàáâäæèéêëìíîïòóôöœùúûüAEIOUYHÀÁÂÄÆÈÉÊËÌÍÎÏÒÓÔÖŒÙÚÛÜ]"
    return re.compile(
        rf"""
          (?P<clitic>[nN]['’][tT]\b|['’]{CLITIC}\b)        # do|n't, it|'s
        | (?P<elided>{letter}+['’](?={vowel}))             # l'|homme
        | (?P<word>{letter}+?(?=[nN]['’][tT]\b)            # do|n't
            | {letter}+(?:['’](?!{CLITIC}\b){letter}+)*)   # Mann, o'clock
        | (?P<other>\S)
        """,
        re.VERBOSE,
    )
