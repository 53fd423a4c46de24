"""What stands between white space; joined by one blank.

For text that is cut already: phones, commands, sentences of a corpus with a tokenisation of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from unrolled.data.tokenisers.base import Rule


class Blanks(Rule):
    """Cut at white space.

    >>> tokeniser = Blanks()
    >>> tokeniser.tokens("HH  AH0 L OW1\\n"), tokeniser.text(["HH", "AH0"])
    (['HH', 'AH0', 'L', 'OW1'], 'HH AH0')
    """

    def tokens(self, text: str) -> list[str]:
        return self._cased(text).split()

    def text(self, tokens: Iterable[str]) -> str:
        return " ".join(tokens)
