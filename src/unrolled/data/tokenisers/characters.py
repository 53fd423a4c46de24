"""Every code point, white space too; joined by nothing, so that the text comes back exactly."""

from __future__ import annotations

from collections.abc import Iterable

from unrolled.data.tokenisers.base import Rule


class Characters(Rule):
    """Cut everywhere.

    >>> tokeniser = Characters(case="lower")
    >>> tokeniser.tokens("O no"), tokeniser.text(["y", "e", "s"])
    (['o', ' ', 'n', 'o'], 'yes')
    """

    cuts_everywhere = True

    def tokens(self, text: str) -> list[str]:
        return list(self._cased(text))

    def text(self, tokens: Iterable[str]) -> str:
        return "".join(tokens)
