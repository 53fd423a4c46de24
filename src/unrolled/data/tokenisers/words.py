"""Words, clitics and single other characters, with marks that say where no blank stood; see `_joiner.py`.

The rule of `data/tokens.py` serves text that is only read; this one serves text that is to be written as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from unrolled.data.tokenisers._joiner import CACHED, LONGEST_CACHED, cut, joined
from unrolled.data.tokenisers.base import Rule


class Words(Rule):
    """Cut at white space, hyphens and wherever something is no letter; put together again as it was.

    >>> tokeniser = Words()
    >>> tokeniser.tokens("Ein Mann (im T-Shirt) schläft.")
    ['Ein', 'Mann', '(￭', 'im', 'T', '￭-￭', 'Shirt', '￭)', 'schläft', '￭.']
    >>> tokeniser.text(["Ein", "T", "￭-￭", "Shirt", "￭,", "<unk>", "￭."])
    'Ein T-Shirt, <unk>.'
    """

    def tokens(self, text: str) -> list[str]:
        found: list[str] = []
        for chunk in self._cased(text).split():
            found += _remembered(chunk) if len(chunk) <= LONGEST_CACHED else _cut(chunk)
        return found

    def text(self, tokens: Iterable[str]) -> str:
        return joined(tokens)


def _cut(chunk: str) -> tuple[str, ...]:
    return tuple(piece.left + piece.surface + piece.right for piece in cut(chunk))


_remembered = lru_cache(CACHED)(_cut)
"""Most chunks of a text have been met before, and a look-up costs a hundredth of cutting."""
